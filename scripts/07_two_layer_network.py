"""
Two layers, three optimizers
============================

How do plain gradient descent, momentum and Adam differ, on one network and from one start?

Forward and backward, for a batch of n rows x (n, 2) with labels y (n, 1)::

    y_hat  = h w2, with h = x w1                   (n, 2) (2, 3) (3, 1) -> (n, 1)
    L      = mean((y_hat - y)²)
    dL_dw2 = hᵀ d, with d = 2 (y_hat - y) / n      (3, n) (n, 1) -> (3, 1)
    dL_dw1 = xᵀ (d w2ᵀ)                            (2, n) (n, 3) -> (2, 3)

What you should see: momentum is first at the floor, Adam starts slowest and comes second, descent is still above it at
the last step. The floor is the loss of the best linear map. No optimizer gets below, because without an activation
w1 w2 is one linear map. The loss falls nicely, and the network gets more than half of the unit square wrong.

Try

- ``--bias``: with a column of ones the floor is far lower, and momentum's boundary becomes the true one.
- ``--learning-rate 0.1``: descent reaches the floor too, Adam hops about above it, and none gets below.

Re-runs the second half of D2, "深度学习 tensorflow 学习笔记二 反向传播".
"""

from pathlib import Path
from typing import NamedTuple

from tf_backprop import command, datasets, gradient_check, plotting, report
from tf_backprop.support import explanation

import numpy as np
import tensorflow as tf
from matplotlib.ticker import LogLocator, NullFormatter

# %%
# Prepare
# -------
# The data come from ``datasets.volume_and_weight``. The document printed the loss over all rows after these updates.

PUBLISHED = {
    1: 5.13118,
    501: 0.429111,
    1001: 0.409789,
    1501: 0.399923,
    2001: 0.394146,
    2501: 0.390597,
    3000: 0.388334,
}
EVERY = 500  # updates by one call of the graph, so that Python hears of Ctrl-C in between


class TwoLayerNetwork(NamedTuple):
    losses: dict[str, np.ndarray]  # optimizer -> (steps,) loss over all rows after each update
    parameters: dict[
        str, dict[str, np.ndarray]
    ]  # optimizer -> w1 (2, 3), or (3, 3) with a bias column, and w2 (3, 1)
    floor: float  # the loss of the best linear map
    comparison: list[report.Row]  # the last row is the lesson's answer
    figure: Path


def initial_weights(seed, columns=2):
    tf.random.set_seed(87654321)  # TensorFlow 1's default; no other lesson draws by tf.random
    w1 = tf.random.normal([columns, 3], seed=seed).numpy()
    return {
        "w1": w1,
        "w2": w1[:1].T,
    }  # the document gave both draws one seed, and so w2 repeated w1


# %%
# Forward
# -------
def loss(weights, x, y):
    return tf.reduce_mean((x @ weights["w1"] @ weights["w2"] - y) ** 2)


# %%
# Backward
# --------
# A transpose puts the rows inside the product, which sums over them. Each weight w has slots m and v of its own.
# The test of this lesson trains with Keras's optimizers too: they end with the same weights.
def gradients_by_hand(weights, x, y):
    h = x @ weights["w1"]  # (n, 3)
    dL_dy_hat = (
        2 * (h @ weights["w2"] - y) / y.shape[0]
    )  # (n, 1), 2 of the square, 1/n for L is a mean
    dL_dh = dL_dy_hat @ tf.transpose(weights["w2"])  # (n, 1) (1, 3) -> (n, 3), w2ᵀ: back through w2
    return {
        "w1": tf.transpose(x) @ dL_dh,  # (2, n) (n, 3) -> (2, 3), xᵀ: the rows are summed
        "w2": tf.transpose(h) @ dL_dy_hat,  # (3, n) (n, 1) -> (3, 1), hᵀ: the rows are summed
    }


def gradients_by_tape(weights, x, y):
    with tf.GradientTape() as tape:
        tape.watch(weights)
        L = loss(weights, x, y)
    return tape.gradient(L, weights)


def update(
    optimizer, w, m, v, dL_dw, t, learning_rate, momentum, beta1=0.9, beta2=0.999, epsilon=1e-7
):
    if optimizer == "sgd":
        return w - learning_rate * dL_dw, m, v
    if optimizer == "momentum":
        m = momentum * m + dL_dw
        return w - learning_rate * m, m, v
    m, v = beta1 * m + (1 - beta1) * dL_dw, beta2 * v + (1 - beta2) * dL_dw**2
    correction = tf.sqrt(1 - beta2**t) / (
        1 - beta1**t
    )  # the zeros that m and v began with make them too small
    return (
        w - learning_rate * correction * m / (tf.sqrt(v) + epsilon),
        m,
        v,
    )  # the paper corrects v before epsilon


