"""Run lessons and print learned beside expected beside published."""

import time
from pathlib import Path

from tf_backprop import datasets, lessons, plotting, report, runner
from tf_backprop.errors import LessonError

import tyro


def demo(
    names: tyro.conf.Positional[tuple[str, ...]] = (),
    *,
    list: bool = False,
    data: datasets.Choice = "auto",
    mnist_dir: Path | None = None,
    figures: Path = plotting.FIGURES,
) -> None:
    """Run lessons and print learned beside expected beside published.

    Args:
        names: numbers or names of lessons, like 01 or 05_himmelblau; all without any
        list: print the lessons with their questions, and run none
    """
    chosen = lessons.select(names)
    if list:
        print(report.table(["lesson", "question"], [[lesson.name, lesson.question] for lesson in chosen]))
        return
    start = time.perf_counter()
    outcomes = [*runner.run(chosen, {"data": data, "mnist_dir": mnist_dir, "figures": figures})]
    print(
        f"\n{runner.summary(outcomes)}\n", *sorted({note for outcome in outcomes for note in outcome.notes}), sep="\n"
    )
    failed = [outcome.lesson.name for outcome in outcomes if outcome.error is not None]
    print(f"{len(outcomes) - len(failed)} of {len(outcomes)} lessons ran well, {time.perf_counter() - start:.0f} s")
    if failed:
        raise LessonError(f"{len(failed)} failed: {', '.join(failed)}")
