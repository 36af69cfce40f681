"""Which mistake the check names: those of public threads in NumPy, and the planted ones of the lessons."""

import functools

from tf_backprop import check_gradients
from tf_backprop.support import language
from tf_backprop.support.check.layers import layers
from tools import catalogues, mistakes, readme

import numpy as np
import pytest
import test_faults

#: What the verdict and the sentences have to say, by the name of the mistake; (verdict, words of the report).
SAID = {
    "no 1/n": ("7 times too large", "the 1/n of the mean is missing (the batch has 7 rows)"),
    "two scales": ("7 times too large", "Two scales: W1, W2 as if summed over the rows, b1, b2 as the mean."),
    "a mean, the loss a sum": ("7 times too small", "yours is a mean over the rows, and the loss is a sum"),
    "db a mean on top of 1/n": ("7 times too small", "the mean over the rows is taken twice (the batch has 7 rows)"),
    "sign": ("the sign is wrong", "look at the start, where the loss meets the output"),
    "a 2 too many": ("2 times too large", "a 2 too many"),
    "no σ' at the output": (
        "a derivative is missing",
        "W2, b2: On single rows the derivative of the sigmoid, a (1 - a), is missing",
    ),
    "no σ' in the hidden layer": ("a derivative is missing", "the derivative of the sigmoid, a (1 - a), is missing"),
    "σ' of a": ("a derivative taken of a", "the derivative of the sigmoid, a (1 - a), is taken at a, and not at z"),
    "z (1 - z)": ("a derivative given z for a", "the derivative of the sigmoid, a (1 - a), is given z, and not a"),
    "σ' although cross-entropy": ("a derivative too many", "W2, b2: On single rows the derivative of the sigmoid"),
    "no tanh', no biases": ("a derivative is missing", "the derivative of the tanh, 1 - a², is missing"),
    "no ReLU'": ("ReLU's derivative is missing", "one is zero: the derivative of ReLU at units that are not active"),
    "ReLU' as a >= 0": ("ReLU's derivative is missing", "or taken as a >= 0, which always holds"),
    "hidden delta from W2 already updated": (
        "W2 is updated already",
        "W2 after a step with the learning rate 0.5: take all gradients first",
    ),
    "all after an update": ("taken after an update", "all parameters took a step with the learning rate 0.1"),
    "W for Wᵀ": ("W2 itself in place of W2ᵀ", "made with W2 itself, and not with its transpose"),
    "reshaped, not transposed": (
        "a reshaped W2 in place of W2ᵀ",
        "made with a reshaped W2, and not with its transpose",
    ),
    "dW transposed": ("transposed", "b2 is right, so the error dL/dz of its layer is right: look at the product"),
    "db over axis 1": ("summed over the wrong axis", "has the shape (7,), b1 has (5,): 7 is the number of rows"),
    "db not summed": ("the sum over axis 0 is missing", "has the shape (7, 5), b1 has (5,)"),
    "(1, 5) for (5,)": ("wrong shape, right numbers", "has the shape (1, 5), b1 has (5,): is keepdims"),
    "one scalar for all biases": ("one number for all", "the sum of all the right ones: the sum lacks its axis"),
    "db = sum of dW": ("the sum of W", "make it from the error dL/dz itself"),
    "db = mean of dW over the pixels": ("the mean of W1's over axis 0", "make it from the error dL/dz itself"),
    "the same with the sign flipped": ("minus the mean of W1's over axis 0", "make it from the error dL/dz itself"),
    "frozen biases": ("all zero", "would never be trained"),
    "no bias gradient": ("missing", "would never be trained"),
    "None": ("None", "is None, not an array"),
    "softmax over the batch": (
        "the rows are mixed",
        "b2: On single rows yours is right. For the first 4 rows together",
    ),
    "softmax over axis 0": ("the rows are mixed", "b2: For the first 4 rows together yours is not the mean"),
    "softmax' by element": (
        "zero in some numbers of each row",
        "looks like a derivative of the softmax without the terms",
    ),
    "no L2": ("weight decay: too little", "0.6 times the parameter itself"),
    "L2 without its 2": ("weight decay: too little", "0.3 times the parameter itself"),
    "L2 twice": ("weight decay: too much", "0.6 times the parameter itself"),
    "only the last row": ("only the last row counts", "= in a loop where += is meant"),
    "two columns exchanged": ("columns 0 and 1 are exchanged", "look at the product that makes W2's gradient"),
    "one column zero": ("zero in column 2", "right in the others"),
    "wrong by 1e-5": ("1.00001 times the right one", "look at the product that makes W1's gradient"),
    "dropout without its 2": ("2 times too small", "the 2 of the square is missing"),
    "dropout forgotten": ("the loss is flat in some rows", "a mask in the loss that yours does not have"),
    "(1 - t) left out of the loss": ("the loss is flat in some rows", "or a term that the loss lacks"),
    "p clipped in the loss": ("the loss is flat in some rows", "looks like a max, a clip"),
    "(n, 1) - (n,) in the loss": ("the loss broadcasts", "becomes (7, 7). Mend the loss."),
    "no 1/n, samples in columns": ("7 times too large", "the 1/n of the mean is missing"),
    "W for Wᵀ, samples in columns": ("W2 itself in place of W2ᵀ", "and not with its transpose"),
    "no ReLU', samples in columns": ("ReLU's derivative is missing", "not active"),
}


