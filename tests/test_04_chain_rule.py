import re

from gradients import assert_gradients_right
from tf_backprop.plotting import COLOURS
from tf_backprop.support.errors import GradientError, UsageError
from tf_backprop.support.tables import REPRODUCED

import numpy as np
import pytest
import tensorflow as tf
from matplotlib.colors import to_hex

LOCAL = {"dy1_dx": 2, "dy1_dw1": 1, "dy1_db1": 1, "dy2_dy1": 2, "dy2_dw2": 3, "dy2_db2": 1}
TOTAL = {"dy2_dx": 4, "dy2_dw1": 2, "dy2_db1": 2}

ARGUMENTS = [
    {},
    {"x": -1.5, "w1": 0.3, "b1": -2.0, "w2": -0.7, "b2": 10.0},
    {"x": 0.0, "w1": 0.0, "b1": 0.0, "w2": 0.0, "b2": 0.0},
    {"x": 0.1, "w1": 3.0, "b1": -0.3},  # y1 is what rounding leaves of 0
    {"x": -1000.0, "w1": 1000.0, "b1": 1000.0, "w2": -1000.0, "b2": 1000.0},
    {"x": 1e-300, "w1": -1e-300, "w2": 1e-300},
]


@pytest.fixture
def run(lesson, monkeypatch, tmp_path):
    """Return `main` without its figure, which takes longer than all the rest."""
    monkeypatch.setattr(lesson, "plot", lambda *_: None)
    monkeypatch.setattr(lesson.plotting, "save", lambda *_: tmp_path)
    return lesson.main


@pytest.mark.parametrize("seed", range(5))
def test_gradient(lesson, seed):
    rng = np.random.default_rng(seed)
    parameters = {name: rng.choice([-1, 1]) * rng.uniform(0.5, 2) for name in ("x", "w1", "b1", "w2", "b2")}
    assert_gradients_right(lesson.loss, lesson.gradients_by_hand, lesson.gradients_by_tape, parameters, ())


def test_every_derivative_at_the_documents_values(run):
    result = run()
    assert result.derivatives == result.by_tape == LOCAL | TOTAL
    assert list(result.derivatives) == list(result.by_tape)


@pytest.mark.parametrize("arguments", ARGUMENTS)
def test_every_derivative_at_other_values(run, arguments):
    result = run(**arguments)
    x, w1, b1, w2, _ = ({"x": 1.0, "w1": 2.0, "b1": 1.0, "w2": 2.0, "b2": 1.0} | arguments).values()
    local = {"dy1_dx": w1, "dy1_dw1": x, "dy1_db1": 1, "dy2_dy1": w2, "dy2_dw2": x * w1 + b1, "dy2_db2": 1}
    expected = local | {"dy2_dx": w2 * w1, "dy2_dw1": w2 * x, "dy2_db1": w2}
    assert result.derivatives == pytest.approx(expected, rel=1e-12, abs=0)
    assert result.by_tape == pytest.approx(expected, rel=1e-12, abs=0)
    for name in ("x", "w1", "b1"):
        product = result.by_tape["dy2_dy1"] * result.by_tape[f"dy1_d{name}"]
        assert result.by_tape[f"dy2_d{name}"] == pytest.approx(product, rel=1e-12, abs=0)


def test_what_the_documents_own_code_gives(run):
    (row,) = run().comparison
    assert row[1:4] == (2, 2, 2)
    assert row.source == REPRODUCED, "D5 prints no such number"


@pytest.mark.parametrize("seed", range(3))
def test_differences_written_out_are_the_gradient(lesson, seed):
    parameters = lesson.start(*np.random.default_rng(seed).uniform(-3, 3, 5))
    by_hand, differences = lesson.gradients_by_hand(parameters), lesson.gradients_by_differences(parameters)
    assert list(differences) == list(parameters)
    for name, gradient in by_hand.items():
        assert float(differences[name]) == pytest.approx(float(gradient), rel=1e-8, abs=1e-8)


