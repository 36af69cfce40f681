"""
The chain rule
==============

How do the derivatives of two steps, one after the other, become the derivative of both together?

Forward and backward, all scalars::

    y1 = x w1 + b1      dy1/dx = w1      dy1/dw1 = x      dy1/db1 = 1
    y2 = y1 w2 + b2     dy2/dy1 = w2     dy2/dw2 = y1     dy2/db2 = 1
    dy2/dx = dy2/dy1 · dy1/dx,    dy2/dw1 = dy2/dy1 · dy1/dw1,    dy2/db1 = dy2/dy1 · dy1/db1

What you should see: in the figure, values go forward and derivatives backward, with one multiplication an edge. The
product is what the tape gives for both steps at once. A tape that has lost the thread gives None, and no error: a table
shows how that comes about, and what to do instead.

Try

- ``--w2 0``: y2 no longer depends on y1; every derivative behind y1 is multiplied by 0, and is 0 and not None.
- ``--x 0``: w1 has no effect on y1 any more; its derivative is 0, while that of b1 is what it was.

Re-runs the second part of D5, "七、反向传播算法".
"""

from pathlib import Path
from typing import NamedTuple

from tf_backprop import command, gradient_check, plotting, report
from tf_backprop.support import drawings

import numpy as np
import tensorflow as tf

# %%
# Prepare
# -------

PUBLISHED = 2.0  # dy2/dw1, the product as well as the tape's own


class ChainRule(NamedTuple):
    derivatives: dict[str, float]  # all local and total derivatives by hand, "dy1_dx" to "dy2_db1"
    by_tape: dict[str, float]  # the same from one persistent tape
    comparison: list[report.Row]  # the tape's dy2/dw1 beside the product
    figure: Path


# %%
# Forward
# -------
def forward(x, w1, b1, w2, b2):
    y1 = x * w1 + b1
    y2 = y1 * w2 + b2
    return y1, y2


def loss(parameters):
    return forward(**parameters)[1]  # y2 stands where a network has its loss


# %%
# Backward
# --------
def derivatives_by_hand(x, w1, b1, w2, b2):
    y1, _ = forward(x, w1, b1, w2, b2)
    one = tf.ones_like(y1)
    local = {
        "dy1_dx": w1,
        "dy1_dw1": x,
        "dy1_db1": one,
        "dy2_dy1": w2,
        "dy2_dw2": y1,
        "dy2_db2": one,
    }
    total = {f"dy2_d{name}": local["dy2_dy1"] * local[f"dy1_d{name}"] for name in ("x", "w1", "b1")}
    return local | total


def derivatives_by_tape(x, w1, b1, w2, b2):
    x, w1, b1, w2, b2 = (tf.Variable(value) for value in (x, w1, b1, w2, b2))
    with tf.GradientTape(persistent=True) as tape:  # any other tape answers only once
        y1, y2 = forward(x, w1, b1, w2, b2)
    of_y1 = tape.gradient(y1, {"dy1_dx": x, "dy1_dw1": w1, "dy1_db1": b1})
    of_y2 = tape.gradient(y2, {"dy2_dy1": y1, "dy2_dw2": w2, "dy2_db2": b2})
    return of_y1 | of_y2 | tape.gradient(y2, {"dy2_dx": x, "dy2_dw1": w1, "dy2_db1": b1})


# What a training step would need of them: dy2/dp for each parameter p.
gradients_by_hand = lambda parameters: {
    p: derivatives_by_hand(**parameters)[f"dy2_d{p}"] for p in parameters
}
gradients_by_tape = lambda parameters: {
    p: derivatives_by_tape(**parameters)[f"dy2_d{p}"] for p in parameters
}


