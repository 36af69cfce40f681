"""Deliberate faults in the lessons' own source: each has to turn the gradient test red.

A fault is a replacement in the text of a lesson, so that what is broken is the real function. On the unbroken lesson
the same test passes, in the lesson's own test file and here.
"""

import functools
import types

from gradients import assert_gradients_right
from tf_backprop import check_gradients
from tf_backprop.support import lessons
from tf_backprop.support.errors import GradientError

import numpy as np
import pytest


def broken(name, right=None, wrong=None):
    """Return the lesson as a module in which `right`, found once or more, is replaced by `wrong`."""
    path = lessons.SCRIPTS / f"{name}.py"
    source = path.read_text(encoding="utf-8")
    if right is not None:
        assert right in source, f"{path.name} no longer contains {right!r}: the fault has to follow the lesson"
        source = source.replace(right, wrong)
    module = types.ModuleType(f"broken_{name}")
    # tf.function and inspect want a file with the source; without autograph's loops none is needed here.
    exec(compile(source, f"<broken {path.name}>", "exec"), module.__dict__)
    return module


def softmax_case():
    rng = np.random.default_rng(0)
    parameters = {"W": rng.normal(size=(6, 10)), "b": rng.normal(size=10)}
    return parameters, (rng.uniform(size=(7, 6)), rng.integers(10, size=7)), {}


def scalar_case():
    rng = np.random.default_rng(0)
    return rng.normal(), (rng.normal(1, 1, 7), rng.integers(2, size=7).astype(float)), {}


def two_layer_case():
    rng = np.random.default_rng(0)
    parameters = {"w1": rng.normal(size=(2, 3)), "w2": rng.normal(size=(3, 1))}
    return parameters, (rng.uniform(size=(5, 2)), rng.integers(2, size=(5, 1)).astype(float)), {}


def moons_case(activation="sigmoid"):
    rng = np.random.default_rng(0)
    units = [2, 4, 5, 4, 2]
    parameters = {f"W{i}": rng.normal(size=units[i - 1 : i + 1]) for i in (1, 2, 3, 4)}
    parameters |= {f"b{i}": rng.normal(size=units[i]) for i in (1, 2, 3, 4)}
    return parameters, (rng.normal(size=(7, 2)), np.eye(2)[rng.integers(2, size=7)]), {"activation": activation}


def relu_case():
    return moons_case("relu")


BIAS = "dL_db = tf.reduce_sum(dL_dz, axis=0)"
SOFTMAX = [
    ("missing 1/n", "(p - onehot) / n", "p - onehot"),
    ("wrong sign", "(p - onehot) / n", "(onehot - p) / n"),
    ("frozen bias", BIAS, "dL_db = tf.zeros_like(dL_dz[0])"),
    ("bias averaged over pixels", BIAS, "dL_db = tf.reduce_mean(tf.transpose(x) @ dL_dz, axis=0)"),
    ("bias summed over everything", BIAS, "dL_db = tf.reduce_sum(dL_dz) + 0 * p[0]"),
    ("softmax over the batch", "tf.nn.softmax(", "tf.nn.softmax(axis=0, logits="),
]
REGRESSION, CLASSES = "tf.reduce_mean(dL_dy_hat * dy_hat_dA)", "dL_dz = p - y"
FAULTS = [
    *(("08_mnist_softmax", softmax_case, *fault) for fault in SOFTMAX),
    *(("11_mnist_softmax_hand_derived", softmax_case, *fault) for fault in SOFTMAX),
    ("01_regression", scalar_case, "factor 2 lost", "2 * (y_hat - y)", "(y_hat - y)"),
    ("01_regression", scalar_case, "wrong sign", REGRESSION, "-" + REGRESSION),
    ("01_regression", scalar_case, "missing 1/n", REGRESSION, "tf.reduce_sum(dL_dy_hat * dy_hat_dA)"),
    ("02_binary_classification", scalar_case, "wrong sign", CLASSES, "dL_dz = y - p"),
    ("02_binary_classification", scalar_case, "missing 1/n", "tf.reduce_mean(dL_dz)", "tf.reduce_sum(dL_dz)"),
    ("07_two_layer_network", two_layer_case, "missing 1/n", " / y.shape[0]", ""),
    ("07_two_layer_network", two_layer_case, "factor 2 lost", "2 * (y_hat - y)", "(y_hat - y)"),
    ("07_two_layer_network", two_layer_case, "frozen w1", "tf.transpose(x) @ dL_dh", "0 * tf.transpose(x) @ dL_dh"),
    ("12_moons_mlp", moons_case, "missing 1/n", "(a4 - Y) / X.shape[0] *", "(a4 - Y) *"),
    ("12_moons_mlp", moons_case, "wrong sign", "(a4 - Y) / X", "(Y - a4) / X"),
    ("12_moons_mlp", moons_case, "frozen bias", "tf.reduce_sum(dL_dz2, axis=0)", "tf.zeros_like(dL_dz2[0])"),
    ("12_moons_mlp", moons_case, "bias averaged", "tf.reduce_sum(dL_dz3, axis=0)", "tf.reduce_mean(dL_dz3, axis=0)"),
    (
        "12_moons_mlp",
        moons_case,
        "transposed weight",
        'parameters["W3"], transpose_b=True',
        'tf.reshape(parameters["W3"], [4, 5])',
    ),
    ("12_moons_mlp", moons_case, "activation's derivative left out", "* slope(a2)", ""),
    ("12_moons_mlp", relu_case, ">= in ReLU'", "tf.cast(a > 0, a.dtype)", "tf.cast(a >= 0, a.dtype)"),
]


def check(module, case):
    parameters, batch, options = case()
    functions = (module.loss, module.gradients_by_hand, module.gradients_by_tape)
    assert_gradients_right(*(functools.partial(function, **options) for function in functions), parameters, batch)


@pytest.mark.parametrize("name", sorted({fault[0] for fault in FAULTS}))
def test_without_a_fault_the_gradients_are_right(name):
    case = next(fault[1] for fault in FAULTS if fault[0] == name)
    check(broken(name), case)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault[0][:2]} {fault[2]}")
def test_a_fault_turns_the_gradient_test_red(fault):
    name, case, _, right, wrong = fault
    module = broken(name, right, wrong)
    with pytest.raises(AssertionError, match=r"tape|central differences"):
        check(module, case)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault[0][:2]} {fault[2]}")
def test_a_fault_stops_the_lesson_before_it_trains(fault):
    name, case, _, right, wrong = fault
    module = broken(name, right, wrong)
    parameters, batch, options = case()
    loss, gradients = (functools.partial(f, **options) for f in (module.loss, module.gradients_by_hand))
    with pytest.raises(GradientError, match="not what the loss says"):
        check_gradients(loss, gradients, parameters, *batch).raise_if_wrong()