@pytest.mark.parametrize("mistake", mistakes.mistakes(), ids=lambda mistake: mistake.name)
def test_a_mistake_is_named_where_it_is(mistake):
    report = check_gradients(mistake.loss, mistake.gradients, mistake.parameters, *mistake.batch)
    assert " ".join(row.name for row in report.rows if not row.ok) == mistake.wrong
    verdict, words = SAID[mistake.name]
    verdicts = [row.verdict for row in report.rows if not row.ok]
    follow = [said for said in verdicts if "numbers are wrong" in said]  # from what is wrong at the next layer
    assert all(verdict in said for said in verdicts if said not in follow), report
    assert len(follow) < len(verdicts)
    begin = "Mend W2 and b2 first" if "the loss is flat" not in verdict else "W2 and b2 belong to the last layer"
    assert not follow or begin in str(report)
    assert words in str(report), report


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 6))
def test_the_name_of_a_mistake_does_not_depend_on_the_numbers(seed):
    for mistake in mistakes.mistakes(seed):
        report = check_gradients(mistake.loss, mistake.gradients, mistake.parameters, *mistake.batch, seed=seed)
        assert " ".join(row.name for row in report.rows if not row.ok) == mistake.wrong
        verdicts = [row.verdict for row in report.rows if not row.ok]
        assert SAID[mistake.name][0] in " ".join(verdicts), f"{mistake.name}: {report}"


def test_without_the_mistake_each_is_right():
    for mistake in mistakes.mistakes():
        function = mistake.gradients
        if isinstance(function, functools.partial):
            right, loss = functools.partial(function, mistake=""), mistake.loss
            if isinstance(loss, functools.partial) and "mistake" in loss.keywords:
                loss = functools.partial(loss, mistake="")
            assert check_gradients(loss, right, mistake.parameters, *mistake.batch).ok, mistake.name


@pytest.mark.slow
def test_the_committed_table_is_what_the_check_says_in_both_languages(monkeypatch):
    written = readme.written()["mistakes"]
    assert written == mistakes.table(), "run: python -m tools.mistakes"
    monkeypatch.setenv(language.VARIABLE, "zh")
    catalogue = catalogues.read(catalogues.CATALOGUES / "check.po")
    for cell, text in mistakes.chinese().items():
        assert catalogue[cell].string == text, "run: python -m tools.mistakes"
    assert [line.split("|")[1].strip() for line in written.splitlines()[2:]] == [*SAID]


#: Of each planted fault of the lessons: the parameters that are wrong, and words of the report.
PLANTED = {
    "missing 1/n": ("*", "the 1/n of the mean is missing"),
    "wrong sign": ("*", "with the opposite sign"),
    "factor 2 lost": ("*", "the 2 of the square is missing"),
    "bias averaged over pixels": ("b", "the mean of that for W over axis 0"),
    "bias summed over everything": ("b", "the sum lacks its axis"),
    "softmax over the batch": ("W b", "Looks like a softmax or a mean over the rows"),
    "frozen w1": ("w1", "would never be trained"),
    "bias averaged": ("b3", "the mean over the rows is taken twice"),
    "transposed weight": ("W1 W2 b1 b2", "W2, b2: What goes back to this layer is made with a reshaped W3"),
    "activation's derivative left out": ("W1 W2 b1 b2", "W2, b2: On single rows the derivative of the sigmoid"),
    ">= in ReLU'": ("W1 W2 W3 b1 b2 b3", "W3, b3: On single rows yours is right in some numbers"),
    "frozen bias": ("b", "would never be trained"),
}


def checked(name, case, right=None, wrong=None):
    """Return the report on a lesson in which something is replaced."""
    module = test_faults.broken(name, right, wrong)
    parameters, batch, options = case()
    functions = (functools.partial(function, **options) for function in (module.loss, module.gradients_by_hand))
    return check_gradients(*functions, parameters, *batch)


