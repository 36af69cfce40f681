"""The command line of a lesson, made from the signature of its ``main``.

Importing this module imports TensorFlow without its C++ start-up lines, so a lesson imports it before ``tensorflow``.
"""

import contextlib
import functools
import inspect
import io
import math
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from typing import NoReturn, TypeVar

from tf_backprop.errors import LessonError, UsageError

import tyro

Result = TypeVar("Result")

#: No lesson has a use for more steps, epochs or rows than this; their history would fill the memory.
MOST = 10_000_000

#: The help of the arguments that lessons share; a lesson's own docstring may say more.
SHARED_HELP = {
    "data": "mnist, digits, or auto: MNIST where it can be had",
    "mnist_dir": "folder with MNIST's four IDX files, or an .npz file",
    "seed": "of the random numbers",
    "figures": "folder for the figure",
    "show": "open the figure in a window too",
}


def import_tensorflow() -> None:
    """Import TensorFlow with standard error set aside, and give back what was written if the import fails.

    TensorFlow writes a few lines to file descriptor 2 while it is being imported, before it reads
    ``TF_CPP_MIN_LOG_LEVEL``. Set that variable yourself, to ``0`` for instance, to see everything.
    """
    if "tensorflow" in sys.modules or "TF_CPP_MIN_LOG_LEVEL" in os.environ:
        import tensorflow

        return
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    try:
        stderr = os.dup(2)
    except OSError:  # closed, as in some services: there is nothing to keep clean
        import tensorflow

        return
    with tempfile.TemporaryFile() as aside:
        os.dup2(aside.fileno(), 2)
        try:
            import tensorflow  # noqa: F401
        except BaseException:
            aside.seek(0)
            os.write(stderr, aside.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


import_tensorflow()


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
    try:
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
        # tyro draws a box with several parts, wrapped to the terminal; the first part says what is wrong.
        lines = [line.strip("│╭╮╰╯─┌┐└┘ ") for line in said.getvalue().splitlines()[1:]]
        first = lines[: lines.index("")] if "" in lines else lines
        raise UsageError(" ".join(first) + " (see --help)") from None


def fail(message: str, status: int) -> NoReturn:
    """Write one line on standard error and end the process with `status`."""
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    print(f"error: {message}", file=sys.stderr)
    sys.exit(status)


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
        elif not (isinstance(value, float) and math.isfinite(value) and value > 0):
            raise UsageError(f"{option} must be a positive number, not {value}")
