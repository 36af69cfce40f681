"""The pages in docs/: every mistake has its test, and every name of TensorFlow 1 has its successor."""

import csv
import importlib
import re
import subprocess
import sys

from tf_backprop.support import lessons

import numpy as np
import pytest
import tensorflow as tf

ROOT = lessons.SCRIPTS.parent
ERRATA = (ROOT / "docs" / "errata.rst").read_text(encoding="utf-8")
with open(ROOT / "docs" / "tf1_to_tf2.csv", newline="", encoding="utf-8") as file:
    ROWS = list(csv.DictReader(file))


def entries():
    """Return title and body of each entry of the errata."""
    parts = re.split(r"\n(D\d: .+)\n-+\n", ERRATA)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("title", entries())
def test_every_mistake_has_its_parts_and_its_test(title):
    body = entries()[title]
    assert re.findall(r"^:(.+?):", body, re.MULTILINE) == ["It says", "It is", "Shown by", "Put right in"]
    files = re.findall(r"``((?:scripts|tests|figures|tf_backprop)/[\w./]+)", body)
    assert any(name.startswith("tests/") for name in files)
    for name in files:
        assert (ROOT / name).exists(), name
    for path, test in re.findall(r"``(tests/\w+\.py)::(\w+)``", body):
        assert f"def {test}(" in (ROOT / path).read_text(encoding="utf-8"), test


def test_every_document_has_its_mistakes_here_and_in_the_readme():
    short = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Mistakes in the documents")[2]
    for document in ("D1", "D2", "D3", "D4", "D5"):
        assert sum(title.startswith(document) for title in entries()) >= 2
        assert f"| {document} |" in short


def find(name):
    """Return what a dotted TensorFlow name means, or raise AttributeError."""
    value = tf
    for part in name.split(".")[1:]:
        value = getattr(value, part)
    return value


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["TensorFlow 1"])
def test_tensorflow_1_name_is_gone_and_its_successor_is_there(row):
    if row["TensorFlow 2"]:
        assert callable(find(row["TensorFlow 2"]))
    old = re.match(r"[\w.]+", row["TensorFlow 1"])[0]
    if not old.startswith("tf."):
        assert old.startswith("mnist.")  # an object of the tutorials' loader, which is in no TensorFlow 2
        return
    same_name = row["TensorFlow 2"] == old
    if not same_name:
        in_v1 = _lives(old.replace("tf.", "tf.compat.v1.", 1))
        assert in_v1 or not _lives(old), "it is gone from tf., or lives in tf.compat.v1"


def _lives(name):
    try:
        find(name)
    except AttributeError:
        return False
    return True


def test_the_loader_of_the_tutorials_is_gone():
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("tensorflow.examples.tutorials.mnist")


def test_table_is_complete_and_names_lessons():
    assert len(ROWS) >= 38
    numbers = {lesson.name[:2] for lesson in lessons.find()} | {"14"}
    for row in ROWS:
        assert row["what it was"]
        assert row["what it became"]
        assert row["lesson"] in numbers
        assert re.fullmatch(r"D[1-5]( D[1-5])*", row["document"])


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
