"""The package as a wheel, in an environment of its own, and as an sdist: the lessons travel with it."""

import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv

from forks import clean
from tf_backprop.support import lessons
from tf_backprop.support.errors import DataError

import pytest

ROOT = lessons.SCRIPTS.parent
BIN = "Scripts" if sys.platform == "win32" else "bin"


def copied(folder):
    """Copy what is committed, or is going to be, to a folder: a build leaves traces beside its sources."""
    if not (ROOT / ".git").exists():
        pytest.skip("git knows what is committed: this is an archive")
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return folder


def build(kind, source, target):
    """Build the package as its build backend does, without a network, and return the file."""
    pytest.importorskip("setuptools")
    code = f"from setuptools import build_meta; print(build_meta.build_{kind}({str(target)!r}))"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=source, env=clean(PYTHONPATH=""), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return target / done.stdout.split()[-1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Return a function that runs a command of an environment with the wheel, and this one's other packages."""
    folder = tmp_path_factory.mktemp("installed")
    wheel = build("wheel", copied(folder / "source"), folder)
    venv.create(folder / "venv", with_pip=False)
    site = next((folder / "venv").glob("[Ll]ib/**/site-packages"))
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = [sys.executable, "-m", "pip", "--python", folder / "venv", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--ignore-installed", wheel], env=clean(PYTHONPATH=""), check=True, timeout=120)

    def run(name, *arguments, cwd, **environment):
        command = [folder / "venv" / BIN / name, *arguments]
        variables = clean(**environment)
        variables.pop("PYTHONPATH", None)
        return subprocess.run(command, cwd=cwd, env=variables, capture_output=True, text=True, timeout=200)

    return run


@pytest.mark.slow
def test_the_lessons_travel_with_the_package(installed, tmp_path):
    listed = installed("python", "-m", "tf_backprop", "--list", cwd=tmp_path)
    assert all(lesson.name in listed.stdout for lesson in lessons.find())
    done = installed("tf-backprop", "01", "04", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "2 of 2 lessons ran well" in done.stdout
    drawn = sorted(path.name for path in (tmp_path / "figures").iterdir())
    assert drawn == ["01_regression.png", "04_chain_rule.png"], "in the current folder"


@pytest.mark.slow
def test_the_doctor_of_an_installed_package_looks_at_the_current_folder(installed, tmp_path):
    done = installed("tf-backprop", "doctor", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert f"ok      figures: {tmp_path / 'figures'} can be written" in done.stdout


@pytest.mark.slow
def test_the_chinese_messages_travel_with_the_package(installed, tmp_path):
    done = installed("tf-backprop", "practice", "11", cwd=tmp_path, LC_ALL="zh_CN.UTF-8", PYTHONUTF8="1")
    path = "practice/11_mnist_softmax_hand_derived.py"
    assert (done.returncode, done.stdout) == (0, f"{path}：填好空着的行，然后运行它。\n"), done.stderr
    done = installed("python", path, "--lang", "zh", cwd=tmp_path, PYTHONUTF8="1")
    assert done.stderr == "错误：还没有解决：练习 11：3 行空着\n"


@pytest.mark.slow
def test_lesson_14_of_an_installed_package_starts_its_workers(installed, tmp_path):
    code = "from tf_backprop.__main__ import main; main()"
    done = installed("python", "-c", code, "14", "--data=digits", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "1 of 1 lessons ran well" in done.stdout
    answer = re.search(r"largest difference of W and b from one worker's: learned (\S+), expected 0;", done.stdout)
    assert 0 < float(answer[1]) < 1e-5, "two workers have rounded another way than one, and not more"


def test_without_any_lesson_nothing_ran_well(tmp_path):
    with pytest.raises(DataError, match="holds no lessons"):
        lessons.select([], tmp_path)


def test_the_newest_entry_of_the_changelog_is_this_version():
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)[1]
    assert (
        re.findall(r"^## ([\d.]+)", (ROOT / "docs" / "changelog.md").read_text(encoding="utf-8"), re.MULTILINE)[0]
        == version
    )


@pytest.mark.slow
def test_the_sdist_builds_and_passes_its_tests(tmp_path):
    with tarfile.open(build("sdist", copied(tmp_path / "source"), tmp_path)) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (source,) = (tmp_path / "unpacked").iterdir()
    assert build("wheel", source, tmp_path).stat().st_size > 50_000
    some = ["tests/test_report.py", "tests/test_readme.py", "-m", "not slow and not mnist"]
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *some]
    environment = clean(PYTHONPATH=str(source))
    done = subprocess.run(command, cwd=source, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout
