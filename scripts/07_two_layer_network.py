"""
Two layers, three optimizers
============================

How do gradient descent, momentum and Adam differ on one network, from one start?

Forward and backward, for n points x of the unit square; y (n, 1) is 1 where x0 + x1 < 1, else 0::

    h         = x w1                   (n, 2) (2, 3) -> (n, 3)
    y_hat     = h w2                   (n, 3) (3, 1) -> (n, 1)
    L         = mean((y_hat - y)²)     a scalar
    dL_dy_hat = 2 (y_hat - y) / n      (n, 1)
    dL_dw2    = hᵀ dL_dy_hat           (3, n) (n, 1) -> (3, 1)
    dL_dh     = dL_dy_hat w2ᵀ          (n, 1) (1, 3) -> (n, 3)
    dL_dw1    = xᵀ dL_dh               (2, n) (n, 3) -> (2, 3)
    momentum       m <- momentum m + dL_dw,  w <- w - learning_rate m             w: w1 or w2
    Adam's means   m <- β1 m + (1 - β1) dL_dw,  v <- β2 v + (1 - β2) dL_dw²
    Adam's step    w <- w - learning_rate c m / (√v + ε),  c = √(1 - β2ᵗ) / (1 - β1ᵗ)

What you should see: momentum is the first to reach the floor, which is the loss of the best linear
map. None gets below it, because without an activation x w1 w2 is one linear map. The loss falls
nicely, and still the network is wrong on more than half of the unit square.

Try

- ``--bias``: the floor is far lower, and the network is right on 94 % of the square.
- ``--learning-rate 0.1``: descent nears the floor too, but stays ten times as far above it as Adam.

Re-runs the second half of D2, a Chinese web tutorial, "深度学习 tensorflow 学习笔记二 反向传播".
"""

from pathlib import Path
from typing import NamedTuple

from tf_backprop import check_gradients, command, datasets, plotting, report
from tf_backprop.support import explanation

import numpy as np
import tensorflow as tf
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, NullFormatter

# %%
# Prepare
# -------
# The 32 rows of data are given as four batches: x (4, 8, 2) and y (4, 8, 1).
PER_CALL = 500  # the updates in one call of the graph: between calls, Python notices Ctrl-C
BETA1 = 0.9  # the share of itself that Adam's m keeps in each update
BETA2 = 0.999  # the same for Adam's v
EPSILON = 1e-7  # Keras's value, which keeps Adam from dividing by zero


def initial_parameters(seed, columns=2):
    tf.random.set_seed(87654321)  # the default of TensorFlow 1, which gives D2's numbers
    w1 = tf.random.normal([columns, 3], seed=seed)
    w2 = tf.transpose(w1[:1])  # D2 draws w1 and w2 with one seed, so its w2 repeats the first row
    return {"w1": w1, "w2": w2}


# %%
# Forward
# -------
def forward(parameters, x):
    h = x @ parameters["w1"]  # (n, 2) (2, 3) -> (n, 3)
    y_hat = h @ parameters["w2"]  # (n, 3) (3, 1) -> (n, 1)
    return h, y_hat


def loss(parameters, x, y):
    _, y_hat = forward(parameters, x)
    return tf.reduce_mean((y_hat - y) ** 2)


# %%
# Backward
# --------
# Where the way forward multiplies by w2, the way back multiplies by its transpose: a hidden unit
# gets back as much of the error as its weight let through. A weight is blamed by what came in
# through it, which is x for w1 and h for w2, summed over the rows.
#
# All three optimizers use these formulas. They differ in the step that they make of the gradient.
def gradients_by_hand(parameters, x, y):
    h, y_hat = forward(parameters, x)
    dL_dy_hat = 2 * (y_hat - y) / y.shape[0]  # (n, 1), 2: of the square, 1/n: L is a mean
    dL_dw2 = tf.transpose(h) @ dL_dy_hat  # (3, n) (n, 1), hᵀ: sums over the rows
    dL_dh = dL_dy_hat @ tf.transpose(parameters["w2"])  # (n, 1) (1, 3), w2ᵀ: back through w2
    dL_dw1 = tf.transpose(x) @ dL_dh  # (2, n) (n, 3), xᵀ: sums over the rows
    return {"w1": dL_dw1, "w2": dL_dw2}


