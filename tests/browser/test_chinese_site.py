"""The Chinese site in a real browser: the search, the way from one language to the other, and the fonts."""

import pytest
from test_pages import open_page, wait_for

pytestmark = pytest.mark.slow

LESSON = "gallery/04_chain_rule.html"


def results(browser, address, words):
    """Return the pages that the search of the site at `address` finds."""
    browser.get("about:blank")
    open_page(browser, f"{address}/search.html?q={words}")
    wait_for(lambda: browser.execute_script("return Search.status?.innerText"))  # it says so when it has finished
    links = browser.find_elements("css selector", "#search-results li > a")
    return {
        link.get_attribute("href").partition("#")[0].partition("?")[0].removeprefix(f"{address}/") for link in links
    }


@pytest.mark.parametrize(
    ("words", "page"),
    [
        ("学习率", "gallery/09_mnist_softmax_optimizer.html"),
        ("反向传播", LESSON),
        ("梯度检验", LESSON),
        ("切断了路径", LESSON),
        ("softmax 回归", "gallery/08_mnist_softmax.html"),
    ],
)
def test_search_finds_chinese_words(browser, site, words, page):
    assert page in results(browser, f"{site}/zh", words)


@pytest.mark.parametrize("language", ["", "/zh"])
@pytest.mark.parametrize("words", ["backpropagation", "back-propagation", "Himmelblau"])
def test_search_finds_english_words_in_both(browser, site, language, words):
    assert results(browser, f"{site}{language}", words)


def test_search_finds_nothing_where_there_is_nothing(browser, site):
    assert results(browser, f"{site}/zh", "卷积核") == set()


def switch(browser):
    links = browser.find_elements("css selector", "a[hreflang]")
    (link,) = [link for link in links if link.is_displayed()]
    name = link.text
    link.click()
    return name


@pytest.mark.parametrize("page", [LESSON, "index.html", "search.html", "errata.html"])
def test_the_switch_keeps_the_page(browser, site, page):
    open_page(browser, f"{site}/{page}")
    assert switch(browser) == "中文"
    assert browser.current_url == f"{site}/zh/{page}"
    assert switch(browser) == "English"
    assert browser.current_url == f"{site}/{page}"


def test_the_switch_works_without_a_server(chromium, html):
    chromium.get((html / LESSON).as_uri())
    switch(chromium)
    assert chromium.current_url == (html / "zh" / LESSON).as_uri()


def test_the_picture_of_the_stepper_has_words_of_the_language(browser, site):
    for home, picture in (("", "stepper.png"), ("/zh", "stepper.zh_CN.png")):
        open_page(browser, f"{site}{home}/index.html")
        image = browser.find_element("css selector", ".hero img")
        assert image.get_attribute("src").endswith(f"/_images/{picture}")
        assert image.get_property("naturalWidth") > 2000


def test_chinese_characters_have_a_font(browser, site):
    """A character without a font is drawn as a box, and all boxes are the same."""
    open_page(browser, f"{site}/zh/{LESSON}")
    drawn = browser.execute_script(
        """const style = getComputedStyle(document.querySelector("article p")), seen = {};
        const canvas = document.createElement("canvas"), brush = canvas.getContext("2d", {willReadFrequently: true});
        const text = [...new Set(document.body.textContent.match(/[\\u3400-\\u9fff]/g))];
        for (const letter of text) {
          canvas.width = canvas.height = 40;
          brush.font = `30px ${style.fontFamily}`;
          brush.fillText(letter, 2, 32);
          (seen[canvas.toDataURL()] ??= []).push(letter);
        }
        return [text.length, Object.values(seen).filter(same => same.length > 1)]"""
    )
    assert drawn[0] > 100
    assert drawn[1] == []
