"""Find the lessons by their file names, and load one as a module."""

import ast
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from tf_backprop.support.errors import DataError, UsageError
from tf_backprop.support.language import joined, say

_PACKAGE = Path(__file__).resolve().parents[1]

#: The lessons' folder: within the package where it is installed, beside it in a checkout.
SCRIPTS = (_PACKAGE if (_PACKAGE / "scripts").is_dir() else _PACKAGE.parent) / "scripts"

#: How the paragraph of a lesson's docstring starts that says what it shows.
SEEN = "What you should see:"


class Lesson(NamedTuple):
    """A lesson as its file says it: nothing is registered anywhere else."""

    path: Path
    name: str  # "01_regression"
    title: str  # the docstring's first line
    question: str  # the paragraph after the title


def find(folder: Path = SCRIPTS) -> list[Lesson]:
    """Return the lessons of `folder`, in reading order."""
    return [_read(path) for path in sorted(folder.glob("[0-9][0-9]_*.py"))]


def select(names: Sequence[str], folder: Path = SCRIPTS) -> list[Lesson]:
    """Return the lessons that `names` mean, in the order given; all of them without names.

    A name is a number (``1`` or ``01``) or the whole of ``01_regression``, with or without folder and ``.py``.

    `UsageError` is raised when there is no such lesson, `DataError` when there are none at all.
    """
    every = find(folder)
    if not every:
        raise DataError(f"{folder}: holds no lessons; install tf-backprop from its checkout or a wheel of it")
    by_name = {key: lesson for lesson in every for key in (lesson.name, lesson.name[:2], lesson.name[:2].lstrip("0"))}
    chosen = []
    for name in names:
        key = Path(name).name.removesuffix(".py")
        if key not in by_name:
            they = joined(lesson.name for lesson in every)
            raise UsageError(say("there is no lesson {name}: they are {names}", name=name, names=they))
        chosen.append(by_name[key])
    return list(dict.fromkeys(chosen)) if names else every


def load(path: Path) -> ModuleType:
    """Import the script at `path`, whose name starts with a digit, as a module."""
    spec = importlib.util.spec_from_file_location(f"lesson_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # so that what the lesson returns can be pickled
    spec.loader.exec_module(module)
    return module


def _read(path: Path) -> Lesson:
    try:
        docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    except SyntaxError:  # said when it is run, beside the lessons that run well
        docstring = ""
    paragraphs = [" ".join(p.split()) for p in docstring.split("\n\n")]
    question = paragraphs[1] if len(paragraphs) > 1 else ""
    return Lesson(path, path.stem, docstring.partition("\n")[0], question)
