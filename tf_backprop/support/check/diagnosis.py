"""Which mistake a wrong gradient has, and where to look for it: only what the numbers prove.

All that is known of the right gradient are slopes of the loss along a few random directions. Each mistake is a guess of
what the right one would be if that mistake had been made; a guess that fits every direction is no coincidence.
"""

import contextlib
import itertools
from collections.abc import Iterator, Mapping

from tf_backprop.support.check.case import Case, Finding, rms
from tf_backprop.support.check.single_rows import derivative, goes_back, mixed
from tf_backprop.support.check.slopes import projected
from tf_backprop.support.errors import GradientError
from tf_backprop.support.language import Message, joined, say

import numpy as np

#: At most so many rows or columns are looked at one by one, and so many single numbers.
SLICES, NUMBERS = 64, 50


def diagnose(case: Case) -> Finding:
    """Return what a wrong gradient looks like: the first that fits."""
    for guess in (
        *(transposed, all_zero, one_number, by_a_factor, proportional_to_parameter, one_row_counts, column_less_row),
        *(axis_of_another, derivative, goes_back, some_slices, already_updated, mixed),
    ):
        with contextlib.suppress(GradientError):  # at another point or on other rows their functions may fail
            found = guess(case)
            if found:
                return found
    return numbers(case)


def transposed(case: Case) -> Finding | None:
    """Find a square gradient that is right when it is transposed, perhaps up to a factor."""
    if case.mine.ndim != 2 or case.mine.shape[0] != case.mine.shape[1]:
        return None
    c = case.factor(projected(case.mine.T, case.along))
    if c is None or case.fits(projected(case.mine, case.along)):
        return None
    if abs(c - 1) <= 10 * case.bar:
        text = say("Its transpose is right: the matrix is square, so that its shape does not show it.")
        return Finding(say("transposed"), text)
    found, but = name_factor(c, case), say("Its transpose is right but for a factor.")
    sentence, of_value = (joined([but, text], "{a} {b}") for text in (found.sentence, found.of_value or found.sentence))
    return Finding(say("transposed, and {verdict}", verdict=found.verdict), sentence, of_value=of_value)


def all_zero(case: Case) -> Finding | None:
    """Find a gradient that is nothing but zeros."""
    if np.any(case.mine):
        return None
    text = say("Yours is zero, and the right one is not: the parameter would never be trained.")
    return Finding(say("all zero"), text, placed=True)


def one_number(case: Case) -> Finding | None:
    """Find a sum over everything that is given to each number."""
    first = case.mine.flat[0]
    if case.mine.size < 2 or np.ptp(case.mine) > 1e-9 * abs(first):
        return None
    total = case.slopes.careful(case.name, np.ones(case.mine.shape))
    for what, number in ((say("sum"), total.value), (say("mean"), total.value / case.mine.size)):
        if abs(first - number) <= case.bar * abs(number) + total.doubt:
            text = "Every number is {first:.3g}, the {what} of all the right ones: the {what} lacks its axis."
            return Finding(say("one number for all"), say(text, first=first, what=what), placed=True)
    text = "Every number is {first:.3g}: is an axis missing in a sum or a mean?"
    return Finding(say("one number for all"), say(text, first=first))


def by_a_factor(case: Case) -> Finding | None:
    """Find one factor by which all numbers are wrong."""
    mine = projected(case.mine, case.along)
    if case.mine.size == 1:
        if abs(case.right[0]) < 1000 * case.doubt[0]:
            return None
        c = float(np.sum(mine * mine) / np.sum(mine * case.right))
        return name_factor(c, case) if reasons(c, case) or abs(c + 1) < 10 * case.bar else None
    c = case.factor(mine)
    return None if c is None else name_factor(c, case)


