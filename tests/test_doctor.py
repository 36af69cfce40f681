import os
import subprocess
import sys
import venv

from tf_backprop.support import doctor, lessons

import pytest

ROOT = lessons.SCRIPTS.parent


def run(*arguments, hide=(), tmp_path, **environment):
    """Run the doctor where some packages cannot be imported."""
    for name in hide:
        (tmp_path / "hidden" / name).mkdir(parents=True)
        (tmp_path / "hidden" / name / "__init__.py").write_text(f"raise ImportError('{name} is broken here')\n")
    path = os.pathsep.join([str(tmp_path / "hidden"), str(ROOT)])
    return subprocess.run(
        [sys.executable, "-m", "tf_backprop", "doctor", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"PYTHONPATH": path} | environment,
    )


@pytest.mark.slow
def test_a_machine_on_which_every_lesson_runs(tmp_path):
    done = run(tmp_path=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    *lines, last = done.stdout.splitlines()
    assert last == "every lesson should run"
    assert all(line.startswith(("ok ", "note ")) for line in lines)
    for what in ("Python", "tensorflow", "numpy", "import tensorflow", "MNIST", "Matplotlib", "figures"):
        assert sum(line[8:].startswith(f"{what}: ") for line in lines) == 1


@pytest.mark.parametrize("broken", [["tensorflow"], ["numpy"], ["matplotlib", "rich", "tensorflow"]])
def test_it_runs_and_says_so_where_a_package_is_broken(broken, tmp_path):
    done = run(hide=broken, tmp_path=tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    problems = [line for line in done.stdout.splitlines() if line.startswith("PROBLEM")]
    assert any(f"{broken[0]} is broken here" in line for line in problems)
    assert all("; " in line for line in problems), "each says what to do"
    assert "__init__.py is taken for the package: rename it" in " ".join(problems)
    mnist = [line for line in done.stdout.splitlines() if line[8:].startswith("MNIST: ")]
    assert len(mnist) == 1
    assert ("numpy is broken" in mnist[0]) == ("numpy" in broken), "it needs NumPy, and nothing else of these"


def test_where_nothing_is_installed(tmp_path):
    venv.create(tmp_path / "bare", with_pip=False)
    bare = [tmp_path / "bare" / "bin" / "python", "-m", "tf_backprop", "doctor"]
    done = subprocess.run(bare, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (1, "")
    assert "PROBLEM import tensorflow: ModuleNotFoundError: No module named 'tensorflow'" in done.stdout


def test_a_named_folder_without_mnist_is_a_problem(tmp_path):
    done = run(hide=["tensorflow"], tmp_path=tmp_path, MNIST_DIR=str(tmp_path))
    assert done.returncode == 1
    assert f"PROBLEM MNIST: {tmp_path}" in done.stdout


@pytest.mark.mnist
def test_the_real_mnist_is_known_by_its_checksum():
    assert doctor.find_mnist().advice == ""


def test_an_argument_is_refused_in_one_line(tmp_path):
    done = run("--fix", tmp_path=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: unrecognized arguments: --fix (see --help)\n"


def test_a_path_that_the_terminal_cannot_show(tmp_path):
    place = tmp_path / "Данные 图"
    place.mkdir()
    done = run(tmp_path=tmp_path, hide=["tensorflow"], PYTHONIOENCODING="cp1252", MNIST_DIR=str(place))
    assert (done.returncode, done.stderr) == (1, "")
    assert f"PROBLEM MNIST: {tmp_path}/?????? ?" in done.stdout


def test_versions_too_old_and_missing(monkeypatch):
    monkeypatch.setattr(
        doctor.metadata, "requires", lambda _: ["numpy>=99", "no-such-package>=1", "x>=1; extra == 'dev'"]
    )
    missing, old = doctor.packages()
    assert (missing.found, old.what) == ("not installed", "numpy")
    assert "pip install 'numpy>=99'" in old.advice
    monkeypatch.setattr(doctor.sys, "version_info", (3, 14, 0))
    assert doctor.python().advice


def test_an_unwritable_figures_folder_and_a_full_disk(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "FIGURES", tmp_path / "figures")
    assert not doctor.figures().advice
    monkeypatch.setattr(doctor, "DISK", 1e12)
    assert "make room" in doctor.figures().advice
    (tmp_path / "figures").rmdir()
    (tmp_path / "figures").write_text("a file")
    assert "--figures" in doctor.figures().advice


@pytest.mark.parametrize(
    ("system", "processor", "version", "advice"),
    [
        ("Linux", "x86_64", "", ""),
        ("Windows", "AMD64", "", "lesson 14 takes one here"),
        ("Darwin", "x86_64", "Darwin Kernel 22; RELEASE_X86_64", "no TensorFlow from 2.18 on is for Intel's Macs"),
        ("Darwin", "x86_64", "Darwin Kernel 22; RELEASE_ARM64_T8103", "use a Python for arm64"),
    ],
)
def test_a_machine_for_which_there_is_no_tensorflow(system, processor, version, advice, monkeypatch):
    for name, value in (("system", system), ("machine", processor), ("version", version)):
        monkeypatch.setattr(doctor.platform, name, lambda value=value: value)
    found = doctor.machine()
    assert (advice in found.advice) if advice else not found.advice
    assert found.fatal == (system == "Darwin")


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("ModuleNotFoundError: No module named 'tensorflow'", "-m pip install 'tensorflow'"),
        ("ImportError: DLL load failed while importing _pywrap_tensorflow_internal", "Visual C++"),
        ("SIGILL", "lacks AVX"),
        ("SIGABRT", "ulimit -a"),
        ("FileNotFoundError: No usable temporary directory found in ['/tmp']", "TMPDIR"),
        ("TypeError: Descriptors cannot be created directly.", "a new environment"),
        ("A module that was compiled using NumPy 1.x cannot be run in NumPy 2.0", "a new environment"),
        ("ModuleNotFoundError: No module named 'tensorflow.python'", "--force-reinstall"),
    ],
)
def test_the_advice_fits_the_cause(said, advice, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    assert advice in doctor.cure("tensorflow", said)
    (tmp_path / "random.py").write_text("")
    said_of_random = "ImportError: cannot import name 'Random' from 'random' (random.py)"
    assert doctor.cure("tensorflow", said_of_random) == "random.py is taken for the package: rename it"
    (tmp_path / "tensorflow.py").write_text("")
    assert doctor.cure("tensorflow", said).startswith("tensorflow.py is taken for the package")
