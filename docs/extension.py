"""What Sphinx and sphinx-gallery need to know about the lessons, and MathJax without a content delivery network."""

import hashlib
import html
import importlib
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from importlib import metadata
from pathlib import Path

from tf_backprop.support import lessons

from docutils import nodes
from sphinx.errors import ExtensionError
from sphinx.util import logging

HERE = Path(__file__).resolve().parent
BUILD = HERE / "_build"
GALLERY = HERE / "gallery"

#: The lessons draw into this folder during a build, so that the committed figures stay as they are.
FIGURES = BUILD / "figures"

#: A checksum of what the present pages were made from.
STAMP = GALLERY / "inputs.sha256"

#: One file (Apache-2.0) with every TeX extension and SVG output, so that it loads no other.
MATHJAX = "mathjax@3.2.2"
MATHJAX_FILE = "mathjax/tex-svg-full.js"
MATHJAX_SHA256 = "a4354ff94fd868aea0cc6eaaa79a57fda0588646fc46ee3700a349ee0a11cbe6"

logger = logging.getLogger(__name__)


def setup(app):
    app.connect("config-inited", provide_mathjax)
    app.connect("config-inited", forget_stale_lessons)
    app.connect("builder-inited", shorten_folders, priority=900)  # sphinx-gallery writes them at 500
    app.connect("doctree-read", leave_out_thumbnails)
    app.connect("doctree-read", leave_equations_alone)
    app.connect("build-finished", keep_stamp)
    app.add_html_math_renderer("text", (visit_equation, None), (visit_equation, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


# The lessons in the gallery


def lesson_arguments(gallery_conf, script_vars):
    """Return the command line of a lesson: it explains itself, if it can, and without MNIST it takes digits."""
    source = Path(script_vars["src_file"]).read_text(encoding="utf-8")
    arguments = ["--figures", str(FIGURES)]
    if "data: datasets.Choice" in source:
        arguments += ["--data", "mnist" if os.environ.get("MNIST_DIR") else "digits"]
    if "explain: bool" in source:
        arguments.append("--explain")
    return arguments


def before_a_lesson(gallery_conf, name):
    """Import TensorFlow before output is captured, and remove what the lesson drew in an earlier build.

    A lesson that fails raises its error here, and the build reports it: a lesson ends the process only where the main
    program is a file, and sphinx-gallery runs each lesson as a main program without a file.
    """
    importlib.import_module("tf_backprop.command")
    for earlier in drawn(Path(name).stem):
        earlier.unlink()


def drawn(name):
    """Return the files that a lesson has drawn, the one that bears its name alone first."""
    return sorted(FIGURES.glob(f"{name}*.png"))


def figures_with_alt_text(block, block_vars, gallery_conf):
    """Return what sphinx-gallery makes of the open figures, with the lesson's title before the figure's own titles.

    The figures of lesson 14 are not open here, because a worker process has drawn them, but they are in their files.
    """
    from sphinx_gallery.scrapers import figure_rst, matplotlib_scraper

    rst = matplotlib_scraper(block, block_vars, gallery_conf)
    (lesson,) = lessons.select([block_vars["src_file"]])
    for file in [] if rst else drawn(lesson.name):
        place = next(block_vars["image_path_iterator"])
        shutil.copy(file, place)
        times = file.stem.removesuffix("_digits").endswith("_times")
        text = "the milliseconds of a step, by the images in a batch" if times else seen(lesson).partition(". ")[0]
        rst += figure_rst([place], gallery_conf["src_dir"], text)
    return re.sub(r"(:alt: )(.*)", lambda m: f"{m[1]}{lesson.title}: {m[2]}", rst)


def seen(lesson):
    """Return what the docstring of a lesson says that one should see."""
    paragraphs = lesson.path.read_text(encoding="utf-8").split("\n\n")
    text = next((" ".join(p.split()) for p in paragraphs if p.startswith(lessons.SEEN)), lesson.question)
    text = text.removeprefix(lessons.SEEN).strip()
    return text[:1].upper() + text[1:]


def wheel_name():
    """Return the name of the package's wheel, which ``make docs`` puts beside the pages."""
    return f"tf_backprop-{metadata.version('tf-backprop')}-py3-none-any.whl"


def inputs():
    """Return a checksum of everything on which the pages depend and at which sphinx-gallery does not look."""
    package = lessons.SCRIPTS.parent.glob("tf_backprop/**/*.py")
    own = (HERE / name for name in ("conf.py", "extension.py", "notebooks.py", "equations.py"))
    sources = sorted([*package, *own])
    parts = [source.read_bytes() for source in sources] + [os.environ.get("MNIST_DIR", "").encode()]
    parts += [metadata.version(name).encode() for name in ("tensorflow", "matplotlib", "sphinx-gallery")]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def forget_stale_lessons(app, config):
    """Let every lesson run again if more than its own file has changed, by removing sphinx-gallery's own checksums."""
    if not STAMP.exists() or STAMP.read_text() != inputs():
        for checksum in GALLERY.glob("*.py.md5"):
            checksum.unlink()


def keep_stamp(app, exception):
    if exception is None and app.builder.format == "html":
        STAMP.write_text(inputs())


def leave_equations_alone(app, doctree):
    """Mark a block without a language as such, because sphinx-gallery would colour the equations as Python."""
    for block in doctree.findall(nodes.literal_block):
        block.setdefault("language", "none")


def leave_out_thumbnails(app, doctree):
    """Leave the list of the lessons without pictures: whole figures are too small there, and home has parts of them."""
    for image in list(doctree.findall(nodes.image)):
        if image["uri"].endswith("_thumb.png"):
            image.parent.remove(image)


def shorten_folders(app):
    """Replace the folders of this machine, which the lessons print, by short names."""
    for lesson in lessons.find():
        page = GALLERY / f"{lesson.name}.rst"
        text = page.read_text(encoding="utf-8")
        short = text.replace(f"{FIGURES}{os.sep}", "figures/")
        if os.environ.get("MNIST_DIR"):
            short = short.replace(os.environ["MNIST_DIR"], "MNIST_DIR")
        if short != text:
            page.write_text(short, encoding="utf-8")


# Equations


def provide_mathjax(app, config):
    """Put MathJax among the static files, once, by npm; without npm, say so and leave the equations as TeX source."""
    target = HERE / "_static" / MATHJAX_FILE
    if target.exists() and _sha256(target) == MATHJAX_SHA256:
        return
    problem = _fetch_mathjax(target)
    if problem:
        logger.info("equations stay TeX source: %s", problem)
        config.html_math_renderer = "text"


def _fetch_mathjax(target):
    """Write MathJax to `target`, or return the reason why that is impossible."""
    npm = shutil.which("npm")
    if npm is None:
        return f"npm, which brings {MATHJAX}, is not installed"
    with tempfile.TemporaryDirectory() as folder:
        try:
            command = [npm, "pack", MATHJAX, "--silent", "--pack-destination", folder]
            subprocess.run(command, check=True, capture_output=True, timeout=120)
        except (subprocess.SubprocessError, OSError) as error:
            return f"npm did not bring {MATHJAX} ({type(error).__name__})"
        (archive,) = Path(folder).glob("*.tgz")
        with tarfile.open(archive) as package:
            content = package.extractfile(f"package/es5/{target.name}").read()
    if hashlib.sha256(content).hexdigest() != MATHJAX_SHA256:
        raise ExtensionError(f"{MATHJAX}: {target.name} has not the SHA-256 that docs/extension.py asks for")
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    partial.write_bytes(content)
    partial.replace(target)
    return None


def _sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def visit_equation(translator, node):
    """Write the TeX of an equation as code, if MathJax is missing."""
    tag = "code" if isinstance(node, nodes.math) else "pre"
    translator.body.append(f'<{tag} class="math">{html.escape(node.astext().strip())}</{tag}>')
    raise nodes.SkipNode
