"""Whether the gradient of each parameter is right, and what cannot be seen at this point."""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tf_backprop.support.check.calls import Functions, has_rows, to_numpy
from tf_backprop.support.check.case import Case, Context, Finding, OneRow, rms
from tf_backprop.support.check.diagnosis import diagnose, wrong_shape
from tf_backprop.support.check.layers import layers, where_to_look
from tf_backprop.support.check.slopes import Slope, Slopes, directions, projected
from tf_backprop.support.language import joined, say

import numpy as np

#: The largest difference that is rounding, relative to the gradient: from the tape and from central differences.
TAPE_TOLERANCE, DIFFERENCE_TOLERANCE = 1e-9, 1e-6
#: The same where the gradient is computed in float32, and where the loss is.
GRADIENT32_TOLERANCE, LOSS32_TOLERANCE = 1e-4, 1e-2
#: So many random directions confirm a right gradient, and so many name a mistake.
CONFIRM, NAME = 3, 6
#: In a network of at most so many numbers the right gradient may be computed number by number.
SMALL = 400
#: What float32 may round away, as a share of the loss.
ROUNDING32 = 16 * 1.2e-7


#: What is said of a gradient that is another one at the second call.
UNSTEADY = Finding(
    say("two calls differ"),
    say("Two calls of gradients differ: is it added to what an earlier call left (set it to zero first), or random?"),
    placed=True,
)


class Row(NamedTuple):
    """What the check found for one parameter."""

    name: str
    shape: tuple[int, ...]
    error: float  # |yours - right| / |right|; inf where there is nothing to compare
    ok: bool
    verdict: str  # "right", or what it looks like
    from_tape: str | None = None  # where the loss is TensorFlow's: the relative difference from its tape, or "None"


