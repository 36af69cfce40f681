"""The equations of the lessons' docstrings as TeX: every line is converted, and nothing is lost or read otherwise."""

import ast
import re
import sys

from tf_backprop.support import lessons

import pytest

sys.path.insert(0, str(lessons.SCRIPTS.parent / "docs"))
import equations

LESSONS = [pytest.param(lesson, id=lesson.name) for lesson in lessons.find()]

PLAIN = {
    r"\hat{y}": "y_hat",
    r"\sigma": "σ",
    r"\beta": "β",
    r"\varepsilon": "ε",
    r"^\mathsf{T}": "ᵀ",
    "^2": "²",
    "^t": "ᵗ",
    r"\leftarrow": "<-",
    r"\to": "->",
    r"\sum": "Σ",
    r"\sqrt": "√",
    r"\log": "log",
    r"\_": "_",
}


def blocks(lesson):
    docstring = ast.get_docstring(ast.parse(lesson.path.read_text(encoding="utf-8")))
    return re.findall(r"::\n\n((?: {4}.*\n|\n)+)", docstring)


def symbols(text):
    """Return names, numbers and signs in the order in which they are read, without brackets and bars of fractions."""
    return re.findall(r"[A-Za-zσβε]+|\d+|<-|->|[-+=<>@²ᵀᵗΣ√]", text)


def plain(tex):
    for command, sign in PLAIN.items():
        tex = tex.replace(command, f"{sign}")
    return re.sub(r"\\\\\[0.5ex\]|\\(?:begin|end)\{align\*\}|\\[a-z]+", " ", tex)


@pytest.mark.parametrize("lesson", LESSONS)
def test_every_symbol_of_a_lessons_equations_is_typeset_in_its_place(lesson):
    (block,) = blocks(lesson)
    tex = equations.typeset(block)
    assert symbols(plain(tex)) == symbols(block)
    assert tex.count(r" \\[0.5ex]") + tex.count(r"\end{align*}") == len(block.split("\n\n")[0].strip().splitlines())


@pytest.mark.parametrize(
    ("text", "tex"),
    [
        ("y = a b / n", r"y & = \frac{a\, b}{n}"),
        ("y = (a - b) / n · c", r"y & = \frac{a - b}{n} \cdot c"),
        ("y = a + b / n", r"y & = a + \frac{b}{n}"),
        ("y = a (b + c) / n", r"y & = \frac{a (b + c)}{n}"),
        ("y = 1 / σ(z)", r"y & = \frac{1}{\sigma(z)}"),
        ("y = 1 / (1 + e^-z)", r"y & = \frac{1}{1 + e^{-z}}"),
        ("y = 1 / (a + b)²", r"y & = \frac{1}{(a + b)^2}"),
        ("y = -log p - (1 - y) log(1 - p)", r"y & = -\log p - (1 - y)\, \log (1 - p)"),
        ("y = √v + ε", r"y & = \sqrt{v} + \varepsilon"),
        ("L = -mean(Σ t log p)", r"L & = -\operatorname{mean}(\sum t\, \log p)"),
        ("dL_dw2 = hᵀ dL_dy_hat  (3, 1)", r"\frac{dL}{dw_{2}} & = h^\mathsf{T}\, \frac{dL}{d\hat{y}} && \text{(3, 1)}"),
        ("dL/dz_l = W_(l+1)ᵀ · σ'(z_l)", r"\frac{dL}{dz_{l}} & = W_{l+1}^\mathsf{T} \cdot \sigma'(z_{l})"),
        ("L = -log softmax(z)[y]", r"L & = -\log \operatorname{softmax}(z)[y]"),
        ("W    <- W - learning_rate m", r"W & \leftarrow W - \text{learning\_rate}\, m"),
        ("ReLU   a = max(z, 0)   a scalar", r"\text{ReLU}\quad & a = \operatorname{max}(z, 0) && \text{a scalar}"),
        ("v = 0 where z < 0, and 1 elsewhere", r"v & = 0\text{ where }z < 0, \text{ and }1\text{ elsewhere }"),
        ("c = √(1 - β2ᵗ)", r"c & = \sqrt{1 - \beta_{2}^t}"),
        ("m = dL_dw²", r"m & = \left(\frac{dL}{dw}\right)^2"),
    ],
)
def test_a_line_is_read_as_it_is_meant(text, tex):
    assert equations.typeset(text) == f"\\begin{{align*}}\n{tex}\n\\end{{align*}}"


@pytest.mark.parametrize("text", ["y = x ? w", "y = (x + w", "y = x +", "y = x / ", "y = x]", "y = Xy w", "no formula"])
def test_what_cannot_be_read_is_not_typeset(text):
    with pytest.raises(equations.NoFormula):
        equations.typeset(text)


def test_what_stands_in_columns_stays_in_columns_and_labels_are_aligned_apart():
    assert equations.typeset("z = x  a = y\np = q  b = r").count(" && ") == 2
    assert equations.typeset("z = x  a = y\np = q").count(" && ") == 0
    assert equations.typeset("z = x\ntanh   a = y\nReLU   a = z").count("align*") == 4
