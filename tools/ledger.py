"""Compare the documents' numbers with the lessons' own results: ``python -m tools.ledger``.

It runs each lesson with many seeds, and writes docs/ledger.csv and the table of docs/ledger.md. A number comes from one
of three sources, which each row names: a document prints it, public copies of a document print it, or a run of a
document's own code gave it.
"""

import contextlib
import csv
import gc
import io
import itertools
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from tf_backprop import command, datasets
from tf_backprop.report import COPIES, PRINTED, REPRODUCED
from tf_backprop.support import lessons
from tools import readme

import numpy as np
import tensorflow as tf

FILE = lessons.SCRIPTS.parent / "docs" / "ledger.csv"

LACKS_MEAN = "the document's formula lacks the 1/n of the mean, so its step is 100 times too long"
ROUNDING = "the seventh digit is rounding in float32"
CONVENTION = "the derivative at a kink is a convention, and TensorFlow's is another"
ADAM = "TensorFlow 1 computes 1 - 0.999 in float32, and Keras and the lesson compute it in float64"
#: A number with a spread agrees if it is no more than so many standard deviations from the mean.
MOST = 3
#: The columns of the page that have numbers only.
NUMBERS = ("published", "ours", "z", "exact")


class Entry(NamedTuple):
    """One number of a document, and what the lesson makes of it over many seeds."""

    document: str
    lesson: str
    quantity: str
    number: str  # with every digit that the source has
    ours: np.ndarray  # (seeds,)
    exact: float | None = None
    because: str = ""  # the reason for a difference, where the reason is known
    source: str = PRINTED  # PRINTED, COPIES or REPRODUCED

    def z(self) -> float | None:
        """Return how many standard deviations the number is above our mean, or None without a spread."""
        spread = np.std(self.ours, ddof=1) if len(self.ours) > 1 else 0.0
        return (float(self.number) - np.mean(self.ours)) / spread if spread > 0 else None

    def verdict(self) -> str:
        """Say whether the number agrees with ours to the digit or within the spread, or why it does not."""
        if self.z() is None:
            same = all(_as_printed(value, self.number) == float(self.number) for value in self.ours)
            return "to the digit" if same else f"differs because {self.because or 'it is another number'}"
        if abs(self.z()) <= MOST:
            return f"within {MOST} sd"
        return f"differs because {self.because or f'it is more than {MOST} sd away'}"

    def row(self) -> dict[str, object]:
        """Return the row of the table, with rounded numbers."""
        spread = np.std(self.ours, ddof=1) if len(self.ours) > 1 else None
        z = self.z()
        return {
            "document": self.document,
            "lesson": self.lesson,
            "quantity": self.quantity,
            "number": self.number,
            "source": self.source,
            "mean": f"{np.mean(self.ours):.6g}",
            "sd": "" if spread is None else f"{spread:.2g}",
            "smallest": f"{self.ours.min():.6g}",
            "largest": f"{self.ours.max():.6g}",
            "z": "" if z is None else f"{z:+.1f}",
            "exact": "" if self.exact is None else f"{self.exact:.6g}",
            "verdict": self.verdict(),
            "seeds": len(self.ours),
        }


def _as_printed(value: float, number: str) -> float:
    """Round `value` to as many decimals as `number` has."""
    return round(float(value), len(number.partition(".")[2]))


# --------------------------------------------------------------------------------------------------------------------
# There is one function for each lesson, or for several: it calls the lesson's own functions and yields entries.


def _run(lesson: ModuleType, **options):
    """Return the result of a lesson's ``main``, and free the memory of its figure and of the images in its graph."""
    from matplotlib import pyplot

    result = lesson.main(**options)
    pyplot.close("all")
    gc.collect()
    return result


def prepare(lesson: ModuleType, data: Callable, seed: int, steps: int):
    """Return what lesson 01 or 02 trains from, drawn as its `main` draws it: A, the data x and y, and the order."""
    rng = np.random.default_rng(seed)
    x, y = data(rng)
    A, order = lesson.prepare(rng, len(x), steps)
    return A, x, y, order


