"""
Regression with one weight
==========================

Which weight A makes x·A = 10, when the values of x scatter around 1?

Forward and backward, for one sample x with its target y = 10::

    y_hat = x A                                     the prediction
    L     = (y_hat - y)²                            the loss
    dL/dA = dL/dy_hat · dy_hat/dA
          = 2 (y_hat - y)  ·  x                     the gradient

What you should see: A climbs from a random start to the least-squares answer A* = 10·Σx / Σx². It
lies a little below 10: at A = 10 a large x misses by as much as a small x does, but a lower A helps
the large x more. The default run reaches A* shortly before its end and stops slightly above it;
with most other seeds A stops slightly below it. Each loss in the table is that of one random
sample, so it need not equal the one that the tutorial printed.

Try

- ``--steps 1000``: A arrives and then wanders around A*, because each step follows only one sample.
- ``--learning-rate 1.5``: nearly every step overshoots by more than the last, and the run fails.

Re-runs the first half of D1, a Chinese web tutorial with the title "TensorFlow 反向传播".
"""

from pathlib import Path
from typing import NamedTuple

from tf_backprop import check_gradients, command, datasets, plotting, report
from tf_backprop.support import explanation

import numpy as np
import tensorflow as tf


# %%
# Prepare
# -------
def prepare(rng, n, steps):
    """Draw the start of A, and the index of a random sample for each step."""
    A = tf.constant(rng.normal(), tf.float32)  # a tensor: TensorFlow's array, here of one number
    order = rng.integers(n, size=steps)  # (steps,)
    return A, order


# %%
# Forward
# -------
def loss(A, x, y):
    """Return L, the mean of (y_hat - y)² over the samples: of all n, or of a single one."""
    y_hat = x * A
    return tf.reduce_mean((y_hat - y) ** 2)  # the mean of all elements, as np.mean


# %%
# Backward
# --------
# A reaches the loss only through the prediction. So dL/dA is a product of two factors: how much
# the loss changes with the prediction, and how much the prediction changes with A. The first has
# the sign of the miss, and the second is x: a sample with a larger x pulls harder.
def gradients_by_hand(A, x, y):
    """Return dL/dA by the chain rule: dL/dy_hat times dy_hat/dA."""
    y_hat = x * A
    dL_dy_hat = 2 * (y_hat - y)  # the derivative of a square
    dy_hat_dA = x  # y_hat is x times A
    dL_dA = tf.reduce_mean(dL_dy_hat * dy_hat_dA)  # a mean, because L is a mean
    return dL_dA


def gradients_by_tape(A, x, y):
    """Return dL/dA from TensorFlow, which records the loss and then goes back through it."""
    with tf.GradientTape() as tape:  # it records the operations of this block
        tape.watch(A)  # a tape follows variables by itself, and a tensor only if it is told to
        L = loss(A, x, y)
    return tape.gradient(L, A)


# %%
# Iterate
# -------
def train(A, x, y, order, learning_rate):
    """Take one step per sample in `order`; return A, and that sample's loss, after each step."""
    trajectory = []
    losses = []
    for i in order:
        x_i = tf.constant(x[i])
        y_i = tf.constant(y[i])

        dL_dA = gradients_by_hand(A, x_i, y_i)
        A = A - learning_rate * dL_dA

        trajectory.append(A)
        losses.append(loss(A, x_i, y_i))
    return np.array(trajectory), np.array(losses)  # (steps,), (steps,)


# %%
# Plot and main
# -------------
# These are the values of A that D1 printed, and the losses of its own random samples, by step.

PUBLISHED = {25: 6.12853956, 50: 8.55680943, 75: 9.50547695, 100: 9.89214897}
PUBLISHED_LOSSES = {25: 16.45088196, 50: 2.18415046, 75: 5.29813051, 100: 0.34628963}


class Regression(NamedTuple):
    trajectory: np.ndarray  # (steps,) A after each step
    losses: np.ndarray  # (steps,) loss of the step's own sample, after the step
    optimum: float  # the least-squares A
    comparison: list[report.Row]  # the last row is the lesson's answer
    figure: Path