def name_factor(c: float, case: Case) -> Finding:
    """Say by which factor a gradient is wrong, and where such a factor comes from."""
    found, size = reasons(c, case), abs(c)
    if c < 0 and abs(size - 1) <= 10 * case.bar:
        text = say("Yours is the right gradient with the opposite sign.")
        of_value = say("Yours is the right one with the opposite sign.")
        return Finding(say("the sign is wrong"), text, c, of_value=of_value)
    if abs(size - 1) < 0.01:
        verdict = say("{factor:.8g} times the right one", factor=size)
    elif size > 1:
        verdict = say("{factor:.6g} times too large", factor=size)
    else:
        verdict = say("{factor:.6g} times too small", factor=1 / size)
    if c < 0:
        verdict = say("{verdict}, and the sign is wrong", verdict=verdict)
    if size > 0.9:
        ratio = say("Yours is {factor:.6g} times the right one", factor=c)
    else:
        ratio = say("Yours is 1/{factor:.6g} of the right one", factor=1 / c)
    if not found:
        return Finding(verdict, say("{sentence}.", sentence=ratio), c)
    because = joined(found, "{a}, or {b}")
    if len(found) > 1 or case.mine.size == 1:
        because = say("looks like {what}", what=because)
    return Finding(verdict, say("{ratio}: {because}.", ratio=ratio, because=because), c)


def reasons(c: float, case: Case) -> list[Message]:
    """Return what the size of a factor comes from, by the sizes at hand."""
    n = case.context.rows
    causes = {say("a 2 too many (does the loss have a ½?)"): 2.0, say("the 2 of the square is missing"): 0.5}
    if n and n > 1:
        missing = say("the 1/n of the mean is missing (the batch has {n} rows)", n=n)
        twice = say("the mean over the rows is taken twice (the batch has {n} rows)", n=n)
        if case.context.is_sum(case.slopes.values):
            twice = say("yours is a mean over the rows, and the loss is a sum (the batch has {n} rows)", n=n)
        causes |= {
            missing: n,
            say("{cause}, besides a 2 too many", cause=missing): 2 * n,
            say("{cause}, besides the 2 of the square", cause=missing): n / 2,
            twice: 1 / n,
            say("{cause}, besides a 2 too many", cause=twice): 2 / n,
            say("{cause}, and the 2 of the square is missing", cause=twice): 0.5 / n,
        }
    for size, whose in case.context.sizes.items():
        every = say("all {n} x {size} numbers", n=n, size=size)
        for m, over in ((size, f"{size}"), (n * size if n and 1 < n != size else size, every)):
            causes.setdefault(say("a mean over {over} is missing ({whose})", over=over, whose=whose), m)
            causes.setdefault(say("a mean over {over} too many ({whose})", over=over, whose=whose), 1 / m)
    return [text for text, cause in causes.items() if abs(abs(c) / cause - 1) < 10 * case.bar][:3]


def proportional_to_parameter(case: Case) -> Finding | None:
    """Find a term that is proportional to the parameter, as weight decay has it."""
    term, rest = projected(case.value, case.along), case.right - projected(case.mine, case.along)
    if not np.any(term) or case.mine.size < 3 or rms(rest) < 1000 * case.floor:
        return None
    c = float(np.sum(term * rest) / np.sum(term * term))
    if not np.all(np.abs(rest - c * term) <= case.bar * case.size + case.doubt):
        return None
    if c > 0:
        text = (
            "Yours is right but for {times:.6g} times the parameter itself, which is too little: looks like weight"
            " decay that is left out, or the 2 of its square (the derivative of λ W² is 2 λ W)."
        )
        return Finding(say("weight decay: too little"), say(text, times=c), placed=True)
    text = (
        "Yours is right but for {times:.6g} times the parameter itself, which is too much: looks like weight"
        " decay that is taken twice, or with a 2 too many (the derivative of λ/2 W² is λ W)."
    )
    return Finding(say("weight decay: too much"), say(text, times=-c), placed=True)


