"""Several workers as real processes, in a network namespace of their own: TensorFlow listens on every interface."""

import json
import logging
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

from tf_backprop import datasets, lessons
from tf_backprop import workers as team
from tf_backprop.errors import DataError, UsageError, WorkerError

import numpy as np
import pytest

SCRIPT = lessons.SCRIPTS / "14_mnist_softmax_distributed.py"
ALONE = ["unshare", "-rn", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
PROXIES = dict.fromkeys(("http_proxy", "https_proxy", "grpc_proxy"), "http://192.0.2.1:9")
ADDRESS = "127.0.0.1:{}"
FOREVER = "1000000"  # steps
STEPS = 1000  # so many that a worker can be killed in the middle

# The rounding of several workers is two decades below this, and their mistakes are one or two above.
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def alone():
    """Return what a command starts with that runs in a private network namespace."""
    try:
        subprocess.run([*ALONE, "true"], check=True, capture_output=True, timeout=20)
    except (OSError, subprocess.SubprocessError) as refused:
        pytest.skip(f"the system gives no private network namespace: {refused}")
    return ALONE


@pytest.fixture
def start(alone, tmp_path):
    """Return a function that starts the lesson, or a copy, on the digits; what still runs in the end is killed."""

    def start_one(*arguments, script=SCRIPT, prefix=alone, **environment):
        variables = {k: v for k, v in os.environ.items() if not k.startswith("TF_") and not k.endswith("_proxy")}
        process = subprocess.Popen(
            [*prefix, sys.executable, script, "--data=digits", f"--figures={tmp_path / 'figures'}", *arguments],
            env=variables | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=hear_signals,
        )
        started.append(process)
        return process

    started = []
    yield start_one
    kill_all_that_name(tmp_path)
    for process in started:
        process.communicate()


def hear_signals():
    """Undo what a shell does to a command that it starts in the background, or nohup, and its children inherit."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def kill_all_that_name(folder):
    """Kill the processes with `folder` among their arguments: workers are in sessions of their own."""
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(folder).encode() in command.read_bytes():
                os.kill(int(command.parent.name), signal.SIGKILL)
        except OSError:  # it has ended
            continue


def workers_of(process):
    """Return the process ids of the workers that a launcher has started, in the order of their ranks."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    ranks = {rank_of(pid): int(pid) for pid in children}
    ranks.pop(None, None)  # a child that is no worker, or is not one yet: it starts with its launcher's environment
    return [ranks[rank] for rank in sorted(ranks)]


def rank_of(pid):
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:  # it was no worker, and has ended
        return None
    config = environment.partition(b"TF_CONFIG=")[2].partition(b"\0")[0]
    return json.loads(config)["task"]["index"] if config else None


def until(condition, seconds=90):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.02)


def training(process):
    """Wait until all of two workers train, and return their process ids."""
    for rank in sorted(process.stdout.readline().partition(":")[0] for _ in range(3)):
        assert rank in ("data", "worker 0", "worker 1"), rank
    return workers_of(process)


def running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


#: TensorFlow before 2.21 lets a few lines through in a worker that has no launcher to set them aside.
OLD = tuple(int(part) for part in metadata.version("tensorflow").split(".")[:2]) < (2, 21)
LOG = re.compile(r"WARNING: All log messages before absl|[IWE]\d{4} ")


def lines_of(err):
    """Return the lines of standard error, without those of TensorFlow's log that cannot be helped."""
    return [line for line in err.splitlines() if not (OLD and LOG.match(line))]


def ended(process, pids, seconds, status=1):
    """Return the last line of what went wrong, when all has ended in time and nothing is left."""
    before = time.monotonic()
    _, err = process.communicate(timeout=seconds + 60)
    assert time.monotonic() - before < seconds
    assert process.returncode == status
    until(lambda: not any(map(running, pids)), 5)
    (line,) = lines_of(err)
    return line


DRIVER = """
import json, pickle, sys
from tf_backprop import cli, lessons
arguments = json.loads(sys.argv[3])
result = lessons.load(lessons.Path(sys.argv[1])).main(data="digits", **arguments)
pickle.dump(tuple(result), open(sys.argv[2], "wb"))
assert "tensorflow.python" not in sys.modules, "a launcher waits for seconds for what its workers alone need"
"""