def many_seeds(lesson: ModuleType, data: Callable, seeds: int, steps: int, learning_rate: float):
    """Descend from the starts of many seeds at once; return A and losses, both (steps, seeds), and the data x and y.

    The lesson's own loop makes one run after the other. Here one step serves all seeds, each of which has its own A
    and its own sample, because so many runs would otherwise take minutes.
    """
    prepared = [prepare(lesson, data, seed, steps) for seed in range(seeds)]
    A, x, y, order = (np.array(part) for part in zip(*prepared, strict=True))  # order (seeds, steps)

    @tf.function
    def step(A, x, y):
        A -= learning_rate * tf.vectorized_map(lambda one: lesson.gradients_by_hand(*one), (A, x, y))
        return A, tf.vectorized_map(lambda one: lesson.loss(*one), (A, x, y))

    trajectory, losses, seed = [], [], np.arange(seeds)
    for sample in order.T:  # (seeds,)
        A, loss = step(A, x[seed, sample], y[seed, sample])
        trajectory.append(A)
        losses.append(loss)
    return np.array(trajectory), np.array(losses), x, y


def regression(load: Callable, seeds: int, **_) -> Iterator[Entry]:
    """Yield the entries of D1's first half: A, and the loss of the sample of the step."""
    lesson = load("01_regression")
    trajectory, losses, x, _ = many_seeds(lesson, datasets.regression, seeds, 100, 0.02)
    optimum = float(np.mean([10 * part.sum() / (part @ part) for part in x]))
    printed = {25: ("6.12853956", "16.45088196"), 50: ("8.55680943", "2.18415046")}
    printed |= {75: ("9.50547695", "5.29813051"), 100: ("9.89214897", "0.34628963")}
    for step, (A, loss) in printed.items():
        yield Entry("D1", "01", f"A at step {step}", A, trajectory[step - 1], optimum if step == 100 else None)
        yield Entry("D1", "01", f"loss of the sample at step {step}", loss, losses[step - 1])


def binary_classification(load: Callable, seeds: int, **_) -> Iterator[Entry]:
    """Yield the entries of D1's second half: A, the loss of the sample of the step, and the accuracy."""
    lesson = load("02_binary_classification")
    trajectory, losses, x, y = many_seeds(lesson, datasets.two_classes, seeds, 1400, 0.05)
    optimum = float(np.mean([lesson.exact_optimum(*data) for data in zip(x, y, strict=True)]))
    printed = {200: ("3.84576249", "0.00083012"), 400: ("0.42345378", "0.01165466")}
    printed |= {600: ("-0.35141727", "0.05375391"), 800: ("-0.74206048", "0.05468176")}
    printed |= {1000: ("-0.89036471", "0.19636908"), 1200: ("-0.90850282", "0.00608062")}
    printed |= {1400: ("-1.09374011", "0.11037558")}
    for step, (A, loss) in printed.items():
        yield Entry("D1", "02", f"A at step {step}", A, trajectory[step - 1], optimum if step == 1400 else None)
        yield Entry("D1", "02", f"loss of the sample at step {step}", loss, losses[step - 1])
    accuracy = [lesson.accuracy(A, *data) for A, *data in zip(trajectory[-1], x, y, strict=True)]
    yield Entry("D1", "02", "accuracy", "1.0", np.array(accuracy))


def activations(load: Callable, figures: Path, **_) -> Iterator[Entry]:
    """Yield the entries of D5 about derivatives at zero, a kink of some activations: its functions give them."""
    result = _run(load("03_activation_derivatives"), figures=figures)
    at = {row.quantity: row for row in result.comparison}
    for name, printed in {"sigmoid'(0)": "0.25", "tanh'(0)": "1", "leaky ReLU'(0)": "1", "ReLU'(0)": "1"}.items():
        learned = round(at[name].learned, 6)
        yield Entry("D5", "03", name, printed, np.array([learned]), None, CONVENTION, REPRODUCED)


def chain_rule(load: Callable, figures: Path, **_) -> Iterator[Entry]:
    """Yield the entry of D5 about the product of two derivatives."""
    result = _run(load("04_chain_rule"), figures=figures)
    ours, exact = np.array([result.by_tape["dy2_dw1"]]), result.comparison[-1].expected
    yield Entry("D5", "04", "dy2/dw1", "2", ours, exact, source=REPRODUCED)


def himmelblau(load: Callable, figures: Path, **_) -> Iterator[Entry]:
    """Yield the entries of D5 about the minima in which four descents end, which it prints with three decimals."""
    result = _run(load("05_himmelblau"), figures=figures)
    printed = {(4.0, 0.0): ("3.584", "-1.848"), (1.0, 0.0): ("3", "2")}
    printed |= {(-4.0, 0.0): ("-3.779", "-3.283"), (-2.0, 2.0): ("-2.805", "3.131")}
    for start, values in printed.items():
        end = result.paths[start][-1]
        exact = result.minima[np.linalg.norm(result.minima - end, axis=1).argmin()]
        for axis, value in enumerate(values):
            name = f"{'xy'[axis]} of the minimum reached from ({start[0]:g}, {start[1]:g})"
            yield Entry("D5", "05", name, value, end[axis : axis + 1], float(exact[axis]), ROUNDING)


