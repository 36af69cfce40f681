"""Slopes of a loss along directions, by central differences, each with how far it may be off."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

#: The steps that are tried, the best one first, and the share of the loss that rounding may change.
FINE, COARSE = (1e-5, 1e-6, 1e-7, 1e-4), (3e-3, 1e-3, 1e-2)
ROUNDING = {True: 32 * 2.2e-16, False: 4 * 1.2e-7}


class Slope(NamedTuple):
    """The slope of the loss along a direction."""

    value: float
    doubt: float  # how far it may be off: rounding, and what a smaller step changes
    gap: float = 0.0  # between the slopes of the two sides, where that is a kink at the point itself


def directions(rng: np.random.Generator, shape: tuple[int, ...], count: int) -> np.ndarray:
    """Return random directions (count, *shape) in which no element is near zero, so that none is left out."""
    return rng.choice([-1.0, 1.0], (count, *shape)) * rng.uniform(0.5, 1.5, (count, *shape))


def projected(array: np.ndarray, along: np.ndarray) -> np.ndarray:
    """Return the scalar product of an array with each of some directions, (count,)."""
    return np.sum(array * along, axis=tuple(range(1, along.ndim)))


class Slopes:
    """The slopes of ``loss(values)`` at one point; `fine` where it computes in float64."""

    def __init__(self, loss: Callable, values: Mapping[str, np.ndarray], fine: bool):
        self.loss, self.values, self.fine = loss, values, fine
        self.at_point = loss(values)

    def at(self, loss: Callable, values: Mapping[str, np.ndarray] | None = None) -> "Slopes":
        """Return the slopes of another loss, or at another point."""
        return Slopes(loss, self.values if values is None else values, self.fine)

    def step(self, name: str, h: float) -> float:
        """Return a step that is scaled to the size of a parameter."""
        return h * max(1.0, float(np.linalg.norm(self.values[name])) / np.sqrt(self.values[name].size or 1))

    def _step(self, name: str, v: np.ndarray, h: float) -> tuple[float, float, float]:
        """Return the slopes ahead and behind, and the doubt that rounding leaves."""
        h = self.step(name, h)
        ahead, behind = (self.loss({**self.values, name: self.values[name] + s * v}) for s in (h, -h))
        largest = max(abs(ahead), abs(behind), abs(self.at_point))
        return (ahead - self.at_point) / h, (self.at_point - behind) / h, ROUNDING[self.fine] * largest / h

    def quick(self, name: str, v: np.ndarray) -> Slope:
        """Return the slope from two evaluations of the loss."""
        ahead, behind, rounding = self._step(name, v, (FINE if self.fine else COARSE)[0])
        value = (ahead + behind) / 2
        return Slope(value, rounding if np.isfinite(value) else np.inf)

    def along_the_way(self, gradients: Callable, name: str, v: np.ndarray, points: int = 64) -> float:
        """Return the mean slope by gradients on the way that `quick` goes: the same for right ones, kinks or not."""
        p, h = self.values[name], self.step(name, (FINE if self.fine else COARSE)[0])
        ways = (np.arange(points) + 0.5) / points * 2 - 1
        return float(np.mean([np.sum(gradients({**self.values, name: p + t * h * v})[name] * v) for t in ways]))

    def careful(self, name: str, v: np.ndarray) -> Slope:
        """Return the slope from the best of several steps, each with its half and one step of Richardson's."""
        best = Slope(np.nan, np.inf)
        for h in FINE if self.fine else COARSE:
            (ahead, behind, rounding), (ahead2, behind2, _) = self._step(name, v, h), self._step(name, v, h / 2)
            whole, half = (ahead + behind) / 2, (ahead2 + behind2) / 2
            value = (4 * half - whole) / 3 if self.fine else half
            doubt = 2 * rounding + abs(half - whole)
            gap, gap2 = abs(ahead - behind), abs(ahead2 - behind2)
            if np.isfinite(doubt) and doubt < best.doubt:  # of a smooth loss the gap halves with the step
                best = Slope(value, doubt, gap2 if gap2 > 0.8 * gap and gap2 > 10 * doubt else 0.0)
            if best.doubt < 1e-7 * abs(best.value) or abs(half - whole) < 4 * rounding:
                break  # precise, or as precise as rounding allows
        return best


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
