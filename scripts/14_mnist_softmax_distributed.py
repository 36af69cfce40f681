"""
One batch over several workers
==============================

What changes when the batch is split over workers, each a process of its own, on one machine or on many?

The batch of n images is cut into K equal slices. Every worker holds all of W and b, and takes one slice::

    L_k   = mean over slice k of -log softmax(x W + b)[y]     loss of its n/K images
    dL/dW = (dL_1/dW + ... + dL_K/dW) / K                     the one exchange of a step, an all-reduce; b likewise
    W    <- W - learning_rate dL/dW                           by every worker, and so their copies stay equal

What you should see: the mean of the workers' gradients is the gradient of the whole batch, and the weights at the end
are those of one worker, up to rounding. With so small a batch it is slower: an exchange costs more than a slice saves.
TensorFlow's server listens on all network interfaces and has no authentication: the README says how to keep others out.

Try

- ``--mistake sum``: a sum where the mean is meant makes every step too long, by the number of workers.
- ``--batch-size 4096``: an exchange takes as long as before, and there is more arithmetic to share.

Our own: what JAX calls pmean and PyTorch DistributedDataParallel, on TensorFlow's tf.distribute.
"""

import itertools
import os
import time
from pathlib import Path
from typing import Literal, NamedTuple

from tf_backprop import command, datasets, plotting, report
from tf_backprop.support import checkpoint as kept_training
from tf_backprop.support import drawings
from tf_backprop.support import workers as team
from tf_backprop.support.errors import UsageError

import numpy as np
import tensorflow as tf

# %%
# Prepare
# -------
MISTAKES = "sum", "uneven", "no-reduce", "dropped-image"
SPAN, SIZES = 50, (128, 1024, 4096)  # steps between two checkpoints; batches that are timed


class Distributed(NamedTuple):
    # Of two runs: "split" over the workers, and "whole" on one worker, which the first worker alone makes.
    losses: dict[str, np.ndarray]  # run -> (steps,) loss of the batch before each update
    parameters: dict[str, dict[str, np.ndarray]]  # run -> W (pixels, 10), b (10,)
    milliseconds: dict[
        str, np.ndarray
    ]  # run -> (sizes,) of a step; "exchange" -> (2,) of P, 100 P numbers
    comparison: list[
        report.Row
    ]  # the last row is the lesson's answer; only the first worker has any
    figure: Path | None  # likewise


def batches(images, n, seed):
    """Yield the indices (n,) of batch after batch. All workers draw the same ones, and so no data travel."""
    rng = np.random.default_rng(seed)
    while True:
        order = rng.permutation(images)
        yield from order[: images // n * n].reshape(-1, n)


def share(n, place, mistake=None):
    """Return a worker's slice of n images. All slices have the same size, or the mean of means is not the mean."""
    start = place.rank * n // place.workers
    stop = (place.rank + 1) * n // place.workers
    if mistake == "uneven" and place.rank == 0:
        stop += 1  # an image of the second worker's
    if mistake == "uneven" and place.rank == 1:
        start += 1
    if mistake == "dropped-image" and place.rank == 0:
        stop -= 1
    return slice(start, stop)


# %%
# Forward
# -------
def loss(parameters, x, y):
    z = x @ parameters["W"] + parameters["b"]  # (n, pixels) @ (pixels, 10) + (10,) -> (n, 10)
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=z))


# %%
# Backward
# --------
def loss_and_gradients(parameters, x, y):
    with tf.GradientTape() as tape:
        L = loss(parameters, x, y)
    return L, tape.gradient(L, parameters)


def exchange(values, mistake=None):
    """Return the mean over the workers of what each one has: all of it in one call, because every call waits."""
    if mistake == "no-reduce":
        return values
    all_reduce = tf.distribute.get_replica_context().all_reduce
    return all_reduce("SUM" if mistake == "sum" else "MEAN", values)


