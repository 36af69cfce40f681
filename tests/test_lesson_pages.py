"""The gallery's page of a lesson, and what its notebook has beyond the script: made of what sphinx-gallery writes."""

import functools
import re
import sys

from tf_backprop.support import lessons

import numpy as np
import pytest

pytest.importorskip("sphinx_gallery", reason="needs Sphinx: pip install -e .[docs]")
sys.path.insert(0, str(lessons.SCRIPTS.parent / "docs"))
import lesson_pages
import notebooks
import questions

NAMES = [lesson.name for lesson in lessons.find()]
BY_HAND, BY_TAPE = re.compile(r"by hand: (.*?)(?=, by tape|$)", re.M), re.compile(r"by tape: (.*)")

WRITTEN = """\
.. only:: html

    download

.. rst-class:: sphx-glr-example-title

.. _sphx_glr_gallery_{name}.py:


{title}
{line}

{question}

For a batch of n samples::

    {equation}

What you should see: this
and that.

Try

- ``--this``: that.

.. GENERATED FROM PYTHON SOURCE LINES 39-42

Backward
--------
Why.

.. GENERATED FROM PYTHON SOURCE LINES 42-58

.. code-block:: Python


    backward()


.. GENERATED FROM PYTHON SOURCE LINES 59-61

Plot and main
-------------

.. GENERATED FROM PYTHON SOURCE LINES 61-74

.. code-block:: Python


    plot()

.. GENERATED FROM PYTHON SOURCE LINES 75-76

Run
---

.. GENERATED FROM PYTHON SOURCE LINES 76-77

.. code-block:: Python


    run()

.. image-sg:: /gallery/images/sphx_glr_none_001.png
   :alt: {title}: a line that falls
   :srcset: /gallery/images/sphx_glr_none_001.png, /gallery/images/sphx_glr_none_001_2_00x.png 2.00x
   :class: sphx-glr-single-img


.. rst-class:: sphx-glr-script-out

 .. code-block:: none

    {data}
    The backward pass, line by line: the formula, what it gives here, and the reason.
    y_hat = x *
        A
        0.49168  # a reason that is
            long
    dL_dA = tf.reduce_mean(dL_dy_hat)
        -18.60056
                         learned    expected
    A at step 25         6.55056      -


.. _sphx_glr_download_gallery_{name}.py:

.. only:: html

  footer
"""


def page(name, data="data: MNIST", equation="z = x W", typesets=True, on_digits=False):
    (lesson,) = lessons.select([name])
    told = {"name": lesson.name, "title": lesson.title, "line": "=" * len(lesson.title), "question": lesson.question}
    return lesson_pages.page(WRITTEN.format(**told, data=data, equation=equation), lesson, typesets, on_digits)


def in_order(text, *parts):
    places = [text.find(part) for part in parts]
    assert -1 not in places, parts[places.index(-1)]
    assert places == sorted(places), parts
    return text


def test_the_page_has_equations_and_figure_near_the_top_and_long_code_folded():
    text = page("11")
    in_order(
        text,
        "\n11 Softmax regression, the gradient by hand\n====",
        "For a batch of n samples:\n\n.. math::\n   :nowrap:\n\n   \\begin{align*}\n   z & = x\\, W\n",
        "What you should see: this\nand that.\n",
        ".. image:: /gallery/images/sphx_glr_none_001.png\n   :alt: "
        "Softmax regression, the gradient by hand: a line that falls\n   :width: 100%\n",
        ":ref:`the derivation <derivation-11>`",
        "<../errata.html#d4-the-gradient-by-hand-reaches-a-lower-cost>",
        "\nTry\n",
        "    backward()\n",
        ".. fold:: Each line with its numbers",
        "       y_hat = x *\n",
        "\nPlot and main\n-------------\n",
        ".. fold:: The code of the figure",
        "       plot()\n",
        "\nRun\n",
        "    data: MNIST\n                         learned    expected\n    A at step 25",
        "Predict first\n-------------\n",
        ".. fold:: Answer",
        ".. _sphx_glr_download_gallery_11",
    )
    assert "::\n\n    z" not in text
    assert text.count(".. image") == 1
    assert text.count("-18.60056") == text.count("The backward pass, line by line") == 1
    assert "without MNIST" not in text


