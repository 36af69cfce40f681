from gradients import assert_gradients_right
from tf_backprop import datasets
from tf_backprop.support.errors import GradientError, UsageError
from tools import ledger

import numpy as np
import pytest


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def exact(x, y):
    """Return the root of mean(σ(x + A) - y), which rises with A, by halving an interval."""
    low, high = -20.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if np.mean(sigmoid(x.astype(float) + middle) - y) < 0 else (low, middle)
    return low


def scatter(x, y, optimum, rate):
    """Return the standard deviation of A around its optimum: sqrt(rate v / 2h), to first order in the rate.

    Near the optimum a step multiplies A - A* by 1 - rate h, where h = mean(p (1 - p)), and adds rate times a noise of
    variance v = mean((p - y)²).
    """
    p = sigmoid(x + optimum)
    return np.sqrt(rate * np.mean((p - y) ** 2) / (2 * np.mean(p * (1 - p))))


@pytest.fixture(scope="module")
def runs(lesson):
    """Return x, y, trajectory, losses and optimum for many seeds, run as the lesson runs them."""
    trajectories, losses, xs, ys = ledger.many_seeds(lesson, datasets.two_classes, 40, 1400, 0.05)
    return [(x, y, A, L, exact(x, y)) for x, y, A, L in zip(xs, ys, trajectories.T, losses.T, strict=True)]


@pytest.mark.parametrize("seed", range(5))
def test_gradient(lesson, seed):
    rng = np.random.default_rng(seed)
    x, y = datasets.two_classes(rng)
    some = rng.permutation(len(x))[:7]
    A = rng.normal(0, 2)
    assert_gradients_right(lesson.loss, lesson.gradients_by_hand, lesson.gradients_by_tape, A, (x[some], y[some]))


