"""Fixed-width tables on standard output: learned beside expected and published, gradients beside their checks."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tf_backprop.errors import DivergedError, GradientError

import numpy as np
from tabulate import tabulate

#: The largest difference that is rounding, relative to the gradient: from the tape and from central differences.
TAPE_TOLERANCE, DIFFERENCE_TOLERANCE = 1e-9, 1e-6


class Row(NamedTuple):
    """One quantity of a lesson: what it learned, what the exact answer is, what the document printed."""

    quantity: str
    learned: float
    expected: float | None = None  # None: there is no exact answer
    published: float | None = None  # None: the document did not print it


class SoftmaxResult(NamedTuple):
    """What lessons 09, 10 and 11 return."""

    costs: np.ndarray  # (epochs,) mean loss of the epoch's batches, each before its update
    accuracy: float  # share of the first 3,000 test images that are right, as D4 measured it
    test_accuracy: float  # share of all test images that are right
    parameters: dict[str, np.ndarray]  # W (pixels, 10), b (10,)
    comparison: list[Row]  # the last row is the lesson's answer
    figure: Path


class Verdict(NamedTuple):
    """One mistake of lesson 13 beside its repair; every pair is of the repaired and of the mistaken run."""

    mistake: str
    accuracy: tuple[float, float]  # at the end, on images or points that were not trained on
    error: tuple[float, float]  # of the gradient: the largest of `errors`
    errors: dict[str, tuple[float, float]]  # by parameter, as `update_errors` returns them
    curves: np.ndarray  # (2, 2, looks) pair of accuracy and loss, the loss as the code itself sees it
    caught: tuple[bool, bool, bool]  # by a loss that does not fall, by the accuracy, by the gradient check


def table(headers: Sequence[str], rows: Sequence[Sequence], style: str = "plain", as_is: bool = False) -> str:
    """Return `rows` under `headers`, columns aligned; floats with six significant digits, None as a dash.

    `as_is` leaves texts that look like numbers alone.
    """
    return tabulate(rows, headers, tablefmt=style, floatfmt=".6g", missingval="-", disable_numparse=as_is)


def print_comparison(rows: Sequence[Row]) -> None:
    """Print a table of learned, expected and published values."""
    print(table(["", "learned", "expected", "published"], rows))


def print_gradient_check(
    loss: Callable,
    gradients_by_hand: Callable | None,
    gradients_by_tape: Callable,
    parameters: Mapping[str, np.ndarray] | float,
    batch: Sequence[np.ndarray],
    seed: int = 0,
    must_agree: bool = True,
    label: str = "dL_d{}",
) -> None:
    """Compare gradients written by hand with the tape and with central differences, and print a row a parameter.

    All of it in float64, where rounding is far below any mistake, and relative to the norm of the tape's gradient. The
    central difference (L(p + h v) - L(p - h v)) / 2h is taken along one random direction v a parameter p; of two h the
    better one counts.

    Parameters
    ----------
    loss
        ``loss(parameters, *batch)``, a scalar.
    gradients_by_hand, gradients_by_tape
        ``gradients(parameters, *batch)``, of the form of `parameters`. Without one by hand, the tape's is checked.
    parameters
        Arrays by name, or one bare number, called A. They should not be zero: zeros hide mistakes.
    batch
        What `loss` takes after the parameters; floating-point arrays are turned into float64.
    seed
        For the random directions.
    must_agree
        False to show a gradient that is known to be wrong.
    label
        How a gradient is called in the table, with {} for its parameter.

    Raises
    ------
    GradientError
        When a gradient has not its parameter's shape, or a difference is larger than rounding.
    """
    if not isinstance(parameters, Mapping):
        named = [
            g and (lambda p, *batch, g=g: {"A": g(p["A"], *batch)}) for g in (gradients_by_hand, gradients_by_tape)
        ]
        of_named = lambda p, *batch: loss(p["A"], *batch)  # noqa: E731
        return print_gradient_check(of_named, *named, {"A": parameters}, batch, seed, must_agree, label)
    import tensorflow as tf

    point = {name: tf.constant(value, tf.float64) for name, value in parameters.items()}
    batch = [tf.constant(a, tf.float64) if np.asarray(a).dtype.kind == "f" else tf.constant(a) for a in batch]
    by_tape = gradients_by_tape(point, *batch)
    checked = gradients_by_hand(point, *batch) if gradients_by_hand else by_tape
    rng = np.random.default_rng(seed)
    rows, wrong = [], []
    for name, value in parameters.items():
        shape = np.shape(value)
        called = label.format(name)
        gradient, tape = np.asarray(checked[name]), np.asarray(by_tape[name])
        if gradient.shape != shape:
            raise GradientError(f"{called} has shape {gradient.shape}, but {name} has {shape}")
        size = max(float(np.linalg.norm(tape)), 1e-12)
        from_tape = float(np.max(np.abs(gradient - tape))) / size
        direction, slopes = rng.standard_normal(shape), []
        for h in (1e-5, 1e-7):  # the smaller one for a kink, such as ReLU's, between the two points of the larger
            ahead, behind = (float(loss({**point, name: point[name] + s * h * direction}, *batch)) for s in (1, -1))
            slopes.append((ahead - behind) / (2 * h))
        from_differences = np.min(np.abs(np.array(slopes) - np.sum(gradient * direction))) / size
        shown = f"{from_tape:.1e}" if gradients_by_hand else None
        rows.append([called, str(shape), shown, f"{from_differences:.1e}"])
        if not (from_tape < TAPE_TOLERANCE and from_differences < DIFFERENCE_TOLERANCE):
            wrong.append(called)
    print(table(["gradient", "shape", "from the tape", "from differences"], rows))
    if wrong and must_agree:
        raise GradientError(f"{', '.join(wrong)}: the gradient disagrees with the tape or with central differences")


def central_differences(
    loss: Callable, parameters: Mapping[str, np.ndarray], batch: Sequence[np.ndarray], h: float = 1e-6
) -> dict[str, np.ndarray]:
    """Return (L(p + h) - L(p - h)) / 2h for every single number p, as arrays of the parameters' shapes; in float64."""
    import tensorflow as tf

    def slope(name, i):
        step = tf.reshape(h * tf.one_hot(i, tf.size(parameters[name]), dtype=tf.float64), parameters[name].shape)
        ahead, behind = (loss({**parameters, name: parameters[name] + s}, *batch) for s in (step, -step))
        return (ahead - behind) / (2 * h)

    @tf.function
    def slopes():
        of = {name: partial(tf.map_fn, partial(slope, name), fn_output_signature=tf.float64) for name in parameters}
        return {name: tf.reshape(of[name](tf.range(tf.size(p))), p.shape) for name, p in parameters.items()}

    in_a_graph = slopes.get_concrete_function()  # a plain call would warn of retracing after the fifth model
    return {name: values.numpy() for name, values in in_a_graph().items()}


