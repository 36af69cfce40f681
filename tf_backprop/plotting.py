"""Figures in the style of the lessons: made, drawn and saved."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tf_backprop.support.files import FIGURES, short, write_atomically

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

__all__ = ["COLOURS", "FIGURES", "decision_boundary", "mosaic", "save", "subplots"]

#: The eight colours of Okabe and Ito, which people with any kind of colour vision tell apart; black last.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#000000"]

_STYLE = {
    "axes.grid": True,
    "axes.prop_cycle": plt.cycler(color=COLOURS),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": "medium",
    "font.family": ["DejaVu Sans"],  # comes with Matplotlib, and stays when the context has ended
    "figure.constrained_layout.use": True,
    "grid.alpha": 0.3,
    "image.cmap": "viridis",
    "legend.fontsize": "small",
    "legend.framealpha": 0.9,
    "savefig.dpi": 120,
}


#: The context of the style: `subplots` and `mosaic` enter it, `save` leaves it.
_context = contextlib.ExitStack()


@contextlib.contextmanager
def _style() -> Iterator[None]:
    with plt.style.context(_STYLE, after_reset=True):  # whatever the user's own settings are
        yield
        interactive = plt.isinteractive()
    plt.rcParams["interactive"] = interactive  # a notebook's backend sets it with the first figure


def subplots(rows: int = 1, columns: int = 1, size: tuple[float, float] = (8, 4), **options):
    """Return a new figure of `size` in inches and its axes, in the style of the house (see `pyplot.subplots`)."""
    _context.close()
    _context.enter_context(_style())
    return plt.subplots(rows, columns, figsize=size, **options)


def mosaic(layout: str, size: tuple[float, float] = (8, 4), **options):
    """Return a new figure of `size` in inches and its axes by letter, in the style of the house."""
    _context.close()
    _context.enter_context(_style())
    return plt.subplot_mosaic(layout, figsize=size, **options)


def save(figure: Figure, folder: Path | str, stem: str, show: bool = False) -> Path:
    """Write ``folder/stem.png`` whole or not at all, print where, and return its path; `show` opens a window too.

    `DataError` is raised when the folder cannot be made or written; what was there before stays.
    """
    path = Path(folder) / f"{stem}.png"
    with _context:
        write_atomically(path, lambda file: figure.savefig(file, format="png", metadata={"Software": None}))
    if show:
        plt.show()
    print(f"figure: {short(path)}")
    return path


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
