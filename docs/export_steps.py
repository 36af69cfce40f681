"""Exports what docs/stepper.rst shows: an update of lesson 07 on one row, run by TensorFlow, and its lines of code.

Every number is the value of a piece of code: the piece is found in the source by its syntax, evaluated as it stands
there, and shown beside its number. So the page can show neither a line that is not in the lesson nor a number that the
line does not give. The lesson has no activation on its hidden layer; the functions below add a sigmoid to its own.
"""

import ast
import html
import inspect
import json
from itertools import pairwise
from pathlib import Path
from types import ModuleType

from tf_backprop import command, datasets  # noqa: F401 - command imports TensorFlow quietly
from tf_backprop.support import lessons
from tf_backprop.support.errors import GradientError

import numpy as np
import tensorflow as tf
from pygments.lexers import PythonLexer
from pygments.token import STANDARD_TYPES

LESSON = lessons.SCRIPTS / "07_two_layer_network.py"
RATE = 0.05  # at the lesson's own rate, one update is too small to be seen


def sigmoid_forward(parameters, x):
    """Return h = σ(x w1) and y_hat = h w2."""
    z = x @ parameters["w1"]  # (n, 2) (2, 3) -> (n, 3)
    h = tf.sigmoid(z)  # (n, 3)
    y_hat = h @ parameters["w2"]  # (n, 3) (3, 1) -> (n, 1)
    return h, y_hat


def sigmoid_loss(parameters, x, y):
    """L = mean((y_hat - y)²)."""
    _, y_hat = sigmoid_forward(parameters, x)
    return tf.reduce_mean((y_hat - y) ** 2)


def sigmoid_gradients_by_hand(parameters, x, y):
    """dL/dw1 and dL/dw2 as in the lesson, except for dL_dz."""
    h, y_hat = sigmoid_forward(parameters, x)
    dL_dy_hat = 2 * (y_hat - y) / y.shape[0]  # (n, 1), 2: of the square, 1/n: L is a mean
    dL_dw2 = tf.transpose(h) @ dL_dy_hat  # (3, n) (n, 1), hᵀ: sums over the rows
    dL_dh = dL_dy_hat @ tf.transpose(parameters["w2"])  # (n, 1) (1, 3), w2ᵀ: back through w2
    dL_dz = dL_dh * h * (1 - h)  # (n, 3), σ'(z) = h (1 - h): back through σ, unit by unit
    dL_dw1 = tf.transpose(x) @ dL_dz  # (2, n) (n, 3), xᵀ: sums over the rows
    return {"w1": dL_dw1, "w2": dL_dw2}


def export() -> dict:
    """Return one update from the lesson's start, without a sigmoid on the hidden layer and with one.

    Returns
    -------
    dict
        ``identity`` and ``sigmoid``, each with ``numbers``: the first row ``x`` (2,) with its target ``y``, the weights
        ``w1`` (2, 3) and ``w2`` (3,) that the lesson starts with, and ``learning_rate``; ``values``, every intermediate
        number by its symbol, without the axis of the single row; ``code``, the HTML of the lines; ``file``, in which
        they stand. With the sigmoid, the target is moved so that the error y_hat - y is the same as without.

    Raises
    ------
    GradientError
        When the gradient by hand differs from that of the tape.
    """
    lesson = lessons.load(LESSON)
    seed = inspect.signature(lesson.main).parameters["seed"].default
    data, start = datasets.volume_and_weight(), lesson.initial_parameters(seed)
    x, y = (tf.constant(rows[:1], tf.float64) for rows in (data.x, data.y))
    parameters = {name: tf.cast(w, tf.float64) for name, w in start.items()}
    numbers = {"x": x, "y": y, **parameters, "learning_rate": RATE}
    moved = y + sigmoid_forward(parameters, x)[1] - lesson.forward(parameters, x)[1]
    here = Path(__file__)
    functions = {
        "forward": (LESSON, "forward"),
        "loss": (LESSON, "loss"),
        "gradients": (LESSON, "gradients_by_hand"),
        "update": (LESSON, "gradient_descent"),
    }
    with_sigmoid = functions | {
        "forward": (here, "sigmoid_forward"),
        "loss": (here, "sigmoid_loss"),
        "gradients": (here, "sigmoid_gradients_by_hand"),
    }
    return {
        "identity": _run(lesson, functions, numbers),
        "sigmoid": _run(lesson, with_sigmoid, numbers | {"y": moved}),
    }


def gradients_by_tape(loss, parameters, x, y):
    """Return the derivatives of ``loss(parameters, x, y)`` by each of the `parameters`, from the tape."""
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        L = loss(parameters, x, y)
    return tape.gradient(L, parameters)


