from gradients import assert_gradients_right
from tf_backprop import datasets
from tf_backprop.support.errors import DivergedError, UsageError

import numpy as np
import pytest
import tensorflow as tf

#: documents.md: what TensorFlow 1 printed, run through tf.compat.v1, by the update after which it was printed.
TF1 = {
    "momentum": {1: 5.1311817, 501: 0.3843913, 1001: 0.3835917, 1501: 0.3835619, 2001: 0.3835606, 2501: 0.3835606},
    "adam": {1: 5.209994, 501: 0.6170257, 1001: 0.3922883, 1501: 0.3864319, 2001: 0.3842536, 2501: 0.3836759},
}


@pytest.fixture(scope="module")
def result(default_result):
    return default_result


@pytest.fixture(scope="module")
def with_bias(lesson, tmp_path_factory):
    return lesson.main(bias=True, figures=tmp_path_factory.mktemp("bias"))


@pytest.mark.parametrize("seed", range(5))
def test_gradient(lesson, seed):
    rng = np.random.default_rng(seed)
    weights = {"w1": rng.normal(size=(2, 3)), "w2": rng.normal(size=(3, 1))}
    batch = rng.uniform(size=(5, 2)), rng.integers(2, size=(5, 1)).astype(float)
    assert_gradients_right(lesson.loss, lesson.gradients_by_hand, lesson.gradients_by_tape, weights, batch)


def test_published_losses_to_every_printed_digit(result, lesson):
    assert len(lesson.PUBLISHED) == 7
    for update, published in lesson.PUBLISHED.items():
        assert f"{result.losses['sgd'][update - 1]:g}" == f"{published:g}"  # TensorFlow 1 printed with %g


def test_published_weights_at_the_start_and_at_the_end(result, capsys, lesson, tmp_path):
    lesson.main(steps=1, figures=tmp_path)
    start = "-0.8113182 1.4845988 0.06532937 -2.4427042 0.0992484 0.5912243"
    assert start in capsys.readouterr().out
    w1 = [[-0.7000663, 0.9136318, 0.0895357], [-2.3402493, -0.1464127, 0.5882305]]
    w2 = [[-0.0602427], [0.9195619], [-0.0682071]]
    np.testing.assert_allclose(result.parameters["sgd"]["w1"], w1, atol=6e-8)
    np.testing.assert_allclose(result.parameters["sgd"]["w2"], w2, atol=6e-8)


@pytest.mark.parametrize("optimizer", TF1)
def test_losses_of_tensorflow_1(optimizer, result):
    for update, loss in TF1[optimizer].items():
        # Adam's epsilon is 1e-7 in Keras and was 1e-8 in TensorFlow 1: that shows in the sixth digit.
        assert result.losses[optimizer][update - 1] == pytest.approx(loss, rel=2e-5 if optimizer == "adam" else 2e-7)


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
def test_our_updates_are_those_of_keras(result, lesson, optimizer):
    rate, kinds = 0.001, tf.keras.optimizers
    theirs = {"sgd": kinds.SGD(rate), "momentum": kinds.SGD(rate, 0.9), "adam": kinds.Adam(rate)}[optimizer]
    variables = {name: tf.Variable(w) for name, w in lesson.initial_weights(1).items()}
    theirs.build(list(variables.values()))
    x, y = (part.reshape(4, 8, -1) for part in datasets.volume_and_weight())

    @tf.function
    def train():
        for step in tf.range(3000):
            gradients = lesson.gradients_by_tape(variables, tf.gather(x, step % 4), tf.gather(y, step % 4))
            theirs.apply(list(gradients.values()), list(variables.values()))

    train()
    for name, w in variables.items():  # of weights near 1, after 3,000 updates in float32
        np.testing.assert_allclose(result.parameters[optimizer][name], w, atol=1e-6 if optimizer == "sgd" else 5e-6)


def test_slots_belong_to_one_variable_each(lesson):
    # With one velocity for both (M11), a weight whose gradient is zero would move.
    w, m, v = np.float32([1.0]), np.float32([0.0]), np.float32([0.0])
    for optimizer in ("sgd", "momentum", "adam"):
        moved, *_ = lesson.update(optimizer, w, m, v, np.float32([0.0]), tf.constant(1.0), 0.1, 0.9)
        assert moved == w


def test_adam_is_the_form_of_keras_and_not_of_the_paper(lesson):
    w, m, v = np.float64([1.0]), np.zeros(1), np.zeros(1)
    for t in range(1, 11):
        w, m, v = lesson.update("adam", w, m, v, np.float64([1e-6]), np.float64(t), 0.01, 0.9)
    assert w.numpy() == pytest.approx(0.9597, abs=5e-3)  # known-mistakes: Keras 0.9597, the paper's box 0.9095


def test_floor_is_the_least_squares_loss(result, with_bias):
    x, y = datasets.volume_and_weight()
    for run, design in ((result, x), (with_bias, np.column_stack([x, np.ones(32)]))):
        design = np.float64(design)
        best = np.linalg.pinv(design) @ y
        assert run.floor == pytest.approx(np.mean((design @ best - y) ** 2), rel=1e-9)
    assert (result.floor, with_bias.floor) == (pytest.approx(0.38356051, abs=1e-7), pytest.approx(0.0839, abs=5e-5))


def test_no_optimizer_gets_below_the_floor(result, with_bias):
    for run in (result, with_bias):
        for losses in run.losses.values():
            assert losses.min() > run.floor * (1 - 1e-6)


def test_what_one_should_see(result):
    last = {name: losses[-1] for name, losses in result.losses.items()}
    assert last["momentum"] < last["adam"] < last["sgd"]
    assert last["sgd"] > result.floor + 0.004
    product = result.parameters["momentum"]["w1"] @ result.parameters["momentum"]["w2"]
    square = np.random.default_rng(0).uniform(size=(100_000, 2))
    assert np.mean((square @ product > 0.5).ravel() == (square.sum(axis=1) < 1)) < 0.5
    x, y = datasets.volume_and_weight()
    assert np.mean((x @ product > 0.5) == (y == 1)) == pytest.approx(0.375)  # known-mistakes, M7


def test_other_seeds_stay_above_the_floor_and_come_near(lesson, tmp_path):
    for seed in (2, 3):
        run = lesson.main(seed=seed, figures=tmp_path)
        assert run.floor * (1 - 1e-6) < run.losses["momentum"][-1] < run.floor * 1.05


def test_try_bias(with_bias):
    product = with_bias.parameters["momentum"]["w1"] @ with_bias.parameters["momentum"]["w2"]
    x, y = datasets.volume_and_weight()
    predicted = np.column_stack([x, np.ones(32)]) @ product > 0.5
    assert np.mean(predicted == (y == 1)) > 0.9
    assert with_bias.parameters["sgd"]["w1"].shape == (3, 3)


def test_try_a_rate_a_hundred_times_larger(lesson, tmp_path):
    run = lesson.main(learning_rate=0.1, figures=tmp_path)
    assert run.losses["sgd"][-1] == pytest.approx(run.floor, rel=0.01)
    assert all(losses.min() > run.floor * (1 - 1e-6) for losses in run.losses.values())


def test_divergence_and_wrong_arguments(lesson, tmp_path):
    with pytest.raises(DivergedError, match=r"at step .*: lower --learning-rate"):
        lesson.main(learning_rate=100.0, steps=200, figures=tmp_path)
    assert (tmp_path / "07_two_layer_network.png").exists()
    for wrong in (-0.1, 1.5, np.nan):
        with pytest.raises(UsageError, match="--momentum"):
            lesson.main(momentum=wrong, figures=tmp_path)
