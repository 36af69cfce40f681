import os
import stat
import sys

from tf_backprop import plotting
from tf_backprop.support import arguments, files
from tf_backprop.support.errors import DataError

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgb


def line():
    figure, ax = plotting.subplots()
    ax.plot(np.arange(3))
    return figure


def test_save_replaces_the_figure_whole_or_not_at_all(tmp_path, capsys):
    figure = line()
    path = plotting.save(figure, tmp_path / "new" / "folder", "name")
    assert path == tmp_path / "new" / "folder" / "name.png"
    assert capsys.readouterr().out == f"figure: {path}\n"
    assert path.read_bytes().startswith(b"\x89PNG")
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask
    before = path.read_bytes()

    def fail(file):
        file.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        files.write_atomically(path, fail)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["name.png"]


def test_a_figure_is_the_same_bytes_twice(tmp_path):
    one, other = (plotting.save(line(), tmp_path, name).read_bytes() for name in "ab")
    assert one == other


USERS_OWN = {"text.usetex": True, "font.family": ["Nowhere Sans"], "font.size": 22, "lines.linewidth": 0.2}
USERS_OWN |= {"figure.facecolor": "black", "savefig.bbox": "tight", "axes.formatter.use_locale": True}


def test_the_users_own_settings_change_no_figure_and_come_back(tmp_path):
    def draw(name):
        return plotting.save(line(), tmp_path, name).read_bytes()

    usual = draw("usual")
    with mpl.rc_context(USERS_OWN):
        before = dict(mpl.rcParams)
        assert draw("hostile") == usual
        assert dict(mpl.rcParams) == before


@pytest.mark.parametrize(("show", "backend"), [(True, "svg"), (False, "agg")])
def test_only_a_window_takes_the_users_backend(show, backend, monkeypatch):
    def main(show: bool = False):
        return mpl.get_backend()

    monkeypatch.setattr(sys, "argv", ["lesson.py"])
    mpl.use("svg")
    try:
        assert arguments.run(main, ["--show"] if show else [], exits=True) == backend
    finally:
        mpl.use("agg")


def test_what_cannot_be_written_is_said_with_the_option_to_use(tmp_path):
    (tmp_path / "file").write_text("no folder")
    figure = line()
    with pytest.raises(DataError, match=r"name\.png: .*; name another folder with --figures$"):
        plotting.save(figure, tmp_path / "file", "name")
    with pytest.raises(DataError, match=r"with --checkpoint$"):
        files.write_atomically(tmp_path / "file" / "name", lambda file: None, "--checkpoint")


def by_label(ax):
    return {line.get_label(): line for line in ax.lines}


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_a_boundary_is_drawn_where_the_probability_is_a_half_and_its_sides_in_their_colours():
    x0, x1 = np.linspace(0, 3, 31), np.linspace(-1, 1, 21)
    nodes = np.stack(np.meshgrid(x0, x1), axis=-1).reshape(-1, 2)
    learned, best = 1 / (1 + np.exp(-5 * (nodes[:, 0] - 1))), 1 / (1 + np.exp(-5 * (nodes[:, 1] - 0.25)))
    points, labels = np.array([[0.5, 0.0], [2.0, 0.5], [2.5, -0.5]]), np.array([0, 1, 1])
    (ax,) = plotting.decision_boundary(nodes, learned, points, labels, best, title="found").axes
    lines = by_label(ax)
    for label in (0, 1):
        line = lines[f"class {label}"]
        np.testing.assert_array_equal(line.get_xydata(), points[labels == label])
        assert to_hex(line.get_color()).upper() == plotting.COLOURS[label]
    of_best, of_learned = (np.concatenate([path.vertices for path in each.get_paths()]) for each in ax.collections)
    np.testing.assert_allclose(of_best[:, 1], 0.25, atol=1e-2)
    np.testing.assert_allclose(of_learned[:, 0], 1, atol=1e-2)
    (image,) = ax.images
    np.testing.assert_array_equal(image.get_array(), learned.reshape(21, 31))
    assert (tuple(image.get_extent()), image.origin) == ((0, 3, -1, 1), "lower")
    for probability, colour in ((0.0, plotting.COLOURS[0]), (1.0, plotting.COLOURS[1])):
        assert image.cmap(image.norm(probability))[:3] == pytest.approx(to_rgb(colour), abs=0.01)
    assert legend(ax) == ["class 0", "class 1", "best possible", "learned"]
    styles = [lines[name].get_linestyle() for name in ("best possible", "learned")]
    assert styles == [":", "-"]
    for drawn, name in zip(ax.collections, ("best possible", "learned"), strict=True):
        _, pattern = drawn.get_linestyle()[0]
        assert (pattern is None) == (name == "learned"), "the line is drawn as the legend has it"
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("x0", "x1", "found")
