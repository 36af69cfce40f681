"""The check of what a reader has written: which line is wrong, and in what way."""

import ast
import contextlib
import io
import linecache
import re
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tf_backprop.support import lessons, startup
from tf_backprop.support.check.calls import named
from tf_backprop.support.errors import GradientError
from tf_backprop.support.files import short
from tf_backprop.support.language import Message, joined, say
from tf_backprop.support.practice import lines
from tf_backprop.support.practice.making import FAULTS, FIND, FUNCTIONS, GRADIENTS
from tf_backprop.support.practice.points import Point, points_of

#: What NumPy's arrays have and TensorFlow's have not, and what it has in their place.
OF_TENSORS = {"T": "tf.transpose(a)", "sum": "tf.reduce_sum(a)", "mean": "tf.reduce_mean(a)", "dot": "a @ b"}


class Outcome(NamedTuple):
    """What the check of a reader's functions found."""

    state: Message  # in a few words; "solved" where it is
    text: Message  # all that there is to say
    wrong: Sequence[Mapping[str, object]] = ()  # line, name and verdict of each line that is wrong
    next: lines.Line | None = None  # the lesson's line to which a hint would help first

    @property
    def solved(self) -> bool:
        """Whether nothing is left to do."""
        return self.state == "solved"


class Written(NamedTuple):
    """A function that a reader has written."""

    function: Callable
    tree: ast.Module  # of the whole file, or the whole cell of a notebook
    filename: str  # as exceptions have it
    where: str  # as the reader knows it: the file, or the cell of a notebook


def examine(lesson: lessons.Lesson, path: Path) -> Outcome:
    """Run a reader's file and say what is right and what is wrong in it."""
    where, seed = short(path), None
    try:
        source = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return Outcome(say("not readable"), located(where, say("the file is not UTF-8 text.")))
    if lesson.name[:2] == FIND:
        seed = re.search(r"This is fault (\d+) of lesson 13", source)
        if seed is None:
            sentence = 'the sentence "This is fault ... of lesson 13" is gone, which tells the check what it is.'
            return Outcome(say("not readable"), located(where, say(sentence)))
    startup.import_tensorflow()  # quietly, before the reader's file does
    try:
        tree, names = ast.parse(source, str(path)), {"__name__": "practice", "__file__": str(path)}
        exec(compile(tree, str(path), "exec"), names)
    except (Exception, SystemExit) as error:
        return Outcome(say("does not run"), _failure(error, str(path), where))
    return compare(lesson, lambda name: Written(names.get(name), tree, str(path), where), seed and int(seed[1]))


def compare(lesson: lessons.Lesson, written: Callable[[str], Written], seed: int | None) -> Outcome:
    """Compare what a reader has written with the lesson; with a `seed` it is kept back which line is wrong."""
    fault, functions = None, FUNCTIONS.get(lesson.name[:2], GRADIENTS)
    if seed is not None:
        fault = FAULTS[seed % len(FAULTS)]
        (lesson,) = lessons.select([fault.number])
    ours, theirs = lessons.load(lesson.path), {name: written(name) for name in functions}
    for name, one in theirs.items():
        if lines.function_in(one.tree, name) is None:
            text = say("there is no function {name} any more.", name=name)
            return Outcome(say("no function"), located(one.where, text))
    every = points_of(lesson.name[:2])
    for point in every:
        if point.function in theirs:
            found = _Compared(point, ours, lesson, theirs).outcome(find=fault is not None)
            if found:
                return found
    where = theirs[functions[0]].where
    if fault:
        return Outcome(say("solved"), located(where, say("mended. {story}", story=fault.story)))
    report = _report(ours, theirs[functions[0]].function, every[0])
    said = [located(where, say("solved. Each gradient is what the loss says:")), report]
    if functions[1:]:
        said.append(say("{names}: right.", names=joined(functions[1:])))
    return Outcome(say("solved"), joined(said, LINES))


