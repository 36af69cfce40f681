"""The command line of every lesson, through real processes where the process is what matters."""

import os
import subprocess
import sys

from tf_backprop import cli, command, lessons

import pytest


def lesson(steps: int = 3, learning_rate: float = 0.1, seed: int = 0):
    """Do something.

    Args:
        steps: how often
    """
    cli.check(seed, steps=steps, learning_rate=learning_rate)
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
            "error: Error parsing --steps: invalid literal for int() with base 10: 'many' (see --help)",
        ),
        (["--bogus"], 2, "error: Unrecognized options: --bogus (see --help)"),
        (["--steps", "7"], 130, "error: interrupted"),
        (["--steps", "8"], 1, "error: figures: Permission denied"),
    ],
)
def test_what_is_wrong_is_one_line_and_a_status(args, status, line, capsys):
    with pytest.raises(SystemExit) as stop:
        command.run(lesson, args)
    assert stop.value.code == status
    captured = capsys.readouterr()
    assert captured.err == line + "\n"
    assert captured.out == ""


def test_a_good_run_returns_the_result():
    assert command.run(lesson, ["--steps", "5"]) == (5, 0.1)


def test_help_tells_every_argument(capsys):
    with pytest.raises(SystemExit) as stop:
        command.run(lesson, ["--help"])
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


def test_tensorflow_is_quiet_and_without_keras_until_asked():
    code = (
        "import sys; from tf_backprop import cli; import tensorflow as tf;"
        "from tensorflow.python.framework import ops; assert tf.python.framework.ops is ops;"
        "tf.function(lambda: tf.ones(2), jit_compile=True)(); before = 'keras' in sys.modules;"
        "print(before, float(tf.keras.optimizers.SGD(0.5).learning_rate));"
        "from tensorflow.keras import layers; import keras.layers; print(layers.Dense is keras.layers.Dense)"
    )
    quiet = {k: v for k, v in os.environ.items() if not k.startswith("TF_")}
    process = subprocess.run([sys.executable, "-c", code], env=quiet, capture_output=True, text=True, timeout=120)
    assert (process.returncode, process.stdout, process.stderr) == (0, "False 0.5\nTrue\n", "")
    asked = quiet | {"TF_CPP_MIN_LOG_LEVEL": "0"}
    process = subprocess.run([sys.executable, "-c", code], env=asked, capture_output=True, text=True, timeout=120)
    assert process.stderr != ""


@pytest.fixture
def broken_tensorflow(tmp_path):
    """Return an environment in which TensorFlow cannot be imported."""
    (tmp_path / "tensorflow.py").write_text("import os\nos.write(2, b'why it failed')\nraise ImportError('broken')\n")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
    return environment


def test_a_failed_import_of_tensorflow_says_what_it_said(broken_tensorflow):
    code = "from tf_backprop import cli; import tensorflow as tf; tf.constant(1)"
    process = subprocess.run(
        [sys.executable, "-c", code], env=broken_tensorflow, capture_output=True, text=True, timeout=60
    )
    assert process.returncode == 1
    assert "why it failed" in process.stderr
    assert "ImportError: broken" in process.stderr


@pytest.mark.parametrize(("args", "status"), [(["--help"], 0), (["--batch-size=0"], 2), (["--bogus"], 2)])
def test_what_needs_no_tensorflow_does_not_wait_for_it(args, status, broken_tensorflow):
    command = [sys.executable, lessons.SCRIPTS / "14_mnist_softmax_distributed.py", *args]
    process = subprocess.run(command, env=broken_tensorflow, capture_output=True, text=True, timeout=60)
    assert (process.returncode, "broken" in process.stderr) == (status, False)
