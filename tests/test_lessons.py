"""What every lesson has to do, found by pattern: a new one is tested without being registered."""

import ast
import builtins
import dis
import inspect
import itertools
import re
import subprocess
import sys

from copied import acts
from tf_backprop import datasets
from tf_backprop.support import lessons

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

ROOT = lessons.SCRIPTS.parent
LESSONS = [lesson.name for lesson in lessons.find()]


#: What makes the longest lessons short. As they are, they run in test_determinism.py.
SHORT = {
    "09_mnist_softmax_optimizer": ["--epochs", "20"],
    "10_mnist_softmax_gradient_tape": ["--epochs", "20"],
    "11_mnist_softmax_hand_derived": ["--epochs", "20"],
    "12_moons_mlp": ["--epochs", "20"],
    "13_wrong_gradients": ["--steps", "30", "--mistake", "relu-ge"],
    "14_mnist_softmax_distributed": ["--workers", "1", "--steps", "20"],
}


def on_digits(main):
    return ["--data", "digits"] if "data" in inspect.signature(main).parameters else []


def runs_well(process, name, folder):
    assert (process.returncode, process.stderr) == (0, "")
    assert 3 <= len(process.stdout.splitlines()) <= 20
    assert not list((folder / "elsewhere").iterdir())
    figures = sorted((folder / "figures").iterdir())
    assert figures
    for figure in figures:
        assert figure.name.startswith(name)
        assert figure.suffix == ".png"
        assert np.asarray(Image.open(figure).convert("L")).std() > 10, "the figure is blank"
    assert [line for line in process.stdout.splitlines() if line.startswith("figure: ")] == [
        f"figure: {figure}" for figure in figures
    ]


def slow_unless(numbers):
    """Return the lessons, of which those without these numbers are left to make test-all."""
    return [name if name[:2] in numbers else pytest.param(name, marks=pytest.mark.slow) for name in LESSONS]


@pytest.mark.parametrize("name", slow_unless({"01", "12", "14"}))
def test_runs_as_a_script_in_an_empty_folder(name, load, run_script, tmp_path):
    digits = on_digits(load(name).main)
    runs_well(run_script(name, *digits, *SHORT.get(name, [])), name, tmp_path)
    if digits and (ROOT / ".git").exists():  # an archive does not know what git ignores
        drawn = [ROOT / "figures" / path.name for path in (tmp_path / "figures").iterdir()]
        ignored = subprocess.run(["git", "check-ignore", *drawn], cwd=ROOT, capture_output=True, text=True)
        assert ignored.stdout.splitlines() == [str(path) for path in drawn], "it would draw over a committed figure"


@pytest.mark.parametrize("name", slow_unless({f"0{number}" for number in range(1, 8)}))
def test_the_default_run_prints_what_it_returns(name, default_run):
    result, printed = default_run(name)
    *_, answer = result.comparison
    assert 3 <= len(printed.splitlines()) <= 20
    line = [line for line in printed.splitlines() if line.startswith(answer.quantity)][-1]
    assert f"{answer.learned:.6g}" in line.split()


@pytest.mark.parametrize("name", LESSONS)
def test_form(name, load):
    path = lessons.SCRIPTS / f"{name}.py"
    source = path.read_text(encoding="utf-8")
    assert sum(lines_of_acts(source).values()) <= 70
    docstring = ast.get_docstring(ast.parse(source))
    title, underline, *rest = docstring.splitlines()
    assert set(underline) == {"="}
    assert len(underline) == len(title)
    assert 12 <= len(docstring.splitlines()) <= 28
    assert sum(line.startswith("- ``") for line in rest) == 2, "two Try lines"
    named = re.search(r"(\S+)\s+D[1-5]\b", docstring.partition("Re-runs")[0])
    assert not named or named[1] == "tutorial,", "who reads the lesson first does not know what D1 to D5 are"
    cells = [line[2:] for line in _cell_titles(source)]
    assert cells[:4] == ["Prepare", "Forward", "Backward", "Iterate"]
    assert cells[-2:] == ["Plot and main", "Run"]
    parameters = inspect.signature(load(name).main).parameters
    assert list(parameters)[-3:] == ["seed", "figures", "show"]
    for word in ("simply", "just", "easy", "easily", "obviously", "trivial"):
        assert word not in source.lower().split(), word
    for forbidden in ("__file__", "__doc__", "sys.exit", "from scripts"):
        assert forbidden not in source


def lines_of_acts(source):
    """Return how many lines of code each of the four acts has, without comments, docstrings and result types."""
    tree, lines = ast.parse(source), source.splitlines()
    starts = [number for number, line in enumerate(lines, 1) if line == "# %%"] + [len(lines)]
    counted = set()
    for node in tree.body:
        told = isinstance(node, ast.ClassDef) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        if not told:
            counted |= set(range(node.lineno, node.end_lineno + 1)) - docstrings(node)
    code = {n for n in counted if lines[n - 1].strip() and not lines[n - 1].strip().startswith("#")}
    acts = itertools.pairwise(starts[:5])
    return {lines[first]: sum(first < n < last for n in code) for first, last in acts}


def docstrings(node):
    found = set()
    for inner in ast.walk(node):
        if isinstance(inner, ast.FunctionDef) and ast.get_docstring(inner) is not None:
            found |= set(range(inner.body[0].lineno, inner.body[0].end_lineno + 1))
    return found


