"""
Back-propagation through four layers
====================================

How does the error at the output of a network reach the weights of its first layer?

X (n, 2) are n samples and Y (n, 2) their one-hot targets. σ is the sigmoid, or in the hidden
layers ReLU or tanh. The layers l = 1 to 4 have 25, 50, 25 and K = 2 units, and a_0 is X::

    z_l     = a_(l-1) W_l + b_l,   a_l = σ(z_l)     (n, units of l)
    L       = mean((a_4 - Y)²)                      over the n samples and the K outputs
    dL/dz_4 = (a_4 - Y)/n · σ'(z_4)                 the error at the output; 1/n is 2 / (n K)
    dL/dz_l = dL/dz_(l+1) W_(l+1)ᵀ · σ'(z_l)        the same error, one layer further back
    dL/dW_l = a_(l-1)ᵀ dL/dz_l                      the product sums over the n samples
    dL/db_l = Σ_n dL/dz_l                           b_l was added to each of the n samples

What you should see: for hundreds of epochs the boundary is no better than a straight line. Then it
bends into the gap between the moons; the loss and the share of errors come down to the best that is
possible on average, which is computed from the way the data were made. The tutorial, D5, drew only
the first 11 of its 101 records, up to epoch 100: there the network looks finished, and it is not.

Try

- ``--activation tanh --epochs 100``: σ' is larger, more error reaches W1, and the bend comes soon.
- ``--no-train-biases``: D5's network. It arrives too, but later: its accuracy hides the mistake.

Re-runs the last section of D5, Chinese notes on a TensorFlow 2 book, "七、反向传播算法".
"""

import io
from pathlib import Path
from typing import Literal, NamedTuple

from tf_backprop import check_gradients, command, datasets, plotting, report
from tf_backprop.support import explanation, files

import numpy as np
import tensorflow as tf
from matplotlib.ticker import NullFormatter
from PIL import Image
from sklearn.datasets import make_moons


# %%
# Prepare
# -------
def initial_parameters(rng, units=(2, 25, 50, 25, 2)):
    """Draw W from N(0, 1) / sqrt(units of its layer) and b from U(0, 0.1), as D5 does."""
    parameters = {}
    for layer in (1, 2, 3, 4):
        W = rng.normal(size=(units[layer - 1], units[layer])) / np.sqrt(units[layer])
        parameters[f"W{layer}"] = tf.constant(W, tf.float32)
    for layer in (1, 2, 3, 4):
        b = rng.uniform(0, 0.1, units[layer])
        parameters[f"b{layer}"] = tf.constant(b, tf.float32)
    return parameters


# %%
# Forward
# -------
ACTIVATIONS = {"sigmoid": tf.sigmoid, "relu": tf.nn.relu, "tanh": tf.tanh}


def forward(parameters, X, activation="sigmoid"):
    σ = ACTIVATIONS[activation]
    a1 = σ(X @ parameters["W1"] + parameters["b1"])  # (n, 2) -> (n, 25)
    a2 = σ(a1 @ parameters["W2"] + parameters["b2"])  # -> (n, 50)
    a3 = σ(a2 @ parameters["W3"] + parameters["b3"])  # -> (n, 25)
    a4 = tf.sigmoid(a3 @ parameters["W4"] + parameters["b4"])  # -> (n, 2)
    return a1, a2, a3, a4


def loss(parameters, X, Y, activation="sigmoid"):
    *_, a4 = forward(parameters, X, activation)
    return tf.reduce_mean((a4 - Y) ** 2)


# %%
# Backward
# --------
# The slope σ'(z) is written with a = σ(z), so that z need not be kept. ReLU has a > 0 where z > 0;
# a >= 0 would be true everywhere. Each dL_dz has the shape of its z: (n, units of the layer).
def sigmoid_slope(a):
    return a * (1 - a)


def tanh_slope(a):
    return 1 - a**2


def relu_slope(a):
    return tf.cast(a > 0, a.dtype)


SLOPES = {"sigmoid": sigmoid_slope, "relu": relu_slope, "tanh": tanh_slope}


