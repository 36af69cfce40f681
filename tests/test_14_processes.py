"""Lesson 14's workers as processes, in a network namespace of their own: TensorFlow listens on every interface.

No signal is sent after some time, but when something was seen.
"""

import contextlib
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
import time
from importlib import metadata
from pathlib import Path

from forks import POSSIBLE, Scripts, clean, hear_signals
from tf_backprop.support import checkpoint, lessons

import numpy as np
import pytest
from test_14_mnist_softmax_distributed import TOLERANCE, assert_right, by_numpy, difference

SCRIPT = lessons.SCRIPTS / "14_mnist_softmax_distributed.py"
ALONE = ["unshare", "-rn", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
PROXIES = dict.fromkeys(("http_proxy", "https_proxy", "grpc_proxy"), "http://192.0.2.1:9")
ADDRESS = "127.0.0.1:{}"
FOREVER = "1000000"  # steps
PATIENCE = 120  # seconds, much more than anything here takes
STEPS = 1000  # so many that a worker can be killed in the middle

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def alone():
    """Return what a command starts with that runs in a private network namespace."""
    try:
        subprocess.run([*ALONE, "true"], check=True, capture_output=True, timeout=20)
    except (OSError, subprocess.SubprocessError) as refused:
        pytest.skip(f"the system gives no private network namespace: {refused}")
    return ALONE


@pytest.fixture(scope="module")
def together(alone):
    """Return what starts scripts as forks, with workers that are forks, all in one private network namespace."""
    scripts = Scripts(alone)
    yield scripts
    scripts.close()


@pytest.fixture
def start(alone, together, tmp_path):
    """Return a function that starts the lesson, or a copy, on the digits.

    It and its workers are forks, which saves their imports, except where a test starts it in a way of its own.
    In the end all processes have ended, or are killed, and none has left a temporary file.
    """

    def start_one(*arguments, script=SCRIPT, prefix=None, **environment):
        if prefix:
            return start_command(sys.executable, script, *options, *arguments, prefix=prefix, **environment)
        environment = variables | environment
        return watched(together.start(script, *options, *arguments, cwd=tmp_path, environment=environment))

    def start_command(*command, prefix=alone, **environment):
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        environment = variables | environment
        return watched(subprocess.Popen([*prefix, *command], env=environment, preexec_fn=hear_signals, **pipes))

    def watched(process):
        started.append(process)
        timers.append(threading.Timer(PATIENCE, process.kill))  # or a test would wait for its next line forever
        timers[-1].start()
        return process

    options = ["--data=digits", f"--figures={tmp_path / 'figures'}"]
    started, timers, temporary = [], [], tmp_path / "temporary"
    variables = {k: v for k, v in os.environ.items() if not re.match("TF_|PYTHONUNBUFFERED|.*_proxy", k)}
    variables["TMPDIR"] = str(temporary)
    start_one.command = start_command
    temporary.mkdir()
    yield start_one
    for timer in timers:
        timer.cancel()
    kill_all_that_name(tmp_path)
    kill_all_beside(together.server)
    for process in started:
        process.communicate()
    assert not list(temporary.iterdir())


def kill_all_that_name(folder):
    """Kill the processes with `folder` among their arguments: workers are in sessions of their own."""
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(folder).encode() in command.read_bytes():
                os.kill(int(command.parent.name), signal.SIGKILL)
        except OSError:  # it has ended
            continue


def kill_all_beside(server):
    """Kill the processes in the network namespace of a server: a fork has the arguments that the server has."""
    for namespace in Path("/proc").glob("[0-9]*/ns/net") if server else ():
        with contextlib.suppress(OSError):
            pid, here = int(namespace.parts[2]), os.readlink(f"/proc/{server.pid}/ns/net")
            if pid != server.pid and os.readlink(namespace) == here:
                os.kill(pid, signal.SIGKILL)


def workers_of(process):
    """Return the process ids of the workers that a launcher has started, in the order of their ranks."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [pid for pid in map(int, children) if session(pid) == pid]  # each has one of its own


def session(pid):
    with contextlib.suppress(ProcessLookupError):
        return os.getsid(pid)


def until(condition, seconds=PATIENCE):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.02)
    return found


def both(process):
    """Wait until there are two workers, and return their process ids."""
    until(lambda: process.poll() is not None or len(workers_of(process)) == 2)
    assert process.poll() is None
    return workers_of(process)


def training(process):
    """Wait until all of two workers train, and return their process ids."""
    for rank in sorted(process.stdout.readline().partition(":")[0] for _ in range(3)):
        assert rank in ("data", "worker 0", "worker 1"), rank
    return workers_of(process)


def state(pid):
    """Return the letter for what a process does: T when it is stopped; none when it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0].replace("Z", "")
    except OSError:
        return ""