def test_differences_know_nothing_of_the_gradient_by_hand(lesson, monkeypatch):
    parameters = lesson.start(1.5, -2.0, 0.5, 3.0, 1.0)
    before = lesson.gradients_by_differences(parameters)
    for name in ("derivatives_by_hand", "derivatives_by_tape", "gradients_by_hand", "gradients_by_tape"):
        monkeypatch.setattr(lesson, name, None)
    assert lesson.gradients_by_differences(parameters) == before
    monkeypatch.setattr(lesson, "loss", lambda parameters: parameters["w1"] ** 3)
    assert float(lesson.gradients_by_differences(parameters)["w1"]) == pytest.approx(3 * 2.0**2)
    assert float(lesson.gradients_by_differences(parameters)["x"]) == 0


def test_a_wrong_difference_is_an_error_and_nothing_is_drawn(lesson, tmp_path, monkeypatch):
    right = lesson.gradients_by_differences
    monkeypatch.setattr(lesson, "gradients_by_differences", lambda p: {**right(p), "w1": 2 * right(p)["w1"]})
    with pytest.raises(GradientError, match="dy2_dw1 by hand disagrees with its difference"):
        lesson.main(figures=tmp_path)
    assert not list(tmp_path.iterdir())


def test_printed_derivatives_are_those_that_are_returned(run, capsys):
    result = run(x=-1.5, w2=0.25)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    names, hand, tape, differences = next(
        [lines[i], lines[i + 1], lines[i + 2], lines[i + 3]] for i, line in enumerate(lines) if line == [*LOCAL, *TOTAL]
    )
    assert hand[:2] == ["by", "hand"]
    assert tape[:2] == ["by", "tape"]
    assert differences[:2] == ["by", "differences"]
    assert dict(zip(names, map(float, hand[2:]), strict=True)) == pytest.approx(result.derivatives)
    assert dict(zip(names, map(float, tape[2:]), strict=True)) == pytest.approx(result.by_tape)
    shown = {name: float(text) for name, text in zip(names, differences[2:], strict=True) if text != "-"}
    assert list(shown) == ["dy2_dw2", "dy2_db2", "dy2_dx", "dy2_dw1", "dy2_db1"]
    assert shown == pytest.approx({name: result.derivatives[name] for name in shown}, rel=1e-5)


def test_try_w2_zero_gives_zero_and_not_none(run):
    result = run(w2=0.0)
    assert [result.by_tape[name] for name in ("dy2_dy1", *TOTAL)] == [0, 0, 0, 0]
    assert result.by_tape["dy2_dw2"] == 3


def test_try_x_zero_leaves_the_bias_its_derivative(run):
    with_x, without = run().by_tape, run(x=0.0).by_tape
    assert without["dy1_dw1"] == without["dy2_dw1"] == 0
    assert without["dy2_db1"] == with_x["dy2_db1"] == 2


WAYS = {  # what was done: what the tape returns, what the cure gives
    "a constant": ("None", 4),
    "before the tape": ("None", 4),
    "whole numbers": ("None", 4),
    "w = w + 1": ("None", 4),
    "a second question": ("RuntimeError", 4),
    "tf.stop_gradient": ("None", 0),
    "NumPy in between": ("None", 4),
    "v.assign(w * w)": ("None", 4),
    "argmax, w > 1, cast": ("None", 1 / (1 + np.exp(-2)) - 1),
    "round, floor": ("None", 4),
    "norm or sqrt at 0": ("nan", 0),
    "log 0 behind where": ("nan", 4),
}


def test_every_way_to_none_and_its_cure(lesson):
    rows = lesson.ways_to_none()
    assert [(name, returned) for name, returned, _ in rows] == [(n, r) for n, (r, _) in WAYS.items()]
    for name, _, cured in rows:
        assert float(cured) == pytest.approx(WAYS[name][1], abs=5e-4), name


def test_printed_ways_are_those_of_the_rows(lesson, run, capsys):
    run()
    lines = capsys.readouterr().out.splitlines()
    (first,) = (i for i, line in enumerate(lines) if line.startswith("a path that breaks"))
    assert re.split("  +", lines[first].strip()) == 2 * ["a path that breaks", "gradient", "cured"]
    printed = [re.split("  +", line.strip()) for line in lines[first + 1 : first + 7]]
    assert [row[:3] for row in printed] + [row[3:] for row in printed] == lesson.ways_to_none()


