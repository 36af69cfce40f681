"""Practice: exercises made from the lessons, and a check that names the line."""

import contextlib
import functools
import inspect
import io
import json
import os
import re
import signal
import subprocess
import sys

from forks import clean
from tf_backprop import __main__ as commands
from tf_backprop.support import lessons, practice
from tf_backprop.support.errors import DataError, LessonError, UsageError
from tf_backprop.support.practice import examining, lines, making, points

import numpy as np
import pytest
from test_faults import FAULTS

ROOT = lessons.SCRIPTS.parent
BLANKS = {
    "01": ["dL_dy_hat", "dy_hat_dA", "dL_dA"],
    "02": ["dL_dz", "dL_dA"],
    "03": ["dsigmoid_dz", "dtanh_dz", "dleaky_dz", "drelu_dz"],
    "05": ["df_dx", "df_dy"],
    "06": ["dL_do_squared", "dL_do_asymmetric", "dL_dz"],
    "07": ["dL_dy_hat", "dL_dw2", "dL_dh", "dL_dw1", "m", "w", "m", "v", "correction", "w"],
    "08": ["dL_dz", "dL_dW", "dL_db"],
    "11": ["dL_dz", "dL_dW", "dL_db"],
    "12": [f"dL_d{what}{layer}" for layer in (4, 3, 2, 1) for what in "zWb"],
}
HERE = [fault for fault in FAULTS if fault[0][:2] in making.EXERCISES]


@functools.cache
def lesson_of(number):
    (lesson,) = lessons.select([number])
    return lesson


@functools.cache
def solved(number):
    """Return the text of an exercise in which the blanks are the lesson's own lines."""
    lesson = lesson_of(number)
    text = making.filled(making.exercise(lesson), lesson)
    assert " = ...\n" not in text
    return text


@pytest.fixture
def examined(tmp_path, monkeypatch):
    """Return a function that examines a text as the reader's file of an exercise."""
    monkeypatch.chdir(tmp_path)

    def examine(number, text):
        lesson = lesson_of(number)
        path = tmp_path / lesson.path.name
        path.write_text(text, encoding="utf-8")
        return examining.examine(lesson, path)

    return examine


def line_of(text, start):
    """Return the number of the one line that starts so."""
    (found,) = (i for i, line in enumerate(text.splitlines(), 1) if line.strip().startswith(start))
    return found


# What an exercise is


@pytest.mark.parametrize("number", making.EXERCISES)
def test_an_exercise_is_the_lesson_with_blanks(number):
    lesson = lesson_of(number)
    text, source = making.exercise(lesson), lesson.path.read_text(encoding="utf-8")
    assert lesson.question[:60] in " ".join(text.split())
    assert re.findall(r"^    (\w+) = \.\.\.$", text, re.MULTILINE) == BLANKS[number]
    assert inspect.cleandoc("\n" + source[source.index("def loss(") :]).splitlines()[0] in text
    for line in lines.of_lesson(source)[0]:
        if line.names[0] in BLANKS[number]:
            assert line.text not in text  # neither the answer nor the hint is seen before
            assert not line.why or line.why not in text.partition("def gradients_by_hand")[2]
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("number", making.EXERCISES)
def test_at_its_points_no_size_occurs_twice_and_nothing_is_zero(number):
    for case in (case for case in points.points_of(number) if case.function == "gradients_by_hand"):
        values = case.parameters.values() if isinstance(case.parameters, dict) else [np.array(case.parameters)]
        assert all(value.dtype == np.float64 and np.all(value) for value in values)
        sizes = {size for value in values for size in value.shape} - {1}
        rows = {part.shape[0] for part in case.batch if isinstance(part, np.ndarray)}
        if number not in ("03", "05", "06"):  # there the parameters have a number for each row
            assert rows == {7}
            assert not rows & sizes


# Unsolved, solved, wrong


@pytest.mark.parametrize("number", making.EXERCISES)
def test_unsolved_it_fails_and_says_what_to_do(number, examined):
    text = making.exercise(lesson_of(number))
    outcome = examined(number, text)
    assert not outcome.solved
    first, *others = BLANKS[number]
    assert f"line {line_of(text, f'{first} = ...')}: {first} is still blank. Write its right side" in outcome.text
    assert f"Blank after that: {others[0]} (line " in outcome.text
    assert outcome.state == f"{len(others) + 1} lines are blank"
    assert outcome.next.names == (first,)


