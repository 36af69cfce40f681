"""The shape of the package: few rooms that a reader opens, one floor below them, arrows that go down only."""

import ast
from pathlib import Path

from tf_backprop.support import lessons

import pytest

ROOT = lessons.SCRIPTS.parent
OPENED = ["__main__", "command", "datasets", "gradient_check", "plotting", "report"]
FILES = sorted(ROOT.glob("tf_backprop/**/*.py"))


def lines(files):
    return sum(len(file.read_text(encoding="utf-8").splitlines()) for file in files)


def imported(file):
    """Return the modules of this repository that a file imports, by name."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.split(".")[0] in ("tf_backprop", "tools", "benchmarks", "scripts")}


def test_whoever_opens_the_package_sees_six_files_and_one_folder():
    here = {path.name for path in (ROOT / "tf_backprop").iterdir() if path.name != "__pycache__"}
    assert here == {"__init__.py", "support", *(f"{name}.py" for name in OPENED)}
    assert lines(ROOT / "tf_backprop" / f"{name}.py" for name in OPENED) <= 750
    assert lines(FILES) <= 2000
    assert lines([ROOT / "tf_backprop" / "support" / "workers.py"]) <= 300


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_arrows_go_down_only(file):
    below = ("tf_backprop.support",)
    for name in imported(file):
        assert name.startswith(below), f"{file.name} imports {name}"
    if file.parent.name == "support":  # and within the lower floor nothing goes round in a circle
        assert file.stem not in reachable(file, set())


def reachable(file, seen):
    """Return the rooms of the lower floor that a file's imports lead to."""
    for name in imported(file):
        room = name.removeprefix("tf_backprop.support.").split(".")[0]
        target = file.parent / f"{room}.py"
        if target.exists() and room not in seen:
            seen.add(room)
            reachable(target, seen)
    return seen


@pytest.mark.parametrize("lesson", lessons.find(), ids=lambda lesson: lesson.name)
def test_lessons_open_the_package_only(lesson):
    for name in imported(lesson.path):
        assert name.startswith("tf_backprop."), name


def test_tools_are_not_installed():
    pyproject = Path(ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert 'packages = ["tf_backprop", "tf_backprop.support"]' in pyproject
