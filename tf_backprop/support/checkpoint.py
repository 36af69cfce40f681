"""A training kept in a folder, so that a second start goes on where the first one ended, with the same bits."""

import io
import json
from collections.abc import Mapping
from pathlib import Path

from tf_backprop.support.errors import DataError, UsageError
from tf_backprop.support.files import write_atomically

import numpy as np


def save(folder: Path, arrays: Mapping[str, np.ndarray], settings: Mapping[str, object]) -> None:
    """Write ``folder/training.npz`` whole or not at all; `settings` must be the same for the training to go on."""
    content = {name: np.asarray(array) for name, array in arrays.items()} | {"settings": json.dumps(settings)}
    write_atomically(folder / "training.npz", lambda file: np.savez(file, **content), "--checkpoint")


def restore(folder: Path, settings: Mapping[str, object]) -> dict[str, np.ndarray]:
    """Return the arrays that `save` kept, by name; none where nothing is kept yet.

    Raises
    ------
    UsageError
        When the folder keeps a training with other settings.
    DataError
        When the folder cannot be made, or the file cannot be read.
    """
    file = folder / "training.npz"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            return {}
        found = io.BytesIO(file.read_bytes())
    except OSError as error:
        raise DataError(f"{folder}: {error.strerror}; name another folder with --checkpoint") from None
    try:
        with np.load(found) as content:
            arrays = dict(content)
        kept = dict(json.loads(str(arrays.pop("settings"))))
    except Exception:  # what is not whole makes NumPy and the libraries below it raise nine kinds of errors
        raise DataError(f"{file}: holds no whole training; remove it, or name another folder") from None
    other = [f"{name} {kept.get(name)}, not {value}" for name, value in settings.items() if kept.get(name) != value]
    if other:
        raise UsageError(f"--checkpoint {folder} holds a training with {', '.join(other)}")
    return arrays
