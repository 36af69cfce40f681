"""
Four valleys
============

Where does gradient descent end, from each start?

Himmelblau's function and its gradient, at every point p = (x, y) of a batch p (n, 2)::

    f     = u² + v²        with u = x² + y - 11 and v = x + y² - 7
    df/dx = 4 x u + 2 v
    df/dy = 2 u + 4 y v

What you should see: f has four minima, all zero. Each of the four starts ends in one of them, and the start alone
decides in which. Coloured by where descent ends, the plane falls into four basins, with ragged edges far out, where the
first steps are so long that they jump across the valleys.

Try

- ``--learning-rate 0.02``: two of the valleys are too steep for such steps; their minima lose their basins.
- ``--start 12 12``: so steep out there that each step lands farther away than it began; the run diverges and stops.

Re-runs a section of D5, "七、反向传播算法".
"""

from pathlib import Path
from typing import NamedTuple

from tf_backprop import cli, plotting, report
from tf_backprop.errors import UsageError

import numpy as np
import tensorflow as tf

# %%
# Prepare
# -------
# The document's four starts, and the minimum that it gives for each.

PUBLISHED = {
    (4.0, 0.0): (3.584428, -1.848126),
    (1.0, 0.0): (3.0, 2.0),
    (-4.0, 0.0): (-3.779310, -3.283186),
    (-2.0, 2.0): (-2.805118, 3.131313),
}
AXIS = np.linspace(-6, 6, 121, dtype=np.float32)  # the document's surface, in steps of a tenth
GRID = np.stack(np.meshgrid(AXIS, AXIS), axis=-1)  # (121, 121, 2)
ARRIVED = 0.01  # a point this near to a minimum has reached it


class Himmelblau(NamedTuple):
    paths: dict[tuple[float, float], np.ndarray]  # start -> (steps + 1, 2) the point before the first and after each step
    values: dict[tuple[float, float], np.ndarray]  # start -> (steps + 1,) f at these points
    minima: np.ndarray  # (4, 2) the exact ones, from right to left
    basins: np.ndarray  # (121, 121) index of the minimum that descent reaches from each point of the grid, or -1
    comparison: list[report.Row]  # the last row is the lesson's answer
    figure: Path


def exact_minima():
    """Solve u = v = 0: y = 11 - x² from the first, put into the second, leaves x⁴ - 22 x² + x + 114 = 0."""
    x = np.sort(np.roots([1, 0, -22, 1, 114]).real)[::-1]
    return np.stack([x, 11 - x**2], axis=-1)


# %%
# Forward
# -------


def f(p):
    x, y = tf.unstack(p, axis=-1)
    return (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2


def loss(parameters):
    """The sum over the points: no point is in another's term, so that its gradient holds the slope at each of them."""
    return tf.reduce_sum(f(parameters["p"]))


# %%
# Backward
# --------


def gradients_by_hand(parameters):
    x, y = tf.unstack(parameters["p"], axis=-1)
    u, v = x**2 + y - 11, x + y**2 - 7
    return {"p": tf.stack([4 * x * u + 2 * v, 2 * u + 4 * y * v], axis=-1)}  # (n, 2)


def gradients_by_tape(parameters):
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        L = loss(parameters)
    return tape.gradient(L, parameters)


# %%
# Iterate
# -------
# The starts and all points of the grid descend as one batch.


@tf.function(jit_compile=True)
def descend(p, watched, steps, learning_rate):
    """Return the paths of the first `watched` points (steps + 1, watched, 2), and where all of p (n, 2) end."""
    paths = tf.TensorArray(tf.float32, steps + 1).write(0, p[:watched])
    for step in tf.range(steps):
        p -= learning_rate * gradients_by_hand({"p": p})["p"]
        paths = paths.write(step + 1, p[:watched])
    return paths.stack(), p


def nearest(p, minima):
    """Return the index of the minimum nearest to each of p (..., 2), and how far it is; infinitely far from NaN."""
    distances = np.linalg.norm(p[..., np.newaxis, :] - minima, axis=-1)  # (..., 4)
    distances = np.nan_to_num(distances, nan=np.inf)
    return distances.argmin(axis=-1), distances.min(axis=-1)


# %%
# Plot
# ----


def plot(paths, minima, basins):
    figure, (left, middle, right) = plotting.subplots(1, 3, size=(15, 5))
    return figure


# %%
# Main
# ----


def main(
    steps: int = 200,
    learning_rate: float = 0.01,
    start: tuple[float, float] | None = None,
    seed: int = 0,
    figures: Path = plotting.FIGURES,
    show: bool = False,
) -> Himmelblau:
    """Descend on Himmelblau's function from four starts, and from every point of a grid.

    Args:
        steps: of every descent
        learning_rate: how far a point moves along the negative gradient
        start: x and y of a start of your own, in place of the four
        seed: of the points at which the gradient is checked
    """
    cli.check(seed, steps=steps, learning_rate=learning_rate)
    if start is not None and not np.all(np.isfinite(start)):
        raise UsageError(f"--start must be two numbers, not {start}")
    starts = list(PUBLISHED) if start is None else [tuple(map(float, start))]
    points = np.random.default_rng(seed).uniform(-6, 6, (5, 2))
    report.print_gradient_check(loss, gradients_by_hand, gradients_by_tape, {"p": points}, (), seed)
    minima = exact_minima()

    everywhere = np.concatenate([np.float32(starts), GRID.reshape(-1, 2)])
    tracks, ends = (points.numpy() for points in descend(everywhere, len(starts), steps, np.float32(learning_rate)))
    heights = f(tracks).numpy()  # (steps + 1, starts)
    paths = {start: tracks[:, i] for i, start in enumerate(starts)}
    values = {start: heights[:, i] for i, start in enumerate(starts)}
    index, distance = nearest(ends, minima)
    basins = np.where(distance < ARRIVED, index, -1)[len(starts) :].reshape(GRID.shape[:2])

    figure = plotting.save(plot(paths, minima, basins), figures, "05_himmelblau", show)
    report.require_finite(heights.sum(axis=1)[1:])

    marks = np.unique(np.linspace(0, steps, 6).astype(int))
    rows = [[f"f from ({x:g}, {y:g})", *(float(f"{value:.3g}") for value in values[x, y][marks])] for x, y in starts]
    print(report.table(["step", *marks], rows))
    print(f"{np.mean(basins >= 0):.1%} of the grid's {basins.size:,} points reach a minimum")
    comparison = [
        report.Row(f"{name} from ({x:g}, {y:g})", *map(float, (ends[i, axis], minima[index[i], axis])), published)
        for i, (x, y) in enumerate(starts)
        for axis, (name, published) in enumerate(zip("xy", PUBLISHED.get((x, y), (None, None)), strict=True))
    ]
    comparison.append(report.Row("largest distance to a minimum", float(distance[: len(starts)].max()), 0.0))
    report.print_comparison(comparison)
    return Himmelblau(paths, values, minima, basins, comparison, figure)


# %%
# Run
# ---

if __name__ == "__main__":
    cli.run(main)
