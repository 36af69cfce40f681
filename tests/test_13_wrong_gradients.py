import functools
import os

from gradients import assert_gradients_right
from tf_backprop import datasets, gradient_check
from tf_backprop.support.errors import DivergedError, GradientError, UsageError

import numpy as np
import pytest
import tensorflow as tf

ON_IMAGES = ["summed", "two-scales", "pixel-bias", "relu-ge", "missing-axis", "batch-softmax", "clipped-log"]
ON_IMAGES += ["frozen-bias"]
OTHERS = ["column-minus-row", "linear-hidden", "linear-with-bias", "shared-momentum"]
IN_THE_LOSS = ["missing-axis", "batch-softmax", "clipped-log", "column-minus-row", "linear-hidden", "linear-with-bias"]
LONGER_STEP = ["summed", "two-scales", "missing-axis"]
LEARNS_NOTHING = ["column-minus-row", "linear-hidden"]  # the accuracy catches these


@pytest.fixture(scope="module")
def digits(default_result):
    """Return the verdicts of a run with the defaults, by mistake."""
    return {row.mistake: row for row in default_result.rows}


@pytest.fixture(params=range(3))
def case(request):
    rng = np.random.default_rng(request.param)
    shapes = {"W1": (6, 5), "b1": (5,), "W2": (5, 10), "b2": (10,)}
    parameters = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    return parameters, (rng.normal(size=(7, 6)), rng.integers(10, size=7))  # 7 rows, 6 pixels, 5 units, 10 classes


def in_float64(parameters, x, y):
    return {k: tf.constant(v, tf.float64) for k, v in parameters.items()}, (tf.constant(x, tf.float64), tf.constant(y))


def test_gradient(lesson, case):
    assert_gradients_right(lesson.loss, lesson.gradients_by_hand, lesson.gradients_by_tape, *case)


@pytest.mark.parametrize("mistake", ["summed", "two-scales", "pixel-bias", "relu-ge"])
def test_mistakes_by_hand_have_the_right_shapes_and_wrong_numbers(lesson, case, mistake):
    wrong = functools.partial(lesson.gradients_by_hand, mistake=mistake)
    parameters, batch = in_float64(case[0], *case[1])
    for name, value in wrong(parameters, *batch).items():
        assert value.shape == parameters[name].shape
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        assert_gradients_right(lesson.loss, wrong, lesson.gradients_by_tape, *case)


def test_central_differences_of_a_known_loss(lesson):
    parameters = {"M": tf.constant([[1.0, 2], [3, 4]], tf.float64), "c": tf.constant(5.0, tf.float64)}
    slopes = gradient_check.central_differences(
        lambda p, x: tf.reduce_sum(x * p["M"] ** 2) + p["c"] ** 3, parameters, [tf.constant(2.0, tf.float64)]
    )
    np.testing.assert_allclose(slopes["M"], [[4, 8], [12, 16]], rtol=1e-8)
    np.testing.assert_allclose(slopes["c"], 75, rtol=1e-8)
    assert lesson.update_errors({"c": np.array(1.0)}, {"c": np.array(-8.0)}, {"c": np.array(6.0)}) == {"c": 0.5}


def test_every_mistake_is_caught_and_every_repair_passes(digits, lesson):
    assert list(digits) == ON_IMAGES + OTHERS == list(lesson.MISTAKES)
    for row in digits.values():
        assert row.error[0] < 1e-6, row.mistake
        assert row.error[1] > 0.01, row.mistake  # far from what could be rounding
        assert row.caught[2]
        assert row.accuracy[0] >= lesson.BAR, row.mistake
        assert row.error == tuple(max(pair[side] for pair in row.errors.values()) for side in (0, 1))


@pytest.mark.parametrize("mistake", [name for name in ON_IMAGES + OTHERS if name not in LEARNS_NOTHING])
def test_a_convergence_test_would_have_passed(digits, lesson, mistake):
    row = digits[mistake]
    assert row.caught == (False, False, True)
    assert row.accuracy[1] >= lesson.BAR
    assert row.curves[1, 1, -1] < row.curves[1, 1, 0], "the loss falls"


@pytest.mark.parametrize("mistake", LEARNS_NOTHING)
def test_a_falling_loss_would_have_passed(digits, lesson, mistake):
    row = digits[mistake]
    assert row.caught == (False, True, True)
    assert row.accuracy[1] < 0.6
    assert row.curves[1, 1, -1] < 0.9 * row.curves[1, 1, 0]


