# ruff: noqa: E731 - the functions here are the readers' short ones
"""What ``check_gradients`` passes, flags, warns of and refuses; which mistake it names is in test_diagnosis.py."""

import json
import pickle
import subprocess
import sys
import time

from tf_backprop import check_gradients
from tf_backprop.gradient_check import Report
from tf_backprop.support.errors import GradientError
from tools import mistakes
from tools.mistakes import by_hand, cross_entropy, network

import numpy as np
import pytest


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def batch(rng):
    return rng.normal(size=(7, 6)), rng.integers(4, size=7)


def wrong(report):
    return [row.name for row in report.rows if not row.ok]


def least_squares(p, x, y):
    return np.mean((x @ p - y) ** 2)


def of_least_squares(p, x, y):
    return 2 * x.T @ (x @ p - y) / len(x)


# What is right passes.


def test_a_right_gradient_is_right_and_prints_nothing(rng, batch, capsys):
    report = check_gradients(cross_entropy, by_hand, network(rng), *batch)
    assert report.ok
    assert report.warnings == report.sentences == []
    assert [(row.name, row.shape, row.verdict) for row in report.rows] == [
        ("W1", (6, 5), "right"),
        ("b1", (5,), "right"),
        ("W2", (5, 4), "right"),
        ("b2", (4,), "right"),
    ]
    assert all(row.error < 1e-8 and row.from_tape is None for row in report.rows)
    assert report.raise_if_wrong() is report
    assert capsys.readouterr().out == ""
    header, first, *_ = str(report).splitlines()
    assert header.split("  ")[0] == "gradient"
    assert first.split()[0] == "dL_dW1"
    assert first.endswith("right")


def test_a_wrong_gradient_is_an_error_with_the_report_as_its_text(rng, batch):
    report = check_gradients(cross_entropy, lambda *a: by_hand(*a, "sign"), network(rng), *batch)
    assert not report.ok
    with pytest.raises(GradientError) as caught:
        report.raise_if_wrong()
    assert str(caught.value) == f"dL_dW1, dL_db1, dL_dW2, dL_db2: not what the loss says\n{report}"
    assert "W1, b1, W2, b2: Yours is the right gradient with the opposite sign." in str(report)


def test_no_false_alarm_where_relu_has_kinks_all_around():
    for seed in range(60):
        rng = np.random.default_rng(seed)
        p = {
            "W1": rng.normal(size=(8, 40)),
            "b1": rng.normal(size=40),
            "W2": rng.normal(size=(40, 3)),
            "b2": np.zeros(3),
        }
        report = check_gradients(
            cross_entropy, by_hand, p, rng.normal(size=(64, 8)), rng.integers(3, size=64), seed=seed
        )
        assert report.ok, f"{seed}: {report}"


def normalised(p, x, y):  # the bias before the normalisation has no effect
    z = x @ p["W"] + p["b"]
    z = (z - z.mean(0)) / z.std(0)
    return np.mean((z - y) ** 2)


def of_normalised(p, x, y, b=0.0):
    z = x @ p["W"] + p["b"]
    n, s = len(z), z.std(0)
    a = (z - z.mean(0)) / s
    da = 2 * (a - y) / a.size
    dz = (da - da.mean(0) - a * (da * a).mean(0)) / s
    return {"W": x.T @ dz, "b": dz.sum(0) + b * np.ones(z.shape[1]) + 0 * n}


def test_a_gradient_that_is_exactly_zero(rng):
    p, batch = (
        {"W": rng.normal(size=(4, 3)), "b": rng.normal(size=3)},
        (rng.normal(size=(9, 4)), rng.normal(size=(9, 3))),
    )
    assert check_gradients(normalised, of_normalised, p, *batch).ok
    off = check_gradients(normalised, lambda *a: of_normalised(*a, 1e-3), p, *batch)
    assert wrong(off) == ["b"]
    assert "times" not in str(off), "no factor where the right one is zero"


