"""The same seed gives the same bits: in another process, on one core, after other lessons; what versions change."""

import os
import re
import shutil
import subprocess
import sys

from tf_backprop import arrays, lessons, readme
from tf_backprop.errors import DataError

import numpy as np
import pytest

DATA = "mnist" if os.environ.get("MNIST_DIR") else "digits"


def test_the_same_bits_on_one_core_and_after_other_lessons(tmp_path):
    if not shutil.which("taskset"):
        pytest.skip("there is no taskset to leave one core only")
    names = [lesson.name for lesson in lessons.find()]
    save = [sys.executable, "-m", "tf_backprop.arrays", "--data", DATA]
    one, other = tmp_path / "one.npz", tmp_path / "other.npz"
    both = [
        subprocess.Popen([*save, "--file", one, "--names", *names]),
        subprocess.Popen(["taskset", "-c", "0", *save, "--file", other, "--names", *names[::-1]]),
    ]
    try:
        assert [process.wait(timeout=900) for process in both] == [0, 0]
    finally:
        for process in both:
            process.kill()
    with np.load(one) as first, np.load(other) as second:
        found = arrays.differences(dict(first), dict(second))
    assert found == dict.fromkeys(names, 0.0)


def test_differences_are_found():
    one = {"a/x": np.array([1.0, 2.0]), "b/x": np.array([np.nan, 4.0]), "c/x": np.zeros(2), "versions/x": np.array("1")}
    same = {**one, "versions/x": np.array("2")}
    assert arrays.differences(one, same) == {"a": 0.0, "b": 0.0, "c": 0.0}
    other = {"a/x": np.array([1.0, 2.1]), "b/x": np.array([3.0, 4.0]), "c/x": np.zeros(3)}
    assert arrays.differences(one, other) == {"a": pytest.approx(0.05), "b": np.inf, "c": np.inf}
    assert arrays.differences(one, {"a/x": one["a/x"]}) == {"a": 0.0, "b": np.inf, "c": np.inf}


def test_every_number_of_a_result_is_compared(load, tmp_path):
    result = load("01_regression").main(figures=tmp_path)
    names = dict(arrays.leaves(result._asdict()))
    assert {"trajectory", "losses", "optimum", "comparison.3.learned"} <= names.keys()
    assert names["trajectory"].tobytes() == np.asarray(result.trajectory).tobytes()


def test_readme_names_the_oldest_versions_of_pyproject():
    table = readme.blocks(readme.README.read_text(encoding="utf-8"))["verified"]
    rows = dict(re.findall(r"^\| ([\w-]+) +\| +([\d.]+) ", table, re.MULTILINE))
    pyproject = (lessons.SCRIPTS.parent / "pyproject.toml").read_text(encoding="utf-8")
    dependencies = re.search(r"^dependencies = \[(.*?)\]", pyproject, re.DOTALL | re.MULTILINE)[1]
    for name, lowest in re.findall(r'"([\w-]+)>=([\d.]+)"', dependencies):
        assert rows[name].split(".")[: len(lowest.split("."))] == lowest.split("."), name
    assert {lesson.name for lesson in lessons.find()} <= set(re.findall(r"^\| (\d\d_\w+)", table, re.MULTILINE))


def test_a_file_that_is_missing(tmp_path):
    with pytest.raises(DataError, match="make oldest newest"):
        arrays.renew(tmp_path / "none.npz", tmp_path / "none.npz")