@pytest.mark.parametrize("mistake", LONGER_STEP)
def test_the_mistake_looks_better_than_the_repair(digits, mistake):
    # 500 test images see the same start and batches; 0.89 against 0.93 is three sd of a difference.
    assert digits[mistake].accuracy[1] > digits[mistake].accuracy[0] + 0.015


def test_errors_are_those_that_the_mistakes_must_have(digits, lesson):
    too_large = lesson.BATCH - 1  # a sum over the batch is the mean times BATCH
    wrong = {name: {key: pair[1] for key, pair in row.errors.items()} for name, row in digits.items()}
    for mistake in ("summed", "missing-axis"):
        np.testing.assert_allclose(list(wrong[mistake].values()), too_large, rtol=1e-6)
    assert [wrong["two-scales"][key] for key in ("W1", "W2")] == pytest.approx([too_large] * 2)
    assert [wrong["frozen-bias"][key] for key in ("b1", "b2")] == pytest.approx([1, 1])
    right_parts = {"two-scales": ["b1", "b2"], "frozen-bias": ["W1", "W2"], "pixel-bias": ["W1", "W2", "b2"]}
    right_parts |= {"relu-ge": ["W2", "b2"], "shared-momentum": ["A"]}
    for mistake, parts in right_parts.items():
        assert {key for key, error in wrong[mistake].items() if error < 1e-6} == set(parts), mistake


def test_missing_axis_is_the_summed_gradient_by_another_route(digits):
    summed, missing = digits["summed"].curves, digits["missing-axis"].curves
    np.testing.assert_allclose(summed[1, 0], missing[1, 0], atol=0.02)
    np.testing.assert_allclose(missing[1, 1, :3], 1000 * summed[1, 1, :3], rtol=0.01)  # the loss is over 1,000 images


@pytest.mark.parametrize("mistake", IN_THE_LOSS)
def test_a_mistake_in_the_loss_agrees_with_its_own_tape(lesson, mistake):
    rng = np.random.default_rng(0)
    pixels, outputs, size = (2, 1, 1) if mistake in OTHERS else (6, 10, 3)  # large enough for the clip to clip
    shapes = {"W1": (pixels, 5), "b1": (5,), "W2": (5, outputs), "b2": (outputs,)}
    parameters = {name: size * rng.normal(size=shape) for name, shape in shapes.items()}
    batch = rng.random((7, pixels)), rng.integers(max(2, outputs), size=7)
    as_written, tape = (functools.partial(f, mistake=mistake) for f in (lesson.loss, lesson.gradients_by_tape))
    assert_gradients_right(as_written, tape, tape, parameters, batch)
    with pytest.raises(AssertionError, match="central differences"):
        assert_gradients_right(lesson.loss, tape, tape, parameters, batch)


def test_linear_networks_end_at_their_least_squares_floor(digits):
    # No linear map gets below; the last updates of one batch each leave a linear one within a tenth above.
    x, y = (part[:1000].astype(np.float64) for part in datasets.unit_square(np.random.default_rng(0))[0])
    for mistake, design in (("linear-hidden", x), ("linear-with-bias", np.column_stack([x, np.ones_like(y)]))):
        floor = np.linalg.lstsq(design, y, rcond=None)[1].item() / len(y)
        assert floor - 1e-6 < digits[mistake].curves[1, 1, -1] < 1.1 * floor
    # Every output is held against every label: nothing gets below the variance of the labels.
    assert y.var() - 1e-6 < digits["column-minus-row"].curves[1, 1, -1] < 1.1 * y.var()


def test_a_clipped_sample_passes_nothing_back(lesson):
    parameters = {
        "W1": tf.ones([1, 1]),
        "b1": tf.zeros([1]),
        "W2": tf.constant([[200.0] + 9 * [0.0]]),
        "b2": tf.zeros(10),
    }
    batch = tf.ones([1, 1]), tf.constant([1])  # the logits are (200, 0, ...) and the label is 1
    wrong, right = (lesson.gradients_by_tape(parameters, *batch, name)["b2"].numpy() for name in ("clipped-log", None))
    assert not wrong.any()
    np.testing.assert_allclose(right, [1, -1] + 8 * [0], atol=1e-6)


