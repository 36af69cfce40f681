"""Practice: a lesson's backward pass with its right sides blank, and a check that names the line that is wrong.

An exercise is made from the lesson's own source, and nothing is stored: whether it is solved is seen by running it.
"""

import ast
import contextlib
import functools
import inspect
import io
import json as _json
import linecache
import re
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tf_backprop.support import language, lessons, lines, startup
from tf_backprop.support.calls import named
from tf_backprop.support.errors import DataError, GradientError, LessonError, UsageError
from tf_backprop.support.files import short
from tf_backprop.support.language import Message, joined, say

import numpy as np

#: The exercises by the numbers of their lessons, and what each of them needs.
EXERCISES = {
    "01": say("the derivative of a square"),
    "02": say("the derivatives of σ and of the logarithm"),
    "03": say("the slopes of four activations"),
    "05": say("the chain rule in two variables"),
    "06": say("the derivatives of three losses"),
    "07": say("back through a matrix: two layers; and the updates of momentum and Adam"),
    "08": say("softmax and cross-entropy"),
    "11": say("softmax and cross-entropy, once more"),
    "12": say("four layers: the same steps again and again"),
}

#: What is to be written in an exercise, where it is more than the gradient.
FUNCTIONS = {"07": ("gradients_by_hand", "momentum_descent", "adam")}
GRADIENTS = ("gradients_by_hand",)

#: The lesson of wrong gradients, whose exercise is to find a mistake.
FIND, TO_FIND = "13", say("to find a mistake, another one for each number")


class Fault(NamedTuple):
    """A mistake that is planted in a lesson's backward pass, and what is said of it when it is found."""

    number: str  # of the lesson
    right: str
    wrong: str
    story: Message


FAULTS = [
    Fault(
        "11",
        "(p - onehot) / n",
        "p - onehot",
        say("The 1/n of the mean was missing, as in D4's own formula (lesson 11)."),
    ),
    Fault(
        *("11", "tf.reduce_sum(dL_dz, axis=0)", "tf.reduce_mean(dL_dW, axis=0)"),
        say("The gradient for b was a mean of that for W over the pixels, as in D4's own formula (lessons 11 and 13)."),
    ),
    Fault(
        "08", "softmax(z)", "softmax(z, axis=0)", say("The softmax was taken over the batch, and not over the classes.")
    ),
    Fault("12", " * slope(a2)", "", say("The derivative of the activation was left out in one layer.")),
    Fault("12", "a > 0, a.dtype", "a >= 0, a.dtype", say("Every output of a ReLU is at least 0: a >= 0 always holds.")),
    Fault(
        *("12", "tf.reduce_sum(dL_dz2, axis=0)", "tf.zeros_like(dL_dz2[0])"),
        say("The bias of one layer was frozen. D5 never updates any of its biases (lesson 12)."),
    ),
    Fault(
        *("12", "tf.reduce_sum(dL_dz3, axis=0)", "tf.reduce_mean(dL_dz3, axis=0)"),
        say("The mean over the rows was taken twice: the 1/n is in dL_dz already."),
    ),
    Fault(
        *("07", 'tf.transpose(parameters["w2"])', 'tf.transpose(parameters["w2"] - 0.1 * dL_dw2)'),
        say("The error went back through a w2 that was updated already; it belongs to the w2 of the forward pass."),
    ),
    Fault("07", "2 * (y_hat - y)", "(y_hat - y)", say("The 2 of the square was missing: the loss has no 1/2.")),
]

#: What NumPy's arrays have and TensorFlow's have not, and what it has in their place.
OF_TENSORS = {"T": "tf.transpose(a)", "sum": "tf.reduce_sum(a)", "mean": "tf.reduce_mean(a)", "dot": "a @ b"}

#: The folder of the reader's files, in the current one.
FOLDER = Path("practice")

TASK = """\
Practice: replace each ... by the right side of its line, and run this file. It says which line is
wrong, and in what way. All other lines are right. --hint prints a hint for the next line, and
--answer prints the line.
"""

FIND_TASK = """\
Practice: gradients_by_hand has a mistake, or a function that it calls has. Find it, mend it, and run
this file, which says what is wrong with which gradient. With --hint it says at which line to look.
This is fault {seed} of lesson 13.
"""

END = """\
if __name__ == "__main__":
    command.run(practice.check_of(__file__))
"""


