"""
Descent on Himmelblau's function
================================

Where does gradient descent end, from each start?

At a point p = (x, y), with u = x² + y - 11 and v = x + y² - 7::

    f     = u² + v²                          zero at four points, negative nowhere
    df/dx = 4 x u + 2 v
    df/dy = 2 u + 4 y v
    p <- p - learning_rate (df/dx, df/dy)

What you should see: each of the documented starts ends in another minimum. In the last panel every point of the square
descends, and its colour is the minimum that it reaches: the borders are curved, and it need not be the nearest one.

Try

- ``--learning-rate 0.02``: steps twice as long; one start is thrown into another valley, and one never settles.
- ``--start 20 20``: the sides are so steep out there that every step overshoots; the run flies off, and stops.

Re-runs a section of D5, "七、反向传播算法".
"""

from pathlib import Path
from typing import NamedTuple

from tf_backprop import command, gradient_check, plotting, report

import numpy as np
import tensorflow as tf
from matplotlib.colors import ListedColormap, LogNorm, PowerNorm

# %%
# Prepare
# -------
# The minima are where u = v = 0. With y = 11 - x² from the first, the second is a polynomial in x alone.
STARTS = [(4.0, 0.0), (1.0, 0.0), (-4.0, 0.0), (-2.0, 2.0)]
SIDE = np.linspace(-6, 6, 121, dtype=np.float32)
ROOTS = np.sort(np.roots([1, 0, -22, 1, 114]).real)  # of x + (11 - x²)² - 7 = x⁴ - 22 x² + x + 114
MINIMA = np.stack([ROOTS, 11 - ROOTS**2], axis=1)[
    [3, 2, 0, 1]
]  # in the order in which the starts reach them
NEAR = 0.01  # how near to a minimum counts as there


class Himmelblau(NamedTuple):
    paths: dict[
        tuple[float, float], np.ndarray
    ]  # start -> (steps + 1, 2): the start, and the point after each step
    values: dict[tuple[float, float], np.ndarray]  # start -> (steps + 1,): f at those points
    minima: np.ndarray  # (4, 2)
    basins: (
        np.ndarray
    )  # (121, 121): by y and x of the square, the index of the minimum reached, -1 for none
    comparison: list[report.Row]  # the last row is the lesson's answer
    figure: Path


