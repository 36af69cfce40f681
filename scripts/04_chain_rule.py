"""
The chain rule
==============

How do the derivatives of two steps, one after the other, become the derivative of both together?

Forward and backward; every number is a scalar::

    y1 = x w1 + b1      dy1/dx = w1      dy1/dw1 = x      dy1/db1 = 1
    y2 = y1 w2 + b2     dy2/dy1 = w2     dy2/dw2 = y1     dy2/db2 = 1
    dy2/dx = dy2/dy1 · dy1/dx,    dy2/dw1 = dy2/dy1 · dy1/dw1,    dy2/db1 = dy2/dy1 · dy1/db1

What you should see: values go forward through the figure and derivatives go backward, with one
multiplication per edge. Three ways lead to the same derivatives: by hand, by a tape, and by moving
each number a little (the gradient check, written out). If an operation breaks the path, the tape
returns None without raising an error; the last table shows twelve such mistakes and their cures.

Try

- ``--w2 0``: y2 no longer depends on y1. Every derivative behind y1 is 0, and none of them is None.
- ``--x 0``: w1 no longer affects y1. Its derivative is 0; the derivative by b1 is what it was.

Re-runs the chain rule of D5, "七、反向传播算法", a Chinese web tutorial on back-propagation.
"""

from pathlib import Path
from typing import NamedTuple

from tf_backprop import check_gradients, command, gradient_check, plotting, report
from tf_backprop.support import drawings

import numpy as np
import tensorflow as tf


# %%
# Prepare
# -------
def start(x=1.0, w1=2.0, b1=1.0, w2=2.0, b2=1.0):
    """Return the five numbers as parameters; float64 keeps rounding far below any mistake."""
    numbers = {"x": x, "w1": w1, "b1": b1, "w2": w2, "b2": b2}
    return {name: tf.constant(number, tf.float64) for name, number in numbers.items()}


# %%
# Forward
# -------
def forward(x, w1, b1, w2, b2):
    y1 = x * w1 + b1
    y2 = y1 * w2 + b2
    return y1, y2


def loss(parameters):
    _, y2 = forward(**parameters)  # y2 stands where a network has its loss
    return y2


# %%
# Backward
# --------
# Each operation knows only its own inputs. The derivative of a product by one factor is the other
# factor, and the derivative of a sum is 1. The chain rule multiplies these along the path. The way
# back begins at y2, because dy2/dy1 is then computed once and serves x, w1 and b1.
def derivatives_by_hand(x, w1, b1, w2, b2):
    y1, _ = forward(x, w1, b1, w2, b2)

    dy1_dx = w1  # x is multiplied by w1
    dy1_dw1 = x  # w1 is multiplied by x
    dy1_db1 = tf.ones_like(y1)  # b1 is added as it is
    dy2_dy1 = w2  # y1 is multiplied by w2
    dy2_dw2 = y1  # w2 is multiplied by y1
    dy2_db2 = tf.ones_like(y1)  # b2 is added as it is

    dy2_dx = dy2_dy1 * dy1_dx  # the chain rule: x reaches y2 through y1
    dy2_dw1 = dy2_dy1 * dy1_dw1  # w1 reaches y2 through y1, too
    dy2_db1 = dy2_dy1 * dy1_db1  # and so does b1

    of_y1 = {"dy1_dx": dy1_dx, "dy1_dw1": dy1_dw1, "dy1_db1": dy1_db1}
    of_y2 = {"dy2_dy1": dy2_dy1, "dy2_dw2": dy2_dw2, "dy2_db2": dy2_db2}
    through_y1 = {"dy2_dx": dy2_dx, "dy2_dw1": dy2_dw1, "dy2_db1": dy2_db1}
    return of_y1 | of_y2 | through_y1


def derivatives_by_tape(x, w1, b1, w2, b2):
    # A tape that is not persistent answers only once.
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([x, w1, b1, w2, b2])
        y1, y2 = forward(x, w1, b1, w2, b2)

    of_y1 = tape.gradient(y1, {"dy1_dx": x, "dy1_dw1": w1, "dy1_db1": b1})
    of_y2 = tape.gradient(y2, {"dy2_dy1": y1, "dy2_dw2": w2, "dy2_db2": b2})
    through_y1 = tape.gradient(y2, {"dy2_dx": x, "dy2_dw1": w1, "dy2_db1": b1})
    return of_y1 | of_y2 | through_y1


