import functools
import inspect
import linecache
import os
import re
from pathlib import Path

from gradients import assert_gradients_right
from tf_backprop import datasets, gradient_check
from tf_backprop.support.errors import DivergedError, GradientError, UsageError

import numpy as np
import pytest
import tensorflow as tf
from matplotlib.colors import to_rgba

ON_IMAGES = ["summed", "two-scales", "pixel-bias", "relu-ge", "missing-axis", "batch-softmax", "clipped-log"]
ON_IMAGES += ["double-softmax", "frozen-bias"]
OTHERS = ["column-minus-row", "linear-hidden", "linear-with-bias", "shared-momentum"]
IN_THE_LOSS = ["missing-axis", "batch-softmax", "clipped-log", "double-softmax"]
IN_THE_LOSS += ["column-minus-row", "linear-hidden", "linear-with-bias"]
LONGER_STEP = ["summed", "two-scales", "missing-axis"]
LEARNS_LITTLE = ["double-softmax", "column-minus-row", "linear-hidden"]  # the accuracy catches these
BETTER_ON_MNIST = ["linear-with-bias"]


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


def code_of(lesson, mistake):
    """Return what is right where the mistake is made, and the mistake."""
    if mistake in lesson.ON_IMAGES:
        return lesson.RIGHT, lesson.ON_IMAGES[mistake]
    if mistake in lesson.ON_POINTS:
        return lesson.RIGHT_ON_POINTS, lesson.ON_POINTS[mistake]
    return lesson.RIGHT_ON_PLANE, lesson.ON_PLANE[mistake]


def loss_of(lesson, code):
    return functools.partial(lesson.loss, forward=code.forward, output_loss=code.output_loss)


def in_float64(parameters, x, y):
    return {k: tf.constant(v, tf.float64) for k, v in parameters.items()}, (tf.constant(x, tf.float64), tf.constant(y))


def test_gradient(lesson, case):
    assert_gradients_right(lesson.loss, lesson.gradients_by_hand, lesson.gradients_by_tape, *case)


@pytest.mark.parametrize("mistake", ["summed", "two-scales", "pixel-bias", "relu-ge"])
def test_mistakes_by_hand_have_the_right_shapes_and_wrong_numbers(lesson, case, mistake):
    wrong = lesson.ON_IMAGES[mistake].gradients
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


@pytest.mark.parametrize("mistake", [name for name in ON_IMAGES + OTHERS if name not in LEARNS_LITTLE])
def test_a_convergence_test_would_have_passed(digits, lesson, mistake):
    row = digits[mistake]
    assert row.caught == (False, False, True)
    assert row.accuracy[1] >= lesson.BAR
    assert row.curves[1, 1, -1] < row.curves[1, 1, 0], "the loss falls"


@pytest.mark.parametrize("mistake", LEARNS_LITTLE)
def test_a_falling_loss_would_have_passed(digits, lesson, mistake):
    row = digits[mistake]
    assert row.caught == (False, True, True)
    assert row.accuracy[1] < 0.6
    assert row.curves[1, 1, -1] < 0.9 * row.curves[1, 1, 0]


