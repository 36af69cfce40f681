"""Which mistake the check names: those of public threads in NumPy, and the planted ones of the lessons."""

import functools

from tf_backprop import check_gradients
from tf_backprop.support.layers import layers
from tools import mistakes, readme

import numpy as np
import pytest
import test_faults

#: What the verdict and the sentences have to say, by the name of the mistake; (verdict, words of the report).
SAID = {
    "no 1/n": ("7 times too large", "the 1/n of the mean is missing (the batch has 7 rows)"),
    "two scales": ("7 times too large", "Two scales: W1, W2 as if summed over the rows, b1, b2 as the mean."),
    "db a mean on top of 1/n": ("7 times too small", "the mean over the rows is taken twice (the batch has 7 rows)"),
    "sign": ("the sign is wrong", "look at the start, where the loss meets the output"),
    "a 2 too many": ("2 times too large", "a 2 too many"),
    "no σ' at the output": (
        "a derivative is missing",
        "W2, b2: On single rows the derivative of the sigmoid, a (1 - a), is missing",
    ),
    "no σ' in the hidden layer": ("a derivative is missing", "the derivative of the sigmoid, a (1 - a), is missing"),
    "σ' of a": ("a derivative taken of a", "the derivative of the sigmoid, a (1 - a), is taken at a, and not at z"),
    "no ReLU'": ("ReLU's derivative is missing", "looks like the derivative of ReLU at units that are not active"),
    "ReLU' as a >= 0": ("ReLU's derivative is missing", "or taken as a >= 0, which always holds"),
    "hidden delta from W2 already updated": (
        "W2 is updated already",
        "W2 after a step with the learning rate 0.5: take all gradients first",
    ),
    "all after an update": ("taken after an update", "all parameters took a step with the learning rate 0.1"),
    "W for Wᵀ": ("W2 itself in place of W2ᵀ", "made with W2 itself, and not with its transpose"),
    "dW transposed": ("transposed", "b2 is right, so the error dL/dz of its layer is right: look at the product"),
    "db over axis 1": ("summed over the wrong axis", "has the shape (7,), b1 has (5,): 7 is the number of rows"),
    "db not summed": ("the sum over axis 0 is missing", "has the shape (7, 5), b1 has (5,)"),
    "(1, 5) for (5,)": ("wrong shape, right numbers", "has the shape (1, 5), b1 has (5,): is keepdims"),
    "one scalar for all biases": ("one number for all", "the sum of all the right ones: the sum lacks its axis"),
    "db = sum of dW": ("the sum of W", "make it from the error dL/dz itself"),
    "db = mean of dW over the pixels": ("the mean of W1's over axis 0", "make it from the error dL/dz itself"),
    "frozen biases": ("all zero", "would never be trained"),
    "no bias gradient": ("missing", "would never be trained"),
    "None": ("None", "is None, not an array"),
    "softmax over the batch": ("the rows are mixed", "Looks like a softmax that goes over the rows"),
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
    "(n, 1) - (n,) in the loss": ("the loss broadcasts", "becomes (7, 7). Mend the loss."),
    "no 1/n, samples in columns": ("7 times too large", "the 1/n of the mean is missing"),
    "no ReLU', samples in columns": ("ReLU's derivative is missing", "not active"),
}


@pytest.mark.parametrize("mistake", mistakes.mistakes(), ids=lambda mistake: mistake.name)
def test_a_mistake_is_named_where_it_is(mistake):
    report = check_gradients(mistake.loss, mistake.gradients, mistake.parameters, *mistake.batch)
    assert " ".join(row.name for row in report.rows if not row.ok) == mistake.wrong
    verdict, words = SAID[mistake.name]
    assert all(verdict in row.verdict for row in report.rows if not row.ok), report
    assert words in str(report)


def test_without_the_mistake_each_is_right():
    for mistake in mistakes.mistakes():
        function = mistake.gradients
        if isinstance(function, functools.partial):
            right = functools.partial(function, mistake="")
            assert check_gradients(mistake.loss, right, mistake.parameters, *mistake.batch).ok, mistake.name


def test_the_committed_table_is_what_the_check_says():
    written = readme.written()["mistakes"]
    assert written == mistakes.table(), "run: python -m tools.mistakes"
    assert [line.split("|")[1].strip() for line in written.splitlines()[2:]] == [*SAID]


#: Of each planted fault of the lessons: the parameters that are wrong, and words of the report.
PLANTED = {
    "missing 1/n": ("*", "the 1/n of the mean is missing"),
    "wrong sign": ("*", "with the opposite sign"),
    "factor 2 lost": ("*", "the 2 of the square is missing"),
    "bias averaged over pixels": ("b", "the mean of that for W over axis 0"),
    "bias summed over everything": ("b", "the sum lacks its axis"),
    "softmax over the batch": ("W b", "look first at the error dL/dz at the output"),
    "frozen w1": ("w1", "would never be trained"),
    "bias averaged": ("b3", "the mean over the rows is taken twice"),
    "transposed weight": ("W1 W2 b1 b2", "right at the layer of W3, and W2 and b2 before it are wrong"),
    "activation's derivative left out": ("W1 W2 b1 b2", "right at the layer of W3, and W2 and b2 before it are wrong"),
    ">= in ReLU'": ("W1 W2 W3 b1 b2 b3", "right at the layer of W4, and W3 and b3 before it are wrong"),
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
    assert layers({"U": (6, 5), "V": (5, 4), "b": (4,)}) == []


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