def gradients_by_hand(parameters, X, Y, activation="sigmoid"):
    a1, a2, a3, a4 = forward(parameters, X, activation)
    slope = SLOPES[activation]

    dL_dz4 = (a4 - Y) / X.shape[0] * a4 * (1 - a4)  # (n, 2), 1/n is 2 / (n K), because K = 2
    dL_dW4 = tf.matmul(a3, dL_dz4, transpose_a=True)  # (25, n) (n, 2), a3ᵀ: sums over n
    dL_db4 = tf.reduce_sum(dL_dz4, axis=0)  # (2,), b4 was broadcast to all samples

    dL_dz3 = tf.matmul(dL_dz4, parameters["W4"], transpose_b=True) * slope(a3)  # W4ᵀ, then σ'(z3)
    dL_dW3 = tf.matmul(a2, dL_dz3, transpose_a=True)  # (50, n) (n, 25), a2ᵀ: sums over n
    dL_db3 = tf.reduce_sum(dL_dz3, axis=0)  # (25,), b3 was broadcast

    dL_dz2 = tf.matmul(dL_dz3, parameters["W3"], transpose_b=True) * slope(a2)  # W3ᵀ, then σ'(z2)
    dL_dW2 = tf.matmul(a1, dL_dz2, transpose_a=True)  # (25, n) (n, 50), a1ᵀ: sums over n
    dL_db2 = tf.reduce_sum(dL_dz2, axis=0)  # (50,), b2 was broadcast

    dL_dz1 = tf.matmul(dL_dz2, parameters["W2"], transpose_b=True) * slope(a1)  # W2ᵀ, then σ'(z1)
    dL_dW1 = tf.matmul(X, dL_dz1, transpose_a=True)  # (2, n) (n, 25), Xᵀ: sums over n
    dL_db1 = tf.reduce_sum(dL_dz1, axis=0)  # (25,), b1 was broadcast

    weights = {"W1": dL_dW1, "W2": dL_dW2, "W3": dL_dW3, "W4": dL_dW4}
    biases = {"b1": dL_db1, "b2": dL_db2, "b3": dL_db3, "b4": dL_db4}
    return {**weights, **biases}


def gradients_by_tape(parameters, X, Y, activation="sigmoid"):
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        L = loss(parameters, X, Y, activation)
    return tape.gradient(L, parameters)


# %%
# Iterate
# -------
def update(parameters, gradients, learning_rate, train_biases):
    updated = dict(parameters)
    for name in parameters:
        if train_biases or name.startswith("W"):
            updated[name] = parameters[name] - learning_rate * gradients[name]
    return updated


# There is one update per sample, 1.4 million in all. That is too many to enter TensorFlow from
# Python for each, and even a plain graph would take minutes, so XLA compiles the loop.
@tf.function(jit_compile=True)
def train(parameters, X, Y, epochs, learning_rate, activation, train_biases):
    while epochs > 0:
        for i in tf.range(X.shape[0]):
            # Not X[i : i + 1]: XLA cannot tell how long that is, and pads it to the length of X.
            x = X[i][tf.newaxis]  # (1, 2)
            y = Y[i][tf.newaxis]  # (1, 2)
            gradients = gradients_by_hand(parameters, x, y, activation)
            parameters = update(parameters, gradients, learning_rate, train_biases)
        epochs -= 1
    return parameters


# %%
# Plot and main
# -------------
# D5 prints no result. Its NumPy code, run once with a seed of ours, gives these after 1,000 epochs.
REPRODUCED = {"training mean squared error": 0.025506, "test accuracy": 0.975}
DRAWN_BY_D5 = 11  # of its 101 records
SHOWN = (100, 450)  # the epochs at which the figure has the boundary, beside the last one


class Moons(NamedTuple):
    epochs: np.ndarray  # (records,) passes over the training set before each record: 0, 10, 20, ...
    mse: np.ndarray  # (records,) mean of (a4 - Y)² over the training set
    accuracy: np.ndarray  # (records,) share of the test set that is classified right
    parameters: dict[str, np.ndarray]  # W1 (2, 25), b1 (25,), ... W4 (25, 2), b4 (2,) at the end
    comparison: list[report.Row]  # the last row is the lesson's answer
    figure: Path