def test_on_the_digits_longer_steps_and_a_line_end_above_what_is_right(digits):
    # 500 test images see the same start and batches; 0.89 against 0.92 is three sd of a difference.
    for mistake in LONGER_STEP:
        assert digits[mistake].accuracy[1] > digits[mistake].accuracy[0] + 0.015
    better = [name for name, row in digits.items() if row.accuracy[1] > row.accuracy[0]]
    assert sorted(better) == sorted([*LONGER_STEP, *BETTER_ON_MNIST])


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
    right, wrong = code_of(lesson, mistake)
    assert_gradients_right(loss_of(lesson, wrong), wrong.gradients, wrong.gradients, parameters, batch)
    with pytest.raises(AssertionError, match="central differences"):
        assert_gradients_right(loss_of(lesson, right), wrong.gradients, wrong.gradients, parameters, batch)


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
    right, wrong = (code.gradients(parameters, *batch)["b2"] for code in code_of(lesson, "clipped-log"))
    assert not wrong.numpy().any()
    np.testing.assert_allclose(right, [1, -1] + 8 * [0], atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_a_softmax_too_many_makes_the_gradient_too_small(lesson, seed):
    rng = np.random.default_rng(seed)
    parameters = lesson.make_parameters(rng, 64, 10)
    batch = tf.constant(rng.random((16, 64)), tf.float32), tf.constant(rng.integers(10, size=16))
    right, wrong = (code.gradients(parameters, *batch) for code in code_of(lesson, "double-softmax"))
    for name in parameters:
        assert 0 < np.linalg.norm(wrong[name]) < 0.2 * np.linalg.norm(right[name]), name
    # Probabilities are at most 1 apart: the second softmax gives no class more than e / (e + 9).
    sure = lesson.double_softmax(tf.constant([[1000.0] + 9 * [0.0]]), tf.constant([0]))
    assert float(sure) == pytest.approx(-np.log(np.e / (np.e + 9)), rel=1e-5)


def test_double_softmax_has_the_gradient_of_the_derivations(lesson):
    rng = np.random.default_rng(0)
    z2, y = tf.constant(rng.normal(size=(7, 10))), tf.constant(rng.integers(10, size=7))
    with tf.GradientTape() as tape:
        tape.watch(z2)
        L = lesson.double_softmax(z2, y)
    p = tf.nn.softmax(z2).numpy()
    g = (tf.nn.softmax(p).numpy() - np.eye(10)[y.numpy()]) / 7
    np.testing.assert_allclose(tape.gradient(L, z2), p * (g - np.sum(p * g, axis=1, keepdims=True)), rtol=1e-12)


def test_column_minus_row_broadcasts(lesson):
    z2, y = tf.constant([[1.0], [2.0], [4.0]]), tf.constant([1, 0, 1])
    assert float(lesson.squared_error(z2, y)) == pytest.approx((0 + 4 + 9) / 3)
    every = [(z - label) ** 2 for z in (1, 2, 4) for label in (1, 0, 1)]
    assert float(lesson.column_minus_row(z2, y)) == pytest.approx(np.mean(every))


def test_wrong_updates(lesson):
    zeros, dL = {"A": 0.0, "B": 0.0, "C": 0.0}, {"A": 1.0, "B": 0.0, "C": 0.0}
    own, shared = (code.momentum for code in code_of(lesson, "shared-momentum"))
    assert own(zeros, dL) == {"A": 1.0, "B": 0, "C": 0}
    assert own(own(zeros, dL), dL) == {"A": 1.9, "B": 0, "C": 0}
    once = shared(zeros, dL)
    assert once == pytest.approx({"A": 1, "B": 0.9, "C": 0.81}), "B and C move without a gradient"
    assert shared(once, dL)["A"] == pytest.approx(0.9 * 0.81 + 1), "it goes on where C left it"
    ones = dict.fromkeys(("W1", "b1", "W2", "b2"), 1.0)
    right, frozen = (code.update for code in code_of(lesson, "frozen-bias"))
    assert right(ones, ones, 0.1) == dict.fromkeys(ones, 0.9)
    assert frozen(ones, ones, 0.1) == {"W1": 0.9, "b1": 1, "W2": 0.9, "b2": 1}


@pytest.mark.parametrize(
    ("losses", "accuracy", "error", "caught"),
    [
        ([2.0, 3.0], 0.9, 1e-9, (True, False, False)),  # the loss rises
        ([2.0, 2.0], 0.9, 1e-9, (True, False, False)),  # nor is one that stays a falling one
        ([2.0, np.nan], 0.9, 1e-9, (True, False, False)),
        ([2.0, 1.0], 0.84, 1e-9, (False, True, False)),
        ([2.0, 1.0], np.nan, 1e-9, (False, True, False)),
        ([2.0, 1.0], 0.85, 1e-5, (False, False, True)),
        ([2.0, 1.0], 0.85, np.nan, (False, False, True)),
        ([2.0, 1.0], 0.85, 1e-7, (False, False, False)),
    ],
)
def test_a_verdict_has_what_each_test_finds_in_the_mistaken_run(lesson, losses, accuracy, error, caught):
    right = {"W1": 1e-9, "b1": 2e-9}, np.array([[0.1, 0.95], [2.0, 0.5]])
    wrong = {"W1": error, "b1": 1e-10}, np.array([[0.1, np.float32(accuracy)], losses])
    found = lesson.judge("a mistake", right, wrong)
    assert found.caught == caught
    assert found.mistake == "a mistake"
    assert found.accuracy == pytest.approx((0.95, accuracy), nan_ok=True)
    assert found.error == pytest.approx((2e-9, error), nan_ok=True)
    assert found.errors == {"W1": (1e-9, pytest.approx(error, nan_ok=True)), "b1": (2e-9, 1e-10)}
    np.testing.assert_array_equal(found.curves, [right[1], wrong[1]])


def test_a_gradient_that_is_not_a_number_is_caught_in_any_parameter(lesson):
    right, curves = {"W1": 1e-9, "b1": 2e-9}, np.array([[0.1, 0.95], [2.0, 0.5]])
    for errors in ({"W1": np.nan, "b1": 1e-9}, {"W1": 1e-9, "b1": np.nan}):
        assert lesson.judge("a mistake", (right, curves), (errors, curves)).caught == (False, False, True)


PAIRS = {
    "summed": "mean_of_rows",
    "two-scales": "one_scale",
    "pixel-bias": "row_bias",
    "relu-ge": "relu_gt",
    "missing-axis": "cross_entropy",
    "batch-softmax": "cross_entropy",
    "clipped-log": "cross_entropy",
    "double-softmax": "cross_entropy",
    "frozen-bias": "descend",
    "column-minus-row": "squared_error",
    "linear-hidden": "bent",
    "linear-with-bias": "bent",
    "shared-momentum": "own_momentum",
}


@pytest.mark.parametrize("mistake", PAIRS)
def test_a_mistake_is_a_short_function_below_the_right_one(lesson, mistake):
    right = getattr(lesson, PAIRS[mistake])
    wrong = getattr(lesson, mistake.replace("-", "_"))
    assert inspect.signature(right) == inspect.signature(wrong)
    (above, first), (below, second) = inspect.getsourcelines(right), inspect.getsourcelines(wrong)
    assert max(len(above), len(below)) <= 7
    assert 0 < second - first <= 20, "both are in sight"
    assert "  # " in below[0], "what is different is said in the first line"
    code_right, code_wrong = code_of(lesson, mistake)
    steps = set(lesson.Code._fields) - {"gradients"}  # the gradients differ wherever the loss does
    assert sum(getattr(code_right, step) is not getattr(code_wrong, step) for step in steps) <= 1
    used = [*code_wrong, *getattr(code_wrong.gradients, "keywords", {}).values()]
    assert wrong in used
    assert wrong not in [*code_right, *getattr(code_right.gradients, "keywords", {}).values()]


def test_every_mistake_has_a_pair_and_a_few_words(lesson):
    assert list(lesson.MISTAKES) == list(lesson.IN_WORDS)
    assert sorted(lesson.MISTAKES) == sorted(PAIRS)
    assert all(len(words) <= 25 for words in lesson.IN_WORDS.values())


def test_the_docstring_says_whose_mistakes_they_are(lesson):
    """No mistake is D1's or D3's; the documents named have in their errata what is said of them."""
    said = re.search(r"Re-runs no document\.(.*)", lesson.__doc__, re.DOTALL)[1]
    assert re.findall(r"\bD\d", said) == ["D2", "D4", "D5"]
    errata = (Path(__file__).parents[1] / "docs" / "errata.rst").read_text(encoding="utf-8")
    of = {f"D{i}": " ".join(re.findall(rf"\nD{i}: .+\n-+\n(?:(?!\nD\d: ).|\n(?!D\d: ))*", errata)) for i in range(1, 6)}
    has = [("D2", "without an activation"), ("D2", "without a bias"), ("D2", "clip")]
    has += [("D4", "sum"), ("D4", "bias gradient"), ("D5", "bias")]
    for document, words in has:
        assert words in of[document], (document, words)


def test_the_four_acts_train_in_an_empty_namespace(lesson, monkeypatch):
    source = Path(lesson.__file__).read_text(encoding="utf-8")
    acts = source[source.index("# %%") : source.index("# %%\n# Points of a square")]
    # tf.function reads the source of what it compiles, which a notebook keeps as well.
    monkeypatch.setitem(linecache.cache, "<acts>", (len(acts), None, acts.splitlines(True), "<acts>"))
    cell = {"np": np, "tf": tf, "__name__": "notebook"}
    exec(compile(acts, "<acts>", "exec"), cell)
    rng = np.random.default_rng(0)
    bytes_of_images = tf.constant(rng.integers(256, size=(40, 6)), tf.uint8)
    images = datasets.Labelled(bytes_of_images, tf.constant(rng.integers(10, size=40)))
    batches = tf.constant(rng.integers(40, size=(50, 16)))
    start = cell["make_parameters"](rng, 6, 10)
    x = tf.cast(images.x, tf.float32) / 255
    trained = cell["train"](start, images, batches, tf.constant(0.1))
    assert cell["loss"](trained, x, images.y) < cell["loss"](start, x, images.y)
    assert cell["gradients_by_tape"](start, x, images.y).keys() == start.keys()
    same = lesson.train(start, images, batches, tf.constant(0.1))
    for name in start:
        np.testing.assert_array_equal(trained[name], same[name])


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
    assert result.comparison[-1][:3] == ("mistakes caught by gradient check", 13, 13)
    assert [row.learned for row in result.comparison] == [0, 3, 13]


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
    assert printed[-2:] == ["relu-ge", "figure:"]


@pytest.mark.parametrize(
    "mistake", [LONGER_STEP[0], *(pytest.param(m, marks=pytest.mark.slow) for m in LONGER_STEP[1:])]
)
def test_try_longer_steps(lesson, mistake, tmp_path):
    (row,) = lesson.main(data="digits", mistake=mistake, learning_rate=0.1, figures=tmp_path).rows
    assert row.accuracy[0] >= lesson.BAR
    assert row.caught[1:] == (True, True)


def test_a_repair_that_is_wrong_is_an_error(lesson):
    lesson.require_right({"W1": 1e-9, "b1": 1e-7})
    for wrong in (0.1, 1e-6, float("nan")):
        with pytest.raises(GradientError, match=r"^dL_db1: the repaired gradient"):
            lesson.require_right({"W1": 1e-9, "b1": wrong})


@pytest.mark.parametrize("mistake", ["summed", "linear-hidden", "shared-momentum"])
def test_what_is_right_is_checked_before_anything_is_reported(lesson, mistake, tmp_path, monkeypatch, capsys):
    right = code_of(lesson, mistake)[0]
    halved = right._replace(gradients=lambda p, x, y: {k: g / 2 for k, g in right.gradients(p, x, y).items()})
    name = {"summed": "RIGHT", "linear-hidden": "RIGHT_ON_POINTS", "shared-momentum": "RIGHT_ON_PLANE"}[mistake]
    monkeypatch.setattr(lesson, name, halved)
    monkeypatch.setattr(lesson, "learning_curves", lambda *_: pytest.fail("it trains with a wrong gradient"))
    with pytest.raises(GradientError, match="the repaired gradient disagrees"):
        lesson.main(data="digits", mistake=mistake, figures=tmp_path)
    assert not list(tmp_path.iterdir())
    assert "mistakes caught" not in capsys.readouterr().out


def test_the_table_is_what_is_returned(default_result, default_run):
    lines = default_run("13_wrong_gradients")[1].splitlines()
    assert len(lines) <= 20
    assert max(map(len, lines)) <= 120
    for row, line in zip(default_result.comparison, lines[1:4], strict=True):
        assert re.split("  +", line.replace(" of ", "  ")) == [row.quantity, str(row.learned), "13"]
    headers = ["mistake", "accuracy: right", "wrong", "gradient error: right", "wrong", "caught by"]
    assert re.split("  +", lines[5]) == headers
    for row, line in zip(default_result.rows, lines[6:19], strict=True):
        name, right, wrong, right_error, wrong_error, caught_by = re.split("  +", line.strip())
        assert name == row.mistake
        assert (right, wrong) == tuple(f"{accuracy:.1%}" for accuracy in row.accuracy)
        assert (float(right_error), float(wrong_error)) == pytest.approx(row.error, rel=0.05)
        assert caught_by == ("accuracy 0.85, gradient check" if row.caught[1] else "gradient check")


def test_the_figure_of_all_mistakes(lesson, default_result):
    rows = default_result.rows
    check, accuracy, falling = lesson.plot_all(rows).axes
    assert check.get_title() == "The gradient check\ncatches all 13"
    assert accuracy.get_title() == "The accuracy\ncatches 3 of 13"
    assert falling.get_title() == "The loss falls\nin all 13"
    assert check.get_xscale() == "log"
    assert accuracy.get_xscale() == falling.get_xscale() == "linear"
    assert [label.get_text() for label in check.get_yticklabels()] == list(lesson.MISTAKES)
    assert [text.get_text() for text in check.texts] == list(lesson.IN_WORDS.values())
    assert check.yaxis.get_inverted()
    shares = [tuple(row.curves[:, 1, -1] / row.curves[:, 1, 0]) for row in rows]
    panels = [
        (check, [row.error for row in rows], 2, "relative error of the gradient", "1e-06"),
        (accuracy, [row.accuracy for row in rows], 1, "accuracy at the end", "0.85"),
        (falling, shares, 0, "last loss / first loss", "below 1:"),
    ]
    for ax, pairs, test, label, limit in panels:
        assert label in ax.get_xlabel()
        assert limit in ax.get_xlabel()
        right, missed, caught, _ = ax.lines  # and the limit
        np.testing.assert_allclose(right.get_xdata(), [pair[0] for pair in pairs])
        for line, is_caught in ((missed, False), (caught, True)):
            places = [i for i, row in enumerate(rows) if row.caught[test] == is_caught]
            assert list(line.get_ydata()) == places
            np.testing.assert_allclose(line.get_xdata(), [pairs[i][1] for i in places])
        low, high = ax.get_xlim()
        assert all(low <= value <= high for pair in pairs for value in pair), "every dot is in sight"


def test_a_dot_lies_in_the_shade_where_its_test_catches_it_and_looks_as_the_legend_says(lesson, default_result):
    rows = default_result.rows
    figure = lesson.plot_all(rows)
    check, accuracy, falling = figure.axes
    shares = [row.curves[1, 1, -1] / row.curves[1, 1, 0] for row in rows]
    panels = [(check, [row.error[1] for row in rows], 2), (accuracy, [row.accuracy[1] for row in rows], 1)]
    for ax, values, test in [*panels, (falling, shares, 0)]:
        (shade,) = ax.patches
        low, high = shade.get_x(), shade.get_x() + shade.get_width()
        assert [low <= value <= high for value in values] == [row.caught[test] for row in rows]
        assert ax.lines[-1].get_xdata()[0] in (low, high), "the line is the edge of the shade"
    (legend,) = figure.legends
    said = {text.get_text(): handle for text, handle in zip(legend.get_texts(), legend.legend_handles, strict=True)}
    for name, line in zip(
        ("right", "mistaken, not caught", "mistaken, caught by this test"), check.lines, strict=False
    ):
        assert (said[name].get_color(), said[name].get_marker()) == (line.get_color(), line.get_marker())


WORDS = {  # one that belongs to no other mistake
    "summed": "1/n",
    "two-scales": "mean for b",
    "pixel-bias": "pixels",
    "relu-ge": ">= 0",
    "missing-axis": "sum over the batch",
    "batch-softmax": "softmax over",
    "clipped-log": "clipped",
    "double-softmax": "twice",
    "frozen-bias": "never move",
    "column-minus-row": "broadcasts",
    "linear-hidden": "no biases",
    "linear-with-bias": "no ReLU",
    "shared-momentum": "velocity",
}


def test_the_few_words_are_those_of_the_mistake(lesson):
    assert WORDS.keys() == lesson.IN_WORDS.keys()
    for mistake, words in lesson.IN_WORDS.items():
        assert WORDS[mistake] in words
    assert "bias" not in lesson.IN_WORDS["linear-with-bias"]


def test_a_rising_loss_is_counted_and_printed(lesson, default_result, capsys):
    first, *others = default_result.rows
    rows = [first._replace(caught=(True, False, True)), *others]
    comparison = lesson.count(rows)
    assert [row.learned for row in comparison] == [1, 3, 13]
    assert [row.quantity for row in comparison] == [f"mistakes caught by {test}" for test in lesson.TESTS]
    lesson.print_verdicts(rows, comparison)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-3:] for line in lines[:3]] == [[n, "of", "13"] for n in ("1", "3", "13")]
    assert re.split("  +", lines[5].strip())[-1] == "falling loss, gradient check"


