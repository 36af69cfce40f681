"""The entries of docs/errata.rst: each test runs a document's own formula, and fails when its entry is false.

What the lessons make of a mistake is tested beside the lessons.
"""

import csv
import os
import warnings
from pathlib import Path

from tf_backprop import datasets
from tools import ledger

import matplotlib
import numpy as np
import pytest
import tensorflow as tf
from matplotlib import pyplot
from sklearn.datasets import load_digits

v1 = tf.compat.v1
ROWS = {(row["document"], row["lesson"], row["quantity"]): row for row in ledger.read()}
ERRATA = (Path(ledger.FILE).parent / "errata.rst").read_text(encoding="utf-8")
SAID = " ".join(ERRATA.split())
with open(Path(__file__).parent / "data" / "calls.csv", newline="", encoding="utf-8") as file:
    TABLE = list(csv.DictReader(file))
CALLS = {d: {row["call"] for row in TABLE if row[d]} for d in ("D1", "D2", "D3", "D4")}


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def slopes(f, point, h=1e-6):
    """Return the central differences of f at each number of an array."""
    found = np.zeros_like(point)
    for place in np.ndindex(point.shape):
        step = np.zeros_like(point)
        step[place] = h
        found[place] = (f(point + step) - f(point - step)) / (2 * h)
    return found


@pytest.fixture(scope="module")
def digits():
    """Return 1,797 small images, one-hot labels, and the labels themselves."""
    x, y = load_digits(return_X_y=True)
    return x / 16, np.eye(10)[y], y


# --------------------------------------------------------------------------------------------------------------------
# D1


def test_numbers_of_the_ledger_stand_in_the_errata():
    last, accuracy = ROWS["D1", "01", "A at step 100"], ROWS["D1", "02", "accuracy"]
    assert f"{float(last['exact']):.3f} on average over {last['seeds']} seeds" in SAID
    assert f"{float(last['exact']) - float(last['mean']):.2f} below" in SAID
    assert f"{float(accuracy['mean']):.3f} ± {float(accuracy['sd']):.3f} over {accuracy['seeds']} seeds" in SAID
    sample = ROWS["D1", "01", "loss of the sample at step 75"]
    assert f"{float(sample['mean']):.1f} ± {float(sample['sd']):.1f} at step 75" in SAID


def test_ten_is_not_the_least_squares_answer():
    assert "10/1.01 = 9.90" in SAID
    exact = []
    for seed in range(200):
        x, _ = datasets.regression(np.random.default_rng(seed))
        exact.append(10 * x.sum() / (x @ x))
        assert np.mean((x * exact[-1] - 10) ** 2) < np.mean((x * 10 - 10) ** 2)
    assert np.mean(exact) == pytest.approx(10 / 1.01, abs=0.02)


def test_a_loss_of_one_sample_jumps(load):
    assert "rises in a quarter of all runs" in SAID
    assert "falls in nearly every run" in SAID
    trajectory, losses, x, _ = ledger.many_seeds(load("01_regression"), datasets.regression, 60, 100, 0.02)
    at = [24, 49, 74, 99]
    of_all = np.mean((trajectory[at][..., np.newaxis] * x - 10) ** 2, axis=-1)  # (4, seeds)
    assert np.mean(of_all[2] < of_all[1]) > 0.95  # the loss of all samples falls from step 50 to step 75
    assert 0.15 < np.mean(losses[74] > losses[49]) < 0.5  # that of the step's own sample rises, in many runs


def test_the_square_regularises_nothing():
    A = tf.Variable(3.0)
    with tf.GradientTape(persistent=True) as tape:
        of_no_input, penalty = tf.square(0.0 * A - 10), tf.square(A)
    assert tape.gradient(of_no_input, A) == 0  # no x, no pull on A
    assert tape.gradient(penalty, A) == 6  # what regularising does: it pulls A to 0, whatever x is


def test_the_loss_needs_no_batch_dimension():
    z, y = 0.7, 1.0
    alone = tf.nn.sigmoid_cross_entropy_with_logits(labels=y, logits=z)
    expanded = tf.nn.sigmoid_cross_entropy_with_logits(labels=tf.expand_dims([y], 0), logits=tf.expand_dims([z], 0))
    assert (alone.shape, expanded.shape) == ((), (1, 1))
    assert float(alone) == float(expanded[0, 0])


