"""Which line of a backward pass is wrong: a reader's values beside the lesson's, line by line.

Where the reader's value of a name differs, the lesson's formula is evaluated on the reader's own values. If that gives
what the reader has, the line is right and what it is given is not; if not, it is this line.
"""

import ast
import functools
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from tf_backprop.support.calls import named, to_numpy
from tf_backprop.support.explanation import comments_of

import numpy as np

#: A difference of this share of the largest number is a mistake, and a smaller one is rounding.
TOLERANCE = 1e-6

#: The names of derivatives: dL_dz, dy_hat_dA, df_dx.
DERIVATIVE = re.compile(r"d\w+_d\w+")


class Line(NamedTuple):
    """One line of the lesson's gradients_by_hand that makes numbers."""

    names: tuple[str, ...]
    formula: ast.expr
    text: str  # as it stands in the lesson, without its comment
    why: str  # its comment
    number: int  # 0 where the first of its names is assigned for the first time, then 1


class Made(NamedTuple):
    """A value that a function gave to a name, the line that did it, and all its names just after that."""

    value: object
    line: int
    around: Mapping[str, object]


class Run(NamedTuple):
    """What a function returned, or how it failed, and every value it made by name, in order."""

    result: object
    error: BaseException | None
    made: dict[str, list[Made]]


class Verdict(NamedTuple):
    """What is known of one name: it is "right", "wrong", "given" a wrong input, "blank", or "unknown"."""

    name: str
    kind: str
    line: int | None = None  # in the reader's file
    mine: object = None
    right: object = None  # what the lesson's formula makes of the reader's values
    around: Mapping[str, object] = {}


def function_in(tree: ast.Module, name: str) -> ast.FunctionDef | None:
    """Return the last function of that name at the top of a file."""
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
    return found[-1] if found else None


@functools.cache  # a lesson is looked at for each point at which a file is checked
def of_lesson(source: str) -> tuple[list[Line], dict[str, str]]:
    """Return the lines of a lesson's gradients_by_hand, and the name of the gradient of each parameter."""
    function = function_in(ast.parse(source), "gradients_by_hand")
    comments = comments_of(source)
    names = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            names |= {key.value: value.id for key, value in pairs if key is not None and isinstance(value, ast.Name)}
    lines, times = [], {}
    for statement in function.body:
        why = comments.get(statement.end_lineno, "")
        text = ast.get_source_segment(source, statement)
        if isinstance(statement, ast.Assign):
            found = tuple(node.id for node in ast.walk(statement.targets[0]) if isinstance(node, ast.Name))
            lines.append(Line(found, statement.value, text, why, times.get(found[0], 0)))
            times[found[0]] = times.get(found[0], 0) + 1
        elif isinstance(statement, ast.Return) and isinstance(statement.value, ast.Name):
            names["A"] = statement.value.id
        elif isinstance(statement, ast.Return) and isinstance(statement.value, ast.Dict):
            pairs = zip(statement.value.keys, statement.value.values, strict=True)
            for key, value in pairs:
                if key is not None and not isinstance(value, ast.Name):
                    names[key.value] = f"dL_d{key.value}"
                    lines.append(Line((f"dL_d{key.value}",), value, text, why, 0))
    return lines, names


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
                    made.setdefault(name, []).append(Made(value, line, now))
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
            if key in names and names[key] not in made:
                made[names[key]] = [Made(value, line, before)]
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
            told = Verdict(name, "right", made.line, mine, right, made.around)
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
    return told._replace(kind="given" if right is not None and same(told.mine, right) else "wrong", right=right)


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


def relation(told: Verdict, rows: int | None, sizes: Mapping[int, str]) -> str:
    """Return how a wrong value is related to the right one, as the end of a sentence that begins with its name."""
    mine, right = told.mine, told.right
    if mine is None:
        return "is not an array of numbers"
    if right is None:
        return "is wrong"
    if mine.shape != right.shape:
        return _shapes(told)
    if not np.all(np.isfinite(mine)):
        return "has numbers that are infinite or NaN"
    if not np.any(mine):
        return "is zero everywhere, and the right value is not"
    for guess in (_factor, _of_others, _constant, _parts):
        found = guess(told, rows, sizes)
        if found:
            return found
    wrong = np.abs(mine - right) > TOLERANCE * np.max(np.abs(right))
    some = f"all of its {wrong.size} numbers" if np.all(wrong) else f"{np.sum(wrong)} of its {wrong.size} numbers"
    return f"differs from the right value in {some}" if wrong.size > 1 else "differs from the right value"


