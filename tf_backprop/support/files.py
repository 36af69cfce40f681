"""Where figures go, and a file written whole or not at all."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

from tf_backprop.support.errors import DataError

_ROOT = Path(__file__).resolve().parents[2]

#: Where figures go unless a lesson is told otherwise: the checkout's own folder, or one below the working directory.
FIGURES = (_ROOT if (_ROOT / "pyproject.toml").is_file() else Path()) / "figures"
#: Temporary files of which a process that is ended at once must not leave any.
UNFINISHED: set[str] = set()


def short(path: Path) -> str:
    """Return how to name a file to the reader: from the working directory where it is below that."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def write_atomically(path: Path, write: Callable[[IO[bytes]], object], option: str = "--figures") -> None:
    """Call `write` with a binary file beside `path` and put it in the place of `path` when it is complete.

    `DataError` is raised when that cannot be; it names the `option` with which to choose another place.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        UNFINISHED.add(name)
        try:
            with open(handle, "wb") as file:
                write(file)
            umask = os.umask(0)
            os.umask(umask)
            os.chmod(name, 0o666 & ~umask)  # mkstemp's own 0o600 would hide the figure from a web server
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise
        finally:
            UNFINISHED.discard(name)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}; name another folder with {option}") from None
