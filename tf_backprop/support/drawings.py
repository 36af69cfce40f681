"""The long drawings of single lessons, into axes in the style of `plotting`: C0, C1 ... are its colours."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes


def graph(
    ax: Axes,
    nodes: Mapping[str, tuple[float, float]],
    values: Mapping[str, float],
    gradients: Mapping[str, float],
    edges: Mapping[tuple[str, str], float],
) -> None:
    """Draw a computation whose output is the last of `nodes`: name → place, with steps of about 1 between them.

    Blue, forward: the value of each node. Orange, backward: the derivative of the output by each node, which is
    multiplied along each edge (from, to) by that edge's local derivative.
    """
    blue, orange, radius, output = "C0", "C1", 27, list(nodes)[-1]
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


def exchange(
    ax: Axes,
    x: np.ndarray,
    shares: Sequence[slice],
    each: np.ndarray,
    mean: np.ndarray,
    whole: np.ndarray,
    digit: int,
) -> None:
    """Draw what each of K workers holds and what travels: all for the weights of one digit.

    They have the slices `shares` of the batch x (n, side²) and the gradients `each` (K, side²), whose `mean` (side²,)
    is the gradient of the `whole` batch.
    """
    side, shown = int(np.sqrt(x.shape[1])), list(range(len(shares)))[:3]
    most = max(np.abs(part).max() for part in (each, mean, whole))
    signed = {"cmap": "PuOr", "vmin": -most, "vmax": most}

    def picture(place, title, values, **style):
        inset = ax.inset_axes(place)
        inset.imshow(values.reshape(side, -1), **style)
        inset.set_axis_off()
        inset.set_in_layout(False)  # it lies within `ax`, and measuring it takes a while
        inset.set_title(title, size="medium")
        return inset

    def arrow(start, end):
        style = {"arrowstyle": "-|>", "color": "black", "lw": 1.8, "mutation_scale": 16, "shrinkA": 6, "shrinkB": 6}
        ax.annotate("", (0, 0.5), (1, 0.5), end.transAxes, start.transAxes, arrowprops=style)

    ax.text(0.15, 1.03, "What each worker holds", ha="center", size="large", weight="bold")
    ax.text(0.55, 1.03, f"What travels: {10 * len(mean) + 10:,} numbers", ha="center", size="large", weight="bold")
    ax.text(0.91, 1.03, "What it should be", ha="center", size="large", weight="bold")
    height = 0.95 / max(2, len(shown))
    top = 0.5 + height * len(shown) / 2
    shared = picture([0.6, 0.28, 0.16, 0.44], "their mean, which\nall workers get", mean, **signed)
    picture([0.84, 0.28, 0.16, 0.44], "gradient of\nthe whole batch", whole, **signed)
    for row, rank in enumerate(shown):
        bottom = top - (row + 1) * height
        title = f"worker {rank}: W, b and\nimages {shares[rank].start} to {shares[rank].stop - 1} of the batch"
        strip = np.hstack(x[shares[rank]][:5].reshape(-1, side, side))
        images = picture([0.0, bottom + 0.05 * height, 0.3, 0.65 * height], title, strip, cmap="Greys")
        title = f"its gradient,\nweights of the {digit}"
        own = picture([0.37, bottom + 0.05 * height, 0.14, 0.65 * height], title, each[rank], **signed)
        arrow(images, own)
        arrow(own, shared)
    error = np.abs(mean - whole).max()
    sign = "=\nup to" if error < 1e-5 else "≠\nby up to"
    ax.text(0.8, 0.5, f"{sign}\n{error:.1g}", ha="center", va="center", size="large")
    ax.text(0.8, 0.03, "orange: below 0, the step raises the weight;\npurple: above 0, it lowers it", ha="center")
    if len(shares) > len(shown):
        ax.text(0.15, -0.03, f"... to worker {len(shares) - 1}", ha="center")
    ax.set(xlim=(0, 1), ylim=(0, 1))
    ax.set_axis_off()