@pytest.fixture(scope="module")
def run(alone, lesson, tmp_path_factory):
    """Return a function that calls the lesson's main in a process of its own and returns its result."""

    def call(**arguments):
        folder = tmp_path_factory.mktemp("run")
        arguments = {"figures": str(folder)} | {k: str(v) if isinstance(v, Path) else v for k, v in arguments.items()}
        code = DRIVER.replace("lessons.Path", "__import__('pathlib').Path")
        command = [*alone, sys.executable, "-c", code, SCRIPT, folder / "result", json.dumps(arguments)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=240)
        finally:
            kill_all_that_name(folder)
        assert (done.returncode, done.stderr) == (0, "")
        return lesson.Distributed(*pickle.loads((folder / "result").read_bytes()))

    return call


@pytest.fixture(scope="module")
def two(run):
    return run(steps=STEPS)


def difference(split, whole):
    return max(np.abs(split[name] - whole[name]).max() for name in ("W", "b"))


def by_numpy(lesson, steps, batch_size=128, seed=0):
    """Return W, b and losses of the same training in float64, with the gradient that lessons 08 and 11 derive."""
    x, y = datasets.images("digits").train
    W, b, losses = np.zeros((x.shape[1], 10)), np.zeros(10), []
    for batch, _ in zip(lesson.batches(len(y), batch_size, seed), range(steps), strict=False):
        z = x[batch].astype(float) @ W + b
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
        assert (result.milliseconds[which] > 0).all()
    assert np.abs(W).max() > 0.05, "it has learned something"
    gradient, accuracy, weights = result.comparison
    assert gradient.learned < 1e-6
    assert accuracy.learned == accuracy.expected > 0.8
    off = difference(result.parameters["split"], result.parameters["whole"])
    assert weights.learned == off < TOLERANCE


def test_two_workers_are_one_and_are_numpy(two, lesson):
    assert_right(two, lesson, STEPS)
    assert two.milliseconds["exchange"].shape == (2,)
    assert two.milliseconds["split"].shape == (len(lesson.SIZES),)
    assert two.figure.stat().st_size > 30_000


def test_one_worker_is_the_same_code(lesson, tmp_path):
    result = lesson.main(workers=1, steps=60, data="digits", figures=tmp_path)
    assert_right(result, lesson, 60)
    for name, value in result.parameters["whole"].items():
        assert (result.parameters["split"][name] == value).all()


# The lesson's own parts, several trainings in the same workers.
SEVERAL = """
import pickle
from pathlib import Path
from tf_backprop import cli, datasets, lessons
from tf_backprop import workers as team

lesson = lessons.load(Path({script!r}))


def main(workers: int, mistakes: str, file: Path):
    if team.to_start(workers, 128, None, None) > 1:
        return team.launch(main, locals(), workers, 60)
    with team.join(60) as place:
        images, found = datasets.images("digits", None, 128).train, {{}}
        for mistake in mistakes.split(","):
            parameters, run, compare = lesson.make(place, images, 0.5, mistake if mistake != "none" else None)
            order = lambda: lesson.batches(len(images.y), 128, 0)
            _, exchanged, whole = compare(next(order()))
            gradient = max(abs(exchanged[name] - whole[name]).numpy().max() for name in whole)
            found[mistake] = gradient, *lesson.train(run, parameters, order(), 100, team.Keeper())
        if place.rank == 0:
            file.write_bytes(pickle.dumps(found))
        return team.report(())


cli.run(main)
"""


@pytest.fixture(scope="module")
def several(alone, tmp_path_factory):
    """Return a function that trains, with each mistake, for 100 steps: error of the gradient, losses, parameters."""

    def train(workers, *mistakes):
        folder = tmp_path_factory.mktemp("several")
        script, file = folder / "several.py", folder / "found"
        script.write_text(SEVERAL.format(script=str(SCRIPT)), encoding="utf-8")
        options = [f"--workers={workers}", f"--mistakes={','.join(mistakes)}", f"--file={file}"]
        try:
            done = subprocess.run(
                [*alone, sys.executable, script, *options], capture_output=True, text=True, timeout=240
            )
        finally:
            kill_all_that_name(folder)
        assert (done.returncode, done.stderr) == (0, "")
        return pickle.loads(file.read_bytes())

    return train


def test_four_workers(several, lesson):
    gradient, losses, parameters = several(4, "none")["none"]
    W, b, expected = by_numpy(lesson, 100)
    assert gradient < 1e-6
    assert difference(parameters, {"W": W, "b": b}) < TOLERANCE
    np.testing.assert_allclose(losses, expected, rtol=1e-4)


# By how much W or b is wrong, at the least, after 100 steps on the digits.
LEAST = {"sum": 0.1, "uneven": 5e-4, "no-reduce": 0.02, "dropped-image": 1e-3}


