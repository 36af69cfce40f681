"""Worker processes of a lesson: started, joined, watched, ended. What they compute and exchange is the lesson's.

A worker is the lesson's own file, started with ``TF_CONFIG`` in its environment, as a cluster's scheduler does it.
`launch` starts all of them on this machine; `join` makes a process a member of the cluster that ``TF_CONFIG`` names.
"""

import contextlib
import faulthandler
import inspect
import json
import os
import pickle
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, NamedTuple, TypeVar

from tf_backprop.support.errors import LessonError, UsageError, WorkerError

from rich.console import Console

Result = TypeVar("Result", bound=tuple)

#: The most workers that one machine is asked for, and how many it gets without being asked.
MOST, USUAL = 64, 2

#: Seconds that the launcher waits for the cause when a worker says that it lost another one, and how it says that.
GRACE, LOST = 2.0, "lost another worker"

#: The environment variable with the descriptor of the file for a worker's result: only a launcher sets it.
RESULT = "TF_BACKPROP_RESULT"


# In a worker


class Place(NamedTuple):
    """A process's place among the workers."""

    strategy: object  # the tf.distribute.Strategy
    rank: int  # 0 is the chief, which writes the figures and the checkpoints
    workers: int


def alone() -> Place:
    """Return the place of a worker without others; what is made for it takes the same code."""
    import tensorflow as tf

    return Place(tf.distribute.get_strategy(), 0, 1)


def to_start(workers: int | None) -> int:
    """Return how many workers work together: those that ``TF_CONFIG`` names, else `workers`, else `USUAL`.

    In a notebook and on Windows it is one unless more are asked for, and the reason is printed.
    """
    if os.environ.get("TF_CONFIG"):
        return len(_cluster()[0])
    alone = "" if hasattr(socket, "SO_REUSEPORT") else "several take Linux or macOS"
    alone = "no other process could run a notebook's cells" if "ipykernel" in sys.modules else alone
    if workers is None and alone:
        print(f"workers: one, since {alone}")
        return 1
    workers = USUAL if workers is None else workers
    if not 1 <= workers <= MOST:
        raise UsageError(f"--workers must be a whole number from 1 to {MOST}, not {workers}")
    return workers


@contextlib.contextmanager
def join(start_timeout: float) -> Iterator[Place]:
    """Join the cluster that ``TF_CONFIG`` names, before any TensorFlow operation; without it, be the only worker.

    The other workers have `start_timeout` seconds to come. TensorFlow alone would wait for an hour, without a word.

    Raises
    ------
    UsageError
        When ``TF_CONFIG`` is not what TensorFlow reads.
    WorkerError
        Here when the workers do not find one another, from the ``with`` block when one of them is lost.
    """
    import tensorflow as tf

    if not os.environ.get("TF_CONFIG"):
        yield alone()
        return
    addresses, rank = _cluster()
    if RESULT in os.environ:
        _end_with_the_launcher()
    _never_by_proxy(addresses)
    _meet(addresses, rank, start_timeout)
    errors = tf.errors
    try:  # the next line ends a process even while TensorFlow, which waits for the others, lets no Python run
        faulthandler.dump_traceback_later(min(max(start_timeout, 30), 3600), exit=True, file=2)
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
        faulthandler.cancel_dump_traceback_later()
        with contextlib.suppress(ValueError):  # not the main thread, as in Ray
            signal.signal(signal.SIGTERM, signal.SIG_DFL)  # TensorFlow's own handler ignores it
        yield Place(strategy, rank, len(addresses))
    except (errors.UnavailableError, errors.DeadlineExceededError, errors.AbortedError, errors.CancelledError) as error:
        named = [int(task) for task in re.findall(r"/task:([0-9]+)", str(error)) if int(task) != rank]
        other = named[0] if named else 0  # the first one, which has the heartbeats of all, is not always named
        raise WorkerError(f"{LOST}: worker {other} ({addresses[other]})") from None
    finally:
        faulthandler.cancel_dump_traceback_later()


