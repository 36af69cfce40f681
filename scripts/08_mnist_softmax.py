"""
Softmax regression on MNIST
===========================

How good is softmax regression on MNIST, and on which digits is it bad?

For a batch of n images x (n, 784) with labels y (n,)::

    z     = x W + b,  p = softmax(z)         logits and probabilities, both (n, 10)
    L     = mean(-log p[y])                  a scalar
    dL/dz = (p - onehot(y)) / n              (n, 10); the n comes from the mean
    dL/dW = xᵀ dL/dz                         (784, n) @ (n, 10) -> (784, 10)
    dL/db = column sums of dL/dz             (10,)

What you should see: a thousand small batches are enough for what one linear map can do. It is
fitted to the training images, watched on the validation images, and judged once, on the test
images. There 5 and 8 are the hardest digits by F1, the harmonic mean of recall and precision.
By recall alone they are 5 and 2. What makes 8 hard is its precision: many other digits are taken
for an 8.

Try

- ``--steps 100``: a tenth of the steps gives most of the accuracy.
- ``--learning-rate 0.005``: the steps are a hundredth as long, and a thousand do not get there.

Re-runs D3, a Chinese note on TensorFlow 1, "学习笔记 TF024: TensorFlow 实现 Softmax Regression
识别手写数字". It announces recall and F1, which its code does not compute.
"""

from pathlib import Path
from typing import NamedTuple

from tf_backprop import check_gradients, command, datasets, plotting, report

import numpy as np
import tensorflow as tf
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

# %%
# Prepare
# -------
# Zeros are a good start here. The loss is convex, and so every start leads to the same minimum.
# The batches come from shuffled passes over the training images. Images that do not fill a batch
# wait for another pass.


def start(pixels):
    return {"W": tf.zeros([pixels, 10]), "b": tf.zeros([10])}


