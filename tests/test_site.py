"""The gallery's build, also when a lesson fails or npm is missing, and the check of what was built."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys

from tf_backprop import plotting
from tf_backprop.support import lessons
from tools import readme

import pytest
from PIL import Image

ROOT = lessons.SCRIPTS.parent
DOCS = ROOT / "docs"
HTML = DOCS / "_build" / "html"
LESSON = "04_chain_rule.py"


def module(name):
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture
def copy(tmp_path):
    if not (HTML / "index.html").exists():
        pytest.skip("the site is not built: make docs")
    return shutil.copytree(HTML, tmp_path / "html", ignore=shutil.ignore_patterns(".doctrees", "*.js", "*.zip"))


@pytest.mark.slow
def test_the_check_names_what_is_missing(copy):
    check = module("check_site")
    for script in HTML.rglob("*.js"):
        target = copy / script.relative_to(HTML)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    for archive in HTML.rglob("*.zip"):
        (copy / archive.relative_to(HTML)).touch()
    assert check.problems(copy) == []

    def remove(pattern):
        for path in copy.rglob(pattern):
            path.unlink()

    for pattern in ("sphx_glr_05_himmelblau_001_2_00x.png", "04_chain_rule.ipynb", "errata.html", "12_moons_mlp.html"):
        remove(pattern)
    page = copy / "gallery" / "01_regression.html"
    text = page.read_text(encoding="utf-8")
    changes = {
        'href="../_images/sphx_glr_01': (
            'href="../_images/sphx_glr_02',
            "gallery/01_regression.html: no link to the figure in its full size",
        ),
        'alt="Regression': ('alt="" title="', "gallery/01_regression.html: an image has no text"),
        "<head>": (f'<head><script src="https://example.org/x.js"></script>{ROOT}', "loads https://example.org/x.js"),
        "sphx-glr-script-out": ("", "gallery/01_regression.html: no output"),
        "<h1>": ('<a href="#nowhere"></a><h1>', "#nowhere has no such place"),
    }
    for old, (new, _) in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    page.write_text(text, encoding="utf-8")
    found = "\n".join(check.problems(copy))
    for complaint in (
        "05_himmelblau_001_2_00x.png leads nowhere",
        "04_chain_rule.ipynb leads nowhere",
        "errata.html: missing",
        "gallery/12_moons_mlp.html: missing",
        "gallery/01_regression.html: names a folder of this machine",
        *(complaint for _, complaint in changes.values()),
    ):
        assert complaint in found


@pytest.fixture
def extension(tmp_path, monkeypatch):
    """Return docs/extension.py, with an empty folder for the lessons' figures."""
    pytest.importorskip("sphinx_gallery", reason="needs Sphinx: pip install -e .[docs]")
    loaded = module("extension")
    monkeypatch.setattr(loaded, "FIGURES", tmp_path / "figures")
    loaded.FIGURES.mkdir()
    return loaded


