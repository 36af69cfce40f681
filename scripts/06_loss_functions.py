"""
What a loss asks for
====================

What does each loss ask of the output?

Forward and backward, for n samples with targets y, or with classes as rows t (n, c), all 0 but for a single 1::

    squared        L = mean((o - y)²)                       dL/do = 2 (o - y) / n                    o (n,)
    asymmetric     L = mean(max(under (y - o), o - y))      dL/do = -under / n if o < y, else 1 / n  o (n,)
    cross-entropy  L = -mean(Σ t log p), p = softmax(z)     dL/dz = (p - t) / n                      z (n, c)

What you should see: when all samples share one output, the losses ask for the mean, the quantile under / (1 + under)
and the log-odds; there the gradient is zero. Then one sample of class 0 has the logits (0, s). From some s on, the
naive log(softmax(z)) is log 0: its loss is infinite, its gradient NaN. The document clips p from below: that loss stays
finite, but from a smaller s on its gradient is 0: the worst samples teach nothing. log_softmax(z) keeps both right.

Try

- ``--under 9``: a shortage costs more, and the best output of the asymmetric loss goes up.
- ``--clip 1e-50``: float32 rounds that to 0, and the clip prevents no NaN; in float64 it still acts.

Re-runs the losses of D2, "深度学习 tensorflow 学习笔记二 反向传播".
"""

from pathlib import Path
from typing import NamedTuple

from tf_backprop import command, gradient_check, plotting, report

import numpy as np
import tensorflow as tf

# %%
# Prepare
# -------

LOG_P = {  # three ways to log p, the same in exact arithmetic
    "from logits": lambda z, clip: tf.nn.log_softmax(z),
    "naive": lambda z, clip: tf.math.log(tf.nn.softmax(z)),
    "clipped": lambda z, clip: tf.math.log(tf.clip_by_value(tf.nn.softmax(z), clip, 1.0)),
}


class LossFunctions(NamedTuple):
    outputs: (
        np.ndarray
    )  # (m,) the output o that all samples share; for the cross-entropy, logits (0, o)
    values: dict[str, np.ndarray]  # loss -> (m,) its value
    by_hand: dict[str, np.ndarray]  # loss -> (m,) its derivative by o
    by_tape: dict[str, np.ndarray]  # loss -> (m,) the same from the tape
    misses: np.ndarray  # (k,) s, for one sample of class 0 with the logits (0, s)
    ways: dict[
        tuple[str, str], np.ndarray
    ]  # (way to log p, format) -> (2, k) the cross-entropy and dL/ds
    comparison: list[report.Row]  # the last row is the lesson's answer
    figure: Path


# %%
# Forward
# -------
# Each loss has an output o of its own, so one gradient of their sum holds the gradients of all.
def cross_entropy(z, t, way="from logits", clip=None):
    return -tf.reduce_mean(
        tf.reduce_sum(t * LOG_P[way](z, clip), axis=-1), axis=-1
    )  # (..., n, c) -> (...)


def losses(o, y, t, under):
    return {  # each (..., n) -> (...)
        "squared": tf.reduce_mean((o["squared"] - y) ** 2, axis=-1),
        "asymmetric": tf.reduce_mean(
            tf.maximum(under * (y - o["asymmetric"]), o["asymmetric"] - y), axis=-1
        ),
        "cross-entropy": cross_entropy(o["cross-entropy"], t),
    }


def loss(o, y, t, under):
    return tf.add_n([tf.reduce_sum(L) for L in losses(o, y, t, under).values()])


# %%
# Backward
# --------
def gradients_by_hand(o, y, t, under):
    return {
        "squared": 2 * (o["squared"] - y) / len(y),
        "asymmetric": tf.where(o["asymmetric"] < y, -under, tf.ones_like(y)) / len(y),
        "cross-entropy": (tf.nn.softmax(o["cross-entropy"]) - t) / len(y),
    }


def gradients_by_tape(o, y, t, under):
    o = {
        name: tf.Variable(output) for name, output in o.items()
    }  # watched, and none the same object as another
    with tf.GradientTape() as tape:
        L = loss(o, y, t, under)
    return tape.gradient(L, o)


# %%
# Iterate
# -------
def share(outputs, *batch):
    """Give all samples the same output: each loss, and its derivative by hand and by the tape, all (m,)."""
    o = outputs[:, np.newaxis]  # (m, 1)
    shared = {
        "squared": o,
        "asymmetric": o,
        "cross-entropy": np.stack([0 * o, o], axis=-1),
    }  # z (m, 1, 2)
    values = {name: L.numpy() for name, L in losses(shared, *batch).items()}
    gradients = gradients_by_hand(shared, *batch), gradients_by_tape(shared, *batch)
    for each in gradients:
        each["cross-entropy"] = each["cross-entropy"][..., 1]  # by the logit o
    return values, *(
        {name: np.sum(g, axis=1) for name, g in each.items()} for each in gradients
    )  # over the samples


