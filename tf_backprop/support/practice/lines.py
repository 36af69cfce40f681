"""Which line of a function is wrong: a reader's values beside the lesson's, line by line.

Where the reader's value of a name differs, the lesson's formula is evaluated on the reader's own values. If that gives
what the reader has, the line is right and what it is given is not; if not, it is this line.
"""

import ast
import functools
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from tf_backprop.support.check.calls import named, settle, to_numpy
from tf_backprop.support.check.judging import Check, rows_of
from tf_backprop.support.explanation import comments_of
from tf_backprop.support.language import Message, joined, say

import numpy as np

#: A difference of this share of the largest number is a mistake, and a smaller one is rounding.
TOLERANCE = 1e-6

#: The names of derivatives: dL_dz, dy_hat_dA, df_dx.
DERIVATIVE = re.compile(r"d\w+_d\w+")


class Line(NamedTuple):
    """One line of the lesson's function that makes numbers."""

    names: tuple[str, ...]
    formula: ast.expr
    text: str  # as it stands in the lesson, without its comment
    why: str  # its comment
    number: int  # 0 where the first of its names gets its first value, then 1; an argument has one already


class Made(NamedTuple):
    """A value that a function gave to a name, the line that did it, and all its names just before that."""

    value: object
    line: int
    around: Mapping[str, object]


class Run(NamedTuple):
    """What a function returned, or how it failed, and every value it made by name, in order."""

    result: object
    error: BaseException | None
    made: dict[str, list[Made]]


class Verdict(NamedTuple):
    """What is known of a line: it is "right", "wrong", "given" a wrong input, "blank", or "unknown"."""

    name: str
    kind: str
    line: int | None = None  # in the reader's file
    mine: object = None
    right: object = None  # what the lesson's formula makes of the reader's values
    around: Mapping[str, object] = {}
    old: object = None  # what the name was before, where it is an argument that the function updates


def function_in(tree: ast.Module, name: str) -> ast.FunctionDef | None:
    """Return the last function of that name at the top of a file."""
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
    return found[-1] if found else None


@functools.cache  # a lesson is looked at for each point at which a file is checked
def of_lesson(source: str, function: str = "gradients_by_hand") -> tuple[list[Line], dict[str, str]]:
    """Return the lines of a lesson's function, and the name of each value that it returns, by its key there."""
    tree, comments = function_in(ast.parse(source), function), comments_of(source)
    lines, returned = [], {}
    times = {argument.arg: 1 for argument in tree.args.args}
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            returned |= {key.value: value for key, value in zip(node.keys, node.values, strict=True) if key is not None}
        elif isinstance(node, ast.Return) and isinstance(node.value, ast.Name):
            returned["A"] = node.value
        elif isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple):
            returned |= {f"parameters[{i}]": value for i, value in enumerate(node.value.elts)}
    for statement in tree.body:
        if isinstance(statement, ast.Assign):
            found = tuple(node.id for node in ast.walk(statement.targets[0]) if isinstance(node, ast.Name))
            text, why = ast.get_source_segment(source, statement), comments.get(statement.end_lineno, "")
            lines.append(Line(found, statement.value, text, why, times.get(found[0], 0)))
            times[found[0]] = times.get(found[0], 0) + 1
    return lines, {key: value.id for key, value in returned.items() if isinstance(value, ast.Name)}


def traced(function: Callable, names: Mapping[str, str], *arguments) -> Run:
    """Call a function and keep every value that it gives to a name; a gradient without a name gets the lesson's."""
    function = getattr(function, "python_function", function)
    code, made, before, line = getattr(function, "__code__", None), {}, {}, 0

    def on_event(frame, event, _):
        nonlocal before, line
        if frame.f_code is not code:
            return None
        if event in ("line", "return"):
            now = dict(frame.f_locals)
            for name, value in now.items():
                if name not in before or before[name] is not value:
                    made.setdefault(name, []).append(Made(value, line, before or now))
            before = now
        line = frame.f_lineno
        return on_event

    earlier, result, failure = sys.gettrace(), None, None
    sys.settrace(on_event)
    try:
        result = function(*arguments)
    except (Exception, SystemExit) as error:  # a reader's function may raise whatever it likes
        failure = error
    finally:
        sys.settrace(earlier)
    if failure is None:
        for key, value in named(result).items():
            if key in names and (names[key] not in before or before[names[key]] is not value):
                made.setdefault(names[key], []).append(Made(value, line, before))
    return Run(result, failure, made)


