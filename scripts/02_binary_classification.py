"""
Two classes, one shift
======================

Which shift A puts the boundary between two classes?

Forward and backward, for a batch of n samples x with labels y, 0 or 1::

    z     = x + A                                  the logit                     (n,)
    p     = σ(z) = 1 / (1 + e^-z)                  the probability of class 1    (n,)
    L     = mean(-y log p - (1 - y) log(1 - p))    the loss                      ()
    dL/dA = mean(p - y)                            the gradient                  ()

What you should see: A starts so large that every sample counts as class 1. It falls, fast at first
and slower as p approaches y, to the optimum A*, which is the root of mean(σ(x + A) - y) = 0. There
the boundary x = -A lies about half-way between the means of the two classes. The tutorial, D1,
draws class 1 from N(3, 1) in its code and its prose; one comment has N(1, 1), which would make A*
about 0. The classes overlap, so its accuracy of 1 took a lucky draw. Each loss in the table is that
of one random sample, so it need not equal D1's.

Try

- ``--learning-rate 1``: A arrives many times sooner, and then wanders several times as far from A*.
- ``--seed 5``: a lucky draw, in which no sample lies on the wrong side.

Re-runs the second half of D1, a Chinese web tutorial with the title "TensorFlow 反向传播".
"""

from pathlib import Path
from typing import NamedTuple

from tf_backprop import check_gradients, command, datasets, plotting, report
from tf_backprop.support import explanation

import numpy as np
import tensorflow as tf
from scipy.optimize import brentq
from scipy.special import expit


# %%
# Prepare
# -------
def prepare(rng, n, steps):
    """Draw the start of A, and the number of one of the n samples for each step."""
    A = tf.constant(rng.normal(10, 1), tf.float32)
    order = rng.integers(n, size=steps)  # (steps,)
    return A, order


# %%
# Forward
# -------
# TensorFlow computes the loss from the logit z, not from p: a p that was rounded to 0 or 1 would
# have an infinite logarithm. Its formula is ``max(z, 0) - y z + log(1 + e^-|z|)``, equal to L.
def losses_of_samples(A, x, y):
    """Return -y log p - (1 - y) log(1 - p), p = σ(x + A), for each of the n samples."""
    z = x + A
    return tf.nn.sigmoid_cross_entropy_with_logits(labels=y, logits=z)  # (n,)


def loss(A, x, y):
    """Return L, the mean over the samples: of all n, or of a single one."""
    return tf.reduce_mean(losses_of_samples(A, x, y))


# %%
# Backward
# --------
# One factor cancels: dL/dp = (p - y) / (p (1 - p)), and dp/dz = p (1 - p). Their product is p - y.
def gradients_by_hand(A, x, y):
    """Return dL/dA by the chain rule: dL/dz, which is dL/dp times dp/dz, and then dz/dA."""
    z = x + A
    p = tf.sigmoid(z)
    dL_dz = p - y  # all that is left of dL/dp times dp/dz
    dL_dA = tf.reduce_mean(dL_dz)  # dz/dA is 1; a mean, because L is a mean
    return dL_dA


def gradients_by_tape(A, x, y):
    """Return dL/dA from TensorFlow, which records the loss and then goes back through it."""
    with tf.GradientTape() as tape:
        tape.watch(A)
        L = loss(A, x, y)
    return tape.gradient(L, A)


# %%
# Iterate
# -------
def train(A, x, y, order, learning_rate):
    """Take one step per sample in `order`; return A, and that sample's loss, after each step."""
    trajectory = []
    for i in order:
        x_i = tf.constant(x[i])
        y_i = tf.constant(y[i])

        dL_dA = gradients_by_hand(A, x_i, y_i)
        A = A - learning_rate * dL_dA

        trajectory.append(A)
    trajectory = np.array(trajectory)

    # All losses at once, because TensorFlow is faster with one long array than with many numbers.
    losses = losses_of_samples(trajectory, x[order], y[order])
    return trajectory, losses.numpy()  # (steps,), (steps,)


# %%
# Plot and main
# -------------
# These are the values of A and the accuracy that D1 printed, and the losses of its own random
# samples, by step.

PUBLISHED = {
    200: 3.84576249,
    400: 0.42345378,
    600: -0.35141727,
    800: -0.74206048,
    1000: -0.89036471,
    1200: -0.90850282,
    1400: -1.09374011,
}
PUBLISHED_LOSSES = {
    200: 0.00083012,
    400: 0.01165466,
    600: 0.05375391,
    800: 0.05468176,
    1000: 0.19636908,
    1200: 0.00608062,
    1400: 0.11037558,
}
PUBLISHED_ACCURACY = 1.0