def update_errors(
    before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray], slopes: Mapping[str, np.ndarray]
) -> dict[str, float]:
    """Return |before - after - slopes| / |slopes| by parameter, for an update at the learning rate 1."""

    def norm(v):  # np.linalg.norm splits a long sum by threads, so that its last bits depend on the number of cores
        return float(np.sqrt(np.sum(np.square(v))))

    return {name: norm(p - after[name] - slopes[name]) / norm(slopes[name]) for name, p in before.items()}


def verdict(
    mistake: str, right: tuple[dict[str, float], np.ndarray], wrong: tuple[dict[str, float], np.ndarray], bar: float
) -> Verdict:
    """Judge a mistaken run beside the repaired one, each given by its update errors and its curves (2, looks).

    The tests are: does the loss fall, is the accuracy at least `bar`, are all errors rounding.

    Raises
    ------
    GradientError
        When an error of the repaired run is more than rounding.
    """
    (right_errors, right_curves), (wrong_errors, wrong_curves) = right, wrong
    unsound = [f"dL_d{name}" for name, error in right_errors.items() if not error < DIFFERENCE_TOLERANCE]
    if unsound:
        raise GradientError(f"{', '.join(unsound)}: the repaired gradient disagrees with central differences")
    accuracy = float(right_curves[0, -1]), float(wrong_curves[0, -1])
    error = max(right_errors.values()), max(wrong_errors.values())
    loss = wrong_curves[1]
    caught = not loss[-1] < loss[0], not accuracy[1] >= bar, not error[1] < DIFFERENCE_TOLERANCE
    errors = {name: (right_errors[name], wrong_errors[name]) for name in right_errors}
    return Verdict(mistake, accuracy, error, errors, np.stack([right_curves, wrong_curves]), tuple(map(bool, caught)))