def numbers(value) -> np.ndarray | None:
    """Return an array of float64, or None where the value is no array of numbers."""
    try:
        array = to_numpy(value)
        return array.astype(np.float64) if array.dtype.kind in "fiub" else None
    except Exception:  # whatever it is, it is no array
        return None


def same(mine: np.ndarray | None, right: np.ndarray) -> bool:
    """Return whether two arrays are equal but for rounding."""
    if mine is None or mine.shape != right.shape:
        return False
    return bool(np.all(np.abs(mine - right) <= TOLERANCE * np.max(np.abs(right), initial=0)))


def judge(lines: Sequence[Line], names: Mapping[str, str], ours: Run, theirs: Run, scope: Mapping) -> list[Verdict]:
    """Return a verdict for each name of the lesson; `scope` has the lesson's functions."""
    verdicts = []
    own = {name for line in lines for name in line.names}
    for line in lines:
        for position, name in enumerate(line.names):
            right = numbers(ours.made[name][line.number].value)
            if right is None:
                continue
            history = theirs.made.get(name, [])
            if not history:
                verdicts.append(Verdict(name, "unknown"))
                continue
            made = history[line.number if len(history) == len(ours.made[name]) else -1]
            mine = numbers(made.value)
            old = numbers(history[0].value) if line.number else None
            told = Verdict(name, "right", made.line, mine, right, made.around, old)
            if made.value is ...:
                told = told._replace(kind="blank")
            elif not same(mine, right):
                told = _against(line, position, told, ours.made[name][line.number].around, own, scope)
            verdicts.append(told)
    return _sound(verdicts, lines, names, ours, theirs)


def _against(line: Line, position: int, told: Verdict, around: Mapping, own: set, scope: Mapping) -> Verdict:
    """Return whether a line whose value differs is wrong, or only what it is given."""
    used = {node.id for node in ast.walk(line.formula) if isinstance(node, ast.Name)}
    if any(name in own and name not in told.around for name in used):
        return told._replace(kind="unknown")  # the reader calls things otherwise
    if any(told.around.get(name) is ... for name in used):
        return told._replace(kind="unknown")
    local = {**around, **told.around}
    try:
        value = eval(compile(ast.Expression(line.formula), "<the lesson's formula>", "eval"), dict(scope), local)
        right = numbers(value[position] if len(line.names) > 1 else value)
    except Exception:  # the reader's inputs have other shapes, so that nothing follows for this line
        return told._replace(kind="given")
    given = right is None or not np.all(np.isfinite(right)) or same(told.mine, right)
    return told._replace(kind="given" if given else "wrong", right=right)


def _sound(verdicts: list[Verdict], lines: Sequence[Line], names: Mapping, ours: Run, theirs: Run) -> list[Verdict]:
    """Take back what is said of a line where a gradient made from it is right: the reader cut the lines otherwise."""
    returned = {} if theirs.error else named(theirs.result)
    right = {
        names[key]
        for key, value in named(ours.result).items()
        if key in names and key in returned and same(numbers(returned[key]), numbers(value))
    }
    leads_to = {name: {name} for name in names.values()}
    for line in reversed(lines):
        for node in ast.walk(line.formula):
            if isinstance(node, ast.Name):
                for name in line.names:
                    leads_to.setdefault(node.id, set()).update(leads_to.get(name, ()))
    used = {
        name: {node.id for node in ast.walk(line.formula) if isinstance(node, ast.Name)}
        for line in lines
        for name in line.names
    }
    sound, taken_back = [], set()
    for told in verdicts:
        otherwise = leads_to.get(told.name, set()) & right or used[told.name] & taken_back
        if told.kind == "wrong" and otherwise:
            taken_back.add(told.name)
            told = told._replace(kind="unknown")
        sound.append(told)
    return sound


