"""Calling a reader's functions: with their kind of array, in float64 where that is possible, with errors explained."""

import contextlib
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence

from tf_backprop.support.errors import GradientError
from tf_backprop.support.language import joined, say

import numpy as np


def named(tree, name: str = "", default: str = "A") -> dict[str, object]:
    """Return the leaves of nested dicts, lists and tuples by name: "W1", "weights[0]", "layer.W"; a bare one is A."""
    if isinstance(tree, Mapping):
        inner = {f"{name}.{key}" if name else str(key): value for key, value in tree.items()}
    elif isinstance(tree, list | tuple):
        inner = {f"{name or 'parameters'}[{i}]": value for i, value in enumerate(tree)}
    else:
        return {name or default: tree}
    return {leaf: value for key, part in inner.items() for leaf, value in named(part, key).items()}


def rebuilt(tree, leaves: Iterator):
    """Return a structure like `tree` with `leaves` in it, in the order of `named`."""
    if isinstance(tree, Mapping):
        return {key: rebuilt(part, leaves) for key, part in tree.items()}
    if isinstance(tree, list | tuple):
        parts = [rebuilt(part, leaves) for part in tree]
        return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)
    return next(leaves)


def kind(value) -> str:
    """Return which library an array belongs to: "numpy", "tensorflow", "jax" or "torch"."""
    root = type(value).__module__.split(".")[0]
    return {"keras": "tensorflow", "jaxlib": "jax"}.get(
        root, root if root in ("tensorflow", "jax", "torch") else "numpy"
    )


def to_numpy(value) -> np.ndarray:
    """Return the numbers of an array of any library."""
    if kind(value) == "torch":
        value = value.detach().cpu()
    elif type(value).__name__ == "IndexedSlices":
        value = sys.modules["tensorflow"].convert_to_tensor(value)
    return np.asarray(value)


def like(given, numbers: np.ndarray, dtype: str):
    """Return `numbers` in `dtype` as a new array of the library and the sort that `given` has."""
    library = kind(given)
    if library == "tensorflow":
        import tensorflow as tf

        return tf.Variable(numbers, dtype=dtype) if hasattr(given, "assign") else tf.constant(numbers, dtype)
    if library == "jax":
        import jax.numpy as jnp

        return jnp.asarray(numbers, dtype)
    if library == "torch":
        import torch

        fresh = torch.tensor(numbers, dtype=getattr(torch, dtype), device=given.device)
        return fresh.requires_grad_(given.requires_grad)
    return np.array(numbers, dtype) if isinstance(given, np.ndarray | list) else np.dtype(dtype).type(numbers)


def is_array(value) -> bool:
    """Return whether a part of the batch is an array, not a number, a word or a function."""
    return kind(value) != "numpy" or isinstance(value, np.ndarray)


def has_rows(value) -> bool:
    """Return whether a part of the batch is an array, or a list of numbers or of rows that are alike."""
    if not isinstance(value, list):
        return is_array(value)
    return len({np.shape(row) for row in value}) == 1 and not isinstance(value[0], str)


