from gradients import assert_gradients_right
from tf_backprop import datasets
from tf_backprop.support.errors import DivergedError
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


def test_optimum_is_the_least_squares_answer(lesson, tmp_path):
    result = lesson.main(seed=3, figures=tmp_path)
    x, y = datasets.regression(np.random.default_rng(3))
    assert result.optimum == pytest.approx(np.linalg.lstsq(x[:, None], y, rcond=None)[0][0], abs=1e-4)
    assert result.optimum < 10


def test_reaches_the_optimum_from_many_seeds(lesson):
    # After 100 steps A lags behind by 0.16 and scatters by 0.13 (documents.md); 5 sd is 0.65. After 1,000 steps there
    # is no lag left: each step moves A by 0.02 * 2 x (x A - y), whose sd is about 0.04, over a memory of 25 steps.
    trajectories, _, xs, _ = ledger.many_seeds(lesson, 20, 1000, 0.02)
    for trajectory, x in zip(trajectories.T, xs, strict=True):
        optimum = 10 * x.sum() / (x @ x)
        assert trajectory[99] - optimum == pytest.approx(-0.16, abs=0.65)
        assert np.mean(trajectory[200:]) == pytest.approx(optimum, abs=0.1)


def test_published_numbers_are_within_the_spread(lesson):
    trajectories, *_ = ledger.many_seeds(lesson, 60, 100, 0.02)
    for step, published in lesson.PUBLISHED.items():
        at = trajectories[step - 1]
        assert abs(published - at.mean()) < 2.5 * at.std()


def test_try_more_steps_arrives_and_wanders(lesson, tmp_path):
    result = lesson.main(steps=1000, figures=tmp_path)
    late = result.trajectory[500:]
    assert late.mean() == pytest.approx(result.optimum, abs=0.1)
    assert 0.05 < late.std() < 0.5


def test_try_large_rate_diverges_and_still_draws(lesson, tmp_path):
    with pytest.raises(DivergedError, match=r"at step \d+: lower --learning-rate"):
        lesson.main(learning_rate=1.5, figures=tmp_path)
    assert (tmp_path / "01_regression.png").stat().st_size > 10_000
