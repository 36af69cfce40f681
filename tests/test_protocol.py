"""What the lessons on images train on, watch and judge, without MNIST: on the digits, and on images that are made here.

Each training is done a second time in NumPy, in float64, with the batches that the lesson drew.
"""

from tf_backprop import datasets
from tf_backprop.datasets import Images, Labelled
from tf_backprop.support import workers as team

import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import load_digits

D4 = ["09_mnist_softmax_optimizer", "10_mnist_softmax_gradient_tape", "11_mnist_softmax_hand_derived"]
PIXELS, MORE = 16, 400


def images_of(rng, n, weights, wrong):
    """Return n random images, of which a share `wrong` has a label that `weights` do not give."""
    x = rng.integers(256, size=(n, PIXELS), dtype=np.uint8)
    y = np.argmax((x / 255 - 0.5) @ weights, axis=1)
    chosen = rng.random(n) < wrong
    return Labelled(x, np.where(chosen, rng.integers(10, size=n), y).astype(np.int32))


@pytest.fixture(scope="module")
def made():
    """Return 300, 150 and 3,400 images: each part has another share of wrong labels, and the last images have most."""
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(PIXELS, 10))
    first, last = images_of(rng, 3000, weights, 0.15), images_of(rng, MORE, weights, 1.0)
    test = Labelled(*(np.concatenate(parts) for parts in zip(first, last, strict=True)))
    return Images("made", images_of(rng, 300, weights, 0.0), images_of(rng, 150, weights, 0.4), test)


@pytest.fixture
def on_made(made, monkeypatch):
    """Let `datasets.images` return the images made here; return the module's way to draw batches that it keeps."""
    monkeypatch.setattr(datasets, "images", lambda *_: made)
    return made


def drawn(lesson, monkeypatch):
    """Return the list of what the lesson's `shuffled_batches` will have returned."""
    batches, draw = [], lesson.shuffled_batches

    def keep(*given):
        batches.append(draw(*given))
        return batches[-1]

    monkeypatch.setattr(lesson, "shuffled_batches", keep)
    return batches


def by_numpy(x, y, batches, learning_rate):
    """Return W and b after each of the batches, and the loss of each before its step."""
    x, W, b, losses, all_parameters = x / 255, np.zeros((PIXELS, 10)), np.zeros(10), [], []
    for batch in batches:
        z = x[batch] @ W + b
        p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        losses.append(-np.log(p[np.arange(len(batch)), y[batch]]).mean())
        dL_dz = (p - np.eye(10)[y[batch]]) / len(batch)
        W, b = W - learning_rate * x[batch].T @ dL_dz, b - learning_rate * dL_dz.sum(axis=0)
        all_parameters.append((W, b))
    return all_parameters, np.array(losses)


def right(parameters, part):
    W, b = parameters
    return np.argmax(part.x / 255 @ W + b, axis=1) == part.y


def assert_same(parameters, W, b):
    assert np.abs(b).max() > 0.01, "the biases have moved"
    np.testing.assert_allclose(parameters["W"], W, atol=2e-4)
    np.testing.assert_allclose(parameters["b"], b, atol=2e-4)


def test_the_three_parts_of_the_digits_are_all_of_them_and_none_twice():
    raw, images = load_digits(), datasets.images("digits")
    in_order = (images.validation, images.train, images.test)
    assert [len(part.y) for part in in_order] == [197, 1100, 500]
    np.testing.assert_array_equal(np.concatenate([part.y for part in in_order]), raw.target)
    levels = np.concatenate([part.x for part in in_order])
    np.testing.assert_allclose(levels / 255, raw.data / 16, atol=0.5 / 255)
    assert levels.shape == (1797, 64)


def test_as_many_updates_on_other_images_as_on_mnist(made):
    for rows, passes in ((55_000, 10), (1100, 500), (300, 1833)):
        part = Labelled(np.zeros((rows, 1)), np.zeros(rows))
        assert made._replace(train=part).passes(10) == passes