def grid_around(X, side=80):
    """Return the nodes (side², 2), row by row, of a grid that covers the samples and a margin."""
    low = X.min(axis=0)
    high = X.max(axis=0)
    margin = 0.1 * (high - low)
    x0, x1 = np.linspace(low - margin, high + margin, side, dtype=X.dtype).T
    return np.stack(np.meshgrid(x0, x1), axis=-1).reshape(-1, 2)


def moons_probability(x):
    """Return P(class 1) (n,) at x (n, 2) by Bayes' rule, from how `datasets.moons` makes them.

    Each moon is an arc of equally likely points, scattered by Gaussian noise. No classifier can
    know more.
    """
    arcs, label = make_moons(400, shuffle=False, noise=None)
    difference = x[:, np.newaxis].astype(np.float64) - arcs  # (n, 400, 2)
    square = (difference**2).sum(axis=2)  # (n, 400), squared distances
    nearest = square.min(axis=1, keepdims=True)
    density = np.exp((nearest - square) / (2 * datasets.MOONS_NOISE**2))
    return density[:, label == 1].sum(axis=1) / density.sum(axis=1)


def best_straight_line(X, y):
    """Return (normal, offset) of the line normal · x = offset that is right on most samples.

    Class 1 is where normal · x is larger. All offsets are tried in each of 360 directions.
    """
    best = (-1, None, None)
    for angle in np.linspace(0, 2 * np.pi, 360, endpoint=False):
        normal = np.array([np.cos(angle), np.sin(angle)])
        along = X @ normal
        order = np.argsort(along)
        zeros_before = np.cumsum(y[order] == 0)
        ones_after = np.sum(y) - np.cumsum(y[order])
        right = zeros_before + ones_after  # if the line lies behind sample k of this order
        k = np.argmax(right[:-1])
        if right[k] > best[0]:
            best = (right[k], normal, along[order[k : k + 2]].mean())
    return best[1:]


def probability(parameters, X, activation):
    """Return (n,) how far the network is for class 1: a half where both outputs are equal."""
    *_, a4 = forward(parameters, X, activation)
    return (1 + a4[:, 1] - a4[:, 0]).numpy() / 2


def compare(mse, accuracy, X, y, test, is_d5s):
    """Return the last errors beside what the best possible classifier has on the same points."""
    best = moons_probability
    known = REPRODUCED if is_d5s else {}
    expected = {
        "training mean squared error": (mse, np.mean((best(X) - y) ** 2)),
        "test accuracy": (accuracy, np.mean((best(test.x) > 0.5) == test.y)),
    }
    return [
        report.Row(name, *values, known.get(name), report.REPRODUCED)
        for name, values in expected.items()
    ]


def draw_line(ax, nodes, values, level, label, colour, style, width=1.8):
    """Draw where `values` (nodes,) have the `level`, with an entry for the legend."""
    x0 = np.unique(nodes[:, 0])
    x1 = np.unique(nodes[:, 1])
    if values.min() < level < values.max():
        rows = values.reshape(len(x1), len(x0))
        ax.contour(x0, x1, rows, [level], colors=colour, linestyles=style, linewidths=width)
    ax.plot([], color=colour, linestyle=style, linewidth=width, label=label)


def plot_samples(ax, x, y):
    for label, (marker, colour) in enumerate(zip("o^", plotting.COLOURS, strict=False)):
        points = x[y == label]
        ax.plot(*points.T, marker, color=colour, markersize=2, alpha=0.35, label=f"class {label}")
    ax.grid(False)
    ax.set(xlabel="x0", ylabel="x1")


def plot_boundaries(nodes, learned, train, test, ax):
    """Draw all samples, the boundaries of the epochs in `learned`, and two to compare with."""
    plot_samples(ax, *(np.concatenate(parts) for parts in zip(train, test, strict=True)))
    normal, offset = best_straight_line(*test)
    draw_line(ax, nodes, nodes @ normal, offset, "best straight line", plotting.COLOURS[2], "--")
    looks = [("#808080", ":"), ("#505050", "--"), ("black", "-")][-len(learned) :]
    for (epoch, values), look in zip(learned.items(), looks, strict=True):
        draw_line(ax, nodes, values, 0.5, f"epoch {epoch:,}", *look, width=2.2)
    best = moons_probability(nodes)
    draw_line(ax, nodes, best, 0.5, "best possible", plotting.COLOURS[3], "-.")
    below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.17), "ncols": 2, "frameon": False}
    ax.legend(fontsize="medium", **below)