def gradients_by_hand(parameters):
    """Return dy2/dp for each parameter p, which is all that a training step needs."""
    derivatives = derivatives_by_hand(**parameters)
    return {name: derivatives[f"dy2_d{name}"] for name in parameters}


def gradients_by_tape(parameters):
    derivatives = derivatives_by_tape(**parameters)
    return {name: derivatives[f"dy2_d{name}"] for name in parameters}


# %%
# Iterate
# -------
# Nothing is trained here. What is repeated, once per parameter, is the gradient check: move one
# number by h in both directions, and see how the loss answers. It knows nothing of the chain rule
# or of a tape, so that it finds the mistakes of both. It takes two losses per number: that is
# enough to prove a gradient, and far too slow to train a network with it.
def gradients_by_differences(parameters, h=1e-5):
    gradients = {}
    for name, p in parameters.items():
        ahead = loss({**parameters, name: p + h})
        behind = loss({**parameters, name: p - h})
        gradients[name] = (ahead - behind) / (2 * h)  # (L(p + h) - L(p - h)) / 2h
    return gradients


# %%
# Where a tape gives None
# -----------------------
# A tape records what TensorFlow computes inside its ``with`` block, from variables and from tensors
# that it was told to watch. The derivative by anything else is None. Each pair below is a mistake
# and its cure. Most of them ask for the derivative of y = w² at w = 2, which is 4.


# A tape watches variables. A constant is none, and one with trainable=False is not watched either.
def a_constant():
    w = tf.constant(2.0)
    with tf.GradientTape() as tape:
        y = w * w
    return tape.gradient(y, w)


def a_watched_constant():
    w = tf.constant(2.0)
    with tf.GradientTape() as tape:
        tape.watch(w)
        y = w * w
    return tape.gradient(y, w)


# Only what is computed inside the ``with`` block is recorded.
def before_the_tape():
    w = tf.Variable(2.0)
    y = w * w
    with tf.GradientTape() as tape:
        pass
    return tape.gradient(y, w)


def inside_the_tape():
    w = tf.Variable(2.0)
    with tf.GradientTape() as tape:
        y = w * w
    return tape.gradient(y, w)


# Whole numbers have no derivative: a variable needs a decimal point.
def a_whole_number():
    w = tf.Variable(2)
    with tf.GradientTape() as tape:
        y = w * w
    return tape.gradient(y, w)


def a_decimal_number():
    w = tf.Variable(2.0)
    with tf.GradientTape() as tape:
        y = w * w
    return tape.gradient(y, w)


# `w = w + 1` makes a new tensor and calls it w: the variable is left behind. `assign_add` changes
# the variable itself.
def a_new_tensor():
    w = tf.Variable(1.0)
    w = w + 1.0
    with tf.GradientTape() as tape:
        y = w * w
    return tape.gradient(y, w)


def the_same_variable():
    w = tf.Variable(1.0)
    w.assign_add(1.0)
    with tf.GradientTape() as tape:
        y = w * w
    return tape.gradient(y, w)


# A tape forgets everything after its first answer, unless it is persistent.
def a_second_question():
    w = tf.Variable(2.0)
    with tf.GradientTape() as tape:
        y = w * w
    tape.gradient(y, w)
    return tape.gradient(y, w)


def a_persistent_tape():
    w = tf.Variable(2.0)
    with tf.GradientTape(persistent=True) as tape:
        y = w * w
    tape.gradient(y, w)
    return tape.gradient(y, w)


# Where no path leads from w to y, the tape can be asked for 0 instead of None.
def no_path():
    w = tf.Variable(2.0)
    with tf.GradientTape() as tape:
        y = tf.stop_gradient(w) ** 2  # this cuts the path on purpose
    return tape.gradient(y, w)


def no_path_as_zero():
    w = tf.Variable(2.0)
    with tf.GradientTape() as tape:
        y = tf.stop_gradient(w) ** 2
    return tape.gradient(y, w, unconnected_gradients="zero")


# In the other pairs the mistake is y itself, so that one function can hold the tape for all.
def derivative(of):
    w = tf.Variable(2.0)
    with tf.GradientTape() as tape:
        y = of(w)
    return tape.gradient(y, w)


