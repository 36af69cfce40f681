"""``--explain``: the backward pass of a live run, line by line, read from the lesson's own code while it runs.

Nothing is typed a second time. Symbols and formulas are those of the source of ``gradients_by_hand``, the reasons are
the comments beside them, and the shapes and numbers are those of the arrays that the call has made.
"""

import ast
import inspect
import io
import sys
import tokenize
from collections.abc import Callable, Mapping, Sequence

from tf_backprop.support.tables import table

import numpy as np

#: Arrays with at most this many elements are shown with their numbers.
FEW = 6


def show(
    loss: Callable,
    gradients_by_hand: Callable | None,
    gradients_by_tape: Callable,
    parameters: Mapping[str, np.ndarray] | float,
    batch: Sequence[np.ndarray],
    learning_rate: float | None = None,
) -> dict[str, np.ndarray]:
    """Print each line of the backward pass at `parameters`, with what it makes of `batch`.

    The functions take `parameters` and then `batch`, and are made of assignments and one return. Without a gradient by
    hand, the lines of the loss are shown, which the tape goes through backward. With a `learning_rate` the first update
    of plain gradient descent is printed too. Return every array by its symbol, the gradient of W as ``dL_dW``.
    """
    named = dict(parameters) if isinstance(parameters, Mapping) else {"A": parameters}
    shown = gradients_by_hand or loss
    local, result = _call(shown, parameters, *batch)
    gradients = result if gradients_by_hand else gradients_by_tape(parameters, *batch)
    gradients = gradients if isinstance(gradients, Mapping) else {"A": gradients}
    for name, value in named.items():
        assert np.shape(gradients[name]) == np.shape(value), f"dL_d{name} has another shape than {name}"
    made = {name: np.asarray(value) for name, value in local.items() if hasattr(value, "shape")}
    made |= {f"dL_d{name}": np.asarray(value) for name, value in gradients.items()}
    lines = _lines(shown, "dL_dA" if gradients_by_hand else "L")
    if not gradients_by_hand:
        made["L"] = np.asarray(result)
        lines += [(f"dL_d{name}", "tape.gradient(L, ...)", "the tape, back through the lines above") for name in named]
    rows = [
        [symbols, formula, " ".join(_shown(made[symbol]) for symbol in symbols.split(", ")), why]
        for symbols, formula, why in lines
        if symbols.split(", ")[0] in made
    ]
    print(table(["symbol", "formula", "shape or value", "because"], rows))
    if learning_rate is not None:
        for name, value in named.items():
            gradient = made[f"dL_d{name}"]
            numbers = f"{_numbers(value)} - {learning_rate:g} * {_numbers(gradient)} = "
            print(
                f"{name} - learning_rate dL_d{name} = {numbers}{_numbers(np.asarray(value) - learning_rate * gradient)}"
            )
    return made


def _call(function: Callable, *arguments):
    """Return the local variables of `function` when it returns, and what it returns."""
    local: dict = {}

    def on_event(frame, event, _):
        if frame.f_code is not function.__code__:
            return None
        if event == "return":
            local.update(frame.f_locals)
        return on_event

    before = sys.gettrace()
    sys.settrace(on_event)
    try:
        result = function(*arguments)
    finally:
        sys.settrace(before)
    return local, result


def _lines(function: Callable, returned: str) -> list[tuple[str, str, str]]:
    """Return symbols, formula and comment of each assignment, and of what is returned without a name."""
    source = inspect.cleandoc("\n" + inspect.getsource(function))
    comments = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    lines = []
    for statement in ast.parse(source).body[0].body:
        why = comments.get(statement.end_lineno, "")
        if isinstance(statement, ast.Assign):
            pairs = _pairs(statement.targets[0], statement.value)
        elif isinstance(statement, ast.Return) and isinstance(statement.value, ast.Dict):
            named = zip(statement.value.keys, statement.value.values, strict=True)
            pairs = [(f"dL_d{key.value}", value) for key, value in named if not isinstance(value, ast.Name)]
        elif isinstance(statement, ast.Return) and isinstance(statement.value, ast.Call):
            pairs = [(returned, statement.value)]
        else:
            continue
        lines += [(symbols, ast.unparse(value), comments.get(value.end_lineno, why)) for symbols, value in pairs]
    return lines


def _pairs(target: ast.expr, value: ast.expr) -> list[tuple[str, ast.expr]]:
    """Split ``a, b = c, d`` into two, and leave ``a, b = f()`` as one."""
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        return [pair for t, v in zip(target.elts, value.elts, strict=True) for pair in _pairs(t, v)]
    return [(", ".join(name.id for name in ast.walk(target) if isinstance(name, ast.Name)), value)]


def _shown(array: np.ndarray) -> str:
    return _numbers(array) if array.size <= FEW else str(array.shape)


def _numbers(array) -> str:
    return np.array2string(np.asarray(array), precision=5, separator=" ", suppress_small=True).replace("\n", "")
