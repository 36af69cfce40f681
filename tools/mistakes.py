"""Renew the table of docs/check.md, what the check says of each mistake, and its Chinese: ``python -m tools.mistakes``.

The mistakes are those of public threads and tutorials, in the networks that people have there, in NumPy.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from tf_backprop import check_gradients, report
from tf_backprop.support import language
from tools import catalogues, readme

import numpy as np

N, SIZES = 7, (6, 5, 4)  # rows; pixels, hidden units and classes: all different


class Mistake(NamedTuple):
    """A mistake: what it is, the functions that make it, whose gradient is wrong then, and who shows it."""

    name: str
    loss: Callable
    gradients: Callable
    parameters: dict[str, np.ndarray]
    batch: Sequence[np.ndarray]
    wrong: str  # the names of the parameters whose gradient is wrong
    lesson: str = ""


def softmax(z: np.ndarray, axis: int = 1) -> np.ndarray:
    """Return probabilities that sum to 1 along an axis."""
    e = np.exp(z - z.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def sigmoid(z: np.ndarray) -> np.ndarray:
    """Return 1 / (1 + exp(-z))."""
    return 1 / (1 + np.exp(-z))


def forward(p, x, activation):
    """Return the hidden layer and the logits."""
    z1 = x @ p["W1"] + p["b1"]
    a1 = np.maximum(z1, 0) if activation == "relu" else sigmoid(z1)
    return z1, a1, a1 @ p["W2"] + p["b2"]


def cross_entropy(p, x, y, decay=0.0, activation="relu"):
    """Return the loss of a softmax network, a mean over the rows; with decay · Σ W²."""
    z2 = forward(p, x, activation)[2]
    right = np.log(softmax(z2)[np.arange(len(y)), y])
    return -right.mean() + decay * (np.sum(p["W1"] ** 2) + np.sum(p["W2"] ** 2))


def squared(p, x, t):
    """Return the squared error of a sigmoid network, a mean over the rows of ½ Σ (a - t)²."""
    return np.sum((sigmoid(forward(p, x, "sigmoid")[2]) - t) ** 2) / 2 / len(x)


def by_hand(p, x, y, mistake="", decay=0.0):
    """Return the gradients of `cross_entropy`, with one mistake."""
    z1, a1, z2 = forward(p, x, "relu")
    n, onehot = len(x), np.eye(z2.shape[1])[y]
    axis = {"softmax over the batch": None, "softmax over axis 0": 0}.get(mistake, 1)
    p2 = softmax(z2, axis)
    dz2 = (p2 - onehot) / (1 if mistake == "no 1/n" else n)
    dz2 = -dz2 if mistake == "sign" else dz2
    if mistake == "softmax' by element":
        dz2 = -onehot / p2 * p2 * (1 - p2) / n
    W2 = p["W2"]
    if mistake == "hidden delta from W2 already updated":
        W2 = W2 - 0.5 * a1.T @ dz2
    W2T = {"W for Wᵀ": W2, "reshaped, not transposed": W2.reshape(W2.T.shape)}.get(mistake, W2.T)
    active = {"ReLU' as a >= 0": a1 >= 0, "no ReLU'": 1}.get(mistake, z1 > 0)
    dz1 = dz2 @ W2T * active
    g = {"W1": x.T @ dz1, "b1": dz1.sum(0), "W2": a1.T @ dz2, "b2": dz2.sum(0)}
    if mistake == "no L2":
        decay = 0
    for W in ("W1", "W2"):
        g[W] = g[W] + (1 if mistake == "L2 without its 2" else 4 if mistake == "L2 twice" else 2) * decay * p[W]
    return changed(g, mistake, x, dz1, dz2)


def changed(g, mistake, x, dz1, dz2):
    """Return gradients with a mistake that is made at the end."""
    n = len(x)
    if mistake == "db a mean on top of 1/n":
        g |= {"b1": dz1.mean(0), "b2": dz2.mean(0)}
    if mistake == "dW transposed":
        g["W2"] = g["W2"].T
    if mistake == "db over axis 1":
        g |= {"b1": dz1.sum(1), "b2": dz2.sum(1)}
    if mistake == "db = sum of dW":
        g |= {"b1": g["W1"].sum(0), "b2": g["W2"].sum(0)}
    if mistake == "db = mean of dW over the pixels":
        g["b1"] = g["W1"].mean(0)
    if mistake == "the same with the sign flipped":
        g["b1"] = -g["W1"].mean(0)
    if mistake == "frozen biases":
        g |= {"b1": 0 * g["b1"], "b2": 0 * g["b2"]}
    if mistake == "no bias gradient":
        g = {"W1": g["W1"], "W2": g["W2"]}
    if mistake == "one scalar for all biases":
        g["b1"] = np.full_like(g["b1"], dz1.sum())
    if mistake == "(1, 5) for (5,)":
        g["b1"] = dz1.sum(0, keepdims=True)
    if mistake == "db not summed":
        g["b1"] = dz1
    if mistake == "two scales":
        g |= {"W1": n * g["W1"], "W2": n * g["W2"]}
    if mistake == "only the last row":
        g["b2"] = n * dz2[-1]
    if mistake == "two columns exchanged":
        g["W2"] = g["W2"][:, [1, 0, 2, 3]]
    if mistake == "one column zero":
        g["W2"] = g["W2"] * [1, 1, 0, 1]
    if mistake == "wrong by 1e-5":
        g["W1"] = g["W1"] * (1 + 1e-5)
    if mistake == "None":
        g["b1"] = None
    return g


def by_hand_squared(p, x, t, mistake=""):
    """Return the gradients of `squared`, with one mistake."""
    z1, a1, z2 = forward(p, x, "sigmoid")
    a2 = sigmoid(z2)
    dz2 = (a2 - t) * (1 if mistake == "no σ' at the output" else a2 * (1 - a2)) / len(x)
    dz2 = 2 * dz2 if mistake == "a 2 too many" else dz2
    wrong = {"no σ' in the hidden layer": 1, "σ' of a": sigmoid(a1) * (1 - sigmoid(a1)), "z (1 - z)": z1 * (1 - z1)}
    W2T = p["W2"] if mistake == "W for Wᵀ" else p["W2"].T
    dz1 = dz2 @ W2T * wrong.get(mistake, a1 * (1 - a1))
    return {"W1": x.T @ dz1, "b1": dz1.sum(0), "W2": a1.T @ dz2, "b2": dz2.sum(0)}


def two_classes(p, x, t, mistake=""):
    """Return the cross-entropy of sigmoids, a mean over the rows; by mistake without its term for t = 0, or clipped."""
    z2 = forward(p, x, "sigmoid")[2]
    a2, other = sigmoid(z2), 1 - t
    if mistake == "(1 - t) left out of the loss":
        other = 0
    if mistake == "p clipped in the loss":
        a2 = np.clip(a2, 0.3, 0.7)
    return -np.mean(np.sum(t * np.log(a2) + other * np.log(1 - a2), axis=1))


def by_hand_two_classes(p, x, t, mistake=""):
    """Return the gradients of `two_classes`; by mistake with the σ' that belongs to the squared error."""
    _, a1, z2 = forward(p, x, "sigmoid")
    a2 = sigmoid(z2)
    dz2 = (a2 - t) / len(x) * (a2 * (1 - a2) if mistake == "σ' although cross-entropy" else 1)
    dz1 = dz2 @ p["W2"].T * a1 * (1 - a1)
    return {"W1": x.T @ dz1, "b1": dz1.sum(0), "W2": a1.T @ dz2, "b2": dz2.sum(0)}


