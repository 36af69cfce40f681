"""
Wrong gradients that still converge
===================================

The loss falls and the accuracy is good: is the gradient right, and could you have noticed?

Each well-known mistake is trained beside the right code, from the same start, on the same rows.
Most of them are made in a network for images x (n, pixels) with labels y (n,)::

    a1 = relu(x W1 + b1)  (n, hidden),   z2 = a1 W2 + b2  (n, 10),   L = mean(-log softmax(z2)[y])
    dL/dz2 = (softmax(z2) - onehot(y)) / n,       dL/dz1 = dL/dz2 W2ᵀ where a1 > 0, and 0 elsewhere
    dL/dW1 = xᵀ dL/dz1,   dL/db1 = Σ_n dL/dz1,    dL/dW2 = a1ᵀ dL/dz2,   dL/db2 = Σ_n dL/dz2

What you should see: the loss falls in every run, and most mistakes reach the accuracy that is asked
for. One of them, linear-with-bias, even ends more accurate than the right network: a straight line
is the true border of its points. The gradient check catches them all. It compares one update, in
float64, with central differences of the loss that is *meant*, because the tape differentiates a
wrong loss as faithfully as a right one.

Try

- ``--mistake relu-ge``: one mistake by parameter. W1 and b1 are wrong, because the way back to them
  leads through the ReLU; W2 and b2 are right.
- ``--learning-rate 0.1``: mistakes that only lengthen the step now fail the test of accuracy too.

Re-runs no document. Of the five tutorials of this collection, D2 has linear-hidden and clips its
logarithm, D4 has summed and pixel-bias, and D5 has frozen-bias. The others are from other code.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

from tf_backprop import command, datasets, gradient_check, plotting, report

import numpy as np
import tensorflow as tf
from matplotlib.lines import Line2D

# %%
# Prepare
# -------
# Each mistake is a function with the mistake's name. It stands below the function that is right
# and takes the same arguments; the comment in its first line says what is different.
HIDDEN = 24  # units behind the ReLU


def make_parameters(rng, inputs, outputs, dtype=tf.float32):
    shapes = {"W1": (inputs, HIDDEN), "b1": (HIDDEN,), "W2": (HIDDEN, outputs), "b2": (outputs,)}
    arrays = {name: rng.normal(0, np.sqrt(2 / max(shape)), shape) for name, shape in shapes.items()}
    return {name: tf.constant(array, dtype) for name, array in arrays.items()}


# %%
# Forward
# -------
def forward(parameters, x):
    a1 = tf.nn.relu(x @ parameters["W1"] + parameters["b1"])  # (n, pixels) -> (n, hidden)
    return a1 @ parameters["W2"] + parameters["b2"]  # (n, hidden) -> (n, 10)


def cross_entropy(z2, y):
    log_p = z2 - tf.reduce_logsumexp(z2, axis=1, keepdims=True)  # p sums to 1 in each row
    return tf.reduce_mean(-tf.reduce_sum(tf.one_hot(y, 10, dtype=z2.dtype) * log_p, axis=1))


def missing_axis(z2, y):  # without an axis the sum is over the batch too: the mean is of one number
    log_p = z2 - tf.reduce_logsumexp(z2, axis=1, keepdims=True)
    return tf.reduce_mean(-tf.reduce_sum(tf.one_hot(y, 10, dtype=z2.dtype) * log_p))


def batch_softmax(z2, y):  # without an axis p sums to 1 over all rows together
    log_p = z2 - tf.reduce_logsumexp(z2)
    return tf.reduce_mean(-tf.reduce_sum(tf.one_hot(y, 10, dtype=z2.dtype) * log_p, axis=1))


def clipped_log(z2, y):  # no log(0) any more, but where p is clipped, it is constant: no gradient
    log_p = tf.math.log(tf.clip_by_value(tf.nn.softmax(z2), 1e-7, 1))
    return tf.reduce_mean(-tf.reduce_sum(tf.one_hot(y, 10, dtype=z2.dtype) * log_p, axis=1))


def double_softmax(z2, y):  # the loss wants logits, and gets probabilities between 0 and 1
    return cross_entropy(tf.nn.softmax(z2), y)


def loss(parameters, x, y, forward=forward, output_loss=cross_entropy):
    return output_loss(forward(parameters, x), y)


# %%
# Backward
# --------
# Here four steps of the gradient by hand have a wrong version. The tape makes no such mistake.
def mean_of_rows(z2, y):
    return (tf.nn.softmax(z2) - tf.one_hot(y, 10, dtype=z2.dtype)) / z2.shape[0]


def summed(z2, y):  # 1/n is missing, as if L were a sum
    return tf.nn.softmax(z2) - tf.one_hot(y, 10, dtype=z2.dtype)


def relu_gt(a1):
    return a1 > 0


def relu_ge(a1):  # always true, because a1 has been through the ReLU: it is never below 0
    return a1 >= 0


def row_bias(x, dL_dz1):
    return tf.reduce_sum(dL_dz1, axis=0)


def pixel_bias(x, dL_dz1):  # the right shape, but a mean over the pixels of dL/dW1
    return tf.reduce_mean(tf.transpose(x) @ dL_dz1, axis=0)


def one_scale(a, dL_dz):
    return tf.transpose(a) @ dL_dz


def two_scales(a, dL_dz):  # n times too large: a sum for the weights, while the biases have a mean
    return a.shape[0] * (tf.transpose(a) @ dL_dz)


def gradients_by_hand(
    parameters, x, y, dz2=mean_of_rows, open_units=relu_gt, db1=row_bias, dW=one_scale
):
    a1 = tf.nn.relu(x @ parameters["W1"] + parameters["b1"])  # (n, hidden), as on the way forward
    z2 = a1 @ parameters["W2"] + parameters["b2"]  # (n, 10)
    dL_dz2 = dz2(z2, y)  # (n, 10), softmax(z2) - onehot(y), over n because L is a mean
    dL_da1 = dL_dz2 @ tf.transpose(parameters["W2"])  # (n, hidden), W2ᵀ leads back through W2
    dL_dz1 = tf.where(open_units(a1), dL_da1, 0)  # (n, hidden), a closed ReLU passes nothing back
    dL_dW1 = dW(x, dL_dz1)  # (pixels, hidden), xᵀ dL/dz1: the product sums over the rows
    dL_db1 = db1(x, dL_dz1)  # (hidden,), b1 was added to each row, so the rows are summed
    dL_dW2 = dW(a1, dL_dz2)  # (hidden, 10), a1ᵀ dL/dz2
    dL_db2 = tf.reduce_sum(dL_dz2, axis=0)  # (10,), b2 was added to each row too
    return {"W1": dL_dW1, "b1": dL_db1, "W2": dL_dW2, "b2": dL_db2}


def gradients_by_tape(parameters, x, y, forward=forward, output_loss=cross_entropy):
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        L = loss(parameters, x, y, forward, output_loss)
    # "zero": linear_hidden uses no biases, and the tape would return None for their gradients.
    return tape.gradient(L, parameters, unconnected_gradients="zero")


# %%
# Iterate
# -------
def descend(parameters, gradients, learning_rate):
    return {name: p - learning_rate * gradients[name] for name, p in parameters.items()}


def frozen_bias(parameters, gradients, learning_rate):  # the biases stay where they started
    moved = descend(parameters, gradients, learning_rate)
    return moved | {"b1": parameters["b1"], "b2": parameters["b2"]}


@tf.function
def train(parameters, images, batches, learning_rate, gradients=gradients_by_hand, update=descend):
    for rows in batches:
        x = tf.cast(tf.gather(images.x, rows), tf.float32) / 255  # bytes until here
        y = tf.gather(images.y, rows)
        parameters = update(parameters, gradients(parameters, x, y), learning_rate)
    return parameters


# %%
# Points of a square
# ------------------
# Four mistakes show on points x (n, 2) better than on images. The labels y (n,) are 1 where
# x0 + x1 < 1, else 0, and the loss is a squared error.
def squared_error(z2, y):
    return tf.reduce_mean((z2[:, 0] - tf.cast(y, z2.dtype)) ** 2)  # (n,) - (n,) is (n,)


def column_minus_row(z2, y):  # (n, 1) - (n,) broadcasts to (n, n): every output minus every label
    return tf.reduce_mean((z2 - tf.cast(y, z2.dtype)) ** 2)


def bent(parameters, x):  # the network of the images, with one output
    a1 = tf.nn.relu(x @ parameters["W1"] + parameters["b1"])
    return a1 @ parameters["W2"] + parameters["b2"]  # (n, 1)


def linear_with_bias(parameters, x):  # without an activation, two layers are one linear map
    a1 = x @ parameters["W1"] + parameters["b1"]
    return a1 @ parameters["W2"] + parameters["b2"]


def linear_hidden(parameters, x):  # without the biases, this map also goes through the origin
    a1 = x @ parameters["W1"]
    return a1 @ parameters["W2"]


# %%
# A plane
# -------
# Each parameter needs a velocity of its own. Only parameters of the same shape can share one, as
# the three single numbers of a plane can: z = A x0 + B x1 + C.
MOMENTUM = 0.9


def plane(parameters, x):
    return x[:, :1] * parameters["A"] + x[:, 1:] * parameters["B"] + parameters["C"]


def own_momentum(velocity, gradients):
    return {name: MOMENTUM * velocity[name] + gradients[name] for name in gradients}


def shared_momentum(velocity, gradients):  # one v for all: what A gave it moves B and C as well
    v = velocity["C"]  # C moved last, so its velocity is the one that all three share
    moved = {}
    for name in gradients:
        v = MOMENTUM * v + gradients[name]
        moved[name] = v
    return moved


def no_momentum(velocity, gradients):
    return gradients


@tf.function
def train_on_points(parameters, velocity, points, batches, learning_rate, gradients, momentum):
    for rows in batches:
        dL = gradients(parameters, tf.gather(points.x, rows), tf.gather(points.y, rows))
        velocity = momentum(velocity, dL)
        parameters = descend(parameters, velocity, learning_rate)
    return parameters, velocity


# %%
# The mistakes by name
# --------------------
class Code(NamedTuple):
    """Where a mistake can be: each of these is right, or one of them is wrong."""

    forward: Callable
    output_loss: Callable
    gradients: Callable
    update: Callable = descend
    momentum: Callable = no_momentum


RIGHT = Code(forward, cross_entropy, gradients_by_hand)


def by_hand(**wrong_step):
    return RIGHT._replace(gradients=partial(gradients_by_hand, **wrong_step))


def by_tape(forward=forward, output_loss=cross_entropy):
    gradients = partial(gradients_by_tape, forward=forward, output_loss=output_loss)
    return Code(forward, output_loss, gradients)


ON_IMAGES = {
    "summed": by_hand(dz2=summed),
    "two-scales": by_hand(dW=two_scales),
    "pixel-bias": by_hand(db1=pixel_bias),
    "relu-ge": by_hand(open_units=relu_ge),
    "missing-axis": by_tape(output_loss=missing_axis),
    "batch-softmax": by_tape(output_loss=batch_softmax),
    "clipped-log": by_tape(output_loss=clipped_log),
    "double-softmax": by_tape(output_loss=double_softmax),
    "frozen-bias": by_tape()._replace(update=frozen_bias),
}
RIGHT_ON_POINTS = by_tape(bent, squared_error)
ON_POINTS = {
    "column-minus-row": by_tape(bent, column_minus_row),
    "linear-hidden": by_tape(linear_hidden, squared_error),
    "linear-with-bias": by_tape(linear_with_bias, squared_error),
}
RIGHT_ON_PLANE = by_tape(plane, squared_error)._replace(momentum=own_momentum)
ON_PLANE = {"shared-momentum": RIGHT_ON_PLANE._replace(momentum=shared_momentum)}
MISTAKES = (*ON_IMAGES, *ON_POINTS, *ON_PLANE)


# %%
# Judge
# -----
# Each run is looked at before each stretch of updates. At the end, three tests judge it.
BATCH = 16  # rows per update
LOOKS = 30  # stretches of a run, or more
LONGEST = 1000  # updates in one stretch, at most
BAR = 0.85  # accuracy that passes
TOLERANCE = gradient_check.DIFFERENCE_TOLERANCE  # relative error of a gradient that passes
TESTS = "falling loss", f"accuracy {BAR:g}", "gradient check"


class Task(NamedTuple):
    """A model with its data: what is right, the mistakes to be judged, and where they start."""

    right: Code
    mistakes: dict[str, Code]
    start: dict[str, tf.Tensor]  # in float64
    check_at: float  # times the start: where the gradient is checked
    known: datasets.Labelled  # tensors; images are bytes
    judged: datasets.Labelled  # the first of these as numbers, for the curve of the loss
    unseen: datasets.Labelled  # as numbers
    stretches: Callable  # `stretches_of_images` or `stretches_of_points`
    rng: np.random.Generator  # for the batches


def stretches_of_images(code, parameters, images, order, learning_rate):
    """Yield the parameters before each stretch of batches."""
    for batches in order:
        yield parameters
        parameters = train(parameters, images, batches, learning_rate, code.gradients, code.update)


def stretches_of_points(code, parameters, points, order, learning_rate):
    """Yield the parameters before each stretch of batches."""
    velocity = zeros_like(parameters)
    for batches in order:
        yield parameters
        parameters, velocity = train_on_points(
            parameters, velocity, points, batches, learning_rate, code.gradients, code.momentum
        )


def zeros_like(parameters):
    return {name: tf.zeros_like(p) for name, p in parameters.items()}


@tf.function
def look(parameters, judged, unseen, forward, output_loss):
    """Return the accuracy on unseen data, and the loss as the code itself sees it."""
    z2 = forward(parameters, unseen.x)
    answers = z2[:, 0] > 0.5 if z2.shape[1] == 1 else tf.argmax(z2, axis=1)
    is_right = tf.cast(answers, tf.int32) == unseen.y
    accuracy = tf.reduce_mean(tf.cast(is_right, tf.float32))
    return accuracy, loss(parameters, judged.x, judged.y, forward, output_loss)


def learning_curves(task, code, order, learning_rate):
    """Train from the start, and return the accuracy and the loss at each look, (2, looks)."""
    start = {name: tf.cast(p, tf.float32) for name, p in task.start.items()}
    looks = []
    for parameters in task.stretches(code, start, task.known, order, tf.constant(learning_rate)):
        looks.append(look(parameters, task.judged, task.unseen, code.forward, code.output_loss))
    return np.transpose(looks)


def first_update(code, parameters, batch):
    """Return the parameters after one update of length 1, which starts without a velocity."""
    gradients = code.gradients(parameters, *batch)
    velocity = code.momentum(zeros_like(parameters), gradients)
    return code.update(parameters, velocity, 1.0)


def update_errors(before, after, slopes):
    """Return |before - after - slopes| / |slopes| by parameter, for an update of length 1."""
    return {
        name: norm(p - after[name] - slopes[name]) / norm(slopes[name])
        for name, p in before.items()
    }


def norm(v):
    # np.linalg.norm splits a long sum by threads: its last bits depend on the number of cores.
    return float(np.sqrt(np.sum(np.square(v))))


def require_right(errors):
    """Raise `GradientError` when an error of what should be right is larger than rounding."""
    wrong = [f"dL_d{name}" for name, error in errors.items() if not error < TOLERANCE]
    if wrong:
        said = f"{', '.join(wrong)}: the repaired gradient disagrees with central differences"
        raise gradient_check.GradientError(said)


def largest(errors):
    # If one of them is NaN, so is this. Python's own max may pass over a NaN.
    return float(np.max(list(errors.values())))


def judge(mistake, right, wrong):
    """Judge a mistaken run beside the right one, each with its update errors and its curves."""
    right_errors, right_curves = right
    wrong_errors, wrong_curves = wrong
    accuracy = float(right_curves[0, -1]), float(wrong_curves[0, -1])
    error = largest(right_errors), largest(wrong_errors)
    errors = {name: (right_errors[name], wrong_errors[name]) for name in right_errors}
    loss_falls = bool(wrong_curves[1, -1] < wrong_curves[1, 0])
    caught = not loss_falls, not accuracy[1] >= BAR, not error[1] < TOLERANCE
    curves = np.stack([right_curves, wrong_curves])
    return Verdict(mistake, accuracy, error, errors, curves, caught)


def verdicts(task, chosen, stretches, length, learning_rate):
    """Check and train what is right once, and then each of the chosen mistakes."""
    order = task.rng.integers(len(task.known.y), size=(stretches + 1, length, BATCH))
    point = {name: task.check_at * p for name, p in task.start.items()}
    x = tf.cast(task.judged.x[:BATCH], tf.float64)
    batch = x, task.judged.y[:BATCH]
    right_loss = partial(loss, forward=task.right.forward, output_loss=task.right.output_loss)
    slopes = gradient_check.central_differences(right_loss, point, batch)

    def errors_of(code):
        return update_errors(point, first_update(code, point, batch), slopes)

    require_right(errors_of(task.right))  # before anything trains

    def errors_and_curves(code):
        return errors_of(code), learning_curves(task, code, order, learning_rate)

    right = errors_and_curves(task.right)
    return [judge(name, right, errors_and_curves(task.mistakes[name])) for name in chosen]


# %%
# Plot and main
# -------------
class Verdict(NamedTuple):
    """One mistake. Each pair is of the right and of the mistaken run."""

    mistake: str
    accuracy: tuple[float, float]  # at the end, on images or points that were not trained on
    error: tuple[float, float]  # of the gradient: the largest of `errors`
    errors: dict[str, tuple[float, float]]  # by parameter, as `update_errors` returns them
    curves: np.ndarray  # (2, 2, looks) pair of accuracy and loss, as the code itself sees it
    caught: tuple[bool, bool, bool]  # by each of `TESTS`


class WrongGradients(NamedTuple):
    rows: list[Verdict]  # one for each mistake
    comparison: list[report.Row]  # the last row is the lesson's answer
    figure: Path


IN_WORDS = {
    "summed": "1/n is missing",
    "two-scales": "sum for W, mean for b",
    "pixel-bias": "a mean over pixels for b1",
    "relu-ge": "a1 >= 0 for a1 > 0",
    "missing-axis": "a sum over the batch",
    "batch-softmax": "softmax over the batch",
    "clipped-log": "log of a clipped p",
    "double-softmax": "softmax applied twice",
    "frozen-bias": "b1 and b2 never move",
    "column-minus-row": "(n, 1) - (n,) broadcasts",
    "linear-hidden": "no ReLU, no biases",
    "linear-with-bias": "no ReLU",
    "shared-momentum": "one velocity for all",
}
RIGHT_COLOUR = plotting.COLOURS[0]
CAUGHT = {"marker": "X", "color": plotting.COLOURS[1], "label": "mistaken, caught by this test"}
MISSED = {"marker": "o", "color": plotting.COLOURS[4], "label": "mistaken, not caught"}


def plot_test(right, wrong, caught, ax):
    """Draw one row for each mistake: the right and the mistaken value, by what the test says."""
    places = np.arange(len(wrong))
    ax.hlines(places, right, wrong, color="0.75", linewidth=2, zorder=1)
    ax.plot(right, places, "o", color=RIGHT_COLOUR, markersize=5, zorder=4, label="right")
    for chosen, style in ((~caught, MISSED), (caught, CAUGHT)):
        ax.plot(wrong[chosen], places[chosen], linestyle="", markersize=9, **style)
    ax.tick_params(axis="y", length=0)


def shade(ax, low, high, text):
    """Shade where a test fails a run, and say where the line is."""
    ax.axvspan(low, high, color=CAUGHT["color"], alpha=0.12, linewidth=0, zorder=0)
    limit = low if np.isfinite(low) and low > ax.get_xlim()[0] else high
    ax.axvline(limit, color="black", linestyle="--", linewidth=1)
    ax.set_xlabel(text)


def plot_all(rows):
    """Draw one panel for each test, with one row for each mistake."""
    figure, axes = plotting.subplots(1, 3, (9.6, 7), sharey=True, width_ratios=(3, 2, 2))
    caught = np.array([row.caught for row in rows])
    _, passes, checks = caught.sum(axis=0)
    check, accuracy, falling = axes

    plot_test(*np.transpose([row.error for row in rows]), caught[:, 2], check)
    check.set(
        xscale="log",
        xlim=(1e-11, 1e3),
        title=f"The gradient check\ncatches {in_words(checks, len(rows))}",
    )
    shade(check, TOLERANCE, 1e3, f"relative error of the gradient\n(above {TOLERANCE:g}: caught)")

    plot_test(*np.transpose([row.accuracy for row in rows]), caught[:, 1], accuracy)
    accuracy.set(xlim=(0, 1.04), title=f"The accuracy\ncatches {in_words(passes, len(rows))}")
    shade(accuracy, 0, BAR, f"accuracy at the end\n(below {BAR:g}: caught)")

    shares = np.array([row.curves[:, 1, -1] / row.curves[:, 1, 0] for row in rows])
    high = max(1.2, 1.1 * np.max(shares, where=np.isfinite(shares), initial=0))
    shares = np.nan_to_num(shares, nan=high, posinf=high)  # a loss that ran off is at the edge
    plot_test(*shares.T, caught[:, 0], falling)
    falls = in_words(len(rows) - caught[:, 0].sum(), len(rows))
    falling.set(xlim=(0, high), title=f"The loss falls\nin {falls}")
    shade(falling, 1, high, "last loss / first loss\n(not below 1: caught)")

    check.set_yticks(
        np.arange(len(rows)), [row.mistake for row in rows], weight="bold", va="bottom"
    )
    for place, row in enumerate(rows):
        words = {"ha": "right", "va": "top", "transform": check.get_yaxis_transform()}
        check.text(-0.025, place + 0.05, IN_WORDS[row.mistake], **words)
    check.invert_yaxis()
    figure.legend(*legend_of_tests(), loc="outside upper center", ncols=3, frameon=False)
    return figure


def in_words(found, of):
    if found == 0:
        return "none"
    return f"all {of}" if found == of else f"{found} of {of}"


def legend_of_tests():
    styles = [{"marker": "o", "color": RIGHT_COLOUR, "label": "right"}, CAUGHT, MISSED]
    handles = [Line2D([], [], linestyle="", markersize=8, **style) for style in styles]
    return handles, [style["label"] for style in styles]


def plot_errors(errors, ax):
    """Draw bars of the gradient's errors (right, mistaken) by parameter, beside the tolerance."""
    places = np.arange(len(errors))
    right, wrong = np.transpose(list(errors.values()))
    ax.barh(places - 0.2, right, 0.4, color=RIGHT_COLOUR, label="right")
    ax.barh(places + 0.2, wrong, 0.4, color=CAUGHT["color"], label="mistaken")
    ax.set(xscale="log", yticks=places, yticklabels=[f"dL/d{name}" for name in errors])
    ax.axvline(TOLERANCE, color="black", linestyle="--", linewidth=1)
    ax.set_xlabel(f"relative error of the gradient (above {TOLERANCE:g}: wrong)")
    ax.invert_yaxis()


