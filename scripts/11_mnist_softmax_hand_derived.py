"""
Softmax regression, the gradient by hand
========================================

What is the gradient of softmax regression on paper, and does it train as the tape's does?

For a batch of n images x (n, 784) with labels y (n,)::

    z     = x W + b,  p = softmax(z)         logits and probabilities, both (n, 10)
    L     = mean(-log p[y])                  a scalar; p[y]: of each row, the p of its label
    dL/dz = (p - onehot(y)) / n              (n, 10); the n comes from the mean
    dL/dW = xᵀ dL/dz                         (784, n) @ (n, 10) -> (784, 10)
    dL/db = column sums of dL/dz             (10,)

What you should see: the costs and the weights are those of lessons 09 and 10, up to rounding. The
costs that the tutorial, D4, printed are lower: its formula lacks the 1/n, so its steps are n times
too long. Only the act Backward and what ``--document-formula`` needs differ from lesson 10.

Try

- ``--document-formula``: the document's column comes out, beside the right formula with steps of
  the same length.
- ``--learning-rate 1``: the right formula with the document's real step gets as low as the
  document did.

Re-runs the third of the three ways in D4, a Chinese web tutorial about gradient descent with
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
# This act is what differs between lessons 09, 10 and 11. Here the gradient is derived on paper, and
# the tape only checks it.


def gradients_by_hand(parameters, x, y):
    z = logits(parameters, x)  # x W + b
    p = tf.nn.softmax(z)  # each row (10,) sums to 1
    onehot = tf.one_hot(y, 10, dtype=p.dtype)  # 1 at the label, 0 elsewhere
    n = tf.cast(len(x), p.dtype)  # L is a mean over n images
    dL_dz = (p - onehot) / n  # divided by n like L itself
    dL_dW = tf.transpose(x) @ dL_dz  # (784, n) @ (n, 10) sums over n
    dL_db = tf.reduce_sum(dL_dz, axis=0)  # b is broadcast to n rows: sum
    return {"W": dL_dW, "b": dL_db}


def gradients_by_tape(parameters, x, y):
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        L = loss(parameters, x, y)
    return tape.gradient(L, parameters)


def gradients_of_document(parameters, x, y):
    """Sum over the batch, although L is a mean; for b, average dL/dW over the pixels.

    The shapes are right and the numbers are not: dL/dW is n times too large.
    """
    p = tf.nn.softmax(logits(parameters, x))
    onehot = tf.one_hot(y, 10, dtype=p.dtype)
    dL_dW = tf.transpose(x) @ (p - onehot)
    dL_db = tf.reduce_mean(dL_dW, axis=0)
    return {"W": dL_dW, "b": dL_db}


def take_step(parameters, x, y, learning_rate):
    """Move the variables W and b against their gradients."""
    gradients = gradients_by_hand(parameters, x, y)
    for name, parameter in parameters.items():
        parameter.assign_sub(learning_rate * gradients[name])


def take_step_of_document(parameters, x, y, learning_rate):
    """Move W alone: the document has no b in its forward pass, as if b stayed zero."""
    gradients = gradients_of_document(parameters, x, y)
    parameters["W"].assign_sub(learning_rate * gradients["W"])


# %%
# Iterate
# -------
# The images stay bytes until their batch is picked: a quarter of the memory of float32. XLA
# compiles a whole epoch into one program, so that Python calls TensorFlow once per epoch only.
def run_epoch(step, parameters, x, y, batches, learning_rate):
    """Take one step per batch. Return the cost: the mean of the losses, each before its step."""
    total = 0.0
    for batch in batches:  # the indices (n,) of its images
        x_batch = tf.cast(tf.gather(x, batch), tf.float32) / 255  # (n, 784), from 0 to 1
        y_batch = tf.gather(y, batch)
        total += loss(parameters, x_batch, y_batch)
        step(parameters, x_batch, y_batch, learning_rate)
    return total / tf.cast(len(batches), tf.float32)


def train(step, learning_rate, parameters, x, y, epochs, batch_size, seed):
    """Return the trained parameters, and the cost of each epoch up to one that is not finite."""
    parameters = {name: tf.Variable(value) for name, value in parameters.items()}
    learning_rate = tf.constant(learning_rate)
    x = tf.constant(x)  # (images, 784), bytes
    y = tf.constant(y)  # (images,)
    rng = np.random.default_rng(seed)
    one_program = tf.function(run_epoch, jit_compile=True)

    costs = []
    while len(costs) < epochs and np.isfinite(costs).all():
        batches = shuffled_batches(len(y), batch_size, rng)
        cost = one_program(step, parameters, x, y, batches, learning_rate)
        costs.append(cost.numpy())

    trained = {name: variable.numpy() for name, variable in parameters.items()}
    return trained, np.array(costs)


# %%
# Plot and main
# -------------
STEM = "11_mnist_softmax_hand_derived"
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
PUBLISHED = [row[WAYS.index("by hand")] for row in PRINTED]
PUBLISHED_ACCURACY = 0.898


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


def plot_document_formula(costs, longer, batch_size, on_mnist):
    """Draw the costs (epochs,) by the document's formula and by the right one with longer steps."""
    figure, ax = plotting.subplots()
    epochs = np.arange(1, len(costs) + 1)
    ax.plot(epochs, costs, linewidth=7, alpha=0.4, label="the document's formula, run here")
    label = f"the right formula with {batch_size} times the learning rate"
    ax.plot(np.arange(1, len(longer) + 1), longer, color="black", label=label)
    if on_mnist:
        column = np.transpose(PRINTED)[WAYS.index("by hand")]
        style = {"color": plotting.COLOURS[1], "markersize": 9}
        ax.plot(np.arange(1, len(column) + 1), column, "x", label=report.PRINTED, **style)
    ax.set(xlabel="epoch", ylabel="cost: mean of the epoch's losses")
    ax.set_title(f"The document's formula takes steps that are {batch_size} times too long")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.legend()
    return figure


def main(
    epochs: int | None = None,
    learning_rate: float = 0.01,
    batch_size: int = 100,
    document_formula: bool = False,
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
        document_formula: train with the document's gradient, beside the right one with equal steps
    """
    command.check(seed, epochs=epochs, learning_rate=learning_rate, batch_size=batch_size)
    images = datasets.images(data, mnist_dir, batch_size)
    on_mnist = images.name == "MNIST"
    pixels = images.train.x.shape[1]

    normal = np.random.default_rng(seed).standard_normal
    point = {"W": normal((pixels, 10)), "b": normal(10)}
    batch = np.float32(images.train.x[:32]) / 255, images.train.y[:32]
    if document_formula:
        print(check_gradients(loss, gradients_of_document, point, *batch))  # it is wrong
    else:
        print(check_gradients(loss, gradients_by_hand, point, *batch).raise_if_wrong())
    if explain:
        explanation.show(loss, gradients_by_hand, gradients_by_tape, start(pixels), batch)

    run = start(pixels), *images.train, epochs or images.passes(EPOCHS), batch_size, seed
    expected = {}
    if document_formula:
        parameters, costs = train(take_step_of_document, learning_rate, *run)
        _, longer = train(take_step, learning_rate * batch_size, *run)
        expected = dict(enumerate(longer, start=1))
        drawing = plot_document_formula(costs, longer, batch_size, on_mnist)
    else:
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
    comparison = [*report.cost_rows(costs, published, expected), judged]
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
