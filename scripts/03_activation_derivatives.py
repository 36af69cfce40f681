"""
Derivatives of four activations
===============================

What does each activation pass back, and what at a kink, where there is no derivative to pass?

Forward and backward, at one point z::

    sigmoid       a = σ(z) = 1 / (1 + exp(-z))     da/dz = a (1 - a)
    tanh          a = tanh(z) = 2 σ(2z) - 1        da/dz = 1 - a²
    leaky ReLU    a = max(z, leak·z)               da/dz = leak where z < 0, and 1 where z > 0
    ReLU          a = max(z, 0)                    da/dz = 0 where z < 0, and 1 where z > 0

What you should see: a sigmoid passes back a quarter at most, and next to nothing at its ends. At the kink of ReLU no
number is the derivative, and what to pass back is a convention: the document says 1, a central difference takes the
middle of the two sides, and TensorFlow's answer depends on how ReLU is written.

Try

- ``--leak 1``: leaky ReLU becomes the straight line a = z; it has no kink, and all three answers are the same.
- ``--leak -1``: leaky ReLU becomes ``abs(z)``; it turns the sign of what it passes back where z < 0.

Re-runs the first part of D5, "七、反向传播算法".
"""

from pathlib import Path
from typing import NamedTuple

from tf_backprop import command, gradient_check, plotting, report

import numpy as np
import tensorflow as tf

# %%
# Prepare
# -------
# Evenly spaced points, the kink z = 0 among them, and what the document's formulas give there.

Z = np.arange(-80, 81) / 20
KINK = np.searchsorted(Z, 0)
PUBLISHED = {"sigmoid": 0.25, "tanh": 1.0, "leaky ReLU": 1.0, "ReLU": 1.0}


class Derivatives(NamedTuple):
    z: np.ndarray  # (n,) the points
    by_hand: dict[str, np.ndarray]  # da/dz of each activation, (n,)
    by_tape: dict[str, np.ndarray]  # the same from TensorFlow
    comparison: list[report.Row]  # at z = 0: the tape, a central difference, the document
    figure: Path


# %%
# Forward
# -------
def activations(leak):
    return {
        "sigmoid": tf.sigmoid,
        "tanh": lambda z: 2 * tf.sigmoid(2 * z) - 1,
        "leaky ReLU": lambda z: tf.nn.leaky_relu(z, float(leak)),
        "ReLU": tf.nn.relu,
    }


def loss(z, leak):
    """L = Σ a, over the points z[name] (n,) of every activation."""
    return tf.add_n(
        [tf.reduce_sum(activation(z[name])) for name, activation in activations(leak).items()]
    )


# %%
# Backward
# --------
# A tape differentiates one number, and here are n derivatives. But an activation works element by element: z_i reaches
# a_i and no other term of the sum Σ a. Therefore d(Σ a)/dz_i = da_i/dz_i: the gradient of the sum is all of them. (Of a
# softmax it would not be: every output depends on every input.)
def gradients_by_hand(z, leak):
    """da/dz; at a kink the slope of the left side, as ``tf.nn.relu`` and ``tf.nn.leaky_relu`` have it."""
    a, t, one = tf.sigmoid(z["sigmoid"]), tf.tanh(z["tanh"]), tf.ones_like(z["ReLU"])
    return {
        "sigmoid": a * (1 - a),
        "tanh": 1 - t**2,
        "leaky ReLU": tf.where(z["leaky ReLU"] > 0, one, float(leak) * one),
        # z > 0 and not a >= 0, which holds for every output of a ReLU and would pass everything back.
        "ReLU": tf.where(z["ReLU"] > 0, one, 0 * one),
    }


def derivative_by_tape(activation, z):
    z = tf.Variable(z)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(activation(z))
    return tape.gradient(total, z)


def gradients_by_tape(z, leak):
    return {
        name: derivative_by_tape(activation, z[name])
        for name, activation in activations(leak).items()
    }


# %%
# Iterate
# -------
# Four ways to write one function. The tape follows the code, and each operation has a convention of its own.

WAYS_TO_WRITE_RELU = {
    "tf.nn.relu(z)": tf.nn.relu,
    "tf.maximum(0, z)": lambda z: tf.maximum(0.0, z),
    "(z + tf.abs(z)) / 2": lambda z: (z + tf.abs(z)) / 2,
    "tf.maximum(z, 0)": lambda z: tf.maximum(z, 0.0),
}


