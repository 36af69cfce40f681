import os
import stat

from tf_backprop import plotting

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
        plotting.write_atomically(path, fail)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["name.png"]


def test_a_figure_is_the_same_bytes_twice(tmp_path):
    one, other = (
        plotting.save(plotting.curves(None, {"a": np.arange(3)}, "x", "y"), tmp_path, name).read_bytes()
        for name in "ab"
    )
    assert one == other


def test_weight_images_show_each_column_at_its_place():
    weights = np.zeros((16, 10))
    weights[5, 7] = 2.0  # digit 7, second row and second column of its 4×4 image
    axes = plotting.weight_images(weights).axes[0]
    mosaic = np.asarray(axes.images[0].get_array().filled(np.nan))
    assert np.argwhere(mosaic == 2.0).tolist() == [[5 + 1, 2 * 5 + 1]]


def test_confusion_is_true_by_predicted():
    axes = plotting.confusion(np.array([[3, 1], [0, 4]])).axes[0]
    texts = {text.get_position(): text.get_text() for text in axes.texts}
    assert texts == {(0, 0): "3", (1, 0): "1", (1, 1): "4"}
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted digit", "true digit")
