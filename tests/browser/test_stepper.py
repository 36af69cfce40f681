"""docs/stepper.rst in a real browser: every number of every step against TensorFlow, with the buttons and the keys."""

import importlib.util
import re

from tf_backprop.support import lessons

import numpy as np
import pytest
import tensorflow as tf

By = pytest.importorskip("selenium.webdriver.common.by", reason="needs selenium: pip install -e .[docs]").By
Keys = pytest.importorskip("selenium.webdriver.common.keys", reason="needs selenium: pip install -e .[docs]").Keys

pytestmark = pytest.mark.slow

DOCS = lessons.SCRIPTS.parent / "docs"
STEPS = {"identity": 22, "sigmoid": 28}  # one a number on the way forward, one a derivative, three for the update
LESSON = "scripts/07_two_layer_network.py"


@pytest.fixture(scope="module")
def exporter():
    spec = importlib.util.spec_from_file_location("export_steps", DOCS / "export_steps.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def page(browser, site):
    browser.get(f"{site}/stepper.html")
    yield Page(browser)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


STATE = """const state = (root) => {
  const text = (selector) => root.querySelector(selector).textContent;
  return {step: +root.dataset.step, phase: root.dataset.phase, status: text('[role=status]'),
    caption: text('.caption'), text: text('.text'), svg: root.querySelector('svg').textContent,
    code: [...root.querySelectorAll('.line .now')].map((node) => node.textContent).join(''),
    now: [...root.querySelectorAll('svg .now')].map((node) => node.dataset.id),
    values: [...root.querySelectorAll('data')].map((data) => [data.dataset.symbol, +data.value, data.textContent])};
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

    def type(self, field, value):
        box = self.find(f"#stepper-{field}")
        box.send_keys(Keys.CONTROL, "a", Keys.NULL, *([str(value)] if value != "" else [Keys.DELETE]))

    def state(self):
        return self.browser.execute_script(f"{STATE} return state(arguments[0]);", self.root)

    def states(self):
        """Return the state at each step from here to the last, by clicks from within the page, which is faster."""
        return self.browser.execute_script(
            f"""{STATE} const root = arguments[0], next = root.querySelector('.next'), states = [state(root)];
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


def by_tensorflow(lesson, exporter, mode, x, y, w1, w2, rate):
    """Return every number of the page by its symbol, from the lesson's functions and the tape."""
    x, y, w1, w2 = (tf.constant(array, tf.float64) for array in (x, y, w1, w2))
    sigmoid = mode == "sigmoid"
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([w1, w2])
        z = x @ w1
        h = tf.sigmoid(z) if sigmoid else z
        y_hat = h @ w2
        L = tf.reduce_mean((y_hat - y) ** 2)
    loss = exporter.sigmoid_loss if sigmoid else lesson.loss
    weights = {"w1": w1, "w2": w2}
    np.testing.assert_allclose(L, loss(weights, x, y), rtol=1e-12)
    gradients = exporter.gradients_by_tape(loss, weights, x, y)
    new = {name: w - rate * gradients[name] for name, w in weights.items()}
    arrays = {"x": x[0], "h": h[0], "w1": w1, "w2": w2[:, 0], "dL/dh": tape.gradient(L, h)[0]}
    arrays |= {"dL/dw1": gradients["w1"], "dL/dw2": gradients["w2"][:, 0]}
    arrays |= {"new w1": new["w1"], "new w2": new["w2"][:, 0]}
    if sigmoid:
        arrays |= {"z": z[0], "dL/dz": tape.gradient(L, z)[0]}
    numbers = {"y": y, "ŷ": y_hat, "L": L, "dL/dŷ": tape.gradient(L, y_hat), "new L": loss(new, x, y)}
    numbers = {symbol: float(np.squeeze(value)) for symbol, value in numbers.items()}
    for symbol, array in arrays.items():
        for index, value in np.ndenumerate(array):
            numbers[f"{symbol}[{','.join(map(str, index))}]"] = float(value)
    for j in range(3):  # the local derivatives
        numbers[f"dŷ/dh[{j}]"], numbers[f"dŷ/dw2[{j}]"] = numbers[f"w2[{j}]"], numbers[f"h[{j}]"]
        for i in range(2):
            numbers[f"d{'z' if sigmoid else 'h'}[{j}]/dw1[{i},{j}]"] = numbers[f"x[{i}]"]
        if sigmoid:
            with tf.GradientTape() as tape:
                tape.watch(z)
                unit = tf.sigmoid(z)[0, j]
            numbers[f"dh[{j}]/dz[{j}]"] = float(tape.gradient(unit, z)[0, j])
    return numbers


def compare(states, expected):
    """Assert that the page's numbers, of all steps, are the `expected` ones, and that it has all but the weights."""
    shown = {symbol: value for state in states for symbol, value, _ in state["values"]}
    assert set(shown) == {symbol for symbol in expected if not re.match(r"w\d\[", symbol)}
    for symbol, value in shown.items():
        assert value == pytest.approx(expected[symbol], rel=1e-6, abs=1e-9), symbol


def start(load):
    """Return x, y, w1, w2 and the learning rate that the page begins with."""
    lesson = load("07_two_layer_network")
    parameters, data = lesson.initial_parameters(1), lesson.datasets.volume_and_weight()
    return data.x[:1], data.y[:1], parameters["w1"].numpy(), parameters["w2"].numpy(), 0.001


@pytest.mark.parametrize("mode", STEPS)
def test_every_number_of_the_start_is_tensorflows(mode, page, load, exporter):
    if mode == "sigmoid":
        page.click("#stepper-sigmoid")
    states = page.walk(lambda: page.click(".next"), STEPS[mode] - 1)
    compare(states, by_tensorflow(load("07_two_layer_network"), exporter, mode, *start(load)))
    assert page.find(".next").get_attribute("aria-disabled") == "true"
    page.click(".next")
    assert page.state()["step"] == STEPS[mode] - 1
    back = page.walk(lambda: page.click(".back"), STEPS[mode] - 1)
    assert back[::-1] == states


@pytest.mark.parametrize("mode", STEPS)
@pytest.mark.parametrize("seed", range(2))
def test_a_change_is_computed_as_tensorflow_does(mode, seed, page, load, exporter):
    rng = np.random.default_rng(seed)
    x, w1, w2 = (rng.normal(size=shape).round(6) for shape in ((1, 2), (2, 3), (3, 1)))
    y, rate = rng.normal(size=(1, 1)).round(6), 0.25
    if mode == "sigmoid":
        page.click("#stepper-sigmoid")
    fields = {f"x-{i}": x[0, i] for i in range(2)} | {f"w2-{j}": w2[j, 0] for j in range(3)}
    fields |= {f"w1-{i}-{j}": w1[i, j] for i in range(2) for j in range(3)} | {"y": y[0, 0], "learning_rate": rate}
    assert len(fields) == len(page.all("input[type=number]"))
    for field, value in fields.items():
        page.type(field, value)
    states = page.states()
    assert len(states) == STEPS[mode]
    compare(states, by_tensorflow(load("07_two_layer_network"), exporter, mode, x, y, w1, w2, rate))


def test_the_page_computes_at_the_start_what_tensorflow_did(page, load, exporter):
    page.type("y", "0")
    page.type("y", "1")  # back at the start, but computed here
    states = page.states()
    expected = by_tensorflow(load("07_two_layer_network"), exporter, "identity", *start(load))
    compare(states, expected)


def test_arrow_keys_go_through_all_steps_and_leave_the_fields_alone(page):
    page.find(".next").send_keys(Keys.SHIFT)  # scrolled to, not pressed
    forward = page.walk(lambda: page.press(Keys.ARROW_RIGHT), STEPS["identity"] - 1)
    back = page.walk(lambda: page.press(Keys.ARROW_LEFT), STEPS["identity"] - 1)
    assert back[::-1] == forward
    page.press(Keys.ARROW_LEFT)
    assert page.state()["step"] == 0
    page.press(Keys.ARROW_RIGHT)
    page.find("#stepper-y").send_keys(Keys.ARROW_LEFT)
    assert page.state()["step"] == 1


@pytest.mark.parametrize("mode", STEPS)
def test_every_step_shows_a_line_that_stands_in_its_file(mode, page):
    if mode == "sigmoid":
        page.click("#stepper-sigmoid")
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
        assert all(shown in state["svg"] for shown in state["now"] if shown in ("ŷ", "L"))
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
    assert heard.startswith("Step 2 of 22. Forward. h[0] = x[0] w1[0,0] + x[1] w1[1,0] = \N{MINUS SIGN}0.957899. ")
    assert page.state()["text"] in heard
    assert page.root.get_attribute("role") == "group"
    assert page.root.accessible_name == "One update of a network, step by step"
    assert page.find("svg").get_attribute("role") == "img"
    assert page.find("svg").accessible_name.startswith("The network has two inputs x")
    for control in page.all("button, input"):
        assert control.accessible_name, control.get_attribute("outerHTML")
    names = [box.accessible_name for box in page.all("input[type=number]")]
    assert len(set(names)) == len(names) == 13
    assert names[:4] == ["x[0]", "x[1]", "y", "w1[0,0]"]
    assert page.find("#stepper-sigmoid").aria_role == "switch"
    current = [button.text for button in page.all(".phases [aria-current=step]")]
    assert current == ["Forward"]


def test_tab_visits_the_controls_in_reading_order(page):
    order = page.browser.execute_script(
        """return [...arguments[0].querySelectorAll('button, input, pre')].filter(n => n.offsetParent).map(n =>
          (n.id || n.className.split(' ')[0] || n.dataset.phase || n.tagName));""",
        page.root,
    )
    page.browser.execute_script("arguments[0].focus()", page.find(".back"))
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
    assert order[:7] == ["back", "next", "start", "forward", "backward", "update", "stepper-sigmoid"]
    assert page.browser.execute_script("return getComputedStyle(document.activeElement).outlineStyle") != ""


@pytest.mark.parametrize(("motion", "animation"), [("no-preference", "stepper-flow"), ("reduce", "none")])
def test_nothing_moves_for_who_asked_for_that(motion, animation, page):
    page.browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-reduced-motion", "value": motion}]}
    )
    page.click(".next")
    assert page.find("svg .edge.now").value_of_css_property("animation-name") == animation