def _cell_titles(source):
    lines = source.splitlines()
    return [lines[i + 1] for i, line in enumerate(lines) if line == "# %%"]


@pytest.mark.parametrize("name", LESSONS)
def test_one_thought_a_line(name):
    source = (lessons.SCRIPTS / f"{name}.py").read_text(encoding="utf-8")
    assert max(map(len, source.splitlines())) <= 100
    comprehensions = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
    for node in ast.walk(ast.parse(source)):
        line = getattr(node, "lineno", None)
        assert not isinstance(node, ast.NamedExpr), line
        if isinstance(node, ast.Assign):
            assert not any(isinstance(inner, ast.Lambda) for inner in ast.walk(node.value)), line
            together = isinstance(node.targets[0], ast.Tuple) and isinstance(node.value, ast.Tuple)
            assert not together, f"line {line}: two things are assigned in one line"
        if isinstance(node, comprehensions):
            inner = [each for each in ast.walk(node) if isinstance(each, comprehensions)]
            assert inner == [node], f"line {line}: a comprehension in a comprehension"
        assert not (isinstance(node, ast.Name) and node.id in ("locals", "globals")), line


def global_names(code):
    """Return the global names that a code object and those inside it read."""
    names = {step.argval for step in dis.get_instructions(code) if step.opname == "LOAD_GLOBAL"}
    return names.union(*(global_names(inner) for inner in code.co_consts if inspect.iscode(inner)))


def block_the_package(monkeypatch):
    """Let an import of this package fail, as where it is not installed."""
    for module in [module for module in sys.modules if module.partition(".")[0] == "tf_backprop"]:
        monkeypatch.setitem(sys.modules, module, None)


@pytest.mark.parametrize("name", LESSONS)
def test_the_four_acts_can_be_copied(name, load, monkeypatch):
    """All that they name is NumPy, TensorFlow, Python or one of them."""
    lesson = load(name)
    block_the_package(monkeypatch)
    namespace = acts(lesson)
    values = [getattr(value, "python_function", value) for value in namespace.values()]  # of a tf.function
    functions = [f for f in values if inspect.isfunction(f) and f.__globals__ is namespace]
    assert len(functions) >= 4
    for function in functions:
        missing = global_names(function.__code__) - {*namespace, *dir(builtins)}
        assert not missing, f"{function.__name__} needs {missing}"


def train_05(pasted):
    paths, _ = pasted["descend"](pasted["all_points"]([(1.0, 0.0)]), 20, 0.01, 1)
    return paths[:, 0]


def train_07(pasted):
    x, y = (part.reshape(4, 8, -1) for part in datasets.volume_and_weight())
    return pasted["train"](pasted["adam"], pasted["initial_parameters"](1), x, y, 20, 0.001, 0.9)[1]


def train_09(pasted):
    x, y = datasets.images("digits").train
    return pasted["train"](pasted["take_step"], 0.01, pasted["start"](64), x, y, 3, 100, 0)[1]


def train_12(pasted):
    (X, y), _ = datasets.moons()
    start, epochs, rate = pasted["initial_parameters"](np.random.default_rng(0)), tf.constant(10), tf.constant(0.01)
    return pasted["train"](start, X, np.eye(2, dtype=np.float32)[y], epochs, rate, "sigmoid", True)["W1"]


def train_one_number(data, rate):
    def train(pasted):
        rng = np.random.default_rng(0)
        x, y = data(rng)
        A, order = pasted["prepare"](rng, len(x), 20)
        return pasted["train"](A, x, y, order, rate)[0]

    return train


SHORT_RUNS = [
    ("01_regression", train_one_number(datasets.regression, 0.02), {"steps": 20}, lambda r: r.trajectory),
    ("02_binary_classification", train_one_number(datasets.two_classes, 0.05), {"steps": 20}, lambda r: r.trajectory),
    ("05_himmelblau", train_05, {"steps": 20, "start": (1.0, 0.0)}, lambda r: r.paths[1.0, 0.0]),
    ("07_two_layer_network", train_07, {"steps": 20}, lambda r: r.losses["adam"]),
    ("09_mnist_softmax_optimizer", train_09, {"epochs": 3, "data": "digits"}, lambda r: r.costs),
    ("10_mnist_softmax_gradient_tape", train_09, {"epochs": 3, "data": "digits"}, lambda r: r.costs),
    ("11_mnist_softmax_hand_derived", train_09, {"epochs": 3, "data": "digits"}, lambda r: r.costs),
    ("12_moons_mlp", train_12, {"epochs": 10}, lambda r: r.parameters["W1"]),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "train", "options", "chosen"), SHORT_RUNS, ids=[run[0] for run in SHORT_RUNS])
def test_the_pasted_acts_train_as_the_lesson_does(name, train, options, chosen, load, monkeypatch, tmp_path):
    lesson = load(name)
    expected = chosen(lesson.main(figures=tmp_path, **options))
    block_the_package(monkeypatch)
    np.testing.assert_array_equal(train(acts(lesson)), expected)


@pytest.mark.parametrize("name", LESSONS)
def test_no_lesson_imports_another(name):
    for node in ast.walk(ast.parse((lessons.SCRIPTS / f"{name}.py").read_text(encoding="utf-8"))):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            modules = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            assert not any(m[:2].isdigit() or m.startswith("lesson") for m in modules)