def test_an_evaluation_loop_that_makes_operations_grows_the_graph():
    assert "adds two operations to the graph, 200 in all" in SAID
    with tf.Graph().as_default() as graph, v1.Session() as session:
        x, A = v1.placeholder(tf.float32), v1.Variable(-1.0)
        z = v1.add(x, A)
        session.run(v1.global_variables_initializer())
        before = len(graph.get_operations())
        for value in np.linspace(-2, 4, 100):
            session.run(v1.round(v1.sigmoid(z)), {x: value})
        assert len(graph.get_operations()) == before + 200
        answer = v1.round(v1.sigmoid(z))
        before = len(graph.get_operations())
        for value in np.linspace(-2, 4, 100):
            session.run(answer, {x: value})
        assert len(graph.get_operations()) == before


# --------------------------------------------------------------------------------------------------------------------
# D2


def test_the_documents_cross_entropy_is_one_cth_of_its_formula():
    assert "0.230 instead of 2.303" in SAID
    assert "a label 0 costs nothing" in SAID

    def document(t, y):
        return float(-tf.reduce_mean(t * tf.math.log(tf.clip_by_value(y, 1e-12, 1.0))))

    t, y = np.eye(10, dtype=np.float32), np.full((10, 10), 0.1, np.float32)
    formula = -np.mean(np.sum(t * np.log(y), axis=1))
    assert formula == pytest.approx(2.303, abs=5e-4)
    assert document(t, y) == pytest.approx(0.230, abs=5e-4)
    # With the single output of its own network, a label 0 costs nothing, however wrong the output is.
    for output in (0.01, 0.5, 0.99):
        assert document(np.float32([[0]]), np.float32([[output]])) == 0


@pytest.mark.slow
def test_what_two_linear_layers_get_right(default_run):
    assert "right on 24 %, and that of plain descent on 27 %" in SAID
    assert "the loss 0.38356 of" in SAID
    assert "would be 0.0839" in SAID
    result, _ = default_run("07_two_layer_network")
    x, y = datasets.volume_and_weight()
    square = np.stack(np.meshgrid(*2 * [np.linspace(0, 1, 1001)]), axis=-1).reshape(-1, 2)
    right = {}
    for name, w in result.parameters.items():
        product = np.float64(w["w1"]) @ w["w2"]
        right[name] = np.mean((square @ product > 0.5)[:, 0] == (square.sum(axis=1) < 1))
        assert np.mean((x @ product - y) ** 2) > 0.38356
    assert (f"{right['momentum']:.0%}", f"{right['sgd']:.0%}") == ("24%", "27%")
    for bias, floor in ((False, 0.38356), (True, 0.0839)):
        design = np.column_stack([x, np.ones(len(x))]) if bias else x
        best = np.linalg.lstsq(np.float64(design), y, rcond=None)[0]
        assert np.mean((design @ best - y) ** 2) == pytest.approx(floor, abs=5e-5 if bias else 5e-6)


def test_one_seed_for_both_matrices_makes_one_the_first_row_of_the_other():
    with tf.Graph().as_default(), v1.Session() as session:
        w1, w2 = session.run([v1.random_normal([2, 3], seed=1), v1.random_normal([3, 1], seed=1)])
    np.testing.assert_array_equal(w2[:, 0], w1[0])


def test_after_no_step_one_step_has_been_taken(load):
    assert "before it the loss is 5.23348, after it 5.13118" in SAID
    lesson, (x, y) = load("07_two_layer_network"), datasets.volume_and_weight()
    w = {name: np.float64(part) for name, part in lesson.initial_parameters(1).items()}

    def mse(w):
        return np.mean((x @ w["w1"] @ w["w2"] - y) ** 2)

    assert mse(w) == pytest.approx(5.23348, abs=5e-6)
    first = x[:8], y[:8]
    miss = 2 * (first[0] @ w["w1"] @ w["w2"] - first[1]) / 8
    step = {"w1": first[0].T @ miss @ w["w2"].T, "w2": (first[0] @ w["w1"]).T @ miss}
    assert mse({name: w[name] - 0.001 * step[name] for name in w}) == pytest.approx(5.13118, abs=5e-6)