def print_verdicts(rows: Sequence[Verdict], bar: float) -> list[Row]:
    """Print how many of the mistakes each test finds, and a table of all, or of the parameters where there is one."""
    tests = ("falling loss", f"accuracy {bar:g}", "gradient check")
    found = np.sum([row.caught for row in rows], axis=0).tolist()
    comparison = [Row(f"mistakes caught by {test}", n) for test, n in zip(tests, found, strict=True)]
    comparison[-1] = comparison[-1]._replace(expected=len(rows))
    print_comparison(comparison)
    if len(rows) == 1:
        errors = [[f"dL_d{name}", *(f"{e:.2g}" for e in pair)] for name, pair in rows[0].errors.items()]
        print(table(["gradient", "error: right", "wrong"], errors))
    said = [
        [row.mistake, *(f"{a:.1%}" for a in row.accuracy), *(f"{e:.2g}" for e in row.error)]
        + ["yes" if caught else "no" for caught in row.caught]
        for row in rows
    ]
    headers = [f"{of}\n{which}" for of in ("accuracy", "gradient error") for which in ("right", "wrong")]
    print(table(["mistake", *headers, *(f"caught by\n{test}" for test in tests)], said))
    return comparison


def cost_rows(
    costs: np.ndarray, published: Mapping[int, float], expected: Mapping[int, float] | None = None
) -> list[Row]:
    """Return about ten rows, evenly spread over the epochs: costs (epochs,) beside the expected and published ones."""
    expected = expected or {}
    every = max(1, len(costs) // 10)
    epochs = range(every, len(costs) + 1, every)
    return [
        Row(f"cost, epoch {epoch}", float(costs[epoch - 1]), expected.get(epoch), published.get(epoch))
        for epoch in epochs
    ]


def print_exchanged(rank: int, shares: Sequence[slice], exchanged: Mapping, whole: Mapping) -> float:
    """Print which slice of a batch a worker has, and how far the exchanged gradient is from the whole batch's.

    Returns
    -------
    float
        The largest difference of the two, of all their numbers.
    """
    difference = max(float(np.abs(exchanged[name] - whole[name]).max()) for name in whole)
    images = f"images {shares[rank].start} to {shares[rank].stop - 1} of a batch"
    print(f"worker {rank}: {images}; all-reduced gradient less the whole batch's: {difference:.1e}")
    return difference


def print_split(difference: float, learned: Mapping[str, Mapping[str, np.ndarray]], test) -> list[Row]:
    """Print how far a run ``"split"`` over workers is from the ``"whole"`` one of one worker, and return the rows.

    `difference` is that of the gradients at the start; W (pixels, 10) and b (10,) are by run, `test` has images x and
    labels y.
    """
    off = max(float(np.abs(learned["split"][name] - value).max()) for name, value in learned["whole"].items())
    right = {run: (test.x @ p["W"] + p["b"]).argmax(axis=1) == test.y for run, p in learned.items()}
    rows = [
        Row("gradient: all-reduced, less the whole batch's", difference, 0.0),
        Row("test accuracy: split, beside one worker's", float(right["split"].mean()), float(right["whole"].mean())),
        Row("W and b: split, largest difference from one worker's", off, 0.0),
    ]
    print_comparison(rows)
    return rows


def finite_steps(losses: np.ndarray) -> int:
    """Return how many of `losses`, from the first, are finite."""
    bad = ~np.isfinite(losses)
    return int(np.argmax(bad)) if bad.any() else len(losses)


def require_finite(
    losses: np.ndarray, unit: str = "step", lower: str = "--learning-rate", at: np.ndarray | None = None
) -> None:
    """Raise `DivergedError` when a loss is not finite: at which `unit`, and which option to lower.

    The losses are those of units 1, 2, 3 ..., or of the units `at`.
    """
    steps = finite_steps(losses)
    if steps < len(losses):
        number = steps + 1 if at is None else at[steps]
        raise DivergedError(f"the loss is not a finite number at {unit} {number}: lower {lower}")
