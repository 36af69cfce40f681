"""The ways that need TensorFlow: the lessons' own, and others that one might write."""

from collections.abc import Callable, Mapping

from benchmarks import tasks
from tf_backprop import command, datasets  # noqa: F401 - command imports TensorFlow quietly
from tf_backprop.support import lessons

import keras  # noqa: F401 - tf.keras would import it at its first use, and imports are not timed
import numpy as np
import tensorflow as tf

tf.get_logger().setLevel("ERROR")  # TensorFlow would warn that every run traces again, which is on purpose

# --------------------------------------------------------------------------------------------------------------------
# Softmax regression on MNIST


def softmax_lesson(task: tasks.Softmax, epochs: int, number: str) -> float:
    """Train by the functions of the lesson `number`."""
    module, (x, y) = load(number), task.bytes
    start = module.start(task.pixels)
    run = x, y, epochs, task.batch_size, task.seed
    return module.train(module.take_step, task.learning_rate, start, *run)[1][-1]


def load(number: str):
    """Return the lesson `number` as a new module, so that its functions are traced again."""
    (found,) = lessons.select([number])
    return lessons.load(found.path)


def _variables(task: tasks.Softmax) -> dict[str, tf.Variable]:
    return {"W": tf.Variable(tf.zeros([task.pixels, tasks.CLASSES])), "b": tf.Variable(tf.zeros([tasks.CLASSES]))}


def _step(task: tasks.Softmax) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    W, b = _variables(task).values()

    def step(x, y):
        with tf.GradientTape() as tape:
            L = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=x @ W + b))
        for variable, gradient in zip((W, b), tape.gradient(L, [W, b]), strict=True):
            variable.assign_sub(task.learning_rate * gradient)
        return L

    return step


def softmax_step_by_step(task: tasks.Softmax, epochs: int, traced: bool) -> float:
    """Enter TensorFlow once per step from a loop in Python: the step is eager, or traced by `tf.function`."""
    step = tf.function(_step(task)) if traced else _step(task)
    x, y = tf.constant(task.images.x), tf.constant(task.images.y)
    for batches in task.batches(epochs):
        costs = [step(tf.gather(x, batch), tf.gather(y, batch)) for batch in batches]
    return float(np.mean(costs))


def softmax_whole_epoch(task: tasks.Softmax, epochs: int, jit_compile: bool) -> float:
    """Run each epoch inside one `tf.function`, with XLA or without."""
    step = _step(task)
    x, y = tf.constant(task.images.x), tf.constant(task.images.y)

    @tf.function(jit_compile=jit_compile)
    def run_epoch(batches):
        total = 0.0
        for batch in batches:
            total += step(tf.gather(x, batch), tf.gather(y, batch))
        return total / tf.cast(len(batches), tf.float32)

    for batches in task.batches(epochs):
        cost = run_epoch(tf.constant(batches))
    return float(cost)


def softmax_tf_data(task: tasks.Softmax, epochs: int) -> float:
    """Iterate over a `tf.data.Dataset` of an epoch's batches, inside one `tf.function`."""
    step, order = _step(task), tf.Variable(task.batches(1)[0])
    steps = order.shape[0]
    x, y = tf.constant(task.images.x), tf.constant(task.images.y)
    dataset = tf.data.Dataset.range(steps).map(lambda i: (tf.gather(x, order[i]), tf.gather(y, order[i]))).prefetch(2)

    @tf.function
    def run_epoch(dataset):
        total = 0.0
        for batch in dataset:
            total += step(*batch)
        return total / steps

    for batches in task.batches(epochs):
        order.assign(batches)
        cost = run_epoch(dataset)
    return float(cost)


def softmax_keras(task: tasks.Softmax, epochs: int) -> float:
    """Call Keras's `fit` once per epoch, because only so can it take the images in the lesson's order."""
    dense = tf.keras.layers.Dense(tasks.CLASSES, kernel_initializer="zeros")
    model = tf.keras.Sequential([tf.keras.Input([task.pixels]), dense])
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(tf.keras.optimizers.SGD(task.learning_rate), loss)
    x, y = task.images
    for batches in task.batches(epochs):
        order = batches.ravel()
        history = model.fit(x[order], y[order], task.batch_size, shuffle=False, verbose=0)
    return history.history["loss"][-1]