def compare(trajectory, losses, optimum):
    """Return a row for each loss that D1 printed, and then a row for each A."""
    last = len(trajectory)
    rows = []
    for step, published in PUBLISHED_LOSSES.items():
        if step <= last:
            name = f"loss of one random sample, step {step}"
            rows.append(report.Row(name, float(losses[step - 1]), None, published))

    for step in sorted({*PUBLISHED, last}):
        if step <= last:
            A = float(trajectory[step - 1])
            expected = optimum if step == last else None
            rows.append(report.Row(f"A at step {step}", A, expected, PUBLISHED.get(step)))
    return rows


def write(ax, text, x, y, offset, colour, **options):
    """Write `text` beside the point (x, y), `offset` points away from it."""
    ax.annotate(text, (x, y), offset, textcoords="offset points", color=colour, **options)


def plot(trajectory, losses, optimum):
    figure, (left, right) = plotting.subplots(1, 2, size=(8, 3.6))
    blue, orange, green, *_ = plotting.COLOURS
    steps = np.arange(1, len(trajectory) + 1)

    left.axhline(10, color="black", linestyle="dotted", label="10")
    left.axhline(optimum, color=green, linestyle="dashed", label="least squares")
    left.plot(steps, trajectory, color=blue, label="A learned here")
    left.plot(PUBLISHED.keys(), PUBLISHED.values(), "o", color=orange, label=report.PRINTED)
    write(left, "10", 1, 10, (0, 3), "black")
    write(left, f"least squares, {optimum:.4g}", 1, optimum, (0, -5), green, va="top")
    write(left, "A learned here", 1, trajectory[0], (10, -3), blue)
    write(left, report.PRINTED, 25, PUBLISHED[25], (8, -9), orange)
    left.set(xlabel="step", ylabel="A")
    left.set_title(f"A climbs to {optimum:.4g}, and not to 10")

    right.plot(steps, losses, color=blue, label="loss here")
    right.plot(
        PUBLISHED_LOSSES.keys(), PUBLISHED_LOSSES.values(), "o", color=orange, label=report.PRINTED
    )
    write(right, "loss here", 1, losses[0], (2, -45), blue)
    write(right, report.PRINTED, 25, PUBLISHED_LOSSES[25], (3, 8), orange)
    right.set(xlabel="step", ylabel="loss of the step's sample", yscale="log")
    right.set_title("The loss of one sample jumps from step to step")
    return figure


def main(
    steps: int = 100,
    learning_rate: float = 0.02,
    explain: bool = False,
    seed: int = 0,
    figures: Path = plotting.FIGURES,
    show: bool = False,
) -> Regression:
    """Learn A in x A = 10 by stochastic gradient descent, with one random sample per step.

    Args:
        steps: updates of A
        learning_rate: how far A moves along the negative gradient
        seed: of the data, the start and the order of the samples
    """
    command.check(seed, steps=steps, learning_rate=learning_rate)
    rng = np.random.default_rng(seed)
    x, y = datasets.regression(rng)  # (100,), (100,)
    A, order = prepare(rng, len(x), steps)
    optimum = float(10 * x.sum() / (x @ x))

    print(check_gradients(loss, gradients_by_hand, A, x, y).raise_if_wrong())
    if explain:
        first = x[order[0]], y[order[0]]
        explanation.show(loss, gradients_by_hand, gradients_by_tape, A, first, learning_rate)

    trajectory, losses = train(A, x, y, order, learning_rate)

    comparison = compare(trajectory, losses, optimum)
    finite = report.finite_steps(losses)
    if finite == steps:
        report.print_comparison(comparison)
    if finite > 0:
        drawing = plot(trajectory[:finite], losses[:finite], optimum)
        figure = plotting.save(drawing, figures, "01_regression", show)
    report.require_finite(losses)
    return Regression(trajectory, losses, optimum, comparison, figure)


# %%
# Run
# ---

if __name__ == "__main__":
    result = command.run(main)