def one_row_counts(case: Case) -> Finding | None:
    """Find the gradient of one row alone, which a loop over the batch leaves."""
    n = case.context.rows
    if not n or n < 2 or case.mine.size < 2:
        return None
    for row, which in ((n - 1, say("last")), (0, say("first"))):
        batch = case.context.part(row, row + 1)
        of_row = case.slopes_of(lambda values, batch=batch: case.context.loss(values, batch))
        c = None if of_row is None else case.factor(projected(case.mine, case.along), of_row)
        if c is not None and any(abs(c / known - 1) < 10 * case.bar for known in (1, 1 / n, n)):
            text = (
                "Yours is the gradient of the {which} row alone: = in a loop where += is meant, or an index too many?"
            )
            return Finding(say("only the {which} row counts", which=which), say(text, which=which))
    return None


def column_less_row(case: Case) -> Finding | None:
    """Find a loss with (n, 1) - (n,), which is (n, n), beside a gradient of the loss that is meant."""
    n = case.context.rows
    for i, part in enumerate(case.context.batch):
        if not n or n < 2 or getattr(part, "shape", ()) != (n,):
            continue
        batch = [*case.context.batch[:i], part.reshape(n, 1) if hasattr(part, "reshape") else part[:, None]]
        batch += case.context.batch[i + 1 :]
        of_column = case.slopes_of(lambda values, batch=batch: case.context.loss(values, batch))
        if of_column is not None and case.fits(projected(case.mine, case.along), of_column):
            text = (
                "In the batch, argument {number} has the shape ({n},). Yours is right for ({n}, 1): in the loss,"
                " ({n}, 1) - ({n},) becomes ({n}, {n}). Mend the loss."
            )
            return Finding(say("the loss broadcasts"), say(text, number=i + 2, n=n), placed=True)
    return None


def axis_of_another(case: Case) -> Finding | None:
    """Find a gradient made from that of another parameter, by a sum or a mean over an axis."""
    others = [(name, g) for name, g in case.context.gradients.items() if name != case.name and g.ndim > 1]
    for (name, other), what, sign in itertools.product(others, (say("sum"), say("mean")), (1, -1)):
        for axis in range(other.ndim):
            guess = sign * getattr(np, what)(other, axis=axis)
            small = 1e-3 * case.bar * np.max(np.abs(case.mine))
            if guess.shape == case.mine.shape and np.allclose(case.mine, guess, rtol=0, atol=small):
                made = {"what": what, "name": name, "axis": axis}
                verdict = say("the {what} of {name}'s over axis {axis}", **made)
                of_gradient = say("the {what} of that for {name} over axis {axis}", **made)
                of_value = say("the {what} of {name} over axis {axis}", **made)
                said = (verdict, of_gradient, of_value)
                verdict, *whose = (say("minus {what}", what=one) for one in said) if sign < 0 else said
                text = "Yours is {what}; make it from the error dL/dz itself."
                sentence, of_value = (say(text, what=what) for what in whose)
                return Finding(verdict, sentence, placed=True, of_value=of_value)
    return None


def slices(case: Case) -> Iterator[tuple[int, list]]:
    """Yield each axis, and its slices: the right slopes, doubts and yours."""
    for axis in range(case.mine.ndim):
        if (case.mine.ndim > 1 and axis not in (0, case.mine.ndim - 1)) or not 1 < case.mine.shape[axis] <= SLICES:
            continue
        found = []
        for i in range(case.mine.shape[axis]):
            here = np.zeros(case.mine.shape)
            np.moveaxis(here, axis, 0)[i] = 1
            found.append((*case.measure(case.along[:2] * here), projected(case.mine * here, case.along[:2])))
        yield axis, found


def of_slices(axis: int, places: list[int], ndim: int, pair: str = "{a}, {b}") -> Message:
    """Return what lies at some places along an axis: "row 3", "columns 1, 2"."""
    indices = joined(map(str, places[:5]), pair)
    if len(places) > 5:
        indices = say("{indices} and {more} more", indices=indices, more=len(places) - 5)
    one = len(places) == 1
    if ndim == 1:
        return say("element {indices}", indices=indices) if one else say("elements {indices}", indices=indices)
    if axis == 0:
        return say("row {indices}", indices=indices) if one else say("rows {indices}", indices=indices)
    return say("column {indices}", indices=indices) if one else say("columns {indices}", indices=indices)


