"""Which mistake a gradient has, by what the functions say of single rows: there the error dL/dz is not yet summed."""

import itertools
from collections.abc import Callable

from tf_backprop.support.check.case import ROWS, Case, Finding, rms
from tf_backprop.support.language import joined, say

import numpy as np

#: At most so many numbers of a gradient are looked at.
NUMBERS = 12
#: How far a ratio of two numbers may be off, and where z is sought.
EXACT, GRID = 1e-4, np.linspace(-12, 12, 12_000)  # of an even length, so that 0 is not in it
#: Activations, and their derivatives as a formula of a.
ACTIVATIONS = {
    "sigmoid, a (1 - a)": (lambda z: 1 / (1 + np.exp(-z)), lambda a: a * (1 - a)),
    "tanh, 1 - a²": (np.tanh, lambda a: 1 - a**2),
}
SLIPS = {  # right / yours as a function of z
    say("a derivative is missing"): (lambda act, d, z: d(act(z)), say("is missing where dL/da becomes dL/dz")),
    say("a derivative too many"): (lambda act, d, z: 1 / d(act(z)), say("is there once too often")),
    say("a derivative taken of a"): (lambda act, d, z: d(act(z)) / d(act(act(z))), say("is taken at a, and not at z")),
    say("a derivative given z for a"): (lambda act, d, z: d(act(z)) / d(z), say("is given z, and not a")),
}