def softmax_session(task: tasks.Softmax, epochs: int) -> float:
    """Feed each batch to a session of TensorFlow 1, as D4 did."""
    v1, (images, labels) = tf.compat.v1, task.images
    with tf.Graph().as_default(), v1.Session() as session:
        x, y = v1.placeholder(tf.float32, [None, task.pixels]), v1.placeholder(tf.int32, [None])
        W, b = v1.Variable(tf.zeros([task.pixels, tasks.CLASSES])), v1.Variable(tf.zeros([tasks.CLASSES]))
        logits = tf.matmul(x, W) + b
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits))
        update = v1.train.GradientDescentOptimizer(task.learning_rate).minimize(loss)
        session.run(v1.global_variables_initializer())
        for batches in task.batches(epochs):
            feeds = ({x: images[batch], y: labels[batch]} for batch in batches)
            costs = [session.run([loss, update], feed)[0] for feed in feeds]
    return float(np.mean(costs))


# --------------------------------------------------------------------------------------------------------------------
# The moons network, one sample per step


def moons_task() -> tasks.Moons:
    """Return lesson 12's own data and start."""
    (X, y), _ = datasets.moons()
    start = load("12").initial_parameters(np.random.default_rng(0))
    return tasks.Moons(X, np.eye(2, dtype=np.float32)[y], {name: p.numpy() for name, p in start.items()})


def moons_lesson(task: tasks.Moons, epochs: int) -> float:
    """Train as lesson 12 does, ten epochs by each call."""
    module, parameters = load("12"), task.parameters
    for done in range(0, epochs, 10):
        more = tf.constant(min(10, epochs - done))
        parameters = module.train(parameters, task.X, task.Y, more, tf.constant(task.learning_rate), "sigmoid", True)
    return _mse(module, parameters, task)


def _mse(module, parameters: Mapping[str, np.ndarray], task: tasks.Moons) -> float:
    return float(np.mean((module.forward(parameters, task.X)[-1] - task.Y) ** 2))


def moons_graph(task: tasks.Moons, epochs: int, jit_compile: bool, padded: bool = False) -> float:
    """Loop over the samples inside a `tf.function`; `padded` takes ``X[i : i + 1]``, whose length XLA does not know."""
    module, X, Y = load("12"), tf.constant(task.X), tf.constant(task.Y)

    @tf.function(jit_compile=jit_compile)
    def train(parameters, X, Y, epochs):
        while epochs > 0:
            for i in tf.range(X.shape[0]):
                if padded:  # by the tape, because the formula needs a number of rows that Python can read
                    gradients = module.gradients_by_tape(parameters, X[i : i + 1], Y[i : i + 1])
                else:
                    gradients = module.gradients_by_hand(parameters, X[i][tf.newaxis], Y[i][tf.newaxis])
                parameters = {name: w - task.learning_rate * gradients[name] for name, w in parameters.items()}
            epochs -= 1
        return parameters

    return _mse(module, train(task.parameters, X, Y, tf.constant(epochs)), task)


def moons_step_by_step(task: tasks.Moons, epochs: int, traced: bool) -> float:
    """Enter TensorFlow once per sample: the step is eager, or traced by `tf.function`."""
    module = load("12")
    parameters = {name: tf.Variable(w) for name, w in task.parameters.items()}

    def step(X, Y):
        gradients = module.gradients_by_hand(parameters, X, Y)
        for name, variable in parameters.items():
            variable.assign_sub(task.learning_rate * gradients[name])

    if traced:
        step = tf.function(step)
    for _ in range(epochs):
        for x, y in zip(tf.constant(task.X)[:, tf.newaxis], tf.constant(task.Y)[:, tf.newaxis], strict=True):
            step(x, y)
    return _mse(module, parameters, task)


# --------------------------------------------------------------------------------------------------------------------
# The small lessons. One pass is the whole training. The documents used sessions of TensorFlow 1, or eager operations.


def small_lesson(task: str, runs: int) -> float:
    """Train as the lesson does, `runs` times, with a new trace each time; return the sum of the final values."""
    return sum(_SMALL[task](load(task)) for _ in range(runs))