def some_slices(case: Case) -> Finding | None:
    """Find the rows or columns that are wrong where others are right; two may be exchanged."""
    best = None
    for axis, found in slices(case):
        bar = case.bar * case.size / np.sqrt(len(found))
        wrong = [i for i, (right, doubt, mine) in enumerate(found) if np.any(np.abs(mine - right) > bar + doubt)]
        proof = [
            i for i, (right, doubt, _) in enumerate(found) if i not in wrong and np.any(np.abs(right) > 10 * doubt)
        ]
        if wrong and proof and (best is None or len(wrong) / len(found) < best[0]):
            best = len(wrong) / len(found), axis, wrong, found
    if best is None:
        return None
    _, axis, wrong, found = best
    what = of_slices(axis, wrong, case.mine.ndim)
    if len(wrong) == 2:
        swapped = np.array(case.mine)
        lines = np.moveaxis(swapped, axis, 0)
        lines[wrong] = lines[wrong[::-1]]
        if case.fits(projected(swapped, case.along)):
            both = of_slices(axis, wrong, case.mine.ndim, "{a} and {b}")
            text = "Yours is right once {what} are exchanged."
            return Finding(say("{what} are exchanged", what=both), say(text, what=both))
    how = say("zero") if all(not np.any(found[i][2]) for i in wrong) else say("wrong")
    text = "Yours is {how} in {what} of {all}, and right in the others."
    return Finding(say("{how} in {what}", how=how, what=what), say(text, how=how, what=what, all=len(found)))


def already_updated(case: Case) -> Finding | None:
    """Find the step after which it would be the right one: then an update came before it."""
    right = case.context.right() if case.slopes.fine and case.mine.size > 2 else None
    if right is None:
        return None
    others = [name for name in right if name != case.name]
    for whose in (list(right), others, *([name] for name in others if right[name].ndim > 1)):
        step = {name: right[name] for name in whose}
        rate = next(
            (rate for start in (0.0, 0.1, 0.01, 0.5) if (rate := rate_of_update(case, step, start)) is not None), None
        )
        if rate is not None:
            what = say("all parameters") if len(whose) == len(right) else joined(whose)
            text = (
                "Yours is the gradient after {what} took a step with the learning rate {rate:.4g}: take all gradients"
                " first, then update."
            )
            return Finding(say("taken after an update"), say(text, what=what, rate=rate), placed=True)
    return None


def rate_of_update(case: Case, right: Mapping[str, np.ndarray], rate: float) -> float | None:
    """Return for which rate the gradient is that at p - rate · right, by Newton's method; None where there is none."""
    mine, nearby = projected(case.mine, case.along), 1e-3
    here = slopes_after(case, right, rate)
    for _ in range(8):
        near = slopes_after(case, right, rate + nearby)
        if here is not None and case.fits(mine, here):
            flat = near is None or case.fits(mine, near)  # then any other rate would do, and none is proved
            return None if flat else rate
        if here is None or near is None or not np.any(near - here):
            return None
        change, missing = (near - here) / nearby, mine - here
        alike = np.sum(change * missing) / np.sqrt(np.sum(change**2) * np.sum(missing**2))
        step = float(np.sum(change * missing) / np.sum(change**2))
        if abs(alike) < 0.7 or not abs(rate + step) < 100:  # it points elsewhere
            return None
        rate += step
        here = slopes_after(case, right, rate)
    return None


def slopes_after(case: Case, right: Mapping[str, np.ndarray], rate: float) -> np.ndarray | None:
    """Return the slopes after a step of gradient descent."""
    values, tape = case.slopes.values, case.context.tape()
    values = {**values, **{name: values[name] - rate * g for name, g in right.items()}}
    if tape is not None:
        return projected(tape(values, case.context.batch)[case.name], case.along)
    return case.slopes_of(case.slopes.loss, values)


