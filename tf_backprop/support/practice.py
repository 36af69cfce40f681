"""Practice: a lesson's backward pass with its right sides blank, and a check that names the line that is wrong.

An exercise is made from the lesson's own source, and nothing is stored: whether it is solved is seen by running it.
"""

import ast
import contextlib
import io
import json as _json
import re
import traceback
import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tf_backprop.support import lessons, lines
from tf_backprop.support.calls import named
from tf_backprop.support.errors import DataError, GradientError, LessonError, UsageError
from tf_backprop.support.files import short
from tf_backprop.support.tables import table

import numpy as np

#: The exercises by the numbers of their lessons, and what each of them needs.
EXERCISES = {
    "01": "the derivative of a square",
    "02": "the derivatives of σ and of the logarithm",
    "03": "the slopes of four activations",
    "05": "the chain rule in two variables",
    "06": "the derivatives of three losses",
    "07": "back through a matrix: two layers",
    "08": "softmax and cross-entropy",
    "11": "softmax and cross-entropy, once more",
    "12": "four layers: the same steps again and again",
}

#: The lesson of wrong gradients, whose exercise is to find a mistake.
FIND = "13"


class Fault(NamedTuple):
    """A mistake that is planted in a lesson's backward pass, and what is said of it when it is found."""

    number: str  # of the lesson
    right: str
    wrong: str
    story: str


FAULTS = [
    Fault(
        "11", "(p - onehot) / n", "p - onehot", "The 1/n of the mean was missing, as in D4's own formula (lesson 11)."
    ),
    Fault(
        *("11", "tf.reduce_sum(dL_dz, axis=0)", "tf.reduce_mean(dL_dW, axis=0)"),
        "The gradient for b was a mean of that for W over the pixels, as in D4's own formula (lessons 11 and 13).",
    ),
    Fault("08", "softmax(z)", "softmax(z, axis=0)", "The softmax was taken over the batch, and not over the classes."),
    Fault("12", " * slope(a2)", "", "The derivative of the activation was left out in one layer."),
    Fault("12", "a > 0, a.dtype", "a >= 0, a.dtype", "Every output of a ReLU is at least 0: a >= 0 always holds."),
    Fault(
        *("12", "tf.reduce_sum(dL_dz2, axis=0)", "tf.zeros_like(dL_dz2[0])"),
        "The bias of one layer was frozen. D5 never updates any of its biases (lesson 12).",
    ),
    Fault(
        *("12", "tf.reduce_sum(dL_dz3, axis=0)", "tf.reduce_mean(dL_dz3, axis=0)"),
        "The mean over the rows was taken twice: the 1/n is in dL_dz already.",
    ),
    Fault(
        *("07", 'tf.transpose(parameters["w2"])', 'tf.transpose(parameters["w2"] - 0.1 * dL_dw2)'),
        "The error went back through a w2 that was updated already; it belongs to the w2 of the forward pass.",
    ),
    Fault("07", "2 * (y_hat - y)", "(y_hat - y)", "The 2 of the square was missing: the loss has no 1/2."),
]

#: The folder of the reader's files, in the current one.
FOLDER = Path("practice")

TASK = """\
Practice: replace each ... in gradients_by_hand by the right side of its line, and run this file. It
says which line is wrong, and in what way. All other lines are right. --hint prints a hint for the
next line, and --answer prints the line.
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


class Outcome(NamedTuple):
    """What the check of a reader's file found."""

    lesson: lessons.Lesson
    path: Path
    state: str  # in a few words; "solved" where it is
    text: str  # all that there is to say
    wrong: Sequence[Mapping[str, object]] = ()  # line, name and verdict of each line that is wrong
    next: Sequence[str] = ()  # the names of the lines to which a hint would help, the first one first
    name: str = ""  # of the exercise, where it is not the lesson's

    @property
    def solved(self) -> bool:
        """Whether nothing is left to do."""
        return self.state == "solved"


class Case(NamedTuple):
    """A point at which gradients are compared. No size occurs twice and nothing is zero, so that mistakes differ."""

    parameters: Mapping[str, np.ndarray] | float
    batch: tuple
    note: str = ""


