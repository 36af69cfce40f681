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
    h, g = x @ p["W"], 2.0  # a reason
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
    return {"W": tf.constant(rng.normal(size=(3, 2)))}, (tf.constant(rng.normal(size=(5, 3))),)


def test_lines_are_those_of_the_source_with_live_shapes(case, capsys):
    p, x = {k: v.numpy() for k, v in case[0].items()}, case[1][0].numpy()
    made = explanation.show(loss, hand, tape, p, (x,))
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split() == ["symbol", "formula", "shape", "or", "value", "because"]
    assert [row.split("  ")[0] for row in rows] == ["h", "left, right", "dL_dW"]  # g is a plain number: nothing to show
    assert "x @ p['W']" in rows[0]
    assert "(5, 2)" in rows[0]
    assert rows[0].endswith("a reason")
    assert "(5, 1) (5, 1)" in rows[1] or "[[" in rows[1]
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


@pytest.mark.parametrize("name", WITH_EXPLAIN)
def test_every_lesson_explains_before_it_trains(name, load, tmp_path, capsys):
    main = load(name).main
    options = {key: value for key, value in FEW_STEPS.items() if key in inspect.signature(main).parameters}
    plain = main(figures=tmp_path, **options)
    without = capsys.readouterr().out
    explained = main(figures=tmp_path, explain=True, **options)
    out = capsys.readouterr().out
    added = [line for line in out.splitlines() if line not in without.splitlines()]
    symbols = [line.split("  ")[0] for line in added]
    for symbol in WITH_EXPLAIN[name]:
        assert symbol in symbols
    assert out.index(added[0]) < out.index("figure: ")
    assert 2 <= len(added) <= 24, "at most a screen"
    assert plain.comparison == explained.comparison, "explaining changes nothing"


@pytest.mark.parametrize(("name", "rate"), [("01_regression", 0.02), ("02_binary_classification", 0.05)])
def test_first_update_is_that_of_the_run(name, rate, load, tmp_path, capsys):
    result = load(name).main(explain=True, figures=tmp_path)
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("A - learning_rate"))
    start, gradient, after = (
        float(part) for part in line.partition(" = ")[2].replace(f" - {rate} *", "").replace("=", "").split()
    )
    assert after == pytest.approx(start - rate * gradient, abs=2e-5)
    assert after == pytest.approx(result.trajectory[0], abs=1e-5)
