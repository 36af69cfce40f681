"""docs/_static/stepper.js in Node: the texts of the formulas, the numbers put into them, and those in the graph.

A formula is computed from TensorFlow's numbers as it stands there, and has to give TensorFlow's result. The tests in
tests/browser press the buttons of the built page; these need neither a browser nor the site.
"""

import itertools
import json
import re
import shutil
import subprocess
from pathlib import Path

from tf_backprop.support import lessons

import numpy as np
import pytest
from stepper_numbers import DOCS, MODES, STEPS, Numbers, exporter

pytestmark = pytest.mark.slow

CASES = [
    *itertools.product(MODES, (False, True), (0, 1, 2), (0,)),
    *itertools.product(MODES, (False,), (0, 1), (10, 13)),
]


@pytest.fixture(scope="module")
def texts():
    page = (DOCS / "stepper.rst").read_text(encoding="utf-8")
    found = re.findall(r"container:: say-(\S+)\n\n((?: {6}.*\n)+)", page)
    return {key: " ".join(text.split()) for key, text in found}


@pytest.fixture(scope="module")
def run(texts):
    """Return a function that gives what is seen in each of its cases, (mode, unit by unit, fields, updates)."""
    node = shutil.which("node")
    if not node:
        pytest.skip("needs Node.js")
    script = (DOCS / "_static" / "stepper.js").read_text(encoding="utf-8")
    given = {"script": script, "texts": texts, "data": exporter().export()}

    def of(cases):
        cases = [dict(zip(("mode", "units", "fields", "updates"), case, strict=True)) for case in cases]
        command = [node, str(Path(__file__).with_name("stepper_in_node.js"))]
        text = json.dumps(given | {"cases": cases})
        done = subprocess.run(command, input=text, capture_output=True, text=True, encoding="utf-8", timeout=60)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return of


@pytest.fixture(scope="module")
def seen(run, load):
    """Return what is seen in each of the `CASES`."""
    cases = [(mode, units, Numbers(load, mode, seed).fields() if seed else {}, k) for mode, units, seed, k in CASES]
    return dict(zip(CASES, run(cases), strict=True))


@pytest.fixture(params=CASES, ids=lambda case: "-".join(map(str, case)))
def case(request, seen, load):
    """Return the states of one case, the numbers of TensorFlow by symbol, the mode, and whether it is unit by unit."""
    mode, units, seed, updates = request.param
    numbers = Numbers(load, mode, seed)
    numbers.train(max(updates - 1, 0))  # the last one is what is stepped through
    return seen[request.param]["states"], numbers.by_symbol(), mode, units


WEIGHT, UNIT = r"w(?:[12](?:\[[\d,]+\])?)?", r"[zh]\[\d\]"
SYMBOL = rf"new [ŷL]|(?:new )?{WEIGHT}|d(?:L|ŷ|{UNIT})/d(?:ŷ|{UNIT}|{WEIGHT})|x\[\d\]|{UNIT}|ŷ|y|L|rate"
TOKEN = re.compile(rf"\s*(?:(?P<symbol>{SYMBOL})|(?P<number>\d+(?:\.\d+)?(?:e[+−]?\d+)?)|(?P<sign>[-+−·²σ()]))")


def tokens(text):
    """Return the tokens of a formula, as pairs of kind and text."""
    found, at = [], 0
    while at < len(text.rstrip()):
        match = TOKEN.match(text, at)
        assert match, f"{text[at:]!r} in {text!r}"
        found.append((match.lastgroup, match[match.lastgroup]))
        at = match.end()
    return found


def computed(text, values):
    """Return what a formula gives, in which things that stand side by side are multiplied; and its operands."""
    python, operands, before = [], [], None
    for kind, token in tokens(text):
        begins = kind != "sign" or token in "(σ"
        if begins and before is not None and before in ("symbol", "number", ")", "²"):
            python.append("*")
        if kind == "sign":
            python.append({"−": "-", "·": "*", "²": "**2", "σ": "sigmoid"}.get(token, token))
        else:
            operands.append(values[token] if kind == "symbol" else number(token))
            python.append(f"({operands[-1]!r})")
        before = kind if kind != "sign" else token
    return eval("".join(python), {"sigmoid": lambda z: 1 / (1 + np.exp(-z))}), operands


def number(text):
    return float(text.replace("−", "-"))


