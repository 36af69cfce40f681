"""One wrong gradient, and what may be asked about the right one; what is found is a `Finding`."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from tf_backprop.support.check.slopes import Slopes, projected
from tf_backprop.support.errors import GradientError

import numpy as np

#: At most so many rows are looked at alone.
ROWS = 4


class Finding(NamedTuple):
    """What a wrong gradient looks like: in a few words, in a sentence, and as a factor where it is one."""

    verdict: str
    sentence: str
    factor: float | None = None
    placed: bool = False  # whether the sentence says already where the mistake is
    of_value: str = ""  # the sentence for a value that is no gradient, where it is another one


class Case:
    """One wrong gradient, and all that may be asked about the right one."""

    def __init__(self, name: str, mine: np.ndarray, along: np.ndarray, slopes: Slopes, bar: float, context: "Context"):
        self.name, self.mine, self.along, self.slopes, self.bar, self.context = name, mine, along, slopes, bar, context
        self.value = slopes.values[name]
        measured = [slopes.careful(name, v) for v in along]
        self.right, self.doubt, self.gap = (np.array(column) for column in zip(*measured, strict=True))
        self.size, self.floor = rms(self.right), rms(self.doubt)

    def fits(self, guess: np.ndarray, right: np.ndarray | None = None) -> bool:
        """Return whether slopes (count,) are the right ones, or others that are given instead."""
        right = self.right if right is None else right
        return bool(np.all(np.abs(guess - right) <= self.bar * rms(right) + self.doubt))

    def factor(self, guess: np.ndarray, right: np.ndarray | None = None) -> float | None:
        """Return by which factor the slopes `guess` are too large, None where it is not one for all directions."""
        right = self.right if right is None else right
        if rms(right) < 1000 * self.floor or not np.any(guess) or self.mine.size < 2:
            return None
        c = np.sum(guess * guess) / np.sum(guess * right)
        return float(c) if self.fits(guess / c, right) else None

    def measure(self, along: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the right slopes along other directions, and the doubts about them."""
        right = self.context.right()
        if right is not None:
            return projected(right[self.name], along), np.full(len(along), self.floor)
        return tuple(
            np.array(column) for column in zip(*(self.slopes.careful(self.name, v)[:2] for v in along), strict=True)
        )

    def numbers(self, name: str, places: np.ndarray, row: "OneRow") -> np.ndarray:
        """Return single numbers of the right gradient of any parameter on one row of the batch."""
        if row.right is not None:
            return row.right[name].ravel()[places]
        slopes = self.slopes.at(lambda values: self.context.loss(values, row.batch), row.values)
        units = (np.arange(row.values[name].size) == place for place in places)
        return np.array([slopes.quick(name, unit.reshape(row.values[name].shape)).value for unit in units])

    def slopes_of(self, loss: Callable, values: Mapping | None = None) -> np.ndarray | None:
        """Return the slopes of another loss, or at another point; None where it cannot be computed there."""
        slopes = self.slopes.at(loss, values)
        found = np.array([slopes.quick(self.name, v).value for v in self.along])
        return found if np.all(np.isfinite(found)) else None


class OneRow(NamedTuple):
    """One row of the batch, perhaps at another point, and what the functions give for it alone."""

    values: Mapping[str, np.ndarray]
    batch: Sequence
    yours: Mapping[str, np.ndarray | None]
    right: Mapping[str, np.ndarray] | None  # the tape's, where it is right


class Context(NamedTuple):
    """What belongs to the whole network: all gradients, the sizes, and the functions on another batch."""

    gradients: Mapping[str, np.ndarray]  # those of the right shape
    rows: int | None  # in the batch
    axis: int  # along which the rows of the batch lie
    sizes: Mapping[int, str]  # the sizes of parameters, and of which one
    batch: Sequence
    loss: Callable  # loss(values, batch)
    gradients_of: Callable  # gradients_of(values, batch)
    on_row: Callable  # on_row(i, scale, names): row i alone, with some parameters times a scale
    right: Callable  # right(): the right gradients, by the tape or number by number; None where that takes long
    tape: Callable  # tape(): the function (values, batch) of the tape's gradients; None where it is not right
    chain: Sequence[tuple[str, str | None]]  # the weights and the bias of each layer, in order, where they are layers

    def part(self, start: int, stop: int) -> list:
        """Return some rows of the batch."""
        return [self._rows(part, slice(start, stop)) for part in self.batch]

    def _rows(self, part, rows: slice):
        shape = (len(part),) if isinstance(part, list) else getattr(part, "shape", ())
        if len(shape) == 0 or shape[0 if self.axis == 0 else -1] != self.rows:
            return part
        return part[rows] if self.axis == 0 or len(shape) == 1 else part[..., rows]

    def is_sum(self, values: Mapping[str, np.ndarray]) -> bool | None:
        """Return whether the loss of rows is the sum of those of each, or (False) their mean, or neither (None)."""
        n = min(self.rows or 0, ROWS)
        try:
            L, *each = (self.loss(values, self.part(*rows)) for rows in ((0, n), *((i, i + 1) for i in range(n))))
        except GradientError:  # they do not take other batches
            return None
        mean, total = (np.isclose(L, whole, rtol=1e-9, atol=0) for whole in (np.mean(each or L), np.sum(each or L)))
        return bool(total) if mean != total else None  # both, where n is 1 or the loss is 0

    def layer(self, name: str) -> Sequence[str | None]:
        """Return the names of the parameters of a layer."""
        return next((layer for layer in self.chain if name in layer), (name,))

    def next_weights(self, name: str) -> str | None:
        """Return the weights of the layer after that of a parameter."""
        return next((after[0] for layer, after in itertools.pairwise(self.chain) if name in layer), None)


def rms(numbers: np.ndarray) -> float:
    """Return the root of the mean square."""
    return float(np.sqrt(np.mean(np.square(numbers))))
