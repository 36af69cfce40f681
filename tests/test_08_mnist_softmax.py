import os

from gradients import assert_gradients_right
from tf_backprop import datasets
from tf_backprop.support.errors import DivergedError, UsageError

import numpy as np
import pytest
from matplotlib import pyplot


@pytest.fixture(scope="module")
def digits(lesson, tmp_path_factory):
    return lesson.main(data="digits", figures=tmp_path_factory.mktemp("figures"))


@pytest.mark.parametrize("seed", range(3))
def test_gradient(lesson, seed):
    rng = np.random.default_rng(seed)
    parameters = {"W": rng.normal(size=(6, 10)), "b": rng.normal(size=10)}
    batch = rng.uniform(size=(7, 6)), rng.integers(10, size=7)  # 7 rows, 6 pixels, 10 classes: all different
    assert_gradients_right(lesson.loss, lesson.gradients_by_hand, lesson.gradients_by_tape, parameters, batch)


def test_result_has_the_documented_form(digits):
    assert digits.losses.shape == (1000,)
    assert digits.validation_accuracy.shape == (10,)
    assert digits.recall.shape == digits.f1.shape == (10,)
    assert digits.parameters["W"].shape == (64, 10)
    assert digits.parameters["b"].shape == (10,)


def test_metrics_follow_from_the_confusion_matrix(digits):
    matrix = digits.confusion
    assert matrix.sum() == 500
    hits = np.diag(matrix)
    precision = hits / matrix.sum(axis=0)
    np.testing.assert_allclose(digits.recall, hits / matrix.sum(axis=1))
    np.testing.assert_allclose(digits.f1, 2 * precision * digits.recall / (precision + digits.recall))
    assert digits.test_accuracy == pytest.approx(hits.sum() / 500)


def test_test_images_are_not_trained_on(lesson, digits):
    # The accuracy is that of the returned parameters on the test part, computed here a second time.
    x, y = datasets.images("digits").test
    z = np.float32(x) / 255 @ digits.parameters["W"] + digits.parameters["b"]
    assert digits.test_accuracy == pytest.approx(np.mean(z.argmax(axis=1) == y))


def test_batches_are_shuffled_passes(lesson):
    batches = lesson.shuffled_batches(1100, 100, 25, np.random.default_rng(0))
    assert batches.shape == (25, 100)
    assert len(np.unique(batches[:11])) == 1100, "every image once a pass"
    assert not np.array_equal(batches[0], batches[11])
    assert lesson.shuffled_batches(1100, 300, 7, np.random.default_rng(0)).shape == (7, 300)


def test_many_seeds_reach_the_accuracy_of_a_converged_model(lesson, tmp_path):
    from sklearn.linear_model import LogisticRegression

    images = datasets.images("digits")
    (x, y), (x_test, y_test) = images.train, images.test
    converged = LogisticRegression(max_iter=5000).fit(x / 255, y).score(x_test / 255, y_test)
    for seed in range(4):
        # 500 test images: one sd of an accuracy near 0.9 is 0.013.
        assert lesson.main(data="digits", seed=seed, figures=tmp_path).test_accuracy > converged - 0.04


def test_try_a_tenth_of_the_steps(lesson, digits, tmp_path):
    assert 0.75 < lesson.main(data="digits", steps=100, figures=tmp_path).test_accuracy < digits.test_accuracy


def test_try_a_hundredth_of_the_rate(lesson, digits, tmp_path):
    slow = lesson.main(data="digits", learning_rate=0.005, figures=tmp_path)
    assert slow.losses[-100:].mean() > 5 * digits.losses[-100:].mean()
    assert slow.test_accuracy < digits.test_accuracy - 0.02


def test_steps_that_are_no_multiple_of_a_hundred(lesson, tmp_path):
    result = lesson.main(data="digits", steps=130, figures=tmp_path)
    assert (result.losses.shape, result.validation_accuracy.shape) == ((130,), (2,))


def test_divergence_and_wrong_arguments(lesson, tmp_path):
    with pytest.raises(DivergedError, match="at step 2: lower --learning-rate"):
        lesson.main(data="digits", learning_rate=1e38, figures=tmp_path)
    assert (tmp_path / "08_mnist_softmax_digits.png").exists()
    with pytest.raises(UsageError, match="--batch-size"):
        lesson.main(data="digits", batch_size=1101, figures=tmp_path)


def test_weight_images_show_each_column_at_its_place(lesson):
    weights = np.zeros((16, 10))
    weights[5, 7] = 2.0  # digit 7, second row and second column of its 4×4 image
    _, axes = pyplot.subplots()
    lesson.plot_weights(weights, axes)
    mosaic = np.asarray(axes.images[0].get_array().filled(np.nan))
    assert np.argwhere(mosaic == 2.0).tolist() == [[5 + 1, 2 * 5 + 1]]


def test_confusion_is_true_by_predicted(lesson):
    _, axes = pyplot.subplots()
    lesson.plot_confusion(np.array([[3, 1], [0, 4]]), axes)
    texts = {text.get_position(): text.get_text() for text in axes.texts}
    assert texts == {(0, 0): "3", (1, 0): "1", (1, 1): "4"}
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted digit", "true digit")


@pytest.mark.mnist
def test_published_accuracy_on_mnist(lesson, tmp_path):
    # documents.md: 0.9165 ± 0.0024 over 12 seeds; "about 92 %" is printed.
    for seed in range(3):
        result = lesson.main(data="mnist", mnist_dir=os.environ["MNIST_DIR"], seed=seed, figures=tmp_path)
        assert result.test_accuracy == pytest.approx(0.9165, abs=0.0075)
        assert round(result.test_accuracy, 2) in (0.91, 0.92)
        assert {5, 8} & set(np.argsort(result.recall)[:3]), "five and eight are among the hardest digits"


@pytest.mark.mnist
def test_try_lines_on_mnist(lesson, tmp_path):
    options = {"data": "mnist", "mnist_dir": os.environ["MNIST_DIR"], "figures": tmp_path}
    assert 0.87 < lesson.main(steps=100, **options).test_accuracy < 0.91
    assert lesson.main(learning_rate=0.005, **options).test_accuracy < 0.87