def read(line):
    """Return a line of the formulas: what kind it is, its terms, and the value as a number and as shown, or None."""
    kind = re.match(r"<small>(.*?)</small>", line)
    inner = re.search(r"<span>(.*)</span>", line)[1]
    inner = re.sub(r"<sub>(.*?)</sub>", r"[\1]", inner)
    data = re.search(r'<data value="(.*?)" data-symbol="(.*?)">(.*?)</data>', inner)
    terms = inner[: data.start()].removesuffix(" = ").split(" = ") if data else inner.split(" = ")
    value = (float(data[1]), data[2], number(data[3])) if data else None
    return kind and kind[1], terms, value


def as_shown(value, precision=4):
    """Return what a number that is shown has to be near: four digits, three in the notation with an exponent."""
    digits = precision if value == 0 or 1e-3 <= abs(value) < 1e5 else 3
    return pytest.approx(value, rel=0.51 * 10 ** (1 - digits), abs=1e-12)


def test_every_formula_computed_as_it_stands_gives_tensorflows_number(case):
    states, values, mode, units = case
    assert [state["step"] for state in states] == list(range(STEPS[mode, units]))
    seen = []
    for state in states:
        for kind, (symbol, *terms), value in map(read, state["lines"]):
            if value is None:  # of all weights
                assert (symbol, terms) == ("new w", ["w − rate · dL/dw"])
                continue
            assert symbol == value[1]
            assert value[0] == pytest.approx(values[symbol], rel=1e-6, abs=1e-9), symbol
            assert value[2] == as_shown(values[symbol])
            seen.append(symbol)
            with_symbols = [term for term in terms if any(kind == "symbol" for kind, _ in tokens(term))]
            of_numbers = [term for term in terms if term not in with_symbols]
            assert len(with_symbols) <= 1
            assert len(of_numbers) <= 1
            for formula in with_symbols:
                result, operands = computed(formula, values)
                assert result == pytest.approx(values[symbol], rel=1e-9, abs=1e-12), f"{symbol} = {formula}"
            for formula in of_numbers:
                result, put_in = computed(formula, {})
                size = max(1, *map(abs, put_in)) ** 2
                assert result == pytest.approx(values[symbol], rel=5e-3, abs=1e-3 * size), f"{symbol} = {formula}"
                if symbol.startswith("new w"):
                    of = symbol.removeprefix("new ")
                    operands = [values[of], values["rate"], values[f"dL/d{of}"]]
                if symbol.startswith("dL/dz") and not units:  # h (1 - h) is put in as one number
                    operands = [operands[0], operands[1] * (1 - operands[1])]
                assert [abs(each) for each in put_in] == [as_shown(abs(each)) for each in operands], formula
            assert kind == kind_of(symbol, state["phase"], units), symbol
    shown = {symbol for symbol in values if not re.match(r"w\d|rate|new [zh]", symbol)}
    if not units:
        shown = {symbol for symbol in shown if not re.match(r"d[ŷzh]", symbol)}
    assert sorted(seen) == sorted([*shown, "L"]), "each once, and L once more beside the new one"


def kind_of(symbol, phase, units):
    if phase != "backward" or not units or symbol == "dL/dŷ":
        return None
    return "chain rule" if symbol.startswith("dL/") else "local"


def test_order_is_forward_backward_update(case):
    states, _, mode, units = case
    phases = [state["phase"] for state in states]
    forward = {("identity", False): 3, ("identity", True): 5, ("sigmoid", False): 4, ("sigmoid", True): 8}[mode, units]
    backward = len(states) - 1 - forward - 2
    assert phases == ["start"] + forward * ["forward"] + backward * ["backward"] + 2 * ["update"]
    known = {"rate", *(f"w1[{i},{j}]" for i in range(2) for j in range(3)), *(f"w2[{j}]" for j in range(3))}
    order = []
    for state in states:
        for _, (symbol, *terms), value in map(read, state["lines"]):
            for term in terms if value else []:
                assert {token for kind, token in tokens(term) if kind == "symbol"} <= known, f"{symbol} = {term}"
            known.add(symbol)
            order.append(re.sub(r"\[.*", "", symbol))
    back = [symbol for symbol in dict.fromkeys(order) if symbol.startswith("dL/")]
    assert back == ["dL/dŷ", "dL/dw2", "dL/dh", *(["dL/dz"] if mode == "sigmoid" else []), "dL/dw1"]


