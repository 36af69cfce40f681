"""Time the lessons' training beside other ways of doing it; write results.json, the tables and the figure."""

import contextlib
import os
import platform
import time
from importlib import metadata
from pathlib import Path

from benchmarks import processes, results, tasks
from benchmarks.timing import UnavailableError, Way, Workers, side_by_side
from tf_backprop import command, datasets
from tf_backprop.support.errors import UsageError

TENSORFLOW = "by_tensorflow"
SOFTMAX = {
    "lesson 11": Way(TENSORFLOW, "softmax_lesson", ("11",)),
    "lesson 10": Way(TENSORFLOW, "softmax_lesson", ("10",)),
    "lesson 09": Way(TENSORFLOW, "softmax_lesson", ("09",)),
    "tf.function per epoch, XLA": Way(TENSORFLOW, "softmax_whole_epoch", (True,)),
    "tf.function per epoch": Way(TENSORFLOW, "softmax_whole_epoch", (False,)),
    "tf.data": Way(TENSORFLOW, "softmax_tf_data"),
    "tf.function per step": Way(TENSORFLOW, "softmax_step_by_step", (True,)),
    "eager": Way(TENSORFLOW, "softmax_step_by_step", (False,), short=(1, 3)),
    "Keras fit": Way(TENSORFLOW, "softmax_keras"),
    "TensorFlow 1 session": Way(TENSORFLOW, "softmax_session"),
    "NumPy": Way("by_numpy", "softmax"),
    "PyTorch": Way("by_pytorch", "softmax"),
    "JAX scan": Way("by_jax", "softmax"),
}
MOONS = {
    "lesson 12": Way(TENSORFLOW, "moons_lesson"),
    "one XLA program": Way(TENSORFLOW, "moons_graph", (True,)),
    "JAX scan": Way("by_jax", "moons"),
    "NumPy": Way("by_numpy", "moons", short=(1, 20)),
    "plain graph": Way(TENSORFLOW, "moons_graph", (False,), short=(1, 11)),
    "XLA, padded slice": Way(TENSORFLOW, "moons_graph", (True, True), short=(1, 3)),
    "PyTorch": Way("by_pytorch", "moons", short=(0, 1)),
    "tf.function per step": Way(TENSORFLOW, "moons_step_by_step", (True,), short=(1, 2)),
    "eager": Way(TENSORFLOW, "moons_step_by_step", (False,), short=(0, 1)),
}
GROWTH = ["lesson 11", "tf.function per step", "eager", "TensorFlow 1 session", "NumPy", "JAX scan"]
SMALL = ("01", "02", "05", "07")


