"""MNIST's files: found on this machine, read with every check that there is, or downloaded."""

import gzip
import hashlib
import os
import time
import urllib.request
import zipfile
import zlib
from http.client import HTTPException
from pathlib import Path
from typing import Literal

from tf_backprop.support.errors import DataError
from tf_backprop.support.files import write_atomically

import numpy as np

#: What ``--data`` may be.
Choice = Literal["auto", "mnist", "digits"]

URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"
SHA256 = "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"
BYTES = 11_490_434

#: Seconds without an answer, and the slowest average (bytes a second, after that long), that a download may have.
TIMEOUT, SLOWEST = 8.0, 50_000

#: Rows of the training file and of the test file.
TRAINING, TEST = 60_000, 10_000

#: name in an .npz: the IDX file's stem, its shape
FILES: dict[str, tuple[str, tuple[int, ...]]] = {
    "x_train": ("train-images-idx3-ubyte", (TRAINING, 28, 28)),
    "y_train": ("train-labels-idx1-ubyte", (TRAINING,)),
    "x_test": ("t10k-images-idx3-ubyte", (TEST, 28, 28)),
    "y_test": ("t10k-labels-idx1-ubyte", (TEST,)),
}


def find(mnist_dir: Path | str | None = None) -> tuple[Path, dict[str, np.ndarray]] | None:
    """Return where MNIST is on this machine, and its arrays of bytes; None when it is not here.

    `DataError` is raised when the named folder, or a cached file, does not hold MNIST.
    """
    named = mnist_dir if mnist_dir is not None else os.environ.get("MNIST_DIR") or None
    if named is not None:
        return Path(named), _read_folder(Path(named))
    keras = Path(os.environ.get("KERAS_HOME") or _home() / ".keras") / "datasets" / "mnist.npz"
    for cached in (keras, own_cache()):
        if cached.is_file():
            return cached, read_npz(cached)
    return None


def own_cache() -> Path:
    """Return where a download is kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or _home() / ".cache") / "tf-backprop" / "mnist.npz"


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:  # no HOME and no entry in the password file
        return Path()


_NPY_HEADER = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def _read_folder(folder: Path) -> dict[str, np.ndarray]:
    if not folder.exists():
        raise DataError(f"{folder}: there is no such folder; --mnist-dir and MNIST_DIR name one with MNIST's files")
    if folder.is_file():
        if folder.suffix != ".npz":
            raise DataError(f"{folder}: is a file; name the folder with MNIST's four IDX files, or an .npz file")
        return read_npz(folder)
    if (folder / "mnist.npz").exists():
        return read_npz(folder / "mnist.npz")
    return {name: _read_idx(_find_idx(folder, stem), shape) for name, (stem, shape) in FILES.items()}


def _find_idx(folder: Path, stem: str) -> Path:
    """Return the one file of this stem: with or without .gz, and with the dot that some copies have."""
    stems = (stem, stem.replace("-idx", ".idx"))
    found = [path for s in stems for path in (folder / s, folder / f"{s}.gz") if os.path.lexists(path)]
    if not found:
        raise DataError(f"{folder / stem}: missing, with .gz and without")
    if len(found) > 1 and len({hashlib.sha256(_read(path)).digest() for path in found}) > 1:
        raise DataError(f"{found[0]} and {found[1].name} differ: remove the one that is not MNIST")
    return found[0]


def _read(path: Path, size: int = -1) -> bytes:
    """Return the first bytes of `path`, decompressed."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
            return file.read(size)
    except gzip.BadGzipFile as error:
        raise DataError(f"{path}: not a whole gzip file ({error})") from None
    except (EOFError, zlib.error):
        raise DataError(f"{path}: the gzip file is damaged or cut short") from None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None


def _read_idx(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Read an IDX file of unsigned bytes: two zeros, type 8, the number of axes, each length, then the bytes."""
    header = 4 + 4 * len(shape)
    size = header + int(np.prod(shape))
    content = _read(path, size + 1)  # one more than there should be, so that a longer file is noticed
    if len(content) < header:
        raise DataError(f"{path}: {len(content)} bytes are no IDX file")
    if content[:4] != bytes([0, 0, 8, len(shape)]):
        raise DataError(f"{path}: starts with {content[:4].hex()}, MNIST's with {bytes([0, 0, 8, len(shape)]).hex()}")
    found = tuple(int(n) for n in np.frombuffer(content[4:header], ">u4"))
    if found != shape:
        raise DataError(f"{path}: holds {_times(found)}, MNIST has {_times(shape)}")
    if len(content) != size:
        raise DataError(f"{path}: has {'fewer' if len(content) < size else 'more'} bytes than its header says")
    return _checked(np.frombuffer(content, np.uint8, offset=header).reshape(shape), path)


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Read Keras's form of MNIST; never an object array, and no more bytes than MNIST has."""
    arrays = {}
    try:
        with zipfile.ZipFile(path) as archive, np.load(path, allow_pickle=False) as file:
            for name, (_, shape) in FILES.items():
                if name not in file.files:
                    raise DataError(f"{path}: has no array {name}")
                if archive.getinfo(f"{name}.npy").file_size > np.prod(shape) * 8 + 4096:
                    raise DataError(f"{path}: {name} is larger than MNIST's could be")
                with archive.open(f"{name}.npy") as member:  # its header, before room is made for what it promises
                    found, _, dtype = _NPY_HEADER[np.lib.format.read_magic(member)](member)
                if found != shape or dtype != np.uint8:
                    raise DataError(
                        f"{path}: {name} is {dtype} of {_times(found)}, MNIST's is uint8 of {_times(shape)}"
                    )
                arrays[name] = _checked(file[name], path)
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, KeyError, NotImplementedError) as error:
        raise DataError(f"{path}: no readable .npz file ({error})") from None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None
    return arrays


def _checked(array: np.ndarray, path: Path) -> np.ndarray:
    if array.ndim == 1 and array.max() > 9:
        raise DataError(f"{path}: has a label {array.max()}, MNIST's go from 0 to 9")
    return array


def _times(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "one number"


def download() -> tuple[Path, dict[str, np.ndarray]]:
    """Fetch Keras's ``mnist.npz`` into our cache, whole and with the right checksum, and return place and arrays.

    `ConnectionError` is raised when it cannot be had, or not be kept; the message is the reason.
    """
    try:
        content = _fetch()
        if hashlib.sha256(content).hexdigest() != SHA256:
            raise OSError("what came is not MNIST")
        write_atomically(own_cache(), lambda file: file.write(content))
    except (OSError, ValueError, HTTPException) as error:  # no server, no HTTP, no sense in a proxy's name, no room
        raise ConnectionError(str(getattr(error, "reason", None) or error)) from None
    return own_cache(), read_npz(own_cache())


def _fetch() -> bytes:
    from rich.progress import Progress

    start = time.monotonic()
    content = bytearray()
    with urllib.request.urlopen(URL, timeout=TIMEOUT) as answer, Progress(transient=True) as progress:
        task = progress.add_task("downloading MNIST", total=BYTES)
        while chunk := answer.read1(1 << 16):
            content += chunk
            progress.update(task, completed=len(content))
            seconds = time.monotonic() - start
            if seconds > TIMEOUT and len(content) < SLOWEST * seconds:
                raise TimeoutError("too slow")
            if len(content) > BYTES:
                break
    return bytes(content)
