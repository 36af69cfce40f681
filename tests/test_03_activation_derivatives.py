from gradients import assert_gradients_right
from tf_backprop.support.errors import GradientError, UsageError

import numpy as np
import pytest
import tensorflow as tf

NAMES = ["sigmoid", "tanh", "leaky ReLU", "ReLU"]


@pytest.fixture
def run(lesson, monkeypatch, tmp_path):
    """Return `main` without its figure, which takes longer than all the rest."""
    monkeypatch.setattr(lesson, "plot", lambda *_: None)
    monkeypatch.setattr(lesson.plotting, "save", lambda *_: tmp_path)
    return lesson.main


def closed_forms(z, leak):
    """Return the four derivatives from formulas other than the lesson's, with TensorFlow's convention at 0."""
    return {
        "sigmoid": 1 / (4 * np.cosh(z / 2) ** 2),
        "tanh": 1 / np.cosh(z) ** 2,
        "leaky ReLU": np.where(z > 0, 1.0, leak),
        "ReLU": np.where(z > 0, 1.0, 0.0),
    }


@pytest.mark.parametrize("seed", range(5))
def test_gradient(lesson, seed):
    rng = np.random.default_rng(seed)
    # Every activation has points of its own, at least 0.1 from the kink; the leak is a fraction that float32 has.
    z = {name: rng.choice([-1, 1], 7) * rng.uniform(0.1, 4, 7) for name in NAMES}
    leak = float(rng.integers(-8, 8)) / 8
    assert_gradients_right(lesson.loss, lesson.gradients_by_hand, lesson.gradients_by_tape, z, (leak,))


@pytest.mark.parametrize("leak", [0.1, 0.0, 0.5, -0.25])
def test_hand_and_tape_are_the_closed_forms_at_every_point(run, leak):
    result = run(leak=leak)
    assert 0 in result.z
    assert len(result.z) > 100
    for name, derivative in closed_forms(result.z, np.float32(leak)).items():
        np.testing.assert_allclose(result.by_hand[name], derivative, rtol=1e-12, atol=1e-13, err_msg=name)
        np.testing.assert_allclose(result.by_tape[name], derivative, rtol=1e-12, atol=1e-13, err_msg=name)
    assert list(result.by_hand) == list(result.by_tape) == NAMES


def test_what_each_says_at_zero(run):
    rows = {row.quantity: row[1:4] for row in run(leak=0.1).comparison}
    assert rows["sigmoid'(0)"] == pytest.approx((0.25, 0.25, 0.25))
    assert rows["tanh'(0)"] == pytest.approx((1, 1, 1))
    assert rows["leaky ReLU'(0)"] == pytest.approx((0.1, (1 + 0.1) / 2, 1))
    assert rows["ReLU'(0)"] == (0, 0.5, 1)
    assert list(rows)[-1] == "ReLU'(0)"


def test_four_ways_to_write_relu_are_one_function_with_three_answers_at_zero(lesson, run, capsys):
    z = np.float32([-2, -0.5, 0, 0.5, 2])
    at_zero = {}
    for code, relu in lesson.WAYS_TO_WRITE_RELU.items():
        np.testing.assert_array_equal(relu(tf.constant(z)), np.maximum(z, 0))
        slopes = lesson.derivative_by_tape(relu, z).numpy()
        assert slopes[[0, 1, 3, 4]].tolist() == [0, 0, 1, 1], code
        at_zero[code] = slopes[2]
    assert at_zero == {"tf.nn.relu(z)": 0, "tf.maximum(0, z)": 0, "(z + tf.abs(z)) / 2": 0.5, "tf.maximum(z, 0)": 1}
    run()
    printed = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    for code, slope in at_zero.items():
        assert f"{code} 0 {slope:g} 1" in printed


def test_tanh_is_made_of_a_sigmoid(lesson):
    z = np.linspace(-5, 5, 41)
    np.testing.assert_allclose(lesson.activations(0.1)["tanh"](z), np.tanh(z), rtol=1e-12, atol=1e-15)


def test_gradient_of_the_sum_is_each_derivative(lesson):
    z = np.float64([-3, -1, 0, 0.5, 2])
    for activation in lesson.activations(0.25).values():
        together = lesson.derivative_by_tape(activation, z).numpy()
        one_by_one = [float(lesson.derivative_by_tape(activation, z_i)) for z_i in z]
        np.testing.assert_allclose(together, one_by_one, rtol=1e-15)


def test_try_leak_one_has_no_kink(lesson, run):
    result = run(leak=1.0)
    row = next(row for row in result.comparison if row.quantity.startswith("leaky"))
    assert row.learned == pytest.approx(row.expected) == row.published == 1
    np.testing.assert_array_equal(lesson.activations(1.0)["leaky ReLU"](result.z), result.z)


def test_try_leak_minus_one_is_the_absolute_value(lesson, run):
    result = run(leak=-1.0)
    np.testing.assert_array_equal(lesson.activations(-1.0)["leaky ReLU"](result.z), np.abs(result.z))
    assert set(result.by_tape["leaky ReLU"][result.z < 0]) == {-1}
    assert set(result.by_tape["leaky ReLU"][result.z > 0]) == {1}


@pytest.mark.parametrize("leak", [1.01, -2.0, float("nan"), float("inf"), float("-inf")])
def test_leak_out_of_range(lesson, tmp_path, leak):
    with pytest.raises(UsageError, match="--leak must be a number from -1 to 1"):
        lesson.main(leak=leak, figures=tmp_path)
    assert not list(tmp_path.iterdir())


def wrong_at_the_kink(z, a):
    return z >= 0


def of_the_output(z, a):
    return a >= 0


@pytest.mark.parametrize(
    ("fault", "message"), [(wrong_at_the_kink, "at the kink"), (of_the_output, "ReLU: da_dz.* disagrees")]
)
def test_a_wrong_derivative_is_an_error_and_nothing_is_drawn(lesson, tmp_path, monkeypatch, fault, message):
    right = lesson.gradients_by_hand

    def wrong(z, leak):
        passes = fault(z["ReLU"], tf.nn.relu(z["ReLU"]))
        return {**right(z, leak), "ReLU": tf.cast(passes, tf.float64)}

    monkeypatch.setattr(lesson, "gradients_by_hand", wrong)
    with pytest.raises(GradientError, match=message):
        lesson.main(figures=tmp_path)
    assert not list(tmp_path.iterdir())


def test_figure_marks_the_kinks(lesson, tmp_path):
    result = lesson.main(leak=0.1, figures=tmp_path)
    figure = lesson.plot(0.1, result.by_tape, result.comparison)
    by_name = {ax.get_title().partition(" passes")[0]: ax for ax in figure.axes}
    assert list(by_name) == NAMES
    for name, at_zero in (("ReLU", {0, 0.5, 1}), ("leaky ReLU", {0.1, 0.55, 1})):
        lines = {line.get_label(): line for line in by_name[name].lines}
        assert np.isnan(lines["da/dz"].get_ydata()).tolist() == (result.z == 0).tolist()
        marks = {
            round(float(y), 6) for line in by_name[name].lines for y in line.get_ydata() if len(line.get_xdata()) < 3
        }
        assert marks == at_zero
        assert {"at 0, TensorFlow", "at 0, central difference", "at 0, the document"} < set(lines)
    for name in ("sigmoid", "tanh"):
        assert len(by_name[name].lines) == 2
