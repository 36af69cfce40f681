from gradients import assert_gradients_right
from tf_backprop.support.errors import UsageError

import numpy as np
import pytest
import tensorflow as tf

WAYS = [(way, dtype) for way in ("from logits", "naive", "clipped") for dtype in ("float64", "float32")]


@pytest.fixture(scope="module")
def result(lesson, tmp_path_factory):
    return lesson.main(figures=tmp_path_factory.mktemp("figures"))


def rows(result):
    return {row.quantity: (row.learned, row.expected) for row in result.comparison}


@pytest.mark.parametrize("seed", range(5))
def test_gradients(lesson, seed):
    # Outputs keep away from the kink of the asymmetric loss, o = y, and lie on both sides of it.
    rng = np.random.default_rng(seed)
    y = rng.gamma(2, 0.5, 5)
    parameters = {
        "squared": rng.normal(1, 1, 5),
        "asymmetric": y + np.array([-1, -0.5, 0.5, -0.2, 0.3]),
        "cross-entropy": rng.normal(0, 2, (5, 3)),
    }
    batch = (y, np.eye(3)[rng.integers(3, size=5)], rng.uniform(0.3, 4))
    assert_gradients_right(lesson.loss, lesson.gradients_by_hand, lesson.gradients_by_tape, parameters, batch)


def test_clipped_gradient_is_zero_where_the_clip_acts_and_unchanged_elsewhere(lesson):
    rng = np.random.default_rng(0)
    z, t, clip = tf.Variable(rng.normal(0, 3, (40, 3))), np.eye(3)[rng.integers(3, size=40)], 0.05
    with tf.GradientTape() as tape:
        L = lesson.cross_entropy(z, t, "clipped", clip)
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    clipped = np.sum(t * p, axis=1, keepdims=True) < clip
    assert 5 < clipped.sum() < 35
    np.testing.assert_allclose(tape.gradient(L, z), np.where(clipped, 0, p - t) / 40, atol=1e-15)


def test_values_and_derivatives_of_a_shared_output(result):
    rng = np.random.default_rng(0)
    y = rng.gamma(2, 0.5, 25)
    above = y > y.mean()
    o = result.outputs[:, np.newaxis]
    p = 1 / (1 + np.exp(-o))
    values = {
        "squared": np.mean((o - y) ** 2, axis=1),
        "asymmetric": np.mean(np.where(y > o, 3 * (y - o), o - y), axis=1),
        "cross-entropy": -np.mean(np.where(above, np.log(p), np.log(1 - p)), axis=1),
    }
    slopes = {
        "squared": 2 * np.mean(o - y, axis=1),
        "asymmetric": np.mean(np.where(y > o, -3.0, 1.0), axis=1),
        "cross-entropy": np.mean(p - above, axis=1),
    }
    for name, value in values.items():
        np.testing.assert_allclose(result.values[name], value, rtol=1e-12, err_msg=name)
        np.testing.assert_allclose(result.by_hand[name], slopes[name], rtol=1e-9, atol=1e-12, err_msg=name)
        np.testing.assert_allclose(result.by_tape[name], slopes[name], rtol=1e-9, atol=1e-12, err_msg=name)
    assert set(result.values) == set(result.by_hand) == set(result.by_tape) == set(values)


@pytest.mark.parametrize("seed", range(4))
def test_each_loss_asks_for_its_own_answer(lesson, tmp_path, seed):
    result = lesson.main(seed=seed, figures=tmp_path)
    found = rows(result)
    y = np.random.default_rng(seed).gamma(2, 0.5, 25)
    ones = np.sum(y > y.mean())
    exact = {
        "squared": y.mean(),
        "asymmetric": np.sort(y)[18],  # the 19th of 25 is the first with three quarters at or below it
        "cross-entropy": np.log(ones / (25 - ones)),
    }
    cell = result.outputs[1] - result.outputs[0]
    for name, answer in exact.items():
        learned, expected = found[f"best output, {name}"]
        assert expected == pytest.approx(answer, abs=1e-12), name
        # The asymmetric loss has a jump in its derivative, which is found to within a cell of the grid.
        assert learned == pytest.approx(answer, abs=cell if name == "asymmetric" else 1e-6), name
        lowest = result.outputs[np.argmin(result.values[name])]
        assert learned == pytest.approx(lowest, abs=2 * cell), name


