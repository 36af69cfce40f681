"""Worker processes of a lesson: started, watched, heard, ended. What they compute and exchange is the lesson's.

A worker is the lesson's own file, started with ``TF_CONFIG`` in its environment, as a cluster's scheduler does it.
`launch` starts all of them on this machine; `join` makes a process a member of the cluster that ``TF_CONFIG`` names.
"""

import contextlib
import ctypes
import inspect
import json
import math
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing import connection
from pathlib import Path
from typing import NamedTuple, TypeVar

from tf_backprop.errors import DataError, LessonError, UsageError, WorkerError

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

Result = TypeVar("Result", bound=tuple)

#: The most workers that one machine is asked for, and how many it gets without being asked.
MOST, USUAL = 64, 2

#: Seconds between two signs of life of a worker, and without one until it counts as frozen.
BEAT, SILENCE = 0.5, 6.0

#: Steps between two looks at the clock.
_STEPS = 5

#: Seconds in which a worker that lost the others waits for the cause to be found.
GRACE = 5.0

#: Linux's PR_SET_PDEATHSIG.
_DEATH_OF_PARENT = 1

#: The environment variable with the file descriptor through which a worker speaks to its launcher.
_LAUNCHER = "TF_BACKPROP_LAUNCHER"


# --------------------------------------------------------------------------------------------------------------------
# In a worker


class Place(NamedTuple):
    """A process's place among the workers."""

    strategy: object  # the tf.distribute.Strategy
    rank: int  # 0 is the chief, which writes the figure and the checkpoints
    workers: int


class _Launcher:
    """What a worker knows of its launcher; without one, all that is said goes nowhere."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._channel = connection.Connection(int(os.environ[_LAUNCHER])) if _LAUNCHER in os.environ else None
        if self:
            if sys.platform == "linux":  # by the kernel too: while TensorFlow waits for others, no Python thread runs
                ctypes.CDLL(None).prctl(_DEATH_OF_PARENT, signal.SIGKILL)
            threading.Thread(target=self._vanish_with_it, daemon=True).start()
            threading.Thread(target=self._beat, daemon=True).start()

    def __bool__(self) -> bool:
        return self._channel is not None

    def say(self, *message: object) -> None:
        if self:
            with self._lock:
                self._channel.send(message)

    def _vanish_with_it(self) -> None:
        with contextlib.suppress(OSError, EOFError):
            self._channel.recv()  # it never says anything: this returns when it is gone, however it went
        os._exit(1)

    def _beat(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self.say("beat")
                time.sleep(BEAT)


_launcher: _Launcher | None = None


def to_start(workers: int | None, batch_size: int, mistake: str | None, checkpoint: Path | None) -> int:
    """Return how many workers are to be started; one is this process, alone or as ``TF_CONFIG`` has it.

    None is `USUAL`, but one in a notebook, and then it is said why.

    Raises
    ------
    UsageError
        When the batch cannot be cut into slices of one size, or is too small for a mistake to show.
    """
    in_cluster = bool(os.environ.get("TF_CONFIG"))
    if in_cluster:
        workers = len(_cluster()[0])
    elif workers is None and _in_notebook():
        workers = 1
        print("workers: one, since no other process could run a notebook's cells")
    elif workers is None:
        workers = USUAL
    if not 1 <= workers <= MOST:
        raise UsageError(f"--workers must be a whole number from 1 to {MOST}, not {workers}")
    if batch_size % workers:
        reason = "of equal slices alone is the mean of the means the mean"
        raise UsageError(f"--batch-size must be a multiple of the {workers} workers, not {batch_size}: {reason}")
    if mistake and not 1 < workers <= batch_size // 2:
        raise UsageError("--mistake takes --workers 2 or more, and a --batch-size of at least two images for each")
    if mistake and checkpoint:
        raise UsageError("--checkpoint and --mistake do not go together")
    return 1 if in_cluster else workers


@contextlib.contextmanager
def join(start_timeout: float) -> Iterator[Place]:
    """Join the cluster that ``TF_CONFIG`` names, before any TensorFlow operation; without it, be the only worker.

    Parameters
    ----------
    start_timeout
        Seconds to wait for the other workers. TensorFlow alone would wait for an hour, without a word.

    Raises
    ------
    UsageError
        When ``TF_CONFIG`` is not what TensorFlow reads.
    WorkerError
        Here when the workers do not find one another, from the ``with`` block when one of them is lost.
    """
    import tensorflow as tf

    global _launcher
    if not os.environ.get("TF_CONFIG"):
        yield alone()
        return
    addresses, rank = _cluster()
    if _launcher is None:
        _launcher = _Launcher()
    _never_by_proxy(addresses)
    _launcher.say("here")
    try:
        with _at_most(start_timeout, addresses, rank):
            strategy = tf.distribute.MultiWorkerMirroredStrategy()
        with contextlib.suppress(ValueError):  # not the main thread, as in Ray
            signal.signal(signal.SIGTERM, signal.SIG_DFL)  # which TensorFlow has made do nothing
        _launcher.say("joined")
        yield Place(strategy, rank, len(addresses))
    except LessonError as error:
        _launcher.say("failed", error)
        raise
    except tf.errors.OpError as error:
        said = str(error).strip().partition("\n")[0]
        if "Could not start gRPC server" in said:
            failure = WorkerError(f"worker {rank} cannot listen at {addresses[rank]}: is the port in use?")
            _launcher.say("failed", failure)
        else:
            failure = WorkerError(f"worker {rank} lost another one: {said[:200]}")
            _launcher.say("lost", failure)
        raise failure from None


def _cluster() -> tuple[list[str], int]:
    """Return the addresses of all workers and this one's rank, as ``TF_CONFIG`` has them."""
    try:
        config = json.loads(os.environ["TF_CONFIG"])
        addresses, task = config["cluster"]["worker"], config["task"]
        rank = int(task["index"])
        if task["type"] != "worker" or not 0 <= rank < len(addresses):
            raise ValueError
    except (ValueError, KeyError, TypeError):
        form = '{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}'
        raise UsageError(f"TF_CONFIG must be of the form {form}") from None
    return addresses, rank