def listens(pid):
    """Return whether a process, in a network namespace of its own, waits for connections."""
    return any(" 0A " in table.read_text() for table in Path(f"/proc/{pid}/net").glob("tcp*"))


#: TensorFlow before 2.21 lets a few lines through in a worker that has no launcher to set them aside.
OLD = tuple(int(part) for part in metadata.version("tensorflow").split(".")[:2]) < (2, 21)
LOG = re.compile(r"WARNING: All log messages before absl|[IWE]\d{4} ")


def lines_of(err):
    """Return the lines of standard error, without those of TensorFlow's log that cannot be helped."""
    return [line for line in err.splitlines() if not (OLD and LOG.match(line))]


def ended(process, pids, seconds, status=1):
    """Return the one line that says what went wrong, when all has ended in time and nothing is left."""
    before = time.monotonic()
    _, err = process.communicate(timeout=PATIENCE)
    assert time.monotonic() - before < seconds
    assert process.returncode == status
    until(lambda: not any(map(state, pids)), 5)
    (line,) = lines_of(err)
    return line


def copy_with(folder, *replaced):
    """Return a copy of the lesson in which each old text of ``(old, new)`` is replaced."""
    source, copy = SCRIPT.read_text(encoding="utf-8"), folder / "changed.py"
    for old, new in replaced:
        assert source.count(old) == 1, old
        source = source.replace(old, new)
    copy.write_text(source, encoding="utf-8")
    return copy


DRIVER = """
import json, pickle, sys
from pathlib import Path
from tf_backprop.support import lessons
result = lessons.load(Path(sys.argv[1])).main(data="digits", **json.loads(sys.argv[3]))
Path(sys.argv[2]).write_bytes(pickle.dumps(tuple(result)))
"""


@pytest.fixture(scope="module")
def run(together, lesson, tmp_path_factory):
    """Return a function that calls the lesson's main in a process of its own and returns its result."""

    def call(**arguments):
        folder = tmp_path_factory.mktemp("run")
        arguments = {"figures": str(folder)} | {k: str(v) if isinstance(v, Path) else v for k, v in arguments.items()}
        (folder / "driver.py").write_text(DRIVER, encoding="utf-8")
        options = SCRIPT, folder / "result", json.dumps(arguments)
        done = together.run(folder / "driver.py", *options, cwd=folder, environment=clean())
        assert (done.returncode, done.stderr) == (0, "")
        return lesson.Distributed(*pickle.loads((folder / "result").read_bytes())), done.stdout.splitlines()

    return call


@pytest.fixture(scope="module")
def two_and_printed(run):
    return run(steps=STEPS)


@pytest.fixture(scope="module")
def two(two_and_printed):
    return two_and_printed[0]


def test_two_workers_are_one_and_are_numpy(two, lesson):
    assert_right(two, lesson, STEPS)
    names = {file.name for file in two.figure.parent.glob("*.png")}
    assert names == {f"{lesson_stem}_digits.png" for lesson_stem in (SCRIPT.stem, f"{SCRIPT.stem}_times")}
    assert two.figure.name == f"{SCRIPT.stem}_digits.png"
    assert two.figure.stat().st_size > 30_000