def dropped(p, x, y, mask):
    """Return the squared error of a tanh network without biases, with a mask that drops half of its hidden units."""
    return np.mean((np.tanh(x @ p["w1"]) * mask * 2 @ p["w2"] - y) ** 2)


def by_hand_dropped(p, x, y, mask, mistake=""):
    """Return the gradients of `dropped`, with one mistake."""
    a1 = np.tanh(x @ p["w1"])
    dz2 = 2 * (a1 * mask * 2 @ p["w2"] - y) / y.size
    da1 = dz2 @ p["w2"].T * (1 if mistake == "dropout without its 2" else 2)
    da1 = da1 if mistake == "dropout forgotten" else da1 * mask
    dz1 = da1 * (1 if mistake == "no tanh', no biases" else 1 - a1**2)
    return {"w1": x.T @ dz1, "w2": (a1 * mask * 2).T @ dz2}


def columns(function: Callable) -> Callable:
    """Return a function of samples in rows as one of samples in columns: W (out, in), b (out, 1), x (in, n)."""

    def turned(p, x, *rest, **options):
        result = function({k: v.T if v.shape[1] > 1 else v[:, 0] for k, v in p.items()}, x.T, *rest, **options)
        return {k: v.T if v.ndim > 1 else v[:, None] for k, v in result.items()} if isinstance(result, dict) else result

    return turned


