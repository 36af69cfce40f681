"""
Descent on Himmelblau's function
================================

Where does gradient descent end, from each start?

At a point p = (x, y), with u = x² + y - 11 and v = x + y² - 7::

    f     = u² + v²                          zero at four points, negative nowhere
    df/dx = 4 x u + 2 v
    df/dy = 2 u + 4 y v
    p <- p - learning_rate (df/dx, df/dy)

What you should see: each of the documented starts ends in a minimum of its own. For the last panel
every point of the square descends, and its colour is the minimum that it reaches. The borders are
curved, and the minimum that a point reaches need not be the nearest one.

Try

- ``--learning-rate 0.02``: one start is thrown into another valley, and one never settles.
- ``--start 20 20``: the sides are so steep there that every step overshoots, and the run diverges.

Re-runs the search for a minimum in D5, "七、反向传播算法", a Chinese web tutorial.
"""

from pathlib import Path
from typing import NamedTuple

from tf_backprop import check_gradients, command, plotting, report

import numpy as np
import tensorflow as tf
from matplotlib.colors import ListedColormap, LogNorm, PowerNorm

# %%
# Prepare
# -------
# The minima are where u = v = 0. From u = 0 follows y = 11 - x², and v = 0 becomes an equation in x
# alone: x + (11 - x²)² - 7 = x⁴ - 22 x² + x + 114 = 0.
STARTS = [(4.0, 0.0), (1.0, 0.0), (-4.0, 0.0), (-2.0, 2.0)]
ROOTS = np.sort(np.roots([1, 0, -22, 1, 114]).real)
MINIMA = np.stack([ROOTS, 11 - ROOTS**2], axis=1)  # (4, 2)
MINIMA = MINIMA[[3, 2, 0, 1]]  # in the order in which the starts reach them
NEAR = 0.01  # a point that is nearer than this to a minimum has reached it

SIDE = np.linspace(-6, 6, 121, dtype=np.float32)  # x, and y, of the points of a square
SQUARE = np.stack(np.meshgrid(SIDE, SIDE), axis=-1)  # (121, 121, 2)


def all_points(starts):
    """Return all points that descend: first the starts, and then every point of the square."""
    points = np.concatenate([np.float32(starts), SQUARE.reshape(-1, 2)])
    return {"points": tf.constant(points)}  # (n, 2)