class UnsolvedError(LessonError):
    """An exercise is not solved yet."""

    def _render_traceback_(self) -> list[str]:
        """Return what IPython shows in place of a traceback, which would lead through the check and not the mistake."""
        return [f"error: {self}"]


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


class Case(NamedTuple):
    """A point at which a function is compared. No size occurs twice and nothing is zero, so that mistakes differ."""

    parameters: Mapping[str, np.ndarray] | np.ndarray
    batch: tuple
    note: Message | None = None
    function: str = "gradients_by_hand"

    def arguments(self, tf) -> list:
        """Return what the function is called with, made anew, because it may change it."""

        def tensors(part):
            if isinstance(part, Mapping):
                return {name: tf.constant(value) for name, value in part.items()}
            return tf.constant(part) if isinstance(part, np.ndarray) else part

        return [tensors(part) for part in (self.parameters, *self.batch)]


class Written(NamedTuple):
    """A function that a reader has written."""

    function: Callable
    tree: ast.Module  # of the whole file, or the whole cell of a notebook
    filename: str  # as exceptions have it
    where: str  # as the reader knows it: the file, or the cell of a notebook


def cases(number: str) -> list[Case]:
    """Return the points at which the exercise of a lesson is checked."""
    found = []
    for seed in (0, 1):
        rng = np.random.default_rng(seed)
        found += _cases(number, rng)
    return sorted(found, key=lambda case: FUNCTIONS.get(number, GRADIENTS).index(case.function))


def _cases(number: str, rng: np.random.Generator) -> list[Case]:
    def away_from_zero(*shape: int) -> np.ndarray:
        return rng.uniform(0.3, 1.5, shape) * rng.choice([-1, 1], shape)

    if number in ("01", "02"):
        y = rng.uniform(1, 3, 7) if number == "01" else np.array([1.0, 0, 1, 1, 0, 1, 0])
        return [Case(rng.uniform(0.3, 1.5, ()), (away_from_zero(7), y))]
    if number == "03":
        names = ("sigmoid", "tanh", "leaky ReLU", "ReLU")
        return [Case({name: away_from_zero(7) for name in names}, (0.15,))]
    if number == "05":
        return [Case({"points": away_from_zero(7, 2)}, ())]
    if number == "06":
        y = rng.uniform(1, 3, 7)
        o = {"squared": y + away_from_zero(7), "asymmetric": y + away_from_zero(7)}
        return [Case(o | {"cross-entropy": away_from_zero(7, 3)}, (y, np.eye(3)[rng.integers(3, size=7)], 2.5))]
    if number == "07":
        parameters = {"w1": away_from_zero(2, 3), "w2": away_from_zero(3, 1)}
        found = [Case(parameters, (away_from_zero(7, 2), away_from_zero(7, 1)))]
        for t, size in ((4.0, 1.0), (1.0, 1.0), (20_000.0, 1e-7)):
            w, m, dL_dw = away_from_zero(2, 3), size * away_from_zero(2, 3), size * away_from_zero(2, 3)
            batch = (m, size**2 * away_from_zero(2, 3) ** 2, dL_dw, *map(np.array, (t, 0.15, 0.7)))
            note = say("at t = {t:g}", t=t) if size == 1 else say("at t = {t:g}, with dL_dw as small as ε", t=t)
            found += [Case(w, batch, note if name == "adam" else None, name) for name in FUNCTIONS["07"][1:]]
        return found
    if number in ("08", "11"):
        parameters = {"W": away_from_zero(6, 10), "b": away_from_zero(10)}
        return [Case(parameters, (away_from_zero(7, 6), rng.permutation(10)[:7]))]
    units = [3, 4, 5, 6, 2]
    parameters = {f"W{i}": 0.7 * away_from_zero(*units[i - 1 : i + 1]) for i in (1, 2, 3, 4)}
    parameters |= {f"b{i}": away_from_zero(units[i]) for i in (1, 2, 3, 4)}
    X, Y = away_from_zero(7, 3), np.eye(2)[[0, 1, 1, 0, 1, 0, 0]]
    of_relu = Case(parameters, (X, Y, "relu"), say('with activation="relu"'))
    return [Case(parameters, (X, Y, "sigmoid")), of_relu]


# The exercise, made from the lesson