@pytest.mark.parametrize("size", [1, 1e5])
def test_a_gradient_at_the_optimum_of_a_large_loss(rng, size):
    x, y = rng.normal(size=(20, 3)), size * rng.normal(size=20)
    best = np.linalg.lstsq(x, y, rcond=None)[0]
    report = check_gradients(least_squares, of_least_squares, best, x, y)
    assert report.ok, report
    assert report.rows[0].name == "A"


def test_a_gradient_that_is_tiny_beside_a_large_loss_cannot_be_told(rng):
    x, y = rng.normal(size=(20, 3)), rng.normal(size=20)
    loss = lambda p, x, y: 1e9 + 1e-4 * least_squares(p, x, y)
    for factor in (1e-4, 2e-4):
        report = check_gradients(loss, lambda *a, f=factor: f * of_least_squares(*a), rng.normal(size=3), x, y)
        assert report.ok
        assert report.rows[0].verdict == "cannot tell from zero"
        assert "smaller than the rounding of the loss" in report.warnings[0]


def test_a_gradient_computed_in_float32(rng, batch):
    narrow = lambda *a: {name: np.float32(g) for name, g in by_hand(*a).items()}
    report = check_gradients(cross_entropy, narrow, network(rng), *batch)
    assert report.ok, report
    assert "computed in float32: errors below 0.0001" in report.warnings[0]
    assert not check_gradients(
        cross_entropy, lambda *a: {k: 1.01 * g for k, g in narrow(*a).items()}, network(rng), *batch
    ).ok


def in_float32(p, x, y):
    return cross_entropy({name: np.float32(value) for name, value in p.items()}, np.float32(x), y)


def test_a_loss_computed_in_float32(rng, batch):
    for seed in range(20):
        p = network(np.random.default_rng(seed))
        report = check_gradients(in_float32, by_hand, p, *batch, seed=seed)
        assert report.ok, report
        assert "The loss is computed in float32" in report.warnings[0]
    for mistake in ("sign", "no 1/n", "frozen biases", "db a mean on top of 1/n"):
        report = check_gradients(in_float32, lambda *a, m=mistake: by_hand(*a, m), p, *batch)
        assert wrong(report) == (["b1", "b2"] if "b" in mistake else ["W1", "b1", "W2", "b2"]), report


def of_any_size(seed):
    """Return a network of ReLU in float32, of random sizes, with its batch."""
    rng = np.random.default_rng(seed)
    sizes, n = tuple(rng.integers(2, 12, 3)), int(rng.integers(2, 40))
    p = {name: np.float32(value * rng.choice([0.1, 1])) for name, value in network(rng, sizes).items()}
    return p, np.float32(rng.choice([0.1, 1, 2]) * rng.normal(size=(n, sizes[0]))), rng.integers(sizes[2], size=n)


def all_in_float32(p, x, y, **factors):
    g = by_hand({name: np.float32(value) for name, value in p.items()}, np.float32(x), y)
    return {name: np.float32(value * factors.get(name, 1)) for name, value in g.items()}


@pytest.mark.parametrize("loss", [cross_entropy, in_float32], ids=["loss in float64", "loss in float32"])
def test_float32_rounds_and_is_not_accused_and_five_per_cent_is_seen(loss):
    for seed in range(25):
        p, *batch = of_any_size(seed)
        report = check_gradients(loss, all_in_float32, p, *batch, seed=seed)
        assert report.ok, f"{seed}: {report}"
        for name in p if seed < 5 or loss is cross_entropy else ():
            scaled = lambda *a, name=name: all_in_float32(*a, **{name: 1.05})
            off = check_gradients(loss, scaled, p, *batch, seed=seed)
            small = any(f"the gradient for {name} are not seen here" in warning for warning in off.warnings)
            assert wrong(off) == [name] or (small and wrong(off) == [] and loss is in_float32), f"{seed}: {off}"


