"""The lesson itself, in this process: what is exchanged, what is printed and drawn, what is kept. Its processes are
tested in test_14_processes.py.
"""

import json
import logging
import re
import shutil
import sys
from pathlib import Path

from tf_backprop import datasets, plotting
from tf_backprop.support import checkpoint, drawings
from tf_backprop.support import workers as team
from tf_backprop.support.errors import DataError, DivergedError, UsageError, WorkerError

import numpy as np
import pytest
import tensorflow as tf

STEM = "14_mnist_softmax_distributed"

# The rounding of several workers is two decades below this, and their mistakes are one or two above.
TOLERANCE = 1e-5


def difference(split, whole):
    return max(np.abs(split[name] - whole[name]).max() for name in ("W", "b"))


def by_numpy(lesson, steps, batch_size=128, seed=0):
    """Return W, b and losses of the same training in float64, with the gradient that lessons 08 and 11 derive."""
    images, y = datasets.images("digits").train
    x = images / 255
    W, b, losses = np.zeros((x.shape[1], 10)), np.zeros(10), []
    for batch, _ in zip(lesson.batches(len(y), batch_size, seed), range(steps), strict=False):
        z = x[batch] @ W + b
        p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        losses.append(-np.log(p[np.arange(batch_size), y[batch]]).mean())
        dL_dz = (p - np.eye(10)[y[batch]]) / batch_size
        W, b = W - 0.5 * x[batch].T @ dL_dz, b - 0.5 * dL_dz.sum(axis=0)
    return W, b, losses


def assert_right(result, lesson, steps):
    W, b, losses = by_numpy(lesson, steps)
    for which in ("split", "whole"):
        np.testing.assert_allclose(result.parameters[which]["W"], W, rtol=0, atol=TOLERANCE)
        np.testing.assert_allclose(result.parameters[which]["b"], b, rtol=0, atol=TOLERANCE)
        np.testing.assert_allclose(result.losses[which], losses, rtol=1e-4)
        assert result.milliseconds[which].shape == (len(lesson.SIZES),)
        assert (result.milliseconds[which] > 0).all()
    assert result.milliseconds["exchange"].shape == (2,)
    assert np.abs(W).max() > 0.05, "it has learned something"
    gradient, accuracy, weights = result.comparison
    assert gradient.learned < 1e-6
    assert accuracy.learned == accuracy.expected > 0.8
    off = difference(result.parameters["split"], result.parameters["whole"])
    assert weights.learned == off < TOLERANCE


@pytest.fixture
def warnings():
    """Return the list of what TensorFlow logs during the test."""
    said = []
    listener = logging.Handler()
    listener.emit = lambda record: said.append(record.getMessage())
    tf.get_logger().addHandler(listener)
    yield said
    tf.get_logger().removeHandler(listener)


def test_one_worker_is_the_same_code(lesson, capsys, tmp_path):
    result = lesson.main(workers=1, steps=60, data="digits", figures=tmp_path)
    assert_right(result, lesson, 60)
    for name, value in result.parameters["whole"].items():
        assert (result.parameters["split"][name] == value).all()
    data, worker, steps, header, *printed = capsys.readouterr().out.splitlines()
    figures = printed[3:5]  # by_numpy prints its data too
    assert data.startswith("data: scikit-learn's digits")
    assert worker == "worker 0: images 0 to 127 of a batch; largest error of the exchanged gradient: 0.0e+00"
    assert steps.startswith("steps per second, with 128 images each: ")
    assert header.split() == ["learned", "expected"]
    for line, row in zip(printed, result.comparison, strict=False):
        assert line.split() == [*row.quantity.split(), f"{row.learned:.6g}", f"{row.expected:.6g}"]
    drawn = [tmp_path / f"{STEM}_digits.png", tmp_path / f"{STEM}_times_digits.png"]
    assert figures == [f"figure: {file}" for file in drawn]
    assert sorted(tmp_path.iterdir()) == drawn
    assert result.figure == drawn[0]


def test_a_loss_that_is_not_finite(lesson, tmp_path):
    with pytest.raises(DivergedError, match="at step 2: lower --learning-rate"):
        lesson.main(workers=1, steps=60, learning_rate=3e38, data="digits", figures=tmp_path)


# --------------------------------------------------------------------------------------------------------------------
# Slices and batches


