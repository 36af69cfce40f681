"""Makes a lesson's page of what sphinx-gallery writes: equations typeset, the figure near the top, long code folded.

The text is changed whenever Sphinx reads it: the lessons need not run again for that, and translations start from it.
"""

import itertools
import re
import textwrap
from pathlib import Path

from tf_backprop.support import lessons
from tf_backprop.support.practice import making

import equations
import questions
from docutils import nodes
from extension import seen
from sphinx.util.docutils import SphinxDirective

HERE = Path(__file__).resolve().parent
SOURCES = ["lesson_pages.py", "equations.py", "questions.py", "errata.rst", "derivations.rst"]

#: The lessons that the stepper walks through.
STEPPED = ["07"]

WITHOUT_MNIST = """\
.. note::

   This page was built without MNIST. Its numbers and its own figure are those of scikit-learn's digits, which are fewer
   and smaller, and for which no document printed anything. The first figure below is of a run on MNIST. "What you
   should see" describes MNIST, too.

"""

#: What ``--explain`` prints, indented as output is: formulas, and under each what it makes of the numbers.
EXPLAINED = r"(?m)^    The backward pass, line by line: .*\n(?:    \w+(?:, \w+)* = .*\n(?: {8}(?: {4})?\S.*\n)+)+"
FIGURE = r"(?m)^\.\. image-sg:: (?P<file>.*)\n   :alt: (?P<text>.*)\n(?: {3}.*\n)+"
EQUATIONS = r"(?m)^(?P<sentence>.+:):\n\n(?P<block>(?: {4}.*\n|\n)+)"


def setup(app):
    app.connect("source-read", rewrite)
    app.add_directive("fold", Fold)
    app.add_node(fold, html=_as_tag("details"))
    app.add_node(fold_line, html=_as_tag("summary"))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


# What a reader unfolds


class fold(nodes.General, nodes.Element):  # noqa: N801
    """A `fold_line`, and what it stands for."""


class fold_line(nodes.General, nodes.TextElement):  # noqa: N801
    """The line that opens a `fold`; it is translated like a paragraph."""


class Fold(SphinxDirective):
    """Folds its content under the line that is its argument."""

    has_content = True
    required_arguments = 1
    final_argument_whitespace = True

    def run(self):
        """Return the fold."""
        texts, messages = self.parse_inline(self.arguments[0])
        line = fold_line(self.arguments[0], "", *texts)
        line.source, line.line = self.get_source_info()
        folded = fold("", line)
        self.state.nested_parse(self.content, self.content_offset, folded)
        return [folded, *messages]


def _as_tag(tag):
    def visit(translator, node):
        translator.body.append(translator.starttag(node, tag))

    def depart(translator, node):
        translator.body.append(f"</{tag}>\n")

    return visit, depart


# The page


def rewrite(app, docname, source):
    """Change the text of a lesson's page before Sphinx reads it."""
    for lesson in lessons.find():
        if docname == f"gallery/{lesson.name}":
            for name in SOURCES:
                app.env.note_dependency(str(HERE / name))
            typesets, data = app.config.html_math_renderer != "text", "data: scikit-learn's digits"
            data = "data: " if app.builder.name == "gettext" else data  # a catalogue has the texts of every build
            source[0] = page(source[0], lesson, typesets, on_digits=data in source[0])


def page(text, lesson, typesets, on_digits):
    """Return a lesson's page, given what sphinx-gallery has written; without MathJax, equations stay as typed."""
    opening, *cells = re.split(r"\.\. GENERATED FROM PYTHON SOURCE LINES .*\n", text)
    explained, cells[-1] = _taken_out(EXPLAINED, cells[-1])
    figures, cells[-1] = _taken_out(FIGURE, cells[-1])
    cells[-1] = re.sub(r"(?m)^(?=\.\. _sphx_glr_download)", lambda _: _questions(lesson), cells[-1])
    for number, cell in enumerate(cells[:-1]):
        if cell.strip().startswith("Backward\n"):
            cells[number + 1] += "".join(_explanation(match[0]) for match in explained)
        if cell.strip().startswith("Plot and main\n"):
            cells[number + 1] = _fold(
                "The code of the figure, of the options and of what is printed", cells[number + 1]
            )

    opening = _headed(opening, lesson, WITHOUT_MNIST if on_digits else "")
    if typesets:
        opening = re.sub(EQUATIONS, _typeset, opening, count=1)
    pictures = "".join(_picture(match["file"], match["text"]) for match in figures)
    if on_digits:
        of_mnist = _picture(f"/../figures/{lesson.name}.png", f"{lesson.title}: {seen(lesson)}")
        pictures = f"On MNIST:\n\n{of_mnist}On the digits, in the run of this page:\n\n{pictures}"
    beside = pictures + _links(lesson)
    opening = re.sub(rf"(?m)^{lessons.SEEN}(?:.+\n)+\n", lambda match: match[0] + beside, opening, count=1)
    return opening + "".join(cells)


