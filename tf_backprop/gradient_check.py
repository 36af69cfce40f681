"""The check of a gradient: a row per parameter says whether it is right, and if not, which mistake it looks like."""

from collections.abc import Callable
from typing import NamedTuple

from tf_backprop.support.check.calls import settle
from tf_backprop.support.check.judging import DIFFERENCE_TOLERANCE, Check, Row
from tf_backprop.support.check.slopes import central_differences
from tf_backprop.support.errors import GradientError
from tf_backprop.support.language import aligned, joined, say

import numpy as np

__all__ = ["DIFFERENCE_TOLERANCE", "GradientError", "Report", "Row", "central_differences", "check_gradients"]


class Report(NamedTuple):
    """All that the check found; ``str(report)`` is a table, and a sentence for each thing that is wrong."""

    rows: list[Row]  # one per parameter: .name, .shape, .error, .ok, .verdict
    sentences: list[str]  # what is wrong
    where: list[str]  # where to look for it
    warnings: list[str]  # what cannot be seen at this point, and what to change
    label: str = "dL_d{}"

    @property
    def ok(self) -> bool:
        """Whether all gradients are right; False also where nothing could be checked."""
        return all(row.ok for row in self.rows)

    def raise_if_wrong(self) -> "Report":
        """Return this report, or raise `GradientError` with its text if a gradient is wrong."""
        if not self.ok:
            wrong = joined(self.label.format(row.name) for row in self.rows if not row.ok)
            raise GradientError(say("{wrong}: not what the loss says\n{report}", wrong=wrong, report=self))
        return self

    def __str__(self) -> str:
        """Return the table, then the sentences, then the warnings."""
        columns = [say("gradient"), say("shape"), say("relative error"), say("from the tape"), say("verdict")]
        named = [(self.label.format(row.name), row) for row in self.rows]
        cells = [[name, row.shape, f"{row.error:.1e}", row.from_tape, row.verdict] for name, row in named]
        if all(row.from_tape is None for row in self.rows):
            columns, *cells = (row[:3] + row[4:] for row in (columns, *cells))
        warnings = [say("Warning: {warning}", warning=warning) for warning in self.warnings]
        return "\n".join([aligned(columns, cells), *map(str, (*self.sentences, *self.where, *warnings))])


def check_gradients(
    loss: Callable, gradients: Callable, parameters, *batch, seed: int = 0, label: str = "dL_d{}"
) -> Report:
    """Compare gradients with slopes of the loss; say for each parameter whether its gradient is right, or what it is.

    The functions may be NumPy's, TensorFlow's, JAX's or PyTorch's. They are called with arrays of the kind that is
    given, in float64 where they allow it. A slope is a central difference along a random direction, in which all
    numbers of one parameter change together: three confirm a right gradient, six and a few more name a mistake.
    Where the loss is TensorFlow's, its tape is a second judge.

    Parameters
    ----------
    loss
        ``loss(parameters, *batch)``, one number.
    gradients
        ``gradients(parameters, *batch)``, of the same structure as `parameters`.
    parameters
        A dict, list or tuple of arrays, nested as you like, or one bare array or number, which is called A. They should
        not be zero: zeros hide mistakes.
    batch
        What the functions take after the parameters.
    seed
        For the random directions.
    label
        How a gradient is called in the table, with {} for its parameter.

    Raises
    ------
    GradientError
        When one of the functions fails, returns what is no gradient, or changes what it is given.
    """
    functions = settle(loss, gradients, parameters, batch)
    with np.errstate(all="ignore"):
        check = Check(functions, np.random.default_rng(seed))
        rows = [check.row(name) for name in functions.values]
        return Report(rows, check.sentences(rows), check.where(rows), check.warnings, label)
