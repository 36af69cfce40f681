"""Compare what the lessons return under two sets of versions of the packages: ``python -m tools.versions``.

With ``--save FILE`` it runs the lessons and keeps every number of their results in a file: this is done once in each
environment. With ``--renew OLDEST NEWEST`` it compares two such files, and puts both the versions and the differences
into docs/running.md.
"""

import contextlib
import inspect
import io
import platform
import re
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path

from tf_backprop import command, datasets, report
from tf_backprop.support import lessons
from tf_backprop.support.errors import DataError, UsageError
from tools import readme

import numpy as np

VERSIONS = "versions/"  # the names of the entries about versions begin like this


def results(names: Sequence[str] = (), data: datasets.Choice = "digits") -> dict[str, np.ndarray]:
    """Run lessons with their default arguments, in this process; return all that they return, and the versions."""
    found = {f"{VERSIONS}{name}": np.array(version) for name, version in versions().items()}
    with tempfile.TemporaryDirectory() as figures:
        for name, result in run(names, data, Path(figures)):
            found |= numbers(name, result)
    return found


def run(names: Sequence[str], data: datasets.Choice, figures: Path) -> Iterator[tuple[str, tuple]]:
    """Run lessons with their default arguments, in this process; yield the name and the result of each."""
    options = {"data": data, "figures": figures, "workers": 1}  # tests compare one worker with several
    for lesson in lessons.select(names):
        main = lessons.load(lesson.path).main
        taken = inspect.signature(main).parameters
        with contextlib.redirect_stdout(io.StringIO()):
            result = main(**{name: value for name, value in options.items() if name in taken})
        yield lesson.name, result


def numbers(name: str, result: tuple) -> dict[str, np.ndarray]:
    """Return all numbers in the result of the lesson `name`, each by that name and the way that leads to it."""
    return {f"{name}/{way}": array for way, array in leaves(result._asdict())}


def leaves(value: object, name: str = "") -> Iterator[tuple[str, np.ndarray]]:
    """Yield every number and array in a lesson's result, with the names of the fields and keys that lead to it.

    Measured times are left out, because they are never the same twice.
    """
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, Mapping):
        for key, part in value.items():
            if key == "milliseconds":
                continue
            yield from leaves(part, f"{name}.{key}" if name else str(key))
    elif isinstance(value, (list, tuple)):
        for i, part in enumerate(value):
            yield from leaves(part, f"{name}.{i}")
    elif hasattr(value, "numpy") or isinstance(value, (np.ndarray, np.generic, bool, int, float)):
        yield name, np.asarray(value)


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that the lessons need."""
    names = sorted(re.match(r"[\w-]+", r)[0] for r in metadata.requires("tf-backprop") or [] if "extra ==" not in r)
    return {"Python": platform.python_version()} | {name: metadata.version(name) for name in names}


def differences(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Return for each lesson the largest difference of any array, relative to that array's largest number.

    The difference is infinite where an array is missing or has another shape, as after another number of steps.
    """
    largest: dict[str, float] = {}
    for name in sorted(one.keys() | other.keys()):
        lesson = name.partition("/")[0]
        if not name.startswith(VERSIONS):
            largest[lesson] = max(largest.get(lesson, 0.0), _difference(one.get(name), other.get(name)))
    return largest


def _difference(one: np.ndarray | None, other: np.ndarray | None) -> float:
    if one is None or other is None:
        return float("inf")
    if np.array_equal(one, other, equal_nan=one.dtype.kind == "f"):
        return 0.0
    finite = np.isfinite(one)
    if not np.array_equal(finite, np.isfinite(other)):  # which is so for other shapes too
        return float("inf")
    one, other = one[finite].astype(float), other[finite].astype(float)
    return float(abs(one - other).max() / max(abs(one).max(), np.finfo(np.float32).tiny))


def tables(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> str:
    """Return two tables for the page, from the results with the oldest versions and with the newest."""
    names = [name for name in one if name.startswith(VERSIONS)]
    rows = [[name.removeprefix(VERSIONS), one[name], other.get(name, "")] for name in names]
    found = [[name, f"{value:.1g}" if value else "none"] for name, value in differences(one, other).items()]
    of_versions = report.table(["", "oldest", "newest"], rows, "github", as_is=True)
    of_differences = report.table(["lesson", "largest relative difference"], found, "github")
    return f"{of_versions}\n\n{of_differences}"


def read(file: Path) -> dict[str, np.ndarray]:
    """Return the results that are kept in `file`."""
    try:
        with np.load(file) as arrays:
            return dict(arrays)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        problem = getattr(error, "strerror", None) or "it holds no results"
        raise DataError(f"{file}: {problem}; write it with: python -m tools.versions --save {file}") from error


def main(
    *names: str,
    data: datasets.Choice = "digits",
    save: Path | None = None,
    renew: tuple[Path, Path] | None = None,
) -> None:
    """Save what the lessons return, or compare what was saved with two sets of versions and renew docs/running.md.

    Args:
        names: numbers or names of the lessons to save, in this order; all without any
        data: mnist, digits, or auto: MNIST where it can be had
        save: an .npz file for the results
        renew: two such files, made with the oldest versions and with the newest
    """
    if (save is None) == (renew is None):
        raise UsageError("name either --save FILE or --renew OLDEST NEWEST")
    if save is not None:
        np.savez(save, **results(names, data))
    else:
        oldest, newest = renew
        readme.replace({"verified": tables(read(oldest), read(newest))})


if __name__ == "__main__":
    command.run(main)