def two_layers(load: Callable, figures: Path, **_) -> Iterator[Entry]:
    """Yield the entries of D2: losses and weights. It prints none: copies of it do, or we ran its code."""
    result = _run(load("07_two_layer_network"), figures=figures)
    sgd = {0: "5.13118", 500: "0.429111", 1000: "0.409789", 1500: "0.399923", 2000: "0.394146", 2500: "0.390597"}
    momentum = {0: "5.1311817", 500: "0.3843913", 1000: "0.3835917", 1500: "0.3835619", 2000: "0.3835606"}
    adam = {0: "5.209994", 500: "0.6170257", 1000: "0.3922883", 1500: "0.3864319", 2000: "0.3842536"}
    numbers = {"sgd": sgd, "momentum": momentum | {2500: "0.3835606"}, "adam": adam | {2500: "0.3836759"}}
    for optimizer, values in numbers.items():
        because = ADAM if optimizer == "adam" else ROUNDING
        source = COPIES if optimizer == "sgd" else REPRODUCED
        for step, value in values.items():
            ours = result.losses[optimizer][step : step + 1]
            yield Entry("D2", "07", f"loss at step {step}, {optimizer}", value, ours, None, because, source)
    last = result.losses["sgd"][-1:]
    yield Entry("D2", "07", "loss after 3000 steps, sgd", "0.388334", last, result.floor, ROUNDING, REPRODUCED)
    start = load("07_two_layer_network").initial_parameters(seed=1)
    starts = {"w1": (("-0.8113182", "1.4845988", "0.06532937"), ("-2.4427042", "0.0992484", "0.5912243"))}
    starts |= {"w2": (("-0.8113182",), ("1.4845988",), ("0.06532937",))}
    for name, rows in starts.items():
        for (row, column), value in np.ndenumerate(rows):
            ours = start[name].numpy()[row, column : column + 1]
            quantity = f"{name}[{row}, {column}] at the start"
            yield Entry("D2", "07", quantity, str(value), ours, None, ROUNDING, COPIES)
    ends = {"w1": (("-0.7000663", "0.9136318", "0.0895357"), ("-2.3402493", "-0.1464127", "0.5882305"))}
    ends |= {"w2": (("-0.0602427",), ("0.9195619",), ("-0.0682071",))}
    for name, rows in ends.items():
        for (row, column), value in np.ndenumerate(rows):
            ours = result.parameters["sgd"][name][row, column : column + 1]
            quantity = f"{name}[{row}, {column}] after 3000 steps, sgd"
            yield Entry("D2", "07", quantity, str(value), ours, None, ROUNDING, COPIES)


def mnist(load: Callable, mnist_seeds: int, mnist_dir: Path | None, figures: Path, **_) -> Iterator[Entry]:
    """Yield the entries of D3, and of the three ways of D4, the third by its own formula and by the right one."""
    given = {"data": "mnist", "mnist_dir": mnist_dir, "figures": figures}

    def runs(name, **more):
        return [_run(load(name), seed=seed, **given, **more) for seed in range(mnist_seeds)]

    accuracy = np.array([run.test_accuracy for run in runs("08_mnist_softmax")])
    yield Entry("D3", "08", "test accuracy", "0.92", accuracy, None, "it says about 92 %")
    ways = {
        "09_mnist_softmax_optimizer": ("optimizer", {}, ""),
        "10_mnist_softmax_gradient_tape": ("tf.gradients", {}, ""),
        "11_mnist_softmax_hand_derived": ("by hand, right formula", {}, LACKS_MEAN),
        "11_mnist_softmax_hand_derived ": ("by hand, document's formula", {"document_formula": True}, ""),
    }
    for name, (way, more, because) in ways.items():
        lesson, results = load(name.strip()), runs(name.strip(), **more)
        for epoch, printed in enumerate(lesson.PUBLISHED, start=1):
            costs = np.array([run.costs[epoch - 1] for run in results])
            yield Entry("D4", name[:2], f"cost of epoch {epoch}, {way}", f"{printed:.9f}", costs, None, because)
        accuracy = np.array([run.accuracy for run in results])
        printed = str(lesson.PUBLISHED_ACCURACY)
        yield Entry("D4", name[:2], f"accuracy on 3,000 test images, {way}", printed, accuracy, None, because)


