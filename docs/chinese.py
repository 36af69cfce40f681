"""The site in two languages: ``make docs`` builds it in English, and from the same lessons' runs in Chinese.

The texts are in docs/locale, one catalogue per page, and ``python -m tools.catalogues`` keeps them. Sphinx translates
the paragraphs. This extension does what Sphinx cannot: it says which blocks have words, it translates what
sphinx-gallery writes as HTML, it links each page to itself in the other language, and it lets the search find Chinese.
"""

import functools
import html
import re
from pathlib import Path

from tf_backprop.support import lessons

from babel.messages.pofile import read_po
from docutils import nodes
from extension import seen
from sphinx import addnodes
from sphinx.search import SearchEnglish
from sphinx.transforms import SphinxTransform

CATALOGUES = Path(__file__).resolve().parent / "locale" / "zh_CN" / "LC_MESSAGES"

#: Pages whose tables hold measured numbers and quotations: the tables stay as they are.
TABLES_OF_NUMBERS = {"ledger", "speed"}


def setup(app):
    """Register with Sphinx."""
    app.add_transform(ChooseMessages)
    app.add_search_language(SearchWords)
    app.add_search_language(SearchChinese)
    app.connect("builder-inited", translate_theme)
    app.connect("doctree-resolved", translate_cards_and_figures)
    app.connect("html-page-context", link_other_language)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


# What is translated


class ChooseMessages(SphinxTransform):
    """Mark the equations of the lessons as text, and what has no words as none, before Sphinx looks for messages."""

    default_priority = 15

    def apply(self, **kwargs):
        """Mark the nodes of one page."""
        for node in self.document.findall(self.stays_english):
            if self.config.language == "zh_CN":
                node["classes"].append("language-en")  # for docutils, the attribute lang
            for text in node.findall(nodes.TextElement):
                text["translatable"] = False
        for node in self.document.findall(nodes.TextElement):
            if isinstance(node, nodes.literal_block):
                equations = self.env.docname.startswith("gallery/") and "language" not in node  # no code, no output
                if equations and self.has_words(node):
                    node["translatable"] = True
            elif not isinstance(node, nodes.Inline) and not self.has_words(node):
                node["translatable"] = False

    def stays_english(self, node):
        """Return whether `node` is a table of numbers."""
        return self.env.docname in TABLES_OF_NUMBERS and isinstance(node, nodes.table)

    def has_words(self, node):
        """Return whether `node` has words that a Chinese reader needs in Chinese."""
        if isinstance(node, nodes.math_block):
            return bool(re.search(r"\\(text|mbox)\{[^}]*[A-Za-z]{2}", node.astext()))
        return any(re.fullmatch(r"[A-Za-z][a-z'-]+[,.:;?!]*", word) for word in "".join(_texts(node)).split())


def _texts(node):
    """Yield the texts in `node`, without code, formulas and links that take the title of a page."""
    for child in node.children:
        if isinstance(child, nodes.Text):
            yield child.astext()
        elif isinstance(child, addnodes.pending_xref | addnodes.download_reference):
            yield child.astext() if child.get("refexplicit") else ""
        elif not isinstance(child, nodes.literal | nodes.math | nodes.raw):
            yield from _texts(child)


def translate_theme(app):
    """Translate the texts of the theme that are options; docs/locale has the others."""
    if app.config.language == "zh_CN":
        app.config.html_theme_options |= {"header_dropdown_text": "更多", "search_bar_text": "搜索"}


@functools.cache
def catalogue(page):
    """Return the Chinese text for each English one of `page`, as in gallery/01_regression."""
    path = CATALOGUES / f"{page}.po"
    if not path.exists():
        return {}
    with path.open("rb") as file:
        return {message.id: message.string for message in read_po(file) if message.string and not message.fuzzy}


def lesson_texts():
    """Return the Chinese for the title and the question of each lesson, and for what one should see."""
    texts = dict(catalogue("sphinx"))
    for lesson in lessons.find():
        found = catalogue(f"gallery/{lesson.name}")
        title = found.get(f"{lesson.name[:2]} {lesson.title}")
        if title:
            texts[lesson.title] = title.partition(" ")[2]
        if lesson.question in found:
            texts[lesson.question] = found[lesson.question]
        for english, chinese in found.items():
            if english.startswith(lessons.SEEN):
                text = re.sub("[`*]", "", chinese.partition("：")[2])
                texts[seen(lesson)] = text
                texts[seen(lesson).partition(". ")[0]] = text.partition("。")[0]
    return texts


def translate_cards_and_figures(app, doctree, docname):
    """Translate the cards, which are HTML, and the title before the description of each lesson's figure."""
    if app.config.language == "en":
        return
    texts = lesson_texts()
    for node in doctree.findall():
        if isinstance(node, nodes.raw) and node["format"] == "html":
            parts = re.split(r'(?<=[">])([^"<>]+)(?=["<])', node.astext())  # texts and attributes, and what is between
            node.children = [nodes.Text("".join(texts.get(html.unescape(part), part) for part in parts))]
        elif isinstance(node, nodes.Element) and ": " in node.get("alt", ""):
            title, _, rest = node["alt"].partition(": ")
            if title in texts:
                node["alt"] = f"{texts[title]}：{texts.get(rest, rest)}"


# The other language


def link_other_language(app, pagename, templatename, context, doctree):
    """Give the templates the address of this page in the other language."""
    if app.builder.format != "html":
        return
    chinese = app.config.language != "en"
    address = f"{context['content_root']}{'..' if chinese else 'zh'}/{pagename}.html"
    context["other_language"] = {"name": "English", "tag": "en"} if chinese else {"name": "中文", "tag": "zh-CN"}
    context["other_language"]["address"] = address
    alternate = f'<link rel="alternate" hreflang="{context["other_language"]["tag"]}" href="{address}">'
    context["metatags"] = context.get("metatags", "") + alternate


# Search


class SearchWords(SearchEnglish):
    """Finds "back-propagation" as one word too, as most people type it."""

    def split(self, input):
        """Return the words of a text, and the ones with a hyphen also without it."""
        return [*super().split(input), *(word.replace("-", "") for word in re.findall(r"\w+(?:-\w+)+", input))]


class SearchChinese(SearchWords):
    """Finds a phrase by its pairs of characters: Chinese has no spaces, and a browser does not know its words.

    Sphinx's own class needs jieba, which the browser has not, so that it finds only what jieba takes for one word. In
    Sphinx 9.0 it does not work at all.
    """

    lang = "zh"
    js_splitter_code = r"""
var splitQuery = (query) =>
  (query.match(/[\u3400-\u9fff]+|(?:(?![\u3400-\u9fff])[\p{Letter}\p{Number}_])+/gu) || []).flatMap((word) =>
    /[\u3400-\u9fff]/.test(word) && word.length > 2 ? [...word].slice(1).map((last, i) => word[i] + last) : [word]);
"""

    def split(self, input):
        """Return the Latin words, and the pairs of neighbours of the Chinese characters."""
        runs = re.findall(r"[\u3400-\u9fff]+", input)
        pairs = [run[i : i + 2] for run in runs for i in range(max(1, len(run) - 1))]
        return [*super().split(re.sub(r"[\u3400-\u9fff]+", " ", input)), *pairs]
