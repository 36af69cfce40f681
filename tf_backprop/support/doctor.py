"""``python -m tf_backprop doctor``: what this machine has for the lessons, a line each, and what to do about a lack.

By itself it imports the standard library only, for what it looks for may not be there.
"""

import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from tf_backprop.support.files import FIGURES

ROOT = Path(__file__).resolve().parents[2]
DISK = 100  # megabytes that the figures, and a download of MNIST, need


class Finding(NamedTuple):
    """One line of the report."""

    what: str
    found: str
    advice: str = ""  # what to do; empty where all is well
    fatal: bool = True  # whether a lesson would fail

    def line(self) -> str:
        """Return the finding as one line."""
        state = "ok     " if not self.advice else "PROBLEM" if self.fatal else "note   "
        return f"{state} {self.what}: {self.found}" + (f"; {self.advice}" if self.advice else "")


def python() -> Finding:
    """Compare the Python version with the supported range."""
    version = ".".join(map(str, sys.version_info[:3]))
    supported = (3, 10) <= sys.version_info[:2] < (3, 14)
    advice = "use Python 3.10 to 3.13, for instance: make PYTHON=python3.12"
    return Finding("Python", version, "" if supported else advice)


def machine() -> Finding:
    """Compare the machine with those for which there is a TensorFlow."""
    system, processor = platform.system(), platform.machine()
    found, elsewhere = f"{system} {processor}", "or run the lessons in Colab or in a Linux container"
    if system == "Darwin" and processor == "x86_64":
        if "ARM64" in platform.version():
            return Finding("machine", f"{found}, by Rosetta", f"use a Python for arm64, {elsewhere}")
        return Finding("machine", found, f"no TensorFlow from 2.18 on is for Intel's Macs: {elsewhere[3:]}")
    if sys.maxsize < 2**32:
        return Finding("machine", f"{found}, a Python of 32 bits", "use a Python of 64 bits")
    if "musl" in (sysconfig.get_config_var("HOST_GNU_TYPE") or ""):
        return Finding("machine", f"{found}, musl", f"TensorFlow needs glibc: use another distribution, {elsewhere}")
    advice = "several workers take Linux or macOS: lesson 14 takes one here" if system == "Windows" else ""
    return Finding("machine", found, advice, fatal=False)


#: What a failed import says, and what helps; the first that is found counts.
CURES = {
    r"No module named '(tensorflow|numpy|matplotlib)'$": "run: {python} -m pip install '{name}'",
    r"DLL load failed": "install Microsoft's Visual C++ Redistributable for x64, and start again",
    r"SIGILL|Illegal instruction|AVX": "this processor lacks AVX, which TensorFlow needs: use another machine or Colab",
    r"temporary directory": "name a folder that can be written with TMPDIR",
    r"SIGKILL|SIGABRT|failed to map|MemoryError|Cannot allocate": "memory is short, or limited (ulimit -a)",
    r"Descriptors cannot|[Pp]rotobuf|NumPy 1\.x|multiarray|dtype size changed": (
        "its packages do not fit together: make a new environment for tf-backprop alone"
    ),
    r"": "run: {python} -m pip install --force-reinstall --no-cache-dir {name}",
}


def cure(name: str, said: str) -> str:
    """Return what to do about a package that cannot be imported: a file of the user's may be in its place."""
    for folder in map(Path, [*filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)), "."]):
        for taken in (name, *re.findall(r"from '(\w+)' \(", said)):  # or for Python's own, as random.py
            for file in (folder / f"{taken}.py", folder / taken / "__init__.py"):
                if file.is_file() and "site-packages" not in str(file.absolute()):
                    return f"{file} is taken for the package: rename it"
    advice = next(advice for pattern, advice in CURES.items() if re.search(pattern, said))
    return advice.format(python=sys.executable, name=name)