def test_a_loss_that_hides_its_float32_is_found_out(rng, batch):
    report = check_gradients(lambda *a: float(in_float32(*a)), by_hand, network(rng), *batch)
    assert report.ok, report
    assert "The loss is computed in float32" in report.warnings[0]


def test_parameters_in_float32_are_checked_in_float64(rng, batch):
    seen = []

    def loss(p, x, y):
        seen.append((p["W1"].dtype, x.dtype, y.dtype))
        return cross_entropy(p, x, y)

    p = {name: np.float32(value) for name, value in network(rng).items()}
    report = check_gradients(loss, by_hand, p, np.float32(batch[0]), batch[1])
    assert report.ok
    assert report.warnings == []
    assert set(seen) == {(np.dtype("float64"), np.dtype("float64"), np.dtype("int64"))}


# What is wrong does not.


@pytest.mark.parametrize("factor", [1 + 1e-5, 1 - 1e-5, 0.5, -1, 0, 1000])
def test_a_factor_is_flagged_in_the_parameter_that_has_it(rng, batch, factor):
    for name in ("W1", "b1", "W2", "b2"):
        gradients = lambda *a, name=name: by_hand(*a) | {name: factor * by_hand(*a)[name]}
        report = check_gradients(cross_entropy, gradients, network(rng), *batch)
        assert wrong(report) == [name]
        assert report.rows[["W1", "b1", "W2", "b2"].index(name)].error == pytest.approx(abs(factor - 1), rel=1e-2)


def test_one_wrong_number_among_thousands(rng):
    p = {"W": rng.normal(size=(784, 10)), "b": rng.normal(size=10)}
    x, y = rng.uniform(size=(32, 784)), rng.integers(10, size=32)
    slip = np.zeros((784, 10))
    slip[300, 4] = 1e-3
    report = check_gradients(softmax_loss, lambda *a: of_softmax(*a) | {"W": of_softmax(*a)["W"] + slip}, p, x, y)
    assert wrong(report) == ["W"]
    assert "column 4" in str(report)


@pytest.mark.parametrize("slip", [[[1, -1], [0, 0]], [[1, -1], [-1, 1]], [[1, 0], [0, -1]]])
def test_errors_that_cancel_in_the_sum_are_seen(rng, slip):
    """Along a direction that is all ones, or the same in a row or a column, these gradients would pass."""
    p = {"W": rng.normal(size=(6, 4))}
    x, y = rng.normal(size=(7, 6)), rng.normal(size=(7, 4))
    wrong_by = np.zeros((6, 4))
    wrong_by[2:4, 1:3] = np.multiply(0.1, slip)
    for seed in range(5):
        report = check_gradients(
            lambda p, x, y: np.sum((x @ p["W"] - y) ** 2),
            lambda p, x, y: {"W": 2 * x.T @ (x @ p["W"] - y) + wrong_by},
            p, x, y, seed=seed,
        )  # fmt: skip
        assert wrong(report) == ["W"]


def softmax_loss(p, x, y):
    z = x @ p["W"] + p["b"]
    z = z - z.max(1, keepdims=True)
    return np.mean(np.log(np.exp(z).sum(1)) - z[np.arange(len(y)), y])


def of_softmax(p, x, y):
    z = x @ p["W"] + p["b"]
    dz = (mistakes.softmax(z) - np.eye(z.shape[1])[y]) / len(y)
    return {"W": x.T @ dz, "b": dz.sum(0)}


def test_few_evaluations(rng):
    p = {"W": rng.normal(size=(784, 10)), "b": rng.normal(size=10)}
    calls = []

    def loss(*a):
        calls.append(time.perf_counter())
        return softmax_loss(*a)

    assert check_gradients(loss, of_softmax, p, rng.uniform(size=(64, 784)), rng.integers(10, size=64)).ok
    assert len(calls) <= 20


# Warnings name what to change.


