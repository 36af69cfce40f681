"""The built site in a real browser: clean, complete, usable at every width, in the light and in the dark."""

import base64
import json
import re
import time

from browsing import complaints, media, resize
from tf_backprop.support import lessons

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.slow

LESSON = "gallery/07_two_layer_network.html"


def pages(html):
    return [str(path.relative_to(html)) for path in sorted(html.rglob("*.html")) if "_static" not in path.parts]


def open_page(browser, address):
    """Open a page and wait until its scripts have run, equations and search included."""
    browser.get(address)
    browser.execute_async_script(
        "const done = arguments[0]; const typeset = window.MathJax?.startup?.promise ?? Promise.resolve();"
        "typeset.then(() => document.fonts.ready).then(() => requestAnimationFrame(() => setTimeout(done, 50)));"
    )


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError("waited in vain")


BROKEN = """
return [
  ...[...document.images].filter(i => !(i.complete && i.naturalWidth && i.alt)).map(i => "image " + i.src),
  ...[...document.querySelectorAll("span.math, div.math")].filter(m => !m.querySelector("mjx-container") ||
      m.querySelector("mjx-merror, [data-mml-node=merror]")).map(m => "equation " + m.textContent),
];
"""

CUT_OFF = """
const scrolls = e => ["auto", "scroll"].includes(getComputedStyle(e).overflowX)
    && !e.querySelector("h1");  // a box of its own, and not what holds the whole page
const inScroller = e => e && (scrolls(e) || inScroller(e.parentElement));
const shown = e => e.checkVisibility({visibilityProperty: true, opacityProperty: true})
    && !e.closest("dialog:not([open]), .visually-hidden");
const textOf = e => {  // of the element's own words, which may be wider than its box
  const range = document.createRange();
  return [...e.childNodes].filter(n => n.nodeType === Node.TEXT_NODE && n.textContent.trim())
    .flatMap(n => { range.selectNode(n); return [...range.getClientRects()]; });
};
const outside = box => box.width > 1 && (box.right > innerWidth + 1 || box.left < -1);
const wide = [...document.querySelectorAll("main *, header *, footer *")]
  .filter(e => [e.getBoundingClientRect(), ...textOf(e)].some(outside) && !inScroller(e) && shown(e));
if (document.documentElement.scrollWidth > innerWidth) wide.push(document.documentElement);
return wide.map(e => e.tagName + "." + e.className + ": " + e.textContent.slice(0, 40));
"""


def test_every_page_is_clean_and_whole_and_nothing_is_cut_off(browser, site, html):
    wrong = {}
    for page in pages(html):
        open_page(browser, f"{site}/{page}")
        wrong[page] = complaints(browser, site) + browser.execute_script(BROKEN)
        for width in (420, 1280):
            resize(browser, width, 900)
            wrong[page] += [f"{width} px: {found}" for found in browser.execute_script(CUT_OFF)]
    assert {page: found for page, found in wrong.items() if found} == {}


def test_home_has_a_card_for_every_lesson_in_reading_order(browser, site):
    open_page(browser, f"{site}/index.html")
    cards = browser.find_elements("css selector", ".lesson-card a")
    assert [card.text.replace("’", "'") for card in cards] == [
        f"{lesson.name[:2]} {lesson.title}" for lesson in lessons.find()
    ]
    assert len(browser.find_elements("css selector", ".lesson-card > :is(img, div):first-child")) == len(cards)
    panels = browser.find_elements("css selector", ".lesson-card img")
    assert len(panels) > len(cards) / 2
    for panel in panels:
        assert panel.size["width"] > 300
        assert panel.size["width"] > panel.get_property("naturalWidth") / 2, "the text in the picture can be read"
    cards[6].click()
    assert browser.current_url == f"{site}/{LESSON}"


def test_the_code_on_a_card_is_the_lesson_s_and_all_of_it_is_seen(browser, site):
    for width in (1280, 380):
        resize(browser, width, 900)
        open_page(browser, f"{site}/index.html")
        codes = browser.find_elements("css selector", ".lesson-card pre")
        assert "dL_dz = (p - onehot) / n" in [line.rstrip() for code in codes for line in code.text.splitlines()]
        for code in codes:
            assert "#" not in code.text
            assert code.get_property("scrollWidth") <= code.get_property("clientWidth")


