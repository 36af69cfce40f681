"""
Back-propagation through four layers
====================================

How does the error at the output of a network reach the weights of its first layer?

X (n, 2) are n samples, Y (n, 2) their one-hot targets, σ the sigmoid, or ReLU or tanh but not at the output::

    z_l     = a_(l-1) W_l + b_l,  a_l = σ(z_l)              a0 = X, then a1 (n, 25), a2 (n, 50), a3 (n, 25), a4 (n, 2)
    L       = mean over the samples of ½ Σ_k (a4_k - y_k)²  the ½ takes up the 2 that the document drops unsaid
    dL/dz_4 = (a4 - Y)/n · σ'(z_4)                          the error, at the output
    dL/dz_l = dL/dz_(l+1) W_(l+1)ᵀ · σ'(z_l)                the same error, one layer further back
    dL/dW_l = a_(l-1)ᵀ dL/dz_l,   dL/db_l = Σ_n dL/dz_l     what each layer makes of it

What you should see: for hundreds of epochs the boundary is no better than a straight line. Then it bends into the gap
between the moons, and both curves arrive at the best that is possible on average, computed from how the data were made.

Try

- ``--activation tanh --epochs 100``: σ' is larger, more of the error reaches W1, and the boundary bends much sooner.
- ``--no-train-biases``: the document's network. It arrives as well, but later: the accuracy does not give it away.

Re-runs the last section of D5, "七、反向传播算法".
"""

from pathlib import Path
from typing import Literal, NamedTuple

from tf_backprop import command, datasets, gradient_check, plotting, report
from tf_backprop.support import drawings, explanation

import numpy as np
import tensorflow as tf


# %%
# Prepare
# -------
class Moons(NamedTuple):
    epochs: (
        np.ndarray
    )  # (records,) passes over the training set before each record: 0, 10, 20, ... and the last
    mse: np.ndarray  # (records,) mean of (a4 - Y)² over the training set
    accuracy: np.ndarray  # (records,) share of the test set that is classified right
    parameters: dict[str, np.ndarray]  # W1 (2, 25), b1 (25,), ... W4 (25, 2), b4 (2,) at the end
    comparison: list[report.Row]  # the last row is the lesson's answer
    figure: Path


def initial_parameters(
    rng, units=(2, 25, 50, 25, 2)
):  # W from N(0, 1) / sqrt(units), b from U(0, 0.1)
    W = {
        f"W{i}": np.float32(rng.normal(size=units[i - 1 : i + 1]) / np.sqrt(units[i]))
        for i in (1, 2, 3, 4)
    }
    return W | {f"b{i}": np.float32(rng.uniform(0, 0.1, units[i])) for i in (1, 2, 3, 4)}


# %%
# Forward
# -------
ACTIVATION = {"sigmoid": tf.sigmoid, "relu": tf.nn.relu, "tanh": tf.tanh}


def forward(parameters, X, activation="sigmoid"):
    σ = ACTIVATION[activation]
    a1 = σ(X @ parameters["W1"] + parameters["b1"])  # (n, 2) -> (n, 25)
    a2 = σ(a1 @ parameters["W2"] + parameters["b2"])  # -> (n, 50)
    a3 = σ(a2 @ parameters["W3"] + parameters["b3"])  # -> (n, 25)
    a4 = tf.sigmoid(a3 @ parameters["W4"] + parameters["b4"])  # -> (n, 2)
    return a1, a2, a3, a4


def loss(parameters, X, Y, activation="sigmoid"):
    return (
        tf.reduce_mean(tf.reduce_sum((forward(parameters, X, activation)[-1] - Y) ** 2, axis=1)) / 2
    )


# %%
# Backward
# --------
# σ'(z) written with a = σ(z), so that z need not be kept. For ReLU a > 0 where z > 0; a >= 0 would be true everywhere.
DERIVATIVE = {
    "sigmoid": lambda σ: σ * (1 - σ),
    "tanh": lambda t: 1 - t**2,
    "relu": lambda r: tf.cast(r > 0, r.dtype),
}


def gradients_by_hand(parameters, X, Y, activation="sigmoid"):
    (a1, a2, a3, a4), dσ = forward(parameters, X, activation), DERIVATIVE[activation]
    dL_dz4 = (a4 - Y) / X.shape[0] * a4 * (1 - a4)  # (n, 2), 1/n for L is a mean over n
    dL_dz3 = tf.matmul(dL_dz4, parameters["W4"], transpose_b=True) * dσ(
        a3
    )  # back through W4ᵀ: (n, 2) (2, 25)
    dL_dz2 = tf.matmul(dL_dz3, parameters["W3"], transpose_b=True) * dσ(
        a2
    )  # back through W3ᵀ: (n, 25) (25, 50)
    dL_dz1 = tf.matmul(dL_dz2, parameters["W2"], transpose_b=True) * dσ(
        a1
    )  # back through W2ᵀ: (n, 50) (50, 25)
    dL_dW4, dL_db4 = (
        tf.matmul(a3, dL_dz4, transpose_a=True),
        tf.reduce_sum(dL_dz4, axis=0),
    )  # a3ᵀ: sums over n
    dL_dW3, dL_db3 = (
        tf.matmul(a2, dL_dz3, transpose_a=True),
        tf.reduce_sum(dL_dz3, axis=0),
    )  # a2ᵀ: sums over n
    dL_dW2, dL_db2 = (
        tf.matmul(a1, dL_dz2, transpose_a=True),
        tf.reduce_sum(dL_dz2, axis=0),
    )  # a1ᵀ: sums over n
    dL_dW1, dL_db1 = (
        tf.matmul(X, dL_dz1, transpose_a=True),
        tf.reduce_sum(dL_dz1, axis=0),
    )  # Xᵀ: sums over n
    return dict(
        W1=dL_dW1, W2=dL_dW2, W3=dL_dW3, W4=dL_dW4, b1=dL_db1, b2=dL_db2, b3=dL_db3, b4=dL_db4
    )  # noqa: C408