# %%
# Iterate
# -------
def make(place, images, learning_rate, mistake=None):
    """Return the parameters, and two functions that all workers call together: ``steps`` and ``gradients``."""
    x, y = tf.identity(images.x), tf.constant(images.y)
    with place.strategy.scope():  # every worker has all the parameters, and the same ones
        parameters = {
            "W": tf.Variable(tf.zeros([x.shape[1], 10])),
            "b": tf.Variable(tf.zeros([10])),
        }

    def of(part):
        return loss_and_gradients(
            parameters, tf.cast(tf.gather(x, part), tf.float32) / 255, tf.gather(y, part)
        )

    def step(batch):
        own = batch[share(tf.shape(batch)[0], place, mistake)]
        L, dL = exchange(of(own), mistake)
        for name, parameter in parameters.items():
            parameter.assign_sub(learning_rate * dL[name])
        return L

    def compare(batch):
        _, own = of(batch[share(tf.shape(batch)[0], place, mistake)])
        _, whole = of(batch)
        all_gather = tf.distribute.get_replica_context().all_gather
        each = all_gather(
            own["W"][tf.newaxis], axis=0
        )  # (workers, pixels, 10) dL_dW of every worker
        return each, exchange(own, mistake), whole

    one_graph_for_all_sizes = [tf.TensorSpec([None, None], tf.int64)]

    @tf.function(input_signature=one_graph_for_all_sizes, autograph=False)
    def steps(batches):
        def one(batch):
            return place.strategy.run(step, args=(batch,))

        return tf.map_fn(one, batches, fn_output_signature=tf.float32, parallel_iterations=1)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int64)], autograph=False)
    def gradients(batch):
        return place.strategy.run(compare, args=(batch,))

    return parameters, steps, gradients


def train(steps, parameters, order, many, done=(), keep=lambda losses: None):
    losses = np.float32(done)  # of the steps that are done
    order = itertools.islice(order, len(losses), many)
    while rows := [*itertools.islice(order, SPAN)]:
        losses = np.append(losses, steps(np.stack(rows)))
        keep(losses)
    return losses, {name: variable.numpy() for name, variable in parameters.items()}


# %%
# Does it pay?
# ------------
# The time of a step is measured for a few sizes of the batch, that of an exchange for two numbers of parameters.
TIMED = 5  # steps between two looks at the clock


def milliseconds(run, inputs):
    """Return the time of a step, or of an exchange: the best of two calls of ``run(input)``, each of `TIMED` steps."""
    best = []
    for each in inputs:
        times = []
        for _ in range(3):  # the first call traces
            start = time.perf_counter()
            run(each)
            times.append(time.perf_counter() - start)
        best.append(1000 * min(times) / TIMED)
    return np.array(best)


def time_steps(steps, images, sizes):
    rng = np.random.default_rng(0)  # the same batches in all workers, which call this together
    return milliseconds(steps, [rng.integers(images, size=(TIMED, size)) for size in sizes])


def time_exchanges(place, P):
    def mean(value):
        return exchange(tf.identity(value))  # the copy is on the device

    def exchanges(value):
        def once(_):
            return place.strategy.run(mean, args=(value,))[0]

        return tf.map_fn(
            once, tf.range(TIMED), fn_output_signature=value.dtype, parallel_iterations=1
        )

    one_graph = tf.function(exchanges, input_signature=[tf.TensorSpec([None])], autograph=False)
    return milliseconds(one_graph, [tf.ones([P]), tf.ones([100 * P])])


def model(sizes, ms, P, workers):
    """Fit what a step costs to the measured times.

    One worker takes a + b n milliseconds for n images. An exchange of p numbers takes c + d p. K workers, each on a
    machine like this one, take a + b n / K + c + d p. And b is proportional to the number of parameters, p.

    Returns ``step(n, K)``, the milliseconds, and ``pays(p)``, the batch from which on K machines beat one.
    """
    b, a = np.polyfit(sizes, ms["whole"], 1, w=1 / ms["whole"])
    d, c = np.maximum(np.polyfit([P, 100 * P], ms["exchange"], 1), 0)

    def step(n, workers=1):
        return a + b * n / workers + (c + d * P if workers > 1 else 0)

    def pays(p):
        return (c + d * p) / (b * p / P * (1 - 1 / workers)) if workers > 1 else np.inf

    return step, pays


# %%
# Plot and main
# -------------
def largest_difference(one, other):
    return max(float(np.abs(one[name] - other[name]).max()) for name in other)


def plot_losses(losses, workers, ax):
    at = np.arange(1, len(losses["whole"]) + 1)
    ax.plot(
        at, losses["whole"], color=plotting.COLOURS[5], linewidth=6, label="one worker, whole batch"
    )
    split = f"{workers} workers, a slice each" if workers > 1 else "the same, as the only worker"
    ax.plot(at, losses["split"], color="black", linewidth=0.8, label=split)
    off = np.abs(losses["whole"] - losses["split"]).max()
    ax.set(xlabel="step", ylabel="loss of the batch")
    ax.set_title(f"The losses of the two runs differ by at most {off:.1g}")
    ax.legend(loc="upper right")


