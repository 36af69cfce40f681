"""
Derivatives of four activations
===============================

What does each activation pass back, and what at a kink, where it has no derivative?

Forward and backward, at each of n points z::

    sigmoid       a = σ(z) = 1 / (1 + e^-z)       da/dz = a (1 - a)
    tanh          a = tanh(z) = 2 σ(2z) - 1       da/dz = 1 - a²
    leaky ReLU    a = max(z, leak·z)              da/dz = leak where z < 0, and 1 where z > 0
    ReLU          a = max(z, 0)                   da/dz = 0 where z < 0, and 1 where z > 0

What you should see: a sigmoid passes back a quarter at most, and next to nothing at its ends. At
the kink of ReLU no number is the derivative, and what to pass back there is a convention. The code
of the tutorial, D5, says 1; a central difference takes the middle of the two sides; TensorFlow's
answer depends on how ReLU is written.

Try

- ``--leak 1``: leaky ReLU is the straight line a = z, without a kink, and all three answers agree.
- ``--leak -1``: leaky ReLU is ``abs(z)``, and turns the sign of what it passes back where z < 0.

Re-runs the first part of D5, Chinese notes on a book chapter, "七、反向传播算法".
"""

from pathlib import Path
from typing import NamedTuple

from tf_backprop import check_gradients, command, gradient_check, plotting, report

import numpy as np
import tensorflow as tf

# %%
# Prepare
# -------
# The points z are evenly spaced, and the kink z = 0 is one of them.

NAMES = ["sigmoid", "tanh", "leaky ReLU", "ReLU"]
Z = np.arange(-80, 81) / 20  # (n,)


def prepare(points):
    """Return z by name, the same points for every activation, as a tensor of its own for each."""
    return {name: tf.constant(points) for name in NAMES}


# %%
# Forward
# -------
def activate(z, leak):
    """Return a = f(z[name]) (n,) of every activation f, by name."""
    return {
        "sigmoid": tf.sigmoid(z["sigmoid"]),
        "tanh": 2 * tf.sigmoid(2 * z["tanh"]) - 1,
        "leaky ReLU": tf.nn.leaky_relu(z["leaky ReLU"], float(leak)),  # it takes no tensor as leak
        "ReLU": tf.nn.relu(z["ReLU"]),
    }


def loss(z, leak):
    """Return L = Σ a, over all points of all activations."""
    a = activate(z, leak)
    return tf.add_n([tf.reduce_sum(a[name]) for name in NAMES])


# %%
# Backward
# --------
# A tape differentiates one number, and here are n derivatives. But an activation works element by
# element: z_i reaches a_i and no other term of the sum Σ a. Therefore d(Σ a)/dz_i = da_i/dz_i, and
# the gradient of the sum has all n derivatives. (This does not hold for a softmax, in which every
# output depends on every input.)
def gradients_by_hand(z, leak):
    """Return da/dz of every activation; at a kink, the slope of its left side."""
    a = tf.sigmoid(z["sigmoid"])
    dsigmoid_dz = a * (1 - a)  # a quarter at most, where a is one half

    a = tf.tanh(z["tanh"])
    dtanh_dz = 1 - a**2  # 1 at most, where a is 0

    one = tf.ones_like(z["leaky ReLU"])
    dleaky_dz = tf.where(z["leaky ReLU"] > 0, one, leak * one)  # the slope of either line

    # The condition is z > 0. It may not be a >= 0, which is true of every output of a ReLU.
    one = tf.ones_like(z["ReLU"])
    drelu_dz = tf.where(z["ReLU"] > 0, one, 0 * one)  # leaky ReLU with a leak of 0

    return {
        "sigmoid": dsigmoid_dz,
        "tanh": dtanh_dz,
        "leaky ReLU": dleaky_dz,
        "ReLU": drelu_dz,
    }


def gradients_by_tape(z, leak):
    """Return da/dz of every activation from TensorFlow."""
    with tf.GradientTape() as tape:
        tape.watch(z)
        L = loss(z, leak)
    return tape.gradient(L, z)


# %%
# Iterate
# -------
# These are four ways to write one function. The tape follows the operations in the code, and each
# operation has its own convention for z = 0.
def ways_to_write_relu(z):
    """Return a = max(z, 0) (n,) by the code that computes it."""
    return {
        "tf.nn.relu(z)": tf.nn.relu(z),
        "tf.maximum(0, z)": tf.maximum(0, z),
        "(z + tf.abs(z)) / 2": (z + tf.abs(z)) / 2,
        "tf.maximum(z, 0)": tf.maximum(z, 0),
    }


def slopes_of_relu(z):
    """Return da/dz (n,) from TensorFlow, by the code that computes a."""
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(z)
        ways = ways_to_write_relu(z)
    return {code: tape.gradient(a, z) for code, a in ways.items()}


# %%
# Plot and main
# -------------
# These are the derivatives at z = 0 from D5's own code, which returns arrays and prints none.

DOCUMENT = {"sigmoid": 0.25, "tanh": 1.0, "leaky ReLU": 1.0, "ReLU": 1.0}
KINK = int(np.searchsorted(Z, 0))


class Derivatives(NamedTuple):
    z: np.ndarray  # (n,) the points
    by_hand: dict[str, np.ndarray]  # da/dz of each activation, (n,)
    by_tape: dict[str, np.ndarray]  # the same from TensorFlow
    comparison: list[report.Row]  # at z = 0: the tape, a central difference, the document
    figure: Path


