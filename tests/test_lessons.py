"""What every lesson has to do, found by pattern: a new one is tested without being registered."""

import ast
import inspect

from tf_backprop import lessons

import numpy as np
import pytest
from PIL import Image

LESSONS = [lesson.name for lesson in lessons.find()]


def arguments(module):
    """Return the arguments that make the lesson run without network: several workers are in a test of their own."""
    known = {"data": "digits", "workers": 1}
    return {name: known[name] for name in inspect.signature(module.main).parameters if name in known}


def flags(module):
    return [part for key, value in arguments(module).items() for part in (f"--{key}", str(value))]


@pytest.mark.parametrize("name", LESSONS)
def test_runs_as_a_script_in_an_empty_folder(name, load, run_script, tmp_path):
    process = run_script(name, *flags(load(name)))
    assert (process.returncode, process.stderr) == (0, "")
    assert 3 <= len(process.stdout.splitlines()) <= 20
    assert not list((tmp_path / "elsewhere").iterdir())
    figure = tmp_path / "figures" / f"{name}.png"
    assert [figure] == [path for path in figure.parent.iterdir() if path.suffix == ".png"]
    assert np.asarray(Image.open(figure).convert("L")).std() > 10, "the figure is blank"


def leaves(value):
    """Return every array and number in a result, dicts and tuples opened, in order; but what took how long."""
    if hasattr(value, "milliseconds"):
        value = value._replace(milliseconds=None)
    if isinstance(value, dict):
        return [leaf for key in value for leaf in leaves(value[key])]
    if isinstance(value, (tuple, list)):
        return [leaf for item in value for leaf in leaves(item)]
    return [np.asarray(value)] if isinstance(value, (int, float, np.ndarray, np.generic)) else []


@pytest.mark.parametrize("name", LESSONS)
def test_same_seed_gives_the_same_bits(name, load, tmp_path):
    module = load(name)
    first, second = (leaves(module.main(figures=tmp_path, **arguments(module))) for _ in range(2))
    assert len(first) == len(second) > 0
    for one, other in zip(first, second, strict=True):
        assert one.tobytes() == other.tobytes()


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