# %%
# Forward
# -------
def f(points):
    x, y = points[..., 0], points[..., 1]  # (n, 2) -> (n,), (n,)
    return (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2


def loss(parameters):
    """L = the sum of f over all points: what one point adds has no part in another's derivative."""
    return tf.reduce_sum(f(parameters["points"]))


# %%
# Backward
# --------
def gradients_by_hand(parameters):
    x, y = parameters["points"][..., 0], parameters["points"][..., 1]
    u, v = x**2 + y - 11, x + y**2 - 7
    df_dx = 4 * x * u + 2 * v
    df_dy = 2 * u + 4 * y * v
    return {"points": tf.stack([df_dx, df_dy], axis=-1)}  # (n,), (n,) -> (n, 2)


def gradients_by_tape(parameters):
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        L = loss(parameters)
    return tape.gradient(L, parameters)


# %%
# Iterate
# -------
# All points descend as one batch: a step costs hardly more for the whole square than for one point.
def descend(points, steps, learning_rate, kept):
    """Take `steps` steps; return the paths (steps + 1, kept, 2) of the first points, and where all end, (n, 2)."""
    paths = [points[:kept]]
    for _ in range(steps):
        points = points - learning_rate * gradients_by_hand({"points": points})["points"]
        paths.append(points[:kept])
    return tf.stack(paths), points


def reached(points):
    """Return for each point (n, 2) the index of the minimum that is near, or -1."""
    distance = np.linalg.norm(
        points[:, np.newaxis] - MINIMA, axis=-1
    )  # (n, 1, 2) - (4, 2) -> (n, 4)
    return np.where(distance.min(axis=1) < NEAR, distance.argmin(axis=1), -1)


# %%
# Plot and main
# -------------
def plot_surface(z, ax):
    shades = PowerNorm(0.3)  # most colours near the bottom, where the valleys are
    ax.plot_surface(
        *np.meshgrid(SIDE, SIDE),
        z,
        cmap="viridis",
        norm=shades,
        linewidth=0,
        rcount=120,
        ccount=120,
    )
    ax.view_init(60, -30)
    ax.set(xlabel="x", ylabel="y", zlabel="f", title="f over the square")
    ax.locator_params(axis="z", nbins=3)


def plot_paths(z, paths, ax):
    levels = np.geomspace(z.max() * 1e-4, z.max(), 16)
    ax.contour(
        SIDE, SIDE, np.maximum(z, levels[0]), levels, norm=LogNorm(), cmap="Greys_r", linewidths=0.7
    )
    for ((x, y), path), colour in zip(paths.items(), plotting.COLOURS, strict=False):
        ax.plot(*path.T, ".-", color=colour, markersize=4, linewidth=1.5)
        ax.plot(*path[0], "o", color=colour, markeredgecolor="black", label=f"from ({x:g}, {y:g})")
    ax.plot(*MINIMA.T, "*", color="black", markersize=11, linestyle="none", label="minimum")
    ax.set(xlabel="x", ylabel="y", aspect="equal", xlim=SIDE[[0, -1]], ylim=SIDE[[0, -1]])
    ax.set_title("down across its level lines")
    ax.grid(False)
    ax.legend(
        loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=5, frameon=False, handletextpad=0.1
    )


def plot_basins(basins, ax):
    colours = ListedColormap(["#999999", *plotting.COLOURS[: len(MINIMA)]])  # grey: near none
    extent = (SIDE[0], SIDE[-1], SIDE[0], SIDE[-1])
    ax.imshow(
        basins,
        origin="lower",
        extent=extent,
        cmap=colours,
        vmin=-1,
        vmax=len(MINIMA) - 1,
        alpha=0.75,
    )
    ax.plot(*MINIMA.T, "*", color="black", markersize=11)
    ax.grid(False)
    ax.set(xlabel="x", ylabel="y", title="the minimum that each start reaches")


def plot(paths, basins):
    kinds = {"a": {"projection": "3d"}, "b": {}, "c": {}}
    figure, axes = plotting.mosaic("abc", size=(15, 5.6), per_subplot_kw=kinds)
    z = f(np.stack(np.meshgrid(SIDE, SIDE), axis=-1))  # (121, 121)
    plot_surface(z, axes["a"])
    plot_paths(z, paths, axes["b"])
    plot_basins(basins, axes["c"])
    return figure


def main(
    steps: int = 200,
    learning_rate: float = 0.01,
    start: tuple[float, float] | None = None,
    seed: int = 0,
    figures: Path = plotting.FIGURES,
    show: bool = False,
) -> Himmelblau:
    """Descend from the documented starts, or from one of your own, and from every point of the square.

    Args:
        steps: steps from each start
        learning_rate: how far a point moves along the negative gradient
        start: x and y of one start instead of the documented ones
        seed: of the points at which the gradient is checked
    """
    command.check(seed, steps=steps, learning_rate=learning_rate)
    starts = STARTS if start is None else [start]
    for start in starts:
        command.check_between(-1000, 1000, start=start[0])
        command.check_between(-1000, 1000, start=start[1])
    some = np.random.default_rng(seed).uniform(-6, 6, size=(5, 2))
    gradient_check.check_gradients(
        loss, gradients_by_hand, gradients_by_tape, {"points": some}, (), seed
    )

    square = np.stack(np.meshgrid(SIDE, SIDE), axis=-1).reshape(-1, 2)
    points = np.concatenate([np.float32(starts), square])
    paths, ends = descend(points, steps, learning_rate, len(starts))
    basins = reached(ends[len(starts) :].numpy()).reshape(len(SIDE), len(SIDE))
    values = {start: f(paths)[:, i].numpy() for i, start in enumerate(starts)}
    paths = {start: paths[:, i].numpy() for i, start in enumerate(starts)}

    finite = {start: path[: report.finite_steps(values[start])] for start, path in paths.items()}
    figure = plotting.save(plot(finite, basins), figures, "05_himmelblau", show)
    for value in values.values():
        report.require_finite(value[1:])  # after the start
    rows = [
        [step, *(f"{value[step]:.3g}" for value in values.values())]
        for step in range(0, steps + 1, max(1, steps // 5))
    ]
    print(report.table(["f at step", *(f"({x:g}, {y:g})" for x, y in starts)], rows))
    comparison = []
    for start, path in paths.items():
        nearest = MINIMA[np.linalg.norm(path[-1] - MINIMA, axis=1).argmin()]
        for axis, learned, exact in zip("xy", path[-1], nearest, strict=True):
            comparison.append(
                report.Row(
                    f"{axis} from ({start[0]:g}, {start[1]:g})", float(learned), float(exact)
                )
            )
    comparison.append(
        report.Row("f at the end, at most", max(float(value[-1]) for value in values.values()), 0.0)
    )
    report.print_comparison(comparison)
    return Himmelblau(paths, values, MINIMA, basins, comparison, figure)


# %%
# Run
# ---

if __name__ == "__main__":
    command.run(main)