class _Compared:
    """A reader's function beside the lesson's at one point."""

    def __init__(self, point: Point, ours, lesson: lessons.Lesson, written: Mapping[str, Written]):
        self.point, self.ours, self.written = point, ours, written[point.function]
        self.lines, self.names = lines.of_lesson(lesson.path.read_text(encoding="utf-8"), point.function)
        self.right = lines.traced(getattr(ours, point.function), self.names, *point.arguments(ours.tf))
        self.theirs = lines.traced(self.written.function, self.names, *point.arguments(ours.tf))
        self.returned = {} if self.theirs.error else named(self.theirs.result)
        self.wrong = [
            key
            for key, value in named(self.right.result).items()
            if not lines.same(lines.numbers(self.returned.get(key)), lines.numbers(value))
        ]
        made = self.theirs.made
        self.blanks = [
            (name, line)
            for name, line in _blanks(self.written.tree, point.function)
            if name not in made or made[name][-1].value is ...  # it may have got a value later
        ]
        following = list(written)[list(written).index(point.function) + 1 :]
        self.later = [blank for name in following for blank in _blanks(written[name].tree, name)]

    def outcome(self, find: bool) -> Outcome | None:
        """Return what is wrong at this point, or None; with `find` not in which line."""
        if not self.wrong and len(self.returned) == len(named(self.right.result)):
            return None
        tree, where, error = self.written.tree, self.written.where, self.theirs.error
        stop = _own_line(error, self.written.filename)
        if error is None and self.theirs.result is None:
            text = say("{name} returns nothing: is its return missing?", name=self.point.function)
            return Outcome(say("returns nothing"), located(where, text))
        stopped = error is not None and (not self.blanks or (stop is not None and stop < self.blanks[0][1]))
        verdicts = lines.judge(self.lines, self.names, self.right, self.theirs, vars(self.ours))
        verdicts = [told._replace(line=getattr(_statement(tree, told.line), "lineno", None)) for told in verdicts]
        wrong = [told for told in verdicts if told.kind == "wrong"]
        first = self._line(wrong[0].name if wrong else None)
        if not stopped and (find or not (wrong or self.blanks)):
            keys = [self.names[key] for key in self.wrong if key in self.names and not find]
            return Outcome(say("wrong"), self._by_result([] if find else verdicts), next=first or self._line(*keys[:1]))
        said, told_of = [], []
        for told in () if find else wrong:
            verdict = lines.relation(told, self.point.batch if self.point.function in GRADIENTS else ())
            said.append(located(self._noted(say("{where}, line {line}", where=where, line=told.line)), verdict))
            told_of.append({"line": told.line, "name": told.name, "verdict": verdict.splitlines()[0]})
        count = len(told_of)
        state = [say("1 line is wrong") if count == 1 else say("{count} lines are wrong", count=count)] if count else []
        if stopped:
            text = _failure(error, self.written.filename, where)
            target = getattr(_statement(tree, stop), "targets", [None])[0]
            first = first or self._line(target and ast.unparse(target))
            return Outcome(*(state or [say("does not run")]), joined([*said, text], LINES), told_of, first)
        given = [_with_line(told.name, told.line) for told in verdicts if told.kind == "given"]
        if given and wrong:
            said.append(say("Right in themselves, but given a wrong value: {names}.", names=_some(given)))
        if self.blanks:
            done = [told for told in verdicts if told.kind == "right" and lines.DERIVATIVE.fullmatch(told.name)]
            if done:
                said.append(say("Right: {names}.", names=joined(_with_line(told.name, told.line) for told in done)))
            (name, line), *others = [*self.blanks, *self.later]
            text = say("{name} is still blank. Write its right side in place of the dots.", name=name)
            said.append(located(say("{where}, line {line}", where=where, line=line), text))
            if others:
                more = [_with_line(name, line) for name, line in others]
                said.append(say("Blank after that: {names}.", names=_some(more)))
            count, first = len(others) + 1, first or self._line(name)
            state.append(say("1 line is blank") if count == 1 else say("{count} lines are blank", count=count))
        return Outcome(joined(state), joined(said, LINES), told_of, first)

    def _noted(self, text: str) -> str:
        """Return a text with the point at which this is, where there are several."""
        return say("{text} ({note})", text=text, note=self.point.note) if self.point.note else text

    def _line(self, name: str | None = None) -> lines.Line | None:
        """Return the lesson's last line that makes a name."""
        return next((line for line in reversed(self.lines) if name in line.names), None)

    def _by_result(self, verdicts: Sequence[lines.Verdict]) -> Message:
        """Return what is wrong with what the function returns, where no line can be named."""
        name, where = self.point.function, self.written.where
        if name not in GRADIENTS:
            if set(self.returned) != set(self.names):
                text = say("{name} has to return {values}.", name=name, values=joined(self.names.values()))
                return located(where, text)
            told = []
            for key in self.wrong:
                others = {self.names[k]: value for k, value in named(self.right.result).items() if k != key}
                mine, right = (lines.numbers(of[key]) for of in (self.returned, named(self.right.result)))
                verdict = lines.relation(lines.Verdict(self.names[key], "wrong", None, mine, right, others), ())
                told.append(located(self._noted(say("{where}, what {name} returns", where=where, name=name)), verdict))
            return joined(told, LINES)
        if not self.wrong:
            said = say("what {name} returns is wrong.", name=name)
        elif len(self.wrong) == 1:
            said = say("the gradient for {name} is wrong.", name=self.wrong[0])
        else:
            said = say("the gradients for {names} are wrong.", names=joined(self.wrong))
        said = [located(where, said)]
        kinds = {told.kind for told in verdicts}
        if "unknown" in kinds:
            said.append(say("Your lines are not the lesson's, so that the check goes by the gradients alone."))
        elif "given" in kinds:
            said.append(say("Each line is right with what it is given. Look at the functions that they call."))
        head = say("{text}:", text=self._noted(say("What the loss says")))
        return joined([*said, head, _report(self.ours, self.written.function, self.point)], LINES)


