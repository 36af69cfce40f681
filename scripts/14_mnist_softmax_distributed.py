"""
One batch over several workers
==============================

What changes when the batch is split over workers, each a process of its own?

The batch of n images is cut into K equal slices. Every worker k holds all of W and b, and
takes one slice::

    L_k   = mean over slice k of -log softmax(x W + b)[y]   the loss of its n/K images
    dL/dW = (dL_1/dW + ... + dL_K/dW) / K                   an all-reduce; b likewise
    W    <- W - learning_rate dL/dW                         the same step in every worker

What you should see: the mean of the workers' gradients is the gradient of the whole batch, and
the weights at the end are those of a single worker, up to rounding. With such small batches two
workers on one machine are slower than one, because an exchange costs more time than a slice saves.
TensorFlow's server listens on all network interfaces and has no authentication; the README says
how to keep others out.

Try

- ``--mistake sum``: the gradients are summed, and so every step is K times too long.
- ``--batch-size 4096``: an exchange takes as long as before, and there is more work to share.

Our own; none of the five documents has it. JAX calls this exchange pmean, and PyTorch does it in
DistributedDataParallel. Here it is TensorFlow's tf.distribute.
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
# Every worker draws all batches from the same seed, and so no data travel between them.
def batches(images, n, seed):
    """Yield the indices (n,) of one batch after another, without an end."""
    rng = np.random.default_rng(seed)
    while True:
        order = rng.permutation(images)
        yield from order[: images // n * n].reshape(-1, n)


def equal_share(n, rank, workers):
    """Return the slice of a batch of n images that one worker takes."""
    return slice(rank * n // workers, (rank + 1) * n // workers)


def initial_parameters(pixels, strategy):
    with strategy.scope():  # a copy in every worker, and all copies are equal
        return {
            "W": tf.Variable(tf.zeros([pixels, 10])),
            "b": tf.Variable(tf.zeros([10])),
        }


# %%
# Forward
# -------
def loss(parameters, x, y):
    z = x @ parameters["W"] + parameters["b"]  # (n, 784) @ (784, 10) + (10,) -> (n, 10)
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=z))


# %%
# Backward
# --------
# A worker differentiates the loss of its own slice. The derivative of a mean is the mean of the
# derivatives, so an exchange of gradients is enough, and no images travel.
def loss_and_gradients(parameters, x, y):
    with tf.GradientTape() as tape:
        L = loss(parameters, x, y)
    return L, tape.gradient(L, parameters)


def mean_over_workers(values):
    """Return the mean of what each worker has.

    All values travel in one call, because every call makes the workers wait for one another.
    """
    return tf.distribute.get_replica_context().all_reduce("MEAN", values)


# %%
# Iterate
# -------
# A worker's pictures stay bytes until it has picked its slice of a batch.
def make_step(parameters, images, labels, place, learning_rate, share, exchange):
    """Return ``step(batch)``, which all workers call together with the same indices (n,)."""

    def step(batch):
        own = batch[share(tf.shape(batch)[0], place.rank, place.workers)]
        x = tf.cast(tf.gather(images, own), tf.float32) / 255
        y = tf.gather(labels, own)
        L, gradients = exchange(loss_and_gradients(parameters, x, y))
        for name, parameter in parameters.items():
            parameter.assign_sub(learning_rate * gradients[name])
        return L

    return step


def in_one_graph(step, strategy):
    """Return ``steps(batches)``, which takes a step for each row of indices (steps, n).

    It returns the losses (steps,). One graph serves every size of a batch.
    """

    def one(batch):
        return strategy.run(step, args=(batch,))

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int64)], autograph=False)
    def steps(batches):
        return tf.map_fn(one, batches, fn_output_signature=tf.float32, parallel_iterations=1)

    return steps


def train(steps, order, many, at_once=50):
    """Take `many` steps with the batches of `order`; yield the losses, `at_once` at a time."""
    for first in range(0, many, at_once):
        some = itertools.islice(order, min(at_once, many - first))
        yield steps(np.stack(list(some))).numpy()


# %%
# Mistakes
# --------
# Each pair of functions is one mistake: what slice a worker takes, how gradients are exchanged.
# None of them raises an error, and the loss falls with each of them.
def uneven_share(n, rank, workers):
    """Give one image of the second worker to the first, though both slices count as much."""
    own = equal_share(n, rank, workers)
    return slice(own.start + int(rank == 1), own.stop + int(rank == 0))


def share_without_last(n, rank, workers):
    """Let the first worker leave out the last image of its slice."""
    own = equal_share(n, rank, workers)
    return slice(own.start, own.stop - int(rank == 0))


def sum_over_workers(values):
    return tf.distribute.get_replica_context().all_reduce("SUM", values)


def no_exchange(values):
    return values


RIGHT = (equal_share, mean_over_workers)
MISTAKES = {
    "sum": (equal_share, sum_over_workers),
    "uneven": (uneven_share, mean_over_workers),
    "no-reduce": (equal_share, no_exchange),
    "dropped-image": (share_without_last, mean_over_workers),
}


# %%
# Compare
# -------
def make_compare(parameters, images, labels, place, share, exchange):
    """Return a function of a batch (n,): it returns three gradients to be compared.

    They are dL_dW of each worker, the exchanged gradients, and those of the whole batch.
    """

    def gradients_of(some):
        x = tf.cast(tf.gather(images, some), tf.float32) / 255
        return loss_and_gradients(parameters, x, tf.gather(labels, some))[1]

    def compare(batch):
        own = gradients_of(batch[share(tf.shape(batch)[0], place.rank, place.workers)])
        all_gather = tf.distribute.get_replica_context().all_gather
        each = all_gather(own["W"][tf.newaxis], axis=0)  # (workers, 784, 10)
        return each, exchange(own), gradients_of(batch)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int64)], autograph=False)
    def in_a_graph(batch):
        return place.strategy.run(compare, args=(batch,))

    return in_a_graph


def largest_difference(one, other):
    return max(float(np.abs(one[name] - other[name]).max()) for name in other)


# %%
# Does it pay?
# ------------
# The time of a step is measured for a few sizes of the batch, and the time of an exchange for two
# numbers of parameters. A model with four coefficients is fitted to these times.
SIZES = (128, 1024, 4096)  # images in the batches that are timed
TIMED = 5  # steps between two looks at the clock


class Cost(NamedTuple):
    """The milliseconds of a step: a + b n on one worker, a + b n / K + c + d p on K machines.

    Here n is the number of images in the batch, and p the number of parameters. The coefficient b
    was measured with `P` parameters, and it is proportional to their number.
    """

    a: float
    b: float
    c: float
    d: float
    P: int

    def step(self, n, workers=1):
        """Return the milliseconds of a step."""
        exchange = self.c + self.d * self.P if workers > 1 else 0
        return self.a + self.b * n / workers + exchange

    def pays(self, p, workers):
        """Return the size of the batch from which on so many machines are faster than one."""
        saved_per_image = self.b * p / self.P * (1 - 1 / workers)
        return (self.c + self.d * p) / saved_per_image


def fit(sizes, milliseconds, P):
    """Return the `Cost` that fits the measured times of steps and exchanges best."""
    whole = milliseconds["whole"]
    b, a = np.polyfit(sizes, whole, 1, w=1 / whole)
    d, c = np.maximum(np.polyfit([P, 100 * P], milliseconds["exchange"], 1), 0)
    return Cost(a, b, c, d, P)


def time_of(run, inputs):
    """Return the milliseconds of a step or an exchange, from the better of two calls of `run`."""
    best = []
    for each in inputs:
        times = []
        for _ in range(3):  # the first call traces, and is the slowest
            start = time.perf_counter()
            run(each)
            times.append(time.perf_counter() - start)
        best.append(1000 * min(times) / TIMED)
    return np.array(best)


def time_steps(steps, images, sizes):
    rng = np.random.default_rng(0)  # all workers call this together, with the same batches
    return time_of(steps, [rng.integers(images, size=(TIMED, size)) for size in sizes])


def time_exchanges(strategy, P):
    def mean(value):
        return mean_over_workers(tf.identity(value))  # the copy is on the device

    @tf.function(input_signature=[tf.TensorSpec([None])], autograph=False)
    def exchanges(value):
        def once(_):
            return strategy.run(mean, args=(value,))[0]

        again = tf.range(TIMED)
        return tf.map_fn(once, again, fn_output_signature=tf.float32, parallel_iterations=1)

    return time_of(exchanges, [tf.ones([P]), tf.ones([100 * P])])


# %%
# Plot and main
# -------------
class Distributed(NamedTuple):
    # The keys are two runs: "split" over the workers, and "whole" on the first worker alone.
    losses: dict[str, np.ndarray]  # run -> (steps,) loss of the batch before each update
    parameters: dict[str, dict[str, np.ndarray]]  # run -> W (pixels, 10), b (10,)
    milliseconds: dict[str, np.ndarray]  # run -> (sizes,) per step; "exchange" -> (2,)
    comparison: list[report.Row]  # only the first worker has any; the last row is the answer
    figure: Path | None  # only the first worker has one


def plot_losses(losses, workers, ax):
    at = np.arange(1, len(losses["whole"]) + 1)
    whole = {"color": plotting.COLOURS[5], "linewidth": 6, "label": "one worker, whole batch"}
    split = f"{workers} workers, a slice each" if workers > 1 else "the same, as the only worker"
    ax.plot(at, losses["whole"], **whole)
    ax.plot(at, losses["split"], color="black", linewidth=0.8, label=split)
    off = np.abs(losses["whole"] - losses["split"]).max()
    ax.set(xlabel="step", ylabel="loss of the batch")
    ax.set_title(f"The losses of the two runs differ by at most {off:.1g}")
    ax.legend(loc="upper right")


def plot_times(sizes, milliseconds, workers, cost, ax):
    """Draw the measured times of a step by batch size, and those of the model."""
    largest = max([*sizes, cost.pays(cost.P, workers) if workers > 1 else 1])
    n = np.geomspace(min(sizes) / 1.5, 1.5 * largest, 60)
    one, several = plotting.COLOURS[:2]
    split = f"{workers} workers on this machine" if workers > 1 else "the worker on this machine"
    ax.plot(sizes, milliseconds["whole"], "o", color=one, label="one worker, measured")
    ax.plot(sizes, milliseconds["split"], "s", color=several, label=f"{split}, measured")
    ax.plot(n, cost.step(n), color=one, linewidth=1, label="one worker, model")
    ax.set_title("The time of a step")
    if workers > 1:
        crossing = cost.pays(cost.P, workers)
        split = f"{workers} machines, model"
        ax.plot(n, cost.step(n, workers), "--", color=several, linewidth=1, label=split)
        where = f"they cross at {crossing:,.0f} images"
        ax.axvline(crossing, color="black", linestyle=":", label=where)
        slower = np.mean(milliseconds["split"] > milliseconds["whole"])
        said = {0: "faster here", 1: "slower here"}.get(slower, "slower here with small batches")
        ax.set_title(f"One machine: {workers} workers are {said}")
    ax.set(xlabel="images in a batch", ylabel="milliseconds per step", xscale="log", yscale="log")
    ax.set_ylim(min(milliseconds["whole"]) / 8)  # room for the legend
    ax.legend(loc="lower right")


def plot_pays(n, workers, cost, ax):
    """Draw the batch from which on so many machines are faster, by the number of parameters."""
    p = np.geomspace(cost.P / 10, 1e4 * cost.P, 60)
    border = cost.pays(p, workers)
    top = 10 * border[0]
    ax.fill_between(p, border, top, color=plotting.COLOURS[2], alpha=0.3)
    ax.plot(p, border, color=plotting.COLOURS[2])
    ax.plot(cost.P, n, "o", color="black")
    ax.annotate("   this lesson", (cost.P, n), va="center")
    said = {"size": "large", "transform": ax.transAxes}
    ax.text(0.95, 0.93, f"{workers} machines are faster", ha="right", va="top", **said)
    ax.text(0.05, 0.05, "one machine is faster", **said)
    ax.set(xscale="log", yscale="log", ylim=(min(n, border[-1]) / 4, top))
    ax.set(xlabel="parameters of the network", ylabel="images in a batch")
    ax.set_title("Model: the larger the network, the smaller the batch that pays")


def plot_training(x, shares, compared, losses):
    """Draw what one step exchanges for the weights of one digit, above the losses of both runs."""
    figure, axes = plotting.mosaic("A;B", (11, 8), height_ratios=[1.3, 1])
    digit = 0
    each, mean, whole = compared
    gradients = [np.asarray(dL_dW)[..., digit] for dL_dW in (each, mean["W"], whole["W"])]
    drawings.exchange(axes["A"], x, shares, *gradients, digit)
    plot_losses(losses, len(shares), axes["B"])
    return figure


def plot_cost(n, sizes, milliseconds, workers, cost):
    figure, axes = plotting.subplots(1, 2 if workers > 1 else 1, (11, 4.8), squeeze=False)
    plot_times(sizes, milliseconds, workers, cost, axes[0, 0])
    if workers > 1:
        plot_pays(n, workers, cost, axes[0, 1])
    return figure


def print_speed(n, sizes, milliseconds, workers, cost):
    at = sizes.index(n)
    whole = f"{1000 / milliseconds['whole'][at]:,.0f}"
    split = f"{1000 / milliseconds['split'][at]:,.0f}"
    if workers == 1:
        print(f"steps per second, with {n} images each: {whole}")
        return
    both = f"{split} by {workers} workers on this machine, {whole} by one"
    print(f"steps per second, with {n} images each: {both}")
    here = f"{cost.pays(cost.P, workers):,.0f}"
    larger = f"{cost.pays(100 * cost.P, workers):,.0f}"
    print(
        f"model: {workers} machines are faster than one from {here} images per step on, "
        f"and with {100 * cost.P:,} parameters from {larger} on"
    )


def compare_runs(difference, parameters, test):
    """Return rows about the run that was split over workers, beside that of one worker."""

    def accuracy(run):
        x = np.float32(test.x) / 255
        z = x @ parameters[run]["W"] + parameters[run]["b"]
        return float(np.mean(z.argmax(axis=1) == test.y))

    off = largest_difference(parameters["split"], parameters["whole"])
    return [
        report.Row("largest error of the exchanged gradient", difference, 0.0),
        report.Row("test accuracy, beside one worker's", accuracy("split"), accuracy("whole")),
        report.Row("largest difference of W and b from one worker's", off, 0.0),
    ]


def check_together(workers, batch_size, mistake, checkpoint):
    if batch_size % workers:
        raise UsageError(
            f"--batch-size must be a multiple of the {workers} workers, not {batch_size}: "
            "the mean of the slices' means equals the mean of the batch "
            "only if all slices have the same size"
        )
    if mistake and not 1 < workers <= batch_size // 2:
        raise UsageError("--mistake needs --workers 2 or more and at least two images per worker")
    if mistake and checkpoint:
        raise UsageError("--checkpoint and --mistake exclude each other")


def resume(checkpoint, settings, parameters, steps):
    """Give `parameters` the values of the training that `checkpoint` holds; return its losses."""
    if checkpoint is None:
        return np.empty(0, np.float32)
    kept = kept_training.restore(checkpoint, settings)
    losses = np.float32(kept.get("losses", ()))
    if len(losses) > steps:
        raise UsageError(
            f"--checkpoint {checkpoint} holds {len(losses)} steps, more than --steps {steps}"
        )
    for name, parameter in parameters.items():
        parameter.assign(kept.get(name, parameter))
    return losses


def values(parameters):
    return {name: parameter.numpy() for name, parameter in parameters.items()}


def main(
    workers: int | None = None,
    steps: int = 500,
    batch_size: int = 128,
    learning_rate: float = 0.5,
    mistake: Literal[tuple(MISTAKES)] | None = None,
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
        workers: processes on this machine (None is two, in a notebook one); TF_CONFIG overrides it
        steps: updates
        mistake: make this one
        checkpoint: folder to save the training in as it goes, and to resume it from
        start_timeout: seconds that the workers have to find one another
    """
    command.check(seed, steps=steps, batch_size=batch_size)
    command.check(learning_rate=learning_rate, start_timeout=start_timeout)
    workers = team.to_start(workers)
    check_together(workers, batch_size, mistake, checkpoint)
    if workers > 1 and not os.environ.get("TF_CONFIG"):
        arguments = {
            "steps": steps,
            "batch_size": batch_size,
            "learning_rate": learning_rate,
            "mistake": mistake,
            "checkpoint": checkpoint,
            "start_timeout": start_timeout,
            "data": data,
            "mnist_dir": mnist_dir,
            "seed": seed,
            "figures": figures,
            "show": show,
        }
        return Distributed(*team.launch(main, arguments, workers))

    with team.join(start_timeout) as place:
        images = datasets.images(data, mnist_dir, batch_size)
        x = tf.identity(images.train.x)
        y = tf.constant(images.train.y)
        pixels = x.shape[1]
        share, exchange = MISTAKES[mistake] if mistake else RIGHT
        parameters = initial_parameters(pixels, place.strategy)

        first = next(batches(len(y), batch_size, seed))
        compared = make_compare(parameters, x, y, place, share, exchange)(first)
        difference = largest_difference(*compared[1:])
        shares = [share(batch_size, rank, place.workers) for rank in range(place.workers)]
        own = shares[place.rank]
        print(
            f"worker {place.rank}: images {own.start} to {own.stop - 1} of a batch; "
            f"largest error of the exchanged gradient: {difference:.1e}"
        )

        settings = {
            "workers": place.workers,
            "batch_size": batch_size,
            "learning_rate": learning_rate,
            "seed": seed,
            "data": images.name,
        }
        done = resume(checkpoint, settings, parameters, steps)
        order = itertools.islice(batches(len(y), batch_size, seed), len(done), None)
        step = make_step(parameters, x, y, place, learning_rate, share, exchange)
        run = in_one_graph(step, place.strategy)
        losses = {"split": done}
        for some in train(run, order, steps - len(done)):
            losses["split"] = np.append(losses["split"], some)
            if checkpoint and place.rank == 0:
                kept = {"losses": losses["split"], **parameters}
                kept_training.save(checkpoint, kept, settings)
        report.require_finite(losses["split"])
        learned = {"split": values(parameters)}

        sizes = sorted({*SIZES, batch_size})
        P = 10 * (pixels + 1)
        milliseconds = {
            "split": time_steps(run, len(y), sizes),
            "exchange": time_exchanges(place.strategy, P),
        }
        if place.rank > 0:
            return team.hand_over(Distributed(losses, learned, milliseconds, [], None))

        alone = team.alone()
        parameters = initial_parameters(pixels, alone.strategy)
        step = make_step(parameters, x, y, alone, learning_rate, *RIGHT)
        run = in_one_graph(step, alone.strategy)
        order = batches(len(y), batch_size, seed)
        losses["whole"] = np.concatenate([*train(run, order, steps)])
        learned["whole"] = values(parameters)
        milliseconds["whole"] = time_steps(run, len(y), sizes)

        cost = fit(sizes, milliseconds, P)
        print_speed(batch_size, sizes, milliseconds, place.workers, cost)
        comparison = compare_runs(difference, learned, images.test)
        report.print_comparison(comparison)
        name = images.figure("14_mnist_softmax_distributed")
        drawn = plot_training(images.train.x[first], shares, compared, losses)
        figure = plotting.save(drawn, figures, name, show)
        name = images.figure("14_mnist_softmax_distributed_times")
        drawn = plot_cost(batch_size, sizes, milliseconds, place.workers, cost)
        plotting.save(drawn, figures, name, show)
        return team.hand_over(Distributed(losses, learned, milliseconds, comparison, figure))


# %%
# Run
# ---

if __name__ == "__main__":
    result = command.run(main)
