"""docs/stepper.rst in a real browser: every number of every step against TensorFlow, with the buttons and the keys."""

import io
import re

from browsing import media, resize
from tf_backprop.support import lessons
from tools import picture

import numpy as np
import pytest
from PIL import Image
from stepper_numbers import MODES, STEPS, Numbers

By = pytest.importorskip("selenium.webdriver.common.by", reason="needs selenium: pip install -e .[docs]").By
Keys = pytest.importorskip("selenium.webdriver.common.keys", reason="needs selenium: pip install -e .[docs]").Keys

pytestmark = pytest.mark.slow

LESSON = "scripts/07_two_layer_network.py"


@pytest.fixture
def page(browser, site):
    browser.get(f"{site}/stepper.html")
    yield Page(browser)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


STATE = """const state = (root) => {
  const text = (selector) => root.querySelector(selector).textContent;
  const graph = [...root.querySelectorAll('.entry')].filter((entry) => !entry.hidden).map((entry) => {
    const [name, value, back] = entry.children;
    const symbol = name.innerHTML.replace('<sub>', '[').replace('</sub>', ']');
    return [symbol, value.value ?? value.textContent, back.textContent];
  });
  return {step: +root.dataset.step, phase: root.dataset.phase, status: text('[role=status]'), graph,
    caption: text('.caption'), text: text('.text'), address: location.hash,
    code: [...root.querySelectorAll('.line .now')].map((node) => node.textContent).join(''),
    now: [...root.querySelectorAll('.graph .now')].map((node) => node.dataset.id),
    values: [...root.querySelectorAll('.tell data')].map((one) => [one.dataset.symbol, +one.value, one.textContent])};
};"""


class Page:
    def __init__(self, browser):
        self.browser = browser
        self.root = browser.find_element(By.ID, "stepper")

    def find(self, selector):
        return self.root.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector):
        return self.root.find_elements(By.CSS_SELECTOR, selector)

    def click(self, selector):
        self.browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", self.find(selector))
        self.find(selector).click()

    def press(self, key):
        self.browser.switch_to.active_element.send_keys(key)

    def type(self, field, value, end=Keys.ENTER):
        box = self.find(f"#stepper-{field}")
        box.send_keys(Keys.CONTROL, "a", Keys.NULL, *([str(value)] if value != "" else [Keys.DELETE]), end)

    def state(self):
        return self.browser.execute_script(f"{STATE} return state(arguments[0]);", self.root)

    def states(self):
        """Return the state at each step, by clicks from within the page, which is faster."""
        return self.browser.execute_script(
            f"""{STATE} const root = arguments[0], next = root.querySelector('.next');
            root.querySelector('.phases button').click();
            const states = [state(root)];
            while (next.getAttribute('aria-disabled') !== 'true') {{ next.click(); states.push(state(root)); }}
            return states;""",
            self.root,
        )

    def walk(self, forward, steps):
        """Take `steps` steps by calling `forward`; return the state at each, the first one's included."""
        states = [self.state()]
        for _ in range(steps):
            forward()
            states.append(self.state())
        way = 1 if states[-1]["step"] > states[0]["step"] else -1
        assert [state["step"] for state in states] == [states[0]["step"] + way * taken for taken in range(steps + 1)]
        return states

    def choose(self, mode, units=False):
        for name, chosen in (("sigmoid", mode == "sigmoid"), ("units", units)):
            if chosen:
                self.click(f"#stepper-{name}")


def compare(states, expected, units=True):
    """Assert that the page's numbers, of all steps, are the `expected` ones, and that it has all but the weights."""
    shown = {symbol: value for state in states for symbol, value, _ in state["values"]}
    leave = r"w\d\[|rate|new [zh]" if units else r"w\d\[|rate|new [zh]|d[ŷzh]"
    assert set(shown) == {symbol for symbol in expected if not re.match(leave, symbol)}
    for symbol, value in shown.items():
        assert value == pytest.approx(expected[symbol], rel=1e-6, abs=1e-9), symbol


@pytest.mark.parametrize(("mode", "units"), STEPS)
def test_every_number_of_the_start_is_tensorflows(mode, units, page, load):
    page.choose(mode, units)
    states = page.states()
    assert len(states) == STEPS[mode, units]
    compare(states, Numbers(load, mode).by_symbol(), units)


def test_the_buttons_go_through_all_steps_and_back(page):
    page.choose("sigmoid", units=True)
    steps = STEPS["sigmoid", True]
    page.click(".phases [data-phase=start]")
    states = page.walk(lambda: page.click(".next"), steps - 1)
    assert page.find(".next").get_attribute("aria-disabled") == "true"
    page.click(".next")
    assert page.state()["step"] == steps - 1
    back = page.walk(lambda: page.click(".back"), steps - 1)
    assert back[::-1] == states


