"""Questions to a reader of each lesson, with their answers, in which each number comes from the lesson itself."""

from typing import NamedTuple

BEFORE = "Think of an answer before you open one, and then try it."


class Question(NamedTuple):
    """A question, its answer, and how each number in the answer is computed."""

    question: str
    answer: str
    numbers: dict[str, str] = {}  # what stands in the answer: an expression, in which `main` is the lesson's


QUESTIONS = {f"{number:02}": [Question("Q?", "A.")] for number in range(1, 15)}