def test_what_all_workers_print_is_printed_once(two_and_printed):
    _, lines = two_and_printed
    starts = [line[: line.find(" of a batch") + 1] or line.partition(" ")[0] for line in lines]
    assert sorted(starts[:3]) == ["data:", "worker 0: images 0 to 63 ", "worker 1: images 64 to 127 "]
    assert starts[3:5] == ["steps", "model:"]
    assert starts[-2:] == ["figure:", "figure:"], "after the results"
    assert len(lines) == 11


# --------------------------------------------------------------------------------------------------------------------
# When something dies


@pytest.mark.parametrize(
    ("rank", "what", "said"),
    [
        (1, signal.SIGKILL, "error: worker 1 was killed by SIGKILL"),
        (0, signal.SIGTERM, "error: worker 0 was killed by SIGTERM"),
        (1, signal.SIGSTOP, "error: no sign of life from worker 1"),
        (0, signal.SIGSTOP, "error: no sign of life from worker 0"),
    ],
)
def test_a_worker_that_is_lost_is_named(rank, what, said, start, tmp_path):
    process = start("--steps", FOREVER)
    pids = training(process)
    os.kill(pids[rank], what)
    assert ended(process, pids, 40) == said
    assert not (tmp_path / "figures").exists()


@pytest.mark.parametrize("what", [signal.SIGKILL, signal.SIGINT])
def test_no_worker_outlives_its_launcher(what, start):
    process = start("--steps", FOREVER)
    pids = training(process)
    process.send_signal(what)
    _, err = process.communicate(timeout=PATIENCE)
    until(lambda: not any(map(state, pids)), 5)
    assert (process.returncode, err) == ((130, "error: interrupted\n") if what == signal.SIGINT else (-what, ""))


#: Worker 1 stops before it has joined the others.
EARLY = (
    "import tensorflow as tf\n",
    """import signal
import tensorflow as tf
if '"index": 1' in os.environ.get("TF_CONFIG", ""):
    os.kill(os.getpid(), signal.SIGSTOP)
""",
)


def test_nor_one_that_waits_for_the_others(start, tmp_path):
    process = start("--start-timeout", "600", script=copy_with(tmp_path, EARLY))
    pids = both(process)
    until(lambda: state(pids[1]) == "T")
    until(lambda: listens(pids[0]))
    process.kill()
    until(lambda: not state(pids[0]), 5)
    assert state(pids[1]) == "T", "it is stopped before it could join, and ends when it goes on"
    os.kill(pids[1], signal.SIGCONT)
    until(lambda: not state(pids[1]), 20)


#: Worker 1 stops when it has met the others, so that they wait in TensorFlow's constructor, where no Python runs.
STOPPED = (
    "import tensorflow as tf\n",
    """import faulthandler, json, signal, socket
import tensorflow as tf
def stop():  # it listens before, as TensorFlow does, so that a worker that has not met it yet can
    port = int(json.loads(os.environ["TF_CONFIG"])["cluster"]["worker"][1].rpartition(":")[2])
    with socket.create_server(("", port), reuse_port=True):
        os.kill(os.getpid(), signal.SIGSTOP)
if '"index": 1' in os.environ.get("TF_CONFIG", ""):
    tf.distribute.MultiWorkerMirroredStrategy = stop
later = faulthandler.dump_traceback_later
faulthandler.dump_traceback_later = lambda seconds, **options: later(seconds / 10, **options)
""",
)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the end of a launcher is not heard while stopped")
def test_nor_one_in_tensorflow_s_constructor_nor_one_that_is_stopped(start, tmp_path):
    process = start("--start-timeout", "600", script=copy_with(tmp_path, STOPPED))
    pids = both(process)
    until(lambda: state(pids[1]) == "T")
    process.kill()
    until(lambda: not any(map(state, pids)), 5)


def test_a_worker_that_freezes_in_tensorflow_s_constructor_is_named(start, tmp_path):
    process = start("--start-timeout", "80", script=copy_with(tmp_path, STOPPED))  # a tenth of it: see above
    pids = both(process)
    until(lambda: state(pids[1]) == "T")
    assert ended(process, pids, 40) == "error: no sign of life from worker 1"


