import functools

from gradients import assert_gradients_right
from tf_backprop.plotting import COLOURS
from tf_backprop.support.errors import GradientError, UsageError

import numpy as np
import pytest
import tensorflow as tf
from matplotlib.colors import to_hex

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
        L = lesson.cross_entropy(lesson.log_p_clipped(z, clip), t)
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


def log_p(lesson, way, clip=1e-12):
    """Return the lesson's function of z that takes one of the three ways to log p."""
    return {
        "from logits": lesson.log_p_from_logits,
        "naive": lesson.log_p_naive,
        "clipped": functools.partial(lesson.log_p_clipped, clip=clip),
    }[way]


@pytest.mark.parametrize(("way", "dtype"), WAYS)
def test_a_miss_by_200(lesson, way, dtype):
    numbers = lesson.miss(tf.constant([200.0], dtype), log_p(lesson, way))
    loss, slope = (float(number) for number in numbers[:, 0])
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
    z = tf.constant([[200.0, 0.0]])
    t = tf.constant([[1.0, 0.0]])
    assert np.isnan(lesson.cross_entropy(lesson.log_p_naive(z), t))
    assert lesson.cross_entropy(lesson.log_p_clipped(z, 1e-12), t) == 0
    assert lesson.cross_entropy(lesson.log_p_from_logits(z), t) == 0


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_the_documents_mean_over_the_classes_divides_by_their_number(lesson, classes):
    rng = np.random.default_rng(classes)
    z, t = tf.constant(rng.normal(0, 2, (7, classes))), np.eye(classes)[rng.integers(classes, size=7)]
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    L, dL_dz = lesson.loss_and_gradient(z, t, lesson.log_p_from_logits)
    assert float(L) == pytest.approx(-np.mean(np.log(p[t == 1])))
    np.testing.assert_allclose(dL_dz, (p - t) / 7, atol=1e-14)
    # What D2 has, by NumPy: reduce_mean(y * log(y_hat)) over everything.
    L, dL_dz = lesson.loss_and_gradient(z, t, lesson.log_p_from_logits, lesson.cross_entropy_of_d2)
    assert float(L) == pytest.approx(-np.mean(t * np.log(p)))
    np.testing.assert_allclose(dL_dz, (p - t) / 7 / classes, atol=1e-14)


def test_ten_equal_logits_are_compared(result):
    found = rows(result)
    assert found["10 equal logits, L"] == pytest.approx((2.302585, 2.302585), abs=1e-6)
    assert found["10 equal logits, L of D2's code"] == pytest.approx((0.2302585, 0.2302585), abs=1e-7)
    assert found["10 equal logits, dL/dz"] == pytest.approx((-0.9, -0.9), abs=1e-12)
    assert found["10 equal logits, dL/dz of D2's code"] == pytest.approx((-0.09, -0.09), abs=1e-12)


def test_the_smallest_p_is_where_softmax_begins_to_give_zero(lesson):
    tiny = {dtype: float(np.finfo(dtype).tiny) for dtype in ("float32", "float64")}
    found = {dtype: lesson.smallest_p(dtype) for dtype in tiny}
    # oneDNN, which is on by default on x86, gives up at twice the smallest normal float32.
    assert found["float32"] == pytest.approx(2 * tiny["float32"], rel=1e-5) or (
        found["float32"] <= tiny["float32"] * (1 + 1e-5)
    )
    assert found["float64"] <= tiny["float64"] * (1 + 1e-5)
    for dtype, p in found.items():
        s = lesson.size_of_miss(p)
        kept, lost = (float(tf.nn.softmax(tf.constant([0.0, at], dtype))[0]) for at in (s - 0.01, s + 0.01))
        assert kept > 0 == lost


def test_size_of_miss(lesson):
    for s in (0.5, 27.6, 86.6):
        assert lesson.size_of_miss(1 / (1 + np.exp(s))) == pytest.approx(s)


def test_where_the_gradient_is_lost(lesson, result):
    found = rows(result)
    step = result.misses[1] / result.misses[0]
    for dtype in ("float32", "float64"):
        learned, expected = found[f"gradient lost at s, naive {dtype}"]
        assert expected == pytest.approx(-np.log(lesson.smallest_p(dtype)))
        assert 1 - 1e-6 <= learned / expected < step * (1 + 1e-6)  # the next s of the grid
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


def test_printed_rows_are_those_that_are_returned(default_run):
    result, printed = default_run("06_loss_functions")
    lines = printed.splitlines()
    assert lines[-1].startswith("figure: ")
    table = [line.rsplit(maxsplit=2) for line in lines[-1 - len(result.comparison) : -1]]
    assert [name.strip() for name, _, _ in table] == [row.quantity for row in result.comparison]
    for (_, learned, expected), row in zip(table, result.comparison, strict=True):
        assert (float(learned), float(expected)) == pytest.approx((row.learned, row.expected), rel=1e-5)