def test_08_trains_on_one_part_watches_another_and_judges_a_third(load, on_made, monkeypatch, tmp_path):
    lesson = load("08_mnist_softmax")
    batches = drawn(lesson, monkeypatch)
    result = lesson.main(steps=250, batch_size=30, figures=tmp_path)
    (rows,) = batches
    assert rows.shape == (250, 30)
    passes = rows.reshape(25, 300)
    assert {tuple(sorted(each)) for each in passes.tolist()} == {tuple(range(300))}, "every image once a pass"
    assert len({tuple(each) for each in passes.tolist()}) == 25, "shuffled anew"
    parameters, losses = by_numpy(*on_made.train, rows, 0.5)
    np.testing.assert_allclose(result.losses, losses, rtol=1e-3)
    assert_same(result.parameters, *parameters[-1])
    watched = [right(parameters[step - 1], on_made.validation).mean() for step in (100, 200, 250)]
    np.testing.assert_allclose(result.validation_accuracy, watched, atol=0.011)
    judged = right(parameters[-1], on_made.test)
    assert result.test_accuracy == pytest.approx(judged.mean(), abs=0.002)
    assert len({round(right(parameters[-1], part).mean(), 1) for part in on_made[1:]}) == 3, "the parts differ"
    W, b = parameters[-1]
    predicted = np.argmax(on_made.test.x / 255 @ W + b, axis=1)
    for true in range(10):
        counts = np.bincount(predicted[on_made.test.y == true], minlength=10)
        np.testing.assert_allclose(result.confusion[true], counts, atol=3)
    assert result.confusion.sum() == 3400
    quantities = {row.quantity: row.learned for row in result.comparison}
    assert quantities == {
        "validation accuracy": result.validation_accuracy[-1],
        "test accuracy": result.test_accuracy,
    }
    assert result.figure.name == "08_mnist_softmax_made.png"


@pytest.mark.parametrize("name", D4)
def test_d4s_ways_shuffle_each_epoch_and_judge_the_first_test_images(name, load, on_made, monkeypatch, tmp_path):
    lesson = load(name)
    batches = drawn(lesson, monkeypatch)
    result = lesson.main(epochs=30, learning_rate=0.3, batch_size=40, figures=tmp_path)
    assert [rows.shape for rows in batches] == [(7, 40)] * 30, "300 images fill seven batches of 40"
    assert all(len(np.unique(rows)) == 280 for rows in batches)
    assert len({rows.tobytes() for rows in batches}) == 30, "shuffled anew in each epoch"
    assert len(np.unique(batches)) == 300, "who was left out comes in another epoch"
    parameters, losses = by_numpy(*on_made.train, np.concatenate(batches), 0.3)
    np.testing.assert_allclose(result.costs, losses.reshape(30, 7).mean(axis=1), rtol=1e-3)
    assert_same(result.parameters, *parameters[-1])
    judged = right(parameters[-1], on_made.test)
    assert result.accuracy == pytest.approx(judged[:3000].mean(), abs=0.002)
    assert result.test_accuracy == pytest.approx(judged.mean(), abs=0.002)
    assert result.accuracy > result.test_accuracy + 0.03, "here the first images are the better ones"
    *_, answer = result.comparison
    assert answer[:2] == ("accuracy, first 3,000 test images", result.accuracy)


def test_11_judges_the_documents_formula_by_the_same_images(load, on_made, monkeypatch, tmp_path):
    lesson = load(D4[2])
    batches = drawn(lesson, monkeypatch)
    result = lesson.main(epochs=3, document_formula=True, batch_size=30, figures=tmp_path)
    of_document, of_right = batches[:3], batches[3:]
    assert [a.tobytes() for a in of_document] == [a.tobytes() for a in of_right], "the same batches for both"
    _, longer = by_numpy(*on_made.train, np.concatenate(of_right), 0.01 * 30)
    expected = [row.expected for row in result.comparison[:3]]
    np.testing.assert_allclose(expected, longer.reshape(3, 10).mean(axis=1), rtol=1e-3)
    W, b = result.parameters["W"], result.parameters["b"]
    assert result.accuracy == right((W, b), on_made.test)[:3000].mean()


def test_13_trains_on_one_part_and_judges_another(load, made):
    lesson = load("13_wrong_gradients")
    many = made._replace(train=Labelled(*(np.concatenate([part] * 5) for part in made.train)))
    task = lesson.task_on_images(many, 0)
    np.testing.assert_array_equal(task.known.x, many.train.x)
    np.testing.assert_array_equal(task.known.y, many.train.y)
    for part, source in ((task.judged, Labelled(*(each[:1000] for each in many.train))), (task.unseen, made.test)):
        np.testing.assert_allclose(part.x, source.x / 255, rtol=1e-6)
        np.testing.assert_array_equal(part.y, source.y)
    points = datasets.unit_square(np.random.default_rng(0))
    assert [len(part.y) for part in points] == [1100, 10_000]
    for task in lesson.tasks_on_points(points, 0):
        parts = (task.known, *points[0]), (task.judged, *(each[:1000] for each in points[0])), (task.unseen, *points[1])
        for part, x, y in parts:
            np.testing.assert_array_equal(part.x, x)
            np.testing.assert_array_equal(part.y, y)
            np.testing.assert_array_equal(part.y, np.sum(part.x, axis=1) < 1)


