"""Lessons as they are started in places that are not a developer's terminal, and stopped at any moment."""

import os
import shutil
import signal
import subprocess
import sys
import time
import venv
from pathlib import Path

from forks import clean, hear_signals
from tf_backprop.support import lessons

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
        preexec_fn=hear_signals,
    )
    started.append(process)
    return process


def finish(process, timeout=120):
    out, err = process.communicate(timeout=timeout)
    return process.returncode, out, err


HOSTILE = {
    "one core, a link, HOME that is none, narrow terminal, oneDNN on, another tool's backend": {
        "HOME": "/nonexistent",
        "COLUMNS": "40",
        "TERM": "dumb",
        "TF_ENABLE_ONEDNN_OPTS": "1",
        "MPLBACKEND": "that of another tool",
    },
    "no HOME, no DISPLAY, optimized Python in ASCII": {
        "HOME": None,
        "DISPLAY": None,
        "PYTHONOPTIMIZE": "1",
        "PYTHONUTF8": "0",
        "LC_ALL": "C",
        "PYTHONIOENCODING": "",
    },
}


@pytest.fixture(scope="module")
def two_at_once(tmp_path_factory):
    """Return what two runs at once gave, and the folder into which both have drawn."""
    folder = tmp_path_factory.mktemp("usual")
    both = [start(cwd=folder) for _ in range(2)]
    return [finish(process) for process in both], folder / "figures"


@pytest.fixture(scope="module")
def usual(two_at_once):
    return two_at_once[0][0][1]


@pytest.mark.slow
def test_two_runs_at_once_into_one_folder(two_at_once, usual):
    both, figures = two_at_once
    assert both == [(0, usual, "")] * 2
    assert [path.name for path in figures.iterdir()] == ["01_regression.png"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_environments(kind, usual, tmp_path):
    script, prefix = FIRST, ()
    if "one core, a link" in kind:
        script, prefix = tmp_path / "ein Link.py", ["taskset", "-c", "0"]
        script.symlink_to(FIRST)
    status, out, err = finish(start(script, cwd=tmp_path, prefix=prefix, **HOSTILE[kind]))
    assert (status, err) == (0, "")
    assert out.encode("ascii", "replace") == usual.encode("ascii", "replace")
    assert (tmp_path / "figures" / "01_regression.png").stat().st_size > 10_000


@pytest.mark.slow
def test_another_backend_of_keras_in_the_environment(tmp_path):
    script = lessons.SCRIPTS / "09_mnist_softmax_optimizer.py"
    arguments = ("--data", "digits", "--epochs", "1")
    status, _, err = finish(start(script, *arguments, cwd=tmp_path, KERAS_BACKEND="torch", TF_ENABLE_ONEDNN_OPTS="0"))
    assert (status, err) == (0, "")


@pytest.mark.slow
def test_home_that_cannot_be_written(usual, permissions_apply, tmp_path):
    home = tmp_path / "home"
    home.mkdir(mode=0o555)
    process = start(cwd=tmp_path, prefix=permissions_apply, HOME=str(home), XDG_CACHE_HOME=None, MPLCONFIGDIR=None)
    assert finish(process) == (0, usual, "")


@pytest.mark.slow
def test_output_to_a_reader_that_goes(tmp_path):
    command = f"{sys.executable} {FIRST} --figures {tmp_path}"
    piped = subprocess.run(f"{command} | head -n 1", shell=True, capture_output=True, text=True, timeout=120)
    assert (len(piped.stdout.splitlines()), piped.stderr) == (1, "")
    assert piped.stdout.startswith("gradient")


def until(condition, process):
    """Wait until something is seen, and fail if the process ends before."""
    end = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.002)


def interrupt(process, figures):
    process.send_signal(signal.SIGINT)
    started = time.monotonic()
    status, _, err = finish(process, timeout=30)
    assert time.monotonic() - started < 10
    assert (status, err) == (130, "error: interrupted\n")
    assert not figures.exists() or not [path for path in figures.iterdir() if path.name.startswith(".")]


def stderr_is_aside(pid):
    return os.readlink(f"/proc/{pid}/fd/2").endswith(" (deleted)")


def tensorflow_is_loaded(pid):
    return "libtensorflow_cc" in Path(f"/proc/{pid}/maps").read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="what is seen of the import is seen in /proc")
