"""
Wrong gradients that still converge
===================================

The loss falls and the accuracy is good: is the gradient right, and could you have noticed?

Famous mistakes, each beside its repair, with the same start and the same batches. Most are on a network for images::

    a1 = relu(x W1 + b1),  z2 = a1 W2 + b2,  L = mean(-log softmax(z2)[y])                                n rows x, y
    dL/dz2 = (softmax(z2) - onehot(y)) / n,  dL/dz1 = dL/dz2 W2ᵀ where a1 > 0,  dL/dW = aᵀ dL/dz,  dL/db = Σ_n dL/dz

What you should see: in every run the loss falls. Most reach the accuracy that is asked for, some more than the repair.
The gradient check catches them all. It holds the first update against central differences of the loss that is *meant*,
relative to their size: where the forward pass is wrong, the loss as written and the tape agree with one another.

Try

- ``--mistake relu-ge``: one mistake, parameter by parameter: W2 and b2 are right, W1 and b1, behind the ReLU, are not.
- ``--learning-rate 0.1``: mistakes that only lengthen the step are out of luck, and the accuracy catches them too.

Our own: the mistakes of all five documents and of their copies.
"""

from pathlib import Path
from typing import Literal, NamedTuple

from tf_backprop import command, datasets, gradient_check, plotting, report

import numpy as np
import tensorflow as tf

# %%
# Prepare
# -------
# The mistakes, by the model that shows them: a network for images, one for points of a square, a plane over these.
BY_HAND = (
    "summed",
    "two-scales",
    "pixel-bias",
    "relu-ge",
)  # in the gradient by hand; the tape makes none of these
IMAGES = (*BY_HAND, "missing-axis", "batch-softmax", "clipped-log", "frozen-bias")
POINTS, PLANE = ("column-minus-row", "linear-hidden", "linear-with-bias"), ("shared-momentum",)
MISTAKES = IMAGES + POINTS + PLANE
BATCH, HIDDEN, BAR = 16, 24, 0.85  # rows per batch, units for images, accuracy that passes
LOOKS, MOST = (
    30,
    1000,
)  # looks at a run, or more, so that there are at most so many steps between two of them
TOLERANCE = gradient_check.DIFFERENCE_TOLERANCE


class Verdict(
    NamedTuple
):  # one mistake beside its repair; every pair is of the repaired and of the mistaken run
    mistake: str
    accuracy: tuple[float, float]  # at the end, on images or points that were not trained on
    error: tuple[float, float]  # of the gradient: the largest of `errors`
    errors: dict[str, tuple[float, float]]  # by parameter, as `update_errors` returns them
    curves: (
        np.ndarray
    )  # (2, 2, looks) pair of accuracy and loss, the loss as the code itself sees it
    caught: tuple[
        bool, bool, bool
    ]  # by a loss that does not fall, by the accuracy, by the gradient check


class WrongGradients(NamedTuple):
    rows: list[Verdict]  # one a mistake
    comparison: list[report.Row]  # the last row is the lesson's answer
    figure: Path


# %%
# Forward
# -------
# What a mistake does stands where its name is asked for, and what is right stands beside it.
def forward(parameters, x, mistake=None):
    if (
        "A" in parameters
    ):  # the plane: three single numbers, for only parameters of one shape can share a velocity
        return x, x[:, :1] * parameters["A"] + x[:, 1:] * parameters["B"] + parameters["C"]
    without_bias, linear = (
        mistake == "linear-hidden",
        mistake in ("linear-hidden", "linear-with-bias"),
    )
    z1 = x @ parameters["W1"] + (
        0 if without_bias else parameters["b1"]
    )  # (n, pixels) -> (n, hidden)
    a1 = z1 if linear else tf.nn.relu(z1)  # without an activation, two layers are one linear map
    return a1, a1 @ parameters["W2"] + (
        0 if without_bias else parameters["b2"]
    )  # (n, 10), or (n, 1) for points


