"""TensorFlow is imported quietly and quickly, and what the import changes is given back."""

import subprocess
import sys

from forks import clean

import pytest

QUIET = """
import gc, os, signal, sys, threading
from tf_backprop.support import startup
def hook(*_): pass
def handler(*_): pass
gc.{collector}()
sys.excepthook = hook
signal.signal(signal.SIGINT, handler)
{start}
import tensorflow as tf
assert (sys.excepthook, signal.getsignal(signal.SIGINT)) == (hook, handler)
assert gc.isenabled() == ({collector!r} == "enable")
tf.function(lambda: tf.ones(2), jit_compile=True)()
print("keras" in sys.modules, os.environ.get("CUDA_VISIBLE_DEVICES"), end=" ", file=sys.stdout)
print(float(tf.keras.optimizers.SGD(0.5).learning_rate), file=sys.stdout)
from tensorflow.keras import layers
import keras.layers
print(layers.Dense is keras.layers.Dense)
"""
HERE = "startup.import_tensorflow()"
IN_A_THREAD = "thread = threading.Thread(target=startup.import_tensorflow); thread.start(); thread.join()"


def python(code, **environment):
    usual = {name: value for name, value in clean().items() if name != "CUDA_VISIBLE_DEVICES"}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=usual | environment, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    ("collector", "start", "gpu"),
    [("enable", HERE, None), pytest.param("disable", IN_A_THREAD, "0", marks=pytest.mark.slow)],
)
def test_it_is_quiet_without_keras_or_gpu_until_asked_and_gives_back_what_it_found(collector, start, gpu):
    process = python(QUIET.format(collector=collector, start=start), **({"CUDA_VISIBLE_DEVICES": gpu} if gpu else {}))
    assert (process.returncode, process.stdout, process.stderr) == (0, f"False {gpu or -1} 0.5\nTrue\n", "")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variable", "value", "keras"), [("PLAIN_IMPORT", "1", "True"), ("MIN_LOG_LEVEL", "0", "False")]
)
def test_it_can_be_switched_off_and_made_to_speak(variable, value, keras):
    name = f"TF_BACKPROP_{variable}" if variable == "PLAIN_IMPORT" else f"TF_CPP_{variable}"
    process = python(QUIET.format(collector="enable", start=HERE), **{name: value})
    assert process.returncode == 0
    assert process.stdout.startswith(keras)
    assert "oneDNN" in process.stderr or "cuda" in process.stderr.lower()


def test_a_failed_import_says_what_tensorflow_said(broken_tensorflow):
    process = python("from tf_backprop import command", **broken_tensorflow)
    assert process.returncode == 1
    assert "why it failed" in process.stderr
    assert "ImportError: broken" in process.stderr


@pytest.mark.parametrize(("args", "status"), [(["--list"], 0), (["--help"], 0), (["77"], 2)])
def test_what_runs_no_lesson_needs_no_tensorflow(args, status, broken_tensorflow):
    command = [sys.executable, "-m", "tf_backprop", *args]
    process = subprocess.run(command, env=clean(**broken_tensorflow), capture_output=True, text=True, timeout=60)
    assert process.returncode == status
    assert "broken" not in process.stderr


@pytest.fixture
def broken_tensorflow(tmp_path):
    """Return an environment in which TensorFlow cannot be imported."""
    (tmp_path / "tensorflow.py").write_text("import os\nos.write(2, b'why it failed')\nraise ImportError('broken')\n")
    return {"PYTHONPATH": str(tmp_path)}
