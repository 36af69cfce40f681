"""
One batch over several workers
==============================

What changes when the batch is split over workers, each a process of its own, on one machine or on many?

The batch of n images is cut into K equal slices. Every worker holds all of W and b, and takes one slice::

    L_k   = mean over slice k of -log softmax(x W + b)[y]     loss of its n/K images
    dL/dW = (dL_1/dW + ... + dL_K/dW) / K                     the one exchange of a step, called all-reduce; b likewise
    W    <- W - learning_rate dL/dW                           by every worker, and so their copies stay equal

What you should see: the mean of the workers' gradients is the gradient of the whole batch, and the weights at the end are
those of one worker, up to rounding. With so small a batch it is slower: an exchange takes longer than a slice saves.

TensorFlow's engine listens on all network interfaces and asks nobody who they are. In a network that you do not trust run
this where no other machine gets in: ``unshare -rn sh -c 'ip link set lo up; python scripts/14_...'``, or a container.

Try

- ``--mistake sum``: the sum of the gradients, where their mean is meant, makes each step too long by the number of workers.
- ``--batch-size 4096``: an exchange takes as long as before, and there is more arithmetic to share.

Our own: what JAX calls pmean and PyTorch DistributedDataParallel, on TensorFlow's tf.distribute.
"""

import itertools
from pathlib import Path
from typing import Literal, NamedTuple

from tf_backprop import cli, datasets, plotting, report
from tf_backprop import workers as team

import numpy as np
import tensorflow as tf

# %%
# Prepare
# -------
# All workers draw the same batches from the same seed, so that no image travels.

MISTAKES = "sum", "uneven", "no-reduce", "dropped-image"
SPAN, SIZES = 50, (128, 512, 2048, 4096)  # steps between two signs of progress; batches that are timed


class Distributed(NamedTuple):
    losses: dict[str, np.ndarray]  # "split", and "whole" for one worker -> (steps,) the batch's loss before each update
    parameters: dict[str, dict[str, np.ndarray]]  # likewise -> W (pixels, 10), b (10,)
    difference: float  # at the first step, the largest one of the all-reduced and the whole batch's gradient
    milliseconds: dict[str, np.ndarray]  # likewise -> (sizes,) a step; "exchange" -> (2,) one of P and of 100 P numbers
    comparison: list[report.Row]  # the last row is the lesson's answer
    figure: Path | None  # the first worker's; the others have neither "whole" nor a comparison


