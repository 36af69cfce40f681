"""The same seed gives the same bits: once more, in another process, on one core; and what other versions change."""

import os
import platform
import re
import shutil
import subprocess
import sys

from tf_backprop.support import lessons
from tf_backprop.support.errors import DataError, UsageError
from tools import readme, versions

import numpy as np
import pytest

ROOT = lessons.SCRIPTS.parent
DATA = "mnist" if os.environ.get("MNIST_DIR") else "digits"


def test_the_same_bits_in_another_order():
    one, other = versions.results(["01", "04"]), versions.results(["04", "01"])
    names = ["01_regression", "04_chain_rule"]
    assert versions.differences(one, other) == dict.fromkeys(names, 0.0)


@pytest.mark.slow
def test_the_same_bits_on_one_core_and_after_other_lessons(tmp_path):
    if not shutil.which("taskset"):
        pytest.skip("there is no taskset to leave one core only")
    names = [lesson.name for lesson in lessons.find()]
    save = [sys.executable, "-m", "tools.versions", "--data", DATA]
    one, other = tmp_path / "one.npz", tmp_path / "other.npz"
    both = [
        subprocess.Popen([*save, "--save", one, *names], cwd=ROOT),
        subprocess.Popen(["taskset", "-c", "0", *save, "--save", other, *names[::-1]], cwd=ROOT),
    ]
    try:
        assert [process.wait(timeout=900) for process in both] == [0, 0]
    finally:
        for process in both:
            process.kill()
    with np.load(one) as first, np.load(other) as second:
        found = versions.differences(dict(first), dict(second))
    assert found == dict.fromkeys(names, 0.0)


def test_differences_are_found():
    one = {"a/x": np.array([1.0, 2.0]), "b/x": np.array([np.nan, 4.0]), "c/x": np.zeros(2), "versions/x": np.array("1")}
    same = {**one, "versions/x": np.array("2")}
    assert versions.differences(one, same) == {"a": 0.0, "b": 0.0, "c": 0.0}
    other = {"a/x": np.array([1.0, 2.1]), "b/x": np.array([3.0, 4.0]), "c/x": np.zeros(3)}
    assert versions.differences(one, other) == {"a": pytest.approx(0.05), "b": np.inf, "c": np.inf}
    assert versions.differences(one, {"a/x": one["a/x"]}) == {"a": 0.0, "b": np.inf, "c": np.inf}


def test_every_number_of_a_result_is_compared(default_run):
    result, _ = default_run("01_regression")
    numbers = dict(versions.leaves(result._asdict()))
    assert {"trajectory", "losses", "optimum", "comparison.3.learned"} <= numbers.keys()
    assert numbers["trajectory"].tobytes() == np.asarray(result.trajectory).tobytes()


def test_times_are_not_compared():
    result = {"losses": {"split": np.ones(2)}, "milliseconds": {"split": np.ones(3)}}
    assert list(dict(versions.leaves(result))) == ["losses.split"]


def test_the_page_names_the_oldest_versions_of_pyproject():
    table = readme.written()["verified"]
    rows = dict(re.findall(r"^\| ([\w-]+) +\| +([\d.]+) ", table, re.MULTILINE))
    pyproject = (lessons.SCRIPTS.parent / "pyproject.toml").read_text(encoding="utf-8")
    dependencies = re.search(r"^dependencies = \[(.*?)\]", pyproject, re.DOTALL | re.MULTILINE)[1]
    for name, lowest in re.findall(r'"([\w-]+)>=([\d.]+)"', dependencies):
        assert rows[name].split(".")[: len(lowest.split("."))] == lowest.split("."), name
    assert {lesson.name for lesson in lessons.find()} <= set(re.findall(r"^\| (\d\d_\w+)", table, re.MULTILINE))


def test_what_is_saved_goes_into_the_page(tmp_path, monkeypatch):
    page = tmp_path / "running.md"
    monkeypatch.setattr(readme, "PAGES", [page])
    page.write_text("before\n<!-- begin verified -->\n<!-- end verified -->\nafter\n", encoding="utf-8")
    versions.main("04", save=tmp_path / "one.npz")
    versions.main(renew=(tmp_path / "one.npz", tmp_path / "one.npz"))
    text = page.read_text(encoding="utf-8")
    python = platform.python_version()
    assert re.search(rf"^\| Python +\| {python} +\| {python} +\|$", text, re.MULTILINE)
    assert re.search(r"^\| 04_chain_rule +\| none +\|$", text, re.MULTILINE)
    assert text.startswith("before\n")
    assert text.endswith("after\n")


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 and no more", b"text"])
def test_a_file_without_results(content, tmp_path):
    file = tmp_path / "one.npz"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(DataError, match=r"write it with: python -m tools\.versions --save"):
        versions.read(file)


@pytest.mark.parametrize("given", [{}, {"save": "one.npz", "renew": ("one.npz", "other.npz")}])
def test_one_of_both_actions_must_be_named(given):
    with pytest.raises(UsageError, match="either --save FILE or --renew OLDEST NEWEST"):
        versions.main(**given)
