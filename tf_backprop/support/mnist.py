"""MNIST's files: found on this machine by their content, read with every check that there is, or downloaded."""

import contextlib
import gzip
import hashlib
import io
import os
import sys
import threading
import time
import urllib.request
import zipfile
import zlib
from http.client import HTTPException
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

from tf_backprop.support.errors import DataError
from tf_backprop.support.files import write_atomically

import numpy as np

#: What ``--data`` may be.
Choice = Literal["auto", "mnist", "digits"]
#: Two sources: Keras's file, and the folder of the four IDX files that torchvision takes.
URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"
MIRROR = "https://ossci-datasets.s3.amazonaws.com/mnist/"
#: SHA-256 of MNIST's bytes, headers aside: training images and labels, test images and labels.
SHA256 = "06b0d1f124c4e5fa796686ade41a9b778edacc8622f2195a352ef479ad44fc16"
#: MD5 of the four files of Fashion-MNIST, unpacked, in the order of FILES.
FASHION = "f4a8712d7a061bf5bd6d2ca38dc4d50a 9018921c3c673c538a1fc5bad174d6f9 "
FASHION += "8181f5470baa50b63fa0f6fddb340f0a 15d484375f8d13e6eb1aabb0c3f46965"
WANTED = "--mnist-dir and MNIST_DIR name the folder of MNIST's four files, or an .npz file"
#: Bytes that a download has, about, and that no file of MNIST's exceeds.
DOWNLOAD, LARGEST = 11_500_000, 60_000_000
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


class Found(NamedTuple):
    """Images of MNIST's form."""

    place: Path | str
    arrays: dict[str, np.ndarray]  # bytes, by the names of FILES
    name: str  # "MNIST" if they are the documents', "Fashion-MNIST", or "other"


def find(mnist_dir: Path | str | None = None) -> tuple[Found | None, list[str]]:
    """Return what the named folder holds, or MNIST from a cache; and what is wrong with caches that were passed over.

    `DataError` is raised when the named folder, or that of ``MNIST_DIR``, holds no images of MNIST's form.
    """
    named = mnist_dir if mnist_dir is not None else os.environ.get("MNIST_DIR") or None
    if named is not None:
        return _read_named(Path(os.path.expanduser(named))), []
    problems = []
    for cached in (_below("KERAS_HOME", ".keras") / "datasets" / "mnist.npz", own_cache()):
        try:
            if (found := _found(cached, read_npz(cached))).name == "MNIST":
                return found, problems
            problems.append(f"{cached}: is not the MNIST of the documents")
        except DataError as error:
            if os.path.lexists(cached):
                problems.append(str(error))
    return None, problems


def own_cache() -> Path:
    """Return where a download is kept."""
    return _below("XDG_CACHE_HOME", ".cache") / "tf-backprop" / "mnist.npz"


def _below(variable: str, name: str) -> Path:
    return Path(os.environ.get(variable) or os.path.expanduser(os.path.join("~", name)))


def _found(place: Path | str, arrays: dict[str, np.ndarray]) -> Found:
    digest = hashlib.sha256()
    for name, array in arrays.items():  # in the order of FILES
        if array.ndim == 1 and array.max() > 9:
            raise DataError(f"{place}: {name} has a label {array.max()}, MNIST's go from 0 to 9")
        digest.update(array)
    if digest.hexdigest() == SHA256:
        return Found(place, arrays, "MNIST")
    md5 = [hashlib.md5(_header(a.shape) + a.tobytes(), usedforsecurity=False).hexdigest() for a in arrays.values()]
    return Found(place, arrays, "Fashion-MNIST" if md5 == FASHION.split() else "other")


def _read_named(place: Path) -> Found:
    """Return what is here or in a folder below, as in torchvision's root; MNIST before other images."""
    try:
        if place.is_file():
            return _found(place, read_npz(place))
        below = [folder for pattern in ("*", "*/raw") for folder in sorted(place.glob(pattern)) if folder.is_dir()]
        holding = {folder: _holding(folder) for folder in (place, *below)}
    except OSError as error:
        raise DataError(f"{error.filename}: {error.strerror}; {WANTED}") from None
    found, errors = [], []
    for folder in sorted(holding, key=lambda folder: -len(holding[folder])):  # a whole set first
        try:
            found.append(_found(folder, _read_folder(folder, holding[folder])))
        except DataError as error:
            errors.append(error)
    if not found:
        raise errors[0]
    return min(found, key=lambda images: images.name != "MNIST")


def _holding(folder: Path) -> dict[str, Path]:
    """Return which file holds which array by how it starts, whatever it is called."""
    if (folder / "mnist.npz").exists():
        return dict.fromkeys(FILES, folder / "mnist.npz")
    holding = {}
    for path in sorted(path for path in folder.iterdir() if path.is_file() and path.stat().st_size <= LARGEST):
        with contextlib.suppress(DataError):
            start = _read(path, 16)
            holding |= {name: path for name, (_, shape) in FILES.items() if start.startswith(_header(shape))}
    return holding