@pytest.mark.parametrize("fault", test_faults.FAULTS, ids=lambda fault: f"{fault[0][:2]} {fault[2]}")
def test_a_fault_that_is_planted_in_a_lesson(fault):
    report = checked(fault[0], fault[1], *fault[3:])
    wrong, words = PLANTED[fault[2]]
    wrong = "b2" if fault[2] == "frozen bias" and "moons" in fault[0] else wrong
    everything = " ".join(row.name for row in report.rows)
    assert " ".join(row.name for row in report.rows if not row.ok) == (everything if wrong == "*" else wrong)
    assert words in str(report), report


def of_sine(p, x, y):
    """Return the squared error of a network whose activation is no usual one."""
    return np.mean((np.sin(x @ p["W1"] + p["b1"]) @ p["W2"] + p["b2"] - y) ** 2)


def by_hand_of_sine(p, x, y, matrix=None, slope=np.cos):
    z1 = x @ p["W1"] + p["b1"]
    dz2 = 2 * (np.sin(z1) @ p["W2"] + p["b2"] - y) / y.size
    dz1 = dz2 @ (p["W2"].T if matrix is None else matrix) * slope(z1)
    return {"W1": x.T @ dz1, "b1": dz1.sum(0), "W2": np.sin(z1).T @ dz2, "b2": dz2.sum(0)}


@pytest.mark.parametrize("seed", range(3))
def test_no_name_is_given_to_what_is_none_of_the_mistakes(seed):
    rng = np.random.default_rng(seed)
    p, x, y = mistakes.network(rng), rng.normal(size=(7, 6)), rng.normal(size=(7, 4))
    assert check_gradients(of_sine, by_hand_of_sine, p, x, y).ok
    others = [{"slope": lambda z: 1 + 0 * z}, {"slope": lambda z: np.cos(z) ** 2}, {"slope": lambda z: np.cos(z) + 0.1}]
    per_unit = rng.uniform(0.5, 2, 5)
    for other in [*others, {"matrix": rng.normal(size=(4, 5))}, {"slope": lambda z: np.cos(z) * per_unit}]:
        report = check_gradients(of_sine, functools.partial(by_hand_of_sine, **other), p, x, y, seed=seed)
        said = {row.name: row.verdict for row in report.rows if not row.ok}
        assert said == {"W1": "30 of 30 numbers are wrong", "b1": "5 of 5 numbers are wrong"}, report


def test_layers_are_found_by_their_numbers():
    shapes = {"W1": (6, 5), "W2": (5, 4), "b1": (5,), "b2": (4,)}
    assert [tuple(layer) for layer in layers(shapes)] == [("W1", "b1"), ("W2", "b2")]
    assert [tuple(layer) for layer in layers({"W": (6, 5), "b": (5,)})] == [("W", "b")]
    assert [tuple(layer) for layer in layers({"w1": (2, 3), "w2": (3, 1)})] == [("w1", None), ("w2", None)]
    assert [tuple(layer) for layer in layers({"W1": (5, 6), "b1": (5, 1), "W2": (4, 5), "b2": (4, 1)})] == [
        ("W1", "b1"),
        ("W2", "b2"),
    ]
    assert layers({"W1": (6, 5), "W2": (3, 4)}) == [], "no chain: nothing follows"


def test_layers_are_found_by_their_order():
    named = {"U": (6, 5), "V": (5, 4), "b": (4,)}
    listed = {f"parameters[{i}]": shape for i, shape in enumerate([(6, 5), (5,), (5, 4), (4,)])}
    columns = {f"parameters[{i}]": shape for i, shape in enumerate([(5, 6), (5, 1), (4, 5), (4, 1)])}
    one_output = {f"parameters[{i}]": shape for i, shape in enumerate([(6, 5), (5, 1)])}
    assert [tuple(layer) for layer in layers(named)] == [("U", None), ("V", "b")]
    for shapes in (listed, columns):
        names = [*shapes]
        assert [tuple(layer) for layer in layers(shapes)] == [tuple(names[:2]), tuple(names[2:])]
    assert [tuple(layer) for layer in layers(one_output)] == [(name, None) for name in one_output]
    assert layers({"a": (5, 5), "b": (3, 4)}) == []


@pytest.mark.parametrize(("sizes", "n"), [((6, 5, 4), 4), ((6, 5, 7), 7)])
def test_two_causes_for_one_factor_are_both_said(sizes, n):
    rng = np.random.default_rng(0)
    p = mistakes.network(rng, sizes)
    x, y = rng.normal(size=(n, 6)), rng.integers(sizes[2], size=n)
    report = check_gradients(mistakes.cross_entropy, functools.partial(mistakes.by_hand, mistake="no 1/n"), p, x, y)
    assert f"looks like the 1/n of the mean is missing (the batch has {n} rows), or a mean over {n} is missing" in str(
        report
    )
    assert any(f"{n} is also a size of" in warning for warning in report.warnings)
