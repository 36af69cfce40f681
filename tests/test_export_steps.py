"""docs/export_steps.py, which the page "One update, step by step" is made from; no browser is needed for these."""

import html
import importlib.util
import json
import re

from tf_backprop import datasets
from tf_backprop.support import lessons
from tf_backprop.support.errors import GradientError

import numpy as np
import pytest
import tensorflow as tf

DOCS = lessons.SCRIPTS.parent / "docs"


@pytest.fixture(scope="module")
def exporter():
    spec = importlib.util.spec_from_file_location("export_steps", DOCS / "export_steps.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def exported(exporter):
    return json.loads(json.dumps(exporter.export()))


@pytest.mark.parametrize("mode", ["identity", "sigmoid"])
def test_the_values_are_those_of_the_lessons_first_row_and_start(mode, exported, exporter, load):
    lesson = load("07_two_layer_network")
    data, weights = datasets.volume_and_weight(), lesson.initial_parameters(1)
    row = [tf.constant(array[:1], tf.float64) for array in (data.x, data.y)]
    weights = {name: tf.cast(w, tf.float64) for name, w in weights.items()}
    loss = lesson.loss if mode == "identity" else exporter.sigmoid_loss
    values, numbers = exported[mode]["values"], exported["numbers"]
    assert (numbers["x"], numbers["y"]) == (data.x[0].tolist(), data.y[0, 0])
    assert values["L"] == pytest.approx(float(loss(weights, *row)), rel=1e-12)
    new = {}
    for name, gradient in exporter.gradients_by_tape(loss, weights, *row).items():
        np.testing.assert_allclose(values[f"dL_d{name}"], np.squeeze(gradient), rtol=1e-12)
        new[name] = weights[name] - 0.001 * gradient
        np.testing.assert_allclose(values[f"new_{name}"], np.squeeze(new[name]), rtol=1e-12)
    assert values["new_L"] == pytest.approx(float(loss(new, *row)), rel=1e-12)
    assert values["new_L"] < values["L"]


@pytest.mark.parametrize("mode", ["identity", "sigmoid"])
def test_the_code_is_that_of_the_files_line_by_line(mode, exported):
    lines = re.findall(r'<span class="line" data-line="(\d+)">(.*?)\n</span>', exported[mode]["code"], re.DOTALL)
    assert len(lines) > 12
    files = [exported[mode]["file"], exported["identity"]["file"]]  # the update is the lesson's in both
    sources = [(lessons.SCRIPTS.parent / name).read_text(encoding="utf-8").splitlines() for name in files]
    for number, content in lines:
        text = html.unescape(re.sub(r"<.*?>", "", content))
        assert text in [source[int(number) - 1] for source in sources if len(source) >= int(number)]


def test_a_wrong_gradient_stops_the_export(exporter, monkeypatch):
    monkeypatch.setattr(exporter, "gradients_by_tape", lambda loss, weights, x, y: weights)
    with pytest.raises(GradientError, match="disagrees with the tape"):
        exporter.export()


def test_every_text_of_the_page_is_used_and_every_text_used_is_there():
    page = (DOCS / "stepper.rst").read_text(encoding="utf-8")
    script = (DOCS / "_static" / "stepper.js").read_text(encoding="utf-8")
    assert len(script.splitlines()) < 400
    there = re.findall(r"container:: say-(\S+)", page)
    assert len(set(there)) == len(there)
    words = {word.lower().replace("_", "-") for word in re.findall(r"\w+", script)}
    for key in there:
        kind, _, rest = key.partition("-")
        assert {rest if kind in ("step", "legend") else key} <= words, key
    for key in re.findall(r'\bsay\("([\w-]+)"|\bbutton\("(\w+)"', script):
        assert "".join(key) in there