def _never_by_proxy(addresses: Sequence[str]) -> None:
    """Name the workers' hosts where gRPC looks: through a proxy they would wait for one another in vain."""
    hosts = [address.rpartition(":")[0] for address in addresses]
    others = os.environ.get("no_grpc_proxy") or os.environ.get("no_proxy") or ""  # noqa: SIM112
    os.environ["no_grpc_proxy"] = ",".join(dict.fromkeys([*hosts, *filter(None, others.split(","))]))  # noqa: SIM112


#: Run by a process beside a worker, which TensorFlow keeps from running Python while it waits for the others.
_WATCH = """
import os, select, signal, socket, sys
seconds, pid, rank, *addresses = sys.argv[1:]
if not select.select([0], [], [], float(seconds))[0]:
    missing = []
    for i, address in enumerate(addresses):
        host, _, port = address.rpartition(":")
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except (OSError, ValueError):
            missing.append(f"worker {i} ({address})")
    who = " and ".join(missing) + " did not answer" if missing else "not all workers came together"
    os.write(2, f"error: worker {rank} waited {seconds} s: {who}\\n".encode())
    os.kill(int(pid), signal.SIGHUP)
    if not select.select([0], [], [], 2)[0]:  # under nohup it does not hear that
        os.kill(int(pid), signal.SIGKILL)
"""


@contextlib.contextmanager
def _at_most(seconds: float, addresses: Sequence[str], rank: int) -> Iterator[None]:
    """End this process when the workers have not met in time; a launcher, which knows more, does so by itself."""
    if _launcher or os.name != "posix":
        yield
        return
    libc = ctypes.CDLL(None)
    libc.signal.argtypes, libc.signal.restype = [ctypes.c_int, ctypes.c_void_p], ctypes.c_void_p
    hears = signal.getsignal(signal.SIGHUP) == signal.SIG_DFL
    if hears:  # C's _exit needs no Python; it is given the signal's number, which here is the status of a failure, 1
        libc.signal(signal.SIGHUP, ctypes.cast(libc._exit, ctypes.c_void_p))
    command = [sys.executable, "-c", _WATCH, f"{seconds:g}", str(os.getpid()), str(rank), *addresses]
    try:
        with subprocess.Popen(command, stdin=subprocess.PIPE):  # the end of the block closes the pipe, which ends it
            yield
    finally:
        if hears:
            libc.signal(signal.SIGHUP, None)  # the default


def alone() -> Place:
    """Return the place of a worker without others; what is made for it takes the same code."""
    import tensorflow as tf

    return Place(tf.distribute.get_strategy(), 0, 1)