class Check:
    """One check: what was measured at its point, and what was found so far."""

    def __init__(self, functions: Functions, rng: np.random.Generator):
        self.functions, self.values, self.rng = functions, functions.values, rng
        self.findings: dict[str, Finding] = {}
        self.fine = functions.fine and in_float64(functions, rng)
        self.slopes = Slopes(functions.loss, self.values, self.fine)
        self.random = not np.array_equal(functions.loss(self.values), self.slopes.at_point, equal_nan=True)
        self.gradients, again = functions.gradients(self.values), functions.gradients(self.values)
        self.steady = {name: alike(g, again.get(name)) for name, g in self.gradients.items()}
        self.tape = functions.tape(self.values) if functions.of_tensorflow else {}
        rows, axis = rows_of(functions.batch)
        shaped = {k: g for k, g in self.gradients.items() if g is not None and g.shape == self.values[k].shape}
        sizes = {
            size: say("{name} has {shape}", name=k, shape=p.shape)
            for k, p in self.values.items()
            for size in p.shape
            if size > 2
        }
        shapes = {name: p.shape for name, p in self.values.items()}
        of_batch = (
            functions.batch,
            functions.loss,
            functions.gradients,
            self._on_row,
            self._all_right,
            self._right_tape,
        )
        self.context = Context(shaped, rows, axis, sizes, *of_batch, layers(shapes))
        self.warnings = [*self._about_precision(), *self._about_the_point()]

    def row(self, name: str) -> Row:
        """Return what is found for one parameter."""
        mine, shape = self.gradients.get(name), self.values[name].shape
        if self.random or not np.isfinite(self.slopes.at_point):
            what = say("the loss is {number}", number=self.slopes.at_point)
            what = say("the loss is random") if self.random else what
            return Row(name, shape, np.inf, False, say("not checked: {what}", what=what))
        if mine is None:
            return self._wrong(name, np.inf, nothing(name in self.gradients, bool(self.tape)))
        if not self.steady[name]:
            return self._wrong(name, np.inf, UNSTEADY)
        if mine.shape == shape and not mine.size:
            return Row(name, shape, 0.0, True, say("right"))
        if not np.all(np.isfinite(mine)):
            bad = np.sum(~np.isfinite(mine))
            text = say("{bad} of {size} numbers are NaN or infinite.", bad=bad, size=mine.size)
            return self._wrong(name, np.inf, Finding(say("not finite"), text))
        along = directions(self.rng, shape, NAME)
        if mine.shape != shape:
            return self._wrong(name, np.inf, wrong_shape(self._case(name, mine, along)))
        right, doubt = self._measured([self.slopes.quick(name, v) for v in along[:CONFIRM]])
        guess = projected(mine, along[:CONFIRM])
        if np.all(np.abs(guess - right) <= self._bar(mine) * rms(right) + doubt + self._rounding(mine)):
            return self._right(name, mine, guess, right, rms(doubt))
        return self._careful_row(name, mine, self._case(name, mine, along))

    def _careful_row(self, name: str, mine: np.ndarray, case: Case) -> Row:
        """Return the row of a gradient that does not agree at first sight."""
        guess = projected(mine, case.along)
        if not np.all(np.isfinite(case.right)):
            text = "The loss is not finite near this {name}: take smaller parameters, or a loss from logits."
            self.warnings.append(say(text, name=name))
            return Row(name, mine.shape, np.inf, False, say("not checked: the loss is not finite nearby"))
        if case.fits(guess):
            return self._right(name, mine, guess, case.right, case.floor)
        if not self.fine and not self.tape and self._right_on_the_way(case):
            return Row(name, mine.shape, 0.0, True, say("right"))
        if np.all(np.abs(guess - case.right) <= case.bar * case.size + case.doubt + case.gap):
            text = (
                "The point lies on a kink of the loss along {name} (ReLU at exactly 0?), with two slopes there: take"
                " another point, for example with random biases."
            )
            self.warnings.append(say(text, name=name))
            return Row(name, mine.shape, 0.0, True, say("cannot tell: a kink"), self._from_tape(name, mine))
        finding = diagnose(case)
        tape = self.tape.get(name)
        if tape is not None and np.allclose(tape, mine, rtol=1e-6, atol=1e-9 * np.max(np.abs(mine), initial=0)):
            text = say(
                "The tape says the same as you, but the loss itself does not: is there a tf.custom_gradient in it?"
            )
            finding = finding._replace(sentence=joined([finding.sentence, text], "{a} {b}"))
        scale = case.size if case.size > case.floor else max(rms(guess), 1e-300)
        return self._wrong(name, rms(guess - case.right) / scale, finding, self._from_tape(name, mine))

    def _right_on_the_way(self, case: Case) -> bool:
        """Return whether it is the long steps of float32 that differ, as they cross kinks, and not the gradient."""
        slopes, name = [self.slopes.quick(case.name, v) for v in case.along], case.name
        bar = case.bar * rms(np.array([slope.value for slope in slopes]))
        return all(
            abs(self.slopes.along_the_way(self.functions.gradients, name, v) - slope.value) <= bar + slope.doubt
            for slope, v in zip(slopes, case.along, strict=True)
        )

    def _right(self, name: str, mine: np.ndarray, guess: np.ndarray, right: np.ndarray, floor: float) -> Row:
        """Return the row of a gradient that agrees with differences; the tape may still say otherwise."""
        size, from_tape = rms(right), self._from_tape(name, mine)
        error = rms(guess - right) / size if size > floor else 0.0
        if floor > size and rms(guess) > 100 * 2.2e-16 * abs(self.slopes.at_point):  # less is rounding of zero
            text = (
                "The gradient for {name} is smaller than the rounding of the loss, {loss:.3g}: here"
                " it cannot be told from zero. Take a point further from the optimum, or fewer rows."
            )
            self.warnings.append(say(text, name=name, loss=self.slopes.at_point))
            return Row(name, mine.shape, error, True, say("cannot tell from zero"), from_tape)
        if not self.tape and not self.fine and floor > self._bar(mine) * size:
            text = (
                "It is small beside a loss in float32, {loss:.3g}: errors below {share:.1g} of the gradient for {name}"
                " are not seen here."
            )
            self.warnings.append(say(text, loss=self.slopes.at_point, share=floor / size, name=name))
        tape = self.tape.get(name)
        if tape is not None:
            apart = float(np.linalg.norm(tape - mine))
            allowed = TAPE_TOLERANCE * np.linalg.norm(tape) + floor + self._rounding(mine)
            if apart > allowed and self.fine and apart > self._bar(mine) * np.linalg.norm(mine) + floor:
                text = "The tape's gradient for {name} is wrong, yours is right: a tf.custom_gradient?"
                self.warnings.append(say(text, name=name))
            elif apart > max(allowed, 0 if self._bar(mine) == DIFFERENCE_TOLERANCE else 1e-4 * np.linalg.norm(tape)):
                text = "It differs from the tape by {apart:.1e}, which is less than differences of the loss can see."
                finding = Finding(say("differs from the tape"), say(text, apart=apart))
                return self._wrong(name, error, finding, from_tape)
        return Row(name, mine.shape, error, True, say("right"), from_tape)

    def _wrong(self, name: str, error: float, finding: Finding, from_tape: str | None = None) -> Row:
        self.findings[name] = finding
        return Row(name, self.values[name].shape, float(error), False, finding.verdict, from_tape)

    def _case(self, name: str, mine: np.ndarray, along: np.ndarray) -> Case:
        """Return what the diagnosis takes; in float32 the slopes of the tape are better than differences."""
        case = Case(name, mine, along, self.slopes, self._bar(mine), self.context)
        tape = self.tape.get(name)
        if not self.fine and tape is not None and case.fits(projected(tape, along)):
            case.right, case.bar = projected(tape, along), GRADIENT32_TOLERANCE
            case.doubt = np.full(len(along), self._rounding(mine))
        case.doubt = case.doubt + self._rounding(mine)
        return case

    @functools.cache  # noqa: B019 - a check lives as long as its report is made
    def _all_right(self) -> dict[str, np.ndarray] | None:
        """Return the right gradients: the tape's, or in a small network one number after the other."""
        if self._right_tape():
            return self.tape
        if sum(p.size for p in self.values.values()) > SMALL:
            return None
        units = {name: np.eye(p.size).reshape(-1, *p.shape) for name, p in self.values.items()}
        slopes = {name: [self.slopes.quick(name, unit).value for unit in units[name]] for name in units}
        return {name: np.reshape(found, self.values[name].shape) for name, found in slopes.items()}

    @functools.cache  # noqa: B019
    def _right_tape(self) -> Callable | None:
        """Return the function that takes the tape's gradients, where the tape agrees with the loss."""
        right = self.tape and all(self._tape_is_right(name) for name in self.values)
        return self.functions.tape if right else None

    @functools.cache  # noqa: B019
    def _on_row(self, i: int, scale: float = 1.0, scaled: tuple[str | None, ...] = ()) -> OneRow:
        """Return row i of the batch alone, with some parameters times a scale."""
        values = {name: scale * p if name in scaled else p for name, p in self.values.items()}
        batch, tape = self.context.part(i, i + 1), self._right_tape()
        return OneRow(values, batch, self.functions.gradients(values, batch), tape(values, batch) if tape else None)

    def _tape_is_right(self, name: str) -> bool:
        """Return whether the tape agrees with the loss itself, along one direction."""
        if self.tape[name] is None:
            return False
        along = directions(self.rng, self.values[name].shape, 1)
        slope, said = self.slopes.careful(name, along[0]), projected(self.tape[name], along)[0]
        return bool(abs(slope.value - said) <= self._bar(self.tape[name]) * abs(slope.value) + slope.doubt)

    def _measured(self, slopes: list[Slope]) -> tuple[np.ndarray, np.ndarray]:
        return np.array([slope.value for slope in slopes]), np.array([slope.doubt for slope in slopes])

    def _bar(self, mine: np.ndarray) -> float:
        if not self.fine:
            return LOSS32_TOLERANCE
        return DIFFERENCE_TOLERANCE if mine.dtype.itemsize > 4 else GRADIENT32_TOLERANCE

    def _rounding(self, mine: np.ndarray) -> float:
        """Return what a gradient in float32 may round away."""
        return 0.0 if self.fine and mine.dtype.itemsize > 4 else ROUNDING32 * abs(self.slopes.at_point)

    def _from_tape(self, name: str, mine: np.ndarray) -> str | None:
        if not self.tape:
            return None
        if self.tape[name] is None:
            return "None"
        size = max(float(np.linalg.norm(self.tape[name])), 1e-12)
        return f"{float(np.linalg.norm(mine - self.tape[name])) / size:.1e}"

    def sentences(self, rows: Sequence[Row]) -> list[str]:
        """Return a sentence per mistake, with all the parameters that have it, and then where to look."""
        together: dict[str, list[str]] = {}
        for name, finding in self.findings.items():
            together.setdefault(finding.sentence, []).append(name)
        said = [joined([joined(names), sentence], "{a}: {b}") for sentence, names in together.items()]
        scales = {f"{finding.factor:.5g}" for finding in self.findings.values() if finding.factor}
        factors = [finding.factor for finding in self.findings.values()]
        right = [row.name for row in rows if row.ok]
        n = self.context.rows
        if right and n and None not in factors and len(scales) == 1 and abs(factors[0] / n - 1) < 1e-3:
            text = "Two scales: {summed} as if summed over the rows, {mean} as the mean."
            said.append(say(text, summed=joined(self.findings), mean=joined(right)))
        silent = [name for name, g in self.tape.items() if g is None]
        return said + [self._why_none(name) for name in silent]

    def where(self, rows: Sequence[Row]) -> list[str]:
        """Return where to look for what is wrong."""
        shapes, ok = {k: p.shape for k, p in self.values.items()}, {row.name: row.ok for row in rows}
        return where_to_look(shapes, ok, self.findings) if self.findings else []

    def _why_none(self, name: str) -> str:
        """Return why the tape has no gradient, as lesson 04 shows."""
        v = directions(self.rng, self.values[name].shape, 1)[0]
        slope = self.slopes.careful(name, v)
        if abs(slope.value) <= slope.doubt:
            return say("The tape gives None for {name}: the loss does not depend on it.", name=name)
        text = (
            "The tape gives None for {name}, though the loss depends on it: on the way there is NumPy, a whole number,"
            " tf.stop_gradient, or what was computed before the tape (lesson 04)."
        )
        return say(text, name=name)

    def _about_precision(self) -> list[str]:
        if self.fine:
            narrow = [name for name, g in self.gradients.items() if g is not None and g.dtype.itemsize <= 4]
            narrow = [name for name in narrow if self.gradients[name].dtype.kind == "f"]
            text = "The gradient for {names} is computed in float32: errors below 0.0001 of it are not seen."
            return [say(text, names=joined(narrow))] if narrow else []
        seen = say("0.0001 of it by the tape") if self.tape else say("about 0.01 of it")
        text = (
            "The loss is computed in float32, and so the check is too: errors of a gradient below {seen} are not seen."
        )
        return [say(text, seen=seen)]

    def _about_the_point(self) -> list[str]:
        found, n = [], self.context.rows
        if self.random:
            found.append(say("Two calls of the loss differ: give it its random numbers, or a seed, with the batch."))
        elif not np.isfinite(self.slopes.at_point):
            text = "The loss is {L} at this point: take smaller parameters, or compute it from logits."
            found.append(say(text, L=self.slopes.at_point))
        zero = [name for name, p in self.values.items() if not np.any(p)]
        if len(zero) == len(self.values) or any(self.values[name].ndim > 1 for name in zero):
            text = "{names}: all zero, which hides mistakes in what is multiplied by them: take random ones."
            found.append(say(text, names=joined(zero)))
        if n == 1:
            found.append(say("A batch of one row hides a missing 1/n: take several rows."))
        shapes = {name: p.shape for name, p in self.values.items() if p.ndim > 1}
        square = [
            f"{name} {shape}" for name, shape in shapes.items() if len(set(shape)) < len(shape) and max(shape) > 1
        ]
        as_rows = [f"{name} {p.shape}" for name, p in self.values.items() if n and n > 1 and n in p.shape]
        per_row = all(p.shape[:1] == (n,) for p in self.values.values())  # one number a row, as outputs are
        if as_rows and not per_row:
            text = (
                "The batch has {n} rows, and {n} is also a size of {names}: this hides transposes and gives one factor"
                " two causes; take another number of rows."
            )
            found.append(say(text, n=n, names=joined(as_rows)))
        if square:
            text = "{names}: equal sizes hide a transpose from the eye; take different ones where you can."
            found.append(say(text, names=joined(square)))
        return found


