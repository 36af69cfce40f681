"""Which mistake a wrong gradient has, and where to look for it: only what the numbers prove.

All that is known of the right gradient are slopes of the loss along a few random directions. Each mistake is a guess of
what the right one would be if that mistake had been made; a guess that fits every direction is no coincidence.
"""

import contextlib
import itertools
from collections.abc import Iterator, Mapping

from tf_backprop.support.case import Case, Finding, rms
from tf_backprop.support.errors import GradientError
from tf_backprop.support.single_rows import derivative, goes_back, mixed
from tf_backprop.support.slopes import projected

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
        return Finding(
            "transposed", "Its transpose is right: the matrix is square, so that its shape does not show it."
        )
    verdict, sentence = name_factor(c, case)
    return Finding(f"transposed, and {verdict}", f"Its transpose is right but for a factor. {sentence}")


def all_zero(case: Case) -> Finding | None:
    """Find a gradient that is nothing but zeros."""
    if np.any(case.mine):
        return None
    return Finding(
        "all zero", "Yours is zero, and the right one is not: the parameter would never be trained.", placed=True
    )


def one_number(case: Case) -> Finding | None:
    """Find a sum over everything that is given to each number."""
    first = case.mine.flat[0]
    if case.mine.size < 2 or np.ptp(case.mine) > 1e-9 * abs(first):
        return None
    total = case.slopes.careful(case.name, np.ones(case.mine.shape))
    for what, number in (("sum", total.value), ("mean", total.value / case.mine.size)):
        if abs(first - number) <= case.bar * abs(number) + total.doubt:
            text = f"Every number is {first:.3g}, the {what} of all the right ones: the {what} lacks its axis."
            return Finding("one number for all", text, placed=True)
    return Finding("one number for all", f"Every number is {first:.3g}: is an axis missing in a sum or a mean?")


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
        return Finding("the sign is wrong", "Yours is the right gradient with the opposite sign.", c)
    if abs(size - 1) < 0.01:
        verdict = f"{size:.8g} times the right one"
    else:
        verdict = f"{size:.6g} times too large" if size > 1 else f"{1 / size:.6g} times too small"
    sign = ", and the sign is wrong" if c < 0 else ""
    ratio = f"Yours is {c:.6g} times the right one" if size > 0.9 else f"Yours is 1/{1 / c:.6g} of the right one"
    because = (
        f": {'looks like ' if len(found) > 1 or case.mine.size == 1 else ''}{', or '.join(found)}" if found else ""
    )
    return Finding(verdict + sign, f"{ratio}{because}.", c)


def reasons(c: float, case: Case) -> list[str]:
    """Return what the size of a factor comes from, by the sizes at hand."""
    n = case.context.rows
    causes = {"a 2 too many (does the loss have a ½?)": 2.0, "the 2 of the square is missing": 0.5}
    if n and n > 1:
        rows = f"(the batch has {n} rows)"
        missing, twice = f"the 1/n of the mean is missing {rows}", f"the mean over the rows is taken twice {rows}"
        if case.context.is_sum(case.slopes.values):
            twice = f"yours is a mean over the rows, and the loss is a sum {rows}"
        causes |= {
            missing: n,
            f"{missing}, besides a 2 too many": 2 * n,
            f"{missing}, besides the 2 of the square": n / 2,
        }
        causes |= {twice: 1 / n, f"{twice}, besides a 2 too many": 2 / n}
        causes |= {f"{twice}, and the 2 of the square is missing": 0.5 / n}
    for size, whose in case.context.sizes.items():
        for m, over in ((size, f"{size}"), (n * size if n and 1 < n != size else size, f"all {n} x {size} numbers")):
            causes.setdefault(f"a mean over {over} is missing ({whose})", m)
            causes.setdefault(f"a mean over {over} too many ({whose})", 1 / m)
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
        why = "weight decay that is left out, or the 2 of its square (the derivative of λ W² is 2 λ W)"
    else:
        why = "weight decay that is taken twice, or with a 2 too many (the derivative of λ/2 W² is λ W)"
    times = f"{abs(c):.6g} times the parameter itself"
    verdict, short = ("weight decay: too little", "too little") if c > 0 else ("weight decay: too much", "too much")
    return Finding(verdict, f"Yours is right but for {times}, which is {short}: looks like {why}.", placed=True)


def one_row_counts(case: Case) -> Finding | None:
    """Find the gradient of one row alone, which a loop over the batch leaves."""
    n = case.context.rows
    if not n or n < 2 or case.mine.size < 2:
        return None
    for row, which in ((n - 1, "last"), (0, "first")):
        batch = case.context.part(row, row + 1)
        of_row = case.slopes_of(lambda values, batch=batch: case.context.loss(values, batch))
        c = None if of_row is None else case.factor(projected(case.mine, case.along), of_row)
        if c is not None and any(abs(c / known - 1) < 10 * case.bar for known in (1, 1 / n, n)):
            text = (
                f"Yours is the gradient of the {which} row alone: = in a loop where += is meant, or an index too many?"
            )
            return Finding(f"only the {which} row counts", text)
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
            shape = f"argument {i + 2} has the shape ({n},)"
            text = f"Yours is right for ({n}, 1): in the loss, ({n}, 1) - ({n},) becomes ({n}, {n}). Mend the loss."
            return Finding("the loss broadcasts", f"In the batch, {shape}. {text}", placed=True)
    return None


