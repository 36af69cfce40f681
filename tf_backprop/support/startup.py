"""TensorFlow imported once, quietly and quickly, before a lesson uses it."""

import contextlib
import gc
import importlib.util
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator

from tf_backprop.support.files import UNFINISHED


def import_tensorflow() -> None:
    """Import TensorFlow and Matplotlib, without what they write to standard error and without Keras.

    Keras, a third of the import, waits for the first use of ``tf.keras``. All that the import changes is given back:
    the garbage collector, the handler of Ctrl-C, standard error. If TensorFlow is there already, nothing happens.

    Set ``TF_BACKPROP_PLAIN_IMPORT=1`` for a plain ``import tensorflow``, ``TF_CPP_MIN_LOG_LEVEL=0`` to see what
    TensorFlow says, ``CUDA_VISIBLE_DEVICES=0`` to compute on a GPU, and ``TF_NUM_INTRAOP_THREADS`` for more threads
    than one within an operation.
    """
    if os.path.expanduser("~") == "~":  # a container's user without a name and a home: Keras would make a folder "~"
        os.environ["HOME"] = tempfile.gettempdir()
    os.environ["KERAS_BACKEND"] = "tensorflow"  # whatever another project of the user's wants
    # One thread within an operation: the order of a long sum, so its last bits, would depend on the number of cores,
    # and operations as small as these are not faster with more.
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")  # a machine with a GPU computes as the others do
    if "tensorflow" in sys.modules or os.environ.get("TF_BACKPROP_PLAIN_IMPORT") == "1":
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    collecting = gc.isenabled()
    gc.disable()  # an import leaves hardly any garbage, and to look for it takes a seventh of the time
    try:
        with _stderr_aside() as stderr, ctrl_c_ends_the_process(stderr):
            backend = os.environ.pop("MPLBACKEND", None)
            importlib.import_module("matplotlib.pyplot")  # it says that it makes its list of fonts
            with contextlib.suppress(ValueError):  # another tool's backend, which this Matplotlib does not know
                if backend:
                    sys.modules["matplotlib"].rcParams["backend"] = os.environ["MPLBACKEND"] = backend
            _import_without_keras()
            _let_xla_say_that_it_is_there()
    finally:
        if collecting:
            gc.enable()


@contextlib.contextmanager
def _stderr_aside() -> Iterator[int]:
    """Keep what is written to file descriptor 2, and give it back if the block fails, unless the log is asked for.

    TensorFlow writes a few lines there before it reads ``TF_CPP_MIN_LOG_LEVEL``. Yield a descriptor of the real one.
    """
    try:
        stderr = os.dup(2)
    except OSError:  # closed, as in some services
        stderr = os.open(os.devnull, os.O_WRONLY)
    with tempfile.TemporaryFile() as aside:
        if os.environ["TF_CPP_MIN_LOG_LEVEL"] >= "3":
            os.dup2(aside.fileno(), 2)
        try:
            yield stderr
        except BaseException:
            aside.seek(0)
            os.write(stderr, aside.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


@contextlib.contextmanager
def ctrl_c_ends_the_process(stderr: int) -> Iterator[None]:
    """End the process at once on Ctrl-C, which TensorFlow and imports may otherwise lose, or crash at."""

    def end(*_) -> None:
        with contextlib.suppress(Exception):  # such as a closed pipe
            for name in UNFINISHED:
                os.unlink(name)
            os.write(stderr, b"error: interrupted\n")
            sys.stdout.flush()
        os._exit(130)

    if threading.current_thread() is not threading.main_thread():  # it alone hears of signals
        yield
        return
    earlier = signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, earlier)


def _import_without_keras() -> None:
    """Import TensorFlow, which goes on where there is no Keras, and then tell it where ``tensorflow.keras`` is."""
    sys.modules["keras"] = None  # what is None cannot be imported
    try:
        tensorflow = importlib.import_module("tensorflow")
    finally:
        del sys.modules["keras"]
    if keras := importlib.util.find_spec("keras"):
        tensorflow.__path__.insert(0, os.path.join(os.path.dirname(keras.origin), "_tf_keras"))


def _let_xla_say_that_it_is_there() -> None:
    """Compile something before TensorFlow 2.21, where XLA does not ask ``TF_CPP_MIN_LOG_LEVEL`` for its first lines."""
    tensorflow = sys.modules["tensorflow"]
    old = tuple(int(part) for part in tensorflow.__version__.split(".")[:2]) < (2, 21)
    if old and "TF_CONFIG" not in os.environ:  # a worker must make its strategy before any operation
        tensorflow.function(tensorflow.negative, jit_compile=True)(tensorflow.constant(1.0))
