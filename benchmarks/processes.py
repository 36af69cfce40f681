"""Measure a lesson's whole process, beside one that only imports TensorFlow: wall time and peak memory."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from tf_backprop.support import lessons


class Process(NamedTuple):
    """The measurements of one command."""

    name: str
    seconds: list[float]
    megabytes: list[float]  # the largest resident set


def measure(repetitions: int, mnist_dir: str | None) -> list[Process]:
    """Run the bare import and every lesson `repetitions` times, interleaved; return the bare import first.

    Raises
    ------
    RuntimeError
        When a process fails, because then its time means nothing.
    """
    with tempfile.TemporaryDirectory() as figures:
        commands = {"import tensorflow": ["-c", "import tensorflow"]}
        for lesson in lessons.find():
            commands[lesson.name] = [str(lesson.path), "--figures", figures]
        environment = os.environ | {"MNIST_DIR": mnist_dir} if mnist_dir else os.environ
        measured = {name: Process(name, [], []) for name in commands}
        for repetition in range(repetitions):
            for name, command in commands.items():
                seconds, megabytes = _run([sys.executable, *command], environment)
                measured[name].seconds.append(seconds)
                measured[name].megabytes.append(megabytes)
                print(f"  {repetition + 1} of {repetitions}: {name}, {seconds:.1f} s", flush=True)
    return list(measured.values())


def _run(command: list[str], environment) -> tuple[float, float]:
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - start
    if process.returncode:
        raise RuntimeError(f"{Path(command[-1]).name}: exit status {process.returncode}")
    return seconds, usage.ru_maxrss / (1024 if sys.platform == "linux" else 1024**2)