def test_a_saturated_loss_is_not_the_gradients_fault(rng, batch):
    def loss(p, x, y):
        return -np.mean(np.log(mistakes.softmax(1e4 * x @ p)[np.arange(len(y)), y]))

    report = check_gradients(loss, lambda p, x, y: np.zeros_like(p), rng.normal(size=(6, 4)), *batch)
    assert report.rows[0].verdict == "not checked: the loss is inf"
    assert not report.ok
    assert "take smaller parameters, or compute it from logits" in str(report)
    assert report.sentences == []


def test_a_random_loss(rng, batch):
    noise = np.random.default_rng(1)
    dropout = lambda p, x, y: cross_entropy(p, x * (noise.uniform(size=x.shape) > 0.5), y)
    report = check_gradients(dropout, by_hand, network(rng), *batch)
    assert {row.verdict for row in report.rows} == {"not checked: the loss is random"}
    assert not report.ok
    assert "Two calls of the loss differ" in report.warnings[0]


@pytest.mark.parametrize("convention", [0, 1])
def test_a_kink_at_the_point_itself(rng, convention):
    x, y = rng.normal(size=(5, 3)), rng.normal(size=5)
    loss = lambda p, x, y: np.mean(np.maximum(p["b"], 0) * x[:, 0] + (x @ p["w"] - y) ** 2)
    slope = lambda b: np.where(b == 0, convention, b > 0)
    gradients = lambda p, x, y: {"w": of_least_squares(p["w"], x, y), "b": slope(p["b"]) * x[:, 0].mean()}
    report = check_gradients(loss, gradients, {"w": rng.normal(size=3), "b": 0.0}, x, y)
    assert report.ok, report
    assert report.rows[1].verdict == "cannot tell: a kink"
    assert "kink of the loss along b" in report.warnings[0]
    assert wrong(
        check_gradients(loss, lambda *a: {**gradients(*a), "b": 3.0}, {"w": rng.normal(size=3), "b": 0.0}, x, y)
    ) == ["b"]


def test_a_point_where_all_is_zero(batch):
    p = {name: np.zeros_like(value) for name, value in network(np.random.default_rng(0)).items()}
    report = check_gradients(cross_entropy, by_hand, p, *batch)
    assert any("all zero, which hides mistakes" in warning for warning in report.warnings)


def test_a_batch_of_one_and_sizes_that_coincide(rng):
    p = network(rng)
    x, y = rng.normal(size=(7, 6)), rng.integers(4, size=7)
    assert "A batch of one row" in check_gradients(cross_entropy, by_hand, p, x[:1], y[:1]).warnings[0]
    (warning,) = check_gradients(cross_entropy, by_hand, p, x[:5], y[:5]).warnings
    assert "The batch has 5 rows, and 5 is also a size of W1 (6, 5)" in warning
    per_row = check_gradients(lambda o, t: np.mean((o - t) ** 2), lambda o, t: 2 * (o - t) / len(t), x[:, 0], x[:, 1])
    assert per_row.warnings == [], "one output per row is no coincidence"
    square = network(rng, (6, 5, 5))
    (warning,) = check_gradients(cross_entropy, by_hand, square, x, y).warnings
    assert "W2 (5, 5): equal sizes hide a transpose" in warning


# Structures.