def growth(workers: Workers) -> dict[str, dict[str, dict[str, list[float]]]]:
    """Time some ways by batch size, by width and by number of steps, on synthetic images.

    By batch size and by width they are microseconds per step, once all is compiled; by number of steps, seconds in all.
    """
    sizes = {"batch": (1, 100, 1000, 10_000), "width": (16, 784, 8192), "steps": (1, 10, 100, 1000, 10_000)}
    curves = {kind: {name: {"x": [], "y": []} for name in GROWTH} for kind in sizes}
    for kind, size in ((kind, size) for kind, some in sizes.items() for size in some):
        if kind == "steps":
            steps, task = min(size, 100), tasks.Softmax(None, 100 * min(size, 100))
        else:
            batch, pixels = (size, 784) if kind == "batch" else (100, size)
            steps = max(1, min(100, 10_000 // batch))
            task = tasks.Softmax(None, steps * batch, pixels, batch, 1e-4)
        for name in GROWTH:
            way, slow = SOFTMAX[name], name in ("eager", "tf.function per step")
            if kind == "steps" and slow and size > 1000:
                continue  # a straight line by now
            with contextlib.suppress(UnavailableError):
                if kind == "steps":
                    value, _ = workers.run(way.module, way.function, task, max(1, size // 100), *way.arguments)
                else:
                    value = 1e6 * one_pass(workers, way, task) / steps
                curves[kind][name]["x"].append(size)
                curves[kind][name]["y"].append(value)
        print(f"  {kind} {size:,}", flush=True)
    return {kind: {name: curve for name, curve in ways.items() if curve["x"]} for kind, ways in curves.items()}


def one_pass(workers: Workers, way: Way, task: tasks.Softmax) -> float:
    """Return the seconds of one pass, from so many passes that differences in compiling do not matter."""
    first = min(workers.run(way.module, way.function, task, 1, *way.arguments)[0] for _ in range(2))
    passes, more = 1, 0.0
    while more < 0.5:
        passes = 3 * passes if more <= 0 else 1 + int(passes * min(10.0, 1.0 / more))
        more = workers.run(way.module, way.function, task, passes, *way.arguments)[0] - first
        if more >= 0.5:  # the machine may have been busy: measure once more
            more = min(more, workers.run(way.module, way.function, task, passes, *way.arguments)[0] - first)
    return more / (passes - 1)


def machine() -> dict[str, object]:
    """Return the versions and the machine, on which the times depend."""
    names = ("tensorflow", "keras", "numpy", "torch", "jax")
    versions = {}
    for name in names:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    return {"python": platform.python_version(), "system": platform.system(), "cores": os.cpu_count(), **versions}


def bench(repetitions: int = 2, mnist_dir: Path | None = None, page: bool = True, check_only: bool = False) -> None:
    """Time every way of training, interleaved, and print the ratios. It takes 8 to 20 minutes on two cores.

    Args:
        repetitions: how often each way is timed
        mnist_dir: folder with MNIST; if there is no MNIST, the images are synthetic, of the same shape
        page: renew benchmarks/results.json, docs/speed.md and figures/speed.png
        check_only: time only the check of a gradient, and keep the other results
    """
    if repetitions < 1:
        raise UsageError(f"--repetitions must be a whole number from 1, not {repetitions}")
    start = time.perf_counter()
    named = mnist_dir or os.environ.get("MNIST_DIR")
    found = datasets.images("auto", mnist_dir).name == "MNIST"
    folder = str(named or "") if found else None
    images = "MNIST" if found else "synthetic images of MNIST's shape, for there is no MNIST here"
    if check_only:
        with Workers() as workers:
            measured = results.read() | {"check": workers.run("by_numpy", "check", tasks.Softmax(folder))[1]}
        print(results.check_table(measured["check"]))
        if page:
            results.renew(measured, figure=False)
        return
    measured: dict[str, object] = {"machine": machine(), "images": images}
    with Workers() as workers:
        print(f"softmax regression, {images}", flush=True)
        task = tasks.Softmax(folder)
        measured["softmax"] = [way._asdict() for way in side_by_side(workers, SOFTMAX, task, 10, repetitions)]
        print("moons", flush=True)
        _, task = workers.run(TENSORFLOW, "moons_task")
        measured["moons"] = [way._asdict() for way in side_by_side(workers, MOONS, task, 1000, repetitions)]
        print("the small lessons", flush=True)
        measured["small"] = []
        for number in SMALL:
            ways = {
                f"lesson {number}": Way(TENSORFLOW, "small_lesson", short=(0, 1)),
                f"{number}, the document's way": Way(TENSORFLOW, "small_document", short=(0, 1)),
            }
            for way in side_by_side(workers, ways, number, 1, repetitions):
                measured["small"].append(way._asdict())
        print("the check of a gradient", flush=True)
        _, measured["check"] = workers.run("by_numpy", "check", tasks.Softmax(folder))
        print("growth", flush=True)
        measured["growth"] = growth(workers)
    print("whole processes", flush=True)
    measured["processes"] = [process._asdict() for process in processes.measure(repetitions, folder)]
    measured["minutes"] = round((time.perf_counter() - start) / 60, 1)
    print("", *results.tables(measured).values(), f"{measured['minutes']} minutes", sep="\n\n")
    if page:
        results.renew(measured)


if __name__ == "__main__":
    command.run(bench)