def alike(one: np.ndarray | None, other: np.ndarray | None) -> bool:
    """Return whether two calls gave the same, up to the order in which threads add."""
    if one is None or other is None:
        return one is other
    return one.shape == other.shape and np.allclose(one, other, rtol=1e-4, atol=0, equal_nan=True)


def nothing(returned: bool, tensorflow: bool) -> Finding:
    """Return what is said of a gradient that is None or missing."""
    if not returned:
        text = say("The gradients have nothing of this name, so that it would never be trained.")
        return Finding(say("missing"), text, placed=True)
    said = [say("The gradient is None, not an array.")]
    if tensorflow:
        said.append(say("A tape gives None where the path to the loss is broken (lesson 04)."))
    return Finding("None", joined(said, "{a} {b}"), placed=True)


def in_float64(functions: Functions, rng: np.random.Generator) -> bool:
    """Return whether the loss really is computed in float64: some value of it then does not fit into float32."""
    for _ in range(3):
        near = {name: p * rng.uniform(0.999, 1.001, p.shape) for name, p in functions.values.items()}
        L = functions.loss(near)
        if not np.isfinite(L) or L == 0 or float(np.float32(L)) != L:
            return True
    return False


def rows_of(batch: Sequence) -> tuple[int | None, int]:
    """Return how many rows the batch has, and the axis along which they lie: 0, or -1 where samples are columns."""
    shapes = [np.shape(part) if isinstance(part, list) else to_numpy(part).shape for part in batch if has_rows(part)]
    shapes = [shape for shape in shapes if shape]
    if not shapes:
        return None, 0
    if len({shape[0] for shape in shapes}) == 1:
        return shapes[0][0], 0
    return (shapes[0][-1], -1) if len({shape[-1] for shape in shapes}) == 1 else (None, 0)
