"""The command line of a lesson. A lesson imports this before ``tensorflow``, which keeps standard error clean."""

import contextlib
import gc
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
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


def prepare() -> None:
    """Leave the import of TensorFlow to its first use, and let it, and Matplotlib's, be quiet.

    Set ``TF_CPP_MIN_LOG_LEVEL`` yourself, to ``0`` for instance, to see all that they say; and
    ``TF_NUM_INTRAOP_THREADS`` for more threads than one within an operation.
    """
    os.environ["KERAS_BACKEND"] = "tensorflow"  # whatever another project of the user's wants
    # One thread within an operation: the order of a long sum, so its last bits, would depend on the number of cores,
    # and operations as small as these are not faster with more.
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if "tensorflow" not in sys.modules:
        sys.meta_path.insert(0, _WhenUsed())
    with _stderr_aside():  # it says that it makes its list of fonts, or that it may not write to the user's folder
        importlib.import_module("matplotlib.pyplot")


def import_tensorflow() -> None:
    """Import TensorFlow now, where its seconds would count as somebody else's at its first use."""
    importlib.import_module("tensorflow.python")  # part of it takes all of it


class _WhenUsed(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports TensorFlow when it is first used: ``--help``, a refused argument and a launcher need not wait for it."""

    def find_spec(self, name: str, path: object, target: object = None) -> importlib.machinery.ModuleSpec | None:
        if target is None and name.startswith("tensorflow.") and name in sys.modules:  # its first use was to look here
            return importlib.machinery.ModuleSpec(name, _Loaded())
        spec = importlib.machinery.PathFinder.find_spec(name) if name == "tensorflow" else None
        if spec is not None:
            self._loader, spec.loader = spec.loader, importlib.util.LazyLoader(self)
        return spec

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = module.__spec__.loader = self._loader
        gc.disable()  # an import leaves hardly any garbage, and to look for it takes a seventh of the time
        try:
            with _without_keras(), _stderr_aside():
                self._loader.exec_module(module)
                _let_xla_say_that_it_is_there(module)
        finally:
            gc.freeze()
            gc.enable()


class _Loaded(importlib.abc.Loader):
    """Takes a module as it is: without this it would be loaded a second time, and lack what the first one has."""

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        self._spec = sys.modules[spec.name].__spec__
        return sys.modules[spec.name]

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec


@contextlib.contextmanager
def _stderr_aside() -> Iterator[None]:
    """Keep what is written to file descriptor 2, and give it back if the block fails, unless the log is asked for.

    TensorFlow writes a few lines there before it reads ``TF_CPP_MIN_LOG_LEVEL``.
    """
    if os.environ["TF_CPP_MIN_LOG_LEVEL"] < "3":
        yield
        return
    try:
        stderr = os.dup(2)
    except OSError:  # closed, as in some services: there is nothing to keep clean
        yield
        return
    with tempfile.TemporaryFile() as aside, _ctrl_c_ends_the_process(stderr):
        os.dup2(aside.fileno(), 2)
        try:
            yield
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
    """Leave Keras, a third of the import, to the first use of ``tf.keras``: TensorFlow goes on without it for now."""
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
prepare()


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
