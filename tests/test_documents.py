"""The pages in docs/: every mistake has its test, and every name of TensorFlow 1 has its successor."""

import csv
import importlib
import re
import subprocess
import sys

from tf_backprop import datasets
from tf_backprop.support import lessons
from tools import readme

import numpy as np
import pytest
import tensorflow as tf

ROOT = lessons.SCRIPTS.parent
ERRATA = (ROOT / "docs" / "errata.rst").read_text(encoding="utf-8")
ROWS = readme.calls()
with open(ROOT / "tests" / "data" / "calls.csv", newline="", encoding="utf-8") as file:
    CALLS = list(csv.DictReader(file))
#: Readers meet these in other programs of that time.
NOT_IN_THE_FIVE = {
    "tf.group",
    "tf.truncated_normal",
    "tf.random_uniform",
    "tf.get_variable",
    "tf.trainable_variables",
    "tf.train.Optimizer.compute_gradients",
    "keep_dims",
}
#: Where a call is in tf.compat.v1, if not at its own name.
PLACES = {"ops.reset_default_graph": "reset_default_graph", "Optimizer.minimize": "train.Optimizer.minimize"}
v1 = tf.compat.v1


def entries():
    """Return title and body of each entry of the errata."""
    parts = re.split(r"\n(D\d: .+)\n-+\n", ERRATA)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("title", entries())
def test_every_mistake_has_its_parts_and_its_test(title):
    body = entries()[title]
    assert re.findall(r"^:(.+?):", body, re.MULTILINE) == [
        "The document",
        "In fact",
        "Shown by",
        "Put right in",
        "Tested by",
    ]
    files = re.findall(r"``((?:scripts|tests|figures|tf_backprop)/[\w./]+)", body)
    tested = body.partition(":Tested by:")[2]
    assert re.findall(r"``(tests/\w+\.py)::(\w+)``", tested)
    for name in files:
        assert (ROOT / name).exists(), name
    for path, test in re.findall(r"``(tests/\w+\.py)::(\w+)``", body):
        assert f"def {test}(" in (ROOT / path).read_text(encoding="utf-8"), test


def test_every_document_has_its_mistakes_and_its_title_and_the_lessons_that_re_run_it():
    readmes = (ROOT / "README.md").read_text(encoding="utf-8").partition("## The documents")[2]
    page = (ROOT / "docs" / "documents.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^- (D\d), (.+?)(?=^- |\n\n)", page, re.DOTALL | re.MULTILINE))
    assert list(told) == ["D1", "D2", "D3", "D4", "D5"]
    for document, text in told.items():
        assert sum(title.startswith(document) for title in entries()) >= 2
        (title,) = re.findall(rf"^- {document}, (.+)$", readmes, re.MULTILINE)
        assert text.startswith(f"{title}.")
        says = re.compile(rf"^Re-runs (?!no)[^.]*?\b{document}\b", re.MULTILINE)
        again = [one.name for one in lessons.find() if says.search(one.path.read_text(encoding="utf-8"))]
        assert re.findall(r"scripts/(\w+)\.py", text) == again


def test_every_other_page_sends_its_reader_to_the_documents_for_their_titles():
    for page in ("errata.rst", "derivations.rst", "ledger.md", "speed.md", "tf1-to-tf2.md"):
        text = (ROOT / "docs" / page).read_text(encoding="utf-8")
        assert "(documents.md)" in text or re.search(r":doc:`(documents`|[^`]*<documents>`)", text), page
        assert "README" not in text


def find(name):
    """Return what a dotted TensorFlow name means, or raise AttributeError."""
    value = tf
    for part in name.split(".")[1:]:
        value = getattr(value, part)
    return value


def call(row):
    """Return the call that a row of the table is about, spelt as in tests/data/calls.csv."""
    name = re.match(r"[\w.]+", row["TensorFlow 1"])[0]
    given = re.search(r"\b(?:seed=1|one_hot=True)\b", row["TensorFlow 1"])
    return f"{name}({given[0]})" if given else name


def test_every_call_of_the_documents_has_its_row_with_its_documents():
    used = {row.pop("call"): " ".join(document for document, yes in row.items() if yes) for row in map(dict, CALLS)}
    named = [call(row) for row in ROWS]
    assert len(named) == len(set(named)), "a call has two rows"
    assert used.keys() <= set(named), "a call of the documents has no row"
    for row in ROWS:
        documents = used.get(call(row), "not in the five")
        assert row["document"] == documents, row["TensorFlow 1"]
    assert {name for name in named if name not in used} == NOT_IN_THE_FIVE


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["TensorFlow 1"])
def test_tensorflow_1_name_was_there_and_its_successor_is(row):
    if row["TensorFlow 2"]:
        assert callable(find(row["TensorFlow 2"]))
    old = re.match(r"[\w.]+", row["TensorFlow 1"])[0]
    if not re.match(r"[\w.]+=|mnist\.|input_data\.", row["TensorFlow 1"]):  # an argument, or of the tutorials' loader
        find(f"tf.compat.v1.{PLACES.get(old, old.removeprefix('tf.'))}")


