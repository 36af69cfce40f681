"""Deliberate faults in the lessons' own source: each has to turn the gradient test red.

A fault is a replacement in the text of a lesson, so that what is broken is the real function. On the unbroken lesson
the same test passes, in the lesson's own test file and here.
"""

import types

from gradients import assert_gradients_right
from tf_backprop import lessons, report
from tf_backprop.errors import GradientError

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
    return parameters, (rng.uniform(size=(7, 6)), rng.integers(10, size=7))


def scalar_case():
    rng = np.random.default_rng(0)
    return rng.normal(), (rng.normal(1, 1, 7), rng.integers(2, size=7).astype(float))


SOFTMAX = ("08_mnist_softmax", "11_mnist_softmax_hand_derived")
FAULTS = [
    *((name, softmax_case, "missing 1/n", " / tf.cast(len(x), p.dtype)", "") for name in SOFTMAX),
    *(
        (
            name,
            softmax_case,
            "wrong sign",
            "p - tf.one_hot(y, 10, dtype=p.dtype))",
            "tf.one_hot(y, 10, dtype=p.dtype) - p)",
        )
        for name in SOFTMAX
    ),
    *(
        (name, softmax_case, "frozen bias", '"b": tf.reduce_sum(dL_dz, axis=0)', '"b": tf.zeros_like(dL_dz[0])')
        for name in SOFTMAX
    ),
    *(
        (
            name,
            softmax_case,
            "bias averaged over pixels",
            '"b": tf.reduce_sum(dL_dz, axis=0)',
            '"b": tf.reduce_mean(tf.transpose(x) @ dL_dz, axis=0)',
        )
        for name in SOFTMAX
    ),
    *(
        (
            name,
            softmax_case,
            "bias summed over everything",
            "tf.reduce_sum(dL_dz, axis=0)",
            "tf.reduce_sum(dL_dz) + 0 * p[0]",
        )
        for name in SOFTMAX
    ),
    *(
        (name, softmax_case, "softmax over the batch", "tf.nn.softmax(", "tf.nn.softmax(axis=0, logits=")
        for name in SOFTMAX
    ),
    (
        "01_regression",
        scalar_case,
        "factor 2 lost",
        "tf.reduce_mean(2 * (x * A - y) * x)",
        "tf.reduce_mean((x * A - y) * x)",
    ),
    (
        "01_regression",
        scalar_case,
        "wrong sign",
        "tf.reduce_mean(2 * (x * A - y) * x)",
        "tf.reduce_mean(2 * (y - x * A) * x)",
    ),
    (
        "01_regression",
        scalar_case,
        "missing 1/n",
        "tf.reduce_mean(2 * (x * A - y) * x)",
        "tf.reduce_sum(2 * (x * A - y) * x)",
    ),
]


def check(module, case):
    parameters, batch = case()
    assert_gradients_right(module.loss, module.gradients_by_hand, module.gradients_by_tape, parameters, batch)


@pytest.mark.parametrize("name", sorted({fault[0] for fault in FAULTS}))
def test_without_a_fault_the_gradients_are_right(name):
    case = next(fault[1] for fault in FAULTS if fault[0] == name)
    check(broken(name), case)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault[0][:2]} {fault[2]}")
def test_a_fault_turns_the_gradient_test_red(fault):
    name, case, _, right, wrong = fault
    with pytest.raises(AssertionError):
        check(broken(name, right, wrong), case)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault[0][:2]} {fault[2]}")
def test_a_fault_stops_the_lesson_before_it_trains(fault, capsys):
    name, case, _, right, wrong = fault
    module = broken(name, right, wrong)
    with pytest.raises(GradientError, match="disagrees"):
        report.print_gradient_check(module.loss, module.gradients_by_hand, module.gradients_by_tape, *case())