def test_a_worker_that_fails_is_named_with_its_reason(start, tmp_path):
    at = "        settings = {"
    failing = copy_with(tmp_path, (at, '        if place.rank == 1: raise RuntimeError("no luck")\n' + at))
    process = start(script=failing)
    assert ended(process, [], 90) == "error: worker 1 failed: RuntimeError: no luck"


def test_a_worker_s_usage_error_keeps_its_exit_status(start):
    process = start("--batch-size=1102")
    said = "error: worker [01]: --batch-size 1102 is more than the 1,100 training images"
    assert re.fullmatch(said, ended(process, [], 90, status=2))


def test_a_worker_that_never_starts_is_named(start, tmp_path):
    process = start("--start-timeout", "3", script=copy_with(tmp_path, EARLY))
    pids = both(process)
    said = r"error: worker 0: after 3 s there is no answer from worker 1 \(127.0.0.1:\d+\)"
    assert re.fullmatch(said, ended(process, pids, 60))


def test_a_reader_that_goes_away(start):
    pipe = '"$@" | head -1; exit "${PIPESTATUS[0]}"'
    process = start(f"--steps={FOREVER}", prefix=[*ALONE, "bash", "-c", pipe, "bash"])
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err, len(out.splitlines())) == (1, "", 1)


def test_without_a_standard_output(start, tmp_path):
    process = start("--steps=20", prefix=[*ALONE, "sh", "-c", 'exec "$@" <&- >&-', "sh"])
    assert process.communicate(timeout=PATIENCE) == ("", "")
    assert process.returncode == 0
    assert (tmp_path / "figures" / f"{SCRIPT.stem}_digits.png").exists()


# --------------------------------------------------------------------------------------------------------------------
# By hand, as a cluster does it


def config(rank, ports):
    workers = [ADDRESS.format(port) for port in ports]
    return json.dumps({"cluster": {"worker": workers}, "task": {"type": "worker", "index": rank}})


def inside(process):
    """Return what a command starts with that runs in the network namespace of a process."""
    return ["nsenter", "-t", str(process.pid), "-U", "-n", "--preserve-credentials"]


@pytest.fixture
def namespace(start):
    """Return what a command starts with that runs in one network namespace with the others that start with it."""
    process = start.command("sh", "-c", "echo here; exec sleep 300")
    process.stdout.readline()
    yield inside(process)
    process.kill()


@pytest.fixture
def together_by_hand(request):
    """Return what a command starts with that meets the others that start with it: nothing, where all are forks."""
    return None if POSSIBLE else request.getfixturevalue("namespace")


def test_two_started_by_hand_behind_a_proxy(start, namespace, two, tmp_path):
    environment = [{"TF_CONFIG": config(rank, (20001, 20002))} | PROXIES for rank in (0, 1)]
    one, other = (start(f"--steps={STEPS}", prefix=namespace, **each) for each in environment)
    (out, err), (out_1, err_1) = one.communicate(timeout=PATIENCE), other.communicate(timeout=PATIENCE)
    assert (one.returncode, other.returncode, lines_of(err), lines_of(err_1)) == (0, 0, [], [])
    assert "worker 0: images 0 to 63" in out
    assert "worker 1: images 64 to 127" in out_1
    answer = next(line for line in out.splitlines() if line.startswith(two.comparison[-1].quantity))
    assert answer.split()[-2] == f"{two.comparison[-1].learned:.6g}", "the same bits as with the launcher"
    assert (tmp_path / "figures" / two.figure.name).exists()


@pytest.mark.parametrize("rank", [0, 1])
def test_by_hand_one_names_the_other_that_was_killed(rank, start, together_by_hand):
    environment = [{"TF_CONFIG": config(each, (20001, 20002)), "PYTHONUNBUFFERED": "1"} for each in (0, 1)]
    processes = [start(f"--steps={FOREVER}", prefix=together_by_hand, **each) for each in environment]
    for process in processes:
        while not process.stdout.readline().startswith("worker "):
            assert process.poll() is None
    processes[rank].kill()
    said = f"error: lost another worker: worker {rank} ({ADDRESS.format(20001 + rank)})"
    assert ended(processes[1 - rank], [], 40) == said


