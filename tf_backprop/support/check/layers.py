"""The layers of a network by the names and shapes of its parameters, and where to look for a mistake in them."""

import itertools
import re
from collections.abc import Mapping
from typing import NamedTuple

from tf_backprop.support.check.case import Finding
from tf_backprop.support.language import Message, joined, say

import numpy as np


class Layer(NamedTuple):
    """The parameters of one layer by name."""

    weights: str | None
    bias: str | None

    def right(self, ok: Mapping[str, bool]) -> bool:
        """Return whether one of them is right, from which the error at this layer is right."""
        return any(ok[name] for name in self if name)

    def wrong(self, ok: Mapping[str, bool]) -> bool:
        """Return whether all of them are wrong."""
        return not any(ok[name] for name in self if name)


def layers(shapes: Mapping[str, tuple[int, ...]]) -> list[Layer]:
    """Return the layers in order, by the numbers in the names or by the order; none where they are no chain."""
    numbered: dict[int, list[str]] = {}
    ordered: list[list[str]] = []
    for name, shape in shapes.items():
        in_name = re.findall(r"\d+", name)
        numbered.setdefault(int(in_name[-1]) if in_name else -1, []).append(name)
        if ordered and len(ordered[-1]) == 1 and is_bias(shape, shapes[ordered[-1][0]]):
            ordered[-1].append(name)
        else:
            ordered.append([name])
    return chain([names for _, names in sorted(numbered.items())], shapes) or chain(ordered, shapes)


def is_bias(shape: tuple[int, ...], weights: tuple[int, ...]) -> bool:
    """Return whether a shape is that of a bias of weights: (m,), or (1, m) after (k, m), or (m, 1) after (m, k)."""
    if len(shape) < 2 or len(weights) < 2:
        return len(shape) == 1 < len(weights)
    return (1, weights[-1]) == shape != (1, weights[0]) or (weights[0], 1) == shape != (weights[-1], 1)


def chain(parts: list[list[str]], shapes: Mapping[str, tuple[int, ...]]) -> list[Layer]:
    """Return layers, each of weights and perhaps a bias, if each takes what the one before gives; else none."""
    found = []
    for names in parts:
        weights, *bias = sorted(names, key=lambda name: (-len(shapes[name]), -np.prod(shapes[name])))
        if any("b" not in name.lower() and not name.endswith("]") for name in bias):  # it may be another thing
            return []
        if len(shapes[weights]) < 2 or len(bias) > 1 or (bias and not set(shapes[bias[0]]) <= {1, *shapes[weights]}):
            return []
        found.append(Layer(weights, bias[0] if bias else None))
    pairs = [(shapes[a.weights], shapes[b.weights]) for a, b in itertools.pairwise(found)]
    in_rows, in_columns = all(a[-1] == b[0] for a, b in pairs), all(a[0] == b[-1] for a, b in pairs)
    return found if in_rows or in_columns else []


def where_to_look(
    shapes: Mapping[str, tuple[int, ...]], ok: Mapping[str, bool], findings: Mapping[str, Finding]
) -> list[Message]:
    """Return what follows from which gradients are right and which are wrong, in a chain of layers."""
    factors = [finding.factor for finding in findings.values()]
    if len(ok) > 1 and len(findings) == len(ok) and None not in factors and np.ptp(factors) < 1e-3 * abs(factors[0]):
        return [say("All are wrong by the same factor: look at the start, where the loss meets the output.")]
    network, said = layers(shapes), []
    open_questions = [name for name, finding in findings.items() if not finding.placed]
    for weights, bias in network:
        if bias and ok[bias] and weights in open_questions:
            text = (
                "{right} is right, so the error dL/dz of its layer is right: look at the product that makes {wrong}'s"
                " gradient, aᵀ dL/dz."
            )
            said.append(say(text, right=bias, wrong=weights))
        if bias and ok[weights] and bias in open_questions:
            text = (
                "{right} is right, so the error dL/dz of its layer is right: look at the sum over the rows that makes"
                " {wrong}'s gradient."
            )
            said.append(say(text, right=weights, wrong=bias))
    wrong = [layer for layer in network if layer.wrong(ok) and set(layer) & set(open_questions)]
    return said + (_what_goes_back(network, wrong, ok) if wrong else [])


def _what_goes_back(network: list[Layer], wrong: list[Layer], ok: Mapping[str, bool]) -> list[Message]:
    """Return where the error is lost: the last of `wrong` is the layer nearest to the output where all is wrong."""
    names = joined(filter(None, wrong[-1]), "{a} and {b}")
    after = network[network.index(wrong[-1]) + 1 :]
    if not after:
        text = "{names} belong to the last layer: look first at the error dL/dz at the output."
        return [say(text, names=names)] if wrong[-1].bias else []
    if not after[0].right(ok):
        first = joined(filter(None, after[0]), "{a} and {b}")
        before = joined(name for layer in wrong for name in layer if name)
        text = "Mend {first} first, and check again: {before} are made from the error at their layer."
        return [say(text, first=first, before=before)]
    text = (
        "The error dL/dz is right at the layer of {W}, and {names} before it are wrong: look at what goes back,"
        " dL/dz {W}ᵀ with the {W} of the forward pass, times the derivative of the activation."
    )
    return [say(text, W=after[0].weights, names=names)]