def exercise(lesson: lessons.Lesson, functions: Sequence[str] = ()) -> str:
    """Return the exercise that a lesson makes: question, equations, forward pass, and functions to fill in."""
    functions = functions or FUNCTIONS.get(lesson.name[:2], GRADIENTS)
    source = lesson.path.read_text(encoding="utf-8")
    tree, text = ast.parse(source), source.splitlines()
    equations = ast.get_docstring(tree).partition(lessons.SEEN)[0].strip()
    given = ["gradient_descent"] if len(functions) > 1 else []  # as an example of the others
    nodes = _needed(tree, ["loss", *functions, *given])
    used = {name.id for node in nodes for name in ast.walk(node) if isinstance(name, ast.Name)}
    imports = [node for node in tree.body if isinstance(node, ast.Import) and node.names[0].asname in used]
    head = "from tf_backprop import command\nfrom tf_backprop.support import practice\n"
    made = "\n".join([f'"""\n{equations}\n\n{TASK}"""\n', head, *map(ast.unparse, imports)])
    after_function = True
    for node in nodes:
        function = isinstance(node, ast.FunctionDef)
        name = node.name if function else ""
        code = _blank(node, text) if name in functions else text[node.lineno - 1 : node.end_lineno]
        code = code if name in GRADIENTS else [*_comments_above(node, text), *code]
        made += "\n".join(["\n\n" if function or after_function else "", *code])
        after_function = function
    return f"{made}\n\n\n{END}"


def filled(text: str, lesson: lessons.Lesson) -> str:
    """Return an exercise in which the blanks are the lesson's own lines."""
    for function in FUNCTIONS.get(lesson.name[:2], GRADIENTS):
        for line in lines.of_lesson(lesson.path.read_text(encoding="utf-8"), function)[0]:
            text = text.replace(f"    {line.names[0]} = ...\n", f"    {line.text}\n", 1)
    return text


def planted(seed: int) -> str:
    """Return a lesson's whole backward pass, in which one thing is wrong."""
    fault = FAULTS[seed % len(FAULTS)]
    (lesson,) = lessons.select([fault.number])
    text = exercise(lesson, GRADIENTS).replace(TASK, FIND_TASK.format(seed=seed))
    return filled(text, lesson).replace(fault.right, fault.wrong)


def _needed(tree: ast.Module, names: list[str]) -> list[ast.stmt]:
    """Return the definitions of these names, and those that they need, in the order of the file."""
    defined = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            defined[node.name] = node
        elif isinstance(node, ast.Assign):
            defined |= {name.id: node for name in ast.walk(node.targets[0]) if isinstance(name, ast.Name)}
    found = []
    while names:
        node = defined.get(names.pop())
        if node is not None and node not in found:
            found.append(node)
            names += [name.id for name in ast.walk(node) if isinstance(name, ast.Name)]
    return sorted(found, key=lambda node: node.lineno)


def _comments_above(node: ast.stmt, text: Sequence[str]) -> list[str]:
    """Return the comment right above a definition, without the heading of its act."""
    first = node.lineno - 1
    while first and text[first - 1].startswith("#"):
        first -= 1
    comment = list(text[first : node.lineno - 1])
    rule = next((i for i, line in enumerate(comment) if line.startswith("# ---")), -1)
    return comment[rule + 1 :]


def _blank(function: ast.FunctionDef, text: Sequence[str]) -> list[str]:
    """Return a function with ``...`` as the right side of each derivative, or in an update of each line."""
    code = list(text)
    for statement in reversed(function.body):
        name = ast.unparse(statement.targets[0]) if isinstance(statement, ast.Assign) else ""
        if lines.DERIVATIVE.fullmatch(name) or (name and function.name not in GRADIENTS):
            blank = f"{' ' * statement.col_offset}{name} = ..."
            code[statement.lineno - 1 : statement.end_lineno] = [blank]
    shorter = len(text) - len(code)
    return code[function.lineno - 1 : function.end_lineno - shorter]


# The check of what a reader has written


def examine(lesson: lessons.Lesson, path: Path) -> Outcome:
    """Run a reader's file and say what is right and what is wrong in it."""
    where, seed = short(path), None
    try:
        source = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return Outcome(say("not readable"), _at(where, say("the file is not UTF-8 text.")))
    if lesson.name[:2] == FIND:
        seed = re.search(r"This is fault (\d+) of lesson 13", source)
        if seed is None:
            sentence = 'the sentence "This is fault ... of lesson 13" is gone, which tells the check what it is.'
            return Outcome(say("not readable"), _at(where, say(sentence)))
    startup.import_tensorflow()  # quietly, before the reader's file does
    try:
        tree, names = ast.parse(source, str(path)), {"__name__": "practice", "__file__": str(path)}
        exec(compile(tree, str(path), "exec"), names)
    except (Exception, SystemExit) as error:
        return Outcome(say("does not run"), _failure(error, str(path), where))
    return _examine(lesson, lambda name: Written(names.get(name), tree, str(path), where), seed and int(seed[1]))