@pytest.mark.parametrize("mode", MODES)
def test_a_change_is_computed_as_tensorflow_does(mode, page, load):
    page.choose(mode, units=True)
    numbers = Numbers(load, mode, seed=1)
    fields = numbers.fields()
    assert len(fields) == len(page.all("input[type=text]"))
    for field, value in fields.items():
        page.type(field, value)
    states = page.states()
    assert len(states) == STEPS[mode, True]
    compare(states, numbers.by_symbol())


@pytest.mark.parametrize("mode", MODES)
def test_training_gives_tensorflows_numbers(mode, page, load):
    page.choose(mode)
    numbers = Numbers(load, mode)
    losses = numbers.train(12)
    page.click(".phases [data-phase=update]")
    for button in (".again", ".ten", ".again"):
        page.click(button)
    shown = page.find(".train > :last-child").text
    words = re.fullmatch(r"Updates: 12\. The loss L went from (\S+) to (\S+)\.", shown).groups()
    assert [float(word) for word in words] == [pytest.approx(loss, rel=1e-3) for loss in (losses[0], losses[12])]
    trained = Numbers(load, mode)
    trained.train(11)
    compare(page.states(), trained.by_symbol(), units=False)
    weights = {symbol: text for symbol, text, _ in page.state()["graph"] if symbol.startswith("w")}
    expected = {f"w1[{i},{j}]": numbers.weights["w1"][i, j] for i in range(2) for j in range(3)}
    expected |= {f"w2[{j}]": numbers.weights["w2"][j, 0] for j in range(3)}
    assert {symbol: float(text.replace("−", "-")) for symbol, text in weights.items()} == {
        symbol: pytest.approx(value, rel=6e-4) for symbol, value in expected.items()
    }
    page.click(".rewind")
    compare(page.states(), Numbers(load, mode).by_symbol(), units=False)


def test_the_rate_may_change_while_training(page, load):
    page.click(".phases [data-phase=update]")
    page.click(".again")  # to the end of the first update
    page.click(".again")
    page.type("learning_rate", 0.1)  # of the second, which is on the page
    numbers = Numbers(load, "identity")
    first, _ = numbers.train(1)
    numbers.learning_rate = 0.1
    for updates in (2, 3):
        last = numbers.train(1)[-1]
        said = f"Updates: {updates}. The loss L went from {first:.4g} to {last:.4g}."
        assert page.find(".train > :last-child").text == said
        page.click(".again")


def test_a_rate_that_is_too_large_is_said(page):
    page.type("learning_rate", 1)
    page.click(".phases [data-phase=update]")
    page.click(".ten")
    assert page.find("[role=alert]").text.startswith("The loss has become too large")
    taken = page.state()["status"]
    page.click(".ten")
    assert page.state()["status"] == taken
    page.click(".rewind")
    assert page.find("[role=alert]").text == ""


@pytest.mark.parametrize("mode", MODES)
def test_a_nudge_says_what_the_derivative_says(mode, page, load):
    page.choose(mode)
    values = Numbers(load, mode).by_symbol()
    page.click("#stepper-w1-1-0")
    assert page.find("#stepper-weight").get_attribute("value") == "w1-1-0"
    page.click(".nudge button")
    found = dict(
        page.browser.execute_script(
            "return [...document.querySelectorAll('output data')].map(d => [d.dataset.symbol, +d.value])"
        )
    )
    by_both = [found[f"{symbol}w1[1,0]"] for symbol in ("ΔL/Δ", "dL/d")]
    assert by_both[1] == pytest.approx(values["dL/dw1[1,0]"], rel=1e-6)
    assert by_both[0] == pytest.approx(by_both[1], rel=1e-4)
    page.click(".next")
    assert page.find("output").text
    page.click("#stepper-w2-0")
    assert page.find("output").text == "", "it was of another weight"


def test_keys_go_through_all_steps_and_leave_the_fields_alone(page):
    page.click(".phases [data-phase=start]")
    last = STEPS["identity", False] - 1
    forward = page.walk(lambda: page.press(Keys.ARROW_RIGHT), last)
    back = page.walk(lambda: page.press(Keys.ARROW_LEFT), last)
    assert back[::-1] == forward
    page.press(Keys.ARROW_LEFT)
    assert page.state()["step"] == 0
    page.press(Keys.END)
    assert page.state() == forward[-1]
    page.press(Keys.HOME)
    assert page.state()["step"] == 0
    page.press(Keys.ARROW_RIGHT)
    for key in (Keys.ARROW_LEFT, Keys.END, Keys.HOME):
        page.find("#stepper-y").send_keys(key)
        assert page.state()["step"] == 1