def batches(images, n, seed):  # yields the indices (n,) of one batch after the other
    rng = np.random.default_rng(seed)
    while True:
        yield from rng.permutation(images)[: images // n * n].reshape(-1, n)


def share(
    n, rank, workers, mistake=None
):  # the slice of a batch of n: of equal ones alone the mean of means is the mean
    start, stop = rank * n // workers, (rank + 1) * n // workers
    if mistake == "uneven":  # the first takes an image from the second
        return slice(start + (rank == 1), stop + (rank == 0))
    return slice(start, stop - (mistake == "dropped-image" and rank == 0))


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


def exchange(values, mistake=None):  # the mean over the workers of what each has; one call for all, because each waits
    if mistake == "no-reduce":
        return values
    return tf.distribute.get_replica_context().all_reduce("SUM" if mistake == "sum" else "MEAN", values)


# %%
# Iterate
# -------
# All workers run this. Who exchanges waits, until every one of them has come to the same line.
def make(place, images, learning_rate, mistake=None):
    """Return the parameters, and what all workers call together: steps(batches) and compare(batch)."""
    x, y = tf.constant(images.x), tf.constant(images.y)
    with place.strategy.scope():  # every worker has all the parameters, and the same ones
        parameters = {"W": tf.Variable(tf.zeros([x.shape[1], 10])), "b": tf.Variable(tf.zeros([10]))}

    def gradients(batch, mine=slice(None)):
        return loss_and_gradients(parameters, tf.gather(x, batch[mine]), tf.gather(y, batch[mine]))

    def step(batch):
        L, dL = exchange(gradients(batch, share(len(batch), place.rank, place.workers, mistake)), mistake)
        for name, parameter in parameters.items():
            parameter.assign_sub(learning_rate * dL[name])
        return L

    def compare_in_each(batch):
        _, own = gradients(batch, share(len(batch), place.rank, place.workers, mistake))
        everyone = tf.distribute.get_replica_context().all_gather(own["W"][tf.newaxis], axis=0)
        return everyone, exchange(own, mistake), gradients(batch)[1]  # each (workers, pixels, 10); all-reduced; whole

    @tf.function
    def steps(batches):  # (k, n) -> (k,) the loss before each update
        losses = tf.TensorArray(tf.float32, len(batches))
        for i in tf.range(len(batches)):
            losses = losses.write(i, place.strategy.run(step, args=(batches[i],)))
        return losses.stack()

    return parameters, steps, tf.function(lambda batch: place.strategy.run(compare_in_each, args=(batch,)))


def train(steps, parameters, order, many):
    losses = np.zeros(0, np.float32)
    while len(losses) < many:
        losses = np.append(losses, steps(np.stack([*itertools.islice(order, min(SPAN, many - len(losses)))])))
        team.progress(len(losses), many)
    return losses, {name: variable.numpy() for name, variable in parameters.items()}


# %%
# Plot and main
# -------------
def main(
    workers: int = 2,
    steps: int = 500,
    batch_size: int = 128,
    learning_rate: float = 0.5,
    mistake: Literal[MISTAKES] | None = None,
    start_timeout: float = 60.0,
    data: datasets.Choice = "auto",
    mnist_dir: Path | None = None,
    seed: int = 0,
    figures: Path = plotting.FIGURES,
    show: bool = False,
) -> Distributed:
    """Train softmax regression with every batch split over workers, and compare with one worker.

    Args:
        workers: processes on this machine; with TF_CONFIG set, this is one process of those that it names
        steps: updates
        mistake: make this one
        start_timeout: seconds that the workers have to find one another
    """
    cli.check(seed, steps=steps, batch_size=batch_size, learning_rate=learning_rate, start_timeout=start_timeout)
    if team.to_be_started(workers, batch_size, mistake):
        return Distributed(*team.launch(main, locals(), workers, start_timeout))
    with team.join(start_timeout) as place:
        images = datasets.images(data, mnist_dir, batch_size)
        (x, y), losses, learned, ms = images.train, {}, {}, {}
        parameters, run, compare = make(place, images.train, learning_rate, mistake)
        first = next(batches(len(y), batch_size, seed))
        everyone, mean, whole = compare(first)
        difference = max(float(tf.reduce_max(abs(mean[name] - whole[name]))) for name in whole)
        shares = [share(batch_size, rank, place.workers, mistake) for rank in range(place.workers)]
        mine = f"images {shares[place.rank].start} to {shares[place.rank].stop - 1}"
        print(f"worker {place.rank}: {mine} of a batch; all-reduced gradient off by {difference:.1e}")
        losses["split"], learned["split"] = train(run, parameters, batches(len(y), batch_size, seed), steps)
        sizes, P = sorted({*SIZES, batch_size}), 10 * (x.shape[1] + 1)
        ms["split"], ms["exchange"] = team.milliseconds(run, len(y), sizes), team.exchange_milliseconds(place, P)
        if place.rank:
            return team.report(Distributed(losses, learned, difference, ms, [], None))
        parameters, run, _ = make(team.alone(), images.train, learning_rate)
        losses["whole"], learned["whole"] = train(run, parameters, batches(len(y), batch_size, seed), steps)
        ms["whole"] = team.milliseconds(run, len(y), sizes)
        step, pays = team.model(sizes, ms, P, place.workers)
        gradients = everyone.numpy(), mean["W"].numpy(), whole["W"].numpy()
        drawn = plotting.data_parallel(x[first], shares, gradients, losses, sizes, ms, step, P, pays)
        figure = plotting.save(drawn, figures, "14_mnist_softmax_distributed", show)
        report.require_finite(losses["split"])
        off = max(float(abs(learned["split"][name] - w).max()) for name, w in learned["whole"].items())
        right = lambda p: float(((images.test.x @ p["W"] + p["b"]).argmax(axis=1) == images.test.y).mean())
        comparison = [
            report.Row("gradient, all-reduced less whole", difference, 0),
            report.Row("test accuracy, split beside whole", right(learned["split"]), right(learned["whole"])),
            report.Row("W and b, largest difference of split from whole", off, 0),
        ]
        report.print_comparison(comparison)
        return team.report(Distributed(losses, learned, difference, ms, comparison, figure))


# %%
# Run
# ---

if __name__ == "__main__":
    cli.run(main)
