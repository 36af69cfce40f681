"""Renew tables of the README and of the pages from the lessons' files and results: ``python -m tools.readme``."""

import ast
import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from tf_backprop import command, report
from tf_backprop.support import explanation, lessons, runner
from tf_backprop.support.errors import LessonError

README = lessons.SCRIPTS.parent / "README.md"
#: Where the tables stand, each between two comments that name it.
NAMES = ("check", "ledger", "running", "speed", "tf1-to-tf2")
PAGES = [README, README.with_name("README.zh-CN.md"), *(README.parent / "docs" / f"{name}.md" for name in NAMES)]

#: Of a reader who does not know the subject yet: words of prose, or lines of code, in a minute.
WORDS, LINES = 200, 10

#: The groups of the lessons, by the first lesson of each.
GROUPS = {
    "01": "Derivatives",
    "06": "Losses and optimizers",
    "08": "One gradient, three ways",
    "12": "Depth, mistakes and scale",
}


def lesson_table(translations: Mapping[str, str]) -> str:
    """Return a table per group of lessons, with the title of each, which links to its script, and its question."""
    groups: dict[str, list] = {}
    for lesson in lessons.find():
        group = GROUPS.get(lesson.name[:2]) or [*groups][-1]
        title, question = f"{lesson.name[:2]} {lesson.title}", lesson.question
        link = f"[{translations.get(title, title)}](scripts/{lesson.name}.py)"
        groups.setdefault(group, []).append([link, translations.get(question, question)])
    tables = ([translations.get(group, group), rows] for group, rows in groups.items())
    return "\n\n".join(report.table([group, ""], rows, "github") for group, rows in tables)


def chinese() -> dict[str, str]:
    """Return the Chinese for each text of the home page and of the lessons' pages, as their catalogues have it."""
    from tools import catalogues  # it needs Babel, which is not there where the lessons are timed

    pages = ["index", *(f"gallery/{lesson.name}" for lesson in lessons.find())]
    found = [message for page in pages for message in catalogues.read(catalogues.CATALOGUES / f"{page}.po")]
    return {message.id: message.string for message in found if message.string and not message.fuzzy}


def minutes_to_read(lesson: lessons.Lesson) -> float:
    """Return how long a lesson's page takes to read: its docstring and its comments as prose, and its acts as code.

    Imports are not counted, and neither are the cells after the acts, which draw and print.
    """
    source = lesson.path.read_text(encoding="utf-8")
    first, *acts = source.split("\n# %%\n")[:5]
    comments = explanation.comments_of("\n".join(acts)).values()
    words = sum(len(re.findall(r"\w\S*", text)) for text in (ast.get_docstring(ast.parse(first)), *comments))
    code = [line for act in acts for line in act.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return words / WORDS + len(code) / LINES


def markdown(headers: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str] = ()) -> str:
    """Return a table whose cells may be long, so that they are not padded; the columns in `right` are right-aligned."""
    rulers = ["---:" if header in right else "---" for header in headers]
    return "\n".join(f"| {' | '.join(row)} |" for row in (headers, rulers, *rows))


def call_table(rows: Sequence[Mapping[str, str]]) -> str:
    """Return a row per call of TensorFlow 1: what it was, and where; what it became; what changes without an error."""
    scripts = {lesson.name[:2]: lesson.name for lesson in lessons.find()}

    def became(row):
        name = row["TensorFlow 2"]
        again = row["what it became"].startswith("the same") and row["TensorFlow 1"].startswith(f"{name}(")
        return row["what it became"] if again or not name else f"`{name}`: {row['what it became']}"

    made = [
        [
            f"`{row['TensorFlow 1']}`: {row['what it was']} ({row['document']})",
            f"{became(row)} ([{row['lesson']}](../scripts/{scripts[row['lesson']]}.py))",
            row["what changes without a word"],
        ]
        for row in rows
    ]
    return markdown(["TensorFlow 1", "TensorFlow 2", "what changes without an error"], made)


def calls() -> list[dict[str, str]]:
    """Return the rows of docs/tf1_to_tf2.csv."""
    with open(README.parent / "docs" / "tf1_to_tf2.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def tables_of_files() -> dict[str, str]:
    """Return by name what the pages have from files, without any lesson being run."""
    program = (README.parent / "docs" / "tf1_two_layer_network.py").read_text(encoding="utf-8")
    return {
        "lessons": lesson_table({}),
        "lessons_zh": lesson_table(chinese()),
        "calls": call_table(calls()),
        "tf1": f"```python\n{program}```",
    }


def number_table(comparisons: Mapping[str, Sequence[report.Row]]) -> str:
    """Return one row per quantity: its lesson, its learned and exact values, the document's, and where that is from."""
    rows = [
        [name[:2], *row[:-1], "" if row.published is None else row.source]
        for name, comparison in comparisons.items()
        for row in comparison
    ]
    return report.table(["lesson", "quantity", "learned here", "exact", "document", "source"], rows, "pipe")


def blocks(text: str) -> dict[str, str]:
    """Return by name what stands between each ``<!-- begin NAME -->`` and its ``<!-- end NAME -->`` in `text`."""
    found = re.findall(r"<!-- begin (\w+) -->\n(.*?)<!-- end \1 -->", text, re.DOTALL)
    return {name: content.strip() for name, content in found}


def written() -> dict[str, str]:
    """Return by name what stands in all pages."""
    return {name: content for page in PAGES for name, content in blocks(page.read_text(encoding="utf-8")).items()}


def renew(mnist_dir: Path | None = None) -> None:
    """Renew the tables, those of the results last: every lesson is run for them, with the real MNIST."""
    replace(tables_of_files())
    outcomes = [*runner.run(lessons.find(), {"data": "mnist", "mnist_dir": mnist_dir})]
    if any(outcome.error is not None for outcome in outcomes):
        raise LessonError("the table of numbers is left as it was, because a lesson failed")
    numbers = number_table({outcome.lesson.name: outcome.comparison for outcome in outcomes})
    replace({"numbers": numbers})


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
