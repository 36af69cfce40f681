"""The data sets of the five documents, from a seeded generator, and MNIST (or, without it, scikit-learn's digits)."""

from pathlib import Path
from typing import NamedTuple

from tf_backprop.support import mnist
from tf_backprop.support.errors import DataError, UsageError
from tf_backprop.support.mnist import Choice

import numpy as np

#: Standard deviation of the noise on the two moons (D5).
MOONS_NOISE = 0.2

_VALIDATION, _PIXELS = 5_000, 28 * 28


class Labelled(NamedTuple):
    """Rows of features and one label a row."""

    x: np.ndarray
    y: np.ndarray


class Images(NamedTuple):
    """Images as rows (n, side²) of bytes, 0 to 255, with integer labels (n,) from 0 to 9, in three parts."""

    name: str  # "MNIST", "digits", and for other images of MNIST's form "Fashion-MNIST" or "other"
    train: Labelled
    validation: Labelled
    test: Labelled

    def passes(self, epochs: int) -> int:
        """Return how many passes over these training images are as many updates as `epochs` over MNIST's."""
        return epochs * (mnist.TRAINING - _VALIDATION) // len(self.train.y)

    def figure(self, stem: str) -> str:
        """Return the name of a lesson's figure: the committed one is of MNIST, and other images get another name."""
        return stem if self.name == "MNIST" else f"{stem}_{self.name}"


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


def images(data: Choice = "auto", mnist_dir: Path | str | None = None, batch_size: int = 1) -> Images:
    """Return MNIST, or the 8×8 digits that come with scikit-learn, and print in one line which and from where.

    MNIST is 55,000 / 5,000 / 10,000 images of 28×28, the first 5,000 of the training file being the validation part;
    the digits are 1,100 / 197 / 500. Pixels stay bytes until a batch is used: ``tf.cast(x, tf.float32) / 255`` makes
    numbers from 0 to 1 of them. MNIST is looked for in `mnist_dir` or the environment's ``MNIST_DIR`` (four IDX files,
    gzipped or not, or one ``mnist.npz``), in Keras's cache, in our own, and on the network. Other images of that form
    are taken only from a folder that is named.

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
        When the named folder does not hold images of MNIST's form; it is left as it was.
    """
    if data not in ("auto", "mnist", "digits"):
        raise UsageError(f"--data must be auto, mnist or digits, not {data}")
    found = _digits() if data == "digits" else _mnist_or_digits(data, mnist_dir)
    if batch_size > len(found.train.y):
        raise UsageError(f"--batch-size {batch_size} is more than the {len(found.train.y):,} training images")
    return found


def _mnist_or_digits(data: Choice, mnist_dir: Path | str | None) -> Images:
    found, problems = mnist.find(mnist_dir)
    try:
        return _mnist(*(found or mnist.download()))
    except ConnectionError as error:
        why = f"there is no MNIST here and none to be downloaded ({'; '.join([*problems, str(error)])})"
        if data == "mnist":
            raise DataError(f"{why}: name a folder that has it with --mnist-dir, or use --data digits") from None
        return _digits(f", for {why}")


def _digits(because: str = "") -> Images:
    from sklearn.datasets import load_digits

    raw = load_digits()
    x, y = np.round(raw.data * 255 / 16).astype(np.uint8), raw.target.astype(np.int32)
    # 1,100 to train: 11 batches of 100, so that a whole number of passes gives as many updates as MNIST's ten.
    parts = [Labelled(x[part], y[part]) for part in (slice(0, 197), slice(197, 1297), slice(1297, None))]
    print(f"data: scikit-learn's digits, 1,100 / 197 / 500 images of 8x8{because}")
    return Images("digits", parts[1], parts[0], parts[2])


def _mnist(source: Path | str, arrays: dict[str, np.ndarray], name: str) -> Images:
    x, x_test = (arrays[key].reshape(-1, _PIXELS) for key in ("x_train", "x_test"))
    y, y_test = (arrays[k].astype(np.int32) for k in ("y_train", "y_test"))
    called = name if name != "other" else "not the MNIST of the documents, but images of its form"
    print(f"data: {called} from {source}, 55,000 / 5,000 / 10,000 images of 28x28")
    train, validation = Labelled(x[_VALIDATION:], y[_VALIDATION:]), Labelled(x[:_VALIDATION], y[:_VALIDATION])
    return Images(name, train, validation, Labelled(x_test, y_test))