def of_single_rows(case: Case, scale: float = 1.0) -> tuple[np.ndarray, ...] | None:
    """Return yours and the right ones on single rows (rows, numbers), where z of the layer is `scale` times as large.

    The third is where these numbers are. None where the functions cannot take a row alone.
    """
    context, shape = case.context, case.mine.shape
    if not case.slopes.fine or case.mine.size < 2:
        return None
    largest = [
        np.argmax(np.abs(case.mine).reshape(shape[0], -1), 1) + np.arange(shape[0]) * (case.mine.size // shape[0])
    ]
    if len(shape) == 2:
        largest.append(np.argmax(np.abs(case.mine), 0) * shape[1] + np.arange(shape[1]))
    picked = np.unique(np.concatenate(largest))
    picked = picked[np.unique(np.linspace(0, len(picked) - 1, NUMBERS).astype(int))]
    layer = () if scale == 1 else tuple(context.layer(case.name))
    yours, right = [], []
    for i in range(min(context.rows or 1, ROWS)):  # what has no rows is one sample, or does not show them
        row = context.on_row(i, scale, layer)
        found = row.yours.get(case.name)
        if found is None or found.shape != shape:
            return None
        yours.append(found.ravel()[picked])
        right.append(case.numbers(case.name, picked, row))
    found = np.array(yours), np.array(right), picked
    return found if np.all(np.isfinite(found[0])) and np.all(np.isfinite(found[1])) else None


def derivative(case: Case) -> Finding | None:
    """Find an activation's derivative that is missing, there twice, or of the wrong number."""
    found = of_single_rows(case)
    if found is None:
        return None
    yours, right, _ = found
    there, counts = (np.abs(numbers) > 1e-6 * np.max(np.abs(numbers)) for numbers in (yours, right))
    ratio = right[there] / yours[there]
    rest = ratio[np.abs(ratio - 1) > EXACT]
    if len(ratio) > 3 and not len(rest) and np.any((counts & ~there).any(axis=0) & there.any(axis=0)):
        text = say(
            "On single rows yours is right in some numbers, others in each row, and zero in the rest: looks like a"
            " derivative of the softmax without the terms of the other classes, or like a mask that is not meant."
        )
        return Finding(say("zero in some numbers of each row"), text, placed=True)
    if 0 < len(rest) < len(ratio) > 3 and np.ptp(rest) < EXACT and -EXACT < rest[0] < 0.9:
        return one_sided(case, there, ratio, float(rest[0]))
    if len(ratio) < 2 or not len(rest):
        return None
    scales, ratios = np.array([1, 0.6, 1.6, -1.2, 0]), [ratio]
    for scale in scales[1:]:
        scaled = of_single_rows(case, scale)
        if scaled is None:
            return None
        ratios.append(scaled[1][there] / scaled[0][there])
    return by_scaling(scales, np.array(ratios))


def one_sided(case: Case, there: np.ndarray, ratio: np.ndarray, slope: float) -> Finding:
    """Return what is said where the right ones are yours or `slope` times yours: ReLU, if z -> -z exchanges the two."""
    what = say("zero") if abs(slope) < EXACT else say("{factor:.3g} times yours", factor=slope)
    seen = say("On single rows yours is right in some numbers, and in others the right one is {what}", what=what)
    turned = of_single_rows(case, -0.1)
    if turned is not None:
        yours, right = (numbers[there] for numbers in turned[:2])
        told = np.abs(yours) > 1e-6 * np.max(np.abs(yours))
        expected = (1 + slope - ratio)[told]
        if np.ptp(expected) > EXACT and np.allclose(right[told] / yours[told], expected, atol=EXACT):
            text = say(
                "the derivative of ReLU at units that are not active. It is missing, or taken as a >= 0, which always"
                " holds."
            )
            return Finding(say("ReLU's derivative is missing"), joined([seen, text], "{a}: {b}"), placed=True)
    text = say(
        "looks like a max, a clip or a mask in the loss that yours does not have, or a term that the loss lacks."
    )
    return Finding(say("the loss is flat in some rows"), joined([seen, text], "{a}: {b}"))


def by_scaling(scales: np.ndarray, ratios: np.ndarray) -> Finding | None:
    """Find the slip whose ratio right / yours (scales, numbers) is a function of z alone; z is unknown, but scaled."""
    if np.median(np.ptp(ratios[:-1], axis=0) / np.max(np.abs(ratios[:-1]), axis=0)) < 0.01:  # nothing that z decides
        return None
    found = []
    for (which, (activation, formula)), (verdict, (slip, what)) in itertools.product(
        ACTIVATIONS.items(), SLIPS.items()
    ):
        at_zero, c = slip(activation, formula, 0.0), 1.0
        if np.isfinite(at_zero):
            c = float(np.median(ratios[-1])) / at_zero
            if not np.allclose(ratios[-1], c * at_zero, rtol=EXACT):
                continue
        fit = [is_slip(lambda z, f=slip, a=activation, d=formula: f(a, d, z), scales[:-1], r / c) for r in ratios.T]
        if np.mean(fit) > 0.9:  # z of a few may lie where the ratio grows without bound
            text = say("On single rows the derivative of the {which}, {what}.", which=which, what=what)
            if abs(c - 1) >= EXACT:
                more = say("Besides, it is {factor:.4g} times the right one.", factor=1 / c)
                text = joined([text, more], "{a} {b}")
            found.append((abs(c - 1), Finding(verdict, text, placed=True)))
    return min(found, key=lambda one: one[0])[1] if found else None  # 4 σ'(2z) is tanh'(z): the factor 1 decides


def is_slip(slip: Callable, scales: np.ndarray, ratio: np.ndarray) -> bool:
    """Return whether there is a z for which the ratios are slip(scales * z): it is solved for the first of them."""
    off = slip(GRID) - ratio[0]
    changes = np.flatnonzero(off[:-1] * off[1:] <= 0)
    before, roots = GRID[changes], GRID[changes + 1]
    for _ in range(4):  # secants, from where the sign changes
        at_before, at_roots = slip(before) - ratio[0], slip(roots) - ratio[0]
        change = np.where(at_roots == at_before, 1, at_roots - at_before)
        before, roots = roots, roots - at_roots * (roots - before) / change
    roots = np.append(roots, GRID[np.argmin(np.abs(off))])
    return bool(
        np.any(np.all(np.abs(slip(scales[:, None] * roots) - ratio[:-1, None]) < EXACT * abs(ratio[0]), axis=0))
    )


def goes_back(case: Case) -> Finding | None:
    """Find the matrix with which the error of the next layer goes back, where it is not that of the forward pass."""
    found, name = of_single_rows(case), case.context.next_weights(case.name)
    if found is None or name is None:
        return None
    yours, right, picked = found
    told = np.abs(right) > 1e-5 * np.max(np.abs(right))
    if np.sum(told) < 4:
        return None
    ratio, shape = yours[told] / right[told], case.mine.shape
    for turned in (False, True):  # samples in rows, and W is (in, out); or in columns
        W = case.slopes.values[name].T if turned else case.slopes.values[name]
        units = picked if max(shape) == case.mine.size else np.unravel_index(picked, shape)[0 if turned else -1]
        if (max(shape) if max(shape) == case.mine.size else shape[0 if turned else -1]) != len(W):
            continue
        a, dz = zip(*(factors(case, name, turned, i) for i in range(len(yours))), strict=True)
        a, dz = np.array(a), np.array(dz)
        back = (dz @ W.T)[:, units][told]
        if np.allclose((dz @ W.reshape(W.T.shape))[:, units][told] / back, ratio, rtol=EXACT, atol=EXACT):
            square = len(set(W.shape)) == 1
            what = say("{name} itself", name=name) if square else say("a reshaped {name}", name=name)
            text = say("What goes back to this layer is made with {what}, and not with its transpose.", what=what)
            return Finding(say("{what} in place of {name}ᵀ", what=what, name=name), text, placed=True)
        if np.allclose(ratio, 1, rtol=EXACT):
            continue
        step = (a * np.sum(dz**2, axis=1, keepdims=True))[:, units][told] / back
        rate = np.sum(step * (1 - ratio)) / np.sum(step**2)
        if np.allclose(1 - rate * step, ratio, rtol=EXACT, atol=EXACT):
            text = (
                "What goes back to this layer is made with {name} after a step with the learning rate {rate:.4g}: take"
                " all gradients first, then update."
            )
            return Finding(say("{name} is updated already", name=name), say(text, name=name, rate=rate), placed=True)
    return None


def factors(case: Case, name: str, turned: bool, i: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a and dL/dz, whose outer product is the right gradient of weights on row i alone."""
    shape, row = case.slopes.values[name].shape, case.context.on_row(i)
    places = np.arange(np.prod(shape)).reshape(shape)
    places = places.T if turned else places
    column = case.numbers(name, places[:, 0], row)
    dz = case.numbers(name, places[np.argmax(np.abs(column))], row)
    return column / (dz[0] or np.nan), dz


def mixed(case: Case) -> Finding | None:
    """Find a gradient of several rows that is not the mean or the sum of those of each row, where the loss is."""
    context, values = case.context, case.slopes.values
    n = min(context.rows or 0, ROWS)
    if n < 2 or case.mine.size < 2 or not case.slopes.fine:
        return None
    rows = [context.on_row(i) for i in range(n)]
    first = context.part(0, n)
    found = [
        gradients.get(case.name) for gradients in (context.gradients_of(values, first), *(row.yours for row in rows))
    ]
    if any(gradient is None for gradient in found):
        return None
    together, *alone = found
    if together.shape == case.mine.shape and alone[0].shape != together.shape:
        text = (
            "On a single row it has the shape {shape}, so that its size is the number of rows: the sum has to go over"
            " the rows, not within them."
        )
        return Finding(say("summed over the wrong axis"), say(text, shape=alone[0].shape), placed=True)
    mean = np.mean(alone, axis=0)
    if context.is_sum(values) is None or rms(together) < 1e-9 * rms(mean):
        return None
    alike = np.sum(mean * together) / np.sqrt(np.sum(mean**2) * np.sum(together**2))
    if abs(alike) > 1 - 1e-9:
        return None
    alone_right = of_single_rows(case)
    and_right = alone_right and np.allclose(*alone_right[:2], rtol=EXACT, atol=EXACT * rms(alone_right[1]))
    text = (
        "For the first {n} rows together yours is not the mean of yours for each of them alone, though the loss is:"
        " what a row gives depends on the others, or on its place. Looks like a softmax or a mean over the rows."
        " Where dL/dz is made, look at each axis."
    )
    text = say(text, n=n)
    if and_right:
        text = joined([say("On single rows yours is right."), text], "{a} {b}")
    return Finding(say("the rows are mixed"), text)