def gradients_by_tape(parameters, x, y):
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        L = loss(parameters, x, y)
    return tape.gradient(L, parameters)


# An optimizer takes one weight w with its slots m and v, which are memories of earlier gradients.
# It returns all three after update number t. All optimizers take the same, so that one loop runs
# any of them. The test of this lesson trains with Keras's too: they end with the same weights.
def gradient_descent(w, m, v, dL_dw, t, learning_rate, momentum):
    return w - learning_rate * dL_dw, m, v


def momentum_descent(w, m, v, dL_dw, t, learning_rate, momentum):
    m = momentum * m + dL_dw  # a share of the last move, and the gradient
    w = w - learning_rate * m  # the m of this update, not the one before
    return w, m, v


def adam(w, m, v, dL_dw, t, learning_rate, momentum):
    m = BETA1 * m + (1 - BETA1) * dL_dw  # a running mean of the gradient
    v = BETA2 * v + (1 - BETA2) * dL_dw**2  # and one of its square
    correction = tf.sqrt(1 - BETA2**t) / (1 - BETA1**t)  # m and v start at 0 and are too small
    w = w - learning_rate * correction * m / (tf.sqrt(v) + EPSILON)  # ε is outside the root
    return w, m, v


OPTIMIZERS = {"sgd": gradient_descent, "momentum": momentum_descent, "adam": adam}


# %%
# Iterate
# -------
def update_all(optimizer, slots, gradients, *settings):
    """Return (w, m, v) of each parameter, by its name, after one update of all parameters."""
    return {
        name: optimizer(w, m, v, gradients[name], *settings) for name, (w, m, v) in slots.items()
    }


def parameters_of(slots):
    return {name: w for name, (w, _, _) in slots.items()}


# Lessons 01, 02 and 05 take few steps, in a plain Python loop. Here the loop would spend most of
# its time on calling TensorFlow, and not on arithmetic. So @tf.function turns this loop into a
# graph, once per optimizer, in which PER_CALL updates run without Python.
@tf.function
def run(optimizer, slots, x, y, first, last, learning_rate, momentum):
    """Take the updates `first` to `last`; return the slots, and the loss after each update."""
    losses = tf.TensorArray(tf.float32, last - first + 1)
    for step in tf.range(first, last + 1):
        batch = (step - 1) % len(x)  # the batches are taken in order, again and again
        gradients = gradients_by_hand(parameters_of(slots), x[batch], y[batch])
        t = tf.cast(step, tf.float32)
        slots = update_all(optimizer, slots, gradients, t, learning_rate, momentum)
        losses = losses.write(step - first, loss(parameters_of(slots), x, y))
    return slots, losses.stack()


def train(optimizer, parameters, x, y, steps, learning_rate, momentum):
    """Return the parameters after `steps` updates, and the loss over all rows after each one."""
    slots = {name: (w, tf.zeros_like(w), tf.zeros_like(w)) for name, w in parameters.items()}
    losses = []
    for first in range(1, steps + 1, PER_CALL):
        last = min(first + PER_CALL - 1, steps)
        # As Python numbers these two would make TensorFlow build a new graph for every call.
        part = (tf.constant(first), tf.constant(last))
        slots, of_part = run(optimizer, slots, x, y, *part, learning_rate, momentum)
        losses.append(of_part)
    return parameters_of(slots), np.concatenate(losses)


# %%
# Plot and main
# -------------
# The picture of D2's output is lost. Public copies of its program print the loss over all rows
# after these updates of gradient descent, and the parameters at the end.
COPIES = {1: 5.13118, 501: 0.429111, 1001: 0.409789, 1501: 0.399923, 2001: 0.394146, 2501: 0.390597}
COPIES_AT_THE_END = {
    "w1": [[-0.7000663, 0.9136318, 0.0895357], [-2.3402493, -0.1464127, 0.5882305]],
    "w2": [[-0.0602427], [0.9195619], [-0.0682071]],
}
# No copy prints the last loss; this is what D2's own program computes.
REPRODUCED = {3000: 0.388334}
NAMES = {"sgd": "Gradient descent", "momentum": "Momentum", "adam": "Adam"}


