"""Every lesson's main, called with whatever its own signature allows and does not."""

import inspect
import math
import subprocess
import sys
import typing
from pathlib import Path

from tf_backprop import command
from tf_backprop.support import lessons, mnist
from tf_backprop.support.errors import DataError, DivergedError, UsageError

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

LESSONS = [lesson.name for lesson in lessons.find()]
TYPED_IN_VAIN = ["", "many", "1e", "--"]
POSITIVE = {"steps", "epochs", "learning_rate", "batch_size"}


def numeric(main):
    """Return the numeric arguments of `main` by name, with their types."""
    found = {}
    for name, parameter in inspect.signature(main).parameters.items():
        kinds = [k for k in (typing.get_args(parameter.annotation) or (parameter.annotation,)) if k in (int, float)]
        if kinds and typing.get_origin(parameter.annotation) is not tuple:
            found[name] = kinds[0]
    return found


@pytest.mark.parametrize("name", LESSONS)
def test_every_wrong_number_is_one_line_that_names_it(name, load, capsys, tmp_path):
    main = load(name).main
    for argument, kind in numeric(main).items():
        option = "--" + argument.replace("_", "-")
        wrong = ["nan", "inf", "-inf", *TYPED_IN_VAIN, "1e39" if kind is float else "1.5"]
        if argument in POSITIVE:
            wrong += ["-1", "0"]
        if kind is int:
            wrong += ["-1"] if argument == "seed" else [str(10**9), str(2**63)]
        for value in wrong:
            with pytest.raises(SystemExit) as stop:
                command.run(main, [f"{option}={value}", "--figures", str(tmp_path)], exits=True)
            said = capsys.readouterr().err
            assert stop.value.code == 2, (option, value)
            assert len(said.splitlines()) == 1, (option, value)
            assert option in said, (option, value, said)


def anything(parameter, name):
    """Return a strategy for one argument: what it may be, and what it may not."""
    annotation = parameter.annotation
    kinds = typing.get_args(annotation) or (annotation,)
    if typing.get_origin(annotation) is typing.Literal:
        return st.sampled_from([*kinds, "nonsense"])
    if typing.get_origin(annotation) is tuple or any(typing.get_origin(kind) is tuple for kind in kinds):
        number = st.floats(-1e4, 1e4) | st.sampled_from([math.nan, math.inf])
        return st.none() | st.tuples(number, number)
    if bool in kinds:
        return st.booleans()
    if int in kinds:
        odd = [0, -1, 10**9, 2**63]
        return (
            st.sampled_from([1, 2, 3, 5, 5, 5, *odd]) if name != "seed" else st.sampled_from([0, 1, 2**32, 2**80, -1])
        )
    if float in kinds:
        tame = st.floats(1e-4, 0.5)
        return tame | st.floats(allow_nan=True) | st.sampled_from([0.0, -1.0, 1e30, math.nan, math.inf])
    return st.just(parameter.default)


