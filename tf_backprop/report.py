"""Fixed-width tables on standard output: learned beside expected and published, gradients beside their checks."""

from collections.abc import Callable, Mapping, Sequence
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


def table(headers: Sequence[str], rows: Sequence[Sequence], style: str = "plain") -> str:
    """Return `rows` under `headers`, columns aligned; floats with six significant digits, None as a dash."""
    return tabulate(rows, headers, tablefmt=style, floatfmt=".6g", missingval="-")


def print_comparison(rows: Sequence[Row]) -> None:
    """Print a table of learned, expected and published values."""
    print(table(["", "learned", "expected", "published"], rows))


def print_gradient_check(
    loss: Callable,
    gradients_by_hand: Callable,
    gradients_by_tape: Callable,
    parameters: Mapping[str, np.ndarray] | float,
    batch: Sequence[np.ndarray],
    seed: int = 0,
) -> None:
    """Compare gradients written by hand with the tape and with central differences, and print a row a parameter.

    All of it in float64, where rounding is ten digits below any mistake. The central difference
    (L(θ + h v) - L(θ - h v)) / 2h is taken along one random direction v a parameter, so it costs two losses.

    Parameters
    ----------
    loss
        ``loss(parameters, *batch)``, a scalar.
    gradients_by_hand, gradients_by_tape
        ``gradients(parameters, *batch)``, of the form of `parameters`.
    parameters
        Arrays by name, or one bare number, called A.
    batch
        What `loss` takes after the parameters; floating-point arrays are turned into float64.
    seed
        For the random directions.

    Raises
    ------
    GradientError
        When a difference is larger than rounding, relative to the norm of the gradient.
    """
    rng = np.random.default_rng(seed)
    batch = [np.asarray(a, np.float64) if np.asarray(a).dtype.kind == "f" else a for a in batch]
    bare = not isinstance(parameters, Mapping)
    point = {name: np.asarray(p, np.float64) for name, p in ({"A": parameters} if bare else parameters).items()}

    def call(function, at):
        result = function(at["A"] if bare else at, *batch)
        return {"A": np.asarray(result)} if bare else {k: np.asarray(v) for k, v in result.items()}

    by_hand, by_tape = call(gradients_by_hand, point), call(gradients_by_tape, point)
    rows, wrong = [], []
    for name, value in point.items():
        direction = rng.standard_normal(value.shape)
        h = 1e-5
        ahead, behind = ({**point, name: value + sign * h * direction} for sign in (1, -1))
        slope = (
            float(loss(ahead["A"] if bare else ahead, *batch)) - float(loss(behind["A"] if bare else behind, *batch))
        ) / (2 * h)
        size = max(float(np.linalg.norm(by_tape[name])), 1e-12)
        if by_hand[name].shape != value.shape:
            raise GradientError(f"dL_d{name} has shape {by_hand[name].shape}, {name} has {value.shape}")
        from_tape = float(np.max(np.abs(by_hand[name] - by_tape[name]))) / size
        from_difference = abs(slope - float(np.sum(by_hand[name] * direction))) / size
        rows.append([f"dL_d{name}", str(value.shape), f"{from_tape:.1e}", f"{from_difference:.1e}"])
        if not (from_tape < TAPE_TOLERANCE and from_difference < DIFFERENCE_TOLERANCE):
            wrong.append(f"dL_d{name}")
    print(table(["gradient", "shape", "from the tape", "from differences"], rows))
    if wrong:
        raise GradientError(
            f"{', '.join(wrong)} as written by hand disagrees with the tape or with central differences"
        )


def finite_steps(losses: np.ndarray) -> int:
    """Return how many of `losses`, from the first, are finite."""
    bad = ~np.isfinite(losses)
    return int(np.argmax(bad)) if bad.any() else len(losses)


def require_finite(losses: np.ndarray, unit: str = "step", lower: str = "--learning-rate") -> None:
    """Raise `DivergedError` when a loss is not finite: at which `unit`, and which option to lower."""
    steps = finite_steps(losses)
    if steps < len(losses):
        raise DivergedError(f"the loss is not a finite number at {unit} {steps + 1}: lower {lower}")
