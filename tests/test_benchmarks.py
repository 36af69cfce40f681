"""Every way of training reaches the lesson's answer, and the page, the figure and the README say what was measured."""

import subprocess
import sys

from benchmarks import __main__ as bench
from benchmarks import results, tasks, timing
from benchmarks.by_tensorflow import moons_task
from tf_backprop import lessons, readme

import numpy as np
import pytest


@pytest.fixture(scope="module")
def workers():
    with timing.Workers() as running:
        yield running


def once(ways):
    """Return the ways with nothing extrapolated, for the small work of a test."""
    return {name: way._replace(short=None) for name, way in ways.items()}


@pytest.mark.parametrize("work", ["softmax", "moons"])
def test_every_way_ends_at_the_lesson_s_cost(work, workers):
    if work == "softmax":
        ways, task = bench.SOFTMAX, tasks.Softmax(None, rows=600, pixels=20, batch_size=50, learning_rate=0.5)
    else:
        ways, whole = bench.MOONS, moons_task()
        task = whole._replace(X=whole.X[:20], Y=whole.Y[:20], learning_rate=0.5)
    timed = timing.side_by_side(workers, once(ways), task, 2, 1, tolerance=1e-5, say=False)
    assert [way.way for way in timed] == list(ways)
    for way in timed:
        assert way.total or "not installed" in way.note
        assert all(seconds > 0 for seconds in way.total)
    assert sum(bool(way.total) for way in timed) >= len(ways) - 2  # without PyTorch and JAX


@pytest.mark.parametrize("number", bench.SMALL)
def test_a_document_s_way_ends_where_the_lesson_does(number, workers):
    ours, theirs = (workers.run("by_tensorflow", f"small_{which}", number, 1)[1] for which in ("lesson", "document"))
    assert theirs == pytest.approx(ours, abs=1e-4)


def test_other_work_is_not_timed(workers):
    ways = {"lesson 11": bench.SOFTMAX["lesson 11"], "NumPy": bench.SOFTMAX["NumPy"]}
    with pytest.raises(AssertionError, match="NumPy ends at the cost"):
        timing.side_by_side(workers, ways, tasks.Softmax(None, 600, 20, 50), 2, 1, tolerance=0.0, say=False)


def test_what_is_paid_once_is_told_from_a_pass(monkeypatch):
    class Slow:
        def run(self, module, function, task, passes, *arguments):
            return 3.0 + 0.5 * passes, 1.0

    way = timing.Way("module", "function")
    whole, part = timing.side_by_side(Slow(), {"a": way, "b": way._replace(short=(1, 3))}, None, 10, 2, say=False)
    assert (whole.total, whole.once, whole.a_pass) == ([8.0, 8.0], 3.0, 0.5)
    assert (part.total, part.once, part.a_pass, part.extrapolated_from) == ([8.0, 8.0], 3.0, 0.5, 3)


def test_the_slope_of_a_power_law():
    x = [1.0, 10.0, 100.0, 1000.0]
    assert results.slope(x, [7 * value**0.8 for value in x]) == pytest.approx(0.8)


def cells(tables):
    """Return the words of tables, without their rulers, whose lengths depend on the version of tabulate."""
    return [word for word in tables.split() if set(word) - set("=-|:")]


def test_page_and_readme_say_what_was_measured():
    measured = results.read()
    page = results.ROOT / "docs" / "speed_tables.txt"
    assert cells(page.read_text(encoding="utf-8")) == cells(results.tables(measured, "rst"))
    said = readme.blocks(readme.README.read_text(encoding="utf-8"))["speed"]
    assert cells(said) == cells(results.headlines(measured))
    assert (results.ROOT / "figures" / "speed.png").stat().st_size > 10_000
    prose = (results.ROOT / "docs" / "speed.rst").read_text(encoding="utf-8")
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith(".. begin "):
            assert line in prose, "a table that the page does not show"


def test_what_was_measured_is_whole():
    measured = results.read()
    assert [way["way"] for way in measured["softmax"]] == list(bench.SOFTMAX)
    assert [way["way"] for way in measured["moons"]] == list(bench.MOONS)
    assert len(measured["small"]) == 2 * len(bench.SMALL)
    names = [process["name"] for process in measured["processes"]]
    assert names[0] == "import tensorflow"
    assert set(names[1:]) <= {lesson.name for lesson in lessons.find()}
    assert len(names) >= 14
    for bar in results.bars(measured):
        assert np.isnan(bar.value) or bar.value > 0


def test_no_repetition_is_refused_in_one_line():
    command = [sys.executable, "-m", "benchmarks", "--repetitions", "0"]
    done = subprocess.run(command, cwd=results.ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: --repetitions must be a whole number from 1, not 0\n"