def test_structures_and_their_names(rng, batch):
    W1, b1, W2, b2 = network(rng).values()

    def as_dict(p):
        return dict(zip(("W1", "b1", "W2", "b2"), p, strict=True))

    def nested(p):
        return [p["weights"][0], p["biases"][0], p["weights"][1], p["biases"][1]]

    p = {"weights": [W1, W2], "biases": [b1, b2]}

    def gradients(p, x, y):
        g = by_hand(as_dict(nested(p)), x, y)
        return {"weights": [g["W1"], -g["W2"]], "biases": (g["b1"], g["b2"])}

    report = check_gradients(lambda p, x, y: cross_entropy(as_dict(nested(p)), x, y), gradients, p, *batch)
    assert [row.name for row in report.rows] == ["weights[0]", "weights[1]", "biases[0]", "biases[1]"]
    assert wrong(report) == ["weights[1]"]
    assert "biases[1] is right, so the error dL/dz of its layer is right" in str(report)

    def of_tuple(p, x, y):
        return tuple(by_hand(as_dict(p), x, y).values())

    report = check_gradients(lambda p, x, y: cross_entropy(as_dict(p), x, y), of_tuple, (W1, b1, W2, b2), *batch)
    assert report.ok
    assert [row.name for row in report.rows] == [f"parameters[{i}]" for i in range(4)]


def test_one_array_and_one_bare_number(rng):
    x, y = rng.normal(size=(5, 3)), rng.normal(size=5)
    assert check_gradients(least_squares, of_least_squares, rng.normal(size=3), x, y).ok
    report = check_gradients(lambda A, x: np.mean((A * x) ** 2), lambda A, x: 2 * A * np.mean(x**2), 3.0, y)
    assert report.ok
    assert [(row.name, row.shape) for row in report.rows] == [("A", ())]
    half = check_gradients(lambda A, x: np.mean((A * x) ** 2), lambda A, x: A * np.mean(x**2), 3.0, y)
    assert half.rows[0].verdict == "2 times too small"
    assert "looks like the 2 of the square is missing" in str(half)
    slip = check_gradients(lambda A, x: np.mean((A * x) ** 2), lambda A, x: 2 * A * np.mean(x**2) + 0.1, 3.0, y)
    assert "A: Yours is 2.7265, and should be 2.6265." in str(slip)


def test_the_label_is_what_a_gradient_is_called(rng):
    report = check_gradients(lambda p: p["x"] ** 2, lambda p: {"x": 2 * p["x"]}, {"x": 1.5}, label="dy2_d{}")
    assert str(report).splitlines()[1].startswith("dy2_dx ")


def test_lists_of_numbers_are_arrays(rng):
    x, y = rng.normal(size=(8, 3)), rng.normal(size=8)
    loss = lambda p, x, y: least_squares(p, np.array(x), np.array(y))
    summed = lambda p, x, y: len(x) * of_least_squares(p, np.array(x), np.array(y))
    report = check_gradients(loss, summed, rng.normal(size=3), x.tolist(), y.tolist())
    assert "the 1/n of the mean is missing (the batch has 8 rows)" in str(report)
    valley = lambda p: (p[0] - 1) ** 2 + 100 * (p[1] - p[0] ** 2) ** 2
    slopes = lambda p: [2 * (p[0] - 1) - 400 * p[0] * (p[1] - p[0] ** 2), 200 * (p[1] - p[0] ** 2)]
    assert check_gradients(valley, slopes, [0.3, 0.7]).ok
    assert check_gradients(valley, slopes, np.array([0.3, 0.7])).ok
    assert check_gradients(lambda p: np.sum(p["w"] ** 2), lambda p: {"w": 2 * p["w"], "none": p["none"]},
                           {"w": x, "none": np.zeros(0)}).ok  # fmt: skip


def test_the_derivative_of_a_single_sample(rng):
    """A vector has no rows: it is one sample."""
    p, x, y = {"W": rng.normal(size=(2, 3)), "b": rng.normal(size=2)}, rng.normal(size=3), rng.normal(size=2)
    output = lambda p, x: mistakes.sigmoid(p["W"] @ x + p["b"])
    loss = lambda p, x, y: np.sum((output(p, x) - y) ** 2) / 2

    def gradients(p, x, y, missing=False):
        a = output(p, x)
        dz = (a - y) * (1 if missing else a * (1 - a))
        return {"W": np.outer(dz, x), "b": dz}

    assert check_gradients(loss, gradients, p, x, y).ok
    report = check_gradients(loss, lambda *a: gradients(*a, missing=True), p, x, y)
    assert "W, b: On single rows the derivative of the sigmoid, a (1 - a), is missing" in str(report)


