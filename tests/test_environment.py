"""Lessons as they are started in places that are not a developer's terminal, and stopped at any moment."""

import os
import signal
import subprocess
import sys
import time

from tf_backprop import lessons

import pytest

FIRST = lessons.SCRIPTS / "01_regression.py"


started = []


@pytest.fixture(autouse=True)
def _nothing_left_running():
    yield
    while started:
        started.pop().kill()


def start(script=FIRST, *arguments, prefix=(), cwd, **environment):
    """Start a lesson with a clean environment and return the process; None removes a variable."""
    variables = {k: v for k, v in os.environ.items() if not k.startswith("TF_")} | environment
    process = subprocess.Popen(
        [*prefix, sys.executable, str(script), "--figures", str(cwd / "figures"), *arguments],
        cwd=cwd,
        env={k: v for k, v in variables.items() if v is not None},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
        preexec_fn=hear_ctrl_c,
    )
    started.append(process)
    return process


def hear_ctrl_c():
    """Undo what a shell does to a command that it starts in the background, and its children inherit."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def finish(process, timeout=120):
    out, err = process.communicate(timeout=timeout)
    return process.returncode, out, err


HOSTILE = {
    "no HOME, no DISPLAY, oneDNN on": {"HOME": None, "DISPLAY": None, "TF_ENABLE_ONEDNN_OPTS": "1"},
    "HOME that is none, narrow terminal": {"HOME": "/nonexistent", "COLUMNS": "40", "TERM": "dumb"},
    "optimized Python in ASCII": {"PYTHONOPTIMIZE": "1", "PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONIOENCODING": ""},
}


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    folder = tmp_path_factory.mktemp("usual")
    status, out, err = finish(start(cwd=folder))
    assert (status, err) == (0, "")
    return out


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_environments(kind, usual, tmp_path):
    status, out, err = finish(start(cwd=tmp_path, **HOSTILE[kind]))
    assert (status, err) == (0, "")
    assert out.encode("ascii", "replace") == usual.encode("ascii", "replace")
    assert (tmp_path / "figures" / "01_regression.png").stat().st_size > 10_000


def test_another_backend_of_keras_in_the_environment(tmp_path):
    script = lessons.SCRIPTS / "09_mnist_softmax_optimizer.py"
    arguments = ("--data", "digits", "--epochs", "1")
    status, _, err = finish(start(script, *arguments, cwd=tmp_path, KERAS_BACKEND="torch", TF_ENABLE_ONEDNN_OPTS="0"))
    assert (status, err) == (0, "")


def test_one_core_and_a_link_to_the_script(usual, tmp_path):
    link = tmp_path / "ein Link.py"
    link.symlink_to(FIRST)
    assert finish(start(link, cwd=tmp_path, prefix=["taskset", "-c", "0"])) == (0, usual, "")


def test_home_that_cannot_be_written(usual, permissions_apply, tmp_path):
    home = tmp_path / "home"
    home.mkdir(mode=0o555)
    process = start(cwd=tmp_path, prefix=permissions_apply, HOME=str(home), XDG_CACHE_HOME=None, MPLCONFIGDIR=None)
    assert finish(process) == (0, usual, "")


def test_two_runs_at_once_into_one_folder(usual, tmp_path):
    both = [start(cwd=tmp_path) for _ in range(2)]
    assert [finish(process) for process in both] == [(0, usual, "")] * 2
    assert [path.name for path in (tmp_path / "figures").iterdir()] == ["01_regression.png"]


def test_output_to_a_file_and_to_a_reader_that_goes(usual, tmp_path):
    command = f"{sys.executable} {FIRST} --figures {tmp_path}"
    subprocess.run(f"{command} > {tmp_path}/out.txt", shell=True, check=True, timeout=120)
    assert "figure: " in (tmp_path / "out.txt").read_text(encoding="utf-8")
    piped = subprocess.run(f"{command} | head -n 1", shell=True, capture_output=True, text=True, timeout=120)
    assert (len(piped.stdout.splitlines()), piped.stderr) == (1, "")
    assert piped.stdout.startswith("gradient")


def interrupted(process, figures):
    process.send_signal(signal.SIGINT)
    started = time.monotonic()
    status, _, err = finish(process, timeout=30)
    assert time.monotonic() - started < 10
    assert (status, err) == (130, "error: interrupted\n")
    assert not figures.exists() or not [path for path in figures.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("seconds", [0.6, 1.5, 3.0])
def test_ctrl_c_while_tensorflow_is_being_imported(seconds, tmp_path):
    process = start(cwd=tmp_path)
    time.sleep(seconds)
    interrupted(process, tmp_path / "figures")


@pytest.mark.parametrize(
    ("script", "arguments"),
    [
        ("01_regression", ["--steps", "9000000"]),  # one call that does not return to Python for minutes
        ("12_moons_mlp", ["--epochs", "100000"]),  # many short ones
    ],
)
def test_ctrl_c_while_training_keeps_the_earlier_figure(script, arguments, tmp_path):
    figures = tmp_path / "figures"
    figures.mkdir()
    earlier = figures / f"{script}.png"
    earlier.write_bytes(b"earlier")
    process = start(lessons.SCRIPTS / f"{script}.py", *arguments, cwd=tmp_path)
    while not process.stdout.readline().startswith("dL_d"):  # the gradient check comes before the training
        assert process.poll() is None
    time.sleep(3)
    interrupted(process, figures)
    assert earlier.read_bytes() == b"earlier"


def test_ctrl_c_while_drawing(tmp_path):
    process = start(lessons.SCRIPTS / "06_loss_functions.py", cwd=tmp_path)
    figures = tmp_path / "figures"
    while not (figures.exists() and list(figures.iterdir())):  # the file beside the figure that is being written
        assert process.poll() is None
        time.sleep(0.005)
    interrupted(process, figures)
    assert not list(figures.iterdir())
