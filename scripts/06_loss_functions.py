"""
What a loss asks for
====================

What does each loss ask of the output?

Forward and backward, for n samples with outputs o and targets y (n,), or with logits z and one-hot
rows t (n, c)::

    squared        L = mean((o - y)²)                    dL/do = 2 (o - y) / n
    asymmetric     L = mean(max(under (y - o), o - y))   dL/do = -under / n if o < y, else 1 / n
    cross-entropy  L = -mean(Σ t log p), p = softmax(z)  dL/dz = (p - t) / n

What you should see: when all samples share one output, the losses ask for the mean, for the
quantile under / (1 + under) and for the log-odds. Then one sample of class 0 has the logits (0, s):
it is a miss of size s. From some s on, the naive log(softmax(z)) is log 0; its loss is infinite and
its gradient NaN. The tutorial, D2, clips p from below: its loss stays finite, but from a smaller s
on its gradient is 0, so that the worst samples teach nothing. log_softmax(z) keeps both right.

Try

- ``--under 9``: an output that is too low costs more, and the best output moves up.
- ``--clip 1e-50``: float32 rounds this to 0, so the clip prevents no NaN; in float64 it still acts.

Re-runs the losses of D2, "深度学习 tensorflow 学习笔记二 反向传播", a Chinese web tutorial.
"""

from functools import partial
from pathlib import Path
from typing import NamedTuple

from tf_backprop import check_gradients, command, plotting, report

import numpy as np
import tensorflow as tf


# %%
# Prepare
# -------
def draw_targets(rng, n=25):
    """Return targets y (n,), and as rows t (n, 2) whether they are below or above their mean."""
    y = rng.gamma(2, 0.5, n)
    above = (y > y.mean()).astype(int)
    return y, np.eye(2)[above]


def draw_outputs(rng, y):
    """Return one output per loss, so that one gradient of their sum has the gradients of all."""
    o = y + rng.choice([-0.5, 0.5], len(y))  # not at the kink of the asymmetric loss, o = y
    z = rng.normal(size=(len(y), 2))
    outputs = {"squared": o, "asymmetric": o, "cross-entropy": z}
    return {name: tf.constant(output) for name, output in outputs.items()}


# %%
# Forward
# -------
def squared(o, y):
    return tf.reduce_mean(tf.square(o - y), axis=-1)  # (..., n) -> (...)


def asymmetric(o, y, under):
    return tf.reduce_mean(tf.maximum(under * (y - o), o - y), axis=-1)  # (..., n) -> (...)


# Three ways to log p, which are the same in exact arithmetic.
def log_p_from_logits(z):
    return tf.nn.log_softmax(z)


def log_p_naive(z):
    return tf.math.log(tf.nn.softmax(z))


def log_p_clipped(z, clip):
    return tf.math.log(tf.clip_by_value(tf.nn.softmax(z), clip, 1.0))


def cross_entropy(log_p, t):
    each = -tf.reduce_sum(t * log_p, axis=-1)  # (..., n, c) -> (..., n)
    return tf.reduce_mean(each, axis=-1)  # (..., n) -> (...)


# D2's formula is the one above. Its code takes the mean over the classes, too: that divides by c.
def cross_entropy_of_d2(log_p, t):
    return -tf.reduce_mean(t * log_p, axis=[-2, -1])  # (..., n, c) -> (...)


def losses(parameters, y, t, under):
    log_p = log_p_from_logits(parameters["cross-entropy"])
    return {
        "squared": squared(parameters["squared"], y),
        "asymmetric": asymmetric(parameters["asymmetric"], y, under),
        "cross-entropy": cross_entropy(log_p, t),
    }


def loss(parameters, y, t, under):
    return tf.add_n([tf.reduce_sum(L) for L in losses(parameters, y, t, under).values()])


