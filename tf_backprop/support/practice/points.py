"""The points at which an exercise is checked. No size occurs twice and nothing is zero, so that mistakes differ."""

from collections.abc import Mapping
from typing import NamedTuple

from tf_backprop.support.language import Message, say
from tf_backprop.support.practice.making import FUNCTIONS, GRADIENTS

import numpy as np


class Point(NamedTuple):
    """A point at which a function is compared."""

    parameters: Mapping[str, np.ndarray] | np.ndarray
    batch: tuple
    note: Message | None = None
    function: str = "gradients_by_hand"

    def arguments(self, tf) -> list:
        """Return what the function is called with, made anew, because it may change it."""

        def tensors(part):
            if isinstance(part, Mapping):
                return {name: tf.constant(value) for name, value in part.items()}
            return tf.constant(part) if isinstance(part, np.ndarray) else part

        return [tensors(part) for part in (self.parameters, *self.batch)]


def points_of(number: str) -> list[Point]:
    """Return the points at which the exercise of a lesson is checked."""
    found = []
    for seed in (0, 1):
        rng = np.random.default_rng(seed)
        found += _points(number, rng)
    return sorted(found, key=lambda point: FUNCTIONS.get(number, GRADIENTS).index(point.function))


def _points(number: str, rng: np.random.Generator) -> list[Point]:
    def away_from_zero(*shape: int) -> np.ndarray:
        return rng.uniform(0.3, 1.5, shape) * rng.choice([-1, 1], shape)

    if number in ("01", "02"):
        y = rng.uniform(1, 3, 7) if number == "01" else np.array([1.0, 0, 1, 1, 0, 1, 0])
        return [Point(rng.uniform(0.3, 1.5, ()), (away_from_zero(7), y))]
    if number == "03":
        names = ("sigmoid", "tanh", "leaky ReLU", "ReLU")
        return [Point({name: away_from_zero(7) for name in names}, (0.15,))]
    if number == "05":
        return [Point({"points": away_from_zero(7, 2)}, ())]
    if number == "06":
        y = rng.uniform(1, 3, 7)
        o = {"squared": y + away_from_zero(7), "asymmetric": y + away_from_zero(7)}
        return [Point(o | {"cross-entropy": away_from_zero(7, 3)}, (y, np.eye(3)[rng.integers(3, size=7)], 2.5))]
    if number == "07":
        parameters = {"w1": away_from_zero(2, 3), "w2": away_from_zero(3, 1)}
        found = [Point(parameters, (away_from_zero(7, 2), away_from_zero(7, 1)))]
        for t, size in ((4.0, 1.0), (1.0, 1.0), (20_000.0, 1e-7)):
            w, m, dL_dw = away_from_zero(2, 3), size * away_from_zero(2, 3), size * away_from_zero(2, 3)
            batch = (m, size**2 * away_from_zero(2, 3) ** 2, dL_dw, *map(np.array, (t, 0.15, 0.7)))
            note = say("at t = {t:g}", t=t) if size == 1 else say("at t = {t:g}, with dL_dw as small as ε", t=t)
            found += [Point(w, batch, note if name == "adam" else None, name) for name in FUNCTIONS["07"][1:]]
        return found
    if number in ("08", "11"):
        parameters = {"W": away_from_zero(6, 10), "b": away_from_zero(10)}
        return [Point(parameters, (away_from_zero(7, 6), rng.permutation(10)[:7]))]
    units = [3, 4, 5, 6, 2]
    parameters = {f"W{i}": 0.7 * away_from_zero(*units[i - 1 : i + 1]) for i in (1, 2, 3, 4)}
    parameters |= {f"b{i}": away_from_zero(units[i]) for i in (1, 2, 3, 4)}
    X, Y = away_from_zero(7, 3), np.eye(2)[[0, 1, 1, 0, 1, 0, 0]]
    of_relu = Point(parameters, (X, Y, "relu"), say('with activation="relu"'))
    return [Point(parameters, (X, Y, "sigmoid")), of_relu]
