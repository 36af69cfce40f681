"""Lessons run as scripts without the import each time: a process that has imported TensorFlow, and run nothing, forks.

``python tests/forks.py`` is that process. It reads one request per line and answers with the exit status.
``python tests/forks.py SCRIPT ...`` runs a script, and what that starts as its workers are forks of it.
"""

import contextlib
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import traceback
import types
from importlib import metadata
from pathlib import Path

#: Before TensorFlow 2.21 the import ends with an operation, and a process that has run one must not be forked.
POSSIBLE = sys.platform == "linux" and tuple(map(int, metadata.version("tensorflow").split(".")[:2])) >= (2, 21)

#: Seconds that a script may take.
PATIENCE = 120


class Scripts:
    """Runs scripts, each in a new process with its own folder, arguments, environment and files for what it prints."""

    def __init__(self) -> None:
        self._server = None

    def run(self, script, *arguments, cwd, environment) -> subprocess.CompletedProcess:
        """Return the finished process of ``python script arguments``."""
        command = [str(script), *map(str, arguments)]
        if not POSSIBLE:
            return subprocess.run(
                [sys.executable, *command], cwd=cwd, env=environment, capture_output=True, text=True, timeout=PATIENCE
            )
        if self._server is None:
            self._server = subprocess.Popen(
                [sys.executable, __file__], env=clean(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        with tempfile.TemporaryDirectory() as folder:
            out, err = Path(folder) / "out", Path(folder) / "err"
            request = [command, str(cwd), dict(environment), str(out), str(err)]
            print(json.dumps(request), file=self._server.stdin, flush=True)
            status = int(self._server.stdout.readline())
            return subprocess.CompletedProcess(command, status, out.read_text("utf-8"), err.read_text("utf-8"))

    def close(self) -> None:
        """End the server."""
        if self._server is not None:
            self._server.communicate()


def clean(**changes) -> dict[str, str]:
    """Return this process's environment as a user's would be, without what was set for TensorFlow."""
    return {k: v for k, v in os.environ.items() if not k.startswith("TF_")} | changes


def serve() -> None:
    """Fork for every request, and say how the child ended."""
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    from tf_backprop import command, datasets, plotting, report  # noqa: F401

    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            become(*json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def become(command, cwd, environment, out, err) -> None:
    """Be the process of a script, and end as it does."""
    signal.alarm(PATIENCE)
    os.chdir(cwd)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, file in ((1, out), (2, err)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), number)
    end_as(command, environment)


class Forked(subprocess.Popen):
    """A process in a session of its own that is a fork of this one, and runs the script in its command."""

    def _execute_child(self, args, executable, preexec_fn, close_fds, pass_fds, cwd, env, *others) -> None:
        import fcntl  # not on Windows, where nothing is forked

        pipes = others[3:9]  # six ends: of standard input, output and error
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            for number, file in enumerate([fcntl.fcntl(pipes[i], fcntl.F_DUPFD, 100) for i in (0, 3, 5)]):
                os.dup2(file, number)
            for file in {int(name) for name in os.listdir("/proc/self/fd")} - {0, 1, 2, *pass_fds}:
                with contextlib.suppress(OSError):  # the one that listed them
                    os.close(file)
            sys.stdout, sys.stderr = (open(number, "w", buffering=1, closefd=False) for number in (1, 2))  # noqa: SIM115
            os.setsid()  # now it has nothing of its parent's, as a process of its own
            end_as(args[1:], env)
        self._child_created = True
        self._close_pipe_fds(*pipes)


def run_with_forks(command) -> None:
    """Run a script of this process's arguments; the workers that it starts are forks."""
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    from tf_backprop.support import workers

    workers.subprocess = types.SimpleNamespace(Popen=Forked, PIPE=subprocess.PIPE)
    sys.argv[:] = command
    runpy.run_path(command[0], run_name="__main__")


def end_as(command, environment) -> None:
    """Run a script with an environment, and end this process as it ends."""
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
    if sys.argv[1:]:
        run_with_forks(sys.argv[1:])
    else:
        serve()
