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


def wait_for(condition, seconds=10):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError("waited in vain")


def test_every_page_is_clean_and_whole(browser, site, html):
    wrong = {}
    for page in pages(html):
        open_page(browser, f"{site}/{page}")
        broken = browser.execute_script(
            """return [
              ...[...document.images].filter(i => !(i.complete && i.naturalWidth && i.alt)).map(i => "image " + i.src),
              ...[...document.querySelectorAll("span.math, div.math")].filter(m => !m.querySelector("mjx-container") ||
                  m.querySelector("mjx-merror, [data-mml-node=merror]")).map(m => "equation " + m.textContent),
            ]"""
        )
        if found := complaints(browser, site) + broken:
            wrong[page] = found
    assert wrong == {}


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


@pytest.mark.parametrize("width", [420, 1280])
def test_nothing_is_cut_off(browser, site, html, width):
    resize(browser, width, 900)
    wrong = {}
    for page in pages(html):
        open_page(browser, f"{site}/{page}")
        if found := browser.execute_script(CUT_OFF):
            wrong[page] = found
    assert wrong == {}


def test_home_has_a_card_for_every_lesson_in_reading_order(browser, site):
    open_page(browser, f"{site}/index.html")
    cards = browser.find_elements("css selector", ".sphx-glr-thumbcontainer a")
    assert [card.text.replace("’", "'") for card in cards] == [
        f"{lesson.name[:2]} {lesson.title}" for lesson in lessons.find()
    ]
    cards[6].click()
    assert browser.current_url == f"{site}/{LESSON}"


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


def test_search_finds_himmelblau(browser, site):
    open_page(browser, f"{site}/search.html")
    field = browser.find_element("css selector", "main input[name=q], .bd-content input[name=q]")
    field.send_keys("Himmelblau")
    field.submit()
    first = wait_for(lambda: browser.find_elements("css selector", "#search-results li a"))[0]
    assert "Himmelblau" in first.text
    first.click()
    assert "/gallery/05_himmelblau.html" in browser.current_url


def test_the_notebook_link_downloads_a_valid_notebook(browser, site):
    nbformat = pytest.importorskip("nbformat", reason="needs nbformat: pip install -e .[docs]")
    open_page(browser, f"{site}/{LESSON}")
    link = browser.find_element("css selector", ".sphx-glr-download-jupyter a")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", link)
    link.click()
    path = browser.downloads / "07_two_layer_network.ipynb"
    wait_for(path.exists)
    notebook = nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
    nbformat.validate(notebook)
    assert notebook.cells[0].source == notebook.cells[0].source.strip()
    assert notebook.cells[-2].source == "result = command.run(main)"


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


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [420, 1280])
@pytest.mark.parametrize("page", ["index.html", LESSON])
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
    wait_for(lambda: found.extend(complaints(chromium, site)) or len(found) >= 4)
    text = json.dumps(found)
    for sign in ("wrong", "404", "another host: http://127.0.0.2:9/x.png", "failed: http://127.0.0.2:9"):
        assert sign in text