def _read_folder(folder: Path, holding: dict[str, Path]) -> dict[str, np.ndarray]:
    if folder / "mnist.npz" in holding.values():
        return read_npz(folder / "mnist.npz")
    for name, (stem, shape) in FILES.items():
        if name not in holding:
            for path in filter(os.path.lexists, (folder / stem, folder / f"{stem}.gz")):
                seen = _read(path, 16).hex()
                raise DataError(f"{path}: starts with {seen or 'nothing'}, MNIST's with {_header(shape).hex()}")
            raise DataError(f"{folder}: no file holds {_times(shape)} bytes in IDX form, as {stem} does; {WANTED}")
    return {name: _from_idx(_read(holding[name]), shape, holding[name]) for name, (_, shape) in FILES.items()}


def _header(shape: tuple[int, ...]) -> bytes:
    """Return how an IDX file of unsigned bytes starts: two zeros, type 8, the number of axes, and each length."""
    return bytes([0, 0, 8, len(shape)]) + b"".join(length.to_bytes(4, "big") for length in shape)


def _read(path: Path, size: int = LARGEST) -> bytes:
    """Return the first bytes of `path`, decompressed if they are gzip's, whatever its name."""
    try:
        with open(path, "rb") as file:
            return _unpacked(file, size)
    except gzip.BadGzipFile as error:
        raise DataError(f"{path}: not a whole gzip file ({error})") from None
    except (EOFError, zlib.error):
        raise DataError(f"{path}: the gzip file is damaged or cut short") from None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None


def _unpacked(file: BinaryIO, size: int = LARGEST) -> bytes:
    packed = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    return (gzip.GzipFile(fileobj=file) if packed else file).read(size)


def _from_idx(content: bytes, shape: tuple[int, ...], path: Path | str) -> np.ndarray:
    header = _header(shape)
    size = len(header) + int(np.prod(shape))
    if not content.startswith(header) or len(content) != size:
        raise DataError(f"{path}: has {'fewer' if len(content) < size else 'more'} bytes than its header says")
    return np.frombuffer(content, np.uint8, offset=len(header)).reshape(shape)


_NPY_HEADER = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_npz(path: Path | str, content: BinaryIO | None = None) -> dict[str, np.ndarray]:
    """Read Keras's form of MNIST; never an object array, and no more bytes than MNIST has."""
    arrays = {}
    try:
        with zipfile.ZipFile(content or path) as archive:
            for name, (_, shape) in FILES.items():
                with archive.open(f"{name}.npy") as member:  # its header, before room is made for what it promises
                    found, columns, dtype = _NPY_HEADER[np.lib.format.read_magic(member)](member)
                    if found != shape or dtype != np.uint8 or columns:
                        raise DataError(
                            f"{path}: {name} is {dtype} of {_times(found)}, MNIST's is uint8 of {_times(shape)}"
                        )
                    read = member.read(int(np.prod(shape)) + 1)  # one more, or its checksum is not looked at
                arrays[name] = np.frombuffer(read, np.uint8).reshape(shape)
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, KeyError, NotImplementedError) as error:
        raise DataError(f"{path}: no readable .npz file ({error})") from None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None
    return arrays


def _times(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "one number"


def download() -> Found:
    """Fetch MNIST from the first source that has it, check it, keep it in our cache where that can be, and return it.

    `ConnectionError` is raised when it cannot be had; the message is the reason.
    """
    reasons = []
    for urls in ([URL], [f"{MIRROR}{stem}.gz" for stem, _ in FILES.values()]):
        try:
            bodies = [io.BytesIO(_fetch(url)) for url in urls]
            if len(bodies) == 1:
                arrays = read_npz(URL, *bodies)
            else:
                kinds = zip(FILES.items(), bodies, strict=True)
                arrays = {name: _from_idx(_unpacked(body), shape, stem) for (name, (stem, shape)), body in kinds}
            if (found := _found(urls[0], arrays)).name != "MNIST":
                raise DataError("what came is not MNIST")
            with contextlib.suppress(DataError):
                write_atomically(own_cache(), lambda file: np.savez(file, **found.arrays))
            return found
        except (OSError, EOFError, ValueError, HTTPException, zlib.error, DataError) as error:
            reasons.append(str(getattr(error, "reason", None) or error))
    raise ConnectionError("; ".join(dict.fromkeys(reasons)))


def _fetch(url: str) -> bytes:
    """Return what is at `url`. A thread receives it, for nothing else bounds the look-up of a name."""
    from rich.console import Console
    from rich.progress import Progress

    content, errors, start = bytearray(), [], time.monotonic()

    def receive() -> None:
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
                while len(content) < LARGEST and (chunk := answer.read1(1 << 16)):
                    content.extend(chunk)
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=receive, daemon=True)
    thread.start()
    console = Console(quiet=not (sys.stdout and sys.stdout.isatty()))
    with Progress(transient=True, console=console) as progress:
        task = progress.add_task("downloading MNIST", total=DOWNLOAD)
        while thread.is_alive():
            thread.join(0.05)
            progress.update(task, completed=len(content))
            seconds = time.monotonic() - start
            if seconds > TIMEOUT and len(content) < SLOWEST * seconds:
                raise TimeoutError("no answer, or too slow a one")
    for error in errors:
        raise error
    return bytes(content)