def _run(lesson: ModuleType, functions: dict[str, tuple[Path, str]], numbers: dict) -> dict:
    """Evaluate every piece of the `functions`, (file, name) by part, at `numbers`, in the order of the page."""
    trees = {part: _function(path, name) for part, (path, name) in functions.items()}
    pieces = _pieces(trees)
    rate, parameters = numbers["learning_rate"], {name: numbers[name] for name in ("w1", "w2")}
    known = {"parameters": parameters, "x": numbers["x"], "y": numbers["y"], "learning_rate": rate}
    values = {}
    for symbol, node in pieces.items():
        if symbol != "new_w":
            values[symbol] = known[symbol] = _value(lesson, node, known)
    for name, w in parameters.items():
        values[f"new_{name}"] = _value(lesson, pieces["new_w"], {"w": w, "dL_dw": values[f"dL_d{name}"], **known})
    known["parameters"] = {name: values[f"new_{name}"] for name in parameters}
    for symbol in ("z", "h", "y_hat", "L"):
        if symbol in pieces:
            values[f"new_{symbol}"] = known[symbol] = _value(lesson, pieces[symbol], known)

    loss = sigmoid_loss if "dL_dz" in pieces else lesson.loss
    by_tape = gradients_by_tape(loss, parameters, numbers["x"], numbers["y"])
    if not all(np.allclose(values[f"dL_d{name}"], by_tape[name], rtol=1e-12, atol=1e-12) for name in parameters):
        raise GradientError("docs/export_steps.py: a gradient written by hand disagrees with the tape")
    return {
        "numbers": _plain(numbers),
        "values": _plain(values),
        "code": _code(functions, trees, pieces),
        "file": _file(functions["loss"][0]),
    }


def _value(lesson: ModuleType, node: ast.expr, known: dict):
    return eval(compile(ast.Expression(node), str(LESSON), "eval"), vars(lesson), known)


def _function(path: Path, name: str) -> ast.FunctionDef:
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return next(node for node in body if isinstance(node, ast.FunctionDef) and node.name == name)


def _pieces(trees: dict[str, ast.FunctionDef]) -> dict[str, ast.expr]:
    """Return the expression behind each symbol of the page, in the order of computing."""
    gradients = _assigned(trees["gradients"])
    pieces = _assigned(trees["forward"]) | {"L": trees["loss"].body[-1].value}
    pieces |= {symbol: value for symbol, value in gradients.items() if symbol.startswith("dL_")}
    return pieces | {"new_w": trees["update"].body[-1].value.elts[0]}  # what returns with w are its slots m and v


def _assigned(function: ast.FunctionDef) -> dict[str, ast.expr]:
    """Return what a function assigns to single names, by name."""
    assignments = [statement for statement in function.body if isinstance(statement, ast.Assign)]
    return {one.targets[0].id: one.value for one in assignments if isinstance(one.targets[0], ast.Name)}


def _code(functions: dict, trees: dict[str, ast.FunctionDef], pieces: dict[str, ast.expr]) -> str:
    """Return HTML of the functions, in which each token names the symbols it is part of (``data-of``)."""
    blocks = []
    for part, (path, _) in functions.items():
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        first, last = trees[part].lineno, trees[part].end_lineno
        own = {s: n for s, n in pieces.items() if any(n is node for node in ast.walk(trees[part]))}
        spans = {s: (_offset(lines, n.lineno, n.col_offset), _offset(lines, n.end_lineno, n.end_col_offset))
                 for s, n in own.items()}  # fmt: skip
        begin, end = _offset(lines, first, 0), _offset(lines, last + 1, 0)
        blocks.append(_html("".join(lines), begin, end, first, spans))
    return "\n".join(blocks)


def _offset(lines: list[str], line: int, column: int) -> int:
    """Return the index into the text of a position as ``ast`` gives it: lines from 1, columns in bytes."""
    before = sum(map(len, lines[: line - 1]))
    return before + (len(lines[line - 1].encode()[:column].decode()) if column else 0)


def _html(text: str, begin: int, end: int, line: int, spans: dict[str, tuple[int, int]]) -> str:
    """Return the text from `begin` to `end` as lines of coloured tokens, cut where a span begins or ends."""
    breaks = [edge for i in range(begin, end) if text[i] == "\n" for edge in (i, i + 1)]
    cuts = sorted({begin, end, *breaks, *(edge for span in spans.values() for edge in span)})
    out = [f'<span class="line" data-line="{line}">']
    for start, kind, token in PythonLexer().get_tokens_unprocessed(text):
        stop = start + len(token)
        for a, b in pairwise([start, *(cut for cut in cuts if start < cut < stop), stop]):
            if not begin <= a < end:
                continue
            if text[a:b] == "\n":
                line += 1
                out.append("\n</span>" + (f'<span class="line" data-line="{line}">' if b < end else ""))
                continue
            of = " ".join(symbol for symbol, (first, last) in spans.items() if first <= a < last)
            attributes = f' class="{STANDARD_TYPES.get(kind, "")}"' + (f' data-of="{of}"' if of else "")
            out.append(f"<span{attributes}>{html.escape(text[a:b])}</span>")
    return "".join(out)


def _plain(values: dict) -> dict:
    """Return lists and numbers, without the axes of length 1: the single row, and the column of w2."""
    return {name: np.squeeze(np.asarray(value)).tolist() for name, value in values.items()}


def _file(path: Path) -> str:
    return path.relative_to(lessons.SCRIPTS.parent).as_posix()


if __name__ == "__main__":
    print(json.dumps(export(), indent=1))
