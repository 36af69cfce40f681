"""The shape of the package: few rooms that a reader opens, one floor below them, arrows that go down only."""

import ast
import re
import subprocess
from pathlib import Path

from tf_backprop.support import lessons

import pytest

ROOT = lessons.SCRIPTS.parent
OPENED = ["__main__", "command", "datasets", "gradient_check", "plotting", "report"]
FILES = sorted(ROOT.glob("tf_backprop/**/*.py"))
#: Beside what the lessons need: the folders of the check and of practice, and the language of both.
BESIDE = {"check", "practice", "language"}


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
    assert lines(file for file in FILES if not BESIDE & {file.stem, file.parent.name}) <= 2000
    assert lines([ROOT / "tf_backprop" / "gradient_check.py"]) <= 200
    assert lines([ROOT / "tf_backprop" / "support" / "workers.py"]) <= 300


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_arrows_go_down_only(file):
    if file.stem == "__init__":
        return  # the door: `from tf_backprop import check_gradients`
    below = ("tf_backprop.support",)
    for name in imported(file):
        assert name.startswith(below), f"{file.name} imports {name}"
    if file.parent.name == "support":  # what the lessons need stands on neither of the two folders
        assert not [name for name in imported(file) if name.startswith((f"{below[0]}.check", f"{below[0]}.practice"))]
    if "support" in file.parts:  # and within the lower floor nothing goes round in a circle
        assert file not in reachable(file, set())


def reachable(file, seen):
    """Add the rooms of the lower floor that a file's imports lead to, and return them all."""
    for name in imported(file):
        for room in (name, name.rpartition(".")[0]):  # a room, or a name in it
            target = (ROOT / room.replace(".", "/")).with_suffix(".py")
            if target.exists() and target not in seen:
                seen.add(target)
                reachable(target, seen)
    return seen


@pytest.mark.parametrize("lesson", lessons.find(), ids=lambda lesson: lesson.name)
def test_lessons_open_the_package_only(lesson):
    for name in imported(lesson.path):
        assert name.startswith("tf_backprop."), name


def test_contributing_names_every_room():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## The house")[2].partition("## ")[0]
    for file in FILES:
        assert file.stem == "__init__" or re.search(rf"\b{file.stem}\b", text), file.stem


def test_tools_are_not_installed():
    pyproject = Path(ROOT / "pyproject.toml").read_text(encoding="utf-8")
    named = re.search(r"^packages = \[(.*?)\]", pyproject, re.MULTILINE | re.DOTALL)[1]
    folders = {file.parent.relative_to(ROOT).as_posix().replace("/", ".") for file in FILES}
    assert sorted(re.findall(r'"(.+?)"', named)) == sorted({*folders, "tf_backprop.scripts"})


@pytest.mark.slow
def test_lines_end_as_make_and_the_shell_want_them_on_windows_too(tmp_path):
    if not (ROOT / ".git").exists():
        pytest.skip("this is an archive")
    git = ["git", "clone", "--quiet", "--shared", "--config", "core.autocrlf=true", ROOT, tmp_path / "clone"]
    subprocess.run(git, check=True)
    for name in ("Makefile", ".ci/run", "scripts/01_regression.py", "README.md"):
        assert b"\r" not in (tmp_path / "clone" / name).read_bytes()