@pytest.mark.parametrize("number", making.EXERCISES)
def test_with_the_lessons_lines_it_is_solved(number, examined):
    outcome = examined(number, solved(number))
    assert outcome.solved, outcome.text
    assert "right" in outcome.text
    assert "times" not in outcome.text


@pytest.mark.parametrize("fault", HERE, ids=lambda fault: f"{fault[0][:2]} {fault[2]}")
def test_a_fault_is_caught_and_its_line_named(fault, examined):
    name, _, what, right, wrong = fault
    text, wrong = solved(name[:2]), wrong.replace("[4, 5]", "[6, 5]")  # the exercise's sizes are others
    assert text.count(right) == 1
    changed = text.replace(right, wrong)
    outcome = examined(name[:2], changed)
    pairs = zip(text.splitlines(), changed.splitlines(), strict=True)
    (at,) = (i for i, (old, new) in enumerate(pairs, 1) if old != new)
    if what == ">= in ReLU'":  # in a helper, which is no line of the backward pass
        assert outcome.wrong == ()
        assert "Look at the functions that they call" in outcome.text
        assert 'activation="relu"' in outcome.text
        return
    assert [told["line"] for told in outcome.wrong] == [at]
    assert f"line {at}: {outcome.wrong[0]['name']} " in outcome.text


@pytest.mark.parametrize(
    ("number", "right", "wrong", "says"),
    [
        (
            "11",
            "(p - onehot) / n",
            "p - onehot",
            "dL_dz is wrong. Yours is 7 times the right one: the 1/n of the mean is missing",
        ),
        (
            "11",
            "(p - onehot) / n",
            "(onehot - p) / n",
            "dL_dz is wrong. Yours is the right one with the opposite sign.",
        ),
        (
            "11",
            "tf.reduce_sum(dL_dz, axis=0)",
            "tf.zeros_like(dL_dz[0])",
            "dL_db is wrong. Yours is zero, and the right one is not",
        ),
        (
            "11",
            "tf.reduce_sum(dL_dz, axis=0)",
            "tf.reduce_mean(dL_dW, axis=0)",
            "Yours is the mean of dL_dW over axis 0",
        ),
        ("11", "tf.reduce_sum(dL_dz, axis=0)", "dL_dz", "the sum over axis 0 is missing"),
        (
            "11",
            "tf.reduce_sum(dL_dz, axis=0)",
            "tf.reduce_sum(dL_dz, axis=0, keepdims=True)",
            "keepdims or a reshape too many?",
        ),
        (
            "12",
            "tf.reduce_sum(dL_dz3, axis=0)",
            "tf.reduce_sum(dL_dz3, axis=1)",
            "Yours has the shape (7,), the right one has (6,): 7 is the number of rows. The sum has to go",
        ),
        ("11", "(p - onehot) / n", "p", "dL_dz is wrong. Yours is the same as p."),
        ("11", "tf.nn.softmax(z)", "tf.nn.softmax(z, axis=0)", "p is wrong. Its columns sum to 1, and the rows should"),
        (
            "11",
            "tf.transpose(x) @ dL_dz",
            "tf.transpose(tf.transpose(x) @ dL_dz)",
            "the right one has (6, 10): transposed? Its transpose is right.",
        ),
        (
            "12",
            "tf.reduce_sum(dL_dz3, axis=0)",
            "tf.reduce_mean(dL_dz3, axis=0)",
            "Yours is 1/7 of the right one: the mean over the rows is taken twice",
        ),
        ("12", "* slope(a2)", "", "dL_dz2 is wrong. Yours lacks a factor: the derivative of an activation."),
        ("12", "* slope(a2)", "* a2 * (1 - a2)", 'with activation="relu"'),
        ("07", "2 * (y_hat - y)", "(y_hat - y)", "Yours is 1/2 of the right one: the 2 of the square is missing."),
        (
            "05",
            "4 * x * u + 2 * v",
            "4 * x * u + v",
            "df_dx is wrong. 7 of 7 numbers are wrong. The first is df_dx[0]: yours is",
        ),
    ],
)
def test_the_relation_is_named_first_and_then_a_number(number, right, wrong, says, examined):
    text = solved(number)
    assert right in text
    outcome = examined(number, text.replace(right, wrong))
    assert says in outcome.text
    assert len(outcome.wrong) == 1
    for told in outcome.wrong:
        if "shape" not in told["verdict"]:
            assert "and it should be" in outcome.text


