"""The gallery's notebooks of the exercises: unsolved they fail in one line, and with the lesson's lines they pass."""

import importlib.util
import re
import sys

from tf_backprop.support import lessons
from tf_backprop.support.practice import making

import pytest

DOCS = lessons.SCRIPTS.parent / "docs"
WITH = [lesson for lesson in lessons.find() if lesson.name[:2] in making.EXERCISES]
MANY = [*((lesson.name[:2], None) for lesson in WITH), (making.FIND, 0), (making.FIND, 4)]


@pytest.fixture(scope="module")
def exercises():
    """Return docs/exercises.py."""
    pytest.importorskip("sphinx", reason="needs Sphinx: pip install -e .[docs]")
    pytest.importorskip("nbformat", reason="needs nbmake: pip install -e .[docs]")
    sys.path.insert(0, str(DOCS))
    try:
        spec = importlib.util.spec_from_file_location("exercises", DOCS / "exercises.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(DOCS))
    return module


def made(exercises, number, seed):
    (lesson,) = lessons.select([number])
    return exercises.notebook(lesson, seed)


def test_a_notebook_is_the_exercise_in_cells(exercises):
    for number, seed in MANY:
        notebook = made(exercises, number, seed)
        (lesson,) = lessons.select([number if seed is None else making.FAULTS[seed].number])
        first, told, *cells = notebook.cells
        assert "# %pip install" in first.source
        assert all(line.startswith("#") for line in first.source.splitlines())
        assert told.source.startswith(f"# {lesson.title}\n\n{lesson.question[:40]}")
        assert "--hint" not in told.source
        assert "::" not in told.source
        text = making.exercise(lesson) if seed is None else making.planted(seed)
        code = text.partition('"""\n\n')[2].partition("\n\nif __name__")[0]
        assert "\n".join(cell.source for cell in cells[:-1]).split() == code.split()
        assert cells[-1].source.startswith(f'practice.check_functions("{number}", gradients_by_hand')


def test_a_link_for_each_lesson_that_has_an_exercise(exercises):
    assert exercises.link("04") == ""
    assert exercises.link("01") == ":download:`notebook </_build/exercises/practice_01_regression.ipynb>`"
    assert exercises.link("13").count(":download:") == len(making.FAULTS)


@pytest.fixture(scope="module")
def outcomes(exercises, tmp_path_factory):
    """Return what the checking cell of each notebook gives, as it is made and as it is when it is solved."""
    nbclient = pytest.importorskip("nbclient", reason="needs nbmake: pip install -e .[docs]")
    cells = []
    for number, seed in MANY:
        (lesson,) = lessons.select([number if seed is None else making.FAULTS[seed].number])
        notebook, solved = made(exercises, number, seed), made(exercises, number, seed)
        text = "\n# next\n".join(cell.source for cell in solved.cells)
        if seed is None:
            text = making.filled(text, lesson)
        else:
            text = text.replace(making.FAULTS[seed].wrong, making.FAULTS[seed].right)
        for cell, source in zip(solved.cells, text.split("\n# next\n"), strict=True):
            cell.source = source
        cells += [exercises.nbformat.v4.new_code_cell("%reset -f"), *notebook.cells, *solved.cells]
    for number, cell in enumerate(cells):
        cell.id = str(number)
    notebook = exercises.nbformat.v4.new_notebook(cells=cells)
    folder = tmp_path_factory.mktemp("notebook")
    told = {"allow_errors": True, "coalesce_streams": True, "resources": {"metadata": {"path": folder}}}
    client = nbclient.NotebookClient(notebook, timeout=120, **told)
    client.execute()
    others = [cell for cell in notebook.cells if not cell.source.startswith("practice.check_functions")]
    assert [output for cell in others for output in cell.get("outputs", ())] == []
    checks = [cell.outputs for cell in notebook.cells if cell.source.startswith("practice.check_functions")]
    return dict(zip(MANY, zip(checks[::2], checks[1::2], strict=True), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("which", MANY, ids=str)
def test_unsolved_it_fails_in_one_line_and_solved_it_passes(which, outcomes):
    (said, error), (passed,) = outcomes[which]
    number, seed = which
    assert (said.output_type, said.name) == ("stream", "stdout")
    if seed is None:
        assert re.match(r"(Right: .*\n)?The cell of gradients_by_hand, line \d+: \w+ is still blank\.", said.text)
        assert said.text.endswith("Ask for a hint with hint=True, or for the line with answer=True.\n")
    else:
        assert re.match("The cell of gradients_by_hand: the gradients? for .* wrong", said.text)
    assert (error.output_type, error.ename) == ("error", "UnsolvedError")
    assert re.fullmatch(rf"error: not solved yet: exercise {number}: .*", "\n".join(error.traceback))
    assert (passed.output_type, passed.name) == ("stream", "stdout")
    story = ": solved. Each gradient is what the loss says:\n" if seed is None else making.FAULTS[seed].story
    assert story in passed.text


@pytest.mark.slow
def test_the_site_serves_them(exercises):
    served = {path.name: path for path in (DOCS / "_build" / "html" / "_downloads").glob("*/practice_*.ipynb")}
    if not served:
        pytest.skip("the site is not built: make docs")
    names = [name for lesson in lessons.find() for name in exercises.names(lesson).values()]
    assert sorted(served) == sorted(names)
    notebook = exercises.nbformat.read(served["practice_12_moons_mlp.ipynb"], as_version=4)
    assert notebook == made(exercises, "12", None)