def _examine(lesson: lessons.Lesson, written: Callable[[str], Written], seed: int | None) -> Outcome:
    """Compare what a reader has written with the lesson; with a `seed` it is kept back which line is wrong."""
    fault, functions = None, FUNCTIONS.get(lesson.name[:2], GRADIENTS)
    if seed is not None:
        fault = FAULTS[seed % len(FAULTS)]
        (lesson,) = lessons.select([fault.number])
    ours, theirs = lessons.load(lesson.path), {name: written(name) for name in functions}
    for name, one in theirs.items():
        if lines.function_in(one.tree, name) is None:
            text = say("there is no function {name} any more.", name=name)
            return Outcome(say("no function"), _at(one.where, text))
    every = cases(lesson.name[:2])
    for case in every:
        if case.function in theirs:
            found = _Point(case, ours, lesson, theirs).outcome(find=fault is not None)
            if found:
                return found
    where = theirs[functions[0]].where
    if fault:
        return Outcome(say("solved"), _at(where, say("mended. {story}", story=fault.story)))
    report = _report(ours, theirs[functions[0]].function, every[0])
    said = [_at(where, say("solved. Each gradient is what the loss says:")), report]
    if functions[1:]:
        said.append(say("{names}: right.", names=joined(functions[1:])))
    return Outcome(say("solved"), joined(said, LINES))


class _Point:
    """A reader's function beside the lesson's at one point."""

    def __init__(self, case: Case, ours, lesson: lessons.Lesson, written: Mapping[str, Written]):
        self.case, self.ours, self.written = case, ours, written[case.function]
        self.lines, self.names = lines.of_lesson(lesson.path.read_text(encoding="utf-8"), case.function)
        self.right = lines.traced(getattr(ours, case.function), self.names, *case.arguments(ours.tf))
        self.theirs = lines.traced(self.written.function, self.names, *case.arguments(ours.tf))
        self.returned = {} if self.theirs.error else named(self.theirs.result)
        self.wrong = [
            key
            for key, value in named(self.right.result).items()
            if not lines.same(lines.numbers(self.returned.get(key)), lines.numbers(value))
        ]
        made = self.theirs.made
        self.blanks = [
            (name, line)
            for name, line in _blanks(self.written.tree, case.function)
            if name not in made or made[name][-1].value is ...  # it may have got a value later
        ]
        following = list(written)[list(written).index(case.function) + 1 :]
        self.later = [blank for name in following for blank in _blanks(written[name].tree, name)]

    def outcome(self, find: bool) -> Outcome | None:
        """Return what is wrong at this point, or None; with `find` not in which line."""
        if not self.wrong and len(self.returned) == len(named(self.right.result)):
            return None
        tree, where, error = self.written.tree, self.written.where, self.theirs.error
        at = _own_line(error, self.written.filename)
        if error is None and self.theirs.result is None:
            text = say("{name} returns nothing: is its return missing?", name=self.case.function)
            return Outcome(say("returns nothing"), _at(where, text))
        stopped = error is not None and (not self.blanks or (at is not None and at < self.blanks[0][1]))
        verdicts = lines.judge(self.lines, self.names, self.right, self.theirs, vars(self.ours))
        verdicts = [told._replace(line=getattr(_statement(tree, told.line), "lineno", None)) for told in verdicts]
        wrong = [told for told in verdicts if told.kind == "wrong"]
        first = self._line(wrong[0].name if wrong else None)
        if not stopped and (find or not (wrong or self.blanks)):
            keys = [self.names[key] for key in self.wrong if key in self.names and not find]
            return Outcome(say("wrong"), self._by_result([] if find else verdicts), next=first or self._line(*keys[:1]))
        said, told_of = [], []
        for told in () if find else wrong:
            verdict = lines.relation(told, self.case.batch if self.case.function in GRADIENTS else ())
            said.append(_at(self._noted(say("{where}, line {line}", where=where, line=told.line)), verdict))
            told_of.append({"line": told.line, "name": told.name, "verdict": verdict.splitlines()[0]})
        count = len(told_of)
        state = [say("1 line is wrong") if count == 1 else say("{count} lines are wrong", count=count)] if count else []
        if stopped:
            text = _failure(error, self.written.filename, where)
            target = getattr(_statement(tree, at), "targets", [None])[0]
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
            said.append(_at(say("{where}, line {line}", where=where, line=line), text))
            if others:
                more = [_with_line(name, line) for name, line in others]
                said.append(say("Blank after that: {names}.", names=_some(more)))
            count, first = len(others) + 1, first or self._line(name)
            state.append(say("1 line is blank") if count == 1 else say("{count} lines are blank", count=count))
        return Outcome(joined(state), joined(said, LINES), told_of, first)

    def _noted(self, text: str) -> str:
        """Return a text with the point at which this is, where there are several."""
        return say("{text} ({note})", text=text, note=self.case.note) if self.case.note else text

    def _line(self, name: str | None = None) -> lines.Line | None:
        """Return the lesson's last line that makes a name."""
        return next((line for line in reversed(self.lines) if name in line.names), None)

    def _by_result(self, verdicts: Sequence[lines.Verdict]) -> Message:
        """Return what is wrong with what the function returns, where no line can be named."""
        name, where = self.case.function, self.written.where
        if name not in GRADIENTS:
            if set(self.returned) != set(self.names):
                text = say("{name} has to return {values}.", name=name, values=joined(self.names.values()))
                return _at(where, text)
            told = []
            for key in self.wrong:
                others = {self.names[k]: value for k, value in named(self.right.result).items() if k != key}
                mine, right = (lines.numbers(of[key]) for of in (self.returned, named(self.right.result)))
                verdict = lines.relation(lines.Verdict(self.names[key], "wrong", None, mine, right, others), ())
                told.append(_at(self._noted(say("{where}, what {name} returns", where=where, name=name)), verdict))
            return joined(told, LINES)
        if not self.wrong:
            said = say("what {name} returns is wrong.", name=name)
        elif len(self.wrong) == 1:
            said = say("the gradient for {name} is wrong.", name=self.wrong[0])
        else:
            said = say("the gradients for {names} are wrong.", names=joined(self.wrong))
        said = [_at(where, said)]
        kinds = {told.kind for told in verdicts}
        if "unknown" in kinds:
            said.append(say("Your lines are not the lesson's, so that the check goes by the gradients alone."))
        elif "given" in kinds:
            said.append(say("Each line is right with what it is given. Look at the functions that they call."))
        head = say("{text}:", text=self._noted(say("What the loss says")))
        return joined([*said, head, _report(self.ours, self.written.function, self.case)], LINES)


