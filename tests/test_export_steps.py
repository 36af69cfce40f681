"""docs/export_steps.py, which the page "One update, step by step" is made from; no browser is needed for these."""

import html
import json
import re

from tf_backprop import datasets
from tf_backprop.support import lessons
from tf_backprop.support.errors import GradientError

import numpy as np
import pytest
from stepper_numbers import DOCS, MODES, Numbers, exporter


@pytest.fixture(scope="module")
def exported():
    return json.loads(json.dumps(exporter().export()))


@pytest.mark.parametrize("mode", MODES)
def test_the_values_are_those_of_the_lessons_first_row_and_start(mode, exported, load):
    data, weights = datasets.volume_and_weight(), load("07_two_layer_network").initial_parameters(1)
    values, numbers = exported[mode]["values"], exported[mode]["numbers"]
    assert numbers["x"] == data.x[0].tolist()
    assert exported["identity"]["numbers"]["y"] == data.y[0, 0]
    assert values["L"] == pytest.approx(exported["identity"]["values"]["L"], rel=1e-12), "the sigmoid's target is moved"
    for name, w in weights.items():
        np.testing.assert_array_equal(numbers[name], np.squeeze(w))
    expected = Numbers(load, mode).by_symbol()
    assert numbers["learning_rate"] == expected["rate"]
    for name, value in values.items():
        symbol = name.replace("y_hat", "ŷ").replace("L_d", "L/d").replace("new_", "new ")
        for index, each in np.ndenumerate(value):
            key = f"{symbol}[{','.join(map(str, index))}]" if index else symbol
            assert each == pytest.approx(expected[key], rel=1e-9), key
    assert values["new_L"] < 0.9 * values["L"], "that an update helps is seen"


@pytest.mark.parametrize("mode", MODES)
def test_the_code_is_that_of_the_files_line_by_line(mode, exported):
    lines = re.findall(r'<span class="line" data-line="(\d+)">(.*?)\n</span>', exported[mode]["code"], re.DOTALL)
    assert len(lines) > 12
    files = [exported[mode]["file"], exported["identity"]["file"]]  # the update is the lesson's in both
    sources = [(lessons.SCRIPTS.parent / name).read_text(encoding="utf-8").splitlines() for name in files]
    for number, content in lines:
        text = html.unescape(re.sub(r"<.*?>", "", content))
        assert text in [source[int(number) - 1] for source in sources if len(source) >= int(number)]


def test_a_wrong_gradient_stops_the_export(monkeypatch):
    export_steps = exporter()
    monkeypatch.setattr(export_steps, "gradients_by_tape", lambda loss, weights, x, y: weights)
    with pytest.raises(GradientError, match="disagrees with the tape"):
        export_steps.export()


def test_every_text_of_the_page_is_used_and_every_text_used_is_there():
    page = (DOCS / "stepper.rst").read_text(encoding="utf-8")
    script = (DOCS / "_static" / "stepper.js").read_text(encoding="utf-8")
    assert len(script.splitlines()) < 500
    there = re.findall(r"container:: say-(\S+)", page)
    assert len(set(there)) == len(there)
    words = {word.lower().replace("_", "-") for word in re.findall(r"\w+", script)}
    for key in there:
        kind, _, rest = key.partition("-")
        assert {rest if kind in ("step", "legend") else key} <= words, key
    for key in re.findall(r'\bsay\("([\w-]+)"|\bbutton\("(\w+)"', script):
        assert "".join(key) in there
