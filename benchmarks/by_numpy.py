"""The same arithmetic, in NumPy alone."""

from benchmarks import tasks

import numpy as np


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