@pytest.mark.parametrize(("typed", "used"), [("", None), ("-", None), ("-1e9", -1)])
def test_what_is_not_a_number_is_said_and_not_used(typed, used, page, load):
    x, _, w1, *_ = start(load)
    page.click(".next")
    page.type("w1-0-0", typed)
    box = page.find("#stepper-w1-0-0")
    assert box.get_attribute("aria-invalid") == "true"
    assert page.find("[role=alert]").text == "Not used: w1[0,0] has to be a number from -1000 to 1000."
    expected = x[0, 0] * (w1[0, 0] if used is None else used) + x[0, 1] * w1[1, 0]  # the last number that was one
    assert page.state()["values"][0][1] == pytest.approx(expected, rel=1e-6)
    page.click(".reset")
    assert box.get_attribute("aria-invalid") is None
    assert page.find("[role=alert]").text == ""
    assert page.state()["values"][0][1] == pytest.approx(x[0] @ w1[:, 0], rel=1e-6)


def test_a_large_weight_overflows_nothing(page):
    page.click("#stepper-sigmoid")
    page.type("w1-0-0", -1000)
    page.type("w1-0-1", 1000)
    states = page.states()
    assert all(np.isfinite(value) for state in states for _, value, _ in state["values"])


def test_try(page):
    def last(*fields):
        for field, value in fields:
            page.type(field, value)
        page.click(".phases [data-phase=start]")
        states = page.states()
        page.click(".reset")
        return {symbol: value for state in states for symbol, value, _ in state["values"]}

    calm, long, cut = last(), last(("learning_rate", 1)), last(("w2-1", 0))
    assert calm["new L"] < calm["L"]
    assert long["new L"] > long["L"]
    assert cut["dL/dh[1]"] == cut["dL/dw1[0,1]"] == cut["dL/dw1[1,1]"] == 0
    assert cut["dL/dw2[1]"] != 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 420])
def test_nothing_is_cut_off(width, scheme, page, tmp_path):
    browser = page.browser
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": False},
    )
    features = [
        {"name": "prefers-color-scheme", "value": scheme},
        {"name": "prefers-reduced-motion", "value": "reduce"},
    ]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    page.click("#stepper-sigmoid")
    page.click(".phases [data-phase=update]")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    labels = browser.execute_script(
        """return [...arguments[0].querySelectorAll('svg .weight, svg .node')].map(n => {
          const r = n.getBoundingClientRect(); return [n.dataset.id, r.left, r.top, r.right, r.bottom]; });""",
        page.root,
    )
    assert len(labels) == 9 + 8
    for i, (one, left, top, right, bottom) in enumerate(labels):
        assert left >= 0
        assert right <= width
        for other, left2, top2, right2, bottom2 in labels[:i]:
            apart = right <= left2 or right2 <= left or bottom <= top2 or bottom2 <= top
            assert apart, f"{one} lies on {other}"
    assert browser.save_screenshot(str(tmp_path / f"{width}-{scheme}.png"))
