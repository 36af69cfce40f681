"""The same training by PyTorch's autograd and optimizer."""

from benchmarks import tasks
from benchmarks.timing import UnavailableError

import numpy as np

try:
    import torch
except ImportError:
    torch = None


def _require() -> None:
    if torch is None:
        raise UnavailableError("PyTorch is not installed")


def softmax(task: tasks.Softmax, epochs: int) -> float:
    """Train softmax regression; return the mean cost of the last epoch."""
    _require()
    x, y = torch.from_numpy(task.images.x), torch.from_numpy(task.images.y.astype(np.int64))
    W = torch.zeros(task.pixels, tasks.CLASSES, requires_grad=True)
    b = torch.zeros(tasks.CLASSES, requires_grad=True)
    optimizer = torch.optim.SGD([W, b], task.learning_rate)
    for batches in task.batches(epochs):
        costs = []
        for batch in torch.from_numpy(batches):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(x[batch] @ W + b, y[batch])
            loss.backward()
            optimizer.step()
            costs.append(loss.detach())
    return float(torch.stack(costs).mean())


def moons(task: tasks.Moons, epochs: int) -> float:
    """Train lesson 12's network, one sample per step; return the mean squared error."""
    _require()
    parameters = {name: torch.from_numpy(w.copy()).requires_grad_() for name, w in task.parameters.items()}
    X, Y = torch.from_numpy(task.X), torch.from_numpy(task.Y)
    optimizer = torch.optim.SGD(parameters.values(), task.learning_rate)

    def forward(a):
        for i in (1, 2, 3, 4):
            a = torch.sigmoid(a @ parameters[f"W{i}"] + parameters[f"b{i}"])
        return a

    for _ in range(epochs):
        for x, y in zip(X, Y, strict=True):
            optimizer.zero_grad()
            (((forward(x) - y) ** 2).sum() / 2).backward()
            optimizer.step()
    with torch.no_grad():
        return float(((forward(X) - Y) ** 2).mean())