def test_the_mean_of_means_takes_equal_slices(lesson):
    rng = np.random.default_rng(0)
    gradients = rng.normal(size=(128, 7))  # of each image alone
    for workers in (1, 2, 4, 8):
        slices = [lesson.equal_share(128, rank, workers) for rank in range(workers)]
        assert [i for s in slices for i in range(128)[s]] == list(range(128)), "every image once"
        mean = np.mean([gradients[s].mean(axis=0) for s in slices], axis=0)
        np.testing.assert_allclose(mean, gradients.mean(axis=0), rtol=0, atol=1e-15)
        if workers > 1:
            for mistake in ("uneven", "dropped-image"):
                share, _ = lesson.MISTAKES[mistake]
                wrong = [gradients[share(128, rank, workers)].mean(axis=0) for rank in range(workers)]
                assert np.abs(np.mean(wrong, axis=0) - gradients.mean(axis=0)).max() > 1e-4, mistake


def test_what_the_mistakes_do_to_the_slices(lesson):
    def taken(mistake):
        share, _ = lesson.MISTAKES.get(mistake, lesson.RIGHT)
        slices = [share(12, rank, 3) for rank in range(3)]
        return [[*range(12)[s]] for s in slices]

    assert taken("uneven") == [[0, 1, 2, 3, 4], [5, 6, 7], [8, 9, 10, 11]], "the first takes one of the second's"
    assert taken("dropped-image") == [[0, 1, 2], [4, 5, 6, 7], [8, 9, 10, 11]]
    for other in (None, "sum", "no-reduce"):
        assert taken(other) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]


def test_batches_are_a_permutation_an_epoch_and_the_same_for_all(lesson):
    drawn, another = lesson.batches(10, 3, seed=0), lesson.batches(10, 3, seed=0)
    epochs = [np.concatenate([next(drawn) for _ in range(3)]) for _ in range(2)]
    for epoch in epochs:
        assert len(set(epoch.tolist())) == 9
        assert [next(another).tolist() for _ in range(3)] == epoch.reshape(3, 3).tolist()
    assert epochs[0].tolist() != epochs[1].tolist()
    assert next(lesson.batches(10, 3, seed=1)).tolist() != epochs[0][:3].tolist()


# --------------------------------------------------------------------------------------------------------------------
# Times


def test_the_model_is_fitted_and_crosses_where_it_says(lesson):
    sizes, P = np.array([128, 512, 2048]), 650
    ms = {"whole": 0.2 + 0.003 * sizes, "exchange": np.array([1.0 + 1e-4 * P, 1.0 + 1e-2 * P])}
    cost = lesson.fit(sizes, ms, P)
    np.testing.assert_allclose(cost.step(sizes), ms["whole"])
    assert cost.step(1000, 4) == pytest.approx(0.2 + 0.003 * 250 + 1.065)
    assert cost.step(cost.pays(P, 4), 4) == pytest.approx(cost.step(cost.pays(P, 4)))
    assert cost.pays(100 * P, 4) == pytest.approx((1 + 1e-2 * P) / (0.3 * 0.75))


def test_steps_per_second_and_the_crossing_are_printed(lesson, capsys):
    sizes, P = [100, 300], 650
    ms = {"whole": np.array([0.5, 1.0]), "split": np.array([2.0, 2.0]), "exchange": np.array([1.0, 1.0])}
    cost = lesson.fit(sizes, ms, P)
    assert cost.pays(P, 2) == pytest.approx(800)
    lesson.print_speed(100, sizes, ms, 2, cost)
    first, second = capsys.readouterr().out.splitlines()
    assert first == "steps per second, with 100 images each: 500 by 2 workers on this machine, 2,000 by one"
    here = "model: 2 machines are faster than one from 800 images per step on"
    assert second == f"{here}, and with 65,000 parameters from 8 on"
    lesson.print_speed(100, sizes, ms, 1, cost)
    assert capsys.readouterr().out == "steps per second, with 100 images each: 2,000\n"


def test_many_sizes_and_calls_take_one_graph_and_bring_no_warning(lesson, warnings):
    place, parameters = team.alone(), {"W": tf.Variable(tf.zeros([3, 10])), "b": tf.Variable(tf.zeros([10]))}
    images, labels = np.zeros((20, 3), np.uint8), np.zeros(20, np.int64)
    step = lesson.make_step(parameters, images, labels, place, 0.5, *lesson.RIGHT)
    steps = lesson.in_one_graph(step, place.strategy)
    for size in range(1, 13):
        assert steps(np.zeros((size, 2 * size), np.int64)).shape == size
    assert warnings == []
    assert steps.experimental_get_tracing_count() == 1


