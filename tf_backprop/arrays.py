"""Every array that the lessons return, in one file: to compare processes, threads and versions of the packages."""

import contextlib
import inspect
import io
import platform
import re
import tempfile
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path

from tf_backprop import cli, datasets, lessons, readme, report
from tf_backprop.errors import DataError

import numpy as np
import tyro

VERSIONS = "versions/"  # how the names of those entries begin


def save(file: Path, names: tuple[str, ...] = (), data: datasets.Choice = "digits") -> None:
    """Run lessons with their default arguments, in this process, and keep what they return.

    Args:
        file: an .npz file, to be written
        names: numbers or names of lessons, in this order; all without any
    """
    found = {f"{VERSIONS}{name}": np.array(version) for name, version in versions().items()}
    with tempfile.TemporaryDirectory() as figures:
        options = {"data": data, "figures": Path(figures), "workers": 1}  # several have tests of their own
        for lesson in lessons.select(names):
            main = lessons.load(lesson.path).main
            taken = inspect.signature(main).parameters
            with contextlib.redirect_stdout(io.StringIO()):
                result = main(**{name: value for name, value in options.items() if name in taken})
            found |= {f"{lesson.name}/{name}": array for name, array in leaves(result._asdict())}
    np.savez(file, **found)


def leaves(value: object, name: str = "") -> Iterator[tuple[str, np.ndarray]]:
    """Yield every number and array in a lesson's result, with the names of the fields and keys that lead to it.

    But what took how long, which is never the same twice.
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
    """Return by lesson the largest difference of any array, relative to that array's largest number.

    Where an array has another shape, as after another number of steps, it is infinite.
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
    if not np.array_equal(finite, np.isfinite(other)):  # nor are those of other shapes
        return float("inf")
    one, other = one[finite].astype(float), other[finite].astype(float)
    return float(abs(one - other).max() / max(abs(one).max(), np.finfo(np.float32).tiny))


def renew(oldest: tyro.conf.Positional[Path], newest: tyro.conf.Positional[Path]) -> None:
    """Put into README.md the versions that were verified last, and by how much their results differ.

    Args:
        oldest: what `save` wrote with the oldest supported versions
        newest: the same of the newest
    """
    one, other = _read(oldest), _read(newest)
    names = [name for name in one if name.startswith(VERSIONS)]
    rows = [[name.removeprefix(VERSIONS), one[name], other.get(name, "")] for name in names]
    found = [[name, f"{value:.1g}" if value else "none"] for name, value in differences(one, other).items()]
    tables = (
        report.table(["", "oldest", "newest"], rows, "github"),
        report.table(["lesson", "largest relative difference"], found, "github"),
    )
    readme.replace({"verified": "\n\n".join(tables)})


def _read(file: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(file) as arrays:
            return dict(arrays)
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: {error}; write it with: make oldest newest") from error


if __name__ == "__main__":
    cli.run(save)
