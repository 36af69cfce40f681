"""Every way of training reaches the lesson's answer, and the page and the figure say what was measured."""

import contextlib

from benchmarks import __main__ as bench
from benchmarks import by_numpy, by_tensorflow, results, tasks, timing
from tf_backprop import plotting
from tf_backprop.support import lessons
from tf_backprop.support.errors import UsageError
from tools import readme

import numpy as np
import pytest

SOFTMAX = tasks.Softmax(None, rows=600, pixels=20, batch_size=50, learning_rate=0.5)


def moons():
    whole = by_tensorflow.moons_task()
    return whole._replace(X=whole.X[:20], Y=whole.Y[:20], learning_rate=0.5)


def test_numpy_ends_at_the_lesson_s_cost():
    ours, theirs = by_tensorflow.softmax_lesson(SOFTMAX, 2, "11"), by_numpy.softmax(SOFTMAX, 2)
    assert theirs == pytest.approx(ours, abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("work", ["softmax", "moons"])
def test_every_way_ends_at_the_lesson_s_cost(work):
    ways, task = (bench.SOFTMAX, SOFTMAX) if work == "softmax" else (bench.MOONS, moons())
    costs = {}
    for name, way in ways.items():
        with contextlib.suppress(timing.UnavailableError):
            costs[name] = timing.timed(way.module, way.function, (task, 2, *way.arguments))[1]
    assert len(costs) >= len(ways) - 2  # without PyTorch and JAX
    lesson = next(iter(costs.values()))
    assert costs == dict.fromkeys(costs, pytest.approx(lesson, abs=1e-5))


@pytest.mark.parametrize("number", ["01", "02", *(pytest.param(n, marks=pytest.mark.slow) for n in ("05", "07"))])
def test_a_document_s_way_ends_where_the_lesson_does(number):
    assert by_tensorflow.small_document(number, 1) == pytest.approx(by_tensorflow.small_lesson(number, 1), abs=1e-4)


def test_a_function_runs_in_a_process_of_its_module():
    with timing.Workers() as workers:
        seconds, cost = workers.run("by_numpy", "softmax", SOFTMAX, 2)
    assert seconds > 0
    assert cost == by_numpy.softmax(SOFTMAX, 2)


def test_a_check_costs_little_beside_its_loss_and_says_what_is_wrong():
    checked = by_numpy.check(SOFTMAX, repetitions=1)
    assert [one["gradient"] for one in checked] == [*by_numpy.CHECKED]
    assert [one["verdict"] for one in checked] == ["right", "50 times too large", "the rows are mixed"]
    assert all(one["check"] > one["loss"] > 0 for one in checked)
    written = [{"gradient": "right", "verdict": "right", "check": 0.004, "loss": 0.0001}]
    assert cells(results.check_table(written))[-5:] == ["right", "right", "4", "100", "40"]


def test_other_work_is_not_timed():
    class Workers:
        def run(self, module, *_):
            return 1.0, {"lesson": 0.5, "other": 0.502}[module]

    ways = {"the lesson": timing.Way("lesson", ""), "the other": timing.Way("other", "")}
    with pytest.raises(AssertionError, match=r"the other ends at the cost 0\.502, and the lesson at 0\.5"):
        timing.side_by_side(Workers(), ways, None, 2, 1, say=False)


def test_what_is_paid_once_is_told_from_a_pass():
    class Slow:
        def run(self, module, function, task, passes, *arguments):
            if module == "missing":
                raise timing.UnavailableError("it is not installed")
            return 3.0 + 0.5 * passes, 1.0

    way = timing.Way("module", "function")
    ways = {"a": way, "b": way._replace(short=(1, 3)), "c": way._replace(module="missing")}
    whole, part, none = timing.side_by_side(Slow(), ways, None, 10, 2, say=False)
    assert (none.total, none.note) == ([], "it is not installed")
    assert (whole.total, whole.once, whole.a_pass) == ([8.0, 8.0], 3.0, 0.5)
    assert (part.total, part.once, part.a_pass, part.extrapolated_from) == ([8.0, 8.0], 3.0, 0.5, 3)


def test_the_slope_of_a_power_law():
    x = [1.0, 10.0, 100.0, 1000.0]
    assert results.slope(x, [7 * value**0.8 for value in x]) == pytest.approx(0.8)


def cells(table):
    """Return the words of a table, without its rulers, whose lengths depend on the version of tabulate."""
    return [word for word in table.split() if set(word) - set("=-|:")]


def test_the_page_says_what_was_measured():
    written = readme.written()
    for name, table in results.tables(results.read(), "pipe").items():
        assert cells(written[name]) == cells(table), name
    assert (results.ROOT / "figures" / "speed.png").stat().st_size > 10_000


def test_what_was_measured_is_whole():
    measured = results.read()
    assert [way["way"] for way in measured["softmax"]] == list(bench.SOFTMAX)
    assert [way["way"] for way in measured["moons"]] == list(bench.MOONS)
    assert len(measured["small"]) == 2 * len(bench.SMALL)
    assert [checked["gradient"] for checked in measured["check"]] == [*by_numpy.CHECKED]
    names = [process["name"] for process in measured["processes"]]
    assert names[0] == "import tensorflow"
    assert set(names[1:]) <= {lesson.name for lesson in lessons.find()}
    assert len(names) >= 14
    for bar in results.bars(measured):
        assert np.isnan(bar.value) or bar.value > 0


@pytest.mark.parametrize(("times_as_long", "hold"), [(0.9, "01 02 05 07"), (1.2, "01 02 05"), (1.4, "")])
def test_the_bars_of_the_small_lessons(times_as_long, hold):
    measured = results.read()
    for way in measured["small"]:
        way["total"] = [times_as_long if way["way"].startswith("lesson") else 1.0]
    bars = [bar for bar in results.bars(measured) if bar.what.startswith("small: lesson ")]
    assert [bar.what.split()[2] for bar in bars] == list(bench.SMALL)
    assert [bar.what.split()[2] for bar in bars if bar.holds] == hold.split()


def test_no_repetition_is_refused():
    with pytest.raises(UsageError, match="--repetitions must be a whole number from 1, not 0"):
        bench.bench(repetitions=0)


def test_the_figure_shows_each_way_beside_the_lesson():
    measured = results.read()
    figure = results.plot(measured)
    softmax, moons, steps = figure.axes
    for ax, work, lesson in ((softmax, "softmax", "lesson 11"), (moons, "moons", "lesson 12")):
        ways = [way for way in measured[work] if way["total"]]
        assert [label.get_text().removesuffix(" *") for label in ax.get_yticklabels()] == [w["way"] for w in ways]
        assert ax.get_xscale() == "log"
        assert ax.get_xlabel() == f"time, as a ratio to {lesson}'s (* extrapolated)"
        dots = [line for line in ax.lines if line.get_marker() == "o"]
        marks = [line for line in ax.lines if line.get_marker() == "|"]
        for row, (way, dot, mark) in enumerate(zip(ways, dots, marks, strict=True)):
            total = results.ratio(measured, work, way["way"], lesson)
            assert (dot.get_xdata()[0], dot.get_ydata()[0]) == (pytest.approx(total), row)
            assert mark.get_xdata()[0] <= dot.get_xdata()[0]
            assert (dot.get_color() == plotting.COLOURS[0]) == way["way"].startswith("lesson")
        assert [float(text.get_text().replace(",", "")) for text in ax.texts] == [
            pytest.approx(dot.get_xdata()[0], rel=0.06) for dot in dots
        ]
    assert f"eager takes {results.ratio(measured, 'softmax', 'eager', 'lesson 11'):.0f} times" in softmax.get_title()
    assert f"NumPy takes {results.ratio(measured, 'moons', 'NumPy', 'lesson 12'):.0f} times" in moons.get_title()
    assert {line.get_label() for line in steps.lines} == {*measured["growth"]["steps"]}
    assert (steps.get_xscale(), steps.get_yscale(), steps.get_xlabel()) == ("log", "log", "steps")
    for line in steps.lines:
        curve = measured["growth"]["steps"][line.get_label()]
        assert (line.get_xdata().tolist(), line.get_ydata().tolist()) == (curve["x"], curve["y"])


def test_where_two_curves_cross():
    rising, flat = {"x": [1, 10, 100, 1000], "y": [0.1, 1, 10, 100]}, {"x": [10, 100, 1000], "y": [5.0, 5.0, 5.0]}
    assert results.crossing(rising, flat) == pytest.approx(50)
