"""
Two classes, one shift
======================

What shift A puts the boundary between two classes?

Forward and backward, for a batch of n samples x with labels y, 0 or 1::

    z     = x + A                                the logit                (n,)
    p     = σ(z) = 1 / (1 + e^-z)                the chance of class 1    (n,)
    L     = mean(-y log p - (1 - y) log(1 - p))  the loss
    dL/dA = mean(p - y)                          the gradient

What you should see: A starts so large that every sample counts as class 1. It falls, fast at first and slower as p
approaches y, to the root A* of mean(σ(x + A) - y) = 0, which puts the boundary x = -A about half-way between the two
means. The document's comments draw class 1 from N(1, 1), its code from N(3, 1): its A belongs to the code, with the
comments' data A* would be near 0. The classes overlap, so its accuracy of 1 took a lucky draw.

Try

- ``--learning-rate 1``: A is there many times sooner, and then wanders several times as far from A*.
- ``--seed 5``: a lucky draw, in which no sample lies on the wrong side.

Re-runs the second half of D1, "TensorFlow 反向传播".
"""

from pathlib import Path
from typing import NamedTuple

from tf_backprop import command, datasets, gradient_check, plotting, report
from tf_backprop.support import explanation

import numpy as np
import tensorflow as tf
from scipy.optimize import brentq
from scipy.special import expit

# %%
# Prepare
# -------
# The data come from ``datasets.two_classes``. These are the values of A, and the accuracy, that the document printed.

PUBLISHED = {
    200: 3.84576249,
    400: 0.42345378,
    600: -0.35141727,
    800: -0.74206048,
    1000: -0.89036471,
}
PUBLISHED |= {1200: -0.90850282, 1400: -1.09374011}
PUBLISHED_ACCURACY = 1.0


class BinaryClassification(NamedTuple):
    trajectory: np.ndarray  # (steps,) A after each step
    losses: np.ndarray  # (steps,) loss of the step's own sample, after the step
    optimum: float  # the root of mean(σ(x + A) - y)
    accuracy: float  # share of the samples on the right side of x = -A, at the last step
    comparison: list[report.Row]  # the last row is the lesson's answer
    figure: Path


def prepare(seed, steps):
    rng = np.random.default_rng(seed)
    x, y = datasets.two_classes(rng)  # (100,), (100,)
    A = tf.constant(rng.normal(10, 1), tf.float32)
    return (
        A,
        x,
        y,
        rng.integers(len(x), size=steps),
    )  # the start, the data, and the sample of each step


def exact_optimum(x, y):
    return brentq(lambda A: np.mean(expit(x + A) - y), -20, 20)


# %%
# Forward
# -------
# The loss takes the logit, not p: a p that has been rounded to 0 or 1 would have an infinite logarithm.
def loss(A, x, y):
    """L = mean(-y log p - (1 - y) log(1 - p)), p = σ(x + A); for one sample the mean is over that one."""
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=y, logits=x + A))


def accuracy(A, x, y):
    """Share of samples with p above one half, that is x above -A, exactly when y = 1."""
    return float(np.mean((x + A > 0) == (y == 1)))


# %%
# Backward
# --------
# dL/dp = (p - y) / (p (1 - p)) and dp/dz = p (1 - p): multiplied, all that is left is p - y.
def gradients_by_hand(A, x, y):
    """dL/dA = mean(σ(x + A) - y)."""
    return tf.reduce_mean(tf.sigmoid(x + A) - y)  # p - y: all that is left; a mean because L is one


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
    trajectory = []
    for i in order:
        x_i = tf.constant(x[i])
        y_i = tf.constant(y[i])
        A = A - learning_rate * gradients_by_hand(A, x_i, y_i)
        trajectory.append(A)
    trajectory = np.array(trajectory)
    losses = tf.nn.sigmoid_cross_entropy_with_logits(labels=y[order], logits=x[order] + trajectory)
    return trajectory, losses.numpy()


# %%
# Plot and main
# -------------
def plot_densities(x, y, ax):
    """Draw a normal curve with the mean and the spread of each class, and a tick for each sample."""
    grid = np.linspace(x.min() - 1, x.max() + 1, 400)
    for label, colour in zip((0, 1), plotting.COLOURS, strict=False):
        members = x[y == label]
        deviation = (grid - members.mean()) / members.std()
        density = np.exp(-(deviation**2) / 2) / (members.std() * np.sqrt(2 * np.pi))
        ax.fill_between(grid, density, color=colour, alpha=0.4, label=f"density of class {label}")
        ax.plot(members, np.full(len(members), -0.03 - 0.04 * label), "|", color=colour)


def plot(x, y, trajectory, optimum):
    figure, (left, right) = plotting.subplots(1, 2, size=(11, 4.2))
    A = trajectory[-1]
    grid = np.linspace(x.min() - 1, x.max() + 1, 400)
    plot_densities(x, y, left)
    left.plot(grid, expit(grid + A), color="black", label="p = σ(x + A)")
    left.axvline(-A, color="black", linestyle="--", ymax=0.8, label=f"boundary x = -A = {-A:.2f}")
    left.set(
        xlabel="x",
        ylabel="density; chance p of class 1",
        ylim=(-0.12, 1.4),
        yticks=np.linspace(0, 1, 5),
    )
    left.legend(loc="upper left", ncols=2)
    left.set_title("the boundary is where p crosses one half, x = -A")
    plotting.trajectory(trajectory, optimum, PUBLISHED, ax=right)
    right.set_title("A falls fast at first, and in the end wanders around its optimum")
    return figure


def main(
    steps: int = 1400,
    learning_rate: float = 0.05,
    explain: bool = False,
    seed: int = 0,
    figures: Path = plotting.FIGURES,
    show: bool = False,
) -> BinaryClassification:
    """Learn A in p = sigmoid(x + A) by stochastic gradient descent, one random sample a step.

    Args:
        steps: updates of A
        learning_rate: how far A moves along the negative gradient
        seed: of the data, the start and the order of the samples
    """
    command.check(seed, steps=steps, learning_rate=learning_rate)
    A, x, y, order = prepare(seed, steps)
    optimum = exact_optimum(x, y)
    gradient_check.check_gradients(loss, gradients_by_hand, gradients_by_tape, A, (x, y), seed)
    if explain:
        first = x[order[0]], y[order[0]]
        explanation.show(loss, gradients_by_hand, gradients_by_tape, A, first, learning_rate)

    trajectory, losses = train(A, x, y, order, learning_rate)

    report.require_finite(losses)
    figure = plotting.save(
        plot(x, y, trajectory, optimum), figures, "02_binary_classification", show
    )
    right = accuracy(trajectory[-1], x, y)
    comparison = [report.Row("accuracy", right, accuracy(optimum, x, y), PUBLISHED_ACCURACY)]
    comparison += [
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
    return BinaryClassification(trajectory, losses, optimum, right, comparison, figure)


# %%
# Run
# ---

if __name__ == "__main__":
    command.run(main)
