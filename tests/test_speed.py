"""What makes the lessons fast, without a clock: few traces, few entries from Python, float32, no padding."""

import re

from tf_backprop import command, datasets  # noqa: F401 - command imports TensorFlow, quietly
from tf_backprop.support import lessons
from tools import ledger

import numpy as np
import pytest
import tensorflow as tf

#: The lessons that train by a plain loop in Python, because they take few steps.
LOOPS = ("01", "02", "05")

#: By lesson: arguments, and how often training functions may be traced, and how often Python may enter them.
COUNTS = {
    "07": ({}, 3, 18),  # three optimizers, six times 500 updates by each
    "08": ({"steps": 40}, 1, 1),
    "09": ({"epochs": 4}, 1, 4),
    "10": ({"epochs": 4}, 1, 4),
    "11": ({"epochs": 4}, 1, 4),
    "12": ({"epochs": 35}, 1, 5),  # no epoch, three times ten epochs, and the rest
}


@pytest.fixture
def functions(monkeypatch):
    """Return a list of every tf.function that is made during the test, each with a count of its calls."""
    made, original = [], tf.function

    def recording(*args, **options):
        if not args:
            return lambda function: recording(function, **options)
        traced = original(*args, **options)

        def call(*given, **named):
            call.calls += 1
            return traced(*given, **named)

        call.calls, call.traced = 0, traced
        made.append(call)
        return call

    monkeypatch.setattr(tf, "function", recording)
    return made


@pytest.mark.parametrize("number", LOOPS)
def test_a_plain_loop_traces_nothing_and_stays_in_float32(number, functions):
    (lesson,) = lessons.select([number])
    module = lessons.load(lesson.path)
    seen, by_hand = set(), module.gradients_by_hand

    def watched(parameters, *batch):
        gradients = by_hand(parameters, *batch)
        seen.add(gradients["points"].dtype if number == "05" else gradients.dtype)
        return gradients

    module.gradients_by_hand = watched
    if number == "05":
        module.descend(module.all_points(module.STARTS), 3, 0.01, 4)
    else:
        data = datasets.regression if number == "01" else datasets.two_classes
        module.train(*ledger.prepare(module, data, seed=0, steps=3), 0.01)
    assert seen == {tf.float32}
    assert [function for function in functions if function.calls] == []


@pytest.mark.parametrize("number", COUNTS)
def test_traces_entries_from_python_and_float32(number, functions, tmp_path):
    arguments, traces, calls = COUNTS[number]
    if number in ("08", "09", "10", "11"):
        arguments = arguments | {"data": "digits"}
    (lesson,) = lessons.select([number])
    lessons.load(lesson.path).main(**arguments, figures=tmp_path)
    training = [function for function in functions if function.calls]
    assert sum(function.traced.experimental_get_tracing_count() for function in training) == traces
    assert sum(function.calls for function in training) == calls
    graphs = [one.graph for function in training for one in function.traced._list_all_concrete_functions()]
    assert len(graphs) >= traces
    for graph in graphs:
        floats = {d for op in _operations(graph) for out in op.outputs if (d := out.dtype).is_floating}
        assert floats == {tf.float32}


def _operations(graph):
    """Return the operations of a graph and of the loops' bodies in it."""
    yield from graph.get_operations()
    for name in graph._functions:
        inner = graph._functions[name]
        yield from getattr(inner, "graph", graph).get_operations() if hasattr(inner, "graph") else ()


def compiled_moons(train, start):
    n = 64
    data = tf.zeros([n, 2]), tf.zeros([n, 2])
    ir = train.experimental_get_compiler_ir(start, *data, tf.constant(1), tf.constant(0.01), "sigmoid", True)
    return n, ir(stage="optimized_hlo")


def padding(n, program):
    """Return the signs of a dynamic shape: a bound on a length, or a layer's output for all n rows."""
    return re.findall(rf"<={n}\b|f32\[{n},(?:25|50)\]", program)


def test_no_padding_in_the_compiled_program_of_the_moons():
    (lesson,) = lessons.select(["12"])
    module = lessons.load(lesson.path)
    start = module.initial_parameters(np.random.default_rng(0))
    n, program = compiled_moons(module.train, start)
    assert "f32[1,25]" in program
    assert not padding(n, program)
    assert "f64" not in program

    @tf.function(jit_compile=True)
    def padded(parameters, X, Y, epochs, learning_rate, activation, train_biases):
        while epochs > 0:
            for i in tf.range(X.shape[0]):
                gradients = module.gradients_by_tape(parameters, X[i : i + 1], Y[i : i + 1])
                parameters = {name: w - learning_rate * gradients[name] for name, w in parameters.items()}
            epochs -= 1
        return parameters

    assert padding(*compiled_moons(padded, start))  # so that the test above can fail
