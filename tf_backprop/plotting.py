"""Figures in the style of the lessons: made, drawn and saved."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tf_backprop.support.files import FIGURES, short, write_atomically

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

__all__ = ["COLOURS", "FIGURES", "mosaic", "save", "subplots"]

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