def plot_runs(curves, updates, ax):
    """Draw the accuracy of the right and of the mistaken run, and each loss / its first loss."""
    styles = [("right", RIGHT_COLOUR, 5), ("mistaken", CAUGHT["color"], 1.8)]
    for (accuracy, losses), (who, colour, width) in zip(curves, styles, strict=True):
        style = {"color": colour, "linewidth": width, "alpha": 0.8}
        ax.plot(updates, accuracy, label=f"{who}: accuracy", **style)
        ax.plot(updates, losses / losses[0], "--", label=f"{who}: loss / first loss", **style)
    ax.axhline(BAR, color="black", linestyle=":", linewidth=1, label="accuracy that passes")
    ax.set(xlabel="updates", ylim=(0, 1.08))
    ax.legend()


def plot_one(row, updates):
    """Draw one mistake parameter by parameter, and its run beside the right one."""
    figure, (left, right) = plotting.subplots(1, 2, (9.6, 4.5))
    plot_errors(row.errors, left)
    plot_runs(row.curves, updates, right)
    wrong = [f"dL/d{name}" for name, (_, error) in row.errors.items() if not error < TOLERANCE]
    left.set_title(f"{row.mistake}: {' and '.join(wrong) or 'nothing'} wrong")
    right.set_title(f"Accuracy {row.accuracy[0]:.1%} right, {row.accuracy[1]:.1%} mistaken")
    return figure


