"""The command line of every lesson, through real processes where the process is what matters."""

import sys
import types
from pathlib import Path
from typing import Literal

from tf_backprop import command
from tf_backprop.support.errors import UsageError

import pytest


def lesson(steps: int = 3, learning_rate: float = 0.1, seed: int = 0):
    """Do something.

    Args:
        steps: how often
    """
    command.check(seed, steps=steps, learning_rate=learning_rate)
    if steps == 7:
        raise KeyboardInterrupt
    if steps == 8:
        raise PermissionError(13, "Permission denied", "figures")
    return steps, learning_rate


@pytest.mark.parametrize(
    ("args", "status", "line"),
    [
        (["--steps", "0"], 2, "error: --steps must be a whole number from 1 to 10,000,000, not 0"),
        (["--steps", "1000000000"], 2, "error: --steps must be a whole number from 1 to 10,000,000, not 1000000000"),
        (["--learning-rate", "nan"], 2, "error: --learning-rate must be a positive number below 3.4e+38, not nan"),
        (["--learning-rate", "inf"], 2, "error: --learning-rate must be a positive number below 3.4e+38, not inf"),
        (["--learning-rate", "-1"], 2, "error: --learning-rate must be a positive number below 3.4e+38, not -1.0"),
        (["--learning-rate", "1e39"], 2, "error: --learning-rate must be a positive number below 3.4e+38, not 1e+39"),
        (["--seed", "-1"], 2, "error: --seed must be a whole number from 0, not -1"),
        (
            ["--steps", "many"],
            2,
            "error: argument --steps: invalid int value: 'many' (see --help)",
        ),
        (["--bogus"], 2, "error: unrecognized arguments: --bogus (see --help)"),
        (["--steps", "7"], 130, "error: interrupted"),
        (["--steps", "8"], 1, "error: figures: Permission denied"),
    ],
)
def test_what_is_wrong_is_one_line_and_a_status(args, status, line, capsys):
    with pytest.raises(SystemExit) as stop:
        command.run(lesson, args, exits=True)
    assert stop.value.code == status
    captured = capsys.readouterr()
    assert captured.err == line + "\n"
    assert captured.out == ""


def test_a_good_run_returns_the_result():
    assert command.run(lesson, ["--steps", "5"]) == (5, 0.1)


def test_help_tells_every_argument(capsys):
    with pytest.raises(SystemExit) as stop:
        command.run(lesson, ["--help"], exits=True)
    assert not stop.value.code
    said = capsys.readouterr().out
    for text in ("how often", "of the random numbers", "(default: 0.1)"):
        assert text in said


def test_errors_of_a_lesson_leave_no_traceback(run_script):
    process = run_script("01_regression", "--learning-rate", "1.5")
    assert process.returncode == 1
    assert len(process.stderr.splitlines()) == 1
    assert process.stderr.startswith("error: the loss is not a finite number at step ")
    process = run_script("01_regression", "--steps", "0")
    assert (process.returncode, process.stdout) == (2, "")


@pytest.mark.parametrize("main_is_a_file", [True, False])
def test_an_error_ends_the_process_only_where_the_main_program_is_a_file(main_is_a_file, monkeypatch):
    notebook = types.ModuleType("__main__")
    if main_is_a_file:
        notebook.__file__ = "lesson.py"
    monkeypatch.setitem(sys.modules, "__main__", notebook)
    with pytest.raises(SystemExit if main_is_a_file else UsageError):
        command.run(lesson, ["--steps", "0"])
    with pytest.raises(SystemExit if main_is_a_file else KeyboardInterrupt):
        command.run(lesson, ["--steps", "7"])
    with pytest.raises(UsageError):
        command.run(lesson, ["--steps", "0"], exits=False)


@pytest.mark.parametrize("launcher", ["ipykernel_launcher.py", "colab_kernel_launcher.py"])
def test_a_notebook_takes_no_options_from_its_kernel_and_raises_what_is_wrong(launcher, monkeypatch):
    window = types.ModuleType("__main__")
    window.__file__ = "01_regression.py"  # as in VS Code's interactive window
    monkeypatch.setitem(sys.modules, "__main__", window)
    monkeypatch.setitem(sys.modules, "ipykernel", types.ModuleType("ipykernel"))
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "kernel", "-f", "kernel.json"])
    monkeypatch.setattr(sys, "argv", [launcher, "-f", "kernel.json"])
    assert command.run(lesson) == (3, 0.1)
    monkeypatch.setattr(sys, "argv", ["01_regression.py", "--steps", "5"])  # as %run has it
    assert command.run(lesson) == (5, 0.1)
    monkeypatch.setattr(sys, "argv", ["01_regression.py", "--steps", "0"])
    with pytest.raises(UsageError):
        command.run(lesson)


def everything(
    *words: str,
    number: int | None = None,
    pair: tuple[float, float] | None = None,
    kind: Literal["a", "b"] = "a",
    flag: bool = True,
    folder: Path | None = None,
):
    return words, number, pair, kind, flag, folder


@pytest.mark.parametrize(
    ("args", "result"),
    [
        ([], ((), None, None, "a", True, None)),
        (["x", "y", "--number=3"], (("x", "y"), 3, None, "a", True, None)),
        (["--pair", "-1", "2.5", "--kind", "b"], ((), None, (-1.0, 2.5), "b", True, None)),
        (["--no-flag", "--folder", "a b"], ((), None, None, "a", False, Path("a b"))),
    ],
)
def test_a_signature_is_a_command_line(args, result):
    assert command.run(everything, args) == result


@pytest.mark.parametrize(
    "wrong", [["--pair", "1"], ["--kind", "c"], ["--number", "1.5"], ["--num", "1"], ["--flag=no"]]
)
def test_what_a_signature_does_not_take(wrong):
    with pytest.raises(UsageError, match=wrong[0].partition("=")[0]):
        command.run(everything, wrong, exits=False)
