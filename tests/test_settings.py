"""Each lesson's defaults are the settings of its document, from one table, or are named here as our own."""

import csv
import inspect
import re
from itertools import pairwise
from pathlib import Path

from tf_backprop import datasets
from tf_backprop.support import lessons

import numpy as np
import pytest

with open(Path(__file__).parent / "data" / "settings.csv", newline="", encoding="utf-8") as file:
    SETTINGS = {(row["document"], row["setting"]): row["value"] for row in csv.DictReader(file)}

#: The document of a lesson, and how the settings begin that the lesson takes as arguments of its `main`.
OF = {
    "01": ("D1", "regression, "),
    "02": ("D1", "classifier, "),
    "04": ("D5", "chain rule, "),
    "05": ("D5", "Himmelblau, "),
    "06": ("D2", "losses, "),
    "07": ("D2", "network, "),
    "08": ("D3", ""),
    "09": ("D4", ""),
    "10": ("D4", ""),
    "11": ("D4", ""),
    "12": ("D5", "moons, "),
}
#: What no document sets.
OURS = {
    "03": {"leak": 0.1},
    "05": {"start": None},
    "06": {"under": 3.0},
    "07": {"bias": False, "seed": 1},
    "09": {"epochs": None},  # ten passes over MNIST, see below
    "10": {"epochs": None},
    "11": {"epochs": None, "document_formula": False},
    "12": {"train_biases": True, "animate": False},
    "13": {"mistake": None, "steps": 1500, "learning_rate": 0.03},
    "14": {"workers": None, "steps": 500, "batch_size": 128, "learning_rate": 0.5}
    | {"mistake": None, "checkpoint": None, "start_timeout": 60.0},
}
ALWAYS = {"data": "auto", "mnist_dir": None, "explain": False, "seed": 0, "show": False}


def value(document, setting):
    """Return a setting: a number, a text, a tuple of numbers, or a list of tuples."""
    text = SETTINGS[document, setting]
    tuples = [tuple(float(number) for number in part.split(",")) for part in re.findall(r"\((.*?)\)", text)]
    if tuples:
        return tuples if len(tuples) > 1 else tuples[0]
    return float(text) if re.match(r"[-\d]", text) else text


def of(number):
    """Return what the document of a lesson sets, by the name that an argument of `main` would have."""
    document, begin = OF.get(number, ("", ""))
    found = [setting for (of, setting) in SETTINGS if of == document and setting.startswith(begin)]
    return {setting.removeprefix(begin).replace(" ", "_"): value(document, setting) for setting in found}


@pytest.mark.parametrize("lesson", lessons.find(), ids=lambda lesson: lesson.name)
def test_defaults_are_the_documents_settings(lesson, load):
    number = lesson.name[:2]
    parameters = inspect.signature(load(lesson.name).main).parameters
    defaults = {name: parameter.default for name, parameter in parameters.items() if name != "figures"}
    expected = ALWAYS | of(number) | OURS.get(number, {})
    assert defaults == {name: expected[name] for name in defaults}
    taken = {name for name in of(number) if name in ("steps", "learning_rate", "batch_size", "momentum", "clip")}
    assert taken <= set(defaults), "what the document sets can be changed"


def test_epochs_and_judged_images_are_d4s(load):
    for lesson in lessons.select(["09", "10", "11"]):
        module = load(lesson.name)
        assert (value("D4", "epochs"), value("D4", "test images judged")) == (module.EPOCHS, module.JUDGED)


