"""Not a lesson: a lesson finds this file first, and is sent on to the package of the same name.

Where the package is not installed, that is the folder beside this one. What ends a program before
its own errors are heard, such as a Python that lacks a package, is said here in one line.
"""

import importlib
import os
import runpy
import shlex
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent


def before_run(kind, error, trace):
    """Be sys.excepthook."""
    said = "interrupted" if kind is KeyboardInterrupt else lack(error)
    if not said:
        sys.__excepthook__(kind, error, trace)
    else:
        print(f"error: {said}", file=sys.stderr)
        sys.exit(130 if kind is KeyboardInterrupt else 1)


def lack(error):
    """Return what is missing, and what to do; nothing if the error is another one."""
    if "temporary directory" in str(error):
        return f"{error}; name a folder that can be written with TMPDIR"
    missing = isinstance(error, ModuleNotFoundError) and "." not in str(error.name)
    if not missing and sys.version_info >= (3, 10):
        screen = isinstance(error, ImportError) and "backend" in str(error)
        return f"{error}; without --show none is needed" if screen else ""

    supported = (3, 10) <= sys.version_info[:2] < (3, 14)
    version = sys.version.split()[0]
    found = f"{sys.executable} " + (f"has no {error.name}" if supported else f"is Python {version}")
    python = ROOT / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if python.exists() and sys.prefix != str(ROOT / ".venv"):
        shown = os.path.relpath(python) if Path.cwd() in python.parents else str(python)
        words = getattr(sys, "orig_argv", ["", *sys.argv])[1:]
        return f"{found}: use {' '.join(map(shlex.quote, [shown, *words]))}"
    if not supported:
        return f"{found}: use Python 3.10 to 3.13, for instance: make PYTHON=python3.12 demo"
    if (ROOT / "pyproject.toml").exists():
        return f"{found}: run make demo, or {sys.executable} -m pip install -e {ROOT}"
    return f"{found}: run {sys.executable} -m pip install tf-backprop"


if __name__ in ("tf_backprop", "__main__"):
    others = [folder for folder in sys.path if Path(folder).resolve() != HERE]
    sys.path[:] = [*others, str(ROOT)]
if __name__ == "__main__":  # python -m tf_backprop, typed in this folder
    runpy.run_module("tf_backprop", run_name="__main__")
elif __name__ == "tf_backprop":
    if hasattr(sys.modules["__main__"], "__file__") and "ipykernel" not in sys.modules:
        sys.excepthook = before_run
    del sys.modules[__name__]
    importlib.import_module("tf_backprop")