def axis_of_another(case: Case) -> Finding | None:
    """Find a gradient made from that of another parameter, by a sum or a mean over an axis."""
    others = [(name, g) for name, g in case.context.gradients.items() if name != case.name and g.ndim > 1]
    for (name, other), what, sign in itertools.product(others, ("sum", "mean"), (1, -1)):
        for axis in range(other.ndim):
            guess = sign * getattr(np, what)(other, axis=axis)
            small = 1e-3 * case.bar * np.max(np.abs(case.mine))
            if guess.shape == case.mine.shape and np.allclose(case.mine, guess, rtol=0, atol=small):
                minus = "minus " if sign < 0 else ""
                text = f"Yours is {minus}the {what} of that for {name} over axis {axis}"
                verdict = f"{minus}the {what} of {name}'s over axis {axis}"
                return Finding(verdict, f"{text}; make it from the error dL/dz itself.", placed=True)
    return None


def slices(case: Case) -> Iterator[tuple[int, str, list]]:
    """Yield for each axis what lies along it, and its slices: index, the right slopes, doubts and yours."""
    for axis in range(case.mine.ndim):
        if (case.mine.ndim > 1 and axis not in (0, case.mine.ndim - 1)) or not 1 < case.mine.shape[axis] <= SLICES:
            continue
        name = "element" if case.mine.ndim == 1 else "row" if axis == 0 else "column"
        found = []
        for i in range(case.mine.shape[axis]):
            here = np.zeros(case.mine.shape)
            np.moveaxis(here, axis, 0)[i] = 1
            found.append((*case.measure(case.along[:2] * here), projected(case.mine * here, case.along[:2])))
        yield axis, name, found


def some_slices(case: Case) -> Finding | None:
    """Find the rows or columns that are wrong where others are right; two may be exchanged."""
    best = None
    for axis, name, found in slices(case):
        bar = case.bar * case.size / np.sqrt(len(found))
        wrong = [i for i, (right, doubt, mine) in enumerate(found) if np.any(np.abs(mine - right) > bar + doubt)]
        proof = [
            i for i, (right, doubt, _) in enumerate(found) if i not in wrong and np.any(np.abs(right) > 10 * doubt)
        ]
        if wrong and proof and (best is None or len(wrong) / len(found) < best[0]):
            best = len(wrong) / len(found), axis, name, wrong, found
    if best is None:
        return None
    _, axis, name, wrong, found = best
    if len(wrong) == 2:
        swapped = np.array(case.mine)
        lines = np.moveaxis(swapped, axis, 0)
        lines[wrong] = lines[wrong[::-1]]
        if case.fits(projected(swapped, case.along)):
            what = f"{name}s {wrong[0]} and {wrong[1]}"
            return Finding(f"{what} are exchanged", f"Yours is right once {what} are exchanged.")
    how = "zero" if all(not np.any(found[i][2]) for i in wrong) else "wrong"
    what = f"{name}{'s' if len(wrong) > 1 else ''} {some(wrong)}"
    return Finding(f"{how} in {what}", f"Yours is {how} in {what} of {len(found)}, and right in the others.")


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
            what = "all parameters" if len(whose) == len(right) else ", ".join(whose)
            text = f"Yours is the gradient after {what} took a step with the learning rate {rate:.4g}"
            said = f"{text}: take all gradients first, then update."
            return Finding("taken after an update", said, placed=True)
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
        return Finding(
            "wrong", "Yours is wrong, but no single number that was looked at is wrong by more than rounding."
        )
    first = wrong[0]
    if total == 1:
        said = f"{mine[0]:.6g}, and should be {right[0]:.6g}"
        return Finding(f"is {said}", f"Yours is {said}.")
    index = ", ".join(str(int(k)) for k in np.unravel_index(looked[first], case.mine.shape))
    text = f"The first is {name}[{index}]: yours is {mine[first]:.6g}, and it should be {right[first]:.6g}."
    cosine = mine @ right / max(np.linalg.norm(mine) * np.linalg.norm(right), 1e-300)
    of = f"{total}" if len(looked) == total else f"the {len(looked)} largest"
    said = f"{len(wrong)} of {of} numbers are wrong"
    return Finding(said, f"{text} The cosine of the angle between yours and the right one is {cosine:.2f}.")


def some(indices: list[int]) -> str:
    """Return a few indices as text."""
    return ", ".join(map(str, indices[:5])) + (f" and {len(indices) - 5} more" if len(indices) > 5 else "")


def wrong_shape(case: Case) -> Finding:
    """Say what is wrong with a shape, by what would make the numbers right."""
    mine, shape, name = case.mine, case.value.shape, case.name
    said = f"The gradient has the shape {mine.shape}, {name} has {shape}"

    def fits(array: np.ndarray) -> bool:
        return array.shape == shape and case.fits(projected(array, case.along))

    if mine.ndim > 1 and mine.shape == shape[::-1]:
        right = "Its transpose is right." if fits(mine.T) else "Its transpose is wrong too."
        return Finding("transposed", f"{said}: transposed? {right}")
    if mine.size == case.value.size and fits(mine.reshape(shape)):
        return Finding("wrong shape, right numbers", f"{said}: is keepdims or a reshape too many?", placed=True)
    for axis in range(mine.ndim):
        for what, array in (("sum", mine.sum(axis)), ("mean", mine.mean(axis))):
            if fits(array):
                text = f"{said}: the {what} over axis {axis} is missing."
                return Finding(f"the {what} over axis {axis} is missing", text, placed=True)
    n = case.context.rows
    if n and mine.shape == (n,) and len(shape) == 1:
        text = f"{said}: {n} is the number of rows. The sum has to go over the rows, not within them."
        return Finding("summed over the wrong axis", text, placed=True)
    return Finding("wrong shape", f"{said}.")
