"""What every lesson has to do, found by pattern: a new one is tested without being registered."""

import ast
import inspect

from tf_backprop import lessons

import numpy as np
import pytest
from PIL import Image

LESSONS = [lesson.name for lesson in lessons.find()]


def arguments(module):
    """Return the arguments that make the lesson run without network."""
    return {"data": "digits"} if "data" in inspect.signature(module.main).parameters else {}


def flags(module):
    return [part for key, value in arguments(module).items() for part in (f"--{key}", value)]


@pytest.mark.parametrize("name", LESSONS)
def test_runs_as_a_script_in_an_empty_folder(name, load, run_script, tmp_path):
    process = run_script(name, *flags(load(name)))
    assert (process.returncode, process.stderr) == (0, "")
    assert 3 <= len(process.stdout.splitlines()) <= 20
    assert not list((tmp_path / "elsewhere").iterdir())
    figure = tmp_path / "figures" / f"{name}.png"
    assert [figure] == [path for path in figure.parent.iterdir() if path.suffix == ".png"]
    assert np.asarray(Image.open(figure).convert("L")).std() > 10, "the figure is blank"


@pytest.mark.parametrize("name", LESSONS)
def test_form(name, load):
    path = lessons.SCRIPTS / f"{name}.py"
    source = path.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 180
    docstring = ast.get_docstring(ast.parse(source))
    title, underline, *rest = docstring.splitlines()
    assert set(underline) == {"="}
    assert len(underline) == len(title)
    assert 12 <= len(docstring.splitlines()) <= 28
    assert sum(line.startswith("- ``") for line in rest) == 2, "two Try lines"
    cells = [line[2:] for line in _cell_titles(source)]
    assert cells[:4] in (["Prepare", "Forward", step, "Iterate"] for step in ("Backward", "The gradient"))
    assert cells[-2:] == ["Plot and main", "Run"]
    parameters = inspect.signature(load(name).main).parameters
    assert list(parameters)[-3:] == ["seed", "figures", "show"]
    for word in ("simply", "just", "easy", "easily", "obviously", "trivial"):
        assert word not in source.lower().split(), word
    for forbidden in ("__file__", "__doc__", "sys.exit", "from scripts"):
        assert forbidden not in source


def _cell_titles(source):
    lines = source.splitlines()
    return [lines[i + 1] for i, line in enumerate(lines) if line == "# %%"]


@pytest.mark.parametrize("name", LESSONS)
def test_no_lesson_imports_another(name):
    for node in ast.walk(ast.parse((lessons.SCRIPTS / f"{name}.py").read_text(encoding="utf-8"))):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            modules = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            assert not any(m[:2].isdigit() or m.startswith("lesson") for m in modules)