def test_how_far_a_mistake_goes_wrong(several, lesson):
    assert set(LEAST) == set(lesson.MISTAKES)
    found = several(2, *LEAST)
    W, b, _ = by_numpy(lesson, 100)
    for mistake, (gradient, losses, parameters) in found.items():
        assert difference(parameters, {"W": W, "b": b}) > LEAST[mistake], mistake
        assert gradient > 1e-4, f"{mistake}: the first gradient tells it already"
        assert losses[-10:].mean() < losses[:10].mean() / 2, f"{mistake}: and the loss does not"


def test_the_model_is_fitted_and_crosses_where_it_says():
    sizes, P = np.array([128, 512, 2048]), 650
    ms = {"whole": 0.2 + 0.003 * sizes, "exchange": np.array([1.0 + 1e-4 * P, 1.0 + 1e-2 * P])}
    step, pays = team.model(sizes, ms, P, 4)
    np.testing.assert_allclose(step(sizes), ms["whole"])
    assert step(1000, 4) == pytest.approx(0.2 + 0.003 * 250 + 1.065)
    assert step(pays(P), 4) == pytest.approx(step(pays(P)))
    assert pays(100 * P) == pytest.approx((1 + 1e-2 * P) / (0.3 * 0.75))


def test_steps_a_second_and_the_crossing_are_printed(capsys):
    sizes, P = [100, 300], 650
    ms = {"whole": np.array([0.5, 1.0]), "split": np.array([2.0, 2.0]), "exchange": np.array([1.0, 1.0])}
    _, pays = team.print_speed(100, sizes, ms, P, 2)
    first, second = capsys.readouterr().out.splitlines()
    assert first == "steps of 100 images a second: 500 by 2 workers on this machine, 2,000 by one"
    assert pays(P) == pytest.approx(800)
    assert second == "model: 2 machines are faster than one from 800 images a step on, with 65,000 parameters from 8"
    team.print_speed(100, sizes, ms, P, 1)
    assert capsys.readouterr().out == "steps of 100 images a second: 2,000\n"


def test_many_sizes_and_calls_take_one_graph_and_bring_no_warning(lesson):
    import tensorflow as tf

    images = datasets.Labelled(np.zeros((20, 3), np.float32), np.zeros(20, np.int64))
    _, steps, _ = lesson.make(team.alone(), images, 0.5)
    said = []
    listener = logging.Handler()
    listener.emit = said.append
    tf.get_logger().addHandler(listener)
    try:
        for size in range(1, 13):
            assert steps(np.zeros((size, 2 * size), np.int64)).shape == size
    finally:
        tf.get_logger().removeHandler(listener)
    assert said == []
    assert steps.experimental_get_tracing_count() == 1


def test_a_notebook_has_one_worker_and_says_so(lesson, monkeypatch, capsys, tmp_path):
    assert team.to_start(None, 128, None, None) == 2
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    assert team.to_start(None, 128, None, None) == 1
    assert capsys.readouterr().out == "workers: one, since no other process could run a notebook's cells\n"
    with pytest.raises(WorkerError, match="take --workers 1, or the script"):
        lesson.main(workers=2, data="digits", figures=tmp_path)


def test_the_mean_of_means_takes_equal_slices(lesson):
    rng = np.random.default_rng(0)
    gradients = rng.normal(size=(128, 7))  # of each image alone
    for workers in (1, 2, 4, 8):
        places = [team.Place(None, rank, workers) for rank in range(workers)]
        slices = [lesson.share(128, place) for place in places]
        assert [i for s in slices for i in range(128)[s]] == list(range(128)), "every image once"
        mean = np.mean([gradients[s].mean(axis=0) for s in slices], axis=0)
        np.testing.assert_allclose(mean, gradients.mean(axis=0), rtol=0, atol=1e-15)
        if workers > 1:
            for mistake in ("uneven", "dropped-image"):
                wrong = [gradients[lesson.share(128, place, mistake)].mean(axis=0) for place in places]
                assert np.abs(np.mean(wrong, axis=0) - gradients.mean(axis=0)).max() > 1e-4, mistake


def test_batches_are_a_permutation_an_epoch(lesson):
    drawn = lesson.batches(10, 3, seed=0)
    epochs = [np.concatenate([next(drawn) for _ in range(3)]) for _ in range(2)]
    for epoch in epochs:
        assert len(set(epoch.tolist())) == 9
    assert epochs[0].tolist() != epochs[1].tolist()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"batch_size": 127}, "--batch-size must be a multiple of the 2 workers, not 127"),
        ({"workers": 0}, "--workers must be a whole number from 1 to 64, not 0"),
        ({"workers": 10**6}, "--workers must be a whole number from 1 to 64, not 1000000"),
        ({"workers": 1, "mistake": "sum"}, "--mistake takes --workers 2 or more"),
        ({"batch_size": 2, "mistake": "uneven"}, "--mistake takes --workers 2 or more"),
        ({"mistake": "sum", "checkpoint": Path("x")}, "--checkpoint and --mistake do not go together"),
        ({"start_timeout": 0.0}, "--start-timeout"),
        ({"steps": 0}, "--steps"),
    ],
)
def test_wrong_arguments_start_nothing(wrong, said, lesson, tmp_path):
    with pytest.raises(UsageError, match=said):
        lesson.main(**{"data": "digits", "figures": tmp_path} | wrong)
    assert not list(tmp_path.iterdir())