def cases(number: str) -> list[Case]:
    """Return the points at which the exercise of a lesson is checked."""
    found = []
    for seed in (0, 1):
        rng = np.random.default_rng(seed)
        found += _cases(number, rng)
    return found


def _cases(number: str, rng: np.random.Generator) -> list[Case]:
    def away_from_zero(*shape: int) -> np.ndarray:
        return rng.uniform(0.3, 1.5, shape) * rng.choice([-1, 1], shape)

    if number in ("01", "02"):
        y = rng.uniform(1, 3, 7) if number == "01" else np.array([1.0, 0, 1, 1, 0, 1, 0])
        return [Case(float(rng.uniform(0.3, 1.5)), (away_from_zero(7), y))]
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
        return [Case(parameters, (away_from_zero(7, 2), away_from_zero(7, 1)))]
    if number in ("08", "11"):
        parameters = {"W": away_from_zero(6, 10), "b": away_from_zero(10)}
        return [Case(parameters, (away_from_zero(7, 6), rng.permutation(10)[:7]))]
    units = [3, 4, 5, 6, 2]
    parameters = {f"W{i}": 0.7 * away_from_zero(*units[i - 1 : i + 1]) for i in (1, 2, 3, 4)}
    parameters |= {f"b{i}": away_from_zero(units[i]) for i in (1, 2, 3, 4)}
    X, Y = away_from_zero(7, 3), np.eye(2)[[0, 1, 1, 0, 1, 0, 0]]
    of_relu = Case(parameters, (X, Y, "relu"), 'with activation="relu"')
    return [Case(parameters, (X, Y, "sigmoid")), of_relu]


# The exercise, made from the lesson


def exercise(lesson: lessons.Lesson) -> str:
    """Return the exercise that a lesson makes: question, equations, forward pass, and a backward pass to fill in."""
    source = lesson.path.read_text(encoding="utf-8")
    tree, text = ast.parse(source), source.splitlines()
    equations = ast.get_docstring(tree).partition(lessons.SEEN)[0].strip()
    nodes = _needed(tree)
    used = {name.id for node in nodes for name in ast.walk(node) if isinstance(name, ast.Name)}
    imports = [node for node in tree.body if isinstance(node, ast.Import) and node.names[0].asname in used]
    parts = [f'"""\n{equations}\n\n{TASK}"""']
    parts.append("from tf_backprop import command\nfrom tf_backprop.support import practice")
    parts.append("\n".join(ast.unparse(node) for node in imports))
    after_function = True
    for node in nodes:
        function = isinstance(node, ast.FunctionDef)
        if function and node.name == "gradients_by_hand":
            code = _blank(node, text)
        else:
            code = [*_comments_above(node, text), *text[node.lineno - 1 : node.end_lineno]]
        parts.append("\n".join(["", *code] if function or after_function else code))
        after_function = function
    return "\n\n".join([*parts, f"\n{END}"])


def planted(seed: int) -> str:
    """Return a lesson's whole backward pass, in which one thing is wrong."""
    fault = FAULTS[seed % len(FAULTS)]
    (lesson,) = lessons.select([fault.number])
    text = exercise(lesson).replace(TASK, FIND_TASK.format(seed=seed))
    for line in lines.of_lesson(lesson.path.read_text(encoding="utf-8"))[0]:
        text = text.replace(f"    {line.names[0]} = ...\n", f"    {line.text}\n")
    return text.replace(fault.right, fault.wrong)


def _needed(tree: ast.Module) -> list[ast.stmt]:
    """Return the definitions that loss and gradients_by_hand need, with both, in the order of the file."""
    defined = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            defined[node.name] = node
        elif isinstance(node, ast.Assign):
            defined |= {name.id: node for name in ast.walk(node.targets[0]) if isinstance(name, ast.Name)}
    found, names = [], ["loss", "gradients_by_hand"]
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
    """Return the lines of a function in which the right side of each derivative is ``...``."""
    code = list(text)
    for statement in reversed(function.body):
        if isinstance(statement, ast.Assign) and lines.DERIVATIVE.fullmatch(ast.unparse(statement.targets[0])):
            blank = f"{' ' * statement.col_offset}{ast.unparse(statement.targets[0])} = ..."
            code[statement.lineno - 1 : statement.end_lineno] = [blank]
    shorter = len(text) - len(code)
    return code[function.lineno - 1 : function.end_lineno - shorter]


