"""Renew tables of the README and of three pages from the lessons' files and results: ``python -m tools.readme``."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from tf_backprop import command, report
from tf_backprop.support import lessons, runner
from tf_backprop.support.errors import LessonError

README = lessons.SCRIPTS.parent / "README.md"
#: Where the tables stand, each between two comments that name it.
PAGES = [README, *(README.parent / "docs" / f"{name}.md" for name in ("check", "ledger", "running"))]


#: The groups of the lessons, by the first lesson of each.
GROUPS = {
    "01": "Derivatives",
    "06": "Losses and optimizers",
    "08": "One gradient, three ways",
    "12": "Depth, mistakes and scale",
}


def lesson_table() -> str:
    """Return a table per group of lessons, with the title of each, which links to its script, and its question."""
    groups: dict[str, list] = {}
    for lesson in lessons.find():
        group = GROUPS.get(lesson.name[:2]) or [*groups][-1]
        link = f"[{lesson.name[:2]} {lesson.title}](scripts/{lesson.name}.py)"
        groups.setdefault(group, []).append([link, lesson.question])
    return "\n\n".join(report.table([group, ""], rows, "github") for group, rows in groups.items())


def number_table(comparisons: Mapping[str, Sequence[report.Row]]) -> str:
    """Return one row per quantity: its lesson, its learned and exact values, the document's, and where that is from."""
    rows = [
        [name[:2], *row[:-1], "" if row.published is None else row.source]
        for name, comparison in comparisons.items()
        for row in comparison
    ]
    return report.table(["lesson", "quantity", "learned here", "exact", "document", "source"], rows, "github")


def blocks(text: str) -> dict[str, str]:
    """Return by name what stands between each ``<!-- begin NAME -->`` and its ``<!-- end NAME -->`` in `text`."""
    found = re.findall(r"<!-- begin (\w+) -->\n(.*?)<!-- end \1 -->", text, re.DOTALL)
    return {name: content.strip() for name, content in found}


def written() -> dict[str, str]:
    """Return by name what stands in all pages."""
    return {name: content for page in PAGES for name, content in blocks(page.read_text(encoding="utf-8")).items()}


def renew(mnist_dir: Path | None = None) -> None:
    """Run every lesson, with the real MNIST, and put the tables into README.md and docs/ledger.md."""
    outcomes = [*runner.run(lessons.find(), {"data": "mnist", "mnist_dir": mnist_dir})]
    if any(outcome.error is not None for outcome in outcomes):
        raise LessonError("the tables are left as they were, because a lesson failed")
    numbers = number_table({outcome.lesson.name: outcome.comparison for outcome in outcomes})
    replace({"lessons": lesson_table(), "numbers": numbers})


def replace(contents: Mapping[str, str]) -> None:
    """Put each content between its marks, in the page that has them."""
    for page in PAGES:
        text = before = page.read_text(encoding="utf-8")
        for name, content in contents.items():
            pattern = rf"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)"
            text = re.sub(pattern, lambda m, content=content: f"{m[1]}{content}\n{m[2]}", text, flags=re.DOTALL)
        if text != before:
            page.write_text(text, encoding="utf-8")
            print(f"{page.name}: renewed")


if __name__ == "__main__":
    command.run(renew)
