"""``--explain``: the backward pass of a live run, line by line, read from the lesson's own code while it runs.

Nothing is typed a second time. Symbols and formulas are those of the source of ``gradients_by_hand``, the reasons are
the comments beside them, and the shapes and numbers are those of the arrays that the call has made.
"""

import ast
import inspect
import io
import sys
import textwrap
import tokenize
from collections.abc import Callable, Mapping, Sequence

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
    print("The backward pass, line by line: the formula, what it gives here, and the reason.")
    for symbols, formula, why in lines:
        arrays = [made[symbol] for symbol in symbols.split(", ") if symbol in made]
        if arrays:
            _print_wrapped(f"{symbols} = {formula}", "")
            _print_wrapped("  ".join(map(_shown, arrays)) + (f"  # {why}" if why else ""), "    ")
    if learning_rate is not None:
        for name, value in named.items():
            after = np.asarray(value) - learning_rate * made[f"dL_d{name}"]
            _print_wrapped(f"{name} = {_numbers(value)} becomes", "")
            _print_wrapped(f"{name} - {learning_rate:g} dL_d{name} = {_numbers(after)}", "    ")
    return made


def _print_wrapped(text: str, indent: str) -> None:
    print(textwrap.fill(text, 100, initial_indent=indent, subsequent_indent=f"{indent}    "))


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


def comments_of(source: str) -> dict[int, str]:
    """Return the comments of a source by the number of their line."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {token.start[0]: token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT}


def _lines(function: Callable, returned: str) -> list[tuple[str, str, str]]:
    """Return symbols, formula and comment of each assignment, and of what is returned without a name."""
    source = inspect.cleandoc("\n" + inspect.getsource(function))
    comments = comments_of(source)
    lines = []
    for statement in ast.parse(source).body[0].body:
        why = comments.get(statement.end_lineno, "")
        if isinstance(statement, ast.Assign):
            names = [name.id for name in ast.walk(statement.targets[0]) if isinstance(name, ast.Name)]
            pairs = [(", ".join(names), statement.value)]
        elif isinstance(statement, ast.Return) and isinstance(statement.value, ast.Dict):
            named = zip(statement.value.keys, statement.value.values, strict=True)
            pairs = [(f"dL_d{key.value}", value) for key, value in named if not isinstance(value, ast.Name)]
        elif isinstance(statement, ast.Return) and isinstance(statement.value, ast.Call):
            pairs = [(returned, statement.value)]
        else:
            continue
        lines += [(symbols, ast.unparse(value), comments.get(value.end_lineno, why)) for symbols, value in pairs]
    return lines


def _shown(array: np.ndarray) -> str:
    return _numbers(array) if array.size <= FEW else str(array.shape)


def _numbers(array) -> str:
    return np.array2string(np.asarray(array), precision=5, separator=" ", suppress_small=True).replace("\n", "")
