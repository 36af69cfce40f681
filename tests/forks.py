"""Lessons run as scripts without the import each time: a process that has imported TensorFlow, and run nothing, forks.

``python tests/forks.py N`` is that process. It takes one request per message from the socket with the number N.
"""

import contextlib
import ctypes
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import traceback
import types
from importlib import metadata
from pathlib import Path

#: Before TensorFlow 2.21 the import ends with an operation, and a process that has run one must not be forked.
POSSIBLE = sys.platform == "linux" and tuple(map(int, metadata.version("tensorflow").split(".")[:2])) >= (2, 21)

#: Seconds that a script may take.
PATIENCE = 120


class Scripts:
    """Starts scripts, each as a new process with its own folder, arguments and environment.

    What a script starts as its workers are forks too. `prefix` is what all their commands start with.
    """

    def __init__(self, prefix=()) -> None:
        self.prefix, self.server, self._channel = prefix, None, None

    def start(self, script, *arguments, cwd, environment) -> subprocess.Popen:
        """Return the process of ``python script arguments``; what it prints is read from its pipes."""
        command = [sys.executable, str(script), *map(str, arguments)]
        told = {"cwd": str(cwd), "env": dict(environment), "text": True, "encoding": "utf-8"}
        told |= {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        if not POSSIBLE:
            return subprocess.Popen([*self.prefix, *command], preexec_fn=hear_signals, **told)
        if self.server is None:
            self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            number = theirs.fileno()
            serve = [*self.prefix, sys.executable, __file__, str(number)]
            self.server = subprocess.Popen(serve, env=clean(), pass_fds=[number], preexec_fn=hear_signals)
            theirs.close()
        return OfServer(self._channel, command, told)

    def run(self, script, *arguments, **options) -> subprocess.CompletedProcess:
        """Return the finished process of ``python script arguments``."""
        with self.start(script, *arguments, **options) as process:
            try:
                out, err = process.communicate(timeout=PATIENCE)
            finally:
                process.kill()
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def close(self) -> None:
        """End the server."""
        if self.server is not None:
            self._channel.close()
            self.server.wait()


def hear_signals() -> None:
    """Undo what a shell does to a command that it starts in the background, or nohup, and its children inherit."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def clean(**changes) -> dict[str, str]:
    """Return this process's environment as a user's would be, without what was set for TensorFlow."""
    return {k: v for k, v in os.environ.items() if not k.startswith("TF_")} | changes


class OfServer(subprocess.Popen):
    """A fork of the server that is a child of this process, as each process that it starts is."""

    def __init__(self, channel, command, told) -> None:
        self.channel = channel
        ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER: whose parent has ended becomes a child of this process
        super().__init__(command, **told)

    def _execute_child(self, args, executable, preexec_fn, close_fds, pass_fds, cwd, env, *others) -> None:
        pipes = others[3:9]  # six ends: of standard input, output and error
        socket.send_fds(self.channel, [json.dumps([args, cwd, env]).encode()], [pipes[i] for i in (0, 3, 5)])
        self.pid = int(self.channel.recv(20))
        assert self.channel.recv(20) == b"ended"  # its parent
        self._child_created = True
        self._close_pipe_fds(*pipes)


def serve(channel) -> None:
    """Fork for every request, in a process that ends at once."""
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    from tf_backprop import command, datasets, plotting, report  # noqa: F401
    from tf_backprop.support import workers

    import sklearn.datasets  # noqa: F401

    workers.subprocess = types.SimpleNamespace(Popen=Forked, PIPE=subprocess.PIPE)
    while True:
        request, files, *_ = socket.recv_fds(channel, 1 << 20, 3)
        if not request:
            return
        parent = os.fork()
        if parent == 0:
            pid = os.fork()
            if pid == 0:
                command, cwd, environment = json.loads(request)
                os.chdir(cwd)
                become(command[1:], environment, files)
            channel.send(str(pid).encode())
            os._exit(0)
        os.waitpid(parent, 0)
        channel.send(b"ended")
        for file in files:
            os.close(file)


class Forked(subprocess.Popen):
    """A process in a session of its own that is a fork of this one, and runs the script in its command."""

    def _execute_child(self, args, executable, preexec_fn, close_fds, pass_fds, cwd, env, *others) -> None:
        pipes = others[3:9]
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            become(args[1:], env, [pipes[i] for i in (0, 3, 5)], pass_fds)
        self._child_created = True
        self._close_pipe_fds(*pipes)


def become(command, environment, files, others=()) -> None:
    """Be the process of a script that has these files and no others of its parent's, and end as it does."""
    import fcntl  # not on Windows, where nothing is forked

    for number, file in enumerate([fcntl.fcntl(file, fcntl.F_DUPFD, 100) for file in files]):
        os.dup2(file, number)
    for file in {int(name) for name in os.listdir("/proc/self/fd")} - {0, 1, 2, *others}:
        with contextlib.suppress(OSError):  # the one that listed them
            os.close(file)
    sys.stdout, sys.stderr = (open(number, "w", buffering=1, encoding="utf-8", closefd=False) for number in (1, 2))  # noqa: SIM115
    signal.alarm(PATIENCE)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv[:] = command
    sys.path[0] = str(Path(command[0]).parent)
    status = 0
    try:
        runpy.run_path(command[0], run_name="__main__")
    except SystemExit as end:
        status = end.code or 0
    except BaseException:
        traceback.print_exc()
        status = 1
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