def _taken_out(pattern, text):
    """Return the matches of the pattern, and the text without them."""
    return [*re.finditer(pattern, text)], re.sub(pattern, "", text)


def _headed(opening, lesson, notice):
    """Put the lesson's number before its title, and a notice after it."""
    titles = (lesson.title, f"{lesson.name[:2]} {lesson.title}")
    plain, numbered = (f"\n{title}\n{'=' * len(title)}\n" for title in titles)
    return opening.replace(plain, f"{numbered}\n{notice}", 1)


def _typeset(match):
    try:
        tex = equations.typeset(match["block"])
    except equations.NoFormula:  # tests/test_equations.py says which
        return match[0]
    groups = re.findall(r"\\begin{align\*}.*?\\end{align\*}", tex, re.DOTALL)
    return match["sentence"] + "\n\n" + "".join(f".. math::\n   :nowrap:\n\n{_indented(one)}\n\n" for one in groups)


def _picture(file, text):
    """Show a picture in the width of the page. Sphinx lets a picture with a width lead to its full size."""
    sharp = f"{file.removesuffix('.png')}_2_00x.png"
    file = sharp if (HERE / sharp.lstrip("/")).is_file() else file
    return f".. image:: {file}\n   :alt: {text}\n   :width: 100%\n   :class: lesson-figure\n\n"


def _explanation(output):
    code = f".. code-block:: none\n\n{output}\n"
    return ".. rst-class:: on-paper\n\n" + _fold("Each line with its numbers: what ``--explain`` prints", code)


def _fold(line, content):
    return f".. fold:: {line}\n\n{_indented(content)}\n\n"


def _indented(text):
    return textwrap.indent(text.strip("\n"), "   ")


def _links(lesson):
    """Return a line of links to what else there is about a lesson."""
    number = lesson.name[:2]
    links = [":ref:`Three questions <predict-" + number + ">`"]
    if f".. _derivation-{number}:\n" in (HERE / "derivations.rst").read_text(encoding="utf-8"):
        links.append(f":ref:`the derivation <derivation-{number}>`")
    erratum = _first_erratum(lesson)
    if erratum:
        links.append(f"`the mistakes in its document <../errata.html#{erratum}>`__")
    if number in making.EXERCISES or number == making.FIND:
        links.append(_exercise(number))
    if number in STEPPED:
        links.append(":doc:`one update, step by step </stepper>`")
    return f".. rst-class:: lesson-links\n\n{' · '.join(links)}\n\n"


def _exercise(number):
    """Return the link to a lesson's exercise, and to its notebook where there is only one."""
    from exercises import link

    notebook = "" if number == making.FIND else f" ({link(number)})"
    return f":doc:`the exercise </practice>`{notebook}"


def _first_erratum(lesson):
    """Return the place in docs/errata.rst of the first mistake that a lesson puts right, or None."""
    heading = None
    lines = (HERE / "errata.rst").read_text(encoding="utf-8").splitlines()
    for line, after in itertools.pairwise(lines):
        if after and set(after) == {"-"}:
            heading = line
        if line.startswith(":Put right in:") and lesson.name in line:
            return nodes.make_id(heading)
    return None


def _questions(lesson):
    """Return the questions that are answered before the lesson is run, with folded answers."""
    number = lesson.name[:2]
    text = f".. _predict-{number}:\n\nPredict first\n-------------\n\n{questions.BEFORE}\n\n"
    for one in questions.QUESTIONS[number]:
        text += f"#. {one.question}\n\n{_indented(_fold('Answer', one.answer))}\n\n"
    return text