@pytest.mark.parametrize("of", [tf.round, tf.floor, tf.math.ceil, tf.sign, lambda w: tf.cast(w > 1, tf.float32)])
def test_steps_have_the_derivative_none_or_zero(lesson, of):
    gradient = lesson.derivative(of)
    assert gradient is None or float(gradient) == 0


def test_what_the_comments_say_of_their_brothers(lesson):
    frozen = tf.Variable(2.0, trainable=False)
    with tf.GradientTape() as tape:
        y = frozen * frozen
    assert tape.gradient(y, frozen) is None
    assert lesson.derivative(lambda w: tf.cast(tf.cast(w, tf.int32), tf.float32)) is None
    assert np.isnan(lesson.derivative(lambda w: tf.sqrt(tf.square(w - 2.0))))
    assert np.isinf(lesson.derivative(lambda w: tf.sqrt(w - 2.0)))


def test_a_cure_that_cures_nothing_is_an_error(lesson, run, monkeypatch):
    monkeypatch.setattr(lesson, "where_behind_where", lesson.log_behind_where)
    with pytest.raises(GradientError, match="log 0 behind where: the cure does not help"):
        run()


def test_a_tape_that_knows_more_than_it_should_is_an_error(run, monkeypatch):
    monkeypatch.setattr(tf, "stop_gradient", tf.identity)
    with pytest.raises(GradientError, match=r"tf\.stop_gradient: the tape should have recorded none"):
        run()


@pytest.mark.parametrize("name", [*LOCAL, *TOTAL])
def test_a_wrong_derivative_is_an_error_and_nothing_is_drawn(lesson, tmp_path, monkeypatch, name):
    right = lesson.derivatives_by_hand
    monkeypatch.setattr(lesson, "derivatives_by_hand", lambda **p: {**right(**p), name: -right(**p)[name]})
    # y2 by a parameter is found by the gradient check, also where it is 0 at the values given.
    checked = name in {*TOTAL, "dy2_dw2", "dy2_db2"}
    with pytest.raises(GradientError, match=f"{name}: " if checked else "by hand disagrees with the tape"):
        lesson.main(x=0.0 if checked else 1.0, figures=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["x", "w1", "b1", "w2", "b2"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), 1000.1])
def test_argument_out_of_range(lesson, tmp_path, name, value):
    with pytest.raises(UsageError, match=f"--{name} must be a number from -1000 to 1000, not {value}"):
        lesson.main(**{name: value}, figures=tmp_path)
    assert not list(tmp_path.iterdir())


def test_figure_has_every_value_and_derivative(lesson):
    parameters = {"x": -1.5, "w1": 2.0, "b1": 1.0, "w2": 0.25, "b2": 1.0}
    derivatives = {name: float(value) for name, value in lesson.derivatives_by_hand(**parameters).items()}
    figure = lesson.plot(parameters, derivatives)
    (ax,) = figure.axes
    assert figure.get_suptitle().endswith("dy2/dw1 = dy2/dy1 × dy1/dw1 = 0.25 × -1.5 = -0.375")
    texts = [text.get_text() for text in ax.texts]
    values = parameters | {"y1": -2.0, "y2": 0.5}
    for name, value in values.items():
        where = texts.index(name)
        assert texts[where + 1] == f"{value:.3g}"
        assert texts[where + 2] == f"dy2/d{name} = {derivatives.get(f'dy2_d{name}', 1.0):.4g}"
    for name in LOCAL:
        assert f"× {name.replace('_', '/')} = {derivatives[name]:.4g}" in texts
    arrows = [text.arrow_patch for text in ax.texts if getattr(text, "arrow_patch", None)]
    colours = [to_hex(arrow.get_edgecolor()).upper() for arrow in arrows]
    assert sorted(colours) == sorted(COLOURS[:2] * len(LOCAL))