def test_the_data_are_simulated_as_the_document_says():
    x, y = datasets.volume_and_weight()
    np.testing.assert_array_equal(x, np.float32(np.random.RandomState(23455).rand(32, 2)))
    np.testing.assert_array_equal(y[:, 0], x.sum(axis=1) < 1)


# --------------------------------------------------------------------------------------------------------------------
# D3


def test_misspelt_names_are_no_names():
    for wrong, right in (("golbal_variables_initializer", "global_variables_initializer"), ("argmzx", "argmax")):
        assert not hasattr(v1, wrong)
        assert hasattr(v1, right)


@pytest.mark.mnist
def test_the_program_of_d3_reaches_its_accuracy():
    assert "about 92 %" in SAID
    images = datasets.images("mnist", os.environ["MNIST_DIR"])
    (x, y), (x_test, y_test) = images.train, images.test
    order, one_hot = np.random.default_rng(0).permutation(len(y)), np.eye(10, dtype=np.float32)
    batches = np.resize(order, (1000, 100))
    with tf.Graph().as_default(), v1.Session() as session:
        X, T = v1.placeholder(tf.float32, [None, 784]), v1.placeholder(tf.float32, [None, 10])
        p = v1.nn.softmax(v1.matmul(X, v1.Variable(v1.zeros([784, 10]))) + v1.Variable(v1.zeros([10])))
        cost = v1.reduce_mean(-v1.reduce_sum(T * v1.log(p), reduction_indices=[1]))
        step = v1.train.GradientDescentOptimizer(0.5).minimize(cost)
        session.run(v1.global_variables_initializer())
        for batch in batches:
            session.run(step, {X: np.float32(x[batch]) / 255, T: one_hot[y[batch]]})
        right = np.argmax(session.run(p, {X: np.float32(x_test) / 255}), axis=1) == y_test
    assert np.mean(right) == pytest.approx(0.9165, abs=4 * 0.0024)


def test_the_logarithm_of_the_softmax_is_not_finite():
    assert "a logit difference of about 87" in SAID

    def document(t, z):
        return float(-tf.reduce_sum(t * tf.math.log(tf.nn.softmax(z))))

    for z in (86.0, 88.0):
        mistaken, confirmed = document([[1.0, 0.0]], [[0.0, z]]), document([[0.0, 1.0]], [[0.0, z]])
        if z < 87:
            assert (mistaken, confirmed) == (pytest.approx(z), 0)
        else:  # the label's own probability is 0, or another class's: 0 · log 0
            assert np.isposinf(mistaken)
            assert np.isnan(confirmed)


def test_softmax_regression_is_convex(digits):
    x, t, _ = digits
    rng = np.random.default_rng(0)

    def cost(W):
        return -np.mean(np.sum(t * np.log(softmax(x @ W)), axis=1))

    for _ in range(50):  # the cost half-way between two points is at most the mean of their costs
        one, other = rng.normal(size=(2, 64, 10))
        assert cost((one + other) / 2) <= (cost(one) + cost(other)) / 2
    p = softmax(rng.normal(size=(1, 10)))[0]  # and the second derivative of a sample's cost by the logits:
    assert np.linalg.eigvalsh(np.diag(p) - np.outer(p, p)).min() > -1e-12


def test_the_program_of_d3_judges_by_accuracy_alone():
    assert {"tf.argmax", "tf.equal", "tf.cast", "tf.reduce_mean"} <= CALLS["D3"]
    assert not [call for call in CALLS["D3"] if any(word in call for word in ("recall", "precision", "f1", "valid"))]


def test_a_shuffled_pass_is_not_a_random_draw():
    assert "leave out a third of the images" in SAID
    rng = np.random.default_rng(0)
    drawn = [len(set(rng.integers(55_000, size=55_000))) for _ in range(5)]
    assert np.mean(drawn) / 55_000 == pytest.approx(1 - 1 / np.e, abs=0.01)  # draws leave a third of the images out
    assert len(set(rng.permutation(55_000))) == 55_000  # a pass leaves none out


# --------------------------------------------------------------------------------------------------------------------
# D4


def document_gradients(W, x, t):
    """Return the document's two gradients, as its formulas give them: without a bias on the way forward."""
    dW = x.T @ (softmax(x @ W) - t)
    return dW, dW.mean(axis=0)


