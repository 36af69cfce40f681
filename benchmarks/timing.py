"""Time several ways of doing the same work, with one process per framework and interleaved repetitions."""

import contextlib
import gc
import importlib
import io
import statistics
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, NamedTuple


class UnavailableError(Exception):
    """A way that cannot be measured here, because a framework is missing."""


class Way(NamedTuple):
    """A function ``function(task, passes, *arguments) -> last cost``, which compiles anew in each call."""

    module: str  # of this package; each has a process of its own, because TensorFlow and PyTorch cannot share one
    function: str
    arguments: tuple = ()
    short: tuple[int, int] | None = None  # two numbers of passes to time instead, if the whole work takes too long


class Timed(NamedTuple):
    """The measurements of one way, in seconds."""

    way: str
    total: list[float]  # the whole work, once per repetition, with tracing and compiling
    once: float  # the median of what is paid once: building, tracing, compiling
    a_pass: float  # the median of one pass after that
    extrapolated_from: int | None = None  # how many passes were timed, if the whole work would have taken too long
    note: str = ""  # the reason, if there are no times

    def median(self) -> float:
        """Return the median time of the whole work, NaN where there is none."""
        return statistics.median(self.total) if self.total else float("nan")


class Workers:
    """One process per module of ways: it starts when it is first needed, and ends with the ``with`` block."""

    def __init__(self) -> None:
        self._stack, self._pools = contextlib.ExitStack(), {}

    def __enter__(self) -> "Workers":
        """Return the workers."""
        return self

    def __exit__(self, *_) -> None:
        """End the processes."""
        self._stack.close()

    def run(self, module: str, function: str, *arguments: Any) -> tuple[float, Any]:
        """Return how long the call took in its process, and what it returned."""
        if module not in self._pools:
            pool = ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn"))
            self._pools[module] = self._stack.enter_context(pool)
        return self._pools[module].submit(timed, module, function, arguments).result()


def timed(module: str, function: str, arguments: tuple) -> tuple[float, Any]:
    """Call a function of a module of this package; return seconds and result."""
    with contextlib.redirect_stdout(io.StringIO()):
        call = getattr(importlib.import_module(f"benchmarks.{module}"), function)
        gc.collect()
        start = time.perf_counter()
        result = call(*arguments)
        return time.perf_counter() - start, result


def side_by_side(
    workers: Workers,
    ways: Mapping[str, Way],
    task: Any,
    passes: int,
    repetitions: int,
    tolerance: float = 1e-3,
    say: bool = True,
) -> list[Timed]:
    """Time all `ways` of doing `passes` passes over `task`, interleaved; the first way is the lesson's own.

    Each repetition times a way at two numbers of passes. The difference is what a pass costs once all is compiled, and
    the rest is what is paid once.

    Raises
    ------
    AssertionError
        When a way's last cost is not the lesson's, because then it did other work and its time means nothing.
    """
    lengths = {name: way.short or (1, passes) for name, way in ways.items()}
    lesson = next(iter(ways.values()))
    expected = {
        many: workers.run(lesson.module, lesson.function, task, many, *lesson.arguments)[1]
        for many in {many for _, many in lengths.values()}
    }
    samples: dict[str, list[tuple[float, float, float]]] = {name: [] for name in ways}
    notes: dict[str, str] = {}
    for repetition in range(-1, repetitions):
        for name, way in ways.items():
            if name in notes:
                continue
            few, many = lengths[name]
            try:
                if repetition < 0:  # not timed, because it imports what the way needs and makes the data
                    workers.run(way.module, way.function, task, few or many, *way.arguments)
                    continue
                (first, _), (whole, cost) = (
                    workers.run(way.module, way.function, task, n, *way.arguments) for n in (few, many)
                )
            except UnavailableError as missing:
                notes[name] = str(missing)
                continue
            if not abs(cost - expected[many]) <= tolerance:
                raise AssertionError(f"{name} ends at the cost {cost}, and the lesson at {expected[many]}")
            a_pass = max(whole - first, 1e-9) / (many - few)
            once = max(first - few * a_pass, 0.0)
            samples[name].append((whole if way.short is None else once + passes * a_pass, once, a_pass))
            if say:
                print(f"  {repetition + 1} of {repetitions}: {name}, {samples[name][-1][0]:.2f} s", flush=True)
    results = []
    for name, way in ways.items():
        if samples[name]:
            total, once, a_pass = zip(*samples[name], strict=True)
            medians = statistics.median(once), statistics.median(a_pass)
            results.append(Timed(name, list(total), *medians, way.short and way.short[1]))
        else:
            results.append(Timed(name, [], float("nan"), float("nan"), None, notes[name]))
    return results
