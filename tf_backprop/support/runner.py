"""Runs lessons one after the other in this process: TensorFlow is imported once, and a failure stops only itself."""

import contextlib
import importlib
import inspect
import io
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tf_backprop.support import lessons
from tf_backprop.support.errors import LessonError
from tf_backprop.support.files import FIGURES
from tf_backprop.support.mnist import Choice
from tf_backprop.support.tables import table

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn


class Outcome(NamedTuple):
    """How one lesson ended."""

    lesson: lessons.Lesson
    seconds: float
    comparison: list[tuple]  # quantity, learned, expected, published, source; the last row is the lesson's answer
    figure: Path | None
    error: str | None  # None: it ran well
    notes: list[str]  # what it said of its data

    def line(self) -> str:
        """Return one line: name, seconds, learned beside expected, figure; or what went wrong."""
        start = f"{self.lesson.name:<32}{self.seconds:5.1f} s  "
        if self.error is not None:
            return f"{start}FAILED: {self.error}"
        answer = self.comparison[-1]
        named = answer._asdict().items()
        beside = [f"{name.replace('published', 'document')} {v:.6g}" for name, v in named if isinstance(v, int | float)]
        return f"{start}{answer.quantity}: {', '.join(beside)}; {self.figure}"


def run_lesson(lesson: lessons.Lesson, options: Mapping[str, object]) -> Outcome:
    """Run a lesson's ``main`` with those of `options` that it takes; what it prints is set aside."""
    from matplotlib import pyplot

    start, comparison, figure, error, said = time.perf_counter(), [], None, None, io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            main = lessons.load(lesson.path).main
            taken = inspect.signature(main).parameters
            result = main(**{name: value for name, value in options.items() if name in taken})
        comparison, figure = result.comparison, result.figure
    except (LessonError, OSError) as failure:
        error = str(failure)
    except Exception as failure:  # whatever it is, the other lessons still run
        error = f"{type(failure).__name__}: {failure}".partition("\n")[0]
    finally:
        pyplot.close("all")
    notes = [line for line in said.getvalue().splitlines() if line.startswith("data:")]
    return Outcome(lesson, time.perf_counter() - start, comparison, figure, error, notes)


def run(chosen: Sequence[lessons.Lesson], options: Mapping[str, object]) -> Iterator[Outcome]:
    """Run the `chosen` lessons under a progress bar and yield how each ended, after printing its line."""
    console = Console(soft_wrap=True, highlight=False, markup=False)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("importing TensorFlow", total=len(chosen))
        importlib.import_module("tf_backprop.command")  # imports TensorFlow, before any lesson's time is taken
        for lesson in chosen:
            progress.update(task, description=lesson.name)
            outcome = run_lesson(lesson, options)
            console.print(outcome.line())
            progress.advance(task)
            yield outcome


def summary(outcomes: Sequence[Outcome]) -> str:
    """Return a table of all `outcomes`."""
    rows = []
    for outcome in outcomes:
        answer = outcome.comparison[-1] if outcome.error is None else ("failed", None, None, None)
        rows.append([outcome.lesson.name, f"{outcome.seconds:.1f} s", *answer[:4]])
    return table(["lesson", "time", "answer", "learned", "expected", "document"], rows)


def run_lessons(
    *names: str,
    list: bool = False,
    data: Choice = "auto",
    mnist_dir: Path | None = None,
    figures: Path = FIGURES,
) -> None:
    """Run lessons and print learned beside expected beside published. The word doctor looks at the machine instead.

    Args:
        names: numbers or names of lessons, like 01 or 05_himmelblau; all without any
        list: print the lessons with their questions, and run none
    """
    chosen = lessons.select(names)
    if list:
        print(table(["lesson", "question"], [[lesson.name, lesson.question] for lesson in chosen]))
        return
    start = time.perf_counter()
    outcomes = [*run(chosen, {"data": data, "mnist_dir": mnist_dir, "figures": figures})]
    notes = sorted({note for outcome in outcomes for note in outcome.notes})
    print(f"\n{summary(outcomes)}\n", *notes, sep="\n")
    failed = [outcome.lesson.name for outcome in outcomes if outcome.error is not None]
    print(f"{len(outcomes) - len(failed)} of {len(outcomes)} lessons ran well, {time.perf_counter() - start:.0f} s")
    if failed:
        raise LessonError(f"{len(failed)} failed: {', '.join(failed)}")