# --------------------------------------------------------------------------------------------------------------------
# When something dies


@pytest.mark.parametrize(
    ("rank", "what", "said"),
    [
        (0, signal.SIGKILL, "error: worker 0 was killed by SIGKILL"),
        (1, signal.SIGTERM, "error: worker 1 was killed by SIGTERM"),
        (1, signal.SIGSTOP, "error: worker 1 has given no sign of life for 6 s"),
        (0, signal.SIGSTOP, "error: worker 0 has given no sign of life for 6 s"),
    ],
)
def test_a_worker_that_is_lost_is_named(rank, what, said, start, tmp_path):
    process = start("--steps", FOREVER)
    pids = training(process)
    os.kill(pids[rank], what)
    assert ended(process, pids, 15) == said
    assert not (tmp_path / "figures").exists()


@pytest.mark.parametrize("what", [signal.SIGKILL, signal.SIGINT])
def test_no_worker_outlives_its_launcher(what, start):
    process = start("--steps", FOREVER)
    pids = training(process)
    process.send_signal(what)
    _, err = process.communicate(timeout=60)
    until(lambda: not any(map(running, pids)), 5)
    assert (process.returncode, err) == ((130, "error: interrupted\n") if what == signal.SIGINT else (-what, ""))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a worker that waits for others outlives its launcher")
def test_nor_one_that_waits_for_the_others(start):
    process = start("--start-timeout", "600")
    until(lambda: len(workers_of(process)) == 2)
    pids = workers_of(process)
    os.kill(pids[1], signal.SIGSTOP)
    tables = Path(f"/proc/{pids[0]}/net")
    until(lambda: any(" 0A " in table.read_text() for table in tables.glob("tcp*")))  # it listens: TensorFlow waits
    process.kill()
    os.kill(pids[1], signal.SIGKILL)
    until(lambda: not any(map(running, pids)), 5)


def test_a_worker_that_fails_is_named_with_its_reason(start, tmp_path):
    source, at = SCRIPT.read_text(encoding="utf-8"), "        keeper = "
    assert at in source
    broken = tmp_path / "broken.py"
    broken.write_text(source.replace(at, '        if place.rank: raise RuntimeError("no luck")\n' + at), "utf-8")
    process = start(script=broken)
    assert ended(process, [], 90) == "error: worker 1 failed: RuntimeError: no luck"


def test_no_data_is_the_usual_error_of_a_named_worker(start, tmp_path):
    process = start("--data=mnist", f"--mnist-dir={tmp_path / 'nowhere'}")
    line = ended(process, [], 90)
    assert line.startswith("error: worker ")
    assert str(tmp_path / "nowhere") in line


def test_a_worker_that_never_starts_is_named(start):
    process = start("--start-timeout", "25")
    until(lambda: process.poll() is not None or len(workers_of(process)) == 2)
    pids = workers_of(process)
    os.kill(pids[1], signal.SIGSTOP)
    assert ended(process, pids, 30) == "error: worker 1 had not started after 25 s"


# --------------------------------------------------------------------------------------------------------------------
# By hand, as a cluster does it


def config(rank, ports):
    workers = [ADDRESS.format(port) for port in ports]
    return json.dumps({"cluster": {"worker": workers}, "task": {"type": "worker", "index": rank}})


HOLDER = (
    "import socket, time; s = socket.socket(); s.bind(('', {})); s.listen(); print('held', flush=True); time.sleep(99)"
)