# %%
# Plot and main
# -------------
def plot_jump(y, said, ax):
    """Draw da/dz (n,) with a gap at the kink, an open circle at either side of it, and marks for what is said of it."""
    (line,) = ax.plot(Z, np.where(Z == 0, np.nan, y), label="da/dz")
    sides = {"color": "white", "markeredgecolor": line.get_color(), "markersize": 13}
    ax.plot(Z[[KINK, KINK]], y[[KINK - 1, KINK + 1]], "o", **sides)
    marks = (("o", line.get_color(), 8), ("X", plotting.COLOURS[2], 9), ("D", "black", 5))
    for (name, value), (marker, colour, size) in zip(said.items(), marks, strict=True):
        ax.plot(0, value, marker, color=colour, markersize=size, label=f"at 0, {name}")


def plot(leak, by_tape, comparison):
    figure, axes = plotting.subplots(
        2, 2, size=(10, 7), sharex=True, sharey=True, subplot_kw={"ylim": (-1.5, 1.9)}
    )
    for ax, (name, activation), at_zero in zip(
        axes.flat, activations(leak).items(), comparison, strict=True
    ):
        plotting.curves(Z, {"a": activation(Z)}, "z", "", ax=ax, linewidth=4)
        if name.endswith("ReLU"):
            said = dict(
                zip(("TensorFlow", "central difference", "the document"), at_zero[1:4], strict=True)
            )
            plot_jump(by_tape[name], said, ax)
        else:
            plotting.curves(Z, {"da/dz": by_tape[name]}, "z", "", ax=ax)
        ax.set_title(f"{name} passes back at most {by_tape[name].max():.2g}")
        ax.legend(loc="lower right")
    return figure


def main(
    leak: float = 0.1, seed: int = 0, figures: Path = plotting.FIGURES, show: bool = False
) -> Derivatives:
    """Compare the derivatives of sigmoid, tanh, leaky ReLU and ReLU by hand, by the tape and by differences.

    Args:
        leak: slope of leaky ReLU where z < 0, from -1 (it is |z|) to 1 (it is z)
        seed: of the directions in the gradient check
        figures: folder for the figure
        show: open the figure in a window
    """
    command.check(seed)
    command.check_between(-1, 1, leak=leak)
    leak = float(np.float32(leak))  # tf.nn.leaky_relu keeps its slope as a float32
    away = dict.fromkeys(PUBLISHED, np.delete(Z, KINK))
    gradient_check.check_gradients(
        loss, gradients_by_hand, gradients_by_tape, away, (leak,), seed, label="{}: da_dz"
    )

    z = dict.fromkeys(PUBLISHED, Z)
    by_hand = {name: gradient.numpy() for name, gradient in gradients_by_hand(z, leak).items()}
    by_tape = {name: gradient.numpy() for name, gradient in gradients_by_tape(z, leak).items()}
    if not all(np.allclose(by_hand[name], by_tape[name], rtol=0, atol=1e-12) for name in z):
        raise gradient_check.GradientError(
            "da_dz as written by hand disagrees with the tape at the kink"
        )
    rows = [
        [code, *derivative_by_tape(relu, [-1.0, 0.0, 1.0]).numpy()]
        for code, relu in WAYS_TO_WRITE_RELU.items()
    ]
    print(report.table(["da_dz of ReLU as", "z = -1", "z = 0", "z = 1"], rows))

    comparison, h = [], np.float64(1e-5)
    for name, activation in activations(leak).items():
        difference = (activation(h) - activation(-h)) / (
            2 * h
        )  # at a kink: the mean of the slopes of its two sides
        comparison.append(
            report.Row(
                f"{name}'(0)", float(by_tape[name][KINK]), float(difference), PUBLISHED[name]
            )
        )
    figure = plotting.save(
        plot(leak, by_tape, comparison), figures, "03_activation_derivatives", show
    )
    report.print_comparison(comparison)
    return Derivatives(Z, by_hand, by_tape, comparison, figure)


# %%
# Run
# ---

if __name__ == "__main__":
    command.run(main)