class TwoLayerNetwork(NamedTuple):
    losses: dict[str, np.ndarray]  # optimizer -> (steps,) loss over all rows after each update
    parameters: dict[str, dict[str, np.ndarray]]  # optimizer -> w1 (2 or 3, 3) and w2 (3, 1)
    floor: float  # the loss of the best linear map
    comparison: list[report.Row]  # the last row is the lesson's answer
    figure: Path


def plot_losses(losses, floor, ax):
    ax.axhline(floor, color="black", linestyle="--", zorder=1)
    ax.annotate(f"floor {floor:.4g}", (1, floor), (0, 4), textcoords="offset points")
    for name, values in losses.items():
        ax.plot(np.arange(1, len(values) + 1), values, label=NAMES[name])
    ax.plot(list(COPIES), list(COPIES.values()), "o", color="black", label=report.COPIES)
    ax.set(xscale="log", yscale="log", xlabel="updates", ylabel="loss")
    ax.margins(y=0.12)
    ax.set_title("No optimizer gets below the best linear map")
    if ax.get_ylim()[1] < 100:  # it is larger where a run diverges
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_formatter(NullFormatter())
    label_losses(losses, ax)


def label_losses(losses, ax):
    """Write the names beside the curves, or into a legend where the curves are too close."""
    levels = {"sgd": 0.8, "momentum": 1.2, "adam": 2.5}
    crossed = {name: 1 + np.argmax(values < levels[name]) for name, values in losses.items()}
    if min(crossed.values()) < 10 or crossed["momentum"] * 8 > crossed["sgd"]:
        ax.legend(fontsize="medium")
        return
    sides = {"sgd": ("right", -8), "momentum": ("right", -8), "adam": ("left", 8)}
    for (name, at), line in zip(crossed.items(), ax.lines[1:], strict=False):
        side, apart = sides[name]
        style = {"color": line.get_color(), "weight": "bold", "ha": side, "va": "center"}
        place = {"xy": (at, levels[name]), "xytext": (apart, 0), "textcoords": "offset points"}
        ax.annotate(NAMES[name].replace(" ", "\n"), **place, **style)
    ax.legend(handles=ax.lines[-1:], fontsize="medium")


def plot_square(weights, data, ax):
    """Shade the part of the unit square in which x · weights is on the wrong side of a half."""
    side = np.linspace(0, 1, 201)
    x0, x1 = np.meshgrid(side, side)
    learned = x0 * weights[0] + x1 * weights[1] + weights[2:].sum()  # the third: a bias column's
    wrong = (learned > 0.5) != (x0 + x1 < 1)
    grey = ListedColormap(["white", "#c8c8c8"])
    ax.imshow(wrong, cmap=grey, vmin=0, vmax=1, extent=(0, 1, 0, 1), origin="lower", aspect="auto")
    for label, marker in enumerate("o^"):
        points = data.x[data.y[:, 0] == label]
        ax.plot(
            *points.T, marker, color=plotting.COLOURS[label], markersize=5, label=f"label {label}"
        )
    ax.plot([0, 1], [1, 0], color="black", linestyle="dotted", linewidth=2, label="true boundary")
    ax.plot([], color="black", linewidth=2, label="learned boundary")
    if learned.min() < 0.5 < learned.max():
        ax.contour(x0, x1, learned, [0.5], colors="black", linewidths=2)
    ax.grid(False)
    ax.set(xlabel="x0", ylabel="x1")
    percent = 100 * wrong.mean()
    finding = f"is wrong on {percent:.0f} % of the square"
    ax.set_title(
        f"Momentum's network {finding if np.all(np.isfinite(weights)) else 'has diverged'}"
    )
    handles = [*ax.get_legend_handles_labels()[0], Patch(color="#c8c8c8", label="wrong here")]
    below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.14), "ncols": 3, "frameon": False}
    ax.legend(handles=handles, fontsize="medium", columnspacing=1, **below)