# NumPy's operations are not recorded.
def by_numpy(w):
    return tf.constant(np.square(w))


def by_tensorflow(w):
    return tf.square(w)


# `assign` stores a value and forgets where it came from.
def stored_in_a_variable(w):
    v = tf.Variable(0.0)
    v.assign(w * w)
    return 1.0 * v


def kept_as_a_tensor(w):
    v = w * w
    return v


# tf.argmax, comparisons and casts to whole numbers are steps: flat, with jumps. So is the accuracy.
# A loss that changes smoothly stands in for it. (The derivative of this one is σ(2) - 1.)
def accuracy(w):
    z = tf.stack([0.0, w])
    return tf.cast(tf.argmax(z) == 1, tf.float32)


def cross_entropy(w):
    z = tf.stack([0.0, w])
    return -tf.nn.log_softmax(z)[1]


# tf.round and tf.floor are steps, too. The cure rounds forward and acts like w itself backward.
def rounded(w):
    return tf.round(w) ** 2


def rounded_on_the_way_forward(w):
    return (w + tf.stop_gradient(tf.round(w) - w)) ** 2


# A length has a kink at 0, where the tape finds 0/0. A tiny number under the root makes that a 0.
def length_of_zero(w):
    return tf.norm(w - 2.0)


def length_of_nearly_zero(w):
    return tf.sqrt(tf.square(w - 2.0) + 1e-12)


# tf.where differentiates both branches, and 0 times infinity is NaN. A second `where` inside keeps
# the branch that is not chosen away from log 0.
def log_behind_where(w):
    return tf.where(w > 2.0, tf.math.log(w - 2.0), w * w)


def where_behind_where(w):
    above = tf.where(w > 2.0, w - 2.0, 1.0)
    return tf.where(w > 2.0, tf.math.log(above), w * w)


def ways_to_none():
    """Return one row per way: what was done, what the tape returned, what the cure gives."""
    around_the_tape = {
        "a constant": (a_constant, a_watched_constant),
        "before the tape": (before_the_tape, inside_the_tape),
        "whole numbers": (a_whole_number, a_decimal_number),
        "w = w + 1": (a_new_tensor, the_same_variable),
        "a second question": (a_second_question, a_persistent_tape),
        "tf.stop_gradient": (no_path, no_path_as_zero),
    }
    in_y_itself = {
        "NumPy in between": (by_numpy, by_tensorflow),
        "v.assign(w * w)": (stored_in_a_variable, kept_as_a_tensor),
        "argmax, w > 1, cast": (accuracy, cross_entropy),
        "round, floor": (rounded, rounded_on_the_way_forward),
        "norm or sqrt at 0": (length_of_zero, length_of_nearly_zero),
        "log 0 behind where": (log_behind_where, where_behind_where),
    }
    rows = []
    for name, (mistake, cure) in around_the_tape.items():
        rows.append([name, answer(mistake), answer(cure)])
    for name, (mistake, cure) in in_y_itself.items():
        rows.append([name, answer(derivative, mistake), answer(derivative, cure)])
    return rows


def answer(function, *arguments):
    try:
        gradient = function(*arguments)
    except RuntimeError:
        return "RuntimeError"
    return "None" if gradient is None else f"{float(gradient):.3g}"


# %%
# Plot and main
# -------------
FROM_ITS_CODE = 2.0  # dy2/dw1, which D5's own code gives as the product and by its tape

NODES = {
    "x": (0, 1),
    "w1": (0, 0),
    "b1": (0, -1),
    "w2": (2, 1),
    "y1": (2, 0),
    "b2": (2, -1),
    "y2": (4, 0),
}
EDGES = [("x", "y1"), ("w1", "y1"), ("b1", "y1"), ("w2", "y2"), ("y1", "y2"), ("b2", "y2")]


class ChainRule(NamedTuple):
    derivatives: dict[str, float]  # all local and total derivatives by hand, "dy1_dx" to "dy2_db1"
    by_tape: dict[str, float]  # the same from one persistent tape
    comparison: list[report.Row]  # the tape's dy2/dw1 beside the product
    figure: Path