# The check of a reader's file


def examine(lesson: lessons.Lesson, path: Path) -> Outcome:
    """Run a reader's file and say what is right and what is wrong in it."""
    if lesson.name[:2] != FIND:
        return _examine(lesson, path)
    seed = re.search(r"This is fault (\d+) of lesson 13", path.read_text(encoding="utf-8", errors="replace"))
    if seed is None:
        text = (
            f'{short(path)}: the sentence "This is fault ... of lesson 13" is gone, which tells the check what it is.'
        )
        return Outcome(lesson, path, "not readable", text, name=path.stem)
    fault = FAULTS[int(seed[1]) % len(FAULTS)]
    (base,) = lessons.select([fault.number])
    outcome = _examine(base, path, find=True)._replace(name=path.stem)
    if outcome.solved:
        return outcome._replace(text=f"{short(path)}: mended. {fault.story}")
    return outcome


def _examine(lesson: lessons.Lesson, path: Path, find: bool = False) -> Outcome:
    """Run a reader's file; `find` keeps to oneself which line is wrong."""
    try:
        source = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return Outcome(lesson, path, "not readable", f"{short(path)}: the file is not UTF-8 text.")
    try:
        tree = ast.parse(source, filename=str(path))
        module = types.ModuleType("practice")
        module.__file__ = str(path)
        if lines.function_in(tree, "gradients_by_hand") is None:
            text = f"{short(path)}: there is no function gradients_by_hand any more."
            return Outcome(lesson, path, "no function", text)
        ours = lessons.load(lesson.path)  # it imports TensorFlow quietly, before the reader's file does
        exec(compile(tree, str(path), "exec"), module.__dict__)
    except LessonError:
        raise
    except (Exception, SystemExit) as error:
        return Outcome(lesson, path, "does not run", _failure(error, path))
    function = module.__dict__.get("gradients_by_hand")
    for case in cases(lesson.name[:2]):
        outcome = _examine_at(case, lesson, ours, function, path, tree, find)
        if outcome is not None:
            return outcome
    report = _report(ours, function, cases(lesson.name[:2])[0])
    return Outcome(lesson, path, "solved", f"{short(path)}: solved. Each gradient is what the loss says:\n{report}")