@pytest.mark.parametrize("seen", [stderr_is_aside, pytest.param(tensorflow_is_loaded, marks=pytest.mark.slow)])
def test_ctrl_c_while_tensorflow_is_being_imported(seen, tmp_path):
    process = start(cwd=tmp_path)
    until(lambda: seen(process.pid), process)
    interrupt(process, tmp_path / "figures")


@pytest.mark.parametrize(
    ("script", "arguments", "line"),
    [
        ("01_regression", ["--steps", "9000000"], "dL_dA"),  # the gradient check comes before the training
        pytest.param("05_himmelblau", ["--steps", "9000000"], "dL_dpoints", marks=pytest.mark.slow),
        pytest.param("07_two_layer_network", ["--steps", "9000000"], "w1 starts", marks=pytest.mark.slow),
        pytest.param("08_mnist_softmax", ["--steps", "1000000", "--data=digits"], "dL_db", marks=pytest.mark.slow),
        pytest.param(
            "11_mnist_softmax_hand_derived", ["--epochs=100000", "--data=digits"], "dL_db", marks=pytest.mark.slow
        ),
        pytest.param("12_moons_mlp", ["--epochs", "100000"], "epoch", marks=pytest.mark.slow),
        pytest.param("13_wrong_gradients", ["--steps", "300000", "--data=digits"], "data:", marks=pytest.mark.slow),
    ],
)
def test_ctrl_c_while_training_keeps_the_earlier_figure(script, arguments, line, scripts, tmp_path):
    figures = tmp_path / "figures"
    figures.mkdir()
    earlier = figures / f"{script}.png"
    earlier.write_bytes(b"earlier")
    arguments = [lessons.SCRIPTS / f"{script}.py", "--figures", figures, *arguments]
    process = scripts.start(*arguments, cwd=tmp_path, environment=clean())
    started.append(process)
    until(lambda: process.stdout.readline().startswith(line), process)
    interrupt(process, figures)
    assert earlier.read_bytes() == b"earlier"
    assert list(figures.iterdir()) == [earlier]


@pytest.mark.slow
def test_ctrl_c_while_drawing(tmp_path):
    process = start(lessons.SCRIPTS / "06_loss_functions.py", cwd=tmp_path)
    figures = tmp_path / "figures"
    until(lambda: figures.exists() and list(figures.iterdir()), process)  # the file that is being written
    interrupt(process, figures)
    assert not list(figures.iterdir())


@pytest.mark.slow
def test_ctrl_c_between_the_imports_and_the_run(tmp_path):
    shutil.copy(lessons.SCRIPTS / "tf_backprop.py", tmp_path)
    script = tmp_path / "lesson.py"
    script.write_text("from tf_backprop import command, report\nimport time\nprint('here', flush=True)\ntime.sleep(60)")
    process = start(script, cwd=tmp_path)
    until(lambda: process.stdout.readline() == "here\n", process)
    interrupt(process, tmp_path / "figures")


STARTS = {
    "a lesson": ["scripts/01_regression.py", "--steps", "3"],
    "all lessons": ["-m", "tf_backprop"],
    "all, from the lessons' folder": ["-m", "tf_backprop"],
}


@pytest.mark.parametrize("kind", STARTS)
def test_a_python_without_the_packages_says_in_one_line_which_one_to_use(kind, tmp_path):
    """As the system's own after `make demo`, before it, and one that a broken installation has left half made."""
    for name in ("scripts", "tf_backprop"):
        shutil.copytree(lessons.SCRIPTS.parent / name, tmp_path / name)
    (tmp_path / "pyproject.toml").touch()
    venv.create(tmp_path / "other", with_pip=False)
    venv.create(tmp_path / "made" / ".venv", with_pip=False)
    folder = tmp_path / "scripts" if "folder" in kind else tmp_path

    def said(python):
        command, environment = [python, *STARTS[kind]], clean()
        environment.pop("PYTHONPATH", None)
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
        return done.stderr

    other = tmp_path / "other" / "bin" / "python"
    assert said(other) == (f"error: {other} has no numpy: run make demo, or {other} -m pip install -e {tmp_path}\n")
    (tmp_path / "made" / ".venv").rename(tmp_path / ".venv")
    own = tmp_path / ".venv" / "bin" / "python"
    shown = own if "folder" in kind else ".venv/bin/python"
    assert said(other) == f"error: {other} has no numpy: use {shown} {' '.join(STARTS[kind])}\n"
    assert said(own).startswith(f"error: {own} has no numpy: run make demo, or {own} -m pip")


