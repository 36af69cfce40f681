"""``--explain`` prints the lines of the lesson's own gradient, with the shapes and numbers of the live run."""

import inspect

from tf_backprop.support import explanation

import numpy as np
import pytest
import tensorflow as tf

WITH_EXPLAIN = {
    "01_regression": ["dL_dA"],
    "02_binary_classification": ["dL_dA"],
    "07_two_layer_network": ["dL_dw1", "dL_dw2"],
    "09_mnist_softmax_optimizer": ["z", "L", "dL_dW", "dL_db"],
    "10_mnist_softmax_gradient_tape": ["z", "L", "dL_dW", "dL_db"],
    "11_mnist_softmax_hand_derived": ["p", "dL_dz", "dL_dW", "dL_db"],
    "12_moons_mlp": ["a1, a2, a3, a4", *(f"dL_dz{i}" for i in (4, 3, 2, 1)), "dL_dW1", "dL_db1"],
}
FEW_STEPS = {"steps": 1, "epochs": 1, "data": "digits"}


def hand(p, x):
    h = x @ p["W"]  # a reason
    g = 2.0
    left, right = np.split(h, 2, axis=1)  # noqa: RUF059
    return {"W": g * np.transpose(x) @ h}


def loss(p, x):
    return tf.reduce_sum((x @ p["W"]) ** 2)


def tape(p, x):
    with tf.GradientTape() as t:
        t.watch(p)
        L = loss(p, x)
    return t.gradient(L, p)


@pytest.fixture
def case():
    rng = np.random.default_rng(0)
    return {"W": tf.constant(rng.normal(size=(3, 2)))}, (tf.constant(rng.normal(size=(7, 3))),)


def test_lines_are_those_of_the_source_with_live_shapes(case, capsys):
    p, x = {k: v.numpy() for k, v in case[0].items()}, case[1][0].numpy()
    made = explanation.show(loss, hand, tape, p, (x,))
    said, *lines = capsys.readouterr().out.splitlines()
    assert said.startswith("The backward pass")
    assert lines[0] == "h = x @ p['W']"
    assert lines[1] == "    (7, 2)  # a reason"
    assert lines[2] == "left, right = np.split(h, 2, axis=1)"  # g is a plain number: there is nothing to show
    assert lines[4] == "dL_dW = g * np.transpose(x) @ h"
    numbers = [float(number) for number in lines[5].replace("[", " ").replace("]", " ").split()]
    np.testing.assert_allclose(numbers, made["dL_dW"].ravel(), atol=1e-5)
    np.testing.assert_allclose(made["dL_dW"], 2 * x.T @ x @ p["W"], rtol=1e-12)
    np.testing.assert_array_equal(made["h"], x @ p["W"])


def test_without_a_gradient_by_hand_the_tape_goes_back_through_the_loss(case, capsys):
    made = explanation.show(loss, None, tape, *case)
    out = capsys.readouterr().out
    assert "tape.gradient" in out
    assert made["L"] == pytest.approx(float(loss(case[0], *case[1])))
    np.testing.assert_allclose(made["dL_dW"], tape(case[0], *case[1])["W"])


def test_wrong_shape_is_an_error(case):
    with pytest.raises(AssertionError, match="dL_dW"):
        explanation.show(loss, lambda p, x: {"W": tf.transpose(p["W"])}, tape, *case)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow) if name[:2] in ("09", "10", "12") else name for name in WITH_EXPLAIN],
)
def test_every_lesson_explains_before_it_trains(name, load, tmp_path, capsys):
    main = load(name).main
    options = {key: value for key, value in FEW_STEPS.items() if key in inspect.signature(main).parameters}
    plain = main(figures=tmp_path, **options)
    without = capsys.readouterr().out
    explained = main(figures=tmp_path, explain=True, **options)
    out = capsys.readouterr().out
    added = [line for line in out.splitlines() if line not in without.splitlines()]
    symbols = [line.split(" = ")[0] for line in added]
    for symbol in WITH_EXPLAIN[name]:
        assert symbol in symbols
    assert max(map(len, added)) <= 100
    assert out.index(added[0]) < out.index("figure: ")
    assert 2 <= len(added) <= 32, "at most a screen"
    assert plain.comparison == explained.comparison, "explaining changes nothing"


@pytest.mark.parametrize(("name", "rate"), [("01_regression", 0.02), ("02_binary_classification", 0.05)])
def test_first_update_is_that_of_the_run(name, rate, load, tmp_path, capsys):
    result = load(name).main(explain=True, figures=tmp_path)
    lines = capsys.readouterr().out.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("A = "))
    start = float(lines[at].removeprefix("A = ").removesuffix(" becomes"))
    said, after = lines[at + 1].split(" = ")
    gradient = float(lines[at - 1].split()[0])
    assert said.strip() == f"A - {rate} dL_dA"
    assert float(after) == pytest.approx(start - rate * gradient, abs=2e-5)
    assert float(after) == pytest.approx(result.trajectory[0], abs=1e-5)