def test_wrong_updates(lesson):
    velocity, dL = {"A": 0.0, "B": 0.0, "C": 0.0}, {"A": 1.0, "B": 0.0, "C": 0.0}
    assert lesson.update(velocity, velocity, dL, 0.1)[0] == {"A": -0.1, "B": 0, "C": 0}
    moved = lesson.update(velocity, velocity, dL, 0.1, "shared-momentum")[0]
    assert moved == pytest.approx({"A": -0.1, "B": -0.09, "C": -0.081}), "B and C move without a gradient"
    ones = dict.fromkeys(("W1", "b1"), 1.0)
    assert lesson.update(ones, ones, ones, 0.1) == ({"W1": 0.9, "b1": 0.9}, ones)
    assert lesson.update(ones, ones, ones, 0.1, "frozen-bias")[0] == {"W1": 0.9, "b1": 1.0}


@pytest.mark.slow
def test_another_seed(lesson, digits, tmp_path):
    result = lesson.main(data="digits", seed=1, figures=tmp_path)
    for row in result.rows:
        assert row.error[0] < 1e-6 < 1e-2 < row.error[1], row.mistake
        assert row.caught == digits[row.mistake].caught, row.mistake
        assert row.curves.shape == (2, 2, lesson.LOOKS + 1)
        assert row.accuracy[0] == row.curves[0, 0, -1] != digits[row.mistake].accuracy[0]
        if row.mistake not in IN_THE_LOSS:
            assert (row.curves[0, :, 0] == row.curves[1, :, 0]).all(), "the same start"
    assert result.comparison[-1] == ("mistakes caught by gradient check", 12, 12, None)
    assert [row.learned for row in result.comparison] == [0, 2, 12]


def test_try_one_mistake(lesson, digits, tmp_path, capsys):
    result = lesson.main(data="digits", mistake="relu-ge", figures=tmp_path)
    (row,) = result.rows
    for name in ("W1", "b1"):
        assert row.errors[name][1] > 0.1
    for name in ("W2", "b2"):
        assert row.errors[name][1] < 1e-6
    assert (row.curves == digits["relu-ge"].curves).all(), "alone, it is the same run as among all"
    printed = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert [name for name in printed if name.startswith("dL_d")] == ["dL_dW1", "dL_db1", "dL_dW2", "dL_db2"]
    assert printed[-1] == "relu-ge"


@pytest.mark.parametrize(
    "mistake", [LONGER_STEP[0], *(pytest.param(m, marks=pytest.mark.slow) for m in LONGER_STEP[1:])]
)
def test_try_longer_steps(lesson, mistake, tmp_path):
    (row,) = lesson.main(data="digits", mistake=mistake, learning_rate=0.1, figures=tmp_path).rows
    assert row.accuracy[0] >= lesson.BAR
    assert row.caught[1:] == (True, True)


def test_a_repair_that_is_wrong_is_an_error(lesson):
    errors, curves = {"W1": 1e-9, "b1": 0.1}, np.ones((2, 3))
    with pytest.raises(GradientError, match="dL_db1: the repaired gradient"):
        lesson.judge("summed", (errors, curves), (errors, curves))


def test_divergence_and_wrong_arguments(lesson, tmp_path):
    with pytest.raises(DivergedError, match="at step 1: lower --learning-rate"):
        lesson.main(data="digits", mistake="frozen-bias", steps=30, learning_rate=1e38, figures=tmp_path)
    assert (tmp_path / "13_wrong_gradients_digits.png").exists()
    for wrong in ({"mistake": "none"}, {"steps": 0}, {"learning_rate": 0.0}, {"seed": -1}):
        with pytest.raises(UsageError, match="--" + next(iter(wrong)).replace("_", "-")):
            lesson.main(data="digits", figures=tmp_path, **wrong)


@pytest.mark.slow
@pytest.mark.mnist
def test_on_mnist(lesson, tmp_path):
    result = lesson.main(data="mnist", mnist_dir=os.environ["MNIST_DIR"], figures=tmp_path)
    for row in result.rows:
        assert row.error[0] < 1e-6 < 1e-2 < row.error[1], row.mistake
        assert row.caught == (False, row.mistake in LEARNS_NOTHING, True), row.mistake
