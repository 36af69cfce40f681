"""
Softmax regression, the gradient by hand
========================================

How good is softmax regression when we derive the gradient on paper?

For a batch of n images x (n, 784) with labels y (n,)::

    z     = x W + b,  p = softmax(z)         logits and probabilities, both (n, 10)
    L     = mean(-log p[y])                  loss ()
    dL/dz = (p - onehot(y)) / n              (n, 10); the n comes from the mean
    dL/dW = xᵀ dL/dz                         (784, n) @ (n, 10) -> (784, 10)
    dL/db = column sums of dL/dz             (10,)

What you should see: the cost is that of lessons 09 and 10, with the same weights at the end. The document's column is
lower because its formula lacks the 1/n: its steps are as many times longer as a batch has images.

Try

- ``--document-formula``: the document's column comes out, beside the right formula with as long a step.
- ``--learning-rate 1``: the right formula with the document's real step gets as low as the document did.

Re-runs the third of the three ways in D4, "利用 tf.gradients 在 TensorFlow 中实现梯度下降".
"""

from pathlib import Path

from tf_backprop import command, datasets, gradient_check, plotting, report
from tf_backprop.support import explanation

import numpy as np
import tensorflow as tf

# %%
# Prepare
# -------
# Zeros are a good start here: the loss is convex, so every start leads to the same minimum.

EPOCHS, JUDGED = (
    10,
    3000,
)  # epochs over MNIST (as many updates on digits); test images the document judged by


# %%
# Forward
# -------
def loss(parameters, x, y):
    """L = mean over the batch of -log softmax(z)[y], from logits: no probability is ever rounded to zero."""
    z = x @ parameters["W"] + parameters["b"]  # (n, 784) @ (784, 10) + (10,) -> (n, 10)
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=z))


# %%
# The gradient
# ------------
# All that differs between lessons 09, 10 and 11. Here the gradient is derived on paper, and the tape only checks it.
STEM, TITLE = (
    "11_mnist_softmax_hand_derived",
    "The cost an epoch by hand: the document took longer steps",
)
PUBLISHED = [0.432943137, 0.330031527, 0.313661941, 0.306443773, 0.300219418]
PUBLISHED += [0.298976618, 0.293222957, 0.291407861, 0.288372261, 0.286749691]
PUBLISHED_ACCURACY = 0.898


def gradients_by_hand(parameters, x, y):
    p = tf.nn.softmax(x @ parameters["W"] + parameters["b"])  # (n, 10), each row sums to 1
    dL_dz = (p - tf.one_hot(y, 10, dtype=p.dtype)) / tf.cast(
        len(x), p.dtype
    )  # (n, 10), /n for L is a mean over n
    return {
        "W": tf.transpose(x)
        @ dL_dz,  # (784, n) @ (n, 10) -> (784, 10): with xᵀ in front the n rows are summed
        "b": tf.reduce_sum(
            dL_dz, axis=0
        ),  # (n, 10) -> (10,): b was added to each row, so the rows are summed
    }


def gradients_by_tape(parameters, x, y):
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        L = loss(parameters, x, y)
    return tape.gradient(L, parameters)


def gradients_of_document(parameters, x, y):
    """A sum over the batch where L has a mean, and for b its mean over the pixels: right shapes, wrong numbers."""
    dL_dW = tf.transpose(x) @ (
        tf.nn.softmax(x @ parameters["W"] + parameters["b"]) - tf.one_hot(y, 10, dtype=x.dtype)
    )
    return {"W": dL_dW, "b": tf.reduce_mean(dL_dW, axis=0)}


def make_step(parameters, learning_rate, document_formula=False):
    gradients = gradients_of_document if document_formula else gradients_by_hand

    def step(x, y):  # one update of the parameters; returns the loss before it
        L = loss(parameters, x, y)
        dL = gradients(parameters, x, y)
        parameters["W"].assign_sub(learning_rate * dL["W"])
        if not document_formula:  # the document has no b in its forward pass, as if b stayed zero
            parameters["b"].assign_sub(learning_rate * dL["b"])
        return L

    return step