def miss(misses, way, dtype, clip):
    """Cross-entropy of one sample of class 0 with the logits (0, s), and its derivative by s: (2, k)."""
    z = tf.Variable(
        np.stack([0 * misses, misses], axis=-1)[:, np.newaxis], dtype=dtype
    )  # (k, 1, 2)
    with tf.GradientTape() as tape:
        L = cross_entropy(z, tf.constant([1, 0], dtype), way, clip)
    return np.stack([L, tape.gradient(L, z)[:, 0, 1]])


# %%
# Plot and main
# -------------
def plot_ways(misses, ways, ylabel, title, ax):
    """Draw curves by (way, format) that lie on one another, and a cross where one ends."""
    looks = {
        "from logits": (plotting.COLOURS[5], 10),
        "naive": (plotting.COLOURS[1], 4),
        "clipped": ("black", 1.5),
    }
    for (way, dtype), y in ways.items():
        colour, width = looks[way]
        dashes = "-" if dtype == "float32" else "--"
        ax.plot(
            misses,
            y,
            dashes,
            color=colour,
            linewidth=width,
            solid_capstyle="butt",
            label=f"{way}, {dtype}",
        )
        finite = np.flatnonzero(np.isfinite(y))
        if 0 < len(finite) < len(y):
            ax.plot(
                misses[finite[-1]],
                y[finite[-1]],
                "X",
                color=colour,
                markeredgecolor="black",
                markersize=11,
            )
    ax.set(xlabel="size s of the miss", ylabel=ylabel, title=title, xscale="log")
    ax.legend(handlelength=3)


def plot(outputs, values, by_hand, best, misses, ways):
    figure, ((a, b), (c, d)) = plotting.subplots(2, 2, size=(11, 8))
    L, dL_ds = ({way: both[i] for way, both in ways.items()} for i in (0, 1))
    plotting.curves(
        outputs,
        values,
        "shared output o",
        "loss",
        dots=best,
        title="each loss is lowest elsewhere",
        ax=a,
    )
    plotting.curves(
        outputs,
        by_hand,
        "shared output o",
        "dL/do",
        dots=best,
        title="there, its gradient is 0",
        ax=b,
    )
    plot_ways(misses, L, "loss", "naive: infinite, clipped: stops growing", c)
    c.set_yscale("log")
    plot_ways(misses, dL_ds, "dL/ds", "naive: NaN, clipped: no gradient", d)
    return figure


def main(
    under: float = 3.0,
    clip: float = 1e-12,
    seed: int = 0,
    figures: Path = plotting.FIGURES,
    show: bool = False,
) -> LossFunctions:
    """Compare three losses by their gradients, and three ways to compute the cross-entropy.

    Args:
        under: cost of an output too low by one, in the asymmetric loss; too high by one costs 1
        clip: the least p that the clipped cross-entropy takes the logarithm of, at most 0.1
    """
    command.check(seed, under=under, clip=clip)
    command.check_between(0, 0.1, clip=clip)
    rng = np.random.default_rng(seed)
    y = rng.gamma(2, 0.5, 25)
    batch = y, np.eye(2)[(y > y.mean()).astype(int)], under  # class 1 is above the mean; t (n, 2)
    o, z = y + rng.choice([-0.5, 0.5], 25), rng.normal(size=(25, 2))  # not at the kink o = y
    some = {"squared": o, "asymmetric": o, "cross-entropy": z}
    gradient_check.check_gradients(
        loss, gradients_by_hand, gradients_by_tape, some, batch, seed, label="dL_do, {}"
    )
    outputs, misses = np.linspace(-2, y.max() + 0.5, 5001), np.geomspace(1, 1000, 20001)
    values, by_hand, by_tape = share(outputs, *batch)
    ways = {
        (way, dtype): miss(misses, way, dtype, clip)
        for way in LOG_P
        for dtype in ("float64", "float32")
    }
    odds = np.sum(y > y.mean()) / np.sum(y <= y.mean())
    exact = y.mean(), np.quantile(y, under / (1 + under), method="inverted_cdf"), np.log(odds)
    best = {name: float(np.interp(0, derivative, outputs)) for name, derivative in by_hand.items()}
    comparison = [
        report.Row(f"best output, {name}", best[name], e)
        for name, e in zip(best, exact, strict=True)
    ]
    for way, dtype in list(ways)[2:]:
        lost = misses[np.argmin(ways[way, dtype][1] > 0)]
        least = max(
            np.finfo(dtype).tiny, clip if way == "clipped" else 0
        )  # a p = 1 / (1 + e^s) below is lost
        comparison.append(
            report.Row(f"gradient lost at s, {way} {dtype}", lost, np.log(1 / least - 1))
        )
    figure = plotting.save(
        plot(outputs, values, by_hand, best, misses, ways), figures, "06_loss_functions", show
    )
    report.print_comparison(comparison)
    return LossFunctions(outputs, values, by_hand, by_tape, misses, ways, comparison, figure)


# %%
# Run
# ---

if __name__ == "__main__":
    command.run(main)