def relation(told: Verdict, batch: Sequence) -> Message:
    """Return what a wrong value looks like in the words of the gradient check, and then a number.

    To the check, the right value is the gradient of a loss that is linear, and the reader's is the one to look at.
    """
    name, mine, right = told.name, told.mine, told.right
    if mine is None:
        return say("{name} is not an array of numbers.", name=name)
    said, before = say("{name} is wrong.", name=name), numbers(told.around.get(name))
    if same(before, right):
        return say("{name} was right before this line, which makes something else of it.", name=name)
    if told.old is not None and mine.shape == right.shape:
        if same(mine, told.old):
            return say("{name} is not updated: it is what the function was given.", name=name)
        name, mine, right = f"Δ{name}", mine - told.old, right - told.old
        said = say("{name} is wrong, and so is its change {change}.", name=told.name, change=name)
    around = {key.removeprefix("parameters."): numbers(value) for key, value in named(told.around).items()}
    around = {key: value for key, value in around.items() if value is not None and key != told.name}
    found = _as_a_gradient(name, mine, right, around, batch)
    vague = ": yours" in found or ": " not in found
    said = joined([said, (vague and _beside_others(mine, right, around)) or found], "{a} {b}")
    if "should be" not in said and mine.shape == right.shape:
        wrong = ~(np.abs(told.mine - told.right) <= TOLERANCE * np.max(np.abs(told.right)))
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        text = "Yours is {mine:.6g}, and it should be {right:.6g}."
        if at:
            text = "The first number that differs is {number}: yours is {mine:.6g}, and it should be {right:.6g}."
        number = f"{told.name}[{', '.join(map(str, at))}]"
        said = joined([said, say(text, number=number, mine=told.mine[at], right=told.right[at])], "{a}\n    {b}")
    return said


def _beside_others(mine: np.ndarray, right: np.ndarray, around: Mapping[str, np.ndarray]) -> Message | None:
    """Return what a wrong value has to do with the others that the function has."""
    for name, other in around.items() if mine.size > 1 else ():
        if same(mine, other):
            return say("Yours is the same as {name}.", name=name)
        for axis in range(other.ndim):
            if same(mine, other.sum(axis=axis)):
                return say("Yours is the sum of {name} over axis {axis}.", name=name, axis=axis)
        slopes = [other * (1 - other), 1 - other**2, np.where(other > 0, 1.0, 0.0)]
        if other.shape == mine.shape == right.shape and any(same(mine * slope, right) for slope in slopes):
            return say("Yours lacks a factor: the derivative of an activation.")
    if mine.ndim == 2 == right.ndim and np.allclose(mine.sum(axis=0), 1) and np.allclose(right.sum(axis=1), 1):
        return say("Its columns sum to 1, and the rows should: the sum goes over the wrong axis.")
    return None


def _as_a_gradient(name: str, mine: np.ndarray, right: np.ndarray, around: Mapping, batch: Sequence) -> Message:
    """Return what the gradient check says, and which number of the function a factor is."""
    rows, _ = rows_of(batch)
    others = {key: value for key, value in around.items() if value.ndim and rows not in value.shape}
    point = {key: np.zeros_like(value) for key, value in {**others, name: right}.items()}
    functions = settle(lambda p, *_: np.sum(right * p[name]), lambda *_: {**others, name: mine}, point, batch)
    check = Check(functions, np.random.default_rng(0))
    sizes = {size: whose for size, whose in check.context.sizes.items() if size != rows}
    check.context = check.context._replace(sizes=sizes)
    check.row(name)
    finding = check.findings.get(name)
    if finding is None:
        return say("It differs by little more than rounding.")
    said = finding.of_value or finding.sentence
    for other, value in around.items() if finding.factor and ": " not in said else ():
        if value.ndim == 0 and value not in (0, 1) and abs(abs(finding.factor * value) - 1) < 1e-5:
            factor = say("The factor is 1/{name}: is {name} left out?", name=other)
            return joined([said, factor], "{a} {b}")
    return said
