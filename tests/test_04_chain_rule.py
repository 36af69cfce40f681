from gradients import assert_gradients_right
from tf_backprop.plotting import COLOURS
from tf_backprop.support.errors import GradientError, UsageError

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


def test_published(run):
    (row,) = run().comparison
    assert row[1:4] == (2, 2, 2)


def test_try_w2_zero_gives_zero_and_not_none(run):
    result = run(w2=0.0)
    assert [result.by_tape[name] for name in ("dy2_dy1", *TOTAL)] == [0, 0, 0, 0]
    assert result.by_tape["dy2_dw2"] == 3


def test_try_x_zero_leaves_the_bias_its_derivative(run):
    with_x, without = run().by_tape, run(x=0.0).by_tape
    assert without["dy1_dw1"] == without["dy2_dw1"] == 0
    assert without["dy2_db1"] == with_x["dy2_db1"] == 2


def test_ways_to_none(lesson, run, capsys):
    rows = lesson.ways_to_none()
    assert [came_back for _, came_back, _ in rows] == ["[None, None]", *["None"] * 4, "[None, None]", "RuntimeError"]
    run()
    printed = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    for row in rows:
        assert " ".join(row) in printed


def test_what_to_do_instead_gives_a_number(lesson):
    w, frozen, unused = tf.Variable(2.0), tf.Variable(2.0, trainable=False), tf.Variable(2.0)
    constant = tf.constant(2.0)
    w.assign_add(1.0)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([constant, frozen])
        watched, square, stopped = constant * frozen, tf.square(w), tf.stop_gradient(w) ** 2
    assert [float(g) for g in tape.gradient(watched, [constant, frozen])] == [2, 2]
    assert float(tape.gradient(square, w)) == float(tape.gradient(square, w)) == 6
    assert [float(g) for g in tape.gradient(stopped, [w, unused], unconnected_gradients="zero")] == [0, 0]


def test_a_tape_that_knows_more_than_it_should_is_an_error(run, monkeypatch):
    monkeypatch.setattr(tf, "stop_gradient", tf.identity)
    with pytest.raises(GradientError, match="should have recorded none"):
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
    (ax,) = lesson.plot(parameters, derivatives).axes
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
