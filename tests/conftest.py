"""Fixtures: the lesson that a test file is named after, and a folder for its figures."""

import os
import shutil
import subprocess
import sys

from tf_backprop import cli, lessons  # noqa: F401 - cli keeps TensorFlow's start-up lines quiet

import matplotlib
import pytest

matplotlib.use("Agg")


#: Files that take longest, to be started first: or one process would end long after the others.
LONGEST = ("test_determinism", "test_lessons", "test_arguments", "test_13_wrong_gradients", "test_environment")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: (*LONGEST, item.path.stem).index(item.path.stem))
    if not os.environ.get("MNIST_DIR"):
        skip = pytest.mark.skip(reason="needs the real MNIST: set MNIST_DIR")
        for item in items:
            if "mnist" in item.keywords:
                item.add_marker(skip)


@pytest.fixture(autouse=True)
def _close_figures():
    from matplotlib import pyplot

    yield
    pyplot.close("all")


@pytest.fixture(scope="session")
def load():
    """Return a function that imports a lesson by name, once."""
    modules = {}

    def load_once(name):
        if name not in modules:
            modules[name] = lessons.load(lessons.SCRIPTS / f"{name}.py")
        return modules[name]

    return load_once


@pytest.fixture(scope="module")
def lesson(request, load):
    """Return the lesson that the test file is named after: test_01_regression.py -> 01_regression."""
    return load(request.path.stem.removeprefix("test_"))


@pytest.fixture(scope="session")
def permissions_apply():
    """Return what to put before a command so that file permissions apply to it, as they do not to root."""
    if os.geteuid() != 0:
        return []
    if not shutil.which("setpriv"):
        pytest.skip("permissions do not apply to root, and there is no setpriv to make them")
    without = "-dac_override,-dac_read_search"
    return ["setpriv", f"--bounding-set={without}", f"--inh-caps={without}"]


@pytest.fixture
def run_script(tmp_path):
    """Return a function that runs a lesson as people do, in an empty folder, and returns the finished process."""

    def run(name, *arguments, **environment):
        folder = tmp_path / "elsewhere"
        folder.mkdir(exist_ok=True)
        command = [
            sys.executable,
            str(lessons.SCRIPTS / f"{name}.py"),
            "--figures",
            str(tmp_path / "figures"),
            *arguments,
        ]
        variables = {k: v for k, v in os.environ.items() if not k.startswith("TF_")} | environment
        return subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, timeout=300)

    return run