def loss(parameters, x, y, mistake=None):
    z2 = forward(parameters, x, mistake)[1]
    if z2.shape[1] == 1:  # points: squared error
        z2 = (
            z2 if mistake == "column-minus-row" else z2[:, 0]
        )  # (n, 1) - (n,) is (n, n): every output less every label
        return tf.reduce_mean((z2 - tf.cast(y, z2.dtype)) ** 2)
    rows = (
        None if mistake == "batch-softmax" else 1
    )  # the probabilities of all rows together sum to 1, or of each row
    log_p = z2 - tf.reduce_logsumexp(z2, axis=rows, keepdims=True)
    if (
        mistake == "clipped-log"
    ):  # no log(0) any more, but where it clips, at the worst samples, the gradient is zero
        log_p = tf.math.log(tf.clip_by_value(tf.exp(log_p), 1e-7, 1))
    rows = None if mistake == "missing-axis" else 1  # without an axis the sum is over the batch too
    return tf.reduce_mean(-tf.reduce_sum(tf.one_hot(y, 10, dtype=z2.dtype) * log_p, axis=rows))


# %%
# Backward
# --------
def gradients_by_hand(parameters, x, y, mistake=None):  # of the images' network
    (a1, z2), n = forward(parameters, x), x.shape[0]
    dL_dz2 = (tf.nn.softmax(z2) - tf.one_hot(y, 10, dtype=z2.dtype)) / (
        1 if mistake == "summed" else n
    )  # (n, 10)
    active = (
        a1 >= 0 if mistake == "relu-ge" else a1 > 0
    )  # a1 has been through the ReLU: it is never below 0
    dL_dz1 = tf.where(active, dL_dz2 @ tf.transpose(parameters["W2"]), 0)  # (n, hidden)
    dL_dW1, dL_dW2 = (
        tf.transpose(x) @ dL_dz1,
        tf.transpose(a1) @ dL_dz2,
    )  # (pixels, hidden), (hidden, 10)
    dL_db1 = (
        tf.reduce_mean(dL_dW1, axis=0) if mistake == "pixel-bias" else tf.reduce_sum(dL_dz1, axis=0)
    )  # (hidden,)
    scale = n if mistake == "two-scales" else 1  # a sum for the weights, a mean for the biases
    return {
        "W1": scale * dL_dW1,
        "b1": dL_db1,
        "W2": scale * dL_dW2,
        "b2": tf.reduce_sum(dL_dz2, axis=0),
    }


def gradients_by_tape(parameters, x, y, mistake=None):
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        L = loss(parameters, x, y, mistake)
    return tape.gradient(L, parameters, unconnected_gradients="zero")


# %%
# Iterate
# -------
def update(parameters, velocity, dL, learning_rate, mistake=None):
    parameters, velocity, momentum = (
        dict(parameters),
        dict(velocity),
        0.9 if "A" in parameters else 0.0,
    )
    for name in parameters:
        whose = (
            "A" if mistake == "shared-momentum" else name
        )  # one velocity for all, or each its own
        velocity[whose] = momentum * velocity[whose] + dL[name]
        if not (mistake == "frozen-bias" and name.startswith("b")):
            parameters[name] -= learning_rate * velocity[whose]
    return parameters, velocity


@tf.function
def train(parameters, velocity, known, unseen, batches, learning_rate, gradients, mistake):
    z2 = forward(parameters, unseen.x, mistake)[1]
    answers = z2[:, 0] > 0.5 if z2.shape[1] == 1 else tf.argmax(z2, axis=1)
    accuracy = tf.reduce_mean(tf.cast(tf.cast(answers, tf.int32) == unseen.y, tf.float32))
    look = accuracy, loss(parameters, known.x[:1000], known.y[:1000], mistake)
    for batch in batches:
        dL = gradients(parameters, tf.gather(known.x, batch), tf.gather(known.y, batch), mistake)
        parameters, velocity = update(parameters, velocity, dL, learning_rate, mistake)
    return parameters, velocity, look  # the look is one before these updates


# %%
# Judge
# -----
TESTS = "falling loss", f"accuracy {BAR:g}", "gradient check"