def _prepared_01_or_02(module):
    rng = np.random.default_rng(0)
    x, y = datasets.two_classes(rng) if module.__name__.startswith("lesson_02") else datasets.regression(rng)
    A, order = module.prepare(rng, len(x), max(module.PUBLISHED))
    return A, x, y, order


def _lesson_01_or_02(module) -> float:
    A, x, y, order = _prepared_01_or_02(module)
    rate = {"01": 0.02, "02": 0.05}[module.__name__.removeprefix("lesson_")[:2]]
    return float(module.train(A, x, y, order, rate)[0][-1])


def _lesson_05(module) -> float:
    points = module.all_points(module.STARTS)
    paths, _ = module.descend(points, 200, 0.01, len(module.STARTS))
    return float(np.sum(paths[-1]))


def _lesson_07(module) -> float:
    data, start = datasets.volume_and_weight(), module.initial_parameters(1)
    x, y = data.x.reshape(-1, 8, 2), data.y.reshape(-1, 8, 1)
    runs = [module.train(optimizer, start, x, y, 3000, 0.001, 0.9) for optimizer in module.OPTIMIZERS.values()]
    return float(sum(losses[-1] for _, losses in runs))


_SMALL = {"01": _lesson_01_or_02, "02": _lesson_01_or_02, "05": _lesson_05, "07": _lesson_07}


def small_document(task: str, runs: int) -> float:
    """Train as the document did, `runs` times; return the sum of the final values."""
    return sum(_DOCUMENT[task](load(task)) for _ in range(runs))


def _session_01_or_02(module) -> float:
    v1, second = tf.compat.v1, module.__name__.startswith("lesson_02")
    A_0, xs, ys, order = _prepared_01_or_02(module)
    with tf.Graph().as_default(), v1.Session() as session:
        x, y = v1.placeholder(tf.float32, [1]), v1.placeholder(tf.float32, [1])
        A = v1.Variable(A_0.numpy())
        if second:
            loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=y, logits=x + A))
        else:
            loss = tf.reduce_mean((x * A - y) ** 2)
        update = v1.train.GradientDescentOptimizer(0.05 if second else 0.02).minimize(loss)
        session.run(v1.global_variables_initializer())
        for i in order:
            session.run(update, {x: xs[i : i + 1], y: ys[i : i + 1]})
        return float(session.run(A))


def _eager_05(module) -> float:
    ends = []
    for start in module.STARTS:
        p = tf.constant(start)
        for _ in range(200):
            with tf.GradientTape() as tape:
                tape.watch(p)
                value = module.f(p)
            p -= 0.01 * tape.gradient(value, p)
        ends.append(p)
    return float(tf.reduce_sum(ends))


def _session_07(module) -> float:
    v1, data = tf.compat.v1, datasets.volume_and_weight()
    start = {name: w.numpy() for name, w in module.initial_parameters(1).items()}
    kinds = {
        "sgd": v1.train.GradientDescentOptimizer(0.001),
        "momentum": v1.train.MomentumOptimizer(0.001, 0.9),
        "adam": v1.train.AdamOptimizer(0.001, epsilon=1e-7),  # the lesson's epsilon, so that the costs can be compared
    }
    total = 0.0
    for optimizer in kinds.values():
        with tf.Graph().as_default(), v1.Session() as session:
            x, y = v1.placeholder(tf.float32, [None, 2]), v1.placeholder(tf.float32, [None, 1])
            w1, w2 = (v1.Variable(start[name]) for name in ("w1", "w2"))
            loss = tf.reduce_mean((tf.matmul(tf.matmul(x, w1), w2) - y) ** 2)
            update = optimizer.minimize(loss)
            session.run(v1.global_variables_initializer())
            for step in range(3000):
                rows = slice(step * 8 % 32, step * 8 % 32 + 8)
                session.run(update, {x: data.x[rows], y: data.y[rows]})
                if step % 500 == 0:
                    session.run(loss, {x: data.x, y: data.y})
            total += float(session.run(loss, {x: data.x, y: data.y}))
    return total


_DOCUMENT = {"01": _session_01_or_02, "02": _session_01_or_02, "05": _eager_05, "07": _session_07}