def test_a_page_without_mnist_says_so_and_shows_the_figure_of_mnist_as_well():
    text = page("11", data="data: scikit-learn's digits, 1,100 / 197 / 500 images", on_digits=True)
    figures = "/../figures/11_mnist_softmax_hand_derived.png", "/gallery/images/sphx_glr_none_001.png"
    in_order(text, "====\n\n.. note::", "This page was built without MNIST.", "What is the gradient", *figures)
    seen, drawn = re.findall(":alt: Softmax regression, the gradient by hand: (.*)", text)
    assert seen.startswith("The costs and the weights are those of lessons 09 and 10")
    assert drawn == "a line that falls"
    assert (lesson_pages.HERE / figures[0].lstrip("/")).is_file()


def test_what_cannot_be_typeset_stays_as_it_is_typed():
    plain = "For a batch of n samples::\n\n    z = {}\n"
    assert plain.format("x ? W") in page("11", equation="z = x ? W")
    assert plain.format("x W") in page("11", typesets=False)


def test_only_what_exists_is_linked():
    assert "stepper" in page("07")
    assert "stepper" not in page("08")
    assert "/practice" not in page("04")
    assert "derivation" not in page("14")
    assert "errata" not in page("13")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name[:2] in ("01", "03", "04") else name for name in NAMES]
)
def test_numbers_in_the_answers_are_the_lessons(name, load, tmp_path):
    lesson = load(name)
    names = vars(lesson) | {"main": functools.cache(functools.partial(lesson.main, figures=tmp_path))}
    asked = questions.QUESTIONS[name[:2]]
    assert len(asked) == 3
    for question, answer, numbers in asked:
        assert question.endswith("?")
        assert len(re.findall(r"[.?!](?: |$)", answer)) <= 3
        for number, expression in numbers.items():
            assert re.search(rf"(?<![\w.-]){re.escape(number)}(?![\w-]|\.\d)", answer), (number, answer)
            computed = float(np.asarray(eval(expression, names)).item())
            assert computed == pytest.approx(float(number), rel=0.005, abs=1e-6), (question, number)


@pytest.mark.parametrize("name", NAMES)
def test_the_live_cell_gives_two_equal_gradients_and_spoils_no_function(name, load, capsys):
    lesson = load(name)
    names = dict(vars(lesson))
    exec(notebooks.CELLS[name[:2]], names)
    said = capsys.readouterr().out
    pairs = BY_HAND.findall(said), BY_TAPE.findall(said)
    if name.startswith("14"):
        pairs = re.findall("slices: (.*)", said), re.findall("batch: (.*)", said)
    by_hand, by_tape = ([float(n) for each in side for n in each.strip("[] ").split()] for side in pairs)
    assert any(by_hand)
    np.testing.assert_allclose(by_hand, by_tape, rtol=1e-4, atol=1e-7)
    functions = {key for key, value in vars(lesson).items() if callable(value)}
    assert [key for key in functions if names[key] is not vars(lesson)[key]] == []


def cell(kind, source):
    return {"cell_type": kind, "source": [source], "metadata": {}}


def test_the_notebook_gets_equations_a_cell_to_try_and_its_result():
    run = "result = command.run(main)"
    text = "\n# Title\n\nFor samples::\n\n    z = x W\n\nSee. And::\n\n    z ? x\n\n"
    cells = [
        cell("markdown", text),
        cell("markdown", "## Backward\nWhy.\n"),
        cell("code", "def gradients"),
        cell("code", run),
    ]
    notebooks.complete({"cells": cells}, "11")
    sources = ["".join(each["source"]) for each in cells]
    assert "For samples:\n\n\\begin{align*}\nz & = x\\, W\n\\end{align*}\n" in sources[0]
    assert "And:\n\n    z ? x\n" in sources[0]
    assert sources[2:] == [
        "def gradients",
        notebooks.TRY,
        notebooks.CELLS["11"],
        run,
        notebooks.LAST_CELL,
    ]