def numbers(case: Case) -> Finding:
    """Say how many numbers differ, which is the first, and how alike the directions are."""
    name, mine, total = case.name, case.mine.ravel(), case.mine.size
    right, looked = case.context.right(), np.arange(total)
    if right is not None:
        right, doubt = right[name].ravel(), np.full(total, case.floor)
    else:
        looked = looked if total <= NUMBERS else np.sort(np.argsort(-np.abs(mine))[:NUMBERS])
        units = np.zeros((len(looked), *case.mine.shape))
        units.reshape(len(looked), -1)[np.arange(len(looked)), looked] = 1
        right, doubt = case.measure(units)
    mine = mine[looked]
    wrong = np.flatnonzero(np.abs(mine - right) > 10 * case.bar * np.maximum(np.abs(right), np.abs(mine)) + doubt)
    if not len(wrong):
        text = say("Yours is wrong, but no single number that was looked at is wrong by more than rounding.")
        return Finding(say("wrong"), text)
    first = wrong[0]
    if total == 1:
        text = say("Yours is {mine:.6g}, and should be {right:.6g}.", mine=mine[0], right=right[0])
        return Finding(say("is {mine:.6g}, and should be {right:.6g}", mine=mine[0], right=right[0]), text)
    index = ", ".join(str(int(k)) for k in np.unravel_index(looked[first], case.mine.shape))
    text = "The first is {number}: yours is {mine:.6g}, and it should be {right:.6g}."
    text = say(text, number=f"{name}[{index}]", mine=mine[first], right=right[first])
    cosine = mine @ right / max(np.linalg.norm(mine) * np.linalg.norm(right), 1e-300)
    angle = say("The cosine of the angle between yours and the right one is {cosine:.2f}.", cosine=cosine)
    of = f"{total}" if len(looked) == total else say("the {count} largest", count=len(looked))
    said = say("{wrong} of {all} numbers are wrong", wrong=len(wrong), all=of)
    of_value = joined([say("{sentence}.", sentence=said), text], "{a} {b}")
    return Finding(said, joined([text, angle], "{a} {b}"), of_value=of_value)


def wrong_shape(case: Case) -> Finding:
    """Say what is wrong with a shape, by what would make the numbers right."""
    mine, shape, name = case.mine, case.value.shape, case.name
    shapes = {"mine": mine.shape, "name": name, "shape": shape}
    of_gradient = say("The gradient has the shape {mine}, {name} has {shape}", **shapes)
    of_value = say("Yours has the shape {mine}, the right one has {shape}", mine=mine.shape, shape=shape)

    def found(verdict: Message, what: Message, placed: bool = False) -> Finding:
        sentence, other = (joined([said, what], "{a}: {b}") for said in (of_gradient, of_value))
        return Finding(verdict, sentence, placed=placed, of_value=other)

    def fits(array: np.ndarray) -> bool:
        return array.shape == shape and case.fits(projected(array, case.along))

    if mine.ndim > 1 and mine.shape == shape[::-1]:
        right = say("transposed? Its transpose is right.")
        return found(say("transposed"), right if fits(mine.T) else say("transposed? Its transpose is wrong too."))
    if mine.size == case.value.size and fits(mine.reshape(shape)):
        return found(say("wrong shape, right numbers"), say("is keepdims or a reshape too many?"), placed=True)
    for axis in range(mine.ndim):
        for what, array in ((say("sum"), mine.sum(axis)), (say("mean"), mine.mean(axis))):
            if fits(array):
                missing = say("the {what} over axis {axis} is missing", what=what, axis=axis)
                return found(missing, say("{sentence}.", sentence=missing), placed=True)
    n = case.context.rows
    if n and mine.shape == (n,) and len(shape) == 1:
        text = say("{n} is the number of rows. The sum has to go over the rows, not within them.", n=n)
        return found(say("summed over the wrong axis"), text, placed=True)
    sentence, other = (say("{sentence}.", sentence=said) for said in (of_gradient, of_value))
    return Finding(say("wrong shape"), sentence, of_value=other)