def count(rows):
    """Return how many of the mistakes each test finds."""
    found = np.sum([row.caught for row in rows], axis=0).tolist()
    expected = [None, None, len(rows)]
    return [
        report.Row(f"mistakes caught by {test}", caught, all_of_them)
        for test, caught, all_of_them in zip(TESTS, found, expected, strict=True)
    ]


def print_verdicts(rows, comparison):
    """Print how many mistakes each test finds, and a table: of a single one, by parameter too."""
    for row in comparison:
        print(f"{row.quantity:<35}{row.learned:>3} of {len(rows)}")
    print(f"gradient error: relative to central differences; right below {TOLERANCE:g}")
    if len(rows) == 1:
        print_errors(rows[0].errors)
    headers = ["mistake", "accuracy: right", "wrong", "gradient error: right", "wrong", "caught by"]
    print(report.table(headers, [said_of(row) for row in rows]))


def print_errors(errors):
    said = [[f"dL_d{name}", *map("{:.2g}".format, pair)] for name, pair in errors.items()]
    print(report.table(["gradient", "gradient error: right", "wrong"], said))


def said_of(row):
    accuracies = [f"{accuracy:.1%}" for accuracy in row.accuracy]
    errors = [f"{error:.2g}" for error in row.error]
    by = [test for test, caught in zip(TESTS, row.caught, strict=True) if caught]
    return [row.mistake, *accuracies, *errors, ", ".join(by)]