def test_13_looks_at_the_unseen_for_the_accuracy_and_at_the_judged_for_the_loss(load, made):
    lesson = load("13_wrong_gradients")
    task = lesson.task_on_images(made, 0)
    parameters = {name: tf.cast(p, tf.float32) for name, p in task.start.items()}
    accuracy, L = lesson.look(parameters, task.judged, task.unseen, lesson.forward, lesson.cross_entropy)
    W1, b1, W2, b2 = (task.start[name].numpy() for name in ("W1", "b1", "W2", "b2"))

    def logits(part):
        return np.maximum(part.x / 255 @ W1 + b1, 0) @ W2 + b2

    assert float(accuracy) == pytest.approx(np.mean(np.argmax(logits(made.test), axis=1) == made.test.y), abs=0.002)
    z = logits(made.train)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    assert float(L) == pytest.approx(-log_p[np.arange(300), made.train.y].mean(), rel=1e-4)


def test_14_judges_the_test_images(load, on_made, monkeypatch, tmp_path):
    lesson = load("14_mnist_softmax_distributed")
    monkeypatch.setattr(lesson, "SIZES", (30, 60))
    result = lesson.main(workers=1, steps=120, batch_size=30, figures=tmp_path)
    order = lesson.batches(300, 30, 0)
    parameters, losses = by_numpy(*on_made.train, [next(order) for _ in range(120)], 0.5)
    for run in ("split", "whole"):
        np.testing.assert_allclose(result.losses[run], losses, rtol=1e-3)
        assert_same(result.parameters[run], *parameters[-1])
    (accuracy,) = (row for row in result.comparison if row.quantity.startswith("test accuracy"))
    assert accuracy.learned == pytest.approx(right(parameters[-1], on_made.test).mean(), abs=0.002)


def test_14_compares_the_split_run_with_that_of_one_worker(load, made):
    lesson = load("14_mnist_softmax_distributed")
    rng = np.random.default_rng(0)
    parameters = {run: {"W": rng.normal(size=(PIXELS, 10)), "b": rng.normal(size=10)} for run in ("split", "whole")}
    error, accuracy, off = lesson.compare_runs(0.125, parameters, made.test)
    assert error[:3] == ("largest error of the exchanged gradient", 0.125, 0)
    shares = [right((of["W"], of["b"]), made.test).mean() for of in parameters.values()]
    assert accuracy[1:3] == pytest.approx(shares, abs=1e-3)
    assert abs(shares[0] - shares[1]) > 0.005
    apart = max(np.abs(parameters["split"][name] - parameters["whole"][name]).max() for name in ("W", "b"))
    assert off[1:3] == (apart, 0)


def test_14_gives_each_run_its_own_time(load, on_made, monkeypatch, tmp_path):
    lesson = load("14_mnist_softmax_distributed")
    runs, one_graph = [], lesson.in_one_graph

    def keep(step, strategy):
        runs.append(one_graph(step, strategy))
        return runs[-1]

    def times(run, images, sizes):
        assert images == 300
        return np.linspace(1, 2, len(sizes)) * (3 - runs.index(run))  # the first run is the split one

    monkeypatch.setattr(lesson, "in_one_graph", keep)
    monkeypatch.setattr(lesson, "time_steps", times)
    monkeypatch.setattr(lesson, "time_exchanges", lambda strategy, P: np.array([7.0, 8.0]))
    milliseconds = lesson.main(workers=1, steps=5, batch_size=30, figures=tmp_path).milliseconds
    assert len(runs) == 2
    assert {name: float(of[0]) for name, of in milliseconds.items()} == {"split": 3, "exchange": 7, "whole": 2}


def test_14_times_each_size_with_batches_of_that_size(load):
    lesson = load("14_mnist_softmax_distributed")
    given = []
    times = lesson.time_steps(lambda batches: given.append(batches.shape), 300, [30, 60])
    assert times.shape == (2,)
    assert given == [(lesson.TIMED, 30)] * 3 + [(lesson.TIMED, 60)] * 3
    clock = iter([0.0, 9.0, 10.0, 10.5, 20.0, 20.25])  # a slow first call, and then two others
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lesson.time, "perf_counter", lambda: next(clock))
        (milliseconds,) = lesson.time_of(lambda _: None, [None])
    assert milliseconds == pytest.approx(1000 * 0.25 / lesson.TIMED)


def test_14_stops_where_the_split_run_diverges_though_one_worker_does_not(load, on_made, monkeypatch, tmp_path):
    lesson = load("14_mnist_softmax_distributed")
    calls = []

    def train(steps, order, many, at_once=50):
        calls.append(many)
        yield np.float32([2, 1, np.nan, 1, 1]) if len(calls) == 1 else np.ones(5, np.float32)

    monkeypatch.setattr(lesson, "train", train)
    monkeypatch.setattr(lesson, "time_steps", lambda *_: pytest.fail("it goes on"))
    with pytest.raises(lesson.report.DivergedError, match="at step 3: lower --learning-rate"):
        lesson.main(workers=1, steps=5, batch_size=30, figures=tmp_path)
    assert not list(tmp_path.iterdir())
    assert team.alone().workers == 1