def line(p, x, y):
    """Return the loss of a line, where y (n,) or (n, 1) is taken from the output (n, 1)."""
    return np.mean((x @ p["W"] + p["b"] - y) ** 2)


def line_by_hand(p, x, y):
    """Return the gradients of the loss that is meant, for y (n,)."""
    error = 2 * (x @ p["W"] + p["b"] - y[:, None]) / len(x)
    return {"W": x.T @ error, "b": error.sum(0)}


def at_updated_point(p, x, y):
    """Return the gradients after a step."""
    dL = by_hand(p, x, y)
    return by_hand({name: p[name] - 0.1 * dL[name] for name in p}, x, y)


def network(rng, sizes=SIZES):
    """Return parameters, none of them zero."""
    pixels, hidden, classes = sizes
    shapes = {"W1": (pixels, hidden), "b1": (hidden,), "W2": (hidden, classes), "b2": (classes,)}
    return {name: rng.normal(0, 0.7, shape) for name, shape in shapes.items()}


def mistakes(seed: int = 1) -> list[Mistake]:
    """Return all mistakes."""
    rng = np.random.default_rng(seed)
    p, square = network(rng), network(rng, (6, 5, 5))
    dead = {**p, "b1": np.array([0.1, -99.0, 0.3, 0.2, -0.1])}  # the second unit answers no row
    x, y = rng.normal(size=(N, SIZES[0])), rng.integers(SIZES[2], size=N)
    t = np.eye(SIZES[2])[y]

    def entropy(name, wrong, lesson="", parameters=p, **options):
        loss, gradients = partial(cross_entropy, **options), partial(by_hand, mistake=name, **options)
        return Mistake(name, loss, gradients, parameters, (x, y), wrong, lesson)

    def square_error(name, wrong, lesson="", parameters=p, t=t):
        return Mistake(name, squared, partial(by_hand_squared, mistake=name), parameters, (x, t), wrong, lesson)

    def cross(name, wrong, loss="", lesson=""):
        gradients = partial(by_hand_two_classes, mistake=name)
        return Mistake(name, partial(two_classes, mistake=loss), gradients, p, (x, t), wrong, lesson)

    def drop(name, lesson=""):
        mask = np.random.default_rng(2).uniform(size=(N, 5)) > 0.5
        w = {"w1": p["W1"], "w2": p["W2"]}
        return Mistake(name, dropped, partial(by_hand_dropped, mistake=name), w, (x, t, mask), "w1", lesson)

    turned = {name: value.T if value.ndim > 1 else value[:, None] for name, value in p.items()}
    everything = "W1 b1 W2 b2"
    return [
        entropy("no 1/n", everything, "11, 13"),
        entropy("two scales", "W1 W2", "13"),
        Mistake(
            "a mean, the loss a sum",
            lambda p, x, y: len(x) * cross_entropy(p, x, y),
            by_hand,
            p,
            (x, y),
            everything,
            "13",
        ),
        entropy("db a mean on top of 1/n", "b1 b2", "12"),
        entropy("sign", everything, "08"),
        square_error("a 2 too many", everything, "01, 12"),
        square_error("no σ' at the output", everything, "12"),
        square_error("no σ' in the hidden layer", "W1 b1", "12"),
        square_error("σ' of a", "W1 b1", "03"),
        square_error("z (1 - z)", "W1 b1", "03"),
        cross("σ' although cross-entropy", everything, lesson="06"),
        drop("no tanh', no biases", "12"),
        entropy("no ReLU'", "W1 b1", "03", dead),
        entropy("ReLU' as a >= 0", "W1 b1", "13", dead),
        entropy("hidden delta from W2 already updated", "W1 b1", "07"),
        Mistake("all after an update", cross_entropy, at_updated_point, p, (x, y), everything, "07"),
        square_error("W for Wᵀ", "W1 b1", "12", square, np.eye(5)[y]),
        entropy("reshaped, not transposed", "W1 b1", "12"),
        entropy("dW transposed", "W2", "12", square),
        entropy("db over axis 1", "b1 b2", "11"),
        entropy("db not summed", "b1", "13"),
        entropy("(1, 5) for (5,)", "b1", "11"),
        entropy("one scalar for all biases", "b1", "11"),
        entropy("db = sum of dW", "b1 b2", "11"),
        entropy("db = mean of dW over the pixels", "b1", "11, 13"),
        entropy("the same with the sign flipped", "b1", "11, 13"),
        entropy("frozen biases", "b1 b2", "12, 13"),
        entropy("no bias gradient", "b1 b2", "12, 13"),
        entropy("None", "b1", "04"),
        entropy("softmax over the batch", everything, "13"),
        entropy("softmax over axis 0", everything, "13"),
        entropy("softmax' by element", everything, "08"),
        entropy("no L2", "W1 W2", "", decay=0.3),
        entropy("L2 without its 2", "W1 W2", "", decay=0.3),
        entropy("L2 twice", "W1 W2", "", decay=0.3),
        entropy("only the last row", "b2", "01"),
        entropy("two columns exchanged", "W2", ""),
        entropy("one column zero", "W2", ""),
        entropy("wrong by 1e-5", "W1", ""),
        drop("dropout without its 2"),
        drop("dropout forgotten"),
        cross("(1 - t) left out of the loss", everything, "(1 - t) left out of the loss", "06"),
        cross("p clipped in the loss", everything, "p clipped in the loss", "06"),
        Mistake(
            "(n, 1) - (n,) in the loss",
            line,
            line_by_hand,
            {"W": x[:3, :1].repeat(2, 0), "b": x[0, :1]},
            (x, x[:, 0]),
            "W",
            "13",
        ),
        Mistake(
            "no 1/n, samples in columns",
            columns(cross_entropy),
            columns(lambda p, x, y: by_hand(p, x, y, "no 1/n")),
            turned,
            (x.T, y),
            everything,
            "11",
        ),
        Mistake(
            "W for Wᵀ, samples in columns",
            columns(cross_entropy),
            columns(partial(by_hand, mistake="W for Wᵀ")),
            {name: value.T if value.ndim > 1 else value[:, None] for name, value in square.items()},
            (x.T, y),
            "W1 b1",
            "12",
        ),
        Mistake(
            "no ReLU', samples in columns",
            columns(cross_entropy),
            columns(lambda p, x, y: by_hand(p, x, y, "no ReLU'")),
            turned,
            (x.T, y),
            "W1 b1",
            "12",
        ),
    ]