def _examine_at(case: Case, lesson, ours, function, path: Path, tree: ast.Module, find: bool) -> Outcome | None:
    """Return what is wrong at one point, or None."""
    tf = ours.tf
    pass_lines, names = lines.of_lesson(lesson.path.read_text(encoding="utf-8"))
    parameters = case.parameters
    batch = [tf.constant(part) if isinstance(part, np.ndarray) else part for part in case.batch]

    def fresh():
        if isinstance(parameters, Mapping):
            return {name: tf.constant(value) for name, value in parameters.items()}
        return tf.constant(parameters, tf.float64)

    right = lines.traced(ours.gradients_by_hand, names, fresh(), *batch)
    theirs = lines.traced(function, names, fresh(), *batch)
    returned = {} if theirs.error else named(theirs.result)
    expected = named(right.result)
    if set(returned) == set(expected) and all(
        lines.same(lines.numbers(returned[key]), lines.numbers(value)) for key, value in expected.items()
    ):
        return None
    blanks = {
        name: line
        for name, line in _blanks(tree).items()
        if name not in theirs.made or theirs.made[name][-1].value is ...  # it may have got a value later
    }
    if theirs.error is not None:
        at = _own_line(theirs.error, path)
        if not blanks or (at is not None and at < min(blanks.values())):
            name = _name_at(tree, at)
            return Outcome(lesson, path, "does not run", _failure(theirs.error, path), next=[name] if name else [])
    verdicts = lines.judge(pass_lines, names, right, theirs, vars(ours))
    verdicts = [told._replace(line=_statement(tree, told.line)) for told in verdicts]
    wrong = [told for told in verdicts if told.kind == "wrong"]
    if find:
        outcome = _by_parameter(case, lesson, ours, function, path, [], names, returned, expected)
        return outcome._replace(next=[told.name for told in wrong])
    rows = next((part.shape[0] for part in case.batch if isinstance(part, np.ndarray)), None)
    said = [_said(told, path, rows, _sizes(parameters), case.note) for told in wrong]
    told_of = [
        {"line": told.line, "name": told.name, "verdict": lines.relation(told, rows, _sizes(parameters))}
        for told in wrong
    ]
    given = [f"{told.name} (line {told.line})" for told in verdicts if told.kind == "given"]
    if given and wrong:
        said.append(f"Right in themselves, but given a wrong value: {', '.join(given)}.")
    if blanks:
        (first, line), *others = blanks.items()
        done = [told for told in verdicts if told.kind == "right" and lines.DERIVATIVE.fullmatch(told.name)]
        if done:
            said.append(f"Right: {', '.join(f'{told.name} (line {told.line})' for told in done)}.")
        said.append(f"{short(path)}, line {line}: {first} is still blank. Write its right side in place of the dots.")
        if others:
            more = [f"{name} (line {line})" for name, line in others[:3]]
            more += [f"and {len(others) - 3} more"] if len(others) > 3 else []
            said.append(f"Blank after that: {', '.join(more)}.")
        many = f"{len(blanks)} line{'s are' if len(blanks) > 1 else ' is'} blank"
        state = f"{_count(wrong)} wrong, {many}" if wrong else many
        return Outcome(lesson, path, state, "\n".join(said), told_of, [*(told.name for told in wrong), *blanks])
    if wrong:
        state = f"{_count(wrong)} wrong"
        return Outcome(lesson, path, state, "\n".join(said), told_of, [told.name for told in wrong])
    return _by_parameter(case, lesson, ours, function, path, verdicts, names, returned, expected)


def _by_parameter(case, lesson, ours, function, path, verdicts, names, returned, expected) -> Outcome:
    """Return what the check of gradients says, where no line can be named."""
    right = {told.name for told in verdicts if told.kind == "right"}
    wrong = [
        key
        for key in expected
        if key not in returned or not lines.same(lines.numbers(returned[key]), lines.numbers(expected[key]))
    ]
    said = [f"{short(path)}: {_gradients_of(wrong)} wrong."]
    returned_otherwise = [key for key in wrong if key in returned and names.get(key) in right]
    if returned_otherwise:
        said = [
            f"{short(path)}: {names[key]} is right, and the function returns something else for {key}."
            for key in returned_otherwise
        ]
    elif any(told.kind == "unknown" for told in verdicts):
        said.append("Your lines are not the lesson's, so that the check goes by the gradients alone.")
    elif any(told.kind == "given" for told in verdicts):
        said.append("Each line is right with what it is given. Look at the functions that they call.")
    note = f" ({case.note})" if case.note else ""
    said.append(f"What the loss says{note}:" if note else "What the loss says:")
    said.append(_report(ours, function, case))
    ask = [names[key] for key in wrong if key in names]
    return Outcome(lesson, path, "wrong", "\n".join(said), next=ask)


def _gradients_of(keys: Sequence[str]) -> str:
    if not keys:
        return "what gradients_by_hand returns is"
    return f"the gradient{'s' if len(keys) > 1 else ''} for {', '.join(keys)} {'are' if len(keys) > 1 else 'is'}"


def _count(wrong: Sequence) -> str:
    return f"{len(wrong)} line{'s are' if len(wrong) > 1 else ' is'}"


def _report(ours, function: Callable, case: Case) -> str:
    """Return the table of `check_gradients`; what the reader's function prints was seen already."""
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            return str(ours.check_gradients(ours.loss, function, case.parameters, *case.batch))
        except GradientError as error:
            return f"{error}."


