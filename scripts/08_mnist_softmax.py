"""
Softmax regression on MNIST
===========================

How good is softmax regression on MNIST, and on which digits is it bad?

For a batch of n images x (n, 784) with labels y (n,)::

    z     = x W + b,  p = softmax(z)         logits and probabilities, both (n, 10)
    L     = mean(-log p[y])                  loss ()
    dL/dz = (p - onehot(y)) / n              (n, 10); the n comes from the mean
    dL/dW = xᵀ dL/dz                         (784, n) @ (n, 10) -> (784, 10)
    dL/db = column sums of dL/dz             (10,)

What you should see: a thousand small batches are enough for what one linear map can do. It fits the training images,
is watched on the validation images and judged once, on the test images: there five and eight are the hardest digits.

Try

- ``--steps 100``: a tenth of the steps, and most of the accuracy is there.
- ``--learning-rate 0.005``: steps a hundredth as long; a thousand of them do not get there.

Re-runs D3, "学习笔记 TF024: TensorFlow 实现 Softmax Regression 识别手写数字".
"""

from pathlib import Path
from typing import NamedTuple

from tf_backprop import command, datasets, gradient_check, plotting, report

import numpy as np
import tensorflow as tf
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

# %%
# Prepare
# -------
EVERY, PUBLISHED = (
    100,
    0.92,
)  # steps between two looks at the validation images; "about 92 %" of the test images


class Classifier(NamedTuple):
    losses: np.ndarray  # (steps,) of each batch, before its update
    validation_accuracy: np.ndarray  # (steps / 100,)
    test_accuracy: float
    recall: np.ndarray  # (10,) share of a digit's test images that are recognised
    f1: np.ndarray  # (10,) harmonic mean of recall and precision
    confusion: np.ndarray  # (10, 10) test images by true and predicted digit
    parameters: dict[str, np.ndarray]  # W (pixels, 10), b (10,)
    comparison: list[report.Row]  # the last row is the lesson's answer
    figure: Path


# %%
# Forward
# -------
def logits(parameters, x):
    return x @ parameters["W"] + parameters["b"]  # (n, 784) @ (784, 10) + (10,) -> (n, 10)


def loss(parameters, x, y):
    """L = mean over the batch of -log softmax(z)[y], from logits: no probability is ever rounded to zero."""
    z = logits(parameters, x)
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=z))


# %%
# Backward
# --------
def gradients_by_hand(parameters, x, y):
    p = tf.nn.softmax(logits(parameters, x))  # (n, 10)
    dL_dz = (p - tf.one_hot(y, 10, dtype=p.dtype)) / tf.cast(len(x), p.dtype)  # (n, 10)
    return {"W": tf.transpose(x) @ dL_dz, "b": tf.reduce_sum(dL_dz, axis=0)}  # (784, 10), (10,)


def gradients_by_tape(parameters, x, y):
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        L = loss(parameters, x, y)
    return tape.gradient(L, parameters)