def plot(parameters, derivatives):
    y1, y2 = forward(**parameters)
    values = {**parameters, "y1": y1, "y2": y2}
    gradients = {name: derivatives.get(f"dy2_d{name}", 1.0) for name in NODES}  # dy2/dy2 is 1
    factors = {(begin, end): derivatives[f"d{end}_d{begin}"] for begin, end in EDGES}

    figure, ax = plotting.subplots(size=(9.6, 5.7))
    drawings.graph(ax, NODES, values, gradients, factors)
    product = "{dy2_dy1:.3g} × {dy1_dw1:.3g} = {dy2_dw1:.3g}".format(**derivatives)
    title = f"The way back multiplies: dy2/dw1 = dy2/dy1 × dy1/dw1 = {product}"
    figure.suptitle(title, size="large")
    return figure


def print_derivatives(by_hand, by_tape, by_differences):
    rows = [
        ["by hand", *by_hand.values()],
        ["by tape", *by_tape.values()],
        ["by differences", *(by_differences.get(name) for name in by_hand)],
    ]
    print(report.table(["", *by_hand], rows))


def print_ways_to_none(rows):
    """Print the rows in two halves beside each other."""
    half = len(rows) // 2
    pairs = [[*left, *right] for left, right in zip(rows[:half], rows[half:], strict=True)]
    print(report.table(["a path that breaks", "gradient", "cured"] * 2, pairs))


def require_agreement(by_hand, by_tape, by_differences):
    for name, derivative in by_hand.items():
        if not np.isclose(by_tape[name], derivative, rtol=1e-9, atol=0):
            raise gradient_check.GradientError(f"{name} by hand disagrees with the tape")

    largest = max(abs(by_hand[name]) for name in by_differences)
    for name, difference in by_differences.items():
        if abs(difference - by_hand[name]) > 1e-6 * largest:
            raise gradient_check.GradientError(f"{name} by hand disagrees with its difference")


def require_none(rows):
    for name, returned, cured in rows:
        if returned not in ("None", "nan", "RuntimeError"):
            raise gradient_check.GradientError(f"{name}: the tape should have recorded none")
        if cured in ("None", "nan", "RuntimeError"):
            raise gradient_check.GradientError(f"{name}: the cure does not help")


def main(
    x: float = 1.0,
    w1: float = 2.0,
    b1: float = 1.0,
    w2: float = 2.0,
    b2: float = 1.0,
    seed: int = 0,
    figures: Path = plotting.FIGURES,
    show: bool = False,
) -> ChainRule:
    """Take the derivatives of y2 = (x w1 + b1) w2 + b2 in three ways; see when a tape gives None.

    Args:
        seed: of the parameters in the gradient check
        figures: folder for the figure
        show: open the figure in a window
    """
    command.check(seed)
    numbers = {"x": x, "w1": w1, "b1": b1, "w2": w2, "b2": b2}
    command.check_between(-1000, 1000, **numbers)

    drawn = np.random.default_rng(seed).uniform(1, 2, 5)  # none is 0, which would hide mistakes
    others = start(*drawn)
    print(check_gradients(loss, gradients_by_hand, others, label="dy2_d{}").raise_if_wrong())

    parameters = start(**numbers)
    differences = gradients_by_differences(parameters)
    by_hand = {name: float(value) for name, value in derivatives_by_hand(**parameters).items()}
    by_tape = {name: float(value) for name, value in derivatives_by_tape(**parameters).items()}
    by_differences = {f"dy2_d{name}": float(value) for name, value in differences.items()}
    print_derivatives(by_hand, by_tape, by_differences)
    require_agreement(by_hand, by_tape, by_differences)

    ways = ways_to_none()
    print_ways_to_none(ways)
    require_none(ways)

    product = by_hand["dy2_dy1"] * by_hand["dy1_dw1"]
    name = "dy2_dw1 = dy2_dy1 * dy1_dw1"
    row = report.Row(name, by_tape["dy2_dw1"], product, FROM_ITS_CODE, report.REPRODUCED)
    report.print_comparison([row])

    figure = plotting.save(plot(numbers, by_hand), figures, "04_chain_rule", show)
    return ChainRule(by_hand, by_tape, [row], figure)


# %%
# Run
# ---

if __name__ == "__main__":
    result = command.run(main)