# %%
# Backward
# --------
# The squared loss pulls harder at a sample that it misses by more. The asymmetric loss pulls
# equally hard at all samples on one side. The cross-entropy pulls by p - t, the predicted
# probability minus the label.
def gradients_by_hand(parameters, y, t, under):
    n = len(y)

    o = parameters["squared"]
    dL_do_squared = 2 * (o - y) / n  # the 2 is the square's, the 1/n is the mean's

    o = parameters["asymmetric"]
    slope = tf.where(o < y, -under, tf.ones_like(y))  # the slope of the larger of the two costs
    dL_do_asymmetric = slope / n  # the 1/n is the mean's

    p = tf.nn.softmax(parameters["cross-entropy"])
    dL_dz = (p - t) / n  # softmax and logarithm cancel down to this; the 1/n is the mean's

    return {"squared": dL_do_squared, "asymmetric": dL_do_asymmetric, "cross-entropy": dL_dz}


def gradients_by_tape(parameters, y, t, under):
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        L = loss(parameters, y, t, under)
    return tape.gradient(L, parameters)


# %%
# Iterate
# -------
# Nothing is trained here. First all samples share one output, and m outputs are tried.
def share(outputs):
    o = outputs[:, np.newaxis]  # (m,) -> (m, 1), which is broadcast against y (n,) to (m, n)
    z = np.stack([0 * o, o], axis=-1)  # (m, 1, 2): the logits of the two classes
    shared = {"squared": o, "asymmetric": o, "cross-entropy": z}
    return {name: tf.constant(output) for name, output in shared.items()}


def slopes(gradients):
    """Return dL/do (m,) for each loss: what all samples ask of the output that they share."""
    of_o = dict(gradients)
    of_o["cross-entropy"] = gradients["cross-entropy"][..., 1]  # o is the logit of class 1
    return {name: np.sum(gradient, axis=1) for name, gradient in of_o.items()}


# Then one sample of class 0 is missed by s, and k sizes of the miss are tried.
def loss_and_gradient(z, t, log_p_of, cross_entropy_of=cross_entropy):
    with tf.GradientTape() as tape:
        tape.watch(z)
        L = cross_entropy_of(log_p_of(z), t)
    return L, tape.gradient(L, z)


def miss(s, log_p_of):
    """Return the cross-entropy of a sample of class 0 with the logits (0, s), and dL/ds: (2, k)."""
    z = tf.stack([0 * s, s], axis=-1)[:, tf.newaxis]  # (k,) -> (k, 1, 2): one sample, two classes
    t = tf.constant([1, 0], s.dtype)
    L, dL_dz = loss_and_gradient(z, t, log_p_of)
    return np.stack([L, dL_dz[:, 0, 1]])


# %%
# Plot and main
# -------------
class LossFunctions(NamedTuple):
    outputs: np.ndarray  # (m,) the output o that all samples share, or their logits (0, o)
    values: dict[str, np.ndarray]  # loss -> (m,) its value
    by_hand: dict[str, np.ndarray]  # loss -> (m,) its derivative by o
    by_tape: dict[str, np.ndarray]  # loss -> (m,) the same from the tape
    misses: np.ndarray  # (k,) s, for one sample of class 0 with the logits (0, s)
    ways: dict[tuple[str, str], np.ndarray]  # (way to log p, format) -> (2, k) L and dL/ds
    comparison: list[report.Row]  # the last row is the lesson's answer
    figure: Path


def smallest_p(dtype):
    """Return the smallest p above 0 that TensorFlow's softmax gives; a smaller one is rounded to 0.

    In float64 it is the smallest normal number. In float32 it is that or twice that: which of the
    two depends on the library (oneDNN or not) that computes the softmax on this machine.
    """
    kept = 1.0
    lost = 1000.0
    for _ in range(60):  # halve the interval between an s that is kept and one that is lost
        middle = (kept + lost) / 2
        p = tf.nn.softmax(tf.constant([0.0, middle], dtype))[0]
        if p > 0:
            kept = middle
        else:
            lost = middle
    return float(tf.nn.softmax(tf.constant([0.0, kept], dtype))[0])


