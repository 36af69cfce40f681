import os
import stat
import sys

from tf_backprop import plotting
from tf_backprop.support import arguments, files
from tf_backprop.support.errors import DataError

import matplotlib as mpl
import numpy as np
import pytest


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