def test_the_loader_of_the_tutorials_is_gone():
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("tensorflow.examples.tutorials.mnist")


def test_table_is_complete_and_names_lessons():
    numbers = {lesson.name[:2] for lesson in lessons.find()}
    for row in ROWS:
        assert row["what it was"]
        assert row["what it became"]
        assert row["lesson"] in numbers


Z, X = np.float32([[0.3, -1.7, 2.5], [1.5, 0.0, -0.5]]), np.float32([[0.3, 1.7, 2.5], [1.5, 0.5, 2.0]])
#: By name: the same call in TensorFlow 1 and 2, where the table says that it computes the same.
SAME = {
    "tf.zeros": (lambda: v1.zeros([2, 3]), lambda: tf.zeros([2, 3])),
    "tf.multiply": (lambda: v1.multiply(Z, X), lambda: tf.constant(Z) * X),
    "tf.add": (lambda: v1.add(Z, X), lambda: tf.constant(Z) + X),
    "tf.square": (lambda: v1.square(Z), lambda: tf.constant(Z) ** 2),
    "tf.round": (lambda: v1.round(Z), lambda: tf.round(Z)),
    "tf.sigmoid": (lambda: v1.sigmoid(Z), lambda: tf.sigmoid(Z)),
    "tf.expand_dims": (lambda: v1.expand_dims(Z, 0), lambda: tf.constant(Z)[tf.newaxis]),
    "tf.matmul": (lambda: v1.matmul(Z, X.T), lambda: tf.constant(Z) @ X.T),
    "tf.transpose": (lambda: v1.transpose(Z), lambda: tf.transpose(Z)),
    "tf.log": (lambda: v1.log(X), lambda: tf.math.log(X)),
    "tf.clip_by_value": (lambda: v1.clip_by_value(Z, -1, 1), lambda: tf.clip_by_value(Z, -1, 1)),
    "tf.nn.softmax": (lambda: v1.nn.softmax(Z, dim=1), lambda: tf.nn.softmax(Z, axis=1)),
    "tf.nn.sigmoid_cross_entropy_with_logits": (
        lambda: v1.nn.sigmoid_cross_entropy_with_logits(logits=Z, labels=X),
        lambda: tf.nn.sigmoid_cross_entropy_with_logits(X, Z),
    ),
    "tf.reduce_mean": (lambda: v1.reduce_mean(Z), lambda: tf.reduce_mean(Z)),
    "tf.reduce_sum": (lambda: v1.reduce_sum(Z), lambda: tf.reduce_sum(Z)),
    "reduction_indices": (
        lambda: v1.reduce_sum(Z, reduction_indices=[1]) + v1.reduce_mean(Z, reduction_indices=[1]),
        lambda: tf.reduce_sum(Z, axis=1) + tf.reduce_mean(Z, axis=1),
    ),
    "keep_dims": (
        lambda: v1.reduce_sum(Z, axis=1, keep_dims=True),
        lambda: tf.reduce_sum(Z, axis=1, keepdims=True),
    ),
    "tf.argmax": (lambda: v1.argmax(Z, 1), lambda: tf.argmax(Z, 1)),
    "tf.equal": (lambda: v1.equal(Z, X), lambda: tf.constant(Z) == X),
    "tf.cast": (lambda: v1.cast(Z, tf.int32), lambda: tf.cast(Z, tf.int32)),
}


@pytest.mark.parametrize("name", SAME)
def test_tensorflow_2_computes_what_tensorflow_1_did(name):
    assert name in [call(row) for row in ROWS]
    old, new = SAME[name]
    with tf.Graph().as_default(), v1.Session() as session:
        then = session.run(old())
    now = new().numpy()
    assert then.shape == now.shape
    np.testing.assert_allclose(then, now, rtol=1e-6)


@pytest.mark.parametrize(
    "call_by_old_name",
    [
        lambda: tf.reduce_sum(Z, reduction_indices=[1]),
        lambda: tf.reduce_sum(Z, axis=1, keep_dims=True),
        lambda: tf.expand_dims(Z, dim=0),
        lambda: tf.nn.softmax(Z, dim=1),
    ],
)
def test_an_old_argument_raises_an_error(call_by_old_name):
    with pytest.raises(TypeError):
        call_by_old_name()


@pytest.mark.parametrize(
    "flat", [tf.round, lambda z: tf.argmax(z, 1), lambda z: tf.cast(z, tf.int32), lambda z: z == 1.0]
)
def test_steps_have_no_gradient_and_no_error(flat):
    z = tf.Variable(Z)
    with tf.GradientTape() as tape:
        y = flat(z)
    assert tape.gradient(y, z) is None


