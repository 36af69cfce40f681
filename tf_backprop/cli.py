"""The command line of a lesson. A lesson imports this before ``tensorflow``, which keeps standard error clean."""

import contextlib
import importlib
import importlib.abc
import importlib.machinery
import os
import signal
import sys
import tempfile
from collections.abc import Collection, Iterator
from types import ModuleType

from tf_backprop.command import run
from tf_backprop.errors import UsageError

__all__ = ["MOST", "check", "check_between", "check_choice", "run"]

#: No lesson has a use for more steps, epochs or rows than this; their history would fill the memory.
MOST = 10_000_000

#: Above this, float32 has no numbers left.
LARGEST = 3.4e38


def import_tensorflow() -> None:
    """Import TensorFlow and Matplotlib with standard error set aside, and give back what was written if that fails.

    TensorFlow writes a few lines to file descriptor 2 while it is being imported, before it reads
    ``TF_CPP_MIN_LOG_LEVEL``. Set that variable yourself, to ``0`` for instance, to see everything; and
    ``TF_NUM_INTRAOP_THREADS`` for more threads than one within an operation. Keras, a third of the time that the import
    takes, is not imported before a lesson asks for ``tf.keras``.
    """
    os.environ["KERAS_BACKEND"] = "tensorflow"  # whatever another project of the user's wants
    # One thread within an operation: the order of a long sum, so its last bits, would depend on the number of cores,
    # and operations as small as these are not faster with more.
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    asked_for = os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") < "3"
    if "tensorflow" in sys.modules or asked_for:
        import tensorflow

        return
    try:
        stderr = os.dup(2)
    except OSError:  # closed, as in some services: there is nothing to keep clean
        import tensorflow

        return
    with tempfile.TemporaryFile() as aside, _ctrl_c_ends_the_process(stderr):
        os.dup2(aside.fileno(), 2)
        try:
            import tensorflow

            _let_xla_say_that_it_is_there(tensorflow)
            # It writes there too: that it makes its list of fonts, or that it may not write to the user's folder.
            importlib.import_module("matplotlib.pyplot")
        except BaseException:
            aside.seek(0)
            os.write(stderr, aside.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def _let_xla_say_that_it_is_there(tensorflow: ModuleType) -> None:
    """Compile something before TensorFlow 2.21, where XLA does not ask ``TF_CPP_MIN_LOG_LEVEL`` for its first lines."""
    old = tuple(int(part) for part in tensorflow.__version__.split(".")[:2]) < (2, 21)
    if old and "TF_CONFIG" not in os.environ:  # a worker must make its strategy before any operation
        tensorflow.function(tensorflow.negative, jit_compile=True)(tensorflow.constant(1.0))


class _NotYet(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Find Keras, for TensorFlow asks where it is, and do not load it."""

    def find_spec(self, name: str, path: object, target: object = None) -> importlib.machinery.ModuleSpec | None:
        spec = importlib.machinery.PathFinder.find_spec(name) if name == "keras" else None
        if spec is not None:
            spec.loader = self
        return spec

    def exec_module(self, module: ModuleType) -> None:
        raise ImportError("Keras is imported when tf.keras is used for the first time")


@contextlib.contextmanager
def _without_keras() -> Iterator[None]:
    """Leave Keras to the first use of ``tf.keras``: TensorFlow goes on without it if it cannot be imported."""
    sys.meta_path.insert(0, finder := _NotYet())
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


@contextlib.contextmanager
def _ctrl_c_ends_the_process(stderr: int) -> Iterator[None]:
    """End the process at once on Ctrl-C: within an import KeyboardInterrupt may become another error, or none."""

    def end(*_) -> None:
        os.write(stderr, b"error: interrupted\n")
        os._exit(130)

    try:
        before = signal.signal(signal.SIGINT, end)
    except ValueError:  # not the main thread, which alone hears of signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _say_interrupted(kind: type[BaseException], *rest: object) -> None:
    """Say Ctrl-C in one line, between the import and `run` too."""
    if not issubclass(kind, KeyboardInterrupt) or hasattr(sys, "ps1"):
        sys.__excepthook__(kind, *rest)
        return
    print("error: interrupted", file=sys.stderr)
    sys.stderr.flush()
    os._exit(130)


sys.excepthook = _say_interrupted
with _without_keras():
    import_tensorflow()


def check(seed: int = 0, **arguments: float | None) -> None:
    """Raise `UsageError`, naming the argument, unless `seed` is at least 0 and all the others are positive and finite.

    Whole numbers may be at most `MOST`; None stands for a default and is left alone.
    """
    if not isinstance(seed, int) or seed < 0:
        raise UsageError(f"--seed must be a whole number from 0, not {seed}")
    for name, value in arguments.items():
        option = "--" + name.replace("_", "-")
        if value is None:
            continue
        if isinstance(value, int):
            if not 1 <= value <= MOST:
                raise UsageError(f"{option} must be a whole number from 1 to {MOST:,}, not {value}")
        elif not (isinstance(value, float) and 0 < value < LARGEST):
            raise UsageError(f"{option} must be a positive number below {LARGEST:g}, not {value}")


def check_choice(choices: Collection[str], **arguments: str) -> None:
    """Raise `UsageError`, naming the argument, unless all are among `choices`."""
    for name, value in arguments.items():
        if value not in choices:
            raise UsageError(f"--{name.replace('_', '-')} must be one of {', '.join(choices)}, not {value}")


def check_between(low: float, high: float, **arguments: float) -> None:
    """Raise `UsageError`, naming the argument, unless all are numbers from `low` to `high`."""
    for name, value in arguments.items():
        if not low <= value <= high:  # nor is NaN
            raise UsageError(f"--{name.replace('_', '-')} must be a number from {low:g} to {high:g}, not {value}")