def test_a_wrong_gradient_is_an_error_and_nothing_is_trained_or_drawn(lesson, tmp_path, monkeypatch):
    right = lesson.gradients_by_hand
    monkeypatch.setattr(lesson, "gradients_by_hand", lambda A, x, y: -right(A, x, y))
    monkeypatch.setattr(lesson, "train", lambda *_: pytest.fail("it was trained"))
    with pytest.raises(GradientError, match="dL_dA: not what the loss says"):
        lesson.main(figures=tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_loss_is_the_one_of_the_docstring(lesson):
    x, y = datasets.two_classes(np.random.default_rng(1))
    p = sigmoid(x.astype(float) - 0.5)
    each = -y * np.log(p) - (1 - y) * np.log(1 - p)
    np.testing.assert_allclose(lesson.losses_of_samples(np.float32(-0.5), x, y), each, rtol=1e-4)
    assert float(lesson.loss(np.float32(-0.5), x, y)) == pytest.approx(np.mean(each), rel=1e-5)


@pytest.mark.parametrize("z", [-200.0, -1.0, 0.0, 1.0, 200.0])
@pytest.mark.parametrize("y", [0.0, 1.0])
def test_the_loss_is_tensorflows_formula_of_the_comment(lesson, z, y):
    formula = max(z, 0) - y * z + np.log(1 + np.exp(-abs(z)))
    assert float(lesson.losses_of_samples(z, 0.0, y)) == pytest.approx(formula, rel=1e-5)


def test_result_is_what_happened(lesson, tmp_path):
    result = lesson.main(seed=3, figures=tmp_path)
    rng = np.random.default_rng(3)
    x, y = datasets.two_classes(rng)
    start, order = rng.normal(10, 1), rng.integers(len(x), size=1400)
    assert result.trajectory.shape == result.losses.shape == (1400,)
    first, last = order[0], order[-1]
    assert result.trajectory[0] == pytest.approx(start - 0.05 * (sigmoid(x[first] + start) - y[first]), rel=1e-5)
    A = result.trajectory[-1]
    assert result.losses[-1] == pytest.approx(-np.log(sigmoid((2 * y[last] - 1) * (x[last] + A))), rel=1e-4)
    assert result.optimum == pytest.approx(exact(x, y), abs=1e-5)
    assert result.accuracy == pytest.approx(np.mean(np.round(sigmoid(x + A)) == y))
    answer = result.comparison[-1]
    assert answer[:4] == ("A at step 1400", pytest.approx(A), result.optimum, lesson.PUBLISHED[1400])
    printed = [1.0, *lesson.PUBLISHED_LOSSES.values(), *lesson.PUBLISHED.values()]
    assert [row.published for row in result.comparison] == printed


@pytest.mark.parametrize("seed", [6, 8])
def test_the_expected_accuracy_is_that_of_the_optimum_also_where_it_is_another(lesson, tmp_path, seed):
    result = lesson.main(seed=seed, figures=tmp_path)
    x, y = datasets.two_classes(np.random.default_rng(seed))
    best = np.mean((x + exact(x, y) > 0) == (y == 1))
    (row,) = (row for row in result.comparison if row.quantity == "accuracy")
    assert row[:4] == ("accuracy", result.accuracy, pytest.approx(best), 1.0)
    assert row.learned != row.expected


def test_the_printed_table_has_what_is_returned_and_what_the_document_printed(lesson, default_run):
    result, printed = default_run("02_binary_classification")
    lines = printed.splitlines()
    by_quantity = {line.partition("  ")[0]: line.partition("  ")[2].split(maxsplit=3) for line in lines}
    best = lesson.accuracy(result.optimum, *datasets.two_classes(np.random.default_rng(0)))
    assert by_quantity["accuracy"] == [f"{result.accuracy:g}", f"{best:g}", "1", "printed by the document"]
    for step in range(200, 1401, 200):
        A = float(result.trajectory[step - 1])
        expected = f"{result.optimum:.6g}" if step == 1400 else "-"
        document = f"{lesson.PUBLISHED[step]:.6g}"
        assert by_quantity[f"A at step {step}"] == [f"{A:.6g}", expected, document, "printed by the document"]
        loss = float(result.losses[step - 1])
        document = f"{lesson.PUBLISHED_LOSSES[step]:.6g}"
        columns = by_quantity[f"loss of one random sample, step {step}"]
        assert columns == [f"{loss:.6g}", "-", document, "printed by the document"]
    assert len(lines) <= 20


def test_figure_has_the_classes_the_boundary_and_the_descent(lesson, default_result):
    x, y = datasets.two_classes(np.random.default_rng(0))
    left, right = lesson.plot(x, y, default_result.trajectory, default_result.optimum).axes
    A = default_result.trajectory[-1]
    lines = {line.get_label(): line for line in left.lines}
    for label, name in enumerate(("class 0", "class 1")):
        np.testing.assert_array_equal(lines[name].get_xdata(), x[y == label])
    curve = lines["p = σ(x + A)"]
    np.testing.assert_allclose(curve.get_ydata(), sigmoid(curve.get_xdata() + A), rtol=1e-6)
    assert set(lines["boundary"].get_xdata()) == {-A}
    written = {text.get_text(): text for text in left.texts}
    assert set(written) == {"class 0", "class 1", "p = σ(x + A)", f"x = -A = {-A:.2f}"}
    for name in ("class 0", "class 1", "p = σ(x + A)"):
        assert written[name].get_color() == lines[name].get_color()
    at, height = written["p = σ(x + A)"].xy
    assert height == pytest.approx(sigmoid(at + A), rel=1e-6), "it stands at its curve"
    assert written[f"x = -A = {-A:.2f}"].xy[0] == -A
    for label in (0, 1):
        assert written[f"class {label}"].xy[0] == x[y == label].mean()
    assert (left.get_xlabel(), left.get_ylabel()) == ("x", "density; probability p of class 1")
    assert left.get_title() == "The boundary is where p crosses one half"
    for density, label in zip(left.collections, (0, 1), strict=True):
        at, height = density.get_paths()[0].vertices.T
        mean, sd = x[y == label].mean(), x[y == label].std()
        above = height > 0
        normal = np.exp(-(((at[above] - mean) / sd) ** 2) / 2) / (sd * np.sqrt(2 * np.pi))
        np.testing.assert_allclose(height[above], normal, rtol=1e-4)
        assert above.sum() == 200

    lines = {line.get_label(): line for line in right.lines}
    assert list(lines["A learned here"].get_xdata()) == list(range(1, 1401))
    np.testing.assert_array_equal(lines["A learned here"].get_ydata(), default_result.trajectory)
    assert set(lines["exact optimum"].get_ydata()) == {default_result.optimum}
    dots = lines["printed by the document"]
    assert dict(zip(dots.get_xdata(), dots.get_ydata(), strict=True)) == lesson.PUBLISHED
    optimum = f"{default_result.optimum:.4g}"
    names = {f"exact optimum {optimum}": "exact optimum"} | {name: name for name in lines if name != "exact optimum"}
    assert {text.get_text(): text.get_color() for text in right.texts} == {
        text: lines[name].get_color() for text, name in names.items()
    }
    assert (right.get_xlabel(), right.get_ylabel(), right.get_yscale()) == ("step", "A", "linear")
    assert right.get_title() == f"A falls fast, and then wanders around {optimum}"


def test_reaches_the_optimum_from_many_seeds(runs):
    # In units of the scatter that the noise gives, 40 ends should have mean 0 and sd 1.
    distances = [(t[-1] - optimum) / scatter(x, y, optimum, 0.05) for x, y, t, _, optimum in runs]
    assert np.max(np.abs(distances)) < 4
    assert abs(np.mean(distances)) < 4 / np.sqrt(len(runs))
    assert 0.6 < np.std(distances) < 1.5


def test_published_numbers_are_within_the_spread(lesson, runs):
    trajectories = np.array([trajectory for _, _, trajectory, _, _ in runs])
    assert list(lesson.PUBLISHED) == list(range(200, 1401, 200))
    for step, published in lesson.PUBLISHED.items():
        at = trajectories[:, step - 1]
        assert abs(published - at.mean()) < 2.5 * at.std()
    losses = np.array([losses for _, _, _, losses, _ in runs])
    assert list(lesson.PUBLISHED_LOSSES) == list(lesson.PUBLISHED)
    for step, published in lesson.PUBLISHED_LOSSES.items():
        around = losses[:, step - 10 : step + 10]
        assert around.min() < published < around.max()
    accuracies = [lesson.accuracy(trajectory[-1], x, y) for x, y, trajectory, _, _ in runs]
    assert np.mean(accuracies) == pytest.approx(0.977, abs=0.01)  # P(N(0, 1) < 2): the means are 4 apart
    assert np.mean(np.equal(accuracies, lesson.PUBLISHED_ACCURACY)) < 0.5, "a lucky draw"
    assert max(accuracies) == lesson.PUBLISHED_ACCURACY


def test_the_data_of_the_documents_comments_would_give_zero():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(-1, 1, 500), rng.normal(1, 1, 500)])
    assert exact(x, np.repeat([0, 1], 500)) == pytest.approx(0, abs=0.16)  # 5 sd: 0.032 over 200 such samples
    assert exact(*datasets.two_classes(rng)) == pytest.approx(-1, abs=0.5)