def _said(told: lines.Verdict, path: Path, rows: int | None, sizes: Mapping[int, str], note: str) -> str:
    """Return the relation to the right value first, and then a number."""
    text = f"{short(path)}, line {told.line}: {told.name} {lines.relation(told, rows, sizes)}"
    text += f" ({note})" if note else ""
    text += "" if text.endswith("?") else "."
    number = lines.first_difference(told)
    return f"{text}\n    {number}" if number else text


def _sizes(parameters) -> dict[int, str]:
    """Return the sizes of the parameters, and whose they are."""
    found = {}
    for name, value in named(parameters).items():
        for size in np.shape(value):
            if size > 1:
                found.setdefault(size, name)
    return found


def _blanks(tree: ast.Module) -> dict[str, int]:
    """Return the names whose right side is still ``...``, and their lines."""
    return {
        ast.unparse(node.targets[0]): node.lineno
        for node in ast.walk(lines.function_in(tree, "gradients_by_hand"))
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and node.value.value is ...
    }


def _statement(tree: ast.Module, line: int | None) -> int | None:
    """Return the first line of the statement that a line belongs to."""
    starts = [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.stmt) and line is not None and node.lineno <= line <= node.end_lineno
    ]
    return max(starts, default=line)


def _name_at(tree: ast.Module, line: int | None) -> str | None:
    """Return the name that is assigned in a line, where it is that of a derivative."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and line is not None and node.lineno <= line <= node.end_lineno:
            name = ast.unparse(node.targets[0])
            return name if lines.DERIVATIVE.fullmatch(name) else None
    return None


def _own_line(error: BaseException, path: Path) -> int | None:
    """Return the line of the reader's file at which an exception was raised."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return error.lineno
    own = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return own[-1] if own else None


def _failure(error: BaseException, path: Path) -> str:
    """Return one line about an exception in the reader's file."""
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    text = re.sub(r"^\{\{.*?\}\} *|\[Op:.*", "", next(iter(text.strip().splitlines()), "")).strip().rstrip(".")
    if isinstance(error, AttributeError) and text.endswith("attribute 'T'"):
        text += "; its transpose is tf.transpose(...)"
    at = _own_line(error, path)
    where = f"{short(path)}, line {at}" if at is not None else short(path)
    if isinstance(error, SystemExit):
        return f"{where}: the file ends the process here, so that it cannot be checked."
    return f"{where}: {type(error).__name__}: {text}." if text else f"{where}: {type(error).__name__}."


# The commands


def _chosen(names: Sequence[str]) -> list[lessons.Lesson]:
    """Return the lessons that words mean; of a file the first two digits tell."""
    found = lessons.select([Path(name).name[:2] if name.endswith(".py") else name for name in names])
    numbers = [*EXERCISES, FIND]
    if not names:
        return [lesson for lesson in found if lesson.name[:2] in numbers]
    for lesson in found:
        if lesson.name[:2] not in numbers:
            raise UsageError(f"lesson {lesson.name[:2]} has no exercise: they are {', '.join(numbers)}")
    return found


def _begun(lesson: lessons.Lesson) -> list[Path]:
    """Return the reader's files for a lesson."""
    if lesson.name[:2] == FIND:
        return sorted(FOLDER.glob(f"{FIND}_fault_*.py"))
    path = FOLDER / lesson.path.name
    return [path] if path.is_file() else []


def practice(*names: str, seed: int = 0) -> None:
    """Write exercises into the folder practice/; without a name, list them and say which are solved.

    Args:
        names: numbers or names of lessons, like 11 or 12_moons_mlp
        seed: in exercise 13, which mistake is planted
    """
    chosen = _chosen(names)
    if seed < 0:
        raise UsageError(f"--seed must be a whole number from 0, not {seed}")
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
            advice = f"check it with python -m tf_backprop check {number}, or rename it to begin anew"
            raise DataError(f"{path} exists and is left as it is: {advice}") from None
        print(f"{path}: {'find the mistake in it' if find else 'fill in its blank lines'}, and then run it.")