def plot_times(sizes, ms, workers, P, step, pays, ax):
    """Draw the measured times of a step by batch size, and those of the model."""
    n = np.geomspace(min(sizes) / 1.5, 1.5 * max([*sizes, pays(P) if workers > 1 else 1]), 60)
    split = f"{workers} workers" if workers > 1 else "the worker"
    ax.plot(sizes, ms["whole"], "o", color=plotting.COLOURS[0], label="one worker, measured")
    ax.plot(
        sizes,
        ms["split"],
        "s",
        color=plotting.COLOURS[1],
        label=f"{split} on this machine, measured",
    )
    ax.plot(n, step(n), color=plotting.COLOURS[0], linewidth=1, label="one worker, model")
    if workers > 1:
        label = f"{workers} machines, model"
        ax.plot(n, step(n, workers), "--", color=plotting.COLOURS[1], linewidth=1, label=label)
        ax.axvline(
            pays(P), color="black", linestyle=":", label=f"they cross at {pays(P):,.0f} images"
        )
    slower = np.mean(ms["split"] > ms["whole"])
    said = (
        "slower here"
        if slower == 1
        else "faster here"
        if slower == 0
        else "slower here with small batches"
    )
    ax.set_title(
        f"One machine: {workers} workers are {said}" if workers > 1 else "The time of a step"
    )
    ax.set(xlabel="images in a batch", ylabel="milliseconds per step", xscale="log", yscale="log")
    ax.set_ylim(min(ms["whole"]) / 8)  # room for the legend
    ax.legend(loc="lower right")


def plot_pays(n, workers, P, pays, ax):
    """Draw from which batch on so many machines are faster than one, by the number of parameters."""
    p = np.geomspace(P / 10, 1e4 * P, 60)
    top = 10 * pays(p[0])
    ax.fill_between(p, pays(p), top, color=plotting.COLOURS[2], alpha=0.3)
    ax.plot(p, pays(p), color=plotting.COLOURS[2])
    ax.plot(P, n, "o", color="black")
    ax.annotate("   this lesson", (P, n), va="center")
    ax.text(
        0.95,
        0.93,
        f"{workers} machines are faster",
        ha="right",
        va="top",
        size="large",
        transform=ax.transAxes,
    )
    ax.text(0.05, 0.05, "one machine is faster", size="large", transform=ax.transAxes)
    ax.set(
        xlabel="parameters of the network", ylabel="images in a batch", xscale="log", yscale="log"
    )
    ax.set(
        ylim=(min(n, pays(p[-1])) / 4, top),
        title="Model: the larger the network, the smaller the batch that pays",
    )


def print_speed(n, sizes, ms, P, workers, pays):
    split, whole = (f"{1000 / ms[run][list(sizes).index(n)]:,.0f}" for run in ("split", "whole"))
    if workers == 1:
        print(f"steps of {n} images per second: {whole}")
    else:
        print(
            f"steps of {n} images per second: {split} by {workers} workers on this machine, {whole} by one"
        )
        larger = f"with {100 * P:,} parameters from {pays(100 * P):,.0f}"
        print(
            f"model: {workers} machines are faster than one from {pays(P):,.0f} images per step on, {larger}"
        )


def compare(difference, learned, test):
    """Return the rows about a run ``"split"`` over workers beside the ``"whole"`` one of one worker."""
    off = largest_difference(learned["split"], learned["whole"])
    x = np.float32(test.x) / 255
    right = {run: (x @ p["W"] + p["b"]).argmax(axis=1) == test.y for run, p in learned.items()}
    accuracy = float(right["split"].mean()), float(right["whole"].mean())
    return [
        report.Row("gradient: all-reduced, less the whole batch's", difference, 0.0),
        report.Row("test accuracy: split, beside one worker's", *accuracy),
        report.Row("W and b: split, largest difference from one worker's", off, 0.0),
    ]