def test_two_faults_are_both_found_and_the_lines_between_are_not_accused(examined):
    text = solved("12").replace("* slope(a3)", "").replace("tf.reduce_sum(dL_dz1, axis=0)", "-dL_dz1[0]")
    outcome = examined("12", text)
    assert [told["name"] for told in outcome.wrong] == ["dL_dz3", "dL_db1"]
    assert "Right in themselves, but given a wrong value: dL_dW3 (line " in outcome.text


def test_a_wrong_line_is_named_while_others_are_blank(examined):
    text = making.exercise(lesson_of("11")).replace("dL_dz = ...", "dL_dz = p - onehot")
    outcome = examined("11", text)
    assert "Yours is 7 times the right one" in outcome.text
    assert "dL_dW is still blank" in outcome.text
    assert outcome.next.names == ("dL_dz",)
    outcome = examined("11", text.replace("p - onehot", "(p - onehot) / n"))
    assert f"Right: dL_dz (line {line_of(text, 'dL_dz =')})." in outcome.text


def body(text, *code):
    """Return an exercise whose gradients_by_hand has other lines."""
    before, head, rest = text.partition("def gradients_by_hand(parameters, x, y):\n")
    return before + head + "".join(f"    {line}\n" for line in code) + "\n\n" + rest[rest.index("if __name__") :]


@pytest.mark.parametrize(
    "code",
    [
        [
            "p = tf.nn.softmax(logits(parameters, x))",
            "delta = p - tf.one_hot(y, 10, dtype=p.dtype)",
            'return {"W": tf.einsum("ni,nj->ij", x, delta) / 7, "b": tf.einsum("nj->j", delta) / 7}',
        ],
        [  # the lesson's names, cut otherwise
            "p = tf.nn.softmax(logits(parameters, x))",
            "dL_dz = p - tf.one_hot(y, 10, dtype=p.dtype)",
            "dL_dW = tf.transpose(x) @ dL_dz / len(x)",
            "dL_db = tf.reduce_mean(dL_dz, axis=0)",
            'return {"b": dL_db, "W": dL_dW}',
        ],
        [  # NumPy and loops
            "W, b = parameters['W'].numpy(), parameters['b'].numpy()",
            "dW, db = 0 * W, 0 * b",
            "for row, label in zip(x.numpy(), y.numpy()):",
            "    e = tf.exp(row @ W + b).numpy()",
            "    delta = e / e.sum()",
            "    delta[label] -= 1",
            "    dW += row[:, None] * delta / len(x)",
            "    db += delta / len(x)",
            'return {"W": dW, "b": db}',
        ],
        [  # the tape
            "with tf.GradientTape() as tape:",
            "    tape.watch(parameters)",
            "    L = loss(parameters, x, y)",
            "return tape.gradient(L, parameters)",
        ],
    ],
    ids=["einsum", "cut otherwise", "loops", "tape"],
)
def test_any_right_solution_passes(code, examined):
    outcome = examined("11", body(making.exercise(lesson_of("11")), *code))
    assert outcome.solved, outcome.text


def test_other_names_get_the_verdict_of_the_check_for_each_parameter(examined):
    code = [
        "p = tf.nn.softmax(logits(parameters, x))",
        "delta = p - tf.one_hot(y, 10, dtype=p.dtype)",
        'return {"W": tf.transpose(x) @ delta, "b": tf.reduce_mean(delta, axis=0)}',
    ]
    outcome = examined("11", body(making.exercise(lesson_of("11")), *code))
    assert "the gradient for W is wrong" in outcome.text
    assert "Your lines are not the lesson's" in outcome.text
    assert "7 times too large" in outcome.text
    assert outcome.wrong == ()


