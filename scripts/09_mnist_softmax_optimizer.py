"""
Softmax regression, the step from an optimizer
==============================================

How good is softmax regression when the tape derives the gradient and a Keras optimizer takes the step?

For a batch of n images x (n, 784) with labels y (n,)::

    z = x W + b                              logits (n, 10)
    L = mean(-log softmax(z)[y])             loss ()
    dL/dW, dL/db                             from the tape, with the shapes of W and b
    W <- W - learning_rate dL/dW             and b likewise: all that plain SGD does

What you should see: the cost an epoch falls as the document's column does. Lessons 09, 10 and 11 are the same file but
for the cell "The gradient", and end with the same weights: optimizer, tape and formula are three ways to one gradient.

Try

- ``--epochs 20``: the cost still falls and the accuracy still rises; ten epochs at this rate are not the end.
- ``--learning-rate 0.001``: ten epochs do not get as far as one did before.

Re-runs the first of the three ways in D4, "利用 tf.gradients 在 TensorFlow 中实现梯度下降".
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
# All that differs between lessons 09, 10 and 11. Here the tape derives the gradient, and an optimizer takes the step.
STEM, TITLE = (
    "09_mnist_softmax_optimizer",
    "The cost an epoch, with the step from keras.optimizers.SGD",
)
PUBLISHED = [1.184285608, 0.665428013, 0.552858426, 0.498728328, 0.465593693]
PUBLISHED += [0.442609185, 0.425552949, 0.412188290, 0.401390140, 0.392354651]
PUBLISHED_ACCURACY = 0.873333
gradients_by_hand = None  # so the check before training is of the tape alone


def gradients_by_tape(parameters, x, y):
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        L = loss(parameters, x, y)
    return tape.gradient(L, parameters)


def make_step(parameters, learning_rate):
    variables = list(parameters.values())
    optimizer = tf.keras.optimizers.SGD(learning_rate)
    optimizer.build(
        variables
    )  # now, for a tf.function may not create variables when it is called again

    def step(x, y):  # one update of the parameters; returns the loss before it
        with tf.GradientTape() as tape:
            L = loss(parameters, x, y)
        optimizer.apply_gradients(zip(tape.gradient(L, variables), variables, strict=True))
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
    explain: bool = False,
    seed: int = 0,
    figures: Path = plotting.FIGURES,
    show: bool = False,
) -> report.SoftmaxResult:
    """Train softmax regression on MNIST, or on scikit-learn's digits where there is no MNIST.

    Args:
        epochs: passes over the training images (None is ten, or on the digits as many as give MNIST's updates)
    """
    command.check(seed, epochs=epochs, learning_rate=learning_rate, batch_size=batch_size)
    images = datasets.images(data, mnist_dir, batch_size)
    pixels = images.train.x.shape[1]
    normal = np.random.default_rng(seed).standard_normal
    point, batch = (
        {"W": normal((pixels, 10)), "b": normal(10)},
        (images.train.x[:32] / 255, images.train.y[:32]),
    )
    gradient_check.check_gradients(loss, gradients_by_hand, gradients_by_tape, point, batch, seed)
    parameters = {"W": tf.Variable(tf.zeros([pixels, 10])), "b": tf.Variable(tf.zeros([10]))}
    if explain:
        explanation.show(loss, gradients_by_hand, gradients_by_tape, parameters, batch)
    epochs = epochs or images.passes(EPOCHS)
    costs = train(make_step(parameters, learning_rate), images.train, epochs, batch_size, seed)
    published = dict(enumerate(PUBLISHED, start=1)) if images.name == "MNIST" else {}
    figure = plotting.save(plot({"here": costs}, published), figures, images.figure(STEM), show)
    report.require_finite(costs, "epoch")
    parameters = {name: variable.numpy() for name, variable in parameters.items()}
    right = ((np.float32(images.test.x) / 255) @ parameters["W"] + parameters["b"]).argmax(
        axis=1
    ) == images.test.y
    first = right[:JUDGED]
    judged = f"accuracy, first {len(first):,} test images"
    row = report.Row(judged, float(first.mean()), None, PUBLISHED_ACCURACY if published else None)
    comparison = [*report.cost_rows(costs, published), row]
    report.print_comparison(comparison)
    return report.SoftmaxResult(
        costs, row.learned, float(right.mean()), parameters, comparison, figure
    )


# %%
# Run
# ---

if __name__ == "__main__":
    command.run(main)