def test_data_and_starts_of_d1(load):
    rng = np.random.default_rng(0)
    many = [datasets.regression(rng) for _ in range(400)]
    assert {len(x) for x, _ in many} == {value("D1", "regression, samples")}
    x = np.concatenate([x for x, _ in many])
    assert x.mean() == pytest.approx(value("D1", "regression, mean of x"), abs=0.003)
    assert x.std() == pytest.approx(value("D1", "regression, standard deviation of x"), rel=0.02)
    assert set(many[0].y) == {value("D1", "regression, target")}
    many = [datasets.two_classes(rng) for _ in range(400)]
    for label in (0, 1):
        parts = [x[y == label] for x, y in many]
        assert {len(part) for part in parts} == {value("D1", "classifier, samples of each class")}
        assert np.mean(parts) == pytest.approx(value("D1", f"classifier, mean of class {label}"), abs=0.05)
    for number, name in (("01", "regression"), ("02", "classifier")):
        (lesson,) = lessons.select([number])
        starts = [float(load(lesson.name).prepare(rng, 1, 1)[0]) for _ in range(2000)]
        assert np.mean(starts) == pytest.approx(value("D1", f"{name}, mean of the first A"), abs=0.15)
        assert np.std(starts) == pytest.approx(1, abs=0.1)


def test_network_and_batches_of_d2(load, monkeypatch, tmp_path):
    lesson = load("07_two_layer_network")
    hidden, in_a_batch = (value("D2", f"network, {name}") for name in ("hidden units", "rows in a batch"))
    assert tuple(lesson.initial_parameters(1)["w1"].shape) == (2, hidden)
    given = []

    def train(optimizer, parameters, x, y, steps, *rates):
        given.append((x, y, steps, *rates))
        return parameters, np.ones(steps, np.float32)

    monkeypatch.setattr(lesson, "train", train)
    monkeypatch.setattr(lesson, "plot", lambda *_: None)
    monkeypatch.setattr(lesson.plotting, "save", lambda *_: tmp_path)
    lesson.main()
    data = datasets.volume_and_weight()
    assert len(data.x) == value("D2", "network, rows")
    for x, y, *settings in given:
        assert x.shape == (len(data.x) / in_a_batch, in_a_batch, 2)
        np.testing.assert_array_equal(np.concatenate(x), data.x)
        np.testing.assert_array_equal(np.concatenate(y), data.y)
        assert settings == [value("D2", f"network, {name}") for name in ("steps", "learning rate", "momentum")]
    seed = inspect.signature(lesson.main).parameters["seed"].default
    assert seed == value("D2", "network, seed of the weights")


def test_starts_and_square_of_himmelblau(load):
    lesson = load("05_himmelblau")
    assert value("D5", "Himmelblau, starts") == lesson.STARTS
    assert (lesson.SIDE[0], lesson.SIDE[-1]) == value("D5", "Himmelblau, side of the square")
    surface = lesson.plot({start: np.array([start, start]) for start in lesson.STARTS}, np.zeros((121, 121))).axes[0]
    assert (surface.elev, surface.azim) == value("D5", "Himmelblau, elevation and azimuth")


def test_moons_and_their_network(load):
    lesson = load("12_moons_mlp")
    sizes = [len(part.y) for part in datasets.moons()]
    assert sizes == [value("D5", f"moons, samples to {use}") for use in ("train", "test")]
    assert value("D5", "moons, noise") == datasets.MOONS_NOISE
    start = lesson.initial_parameters(np.random.default_rng(0))
    units = value("D5", "moons, units")
    assert [tuple(start[f"W{layer}"].shape) for layer in (1, 2, 3, 4)] == [*pairwise(units)]
    assert value("D5", "moons, records drawn") == lesson.DRAWN_BY_D5
    for layer in (1, 2, 3, 4):  # N(0, 1) / sqrt(units of its layer), and U(0, 0.1)
        many = [lesson.initial_parameters(np.random.default_rng(seed)) for seed in range(60)]
        weights, biases = (np.array([each[f"{kind}{layer}"] for each in many]) for kind in "Wb")
        assert weights.std() == pytest.approx(units[layer] ** -0.5, rel=0.12)
        assert abs(weights.mean()) < 0.1 * weights.std() + 0.05
        assert (biases.min() >= 0, biases.max() <= 0.1) == (True, True)
        assert biases.mean() == pytest.approx(0.05, abs=0.01)
