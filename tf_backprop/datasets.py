"""The data sets of the five documents, from a seeded generator, and MNIST (or, without it, scikit-learn's digits)."""

import gzip
import hashlib
import os
import time
import urllib.request
import zipfile
import zlib
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Literal, NamedTuple

from tf_backprop.errors import DataError, UsageError
from tf_backprop.plotting import write_atomically

import numpy as np

Choice = Literal["auto", "mnist", "digits"]

MNIST_URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"
MNIST_SHA256 = "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"
MNIST_BYTES = 11_490_434

#: Seconds without an answer, and the slowest average (bytes a second, after that long), that a download may have.
TIMEOUT, SLOWEST = 8.0, 50_000

#: Standard deviation of the noise on the two moons (D5).
MOONS_NOISE = 0.2

_TRAINING, _TEST, _VALIDATION, _PIXELS = 60_000, 10_000, 5_000, 28 * 28


class Labelled(NamedTuple):
    """Rows of features and one label a row."""

    x: np.ndarray
    y: np.ndarray


class Images(NamedTuple):
    """Images as rows (n, side²) of float32 in [0, 1], with integer labels (n,) from 0 to 9, in three parts."""

    name: str  # "MNIST" or "digits"
    train: Labelled
    validation: Labelled
    test: Labelled

    def passes(self, epochs: int) -> int:
        """Return how many passes over these training images are as many updates as `epochs` over MNIST's."""
        return epochs * (_TRAINING - _VALIDATION) // len(self.train.y)


# --------------------------------------------------------------------------------------------------------------------
# The documents' own data


def regression(rng: np.random.Generator) -> Labelled:
    """Return 100 draws x ~ N(1, 0.1), shape (100,), each with the target 10 (D1, first half)."""
    return Labelled(rng.normal(1.0, 0.1, 100).astype(np.float32), np.full(100, 10, np.float32))


def two_classes(rng: np.random.Generator) -> Labelled:
    """Return 50 draws of N(-1, 1) labelled 0 and 50 of N(3, 1) labelled 1, shape (100,) (D1, second half).

    The document's comments say N(1, 1) for the second class; its code, and its result, say 3.
    """
    x = np.concatenate([rng.normal(-1.0, 1.0, 50), rng.normal(3.0, 1.0, 50)])
    return Labelled(x.astype(np.float32), np.repeat(np.float32([0, 1]), 50))


def volume_and_weight() -> Labelled:
    """Return 32 points (32, 2) in the unit square and labels (32, 1), 1 where x0 + x1 < 1 (D2; its own fixed seed)."""
    x = np.random.RandomState(23455).rand(32, 2)
    return Labelled(x.astype(np.float32), (x.sum(axis=1, keepdims=True) < 1).astype(np.float32))


def unit_square(rng: np.random.Generator) -> tuple[Labelled, Labelled]:
    """Return 1,100 training and 10,000 test points x (n, 2) of the unit square, labels y (n,), 1 where x0 + x1 < 1."""
    x, x_test = (rng.random((n, 2), np.float32) for n in (1100, 10_000))
    return Labelled(x, (x.sum(axis=1) < 1).astype(np.int32)), Labelled(
        x_test, (x_test.sum(axis=1) < 1).astype(np.int32)
    )


def moons() -> tuple[Labelled, Labelled]:
    """Return 1,400 training and 600 test points of two noisy half-moons, x (n, 2), labels y (n,) (D5; fixed seeds)."""
    from sklearn.datasets import make_moons
    from sklearn.model_selection import train_test_split

    x, y = make_moons(n_samples=2000, noise=MOONS_NOISE, random_state=100)
    x, x_test, y, y_test = train_test_split(x.astype(np.float32), y.astype(np.int32), test_size=0.3, random_state=42)
    return Labelled(x, y), Labelled(x_test, y_test)


def moons_probability(x: np.ndarray) -> np.ndarray:
    """Return P(class 1) (n,) at x (n, 2) by Bayes' rule from how the moons were made: no classifier can know more.

    Each moon is an arc of equally likely points, scattered by Gaussian noise.
    """
    from sklearn.datasets import make_moons

    arcs, label = make_moons(400, shuffle=False, noise=None)
    square = ((x[:, np.newaxis].astype(np.float64) - arcs) ** 2).sum(axis=2)  # (n, 400) distances to their points
    density = np.exp((square.min(axis=1, keepdims=True) - square) / (2 * MOONS_NOISE**2))
    return density[:, label == 1].sum(axis=1) / density.sum(axis=1)