def packages() -> Iterator[Finding]:
    """Compare each package that the lessons need with the oldest version that will do."""
    try:
        requirements = [r for r in metadata.requires("tf-backprop") or [] if "extra ==" not in r]
    except metadata.PackageNotFoundError:
        yield Finding("tf-backprop", "not installed", f"run: {sys.executable} -m pip install -e {ROOT}")
        return
    for requirement in sorted(requirements):
        name, oldest = re.fullmatch(r"([\w-]+)>=([\d.]+)", requirement).groups()
        advice = f"run: {sys.executable} -m pip install '{requirement}'"
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            yield Finding(name, "not installed", advice)
            continue
        yield Finding(name, f"{version} (from {oldest} on)", "" if _numbers(version) >= _numbers(oldest) else advice)


def _numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)[:3]]


def tensorflow() -> Finding:
    """Import TensorFlow in a process of its own, which may crash, and ask for its devices and threads."""
    code = (
        "import os, tensorflow as tf, tf_backprop.command; print(', '.join(d.device_type for d in "
        "tf.config.list_logical_devices()), os.environ['TF_NUM_INTRAOP_THREADS'], os.environ['CUDA_VISIBLE_DEVICES'])"
    )
    try:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, errors="replace", timeout=120)
    except subprocess.TimeoutExpired:
        return Finding("import tensorflow", "did not end in two minutes", "start it again, for the first time is slow")
    if done.returncode:
        killed = signal.Signals(-done.returncode).name if done.returncode < 0 else ""
        said = killed or [f"ended with status {done.returncode}", *done.stderr.strip().splitlines()][-1]
        return Finding("import tensorflow", said, cure("tensorflow", said + done.stderr))
    *devices, threads, gpus = done.stdout.split()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Finding(
        "import tensorflow",
        f"works; devices {' '.join(devices)}; {cores} cores, threads an operation: {threads}; "
        f"CUDA_VISIBLE_DEVICES {gpus}: {'the CPU alone' if gpus == '-1' else 'a GPU where there is one'}",
    )


def find_mnist() -> Finding:
    """Tell where MNIST is, and whether it is the known one; without it the lessons run on the small digits."""
    from tf_backprop.support import mnist
    from tf_backprop.support.errors import DataError

    try:
        found, problems = mnist.find()
    except DataError as error:
        return Finding("MNIST", str(error), "mend or unset it, or use --data digits")
    if found is None:
        advice = "the lessons that want it download it, or run on the small digits"
        return Finding("MNIST", "; ".join(["not on this machine", *problems]), advice, fatal=False)
    advice = "" if found.name == "MNIST" else f"not the MNIST of the documents, but {found.name} images of its form"
    return Finding("MNIST", str(found.place), advice, fatal=False)


def matplotlib() -> Finding:
    """Tell which backend draws the figures."""
    from matplotlib import pyplot

    backend = pyplot.get_backend()
    pyplot.figure()
    pyplot.close()
    return Finding("Matplotlib", f"backend {backend}")


def figures() -> Finding:
    """Write a file where the figures go, and tell how much room there is."""
    folder = FIGURES.absolute()
    try:
        folder.mkdir(exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            free = shutil.disk_usage(folder).free / 1e6
    except OSError as error:
        return Finding("figures", f"{folder}: {error.strerror}", "name another folder with --figures")
    advice = "" if free > DISK else f"make room: a run needs {DISK} MB at most"
    return Finding("figures", f"{folder} can be written; {free:,.0f} MB are free", advice)


def findings() -> Iterator[Finding]:
    """Yield what was looked at; what cannot be looked at is a finding too."""
    yield python()
    yield machine()
    yield from packages()
    looks = {"import tensorflow": tensorflow, "MNIST": find_mnist, "Matplotlib": matplotlib}
    for what, look in (looks | {"figures": figures}).items():
        yield _guarded(what, look)


def _guarded(what: str, look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except Exception as error:  # a broken installation can fail in any way
        said = f"{type(error).__name__}: {error}".partition("\n")[0]
        return Finding(what, said, cure("numpy" if what == "MNIST" else "matplotlib", said))


def main() -> None:
    """Look at this machine, a line each, and say what to do about a lack; the status is 1 if a lesson would fail."""
    failing = 0
    for finding in findings():
        print(finding.line(), flush=True)
        failing += bool(finding.advice) and finding.fatal
    print(f"{failing} to mend" if failing else "every lesson should run")
    sys.exit(int(failing > 0))