def test_on_a_phone_home_shows_the_graph_alone_and_large(browser, site):
    resize(browser, 380, 900)
    open_page(browser, f"{site}/index.html")
    picture = browser.find_element("css selector", ".hero img")
    assert picture.size["height"] > 0.8 * picture.size["width"]


def test_the_list_of_the_lessons_has_no_pictures(browser, site):
    open_page(browser, f"{site}/gallery/index.html")
    assert len(browser.find_elements("css selector", ".sphx-glr-thumbcontainer a")) == len(lessons.find())
    assert not browser.find_elements("css selector", "article img")


@pytest.mark.parametrize("page", ["teaching.html", "practice.html"])
def test_an_option_is_not_broken_after_its_hyphens(browser, site, page):
    heights = """return [...document.querySelectorAll("article code .pre")].filter(e => /^--\\w+$/.test(e.textContent))
      .map(e => e.getBoundingClientRect().height)"""
    open_page(browser, f"{site}/{page}")
    for width in range(320, 460, 5):  # somewhere here each meets the end of a line
        resize(browser, width, 900)
        options = browser.execute_script(heights)
        assert len(options) > 2
        assert max(options) < 1.5 * min(options), width


def test_an_equation_in_a_sentence_has_no_scroll_bar(browser, site):
    for width in (1280, 380):
        resize(browser, width, 900)
        open_page(browser, f"{site}/derivations.html")
        styles = browser.execute_script(
            """return [...document.querySelectorAll("mjx-container:not([display])")]
              .map(e => [getComputedStyle(e).overflowX, e.getBoundingClientRect().right])"""
        )
        assert len(styles) > 10
        for overflow, right in styles:
            assert (overflow, right <= width) == ("visible", True)


def test_the_stepper_is_the_first_thing_to_do(browser, site):
    open_page(browser, f"{site}/index.html")
    assert browser.find_element("css selector", ".bd-header nav li a").text == "Step by step"
    browser.find_element("link text", "Step through one update").click()
    assert browser.current_url == f"{site}/stepper.html"
    following = browser.find_element("css selector", "a.right-next")
    assert following.get_attribute("href") == f"{site}/gallery/index.html"


LONGEST_LINES = """
const longest = paragraph => {
  const lines = new Map(), range = document.createRange();
  const walker = document.createTreeWalker(paragraph, NodeFilter.SHOW_TEXT);
  for (let node; node = walker.nextNode();)
    for (let i = 0; i < node.length; i++) {
      range.setStart(node, i); range.setEnd(node, i + 1);
      const box = range.getClientRects()[0], y = box && Math.round(box.bottom / 12);  // half a line
      if (box) lines.set(y, (lines.get(y) ?? 0) + 1);
    }
  return lines.size > 1 ? [Math.max(...lines.values())] : [];
};
return [...document.querySelectorAll("article p")]
  .filter(p => p.checkVisibility() && !p.closest("table, .card, li") && !p.querySelector("img, code, mjx-container"))
  .flatMap(longest);
"""


@pytest.mark.parametrize("page", ["index.html", "teaching.html", "errata.html", "ledger.html", LESSON])
def test_lines_of_prose_are_short(browser, site, page):
    open_page(browser, f"{site}/{page}")
    lines = browser.execute_script(LONGEST_LINES)
    assert len(lines) >= 3
    assert 60 < np.median(lines) <= 75
    assert max(lines) <= 85  # where many letters are narrow