# --------------------------------------------------------------------------------------------------------------------
# Images


def images(data: Choice = "auto", mnist_dir: Path | str | None = None, batch_size: int = 1) -> Images:
    """Return MNIST, or the 8×8 digits that come with scikit-learn, and print in one line which and from where.

    MNIST is 55,000 / 5,000 / 10,000 images of 28×28, the first 5,000 of the training file being the validation part;
    the digits are 1,100 / 197 / 500. MNIST is looked for in `mnist_dir` or the environment's ``MNIST_DIR`` (four IDX
    files, gzipped or not, or one ``mnist.npz``), in Keras's cache, in our own, and on the network.

    Parameters
    ----------
    data
        ``"mnist"``: that or an error. ``"digits"``: those. ``"auto"``: MNIST, or the digits where there is none.
    mnist_dir
        A folder, or an ``.npz`` file. When it is named, nothing else will do.
    batch_size
        What the lesson wants to take at a time.

    Raises
    ------
    UsageError
        When there are fewer training images than `batch_size`.
    DataError
        When the named folder, or a cached or downloaded file, does not hold MNIST; it is left as it was.
    """
    if data not in ("auto", "mnist", "digits"):
        raise UsageError(f"--data must be auto, mnist or digits, not {data}")
    found = _digits() if data == "digits" else _mnist_or_digits(data, mnist_dir)
    if batch_size > len(found.train.y):
        raise UsageError(f"--batch-size {batch_size} is more than the {len(found.train.y):,} training images")
    return found


def find_mnist(mnist_dir: Path | str | None = None) -> tuple[Path, dict[str, np.ndarray]] | None:
    """Return where MNIST is on this machine, and its arrays of bytes; None when it is not here.

    Raises
    ------
    DataError
        When the named folder, or a cached file, does not hold MNIST.
    """
    named = mnist_dir if mnist_dir is not None else os.environ.get("MNIST_DIR") or None
    if named is not None:
        return Path(named), _read_folder(Path(named))
    keras = Path(os.environ.get("KERAS_HOME") or _home() / ".keras") / "datasets" / "mnist.npz"
    for cached in (keras, _own_cache()):
        if cached.is_file():
            return cached, _read_npz(cached)
    return None


def _own_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or _home() / ".cache") / "tf-backprop" / "mnist.npz"


def _mnist_or_digits(data: Choice, mnist_dir: Path | str | None) -> Images:
    found = find_mnist(mnist_dir)
    if found is not None:
        return _mnist(*found)
    try:
        _download(_own_cache())
    except (OSError, ValueError, HTTPException) as error:  # no server, no HTTP, no sense in a proxy's name, no room
        reason = str(getattr(error, "reason", None) or error)
        if data == "mnist":
            raise DataError(
                f"MNIST is neither on this machine nor to be had from {MNIST_URL} ({reason}): name a folder that has "
                "it with --mnist-dir, or use --data digits"
            ) from None
        return _digits(f", for there is no MNIST here and none to be downloaded ({reason})")
    return _mnist(_own_cache(), _read_npz(_own_cache()))


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:  # no HOME and no entry in the password file
        return Path()


def _digits(because: str = "") -> Images:
    from sklearn.datasets import load_digits

    raw = load_digits()
    x, y = (raw.data / 16).astype(np.float32), raw.target.astype(np.int32)
    # 1,100 to train: 11 batches of 100, so that a whole number of passes gives as many updates as MNIST's ten.
    parts = [Labelled(x[part], y[part]) for part in (slice(0, 197), slice(197, 1297), slice(1297, None))]
    print(f"data: scikit-learn's digits, 1,100 / 197 / 500 images of 8x8{because}")
    return Images("digits", parts[1], parts[0], parts[2])


def _mnist(source: Path, arrays: dict[str, np.ndarray]) -> Images:
    """Convert the bytes once; the three parts are views."""
    scale = np.float32(1 / 255)
    x, x_test = (np.multiply(arrays[k].reshape(-1, _PIXELS), scale, dtype=np.float32) for k in ("x_train", "x_test"))
    y, y_test = (arrays[k].astype(np.int32) for k in ("y_train", "y_test"))
    print(f"data: MNIST from {source}, 55,000 / 5,000 / 10,000 images of 28x28")
    train, validation = Labelled(x[_VALIDATION:], y[_VALIDATION:]), Labelled(x[:_VALIDATION], y[:_VALIDATION])
    return Images("MNIST", train, validation, Labelled(x_test, y_test))