def central_differences(leak, h=1e-5):
    """Return (a(h) - a(-h)) / 2h by name; at a kink it is the mean of the two slopes."""
    ahead = activate(prepare(np.float64(h)), leak)
    behind = activate(prepare(np.float64(-h)), leak)
    return {name: float((ahead[name] - behind[name]) / (2 * h)) for name in NAMES}


def require_agreement(by_hand, by_tape):
    """Raise an error unless the gradients agree at every point, and at the kink too."""
    for name in NAMES:
        if not np.allclose(by_hand[name], by_tape[name], rtol=0, atol=1e-12):
            raise gradient_check.GradientError(
                f"{name}: da_dz by hand disagrees with the tape at the kink, z = 0"
            )


def differ(row):
    """Return whether the three answers for z = 0 differ, which they do at a kink."""
    return not np.allclose(row[1:3], row.published, rtol=0, atol=1e-4)


def plot_derivative(da_dz, ax):
    """Draw da/dz (n,) of an activation without a kink."""
    ax.plot(Z, da_dz, color=plotting.COLOURS[1], label="da/dz")


def plot_kink(da_dz, row, ax):
    """Draw da/dz (n,) with a gap at the kink, two open circles there, and the three answers."""
    _, orange, green, *_ = plotting.COLOURS
    ax.plot(Z, np.where(Z == 0, np.nan, da_dz), color=orange, label="da/dz")
    sides = {"color": "white", "markeredgecolor": orange, "markersize": 13}
    ax.plot(Z[[KINK, KINK]], da_dz[[KINK - 1, KINK + 1]], "o", **sides)

    marks = [
        ("TensorFlow", row.learned, "o", orange),
        ("central difference", row.expected, "X", green),
        ("D5", row.published, "D", "black"),
    ]
    for who, answer, marker, colour in marks:
        ax.plot(0, answer, marker, color=colour, markersize=7, label=who)
        ax.text(-0.35, answer + 0.1, f"{who}: {answer:.2g}", color=colour, ha="right")


def plot(leak, by_tape, comparison):
    panels = {"sharex": True, "sharey": True, "subplot_kw": {"ylim": (-1.5, 1.9)}}
    figure, axes = plotting.subplots(2, 2, size=(8, 6.5), **panels)
    blue, orange, *_ = plotting.COLOURS
    a = activate(prepare(Z), leak)
    for ax, name, row in zip(axes.flat, NAMES, comparison, strict=True):
        da_dz = by_tape[name]
        ax.plot(Z, a[name], color=blue, linewidth=3, label="a")
        ax.text(1.3, np.interp(1.3, Z, a[name]) + 0.12, "a", color=blue, ha="right", size="large")
        ax.text(3, da_dz[Z == 3][0] + 0.1, "da/dz", color=orange)

        called = name[0].upper() + name[1:]
        if differ(row):
            plot_kink(da_dz, row, ax)
            ax.set_title(f"{called} gets three answers at its kink")
        else:
            plot_derivative(da_dz, ax)
            ax.set_title(f"{called} passes back at most {da_dz.max():.2g}")
        ax.set_xlabel("z")
    return figure


def main(
    leak: float = 0.1,
    seed: int = 0,
    figures: Path = plotting.FIGURES,
    show: bool = False,
) -> Derivatives:
    """Compare the derivatives of four activations by hand, by the tape and by differences.

    Args:
        leak: slope of leaky ReLU where z < 0, from -1 (it is |z|) to 1 (it is z)
        seed: of the directions in the gradient check
        figures: folder for the figure
        show: open the figure in a window
    """
    command.check(seed)
    command.check_between(-1, 1, leak=leak)
    leak = float(np.float32(leak))  # tf.nn.leaky_relu keeps its slope as a float32

    without_kink = prepare(np.delete(Z, KINK))
    check = check_gradients(
        loss, gradients_by_hand, without_kink, leak, seed=seed, label="{}: da_dz"
    )
    print(check.raise_if_wrong())
    z = prepare(Z)
    by_hand = {name: gradient.numpy() for name, gradient in gradients_by_hand(z, leak).items()}
    by_tape = {name: gradient.numpy() for name, gradient in gradients_by_tape(z, leak).items()}
    require_agreement(by_hand, by_tape)

    slopes = slopes_of_relu(tf.constant([-1.0, 0.0, 1.0]))
    rows = [[code, *da_dz.numpy()] for code, da_dz in slopes.items()]
    print(report.table(["da_dz of ReLU as", "z = -1", "z = 0", "z = 1"], rows))

    differences = central_differences(leak)
    comparison = []
    for name in NAMES:
        by_tensorflow = float(by_tape[name][KINK])
        answers = by_tensorflow, differences[name], DOCUMENT[name]
        comparison.append(report.Row(f"{name}'(0)", *answers, source=report.REPRODUCED))
    report.print_comparison(comparison)
    drawing = plot(leak, by_tape, comparison)
    figure = plotting.save(drawing, figures, "03_activation_derivatives", show)
    return Derivatives(Z, by_hand, by_tape, comparison, figure)


# %%
# Run
# ---

if __name__ == "__main__":
    result = command.run(main)