@pytest.mark.parametrize(("mode", "units"), [("identity", False), ("sigmoid", True)])
def test_every_step_has_an_address(mode, units, page, site):
    flags = ("&sigmoid" if mode == "sigmoid" else "") + ("&units" if units else "")
    page.choose(mode, units)
    states = page.states()
    assert [state["address"] for state in states] == [f"#s={k}{flags}" for k in range(1, len(states) + 1)]
    for state in (states[-2], states[3]):
        page.browser.get("about:blank")
        page.browser.get(f"{site}/stepper.html{state['address']}")
        assert Page(page.browser).state() == state
    page.browser.execute_script("location.hash = arguments[0]", states[5]["address"])
    page.browser.execute_async_script("setTimeout(arguments[0], 100)")
    assert Page(page.browser).state() == states[5]


@pytest.mark.parametrize("address", ["#s=0", "#s=99", "#s=x", "#try"])
def test_an_address_without_a_step_is_no_error(address, page, site):
    page.browser.get("about:blank")
    page.browser.get(f"{site}/stepper.html{address}")
    assert Page(page.browser).state()["step"] == (9 if "99" in address else 0)


@pytest.mark.parametrize("mode", MODES)
def test_every_step_shows_a_line_that_stands_in_its_file(mode, page):
    page.choose(mode, units=True)
    own = {"identity": LESSON, "sigmoid": "docs/export_steps.py"}[mode]
    states = page.states()
    pieces = {state["values"][-1][0]: state["code"] for state in states[1:]}
    for state in states[1:]:
        file, line = re.fullmatch(r"The code: (\S+), line (\d+)", state["caption"]).groups()
        assert file == (LESSON if "new w" in state["values"][-1][0] else own)
        text = (lessons.SCRIPTS.parent / file).read_text(encoding="utf-8").splitlines()[int(line) - 1]
        assert state["code"]
        assert state["code"] in text
        assert state["now"], "nothing is highlighted in the graph"
    first = {"identity": "h", "sigmoid": "z"}[mode]
    assert pieces[f"{first}[0]"] == 'x @ parameters["w1"]'
    assert pieces["dL/dŷ"] == "2 * (y_hat - y) / y.shape[0]"
    assert pieces["dL/dw1[1,2]"] == f"tf.transpose(x) @ dL_d{first}"
    assert pieces["new w2[2]"] == "w - learning_rate * dL_dw"


def test_what_is_heard(page):
    status = page.find("[role=status]")
    assert (status.get_attribute("aria-live"), status.get_attribute("aria-atomic")) == ("polite", "true")
    page.click(".next")
    heard = page.state()["status"]
    assert heard.startswith(
        "Update 1, step 2 of 10. Forward. h[0] = x[0] w1[0,0] + x[1] w1[1,0] = \N{MINUS SIGN}0.9579. h[1] = 1.251. "
    )
    assert page.state()["text"] in heard
    assert page.root.get_attribute("role") == "group"
    assert page.root.accessible_name == "One update of a network, step by step"
    assert page.find(".graph").accessible_name.startswith("The network: two inputs x")
    for control in page.all("button, input, select"):
        if control.is_displayed():
            assert control.accessible_name, control.get_attribute("outerHTML")
    names = [box.accessible_name for box in page.all("input[type=text]")]
    assert len(set(names)) == len(names) == 13
    assert names[:4] == ["learning rate", "x[0]", "x[1]", "w1[0,0]"]
    current = [button.text for button in page.all(".phases [aria-current=step]")]
    assert current == ["Forward"]
    page.click(".nudge button")
    assert page.find("output").aria_role == "status"


def test_tab_visits_the_controls_in_reading_order(page):
    page.click(".next")
    order = page.browser.execute_script(
        """return [...arguments[0].querySelectorAll('button, input, select, pre')].filter(n => n.offsetParent).map(n =>
          (n.id || n.className.split(' ')[0] || n.dataset.phase || n.tagName));""",
        page.root,
    )
    page.browser.execute_script("arguments[0].focus()", page.find(".phases button"))
    visited = []
    for _ in order:
        visited.append(
            page.browser.execute_script(
                """const n = document.activeElement;
                return n.id || n.className.split(' ')[0] || n.dataset.phase || n.tagName;"""
            )
        )
        page.press(Keys.TAB)
    assert visited == order
    expected = ["start", "forward", "backward", "update", "stepper-sigmoid", "stepper-units", "stepper-learning_rate"]
    assert order[:8] == [*expected, "reset"]
    assert order.index("back") == order.index("next") - 1 < order.index("stepper-weight")
    page.browser.execute_script("arguments[0].focus()", page.find("#stepper-w1-0-0"))
    page.press(Keys.TAB)
    assert page.browser.execute_script("return getComputedStyle(document.activeElement).outlineStyle") == "solid"


