"""What makes the lessons fast, without a clock: traces, entries from Python, float32, no padding."""

import re

from tf_backprop import cli, lessons  # noqa: F401 - cli lets TensorFlow be quiet

import numpy as np
import pytest
import tensorflow as tf

#: arguments, and how often the training functions may be traced, and entered from Python
COUNTS = {
    "01": ({}, 1, 1),
    "02": ({}, 1, 1),
    "05": ({}, 1, 1),
    "07": ({}, 3, 3),  # three optimizers
    "08": ({"steps": 40}, 1, 1),
    "09": ({"epochs": 4}, 1, 4),
    "10": ({"epochs": 4}, 1, 4),
    "11": ({"epochs": 4}, 1, 4),
    "12": ({"epochs": 35}, 1, 5),  # the start, ten epochs at a time, and the rest
}


@pytest.fixture
def functions(monkeypatch):
    """Every tf.function that is made during a test, with a count of its calls."""
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


@pytest.mark.parametrize("number", COUNTS)
def test_traces_and_entries_from_python(number, functions, tmp_path):
    arguments, traces, calls = COUNTS[number]
    if number in ("08", "09", "10", "11"):
        arguments = arguments | {"data": "digits"}
    (lesson,) = lessons.select([number])
    lessons.load(lesson.path).main(**arguments, figures=tmp_path)
    training = [function for function in functions if function.calls]
    assert sum(function.traced.experimental_get_tracing_count() for function in training) == traces
    assert sum(function.calls for function in training) == calls


@pytest.mark.parametrize("number", COUNTS)
def test_float32_throughout(number, functions, tmp_path):
    arguments, *_ = COUNTS[number]
    if number in ("08", "09", "10", "11"):
        arguments = arguments | {"data": "digits"}
    (lesson,) = lessons.select([number])
    graphs, concrete = [], tf.types.experimental.ConcreteFunction
    lessons.load(lesson.path).main(**arguments, figures=tmp_path)
    for function in functions:
        for traced in function.traced._list_all_concrete_functions() if function.calls else ():
            assert isinstance(traced, concrete)
            graphs.append(traced.graph)
    assert graphs
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