def test_exchanges_are_timed_again_and_again_without_a_warning(lesson, warnings):
    for _ in range(6):
        assert lesson.time_exchanges(team.alone().strategy, 7).shape == (2,)
    assert warnings == []


# --------------------------------------------------------------------------------------------------------------------
# Figures


def labelled(ax):
    return ax.get_title(), ax.get_xlabel(), ax.get_ylabel()


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_both_losses_are_drawn_and_their_difference_named(lesson):
    losses = {"whole": np.array([2.0, 1.5, 1.0]), "split": np.array([2.0, 1.5 + 2e-7, 1.0])}
    _, ax = plotting.subplots()
    lesson.plot_losses(losses, 2, ax)
    assert labelled(ax) == ("The losses of the two runs differ by at most 2e-07", "step", "loss of the batch")
    for line, name in zip(ax.lines, ("whole", "split"), strict=True):
        assert line.get_xydata().tolist() == [*map(list, enumerate(losses[name], 1))]
    assert legend(ax) == ["one worker, whole batch", "2 workers, a slice each"]


@pytest.mark.parametrize(
    ("split", "said"),
    [([9.0, 9.0], "slower here"), ([0.1, 0.1], "faster here"), ([9.0, 0.1], "slower here with small batches")],
)
def test_measured_times_and_the_model_are_drawn(split, said, lesson):
    sizes, P = [100, 300], 650
    ms = {"whole": np.array([0.5, 1.0]), "split": np.array(split), "exchange": np.array([1.0, 1.0])}
    _, ax = plotting.subplots()
    lesson.plot_times(sizes, ms, 2, lesson.fit(sizes, ms, P), ax)
    assert labelled(ax) == (f"One machine: 2 workers are {said}", "images in a batch", "milliseconds per step")
    drawn = {line.get_label(): line.get_xydata() for line in ax.lines}
    assert drawn["one worker, measured"].tolist() == [[100, 0.5], [300, 1.0]]
    assert drawn["2 workers on this machine, measured"].tolist() == [[100, split[0]], [300, split[1]]]
    n, modelled = drawn["one worker, model"].T
    np.testing.assert_allclose(modelled, 0.25 + 0.0025 * n)
    n, modelled = drawn["2 machines, model"].T
    np.testing.assert_allclose(modelled, 1.25 + 0.00125 * n)
    assert n[0] < 100
    assert n[-1] > 800
    assert drawn["they cross at 800 images"][0, 0] == pytest.approx(800)
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    colours = {line.get_label(): line.get_color() for line in ax.lines}
    assert colours["one worker, measured"] == colours["one worker, model"]
    assert (
        colours["2 workers on this machine, measured"] == colours["2 machines, model"] != colours["one worker, model"]
    )


def test_where_it_pays_is_drawn(lesson):
    _, ax = plotting.subplots()
    lesson.plot_pays(128, 2, lesson.Cost(0.0, 1.0, 400.0, 0.0, 650), ax)
    _, xlabel, ylabel = labelled(ax)
    assert (xlabel, ylabel) == ("parameters of the network", "images in a batch")
    border, here = ax.lines
    np.testing.assert_allclose(border.get_ydata(), 520_000 / border.get_xdata())
    assert here.get_xydata().tolist() == [[650, 128]]
    assert {text.get_text().strip() for text in ax.texts} == {
        "this lesson", "2 machines are faster", "one machine is faster",
    }  # fmt: skip
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert ax.get_title() == "Model: the larger the network, the smaller the batch that pays"
    to_data = ax.transData.inverted()
    for text in ax.texts:
        if "faster" in text.get_text():
            p, n = to_data.transform(ax.transAxes.transform(text.get_position()))
            assert (n > 520_000 / p) == text.get_text().startswith("2 machines"), "it stands on its side of the border"
    (shaded,) = ax.collections
    p, n = shaded.get_paths()[0].vertices.T
    assert (n > 0.999 * 520_000 / p).all(), "where several machines are faster"