def test_by_hand_and_nobody_comes(start):
    process = start("--start-timeout", "2", TF_CONFIG=config(0, (20001, 20002)))
    assert ended(process, [], 60) == "error: after 2 s there is no answer from worker 1 (127.0.0.1:20002)"


def test_by_hand_the_same_index_twice(start, namespace):
    start("--start-timeout", "60", prefix=namespace, TF_CONFIG=config(0, (20001, 20002)))
    until(lambda: listens(namespace[2]))  # one's own table is another until nsenter has entered the namespace
    other = start(prefix=namespace, TF_CONFIG=config(0, (20001, 20002)))
    assert ended(other, [], 60) == "error: cannot listen at 127.0.0.1:20001: is the port in use?"


# --------------------------------------------------------------------------------------------------------------------
# Checkpoints


def kept_steps(folder):
    return len(np.load(folder / "training.npz")["losses"]) if (folder / "training.npz").exists() else 0


def test_resumed_after_a_kill_it_ends_with_the_same_bits(start, run, two, tmp_path):
    kept = tmp_path / "kept"
    process = start(f"--steps={STEPS}", f"--checkpoint={kept}")
    pids = training(process)
    until(lambda: kept_steps(kept))
    os.kill(pids[1], signal.SIGKILL)
    assert ended(process, pids, 40) == "error: worker 1 was killed by SIGKILL"
    assert 0 < kept_steps(kept) < STEPS
    resumed, _ = run(steps=STEPS, checkpoint=kept)
    assert (resumed.losses["split"] == two.losses["split"]).all()
    for name, value in two.parameters["split"].items():
        assert (resumed.parameters["split"][name] == value).all()
    settings = {"workers": 2, "batch_size": 128, "learning_rate": 0.5, "seed": 0, "data": "digits"}
    assert (checkpoint.restore(kept, settings)["W"] == two.parameters["split"]["W"]).all()


# --------------------------------------------------------------------------------------------------------------------
# The lesson's own parts, several trainings in the same workers

SEVERAL = """
import os, pickle
from pathlib import Path
import numpy as np
from tf_backprop import command, datasets
from tf_backprop.support import lessons
from tf_backprop.support import workers as team

lesson = lessons.load(Path({script!r}))


def main(workers: int = 2, mistakes: str = "none", file: Path = Path("found")):
    if not os.environ.get("TF_CONFIG"):
        return team.launch(main, {{"mistakes": mistakes, "file": file}}, workers)
    with team.join(60) as place:
        (x, y), found = datasets.images("digits", None, 128).train, {{}}
        for mistake in mistakes.split(","):
            parameters = lesson.initial_parameters(x.shape[1], place.strategy)
            share, exchange = lesson.MISTAKES.get(mistake, lesson.RIGHT)
            order = lambda: lesson.batches(len(y), 128, 0)
            compare = lesson.make_compare(parameters, x, y, place, share, exchange)
            gradient = lesson.largest_difference(*compare(next(order()))[1:])
            step = lesson.make_step(parameters, x, y, place, 0.5, share, exchange)
            losses = np.concatenate([*lesson.train(lesson.in_one_graph(step, place.strategy), order(), 100)])
            found[mistake] = gradient, losses, lesson.values(parameters)
        if place.rank == 0:
            file.write_bytes(pickle.dumps(found))
        return team.hand_over(())


command.run(main)
"""


@pytest.fixture(scope="module")
def several(together, tmp_path_factory):
    """Return a function that trains, with each mistake, for 100 steps: error of the gradient, losses, parameters."""

    def train(workers, *mistakes):
        folder = tmp_path_factory.mktemp("several")
        script, file = folder / "several.py", folder / "found"
        script.write_text(SEVERAL.format(script=str(SCRIPT)), encoding="utf-8")
        options = [f"--workers={workers}", f"--mistakes={','.join(mistakes)}", f"--file={file}"]
        done = together.run(script, *options, cwd=folder, environment=clean())
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