def figure_of(lesson, result, under=3.0):
    best = {name.removeprefix("best output, "): learned for name, (learned, _) in list(rows(result).items())[:3]}
    return best, lesson.plot(result.outputs, result.values, best, under, result.misses, result.ways)


def test_figure_shows_each_loss_with_its_dot_and_its_label(lesson, result):
    best, figure = figure_of(lesson, result)
    ax = figure.axes[0]
    answers = {"squared": "the mean", "asymmetric": "the quantile 0.75", "cross-entropy": "the log-odds"}
    labels = {text.get_text(): text for text in ax.texts}
    for name, colour in zip(result.values, COLOURS, strict=False):
        label = labels.pop(f"{name}: {best[name]:.3g}, {answers[name]}")
        (line,) = (line for line in ax.lines if to_hex(line.get_color()).upper() == colour)
        np.testing.assert_array_equal(line.get_data(), (result.outputs, result.values[name]))
        assert to_hex(label.get_color()).upper() == colour
        lowest = result.outputs[np.argmin(result.values[name])]
        dots = [line.get_xdata()[0] for line in ax.lines if line.get_marker() == "o"]
        assert min(np.abs(np.subtract(dots, lowest))) < 3 * (result.outputs[1] - result.outputs[0])
    assert not labels
    heights = sorted(text.get_position()[1] for text in ax.texts)
    assert min(np.diff(heights)) > 0.07 * ax.get_ylim()[1], "no label is on another"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("output o that all samples share", "loss")
    said = "Each loss asks for another output: at its dot it is lowest, and its gradient is 0"
    assert ax.get_title() == said
    assert ax.get_ylim()[1] > max(value.max() for value in result.values.values() if value[0] < value[-1])


@pytest.mark.parametrize(("place", "which", "ylabel", "yscale"), [(1, 0, "loss", "log"), (2, 1, "dL/ds", "linear")])
def test_figure_shows_each_way_in_float32_with_its_name_at_its_end(lesson, result, place, which, ylabel, yscale):
    ax = figure_of(lesson, result)[1].axes[place]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("size s of the miss", ylabel)
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", yscale)
    curves = [line for line in ax.lines if line.get_marker() == "None"]
    for line in ax.lines:
        seen = np.asarray(line.get_ydata())[np.isfinite(line.get_ydata())]
        assert ax.get_ylim()[0] < max(seen) < ax.get_ylim()[1], "no curve leaves the panel"
    assert len(curves) == len(ax.texts) == 3
    for curve, text, way in zip(curves, ax.texts, ("from logits", "naive", "clipped"), strict=True):
        y = result.ways[way, "float32"][which]
        np.testing.assert_array_equal(curve.get_data(), (result.misses, y))
        last = np.flatnonzero(np.isfinite(y))[-1]
        assert (text.get_text(), text.xy) == (way, (result.misses[last], y[last]))
    (cross,) = (line for line in ax.lines if line.get_marker() == "X")
    naive = result.ways["naive", "float32"][which]
    assert (cross.get_xdata()[0], cross.get_ydata()[0]) == tuple(
        array[np.isfinite(naive)][-1] for array in (result.misses, naive)
    )


def test_titles_say_where_naive_and_clipped_fail(lesson, result, tmp_path):
    _, loss, slope = (ax.get_title() for ax in figure_of(lesson, result)[1].axes)
    found = rows(result)
    naive, clipped = (found[f"gradient lost at s, {way} float32"][0] for way in ("naive", "clipped"))
    assert loss == f"Naive: an infinite loss from s = {naive:.3g} on.\nClipped: a loss of at most {12 * np.log(10):.3g}"
    assert (
        slope == f"Naive: the gradient NaN from s = {naive:.3g} on.\nClipped: the gradient 0 from s = {clipped:.3g} on"
    )
    vain = lesson.main(clip=1e-50, figures=tmp_path)
    for ax in figure_of(lesson, vain)[1].axes[1:]:
        assert ax.get_title().endswith("The clip prevents nothing: float32 rounds it to 0")


@pytest.mark.parametrize("name", ["squared", "asymmetric", "cross-entropy"])
def test_a_wrong_gradient_is_an_error_and_nothing_is_drawn(lesson, monkeypatch, tmp_path, name):
    right = lesson.gradients_by_hand
    monkeypatch.setattr(
        lesson, "gradients_by_hand", lambda p, *batch: {**right(p, *batch), name: right(p, *batch)[name] * 25}
    )
    monkeypatch.setattr(lesson, "share", None)
    with pytest.raises(GradientError, match=f"{name} loss: not what the loss says"):
        lesson.main(figures=tmp_path)
    assert not list(tmp_path.iterdir())