#: name in an .npz: the IDX file's stem, its shape
_FILES: dict[str, tuple[str, tuple[int, ...]]] = {
    "x_train": ("train-images-idx3-ubyte", (_TRAINING, 28, 28)),
    "y_train": ("train-labels-idx1-ubyte", (_TRAINING,)),
    "x_test": ("t10k-images-idx3-ubyte", (_TEST, 28, 28)),
    "y_test": ("t10k-labels-idx1-ubyte", (_TEST,)),
}


_NPY_HEADER = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def _read_folder(folder: Path) -> dict[str, np.ndarray]:
    if not folder.exists():
        raise DataError(f"{folder}: there is no such folder; --mnist-dir and MNIST_DIR name one with MNIST's files")
    if folder.is_file():
        if folder.suffix != ".npz":
            raise DataError(f"{folder}: is a file; name the folder with MNIST's four IDX files, or an .npz file")
        return _read_npz(folder)
    if (folder / "mnist.npz").exists():
        return _read_npz(folder / "mnist.npz")
    return {name: _read_idx(_find_idx(folder, stem), shape) for name, (stem, shape) in _FILES.items()}


def _find_idx(folder: Path, stem: str) -> Path:
    """Return the one file of this stem: with or without .gz, and with the dot that some copies have."""
    stems = (stem, stem.replace("-idx", ".idx"))
    found = [path for s in stems for path in (folder / s, folder / f"{s}.gz") if os.path.lexists(path)]
    if not found:
        raise DataError(f"{folder / stem}: missing, with .gz and without")
    if len(found) > 1 and len({hashlib.sha256(_opener(path)(-1)).digest() for path in found}) > 1:
        raise DataError(f"{found[0]} and {found[1].name} differ: remove the one that is not MNIST")
    return found[0]


def _opener(path: Path) -> Callable[[int], bytes]:
    """Return a function that reads the first bytes of `path`, decompressed, or raises DataError."""
    gzipped = path.suffix == ".gz"

    def read(size: int) -> bytes:
        try:
            with gzip.open(path) if gzipped else open(path, "rb") as file:
                return file.read(size)
        except gzip.BadGzipFile as error:
            raise DataError(f"{path}: not a whole gzip file ({error})") from None
        except (EOFError, zlib.error):
            raise DataError(f"{path}: the gzip file is damaged or cut short") from None
        except OSError as error:
            raise DataError(f"{path}: {error.strerror or error}") from None

    return read


def _read_idx(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Read an IDX file of unsigned bytes: two zeros, type 8, the number of axes, each length, then the bytes."""
    header = 4 + 4 * len(shape)
    size = header + int(np.prod(shape))
    content = _opener(path)(size + 1)  # one more than there should be, so that a longer file is noticed
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


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    """Read Keras's form of MNIST; never an object array, and no more bytes than MNIST has."""
    arrays = {}
    try:
        with zipfile.ZipFile(path) as archive, np.load(path, allow_pickle=False) as file:
            for name, (_, shape) in _FILES.items():
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


def _download(path: Path) -> None:
    """Fetch Keras's ``mnist.npz`` to `path`, whole and with the right checksum or not at all; raises OSError."""
    from rich.progress import Progress

    start = time.monotonic()
    content = bytearray()
    with urllib.request.urlopen(MNIST_URL, timeout=TIMEOUT) as answer, Progress(transient=True) as progress:
        task = progress.add_task("downloading MNIST", total=MNIST_BYTES)
        while chunk := answer.read1(1 << 16):
            content += chunk
            progress.update(task, completed=len(content))
            seconds = time.monotonic() - start
            if seconds > TIMEOUT and len(content) < SLOWEST * seconds:
                raise TimeoutError("too slow")
            if len(content) > MNIST_BYTES:
                break
    if hashlib.sha256(content).hexdigest() != MNIST_SHA256:
        raise OSError("what came is not MNIST")
    write_atomically(path, lambda file: file.write(content))