def first_difference(told: Verdict) -> str | None:
    """Return a sentence with the first number that differs, or None where the shapes already do."""
    mine, right = told.mine, told.right
    if mine is None or right is None or mine.shape != right.shape:
        return None
    wrong = ~(np.abs(mine - right) <= TOLERANCE * np.max(np.abs(right)))
    at = tuple(int(i) for i in np.argwhere(wrong)[0])
    which = f"The first number that differs is {told.name}[{', '.join(map(str, at))}]: yours" if at else "Yours"
    return f"{which} is {mine[at]:.6g}, and it should be {right[at]:.6g}."


def _shapes(told: Verdict) -> str:
    mine, right = told.mine, told.right
    have = f"has the shape {mine.shape}, and the right one has {right.shape}"
    if mine.ndim == 2 and same(mine.T, right):
        return f"is transposed: it {have}"
    if mine.size == right.size and same(mine.reshape(right.shape), right):
        return f"{have}, with the same numbers"
    for axis in range(mine.ndim):
        for what in ("sum", "mean"):
            if same(getattr(np, what)(mine, axis=axis), right):
                return f"{have}: the {what} over axis {axis} is missing"
    made_from = _along_an_axis(told)
    return f"{have}: yours {made_from}" if made_from else have


def _along_an_axis(told: Verdict) -> str | None:
    """Return of which other value, and over which axis, a value is the sum or the mean."""
    for name, value in told.around.items():
        other = numbers(value) if name != told.name else None
        for axis in range(0 if other is None else other.ndim):
            for what in ("sum", "mean"):
                made = getattr(np, what)(other, axis=axis)
                if made.shape and same(told.mine, made):
                    return f"is the {what} of {name} over axis {axis}"
    return None


def _factor(told: Verdict, rows: int | None, sizes: Mapping[int, str]) -> str | None:
    mine, right = told.mine, told.right
    if not np.any(mine * right):
        return None
    c = float(np.sum(mine * mine) / np.sum(mine * right))
    if same(-mine, right):
        return "has the opposite sign"
    causes = {size: f"{size} is a size of {whose}" for size, whose in sizes.items()}
    causes |= {1 / size: f"{size} is a size of {whose}" for size, whose in sizes.items()}
    causes |= {2: "is there a 2 too many?", 0.5: "is the 2 of the square missing?"}
    if rows:
        causes[rows] = f"the batch has {rows} rows. Is the 1/n of the mean missing?"
        causes[1 / rows] = f"the batch has {rows} rows. Is a mean taken twice, or in place of a sum?"
    why = next((text for cause, text in causes.items() if abs(abs(c) / cause - 1) < 1e-5), None)
    if not np.isfinite(c) or not same(mine / c, right) or (mine.size == 1 and why is None):
        return None
    times = f"{abs(c):.8g} times too large" if abs(c) > 1 else f"{1 / abs(c):.8g} times too small"
    sign = "has the opposite sign, and is " if c < 0 else "is "
    return f"{sign}{times}: {why}" if why else f"{sign}{times}"


def _of_others(told: Verdict, *_) -> str | None:
    mine, right = told.mine, told.right
    if mine.ndim == 2 and mine.shape[0] == mine.shape[1] and same(mine.T, right):
        return "is transposed: the matrix is square, so that its shape does not show it"
    for name, value in told.around.items():
        other = numbers(value) if name != told.name else None
        if other is None or mine.size == 1:
            continue
        if same(mine, other):
            return f"is the same as {name}"
        slopes = [other * (1 - other), 1 - other**2, np.where(other > 0, 1.0, 0.0)]
        if other.shape == right.shape and any(same(mine * slope, right) for slope in slopes):
            return "lacks a factor: the derivative of an activation"
    return _along_an_axis(told)


def _constant(told: Verdict, *_) -> str | None:
    mine = told.mine
    if mine.size > 1 and np.ptp(mine) <= TOLERANCE * np.max(np.abs(mine)):
        return f"has the same number everywhere, {mine.flat[0]:.6g}: does a sum or a mean lack its axis?"
    return None


def _parts(told: Verdict, *_) -> str | None:
    """Say which axis sums to one, or which rows or columns are wrong where the others are right."""
    mine, right = told.mine, told.right
    if mine.ndim != 2:
        return None
    one = [np.allclose(array.sum(axis=axis), 1) for array, axis in ((mine, 0), (right, 1))]
    if all(one) and not np.allclose(mine.sum(axis=1), 1):
        return "has columns that sum to 1, where the rows should: the sum goes over the wrong axis"
    wrong = np.abs(mine - right) > TOLERANCE * np.max(np.abs(right))
    for axis, what in ((1, "row"), (0, "column")):
        bad = np.flatnonzero(wrong.any(axis=axis))
        if len(bad) <= wrong.shape[1 - axis] // 2:
            some = ", ".join(map(str, bad[:5])) + (", ..." if len(bad) > 5 else "")
            return f"is wrong in {what}{'s' if len(bad) > 1 else ''} {some}, and right in the others"
    return None