# %%
# Iterate
# -------
# A tape records what TensorFlow computes, in its ``with`` block, from variables and from what it was told to watch. The
# derivative by anything else is None.
def ways_to_none():
    """Return rows: what was done, what came back, what to do instead."""
    w, unused, frozen = tf.Variable(2.0), tf.Variable(2.0), tf.Variable(2.0, trainable=False)
    constant, whole, early, moved = (
        tf.constant(2.0),
        tf.Variable(2),
        w * w,
        w + 1,
    )  # `w = w + 1` makes w a tensor
    with tf.GradientTape(persistent=True) as tape, tf.GradientTape() as once:
        y = w * w
        cases = [
            (
                "a constant, or trainable=False",
                constant * frozen,
                [constant, frozen],
                "tape.watch(x)",
            ),
            ("computed before the tape", early, w, "compute it in the with block"),
            ("NumPy in between", tf.constant(np.square(w)), w, "tf.square(w)"),
            ("whole numbers", whole * whole, whole, "tf.Variable(2.0), with a point"),
            ("w = w + 1", moved * moved, moved, "w.assign_add(1.0)"),
            (
                "tf.stop_gradient, or no path",
                tf.stop_gradient(w) ** 2,
                [w, unused],
                "unconnected_gradients='zero'",
            ),
        ]
    rows = [[what, str(tape.gradient(y, sources)), instead] for what, y, sources, instead in cases]
    try:
        rows.append(["a second question", str([once.gradient(y, w), once.gradient(y, w)]), ""])
    except RuntimeError:
        rows.append(["a second question", "RuntimeError", "tf.GradientTape(persistent=True)"])
    if {came_back for _, came_back, _ in rows} != {"None", "[None, None]", "RuntimeError"}:
        raise gradient_check.GradientError(
            "the tape gave a derivative where it should have recorded none"
        )
    return rows


# %%
# Plot and main
# -------------

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


def plot(parameters, derivatives):
    values = parameters | dict(zip(("y1", "y2"), forward(**parameters), strict=True))
    gradients = {"y2": 1.0} | {name: derivatives[f"dy2_d{name}"] for name in NODES if name != "y2"}
    figure, ax = plotting.subplots(size=(10, 5.5))
    drawings.graph(
        ax, NODES, values, gradients, {(a, b): derivatives[f"d{b}_d{a}"] for a, b in EDGES}
    )
    return figure


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
    """Take the derivatives of y2 = (x w1 + b1) w2 + b2 by hand and by a tape, and see when a tape gives None.

    Args:
        seed: of the parameters in the gradient check
        figures: folder for the figure
        show: open the figure in a window
    """
    command.check(seed)
    parameters = {"x": x, "w1": w1, "b1": b1, "w2": w2, "b2": b2}
    command.check_between(-1000, 1000, **parameters)
    others = dict(
        zip(parameters, np.random.default_rng(seed).uniform(1, 2, 5), strict=True)
    )  # none of them is 0
    gradient_check.check_gradients(
        loss, gradients_by_hand, gradients_by_tape, others, (), seed, label="dy2_d{}"
    )
    parameters = {name: np.float64(value) for name, value in parameters.items()}
    by_hand = {
        name: float(derivative) for name, derivative in derivatives_by_hand(**parameters).items()
    }
    by_tape = {
        name: float(derivative) for name, derivative in derivatives_by_tape(**parameters).items()
    }
    print(
        report.table(
            ["", *by_hand], [["by hand", *by_hand.values()], ["by tape", *by_tape.values()]]
        )
    )
    if not np.allclose([*by_hand.values()], [*by_tape.values()], rtol=1e-9, atol=0):
        raise gradient_check.GradientError("a derivative by hand disagrees with the tape")
    print(report.table(["what was done", "came back", "instead"], ways_to_none()))
    figure = plotting.save(plot(parameters, by_hand), figures, "04_chain_rule", show)
    comparison = [
        report.Row("dy2_dw1 = dy2_dy1 * dy1_dw1", by_tape["dy2_dw1"], by_hand["dy2_dw1"], PUBLISHED)
    ]
    report.print_comparison(comparison)
    return ChainRule(by_hand, by_tape, comparison, figure)


# %%
# Run
# ---

if __name__ == "__main__":
    command.run(main)
