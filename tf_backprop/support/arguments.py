"""A command line made from the signature of a function, and what goes wrong in one line. Needs no TensorFlow."""

from __future__ import annotations  # so that the doctor runs on a Python that is too old

import argparse
import contextlib
import functools
import inspect
import io
import os
import re
import sys
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn, TypeVar

from tf_backprop.support.errors import LessonError, UsageError
from tf_backprop.support.language import of_lesson, say
from tf_backprop.support.startup import ctrl_c_ends_the_process

Result = TypeVar("Result")

#: The help of the arguments that lessons share; a lesson's own docstring may say more.
SHARED_HELP = {
    "epochs": "passes over the training set",
    "learning_rate": "how far the parameters move along the negative gradient",
    "data": "mnist, digits, or auto: MNIST where it can be had",
    "mnist_dir": "folder with MNIST's four IDX files, or an .npz file",
    "batch_size": "images per update",
    "explain": "print the backward pass, line by line, before training",
    "seed": "of the random numbers",
    "figures": "folder for the figure",
    "show": "open the figure in a window too",
}


@of_lesson()
def run(main: Callable[..., Result], args: Sequence[str] | None = None, exits: bool | None = None) -> Result:
    """Call `main` with what the command line says and return its result.

    Parameters
    ----------
    main
        The lesson: its signature is the command line, its docstring the help.
    args
        The arguments; by default those of the process. A notebook has none: its process's are the kernel's own.
    exits
        Whether an error ends the process, after one line on standard error; otherwise it is raised. None: exactly
        where the main program is a file, and not a notebook, whose kernel outlives a cell.

    The statuses are 2 for a wrong argument, 1 for a failure, 130 for Ctrl-C, and 0 for ``--help``.
    """
    notebook = "ipykernel" in sys.modules
    if exits is None:  # VS Code's interactive window has a __file__, and is a notebook all the same
        exits = hasattr(sys.modules["__main__"], "__file__") and not notebook
    if args is None and notebook and sys.argv[1:] == sys.orig_argv[len(sys.orig_argv) - len(sys.argv) + 1 :]:
        args = []
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that knows ASCII only shows ? for a superscript
    if not exits:
        return parse(main, args)()
    try:
        with ctrl_c_ends_the_process(2):
            call = parse(main, args)
            if "matplotlib" in sys.modules and not call.keywords.get("show"):
                sys.modules["matplotlib"].use("agg")  # a window's backend, or a notebook's, is for --show alone
            return call()
    except KeyboardInterrupt:
        _fail("interrupted", 130)
    except LessonError as error:
        _fail(str(error), error.exit_status)
    except BrokenPipeError:  # the reader of a pipe has gone, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(1)
    except OSError as error:
        _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error), 1)


def _fail(message: str, status: int) -> NoReturn:
    """Write one line on standard error and end the process with `status`."""
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    print(say("error: {message}", message=message), file=sys.stderr)
    sys.exit(status)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see --help)")


def parse(main: Callable[..., Result], args: Sequence[str] | None = None) -> Callable[[], Result]:
    """Return `main` bound to its arguments, or raise `UsageError` with one line about the wrong one.

    An argument with a default is an option, one without is positional; ``*names`` takes any number of words.
    """
    parameters = inspect.signature(main).parameters.values()
    about, _, told = inspect.cleandoc(main.__doc__ or "").partition("Args:\n")
    told = SHARED_HELP | dict(re.findall(r"^    (\w+): (.*)$", told, re.MULTILINE))
    parser = _Parser(
        description=about.strip(), allow_abbrev=False, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    for parameter in parameters:
        name, optional = parameter.name, parameter.default is not parameter.empty
        flag = "--" + name.replace("_", "-") if optional else name
        options = _kind(parameter.annotation) | ({"default": parameter.default} if optional else {})
        if parameter.kind is parameter.VAR_POSITIONAL:
            options |= {"nargs": "*", "default": argparse.SUPPRESS}
        parser.add_argument(flag, help=told.get(name, " ").replace("%", "%%"), **options)
    given = vars(parser.parse_args(args))
    words = [word for p in parameters if p.kind is p.VAR_POSITIONAL for word in given.pop(p.name, ())]
    pairs = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    for name in [name for name, value in pairs.items() if value == ()]:  # some versions of argparse take --name=-- so
        parser.error(f"argument --{name.replace('_', '-')}: expected a value")
    return functools.partial(main, *words, **pairs)


def _kind(annotation: object) -> Mapping[str, object]:
    """Return what argparse needs to know of a type: ``int | None``, ``Literal[...]``, a tuple, a flag or a class."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        (annotation,) = (kind for kind in typing.get_args(annotation) if kind is not types.NoneType)
    parts = typing.get_args(annotation)
    if typing.get_origin(annotation) is typing.Literal:
        return {"choices": parts}
    if typing.get_origin(annotation) is tuple:
        return {"type": parts[0], "nargs": len(parts), "metavar": parts[0].__name__.upper()}
    if annotation is bool:
        return {"action": argparse.BooleanOptionalAction}
    return {"type": annotation, "metavar": annotation.__name__.upper()}
