"""The gallery's notebooks, run in fresh kernels, in an empty folder; and the wheel that they need elsewhere."""

import importlib.util
import inspect
import os
import subprocess
import sys

from tf_backprop import lessons

import pytest

BUILD = lessons.SCRIPTS.parent / "docs" / "_build"
NAMES = [lesson.name for lesson in lessons.find()]
FIRST = 'sys.argv = ["notebook"]'


@pytest.fixture(scope="module")
def executed(tmp_path_factory, load):
    """Run every notebook as the site serves it, without MNIST, and return them by name."""
    served = {path.stem: path for path in (BUILD / "html" / "_downloads").glob("*/*.ipynb")}
    if not served:
        pytest.skip("the site is not built: make docs")
    if not (importlib.util.find_spec("nbmake") and importlib.util.find_spec("ipykernel")):
        pytest.skip("needs nbmake: pip install -e .[docs]")
    import nbformat

    assert sorted(served) == NAMES
    folder = tmp_path_factory.mktemp("notebooks")
    for name, path in served.items():
        notebook = nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
        digits = ["--data", "digits"] if "data" in inspect.signature(load(name).main).parameters else []
        assert FIRST in notebook.cells[0].source
        options = f"sys.argv = {['notebook', '--figures', str(folder / 'figures'), *digits]!r}"
        notebook.cells[0].source = notebook.cells[0].source.replace(FIRST, options)
        nbformat.write(notebook, folder / path.name)
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("TF_", "PYTEST_"))}
    command = [sys.executable, "-m", "pytest", "--nbmake", "--overwrite", "--nbmake-timeout=300", "-n", "2", "-q"]
    command += ["-p", "no:cacheprovider", "--rootdir", str(folder), str(folder)]
    process = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=1200)
    assert process.returncode == 0, process.stdout[-3000:] + process.stderr[-1000:]
    return {name: nbformat.read(folder / f"{name}.ipynb", as_version=4) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_notebook_shows_its_figure_and_numbers_and_nothing_else(name, executed):
    cells = [cell for cell in executed[name].cells if cell.cell_type == "code"]
    outputs = [output for cell in cells for output in cell.outputs]
    assert [output.text for output in outputs if output.get("name") == "stderr"] == []
    assert all(cell.execution_count for cell in cells)
    pictures = [output for output in cells[-1].outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == 1
    assert len(pictures[0].data["image/png"]) > 10_000
    assert "learned" in "".join(output.text for output in outputs if output.output_type == "stream")


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
