from gradients import assert_gradients_right
from tf_backprop import command
from tf_backprop.support.errors import DivergedError, UsageError

import numpy as np
import pytest
from scipy.optimize import minimize

DOCUMENTED = {  # where the document says that each of its starts ends
    (4.0, 0.0): (3.584428, -1.848126),
    (1.0, 0.0): (3, 2),
    (-4.0, 0.0): (-3.779310, -3.283186),
    (-2.0, 2.0): (-2.805118, 3.131313),
}


@pytest.fixture
def result(default_result):
    return default_result


@pytest.mark.parametrize("seed", range(5))
def test_gradient(lesson, seed):
    points = np.random.default_rng(seed).uniform(-6, 6, size=(5, 2))
    assert_gradients_right(lesson.loss, lesson.gradients_by_hand, lesson.gradients_by_tape, {"points": points}, ())


def test_minima_are_exact(result, lesson):
    assert result.minima.shape == (4, 2)
    assert lesson.f(result.minima).max() < 1e-20
    for start in result.minima + 0.1:
        found = minimize(
            lambda p: float(lesson.f(p)), start, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-18}
        )
        assert np.abs(result.minima - found.x).max(axis=1).min() < 1e-6


def test_documented_starts_end_in_their_minima(result):
    assert list(result.paths) == list(DOCUMENTED)
    for start, end in DOCUMENTED.items():
        assert result.paths[start].shape == (201, 2)
        assert result.paths[start][0] == pytest.approx(start)
        assert result.paths[start][-1] == pytest.approx(end, abs=2e-5)


def test_values_belong_to_the_points_of_the_path(result):
    # Public copies print f of the point before the step beside the point after it.
    for start, path in result.paths.items():
        x, y = path.T.astype(float)
        np.testing.assert_allclose(
            result.values[start], (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2, rtol=1e-3, atol=1e-9
        )
        assert result.values[start][0] > 30
    assert result.comparison[-1].learned < 1e-9


def test_one_step_is_a_step_against_the_gradient(lesson, tmp_path):
    path = lesson.main(start=(1.0, 0.5), steps=1, learning_rate=0.01, figures=tmp_path).paths[(1.0, 0.5)]
    # u = 1 + 0.5 - 11, v = 1 + 0.25 - 7
    assert path[1] == pytest.approx([1 - 0.01 * (4 * -9.5 + 2 * -5.75), 0.5 - 0.01 * (2 * -9.5 + 4 * 0.5 * -5.75)])


def test_basins_are_those_of_single_descents(lesson, result):
    rng = np.random.default_rng(0)
    for row, column in rng.integers(121, size=(6, 2)):
        start = np.array([[lesson.SIDE[column], lesson.SIDE[row]]])
        _, end = lesson.descend(np.float32(start), 200, 0.01, 1)
        assert result.basins[row, column] == lesson.reached(end.numpy())[0]


def test_every_minimum_has_a_basin_around_it(lesson, result):
    for index, (x, y) in enumerate(result.minima):
        column, row = (np.abs(lesson.SIDE - v).argmin() for v in (x, y))
        assert (result.basins[row - 5 : row + 6, column - 5 : column + 6] == index).all()
    assert set(np.unique(result.basins)) <= {-1, 0, 1, 2, 3}


def test_try_a_rate_twice_as_large(lesson, result, tmp_path):
    wild = lesson.main(learning_rate=0.02, figures=tmp_path)
    ends = {start: lesson.reached(path[-1:])[0] for start, path in wild.paths.items()}
    before = {start: lesson.reached(path[-1:])[0] for start, path in result.paths.items()}
    assert sum(end == -1 for end in ends.values()) == 1, "one never settles"
    assert sum(end not in (-1, before[start]) for start, end in ends.items()) == 1, "one is in another valley"


def test_try_a_start_far_outside(lesson, tmp_path):
    with pytest.raises(DivergedError, match=r"at step \d: lower --learning-rate"):
        lesson.main(start=(20.0, 20.0), figures=tmp_path)
    assert (tmp_path / "05_himmelblau.png").stat().st_size > 10_000


@pytest.mark.parametrize("start", [(np.nan, 0.0), (0.0, np.inf), (0.0, 1e9)])
def test_starts_that_are_none(lesson, start, tmp_path):
    with pytest.raises(UsageError, match="--start"):
        lesson.main(start=start, figures=tmp_path)


@pytest.mark.parametrize("given", [["1"], ["1", "2", "3"], ["a", "b"]])
def test_one_number_or_three_are_refused(lesson, given, capsys):
    with pytest.raises(SystemExit) as stop:
        command.run(lesson.main, ["--start", *given], exits=True)
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert "--start" in said or "unrecognized arguments: 3" in said


def test_a_negative_start_of_ones_own(lesson, tmp_path):
    result = command.run(lesson.main, ["--start", "-1", "-1", "--figures", str(tmp_path)])
    assert list(result.paths) == [(-1.0, -1.0)]


def test_divergence_names_the_step_after_which_f_is_infinite(lesson, tmp_path):
    point, steps = np.float32([[20, 20]]), 0
    with np.errstate(over="ignore", invalid="ignore"):
        while np.isfinite(lesson.f(point)).all():
            step = lesson.gradients_by_hand({"points": point})["points"].numpy()
            point, steps = point - np.float32(0.01) * step, steps + 1
    with pytest.raises(DivergedError, match=f"at step {steps}:"):
        lesson.main(start=(20.0, 20.0), figures=tmp_path)