#: How texts are put together: lines, and what is said of a place.
LINES = "{a}\n{b}"


def _at(where: str, text: str) -> Message:
    return joined([where, text], "{a}: {b}")


def _with_line(name: str, line: int) -> Message:
    return say("{name} (line {line})", name=name, line=line)


def _some(words: Sequence[str]) -> Message:
    if len(words) <= 3:
        return joined(words)
    return say("{names}, and {more} more", names=joined(words[:3]), more=len(words) - 3)


def _report(ours, function: Callable, case: Case) -> object:
    """Return the table of `check_gradients`; what the reader's function prints was seen already."""
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            return ours.check_gradients(ours.loss, function, case.parameters, *case.batch)
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
        return _at(where, say("there is still ... in this line."))
    if isinstance(error, SystemExit):
        return _at(where, say("the file ends the process here, so that it cannot be checked."))
    in_place = {name: say("TensorFlow has {ours}", ours=ours) for name, ours in OF_TENSORS.items()}
    advice = [
        ("^" in code, say("a power is x**2, and not x^2")),
        (text.startswith("Matrix size"), say("of (n, k) @ (k, m), the inner sizes k have to be equal")),
        ("was expected to be a" in text, say("TensorFlow mixes no dtypes, and this check computes in float64")),
        *((text.endswith(f"attribute '{name}'"), ours) for name, ours in in_place.items()),
    ]
    raised = f"{type(error).__name__}: {text}" if text else type(error).__name__
    said = joined([raised, *(one for applies, one in advice if applies)], "{a}; {b}")
    return _at(where, say("{sentence}.", sentence=said))


# The commands


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
        print(_at(str(path), mend if find else fill))


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
            raise DataError(_at(str(path), say(text, number=lesson.name[:2])))
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

    outcome = _examine(lesson, written, seed if lesson.name[:2] == FIND else None)
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