def test_two_started_by_hand_behind_a_proxy(alone, two, tmp_path):
    command = [sys.executable, str(SCRIPT), "--data=digits", f"--steps={STEPS}", f"--figures={tmp_path}"]
    script = "import os, subprocess, sys\n" + (
        "ps = [subprocess.Popen(sys.argv[3:], env=os.environ | {'TF_CONFIG': c}, stdout=subprocess.PIPE,"
        " stderr=subprocess.PIPE, text=True) for c in sys.argv[1:3]]\n"
        "out = [p.communicate(timeout=100) for p in ps]\n"
        "print(repr([(p.returncode, *o) for p, o in zip(ps, out)]))"
    )
    configs = [config(rank, (20001, 20002)) for rank in (0, 1)]
    done = subprocess.run(
        [*alone, sys.executable, "-c", script, *configs, *command],
        env=os.environ | PROXIES,
        capture_output=True,
        text=True,
        timeout=150,
    )
    (status, out, err), (status_1, out_1, err_1) = eval(done.stdout)
    assert (status, status_1, lines_of(err), lines_of(err_1)) == (0, 0, [], [])
    assert "worker 0: images 0 to 63" in out
    assert "worker 1: images 64 to 127" in out_1
    assert f"{two.comparison[-1].learned:.6g}" in out.splitlines()[-1], "the same bits as with the launcher"
    assert (tmp_path / "14_mnist_softmax_distributed.png").exists()


def test_by_hand_and_nobody_comes(start):
    process = start("--start-timeout", "4", TF_CONFIG=config(0, (20001, 20002)))
    assert ended(process, [], 60) == "error: worker 0 waited 4 s: worker 1 (127.0.0.1:20002) did not answer"


def test_by_hand_at_a_busy_port(alone, start):
    held = subprocess.Popen([*alone, sys.executable, "-c", HOLDER.format(20001)], stdout=subprocess.PIPE)
    try:
        held.stdout.readline()
        inside = ["nsenter", "-t", str(held.pid), "-U", "-n", "--preserve-credentials"]
        process = start(prefix=inside, TF_CONFIG=config(0, (20001, 20002)))
        assert ended(process, [], 60) == "error: worker 0 cannot listen at 127.0.0.1:20001: is the port in use?"
    finally:
        held.kill()
        held.communicate()


@pytest.mark.parametrize("wrong", ["{", "[]", '{"cluster": {"worker": []}, "task": {"type": "worker", "index": 0}}'])
def test_a_wrong_TF_CONFIG(wrong, lesson, monkeypatch, tmp_path):
    monkeypatch.setenv("TF_CONFIG", wrong)
    with pytest.raises(UsageError, match="TF_CONFIG must be of the form"):
        lesson.main(data="digits", figures=tmp_path)


# --------------------------------------------------------------------------------------------------------------------
# Checkpoints


def test_resumed_after_a_kill_it_ends_with_the_same_bits(start, run, two, tmp_path):
    kept = tmp_path / "kept"
    process = start(f"--steps={STEPS}", f"--checkpoint={kept}")
    pids = training(process)
    until(lambda: list(kept.glob("ckpt-*.index")))
    os.kill(pids[1], signal.SIGKILL)
    assert ended(process, pids, 15) == "error: worker 1 was killed by SIGKILL"
    done = max(int(path.stem.partition("-")[2]) for path in kept.glob("ckpt-*.index"))
    assert 0 < done < STEPS
    resumed = run(steps=STEPS, checkpoint=kept)
    assert (resumed.losses["split"] == two.losses["split"]).all()
    for name, value in two.parameters["split"].items():
        assert (resumed.parameters["split"][name] == value).all()


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
    done, keep = [], team.Keeper.keep
    monkeypatch.setattr(team.Keeper, "keep", lambda self, losses, n: (done.append(len(losses)), keep(self, losses, n)))
    more = lesson.main(workers=1, steps=120, data="digits", checkpoint=kept, figures=tmp_path)
    assert_right(more, lesson, 120)
    assert done[:2] == [60 + lesson.SPAN, 120], "and not from the start"


def test_a_checkpoint_of_other_settings(kept, lesson, tmp_path):
    with pytest.raises(UsageError, match=r"kept holds a training with batch_size 128, not 64, seed 0, not 3$"):
        lesson.main(workers=1, batch_size=64, seed=3, data="digits", checkpoint=kept, figures=tmp_path)


@pytest.mark.parametrize("half", ["ckpt-60.data-00000-of-00001", "ckpt-60.index", "checkpoint"])
@pytest.mark.parametrize("how", ["cut", "gone"])
def test_half_a_checkpoint(half, how, kept, lesson, tmp_path):
    file = kept / half
    if how == "gone":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(DataError, match=r"kept: holds half a checkpoint; remove it") as said:
        lesson.main(workers=1, steps=90, data="digits", checkpoint=kept, figures=tmp_path)
    assert "\n" not in str(said.value)


def test_a_folder_that_cannot_be(lesson, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(DataError, match=r"file/kept: Not a directory"):
        lesson.main(workers=1, data="digits", checkpoint=tmp_path / "file" / "kept", figures=tmp_path)