def gradients_by_tape(parameters, X, Y, activation="sigmoid"):
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        L = loss(parameters, X, Y, activation)
    return tape.gradient(L, parameters)


# %%
# Iterate
# -------
@tf.function(jit_compile=True)  # one update a sample: too many for Python, so XLA compiles the loop
def train(parameters, X, Y, epochs, learning_rate, activation, train_biases):
    trained = [name for name in parameters if train_biases or name.startswith("W")]
    while epochs > 0:
        for i in tf.range(X.shape[0]):
            # Not X[i : i + 1]: XLA cannot tell how long that is, and pads it to the length of X.
            gradients = gradients_by_hand(
                parameters, X[i][tf.newaxis], Y[i][tf.newaxis], activation
            )
            parameters = parameters | {
                name: parameters[name] - learning_rate * gradients[name] for name in trained
            }
        epochs -= 1
    return parameters


# %%
# Plot and main
# -------------
def grid_around(X, side=80):
    """Return the nodes (side², 2), row by row, of a grid that covers the samples and a margin."""
    low, high = X.min(axis=0), X.max(axis=0)
    margin = 0.1 * (high - low)
    x0, x1 = np.linspace(low - margin, high + margin, side, dtype=X.dtype).T
    return np.stack(np.meshgrid(x0, x1), axis=-1).reshape(-1, 2)


def animate_boundary(nodes, learned, test, path):
    figure, ax = plotting.subplots(size=(5, 4.4))

    def draw(title):
        ax.clear()
        plotting.decision_boundary(nodes, learned[title], *test, title=title, ax=ax)

    drawings.save_gif(figure, draw, list(learned), path)


def plot(nodes, learned, best, test, epochs, records, comparison):
    figure, (left, *others) = plotting.subplots(1, 3, size=(14, 4.5))
    plotting.decision_boundary(
        nodes, learned, *test, best, title="the network's answer and the test set", ax=left
    )
    for ax, record, row in zip(others, records, comparison, strict=True):
        plotting.curves(
            epochs, {"learned": record}, "epoch", row.quantity, best=row.expected, ax=ax
        )
    return figure


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
    """Tell two moons apart with a network of four layers, one sample a step.

    Args:
        activation: in the hidden layers; the output is always a sigmoid
        train_biases: the document's network never updates its biases
        animate: write an animated GIF of the boundary too
    """
    command.check(seed, epochs=epochs, learning_rate=learning_rate)
    command.check_choice(ACTIVATION, activation=activation)
    (X, y), test = datasets.moons()
    Y = np.eye(2, dtype=np.float32)[y]  # one-hot, (n,) -> (n, 2)
    parameters = initial_parameters(np.random.default_rng(seed))
    chosen = [
        lambda *given, f=f: f(*given, activation)
        for f in (loss, gradients_by_hand, gradients_by_tape)
    ]
    gradient_check.check_gradients(*chosen, parameters, (X[:7], Y[:7]), seed)
    if explain:
        explanation.show(
            loss, gradients_by_hand, gradients_by_tape, parameters, (X[:1], Y[:1], activation)
        )
    best, nodes, learned = datasets.moons_probability, grid_around(X), {}
    at, told = np.array([*range(0, epochs, 10), epochs]), sorted({*range(100, epochs, 100), epochs})
    records = np.full((2, len(at)), np.nan)  # of the mean squared error and the accuracy
    print("epoch        ", *(f"{epoch:5}" for epoch in told), end="\ntest accuracy", flush=True)
    for k, more in enumerate(np.diff(at, prepend=0)):
        parameters = train(
            parameters,
            X,
            Y,
            tf.constant(more),
            tf.constant(learning_rate),
            activation,
            train_biases,
        )
        a4, a4_test, a4_nodes = (
            forward(parameters, x, activation)[-1].numpy() for x in (X, test.x, nodes)
        )
        records[:, k] = np.mean((a4 - Y) ** 2), np.mean(np.argmax(a4_test, axis=1) == test.y)
        if not np.isfinite(records[0, k]):
            break
        learned[f"epoch {at[k]}"] = p = (
            1 + a4_nodes[:, 1] - a4_nodes[:, 0]
        ) / 2  # ½ where they are equal
        if at[k] in told:
            print(f" {records[1, k]:5.3f}", end="", flush=True)
    print()
    mse = report.Row("training mean squared error", records[0, -1], np.mean((best(X) - y) ** 2))
    comparison = [
        mse,
        report.Row("test accuracy", records[1, -1], np.mean((best(test.x) > 0.5) == test.y)),
    ]
    figure = plotting.save(
        plot(nodes, p, best(nodes), test, at, records, comparison), figures, "12_moons_mlp", show
    )
    if animate:
        animate_boundary(nodes, learned, test, Path(figures) / "12_moons_mlp.gif")
    report.require_finite(records[0], "epoch", at=at)
    report.print_comparison(comparison)
    return Moons(
        at,
        *records,
        {name: value.numpy() for name, value in parameters.items()},
        comparison,
        figure,
    )


# %%
# Run
# ---

if __name__ == "__main__":
    command.run(main)
