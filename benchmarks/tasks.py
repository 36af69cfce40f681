"""What is trained, as data that are sent to a worker process, which makes the large arrays itself, once."""

import functools
from typing import NamedTuple

from tf_backprop import datasets

import numpy as np

CLASSES = 10


class Softmax(NamedTuple):
    """Softmax regression as in lessons 09 to 11."""

    mnist_dir: str | None  # None means synthetic images
    rows: int = 55_000
    pixels: int = 784
    batch_size: int = 100
    learning_rate: float = 0.01
    seed: int = 0

    @property
    def images(self) -> datasets.Labelled:
        """Return x (rows, pixels), float32 from 0 to 1, which is what most ways start from, and y (rows,) int32."""
        return _floats(self.mnist_dir, self.rows, self.pixels)

    @property
    def bytes(self) -> datasets.Labelled:
        """Return the same images as bytes, which is what the lessons start from."""
        return _bytes(self.mnist_dir, self.rows, self.pixels)

    def batches(self, epochs: int) -> list[np.ndarray]:
        """Return the indices (steps, batch_size) of the batches of each epoch, in the lessons' order."""
        rng, fitting = np.random.default_rng(self.seed), self.rows // self.batch_size * self.batch_size
        return [rng.permutation(self.rows)[:fitting].reshape(-1, self.batch_size) for _ in range(epochs)]


class Moons(NamedTuple):
    """The network of lesson 12, one sample per step."""

    X: np.ndarray  # (n, 2)
    Y: np.ndarray  # (n, 2)
    parameters: dict[str, np.ndarray]  # W1 (2, 25), b1 (25,), ... W4 (25, 2), b4 (2,)
    learning_rate: float = 0.01


@functools.lru_cache(maxsize=1)
def _floats(mnist_dir: str | None, rows: int, pixels: int) -> datasets.Labelled:
    x, y = _bytes(mnist_dir, rows, pixels)
    return datasets.Labelled(np.float32(x) / 255, y)


@functools.lru_cache(maxsize=1)
def _bytes(mnist_dir: str | None, rows: int, pixels: int) -> datasets.Labelled:
    if mnist_dir is not None:
        return datasets.images("mnist", mnist_dir or None).train
    rng = np.random.default_rng(0)
    x = rng.integers(256, size=(rows, pixels), dtype=np.uint8)
    y = (np.float32(x) @ rng.normal(size=(pixels, CLASSES)).astype(np.float32)).argmax(axis=1)
    return datasets.Labelled(x, y.astype(np.int32))