def update_errors(before, after, slopes):
    """Return |before - after - slopes| / |slopes| by parameter, for an update at the learning rate 1."""

    def norm(
        v,
    ):  # np.linalg.norm splits a long sum by threads, so that its last bits depend on the number of cores
        return float(np.sqrt(np.sum(np.square(v))))

    return {
        name: norm(p - after[name] - slopes[name]) / norm(slopes[name])
        for name, p in before.items()
    }


def judge(mistake, right, wrong):
    """Judge a mistaken run beside the repaired one, each given by its update errors and its curves (2, looks)."""
    (right_errors, right_curves), (wrong_errors, wrong_curves) = right, wrong
    unsound = [f"dL_d{name}" for name, error in right_errors.items() if not error < TOLERANCE]
    if unsound:
        said = f"{', '.join(unsound)}: the repaired gradient disagrees with central differences"
        raise gradient_check.GradientError(said)
    accuracy = float(right_curves[0, -1]), float(wrong_curves[0, -1])
    error = max(right_errors.values()), max(wrong_errors.values())
    falls = wrong_curves[1, -1] < wrong_curves[1, 0]
    caught = not falls, not accuracy[1] >= BAR, not error[1] < TOLERANCE
    errors = {name: (right_errors[name], wrong_errors[name]) for name in right_errors}
    return Verdict(
        mistake,
        accuracy,
        error,
        errors,
        np.stack([right_curves, wrong_curves]),
        tuple(map(bool, caught)),
    )


def count(rows):
    """Return how many of the mistakes each test finds."""
    found = np.sum([row.caught for row in rows], axis=0).tolist()
    comparison = [
        report.Row(f"mistakes caught by {test}", n) for test, n in zip(TESTS, found, strict=True)
    ]
    return [*comparison[:-1], comparison[-1]._replace(expected=len(rows))]


# %%
# Plot and main
# -------------
def plot_runs(row, ax):
    """Draw the accuracy of the repaired and of the mistaken run, and their losses as a share of the first one."""
    for run, colour, width, who in zip(
        row.curves, plotting.COLOURS, (5, 1.8), ("repaired", "mistaken"), strict=False
    ):
        part = np.linspace(0, 1, run.shape[1])
        for y, dash, what in (
            (run[0], "-", "accuracy"),
            (run[1] / run[1, 0], (0, (2, 1)), "loss / first loss"),
        ):
            ax.plot(
                part,
                y,
                color=colour,
                linewidth=width,
                linestyle=dash,
                label=f"{who}: {what}",
                alpha=0.8,
            )
    ax.axhline(BAR, color="black", linestyle=":", linewidth=1, label="accuracy that passes")
    ax.set(title=row.mistake, ylim=(0, 1.08), xticks=[])


def plot_errors(errors, ax):
    """Draw bars of the gradient's errors (repaired, mistaken) by name, and the tolerance as a line across."""
    places = np.arange(len(errors))
    for side, colour, shift in zip(
        zip(*errors.values(), strict=True), plotting.COLOURS, (-0.2, 0.2), strict=False
    ):
        ax.barh(places + shift, side, 0.4, color=colour)
    ax.axvline(TOLERANCE, color="black", linestyle="--")
    ax.set(
        xscale="log", yticks=places, yticklabels=errors, title="gradient error\nrounding  |  wrong"
    )
    ax.invert_yaxis()