def verdicts(mistake: Mistake) -> dict[str, list[str]]:
    """Return what the check says, each time with the names of the parameters of which it says so."""
    checked = check_gradients(mistake.loss, mistake.gradients, mistake.parameters, *mistake.batch)
    said: dict[str, list[str]] = {}
    for row in checked.rows:
        if not row.ok:
            said.setdefault(row.verdict, []).append(row.name)
    return said


def english(said: Mapping[str, Sequence[str]]) -> str:
    """Return verdicts as they stand in a cell of the table."""
    return "; ".join(": ".join([", ".join(names), verdict]) for verdict, names in said.items())


def table() -> str:
    """Return a row per mistake: its name, what the check says of the parameters that are wrong, and the lessons."""
    rows = [[mistake.name, english(verdicts(mistake)), mistake.lesson] for mistake in mistakes()]
    return report.table(["mistake", "what the check says", "lesson"], rows, "github", as_is=True)


def chinese() -> dict[str, str]:
    """Return the Chinese of each cell with verdicts, where the language of the check is Chinese."""
    every = map(verdicts, mistakes())
    return {english(said): "；".join(f"{'、'.join(names)}：{v!s}" for v, names in said.items()) for said in every}


if __name__ == "__main__":
    readme.replace({"mistakes": table()})
    language.use("zh")
    path = catalogues.CATALOGUES / "check.po"
    catalogue = catalogues.read(path)
    for cell, text in chinese().items():
        catalogue.add(cell, text)
    catalogues.write(path, catalogue)