@pytest.mark.parametrize(("motion", "animation"), [("no-preference", "stepper-flow"), ("reduce", "none")])
def test_nothing_moves_for_who_asked_for_that(motion, animation, page):
    page.browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-reduced-motion", "value": motion}]}
    )
    page.click(".next")
    assert page.find("svg .edge.now path").value_of_css_property("animation-name") == animation


@pytest.mark.parametrize("typed", ["", "-", "5000"])
def test_what_is_not_a_number_is_said_and_not_used(typed, page):
    before = page.states()
    page.type("w1-0-0", typed)
    assert page.find("[role=alert]").text == f"Not used: “{typed}”. w1[0,0] has to be a number from -1000 to 1000."
    assert page.find("#stepper-w1-0-0").get_attribute("value") == before[-1]["graph"][2][1]
    assert page.states() == before
    assert page.find("[role=alert]").text == ""


def test_a_change_after_the_update_begins_from_the_new_weights(page, load):
    page.click(".phases [data-phase=update]")
    page.click(".again")
    page.type("w2-0", 0.5)
    numbers = Numbers(load, "identity")
    numbers.train(1)
    numbers.weights["w2"][0, 0] = 0.5
    assert page.state()["step"] == 0
    compare(page.states(), numbers.by_symbol(), units=False)
    page.click(".reset")
    compare(page.states(), Numbers(load, "identity").by_symbol(), units=False)


def test_one_s_own_numbers_stay_when_the_sigmoid_is_chosen(page, load):
    page.type("y", 0.25)
    page.click("#stepper-sigmoid")
    numbers = Numbers(load, "sigmoid")
    numbers.y[:] = 0.25
    compare(page.states(), numbers.by_symbol(), units=False)


def test_try(page):
    def last(*fields, train=0):
        for field, value in fields:
            page.type(field, value)
        page.click(".phases [data-phase=update]")
        for _ in range(train):
            page.click(".ten")
        states = page.states()
        page.click(".reset")
        return {symbol: value for state in states for symbol, value, _ in state["values"]}

    calm, cut = last(train=1), last(("w2-1", 0))
    faster, long = last(("learning_rate", 0.3), train=1), last(("learning_rate", 1))
    assert faster["new L"] < calm["new L"] < calm["L"]
    assert long["new L"] > long["L"]
    assert cut["dL/dh[1]"] == cut["dL/dw1[0,1]"] == cut["dL/dw1[1,1]"] == 0
    assert cut["dL/dw2[1]"] != 0


def test_graph_formula_and_next_are_in_view_on_a_small_laptop(page):
    resize(page.browser, 1366, 768)
    page.browser.execute_script("window.scrollTo(0, 0)")
    for mode in MODES:
        for _ in page.states():
            boxes = page.browser.execute_script(
                """return ['.graph', '.tell .formulas', '.text', '.next'].map(s => {
                  const r = document.querySelector('#stepper ' + s).getBoundingClientRect();
                  return [s, r.top, r.bottom]; });"""
            )
            for part, top, bottom in boxes:
                assert 0 <= top < bottom <= 768, (mode, page.state()["step"], part)
            page.browser.execute_script("arguments[0].click()", page.find(".back"))
        page.browser.execute_script("arguments[0].click()", page.find("#stepper-sigmoid"))


def test_on_a_phone_the_graph_begins_in_the_upper_half(page):
    resize(page.browser, 380, 760)
    top = "return document.querySelector(arguments[0]).getBoundingClientRect().top"
    assert page.browser.execute_script(top, "#stepper .graph") < 330
    for option in (".switch", ".rate", ".reset"):
        assert page.browser.execute_script(top, f"#stepper {option}") > page.browser.execute_script(top, ".legend")


def test_on_a_phone_what_is_wrong_with_a_number_is_said_in_view(page):
    resize(page.browser, 380, 760)
    page.type("learning_rate", "much")
    page.browser.execute_script("arguments[0].scrollIntoView({block: 'end'})", page.find("#stepper-learning_rate"))
    box = "const r = arguments[0].getBoundingClientRect(); return [r.top, r.bottom]"
    top, bottom = page.browser.execute_script(box, page.find("#stepper .invalid"))
    assert 0 < top < bottom < 300