def shuffled_batches(n, batch_size, steps, rng):
    """Return the indices of the images of each batch, as rows (steps, batch_size)."""
    per_pass = n // batch_size
    passes = -(-steps // per_pass)  # rounded up
    orders = [rng.permutation(n)[: per_pass * batch_size] for _ in range(passes)]
    return np.concatenate(orders).reshape(-1, batch_size)[:steps]


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
# p - onehot(y) is the predicted probability minus the true label, for each image and each digit.
# It says which logits are too high and which are too low. Each weight joins a pixel to a digit and
# is blamed by both: a pixel without ink changes none of its weights.
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


# %%
# Iterate
# -------
# A hundred steps are one graph, so that Python calls TensorFlow once for all of them. The images
# stay bytes until their batch is picked, which takes a quarter of the memory.
EVERY = 100  # steps between two looks at the validation images


@tf.function
def take_steps(parameters, x, y, batches, learning_rate):
    """Take one step per row of `batches`. Return the parameters, and the loss before each step."""
    losses = tf.TensorArray(tf.float32, len(batches))
    for step in tf.range(len(batches)):
        batch = batches[step]
        x_batch = tf.cast(tf.gather(x, batch), tf.float32) / 255  # (n, 784), from 0 to 1
        y_batch = tf.gather(y, batch)
        losses = losses.write(step, loss(parameters, x_batch, y_batch))
        gradients = gradients_by_hand(parameters, x_batch, y_batch)
        parameters = {
            "W": parameters["W"] - learning_rate * gradients["W"],
            "b": parameters["b"] - learning_rate * gradients["b"],
        }
    return parameters, losses.stack()


def predict(parameters, x):
    """Return the most probable digit (n,) of each image (n, 784), given as bytes."""
    z = logits(parameters, tf.cast(x, tf.float32) / 255)
    return np.argmax(z, axis=1)


def train(parameters, training, validation, batches, learning_rate):
    """Train, and look at the validation images after every hundred steps.

    Return the parameters, the loss of each batch before its step, up to the hundred in which one
    is not finite, and the accuracy at each look.
    """
    x = tf.constant(training[0])
    y = tf.constant(training[1])
    x_validation, y_validation = validation
    learning_rate = tf.constant(learning_rate)

    losses = np.empty(0, np.float32)
    accuracies = []
    while len(losses) < len(batches) and np.isfinite(losses).all():
        some = batches[len(losses) : len(losses) + EVERY]
        parameters, of_some = take_steps(parameters, x, y, some, learning_rate)
        losses = np.append(losses, of_some)
        accuracies.append(np.mean(predict(parameters, x_validation) == y_validation))
    return parameters, losses, np.array(accuracies)


# %%
# Plot and main
# -------------
PUBLISHED = 0.92  # "about 92 %" of the test images


class Classifier(NamedTuple):
    losses: np.ndarray  # (steps,) of each batch, before its update
    validation_accuracy: np.ndarray  # (steps / 100,)
    test_accuracy: float
    recall: np.ndarray  # (10,) the share of a digit's test images that are recognised
    precision: np.ndarray  # (10,) the share of the images taken for a digit that are that digit
    f1: np.ndarray  # (10,) the harmonic mean of recall and precision
    confusion: np.ndarray  # (10, 10) test images by true and predicted digit
    parameters: dict[str, np.ndarray]  # W (pixels, 10), b (10,)
    comparison: list[report.Row]  # the last row is the lesson's answer
    figure: Path


def plot_training(losses, accuracies, ax):
    """Draw the losses (steps,) and, after each hundred steps, the share of validation errors."""
    steps = np.arange(1, len(losses) + 1)
    looks = np.minimum(np.arange(1, len(accuracies) + 1) * EVERY, max(len(losses), 1))
    ax.plot(steps, losses, linewidth=0.7, label="loss of the training batch")
    ax.plot(looks, 1 - accuracies, "o-", label="share of validation images that are wrong")
    ax.set(xlabel="step", ylabel="loss, and share of errors", yscale="log")
    ax.set_title(f"{accuracies[-1]:.1%} of the validation images are right in the end")
    ax.legend()


def plot_weights(W, ax):
    """Draw the columns of W (side², 10) as ten images in two rows; zero is white."""
    side = int(np.sqrt(len(W)))
    gap = max(1, side // 14)
    cell = side + gap
    images = np.full((2 * cell, 5 * cell), np.nan)
    for digit, image in enumerate(W.T):
        top = cell * (digit // 5)
        left = cell * (digit % 5)
        images[top : top + side, left : left + side] = image.reshape(side, side)
        ax.text(left, top, str(digit), va="top", ha="left", weight="bold")
    most = np.abs(W).max() or 1
    picture = ax.imshow(images, cmap="PuOr", vmin=-most, vmax=most, interpolation="nearest")
    ax.figure.colorbar(picture, ax=ax, label="weight", shrink=0.8)
    ax.set_axis_off()


def plot_digits(recall, precision, f1, ax):
    """Draw recall, precision and F1, each (10,), by digit. The two hardest digits stand out."""
    digits = np.arange(10)
    hardest = np.argsort(f1)[:2]
    pairs = ("recall", recall, -0.2), ("precision", precision, 0.2)
    for (name, values, shift), colour in zip(pairs, plotting.COLOURS, strict=False):
        bars = ax.bar(digits + shift, 100 * values, 0.38, color=colour, label=name)
        texts = ax.bar_label(bars, [f"{100 * v:.0f}" for v in values], label_type="center")
        for digit in set(digits) - set(hardest):
            bars[digit].set_alpha(0.4)
        for digit in hardest:
            texts[digit].set(color="white", weight="bold")
    ax.plot(digits, 100 * f1, "_", color="black", markersize=26, label="F1")
    ax.set(xlabel="digit", ylabel="per cent of test images", xticks=digits, ylim=(0, 118))
    first, second = sorted(hardest)
    ax.set_title(f"By F1, {first} and {second} are the hardest digits of the test images")
    ax.grid(False)
    ax.legend(loc="upper center", ncols=3)


def plot(losses, accuracies, W, recall, precision, f1):
    figure, axes = plotting.mosaic("AB;CC", (10, 7.5), width_ratios=[1, 1.1])
    plot_training(losses, accuracies, axes["A"])
    plot_weights(W, axes["B"])
    axes["B"].set_title("Weights look for ink (purple) or against it (orange)")
    plot_digits(recall, precision, f1, axes["C"])
    return figure


def taken_for(confusion):
    """Return for each digit the wrong one for which most of its images are taken, (10,)."""
    wrong = confusion - np.diag(np.diag(confusion))
    return np.argmax(wrong, axis=1)


def print_digits(recall, precision, f1, confusion):
    """Print one row per digit, with the digit that it is most often taken for."""
    rows = []
    for digit, wrong in enumerate(taken_for(confusion)):
        shares = [f"{share[digit]:.3f}" for share in (recall, precision, f1)]
        rows.append([digit, *shares, wrong])
    print(report.table(["digit", "recall", "precision", "F1", "most often taken for"], rows))


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
    """Train softmax regression on MNIST, or on scikit-learn's digits, and judge it digit by digit.

    Args:
        steps: updates of the parameters
        learning_rate: how far the parameters move along the negative gradient
        batch_size: images per step
    """
    command.check(seed, steps=steps, learning_rate=learning_rate, batch_size=batch_size)
    images = datasets.images(data, mnist_dir, batch_size)
    rows, pixels = images.train.x.shape
    rng = np.random.default_rng(seed)
    point = {"W": rng.standard_normal((pixels, 10)), "b": rng.standard_normal(10)}
    batch = np.float32(images.train.x[:32]) / 255, images.train.y[:32]
    print(check_gradients(loss, gradients_by_hand, point, *batch).raise_if_wrong())

    batches = shuffled_batches(rows, batch_size, steps, rng)
    parameters, losses, accuracies = train(
        start(pixels), images.train, images.validation, batches, learning_rate
    )

    predicted = predict(parameters, images.test.x)
    test_accuracy = float(np.mean(predicted == images.test.y))
    precision, recall, f1, _ = precision_recall_fscore_support(
        images.test.y, predicted, labels=range(10), zero_division=0
    )
    confusion = confusion_matrix(images.test.y, predicted, labels=range(10))
    parameters = {name: value.numpy() for name, value in parameters.items()}
    published = PUBLISHED if images.name == "MNIST" else None
    comparison = [
        report.Row("validation accuracy", float(accuracies[-1])),
        report.Row("test accuracy", test_accuracy, None, published),
    ]

    if np.isfinite(losses).all():
        print_digits(recall, precision, f1, confusion)
        report.print_comparison(comparison)
    finite = losses[: report.finite_steps(losses)]
    drawing = plot(finite, accuracies, parameters["W"], recall, precision, f1)
    figure = plotting.save(drawing, figures, images.figure("08_mnist_softmax"), show)
    report.require_finite(losses)
    return Classifier(
        losses,
        accuracies,
        test_accuracy,
        recall,
        precision,
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
    result = command.run(main)
