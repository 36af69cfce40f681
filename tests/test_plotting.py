import os
import stat

from tf_backprop import plotting
from tf_backprop.support import files

import numpy as np
import pytest


def test_save_replaces_the_figure_whole_or_not_at_all(tmp_path, capsys):
    figure = plotting.curves(None, {"a": np.arange(3), "b": np.ones(3)}, "x", "y")
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
    one, other = (
        plotting.save(plotting.curves(None, {"a": np.arange(3)}, "x", "y"), tmp_path, name).read_bytes()
        for name in "ab"
    )
    assert one == other