def test_try_larger_rate_is_sooner_there_and_wanders_farther(lesson, tmp_path, runs):
    result = lesson.main(learning_rate=1.0, figures=tmp_path)
    x, y, slow, _, optimum = runs[0]
    assert result.optimum == pytest.approx(optimum, abs=1e-5)
    arrival, usual = (np.argmax(np.abs(t - optimum) < 0.1) for t in (result.trajectory, slow))
    assert 0 < arrival < usual / 5
    late = np.std(result.trajectory[200:])
    assert late == pytest.approx(scatter(x, y, optimum, 1.0), rel=0.4)
    assert late > 3 * scatter(x, y, optimum, 0.05)


def test_try_seed_5_is_a_lucky_draw(lesson, tmp_path):
    assert lesson.main(seed=5, figures=tmp_path).accuracy == 1
    assert lesson.main(figures=tmp_path).accuracy < 1


def test_a_few_steps_have_no_published_number(lesson, tmp_path):
    result = lesson.main(steps=1, figures=tmp_path)
    assert [row.quantity for row in result.comparison] == ["accuracy", "A at step 1"]


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"learning_rate": 0.0}, {"seed": -1}])
def test_wrong_arguments(lesson, tmp_path, wrong):
    with pytest.raises(UsageError, match=f"--{next(iter(wrong)).replace('_', '-')} must be"):
        lesson.main(**wrong, figures=tmp_path)