def test_draws_with_one_seed_are_alike_where_the_table_says_so():
    with tf.Graph().as_default(), v1.Session() as session:
        one, two = session.run([v1.random_normal([3], seed=1), v1.random_normal([3], seed=1)])
    np.testing.assert_array_equal(one, two)
    tf.random.set_seed(87654321)
    first, second = (tf.random.normal([3], seed=1).numpy() for _ in range(2))
    np.testing.assert_array_equal(first, one)
    assert not np.array_equal(first, second)
    tf.random.set_seed(87654321)
    np.testing.assert_array_equal(tf.random.normal([3], seed=1), first)


def test_momentum_at_a_changing_rate():
    rates = 1.0, 1.0, 1.0, 0.0, 0.0, 0.0
    then, now, keras = [], [], tf.keras.optimizers.SGD(1.0, momentum=0.9)
    with tf.Graph().as_default(), v1.Session() as session:
        rate, w = v1.placeholder(tf.float32), v1.Variable(0.0)
        step = v1.train.MomentumOptimizer(rate, 0.9).minimize(w)  # the gradient of w is 1
        session.run(v1.global_variables_initializer())
        for value in rates:
            session.run(step, {rate: value})
            then.append(float(session.run(w)))
    w = tf.Variable(0.0)
    for value in rates:
        keras.learning_rate = value
        keras.apply_gradients([(tf.constant(1.0), w)])
        now.append(float(w))
    np.testing.assert_allclose(then, [-1, -2.9, -5.61, -5.61, -5.61, -5.61], rtol=1e-6)  # it stands at rate 0
    np.testing.assert_allclose(now, [-1, -2.9, -5.61, -8.049, -10.2441, -12.21969], rtol=1e-6)  # it goes on
    (row,) = [row for row in ROWS if "Momentum" in row["TensorFlow 1"]]
    assert "In TensorFlow 1 a new rate acts at once" in row["what changes without a word"]
    assert "at a rate of 0, Keras still moves" in row["what changes without a word"]


def adam(beta_2, epsilon):
    """Return the losses of lesson 07's network after updates 501, 1001, ... by Adam with this second beta."""
    x, y = datasets.volume_and_weight()
    x, y = tf.constant(x.reshape(4, 8, 2)), tf.constant(y.reshape(4, 8, 1))
    w1 = tf.constant([[-0.8113182, 1.4845988, 0.06532937], [-2.4427042, 0.0992484, 0.5912243]])
    start = w1, tf.transpose(w1[:1])

    @tf.function
    def run(w, m, v, first, last):
        for t in tf.range(first, last + 1):
            with tf.GradientTape() as tape:
                tape.watch(w)
                L = tf.reduce_mean((x[(t - 1) % 4] @ w[0] @ w[1] - y[(t - 1) % 4]) ** 2)
            g = tape.gradient(L, w)
            time = tf.cast(t, tf.float32)
            m = tuple(a + (1 - 0.9) * (b - a) for a, b in zip(m, g, strict=True))
            v = tuple(a + (1 - beta_2) * (b**2 - a) for a, b in zip(v, g, strict=True))
            rate = 0.001 * tf.sqrt(1 - tf.constant(0.999) ** time) / (1 - tf.constant(0.9) ** time)
            w = tuple(a - rate * b / (tf.sqrt(c) + epsilon) for a, b, c in zip(w, m, v, strict=True))
        return w, m, v, tf.reduce_mean((x @ w[0] @ w[1] - y) ** 2)

    w, m, v, losses = start, *2 * (tuple(tf.zeros_like(each) for each in start),), []
    for first, last in ((1, 501), (502, 1001), (1002, 1501), (1502, 2001)):
        w, m, v, L = run(w, m, v, tf.constant(first), tf.constant(last))
        losses.append(float(L))
    return np.array(losses)


def test_adam_differs_by_the_format_of_one_number_and_not_by_epsilon():
    then = np.array([0.6170257, 0.3922883, 0.3864319, 0.3842536])  # TensorFlow 1's, with the document's own code
    in_float32 = tf.constant(0.999)
    assert np.abs(adam(in_float32, 1e-8) - then).max() < 4e-7
    assert np.abs(adam(in_float32, 1e-7) - then).max() < 1e-6
    assert np.abs(adam(0.999, 1e-8) - then).max() > 6e-6


@pytest.mark.slow
def test_tensorflow_1_and_2_give_the_same_run(load, tmp_path):
    script = ROOT / "docs" / "tf1_two_layer_network.py"
    process = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=300)
    assert process.returncode == 0, process.stderr
    *steps, weights = process.stdout.splitlines()
    result = load("07_two_layer_network").main(figures=tmp_path)
    assert steps == [f"{step} {result.losses['sgd'][step]:g}" for step in range(0, 3000, 500)]
    ours = np.concatenate([w.ravel() for w in result.parameters["sgd"].values()])
    # float32 has 24 bits: what is equal to the digit may differ in the last of them, after 3,000 updates.
    np.testing.assert_allclose(np.array(weights.split()[1:], np.float32), ours, rtol=0, atol=2.5e-7)