def test_an_update_is_not_named_where_any_rate_would_do():
    """A step far enough leaves a hinge active in every row, as a gradient without its mask has it."""
    hinge = lambda p, x, y: np.mean(np.maximum(0, 1 - y * (x @ p)))
    for seed in (6, 45, 58):
        rng = np.random.default_rng(seed)
        x, y, p = rng.normal(size=(8, 3)), rng.choice([-1.0, 1.0], 8), rng.normal(size=3)
        report = check_gradients(hinge, lambda p, x, y: -x.T @ y / len(y), p, x, y)
        assert not report.ok
        assert "after an update" not in str(report)


def test_what_is_not_the_bias_of_a_layer_says_nothing_of_its_error(rng):
    rows, y = np.array([0, 1, 1, 4, 0, 2]), rng.normal(size=6)
    loss = lambda p, rows, y: np.mean((p["E"][rows] @ p["v"] - y) ** 2)

    def gradients(p, rows, y):
        error, dE = 2 * (p["E"][rows] @ p["v"] - y) / len(y), np.zeros_like(p["E"])
        dE[rows] += error[:, None] * p["v"]  # counts each row once
        return {"E": dE, "v": p["E"][rows].T @ error}

    report = check_gradients(loss, gradients, {"E": rng.normal(size=(5, 3)), "v": rng.normal(size=3)}, rows, y)
    assert report.rows[0].verdict == "wrong in rows 0, 1"
    assert report.where == []


def test_gradients_that_change_from_call_to_call(rng, batch):
    total = {}

    def added_up(p, x, y):
        for name, g in by_hand(p, x, y).items():
            total[name] = total.get(name, 0) + g
        return total

    masked = lambda p, x, y: by_hand(p, x * (np.random.default_rng().uniform(size=x.shape) > 0.5), y)
    for gradients in (added_up, masked):
        report = check_gradients(cross_entropy, gradients, network(rng), *batch)
        assert {row.verdict for row in report.rows} == {"two calls differ"}
        assert "is it added to what an earlier call left (set it to zero first), or random?" in str(report)


# Clear errors.


@pytest.mark.parametrize(
    ("gradients", "said"),
    [
        (lambda p, x, y: None, "gradients returns None"),
        (lambda p, x, y: by_hand(p, x, y) | {"b3": 1.0}, "gradients returns b3, which no parameter is called"),
        (lambda p, x, y: list(by_hand(p, x, y).values()), "the parameters are a dict"),
        (lambda p, x, y: by_hand(p, x, y) | {"W1": "no"}, "the gradient for W1 is no array of numbers"),
        (lambda p, x, y: by_hand(p, x @ x, y), "gradients raises ValueError: matmul"),
        (lambda p, x, y: np.subtract(p["W1"], 1, out=p["W1"]), "gradients changes W1 in place"),
        (lambda p, x, y: np.multiply(x, 0, out=x), "gradients changes argument 2 in place"),
    ],
)
def test_what_is_no_gradient_is_one_clear_line(rng, batch, gradients, said):
    with pytest.raises(GradientError) as caught:
        check_gradients(cross_entropy, gradients, network(rng), *batch)
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_the_readers_own_line_is_named(rng, batch):
    def gradients(p, x, y):
        return {"W1": np.linalg.inv(x)}  # this line

    with pytest.raises(GradientError, match=r"LinAlgError: .* at test_gradient_check.py:\d+: return .*inv\(x\)"):
        check_gradients(cross_entropy, gradients, network(rng), *batch)


