"""The Chinese site: every text is translated, says the same in the same terms, and stands on the page."""

import csv
import re
from collections import Counter
from pathlib import Path

from tf_backprop.support import lessons
from tools import catalogues

import pytest

HTML = catalogues.DOCS / "_build" / "html"

ALL = {
    path.relative_to(catalogues.CATALOGUES).with_suffix("").as_posix() for path in catalogues.CATALOGUES.rglob("*.po")
} - {"sphinx"}  # what the theme leaves in English

PAGES = pytest.mark.parametrize("page", sorted(ALL))
TEXTS = pytest.mark.parametrize("page", [*sorted(ALL), "messages"])  # those of the check and of practice too

with (Path(__file__).parent / "data" / "glossary.csv").open(encoding="utf-8", newline="") as file:
    GLOSSARY = list(csv.DictReader(file))

#: Where an English word is not the term: the page, the word, and the beginning of the text.
OTHER_SENSES = {
    ("errata", "label", "Every label is one too low."),
    ("gallery/14_mnist_softmax_distributed", "cost", "What you should see"),
    ("messages", "activation", "with activation="),  # the names of arguments
    ("messages", "gradient", "gradients returns"),
    ("messages", "gradient", "the parameters are a {ours}, so gradients"),
    ("messages", "gradient", "Two calls of gradients"),
}

HAN = r"[\u3400-\u9fff]"
MARKUP = {  # what is written between signs, and must be the same on both sides
    "code": r"``(?:[^`]|`(?!`))+``|(?<![:`\w])`[^`]+`(?![`_])",
    "role": r"(?::[\w:]+:|\{\w+\})`(?:[^`<]*<([^>]+)>|([^`]+))`",
    "link": r"\]\(([^)]*)\)",
    "address": r"<(https?://[^>]+)>",
    "name": r"\|\w+\|",
    "placeholder": r"\{\w+(?::[.\w]+)?\}",
}


TEX_TEXT = r"\\text\{((?:[^{}]|\{[^{}]*\})*)\}"


def messages(page):
    path = catalogues.MESSAGES if page == "messages" else catalogues.CATALOGUES / f"{page}.po"
    return [message for message in catalogues.read(path) if message.id]


def parts(kind, text):
    """Return how often each piece of markup of one kind occurs in `text`."""
    if text.startswith("\\begin"):
        return Counter()  # an equation in TeX: its signs are compared below
    if kind in ("code", "placeholder"):
        text = re.sub(rf"{MARKUP['role']}|`[^`]+`_", "", text)
    return Counter("".join(found.groups(default="")) or found[0] for found in re.finditer(MARKUP[kind], text))


def words(text):
    """Return the text without what is code, a formula, or the target of a link."""
    if text.startswith("\\begin"):
        return " ".join(re.findall(TEX_TEXT, text))
    text = re.sub(r":\w+:`[^`<]*`|:math:`[^`]*`", "·", text)
    text = re.sub(r"(?::\w+:)?`([^`<]*?) *<[^>]*>`_*", r"\1", text)
    text = re.sub(MARKUP["code"], "·", text)
    text = re.sub(rf'"[^"]*{HAN}[^"]*"|《[^》]*》', "", text)  # the titles of the documents
    text = re.sub(r"[\w-]+(?=\()", "", text)  # functions
    return re.sub(MARKUP["link"], "]", text)


def signs(equation):
    """Return how often each sign and number occurs in a line of an equation, in plain text or TeX, without words."""
    equation = re.sub(TEX_TEXT, " ", equation) if "&" in equation else equation  # TeX
    return Counter(re.findall(r"\d+|(?!(?<=[a-z])-[a-z])[^\w\s,.;:，。；：（）]", re.sub(HAN, "", equation), re.ASCII))


def test_each_page_has_a_catalogue():
    pages = {path.stem for path in catalogues.DOCS.iterdir() if path.suffix in (".rst", ".md")}
    assert pages | {"gallery/index", *(f"gallery/{lesson.name}" for lesson in lessons.find())} == ALL


@TEXTS
def test_every_text_is_translated(page):
    assert [message.id for message in messages(page) if not message.string or message.fuzzy] == []


@TEXTS
def test_markup_numbers_and_formulas_are_the_same(page):
    wrong = []
    for message in messages(page):
        english, chinese = message.id, message.string
        wrong += [(kind, chinese) for kind in MARKUP if parts(kind, english) != parts(kind, chinese)]
        for kind, pattern in {
            "number": r"(?<![A-Za-z\d.,_])\d+(?:[.,]\d+)*",
            "formula": r"d\w+/d\w+|[α-ωΑ-Ω∂√½²ᵀ]|\w*[a-z]_\w+",
            "shape": r"\(\w+, ?\w*\)",
            "emphasis": r"\*+",
            "name": r"\b(?:TensorFlow|NumPy|Keras|MNIST|Python|Adam|XLA|JAX|PyTorch|[A-Za-z]\d)\b",
        }.items():
            found = [Counter(re.findall(pattern, words(text), re.ASCII)) for text in (english, chinese)]
            once = found if kind in ("number", "emphasis") else [set(counted) for counted in found]
            if once[0] != once[1]:
                wrong.append((kind, chinese, once[0] - once[1], once[1] - once[0]))
        if "\n" in english and page.startswith("gallery/"):  # the equations of a lesson
            lines = zip(english.split("\n"), chinese.split("\n"), strict=True)
            wrong += [("equation", *pair) for pair in lines if signs(pair[0]) != signs(pair[1])]
    assert wrong == []


def other_sense(page, word, text):
    return any((page, word) == sense[:2] and text.startswith(sense[2]) for sense in OTHER_SENSES)


