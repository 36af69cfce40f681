import re
from unittest.mock import MagicMock

from gradients import assert_gradients_right
from tf_backprop import command
from tf_backprop.plotting import COLOURS
from tf_backprop.support.errors import DivergedError, GradientError, UsageError
from tf_backprop.support.tables import PRINTED

import numpy as np
import pytest
import tensorflow as tf
from matplotlib.colors import to_hex, to_rgb
from scipy.optimize import minimize

ENDS = {  # start: where its descent ends, and that minimum as the document prints it
    (4.0, 0.0): ((3.584428, -1.848127), (3.584, -1.848)),
    (1.0, 0.0): ((3, 2), (3, 2)),
    (-4.0, 0.0): ((-3.779310, -3.283186), (-3.779, -3.283)),
    (-2.0, 2.0): ((-2.805118, 3.131313), (-2.805, 3.131)),
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
    assert list(result.paths) == list(ENDS)
    for start, (end, _) in ENDS.items():
        assert result.paths[start].shape == (201, 2)
        assert result.paths[start][0] == pytest.approx(start)
        assert result.paths[start][-1] == pytest.approx(end, abs=2e-5)


def test_the_document_is_shown_with_the_digits_that_it_prints(result):
    rows = result.comparison[:-1]
    assert [row.published for row in rows] == [number for _, printed in ENDS.values() for number in printed]
    assert {row.source for row in rows} == {PRINTED}
    for row in rows:
        assert row.expected == pytest.approx(row.published, abs=5e-4)


def test_values_belong_to_the_points_of_the_path(result):
    # The document prints f of the point before the step beside the point after it.
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
        point = tf.constant([[lesson.SIDE[column], lesson.SIDE[row]]])
        _, end = lesson.descend({"points": point}, 200, 0.01, 1)
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


def test_printed_points_and_values_are_those_of_the_same_step(result, default_run):
    lines = default_run("05_himmelblau")[1].splitlines()
    (first,) = (i for i, line in enumerate(lines) if line.startswith("step "))
    starts = ("(4, 0)", "(1, 0)", "(-4, 0)", "(-2, 2)")
    assert re.split("  +", lines[first]) == ["step", *(f"x, y, f from {start}" for start in starts)]
    rows = [[float(text) for text in line.split()] for line in lines[first + 1 : first + 7]]
    assert [row[0] for row in rows] == [0, 10, 20, 40, 100, 200]
    for step, *numbers in rows:
        for i, start in enumerate(result.paths):
            x, y, value = numbers[3 * i : 3 * i + 3]
            assert (x, y) == pytest.approx(result.paths[start][int(step)], abs=5.1e-4)
            assert value == pytest.approx(result.values[start][int(step)], rel=0.051)


def test_few_steps_print_few_rows(lesson, tmp_path, capsys):
    lesson.main(steps=2, figures=tmp_path)
    _, _, table = capsys.readouterr().out.partition("step ")
    assert [line.split()[0] for line in table.splitlines()[1:5]] == ["0", "1", "2", "learned"]


def figure_of(lesson, result):
    return lesson.plot(result.paths, result.basins)


def test_figure_shows_surface_paths_and_basins(lesson, result):
    surface, paths, basins = figure_of(lesson, result).axes
    assert (surface.elev, surface.azim) == (60, -30), "seen as in the document"
    assert (surface.get_xlabel(), surface.get_ylabel()) == ("x", "y")

    lines = [line for line in paths.lines if len(line.get_xdata()) > 4]
    assert len(lines) == len(result.paths)
    for line, (start, path), colour in zip(lines, result.paths.items(), COLOURS, strict=False):
        np.testing.assert_array_equal(np.transpose(line.get_data()), path)
        (label,) = (text for text in paths.texts if text.get_text() == f"({start[0]:g}, {start[1]:g})")
        assert to_hex(line.get_color()).upper() == to_hex(label.get_color()).upper() == colour
        assert label.xy == start

    (image,) = basins.images
    np.testing.assert_array_equal(image.get_array(), result.basins)
    assert image.origin == "lower"
    assert tuple(image.get_extent()) == (-6, 6, -6, 6)
    for index, colour in enumerate(COLOURS[:4]):  # the colour of a basin is that of the path that ends in it
        assert image.cmap(image.norm(index))[:3] == pytest.approx(to_rgb(colour))
    for ax in (paths, basins):
        (stars,) = (line for line in ax.lines if line.get_marker() == "*")
        np.testing.assert_array_equal(np.transpose(stars.get_data()), result.minima)
        assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_xlim(), ax.get_ylim()) == ("x", "y", (-6, 6), (-6, 6))


def test_titles_are_true(lesson, result, tmp_path):
    _, paths, basins = figure_of(lesson, result).axes
    assert paths.get_title().startswith("Each start reaches")
    points = np.stack(np.meshgrid(lesson.SIDE, lesson.SIDE), axis=-1)
    nearest = np.argmin([np.hypot(*(points - minimum).transpose(2, 0, 1)) for minimum in result.minima], axis=0)
    assert basins.get_title().startswith(f"{np.mean(nearest != result.basins):.0%} of the points do not")

    wild = lesson.main(learning_rate=0.02, figures=tmp_path)
    assert figure_of(lesson, wild).axes[1].get_title().startswith("Not every start reaches")


def test_a_wrong_gradient_is_an_error_and_nothing_descends_or_is_drawn(lesson, monkeypatch, tmp_path):
    right = lesson.gradients_by_hand
    monkeypatch.setattr(lesson, "gradients_by_hand", lambda p: {"points": 1.001 * right(p)["points"]})
    monkeypatch.setattr(lesson, "descend", None)
    with pytest.raises(GradientError, match="dL_dpoints"):
        lesson.main(figures=tmp_path)
    assert not list(tmp_path.iterdir())


def test_results_are_printed_before_the_figure_is_saved(default_run):
    lines = default_run("05_himmelblau")[1].splitlines()
    assert lines[-1].startswith("figure: ")


def test_surface_and_contours_are_those_of_f(lesson, result):
    surface, paths, _ = figure_of(lesson, result).axes
    assert surface.get_title() == "f has four valleys,\nall of them down to 0"
    assert len(result.minima) == 4
    assert surface.get_xlim()[0] < surface.get_xlim()[1]
    (contours,) = (drawn for drawn in paths.collections if hasattr(drawn, "levels"))
    checked = 0
    for level, path in zip(contours.levels, contours.get_paths(), strict=True):
        if level > 10:
            np.testing.assert_allclose(lesson.f(path.vertices), level, rtol=0.05)
            checked += len(path.vertices)
    assert checked > 1000
    ax = MagicMock()
    lesson.plot_surface(lesson.f(lesson.SQUARE), ax)
    x, y, z = ax.plot_surface.call_args.args
    np.testing.assert_allclose(z, (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2, rtol=1e-4, atol=1e-3)


def test_each_path_begins_in_a_circle_and_ends_at_a_star(lesson, result):
    _, paths, _ = figure_of(lesson, result).axes
    circles = [tuple(line.get_xydata()[0]) for line in paths.lines if line.get_marker() == "o"]
    assert circles == list(result.paths)