# %%
# Forward
# -------
def f(points):
    x = points[..., 0]  # (n, 2) -> (n,)
    y = points[..., 1]
    return (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2


def loss(parameters):
    """L = the sum of f over all points: no point has a part in another point's derivative."""
    return tf.reduce_sum(f(parameters["points"]))


# %%
# Backward
# --------
# x reaches f in two ways, through u and through v, and so does y. Along each way the derivatives
# are multiplied: 2u, the derivative of u², times that of u by x. Then the two ways are added.
def gradients_by_hand(parameters):
    x = parameters["points"][..., 0]
    y = parameters["points"][..., 1]
    u = x**2 + y - 11
    v = x + y**2 - 7

    df_dx = 4 * x * u + 2 * v  # x is in u with the slope 2x, and in v with the slope 1
    df_dy = 2 * u + 4 * y * v  # y is in u with the slope 1, and in v with the slope 2y

    return {"points": tf.stack([df_dx, df_dy], axis=-1)}  # (n,), (n,) -> (n, 2)


def gradients_by_tape(parameters):
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        L = loss(parameters)
    return tape.gradient(L, parameters)


# %%
# Iterate
# -------
# All points descend as one batch: a step of the whole square takes hardly longer than that of one
# point.
def descend(parameters, steps, learning_rate, kept):
    """Return the first points' paths (steps + 1, kept, 2), and where all points end (n, 2)."""
    points = parameters["points"]
    paths = [points[:kept]]
    for _ in range(steps):
        gradients = gradients_by_hand({"points": points})
        points = points - learning_rate * gradients["points"]
        paths.append(points[:kept])
    return tf.stack(paths), points


def reached(points):
    """Return for each point (n, 2) the index of the minimum that it has reached, or -1."""
    distance = np.linalg.norm(
        points[:, np.newaxis] - MINIMA, axis=-1
    )  # (n, 1, 2) - (4, 2) -> (n, 4)
    return np.where(distance.min(axis=1) < NEAR, distance.argmin(axis=1), -1)


# %%
# Plot and main
# -------------
# The minima as D5 prints them, in the order of MINIMA.
PUBLISHED = [(3.584, -1.848), (3.0, 2.0), (-3.779, -3.283), (-2.805, 3.131)]


class Himmelblau(NamedTuple):
    paths: dict[tuple[float, float], np.ndarray]  # start -> (steps + 1, 2): it, and after each step
    values: dict[tuple[float, float], np.ndarray]  # start -> (steps + 1,): f at those points
    minima: np.ndarray  # (4, 2)
    basins: np.ndarray  # (121, 121): by y and x of the square, the minimum reached, or -1 for none
    comparison: list[report.Row]  # the last row is the lesson's answer
    figure: Path


def nearest(points):
    """Return for each point (n, 2) the index of the nearest minimum."""
    return np.linalg.norm(points[:, np.newaxis] - MINIMA, axis=-1).argmin(axis=1)


def plot_surface(z, ax):
    x, y = np.meshgrid(SIDE, SIDE)
    shades = PowerNorm(0.3)  # most colours near the bottom, where the valleys are
    ax.plot_surface(x, y, z, cmap="viridis", norm=shades, linewidth=0, rcount=120, ccount=120)
    ax.view_init(60, -30)
    ticks = [-5, 0, 5]
    ax.set(xlabel="x", ylabel="y", xticks=ticks, yticks=ticks, zticks=[0, 1000, 2000])
    ax.set_title("f has four valleys,\nall of them down to 0")


def plot_paths(z, paths, ax):
    levels = np.geomspace(z.max() * 1e-4, z.max(), 16)
    shades = {"norm": LogNorm(), "cmap": "Greys_r", "linewidths": 0.7}
    ax.contour(SIDE, SIDE, np.maximum(z, levels[0]), levels, **shades)
    for (x, y), path, colour in zip(paths, paths.values(), plotting.COLOURS, strict=False):
        ax.plot(*path.T, ".-", color=colour, markersize=4, linewidth=1.5)
        ax.plot(x, y, "o", color=colour, markeredgecolor="black")
        label = {"color": colour, "weight": "bold", "ha": "center", "va": "center"}
        beside = np.where(path[-1] <= path[0], [12, 11], [-12, -11])  # where the path does not go
        ax.annotate(f"({x:g}, {y:g})", (x, y), beside, textcoords="offset points", **label)
    ax.plot(*MINIMA.T, "*", color="black", markersize=11)

    ends = {reached(path[-1:])[0] for path in paths.values()}
    each = len(ends) == len(paths) and -1 not in ends
    ax.set_title(f"{'Each' if each else 'Not every'} start reaches\na minimum (★) of its own")


def plot_basins(basins, ax):
    colours = ListedColormap(["#999999", *plotting.COLOURS[: len(MINIMA)]])  # grey: none is reached
    extent = (SIDE[0], SIDE[-1], SIDE[0], SIDE[-1])
    shades = {"cmap": colours, "vmin": -1, "vmax": len(MINIMA) - 1, "alpha": 0.75}
    ax.imshow(basins, origin="lower", extent=extent, **shades)
    ax.plot(*MINIMA.T, "*", color="black", markersize=11)

    elsewhere = np.mean(basins.ravel() != nearest(SQUARE.reshape(-1, 2)))
    ax.set_title(f"{elsewhere:.0%} of the points do not\nreach the nearest minimum")


def plot(paths, basins):
    kinds = {"a": {"projection": "3d"}, "b": {}, "c": {}}
    figure, axes = plotting.mosaic("abc", size=(9.6, 3.9), per_subplot_kw=kinds)
    z = f(SQUARE)
    plot_surface(z, axes["a"])
    plot_paths(z, paths, axes["b"])
    plot_basins(basins, axes["c"])
    for ax in (axes["b"], axes["c"]):
        ax.grid(False)
        ax.set(xlabel="x", ylabel="y", aspect="equal", xlim=SIDE[[0, -1]], ylim=SIDE[[0, -1]])
    return figure


def print_steps(paths, values):
    """Print x, y and f after some of the steps.

    They belong to the same point. D5 prints the point after a step beside f before that step.
    """
    last = len(next(iter(values.values()))) - 1
    rows = []
    shown = np.array([0, 0.05, 0.1, 0.2, 0.5, 1]) * last  # most of them early, where f falls
    for step in np.unique(shown.round().astype(int)):
        row = [str(step)]
        for path, value in zip(paths.values(), values.values(), strict=True):
            x, y = path[step]
            row.append(f"{x:6.3f} {y:6.3f} {value[step]:7.1e}")
        rows.append(row)
    starts = [f"x, y, f from ({x:g}, {y:g})" for x, y in paths]
    print(report.table(["step", *starts], rows, as_is=True))


def compare(paths, values):
    """Return rows: where each path ends, the exact minimum, and that minimum as D5 prints it."""
    rows = []
    for (x, y), path in paths.items():
        index = nearest(path[-1:])[0]
        for axis, name in enumerate("xy"):
            numbers = float(path[-1, axis]), float(MINIMA[index, axis]), PUBLISHED[index][axis]
            rows.append(report.Row(f"{name} from ({x:g}, {y:g})", *numbers))
    highest = max(float(value[-1]) for value in values.values())
    return [*rows, report.Row("f at the end, at most", highest, 0.0)]


def main(
    steps: int = 200,
    learning_rate: float = 0.01,
    start: tuple[float, float] | None = None,
    seed: int = 0,
    figures: Path = plotting.FIGURES,
    show: bool = False,
) -> Himmelblau:
    """Descend from the documented starts, or from one of your own, and from each point of a square.

    Args:
        steps: steps from each start
        learning_rate: how far a point moves along the negative gradient
        start: x and y of one start instead of the documented ones
        seed: of the points at which the gradient is checked
    """
    command.check(seed, steps=steps, learning_rate=learning_rate)
    starts = STARTS if start is None else [start]
    for x, y in starts:
        command.check_between(-1000, 1000, start=x)
        command.check_between(-1000, 1000, start=y)

    some = {"points": np.random.default_rng(seed).uniform(-6, 6, size=(5, 2))}
    print(check_gradients(loss, gradients_by_hand, some).raise_if_wrong())

    paths, ends = descend(all_points(starts), steps, learning_rate, len(starts))
    basins = reached(ends[len(starts) :].numpy()).reshape(SQUARE.shape[:2])
    values = {start: f(paths)[:, i].numpy() for i, start in enumerate(starts)}
    paths = {start: paths[:, i].numpy() for i, start in enumerate(starts)}

    finite = {start: path[: report.finite_steps(values[start])] for start, path in paths.items()}
    drawn = plot(finite, basins)
    if any(len(path) <= steps for path in finite.values()):
        plotting.save(drawn, figures, "05_himmelblau", show)
        for value in values.values():
            report.require_finite(value[1:])  # the first value is the start's

    print_steps(paths, values)
    comparison = compare(paths, values)
    report.print_comparison(comparison)
    figure = plotting.save(drawn, figures, "05_himmelblau", show)
    return Himmelblau(paths, values, MINIMA, basins, comparison, figure)


# %%
# Run
# ---

if __name__ == "__main__":
    result = command.run(main)
