"""A command line made from the signature of a function, and its errors as one line each. Needs no TensorFlow."""

import contextlib
import functools
import inspect
import io
import itertools
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import NoReturn, TypeVar

from tf_backprop.errors import LessonError, UsageError

import tyro

Result = TypeVar("Result")

#: Seconds that Python has to handle Ctrl-C before the process is ended without it.
PATIENCE = 2.0

#: The help of the arguments that lessons share; a lesson's own docstring may say more.
SHARED_HELP = {
    "epochs": "passes over the training set",
    "learning_rate": "how far the parameters move along the negative gradient",
    "data": "mnist, digits, or auto: MNIST where it can be had",
    "mnist_dir": "folder with MNIST's four IDX files, or an .npz file",
    "batch_size": "images an update",
    "explain": "print the backward pass, line by line, before training",
    "seed": "of the random numbers",
    "figures": "folder for the figure",
    "show": "open the figure in a window too",
}


def run(main: Callable[..., Result], args: Sequence[str] | None = None) -> Result:
    """Call `main` with what the command line says and return its result.

    Parameters
    ----------
    main
        The lesson: its signature is the command line, its docstring the help.
    args
        The arguments; by default those of the process.

    Raises
    ------
    SystemExit
        Only when something is wrong, after one line on standard error: 2 for a wrong argument, 1 for a failure,
        130 for Ctrl-C. Also 0, by ``--help``.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that knows ASCII only shows ? for a superscript
    try:
        with _ctrl_c_ends_a_long_call():
            return parse(main, args)()
    except KeyboardInterrupt:
        fail("interrupted", 130)
    except LessonError as error:
        fail(str(error), error.exit_status)
    except BrokenPipeError:  # the reader of a pipe has gone, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(1)
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}" if error.filename else str(error), 1)


@contextlib.contextmanager
def _ctrl_c_ends_a_long_call() -> Iterator[None]:
    """End the process soon after Ctrl-C, even inside a call that does not return to Python, as a whole training is.

    Python tells of a signal between two of its own instructions only. What it writes to the wake-up file descriptor
    comes at once: a thread waits there, and gives Python its chance before it ends the process itself.
    """
    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or os.name != "posix" or "ipykernel" in sys.modules:  # a notebook's kernel outlives a cell
        yield
        return
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)

    def watch() -> None:
        while received := reader.recv(1):
            if received[0] == signal.SIGINT and not done.wait(PATIENCE):
                os.write(2, b"error: interrupted\n")
                os._exit(130)

    done = threading.Event()
    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        done.set()
        signal.set_wakeup_fd(before)
        writer.close()


def parse(main: Callable[..., Result], args: Sequence[str] | None = None) -> Callable[[], Result]:
    """Return `main` bound to its arguments, or raise `UsageError` with one line about the wrong one."""

    @functools.wraps(main)
    def bind(*positional, **named):
        return functools.partial(main, *positional, **named)

    bind.__signature__ = inspect.signature(main)
    del bind.__wrapped__  # tyro would read the docstring of what is wrapped
    bind.__doc__ = inspect.cleandoc(main.__doc__ or "")
    bind.__doc__ += "" if "\nArgs:\n" in bind.__doc__ else "\n\nArgs:\n"
    for name in inspect.signature(main).parameters:
        if name in SHARED_HELP and f"\n    {name}: " not in bind.__doc__:
            bind.__doc__ += f"\n    {name}: {SHARED_HELP[name]}"
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(bind, args=args)
    except SystemExit as stop:
        if not stop.code:
            raise
        # tyro draws a box in several parts, wrapped to the terminal's width; the first part says what is wrong.
        lines = [line.strip("│| ") for line in said.getvalue().splitlines()[1:]]
        after_rules = itertools.dropwhile(_is_rule, lines)
        lines = itertools.takewhile(lambda line: not _is_rule(line), after_rules)
        raise UsageError(" ".join(lines) + " (see --help)") from None


def _is_rule(line: str) -> bool:
    return not line.strip("─-╰╯+'")


def fail(message: str, status: int) -> NoReturn:
    """Write one line on standard error and end the process with `status`."""
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    print(f"error: {message}", file=sys.stderr)
    sys.exit(status)