class Keeper:
    """Keeps a training in a folder, from which a second start goes on, and tells the launcher how far it is.

    Without a folder nothing is kept, and without a launcher nobody told.

    Parameters
    ----------
    folder
        For `tf.train.CheckpointManager`; on several machines one that they share.
    place
        The first worker writes, all of them read.
    parameters
        The variables, all that a step changes.
    settings
        What must be the same for the training to go on.

    Raises
    ------
    UsageError
        When the folder keeps a training with other settings.
    DataError
        When it cannot be made, or keeps half a checkpoint.
    """

    def __init__(
        self,
        folder: Path | None = None,
        place: Place | None = None,
        parameters: Mapping[str, object] | None = None,
        settings: Mapping[str, object] | None = None,
    ) -> None:
        self._folder, self._manager = folder, None
        if folder is None:
            return
        import tensorflow as tf

        self._losses = tf.Variable(np.zeros(0, np.float32), shape=[None], trainable=False)
        self._settings = tf.Variable(json.dumps(settings), trainable=False)
        self._checkpoint = tf.train.Checkpoint(losses=self._losses, settings=self._settings, **parameters)
        with self._one_line():
            folder.mkdir(parents=True, exist_ok=True)
            self._manager = tf.train.CheckpointManager(self._checkpoint, str(folder), max_to_keep=2)
        self._writes = place.rank == 0

    def restore(self) -> np.ndarray:
        """Give the parameters what is kept, and return the losses (steps,) of the steps that are done."""
        latest = self._manager and self._manager.latest_checkpoint
        if latest is None:
            if self._manager and any(self._folder.glob("ckpt-*")):
                raise DataError(f"{self._folder}: holds half a checkpoint; remove it, or name another folder")
            return np.zeros(0, np.float32)
        wanted = json.loads(self._settings.numpy())
        with self._one_line("holds half a checkpoint; remove it, or name another folder"):
            self._checkpoint.restore(latest).assert_existing_objects_matched()
        kept = json.loads(self._settings.numpy())
        other = [f"{name} {kept.get(name)}, not {value}" for name, value in wanted.items() if kept.get(name) != value]
        if other:
            raise UsageError(f"--checkpoint {self._folder} holds a training with {', '.join(other)}")
        return self._losses.numpy()

    def keep(self, losses: np.ndarray, total: int) -> None:
        """Save the parameters and the `losses` of the steps that are done, of `total` in all."""
        if _launcher:
            _launcher.say("steps", len(losses), total)
        if self._manager and self._writes:
            self._losses.assign(losses)
            with self._one_line():
                self._manager.save(len(losses))

    @contextlib.contextmanager
    def _one_line(self, reason: str = "") -> Iterator[None]:
        import tensorflow as tf

        try:
            yield
        except (tf.errors.OpError, OSError, AssertionError, LookupError, RuntimeError, ValueError) as error:
            said = getattr(error, "strerror", None) or str(error).strip().partition("\n")[0]
            raise DataError(f"{self._folder}: {reason or said}") from None


def report(result: Result) -> Result:
    """Give `result` to the launcher, where there is one, and return it."""
    if _launcher:
        sys.stdout.flush()
        _launcher.say("result", tuple(result))
    return result


# --------------------------------------------------------------------------------------------------------------------
# In the launcher


