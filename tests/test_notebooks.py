"""The gallery's notebooks, run one after the other in an empty folder; and the wheel that they need elsewhere."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from forks import clean
from tf_backprop.support import lessons

import pytest
from test_lessons import SHORT, on_digits

pytestmark = pytest.mark.slow

BUILD = lessons.SCRIPTS.parent / "docs" / "_build"
NAMES = [lesson.name for lesson in lessons.find()]
FIRST = 'sys.argv = ["notebook", "--figures", tempfile.mkdtemp()]'


@pytest.fixture(scope="module")
def kernel():
    """Return the manager of a kernel and the folder in which it works: all notebooks share the import of TensorFlow."""
    pytest.importorskip("nbclient", reason="needs nbmake: pip install -e .[docs]")
    manager = pytest.importorskip("jupyter_client.manager")
    with tempfile.TemporaryDirectory() as folder:
        km, client = manager.start_new_kernel(kernel_name="python3", cwd=folder, env=clean())
        client.stop_channels()
        yield km, Path(folder)
        km.shutdown_kernel(now=True)


@pytest.fixture
def execute(load, kernel):
    """Return a function that runs a notebook as the site serves it, shortly and on the digits, and returns it."""

    def run(name):
        served = [*(BUILD / "html" / "_downloads").glob(f"*/{name}.ipynb")]
        if not served:
            pytest.skip("the site is not built: make docs")
        import nbclient
        import nbformat

        notebook = nbformat.reads(served[0].read_text(encoding="utf-8"), as_version=4)
        options = [*on_digits(load(name).main), *SHORT.get(name, [])]
        assert FIRST in notebook.cells[0].source
        notebook.cells[0].source = f"%reset -f\n{notebook.cells[0].source} + {options!r}"
        nbclient.NotebookClient(notebook, km=kernel[0], timeout=300).execute()
        return notebook

    return run


@pytest.mark.parametrize("name", NAMES)
def test_notebook_shows_its_figures_and_numbers_and_nothing_else(name, execute, kernel):
    notebook = execute(name)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    outputs = [output for cell in cells for output in cell.outputs]
    assert [output.text for output in outputs if output.get("name") == "stderr"] == []
    pictures = [output for output in cells[-2].outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == (2 if name == "14_mnist_softmax_distributed" else 1)
    assert all(len(picture.data["image/png"]) > 10_000 for picture in pictures)
    printed = "".join(output.text for output in outputs if output.output_type == "stream")
    assert "learned" in printed or "mistakes caught by" in printed
    assert cells[-1].outputs[-1].data["text/plain"].startswith("Row("), "the last cell looks at the result"
    sources = [cell.source for cell in notebook.cells]
    assert not [source for source in sources if re.search(r"::$|# noqa", source, re.MULTILINE)]
    assert [*kernel[1].iterdir()] == [], "a notebook leaves no file beside it"


def test_a_lesson_in_the_cells_of_an_interactive_window(tmp_path):
    """As VS Code runs it: the lesson's own cells, in a kernel that knows the file's name and nothing of its options."""
    manager = pytest.importorskip("jupyter_client.manager", reason="needs ipykernel: pip install -e .[docs]")
    pytest.importorskip("ipykernel")
    lesson = lessons.SCRIPTS / "01_regression.py"
    place = f"import pathlib, tf_backprop.plotting as p; p.FIGURES = pathlib.Path({str(tmp_path)!r})"
    cells = [f"__file__ = {str(lesson)!r}", place, *lesson.read_text(encoding="utf-8").split("\n# %%")]
    kernel, client = manager.start_new_kernel(kernel_name="python3", cwd=tmp_path)
    said = []
    try:
        for cell in [*cells, "shorter = main(steps=30)", "len(result.losses), len(shorter.losses)"]:
            reply = client.execute_interactive(cell, timeout=120, output_hook=said.append)
            assert reply["content"]["status"] == "ok", reply["content"]
    finally:
        client.stop_channels()
        kernel.shutdown_kernel(now=True)
    told = [message["content"] for message in said]
    assert [content["text"] for content in told if content.get("name") == "stderr"] == []
    assert sum("image/png" in content.get("data", {}) for content in told) == 2, "each run shows its figure"
    assert said[-2]["content"]["data"]["text/plain"] == "(100, 30)"
    assert (tmp_path / "01_regression.png").is_file()


def test_the_wheel_is_all_that_a_lesson_needs_elsewhere(tmp_path):
    wheels = [*(BUILD / "wheel").glob("*.whl")]
    if not wheels:
        pytest.skip("the site is not built: make docs")
    (wheel,) = wheels
    lesson = tmp_path / "01_regression.py"
    lesson.write_bytes((lessons.SCRIPTS / lesson.name).read_bytes())
    environment = os.environ | {"PYTHONPATH": str(wheel)}
    where = [sys.executable, "-c", "import tf_backprop; print(tf_backprop.__file__)"]
    for command, expected in ((where, wheel.name), ([sys.executable, lesson.name], "A at step 100")):
        process = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
        assert (process.returncode, process.stderr) == (0, "")
        assert expected in process.stdout
    assert (tmp_path / "figures" / "01_regression.png").is_file()