def main(
    workers: int | None = None,
    steps: int = 500,
    batch_size: int = 128,
    learning_rate: float = 0.5,
    mistake: Literal[MISTAKES] | None = None,
    checkpoint: Path | None = None,
    start_timeout: float = 60.0,
    data: datasets.Choice = "auto",
    mnist_dir: Path | None = None,
    seed: int = 0,
    figures: Path = plotting.FIGURES,
    show: bool = False,
) -> Distributed:
    """Train softmax regression with every batch split over workers, and compare with one worker.

    Args:
        workers: processes here (None is two, in a notebook one); with TF_CONFIG set, this is one that it names
        steps: updates
        mistake: make this one
        checkpoint: folder to save the training in as it goes, and to resume it from
        start_timeout: seconds that the workers have to find one another
    """
    command.check(
        seed,
        steps=steps,
        batch_size=batch_size,
        learning_rate=learning_rate,
        start_timeout=start_timeout,
    )
    arguments = locals()
    workers = team.to_start(workers)
    if batch_size % workers:
        reason = "the mean of the slices' means equals the mean of the batch only if all slices have the same size"
        raise UsageError(
            f"--batch-size must be a multiple of the {workers} workers, not {batch_size}: {reason}"
        )
    if mistake and not 1 < workers <= batch_size // 2:
        raise UsageError(
            "--mistake takes --workers 2 or more, and a --batch-size of at least two images for each"
        )
    if mistake and checkpoint:
        raise UsageError("--checkpoint and --mistake do not go together")
    if workers > 1 and not os.environ.get("TF_CONFIG"):
        return Distributed(*team.launch(main, arguments, workers))
    with team.join(start_timeout) as place:
        images = datasets.images(data, mnist_dir, batch_size)
        (x, y), losses, learned, ms = images.train, {}, {}, {}
        parameters, run, gradients = make(place, images.train, learning_rate, mistake)
        each, mean, whole = gradients(next(batches(len(y), batch_size, seed)))
        shares = [
            share(batch_size, place._replace(rank=rank), mistake) for rank in range(place.workers)
        ]
        own, difference = shares[place.rank], largest_difference(mean, whole)
        print(
            f"worker {place.rank}: images {own.start} to {own.stop - 1} of a batch; "
            f"all-reduced gradient less the whole batch's: {difference:.1e}"
        )
        settings = {
            "workers": place.workers,
            "batch_size": batch_size,
            "learning_rate": learning_rate,
        }
        settings |= {"seed": seed, "data": images.name}
        kept = kept_training.restore(checkpoint, settings) if checkpoint else {}
        done = kept.get("losses", ())
        if len(done) > steps:
            raise UsageError(
                f"--checkpoint {checkpoint} holds {len(done)} steps, more than --steps {steps}"
            )
        for name, parameter in parameters.items():
            parameter.assign(kept.get(name, parameter))

        def keep(losses):
            if checkpoint and place.rank == 0:
                kept_training.save(checkpoint, {"losses": losses, **parameters}, settings)

        order = batches(len(y), batch_size, seed)
        losses["split"], learned["split"] = train(run, parameters, order, steps, done, keep)
        report.require_finite(losses["split"])
        sizes, P = sorted({*SIZES, batch_size}), 10 * (x.shape[1] + 1)
        ms["split"], ms["exchange"] = time_steps(run, len(y), sizes), time_exchanges(place, P)
        if place.rank:
            return team.hand_over(Distributed(losses, learned, ms, [], None))
        parameters, run, _ = make(team.alone(), images.train, learning_rate)
        losses["whole"], learned["whole"] = train(
            run, parameters, batches(len(y), batch_size, seed), steps
        )
        ms["whole"] = time_steps(run, len(y), sizes)
        step, pays = model(sizes, ms, P, place.workers)
        print_speed(batch_size, sizes, ms, P, place.workers, pays)
        first = x[next(batches(len(y), batch_size, seed))] / 255
        drawn, axes = plotting.mosaic("A;B", (11, 8), height_ratios=[1.3, 1])
        digit = 0
        gradients = (np.asarray(g)[..., digit] for g in (each, mean["W"], whole["W"]))
        drawings.exchange(axes["A"], first, shares, *gradients, digit)
        plot_losses(losses, place.workers, axes["B"])
        figure = plotting.save(drawn, figures, images.figure("14_mnist_softmax_distributed"), show)
        drawn, axes = plotting.subplots(1, 2 if place.workers > 1 else 1, (11, 4.8), squeeze=False)
        plot_times(sizes, ms, place.workers, P, step, pays, axes[0, 0])
        if place.workers > 1:
            plot_pays(batch_size, place.workers, P, pays, axes[0, 1])
        plotting.save(drawn, figures, images.figure("14_mnist_softmax_distributed_times"), show)
        comparison = compare(difference, learned, images.test)
        report.print_comparison(comparison)
        return team.hand_over(Distributed(losses, learned, ms, comparison, figure))


# %%
# Run
# ---

if __name__ == "__main__":
    command.run(main)
