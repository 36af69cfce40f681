"""
Softmax regression, the step from an optimizer
==============================================

How good is softmax regression when the tape derives the gradient and a Keras optimizer takes the
step?

For a batch of n images x (n, 784) with labels y (n,)::

    z = x W + b                              logits (n, 10)
    L = mean(-log softmax(z)[y])             a scalar
    dL/dW, dL/db                             from the tape, with the shapes of W and b
    W <- W - learning_rate dL/dW             and b likewise: this is all that plain SGD does

What you should see: the cost per epoch falls as it does in the document. Lessons 09, 10 and
11 end with the same weights, because optimizer, tape and formula are three ways to one gradient.
They are the same file but for the act Backward, where the optimizer of this lesson gives way to a
learning rate in the next.

Try

- ``--epochs 20``: the cost still falls and the accuracy still rises. Ten epochs at this learning
  rate are not the end.
- ``--learning-rate 0.001``: ten epochs do not get as far as one epoch did before.

Re-runs the first of the three ways in D4, a Chinese web tutorial about gradient descent with
TensorFlow 1, "利用 tf.gradients 在 TensorFlow 中实现梯度下降".
"""

from pathlib import Path

from tf_backprop import check_gradients, command, datasets, plotting, report
from tf_backprop.support import explanation

import numpy as np
import tensorflow as tf

# %%
# Prepare
# -------
# Zeros are a good start here: the loss is convex, so it has no other minimum to get stuck in.


def start(pixels):
    return {"W": tf.zeros([pixels, 10]), "b": tf.zeros([10])}


def shuffled_batches(n, batch_size, rng):
    """Return the n images' indices in a new order, as rows (batches, batch_size).

    Images that do not fill a batch are left out, and wait for another epoch.
    """
    batches = n // batch_size
    order = rng.permutation(n)
    return order[: batches * batch_size].reshape(batches, batch_size)


# %%
# Forward
# -------
def logits(parameters, x):
    return x @ parameters["W"] + parameters["b"]  # (n, 784) @ (784, 10) + (10,) -> (n, 10)


def loss(parameters, x, y):
    """L = mean over the batch of -log softmax(z)[y].

    TensorFlow computes it from the logits, so that no probability is rounded to zero.
    """
    z = logits(parameters, x)
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=z))


# %%
# Backward
# --------
# This act is what differs between lessons 09, 10 and 11. Here the tape derives the gradient, and
# an optimizer of Keras takes the step.


def gradients_by_tape(parameters, x, y):
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        L = loss(parameters, x, y)
    return tape.gradient(L, parameters)


def make_optimizer(parameters, learning_rate):
    optimizer = tf.keras.optimizers.SGD(learning_rate)
    optimizer.build(list(parameters.values()))  # now, because a graph may not make variables later
    return optimizer


def take_step(parameters, x, y, optimizer):
    """Let the optimizer move the variables W and b against their gradients."""
    gradients = gradients_by_tape(parameters, x, y)
    pairs = [(gradients[name], parameter) for name, parameter in parameters.items()]
    optimizer.apply_gradients(pairs)


# %%
# Iterate
# -------
# The images stay bytes until their batch is picked: a quarter of the memory of float32. XLA
# compiles a whole epoch into one program, so that Python calls TensorFlow once per epoch only.
def run_epoch(step, parameters, x, y, batches, optimizer):
    """Take one step per batch. Return the cost: the mean of the losses, each before its step."""
    total = 0.0
    for batch in batches:  # the indices (n,) of its images
        x_batch = tf.cast(tf.gather(x, batch), tf.float32) / 255  # (n, 784), from 0 to 1
        y_batch = tf.gather(y, batch)
        total += loss(parameters, x_batch, y_batch)
        step(parameters, x_batch, y_batch, optimizer)
    return total / tf.cast(len(batches), tf.float32)


def train(step, learning_rate, parameters, x, y, epochs, batch_size, seed):
    """Return the trained parameters, and the cost of each epoch up to one that is not finite."""
    parameters = {name: tf.Variable(value) for name, value in parameters.items()}
    optimizer = make_optimizer(parameters, learning_rate)
    x = tf.constant(x)  # (images, 784), bytes
    y = tf.constant(y)  # (images,)
    rng = np.random.default_rng(seed)
    one_program = tf.function(run_epoch, jit_compile=True)

    costs = []
    while len(costs) < epochs and np.isfinite(costs).all():
        batches = shuffled_batches(len(y), batch_size, rng)
        cost = one_program(step, parameters, x, y, batches, optimizer)
        costs.append(cost.numpy())

    trained = {name: variable.numpy() for name, variable in parameters.items()}
    return trained, np.array(costs)


# %%
# Plot and main
# -------------
STEM = "09_mnist_softmax_optimizer"
EPOCHS = 10  # passes over MNIST; on the digits, as many as give the same number of updates
JUDGED = 3000  # the document measured its accuracy on the first 3,000 test images