def test_the_graph_has_the_numbers_that_are_known_and_no_others(case):
    states, values, mode, _ = case
    known = set()
    for state in states:
        last = state is states[-1]
        known |= {read(line)[1][0] for line in state["lines"]}
        graph = {re.sub(r"<sub>(.*?)</sub>", r"[\1]", each["symbol"]): each for each in state["graph"]}
        units = [f"{name}[{j}]" for name in ("zh" if mode == "sigmoid" else "h") for j in range(3)]
        weights = [symbol for symbol in values if re.match(r"w\d", symbol)]
        assert sorted(graph) == sorted(["x[0]", "x[1]", "y", "ŷ", "L", *units, *weights])
        for symbol, each in graph.items():
            given = symbol[0] == "x" or symbol == "y"
            updated = not given and (last or f"new {symbol}" in known)
            assert each["updated"] == updated, symbol
            if given or symbol in weights or symbol in known:
                assert number(each["text"]) == as_shown(values[f"new {symbol}" if updated else symbol]), symbol
            else:
                assert each["text"] == "", symbol
            if f"dL/d{symbol}" in known and not last:
                assert each["back"].startswith("↑ ")
                assert number(each["back"][2:]) == as_shown(values[f"dL/d{symbol}"])
            else:
                assert each["back"] == "", "the last numbers are new, and the derivatives were those of the old"
        assert_edges(state, values, updated=any(symbol.startswith("new w") for symbol in known))


def assert_edges(state, values, updated):
    """Assert that a line tells of its weight, and that the lines in question point up on the way back."""
    assert len(state["edges"]) == 6 + 3 + 2
    widths = {}
    for edge, seen in state["edges"].items():
        name, i, j = edge[0], edge[1], edge[-1]
        y1, y2 = map(float, re.fullmatch(r"M\S+ (\S+)L\S+ (\S+)", seen["ends"]).groups())
        assert (y2 < y1) == (state["phase"] == "backward" and "now" in seen["kind"]), edge
        if edge in ("y_hat-L", "y-L"):
            continue
        w = values[("new " if updated else "") + (f"w1[{i},{j}]" if name == "x" else f"w2[{i}]")]
        assert ("negative" in seen["kind"]) == (w < 0)
        assert ("positive" in seen["kind"]) == (w >= 0)
        widths[min(abs(w), 3)] = seen["width"]
    ordered = [widths[size] for size in sorted(widths)]
    assert ordered == sorted(ordered)
    assert len(set(ordered)) == len(widths)


def test_what_is_heard_is_what_is_seen(case, texts):
    states, _, _, _ = case
    for at, state in enumerate(states, start=1):
        said = []
        for line in state["lines"]:
            _, terms, _ = read(line)
            formula = [term for term in terms[1:] if any(kind == "symbol" for kind, _ in tokens(term))]
            shown = re.search(r"<data .*?>(.*?)</data>", line)
            said.append(" = ".join([terms[0], *(formula if not said else []), *([shown[1]] if shown else [])]))
        place = rf"Update \d+, step {at} of {len(states)}\. {state['phase'].capitalize()}\. "
        rest = ". ".join([*said, re.sub("<.*?>", "", state["text"])])
        assert re.fullmatch(place + re.escape(rest), state["status"])
        assert state["text"] in texts.values()


def test_training_gives_tensorflows_losses_and_a_curve_of_them(seen, load):
    for (mode, _, seed, updates), case in seen.items():
        if not updates:
            continue
        losses = Numbers(load, mode, seed).train(updates)
        last = case["states"][-1]
        assert len(last["curve"]) == updates + 1
        heights = (110 - np.array(last["curve"])) * max(losses) / 100
        np.testing.assert_allclose(heights, losses, rtol=1e-6, atol=1e-6 * max(losses))
        assert last["curveLabels"][0] == f"L = {max(losses):.4g}".replace("e-0", "e−")
        assert last["curveLabels"][-1] == str(updates)
        found = re.fullmatch(r"Updates: (\d+)\. The loss L went from (\S+) to (\S+)\.", last["trained"]).groups()
        assert int(found[0]) == updates
        assert [number(each) for each in found[1:]] == [as_shown(losses[0]), as_shown(losses[-1])]


@pytest.mark.parametrize(("mode", "seed"), [*itertools.product(MODES, range(3))])
def test_a_nudge_is_the_central_difference(mode, seed, seen, load):
    numbers = Numbers(load, mode, seed)
    values = numbers.by_symbol()
    weights = [*((("w1", i, j)) for i in range(2) for j in range(3)), *(("w2", j, 0) for j in range(3))]
    for (name, i, j), lines in zip(weights, seen[mode, False, seed, 0]["nudged"], strict=True):
        symbol = f"{name}[{i},{j}]" if name == "w1" else f"w2[{i}]"
        moved = []
        for by in (0.01, -0.01):
            nudged = {key: np.array(w) for key, w in numbers.weights.items()}
            nudged[name][i, j] += by
            moved.append(float(numbers.loss(nudged)))
        kinds, terms, found = zip(*map(read, lines), strict=True)
        assert kinds == ("nudged", "nudged", "nudged", "chain rule")
        assert [each[0] for each in terms] == [
            f"L({symbol} + 0.01)",
            f"L({symbol} − 0.01)",
            f"ΔL/Δ{symbol}",
            f"dL/d{symbol}",
        ]
        expected = [*moved, (moved[0] - moved[1]) / 0.02, values[f"dL/d{symbol}"]]
        assert [each[0] for each in found] == [pytest.approx(each, rel=1e-6, abs=1e-9) for each in expected]
        assert [each[2] for each in found] == [as_shown(each, 7) for each in expected]
        assert expected[2] == pytest.approx(expected[3], rel=1e-3, abs=1e-4), "which is what the reader is to see"