class BinaryClassification(NamedTuple):
    trajectory: np.ndarray  # (steps,) A after each step
    losses: np.ndarray  # (steps,) loss of the step's own sample, after the step
    optimum: float  # the root of mean(σ(x + A) - y)
    accuracy: float  # share of the samples on the right side of x = -A, at the last step
    comparison: list[report.Row]  # the last row is the lesson's answer
    figure: Path


def exact_optimum(x, y):
    """Return the root of dL/dA, which rises with A."""

    def dL_dA(A):
        return np.mean(expit(x + A) - y)

    return brentq(dL_dA, -20, 20)


def accuracy(A, x, y):
    """Return the share of the samples whose p is above one half exactly when y = 1."""
    in_class_1 = x + A > 0
    return float(np.mean(in_class_1 == (y == 1)))


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


def plot_class(members, name, height, colour, ax):
    """Draw a normal curve with the mean and spread of `members`, and a tick for each of them."""
    grid = np.linspace(members.min() - 1, members.max() + 1, 200)
    deviation = (grid - members.mean()) / members.std()
    density = np.exp(-(deviation**2) / 2) / (members.std() * np.sqrt(2 * np.pi))
    ax.fill_between(grid, density, color=colour, alpha=0.4)
    ax.plot(members, np.full(len(members), height), "|", color=colour, label=name)
    write(ax, name, members.mean(), density.max(), (0, 4), colour, ha="center")


def plot(x, y, trajectory, optimum):
    figure, (left, right) = plotting.subplots(1, 2, size=(8, 3.8))
    blue, orange, green, *_ = plotting.COLOURS
    steps = np.arange(1, len(trajectory) + 1)
    A = trajectory[-1]

    plot_class(x[y == 0], "class 0", -0.03, blue, left)
    plot_class(x[y == 1], "class 1", -0.07, orange, left)
    grid = np.linspace(x.min() - 1, x.max() + 1, 400)
    left.plot(grid, expit(grid + A), color="black", label="p = σ(x + A)")
    left.axvline(-A, color="black", linestyle="dashed", label="boundary")
    write(left, "p = σ(x + A)", 2 - A, expit(2), (8, -8), "black", va="top")
    write(left, f"x = -A = {-A:.2f}", -A, 1.05, (-5, 0), "black", ha="right")
    left.set(xlabel="x", ylabel="density; probability p of class 1", ylim=(-0.12, 1.15))
    left.set_title("The boundary is where p crosses one half")

    right.axhline(optimum, color=green, linestyle="dashed", label="exact optimum")
    right.plot(steps, trajectory, color=blue, label="A learned here")
    right.plot(PUBLISHED.keys(), PUBLISHED.values(), "o", color=orange, label=report.PRINTED)
    write(right, f"exact optimum {optimum:.4g}", 1, optimum, (0, -5), green, va="top")
    write(right, "A learned here", 1, trajectory[0], (10, -3), blue)
    write(right, report.PRINTED, 600, PUBLISHED[600], (6, 10), orange)
    right.margins(y=0.1)
    right.set(xlabel="step", ylabel="A")
    right.set_title(f"A falls fast, and then wanders around {optimum:.4g}")
    return figure


def main(
    steps: int = 1400,
    learning_rate: float = 0.05,
    explain: bool = False,
    seed: int = 0,
    figures: Path = plotting.FIGURES,
    show: bool = False,
) -> BinaryClassification:
    """Learn A in p = sigmoid(x + A) by stochastic gradient descent, one random sample per step.

    Args:
        steps: updates of A
        learning_rate: how far A moves along the negative gradient
        seed: of the data, the start and the order of the samples
    """
    command.check(seed, steps=steps, learning_rate=learning_rate)
    rng = np.random.default_rng(seed)
    x, y = datasets.two_classes(rng)  # (100,), (100,)
    A, order = prepare(rng, len(x), steps)
    optimum = exact_optimum(x, y)

    print(check_gradients(loss, gradients_by_hand, A, x, y).raise_if_wrong())
    if explain:
        first = x[order[0]], y[order[0]]
        explanation.show(loss, gradients_by_hand, gradients_by_tape, A, first, learning_rate)

    trajectory, losses = train(A, x, y, order, learning_rate)
    report.require_finite(losses)

    right = accuracy(trajectory[-1], x, y)
    comparison = [report.Row("accuracy", right, accuracy(optimum, x, y), PUBLISHED_ACCURACY)]
    comparison += compare(trajectory, losses, optimum)
    report.print_comparison(comparison)
    drawing = plot(x, y, trajectory, optimum)
    figure = plotting.save(drawing, figures, "02_binary_classification", show)
    return BinaryClassification(trajectory, losses, optimum, right, comparison, figure)


# %%
# Run
# ---

if __name__ == "__main__":
    result = command.run(main)