#: The cost of each epoch, as the document printed it for each of its three ways.
WAYS = ["optimizer", "tf.gradients", "by hand"]
PRINTED = [
    (1.184285608, 1.183741399, 0.432943137),
    (0.665428013, 0.665312284, 0.330031527),
    (0.552858426, 0.552796521, 0.313661941),
    (0.498728328, 0.498697014, 0.306443773),
    (0.465593693, 0.465521633, 0.300219418),
    (0.442609185, 0.442611256, 0.298976618),
    (0.425552949, 0.425528946, 0.293222957),
    (0.412188290, 0.412203073, 0.291407861),
    (0.401390140, 0.401364554, 0.288372261),
    (0.392354651, 0.392398663, 0.286749691),
]
PUBLISHED = [row[WAYS.index("optimizer")] for row in PRINTED]
PUBLISHED_ACCURACY = 0.873333


def plot_printed(ax):
    """Draw the document's three columns. Two lie on one curve, and the third does not."""
    epochs = np.arange(1, len(PRINTED) + 1)
    columns = np.transpose(PRINTED)
    for way, column, marker in zip(WAYS, columns, "o+x", strict=True):
        colour = plotting.COLOURS[1] if way == "by hand" else "black"
        style = {"markersize": 9, "fillstyle": "none", "color": colour}
        ax.plot(epochs, column, marker, label=f"{report.PRINTED}, {way}", **style)
    said = "by hand the document left out the 1/n: each step is 100 times too long"
    ax.text(epochs[-1], columns[-1, 2] - 0.08, said, color=colour, ha="right", va="top")
    ax.set_ylim(bottom=0)
    ax.legend()


def plot(costs, on_mnist):
    """Draw the costs (epochs,) up to one that is not finite, and on MNIST the printed ones."""
    costs = costs[: report.finite_steps(costs)]
    figure, ax = plotting.subplots()
    ax.plot(np.arange(1, len(costs) + 1), costs, linewidth=7, alpha=0.4, label="this lesson")
    ax.set(xlabel="epoch", ylabel="cost: mean of the epoch's losses")
    ax.xaxis.get_major_locator().set_params(integer=True)
    if len(costs) == 0:
        ax.set_title("The cost of the first epoch is not a finite number")
    elif on_mnist:
        plot_printed(ax)
        drawn = min(len(costs), len(PRINTED))
        here = costs[:drawn, np.newaxis]
        off = np.abs(np.array(PRINTED)[:drawn, :2] / here - 1).max()
        same = "this lesson, the document's optimizer and its tf.gradients"
        ax.set_title(f"One curve: {same} agree within {off:.2%}")
    else:
        ax.set_title(f"The cost per epoch falls from {costs[0]:.3f} to {costs[-1]:.3f}")
    return figure


def main(
    epochs: int | None = None,
    learning_rate: float = 0.01,
    batch_size: int = 100,
    data: datasets.Choice = "auto",
    mnist_dir: Path | None = None,
    explain: bool = False,
    seed: int = 0,
    figures: Path = plotting.FIGURES,
    show: bool = False,
) -> report.SoftmaxResult:
    """Train softmax regression on MNIST, or on scikit-learn's digits where there is no MNIST.

    Args:
        epochs: passes over the training images (None is ten, or on the digits as many updates)
    """
    command.check(seed, epochs=epochs, learning_rate=learning_rate, batch_size=batch_size)
    images = datasets.images(data, mnist_dir, batch_size)
    on_mnist = images.name == "MNIST"
    pixels = images.train.x.shape[1]

    normal = np.random.default_rng(seed).standard_normal
    point = {"W": normal((pixels, 10)), "b": normal(10)}
    batch = np.float32(images.train.x[:32]) / 255, images.train.y[:32]
    print(check_gradients(loss, gradients_by_tape, point, *batch).raise_if_wrong())
    if explain:
        explanation.show(loss, None, gradients_by_tape, start(pixels), batch)

    run = start(pixels), *images.train, epochs or images.passes(EPOCHS), batch_size, seed
    parameters, costs = train(take_step, learning_rate, *run)
    drawing = plot(costs, on_mnist)

    z = logits(parameters, np.float32(images.test.x) / 255)
    right = np.argmax(z, axis=1) == images.test.y
    first = right[:JUDGED]
    published = dict(enumerate(PUBLISHED, start=1)) if on_mnist else {}
    judged = report.Row(
        f"accuracy, first {len(first):,} test images",
        float(first.mean()),
        published=PUBLISHED_ACCURACY if on_mnist else None,
    )
    comparison = [*report.cost_rows(costs, published), judged]
    if np.isfinite(costs).all():
        report.print_comparison(comparison)
    figure = plotting.save(drawing, figures, images.figure(STEM), show)
    report.require_finite(costs, "epoch")
    accuracy = float(right.mean())
    return report.SoftmaxResult(costs, judged.learned, accuracy, parameters, comparison, figure)


# %%
# Run
# ---

if __name__ == "__main__":
    result = command.run(main)