@pytest.mark.parametrize(("off", "said"), [(3e-8, "=\nup to\n3e-08"), (0.25, "≠\nby up to\n0.2")])
def test_slices_gradients_and_their_mean_are_drawn(off, said):
    rng = np.random.default_rng(0)
    x, each = rng.random((12, 16)), rng.normal(size=(4, 16))
    mean = each.mean(axis=0)
    whole = mean + off * (np.arange(16) == 3)
    _, ax = plotting.subplots()
    drawings.exchange(ax, x, [slice(3 * k, 3 * k + 3) for k in range(4)], each, mean, whole, digit=7)
    pictures = {inset.get_title(): np.asarray(inset.images[0].get_array()) for inset in ax.child_axes}
    assert (pictures["their mean, which\nall workers get"] == mean.reshape(4, 4)).all()
    assert (pictures["gradient of\nthe whole batch"] == whole.reshape(4, 4)).all()
    strip = pictures["worker 1: W, b and\nimages 3 to 5 of the batch"]
    assert (strip == np.hstack([image.reshape(4, 4) for image in x[3:6]])).all()
    gradients = [inset for inset in ax.child_axes if inset.get_title() == "its gradient,\nweights of the 7"]
    for inset, own in zip(gradients, each, strict=False):  # three of the four
        assert (np.asarray(inset.images[0].get_array()) == own.reshape(4, 4)).all()
        low, high = inset.images[0].get_clim()
        assert low == -high, "white is zero"
    texts = {text.get_text() for text in ax.texts}
    assert texts >= {said, "What travels: 170 numbers", "... to worker 3"}


# --------------------------------------------------------------------------------------------------------------------
# Arguments


def test_a_notebook_has_one_worker_and_says_so(lesson, monkeypatch, capsys, tmp_path):
    assert team.to_start(None) == 2
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    assert team.to_start(None) == 1
    assert capsys.readouterr().out == "workers: one, since no other process could run a notebook's cells\n"
    with pytest.raises(WorkerError, match="take --workers 1, or the script"):
        lesson.main(workers=2, data="digits", figures=tmp_path)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"batch_size": 127}, "--batch-size must be a multiple of the 2 workers, not 127"),
        ({"workers": 0}, "--workers must be a whole number from 1 to 64, not 0"),
        ({"workers": 10**6}, "--workers must be a whole number from 1 to 64, not 1000000"),
        ({"workers": 1, "mistake": "sum"}, "--mistake needs --workers 2 or more"),
        ({"batch_size": 2, "mistake": "uneven"}, "--mistake needs --workers 2 or more"),
        ({"mistake": "sum", "checkpoint": Path("x")}, "--checkpoint and --mistake exclude each other"),
        ({"start_timeout": 0.0}, "--start-timeout"),
        ({"steps": 0}, "--steps"),
    ],
)
def test_wrong_arguments_start_nothing(wrong, said, lesson, tmp_path):
    with pytest.raises(UsageError, match=said):
        lesson.main(**{"data": "digits", "figures": tmp_path} | wrong)
    assert not list(tmp_path.iterdir())


def config(workers, index=0, kind="worker", **others):
    return json.dumps({"cluster": {"worker": workers} | others, "task": {"type": kind, "index": index}})


TWO = ["10.0.0.1:2222", "10.0.0.2:2222"]


