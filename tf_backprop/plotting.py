"""One function a kind of figure: it takes arrays, draws into `ax` (a new figure's without it), returns the figure."""

import io
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, ListedColormap, LogNorm, PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from PIL import Image

_ROOT = Path(__file__).resolve().parent.parent

#: Where figures go unless a lesson is told otherwise: the repository's own folder, or one below the working directory.
FIGURES = (_ROOT if (_ROOT / "scripts").is_dir() else Path()) / "figures"

#: The eight colours of Okabe and Ito, which people with any kind of colour vision tell apart; black last.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#000000"]

_STYLE = {
    "axes.grid": True,
    "axes.prop_cycle": plt.cycler(color=COLOURS),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": "medium",
    "figure.constrained_layout.use": True,
    "grid.alpha": 0.3,
    "image.cmap": "viridis",
    "legend.fontsize": "small",
    "legend.framealpha": 0.9,
    "savefig.dpi": 120,
}


def subplots(rows: int = 1, columns: int = 1, size: tuple[float, float] = (8, 4), **options):
    """Return a new figure of `size` in inches and its axes, in the style of the house (see `pyplot.subplots`)."""
    plt.rcParams.update(_STYLE)
    return plt.subplots(rows, columns, figsize=size, **options)


def mosaic(layout: str, size: tuple[float, float] = (8, 4), **options):
    """Return a new figure of `size` in inches and its axes by letter, in the style of the house."""
    plt.rcParams.update(_STYLE)
    return plt.subplot_mosaic(layout, figsize=size, **options)


def save(figure: Figure, folder: Path | str, stem: str, show: bool = False) -> Path:
    """Write ``folder/stem.png`` whole or not at all, print where, and return its path; `show` opens a window too.

    Raises
    ------
    OSError
        When the folder cannot be made or written; what was there before stays.
    """
    path = Path(folder) / f"{stem}.png"
    write_atomically(path, lambda file: figure.savefig(file, format="png", metadata={"Software": None}))
    if show:
        plt.show()
    print(f"figure: {os.path.relpath(path) if path.is_relative_to(Path.cwd()) else path}")
    return path