def pages_pictures(extension, lesson, folder):
    """Return what the gallery's page of a lesson says of its pictures, and the files that it has for them."""
    folder.mkdir()
    source = str(lessons.SCRIPTS / f"{lesson}.py")
    places = (str(folder / f"{number}.png") for number in range(1, 9))
    block_vars = {"src_file": source, "image_path_iterator": places, "multi_image": None}
    configuration = {"src_dir": str(folder), "image_srcset": [], "compress_images": (), "compress_images_args": []}
    configuration |= {"matplotlib_animations": (False, None)}
    rst = extension.figures_with_alt_text(("code", "", 1), block_vars, configuration)
    return re.findall(r":alt: (.*)", rst), {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("of", ["", "_digits"])
def test_pictures_of_a_worker_process_are_on_the_page(of, extension, tmp_path):
    name = "14_mnist_softmax_distributed"
    for file in (f"{name}_times{of}.png", f"{name}{of}.png", "13_wrong_gradients.png"):
        (extension.FIGURES / file).write_text(file)
    texts, files = pages_pictures(extension, name, tmp_path / "page")
    assert files == {"1.png": f"{name}{of}.png".encode(), "2.png": f"{name}_times{of}.png".encode()}
    (lesson,) = lessons.select(["14"])
    shown = "The mean of the workers' gradients is the gradient of the whole batch"
    assert texts[0].startswith(f"{lesson.title}: {shown}")
    assert texts[1:] == [f"{lesson.title}: the milliseconds of a step, by the images in a batch"]
    extension.before_a_lesson({}, f"{name}.py")
    assert [file.name for file in extension.FIGURES.iterdir()] == ["13_wrong_gradients.png"]


def test_an_open_figure_is_on_the_page_once_with_its_titles(extension, tmp_path):
    (extension.FIGURES / "04_chain_rule.png").write_text("the same, as the lesson wrote it")
    _, ax = plotting.subplots()
    ax.plot([1.0, 2.0])
    ax.set_title("it rises")
    texts, files = pages_pictures(extension, "04_chain_rule", tmp_path / "page")
    assert texts == ["The chain rule: it rises"]
    assert list(files) == ["1.png"]


@pytest.fixture
def build(tmp_path):
    """Return a function that builds, without npm, a site of one lesson and the pages that it is given."""
    if not importlib.util.find_spec("sphinx_gallery"):
        pytest.skip("needs Sphinx: pip install -e .[docs]")
    modules = ("conf", "extension", "lesson_pages", "equations", "questions", "notebooks")
    files = [f"docs/{name}.py" for name in modules]
    for name in (*files, f"scripts/{LESSON}", "scripts/GALLERY_HEADER.rst"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    for folder in ("tf_backprop", "docs/_static"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("mathjax", "__pycache__"))

    def run(change=lambda source: source, **pages):
        script = tmp_path / "scripts" / LESSON
        script.write_text(change(script.read_text(encoding="utf-8")), encoding="utf-8")
        pages["derivations"] = ".. _derivation-04:\n\nLesson 04\n---------\n"
        pages["errata"] = "There are none here.\n"
        pages["index"] = ".. toctree::\n   :glob:\n\n   gallery/index\n   *\n"
        for page, text in pages.items():
            (tmp_path / "docs" / f"{page}.rst").write_text(
                f"{page.title()}\n{'=' * len(page)}\n\n{text}", encoding="utf-8"
            )
        environment = os.environ | {"PATH": str(tmp_path)}
        # Without the stepper, Markdown, Chinese and the wheel, because this site lacks the files that they need.
        without = [
            "-D",
            "extensions=sphinx_copybutton,sphinx_gallery.gen_gallery,extension,lesson_pages,notebooks",
            "-D",
            "rst_epilog=",
            "-D",
            "html_theme_options.navbar_persistent=search-button",
        ]
        command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", *without, "docs", "site"]
        process = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
        return process, tmp_path / "site"

    return run


@pytest.mark.slow
def test_without_npm_the_build_says_so_and_equations_are_text(build):
    page = ":math:`p < q`\n\n.. math:: \\frac{\\partial L}{\\partial W}\n"
    process, site = build(equations=page)
    assert process.returncode == 0, process.stderr
    assert process.stdout.count("equations stay TeX source: npm, which brings mathjax@") == 1
    text = (site / "equations.html").read_text(encoding="utf-8")
    assert '<code class="math">p &lt; q</code>' in text
    assert '<pre class="math">\\frac{\\partial L}{\\partial W}</pre>' in text
    assert "mathjax" not in text.lower()
    lesson = (site / "gallery" / LESSON).with_suffix(".html").read_text(encoding="utf-8")
    assert "y1 = x w1 + b1      dy1/dx = w1" in lesson, "without MathJax, the equations are as the lesson has them"
    assert "04 The chain rule" in (site / "gallery" / "index.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_build_fails_when_a_lesson_fails_and_says_why(build):
    def wrong(source):
        changed = source.replace("command.check(seed", "command.check(-1 - seed")
        assert changed != source
        return changed

    process, _ = build(wrong)
    assert process.returncode != 0
    assert LESSON in process.stderr
    assert "--seed must be a whole number from 0, not -1" in process.stderr


@pytest.fixture
def npm(tmp_path, monkeypatch):
    """Return a function that puts a program called npm, made of shell lines, before all others."""
    pytest.importorskip("sphinx", reason="needs Sphinx: pip install -e .[docs]")

    def put(lines):
        path = tmp_path / "bin" / "npm"
        path.parent.mkdir()
        path.write_text(f"#!/bin/sh\n{lines}\n", encoding="utf-8")
        path.chmod(0o755)
        monkeypatch.setenv("PATH", f"{path.parent}{os.pathsep}{os.environ['PATH']}")

    return put


def test_npm_that_fails_leaves_text(npm, tmp_path):
    extension = module("extension")
    npm("exit 1")
    assert "npm did not bring mathjax@" in extension._fetch_mathjax(tmp_path / "static" / "tex-svg-full.js")
    assert not (tmp_path / "static").exists()


def test_another_file_than_ours_stops_the_build(npm, tmp_path):
    extension = module("extension")
    file = tmp_path / "package" / "es5" / "tex-svg-full.js"
    file.parent.mkdir(parents=True)
    file.write_text("another", encoding="utf-8")
    npm(f'tar czf "$5/mathjax.tgz" -C "{tmp_path}" package')
    with pytest.raises(extension.ExtensionError, match="SHA-256"):
        extension._fetch_mathjax(tmp_path / "static" / file.name)
    assert not (tmp_path / "static").exists()


@pytest.fixture
def home():
    """Return docs/home.py."""
    pytest.importorskip("sphinx", reason="needs Sphinx: pip install -e .[docs]")
    return module("home")


def test_a_panel_is_cut_out_without_its_margin(home):
    figure = Image.new("RGB", (200, 100), "white")
    figure.paste("black", (10, 20, 90, 80))
    figure.paste("red", (110, 20, 190, 80))
    panel, cut = home.crop(figure, [50, 0, 100, 100])
    assert (panel.size, panel.getcolors(), cut) == ((80, 60), [(4800, (255, 0, 0))], False)
    assert home.crop(figure, [0, 0, 100, 100])[0].size == (180, 60)
    for box in ([0, 0, 30, 100], [30, 0, 50, 100], [0, 40, 50, 100], [0, 0, 50, 60]):
        assert home.crop(figure, box)[1]


def test_the_home_page_has_the_groups_of_the_readme():
    text = (DOCS / "index.rst").read_text(encoding="utf-8")
    parts = re.split(r"^(.+)\n~+\n", text, flags=re.MULTILINE)
    numbers = {
        group: re.findall(r"lesson-card:: (\d\d)", cards) for group, cards in zip(parts[1::2], parts[2::2], strict=True)
    }
    assert [number for group in numbers.values() for number in group] == [one.name[:2] for one in lessons.find()]
    assert {group[0]: title for title, group in numbers.items()} == readme.GROUPS
    for number, after in re.findall(r"lesson-card:: (\d\d)\n(?:.*\n)?.*:after: (.+)", text):
        assert all(earlier < number for earlier in re.findall(r"\d\d", after)), number


def test_the_seconds_of_a_card_are_those_of_the_benchmark(home):
    (lesson,) = lessons.select(["07"])
    (row,) = [line for line in readme.written()["processes"].splitlines() if "07_" in line]
    assert f"{home.seconds_to_run(lesson):.1f}" == row.split("|")[2].strip()
    assert home.seconds_to_run(lesson._replace(name="15_not_timed_yet")) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One sentence.", "One sentence."),
        (f"{'A sentence of many words. ' * 8}", f"{'A sentence of many words. ' * 6}".strip()),
        ("word " * 60, f"{'word ' * 31}word…"),
    ],
)
def test_a_description_ends_with_a_sentence_or_a_word(home, text, expected):
    assert home.shortened(" ".join(text.split())) == expected
    assert len(expected) <= 160