def numbers(value):
    """Yield every array of floats that a lesson returned."""
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, (list, tuple)):
        for part in value:
            yield from numbers(part)
    elif isinstance(value, (float, np.ndarray, np.floating)):
        yield np.asarray(value, float)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name[:2] > "06" else name for name in LESSONS]
)
def test_whatever_main_is_given_it_returns_numbers_or_a_documented_error(name, load, tmp_path_factory, monkeypatch):
    main = load(name).main
    parameters = inspect.signature(main).parameters
    fixed = {"figures", "show", "animate", "mnist_dir", "data"} & set(parameters)
    chosen = {n: anything(p, n) for n, p in parameters.items() if n not in fixed}
    folder = tmp_path_factory.mktemp("figures")

    @settings(max_examples=6, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(st.fixed_dictionaries(chosen))
    def drive(arguments):
        arguments = arguments | {"figures": folder} | ({"data": "digits"} if "data" in parameters else {})
        arguments |= {"workers": 1} if "workers" in parameters else {}  # several have a test of their own
        if name == "13_wrong_gradients":  # all mistakes have tests of their own
            arguments["mistake"] = arguments["mistake"] or "relu-ge"
        # Every example is to be short: what is not under test here stays small.
        for short in {"steps", "epochs"} & set(parameters):
            if arguments[short] is None:
                arguments[short] = 2
        try:
            result = main(**arguments)
        except (UsageError, DataError, DivergedError) as error:
            said = str(error)
        else:
            # The subject of 06 is a loss that is infinite, and a wrong gradient of 13 may run off: its repair does not.
            if name not in ("06_loss_functions", "13_wrong_gradients"):
                assert all(np.isfinite(array).all() for array in numbers(result._replace(comparison=[])))
            assert result.figure.stat().st_size > 1000
            return
        assert said
        assert "\n" not in said

    drive()


def test_more_images_a_batch_than_there_are(load, tmp_path):
    with pytest.raises(UsageError, match="--batch-size"):
        load("09_mnist_softmax_optimizer").main(batch_size=100_000, data="digits", figures=tmp_path)


@pytest.mark.parametrize("kind", ["a file", "below a file", "spaces and 汉字", "a link", "full"])
def test_places_for_the_figure(kind, load, tmp_path, capsys):
    main, place = load("01_regression").main, tmp_path / "figures"
    if kind == "a file":
        place.write_text("mine")
    elif kind == "below a file":
        (tmp_path / "file").write_text("mine")
        place = tmp_path / "file" / "figures"
    elif kind == "spaces and 汉字":
        place = tmp_path / "mes figures 图"
    elif kind == "a link":
        (tmp_path / "real").mkdir()
        place.symlink_to(tmp_path / "real")
    elif kind == "full":
        place.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", str(place)], capture_output=True)
        if mounted.returncode:
            pytest.skip("only root may mount a file system that is full soon")
    try:
        if kind in ("spaces and 汉字", "a link"):
            assert command.run(main, ["--figures", str(place)]).figure == place / "01_regression.png"
            assert (place / "01_regression.png").stat().st_size > 10_000
            return
        with pytest.raises(SystemExit) as stop:
            command.run(main, ["--figures", str(place)], exits=True)
        said = capsys.readouterr().err
        assert stop.value.code == 1
        assert len(said.splitlines()) == 1
        assert {"full": "No space left"}.get(kind, str(place)) in said
        assert kind != "full" or not list(place.iterdir())
        assert kind != "a file" or place.read_text() == "mine"
    finally:
        if kind == "full":
            subprocess.run(["umount", str(place)], check=True)


@pytest.mark.slow
def test_a_folder_that_may_not_be_written(permissions_apply, tmp_path):
    place = tmp_path / "figures"
    place.mkdir(mode=0o555)
    command = [*permissions_apply, sys.executable, lessons.SCRIPTS / "04_chain_rule.py", "--figures", place]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert str(place) in done.stderr
    assert "Permission denied" in done.stderr


def test_a_diverging_rate_says_the_step_and_what_to_lower_and_leaves_the_figure(run_script, tmp_path):
    done = run_script("01_regression", "--learning-rate", "1e6")
    assert done.returncode == 1
    assert done.stderr.startswith("error: the loss is not a finite number at step ")
    assert done.stderr.endswith(": lower --learning-rate\n")
    assert (tmp_path / "figures" / "01_regression.png").stat().st_size > 10_000


def test_an_unreachable_network_is_no_failure(load, monkeypatch, tmp_path):
    monkeypatch.setattr(mnist, "URL", "http://127.0.0.1:9/")
    monkeypatch.setattr(mnist, "MIRROR", "http://127.0.0.1:9/")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.delenv("MNIST_DIR", raising=False)
    result = load("09_mnist_softmax_optimizer").main(epochs=1, figures=tmp_path)
    assert isinstance(result.figure, Path)
