"""The cards of the home page, and what a page needs beside its text: a description, links, tables for a phone."""

import html
import re
import statistics

from benchmarks import results
from tf_backprop.support import lessons
from tools import readme

import numpy as np
from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from PIL import Image
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

ROOT = lessons.SCRIPTS.parent
PANELS = ROOT / "docs" / "_build" / "panels"

logger = logging.getLogger(__name__)


class LessonCard(SphinxDirective):
    """A lesson's card: one panel of its figure or some lines of its code, its title and question, how long it takes.

    ``panel`` is the part of the committed figure to show: left, top, right, bottom in per cent. ``code`` is what the
    first and the last line contain, with a slash between. ``after`` names the lessons to read first. The texts are
    paragraphs of the page, so that they can be translated like any others.
    """

    required_arguments = 1
    option_spec = {  # noqa: RUF012
        "panel": lambda text: [float(part) for part in text.split()],
        "code": lambda text: text.split(" / "),
        "after": directives.unchanged,
    }

    def run(self):
        """Return the nodes of the card."""
        (lesson,) = lessons.select([self.arguments[0]])
        figure = ROOT / "figures" / f"{lesson.name}.png"
        for source in (lesson.path, figure, results.FILE, readme.__file__, __file__):
            self.env.note_dependency(source)
        seconds = seconds_to_run(lesson)
        facts = "{read} min to read." if seconds is None else "{read} min to read, {run} s to run."
        facts += " Read {after} first." if "after" in self.options else ""
        shown = self.code(lesson) if "code" in self.options else self.panel(lesson, figure)
        text = f"""
{shown}

:doc:`{lesson.name[:2]} {lesson.title} </gallery/{lesson.name}>`

{lesson.question}

{facts}"""
        card = nodes.container(classes=["card", "lesson-card"])
        self.state.nested_parse(StringList(text.splitlines(), self.get_source_info()[0]), self.content_offset, card)
        comma = "、" if self.env.config.language == "zh_CN" else ", "
        card[-1]["facts"] = {
            "read": f"{readme.minutes_to_read(lesson):.0f}",
            "run": f"{seconds or 0:.0f}",
            "after": comma.join(self.options.get("after", "").split()),
        }
        return [card]

    def panel(self, lesson, figure):
        """Cut the panel out of the figure, and return the RST that shows it."""
        PANELS.mkdir(parents=True, exist_ok=True)
        panel, cut = crop(Image.open(figure).convert("RGB"), self.options["panel"])
        panel.save(PANELS / figure.name)
        if cut:
            where = self.get_location()
            logger.warning("the panel of %s cuts through what the figure shows", lesson.name, location=where)
        return f".. image:: /_build/panels/{figure.name}\n   :alt: {lesson.title}: {lesson.question}"

    def code(self, lesson):
        """Return the RST that shows the lines of the lesson's code."""
        first, last = self.options["code"]
        options = f":language: python\n   :start-at: {first}\n   :end-at: {last}\n   :dedent:"
        return f".. literalinclude:: ../scripts/{lesson.name}.py\n   {options}"


def crop(figure, box):
    """Return a part of a figure, `box` in per cent, without its white margin, and whether the part cuts through it."""
    pixels = np.asarray(figure)
    height, width, _ = pixels.shape
    left, top, right, bottom = np.round(np.multiply(box, [width, height, width, height]) / 100).astype(int)
    part = pixels[top:bottom, left:right]
    inked = (part < 250).any(axis=-1)  # (height, width)
    cut = bool(inked[0].any() or inked[-1].any() or inked[:, 0].any() or inked[:, -1].any())
    (top, *_, bottom), (left, *_, right) = (np.flatnonzero(inked.any(axis=axis)) for axis in (1, 0))
    return Image.fromarray(part[top : bottom + 1, left : right + 1]), cut


def seconds_to_run(lesson):
    """Return the median wall time of the lesson's whole process, or None if ``make bench`` has not measured it yet."""
    measured = {process["name"]: statistics.median(process["seconds"]) for process in results.read()["processes"]}
    return measured.get(lesson.name)


def fill_in_facts(app, doctree):
    """Put the numbers into the cards' last paragraphs, after these have been translated."""
    for paragraph in doctree.findall(lambda node: isinstance(node, nodes.paragraph) and "facts" in node):
        text = paragraph.astext().format(**paragraph["facts"])
        paragraph.clear()
        paragraph += nodes.Text(text)


def link_to_pages(app, docname, source):
    """Let a link to a lesson's script, which is what a code host needs, lead to the lesson's page on the site."""
    source[0] = re.sub(r"\]\(\.\./scripts/(\d\d_\w+)\.py\)", r"](gallery/\1.rst)", source[0])


def describe(app, pagename, templatename, context, doctree):
    """Give search engines the first paragraph of a page as its description: that of a lesson is its question."""
    if doctree is None or "description" in context["metatags"]:
        return
    own = (node for node in doctree.findall(nodes.paragraph) if isinstance(node.parent, nodes.section | nodes.document))
    text = shortened(" ".join(next(own, nodes.paragraph()).astext().split()))
    if text:
        context["metatags"] += f'\n<meta name="description" content="{html.escape(text)}">\n'


def shortened(text, most=160):
    """Return a text up to the end of a sentence, or else of a word, within what a search engine shows."""
    if len(text) <= most:
        return text
    end = max(text.rfind(stop, 0, most) + 1 for stop in (". ", "? ", "。"))
    return text[:end] if end else text[: text.rfind(" ", 0, most)] + "…"


def label_cells(translator, node):
    """Write the header of a cell's column into the cell, because a phone shows a wide table's rows as blocks."""
    type(translator).visit_entry(translator, node)
    row, group = node.parent, node.parent.parent
    head = next(iter(group.parent.findall(nodes.thead)), None)
    if head is not None and isinstance(group, nodes.tbody):
        label = html.escape(head[0][row.index(node)].astext())
        translator.body[-1] = translator.body[-1].replace("<td", f'<td data-label="{label}"', 1)


def setup(app):
    """Register with Sphinx."""
    app.add_directive("lesson-card", LessonCard)
    app.add_node(nodes.entry, override=True, html=(label_cells, lambda self, node: type(self).depart_entry(self, node)))
    app.add_css_file("pages.css")
    app.connect("source-read", link_to_pages)
    app.connect("doctree-read", fill_in_facts)
    app.connect("html-page-context", describe)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