@pytest.mark.parametrize("page", ["tf1-to-tf2.html", "ledger.html"])
def test_a_table_fits_and_is_blocks_on_a_phone(browser, site, page):
    shape = """return [...document.querySelectorAll("article table")].map(t => [
      t.getBoundingClientRect().right, t.closest("article").getBoundingClientRect().right,
      getComputedStyle(t.rows[1]).display, getComputedStyle(t.rows[1].cells[1], "::before").content])"""
    for width, display in ((1280, "table-row"), (768, "table-row"), (380, "block")):
        resize(browser, width, 900)
        open_page(browser, f"{site}/{page}")
        tables = browser.execute_script(shape)
        assert tables
        for right, limit, shown, label in tables:
            assert right <= limit + 1, width
            assert shown == display
            labels = ('"TensorFlow 2: "', '"published: "', '"quantity: "')
            assert label in (labels if display == "block" else ("none",))


def test_the_copy_button_copies_exactly_the_code(browser, site):
    parser = pytest.importorskip("sphinx_gallery.py_source_parser")
    _, blocks = parser.split_code_and_text_blocks(str(lessons.SCRIPTS / "07_two_layer_network.py"))
    browser.execute_cdp_cmd(
        "Browser.grantPermissions", {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"], "origin": site}
    )
    open_page(browser, f"{site}/{LESSON}")
    browser.execute_script("for (const folded of document.querySelectorAll('details')) folded.open = true")
    buttons = browser.find_elements("css selector", ".highlight-Python button.copybtn")
    code = [block.content.strip("\n") for block in blocks if block.type == "code"]
    assert len(buttons) == len(code) >= 6
    for button, expected in zip(buttons, code, strict=True):
        browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", button)
        button.click()
        read = "const done = arguments[0]; navigator.clipboard.readText().then(done, e => done(String(e)))"
        assert browser.execute_async_script(read).strip("\n") == expected
    assert not browser.find_elements("css selector", ".sphx-glr-script-out button.copybtn")


@pytest.mark.parametrize(
    ("words", "page", "first"),
    [
        ("Himmelblau", "gallery/05_himmelblau.html", True),
        ("backpropagation", "glossary.html", False),
        ("broadcast", "gallery/13_wrong_gradients.html", False),
        ("softmax gradient", "gallery/11_mnist_softmax_hand_derived.html", False),
        ("学习率", "glossary.html", True),
    ],
)
def test_search_finds(browser, site, words, page, first):
    open_page(browser, f"{site}/search.html")
    field = browser.find_element("css selector", "main input[name=q], .bd-content input[name=q]")
    field.send_keys(words)
    field.submit()
    wait_for(lambda: browser.execute_script("return typeof Search == 'object' && Search.status?.innerText"))
    links = browser.find_elements("css selector", "#search-results li > a")
    found = [link.get_attribute("href").partition("?")[0].partition("#")[0] for link in links]
    assert f"{site}/{page}" in (found[:1] if first else found[:8])


def test_every_page_has_a_title_and_a_description_of_its_own(html):
    heads = {}
    for page in pages(html):
        text = (html / page).read_text(encoding="utf-8")
        (title,) = re.findall("<title>(.*?)</title>", text, re.DOTALL)
        assert "tf-backprop: back-propagation in TensorFlow 2" in title
        if not page.endswith(("genindex.html", "search.html")):
            (heads[page],) = re.findall('<meta name="description" content="(.*?)"', text)
            least = 10 if page.startswith("zh/") else 30  # Chinese takes half as many characters
            assert least < len(heads[page]) < 200, page  # with &quot; and the like
    assert len(set(heads.values())) == len(heads)
    (lesson,) = lessons.select(["07"])
    assert heads[LESSON] == lesson.question


def test_the_notebook_link_downloads_a_valid_notebook(browser, site):
    nbformat = pytest.importorskip("nbformat", reason="needs nbformat: pip install -e .[docs]")
    open_page(browser, f"{site}/{LESSON}")
    link = browser.find_element("css selector", ".sphx-glr-download-jupyter a")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", link)
    link.click()
    path = browser.downloads / "07_two_layer_network.ipynb"
    wait_for(lambda: path.exists() and path.stat().st_size)  # an empty one keeps its place until all is there
    notebook = nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
    nbformat.validate(notebook)
    assert notebook.cells[0].source == notebook.cells[0].source.strip()
    assert notebook.cells[-2].source.endswith("result = command.run(main)")


SHOWN = """
const shown = e => e.checkVisibility();
const holding = text => [...document.querySelectorAll("article pre, article details p")]
    .filter(e => e.textContent.includes(text)).map(shown);
return {main: holding("def main("), explanation: holding("line by line"), answer: holding("no weight ever moves"),
    menu: shown(document.querySelector(".bd-header")), output: holding("sgd       ends at")};
"""


def test_a_lesson_shows_its_long_code_when_asked_and_prints_as_a_hand_out(browser, site):
    open_page(browser, f"{site}/{LESSON}")
    folded = {"main": [False], "explanation": [False], "answer": [False], "menu": True, "output": [True]}
    assert browser.execute_script(SHOWN) == folded
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert browser.execute_script(SHOWN) == folded | {"explanation": [True], "menu": False}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    for summary in browser.find_elements("css selector", "article summary"):
        browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", summary)
        summary.click()
    assert browser.execute_script(SHOWN) == folded | {"main": [True], "explanation": [True], "answer": [True]}


def test_the_figure_of_a_lesson_leads_to_its_full_size(browser, site):
    open_page(browser, f"{site}/{LESSON}")
    picture = browser.find_element("css selector", "img.lesson-figure")
    assert picture.get_property("naturalWidth") > 1.5 * picture.size["width"]
    assert picture.find_element("xpath", "..").get_property("href") == picture.get_property("src")


def luminance(colour):
    r, g, b = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in colour))
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("page", ["index.html", LESSON, "errata.html"])
def test_text_can_be_read(browser, site, page, scheme):
    media(browser, scheme)
    open_page(browser, f"{site}/{page}")
    assert browser.execute_script("return document.documentElement.dataset.theme") == scheme
    texts = browser.execute_script(
        """const solid = e => { const c = getComputedStyle(e).backgroundColor;
             return /rgba\\(.*, 0\\)/.test(c) && e.parentElement ? solid(e.parentElement) : c; };
           const found = [...document.querySelectorAll("article :is(p, li, h1, h2, a, td, dd, pre, pre span)")];
           return found.filter(e => e.textContent.trim() && e.checkVisibility())
             .map(e => [e.textContent.trim().slice(0, 30), getComputedStyle(e).color, solid(e)]);"""
    )
    faint = set()
    for text, *colours in texts:
        one, other = sorted(luminance([float(v) for v in re.findall(r"[\d.]+", c)[:3]]) for c in colours)
        if (other + 0.05) / (one + 0.05) < 4.5:  # what WCAG 2 asks of text
            faint.add((text, *colours))
    assert len(texts) > 20
    assert faint == set()