def test_a_lesson_runs_with_the_package_beside_it_where_none_is_installed(tmp_path):
    """And with the one that is installed, or named by PYTHONPATH, where there is one."""
    code = "import sys; sys.path.insert(0, {!r}); import tf_backprop; print(tf_backprop.__file__, *sys.path)"
    for where, package in (("beside", tmp_path), ("installed", lessons.SCRIPTS.parent)):
        for name in ("scripts", "tf_backprop"):
            shutil.copytree(lessons.SCRIPTS.parent / name, tmp_path / name, dirs_exist_ok=True)
        command = [sys.executable, *(["-S"] if where == "beside" else []), "-c", code.format(str(tmp_path / "scripts"))]
        environment = clean(PYTHONPATH="" if where == "beside" else str(lessons.SCRIPTS.parent))
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, cwd="/")
        assert (done.returncode, done.stderr) == (0, "")
        file, *path = done.stdout.split()
        assert file == str(package / "tf_backprop" / "__init__.py")
        assert str(tmp_path / "scripts") not in path


@pytest.mark.parametrize(
    ("version", "error", "said"),
    [
        ((3, 11, 2), ModuleNotFoundError("no", name="sklearn"), "{} has no sklearn: run make demo, or "),
        ((3, 14, 0), ModuleNotFoundError("no", name="numpy"), "{} is Python 3"),
        ((3, 9, 6), TypeError("unsupported operand"), "{} is Python 3"),
        ((3, 11, 2), FileNotFoundError("No usable temporary directory found"), "No usable temporary directory found; "),
        ((3, 11, 2), ImportError("Cannot load backend 'TkAgg'"), "Cannot load backend 'TkAgg'; without --show"),
        ((3, 11, 2), TypeError("unsupported operand"), ""),
        ((3, 11, 2), ModuleNotFoundError("no", name="tensorflow.python"), ""),
    ],
)
def test_what_a_python_lacks_is_told_from_other_errors(version, error, said, monkeypatch, tmp_path):
    shim = lessons.load(lessons.SCRIPTS / "tf_backprop.py")
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.setattr(sys, "version_info", version)
    monkeypatch.setattr(shim, "ROOT", tmp_path)
    assert shim.lack(error).startswith(said.format(sys.executable))
    assert bool(shim.lack(error)) == bool(said)
    (tmp_path / "pyproject.toml").unlink()  # installed: there is no checkout
    assert "make demo, or" not in shim.lack(error)


@pytest.mark.slow
def test_a_window_without_a_screen_is_one_line_after_the_results(tmp_path):
    environment = {"MPLBACKEND": "TkAgg", "DISPLAY": None, "WAYLAND_DISPLAY": None}
    status, out, err = finish(start(FIRST, "--show", cwd=tmp_path, **environment))
    assert (status, err.count("\n")) == (1, 1)
    assert err.startswith("error: Cannot load backend 'TkAgg'")
    assert "A at step 100" in out


@pytest.mark.slow
def test_files_of_the_reader_are_not_taken_for_pythons_own(tmp_path):
    for name in ("scripts", "tf_backprop"):
        shutil.copytree(lessons.SCRIPTS.parent / name, tmp_path / name)
    environment = clean()
    environment.pop("PYTHONPATH", None)
    (tmp_path / "random.py").write_text("raise OSError('mine')")
    command = [sys.executable, "-m", "tf_backprop", "--list"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    (tmp_path / "random.py").rename(tmp_path / "scripts" / "random.py")
    command = [sys.executable, "scripts/01_regression.py", "--help"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
def test_a_containers_user_without_a_name_and_a_home_leaves_no_folder(tmp_path):
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("only root may become a user without a name")
    tmp_path.chmod(0o777)
    reading = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    user = ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups", *reading]
    code = "from tf_backprop import command; import tensorflow as tf; tf.keras.optimizers.SGD(0.1)"
    environment = clean(PYTHONPATH=str(lessons.SCRIPTS.parent))
    environment.pop("HOME", None)
    command = [*user, sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert not list(tmp_path.iterdir())
