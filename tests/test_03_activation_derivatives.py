import ast
import inspect

from gradients import assert_gradients_right
from tf_backprop.support.errors import GradientError, UsageError

import numpy as np
import pytest
import tensorflow as tf

NAMES = ["sigmoid", "tanh", "leaky ReLU", "ReLU"]


@pytest.fixture
def plot(lesson):
    """Return the lesson's own `plot`, also where `run` has put it aside."""
    return lesson.plot


@pytest.fixture
def run(lesson, plot, monkeypatch, tmp_path):
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


def test_the_printed_table_has_what_is_returned(run, capsys):
    result = run()
    lines = capsys.readouterr().out.replace("leaky ReLU", "leaky_ReLU").splitlines()
    printed = [line.split(maxsplit=4) for line in lines]
    for row in result.comparison:
        numbers = [f"{number:.6g}" for number in row[1:4]]
        assert [row.quantity.replace(" ", "_"), *numbers, "from the document's code"] in printed
    assert [row.learned for row in result.comparison] == [result.by_tape[name][80] for name in NAMES]


def test_four_ways_to_write_relu_are_one_function_with_three_answers_at_zero(lesson, run, capsys):
    z = tf.constant([-2, -0.5, 0, 0.5, 2])
    ways, slopes, at_zero = lesson.ways_to_write_relu(z), lesson.slopes_of_relu(z), {}
    assert list(ways) == list(slopes)
    for code, a in ways.items():
        np.testing.assert_array_equal(a, np.maximum(z, 0))
        np.testing.assert_array_equal(a, eval(code, {"tf": tf, "z": z}))
        assert slopes[code].numpy()[[0, 1, 3, 4]].tolist() == [0, 0, 1, 1], code
        at_zero[code] = slopes[code].numpy()[2]
    assert at_zero == {"tf.nn.relu(z)": 0, "tf.maximum(0, z)": 0, "(z + tf.abs(z)) / 2": 0.5, "tf.maximum(z, 0)": 1}
    run()
    printed = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "da_dz of ReLU as z = -1 z = 0 z = 1" in printed
    for code, slope in at_zero.items():
        assert f"{code} 0 {slope:g} 1" in printed


def test_each_way_is_the_code_that_it_is_named_by(lesson):
    (returned,) = ast.parse(inspect.getsource(lesson.ways_to_write_relu)).body[0].body[1:]
    pairs = zip(returned.value.keys, returned.value.values, strict=True)
    assert [key.value for key, _ in pairs] == [ast.unparse(value) for value in returned.value.values]


def test_tanh_is_made_of_a_sigmoid(lesson):
    z = np.linspace(-5, 5, 41)
    a = lesson.activate(lesson.prepare(z), 0.1)
    np.testing.assert_allclose(a["tanh"], np.tanh(z), rtol=1e-12, atol=1e-15)


def test_every_activation_has_points_of_its_own_for_the_tape(lesson):
    # One tensor under four names would get the sum of four derivatives under each name.
    z = lesson.prepare(np.array([-2.0, 0.5]))
    assert len({id(points) for points in z.values()}) == 4
    one = tf.constant([-2.0, 0.5], tf.float64)
    shared = lesson.gradients_by_tape(dict.fromkeys(NAMES, one), 0.1)
    np.testing.assert_allclose(shared["ReLU"], sum(lesson.gradients_by_tape(z, 0.1).values()), rtol=1e-12)


def test_gradient_of_the_sum_is_each_derivative(lesson):
    points = np.float64([-3, -1, 0, 0.5, 2])
    together = lesson.gradients_by_tape(lesson.prepare(points), 0.25)
    for i, point in enumerate(points):
        alone = lesson.gradients_by_tape(lesson.prepare(point), 0.25)
        for name in NAMES:
            assert float(together[name][i]) == pytest.approx(float(alone[name]), rel=1e-15)


def test_try_leak_one_has_no_kink(lesson, run):
    result = run(leak=1.0)
    row = next(row for row in result.comparison if row.quantity.startswith("leaky"))
    assert row.learned == pytest.approx(row.expected) == row.published == 1
    np.testing.assert_array_equal(lesson.activate(lesson.prepare(result.z), 1.0)["leaky ReLU"], result.z)


def test_try_leak_minus_one_is_the_absolute_value(lesson, run):
    result = run(leak=-1.0)
    np.testing.assert_array_equal(lesson.activate(lesson.prepare(result.z), -1.0)["leaky ReLU"], np.abs(result.z))
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
    ("fault", "message"), [(wrong_at_the_kink, "at the kink"), (of_the_output, "ReLU: da_dz: not what the loss says")]
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


@pytest.mark.parametrize("leak", [0.1, -1.0])
def test_figure_shows_each_activation_and_marks_the_kinks(run, plot, leak):
    result = run(leak=leak)
    figure = plot(leak, result.by_tape, result.comparison)
    assert [ax.get_title() for ax in figure.axes] == [
        "Sigmoid passes back at most 0.25",
        "Tanh passes back at most 1",
        "Leaky ReLU gets three answers at its kink",
        "ReLU gets three answers at its kink",
    ]
    z, a = result.z, {"sigmoid": 1 / (1 + np.exp(-result.z)), "tanh": np.tanh(result.z)}
    a |= {"leaky ReLU": np.where(z > 0, z, np.float32(leak) * z), "ReLU": np.maximum(z, 0)}
    for ax, name, row in zip(figure.axes, NAMES, result.comparison, strict=True):
        lines = {line.get_label(): line for line in ax.lines}
        texts = {text.get_text(): text for text in ax.texts}
        assert ax.get_xlabel() == "z"
        np.testing.assert_array_equal(lines["a"].get_xdata(), z)
        np.testing.assert_allclose(lines["a"].get_ydata(), a[name], rtol=1e-12, atol=1e-13)
        shown = lines["da/dz"].get_ydata()
        kink = (z == 0) & name.endswith("ReLU")
        np.testing.assert_array_equal(shown, np.where(kink, np.nan, result.by_tape[name]))
        for text in ("a", "da/dz"):
            assert texts[text].get_color() == lines[text].get_color()
        if not name.endswith("ReLU"):
            assert set(lines) == set(texts) == {"a", "da/dz"}
            continue
        sides = [line for line in ax.lines if line.get_label().startswith("_")]
        assert [list(line.get_ydata()) for line in sides] == [[result.by_tape[name][79], result.by_tape[name][81]]]
        for who, answer in zip(("TensorFlow", "central difference", "D5"), row[1:4], strict=True):
            assert list(lines[who].get_ydata()) == [answer]
            assert texts[f"{who}: {answer:.2g}"].get_color() == lines[who].get_color()


def test_figure_of_a_leaky_relu_without_a_kink_has_no_marks(run, plot):
    result = run(leak=1.0)
    ax = plot(1.0, result.by_tape, result.comparison).axes[2]
    assert ax.get_title() == "Leaky ReLU passes back at most 1"
    assert [line.get_label() for line in ax.lines] == ["a", "da/dz"]
