from gradients import assert_gradients_right
from tf_backprop import datasets
from tf_backprop.support.errors import DivergedError, GradientError
from tools import ledger

import numpy as np
import pytest


@pytest.mark.parametrize("seed", range(5))
def test_gradient(lesson, seed):
    rng = np.random.default_rng(seed)
    x, y = datasets.regression(rng)
    assert_gradients_right(
        lesson.loss, lesson.gradients_by_hand, lesson.gradients_by_tape, rng.normal(5), (x[:7], y[:7])
    )


def test_a_wrong_gradient_is_an_error_and_nothing_is_trained_or_drawn(lesson, tmp_path, monkeypatch):
    right = lesson.gradients_by_hand
    monkeypatch.setattr(lesson, "gradients_by_hand", lambda A, x, y: right(A, x, y) / 2)
    monkeypatch.setattr(lesson, "train", lambda *_: pytest.fail("it was trained"))
    with pytest.raises(GradientError, match="dL_dA: not what the loss says"):
        lesson.main(figures=tmp_path)
    assert not list(tmp_path.iterdir())


def test_result_is_what_happened(lesson, tmp_path):
    result = lesson.main(seed=3, figures=tmp_path)
    rng = np.random.default_rng(3)
    x, y = datasets.regression(rng)
    A, order = rng.normal(), rng.integers(len(x), size=100)
    for step, i in enumerate(order):
        A -= 0.02 * 2 * (x[i] * A - y[i]) * x[i]
        assert result.trajectory[step] == pytest.approx(A, rel=1e-5)
        assert result.losses[step] == pytest.approx((x[i] * A - y[i]) ** 2, rel=1e-3, abs=1e-6)
    assert result.trajectory.shape == result.losses.shape == (100,)


def test_optimum_is_the_least_squares_answer(lesson, tmp_path):
    result = lesson.main(seed=3, figures=tmp_path)
    x, y = datasets.regression(np.random.default_rng(3))
    assert result.optimum == pytest.approx(np.linalg.lstsq(x[:, None], y, rcond=None)[0][0], abs=1e-4)
    assert result.optimum < 10


def test_the_default_run_ends_above_its_optimum_and_most_seeds_below(lesson, default_result):
    reached = default_result.trajectory > default_result.optimum
    assert 80 < np.argmax(reached) < 100, "shortly before the end"
    assert 0 < default_result.trajectory[-1] - default_result.optimum < 0.05
    trajectories, _, xs, _ = ledger.many_seeds(lesson, datasets.regression, 40, 100, 0.02)
    below = trajectories[-1] < 10 * xs.sum(axis=1) / (xs**2).sum(axis=1)
    assert 0.75 < below.mean() < 1


def test_at_10_a_lower_A_helps_a_large_x_more(lesson):
    large, small = 1.1, 0.9
    assert float(lesson.loss(10, large, 10)) == pytest.approx(float(lesson.loss(10, small, 10)), rel=1e-5)
    assert lesson.gradients_by_hand(10, large, 10) > -lesson.gradients_by_hand(10, small, 10) > 0


def test_reaches_the_optimum_from_many_seeds(lesson):
    # After 100 steps A lags behind by 0.16 and scatters by 0.13; 5 sd is 0.65. After 1,000 steps there
    # is no lag left: each step moves A by 0.02 * 2 x (x A - y), whose sd is about 0.04, over a memory of 25 steps.
    trajectories, _, xs, _ = ledger.many_seeds(lesson, datasets.regression, 20, 1000, 0.02)
    for trajectory, x in zip(trajectories.T, xs, strict=True):
        optimum = 10 * x.sum() / (x @ x)
        assert trajectory[99] - optimum == pytest.approx(-0.16, abs=0.65)
        assert np.mean(trajectory[200:]) == pytest.approx(optimum, abs=0.1)


def test_published_numbers_are_within_the_spread(lesson):
    trajectories, losses, *_ = ledger.many_seeds(lesson, datasets.regression, 60, 100, 0.02)
    assert list(lesson.PUBLISHED) == list(lesson.PUBLISHED_LOSSES) == [25, 50, 75, 100]
    for step, published in lesson.PUBLISHED.items():
        at = trajectories[step - 1]
        assert abs(published - at.mean()) < 2.5 * at.std()
    for step, published in lesson.PUBLISHED_LOSSES.items():
        around = losses[step - 3 : step + 2]
        assert around.min() < published < around.max()