def size_of_miss(p):
    """Return the s for which the right class of a sample with the logits (0, s) has p."""
    return np.log(1 / p - 1)  # from p = 1 / (1 + e^s)


def compare_outputs(best, y, under):
    """Return rows: at which shared output each loss has the gradient 0, and the exact answer."""
    exact = {
        "squared": y.mean(),
        "asymmetric": np.quantile(y, under / (1 + under), method="inverted_cdf"),
        "cross-entropy": np.log(np.sum(y > y.mean()) / np.sum(y <= y.mean())),
    }
    return [report.Row(f"best output, {name}", best[name], exact[name]) for name in best]


def compare_means(classes=10):
    """Return rows: the cross-entropy of one sample whose logits are equal, by formula and by D2."""
    z = tf.zeros([1, classes], tf.float64)
    t = tf.one_hot([0], classes, dtype=tf.float64)
    L, dL_dz = loss_and_gradient(z, t, log_p_from_logits)
    L_of_d2, dL_dz_of_d2 = loss_and_gradient(z, t, log_p_from_logits, cross_entropy_of_d2)
    exact = np.log(classes)
    slope = 1 / classes - 1  # p - t, for the right class
    return [
        report.Row("10 equal logits, L", float(L), exact),
        report.Row("10 equal logits, L of D2's code", float(L_of_d2), exact / classes),
        report.Row("10 equal logits, dL/dz", float(dL_dz[0, 0]), slope),
        report.Row(
            "10 equal logits, dL/dz of D2's code", float(dL_dz_of_d2[0, 0]), slope / classes
        ),
    ]


def compare_lost(misses, ways, clip):
    """Return rows: from which s on the gradient is 0 or NaN, and at which s p becomes too small."""
    rows = []
    for (way, dtype), (_, slope) in ways.items():
        if way != "from logits":  # which loses none
            lost = misses[np.argmin(slope > 0)]
            least = max(smallest_p(dtype), clip if way == "clipped" else 0)
            rows.append(report.Row(f"gradient lost at s, {way} {dtype}", lost, size_of_miss(least)))
    return rows


def plot_losses(outputs, values, best, under, ax):
    answers = {
        "squared": "the mean",
        "asymmetric": f"the quantile {under / (1 + under):.3g}",
        "cross-entropy": "the log-odds",
    }
    colours = dict(zip(values, plotting.COLOURS, strict=False))
    top = 1.15 * max(value[-1] for value in values.values())
    height = -np.inf
    for name in sorted(values, key=lambda name: values[name][-1]):  # from the lowest to the highest
        ax.plot(outputs, values[name], color=colours[name])
        ax.plot(best[name], np.interp(best[name], outputs, values[name]), "o", color="black")
        height = max(height + 0.08 * top, values[name][-1])  # so that no label is on another
        label = f"{name}: {best[name]:.3g}, {answers[name]}"
        ax.text(outputs[-1] + 0.05, height, label, color=colours[name], va="center")
    ax.set(xlabel="output o that all samples share", ylabel="loss", ylim=(0, top))
    ax.set_xlim(outputs[0], outputs[-1] + 0.4 * np.ptp(outputs))  # with room for the labels
    ax.set_xticks(np.arange(outputs[0], outputs[-1]))
    ax.set_title(
        "Each loss asks for another output: at its dot it is lowest, and its gradient is 0"
    )


# The curves lie on one another. For each: its colour, its width, and where its name stands beside
# its end, in what colour.
LOOKS = {
    "from logits": (
        plotting.COLOURS[5],
        10,
        (0, 9),
        {"va": "bottom", "color": plotting.COLOURS[0]},
    ),
    "naive": (plotting.COLOURS[1], 4, (-8, 9), {"va": "bottom", "color": plotting.COLOURS[1]}),
    "clipped": ("black", 1.5, (0, -8), {"va": "top", "color": "black"}),
}


