"""What a lesson calls published is what its document prints, to the digit, and nothing else."""

import csv
import re
from collections.abc import Mapping
from pathlib import Path

from tf_backprop.support import lessons

import pytest

with open(Path(__file__).parent / "data" / "printed.csv", newline="", encoding="utf-8") as file:
    PRINTED = list(csv.DictReader(file))

#: The document of a lesson, and how the quantities begin that the lesson re-runs. Other lessons publish nothing.
BEGINS = {
    "01": ("D1", "regression, "),
    "02": ("D1", "classifier, "),
    "05": ("D5", "a minimum of "),
    "08": ("D3", "test "),
    "09": ("D4", "optimizer, "),
    "10": ("D4", "tf.gradients, "),
    "11": ("D4", "by hand, "),
}
KINDS = ("loss", "accuracy")


def value(row):
    """Return the number of a row, or the tuple of its numbers; a percentage is returned as a share."""
    numbers = tuple(float(number) for number in row["printed"].strip("()").split(","))
    number = numbers if len(numbers) > 1 else numbers[0]
    return number / 100 if "per cent" in row["quantity"] else number


def quantities(number):
    """Return what a document prints for a lesson, by quantity: a dict by step or epoch, a list, or a single number."""
    document, begin = BEGINS.get(number, ("", ""))
    found = {}
    for row in PRINTED:
        if row["document"] == document and row["quantity"].startswith(begin):
            rest = row["quantity"].removeprefix(begin)
            name, step = re.fullmatch(r"(.+?)(?: (?:at|of) (?:step|epoch) (\d+))?", rest).groups()
            found.setdefault(name, []).append((int(step) if step else None, value(row)))
    return {
        name: dict(rows) if rows[0][0] else rows[0][1] if len(rows) == 1 else [number for _, number in rows]
        for name, rows in found.items()
    }


def wrong(name, constant, number):
    """Return the names of what is published in a constant, or in a dict of constants, and not printed."""
    if isinstance(constant, Mapping) and all(isinstance(key, str) for key in constant):
        return [key for part in constant for key in wrong(f"{name}[{part!r}]", constant[part], number)]
    if isinstance(constant, list | tuple) and all(isinstance(number, float) for number in constant):
        constant = dict(enumerate(constant, start=1))  # costs, from the first epoch on
    elif isinstance(constant, list | tuple):
        constant = sorted(tuple(pair) for pair in constant)
    kind = [kind for kind in KINDS if kind in name.lower().replace("losses", "loss")]
    printed = quantities(number)
    if len(printed) > 1:  # a loss is called a loss, an accuracy an accuracy, and nothing else is
        printed = {quantity: of for quantity, of in printed.items() if kind == [k for k in KINDS if k in quantity]}
    found = [sorted(of) if isinstance(of, list) and isinstance(of[0], tuple) else of for of in printed.values()]
    return [] if constant in found else [name]


@pytest.mark.parametrize("lesson", lessons.find(), ids=lambda lesson: lesson.name)
def test_what_a_lesson_calls_published_is_what_the_document_prints(lesson, load):
    constants = {name: value for name, value in vars(load(lesson.name)).items() if name.startswith("PUBLISHED")}
    number = lesson.name[:2]
    found = [part for name, constant in constants.items() for part in wrong(name, constant, number)]
    assert found == [], (
        f"{lesson.path.name}: {', '.join(found)} is not what the document prints (tests/data/printed.csv). "
        f"Printed for this lesson: {quantities(number) or 'nothing'}. A number of another source has another name."
    )


def test_an_exchange_of_digits_is_seen(load):
    published = load("01_regression").PUBLISHED
    assert wrong("PUBLISHED", published, "01") == []
    assert wrong("PUBLISHED", {**published, 25: 6.12853965}, "01") == ["PUBLISHED"]
    assert wrong("PUBLISHED", {25: published[50], 50: published[25], 75: published[75], 100: published[100]}, "01")
    assert wrong("PUBLISHED", {k: v for k, v in published.items() if k != 25}, "01") == ["PUBLISHED"]
    assert wrong("PUBLISHED_LOSSES", published, "01") == ["PUBLISHED_LOSSES"]
    costs = load("09_mnist_softmax_optimizer").PUBLISHED
    assert wrong("PUBLISHED", costs, "09") == []
    assert wrong("PUBLISHED", costs, "10") == ["PUBLISHED"]
    assert wrong("PUBLISHED", costs, "07") == ["PUBLISHED"]
    assert wrong("PUBLISHED", {"loss": quantities("01")["loss of the sample"]}, "01") == []