class _Worker:
    """One started process, and all that has been heard of it."""

    def __init__(self, command: Sequence[str], rank: int, addresses: Sequence[str]) -> None:
        self.rank = rank
        self.here = self.joined = False
        self.heard = math.inf  # when it gave its last sign of life; its import may take any time
        self.steps = self.total = 0
        self.failure: LessonError | None = None
        self.lost: WorkerError | None = None
        self.lost_at = math.inf
        self.result: tuple | None = None
        self.channel, theirs = connection.Pipe()
        self._line = b""
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - its standard error, closed by `end`
        task = {"cluster": {"worker": list(addresses)}, "task": {"type": "worker", "index": rank}}
        own = {"TF_CONFIG": json.dumps(task), "TF_GRPC_REUSE_PORT": "1", _LAUNCHER: str(theirs.fileno())}
        with theirs:
            self.process = subprocess.Popen(
                command,
                env=os.environ | own | {"PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=self._said,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C is for the launcher, which ends them
            )
        os.set_blocking(self.process.stdout.fileno(), False)

    def hear(self) -> bool:
        """Take in what has come through the channel and return whether there was progress."""
        before = self.here, self.joined, self.steps, self.result is None
        try:
            while self.channel.poll():
                kind, *rest = self.channel.recv()
                self.heard = time.monotonic()
                if kind in ("here", "joined"):
                    setattr(self, kind, True)
                elif kind == "steps":
                    self.steps, self.total = rest
                elif kind == "failed":
                    (self.failure,) = rest
                elif kind == "lost":
                    (self.lost,), self.lost_at = rest, self.heard
                elif kind == "result":
                    (self.result,) = rest
        except (EOFError, OSError):
            self.heard = math.inf  # it has ended, which its status tells
        return before != (self.here, self.joined, self.steps, self.result is None)

    def printed(self) -> bytes:
        """Return the whole lines that it has printed since the last call."""
        self._line += self.process.stdout.read() or b""
        lines, newline, self._line = self._line.rpartition(b"\n")
        return lines + newline

    def last_words(self) -> str:
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").strip().splitlines() or ["it said nothing"]
        return lines[-1].removeprefix("error: ")

    def end(self) -> None:
        self.process.kill()  # TensorFlow ignores SIGTERM, and a stopped process everything but this
        self.process.wait()
        for file in (self.channel, self._said, self.process.stdout):
            file.close()


def launch(main: Callable[..., Result], arguments: Mapping[str, object], count: int, start_timeout: float) -> tuple:
    """Run a lesson's file in `count` processes on this machine and return the fields of the first one's result.

    What they print is printed here, and a bar shows their progress on a terminal. However this ends, none of the
    processes is left, and when this process is killed they end by themselves.

    Parameters
    ----------
    main
        The lesson, in a file that calls it with its command line.
    arguments
        The arguments of `main` by name, from which the command line is made; None stands for a default.
    start_timeout
        Seconds until all workers must have met, and the longest time without progress after that.

    Raises
    ------
    LessonError
        When a worker fails; the error is of the kind that the worker met, and names the worker.
    """
    if not hasattr(socket, "SO_REUSEPORT"):
        raise WorkerError("several workers take Linux or macOS: run this with --workers 1")
    command = [sys.executable, _script(main), *_options(arguments)]
    team: list[_Worker] = []
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(_held_port()) for _ in range(count)]
        addresses = ["{}:{}".format(*port.getsockname()) for port in held]
        stack.callback(lambda: [worker.end() for worker in team])
        for rank in range(count):
            team.append(_Worker(command, rank, addresses))
        return _watch(team, start_timeout, math.inf if arguments.get("show") else start_timeout)


def _script(main: Callable) -> str:
    file = inspect.getsourcefile(main)
    if file is None or not os.path.exists(file) or _in_notebook():
        raise WorkerError("a notebook's cells are no file that workers could run: take --workers 1, or the script")
    return os.path.abspath(file)


def _in_notebook() -> bool:
    return "ipykernel" in sys.modules


def _options(arguments: Mapping[str, object]) -> list[str]:
    named = {"--" + name.replace("_", "-"): value for name, value in arguments.items() if value not in (None, False)}
    return [name if value is True else f"{name}={value}" for name, value in named.items()]


def _held_port() -> socket.socket:
    """Return a socket bound to a free port of this machine: nobody else gets it until TensorFlow listens there too."""
    port = socket.socket()
    port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    port.bind(("127.0.0.1", 0))
    return port


def _watch(team: Sequence[_Worker], start_timeout: float, patience: float) -> tuple:
    console = Console(soft_wrap=True, highlight=False, markup=False)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(f"starting {len(team)} workers", total=None)
        start = moved = time.monotonic()
        while any(worker.result is None for worker in team):
            channels = [worker.channel for worker in team if worker.process.poll() is None]
            connection.wait([*channels, *(worker.process.stdout for worker in team)], timeout=0.1)
            heard = sum(worker.hear() for worker in team)
            slowest = min(team, key=lambda worker: worker.steps)
            if heard:
                moved = time.monotonic()
                bar.update(task, description="training", completed=slowest.steps, total=slowest.total or None)
            _relay(team)
            _require_well(team)
            now = time.monotonic()
            if now - start > start_timeout and not all(worker.joined for worker in team):
                absent = [str(worker.rank) for worker in team if not worker.here]
                who = f"worker {' and '.join(absent)} had not started" if absent else "the workers had not met"
                raise WorkerError(f"{who} after {start_timeout:g} s")
            if now - max(moved, start + start_timeout) > patience:
                raise WorkerError(f"worker {slowest.rank} has made no progress for {patience:g} s")
    _relay(team)
    return team[0].result


def _relay(team: Sequence[_Worker]) -> None:
    for worker in team:
        for line in worker.printed().decode(errors="replace").splitlines(keepends=True):
            if worker.rank == 0 or not line.startswith("data:"):  # all have read the same
                sys.stdout.write(line)


