"""The commands of practice: write exercises, and check them."""

import ast
import contextlib
import functools
import inspect
import io
import json as _json
import linecache
from collections.abc import Callable, Sequence
from pathlib import Path

from tf_backprop.support import language, lessons
from tf_backprop.support.errors import DataError, LessonError, UsageError
from tf_backprop.support.language import joined, say
from tf_backprop.support.practice.examining import Outcome, Written, compare, examine, located
from tf_backprop.support.practice.making import EXERCISES, FIND, TO_FIND, exercise, planted

#: The folder of the reader's files, in the current one.
FOLDER = Path("practice")


class UnsolvedError(LessonError):
    """An exercise is not solved yet."""

    def _render_traceback_(self) -> list[str]:
        """Return what IPython shows in place of a traceback, which would lead through the check and not the mistake."""
        return [f"error: {self}"]


def _chosen(names: Sequence[str]) -> list[lessons.Lesson]:
    """Return the lessons that words mean; of a file the first two digits tell."""
    found = lessons.select([Path(name).name[:2] if name.endswith(".py") else name for name in names])
    numbers = [*EXERCISES, FIND]
    if not names:
        return [lesson for lesson in found if lesson.name[:2] in numbers]
    for lesson in found:
        if lesson.name[:2] not in numbers:
            text = "lesson {number} has no exercise: they are {numbers}"
            raise UsageError(say(text, number=lesson.name[:2], numbers=joined(numbers)))
    return found


def _begun(lesson: lessons.Lesson) -> list[Path]:
    """Return the reader's files for a lesson."""
    if lesson.name[:2] == FIND:
        return sorted(FOLDER.glob(f"{FIND}_fault_*.py"))
    path = FOLDER / lesson.path.name
    return [path] if path.is_file() else []