def rows_of(printed, quantity):
    """Return the columns of the printed rows whose name starts with `quantity`, by step, as texts."""
    rows = [line for line in printed.splitlines() if line.startswith(quantity)]
    by_step = (row.partition("step ")[2].split(maxsplit=4) for row in rows)
    return {int(step): columns for step, *columns in by_step}


def test_the_printed_table_has_what_is_returned_and_what_the_document_printed(lesson, default_run):
    result, printed = default_run("01_regression")
    A, losses = rows_of(printed, "A at"), rows_of(printed, "loss of one random sample,")
    assert list(A) == list(losses) == [25, 50, 75, 100]
    for step in A:
        expected = f"{result.optimum:.6g}" if step == 100 else "-"
        source = "printed by the document"
        document = f"{lesson.PUBLISHED[step]:.6g}"
        assert A[step] == [f"{result.trajectory[step - 1]:.6g}", expected, document, source]
        document = f"{lesson.PUBLISHED_LOSSES[step]:.6g}"
        assert losses[step] == [f"{result.losses[step - 1]:.6g}", "-", document, source]


@pytest.mark.parametrize("steps", [1, 60, 120])
def test_other_numbers_of_steps_have_the_rows_up_to_the_last_step(lesson, tmp_path, steps):
    *_, answer = comparison = lesson.main(steps=steps, figures=tmp_path).comparison
    at = [step for step in (25, 50, 75, 100) if step <= steps]
    names = [f"loss of one random sample, step {step}" for step in at] + [f"A at step {step}" for step in [*at, steps]]
    assert [row.quantity for row in comparison] == names
    assert answer.expected is not None


def test_figure_has_what_was_learned_and_what_the_document_printed(lesson, default_result):
    left, right = lesson.plot(*default_result[:3]).axes
    lines = {line.get_label(): line for line in left.lines}
    assert list(lines["A learned here"].get_xdata()) == list(range(1, 101))
    np.testing.assert_array_equal(lines["A learned here"].get_ydata(), default_result.trajectory)
    assert set(lines["least squares"].get_ydata()) == {default_result.optimum}
    assert set(lines["10"].get_ydata()) == {10}
    dots = lines["printed by the document"]
    assert dict(zip(dots.get_xdata(), dots.get_ydata(), strict=True)) == lesson.PUBLISHED
    optimum = f"{default_result.optimum:.4g}"
    assert (left.get_xlabel(), left.get_ylabel(), left.get_yscale()) == ("step", "A", "linear")
    assert left.get_title() == f"A climbs to {optimum}, and not to 10"
    assert (f"least squares, {optimum}", default_result.optimum) in [(t.get_text(), t.xy[1]) for t in left.texts]
    same_colour(left, lines, {"A learned here": "A learned here", f"least squares, {optimum}": "least squares"})

    lines = {line.get_label(): line for line in right.lines}
    np.testing.assert_array_equal(lines["loss here"].get_ydata(), default_result.losses)
    dots = lines["printed by the document"]
    assert dict(zip(dots.get_xdata(), dots.get_ydata(), strict=True)) == lesson.PUBLISHED_LOSSES
    labels = right.get_xlabel(), right.get_ylabel(), right.get_yscale()
    assert labels == ("step", "loss of the step's sample", "log")
    assert right.get_title() == "The loss of one sample jumps from step to step"
    same_colour(right, lines, {"loss here": "loss here"})


def same_colour(ax, lines, names):
    """Assert that each text beside a line has the line's colour."""
    colours = {text.get_text(): text.get_color() for text in ax.texts}
    for text, line in (names | {"printed by the document": "printed by the document"}).items():
        assert colours[text] == lines[line].get_color()


def test_try_more_steps_arrives_and_wanders(lesson, tmp_path):
    result = lesson.main(steps=1000, figures=tmp_path)
    late = result.trajectory[500:]
    assert late.mean() == pytest.approx(result.optimum, abs=0.1)
    assert 0.05 < late.std() < 0.5


def test_try_large_rate_diverges_and_still_draws(lesson, tmp_path, capsys):
    with pytest.raises(DivergedError, match=r"at step \d+: lower --learning-rate"):
        lesson.main(learning_rate=1.5, figures=tmp_path)
    assert (tmp_path / "01_regression.png").stat().st_size > 10_000
    assert "A at step" not in capsys.readouterr().out


def test_a_rate_that_diverges_at_the_first_step_has_nothing_to_draw(lesson, tmp_path):
    with pytest.raises(DivergedError, match="at step 1: lower --learning-rate"):
        lesson.main(learning_rate=1e38, figures=tmp_path)
    assert not list(tmp_path.iterdir())