def _list(chosen: Sequence[lessons.Lesson]) -> None:
    rows = []
    for lesson in chosen:
        number = lesson.name[:2]
        needs = EXERCISES.get(number, "to find a mistake (--seed gives others)")
        with contextlib.redirect_stdout(io.StringIO()):
            begun = [(path.stem, needs, examine(lesson, path).state) for path in _begun(lesson)]
        rows += begun or [(lesson.name, needs, "not begun")]
    print(table(["exercise", "what it needs", "state"], rows, as_is=True))
    print("\npython -m tf_backprop practice 01 writes the first one, and python -m tf_backprop check 01 checks it.")


def check(*names: str, hint: bool = False, answer: bool = False, json: bool = False) -> None:
    """Check exercises: say which line is wrong, and in what way. The status is 0 only if all of them are solved.

    Args:
        names: numbers of lessons, or files like practice/11_mnist_softmax_hand_derived.py; all begun without any
        hint: give the reason of the line that is wrong or blank, without its code
        answer: give the line itself
        json: print one list of JSON for a program
    """
    files = []
    for name in names:
        (lesson,) = _chosen([name])
        paths = [Path(name)] if name.endswith(".py") else _begun(lesson)
        if not paths or not paths[0].is_file():
            path = paths[0] if paths else FOLDER / lesson.path.name
            advice = f"python -m tf_backprop practice {lesson.name[:2]} writes it"
            raise DataError(f"{path}: there is no such file; {advice}")
        files += [(lesson, path) for path in paths]
    files = files or [(lesson, path) for lesson in _chosen(()) for path in _begun(lesson)]
    if not files:
        raise UsageError("no exercise is begun: python -m tf_backprop practice lists them")
    _check(files, hint, answer, json)


def check_of(path: str) -> Callable[..., None]:
    """Return the check of one file, as the command that the file is when it is run."""

    def check_this_file(hint: bool = False, answer: bool = False, json: bool = False) -> None:
        """Check this exercise: say which line is wrong, and in what way. The status is 0 only if it is solved.

        Args:
            hint: give the reason of the line that is wrong or blank, without its code
            answer: give the line itself
            json: print one list of JSON for a program
        """
        (lesson,) = _chosen([path])
        _check([(lesson, Path(path))], hint, answer, json)

    return check_this_file


def _check(files: Sequence[tuple[lessons.Lesson, Path]], hint: bool, answer: bool, json: bool) -> None:
    outcomes = []
    for lesson, path in files:
        aside = io.StringIO()
        with contextlib.redirect_stdout(aside) if json else contextlib.nullcontext():
            outcome = examine(lesson, path)
        outcomes.append(outcome)
        if not json:
            print(outcome.text)
            print(_help(outcome, hint, answer), end="")
    if json:
        print(_json.dumps([_as_json(outcome) for outcome in outcomes], ensure_ascii=False))
    unsolved = [outcome for outcome in outcomes if not outcome.solved]
    if unsolved:
        text = "; ".join(f"exercise {outcome.name or outcome.lesson.name[:2]}: {outcome.state}" for outcome in unsolved)
        raise LessonError(f"not solved yet: {text}")


def _name(outcome: Outcome) -> str:
    return outcome.name or outcome.lesson.name


def _as_json(outcome: Outcome) -> dict[str, object]:
    first = {"exercise": _name(outcome), "file": str(outcome.path), "solved": outcome.solved}
    return first | {"state": outcome.state, "wrong": list(outcome.wrong), "text": outcome.text}


def _help(outcome: Outcome, hint: bool, answer: bool) -> str:
    """Return a hint and an answer for the next line, where they are asked for; else how to ask for them."""
    if hint and outcome.state == "wrong" and not outcome.next:
        return "Hint: each line of gradients_by_hand is right. Look at the functions that it calls.\n"
    if outcome.solved or not outcome.next:
        return ""
    name = outcome.next[0]
    found, _ = lines.of_lesson(outcome.lesson.path.read_text(encoding="utf-8"))
    line = next((line for line in reversed(found) if name in line.names), None)
    if line is None:
        return ""
    said = ""
    if hint:
        said += f"Hint for {name}: {line.why or 'the lesson has none; look at its equations at the top of the file'}\n"
    if answer:
        said += f"The lesson's line: {line.text}\n"
    return said or "Ask for a hint with --hint, or for the line with --answer.\n"