@pytest.mark.parametrize(("page", "width", "scheme"), [("index.html", 1280, "light"), (LESSON, 420, "dark")])
def test_screenshots_to_look_at(browser, site, page, width, scheme, tmp_path):
    media(browser, scheme)
    resize(browser, width, 900)
    open_page(browser, f"{site}/{page}")
    height = browser.execute_script("return document.documentElement.scrollHeight")
    resize(browser, width, height)
    path = tmp_path / f"{page.replace('/', '-').removesuffix('.html')}-{width}-{scheme}.png"
    path.write_bytes(base64.b64decode(browser.execute_cdp_cmd("Page.captureScreenshot", {})["data"]))
    pixels = np.asarray(Image.open(path).convert("L"))
    assert pixels.shape == (height, width)
    assert (np.median(pixels) > 200) == (scheme == "light")
    print(path)


def test_the_browser_tells_of_a_bad_page(chromium, site, html):
    """What all the tests here rely on: nothing of this kind goes unseen."""
    chromium.get("about:blank")
    complaints(chromium, site)
    chromium.get(f"{site}/index.html")
    chromium.execute_script(
        """console.error("wrong"); new Image().src = "/missing.png"; new Image().src = "http://127.0.0.2:9/x.png";"""
    )
    found = []
    signs = ("wrong", "404", "another host: http://127.0.0.2:9/x.png", "failed: http://127.0.0.2:9")
    wait_for(lambda: found.extend(complaints(chromium, site)) or all(sign in json.dumps(found) for sign in signs))