def animate_boundary(nodes, learned, test, path, most=50):
    """Write a GIF of the boundary among the test samples at each record, or at `most` of them."""
    figure, ax = plotting.subplots(size=(5, 4.4))
    pictures = []
    for k in np.unique(np.linspace(0, len(learned) - 1, most).round().astype(int)):
        epoch, values = list(learned.items())[k]
        ax.clear()
        plot_samples(ax, *test)
        draw_line(ax, nodes, values, 0.5, "learned", "black", "-", width=2.2)
        ax.set_title(f"Epoch {epoch:,}")
        picture = io.BytesIO()
        figure.savefig(picture, format="png", dpi=80)
        pictures.append(Image.open(picture).convert("RGB"))
    palette = pictures[-1].quantize(128)  # one for all, or the points would change colour
    first, *rest = [each.quantize(palette=palette, dither=Image.Dither.NONE) for each in pictures]
    milliseconds = [120] * len(rest) + [2000]  # it rests on the last one before it starts again
    moving = {"save_all": True, "append_images": rest, "duration": milliseconds, "loop": 0}
    files.write_atomically(path, lambda file: first.save(file, format="GIF", **moving))
    print(f"animation: {files.short(path)}")


def plot_errors(epochs, mse, accuracy, ax):
    """Draw both errors after the `epochs`, and mark the records that D5 drew."""
    records = {"test samples that are wrong": 1 - accuracy, "training mean squared error": mse}
    for (name, values), colour in zip(records.items(), plotting.COLOURS, strict=False):
        ax.plot(epochs, values, color=colour, label=name)
        ax.plot(epochs[:DRAWN_BY_D5], values[:DRAWN_BY_D5], "o", color=colour, markersize=4)
    ax.set(xlabel="epoch", yscale="log")
    ax.set_ylim(0.015, 0.8)
    ax.set_yticks([0.02, 0.05, 0.1, 0.2, 0.5], ["0.02", "0.05", "0.1", "0.2", "0.5"], minor=False)
    ax.yaxis.set_minor_formatter(NullFormatter())
    below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.17), "frameon": False}
    ax.legend(fontsize="medium", **below)


def plot_references(best_line, best_possible, best_mse, ax):
    """Draw the errors that no straight line and no classifier at all gets below."""
    green, pink = plotting.COLOURS[2:4]
    ax.axhline(best_line, color=green, linestyle="--")
    ax.axhline(best_possible, color=pink, linestyle="-.")
    ax.axhline(best_mse, color=pink, linestyle="-.")
    right = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "ha": "right"}
    ax.annotate("best straight line", (1, best_line), (0, 3), va="bottom", **right)
    ax.annotate("best possible", (1, best_possible), (0, -5), va="top", **right)


def plot(epochs, mse, accuracy, comparison, nodes, learned, train, test):
    ratios = {"width_ratios": [1.3, 0.75, 1.1]}
    figure, axes = plotting.subplots(1, 3, size=(10, 4.4), gridspec_kw=ratios)
    left, middle, right = axes
    shown = [epoch for epoch in learned if epoch in SHOWN or epoch == max(learned)]
    wrong = dict(zip(epochs.tolist(), 1 - accuracy, strict=True))
    first = shown[0]
    last = shown[-1]
    normal, offset = best_straight_line(*test)
    wrong_of_line = np.mean((test.x @ normal > offset) != test.y)

    plot_boundaries(nodes, {epoch: learned[epoch] for epoch in shown}, train, test, left)
    finding = "has bent" if wrong[first] < wrong_of_line else "is no better than a straight line"
    left.set_title(f"The boundary of epoch {first:,}\n{finding}")

    drawn = slice(0, DRAWN_BY_D5)
    plot_errors(epochs[drawn], mse[drawn], accuracy[drawn], middle)
    middle.set_title(f"The {len(epochs[drawn])} records that D5 drew\nlook finished")

    plot_errors(epochs, mse, accuracy, right)
    best_mse, best_accuracy = (row.expected for row in comparison)
    plot_references(wrong_of_line, 1 - best_accuracy, best_mse, right)
    percent = {epoch: f"{100 * wrong[epoch]:.1f} %" for epoch in (first, last)}
    begin = f"All {len(epochs)} records: {percent[first]} wrong at"
    right.set_title(f"{begin}\nepoch {first:,} and {percent[last]} at the end")
    return figure


