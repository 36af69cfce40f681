from tf_backprop import report
from tf_backprop.support.errors import DivergedError

import numpy as np
import pytest


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
