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
TensorFlow listens on all network interfaces and asks nobody who they are: the README says how to close that door.

Try

- ``--mistake sum``: a sum where the mean is meant makes every step too long, by the number of workers.
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
MISTAKES = "sum", "uneven", "no-reduce", "dropped-image"
SPAN, SIZES = 50, (128, 1024, 4096)  # steps between two checkpoints; batches that are timed


class Distributed(NamedTuple):
    losses: dict[str, np.ndarray]  # "split", and "whole" for one worker -> (steps,) the batch's loss before each update
    parameters: dict[str, dict[str, np.ndarray]]  # likewise -> W (pixels, 10), b (10,)
    milliseconds: dict[str, np.ndarray]  # likewise -> (sizes,) a step; "exchange" -> (2,) one of P and of 100 P numbers
    comparison: list[report.Row]  # the last row is the lesson's answer
    figure: Path | None  # the first worker's; the others have neither "whole" nor a comparison


def batches(images, n, seed):  # indices (n,), batch after batch; from one seed all workers draw the same: none travels
    rng = np.random.default_rng(seed)
    while True:
        yield from rng.permutation(images)[: images // n * n].reshape(-1, n)


def share(n, place, mistake=None):  # a worker's slice of n images: of equal ones alone the mean of means is the mean
    start, stop = place.rank * n // place.workers, (place.rank + 1) * n // place.workers
    uneven, dropped = mistake == "uneven", mistake == "dropped-image"  # the first takes one of the second's, drops one
    return slice(start + uneven * (place.rank == 1), stop + (uneven - dropped) * (place.rank == 0))


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
    all_reduce = tf.distribute.get_replica_context().all_reduce
    return values if mistake == "no-reduce" else all_reduce("SUM" if mistake == "sum" else "MEAN", values)


# %%
# Iterate
# -------
def make(place, images, learning_rate, mistake=None):
    """Return the parameters, and what all workers must call together, for each waits for all: steps and compare."""
    x, y = tf.identity(images.x), tf.constant(images.y)
    with place.strategy.scope():  # every worker has all the parameters, and the same ones
        parameters = {"W": tf.Variable(tf.zeros([x.shape[1], 10])), "b": tf.Variable(tf.zeros([10]))}
    of = lambda part: loss_and_gradients(parameters, tf.gather(x, part), tf.gather(y, part))

    def step(batch):
        L, dL = exchange(of(batch[share(tf.shape(batch)[0], place, mistake)]), mistake)
        for name, parameter in parameters.items():
            parameter.assign_sub(learning_rate * dL[name])
        return L

    def compare(batch):  # dL/dW of each worker (workers, pixels, 10), and all the gradients, all-reduced and whole
        (_, own), (_, whole) = of(batch[share(tf.shape(batch)[0], place, mistake)]), of(batch)
        each = tf.distribute.get_replica_context().all_gather(own["W"][tf.newaxis], axis=0)
        return each, exchange(own, mistake), whole

    in_each = lambda f: lambda batch: place.strategy.run(f, args=(batch,))
    steps = lambda batches: tf.map_fn(in_each(step), batches, fn_output_signature=tf.float32, parallel_iterations=1)
    graph = lambda f, rank: tf.function(f, [tf.TensorSpec([None] * rank, tf.int64)], autograph=False)  # of any sizes
    return parameters, graph(steps, 2), graph(in_each(compare), 1)


def train(steps, parameters, order, many, keeper):
    losses = keeper.restore()  # of the steps that are done
    order = itertools.islice(order, len(losses), many)
    while rows := [*itertools.islice(order, SPAN)]:
        losses = np.append(losses, steps(np.stack(rows)))
        keeper.keep(losses, many)
    return losses, {name: variable.numpy() for name, variable in parameters.items()}


# %%
# Plot and main
# -------------
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
    cli.check(seed, steps=steps, batch_size=batch_size, learning_rate=learning_rate, start_timeout=start_timeout)
    if (workers := team.to_start(workers, batch_size, mistake, checkpoint)) > 1:
        return Distributed(*team.launch(main, locals(), workers, start_timeout))
    with team.join(start_timeout) as place:
        images = datasets.images(data, mnist_dir, batch_size)
        (x, y), losses, learned, ms = images.train, {}, {}, {}
        order = lambda: batches(len(y), batch_size, seed)
        parameters, run, compare = make(place, images.train, learning_rate, mistake)
        each, mean, whole = compare(next(order()))
        shares = [share(batch_size, place._replace(rank=rank), mistake) for rank in range(place.workers)]
        difference = report.print_exchanged(place.rank, shares, mean, whole)
        settings = {"workers": place.workers, "batch_size": batch_size, "learning_rate": learning_rate, "seed": seed}
        keeper = team.Keeper(checkpoint, place, parameters, settings | {"data": images.name})
        losses["split"], learned["split"] = train(run, parameters, order(), steps, keeper)
        sizes, P = sorted({*SIZES, batch_size}), 10 * (x.shape[1] + 1)
        ms["split"], ms["exchange"] = team.milliseconds(run, len(y), sizes), team.exchange_milliseconds(place, P)
        if place.rank:
            return team.report(Distributed(losses, learned, ms, [], None))
        parameters, run, _ = make(team.alone(), images.train, learning_rate)
        losses["whole"], learned["whole"] = train(run, parameters, order(), steps, team.Keeper())
        ms["whole"] = team.milliseconds(run, len(y), sizes)
        gradients, model = (each, mean["W"], whole["W"]), team.print_speed(batch_size, sizes, ms, P, place.workers)
        drawn = plotting.data_parallel(x[next(order())], shares, gradients, losses, sizes, ms, P, *model)
        figure = plotting.save(drawn, figures, "14_mnist_softmax_distributed", show)
        report.require_finite(losses["split"])
        comparison = report.print_split(difference, learned, images.test)
        return team.report(Distributed(losses, learned, ms, comparison, figure))


# %%
# Run
# ---

if __name__ == "__main__":
    cli.run(main)
