"""Renew the README's tables from the lessons' own files and results: ``python -m tools.readme``."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from tf_backprop import command, report
from tf_backprop.support import lessons, runner
from tf_backprop.support.errors import LessonError

README = lessons.SCRIPTS.parent / "README.md"


def lesson_table() -> str:
    """Return one row per lesson, with its link, its question, what you should see, its document and a thumbnail."""
    rows = []
    for lesson in lessons.find():
        link = f"[{lesson.name}](scripts/{lesson.name}.py)"
        file = f"figures/{lesson.name}.png"
        picture = f'<a href="{file}"><img src="{file}" alt="{lesson.title}" width="220"></a>'
        document = ", ".join(sorted(set(re.findall(r"\bD[1-5]\b", lesson.source)))) or "ours"
        rows.append([link, lesson.question, lesson.seen, document, picture])
    return report.table(["lesson", "question", "what you should see", "from", "figure"], rows, "github")


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


def renew(mnist_dir: Path | None = None) -> None:
    """Run every lesson, with the real MNIST, and put the tables into README.md."""
    outcomes = [*runner.run(lessons.find(), {"data": "mnist", "mnist_dir": mnist_dir})]
    if any(outcome.error is not None for outcome in outcomes):
        raise LessonError("README.md is left as it was, because a lesson failed")
    numbers = number_table({outcome.lesson.name: outcome.comparison for outcome in outcomes})
    replace({"lessons": lesson_table(), "numbers": numbers})


def replace(contents: Mapping[str, str]) -> None:
    """Put each content between its marks in README.md."""
    text = README.read_text(encoding="utf-8")
    for name, content in contents.items():
        pattern = rf"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)"
        text = re.sub(pattern, lambda m, content=content: f"{m[1]}{content}\n{m[2]}", text, flags=re.DOTALL)
    README.write_text(text, encoding="utf-8")
    print(f"{README.name}: renewed")


if __name__ == "__main__":
    command.run(renew)
