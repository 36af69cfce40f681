"""The same arithmetic, in NumPy alone."""

import time
from functools import partial

from benchmarks import tasks
from tf_backprop import check_gradients

import numpy as np

#: The gradients of softmax regression that are checked: a right one, and two that are wrong.
CHECKED = ("right", "no 1/n", "softmax over the batch")


def softmax(task: tasks.Softmax, epochs: int) -> float:
    """Train softmax regression; return the mean cost of the last epoch."""
    images, labels = task.images
    W, b = np.zeros((task.pixels, tasks.CLASSES), np.float32), np.zeros(tasks.CLASSES, np.float32)
    rate, rows = np.float32(task.learning_rate), np.arange(task.batch_size)
    for batches in task.batches(epochs):
        costs = []
        for batch in batches:
            x, y = images[batch], labels[batch]
            z = x @ W + b
            z -= z.max(axis=1, keepdims=True)
            p = np.exp(z)
            sums = p.sum(axis=1, keepdims=True)
            costs.append(np.mean(np.log(sums[:, 0]) - z[rows, y]))
            p /= sums
            p[rows, y] -= 1
            p /= len(batch)
            W -= rate * (x.T @ p)
            b -= rate * p.sum(axis=0)
    return float(np.mean(costs))


def moons(task: tasks.Moons, epochs: int) -> float:
    """Train lesson 12's network, one sample after the other, as D5 does; return the mean squared error."""
    W = [task.parameters[f"W{i}"].copy() for i in (1, 2, 3, 4)]
    b = [task.parameters[f"b{i}"].copy() for i in (1, 2, 3, 4)]
    rate = np.float32(task.learning_rate)
    for _ in range(epochs):
        for x, y in zip(task.X, task.Y, strict=True):
            a = [x]
            for i in range(4):
                a.append(1 / (1 + np.exp(-(a[i] @ W[i] + b[i]))))
            dL_dz = (a[4] - y) * a[4] * (1 - a[4])
            for i in (3, 2, 1, 0):
                dL_da = W[i] @ dL_dz  # before W changes
                W[i] -= rate * np.outer(a[i], dL_dz)
                b[i] -= rate * dL_dz
                dL_dz = dL_da * a[i] * (1 - a[i])
    a = task.X
    for i in range(4):
        a = 1 / (1 + np.exp(-(a @ W[i] + b[i])))
    return float(np.mean((a - task.Y) ** 2))


def softmax_loss(p, x, y):
    """Return the cross-entropy of softmax regression, a mean over the rows."""
    z = x @ p["W"] + p["b"]
    z -= z.max(axis=1, keepdims=True)
    return np.mean(np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(y)), y])


def softmax_gradients(p, x, y, which="right"):
    """Return its gradients, right or with a mistake."""
    z = x @ p["W"] + p["b"]
    e = np.exp(z - z.max(axis=1, keepdims=True))
    dL_dz = e / e.sum(axis=None if which == "softmax over the batch" else 1, keepdims=True) - np.eye(tasks.CLASSES)[y]
    dL_dz /= 1 if which == "no 1/n" else len(y)
    return {"W": x.T @ dL_dz, "b": dL_dz.sum(axis=0)}


def check(task: tasks.Softmax, repetitions: int = 15) -> list[dict]:
    """Return the least seconds of a whole check of one batch, and of one evaluation of its loss, for each gradient."""
    rng, n = np.random.default_rng(task.seed), task.batch_size
    p = {"W": rng.normal(0, 0.1, (task.pixels, tasks.CLASSES)), "b": rng.normal(0, 0.1, tasks.CLASSES)}
    batch = np.float64(task.images[0][:n]), task.images[1][:n]

    def seconds(function):
        start = time.perf_counter()
        function()
        return time.perf_counter() - start

    found = []
    for which in CHECKED:
        checked = partial(check_gradients, softmax_loss, partial(softmax_gradients, which=which), p, *batch)
        verdict = checked().rows[0].verdict
        pairs = [(seconds(checked), seconds(partial(softmax_loss, p, *batch))) for _ in range(repetitions)]
        whole, once = (min(column) for column in zip(*pairs, strict=True))
        found.append({"gradient": which, "verdict": verdict, "check": whole, "loss": once})
    return found