def test_the_documents_gradient_is_n_times_that_of_its_cost(digits):
    assert "n times too long, and n is 100" in SAID
    x, t, _ = digits
    rng = np.random.default_rng(0)
    for n in (32, 100):
        W = rng.normal(size=(64, 10))
        right = slopes(lambda W, n=n: -np.mean(np.sum(t[:n] * np.log(softmax(x[:n] @ W)), axis=1)), W)
        np.testing.assert_allclose(document_gradients(W, x[:n], t[:n])[0], n * right, rtol=1e-4, atol=1e-5)


def test_the_documents_bias_gradient_weighs_images_by_their_brightness(digits):
    assert "the mean of xᵀ(p - y) over the pixels" in SAID
    assert "the right sign and the right shape" in SAID
    x, t, _ = digits
    x, t = x[:100], t[:100]
    W = np.random.default_rng(0).normal(size=(64, 10))
    error = softmax(x @ W) - t
    document = document_gradients(W, x, t)[1]
    right = slopes(lambda b: -np.mean(np.sum(t * np.log(softmax(x @ W + b)), axis=1)), np.zeros(10))
    np.testing.assert_allclose(right, error.mean(axis=0), atol=1e-8)
    np.testing.assert_allclose(document, x.mean(axis=1) @ error, atol=1e-12)
    assert document.shape == right.shape
    assert document @ right > 0.9 * np.linalg.norm(document) * np.linalg.norm(right)  # the sign is right
    parallel = right * (document @ right) / (right @ right)
    assert np.linalg.norm(document - parallel) > 1e-3 * np.linalg.norm(document)  # and no factor mends it


def test_a_bias_outside_of_the_forward_pass_changes_nothing(digits):
    x, t, _ = digits
    ends = []
    for rate_of_b in (0.01, 100.0):
        W, b = np.zeros((64, 10)), np.zeros(10)
        for batch in np.arange(1700).reshape(17, 100):
            dW, db = document_gradients(W, x[batch], t[batch])
            W, b = W - 0.01 * dW, b - rate_of_b * db
        assert b.any()
        ends.append(W)
    np.testing.assert_array_equal(*ends)


def test_the_cost_of_an_epoch_is_the_cost_of_no_weights(digits):
    x, t, _ = digits

    def cost(W, batch):
        return -np.mean(np.sum(t[batch] * np.log(softmax(x[batch] @ W)), axis=1))

    W, costs = np.zeros((64, 10)), []
    for batch in np.arange(1700).reshape(17, 100):
        costs.append(cost(W, batch))
        W -= 0.1 * x[batch].T @ (softmax(x[batch] @ W) - t[batch]) / 100
    assert np.mean(costs) > 1.05 * cost(W, np.arange(1700))  # the weights at the end of the epoch are better


@pytest.mark.mnist
@pytest.mark.slow
def test_all_test_images_give_a_higher_accuracy_than_the_first_3000(load, tmp_path):
    assert "0.904 for the first two ways and 0.914 for the third" in SAID
    lesson = load("11_mnist_softmax_hand_derived")
    for document_formula, first, every in ((False, 0.873, 0.904), (True, 0.894, 0.914)):
        given = {"data": "mnist", "mnist_dir": os.environ["MNIST_DIR"], "figures": tmp_path}
        result = lesson.main(document_formula=document_formula, **given)
        assert result.test_accuracy == pytest.approx(every, abs=0.006)
        assert result.accuracy == pytest.approx(first, abs=0.012)
        assert result.test_accuracy > result.accuracy + 0.01


# --------------------------------------------------------------------------------------------------------------------
# D5


def test_at_the_kink_conventions_differ():
    assert "give 1 at exactly 0. The class of its network gives 0 there" in SAID
    assert "passes back 0, ``tf.maximum(z, 0)`` passes back 1" in SAID
    z = tf.Variable([0.0])
    with tf.GradientTape(persistent=True) as tape:
        relu, leaky, maximum = tf.nn.relu(z), tf.nn.leaky_relu(z, 0.1), tf.maximum(z, 0.0)
    given = [float(tape.gradient(a, z)[0]) for a in (relu, leaky, maximum)]
    assert given == [0, pytest.approx(0.1), 1]
    functions = {
        "x < 0 is 0, the rest 1": np.where(np.zeros(1) < 0, 0, 1),
        "r > 0 is 1": np.where(np.zeros(1) > 0, 1, 0),
    }
    assert [int(slope[0]) for slope in functions.values()] == [1, 0]  # its function and its network's class
    assert slopes(lambda z: np.maximum(z, 0).sum(), np.zeros(1))[0] == 0.5


