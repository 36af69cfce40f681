import os
import subprocess
import sys

from tf_backprop.support import lessons, runner
from tf_backprop.support.errors import LessonError, UsageError

import pytest

GOOD = '''"""
A title
=======

A question?

What you should see: something.

Re-runs D1.
"""
from pathlib import Path
from typing import NamedTuple
from tf_backprop import report
class Result(NamedTuple):
    comparison: list
    figure: Path
def main(data="auto", seed=0):
    print("data: from", data)
    return Result([report.Row("first", 0.0), report.Row("answer", 1.5, 1.25)], Path("figures") / "picture.png")
'''

BROKEN = "SyntaxError: invalid syntax (03_broken.py, line 20)"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "01_good.py").write_text(GOOD)
    (tmp_path / "02_raises.py").write_text(
        GOOD.replace("    print(", "    raise ValueError('two\\nlines')\n    print(")
    )
    (tmp_path / "03_broken.py").write_text(GOOD + "1 +\n")
    (tmp_path / "04_good.py").write_text(GOOD)
    (tmp_path / "not_a_lesson.py").write_text("raise SystemExit")
    return tmp_path


def python_m(*arguments, **environment):
    command = [sys.executable, "-m", "tf_backprop", *arguments]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, timeout=300)


def test_a_lesson_is_what_its_file_says(folder):
    found = lessons.find(folder)
    assert [lesson.name for lesson in found] == ["01_good", "02_raises", "03_broken", "04_good"]
    assert found[0][2:] == ("A title", "A question?")


@pytest.mark.parametrize("names", [["04", "1"], ["4", "01_good"], ["scripts/04_good.py", "01", "1"]])
def test_select_by_number_and_name(names, folder):
    assert [lesson.name for lesson in lessons.select(names, folder)] == ["04_good", "01_good"]


def test_select_names_what_there_is():
    for wrong in ("99", "", "regression?"):
        with pytest.raises(UsageError, match=r"there is no lesson .*01_regression"):
            lessons.select([wrong])
    assert lessons.select([]) == lessons.find()


def test_a_failure_stops_only_itself(folder, capsys):
    outcomes = list(runner.run(lessons.find(folder), {"data": "digits", "figures": "unknown to these"}))
    assert [outcome.error for outcome in outcomes] == [None, "ValueError: two", BROKEN, None]
    assert outcomes[0].notes == ["data: from digits"]
    out = [line for line in capsys.readouterr().out.splitlines() if line]  # rich before 14 leaves an empty one
    assert len(out) == 4
    assert "answer: learned 1.5, expected 1.25; figures" in out[0]
    assert "FAILED: ValueError: two" in out[1]
    table = runner.summary(outcomes).splitlines()
    assert table[2].split()[-4:] == ["failed", "-", "-", "-"]


def test_a_value_of_zero_is_shown(folder):
    outcome = runner.run_lesson(lessons.find(folder)[0], {})
    shown = outcome._replace(comparison=[outcome.comparison[-1]._replace(learned=0.0)])
    assert "learned 0, expected 1.25" in shown.line()


def test_list_prints_every_question_and_runs_nothing(tmp_path):
    process = python_m("--list", "--figures", str(tmp_path / "none"))
    assert (process.returncode, process.stderr) == (0, "")
    for lesson in lessons.find():
        assert lesson.name in process.stdout
        assert lesson.question in process.stdout
    assert not (tmp_path / "none").exists()


def test_the_command_fails_if_a_lesson_does(folder, monkeypatch, capsys):
    monkeypatch.setattr(lessons, "select", lambda names: lessons.find(folder))
    with pytest.raises(LessonError, match="2 failed: 02_raises, 03_broken"):
        runner.run_lessons(data="digits")
    assert "2 of 4 lessons ran well" in capsys.readouterr().out.splitlines()[-1]


@pytest.mark.slow
def test_the_others_still_run_and_the_status_is_1(tmp_path):
    process = python_m("10", "01", "--mnist-dir", str(tmp_path / "nowhere"), "--figures", str(tmp_path))
    assert process.returncode == 1
    assert process.stderr == "error: 1 failed: 10_mnist_softmax_gradient_tape\n"
    lines = process.stdout.splitlines()
    assert "FAILED" in lines[0]
    assert "No such file or directory" in lines[0]
    assert lines[1].startswith("01_regression")
    assert (tmp_path / "01_regression.png").exists()
    assert "1 of 2 lessons ran well" in lines[-1]


def test_unknown_lesson_is_a_usage_error():
    process = python_m("77")
    assert (process.returncode, process.stdout) == (2, "")
    assert process.stderr.startswith("error: there is no lesson 77: they are 01_regression")
