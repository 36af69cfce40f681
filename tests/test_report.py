from tf_backprop import gradient_check, report
from tf_backprop.support.errors import DivergedError, GradientError

import numpy as np
import pytest
import tensorflow as tf


def square(p, x):
    return tf.reduce_mean((x @ p["W"]) ** 2)


def right(p, x):
    return {"W": 2 * tf.transpose(x) @ (x @ p["W"]) / (len(x) * p["W"].shape[1])}


def tape(p, x):
    with tf.GradientTape() as t:
        t.watch(p)
        L = square(p, x)
    return t.gradient(L, p)


@pytest.fixture
def case():
    rng = np.random.default_rng(0)
    return {"W": rng.normal(size=(3, 2))}, [rng.normal(size=(5, 3)).astype(np.float32)]


def test_right_gradient_passes_and_prints_a_row(case, capsys):
    gradient_check.check_by_hand_and_tape(square, right, tape, *case)
    header, row = capsys.readouterr().out.splitlines()
    assert header.split()[:2] == ["gradient", "shape"]
    name, *shape, from_tape, from_differences = row.split()
    assert (name, shape) == ("dL_dW", ["(3,", "2)"])
    assert float(from_tape) < 1e-12
    assert 0 < float(from_differences) < 1e-8


@pytest.mark.parametrize("factor", [1 + 1e-5, 0.5, -1, 0])
def test_wrong_gradient_is_an_error(factor, case, capsys):
    with pytest.raises(GradientError, match="dL_dW"):
        gradient_check.check_by_hand_and_tape(square, lambda p, x: {"W": factor * right(p, x)["W"]}, tape, *case)
    assert "dL_dW" in capsys.readouterr().out, "the table is printed all the same"


def test_transposed_gradient_is_an_error(case):
    with pytest.raises(GradientError, match=r"shape \(2, 3\)"):
        gradient_check.check_by_hand_and_tape(square, lambda p, x: {"W": tf.transpose(right(p, x)["W"])}, tape, *case)


def test_tape_alone_and_a_bare_number_are_checked(case, capsys):
    gradient_check.check_by_hand_and_tape(square, None, tape, *case)
    with pytest.raises(GradientError):  # the tape of another loss
        gradient_check.check_by_hand_and_tape(lambda p, x: 2 * square(p, x), None, tape, *case)
    x = np.float32([1, 2])
    gradient_check.check_by_hand_and_tape(
        lambda A, x: tf.reduce_sum(A * x), lambda A, x: tf.reduce_sum(x), lambda A, x: tf.reduce_sum(x), 3.0, [x]
    )
    with pytest.raises(GradientError, match="dL_dA"):
        gradient_check.check_by_hand_and_tape(
            lambda A, x: tf.reduce_sum(A * x), lambda A, x: -tf.reduce_sum(x), lambda A, x: tf.reduce_sum(x), 3.0, [x]
        )


def test_a_known_mistake_may_be_shown(case, capsys):
    gradient_check.check_by_hand_and_tape(
        square, lambda p, x: {"W": 3 * right(p, x)["W"]}, tape, *case, must_agree=False
    )
    assert float(capsys.readouterr().out.split()[-1]) > 0.1


def test_comparison_has_aligned_columns(capsys):
    rows = [report.Row("A", 9.8532, 9.83, 9.89214897), report.Row("much longer", 1.0)]
    rows.append(report.Row("L", 0.5, None, 0.25, report.REPRODUCED))
    report.print_comparison(rows)
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines[0].split() == ["learned", "expected", "document", "source"]
    assert lines[1].split() == ["A", "9.8532", "9.83", "9.89215", "printed", "by", "the", "document"]
    assert lines[2].split() == ["much", "longer", "1", "-", "-"]
    assert lines[3].split() == ["L", "0.5", "-", "0.25", *report.REPRODUCED.split()]


def test_comparison_without_a_number_of_the_document_has_no_such_column(capsys):
    report.print_comparison([report.Row("A", 9.8532, 9.83)])
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["learned", "expected"],
        ["A", "9.8532", "9.83"],
    ]


def test_cost_rows_are_about_ten():
    costs = np.linspace(2, 1, 500)
    rows = report.cost_rows(costs, {})
    assert [row.quantity for row in rows] == [f"cost, epoch {e}" for e in range(50, 501, 50)]
    assert rows[-1].learned == 1
    assert [row.published for row in report.cost_rows(costs[:3], {1: 5.0})] == [5.0, None, None]


def test_divergence_is_named_by_its_step():
    report.require_finite(np.array([1.0, 2.0]))
    for bad in (np.nan, np.inf):
        losses = np.array([1.0, 2.0, bad, 1.0])
        assert report.finite_steps(losses) == 2
        with pytest.raises(DivergedError, match="at epoch 3: lower --rate"):
            report.require_finite(losses, "epoch", "--rate")