def test_a_line_is_not_accused_where_a_right_gradient_is_made_from_it(examined):
    text = solved("11").replace("(p - onehot) / n", "p - onehot").replace("@ dL_dz", "@ dL_dz / n")
    outcome = examined("11", text)  # the sum for b lacks its 1/n; dL_dz is another thing than the lesson's, and right
    assert outcome.wrong == ()
    assert "7 times too large" in outcome.text
    outcome = examined("11", text.replace("tf.reduce_sum(dL_dz, axis=0)", "-tf.reduce_mean(dL_dz, axis=0)"))
    assert outcome.wrong == ()
    assert "the sign is wrong" in outcome.text


def test_a_line_that_is_written_below_the_blank_one_counts(examined):
    text = making.exercise(lesson_of("11"))
    code = "    dL_dz = (p - onehot) / n\n    dL_dW = tf.transpose(x) @ dL_dz\n    dL_db = sum(dL_dz)\n"
    assert examined("11", text.replace("    return {", f"{code}    return {{")).solved
    outcome = examined("11", text.replace("    return {", f"{code}    return dL_dW, dL_db\n    return {{"))
    assert "the parameters are a dict, so gradients has to return one too, not a tuple" in outcome.text


@pytest.mark.parametrize(
    "seed", [4, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (0, 1, 2, 3, 5, 6, 7, 8))]
)
def test_a_planted_fault_is_found_and_named_when_it_is_mended(seed, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    practice.practice("13", seed=seed)
    path = tmp_path / "practice" / f"13_fault_{seed}.py"
    assert len(making.FAULTS) == 9
    fault, text = making.FAULTS[seed], path.read_text(encoding="utf-8")
    capsys.readouterr()
    with pytest.raises(LessonError, match="not solved yet: exercise 13: wrong"):
        practice.check("13", hint=True)
    said = capsys.readouterr().out
    assert fault.story not in said
    assert ", line " not in said  # to find it is the exercise
    assert "What the loss says" in said
    assert "Hint" in said
    right = solved(fault.number).partition("def gradients_by_hand")[2]
    mended = text.partition("def gradients_by_hand")[0] + "def gradients_by_hand" + right
    path.write_text(mended.replace("a >= 0, a.dtype", "a > 0, a.dtype"), encoding="utf-8")
    practice.check(str(path))
    assert capsys.readouterr().out == f"{os.path.join('practice', path.name)}: mended. {fault.story}\n"


def test_a_planted_fault_whose_sentence_is_gone(tmp_path):
    path = tmp_path / "13_fault_0.py"
    path.write_text(making.planted(0).replace("This is fault", "fault"), encoding="utf-8")
    assert "which tells the check what it is" in examining.examine(lesson_of("13"), path).text


def test_something_else_returned_than_was_computed(examined):
    text = solved("11").replace('return {"W": dL_dW, "b": dL_db}', 'return {"W": dL_dW, "b": p[0]}')
    outcome = examined("11", text)
    assert "dL_db was right before this line, which makes" in outcome.text


@pytest.mark.parametrize(
    "code",
    [
        ['return {"W": 0 * parameters["W"], "b": 0 * parameters["b"]}'],
        ['return {"W": 0 * parameters["W"] + 0.1, "b": 0 * parameters["b"] + 0.1}'],
        ["return parameters"],
        ["z = logits(parameters, x)", 'return {"W": tf.transpose(x) @ z, "b": tf.reduce_sum(z, axis=0)}'],
    ],
    ids=["zeros", "constants", "the parameters", "the forward pass"],
)
def test_what_is_no_gradient_fails(code, examined):
    outcome = examined("11", body(making.exercise(lesson_of("11")), *code))
    assert not outcome.solved
    assert "wrong" in outcome.text


# The updates of lesson 07

STEP = "learning_rate * correction * m / (tf.sqrt(v) + EPSILON)"
CORRECTION = "tf.sqrt(1 - BETA2**t) / (1 - BETA1**t)"


@pytest.mark.parametrize(
    ("right", "wrong", "name", "says"),
    [
        (
            "w - learning_rate * m\n",
            "w + learning_rate * m\n",
            "w",
            "change Δw. Yours is the right one with the opposite",
        ),
        (
            "m = momentum * m + dL_dw",
            "m = dL_dw",
            "m",
            "m is wrong, and so is its change Δm. 6 of 6 numbers are wrong.",
        ),
        ("m = momentum * m + dL_dw", "m = m", "m", "m is not updated: it is what the function was given."),
        (STEP, STEP.replace("correction * ", ""), "w", "The factor is 1/correction: is correction left out?"),
        (STEP, STEP.replace("learning_rate * ", ""), "w", "The factor is 1/learning_rate: is learning_rate left out?"),
        (
            STEP,
            STEP.replace("tf.sqrt(v) + EPSILON", "tf.sqrt(v + EPSILON)"),
            "w",
            "(at t = 20000, with dL_dw as small as ε)",
        ),
        (STEP, STEP.replace(" + EPSILON", ""), "w", "(at t = 20000, with dL_dw as small as ε)"),
        (
            CORRECTION,
            CORRECTION.replace("**t", ""),
            "correction",
            "(at t = 4): correction is wrong. Yours is",
        ),
        (CORRECTION, "1.0", "correction", "correction is wrong. Yours is 1, and should be 0.183769."),
        ("dL_dw**2", "dL_dw", "v", "v is wrong, and so is its change Δv."),
    ],
)
def test_the_wrong_line_of_an_update(right, wrong, name, says, examined):
    text = solved("07")
    assert text.count(right) == 1
    changed = text.replace(right, wrong)
    outcome = examined("07", changed)
    pairs = zip(text.splitlines(), changed.splitlines(), strict=True)
    (at,) = (i for i, (old, new) in enumerate(pairs, 1) if old != new)
    if wrong == "m = m":
        at -= 1  # it gives nothing a value, so that the function's first line stands for it
    assert [(told["line"], told["name"]) for told in outcome.wrong] == [(at, name)]
    assert says in outcome.text


def adam_of_the_paper(v_hat):
    lines = [
        "m_hat = m / (1 - BETA1**t)",
        f"v_hat = {v_hat}",
        "w = w - learning_rate * m_hat / (tf.sqrt(v_hat) + EPSILON)",
    ]
    before, _, after = solved("07").rpartition("    correction = ")
    return before + "".join(f"    {line}\n" for line in lines) + after[after.index("    return w, m, v") :]


def test_another_form_of_an_update_is_judged_by_what_it_returns(examined):
    assert examined("07", adam_of_the_paper("v / (1 - BETA2**t)")).solved
    outcome = examined("07", adam_of_the_paper("v"))
    assert "what adam returns (at t = 4): w is wrong. 6 of 6 numbers are wrong." in outcome.text
    text = solved("07")
    outcome = examined("07", text[::-1].replace("return w, m, v"[::-1], "return w, v, m"[::-1], 1)[::-1])
    assert "what adam returns (at t = 4): m is wrong. Yours is the same as v." in outcome.text
    outcome = examined("07", text[::-1].replace("return w, m, v"[::-1], "return w"[::-1], 1)[::-1])
    assert "adam has to return w, m, v." in outcome.text


def test_updates_are_blank_until_the_gradient_is_right(examined):
    text = making.exercise(lesson_of("07"))
    right = solved("07").partition("def gradients_by_hand")[2].partition("# An optimizer")[0]
    outcome = examined(
        "07", re.sub("(?<=def gradients_by_hand).*?(?=# An optimizer)", lambda _: right, text, flags=re.DOTALL)
    )
    assert f"line {text.splitlines().index('    m = ...') + 1}: m is still blank." in outcome.text
    assert outcome.state == "6 lines are blank"
    assert outcome.next.text == "m = momentum * m + dL_dw"


# Files that do not run


def test_a_wrong_line_is_named_before_the_one_that_fails_for_it(examined):
    text = solved("07").replace("dL_dy_hat = 2 * (y_hat - y) / y.shape[0]", "dL_dy_hat = tf.transpose(y_hat - y)")
    outcome = examined("07", text)
    first, second = outcome.text.splitlines()
    assert (outcome.state, outcome.next.names) == ("1 line is wrong", ("dL_dy_hat",))
    assert "dL_dy_hat is wrong. Yours has the shape (1, 7), the right one has (7, 1): transposed?" in first
    assert "InvalidArgumentError: Matrix size-incompatible: In[0]: [3,7], In[1]: [1,7]; of (n, k) @ (k, m)" in second


@pytest.mark.parametrize(
    ("old", "new", "says", "line"),
    [
        ("dL_dz = ...", "dL_dz = (p - onehot", "SyntaxError: '(' was never closed", "dL_dz ="),
        ("dL_dz = ...", "dL_dz = (p - onehot) / m", "NameError: name 'm' is not defined", "dL_dz ="),
        ("dL_dz = ...", "dL_dz = x @ p", "InvalidArgumentError: Matrix size-incompatible", "dL_dz ="),
        ("dL_dz = ...", "dL_dz = x.T @ p", "has no attribute 'T'; TensorFlow has tf.transpose(a).", "dL_dz ="),
        ("dL_dz = ...", "dL_dz = x.sum()", "has no attribute 'sum'; TensorFlow has tf.reduce_sum(a).", "dL_dz ="),
        (
            "dL_dz = ...",
            "dL_dz = p - y",
            "; TensorFlow mixes no dtypes, and this check computes in float64.",
            "dL_dz =",
        ),
        ("dL_dz = ...", "dL_dz = p^2", "; a power is x**2, and not x^2.", "dL_dz ="),
        ("dL_dz = ...", "dL_dz = ... / n", "there is still ... in this line.", "dL_dz ="),
        ("dL_dz = ...", "dL_dz = logits(parameters, y)", "InvalidArgumentError", "return x @"),
        ("def loss(", "1 / 0\ndef loss(", "ZeroDivisionError: division by zero.", "1 / 0"),
        ("def loss(", "exit()\ndef loss(", "the file ends the process here", "exit()"),
    ],
)
def test_one_line_with_the_line_of_their_file(old, new, says, line, examined):
    text = making.exercise(lesson_of("11")).replace(old, new, 1)
    outcome = examined("11", text)
    assert outcome.text.count("\n") == 0
    assert f"11_mnist_softmax_hand_derived.py, line {line_of(text, line)}: " in outcome.text
    assert says in outcome.text
    assert outcome.state == "does not run"


def test_a_missing_function_and_a_missing_gradient(examined):
    text = solved("11")
    outcome = examined("11", text.replace("def gradients_by_hand", "def gradients"))
    assert "there is no function gradients_by_hand" in outcome.text
    outcome = examined("11", text.replace('return {"W": dL_dW, "b": dL_db}', "return None"))
    assert "gradients_by_hand returns nothing: is its return missing?" in outcome.text
    outcome = examined("11", text.replace('return {"W": dL_dW, "b": dL_db}', 'return {"W": dL_dW}'))
    assert "dL_db" in outcome.text
    assert not outcome.solved


def test_a_file_that_is_not_text(tmp_path):
    path = tmp_path / "11_mnist_softmax_hand_derived.py"
    path.write_bytes(b"\xff\xfe")
    assert "not UTF-8" in examining.examine(lesson_of("11"), path).text


# The commands


def test_never_over_a_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    practice.practice("11")
    path = tmp_path / "practice" / "11_mnist_softmax_hand_derived.py"
    assert "fill in its blank lines" in capsys.readouterr().out
    path.write_text("mine")
    with pytest.raises(DataError, match="exists and is left as it is"):
        practice.practice("11")
    assert path.read_text() == "mine"


def test_what_has_no_exercise_and_what_is_not_begun(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="lesson 04 has no exercise: they are 01, 02"):
        practice.practice("04")
    with pytest.raises(UsageError, match="there is no lesson 99"):
        practice.check("99")
    with pytest.raises(DataError, match=r"practice.07_two_layer_network\.py: there is no such file; .*practice 07"):
        practice.check("07")
    with pytest.raises(UsageError, match="no exercise is begun"):
        practice.check()
    assert not list(tmp_path.iterdir())


def test_the_list_is_checked_and_not_stored(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    practice.practice("01", "02")
    (tmp_path / "practice" / "01_regression.py").write_text(solved("01"), encoding="utf-8")
    capsys.readouterr()
    practice.practice()
    rows = {line[:2]: line for line in capsys.readouterr().out.splitlines()}
    assert rows["01"].endswith("  solved")
    assert rows["02"].endswith("  2 lines are blank")
    assert rows["12"].endswith("  not begun")
    assert sorted(path.name for path in (tmp_path / "practice").glob("*.py")) == [
        "01_regression.py",
        "02_binary_classification.py",
    ]


def test_hint_and_answer_are_seen_only_when_asked_for(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    practice.practice("11")
    for options, there, absent in (
        ({}, ["--hint"], ["divided by n like L itself", "(p - onehot) / n"]),
        ({"hint": True}, ["Hint for dL_dz: divided by n like L itself"], ["(p - onehot) / n"]),
        ({"answer": True}, ["The lesson's line: dL_dz = (p - onehot) / n"], ["divided by n like"]),
    ):
        capsys.readouterr()
        with pytest.raises(LessonError, match="not solved yet: exercise 11: 3 lines are blank"):
            practice.check("11", **options)
        out = capsys.readouterr().out
        assert all(text in out for text in there)
        assert not any(text in out for text in absent)


def test_json_for_a_grader(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "11_mnist_softmax_hand_derived.py"
    path.write_text(solved("11").replace("(p - onehot) / n", "print('mine') or p - onehot"), encoding="utf-8")
    with pytest.raises(LessonError):
        practice.check(str(path), json=True)
    (told,) = json.loads(capsys.readouterr().out)
    assert (told["exercise"], told["solved"]) == ("11_mnist_softmax_hand_derived", False)
    assert told["wrong"][0]["name"] == "dL_dz"
    assert told["wrong"][0]["verdict"].startswith("dL_dz is wrong. Yours is 7 times")
    path.write_text(solved("11"), encoding="utf-8")
    practice.check(str(path), json=True)
    assert json.loads(capsys.readouterr().out)[0]["solved"] is True


def test_the_words_of_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for words, status in ((["practice", "01"], 0), (["check", "01"], 1), (["check", "77"], 2), (["practice"], 0)):
        monkeypatch.setattr(sys, "argv", ["tf_backprop", *words])
        monkeypatch.setattr(sys, "orig_argv", ["python", *sys.argv])
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            try:
                commands.main()
                ended = 0
            except SystemExit as end:
                ended = end.code
            except LessonError as error:
                ended = error.exit_status
        assert ended == status, out.getvalue()


def test_the_page_shows_what_is_printed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "practice.md").read_text(encoding="utf-8")
    practice.practice("11")
    path = tmp_path / "practice" / "11_mnist_softmax_hand_derived.py"
    text = path.read_text(encoding="utf-8")
    assert text[text.index("def gradients_by_hand") : text.index("\n\nif __name__")] in page
    path.write_text(solved("11").replace("(p - onehot) / n", "p - onehot"), encoding="utf-8")
    for options in ({}, {"hint": True}):
        with pytest.raises(LessonError) as raised:
            practice.check("11", **options)
    assert f"error: {raised.value}" in page
    path.write_text(solved("11"), encoding="utf-8")
    practice.check("11")
    said = capsys.readouterr().out.splitlines()
    assert len(said) > 8
    for line in said:
        assert line in page or line.startswith("dL_d"), line


def python(*arguments, cwd):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, timeout=120
    )


@pytest.mark.slow
def test_as_a_reader_does(scripts, tmp_path):
    begun = python("-m", "tf_backprop", "practice", "07", cwd=tmp_path)
    assert (begun.returncode, begun.stderr) == (0, "")
    path = tmp_path / "practice" / "07_two_layer_network.py"
    blank = scripts.run(path, cwd=tmp_path, environment=clean())
    assert blank.returncode == 1
    assert "dL_dy_hat is still blank" in blank.stdout
    assert blank.stderr == "error: not solved yet: exercise 07: 10 lines are blank\n"
    path.write_text(solved("07"), encoding="utf-8")
    right = scripts.run(path, cwd=tmp_path, environment=clean())
    assert (right.returncode, right.stderr) == (0, "")
    assert "solved" in right.stdout
    again = python("-m", "tf_backprop", "check", cwd=tmp_path)
    assert (again.returncode, again.stderr) == (0, "")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals are other things there")
def test_ctrl_c_ends_an_endless_loop(tmp_path):
    (tmp_path / "practice").mkdir()
    text = solved("11").replace("    n = tf", "    print('in the loop', flush=True)\n    while True: pass\n    n = tf")
    (tmp_path / "practice" / "11_mnist_softmax_hand_derived.py").write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "tf_backprop", "check", "11"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, **pipes) as process:
        try:
            assert process.stdout.readline() == "in the loop\n"
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=20)
        finally:
            process.kill()
    assert (process.returncode, said) == (130, "error: interrupted\n")