def plot(rows):
    columns = min(4, len(rows))
    size = (15, 8) if len(rows) > 1 else (9, 4)
    figure, axes = plotting.subplots(-(-len(rows) // columns), columns + 1, size, squeeze=False)
    grid = axes[0, 0].get_gridspec()
    grid.set_width_ratios([1] * columns + [1.5])
    for ax in axes[:, -1]:  # the bars take the whole last column
        ax.remove()
    for row, ax in zip(rows, axes[:, :-1].flat, strict=True):
        plot_runs(row, ax)
    for ax in axes[-1, :-1]:
        ax.set_xlabel("updates")
    errors = {row.mistake: row.error for row in rows} if len(rows) > 1 else rows[0].errors
    plot_errors(errors, figure.add_subplot(grid[:, -1]))
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=5)
    return figure


def print_verdicts(rows):
    """Print a table of all mistakes, after one of the parameters where there is a single mistake."""
    if len(rows) == 1:
        errors = [
            [f"dL_d{name}", *(f"{e:.2g}" for e in pair)] for name, pair in rows[0].errors.items()
        ]
        print(report.table(["gradient", "error: right", "wrong"], errors))
    said = [
        [row.mistake, *(f"{a:.1%}" for a in row.accuracy), *(f"{e:.2g}" for e in row.error)]
        + ["yes" if caught else "no" for caught in row.caught]
        for row in rows
    ]
    headers = [
        f"{of}\n{which}" for of in ("accuracy", "gradient error") for which in ("right", "wrong")
    ]
    print(report.table(["mistake", *headers, *(f"caught by\n{test}" for test in TESTS)], said))


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
    """Run each mistake beside its repair, and check the first update of both.

    Args:
        mistake: this one alone, parameter by parameter (None is all)
        steps: updates of each run
    """
    command.check(seed, steps=steps, learning_rate=learning_rate)
    command.check_choice(MISTAKES, mistake=mistake or MISTAKES[0])
    images, points = (
        datasets.images(data, mnist_dir, BATCH),
        datasets.unit_square(np.random.default_rng(seed)),
    )
    network = lambda x, m: {
        "W1": (x.shape[1], HIDDEN),
        "b1": (HIDDEN,),
        "W2": (HIDDEN, m),
        "b2": (m,),
    }
    train_images, test_images = (
        datasets.Labelled(np.float32(part.x) / 255, part.y) for part in (images.train, images.test)
    )
    models = [
        (IMAGES, gradients_by_hand, network(images.train.x, 10), train_images, test_images),
        (POINTS, gradients_by_tape, network(points[0].x, 1), *points),
        (PLANE, gradients_by_tape, {"A": (), "B": (), "C": ()}, *points),
    ]
    rows, looks_at = [], max(LOOKS, -(-steps // MOST))
    for mistakes, repaired, shapes, known, unseen in (
        model for model in models if mistake in (None, *model[0])
    ):
        chosen, judged, rng = [mistake] if mistake else mistakes, {}, np.random.default_rng(seed)
        start = {
            name: rng.normal(0, np.sqrt(2 / max(shape, default=2)), shape)
            for name, shape in shapes.items()
        }
        order = rng.integers(len(known.y), size=(looks_at + 1, -(-steps // looks_at), BATCH))
        # The images' network is checked far from its start, where the clip of clipped-log clips.
        point = {
            name: tf.constant(5 * p if mistakes is IMAGES else p, tf.float64)
            for name, p in start.items()
        }
        batch = tf.constant(known.x[:BATCH], tf.float64), tf.constant(known.y[:BATCH])
        slopes = gradient_check.central_differences(loss, point, batch)
        start = {name: tf.constant(p, tf.float32) for name, p in start.items()}
        known, unseen = (datasets.Labelled(*map(tf.constant, part)) for part in (known, unseen))
        for name in (None, *chosen):
            gradients = (
                repaired
                if name is None
                else gradients_by_hand
                if name in BY_HAND
                else gradients_by_tape
            )
            after, _ = update(
                point, dict.fromkeys(point, 0.0), gradients(point, *batch, name), 1.0, name
            )
            state, looks = (start, {name: tf.zeros_like(p) for name, p in start.items()}), []
            for batches in order:
                *state, look = train(
                    *state, known, unseen, batches, tf.constant(learning_rate), gradients, name
                )
                looks.append(look)
            judged[name] = update_errors(point, after, slopes), np.transpose(looks)
        rows += [judge(name, judged[None], judged[name]) for name in chosen]

    figure = plotting.save(plot(rows), figures, images.figure("13_wrong_gradients"), show)
    report.require_finite(
        sum(row.curves[0, 1] for row in rows), at=np.arange(looks_at + 1) * -(-steps // looks_at)
    )
    comparison = count(rows)
    report.print_comparison(comparison)
    print_verdicts(rows)
    return WrongGradients(rows, comparison, figure)


# %%
# Run
# ---

if __name__ == "__main__":
    command.run(main)