def train_and_record(parameters, X, Y, test, nodes, at, learning_rate, activation, train_biases):
    """Train up to the last of the epochs `at`, and measure at each until the loss diverges.

    Return the parameters, the mean squared errors, the accuracies, and P(class 1) at the nodes by
    epoch.
    """
    epochs = at[-1]
    told = sorted({*range(100, epochs, 100), epochs})
    print("epoch        ", *(f"{epoch:5}" for epoch in told), end="\ntest accuracy", flush=True)
    mse, accuracy = np.full((2, len(at)), np.nan)
    learned = {}
    rate = tf.constant(learning_rate)
    for k, more in enumerate(np.diff(at, prepend=0)):
        parameters = train(parameters, X, Y, tf.constant(more), rate, activation, train_biases)
        *_, a4 = forward(parameters, X, activation)
        *_, a4_test = forward(parameters, test.x, activation)
        mse[k] = np.mean((a4.numpy() - Y) ** 2)
        accuracy[k] = np.mean(np.argmax(a4_test, axis=1) == test.y)
        if not np.isfinite(mse[k]):
            break
        learned[int(at[k])] = probability(parameters, nodes, activation)
        if at[k] in told:
            print(f" {accuracy[k]:5.3f}", end="", flush=True)
    print()
    return parameters, mse, accuracy, learned


def main(
    epochs: int = 1000,
    learning_rate: float = 0.01,
    activation: Literal["sigmoid", "relu", "tanh"] = "sigmoid",
    train_biases: bool = True,
    animate: bool = False,
    explain: bool = False,
    seed: int = 0,
    figures: Path = plotting.FIGURES,
    show: bool = False,
) -> Moons:
    """Tell two moons apart with a network of four layers, one sample per step.

    Args:
        activation: in the hidden layers; the output is always a sigmoid
        train_biases: the document's network never updates its biases
        animate: write an animated GIF of the boundary too
    """
    command.check(seed, epochs=epochs, learning_rate=learning_rate)
    command.check_choice(ACTIVATIONS, activation=activation)

    (X, y), test = datasets.moons()
    Y = np.eye(2, dtype=np.float32)[y]  # one-hot, (n,) -> (n, 2)
    start = initial_parameters(np.random.default_rng(seed))
    first = (X[:7], Y[:7], activation)
    print(check_gradients(loss, gradients_by_hand, start, *first).raise_if_wrong())
    if explain:
        batch = (X[:1], Y[:1], activation)
        explanation.show(loss, gradients_by_hand, gradients_by_tape, start, batch)

    at = np.array([*range(0, epochs, 10), epochs])
    nodes = grid_around(X)
    settings = (learning_rate, activation, train_biases)
    trained = train_and_record(start, X, Y, test, nodes, at, *settings)
    parameters, mse, accuracy, learned = trained

    is_d5s = (activation, train_biases, epochs) == ("sigmoid", False, 1000)
    comparison = compare(mse[-1], accuracy[-1], X, y, test, is_d5s)
    if np.all(np.isfinite(mse)):
        report.print_comparison(comparison)

    drawn = plot(at, mse, accuracy, comparison, nodes, learned, datasets.Labelled(X, y), test)
    figure = plotting.save(drawn, figures, "12_moons_mlp", show)
    if animate:
        animate_boundary(nodes, learned, test, Path(figures) / "12_moons_mlp.gif")
    report.require_finite(mse, "epoch", at=at)
    arrays = {name: value.numpy() for name, value in parameters.items()}
    return Moons(at, mse, accuracy, arrays, comparison, figure)


# %%
# Run
# ---

if __name__ == "__main__":
    result = command.run(main)
