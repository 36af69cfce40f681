"""Fixed-width tables on standard output: what was learned beside what is expected and what the document has."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tf_backprop.support.errors import DivergedError
from tf_backprop.support.tables import COPIES, PRINTED, REPRODUCED, table  # noqa: F401 for the lessons

import numpy as np


class Row(NamedTuple):
    """One quantity of a lesson: what it learned, what the exact answer is, what the document has."""

    quantity: str
    learned: float
    expected: float | None = None  # None: there is no exact answer
    published: float | None = None  # None: the document has no such number
    source: str = PRINTED  # of `published`: PRINTED, COPIES or REPRODUCED


class SoftmaxResult(NamedTuple):
    """What lessons 09, 10 and 11 return."""

    costs: np.ndarray  # (epochs,) mean loss of the epoch's batches, each before its update
    accuracy: float  # share of the first 3,000 test images that are right, as D4 measured it
    test_accuracy: float  # share of all test images that are right
    parameters: dict[str, np.ndarray]  # W (pixels, 10), b (10,)
    comparison: list[Row]  # the last row is the lesson's answer
    figure: Path


def print_comparison(rows: Sequence[Row]) -> None:
    """Print a table of learned and expected values, and of the document's where there are any, with their source."""
    if any(row.published is not None for row in rows):
        rows = [row if row.published is not None else row._replace(source="") for row in rows]
        print(table(["", "learned", "expected", "document", "source"], rows))
    else:
        print(table(["", "learned", "expected"], [row[:3] for row in rows]))


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