@pytest.mark.parametrize(("way", "dtype"), WAYS)
def test_a_miss_by_200(lesson, way, dtype):
    loss, slope = (float(number) for number in lesson.miss(np.array([200.0]), way, dtype, 1e-12)[:, 0])
    if way == "clipped":
        assert loss == pytest.approx(27.631, abs=1e-3)
        assert slope == 0
    elif (way, dtype) == ("naive", "float32"):
        assert not np.isfinite(loss)
        assert np.isnan(slope)
    else:
        assert (loss, slope) == (pytest.approx(200), pytest.approx(1))


@pytest.mark.parametrize(("way", "dtype"), WAYS)
def test_curves_of_a_miss(result, way, dtype):
    s, (loss, slope) = result.misses, result.ways[way, dtype]
    assert loss.dtype == slope.dtype == dtype
    assert (s[0], s[-1]) == (pytest.approx(1), pytest.approx(1000))
    # The format ends between its smallest normal number and half its smallest subnormal one; which, is the processor's.
    starts, ends = {"float32": (86.0, 104.0), "float64": (707.6, 745.2)}[dtype]
    if way == "naive":
        right, lost = s < starts, s > ends
        assert not np.isfinite(loss[lost]).any()
        assert np.isnan(slope[lost]).all()
    elif way == "clipped":
        right, lost = s < 27.63, s > 27.64
        np.testing.assert_allclose(loss[lost], -np.log(1e-12), rtol=1e-6)
        assert (slope[lost] == 0).all()
    else:
        right, lost = s > 0, s < 0
    assert right.any()
    assert lost.any() != (way == "from logits")
    np.testing.assert_allclose(loss[right], np.log1p(np.exp(-s[right])) + s[right], rtol=1e-5)
    np.testing.assert_allclose(slope[right], 1 / (1 + np.exp(-s[right])), rtol=1e-5)


def test_naive_form_is_nan_for_a_right_answer_too(lesson):
    right = tf.constant([[200.0, 0.0]])
    t = tf.constant([[1.0, 0.0]])
    assert np.isnan(lesson.cross_entropy(right, t, "naive"))
    assert lesson.cross_entropy(right, t, "clipped", 1e-12) == 0
    assert lesson.cross_entropy(right, t) == 0


def test_where_the_gradient_is_lost(result):
    found = rows(result)
    step = result.misses[1] / result.misses[0]
    for dtype, ends in (("float32", 104.0), ("float64", 745.2)):
        learned, expected = found[f"gradient lost at s, naive {dtype}"]
        assert expected == pytest.approx(-np.log(np.finfo(dtype).tiny))
        assert expected - 0.75 < learned < ends  # 0.75: half the smallest normal number is log 2 away
        learned, expected = found[f"gradient lost at s, clipped {dtype}"]
        assert expected == pytest.approx(12 * np.log(10))
        assert 1 <= learned / expected < step
    assert result.comparison[-1].quantity == "gradient lost at s, clipped float32"


def test_try_larger_price_of_a_shortage(lesson, result, tmp_path):
    dear = rows(lesson.main(under=9.0, figures=tmp_path))
    usual = rows(result)
    assert dear["best output, asymmetric"][0] > usual["best output, asymmetric"][0] + 0.1
    y = np.random.default_rng(0).gamma(2, 0.5, 25)
    assert dear["best output, asymmetric"][1] == pytest.approx(np.sort(y)[22], abs=1e-12)  # the 23rd of 25: 0.9
    for name in ("squared", "cross-entropy"):
        assert dear[f"best output, {name}"] == usual[f"best output, {name}"]


def test_try_a_clip_that_float32_cannot_hold(lesson, tmp_path):
    result = lesson.main(clip=1e-50, figures=tmp_path)
    found = rows(result)
    naive, clipped = result.ways["naive", "float32"], result.ways["clipped", "float32"]
    np.testing.assert_array_equal(np.isnan(naive[1]), np.isnan(clipped[1]))
    assert np.isnan(clipped[1]).any()
    assert found["gradient lost at s, clipped float32"] == found["gradient lost at s, naive float32"]
    assert np.isfinite(result.ways["clipped", "float64"]).all()
    assert found["gradient lost at s, clipped float64"] == (
        pytest.approx(50 * np.log(10), rel=1e-3),
        pytest.approx(50 * np.log(10)),
    )


@pytest.mark.parametrize(
    "wrong", [{"clip": 0.2}, {"clip": 0.0}, {"clip": -1.0}, {"clip": float("nan")}, {"under": 0.0}, {"seed": -1}]
)
def test_wrong_arguments(lesson, tmp_path, wrong):
    with pytest.raises(UsageError, match=f"^--{next(iter(wrong))} must be"):
        lesson.main(**wrong, figures=tmp_path)