def as_tensors(part):
    return datasets.Labelled(tf.constant(part.x), tf.constant(part.y))


def as_numbers(part):
    """Return images as numbers from 0 to 1."""
    return datasets.Labelled(tf.cast(part.x, tf.float32) / 255, tf.constant(part.y))


def first_rows(part, n=1000):
    return datasets.Labelled(part.x[:n], part.y[:n])


def task_on_images(images, seed):
    rng = np.random.default_rng(seed)
    start = make_parameters(rng, images.train.x.shape[1], 10, tf.float64)
    judged = as_numbers(first_rows(images.train))
    data = as_tensors(images.train), judged, as_numbers(images.test)
    # The gradient is checked far from the start, where the clip of clipped-log clips.
    return Task(RIGHT, ON_IMAGES, start, 5.0, *data, stretches_of_images, rng)


def tasks_on_points(points, seed):
    known, unseen = (as_tensors(part) for part in points)
    data = known, first_rows(known), unseen

    rng = np.random.default_rng(seed)
    start = make_parameters(rng, 2, 1, tf.float64)
    network = Task(RIGHT_ON_POINTS, ON_POINTS, start, 1.0, *data, stretches_of_points, rng)

    rng = np.random.default_rng(seed)
    start = {name: tf.constant(rng.normal(), tf.float64) for name in ("A", "B", "C")}
    plane = Task(RIGHT_ON_PLANE, ON_PLANE, start, 1.0, *data, stretches_of_points, rng)
    return [network, plane]