# %%
# Iterate
# -------
# The batches come from shuffled passes over the training images; what does not fill a batch waits for another pass.
def shuffled_batches(rows, batch_size, steps, rng):  # -> indices (steps, batch_size)
    per_pass = rows // batch_size
    passes = [rng.permutation(rows)[: per_pass * batch_size] for _ in range(-(-steps // per_pass))]
    return np.concatenate(passes).reshape(-1, batch_size)[:steps]


@tf.function
def train(parameters, x, y, batches, learning_rate):
    """Take one step for each row of `batches`; return the parameters and the loss before each step, (steps,)."""
    W, b = parameters["W"], parameters["b"]
    losses = tf.TensorArray(tf.float32, len(batches))
    for step in tf.range(len(batches)):
        x_batch = tf.cast(tf.gather(x, batches[step]), tf.float32) / 255
        y_batch = tf.gather(y, batches[step])
        losses = losses.write(step, loss({"W": W, "b": b}, x_batch, y_batch))
        dL = gradients_by_hand({"W": W, "b": b}, x_batch, y_batch)
        W -= learning_rate * dL["W"]
        b -= learning_rate * dL["b"]
    return {"W": W, "b": b}, losses.stack()


# %%
# Plot and main
# -------------
def plot_weights(W, ax):
    """Draw the columns of W (side², 10) as ten images in two rows: white 0, orange against, purple for."""
    side = int(np.sqrt(len(W)))
    gap = max(1, side // 14)
    cell = side + gap
    images = np.full((2 * cell, 5 * cell), np.nan)
    for digit, image in enumerate(W.T):
        top, left = cell * (digit // 5), cell * (digit % 5)
        images[top : top + side, left : left + side] = image.reshape(side, side)
        ax.text(left, top, str(digit), va="top", ha="left", weight="bold")
    most = np.abs(W).max() or 1
    picture = ax.imshow(images, cmap="PuOr", vmin=-most, vmax=most, interpolation="nearest")
    ax.figure.colorbar(picture, ax=ax, label="weight", shrink=0.8)
    ax.set_axis_off()


def plot_confusion(confusion, ax):
    """Draw counts by true and predicted digit: shade by share of the true one, so that rare digits show as well."""
    share = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    ax.imshow(np.sqrt(share), cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(confusion):
        if count:
            colour = "white" if share[row, column] > 0.35 else "black"
            ax.text(column, row, int(count), ha="center", va="center", fontsize=7, color=colour)
    ax.grid(False)
    ax.set(xlabel="predicted digit", ylabel="true digit", xticks=range(10), yticks=range(10))


def plot(losses, validation_accuracy, W, confusion):
    figure, axes = plotting.subplots(2, 2, size=(12, 8), width_ratios=[1, 1.1])
    plotting.curves(
        None, {"": losses}, "step", "loss of the batch", log=True, ax=axes[0, 0], linewidth=0.7
    )
    axes[0, 0].set_title("training")
    looks = np.arange(1, len(validation_accuracy) + 1) * EVERY
    plotting.curves(
        looks, {"": validation_accuracy}, "step", "validation accuracy", ax=axes[1, 0], marker="o"
    )
    axes[1, 0].set_title("watching: images that were not trained on")
    plot_weights(W, axes[0, 1])
    axes[0, 1].set_title("what each digit's weights look for (purple) and against (orange)")
    plot_confusion(confusion, axes[1, 1])
    axes[1, 1].set_title("test images: which digit is taken for which")
    return figure


def main(
    steps: int = 1000,
    learning_rate: float = 0.5,
    batch_size: int = 100,
    data: datasets.Choice = "auto",
    mnist_dir: Path | None = None,
    seed: int = 0,
    figures: Path = plotting.FIGURES,
    show: bool = False,
) -> Classifier:
    """Train softmax regression on MNIST, or on scikit-learn's digits where there is no MNIST, and judge it by class.

    Args:
        steps: updates of the parameters
        learning_rate: how far the parameters move along the negative gradient
        batch_size: images a step
    """
    command.check(seed, steps=steps, learning_rate=learning_rate, batch_size=batch_size)
    images = datasets.images(data, mnist_dir, batch_size)
    rows, pixels = images.train.x.shape
    rng = np.random.default_rng(seed)
    point = {"W": rng.standard_normal((pixels, 10)), "b": rng.standard_normal(10)}
    batch = images.train.x[:32] / 255, images.train.y[:32]
    gradient_check.check_gradients(loss, gradients_by_hand, gradients_by_tape, point, batch, seed)
    x, y = tf.constant(images.train.x), tf.constant(images.train.y)
    parameters = {"W": tf.zeros([pixels, 10]), "b": tf.zeros([10])}

    batches = shuffled_batches(rows, batch_size, steps, rng)
    losses, watched = np.empty(0, np.float32), []
    while len(losses) < steps and np.isfinite(losses).all():
        some = batches[len(losses) : len(losses) + EVERY]
        parameters, of_some = train(parameters, x, y, some, tf.constant(learning_rate))
        losses = np.append(losses, of_some)
        seen = np.argmax(logits(parameters, tf.cast(images.validation.x, tf.float32) / 255), axis=1)
        watched.append(accuracy_score(images.validation.y, seen))

    predicted = np.argmax(logits(parameters, tf.cast(images.test.x, tf.float32) / 255), axis=1)
    test_accuracy = float(accuracy_score(images.test.y, predicted))
    _, recall, f1, _ = precision_recall_fscore_support(
        images.test.y, predicted, labels=range(10), zero_division=0
    )
    confusion = confusion_matrix(images.test.y, predicted, labels=range(10))
    parameters = {name: value.numpy() for name, value in parameters.items()}
    drawing = plot(losses[: report.finite_steps(losses)], watched, parameters["W"], confusion)
    figure = plotting.save(drawing, figures, images.figure("08_mnist_softmax"), show)
    report.require_finite(losses)
    print(
        report.table(
            ["digit", "recall", "F1"], [[d, f"{recall[d]:.3f}", f"{f1[d]:.3f}"] for d in range(10)]
        )
    )
    published = PUBLISHED if images.name == "MNIST" else None
    test = report.Row("test accuracy", test_accuracy, None, published)
    comparison = [report.Row("validation accuracy", float(watched[-1])), test]
    report.print_comparison(comparison)
    return Classifier(
        losses,
        np.array(watched),
        test_accuracy,
        recall,
        f1,
        confusion,
        parameters,
        comparison,
        figure,
    )


# %%
# Run
# ---

if __name__ == "__main__":
    command.run(main)