def write_atomically(path: Path, write) -> None:
    """Call `write` with a binary file beside `path` and put it in the place of `path` when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(handle, "wb") as file:
            write(file)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)  # mkstemp's own 0o600 would hide the figure from a web server
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def trajectory(
    learned: np.ndarray,
    optimum: float,
    published: Mapping[int, float] | None = None,
    name: str = "A",
    ax: Axes | None = None,
) -> Figure:
    """Draw a parameter after each step (steps,), its exact optimum as a line, and the published values as points."""
    ax = ax or subplots()[1]
    ax.plot(np.arange(1, len(learned) + 1), learned, label=f"{name} learned here")
    ax.axhline(optimum, color=COLOURS[2], linestyle="--", label=f"exact optimum {optimum:.4g}")
    if published:
        ax.plot(list(published), list(published.values()), "o", color=COLOURS[1], label="published")
    ax.set(xlabel="step", ylabel=name)
    ax.legend()
    return ax.figure


def curves(
    x: np.ndarray | None,
    ys: Mapping[str, np.ndarray],
    xlabel: str,
    ylabel: str,
    log: bool = False,
    published: Mapping[float, float] | None = None,
    dots: Mapping[str, float] | None = None,
    best: float | None = None,
    title: str = "",
    ax: Axes | None = None,
    **style,
) -> Figure:
    """Draw one line a name over `x` (n,), or over 1, 2, 3 ... where it is None, and points for published values.

    `dots` has, for some names, an x at which to mark the line; `best`, the best possible y, is a line across.
    """
    ax = ax or subplots()[1]
    for name, y in ys.items():
        ax.plot(np.arange(1, len(y) + 1) if x is None else x, y, label=name, **style)
    if published:
        ax.plot(list(published), list(published.values()), "o", color="black", label="published")
    for name, at in (dots or {}).items():
        ax.plot(at, np.interp(at, x, ys[name]), "o", color="black")
    ax.set(xlabel=xlabel, ylabel=ylabel, yscale="log" if log else "linear", title=title)
    if best is not None:
        ax.axhline(best, color="black", linestyle="dotted", label="best possible")
    if published or best is not None or len(ys) > 1:
        ax.legend()
    return ax.figure


def convergence(
    losses: Mapping[str, np.ndarray],
    floor: float,
    published: Mapping[int, float] | None = None,
    title: str = "",
    ax: Axes | None = None,
) -> Figure:
    """Draw losses (steps,) by name, both axes logarithmic, and the lowest loss that there can be as a line."""
    ax = ax or subplots()[1]
    ax.axhline(floor, color="black", linestyle="--", label=f"floor {floor:.4g}", zorder=1)
    curves(None, losses, "updates", "loss", log=True, published=published, title=title, ax=ax)
    ax.set_xscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_formatter(NullFormatter())
    return ax.figure


def jump(
    x: np.ndarray, y: np.ndarray, index: int, said: Mapping[str, float], name: str = "", ax: Axes | None = None
) -> Figure:
    """Draw y (n,) with a gap at x[index], an open circle at either side of it, and marks for what is said of y there.

    `said` has at most three names with a value each.
    """
    ax = ax or subplots()[1]
    (line,) = ax.plot(x, np.where(np.arange(len(x)) == index, np.nan, y), label=name)
    sides = {"color": "white", "markeredgecolor": line.get_color(), "markersize": 13}
    ax.plot(x[[index, index]], y[[index - 1, index + 1]], "o", **sides)
    marks = (("o", line.get_color(), 8), ("X", COLOURS[2], 9), ("D", "black", 5))
    for (name, value), (marker, colour, size) in zip(said.items(), marks, strict=False):
        ax.plot(x[index], value, marker, color=colour, markersize=size, label=name)
    return ax.figure


def densities(x: np.ndarray, y: np.ndarray, ax: Axes | None = None) -> Figure:
    """Draw a normal curve with the mean and spread of each class of x (n,), labels y (n,), and a tick a sample."""
    ax = ax or subplots()[1]
    grid = np.linspace(x.min() - 1, x.max() + 1, 400)
    for label, colour in zip(np.unique(y).astype(int), COLOURS, strict=False):
        members = x[y == label]
        deviation = (grid - members.mean()) / members.std()
        density = np.exp(-(deviation**2) / 2) / (members.std() * np.sqrt(2 * np.pi))
        ax.fill_between(grid, density, color=colour, alpha=0.4, label=f"density of class {label}")
        ax.plot(members, np.full(len(members), -0.03 - 0.04 * label), "|", color=colour)
    ax.set(xlabel="x", ylabel="density")
    ax.legend()
    return ax.figure


def coinciding(
    x: np.ndarray,
    ys: Mapping[tuple[str, str], np.ndarray],
    xlabel: str,
    ylabel: str,
    log: bool = False,
    title: str = "",
    ax: Axes | None = None,
) -> Figure:
    """Draw lines over log x (n,) that lie on one another, by (kind, variant), and a cross where one ends; `log` for y.

    Of up to three kinds the first is the broadest band; of the variants the last is a full line, the others dashed.
    """
    ax = ax or subplots()[1]
    kinds, variants = (list(dict.fromkeys(names)) for names in zip(*ys, strict=True))
    for (kind, variant), y in ys.items():
        colour, width = ((COLOURS[5], 10), (COLOURS[1], 4), (COLOURS[7], 1.5))[kinds.index(kind)]
        dashes = "-" if variant == variants[-1] else "--"
        ax.plot(x, y, dashes, color=colour, linewidth=width, solid_capstyle="butt", label=f"{kind}, {variant}")
        finite = np.flatnonzero(np.isfinite(y))
        if 0 < len(finite) < len(y):
            ax.plot(x[finite[-1]], y[finite[-1]], "X", color=colour, markeredgecolor="black", markersize=11)
    ax.set(xlabel=xlabel, ylabel=ylabel, title=title, xscale="log", yscale="log" if log else "linear")
    ax.legend(handlelength=3)
    return ax.figure


def graph(
    nodes: Mapping[str, tuple[float, float]],
    values: Mapping[str, float],
    gradients: Mapping[str, float],
    edges: Mapping[tuple[str, str], float],
    ax: Axes | None = None,
) -> Figure:
    """Draw a computation whose output is the last of `nodes`: name → place, with steps of about 1 between them.

    Blue, forward: the value of each node. Orange, backward: the derivative of the output by each node, which is
    multiplied along each edge (from, to) by that edge's local derivative.
    """
    ax = ax or subplots(size=(10, 5.5))[1]
    blue, orange, radius, output = COLOURS[0], COLOURS[1], 27, list(nodes)[-1]
    top = max(y for _, y in nodes.values())
    arrow = {"arrowstyle": "-|>", "linewidth": 2, "shrinkA": radius, "shrinkB": radius, "mutation_scale": 16}
    for (start, end), factor in edges.items():
        begin, way = np.array(nodes[start]), np.subtract(nodes[end], nodes[start])
        side = 0.05 * np.array([way[1], -way[0]]) / np.hypot(*way)  # to the right of the way forward
        ax.annotate("", begin + way - side, begin - side, arrowprops={**arrow, "color": blue})
        ax.annotate("", begin + side, begin + way + side, arrowprops={**arrow, "color": orange})
        turned = {"rotation": np.degrees(np.arctan2(way[1], way[0])), "rotation_mode": "anchor"}
        where, label = begin + way / 2 + 2 * side, f"× d{end}/d{start} = {factor:.4g}"
        ax.text(*where, label, color=orange, ha="center", va="top", transform_rotates_text=True, **turned)
    for name, place in nodes.items():
        ax.plot(*place, "o", markersize=2 * radius, color="white", markeredgecolor="black", zorder=3)
        text = {"textcoords": "offset points", "ha": "center", "va": "center", "zorder": 4}
        ax.annotate(name, place, (0, 8), weight="bold", size="large", **text)
        ax.annotate(f"{values[name]:.3g}", place, (0, -9), color=blue, **text)
        beside = (12, (radius + 9) * (1 if place[1] == top else -1))  # where the arrows are not
        text |= {"color": orange, "size": "large", "bbox": {"color": "white", "pad": 1}}
        ax.annotate(f"d{output}/d{name} = {gradients[name]:.4g}", place, beside, **text)
    ax.plot([], color=blue, label="forward: the value of each node")
    ax.plot([], color=orange, label=f"backward: d{output} by each node, multiplied at each edge")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, 1.05), ncols=2, frameon=False, fontsize="medium")
    ax.margins(0.1, 0.25)
    ax.set_aspect("equal")
    ax.set_axis_off()
    return ax.figure


def surface(
    x: np.ndarray,
    y: np.ndarray,
    z: np.ndarray,
    elevation: float,
    azimuth: float,
    ax: Axes | None = None,
) -> Figure:
    """Draw z (m, n) over the grid x (n,), y (m,), seen from `elevation` and `azimuth` in degrees."""
    ax = ax or subplots(subplot_kw={"projection": "3d"})[1]
    shades = PowerNorm(0.3)  # most colours near the bottom, where the valleys are
    ax.plot_surface(*np.meshgrid(x, y), z, cmap="viridis", norm=shades, linewidth=0, rcount=120, ccount=120)
    ax.view_init(elevation, azimuth)
    ax.set(xlabel="x", ylabel="y", zlabel="f")
    ax.locator_params(axis="z", nbins=3)
    return ax.figure


def contours(
    x: np.ndarray,
    y: np.ndarray,
    z: np.ndarray,
    paths: Mapping[str, np.ndarray],
    minima: np.ndarray,
    colours: Sequence[str] = COLOURS,
    title: str = "",
    ax: Axes | None = None,
) -> Figure:
    """Draw level lines of z (m, n) > 0 over x (n,), y (m,), one path (steps, 2) a name, and the minima (k, 2)."""
    ax = ax or subplots(size=(6, 6))[1]
    levels = np.geomspace(max(z.min(), z.max() * 1e-4), z.max(), 16)
    ax.contour(x, y, np.maximum(z, levels[0]), levels, norm=LogNorm(), cmap="Greys_r", linewidths=0.7)
    for (name, path), colour in zip(paths.items(), colours, strict=False):
        ax.plot(*path.T, ".-", color=colour, markersize=4, linewidth=1.5)
        ax.plot(*path[0], "o", color=colour, markeredgecolor="black", label=name)
    ax.plot(*minima.T, "*", color="black", markersize=11, linestyle="none", label="minimum")
    ax.set(xlabel="x", ylabel="y", aspect="equal", xlim=(x.min(), x.max()), ylim=(y.min(), y.max()), title=title)
    ax.grid(False)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=5, frameon=False, handletextpad=0.1)
    return ax.figure


def regions(
    x: np.ndarray,
    y: np.ndarray,
    index: np.ndarray,
    points: np.ndarray,
    title: str = "",
    ax: Axes | None = None,
) -> Figure:
    """Colour the grid x (n,), y (m,) by `index` (m, n) into `points` (k, 2), drawn as stars; -1 is grey."""
    ax = ax or subplots(size=(6, 6))[1]
    colours = ListedColormap(["#999999", *COLOURS[: len(points)]])
    extent = (x.min(), x.max(), y.min(), y.max())
    ax.imshow(index, origin="lower", extent=extent, cmap=colours, vmin=-1, vmax=len(points) - 1, alpha=0.75)
    ax.plot(*points.T, "*", color="black", markersize=11)
    ax.grid(False)
    ax.set(xlabel="x", ylabel="y", title=title)
    return ax.figure


def grid_around(points: np.ndarray, steps: int = 80) -> np.ndarray:
    """Return the nodes (steps², 2), row by row, of a grid that covers `points` (k, 2) and a margin."""
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.1 * (high - low)
    x, y = np.linspace(low - margin, high + margin, steps, dtype=points.dtype).T
    return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)


def decision_boundary(
    nodes: np.ndarray,
    probability: np.ndarray,
    points: np.ndarray,
    labels: np.ndarray,
    best: np.ndarray | None = None,
    title: str = "",
    ax: Axes | None = None,
) -> Figure:
    """Draw P(class 1) (n,) at the nodes (n, 2) of `grid_around`, its line at a half, and points (k, 2) by label (k,).

    `best` (n,), the probability that the best possible classifier gives, adds its line at a half.
    """
    ax = ax or subplots(size=(6, 5))[1]
    x, y = np.unique(nodes[:, 0]), np.unique(nodes[:, 1])
    probability = probability.reshape(len(y), len(x))
    edges = {"extent": (x[0], x[-1], y[0], y[-1]), "origin": "lower", "aspect": "auto"}
    shades = LinearSegmentedColormap.from_list("classes", [COLOURS[0], "white", COLOURS[1]])
    ax.imshow(probability, cmap=shades, vmin=0, vmax=1, alpha=0.45, interpolation="bilinear", **edges)
    for label, (marker, colour) in enumerate((("o", COLOURS[0]), ("^", COLOURS[1]))):
        ax.plot(*points[labels == label].T, marker, color=colour, markersize=3, label=f"class {label}")
    if best is not None:
        ax.contour(x, y, best.reshape(probability.shape), [0.5], colors="black", linestyles="dotted", linewidths=1.5)
        ax.plot([], color="black", linestyle="dotted", label="best possible")
    if probability.min() < 0.5 < probability.max():  # of a line that is nowhere Matplotlib 3.8 warns
        ax.contour(x, y, probability, [0.5], colors="black", linewidths=2)
    ax.plot([], color="black", linewidth=2, label="learned")
    ax.grid(False)
    ax.set(xlabel="x0", ylabel="x1", title=title)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=4, frameon=False, handlelength=1.5)
    return ax.figure


def linear_boundary(
    weights: np.ndarray,
    points: np.ndarray,
    labels: np.ndarray,
    truth: Sequence[float],
    name: str,
    ax: Axes | None = None,
) -> Figure:
    """Draw where x·weights is above a half in the unit square, data (k, 2) by label, and the share that is right.

    `weights` and `truth` are (2,), or (3,) when the last is a constant: those of `name`, and some without mistakes.
    """
    nodes = np.stack(np.meshgrid(*2 * [np.linspace(0, 1, 101)]), axis=-1).reshape(-1, 2)
    learned, right = (nodes @ w[:2] + np.sum(w[2:]) for w in (weights, np.asarray(truth)))
    title = f"{name} is right on {np.mean((learned > 0.5) == (right > 0.5)):.1%} of the square"
    return decision_boundary(nodes, learned, points, labels, right, title, ax)


def save_boundaries(
    nodes: np.ndarray,
    probabilities: Mapping[str, np.ndarray],
    points: np.ndarray,
    labels: np.ndarray,
    folder: Path | str,
    stem: str,
    most: int = 50,
) -> Path:
    """Write ``folder/stem.gif`` whole or not at all: `decision_boundary` for each title and P(class 1), or `most`."""
    figure, ax = subplots(size=(5, 4.4))
    titles, frames = list(probabilities), []
    for index in np.unique(np.linspace(0, len(titles) - 1, most).round().astype(int)):
        ax.clear()
        decision_boundary(nodes, probabilities[titles[index]], points, labels, title=titles[index], ax=ax)
        picture = io.BytesIO()
        figure.savefig(picture, format="png", dpi=80)
        frames.append(Image.open(picture).convert("RGB"))
    plt.close(figure)
    palette = frames[-1].quantize(128)  # one for all, or the points would change colour
    frames = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    milliseconds = [120] * (len(frames) - 1) + [2000]  # it rests on the last one before it starts again
    path = Path(folder) / f"{stem}.gif"
    animated = {"save_all": True, "append_images": frames[1:], "duration": milliseconds, "loop": 0}
    write_atomically(path, lambda file: frames[0].save(file, format="GIF", **animated))
    print(f"animation: {os.path.relpath(path) if path.is_relative_to(Path.cwd()) else path}")
    return path


def pairs(rows: Sequence, bar: float, tolerance: float) -> Figure:
    """Draw a panel a row, repaired and mistaken run by accuracy and loss, and beside them bars of the gradient errors.

    A row has `mistake`, `curves` (2, 2, looks), `error` and `errors`, as `report.Verdict` has. The loss is a share of
    its first value; `bar` is a line across the accuracy, `tolerance` one across the errors.
    """
    columns = min(4, len(rows))
    lines = -(-len(rows) // columns)
    figure, axes = subplots(lines, columns + 1, (15, 8) if len(rows) > 1 else (9, 4), squeeze=False)
    grid = axes[0, 0].get_gridspec()
    grid.set_width_ratios([1] * columns + [1.5])
    for ax in axes[:, -1]:
        ax.remove()
    for ax, row in zip(axes[:, :-1].flat, rows, strict=True):
        for run, colour, width, who in zip(row.curves, COLOURS, (5, 1.8), ("repaired", "mistaken"), strict=False):
            part = np.linspace(0, 1, run.shape[1])
            for y, dash, what in ((run[0], "-", "accuracy"), (run[1] / run[1, 0], (0, (2, 1)), "loss / first loss")):
                ax.plot(part, y, color=colour, linewidth=width, linestyle=dash, label=f"{who}: {what}", alpha=0.8)
        ax.axhline(bar, color="black", linestyle=":", linewidth=1, label="accuracy that passes")
        ax.set(title=row.mistake, ylim=(0, 1.08), xticks=[])
    for ax in axes[-1, :-1]:
        ax.set_xlabel("updates")
    errors = {row.mistake: row.error for row in rows} if len(rows) > 1 else rows[0].errors
    bars, places = figure.add_subplot(grid[:, -1]), np.arange(len(errors))
    for side, colour, shift in zip(zip(*errors.values(), strict=True), COLOURS, (-0.2, 0.2), strict=False):
        bars.barh(places + shift, side, 0.4, color=colour)
    bars.axvline(tolerance, color="black", linestyle="--")
    bars.set(xscale="log", yticks=places, yticklabels=errors, title="gradient error\nrounding  |  wrong")
    bars.invert_yaxis()
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=5)
    return figure


def weight_images(weights: np.ndarray, ax: Axes | None = None) -> Figure:
    """Draw the columns of `weights` (side², 10) as ten images in two rows: white 0, orange against, purple for."""
    ax = ax or subplots(size=(8, 3.5))[1]
    side = int(np.sqrt(len(weights)))
    gap = max(1, side // 14)
    cell = side + gap
    mosaic = np.full((2 * cell, 5 * cell), np.nan)
    for digit, image in enumerate(weights.T):
        row, column = divmod(digit, 5)
        mosaic[row * cell : row * cell + side, column * cell : column * cell + side] = image.reshape(side, side)
        ax.text(column * cell, row * cell, str(digit), va="top", ha="left", weight="bold")
    most = np.abs(weights).max() or 1
    picture = ax.imshow(mosaic, cmap="PuOr", vmin=-most, vmax=most, interpolation="nearest")
    ax.figure.colorbar(picture, ax=ax, label="weight", shrink=0.8)
    ax.set_axis_off()
    return ax.figure


def confusion(matrix: np.ndarray, ax: Axes | None = None) -> Figure:
    """Draw counts (true, predicted): shade by share of the true class, so that rare classes show as well."""
    ax = ax or subplots(size=(5, 5))[1]
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    ax.imshow(np.sqrt(share), cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(matrix):
        if count:
            colour = "white" if share[row, column] > 0.35 else "black"
            ax.text(column, row, int(count), ha="center", va="center", fontsize=7, color=colour)
    ax.grid(False)
    ticks: Sequence[int] = range(len(matrix))
    ax.set(xlabel="predicted digit", ylabel="true digit", xticks=ticks, yticks=ticks)
    return ax.figure


def data_parallel(
    x: np.ndarray,
    shares: Sequence[slice],
    gradients: tuple[np.ndarray, np.ndarray, np.ndarray],
    losses: Mapping[str, np.ndarray],
    sizes: Sequence[int],
    ms: Mapping[str, np.ndarray],
    P: int,
    step,
    pays,
) -> Figure:
    """Draw what each of K workers holds, what travels, both losses, and the time of a step by batch size.

    Parameters
    ----------
    x, shares
        The first batch (n, side²) and the slice of each worker.
    gradients
        dL/dW at the first step: of each worker (K, side², 10), all-reduced and of the whole batch (side², 10).
    losses
        ``"split"`` over the workers and ``"whole"`` for one, (steps,).
    sizes, ms
        Batch sizes, and the milliseconds of a step by ``"split"`` and ``"whole"``, (sizes,).
    step, pays, P
        The model of `workers.model`, and the number of parameters.
    """
    K, digit = len(shares), 0
    split = f"{K} workers" if K > 1 else "the worker"
    figure, axes = mosaic("AAA;BCD", (13, 8.6), height_ratios=[1, 1])
    _exchange(axes["A"], x, shares, *(np.asarray(g)[..., digit] for g in gradients), digit)

    at = np.arange(1, len(losses["whole"]) + 1)
    axes["B"].plot(at, losses["whole"], color=COLOURS[5], linewidth=6, label="one worker, whole batch")
    axes["B"].plot(
        at,
        losses["split"],
        color=COLOURS[7],
        linewidth=0.8,
        label=f"{split}, a slice each" if K > 1 else "the same, as the only worker",
    )
    off = np.abs(losses["whole"] - losses["split"]).max()
    axes["B"].set(xlabel="step", ylabel="loss of the batch", yscale="log", title=f"The two runs differ by {off:.0e}")
    axes["B"].legend(loc="upper right")

    n = np.geomspace(min(sizes) / 1.5, 1.5 * max([*sizes, pays(P) if K > 1 else 1]), 60)
    axes["C"].plot(sizes, ms["whole"], "o", color=COLOURS[0], label="one worker, measured")
    axes["C"].plot(sizes, ms["split"], "s", color=COLOURS[1], label=f"{split} on this machine, measured")
    axes["C"].plot(n, step(n), color=COLOURS[0], linewidth=1, label="one worker, model")
    axes["D"].set(xlabel="parameters of the network", ylabel="images in a batch", xscale="log", yscale="log")
    axes["C"].set(xlabel="images in a batch", ylabel="milliseconds a step", xscale="log", yscale="log")
    axes["D"].set_visible(K > 1)
    slower = np.mean(ms["split"] > ms["whole"])
    said = "slower here" if slower == 1 else "faster here" if slower == 0 else "slower here with small batches"
    axes["C"].set_title(f"One machine: {K} workers are {said}" if K > 1 else "The time of a step")
    if K > 1:
        axes["C"].plot(n, step(n, K), "--", color=COLOURS[1], linewidth=1, label=f"{K} machines, model")
        axes["C"].axvline(pays(P), color="black", linestyle=":", label=f"they cross at {pays(P):,.0f} images")
        p = np.geomspace(P / 10, 1e4 * P, 60)
        axes["D"].fill_between(p, pays(p), 10 * pays(p[0]), color=COLOURS[2], alpha=0.3)
        axes["D"].plot(p, pays(p), color=COLOURS[2])
        axes["D"].plot(P, len(x), "o", color="black")
        axes["D"].annotate("\nthis lesson", (P, len(x)), ha="center", va="top", linespacing=0.6)
        beside = {"transform": axes["D"].transAxes, "size": "large"}
        axes["D"].text(0.95, 0.93, f"{K} machines are faster", ha="right", va="top", **beside)
        axes["D"].text(0.05, 0.05, "one machine is faster", **beside)
        axes["D"].set_ylim(min(len(x), pays(p[-1])) / 4, 10 * pays(p[0]))
        axes["D"].set_title("Model: where splitting would pay")
    axes["C"].set_ylim(min(ms["whole"]) / 8)  # room for the legend
    axes["C"].legend(loc="lower right")
    return figure


def _exchange(ax: Axes, x, shares, each, mean, whole, digit: int) -> None:
    """Draw the slices, their gradients each (K, side²), the mean (side²,) and the whole batch's, for one digit."""
    side, shown = int(np.sqrt(x.shape[1])), list(range(len(shares)))[:3]
    most = max(np.abs(part).max() for part in (each, mean, whole))

    def gradient(values, place, title):
        inset = ax.inset_axes(place)
        inset.imshow(values.reshape(side, side), cmap="PuOr", vmin=-most, vmax=most)
        inset.set_axis_off()
        inset.set_in_layout(False)  # it lies within `ax`, and measuring it takes a while
        inset.set_title(title, size="medium")

    def arrow(start, end):
        style = {"arrowstyle": "-|>", "color": "black", "linewidth": 1.8, "mutation_scale": 16}
        ax.annotate("", end, start, arrowprops=style)

    ax.text(0.15, 1.0, "what each worker holds", ha="center", size="large", weight="bold")
    ax.text(0.55, 1.0, f"what travels: {10 * len(mean) + 10:,} numbers", ha="center", size="large", weight="bold")
    ax.text(0.91, 1.0, "what it is", ha="center", size="large", weight="bold")
    height = 0.9 / max(2, len(shown))
    top = 0.5 + height * len(shown) / 2
    for row, rank in enumerate(shown):
        bottom = top - (row + 1) * height
        middle = bottom + 0.4 * height
        few = x[shares[rank]][:6]
        strip = np.concatenate([image.reshape(side, side) for image in few], axis=1)
        inset = ax.inset_axes([0.0, bottom + 0.1 * height, 0.3, 0.6 * height])
        inset.imshow(strip, cmap="Greys")
        inset.set_axis_off()
        inset.set_in_layout(False)
        first, last = shares[rank].start, shares[rank].stop - 1
        inset.set_title(f"worker {rank}: W, b and images {first} to {last} of the batch", size="medium")
        gradient(
            each[rank], [0.37, bottom + 0.05 * height, 0.14, 0.7 * height], f"its gradient, weights of the {digit}"
        )
        arrow((0.31, middle), (0.39, middle))
        arrow((0.49, middle), (0.61, 0.5))
    gradient(mean, [0.6, 0.3, 0.14, 0.4], "their mean, which\nall workers get")
    gradient(whole, [0.84, 0.3, 0.14, 0.4], "gradient of\nthe whole batch")
    ax.text(0.79, 0.5, f"=\nup to {np.abs(mean - whole).max():.0e}", ha="center", va="center", size="large")
    if len(shares) > len(shown):
        ax.text(0.15, 0.0, f"... to worker {len(shares) - 1}", ha="center")
    ax.set(xlim=(0, 1), ylim=(0, 1))
    ax.set_axis_off()