class Functions:
    """A reader's loss and gradients, called with numbers of NumPy in float64 and giving such numbers."""

    def __init__(self, loss: Callable, gradients: Callable, tree, batch: Sequence, dtype: str, tensors: bool):
        self.functions = {"loss": loss, "gradients": gradients}
        self.tree, self.batch, self.dtype, self.tensors = tree, batch, dtype, tensors
        self.given = named(tree)
        self.values = {name: to_numpy(value).astype(np.float64) for name, value in self.given.items()}
        self.trusted, self.converted = set(), None
        self.of_tensorflow, self.fine = False, dtype == "float64"

    def _as_given(self, given, numbers: np.ndarray, dtype: str):
        if self.tensors:
            return sys.modules["tensorflow"].constant(numbers, dtype)
        return like(given, numbers, dtype)

    def parameters(self, values: Mapping[str, np.ndarray]) -> list:
        """Return the arrays that the functions get, in order, made anew."""
        return [self._as_given(given, values[name], self.dtype) for name, given in self.given.items()]

    def batch_for(self, batch: Sequence) -> list:
        """Return the batch as the functions get it: floating-point arrays in the precision of the check."""
        return [self._batch_part(part) if is_array(part) else part for part in batch]

    def _batch_part(self, part):
        numbers = to_numpy(part)
        if numbers.dtype.kind == "f":
            return self._as_given(part, numbers, self.dtype)
        return self._as_given(part, numbers, numbers.dtype) if self.tensors else part

    def _call(self, which: str, values: Mapping[str, np.ndarray], batch: Sequence | None):
        """Call the loss or the gradients; an exception in it becomes one line that names the reader's own line."""
        function = self.functions[which]
        with wide(), np.errstate(all="ignore"):
            arrays, first = self.parameters(values), which not in self.trusted
            if batch is not None or first or self.converted is None:
                batch = self.batch_for(self.batch if batch is None else batch)
            else:
                batch = self.converted
            before = [to_numpy(part).copy() if first and is_array(part) else None for part in batch]
            try:
                result = function(rebuilt(self.tree, iter(arrays)), *batch)
            except Exception as error:
                raise GradientError(explained(which, error)) from error
        if not first:
            return result
        changed = [name for name, a in zip(values, arrays, strict=True) if not same(a, self._rounded(values[name]))]
        changed += [
            say("argument {number}", number=i + 2)
            for i, old in enumerate(before)
            if old is not None and not same(batch[i], old)
        ]
        if changed:
            what = say("{which} changes {changed} in place", which=which, changed=joined(changed))
            advice = say("write p = p - step and not p -= step, or work on a copy")
            raise GradientError(joined([what, advice], "{a}: {b}"))
        self.trusted.add(which)  # it changes nothing, so that its batch can be used again
        self.converted = batch
        return result

    def _rounded(self, numbers: np.ndarray) -> np.ndarray:
        return np.asarray(numbers, self.dtype)

    def loss(self, values: Mapping[str, np.ndarray], batch: Sequence | None = None) -> float:
        """Return the loss at `values`, on another batch where one is given."""
        result = self._call("loss", values, batch)
        self.of_tensorflow = kind(result) == "tensorflow"
        number = to_numpy(result)
        if number.dtype.kind not in "fiub":
            raise GradientError(say("loss returns {kind}, and has to return one number", kind=type(result).__name__))
        if number.size != 1:
            text = say(
                "loss returns the shape {shape}, and has to be one number: a mean or a sum is missing",
                shape=number.shape,
            )
            raise GradientError(text)
        self.fine &= number.dtype.itemsize > 4 or number.dtype.kind != "f"
        return float(number.reshape(()))

    def gradients(
        self, values: Mapping[str, np.ndarray], batch: Sequence | None = None
    ) -> dict[str, np.ndarray | None]:
        """Return the gradients by the names of the parameters: None where one is None, no entry where there is none."""
        result = self._call("gradients", values, batch)
        if result is None:
            raise GradientError(say("gradients returns None: is its return missing?"))
        if not isinstance(self.tree, Mapping | list | tuple) and isinstance(result, list | tuple):
            result = np.array([to_numpy(part) for part in result])
        found = named(result)
        if isinstance(self.tree, Mapping) != isinstance(result, Mapping) and len(self.given) > 1:
            text = "the parameters are a {ours}, so gradients has to return one too, not a {theirs}"
            raise GradientError(say(text, ours=type(self.tree).__name__, theirs=type(result).__name__))
        surplus = [name for name in found if name not in self.given]
        if surplus:
            text = "gradients returns {surplus}, which no parameter is called: there are {ours}"
            raise GradientError(say(text, surplus=joined(surplus), ours=joined(self.given)))
        return {name: None if g is None else self._gradient(name, g) for name, g in found.items()}

    def _gradient(self, name: str, value) -> np.ndarray:
        try:
            return to_numpy(value) + 0.0
        except Exception as error:
            text = say("the gradient for {name} is no array of numbers: {kind}", name=name, kind=type(value).__name__)
            raise GradientError(text) from error

    def tape(self, values: Mapping[str, np.ndarray], batch: Sequence | None = None) -> dict[str, np.ndarray | None]:
        """Return the gradients of TensorFlow's own tape, None where it has none."""
        import tensorflow as tf

        arrays = self.parameters(values)
        with tf.GradientTape() as tape:
            tape.watch([array for array in arrays if tf.is_tensor(array)])
            result = self.functions["loss"](
                rebuilt(self.tree, iter(arrays)), *self.batch_for(self.batch if batch is None else batch)
            )
        found = tape.gradient(result, arrays)
        return {name: None if g is None else to_numpy(g) + 0.0 for name, g in zip(self.given, found, strict=True)}


def same(array, numbers: np.ndarray) -> bool:
    """Return whether an array still holds these numbers."""
    return np.array_equal(to_numpy(array), numbers, equal_nan=numbers.dtype.kind == "f")


def wide():
    """Return the context in which JAX, where it is loaded, computes in float64 if it is asked to."""
    jax = sys.modules.get("jax")
    if jax is None:
        return contextlib.nullcontext()
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(True)
    from jax.experimental import enable_x64  # until JAX 0.8

    return enable_x64()


def explained(which: str, error: Exception) -> str:
    """Return one line: which function failed, how, and at which line of the reader's own."""
    frames = traceback.extract_tb(error.__traceback__)[1:]  # the first is ours
    libraries = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}", os.path.dirname(os.__file__))
    own = [frame for frame in frames if not any(part in frame.filename for part in libraries)]
    text = next(iter(str(error).strip().splitlines()), "")
    raised = say("{which} raises {kind}: {text}", which=which, kind=type(error).__name__, text=text)
    if not own:
        return raised
    file, line, code = os.path.basename(own[-1].filename), own[-1].lineno, own[-1].line
    return say("{raised} at {file}:{line}: {code}", raised=raised, file=file, line=line, code=code)


def settle(loss: Callable, gradients: Callable, tree, batch: Sequence) -> Functions:
    """Return the functions in the highest precision in which both run; where they run in none, raise their error."""
    if not named(tree):
        raise GradientError(say("there are no parameters"))
    for name, value in named(tree).items():
        if value is None or to_numpy(value).dtype.kind not in "fiub":
            text = say("the parameter {name} is no array of numbers: {kind}", name=name, kind=type(value).__name__)
            raise GradientError(text)
    in_numpy = all(kind(value) == "numpy" for value in [*named(tree).values(), *batch])
    ways = [(dtype, tensors) for tensors in (False, True) for dtype in ("float64", "float32")]
    errors = {}
    for dtype, tensors in ways if in_numpy and "tensorflow" in sys.modules else ways[:2]:
        functions = Functions(loss, gradients, tree, batch, dtype, tensors)
        try:
            functions.loss(functions.values)
            if functions.of_tensorflow and in_numpy and not tensors:
                continue
            functions.gradients(functions.values)
        except GradientError as error:
            errors[dtype, tensors] = error
            if error.__cause__ is None:  # no exception of theirs: another precision changes nothing
                raise
        else:
            return functions
    as_given = "float32" if any(to_numpy(v).dtype == np.float32 for v in named(tree).values()) else "float64"
    raise errors.get((as_given, False)) or next(iter(errors.values()))