def main(
    mistake: Literal[MISTAKES] | None = None,
    steps: int = 1500,
    learning_rate: float = 0.03,
    data: datasets.Choice = "auto",
    mnist_dir: Path | None = None,
    seed: int = 0,
    figures: Path = plotting.FIGURES,
    show: bool = False,
) -> WrongGradients:
    """Run each mistake beside what is right, and check one update of both.

    Args:
        mistake: this one alone, parameter by parameter (None is all)
        steps: updates of each run
    """
    command.check(seed, steps=steps, learning_rate=learning_rate)
    command.check_choice(MISTAKES, mistake=mistake or MISTAKES[0])
    images = datasets.images(data, mnist_dir, BATCH)
    points = datasets.unit_square(np.random.default_rng(seed))

    stretches = max(LOOKS, -(-steps // LONGEST))
    length = -(-steps // stretches)
    updates = length * np.arange(stretches + 1)
    rows = []
    for task in (task_on_images(images, seed), *tasks_on_points(points, seed)):
        chosen = [name for name in task.mistakes if mistake in (None, name)]
        if chosen:
            rows += verdicts(task, chosen, stretches, length, learning_rate)

    comparison = count(rows)
    losses_of_right = sum(row.curves[0, 1] for row in rows)
    if np.isfinite(losses_of_right).all():
        print_verdicts(rows, comparison)
    drawn = plot_one(rows[0], updates) if mistake else plot_all(rows)
    figure = plotting.save(drawn, figures, images.figure("13_wrong_gradients"), show)
    report.require_finite(losses_of_right, at=updates)
    return WrongGradients(rows, comparison, figure)


# %%
# Run
# ---

if __name__ == "__main__":
    result = command.run(main)