def practice(*names: str, seed: int = 0, lang: str | None = None) -> None:
    """Write exercises into the folder practice/; without a name, list them and say which are solved.

    Args:
        names: numbers or names of lessons, like 11 or 12_moons_mlp
        seed: in exercise 13, which mistake is planted
        lang: en or zh, the language of what is printed; by default that of your locale
    """
    language.use(lang)
    chosen = _chosen(names)
    if seed < 0:
        raise UsageError(say("--seed must be a whole number from 0, not {seed}", seed=seed))
    if not names:
        _list(chosen)
        return
    FOLDER.mkdir(exist_ok=True)
    for lesson in chosen:
        find, number = lesson.name[:2] == FIND, lesson.name[:2]
        path = FOLDER / (f"{FIND}_fault_{seed}.py" if find else lesson.path.name)
        text = planted(seed) if find else exercise(lesson)
        try:
            with open(path, "x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError:
            text = (
                "{path} exists and is left as it is: check it with python -m tf_backprop check {number}, or rename it"
                " to begin anew"
            )
            raise DataError(say(text, path=path, number=number)) from None
        fill, mend = say("fill in its blank lines, and then run it."), say("find the mistake in it, and then run it.")
        print(located(str(path), mend if find else fill))


def _list(chosen: Sequence[lessons.Lesson]) -> None:
    rows = []
    for lesson in chosen:
        number = lesson.name[:2]
        needs = EXERCISES.get(number) or say("{text} ({note})", text=TO_FIND, note="--seed")
        with contextlib.redirect_stdout(io.StringIO()):
            begun = [(path.stem, needs, examine(lesson, path).state) for path in _begun(lesson)]
        rows += begun or [(lesson.name, needs, say("not begun"))]
    print(language.aligned([say("exercise"), say("what it needs"), say("state")], rows))
    text = "python -m tf_backprop practice 01 writes the first one, and python -m tf_backprop check 01 checks it."
    print(f"\n{say(text)}")


def check(*names: str, hint: bool = False, answer: bool = False, json: bool = False, lang: str | None = None) -> None:
    """Check exercises: say which line is wrong, and in what way. The status is 0 only if all of them are solved.

    Args:
        names: numbers of lessons, or files like practice/11_mnist_softmax_hand_derived.py; all begun without any
        hint: give the reason of the line that is wrong or blank, without its code
        answer: give the line itself
        json: print one list of JSON for a program
        lang: en or zh, the language of what is printed; by default that of your locale
    """
    language.use(lang)
    files = []
    for name in names:
        (lesson,) = _chosen([name])
        paths = [Path(name)] if name.endswith(".py") else _begun(lesson)
        if not paths or not paths[0].is_file():
            path = paths[0] if paths else FOLDER / lesson.path.name
            text = "there is no such file; python -m tf_backprop practice {number} writes it"
            raise DataError(located(str(path), say(text, number=lesson.name[:2])))
        files += [(lesson, path) for path in paths]
    files = files or [(lesson, path) for lesson in _chosen(()) for path in _begun(lesson)]
    if not files:
        raise UsageError(say("no exercise is begun: python -m tf_backprop practice lists them"))
    outcomes = []
    for lesson, path in files:
        with contextlib.redirect_stdout(io.StringIO()) if json else contextlib.nullcontext():
            outcomes.append(examine(lesson, path))
            _tell(outcomes[-1], hint, answer, "--hint", "--answer")
    pairs = list(zip(files, outcomes, strict=True))
    if json:
        of = [({"exercise": lesson.name, "file": str(path)}, found) for (lesson, path), found in pairs]
        told = [
            one | {"solved": o.solved, "state": o.state, "wrong": list(o.wrong), "text": str(o.text)} for one, o in of
        ]
        print(_json.dumps(told, ensure_ascii=False))
    _raise_unless_solved([(lesson, found) for (lesson, _), found in pairs])


def check_of(path: str) -> Callable[..., None]:
    """Return the check of one file, as the command that the file is when it is run."""
    this = functools.update_wrapper(functools.partial(check, path), check)
    options = [p for p in inspect.signature(check).parameters.values() if p.kind is not p.VAR_POSITIONAL]
    this.__signature__ = inspect.Signature(options)
    return this


def check_functions(
    number: str,
    *functions: Callable,
    seed: int = 0,
    hint: bool = False,
    answer: bool = False,
    lang: str | None = None,
) -> None:
    """Check the functions of a notebook, as `check` does those of a file; `seed` is that of exercise 13."""
    language.use(lang)
    (lesson,) = _chosen([number])
    given = {function.__name__: function for function in functions}

    def written(name: str) -> Written:
        filename = inspect.unwrap(given[name]).__code__.co_filename if name in given else ""
        tree = ast.parse("".join(linecache.getlines(filename)))
        return Written(given.get(name), tree, filename, say("The cell of {name}", name=name))

    outcome = compare(lesson, written, seed if lesson.name[:2] == FIND else None)
    _tell(outcome, hint, answer, "hint=True", "answer=True")
    _raise_unless_solved([(lesson, outcome)])


def _raise_unless_solved(found: Sequence[tuple[lessons.Lesson, Outcome]]) -> None:
    text = "exercise {number}: {state}"
    unsolved = [say(text, number=lesson.name[:2], state=one.state) for lesson, one in found if not one.solved]
    if unsolved:
        raise UnsolvedError(say("not solved yet: {what}", what=joined(unsolved, "{a}; {b}")))


def _tell(outcome: Outcome, hint: bool, answer: bool, for_hint: str, for_answer: str) -> None:
    """Print what was found, then a hint and an answer where they are asked for; else how to ask for them."""
    print(outcome.text)
    line = outcome.next
    if line is None and hint and outcome.state == "wrong":
        print(say("Hint: each line of the function is right. Look at the functions that it calls."))
    elif line is not None:
        if hint:
            why = line.why or say("the lesson has none; look at its equations at the top")
            print(say("Hint for {names}: {why}", names=joined(line.names), why=why))
        if answer:
            print(say("The lesson's line: {line}", line=line.text))
        if not hint and not answer:
            print(say("Ask for a hint with {hint}, or for the line with {answer}.", hint=for_hint, answer=for_answer))