# %%
# Iterate
# -------
# Every epoch visits the images in a new order, in batches; images that do not fill a batch wait for another epoch.
def train(step, images, epochs, batch_size, seed):
    """Call ``step(x, y)`` for each batch of each epoch; return the mean loss an epoch, up to one that is not finite."""
    rng = np.random.default_rng(seed)
    x, y = (
        tf.constant(images.x),
        tf.constant(images.y),
    )  # the images stay bytes until a batch is picked

    @tf.function(jit_compile=True)  # XLA makes one program of an epoch
    def run_epoch(batches):  # indices (batches, batch_size)
        total = 0.0
        for batch in batches:
            total += step(tf.cast(tf.gather(x, batch), tf.float32) / 255, tf.gather(y, batch))
        return total / tf.cast(len(batches), tf.float32)

    costs = []
    while len(costs) < epochs and np.isfinite(costs).all():
        order = rng.permutation(len(y))[: len(y) // batch_size * batch_size]
        costs.append(run_epoch(order.reshape(-1, batch_size)).numpy())
    return np.array(costs)


# %%
# Plot and main
# -------------
def plot(costs, published):
    return plotting.curves(None, costs, "epoch", "cost", published=published, title=TITLE)


def main(
    epochs: int | None = None,
    learning_rate: float = 0.01,
    batch_size: int = 100,
    data: datasets.Choice = "auto",
    mnist_dir: Path | None = None,
    document_formula: bool = False,
    explain: bool = False,
    seed: int = 0,
    figures: Path = plotting.FIGURES,
    show: bool = False,
) -> report.SoftmaxResult:
    """Train softmax regression on MNIST, or on scikit-learn's digits where there is no MNIST.

    Args:
        epochs: passes over the training images (None is ten, or on the digits as many as give MNIST's updates)
        document_formula: train with the document's gradient, beside the right one with as long a step
    """
    command.check(seed, epochs=epochs, learning_rate=learning_rate, batch_size=batch_size)
    images = datasets.images(data, mnist_dir, batch_size)
    pixels = images.train.x.shape[1]
    normal = np.random.default_rng(seed).standard_normal
    point, batch = (
        {"W": normal((pixels, 10)), "b": normal(10)},
        (images.train.x[:32] / 255, images.train.y[:32]),
    )
    gradients = gradients_of_document if document_formula else gradients_by_hand
    agree = not document_formula
    gradient_check.check_gradients(
        loss, gradients, gradients_by_tape, point, batch, seed, must_agree=agree
    )
    parameters = {"W": tf.Variable(tf.zeros([pixels, 10])), "b": tf.Variable(tf.zeros([10]))}
    if explain:
        explanation.show(loss, gradients_by_hand, gradients_by_tape, parameters, batch)
    epochs = epochs or images.passes(EPOCHS)
    costs = train(
        make_step(parameters, learning_rate, document_formula),
        images.train,
        epochs,
        batch_size,
        seed,
    )
    curves, expected = {"here": costs}, {}
    if document_formula:
        same = {name: tf.Variable(tf.zeros_like(variable)) for name, variable in parameters.items()}
        longer = train(
            make_step(same, learning_rate * batch_size), images.train, epochs, batch_size, seed
        )
        curves = {"the document's formula": costs, f"the right one, step x {batch_size}": longer}
        expected = dict(enumerate(longer, start=1))
    published = dict(enumerate(PUBLISHED, start=1)) if images.name == "MNIST" else {}
    figure = plotting.save(plot(curves, published), figures, images.figure(STEM), show)
    report.require_finite(costs, "epoch")
    parameters = {name: variable.numpy() for name, variable in parameters.items()}
    right = ((np.float32(images.test.x) / 255) @ parameters["W"] + parameters["b"]).argmax(
        axis=1
    ) == images.test.y
    first = right[:JUDGED]
    judged = f"accuracy, first {len(first):,} test images"
    row = report.Row(judged, float(first.mean()), None, PUBLISHED_ACCURACY if published else None)
    comparison = [*report.cost_rows(costs, published, expected), row]
    report.print_comparison(comparison)
    return report.SoftmaxResult(
        costs, row.learned, float(right.mean()), parameters, comparison, figure
    )


# %%
# Run
# ---

if __name__ == "__main__":
    command.run(main)