def test_missing_none_and_wrong_shapes_are_rows(rng, batch):
    def gradients(p, x, y):
        g = by_hand(p, x, y)
        return {"W1": g["W1"].T, "W2": None, "b2": g["b2"] * np.nan}

    report = check_gradients(cross_entropy, gradients, network(rng), *batch)
    assert [row.verdict for row in report.rows] == ["transposed", "missing", "None", "not finite"]
    assert "The gradient has the shape (5, 6), W1 has (6, 5): transposed? Its transpose is right." in str(report)


def test_a_loss_that_is_no_number(rng, batch):
    with pytest.raises(GradientError, match=r"loss returns the shape \(7,\)"):
        check_gradients(lambda p, x, y: x[:, 0], by_hand, network(rng), *batch)
    with pytest.raises(GradientError, match="loss raises KeyError: 'W3'"):
        check_gradients(lambda p, x, y: p["W3"], by_hand, network(rng), *batch)
    with pytest.raises(GradientError, match="the parameter W is no array of numbers: str"):
        check_gradients(cross_entropy, by_hand, {"W": "word"}, *batch)
    with pytest.raises(GradientError, match="there are no parameters"):
        check_gradients(cross_entropy, by_hand, {}, *batch)


# Frameworks.


def test_the_import_is_light():
    code = "import sys, tf_backprop; assert not {'tensorflow', 'matplotlib', 'numpy'} & set(sys.modules)\n"
    code += "import numpy as np; from tf_backprop import check_gradients\n"
    code += "assert check_gradients(lambda p: np.sum(p**2), lambda p: 2 * p, np.ones((2, 3))).ok\n"
    code += "assert not {'tensorflow', 'matplotlib'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def tf_network():
    tf = pytest.importorskip("tensorflow")

    def loss(p, x, y):
        z = tf.nn.relu(x @ p["W1"] + p["b1"]) @ p["W2"] + p["b2"]
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=z))

    def gradients(p, x, y):
        return {
            name: tf.constant(g)
            for name, g in by_hand({k: v.numpy() for k, v in p.items()}, x.numpy(), y.numpy()).items()
        }

    return tf, loss, gradients


def test_tensorflow_has_the_tape_in_a_column(rng, batch):
    _, loss, gradients = tf_network()
    report = check_gradients(loss, gradients, network(rng), *batch)  # given NumPy's arrays, the functions get tensors
    assert report.ok, report
    assert all(float(row.from_tape) < 1e-12 for row in report.rows)
    assert "from the tape" in str(report).splitlines()[0]
    off = check_gradients(loss, lambda *a: {k: g * (1 + 1e-7) for k, g in gradients(*a).items()}, network(rng), *batch)
    assert {row.verdict for row in off.rows} == {"differs from the tape"}


def test_tensorflow_variables_stay_variables(rng, batch):
    tf, loss, _ = tf_network()

    def gradients(p, x, y):
        assert all(isinstance(value, tf.Variable) for value in p.values())
        with tf.GradientTape() as tape:
            L = loss(p, x, y)
        return tape.gradient(L, p)

    p = {name: tf.Variable(value, dtype=tf.float32) for name, value in network(rng).items()}
    assert check_gradients(loss, gradients, p, *map(tf.constant, batch)).ok


def test_tensorflow_in_float32_takes_the_tape_for_its_judge(rng, batch):
    tf, loss, gradients = tf_network()
    strict = lambda p, x, y: loss({k: v + tf.constant(0.0) for k, v in p.items()}, x, y)  # refuses float64
    p = {name: tf.constant(value, tf.float32) for name, value in network(rng).items()}
    x, y = tf.constant(batch[0], tf.float32), tf.constant(batch[1])
    report = check_gradients(strict, gradients, p, x, y)
    assert report.ok, report
    assert "0.0001 of it by the tape" in report.warnings[0]
    off = check_gradients(strict, lambda *a: {k: g * 1.002 for k, g in gradients(*a).items()}, p, x, y)
    assert not any(row.ok for row in off.rows)


