"""The long drawings of single lessons, on made numbers: what stands where, in which colour, and with which arrow."""

import re

from tf_backprop import plotting
from tf_backprop.support import drawings

import numpy as np
import pytest
from matplotlib.colors import to_hex

NODES = {"a": (0, 1), "b": (0, 0), "c": (2, 0), "d": (4, 0)}
EDGES = {("a", "c"): 1.5, ("b", "c"): -2.0, ("c", "d"): 0.25}


def hexed(colour, ax):
    if re.fullmatch(r"C\d", colour):
        colour = plotting.COLOURS[int(colour[1])]
    return to_hex(colour).upper()


@pytest.fixture
def graph():
    _, ax = plotting.subplots()
    values, gradients = {"a": 3.0, "b": 4.0, "c": -5.0, "d": 7.0}, {"a": 0.375, "b": -0.5, "c": 0.25, "d": 1.0}
    drawings.graph(ax, NODES, values, gradients, EDGES)
    return ax, values, gradients


def test_each_node_has_its_value_and_the_derivative_of_the_output(graph):
    ax, values, gradients = graph
    blue, orange = plotting.COLOURS[:2]
    texts = [text for text in ax.texts if hasattr(text, "xy")]
    for name, place in NODES.items():
        here = {text.get_text(): text for text in texts if tuple(text.xy) == place and text.get_text()}
        assert list(here) == [name, f"{values[name]:.3g}", f"dd/d{name} = {gradients[name]:.4g}"]
        _, value, gradient = here.values()
        assert (hexed(value.get_color(), ax), hexed(gradient.get_color(), ax)) == (blue, orange)
    circles = [tuple(line.get_xydata()[0]) for line in ax.lines if line.get_marker() == "o"]
    assert circles == list(NODES.values())


def test_each_edge_has_an_arrow_forward_one_back_and_its_local_derivative(graph):
    ax, _, _ = graph
    blue, orange = plotting.COLOURS[:2]
    arrows = [(t.xyann, t.xy, hexed(to_hex(t.arrow_patch.get_edgecolor()), ax)) for t in ax.texts if hasattr(t, "xy")
              and t.arrow_patch is not None]  # fmt: skip
    for (start, end), factor in EDGES.items():
        begin, finish = np.array(NODES[start]), np.array(NODES[end])
        (forward,) = (a for a in arrows if near(a[0], begin) and near(a[1], finish))
        (back,) = (a for a in arrows if near(a[0], finish) and near(a[1], begin))
        assert (forward[2], back[2]) == (blue, orange)
        (label,) = (t for t in ax.texts if t.get_text() == f"× d{end}/d{start} = {factor:.4g}")
        assert near(label.get_position(), (begin + finish) / 2)
        assert hexed(label.get_color(), ax) == orange
    assert len(arrows) == 2 * len(EDGES)


def near(one, other):
    return np.hypot(*np.subtract(one, other)) < 0.2


def test_the_legend_of_the_graph_says_which_colour_is_which_way(graph):
    ax, _, _ = graph
    said = {line.get_label(): hexed(line.get_color(), ax) for line in ax.lines if not line.get_label().startswith("_")}
    assert said == {
        "forward: the value of each node": plotting.COLOURS[0],
        "backward: dd by each node, multiplied at each edge": plotting.COLOURS[1],
    }


def test_an_exchange_has_white_for_zero_purple_above_and_orange_below():
    rng = np.random.default_rng(0)
    each = rng.normal(size=(2, 16))
    mean = each.mean(axis=0)
    _, ax = plotting.subplots()
    shares = [slice(0, 3), slice(3, 6)]
    drawings.exchange(ax, rng.random((6, 16)), shares, each, mean, mean + 1.0, digit=3)
    most = max(np.abs(part).max() for part in (each, mean, mean + 1.0))
    signed = [inset for inset in ax.child_axes if "gradient" in inset.get_title() or "mean" in inset.get_title()]
    assert len(signed) == 4
    for inset in signed:
        (image,) = inset.images
        assert image.get_clim() == (-most, most)
        below, zero, above = (image.cmap(image.norm(value))[:3] for value in (-most, 0.0, most))
        assert min(zero) > 0.95
        assert below[0] > below[2], "orange: more red than blue"
        assert above[2] > above[1], "purple: more blue than green"
    (legend,) = (text.get_text() for text in ax.texts if "orange" in text.get_text())
    assert legend == "orange: below 0, the step raises the weight;\npurple: above 0, it lowers it"
    titles = [text.get_text() for text in ax.texts[:3]]
    assert titles == ["What each worker holds", "What travels: 170 numbers", "What it should be"]
    assert not any("... to worker" in text.get_text() for text in ax.texts)
    places = {inset.get_title(): inset.get_position().x0 for inset in ax.child_axes}
    assert places["gradient of\nthe whole batch"] > places["their mean, which\nall workers get"]