def plot_misses(misses, curves, ylabel, title, ax):
    """Draw one curve per way to log p, with a cross where it stops being a number."""
    for way, y in curves.items():
        colour, width, place, style = LOOKS[way]
        ax.plot(misses, y, color=colour, linewidth=width, solid_capstyle="butt")
        last = report.finite_steps(y) - 1
        end = (misses[last], y[last])
        if last < len(y) - 1:
            ax.plot(*end, "X", color=colour, markeredgecolor="black", markersize=11)
        ax.annotate(way, end, place, textcoords="offset points", ha="right", **style)
    ax.set(xlabel="size s of the miss", ylabel=ylabel, title=title, xscale="log")


def titles(misses, loss_of, slope_of):
    """Return the titles of the two panels about misses: what becomes of naive and clipped log p."""
    infinite = misses[report.finite_steps(loss_of["naive"])]
    of_loss = f"Naive: an infinite loss from s = {infinite:.3g} on."
    of_slope = f"Naive: the gradient NaN from s = {infinite:.3g} on."

    if np.isfinite(loss_of["clipped"]).all():
        zero = misses[np.argmin(slope_of["clipped"] > 0)]
        of_loss += f"\nClipped: a loss of at most {loss_of['clipped'].max():.3g}"
        of_slope += f"\nClipped: the gradient 0 from s = {zero:.3g} on"
    else:
        of_loss += "\nThe clip prevents nothing: float32 rounds it to 0"
        of_slope += "\nThe clip prevents nothing: float32 rounds it to 0"
    return of_loss, of_slope


def plot(outputs, values, best, under, misses, ways):
    figure, axes = plotting.mosaic("aa;bc", size=(9.6, 7.2))
    plot_losses(outputs, values, best, under, axes["a"])

    loss_of = {way: L for (way, dtype), (L, _) in ways.items() if dtype == "float32"}
    slope_of = {way: slope for (way, dtype), (_, slope) in ways.items() if dtype == "float32"}
    of_loss, of_slope = titles(misses, loss_of, slope_of)
    plot_misses(misses, loss_of, "loss", of_loss, axes["b"])
    plot_misses(misses, slope_of, "dL/ds", of_slope, axes["c"])
    axes["b"].set(yscale="log", ylim=(1, 4000))
    axes["c"].set(ylim=(-0.15, 1.25))
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
    y, t = draw_targets(rng)
    batch = (y, t, under)
    some = draw_outputs(rng, y)
    check = check_gradients(loss, gradients_by_hand, some, *batch, label="{} loss")
    print(check.raise_if_wrong())

    outputs = np.linspace(-2, y.max() + 0.5, 5001)
    shared = share(outputs)
    values = {name: L.numpy() for name, L in losses(shared, *batch).items()}
    by_hand = slopes(gradients_by_hand(shared, *batch))
    by_tape = slopes(gradients_by_tape(shared, *batch))
    best = {name: float(np.interp(0, slope, outputs)) for name, slope in by_hand.items()}

    misses = np.geomspace(1, 1000, 20001)
    log_ps = {
        "from logits": log_p_from_logits,
        "naive": log_p_naive,
        "clipped": partial(log_p_clipped, clip=clip),
    }
    ways = {}
    for way, log_p_of in log_ps.items():
        for dtype in ("float64", "float32"):
            ways[way, dtype] = miss(tf.constant(misses, dtype), log_p_of)

    comparison = compare_outputs(best, y, under)
    comparison += compare_means()
    comparison += compare_lost(misses, ways, clip)
    report.print_comparison(comparison)
    drawn = plot(outputs, values, best, under, misses, ways)
    figure = plotting.save(drawn, figures, "06_loss_functions", show)
    return LossFunctions(outputs, values, by_hand, by_tape, misses, ways, comparison, figure)


# %%
# Run
# ---

if __name__ == "__main__":
    result = command.run(main)