def test_what_is_not_a_number_is_said_and_not_used(run, load):
    tried = ["5000", "-1e9", "", "1/2"]
    found = run(
        [("identity", False, {"w1-0-0": text}, 0) for text in tried]
        + [("identity", False, {"w1-0-0": "−0,5", "x-0": "0.00001234", "x-1": "-1000"}, 0)]
    )
    w = Numbers(load, "identity").weights["w1"][0, 0]
    for text, each in zip(tried, found, strict=False):
        state = each["states"][0]
        assert state["invalid"] == f'Not used: "{text}". w1[0,0] has to be a number from -1000 to 1000.'
        shown = {entry["symbol"]: entry["text"] for entry in state["graph"]}
        assert number(shown["w1<sub>0,0</sub>"]) == as_shown(w), "the field shows what is used"
    graph = found[-1]["states"][0]["graph"]
    shown = {entry["symbol"]: entry["text"] for entry in graph}
    assert [shown[key] for key in ("w1<sub>0,0</sub>", "x<sub>0</sub>", "x<sub>1</sub>")] == [
        "−0.5",
        "1.23e−5",
        "−1000",
    ]


def test_the_fields_have_the_lessons_numbers(seen, load):
    for mode in MODES:
        state = seen[mode, False, 0, 0]["states"][0]
        fields = Numbers(load, mode).fields()
        graph = {
            each["symbol"].replace("<sub>", "-").replace("</sub>", "").replace(",", "-"): each
            for each in state["graph"]
        }
        for field, value in fields.items():
            if field != "learning_rate":
                assert number(graph[field]["text"]) == as_shown(value)


def test_the_sigmoid_starts_from_the_same_error(seen, texts):
    said = {seed: seen["sigmoid", False, seed, 0]["states"][0]["text"] for seed in (0, 1)}
    assert said == {0: texts["step-start-sigmoid"], 1: texts["step-start"]}
    with_it, without = (
        {
            symbol: value[0]
            for state in seen[mode, True, 0, 0]["states"]
            for _, (symbol, *_), value in map(read, state["lines"])
            if value
        }
        for mode in ("sigmoid", "identity")
    )
    for symbol in ("L", "dL/dŷ", *(f"dL/dh[{j}]" for j in range(3))):
        assert with_it[symbol] == pytest.approx(without[symbol], rel=1e-9)
    for i, j in itertools.product(range(2), range(3)):
        h = with_it[f"h[{j}]"]
        assert with_it[f"dL/dw1[{i},{j}]"] == pytest.approx(without[f"dL/dw1[{i},{j}]"] * h * (1 - h), rel=1e-9)


def test_the_line_of_code_is_that_of_the_symbol(seen):
    for mode, file in (("identity", "scripts/07_two_layer_network.py"), ("sigmoid", "docs/export_steps.py")):
        for state in seen[mode, True, 0, 0]["states"][1:]:
            found, line = re.fullmatch(r"The code: (\S+), line (\d+)", state["caption"]).groups()
            first = read(state["lines"][-1])[1][0]
            assert found == ("scripts/07_two_layer_network.py" if first.startswith("new w") else file)
            code = (lessons.SCRIPTS.parent / found).read_text(encoding="utf-8").splitlines()[int(line) - 1]
            name = re.sub(r"\[.*", "", first).replace("/", "_").replace("ŷ", "y_hat")
            expected = {"L": "reduce_mean(", "new L": "reduce_mean("}
            expected |= {"new w1": "w - learning_rate * dL_dw", "new w2": "w - learning_rate * dL_dw"}
            assert expected.get(name, f"{name} = ") in code, state["caption"]


def test_every_step_has_an_address(case):
    states, _, mode, units = case
    flags = ("&sigmoid" if mode == "sigmoid" else "") + ("&units" if units else "")
    assert [state["address"] for state in states] == [f"#s={step}{flags}" for step in range(1, len(states) + 1)]