@pytest.mark.parametrize("index", [1, "1"])
def test_a_right_TF_CONFIG(index, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", config([*TWO, "[::1]:65535"], index))
    assert team._cluster() == ([*TWO, "[::1]:65535"], 1)
    assert team.to_start(7) == 3, "it has the last word"


@pytest.mark.parametrize(
    "wrong",
    [
        *("{", "[]", "3", "null", '"worker"', "{}", '{"cluster": ["worker"], "task": "worker"}'),
        *(config([]), config(None), config("10.0.0.1:2222"), config({"0": TWO[0]}), config([1, 2]), config([None])),
        *(config(["10.0.0.1"]), config(["10.0.0.1:"]), config([":2222"]), config(["10.0.0.1:http"])),
        *(config([f"10.0.0.1:{port}"]) for port in ("0", "65536", "-1", "1e3", "22 22", "²", "9" * 5000)),
        *(config(TWO, index) for index in (2, -1, 0.5, True, None, "a", [], 1e400)),
        *(config(TWO, kind="ps"), config(TWO, chief=["10.0.0.3:2222"]), config([TWO[0], TWO[0]])),
    ],
)
def test_a_wrong_TF_CONFIG(wrong, lesson, monkeypatch, tmp_path):
    monkeypatch.setenv("TF_CONFIG", wrong)
    monkeypatch.setattr(team, "_meet", None)
    with pytest.raises(UsageError, match="TF_CONFIG must be of the form") as said:
        lesson.main(data="digits", figures=tmp_path)
    assert "\n" not in str(said.value)


# --------------------------------------------------------------------------------------------------------------------
# Who is named


@pytest.fixture
def cluster(monkeypatch):
    """Let `join` believe that it has met two others."""
    monkeypatch.setenv("TF_CONFIG", config([*TWO, "10.0.0.3:2222"], 1))
    monkeypatch.setenv("no_grpc_proxy", "")
    monkeypatch.setattr(team, "_meet", lambda addresses, rank, seconds: None)
    monkeypatch.setattr(tf.distribute, "MultiWorkerMirroredStrategy", tf.distribute.get_strategy)


@pytest.mark.parametrize(
    ("said", "rank"),
    [  # what TensorFlow says to worker 1 of three
        (
            "Connection reset\nAdditional GRPC error information from remote target /job:worker/replica:0/task:2 while",
            2,
        ),
        ("failed to connect\nremote target /job:worker/replica:0/task:0 while\n/job:worker/replica:0/task:2", 0),
        ("Error reported from /job:worker/task:1: The following tasks are unhealthy:\n/job:worker/replica:0/task:2", 2),
        ("Deadline Exceeded\n\nRPC: /tensorflow.CoordinationService/Heartbeat", 0),
    ],
)
@pytest.mark.parametrize("kind", [tf.errors.UnavailableError, tf.errors.DeadlineExceededError, tf.errors.AbortedError])
def test_a_worker_names_the_one_that_it_lost(kind, said, rank, cluster):
    message = f"lost another worker: worker {rank} (10.0.0.{rank + 1}:2222)"
    with pytest.raises(WorkerError, match=f"^{re.escape(message)}$"), team.join(60):
        raise kind(None, None, f"Graph execution error:\n\nCollective ops is aborted by: {said}")


def test_what_is_wrong_with_the_lesson_is_not_taken_for_a_loss(cluster):
    with team.join(60) as place:
        assert (place.rank, place.workers) == (1, 3)
    with pytest.raises(tf.errors.InvalidArgumentError, match="shapes"), team.join(60):
        raise tf.errors.InvalidArgumentError(None, None, "shapes")


class Ended:
    """A worker as the launcher sees it."""

    def __init__(self, rank, status, lost=False):
        self.rank, self._status, self._lost = rank, status, lost

    def status(self):
        return self._status

    def lost_another(self):
        return self._lost

    def error(self):
        return WorkerError(f"worker {self.rank}")


@pytest.mark.parametrize(
    ("workers", "said"),
    [
        ([Ended(0, 1, lost=True), Ended(1, 1)], "worker 1"),
        ([Ended(0, 1), Ended(1, -9)], "worker 1"),
        ([Ended(0, -6), Ended(1, -9)], "worker 1"),
        ([Ended(0, -6, lost=True), Ended(1, 1)], "worker 1"),
        ([Ended(0, 1, lost=True), Ended(1, None)], "no sign of life from worker 1"),
        ([Ended(0, None), Ended(1, 1, lost=True), Ended(2, None)], "no sign of life from worker 0 and worker 2"),
        ([Ended(0, 1, lost=True), Ended(1, 1, lost=True)], "worker 0"),
        ([Ended(0, 1, lost=True), Ended(1, 0)], "worker 0"),
    ],
)
def test_the_launcher_names_the_cause(workers, said, monkeypatch):
    monkeypatch.setattr(team, "GRACE", 0.0)
    with pytest.raises(WorkerError, match=f"^{said}$"):
        team._require_well(workers)


def test_workers_that_have_ended_well(monkeypatch):
    team._require_well([Ended(0, 0), Ended(1, 0)])


# --------------------------------------------------------------------------------------------------------------------
# Checkpoints


@pytest.fixture(scope="module")
def sixty(lesson, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sixty")
    lesson.main(workers=1, steps=60, data="digits", checkpoint=folder / "kept", figures=folder)
    return folder / "kept"


@pytest.fixture
def kept(sixty, tmp_path):
    """Return a folder with a checkpoint of 60 steps, the test's own."""
    return shutil.copytree(sixty, tmp_path / "kept")


def test_more_steps_go_on_where_it_ended(kept, lesson, monkeypatch, tmp_path):
    done, save = [], checkpoint.save

    def watched(folder, arrays, settings):
        done.append(len(arrays["losses"]))
        save(folder, arrays, settings)

    monkeypatch.setattr(checkpoint, "save", watched)
    more = lesson.main(workers=1, steps=120, data="digits", checkpoint=kept, figures=tmp_path)
    assert_right(more, lesson, 120)
    assert done == [60 + 50, 120], "and not from the start"
    assert [file.name for file in kept.iterdir()] == ["training.npz"]
    for name, value in more.parameters["whole"].items():
        assert (more.parameters["split"][name] == value).all(), "the same bits as without a break"


def test_a_checkpoint_of_other_settings(kept, lesson, tmp_path):
    with pytest.raises(UsageError, match=r"kept holds a training with batch_size 128, not 64, seed 0, not 3$"):
        lesson.main(workers=1, batch_size=64, seed=3, data="digits", checkpoint=kept, figures=tmp_path)


def test_a_checkpoint_of_more_steps(kept, lesson, tmp_path):
    with pytest.raises(UsageError, match=r"kept holds 60 steps, more than --steps 50$"):
        lesson.main(workers=1, steps=50, data="digits", checkpoint=kept, figures=tmp_path)


def assert_refused(kept, lesson, tmp_path):
    with pytest.raises(DataError, match=r"training.npz: holds no whole training; remove it, or name another") as said:
        lesson.main(workers=1, steps=90, data="digits", checkpoint=kept, figures=tmp_path)
    assert "\n" not in str(said.value)


def test_half_a_checkpoint(kept, lesson, tmp_path):
    file = kept / "training.npz"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    assert_refused(kept, lesson, tmp_path)


ARRAYS = {"losses": np.arange(60, dtype=np.float32), "W": np.random.default_rng(0).normal(size=(64, 10))}
SETTINGS = {"workers": 2, "learning_rate": 0.5, "data": "digits"}


def test_what_is_kept_comes_back_to_the_bit_and_alone(tmp_path):
    assert checkpoint.restore(tmp_path / "new" / "folder", SETTINGS) == {}
    for steps in (30, 60):
        checkpoint.save(tmp_path / "new" / "folder", ARRAYS | {"losses": ARRAYS["losses"][:steps]}, SETTINGS)
    found = checkpoint.restore(tmp_path / "new" / "folder", SETTINGS)
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype
        assert (found[name] == array).all()


def test_any_damaged_checkpoint_is_refused_or_whole(tmp_path):
    checkpoint.save(tmp_path, ARRAYS, SETTINGS)
    file = tmp_path / "training.npz"
    whole = file.read_bytes()
    damaged = [whole[:length] for length in range(0, len(whole), 97)]
    for place in {*range(0, len(whole), 61), *range(len(whole) - 300, len(whole))}:  # its directory is at the end
        flipped = bytearray(whole)
        flipped[place] ^= 0x41
        damaged.append(bytes(flipped))
    other = tmp_path / "other"
    other.mkdir()
    np.save(other / "an.npy", np.zeros(3))
    np.savez(other / "a.npz", a=1)
    np.savez(other / "b.npz", settings="3", **ARRAYS)
    refused = []
    for content in [*damaged, *(each.read_bytes() for each in other.iterdir()), b"text", b""]:
        file.write_bytes(content)
        try:
            found = checkpoint.restore(tmp_path, SETTINGS)
        except DataError as error:
            refused.append(str(error))
        else:  # the byte means nothing, like a date
            assert all((found[name] == array).all() for name, array in ARRAYS.items())
    assert len(refused) > 100
    assert set(refused) == {f"{file}: holds no whole training; remove it, or name another folder"}


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(tmp_path, monkeypatch):
    checkpoint.save(tmp_path, ARRAYS, SETTINGS)

    def full(file, **content):
        file.write(b"PK")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(DataError, match="No space left"):
        checkpoint.save(tmp_path, ARRAYS | {"losses": np.zeros(90)}, SETTINGS)
    assert [file.name for file in tmp_path.iterdir()] == ["training.npz"]
    assert len(checkpoint.restore(tmp_path, SETTINGS)["losses"]) == 60


def test_a_folder_that_cannot_be(lesson, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(DataError, match=r"file/kept: Not a directory"):
        lesson.main(workers=1, data="digits", checkpoint=tmp_path / "file" / "kept", figures=tmp_path)


def test_where_several_workers_cannot_be_it_takes_one_and_says_why(monkeypatch, capsys):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    monkeypatch.delattr(team.socket, "SO_REUSEPORT", raising=False)  # as on Windows
    assert team.to_start(None) == 1
    assert capsys.readouterr().out == "workers: one, since several take Linux or macOS\n"
    assert team.to_start(2) == 2, "and launch refuses it"