@TEXTS
def test_each_term_has_one_rendering(page):
    wrong = []
    for message in messages(page):
        english, chinese = words(message.id), words(message.string)
        for term in GLOSSARY:  # the longer terms come first, and a term is looked for in what they leave
            spelling = term["english"].replace("-", "[- ]?").replace(" ", r"\s+")
            pattern = rf"(?<![\w-]){spelling}(?:s|es|d)?(?![\w-]|\.\w)"
            english, found = re.subn(pattern, "·", english, flags=re.IGNORECASE)
            kept = message.string == message.id or other_sense(page, term["english"], message.id)
            if found and not kept and term["chinese"].lower() not in message.string.lower():
                wrong.append(f"{term['english']}: {term['chinese']}: {chinese}")
            if term["not"] and term["not"] in chinese:
                wrong.append(f"{term['chinese']}, not {term['not']}: {chinese}")
    assert wrong == []


@TEXTS
def test_no_latin_word_is_in_chinese_alone(page):
    """A name is not misspelt, as in "tan" for "tanh": the English text has each Latin word of the Chinese one."""
    wrong = []
    for message in messages(page):
        english = {word.casefold() for word in re.findall(r"[A-Za-z]+", message.id)}
        chinese = re.sub(r"“[^”]*”|（[A-Za-z -]*）", "", message.string)  # quotations, and terms in English
        found = {word.casefold() for word in re.findall(r"[A-Za-z]+", chinese)} - {"gb", "gzip"}
        wrong += [(word, chinese) for word in found if not {word, f"{word}s"} & english]
    assert wrong == []


def badly_typeset(text):
    """Return what in `text` is not as Chinese is typeset: the rule, and where."""
    rules = {
        "您, 请, 进行": r"[您请]|进行",
        "a space between Chinese and Latin": rf"{HAN}[A-Za-z0-9]|[A-Za-z0-9%]{HAN}",
        "a space between Chinese and markup": rf"{HAN}`|`{HAN}",
        "one space": r"\S  +\S",
        "Chinese punctuation": rf"{HAN} ?(?:[,;:?!](?![\w/])|\.(?!\w)|\.\.\.|\((?=[A-Za-z]{{3}})|[\"'])|[(\"']{HAN}",
        "Chinese punctuation before Chinese": rf"(?<!\(n)[,;:?!] ?{HAN}",
        "no space beside Chinese punctuation": r"\S [，。：；！？、（）“”]|[，。：；！？、（）] (?=\S)",
        "no Chinese punctuation in a shape": r"\(\w+，",
    }
    shown = re.findall(r":\w+:`([^`<]*[^`< ]) *<", text)  # the texts of links
    text = re.sub(r"(?::\w+:)?`+[^`]+`+", "`·`", text)
    return [
        (rule, found[0], text)
        for rule, pattern in rules.items()
        for part in (text, *shown)
        for found in re.finditer(pattern, part)
    ]


@TEXTS
def test_chinese_is_typeset_as_chinese(page):
    texts = (re.sub(r" {2,}", " ", m.string) if "\n" in m.id else m.string for m in messages(page))
    assert [wrong for text in texts for wrong in badly_typeset(text)] == []


def test_the_readme_is_typeset_as_chinese_and_has_the_terms():
    readme = (catalogues.DOCS.parent / "README.zh-CN.md").read_text(encoding="utf-8")
    readme = re.sub(r"```.*?```|<!--.*?-->", "", readme, flags=re.DOTALL)
    texts = [text.strip() for line in readme.splitlines() for text in line.split("|")]
    assert [wrong for text in texts for wrong in badly_typeset(text)] == []
    assert [term["not"] for term in GLOSSARY if term["not"] and term["not"] in readme] == []


# The built pages


@pytest.fixture(scope="module")
def chinese():
    """Return the folder of the Chinese pages."""
    if not (HTML / "zh" / "index.html").exists():
        pytest.skip("the site is not built: make docs")
    return HTML / "zh"


def texts_of(path):
    """Return the language of a built page, and its headings, paragraphs, cells and alternative texts without code."""
    bs4 = pytest.importorskip("bs4", reason="needs Beautiful Soup: pip install -e .[docs]")
    page = bs4.BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
    for code in page.select("pre, code, script, style, body [lang=en], mjx-container, .math"):
        code.decompose()
    blocks = page.select("h1, h2, h3, p, li, dt, dd, figcaption, button, td, th, label, .sphx-glr-thumbnail-title")
    found = [block.get_text(" ", strip=True) for block in blocks if not block.select("p, li, dd, dt, table")]
    named = page.select("article [title], article [aria-label], article [tooltip], article [alt], nav [aria-label]")
    attributes = [element.get(name, "") for element in named for name in ("title", "aria-label", "tooltip", "alt")]
    return page.html["lang"], [re.sub(r"\s+", " ", text) for text in (*found, *attributes)]


@pytest.mark.slow
@PAGES
def test_no_text_on_a_chinese_page_is_english(chinese, page):
    language, texts = texts_of(chinese / f"{page}.html")
    assert language == "zh-CN"
    sentence = re.compile(r"(?:\b[A-Za-z][a-z]+\b[,.;:]? ){3}\b[a-z]+")
    assert [text for text in texts if sentence.search(text) and not re.search(HAN, text)] == []
    assert [text for text in texts if re.search(r":\w+:`|``", text)] == []  # markup that stayed as it is written
    seen = [m.id.removeprefix(lessons.SEEN).strip()[1:50] for m in messages(page) if m.id.startswith(lessons.SEEN)]
    assert [text for text in texts if any(english in text for english in seen)] == []  # the text of MNIST's figure


@pytest.mark.slow
@PAGES
def test_the_english_page_stays_english(chinese, page):
    language, _ = texts_of(HTML / f"{page}.html")
    assert language == "en"
