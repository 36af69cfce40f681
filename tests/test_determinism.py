"""Two runs of all lessons: the same bits, a clean checkout, the committed figures and numbers; and other versions."""

import os
import pickle
import platform
import re
import shutil
import subprocess
import sys

from forks import clean
from tf_backprop.support import lessons
from tf_backprop.support.errors import DataError, UsageError
from tools import readme, versions

import numpy as np
import pytest
from PIL import Image
from test_readme import cells

ROOT = lessons.SCRIPTS.parent
NAMES = [lesson.name for lesson in lessons.find()]
DATA = "mnist" if os.environ.get("MNIST_DIR") else "digits"


def test_the_same_bits_in_another_order():
    one, other = versions.results(["03", "04"]), versions.results(["04", "03"])
    names = ["03_activation_derivatives", "04_chain_rule"]
    assert versions.differences(one, other) == dict.fromkeys(names, 0.0)


#: Runs all lessons, in the order of their numbers or in the other one, and keeps the tables and the numbers.
ALL = """
import pickle, sys
from pathlib import Path
from tools import readme, versions
names, data, figures, file = sys.argv[1].split(), sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4])
tables, numbers = {}, {}
for name, result in versions.run(names, data, figures):
    tables[name] = readme.number_table({name: result.comparison})
    numbers |= versions.numbers(name, result)
file.write_bytes(pickle.dumps((tables, numbers)))
"""


@pytest.fixture(scope="module")
def all_lessons(tmp_path_factory):
    """Return a clone in which all lessons have run, and the tables and numbers of this run and of another one.

    The other one runs them the other way round, and on one core.
    """
    if not ((ROOT / ".git").exists() and shutil.which("taskset")):
        pytest.skip("needs git's history, and taskset to leave one core only")
    folder = tmp_path_factory.mktemp("all")
    clone, one, other = folder / "clone", folder / "one", folder / "other"
    subprocess.run(["git", "clone", "--quiet", "--shared", ROOT, clone], check=True)
    python = [sys.executable, "-c", ALL]
    usual = [*python, " ".join(NAMES), DATA, "figures", one]
    turned = ["taskset", "-c", "0", *python, " ".join(NAMES[::-1]), DATA, folder, other]
    environment = os.environ | {"PYTHONPATH": str(clone)}
    both = [subprocess.Popen(command, cwd=clone, env=environment) for command in (usual, turned)]
    try:
        assert [process.wait(timeout=900) for process in both] == [0, 0]
    finally:
        for process in both:
            process.kill()
    return clone, *(pickle.loads(file.read_bytes()) for file in (one, other))


@pytest.mark.slow
def test_the_same_bits_on_one_core_and_after_other_lessons(all_lessons):
    _, (_, one), (_, other) = all_lessons
    assert versions.differences(one, other) == dict.fromkeys(NAMES, 0.0)


@pytest.mark.slow
def test_the_checkout_stays_clean_and_the_committed_figures_are_what_is_drawn(all_lessons):
    clone = all_lessons[0]
    with_two_workers = [sys.executable, "-m", "tf_backprop", "14", "--data", DATA]
    subprocess.run(with_two_workers, cwd=clone, env=clean(PYTHONPATH=str(clone)), check=True, stdout=subprocess.DEVNULL)
    status = subprocess.run(["git", "status", "--porcelain"], cwd=clone, capture_output=True, text=True, check=True)
    for kind, name in (line.split() for line in status.stdout.splitlines()):
        assert kind == "M", f"{name} is not ignored"
        committed, drawn = (np.asarray(Image.open(folder / name).convert("L"), float) for folder in (ROOT, clone))
        assert committed.shape == drawn.shape
        assert np.abs(committed - drawn).mean() < 0.5, f"{name} is another picture"  # but for the rounding of a pixel


@pytest.mark.slow
@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.mnist] if n[:2] > "07" else []) for n in NAMES])
def test_the_table_of_numbers_has_what_the_lesson_says(name, all_lessons):
    _, (tables, _), _ = all_lessons
    made = cells(tables[name])[2:]
    written = [row for row in cells(readme.written()["numbers"]) if row[0] == name[:2]]
    assert [row[:2] for row in written] == [row[:2] for row in made], "run: python -m tools.readme"
    for one, other in zip(written, made, strict=True):
        for number, now in zip(one[2:], other[2:], strict=True):
            # The last digits depend on the processor and the versions; a changed result does not hide in them.
            assert number == now or float(number) == pytest.approx(float(now), rel=2e-3, abs=1e-6), (one, other)


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