def test_on_a_phone_the_bar_with_next_stays_in_view(page):
    resize(page.browser, 380, 760)
    for place in ("start", "end"):  # the graph at the top of the window, or its end at the lower edge
        page.browser.execute_script(f"arguments[0].scrollIntoView({{block: '{place}'}})", page.find(".graph"))
        page.browser.execute_script("arguments[0].click()", page.find(".next"))
        assert_bar_in_view(page)


def assert_bar_in_view(page):
    seen = page.browser.execute_script(
        """return ['.graph', '.next', '.tell .formulas'].map(s => {
          const r = document.querySelector('#stepper ' + s).getBoundingClientRect();
          return [r.top, r.bottom]; });"""
    )
    for top, bottom in seen[1:]:
        assert 0 < top < bottom <= 760
    assert seen[1][0] > 400, "half of the window is left for the graph"


LARGE = {"learning_rate": 1000, **{f"w2-{j}": -987.6543 for j in range(3)}}
LARGE |= {f"w1-{i}-{j}": -987.6543 for i in range(2) for j in range(3)} | {"x-0": -999.1234, "x-1": 999.4321}


@pytest.mark.parametrize(("width", "numbers"), [(1280, "large"), (768, "large"), (380, "large"), (380, "small")])
def test_nothing_is_cut_off(width, numbers, page):
    browser = page.browser
    resize(browser, width, 1000)
    for field, value in LARGE.items() if numbers == "large" else ():
        page.type(field, value)
    page.click("#stepper-sigmoid")
    for step in ("backward", "update"):
        page.click(f".phases [data-phase={step}]")
        page.find(".back").send_keys(Keys.SHIFT)
        if step == "backward":
            for _ in range(4):
                page.press(Keys.ARROW_RIGHT)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        labels = browser.execute_script(
            """return [...arguments[0].querySelectorAll('.graph > .weight, .graph > .node')].map(n => {
              const r = n.getBoundingClientRect();
              return [n.dataset.id, r.left, r.top, r.right, r.bottom, n.scrollWidth - n.clientWidth,
                n.scrollHeight - n.clientHeight]; });""",
            page.root,
        )
        assert len(labels) == 9 + 8
        for i, (one, left, top, right, bottom, wide, tall) in enumerate(labels):
            assert left >= 0
            assert right <= width
            assert wide <= 1, f"what {one} says is wider than its box"
            assert tall <= 1, f"what {one} says is higher than its box"
            for other, left2, top2, right2, bottom2, *_ in labels[:i]:
                apart = right <= left2 or right2 <= left or bottom <= top2 or bottom2 <= top
                assert apart, f"{one} lies on {other}"


@pytest.mark.parametrize(("scheme", "width"), [("dark", 1280), ("light", 380)])
def test_axe_finds_nothing(scheme, width, page, axe):
    """Axe-core's rules for WCAG 2.2, levels A and AA, and its best practices, at every step."""
    resize(page.browser, width, 900)
    media(page.browser, scheme)
    page.browser.execute_script(axe)
    page.click(".nudge button")
    page.type("y", "x")
    for address in ("", "#s=8", "#s=9", "#s=10", "#s=10&sigmoid", "#s=12&sigmoid"):
        page.browser.execute_script("location.hash = arguments[0]", address)
        result = page.browser.execute_async_script(
            """const [root, done] = arguments;
            const runOnly = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
            axe.run(root, {preload: false, runOnly}).then(done, (error) => done({error: String(error)}));""",
            page.root,
        )
        assert "error" not in result
        assert len(result["passes"]) > 10
        wrong = [
            f"{each['id']}: {node['html']} {node['failureSummary']}"
            for each in result["violations"]
            for node in each["nodes"]
        ]
        assert wrong == [], address


@pytest.mark.parametrize("file", picture.PICTURES, ids=lambda file: file.name)
def test_the_committed_picture_is_that_of_the_page(file, html):
    page = html / picture.PICTURES[file].relative_to(picture.SITE)
    found = Image.open(io.BytesIO(picture.screenshot(page))).convert("L")
    committed = Image.open(file)
    assert committed.size == found.size
    assert file.stat().st_size < 150_000
    difference = np.abs(np.asarray(committed.convert("L"), float) - np.asarray(found))
    assert difference.mean() < 8, "the page has changed: python -m tools.picture"  # other fonts change less than a step