def test_a_tape_that_gives_none_says_why(rng):
    tf = pytest.importorskip("tensorflow")
    x = tf.constant(rng.normal(size=(5, 3)))

    def through_numpy(p, x):
        return tf.reduce_mean((x @ p["W"]) ** 2) + np.sum(p["v"].numpy() ** 2)

    def gradients(p, x):
        W = 2 * tf.transpose(x) @ (x @ p["W"]) / (len(x) * 2)
        return {"W": W, "v": 2 * p["v"], "unused": 0 * p["unused"]}

    p = {"W": rng.normal(size=(3, 2)), "v": rng.normal(size=4), "unused": rng.normal(size=2)}
    report = check_gradients(through_numpy, gradients, {k: tf.constant(v) for k, v in p.items()}, x)
    assert report.ok, report
    assert [row.from_tape for row in report.rows][1:] == ["None", "None"]
    assert "None for v, though the loss depends on it: on the way there is NumPy" in str(report)
    assert "None for unused: the loss does not depend on it" in str(report)


def test_a_custom_gradient_that_forgets_dy(rng):
    tf = pytest.importorskip("tensorflow")

    @tf.custom_gradient
    def square(x):
        return x**2, lambda dy: 2 * x  # and not dy * 2 x

    loss = lambda p: tf.reduce_mean(square(p) * tf.constant([1.0, 2.0, 3.0], tf.float64))

    def by_tape(p):
        with tf.GradientTape() as tape:
            tape.watch(p)
            L = loss(p)
        return tape.gradient(L, p)

    p = tf.constant(rng.normal(size=3))
    report = check_gradients(loss, by_tape, p)
    assert not report.ok
    assert "is there a tf.custom_gradient in it?" in str(report)
    right = check_gradients(loss, lambda p: 2 * p * tf.constant([1.0, 2.0, 3.0], tf.float64) / 3, p)
    assert right.ok
    assert "The tape's gradient for A is wrong, yours is right" in right.warnings[0]


def test_jax(rng, batch):
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    jnp = jax.numpy

    def loss(p, x, y):
        z = jax.nn.relu(x @ p["W1"] + p["b1"]) @ p["W2"] + p["b2"]
        return -jnp.mean(jax.nn.log_softmax(z)[jnp.arange(len(y)), y])

    p = {name: jnp.asarray(value) for name, value in network(rng).items()}
    arrays = tuple(map(jnp.asarray, batch))
    report = check_gradients(jax.jit(loss), jax.grad(loss), p, *arrays)
    assert report.ok, report
    assert report.warnings == []
    frozen = lambda *a: jax.grad(loss)(*a) | {"b1": jnp.zeros(5)}
    assert wrong(check_gradients(loss, frozen, p, *arrays)) == ["b1"]


def test_pytorch(rng, batch):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")

    def loss(p, x, y):
        z = torch.relu(x @ p["W1"] + p["b1"]) @ p["W2"] + p["b2"]
        return torch.nn.functional.cross_entropy(z, y)

    def gradients(p, x, y):
        loss(p, x, y).backward()
        return {name: value.grad for name, value in p.items()}

    p = {name: torch.tensor(value, dtype=torch.float32, requires_grad=True) for name, value in network(rng).items()}
    arrays = torch.tensor(batch[0], dtype=torch.float32), torch.tensor(batch[1])
    report = check_gradients(loss, gradients, p, *arrays)
    assert report.ok, report
    assert report.warnings == []
    assert wrong(check_gradients(loss, lambda *a: gradients(*a) | {"b1": torch.zeros(5)}, p, *arrays)) == ["b1"]


def test_a_report_is_made_of_plain_things(rng, batch):
    report = check_gradients(cross_entropy, by_hand, network(rng), *batch)
    assert isinstance(report, Report)
    assert all(type(row.error) is float and type(row.ok) is bool for row in report.rows)
    assert [json.dumps(row.verdict) for row in report.rows] == ['"right"'] * 4
    assert str(pickle.loads(pickle.dumps(report))) == str(report)