def moons(load: Callable, mnist_seeds: int, figures: Path, **_) -> Iterator[Entry]:
    """Yield the entries of D5 about the moons. It prints no number: we ran its code once, with frozen biases."""
    lesson = load("12_moons_mlp")
    runs = [_run(lesson, train_biases=False, seed=seed, figures=figures) for seed in range(mnist_seeds)]
    accuracy, mse = (np.array([getattr(run, name)[-1] for run in runs]) for name in ("accuracy", "mse"))
    when = "at epoch 1000, biases frozen"
    yield Entry("D5", "12", f"test accuracy {when}", "0.975", accuracy, source=REPRODUCED)
    yield Entry("D5", "12", f"mean squared error {when}", "0.025506", mse, source=REPRODUCED)


PARTS = (regression, binary_classification, activations, chain_rule, himmelblau, two_layers, mnist, moons)


# --------------------------------------------------------------------------------------------------------------------


def entries(parts=PARTS, **options) -> Iterator[Entry]:
    """Yield the entries of `parts`, and discard what the lessons print."""
    loaded: dict[str, ModuleType] = {}

    def load(name):
        if name not in loaded:
            loaded[name] = lessons.load(lessons.SCRIPTS / f"{name}.py")
        return loaded[name]

    with tempfile.TemporaryDirectory() as folder:
        for part in parts:
            with contextlib.redirect_stdout(io.StringIO()):
                made = list(part(load=load, figures=Path(folder), **options))
            yield from made


def versions() -> str:
    """Return the versions of the packages on which the numbers depend."""
    return ", ".join(f"{name} {version(name)}" for name in ("tensorflow", "keras", "numpy", "scikit-learn"))


def write(rows: list[Mapping[str, object]], made_with: str, path: Path = FILE) -> None:
    """Write the rows as CSV, with `made_with` in a last column."""
    path.parent.mkdir(exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*rows[0], "made with"], lineterminator="\n")
        writer.writeheader()
        writer.writerows({**row, "made with": made_with} for row in rows)


def read(path: Path = FILE) -> list[dict[str, str]]:
    """Return the rows of the committed ledger."""
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def table(rows: list[Mapping[str, str]]) -> str:
    """Return a table per lesson for the page, under the lesson's title, without the columns that say nothing there."""
    titles = {lesson.name[:2]: lesson.title for lesson in lessons.find()}
    tables = []
    for (number, document), group in itertools.groupby(rows, lambda row: (row["lesson"], row["document"])):
        cells = [_cells(row) for row in group]
        (source, *others) = dict.fromkeys(row["source"] for row in cells)
        tables.append(f"### {number} {titles[number]}: {document}")
        if not others:
            tables.append(f"The source of all these numbers: *{source}*.")
        told = [header for header in cells[0] if any(row[header] for row in cells)]
        headers = [header for header in told if header != "source" or others]
        tables.append(readme.markdown(headers, [[row[header] for header in headers] for row in cells], NUMBERS))
    return "\n\n".join(tables)


def _cells(row: Mapping[str, str]) -> dict[str, str]:
    """Return a row's cells by the headers of the page: first what most readers look for."""
    return {
        "quantity": row["quantity"],
        "published": row["number"],
        "ours": row["mean"] + (f" ± {row['sd']}" if row["sd"] else ""),
        "verdict": row["verdict"],
        "source": row["source"],
        "smallest to largest": f"{row['smallest']} to {row['largest']}" if row["sd"] else "",
        "z": row["z"],
        "exact": row["exact"],
    }


def renew(seeds: int = 200, mnist_seeds: int = 10, mnist_dir: Path | None = None) -> None:
    """Run every documented experiment for many seeds; write docs/ledger.csv and the table of docs/ledger.md.

    Args:
        seeds: runs of the lessons that take milliseconds
        mnist_seeds: runs of the lessons that take seconds
    """
    command.check(seeds=seeds, mnist_seeds=mnist_seeds)
    rows = []
    for entry in entries(seeds=seeds, mnist_seeds=mnist_seeds, mnist_dir=mnist_dir):
        rows.append(entry.row())
        print(f"{entry.document} {entry.quantity}: {entry.verdict()}", flush=True)
    write(rows, versions())
    readme.replace({"ledger": table(read())})
    print(f"{os.path.relpath(FILE)}: {len(rows)} rows")


if __name__ == "__main__":
    command.run(renew)