def _cluster() -> tuple[list[str], int]:
    """Return the addresses of all workers and this one's rank, as ``TF_CONFIG`` has them."""
    try:
        config = json.loads(os.environ["TF_CONFIG"])
        cluster, task = config["cluster"], config["task"]
        addresses, rank = cluster["worker"], int(str(task["index"]))
        ports = [int(re.fullmatch(r"\S+:([0-9]+)", address)[1]) for address in addresses]
        right = [*cluster] == ["worker"] and task["type"] == "worker" and 0 <= rank < len(set(addresses)) == len(ports)
        if right and all(0 < port < 2**16 for port in ports):
            return addresses, rank
    except (ValueError, KeyError, TypeError):
        pass
    form = '{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}'
    raise UsageError(f"TF_CONFIG must be of the form {form}")


def _end_with_the_launcher() -> None:
    """Let the kernel end this process when the other end of its standard input closes, however the launcher went."""
    import fcntl  # not on Windows

    fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
    if hasattr(fcntl, "F_SETSIG"):  # Linux; elsewhere it is SIGIO, which a stopped process does not hear
        fcntl.fcntl(0, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(0, fcntl.F_SETFL, os.O_ASYNC)
    if select.select([0], [], [], 0)[0]:  # it has gone already
        os._exit(1)


def _never_by_proxy(addresses: Sequence[str]) -> None:
    """Name the workers' hosts where gRPC looks: through a proxy they would wait for one another in vain."""
    hosts = [address.rpartition(":")[0] for address in addresses]
    others = os.environ.get("no_grpc_proxy") or os.environ.get("no_proxy") or ""  # noqa: SIM112
    os.environ["no_grpc_proxy"] = ",".join(dict.fromkeys([*hosts, *filter(None, others.split(","))]))  # noqa: SIM112


def _meet(addresses: Sequence[str], rank: int, seconds: float) -> None:
    """Listen at this worker's address until every other one has answered at its own; then TensorFlow may listen."""
    end = time.monotonic() + seconds
    both = {"family": socket.AF_INET6, "dualstack_ipv6": True} if socket.has_dualstack_ipv6() else {}
    port = int(addresses[rank].rpartition(":")[2])
    try:
        listening = socket.create_server(("", port), reuse_port=RESULT in os.environ, **both)  # a launcher holds it too
    except OSError:
        raise WorkerError(f"cannot listen at {addresses[rank]}: is the port in use?") from None
    with listening:
        missing = [other for other in range(len(addresses)) if other != rank]
        while missing := [other for other in missing if not _answers(addresses[other])]:
            if time.monotonic() > end:
                who = " and ".join(f"worker {other} ({addresses[other]})" for other in missing)
                raise WorkerError(f"after {seconds:g} s there is no answer from {who}")
            time.sleep(0.1)


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with contextlib.suppress(OSError, UnicodeError):  # the latter for what can be no host's name
        socket.create_connection((host.strip("[]"), int(port)), timeout=1).close()
        return True
    return False


def hand_over(result: Result) -> Result:
    """Give a worker's `result` to the launcher, where there is one, and return it."""
    if RESULT in os.environ:
        os.write(int(os.environ[RESULT]), pickle.dumps(tuple(result)))
    return result


# In the launcher


def launch(main: Callable[..., Result], arguments: Mapping[str, object], workers: int) -> tuple:
    """Run a lesson's file in `workers` processes on this machine and return the fields of the first one's result.

    The file calls `main` with its command line, which is made from `arguments`; None stands for a default. What the
    workers print is printed here. When one fails, the error names it. However this ends, no worker is left: they end
    with this process.
    """
    if not hasattr(socket, "SO_REUSEPORT"):
        raise WorkerError("several workers take Linux or macOS: run this with --workers 1")
    file = inspect.getsourcefile(main)
    if file is None or not os.path.exists(file) or "ipykernel" in sys.modules:
        raise WorkerError("a notebook's cells are no file that workers could run: take --workers 1, or the script")
    named = {"--" + name.replace("_", "-"): value for name, value in arguments.items() if value not in (None, False)}
    options = [name if value is True else f"{name}={value}" for name, value in named.items()]
    command = [sys.executable, os.path.abspath(file), *options]
    with contextlib.ExitStack() as stack:
        ports = [stack.enter_context(_held_port()) for _ in range(workers)]
        addresses = ["{}:{}".format(*port.getsockname()) for port in ports]
        if sys.stdout and sys.stdout.isatty():
            stack.enter_context(Console().status(f"{workers} workers start, train and take times"))
        team = [stack.enter_context(_Worker(command, rank, addresses)) for rank in range(workers)]
        statuses = [None]
        while None in statuses and not any(statuses):
            time.sleep(0.05)
            statuses = [worker.status() for worker in team]
            for worker in team:
                worker.relay()
        _require_well(team)
        return team[0].result()


def _held_port() -> socket.socket:
    """Return a socket bound to a free port of this machine: nobody else gets it until TensorFlow listens there too."""
    port = socket.socket()
    port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    port.bind(("127.0.0.1", 0))
    return port


class _Worker:
    """A process, killed at the end of a ``with`` block. All that it says goes to files without names: none is left."""

    def __init__(self, command: Sequence[str], rank: int, addresses: Sequence[str]) -> None:
        self.rank, self._relayed = rank, 0  # bytes of what it has printed
        self._out, self._err, self._result = (tempfile.TemporaryFile() for _ in range(3))  # noqa: SIM115
        task = {"cluster": {"worker": list(addresses)}, "task": {"type": "worker", "index": rank}}
        own = {"TF_CONFIG": json.dumps(task), "TF_GRPC_REUSE_PORT": "1", RESULT: str(self._result.fileno())}
        self._process = subprocess.Popen(
            command,
            env=os.environ | own | {"PYTHONUNBUFFERED": "1"},
            stdin=subprocess.PIPE,  # closed when the launcher ends
            stdout=self._out,
            stderr=self._err,
            pass_fds=[self._result.fileno()],
            start_new_session=True,  # Ctrl-C is for the launcher, which ends them
        )

    def __enter__(self) -> "_Worker":
        return self

    def __exit__(self, *_) -> None:
        self._process.kill()  # a stopped process ignores everything but this
        self._process.wait()
        for file in (self._process.stdin, self._out, self._err, self._result):
            file.close()

    def status(self) -> int | None:
        return self._process.poll()

    def result(self) -> tuple:
        return pickle.loads(_content(self._result))

    def relay(self) -> None:
        """Print the whole lines that it has printed since the last call."""
        lines, newline, _ = _content(self._out, self._relayed).rpartition(b"\n")
        self._relayed += len(lines + newline)
        for line in lines.decode(errors="replace").splitlines():
            if self.rank == 0 or not line.startswith("data:"):  # all have read the same
                print(line, flush=True)

    def lost_another(self) -> bool:
        """Return whether it has failed because another worker did, by its own words or by those of faulthandler."""
        return LOST in self._said() or self._said().startswith("Timeout (")

    def error(self) -> LessonError:
        """Return why it failed."""
        status, words = self.status(), (self._said().splitlines() or ["it said nothing"])[-1]
        if status < 0:
            return WorkerError(f"worker {self.rank} was killed by {signal.Signals(-status).name}")
        if not words.startswith("error: "):
            return WorkerError(f"worker {self.rank} failed: {words}")
        kind = UsageError if status == UsageError.exit_status else WorkerError
        return kind(f"worker {self.rank}: {words.removeprefix('error: ')}")

    def _said(self) -> str:
        return _content(self._err).decode(errors="replace").strip()


def _content(file: IO[bytes], start: int = 0) -> bytes:
    return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, start)  # where the worker writes next stays


def _require_well(team: Sequence[_Worker]) -> None:
    """Raise the error of the worker that is the cause, when one has failed: the others only lost it."""
    end = time.monotonic() + GRACE
    while failed := sorted((worker for worker in team if worker.status()), key=lambda worker: worker.status()):
        for worker in failed:
            if not worker.lost_another():
                raise worker.error()
        if time.monotonic() > end:
            silent = [f"worker {worker.rank}" for worker in team if worker.status() is None]
            raise WorkerError(f"no sign of life from {' and '.join(silent)}") if silent else failed[0].error()
        time.sleep(0.05)