# %%
# Iterate
# -------
# The batches are taken in order, again and again: x (4, 8, 2) and y (4, 8, 1).
@tf.function
def run(optimizer, slots, x, y, first, last, learning_rate, momentum):
    """Take the updates `first` to `last`; return (w, m, v) by name, and the loss over all rows after each update."""
    losses = tf.TensorArray(tf.float32, last - first + 1)
    for step in tf.range(first, last + 1):
        weights = {name: w for name, (w, _, _) in slots.items()}
        dL_d = gradients_by_hand(weights, x[(step - 1) % len(x)], y[(step - 1) % len(y)])
        t = tf.cast(step, tf.float32)
        slots = {
            name: update(optimizer, w, m, v, dL_d[name], t, learning_rate, momentum)
            for name, (w, m, v) in slots.items()
        }
        losses = losses.write(
            step - first, loss({name: w for name, (w, _, _) in slots.items()}, x, y)
        )
    return slots, losses.stack()


def train(optimizer, weights, x, y, steps, learning_rate, momentum):
    """Return the weights after `steps` updates, and the loss over all rows after each one, (steps,)."""
    slots = {
        name: (tf.constant(w), tf.zeros_like(w), tf.zeros_like(w)) for name, w in weights.items()
    }
    losses = []
    for first in range(1, steps + 1, EVERY):
        part = tf.constant(first), tf.constant(min(first + EVERY - 1, steps))
        slots, of_part = run(optimizer, slots, x, y, *part, learning_rate, momentum)
        losses.append(of_part)
    return {name: w.numpy() for name, (w, _, _) in slots.items()}, np.concatenate(losses)


# %%
# Plot and main
# -------------
def plot_losses(losses, floor, ax):
    ax.axhline(floor, color="black", linestyle="--", label=f"floor {floor:.4g}", zorder=1)
    plotting.curves(None, losses, "updates", "loss", log=True, published=PUBLISHED, ax=ax)
    ax.set(xscale="log", title="no optimizer gets below the best linear map")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_formatter(NullFormatter())


def plot_square(weights, data, ax):
    """Draw where x·weights is above a half in the unit square, and the share of it that is right."""
    nodes = np.stack(np.meshgrid(*2 * [np.linspace(0, 1, 101)]), axis=-1).reshape(-1, 2)
    learned = nodes @ weights[:2] + weights[2:].sum()  # the third weight is that of the bias column
    right = 1 - nodes.sum(axis=1) / 2  # above a half where x0 + x1 < 1
    share = np.mean((learned > 0.5) == (right > 0.5))
    title = f"momentum's network is right on {share:.1%} of the square"
    plotting.decision_boundary(nodes, learned, data.x, data.y[:, 0], right, title, ax)


def plot(losses, floor, parameters, data):
    figure, (left, right) = plotting.subplots(1, 2, size=(11, 4.8))
    plot_losses(losses, floor, left)
    product = (
        parameters["momentum"]["w1"] @ parameters["momentum"]["w2"]
    )  # the network is this one linear map
    plot_square(product[:, 0], data, right)
    return figure


def main(
    steps: int = 3000,
    learning_rate: float = 0.001,
    momentum: float = 0.9,
    bias: bool = False,
    explain: bool = False,
    seed: int = 1,
    figures: Path = plotting.FIGURES,
    show: bool = False,
) -> TwoLayerNetwork:
    """Train a 2-3-1 network by gradient descent, by momentum and by Adam, on batches of 8 rows in order.

    Args:
        steps: updates by each optimizer
        momentum: share of its last move that momentum keeps
        bias: append a column of ones to the data
    """
    command.check(seed, steps=steps, learning_rate=learning_rate)
    command.check_between(0, 1, momentum=momentum)
    data = datasets.volume_and_weight()
    designs = [
        data.x,
        np.column_stack([data.x, np.ones_like(data.y)]),
    ]  # without and with a bias column
    floors = [
        np.linalg.lstsq(np.float64(design), data.y, rcond=None)[1].item() / len(data.y)
        for design in designs
    ]
    x, y = designs[bias].reshape(-1, 8, 2 + bias), data.y.reshape(-1, 8, 1)
    start = initial_weights(seed, 2 + bias)
    gradient_check.check_gradients(
        loss, gradients_by_hand, gradients_by_tape, start, (x[0], y[0]), seed
    )
    if explain:
        explanation.show(
            loss, gradients_by_hand, gradients_by_tape, start, (x[0], y[0]), learning_rate
        )
    print("w1 starts at", *start["w1"].ravel(), end="; w2 at its first row\n")
    losses, parameters = {}, {}
    for name in ("sgd", "momentum", "adam"):
        parameters[name], losses[name] = train(name, start, x, y, steps, learning_rate, momentum)
        print(f"{name:9} ends at {losses[name][-1]:.6f}")
    figure = plotting.save(
        plot(losses, floors[bias], parameters, data), figures, "07_two_layer_network", show
    )
    report.require_finite(sum(losses.values()))
    print(f"least-squares floor: {floors[0]:.6g}, with a bias column {floors[1]:.6g}")
    descent = losses["sgd"].tolist()
    comparison = [
        report.Row(f"sgd, update {n:,}", descent[n - 1], None, PUBLISHED[n])
        for n in PUBLISHED
        if n < steps
    ]
    comparison.append(
        report.Row(f"sgd, update {steps:,}", descent[-1], floors[bias], PUBLISHED.get(steps))
    )
    report.print_comparison(comparison)
    return TwoLayerNetwork(losses, parameters, floors[bias], comparison, figure)


# %%
# Run
# ---

if __name__ == "__main__":
    command.run(main)
