"""docs/derivations.rst: every lesson has its section, every gradient by hand its lines, every mistake its step."""

import ast
import functools
import re

from tf_backprop.support import lessons

import numpy as np
import pytest
import tensorflow as tf

PAGE = (lessons.SCRIPTS.parent / "docs" / "derivations.rst").read_text(encoding="utf-8")
#: Up to lesson 13: what comes after it trains a network that is derived before.
DERIVED = [lesson.name for lesson in lessons.find() if lesson.name[:2] <= "13"]


def sections():
    """Return the body of each lesson's section by the lesson's number; one section may be for several."""
    parts = re.split(r"\n(\d\d(?:, \d\d)*): .+\n-+\n", PAGE)
    return {
        number: body for numbers, body in zip(parts[1::2], parts[2::2], strict=True) for number in numbers.split(", ")
    }


@functools.cache
def functions(name):
    """Return the source of each function of a lesson, by its name."""
    source = (lessons.SCRIPTS / f"{name}.py").read_text(encoding="utf-8")
    found = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    return {node.name: ast.get_source_segment(source, node) for node in found}


def excerpts(body):
    """Return script and text of each excerpt, which as in Sphinx begins and ends with the lines that have two texts."""
    found = []
    for name, options in re.findall(r"literalinclude:: \.\./scripts/(\w+)\.py\n((?: +:.+\n)+)", body):
        options = dict(re.findall(r":([\w-]+): *(.*)", options))
        lines = functions(name)[options["pyobject"]].splitlines()
        first = next(i for i, line in enumerate(lines) if options.get("start-at", "") in line)
        last = next(
            (i for i in range(first, len(lines)) if options.get("end-at", "no end") in lines[i]), len(lines) - 1
        )
        assert options.get("end-at", "") in lines[last], (name, options)
        found.append((name, "\n".join(lines[first : last + 1])))
    return found


def test_every_excerpt_is_in_its_script():
    assert len(excerpts(PAGE)) == PAGE.count("literalinclude::") > len(DERIVED)


@pytest.mark.parametrize("name", DERIVED)
def test_every_lesson_has_its_section(name):
    body = sections()[name[:2]]
    assert f"<sphx_glr_gallery_{name}.py>`" in body
    assert ".. math::" in body


@pytest.mark.parametrize(
    "name", [name for name in DERIVED if {"gradients_by_hand", "derivatives_by_hand"} & {*functions(name)}]
)
def test_every_line_of_a_gradient_by_hand_is_shown(name):
    by_hand = next(text for function, text in functions(name).items() if function.endswith("s_by_hand"))
    shown = "\n".join(text for script, text in excerpts(sections()[name[:2]]) if script == name)
    lines = [line.strip() for line in by_hand.splitlines() if re.match(r" +(dL_d|df_d|total|\"|return )", line)]
    assert lines
    assert [line for line in lines if line not in shown and not line.startswith(("return dict", "return {"))] == []


def test_every_mistake_has_its_step(load):
    terms = re.findall(r"\n((?:``[\w-]+``(?:, )?)+)\n    \S", sections()["13"])
    assert sorted(re.findall(r"[\w-]+", " ".join(terms))) == sorted(load("13_wrong_gradients").MISTAKES)


def test_the_loss_from_logits_is_the_form_that_does_not_overflow():
    z, y = np.float32([-100, -3, 0, 2, 88, 89, 100]), np.float32([1, 1, 0, 0, 1, 1, 1])
    theirs = tf.nn.sigmoid_cross_entropy_with_logits(y, z).numpy()
    np.testing.assert_allclose(theirs, np.maximum(z, 0) - y * z + np.log1p(np.exp(-np.abs(z))), rtol=1e-6, atol=1e-37)
    with np.errstate(over="ignore"):
        short = np.log1p(np.exp(z)) - y * z
    np.testing.assert_allclose(short[z < 89], theirs[z < 89], rtol=1e-5, atol=1e-5)
    assert np.all(np.isinf(short[z >= 89]))
