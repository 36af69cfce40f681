"""docs/_static/stepper.js in Node: the texts of the formulas, the numbers put into them, and those in the graph.

A formula is computed from TensorFlow's numbers as it stands there, and has to give TensorFlow's result. The tests in
tests/browser press the buttons of the built page; these need neither a browser nor the site.
"""

import importlib.util
import json
import re
import shutil
import subprocess
from pathlib import Path

from tf_backprop import datasets
from tf_backprop.support import lessons

import numpy as np
import pytest
import tensorflow as tf

DOCS = lessons.SCRIPTS.parent / "docs"
STEPS = {"identity": 22, "sigmoid": 28}
OWN = [("identity", 0), ("sigmoid", 0), ("identity", 1), ("sigmoid", 1), ("identity", 2), ("sigmoid", 2)]


def numbers_of(seed, start):
    """Return x, y, w1, w2 and the rate: those of the page, computed by TensorFlow, or of one's own from a seed on."""
    if seed == 0:
        return start
    rng = np.random.default_rng(seed)
    x, w1, w2 = (rng.normal(size=shape).round(6) for shape in ((1, 2), (2, 3), (3, 1)))
    return x, rng.normal(size=(1, 1)).round(6), w1, w2, 0.25 if seed == 1 else 1e-4


@pytest.fixture(scope="module")
def exporter():
    spec = importlib.util.spec_from_file_location("export_steps", DOCS / "export_steps.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def start(load):
    lesson = load("07_two_layer_network")
    parameters, data = lesson.initial_parameters(1), datasets.volume_and_weight()
    return data.x[:1], data.y[:1], parameters["w1"].numpy(), parameters["w2"].numpy(), 0.001


@pytest.fixture(scope="module")
def texts():
    page = (DOCS / "stepper.rst").read_text(encoding="utf-8")
    found = re.findall(r"container:: say-(\S+)\n\n((?: {6}.*\n)+)", page)
    return {key: " ".join(text.split()) for key, text in found}


@pytest.fixture(scope="module")
def all_states(exporter, start, texts):
    """Return what is seen at each step, by mode and seed."""
    node = shutil.which("node")
    if not node:
        pytest.skip("needs Node.js")
    cases = []
    for mode, seed in OWN:
        x, y, w1, w2, rate = numbers_of(seed, start)
        fields = {f"x-{i}": x[0, i] for i in range(2)} | {f"w2-{j}": w2[j, 0] for j in range(3)}
        fields |= {f"w1-{i}-{j}": w1[i, j] for i in range(2) for j in range(3)} | {"y": y[0, 0], "learning_rate": rate}
        cases.append({"mode": mode, "fields": {key: float(each) for key, each in fields.items()} if seed else {}})
    script = (DOCS / "_static" / "stepper.js").read_text(encoding="utf-8")
    given = {"script": script, "texts": texts, "data": exporter.export(), "cases": cases}
    command = [node, str(Path(__file__).with_name("stepper_in_node.js"))]
    done = subprocess.run(
        command, input=json.dumps(given), capture_output=True, text=True, encoding="utf-8", timeout=60
    )
    assert done.returncode == 0, done.stderr
    return dict(zip(OWN, json.loads(done.stdout), strict=True))


@pytest.fixture(params=OWN, ids=lambda case: f"{case[0]}-{case[1]}")
def case(request, all_states, start, load, exporter):
    """Return the states of one case, and the numbers of TensorFlow by symbol."""
    mode, seed = request.param
    return all_states[request.param], by_tensorflow(load, exporter, mode, *numbers_of(seed, start)), mode


def by_tensorflow(load, exporter, mode, x, y, w1, w2, rate):
    """Return every number of the page by its symbol: the lesson's loss, and a tape."""
    x, y, w1, w2 = (tf.constant(array, tf.float64) for array in (x, y, w1, w2))
    loss = load("07_two_layer_network").loss if mode == "identity" else exporter.sigmoid_loss
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([x, w1, w2])
        z = x @ w1
        h = tf.sigmoid(z) if mode == "sigmoid" else z
        units = [h[0, j] for j in range(3)]
        y_hat = h @ w2
        L = tf.reduce_mean((y_hat - y) ** 2)
    np.testing.assert_allclose(L, loss({"w1": w1, "w2": w2}, x, y), rtol=1e-12)
    dL_dw1, dL_dw2 = tape.gradient(L, [w1, w2])
    new = {"w1": w1 - rate * dL_dw1, "w2": w2 - rate * dL_dw2}
    arrays = {"x": x[0], "w1": w1, "w2": w2[:, 0], "h": h[0], "dL/dh": tape.gradient(L, h)[0]}
    arrays |= {"dL/dw1": dL_dw1, "dL/dw2": dL_dw2[:, 0], "new w1": new["w1"], "new w2": new["w2"][:, 0]}
    arrays |= {"dŷ/dh": tape.gradient(y_hat, h)[0], "dŷ/dw2": tape.gradient(y_hat, w2)[:, 0]}
    into = "h"
    if mode == "sigmoid":
        into = "z"
        arrays |= {"z": z[0], "dL/dz": tape.gradient(L, z)[0]}
    values = {"y": y, "ŷ": y_hat, "L": L, "dL/dŷ": tape.gradient(L, y_hat), "new L": loss(new, x, y)}
    values = {symbol: float(np.squeeze(each)) for symbol, each in values.items()} | {"rate": rate}
    for symbol, array in arrays.items():
        for index, each in np.ndenumerate(np.asarray(array)):
            values[f"{symbol}[{','.join(map(str, index))}]"] = float(each)
    for j in range(3):
        for i in range(2):  # of sum over x[i] w1[i, j]
            values[f"d{into}[{j}]/dw1[{i},{j}]"] = float(x[0, i])
        if mode == "sigmoid":
            values[f"dh[{j}]/dz[{j}]"] = float(tape.gradient(units[j], z)[0, j])
    return values


WEIGHT, UNIT = r"w[12](?:\[[\d,]+\])?", r"[zh]\[\d\]"
SYMBOL = rf"new L|(?:new )?{WEIGHT}|d(?:L|ŷ|{UNIT})/d(?:ŷ|{UNIT}|{WEIGHT})|x\[\d\]|{UNIT}|ŷ|y|L|rate"
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
            operands.append(values[token] if kind == "symbol" else float(token.replace("−", "-")))
            python.append(f"({operands[-1]!r})")
        before = kind if kind != "sign" else token
    return eval("".join(python), {"sigmoid": lambda z: 1 / (1 + np.exp(-z))}), operands


def read(line):
    """Return a line of the formulas: what kind it is, its terms, and the value as a number and as shown, or None."""
    kind = re.match(r"<small>(.*?)</small>", line)
    inner = re.search(r"<span>(.*)</span>", line)[1]
    inner = re.sub(r"<sub>(.*?)</sub>", r"[\1]", inner)
    data = re.search(r'<data value="(.*?)" data-symbol="(.*?)">(.*?)</data>', inner)
    terms = inner[: data.start()].removesuffix(" = ").split(" = ") if data else inner.split(" = ")
    value = (float(data[1]), data[2], float(data[3].replace("−", "-"))) if data else None
    return kind and kind[1], terms, value


def about(value, precision):
    """Return what a number with so many digits has to be near."""
    return pytest.approx(value, rel=0.51 * 10 ** (1 - precision), abs=1e-12)


def test_every_formula_computed_as_it_stands_gives_tensorflows_number(case):
    states, values, mode = case
    assert [state["step"] for state in states] == list(range(STEPS[mode]))
    seen = []
    for state in states:
        for kind, (symbol, *terms), value in map(read, state["lines"]):
            if value is None:  # new w1 = w1 - rate dL/dw1, of all of them
                of = symbol.removeprefix("new ")
                assert (symbol[:4], terms) == ("new ", [f"{of} − rate · dL/d{of}"])
                continue
            assert symbol == value[1]
            assert value[0] == pytest.approx(values[symbol], rel=1e-6, abs=1e-9), symbol
            assert value[2] == about(values[symbol], 6)
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
                assert result == pytest.approx(values[symbol], rel=1e-4, abs=2e-5 * size), f"{symbol} = {formula}"
                if not with_symbols:  # new w1[0,0] = w1[0,0] - rate dL/dw1[0,0]
                    of = symbol.removeprefix("new ")
                    operands = [values[of], values["rate"], values[f"dL/d{of}"]]
                assert [abs(each) for each in put_in] == [about(abs(each), 6) for each in operands], formula
            assert kind == kind_of(symbol, state["phase"]), symbol
    shown = {symbol for symbol in values if not re.match(r"w\d|rate", symbol)}
    assert sorted(seen) == sorted([*shown, "L"]), "each once, and L once more beside the new one"


def kind_of(symbol, phase):
    if phase != "backward":
        return None
    return "local" if not symbol.startswith("dL/") or symbol == "dL/dŷ" else "chain rule"


def test_order_is_forward_backward_update(case):
    states, _, mode = case
    phases = [state["phase"] for state in states]
    forward = 8 if mode == "sigmoid" else 5
    assert phases == ["start"] + forward * ["forward"] + (len(states) - forward - 4) * ["backward"] + 3 * ["update"]
    known = {"rate", *(f"w1[{i},{j}]" for i in range(2) for j in range(3)), *(f"w2[{j}]" for j in range(3))}
    for state in states:
        for _, (symbol, *terms), value in map(read, state["lines"]):
            for term in terms if value else []:
                assert {token for kind, token in tokens(term) if kind == "symbol"} <= known, f"{symbol} = {term}"
            known.add(symbol)


def test_the_graph_has_the_numbers_that_are_known_and_no_others(case):
    states, values, mode = case
    known = set()
    for state in states:
        known |= {read(line)[1][0] for line in state["lines"]}
        graph = {each["id"]: each for each in state["graph"]}
        assert len(graph) == len(state["graph"]) == 9 + 8
        for i in range(2):
            for j in range(3):
                assert_weight(graph[f"x{i}-h{j}"], f"w1[{i},{j}]", known, values)
        for j in range(3):
            assert_weight(graph[f"h{j}-y_hat"], f"w2[{j}]", known, values)
            symbols = [f"z[{j}]", f"h[{j}]"] if mode == "sigmoid" else [f"h[{j}]"]
            assert_node(graph[f"h{j}"], symbols, known, values)
        for name, symbol in {"x0": "x[0]", "x1": "x[1]", "y": "y", "y_hat": "ŷ", "L": "L"}.items():
            assert_node(graph[name], [symbol], known, values)


def number(text):
    return float(text.replace("−", "-"))


def assert_weight(seen, symbol, known, values):
    moved = f"new {symbol}" in known
    (kind, text), *derivative = seen["spans"]
    assert number(text) == about_short(values[f"new {symbol}" if moved else symbol])
    assert kind == ("update" if moved else "")
    assert [kind for kind, _ in derivative] == ["backward"] * (f"dL/d{symbol}" in known)
    for _, text in derivative:
        assert text.startswith("↑ ")
        assert number(text[2:]) == about_short(values[f"dL/d{symbol}"])


def about_short(value):
    return about(value, 3 if abs(value) >= 0.001 else 2)


def assert_node(seen, symbols, known, values):
    texts = [text for text in seen["texts"] if not text.startswith("↑")]
    assert len(texts) == len(symbols)
    for text, symbol in zip(texts, symbols, strict=True):
        name, _, shown = text.replace("\u200b", "").partition(" = ")
        assert name == re.sub(r"\[(\d)\]", r"\1", symbol)
        assert bool(shown) == (symbol in known), f"{symbol} is shown when it is known"
        if shown:
            assert number(shown) == about(values["new L" if symbol == "L" and "new L" in known else symbol], 4)
    derivatives = [symbol for symbol in symbols if f"dL/d{symbol}" in known]
    assert [number(text[2:]) for text in seen["back"]] == [about_short(values[f"dL/d{each}"]) for each in derivatives]


def test_what_is_heard_is_what_is_seen(case, texts):
    states, _, _ = case
    for at, state in enumerate(states, start=1):
        lines = [read(line) for line in state["lines"]]
        said = []
        for line, (_, terms, _value) in zip(state["lines"], lines, strict=True):
            formula = [term for term in terms[1:] if any(kind == "symbol" for kind, _ in tokens(term))]
            shown = re.search(r"<data .*?>(.*?)</data>", line)
            said.append(" = ".join([terms[0], *formula, *([shown[1]] if shown else [])]))
        place = f"Step {at} of {len(states)}. {state['phase'].capitalize()}. "
        assert state["status"] == place + ". ".join([*said, re.sub("<.*?>", "", state["text"])])
        assert state["text"] in texts.values()


def test_the_fields_have_the_lessons_numbers(all_states, start):
    x, y, w1, w2, rate = start
    fields = {key: float(text) for key, text in all_states["identity", 0][0]["fields"].items()}
    expected = {"x-0": x[0, 0], "x-1": x[0, 1], "y": y[0, 0], "learning_rate": rate}
    expected |= {f"w1-{i}-{j}": w1[i, j] for i in range(2) for j in range(3)} | {f"w2-{j}": w2[j, 0] for j in range(3)}
    assert fields == {key: pytest.approx(float(each), rel=1e-6) for key, each in expected.items()}


def test_the_line_of_code_is_that_of_the_symbol(all_states):
    for mode, file in (("identity", "scripts/07_two_layer_network.py"), ("sigmoid", "docs/export_steps.py")):
        for state in all_states[mode, 0][1:]:
            found, line = re.fullmatch(r"The code: (\S+), line (\d+)", state["caption"]).groups()
            first = read(state["lines"][-1])[1][0]
            assert found == ("scripts/07_two_layer_network.py" if first.startswith("new w") else file)
            code = (lessons.SCRIPTS.parent / found).read_text(encoding="utf-8").splitlines()[int(line) - 1]
            name = re.sub(r"\[.*", "", first).replace("/", "_").replace("ŷ", "y_hat")
            expected = {"L": "reduce_mean(", "new L": "reduce_mean("}
            expected |= {"new w1": "w - learning_rate * dL_dw", "new w2": "w - learning_rate * dL_dw"}
            assert expected.get(name, f"{name} = ") in code, state["caption"]
