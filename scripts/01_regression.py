"""
Regression with one weight
==========================

What weight A makes x·A = 10, when the x scatter around 1?

Forward and backward, for one sample x with its target y = 10::

    y_hat = x A                     the prediction
    L     = (y_hat - y)²            the loss
    dL/dA = 2 (y_hat - y) x         the gradient

What you should see: A climbs from a random start towards the least-squares answer A* = 10·Σx / Σx². That is not 10: a
large x misses by more than a small one does, so the best A is a little lower. At the last step A has not quite arrived.

Try

- ``--steps 1000``: A arrives, and then wanders around A*, because every step follows one sample only.
- ``--learning-rate 1.5``: every step overshoots by more than the last; the run diverges and stops.

Re-runs the first half of D1, "TensorFlow 反向传播".
"""

from pathlib import Path
from typing import NamedTuple

from tf_backprop import command, datasets, gradient_check, plotting, report
from tf_backprop.support import explanation

import numpy as np
import tensorflow as tf

# %%
# Prepare
# -------
# The data come from ``datasets.regression``. These are the values of A that the document printed.

PUBLISHED = {25: 6.12853956, 50: 8.55680943, 75: 9.50547695, 100: 9.89214897}


class Regression(NamedTuple):
    trajectory: np.ndarray  # (steps,) A after each step
    losses: np.ndarray  # (steps,) loss of the step's own sample, after the step
    optimum: float  # the least-squares A
    comparison: list[report.Row]  # the last row is the lesson's answer
    figure: Path


def prepare(seed, steps):
    rng = np.random.default_rng(seed)
    x, y = datasets.regression(rng)  # (100,), (100,)
    A = tf.constant(rng.normal(), tf.float32)
    return (
        A,
        x,
        y,
        rng.integers(len(x), size=steps),
    )  # the start, the data, and the sample of each step


# %%
# Forward
# -------
def loss(A, x, y):
    """L = mean((x A - y)²) over the samples (n,), or of a single one."""
    return tf.reduce_mean((x * A - y) ** 2)


# %%
# Backward
# --------
def gradients_by_hand(A, x, y):
    """dL/dA = mean(2 (x A - y) x)."""
    return tf.reduce_mean(
        2 * (x * A - y) * x
    )  # 2 of the square, x = dy_hat/dA, a mean because L is one


def gradients_by_tape(A, x, y):
    A = tf.convert_to_tensor(A)
    with tf.GradientTape() as tape:
        tape.watch(A)
        L = loss(A, x, y)
    return tape.gradient(L, A)


# %%
# Iterate
# -------
def train(A, x, y, order, learning_rate):
    """Take one step for each sample in `order` (steps,); return A and the sample's loss after each step, (steps,)."""
    trajectory, losses = [], []
    for i in order:
        x_i = tf.constant(x[i])
        y_i = tf.constant(y[i])
        A = A - learning_rate * gradients_by_hand(A, x_i, y_i)
        trajectory.append(A)
        losses.append(loss(A, x_i, y_i))
    return np.array(trajectory), np.array(losses)


# %%
# Plot and main
# -------------
def plot(trajectory, losses, optimum):
    figure, (left, right) = plotting.subplots(1, 2, size=(10, 4))
    plotting.trajectory(trajectory, optimum, PUBLISHED, ax=left)
    left.axhline(10, color="grey", linestyle=":", linewidth=1)
    left.set_title("A climbs to the least-squares answer, not to 10")
    plotting.curves(
        np.arange(1, len(losses) + 1),
        {"": losses},
        "step",
        "loss of the step's sample",
        log=True,
        ax=right,
    )
    right.set_title("the loss of one sample jumps from step to step")
    return figure


def main(
    steps: int = 100,
    learning_rate: float = 0.02,
    explain: bool = False,
    seed: int = 0,
    figures: Path = plotting.FIGURES,
    show: bool = False,
) -> Regression:
    """Learn A in x A = 10 by stochastic gradient descent, one random sample a step.

    Args:
        steps: updates of A
        learning_rate: how far A moves along the negative gradient
        seed: of the data, the start and the order of the samples
    """
    command.check(seed, steps=steps, learning_rate=learning_rate)
    A, x, y, order = prepare(seed, steps)
    optimum = float(10 * x.sum() / (x @ x))
    gradient_check.check_gradients(loss, gradients_by_hand, gradients_by_tape, A, (x, y), seed)
    if explain:
        first = x[order[0]], y[order[0]]
        explanation.show(loss, gradients_by_hand, gradients_by_tape, A, first, learning_rate)

    trajectory, losses = train(A, x, y, order, learning_rate)

    finite = report.finite_steps(losses)
    figure = plotting.save(
        plot(trajectory[:finite], losses[:finite], optimum), figures, "01_regression", show
    )
    report.require_finite(losses)
    comparison = [
        report.Row(
            f"A at step {step}",
            float(trajectory[step - 1]),
            optimum if step == steps else None,
            PUBLISHED.get(step),
        )
        for step in sorted({*PUBLISHED, steps})
        if step <= steps
    ]
    report.print_comparison(comparison)
    return Regression(trajectory, losses, optimum, comparison, figure)


# %%
# Run
# ---

if __name__ == "__main__":
    command.run(main)