def plot(losses, floor, parameters, data):
    figure, (left, right) = plotting.subplots(1, 2, size=(9, 4.4))
    plot_losses(losses, floor, left)
    product = parameters["momentum"]["w1"] @ parameters["momentum"]["w2"]  # the one linear map
    plot_square(product[:, 0], data, right)
    return figure


def best_linear_loss(rows, y):
    """Return the smallest mean of (rows w - y)² that any w has, by least squares."""
    return np.linalg.lstsq(np.float64(rows), y, rcond=None)[1].item() / len(rows)


def compare(descent, floor):
    """Return a row for each loss of gradient descent that D2's program prints, and for the last."""
    steps = len(descent)
    rows = []
    for update, printed in COPIES.items():
        if update < steps:
            learned = float(descent[update - 1])
            rows.append(
                report.Row(f"sgd, update {update:,}", learned, None, printed, report.COPIES)
            )
    known = REPRODUCED.get(steps)
    source = report.REPRODUCED
    if steps in COPIES:
        known = COPIES[steps]
        source = report.COPIES
    last = report.Row(f"sgd, update {steps:,}", float(descent[-1]), floor, known, source)
    return [*rows, last]


def print_parameters(parameters, steps):
    """Print w1 and w2 after gradient descent beside those that public copies print."""
    for name, w in parameters.items():
        print(f"sgd's last {name}:", *w.ravel())
    w1, w2 = (np.float32(COPIES_AT_THE_END[name]) for name in ("w1", "w2"))
    if w1.shape == parameters["w1"].shape and steps == max(REPRODUCED):
        difference = max(np.abs(w1 - parameters["w1"]).max(), np.abs(w2 - parameters["w2"]).max())
        print(f"largest difference from those {report.COPIES}: {difference:.1g}")


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
    """Train a 2-3-1 network by gradient descent, by momentum and by Adam, on batches of 8 rows.

    Args:
        steps: updates by each optimizer
        momentum: share of its last move that momentum keeps
        bias: append a column of ones to the data
    """
    command.check(seed, steps=steps, learning_rate=learning_rate)
    command.check_between(0, 1, momentum=momentum)

    data = datasets.volume_and_weight()
    with_ones = np.column_stack([data.x, np.ones_like(data.y)])
    rows = with_ones if bias else data.x  # (32, 3) or (32, 2)
    floor = best_linear_loss(rows, data.y)
    x = rows.reshape(-1, 8, rows.shape[1])
    y = data.y.reshape(-1, 8, 1)
    start = initial_parameters(seed, rows.shape[1])

    first = (x[0], y[0])
    print(check_gradients(loss, gradients_by_hand, start, *first).raise_if_wrong())
    if explain:
        explanation.show(loss, gradients_by_hand, gradients_by_tape, start, first, learning_rate)

    print("w1 starts at", *start["w1"].numpy().ravel(), end="; w2 at its first row\n")
    losses = {}
    parameters = {}
    for name, optimizer in OPTIMIZERS.items():
        trained, losses[name] = train(optimizer, start, x, y, steps, learning_rate, momentum)
        parameters[name] = {key: w.numpy() for key, w in trained.items()}
        print(f"{name:9} ends at {losses[name][-1]:.6f}")

    together = sum(losses.values())
    comparison = compare(losses["sgd"], floor)
    if np.all(np.isfinite(together)):
        print_parameters(parameters["sgd"], steps)
        floors = [best_linear_loss(columns, data.y) for columns in (data.x, with_ones)]
        print("loss of the best linear map: {:.6g}, with a bias column {:.6g}".format(*floors))
        report.print_comparison(comparison)

    drawn = plot(losses, floor, parameters, data)
    figure = plotting.save(drawn, figures, "07_two_layer_network", show)
    report.require_finite(together)
    return TwoLayerNetwork(losses, parameters, floor, comparison, figure)


# %%
# Run
# ---

if __name__ == "__main__":
    result = command.run(main)