def test_a_leak_is_lost_in_whole_numbers():
    for x, slope in ((np.array([-2.0, 3.0]), [0.1, 1]), (np.array([-2, 3]), [0, 1])):
        derivative = np.ones_like(x)
        derivative[x < 0] = 0.1
        assert derivative.tolist() == slope


def test_tanh_made_of_a_sigmoid_cancels_near_zero():
    assert "at 1e-17 nothing is left" in SAID
    for x, error in ((1.0, 1e-15), (1e-8, 1e-7), (1e-17, 1.0)):
        relative = abs(2 * sigmoid(2 * x) - 1 - np.tanh(x)) / np.tanh(x)
        assert relative <= error
    assert relative == 1


def test_the_exponential_overflows_and_the_sigmoid_is_right():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert sigmoid(np.float64(-1000)) == 0
    assert "overflow" in str(caught[0].message)


def test_gca_takes_no_projection_any_more():
    with pytest.raises(TypeError, match="projection"):
        pyplot.figure().gca(projection="3d")
    assert pyplot.figure().add_subplot(projection="3d").name == "3d"
    assert tuple(map(int, matplotlib.__version__.split(".")[:2])) >= (3, 6)


def test_the_point_after_a_step_has_another_f():
    assert "it prints 20.13 where f(x) is 6.05" in SAID

    def f(x, y):
        return (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2

    x, y = -4.0, 0.0
    for _ in range(20):  # of step 19, counted from 0, f is printed from before it, and x and y from after it
        before, u, v = f(x, y), x**2 + y - 11, x + y**2 - 7
        x, y = x - 0.01 * (4 * x * u + 2 * v), y - 0.01 * (2 * u + 4 * y * v)
    assert (before, f(x, y)) == (pytest.approx(20.13, abs=5e-3), pytest.approx(6.05, abs=5e-3))


def test_the_error_is_minus_the_derivative_of_the_printed_loss():
    rng = np.random.default_rng(0)
    target, a3 = np.eye(2)[1], rng.uniform(size=25)
    W4 = rng.normal(size=(25, 2))

    def mse(W):  # the mean over both outputs, as it is printed
        return np.mean((target - sigmoid(a3 @ W)) ** 2)

    output = sigmoid(a3 @ W4)
    delta = (target - output) * output * (1 - output)
    np.testing.assert_allclose(np.outer(a3, delta), -slopes(mse, W4), rtol=1e-6)
    assert mse(W4 + 0.01 * np.outer(a3, delta)) < mse(W4) < mse(W4 - 0.01 * np.outer(a3, delta))


def test_records_of_1001_passes():
    assert "first 11 of 101 records. They end at epoch 100" in SAID
    assert "1,001 passes" in SAID
    records = [epoch for epoch in range(1000 + 1) if epoch % 10 == 0]  # each taken after its pass
    assert (len(range(1000 + 1)), len(records), records[0], records[10]) == (1001, 101, 0, 100)


def test_the_start_scale_is_that_of_the_outputs(load):
    W3 = load("12_moons_mlp").initial_parameters(np.random.default_rng(0))["W3"]  # (50, 25)
    assert np.std(W3) == pytest.approx(np.sqrt(1 / 25), rel=0.1)
    assert np.std(W3) > 1.2 * np.sqrt(1 / 50)


def test_nothing_is_left_to_validate_on():
    train, test = datasets.moons()
    assert (len(train.y), len(test.y), len(train.y) + len(test.y)) == (1400, 600, 2000)


def test_a_closed_figure_is_not_shown():
    pyplot.close("all")
    pyplot.figure()
    assert pyplot.get_fignums()
    pyplot.close()
    assert not pyplot.get_fignums()


def test_an_unknown_activation_has_the_slope_one():
    def apply(z):
        return z

    for r in (-2.0, 0.5, 3.0):  # its derivative returns what it is given, where the slope of what it applies is 1
        assert slopes(lambda z: apply(z).sum(), np.array([r]))[0] == pytest.approx(1)
        assert apply(r) != 1