def test_the_figure_shows_a_loss_that_ran_off(lesson, default_result):
    first, *others = default_result.rows
    curves = first.curves.copy()
    curves[1, 1, -1] = np.nan
    rows = [first._replace(curves=curves, caught=(True, True, True)), *others]
    *_, falling = lesson.plot_all(rows).axes
    assert falling.get_title() == "The loss falls\nin 12 of 13"
    assert falling.lines[2].get_xdata() == pytest.approx(falling.get_xlim()[1])


def test_the_figure_of_one_mistake(lesson, digits):
    row = digits["relu-ge"]
    left, right = lesson.plot_one(row, np.arange(31)).axes
    assert left.get_title() == "relu-ge: dL/dW1 and dL/db1 wrong"
    assert right.get_title() == f"Accuracy {row.accuracy[0]:.1%} right, {row.accuracy[1]:.1%} mistaken"
    assert left.get_xscale() == "log"
    assert "above 1e-06: wrong" in left.get_xlabel()
    assert right.get_xlabel() == "updates"
    assert [label.get_text() for label in left.get_yticklabels()] == ["dL/dW1", "dL/db1", "dL/dW2", "dL/db2"]
    colours = [bars.patches[0].get_facecolor() for bars in left.containers]
    assert [bars.get_label() for bars in left.containers] == ["right", "mistaken"]
    assert [to_rgba(lesson.RIGHT_COLOUR), to_rgba(lesson.CAUGHT["color"])] == colours
    for line in right.lines[:4]:
        assert to_rgba(line.get_color()) == colours[line.get_label().startswith("mistaken")]
    for side, bars in enumerate(left.containers):
        np.testing.assert_allclose([bar.get_width() for bar in bars], [pair[side] for pair in row.errors.values()])
    lines = {line.get_label(): line.get_ydata() for line in right.lines}
    for side, who in enumerate(("right", "mistaken")):
        accuracy, losses = row.curves[side]
        np.testing.assert_array_equal(lines[f"{who}: accuracy"], accuracy)
        np.testing.assert_allclose(lines[f"{who}: loss / first loss"], losses / losses[0])


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
        assert row.caught == (False, row.mistake in LEARNS_LITTLE, True), row.mistake
    better = [row.mistake for row in result.rows if row.accuracy[1] > row.accuracy[0]]
    assert better == BETTER_ON_MNIST, "the lesson says so"
