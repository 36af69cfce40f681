"""The exercises of practice, made from the lessons' own source: nothing is stored."""

import ast
from collections.abc import Sequence
from typing import NamedTuple

from tf_backprop.support import lessons
from tf_backprop.support.language import Message, say
from tf_backprop.support.practice import lines

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