#: How texts are put together: lines, and what is said of a place.
LINES = "{a}\n{b}"


def located(where: str, text: str) -> Message:
    """Return a text with the place that it is about before it."""
    return joined([where, text], "{a}: {b}")


def _with_line(name: str, line: int) -> Message:
    return say("{name} (line {line})", name=name, line=line)


def _some(words: Sequence[str]) -> Message:
    if len(words) <= 3:
        return joined(words)
    return say("{names}, and {more} more", names=joined(words[:3]), more=len(words) - 3)


def _report(ours, function: Callable, point: Point) -> object:
    """Return the table of `check_gradients`; what the reader's function prints was seen already."""
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            return ours.check_gradients(ours.loss, function, point.parameters, *point.batch)
        except GradientError as error:
            return say("{sentence}.", sentence=error.args[0])


def _blanks(tree: ast.Module, function: str) -> list[tuple[str, int]]:
    """Return the names in a function whose right side is still ``...``, and their lines."""
    return [
        (ast.unparse(node.targets[0]), node.lineno)
        for node in ast.walk(lines.function_in(tree, function))
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and node.value.value is ...
    ]


def _statement(tree: ast.Module, line: int | None) -> ast.stmt | None:
    """Return the innermost statement that a line belongs to."""
    statements = (node for node in ast.walk(tree) if isinstance(node, ast.stmt) and line is not None)
    found = (node for node in statements if node.lineno <= line <= node.end_lineno)
    return max(found, key=lambda node: node.lineno, default=None)


def _own_line(error: BaseException | None, filename: str) -> int | None:
    """Return the line of the reader's file at which an exception was raised."""
    if isinstance(error, SyntaxError) and error.filename == filename:
        return error.lineno
    frames = traceback.extract_tb(error.__traceback__) if error else ()
    return next((frame.lineno for frame in reversed(frames) if frame.filename == filename), None)


def _failure(error: BaseException, filename: str, where: str) -> Message:
    """Return one line about an exception in the reader's file."""
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    text = re.sub(r"^\{\{.*?\}\} *|\[Op:.*", "", next(iter(text.strip().splitlines()), "")).strip().rstrip(".")
    at = _own_line(error, filename)
    linecache.checkcache(filename)
    code = linecache.getline(filename, at or 0)
    if at is not None:
        where = say("{where}, line {line}", where=where, line=at)
    if "llipsis" in text and "..." in code:
        return located(where, say("there is still ... in this line."))
    if isinstance(error, SystemExit):
        return located(where, say("the file ends the process here, so that it cannot be checked."))
    in_place = {name: say("TensorFlow has {ours}", ours=ours) for name, ours in OF_TENSORS.items()}
    advice = [
        ("^" in code, say("a power is x**2, and not x^2")),
        (text.startswith("Matrix size"), say("of (n, k) @ (k, m), the inner sizes k have to be equal")),
        ("was expected to be a" in text, say("TensorFlow mixes no dtypes, and this check computes in float64")),
        *((text.endswith(f"attribute '{name}'"), ours) for name, ours in in_place.items()),
    ]
    raised = f"{type(error).__name__}: {text}" if text else type(error).__name__
    said = joined([raised, *(one for applies, one in advice if applies)], "{a}; {b}")
    return located(where, say("{sentence}.", sentence=said))