def _require_well(team: Sequence[_Worker]) -> None:
    """Raise the error of the worker that is the cause: the others only lost it."""
    now = time.monotonic()
    for worker in team:
        status = worker.process.poll()
        if status is not None and status < 0:
            raise WorkerError(f"worker {worker.rank} was killed by {signal.Signals(-status).name}")
    for worker in team:
        if worker.failure is not None:
            raise type(worker.failure)(f"worker {worker.rank}: {worker.failure}")
        if worker.process.returncode is not None and worker.result is None and worker.lost is None:
            raise WorkerError(f"worker {worker.rank} failed: {worker.last_words()}")
    for worker in team:
        if worker.joined and worker.result is None and now - worker.heard > SILENCE:
            raise WorkerError(f"worker {worker.rank} has given no sign of life for {SILENCE:g} s")
    for worker in team:
        if now - worker.lost_at > GRACE and all(now - other.heard < 2 * BEAT + 1 for other in team):
            raise worker.lost


# --------------------------------------------------------------------------------------------------------------------
# How long it takes


def milliseconds(steps: Callable, images: int, sizes: Sequence[int], repeats: int = 2) -> np.ndarray:
    """Return the time (sizes,) of a step by batch size: the best of some calls of ``steps(batches)``."""
    rng = np.random.default_rng(0)  # the same batches in all workers, which call this together
    return _best(steps, [rng.integers(images, size=(_STEPS, size)) for size in sizes], repeats)


def exchange_milliseconds(place: Place, P: int, repeats: int = 2) -> np.ndarray:
    """Return the time (2,) of an all-reduce of P and of 100 P numbers; all workers call this together."""
    import tensorflow as tf

    def mean(value):
        return tf.distribute.get_replica_context().all_reduce("MEAN", tf.identity(value))  # the copy is on the device

    def exchanges(value):
        first = lambda _: place.strategy.run(mean, args=(value,))[0]  # noqa: E731
        return tf.map_fn(first, tf.range(_STEPS), fn_output_signature=value.dtype, parallel_iterations=1)

    return _best(tf.function(exchanges, autograph=False), [tf.ones([P]), tf.ones([100 * P])], repeats)


def _best(run: Callable, inputs: Sequence, repeats: int) -> np.ndarray:
    best = []
    for each in inputs:
        times = []
        for _ in range(repeats + 1):  # the first call traces
            start = time.perf_counter()
            run(each)
            times.append(time.perf_counter() - start)
        best.append(1000 * min(times) / _STEPS)
    return np.array(best)


def print_speed(
    n: int, sizes: Sequence[int], ms: Mapping[str, np.ndarray], P: int, workers: int
) -> tuple[Callable, Callable]:
    """Print how many steps of `n` images a second takes, and from where on the `model` says that splitting pays.

    Returns
    -------
    step, pays
        The model, of `sizes` (which have `n`), `ms`, `P` and `workers`.
    """
    step, pays = model(sizes, ms, P, workers)
    split, whole = (f"{1000 / ms[run][list(sizes).index(n)]:,.0f}" for run in ("split", "whole"))
    if workers == 1:
        print(f"steps of {n} images a second: {whole}")
    else:
        print(f"steps of {n} images a second: {split} by {workers} workers on this machine, {whole} by one")
        larger = f"with {100 * P:,} parameters from {pays(100 * P):,.0f}"
        print(f"model: {workers} machines are faster than one from {pays(P):,.0f} images a step on, {larger}")
    return step, pays


def model(sizes: Sequence[int], ms: Mapping[str, np.ndarray], P: int, workers: int) -> tuple[Callable, Callable]:
    """Fit what a step costs to the measured times, and say from where on workers with machines of their own would pay.

    One worker takes ``a + b n`` milliseconds for n images. An exchange of p numbers takes ``c + d p``. K workers on as
    many machines as this one, with its exchange, take ``a + b n / K + c + d p``; b is proportional to the number p of
    parameters.

    Parameters
    ----------
    sizes, ms
        Batch sizes, and the measured times ``"whole"`` (sizes,) of one worker and ``"exchange"`` (2,) for P and 100 P.
    P
        How many parameters there are.

    Returns
    -------
    step, pays
        ``step(n, K)``, the milliseconds of the model, and ``pays(p)``, the batch from which K machines beat one.
    """
    b, a = np.polyfit(sizes, ms["whole"], 1, w=1 / ms["whole"])
    d, c = np.maximum(np.polyfit([P, 100 * P], ms["exchange"], 1), 0)

    def step(n: float, workers: int = 1) -> float:
        return a + b * n / workers + (c + d * P if workers > 1 else 0)

    def pays(p: float) -> float:
        return (c + d * p) / (b * p / P * (1 - 1 / workers)) if workers > 1 else math.inf

    return step, pays
