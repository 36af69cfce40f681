"""Fixtures: the lesson that a test file is named after, its default run, and lessons run as scripts."""

import contextlib
import inspect
import io
import os
import shutil
import sys

from forks import Scripts, clean
from tf_backprop.support import lessons

import matplotlib
import pytest

matplotlib.use("Agg")
os.environ["TF_BACKPROP_LANG"] = "en"  # whatever the locale


def pytest_configure(config):
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", None):  # it runs tests itself
        from tf_backprop import command  # noqa: F401 - imports TensorFlow, quietly


#: Files that take longest, to be started first: or one process would end long after the others.
LONGEST = ("test_determinism", "test_14_processes", "test_benchmarks", "test_13_wrong_gradients", "test_environment")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.stem == "test_13_wrong_gradients" and "default_run" in item.fixturenames:  # it takes ten seconds
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: (*LONGEST, item.path.stem).index(item.path.stem))
    if not os.environ.get("MNIST_DIR"):
        skip = pytest.mark.skip(reason="needs the real MNIST: set MNIST_DIR")
        for item in items:
            if "mnist" in item.keywords:
                item.add_marker(skip)


@pytest.fixture(autouse=True)
def _leave_nothing():
    from matplotlib import pyplot

    yield
    pyplot.close("all")
    sys.modules.pop("ipykernel", None)  # where it is imported, a lesson takes its process for a notebook


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
    (found,) = lessons.select([request.path.stem.split("_")[1]])
    return load(found.name)


@pytest.fixture(scope="session")
def default_run(load, tmp_path_factory):
    """Return a function that runs a lesson with its defaults, on the digits, once: its result and what it printed."""
    runs = {}

    def run_once(name):
        if name not in runs:
            main = load(name).main
            options = {"data": "digits", "workers": 1, "figures": tmp_path_factory.mktemp("figures")}
            taken = {k: v for k, v in options.items() if k in inspect.signature(main).parameters}
            with contextlib.redirect_stdout(io.StringIO()) as out:
                runs[name] = main(**taken), out
        result, out = runs[name]
        return result, out.getvalue()

    return run_once


@pytest.fixture(scope="module")
def default_result(lesson, default_run):
    """Return the result of the default run of the lesson that the test file is named after."""
    return default_run(lesson.__name__.removeprefix("lesson_"))[0]


@pytest.fixture(scope="session")
def permissions_apply():
    """Return what to put before a command so that file permissions apply to it, as they do not to root."""
    if os.geteuid() != 0:
        return []
    if not shutil.which("setpriv"):
        pytest.skip("permissions do not apply to root, and there is no setpriv to make them")
    without = "-dac_override,-dac_read_search"
    return ["setpriv", f"--bounding-set={without}", f"--inh-caps={without}"]


@pytest.fixture(scope="session")
def scripts():
    running = Scripts()
    yield running
    running.close()


@pytest.fixture
def run_script(scripts, tmp_path):
    """Return a function that runs a lesson as people do, in an empty folder, and returns the finished process."""

    def run(name, *arguments, **environment):
        folder = tmp_path / "elsewhere"
        folder.mkdir(exist_ok=True)
        script, figures = lessons.SCRIPTS / f"{name}.py", tmp_path / "figures"
        return scripts.run(script, "--figures", figures, *arguments, cwd=folder, environment=clean(**environment))

    return run
