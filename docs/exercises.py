"""A notebook of each exercise, the ``exercises`` directive that lists them, and the link to one for a lesson's page.

The notebooks are made from the lessons, as the files of ``python -m tf_backprop practice`` are.
"""

import ast
from pathlib import Path

from tf_backprop.support import lessons
from tf_backprop.support.practice import making

import nbformat.v4
import notebooks
from sphinx.util.docutils import SphinxDirective

FOLDER = Path(__file__).resolve().parent / "_build" / "exercises"

TASK = """\
Practice: replace each `...` by the right side of its line, run all cells, and read what the last one says: which line
is wrong, and in what way. All other lines are right. With `hint=True` the last cell gives a hint for the next line, and
with `answer=True` it gives the line.
"""

FIND_TASK = """\
Practice: `gradients_by_hand` has a mistake, or a function that it calls has. Find it, mend it, run all cells, and read
what the last one says: what is wrong with which gradient. With `hint=True` it says at which line to look.
"""


def notebook(lesson, seed=None):
    """Return the exercise of a lesson, or with a `seed` a backward pass with a mistake, as a notebook."""
    text = making.exercise(lesson) if seed is None else making.planted(seed)
    functions = making.FUNCTIONS.get(lesson.name[:2], making.GRADIENTS)
    tree, lines = ast.parse(text), text.splitlines()
    title, _, *equations = ast.get_docstring(tree).partition("Practice: ")[0].replace("::\n", ":\n").splitlines()
    first = notebooks.FIRST_CELL.partition("%matplotlib")[0]  # an exercise draws nothing
    told = "\n".join([f"# {title}", *equations, TASK if seed is None else FIND_TASK])
    parts, start, apart = [first], tree.body[0].end_lineno, True
    for node in tree.body[1:-1]:
        own = getattr(node, "name", "") in functions
        if own or apart:
            parts.append("")
        parts[-1] += "\n".join([*lines[start : node.end_lineno], ""])
        start, apart = node.end_lineno, own
    seeded = "" if seed is None else f", seed={seed}"
    called = f'"{lesson.name[:2]}", {", ".join(functions)}{seeded}, hint=False, answer=False'
    parts.append(f"practice.check_functions({called})")
    cells = [nbformat.v4.new_code_cell(part.strip("\n")) for part in parts]
    cells.insert(1, nbformat.v4.new_markdown_cell(told.rstrip()))
    for number, cell in enumerate(cells):
        cell.id = f"cell-{number}"  # the same in each build
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})


def names(lesson):
    """Return the words that lead to each notebook of a lesson, and their files; none where it has no exercise."""
    number = lesson.name[:2]
    if number == making.FIND:
        seeds = range(len(making.FAULTS))
        return {f"fault\N{NO-BREAK SPACE}{seed}": f"practice_{number}_fault_{seed}.ipynb" for seed in seeds}
    return {"notebook": f"practice_{lesson.name}.ipynb"} if number in making.EXERCISES else {}


def link(number):
    """Return what a page in reStructuredText shows so that the exercise of a lesson can be downloaded, or nothing."""
    (lesson,) = lessons.select([number])
    return ", ".join(f":download:`{words} </_build/exercises/{name}>`" for words, name in names(lesson).items())


def write_notebooks(app):
    """Write the notebooks into the build folder; one that has not changed keeps its time."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for lesson in lessons.find():
        for seed, name in enumerate(names(lesson).values()):
            text = nbformat.writes(notebook(lesson, seed if lesson.name[:2] == making.FIND else None)) + "\n"
            if not (FOLDER / name).is_file() or (FOLDER / name).read_text(encoding="utf-8") != text:
                (FOLDER / name).write_text(text, encoding="utf-8")


class Exercises(SphinxDirective):
    """A table with a row per exercise, for a page in Markdown."""

    def run(self):
        """Return the nodes of the table."""
        rows = ["| lesson | what the exercise needs | to download |", "|---|---|---|"]
        for lesson in lessons.find():
            files = [f"[{words}](/_build/exercises/{name})" for words, name in names(lesson).items()]
            page = f"{{doc}}`{lesson.name[:2]} {lesson.title} <gallery/{lesson.name}>`"
            needs = making.EXERCISES.get(lesson.name[:2], making.TO_FIND)
            rows += [f"| {page} | {needs} | {', '.join(files)} |"] if files else []
        return self.parse_text_to_nodes("\n".join(rows))


def setup(app):
    """Register with Sphinx."""
    app.connect("builder-inited", write_notebooks)
    app.add_directive("exercises", Exercises)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
