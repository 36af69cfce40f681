"""What Sphinx and sphinx-gallery need to know about the lessons, and MathJax without a content network."""

import hashlib
import html
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from importlib import metadata
from pathlib import Path

from tf_backprop import lessons

from docutils import nodes
from sphinx.errors import ExtensionError
from sphinx.util import logging

HERE = Path(__file__).resolve().parent
BUILD = HERE / "_build"
GALLERY = HERE / "gallery"

#: Where the lessons draw during a build, and not into the figures that are committed.
FIGURES = BUILD / "figures"

#: What the pages that are there were made from.
STAMP = GALLERY / "inputs.sha256"

#: Apache-2.0, one file, with every TeX extension and SVG output, so that it asks for no other.
MATHJAX = "mathjax@3.2.2"
MATHJAX_FILE = "mathjax/tex-svg-full.js"
MATHJAX_SHA256 = "a4354ff94fd868aea0cc6eaaa79a57fda0588646fc46ee3700a349ee0a11cbe6"

logger = logging.getLogger(__name__)


def setup(app):
    app.connect("config-inited", provide_mathjax)
    app.connect("config-inited", forget_stale_lessons)
    app.connect("builder-inited", tidy_pages, priority=900)  # sphinx-gallery writes them at 500
    app.connect("doctree-read", describe_thumbnails)
    app.connect("doctree-read", leave_equations_alone)
    app.connect("build-finished", keep_stamp)
    app.add_html_math_renderer("text", (visit_equation, None), (visit_equation, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


# The lessons in the gallery


def lesson_arguments(gallery_conf, script_vars):
    """Return the command line of a lesson: figures go to the build folder, data are digits where there is no MNIST."""
    takes_data = "data: datasets.Choice" in Path(script_vars["src_file"]).read_text(encoding="utf-8")
    data = ["--data", "mnist" if os.environ.get("MNIST_DIR") else "digits"] if takes_data else []
    return ["--figures", str(FIGURES), *data]


def before_a_lesson(gallery_conf, name):
    """Import TensorFlow before output is captured, and turn a failure into an exception that the build reports.

    A lesson that fails ends its process, which here is the whole build, and its message would be lost.
    """
    from tf_backprop import cli, command

    cli.import_tensorflow()
    (FIGURES / Path(name).with_suffix(".png").name).unlink(missing_ok=True)  # of the build before

    end_process = command.fail

    def fail(message, status):
        if status == 130:  # Ctrl-C means the build
            end_process(message, status)
        raise RuntimeError(message)

    if command.fail.__module__ != __name__:
        command.fail = fail


def figures_with_alt_text(block, block_vars, gallery_conf):
    """Return what sphinx-gallery makes of the open figures, with the lesson's title before the figure's own titles.

    A figure that a lesson's worker process has drawn is not open here, but in its file.
    """
    from sphinx_gallery.scrapers import figure_rst, matplotlib_scraper

    rst = matplotlib_scraper(block, block_vars, gallery_conf)
    (lesson,) = lessons.select([block_vars["src_file"]])
    drawn = FIGURES / f"{lesson.name}.png"
    if not rst and drawn.exists():
        place = next(block_vars["image_path_iterator"])
        shutil.copy(drawn, place)
        rst = figure_rst([place], gallery_conf["src_dir"], lesson.question)
    return re.sub(r"(:alt: )(.*)", lambda m: f"{m[1]}{lesson.title}: {m[2]}", rst)


def first_notebook_cell():
    return "\n".join(
        [
            "# Where tf_backprop is not installed, as in Colab, upload its wheel and take the # off the next line:",
            f"# %pip install {wheel_name()}",
            "%matplotlib inline",
            "import sys",
            "",
            'sys.argv = ["notebook"]  # and options, as on the command line: ["notebook", "--seed", "1"]',
        ]
    )


def wheel_name():
    """Return the name of the package's wheel, which `make docs` puts beside the pages."""
    return f"tf_backprop-{metadata.version('tf-backprop')}-py3-none-any.whl"


def inputs():
    """Return a checksum of what the pages depend on and sphinx-gallery does not look at."""
    sources = sorted([*lessons.SCRIPTS.parent.glob("tf_backprop/*.py"), HERE / "conf.py", HERE / "extension.py"])
    parts = [source.read_bytes() for source in sources] + [os.environ.get("MNIST_DIR", "").encode()]
    parts += [metadata.version(name).encode() for name in ("tensorflow", "matplotlib", "sphinx-gallery")]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def forget_stale_lessons(app, config):
    """Let every lesson run again when more has changed than its own file, by removing what says that it is current."""
    if not STAMP.exists() or STAMP.read_text() != inputs():
        for checksum in GALLERY.glob("*.py.md5"):
            checksum.unlink()


def keep_stamp(app, exception):
    if exception is None and app.builder.format == "html":
        STAMP.write_text(inputs())


def leave_equations_alone(app, doctree):
    """Say of a block without a language that it has none, or sphinx-gallery colours the equations as Python."""
    for block in doctree.findall(nodes.literal_block):
        block.setdefault("language", "none")


def describe_thumbnails(app, doctree):
    """Give the picture on a card the text of the figure that it is made from; sphinx-gallery leaves it empty."""
    for image in doctree.findall(nodes.image):
        found = re.search(r"/sphx_glr_(\w+)_thumb\.png$", image["uri"])
        if found:
            page = (GALLERY / f"{found[1]}.rst").read_text(encoding="utf-8")
            figures = re.findall(r"^ +:alt: (.*)", page, re.MULTILINE)  # none where the lesson failed
            image["alt"] = next(iter(figures), "")


def tidy_pages(app):
    """Put the lessons' numbers before their titles, and name folders as the reader would, not as this machine does."""
    for lesson in lessons.find():
        page = GALLERY / f"{lesson.name}.rst"
        text = page.read_text(encoding="utf-8")
        numbered = f"{lesson.name[:2]} {lesson.title}"
        heading, better = (f"\n{title}\n{'=' * len(title)}\n" for title in (lesson.title, numbered))
        tidy = text.replace(heading, better, 1)
        tidy = tidy.replace(f"{FIGURES}{os.sep}", "figures/")
        if os.environ.get("MNIST_DIR"):
            tidy = tidy.replace(os.environ["MNIST_DIR"], "MNIST_DIR")
        if tidy != text:
            page.write_text(tidy, encoding="utf-8")


# Equations


def provide_mathjax(app, config):
    """Put MathJax among the static files, from npm once; where there is no npm, say so, and leave the TeX as text."""
    target = HERE / "_static" / MATHJAX_FILE
    if target.exists() and _sha256(target) == MATHJAX_SHA256:
        return
    problem = _fetch_mathjax(target)
    if problem:
        logger.info("equations stay TeX source: %s", problem)
        config.html_math_renderer = "text"


def _fetch_mathjax(target):
    """Write MathJax to `target`, or return why that cannot be done."""
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
    """Write an equation's TeX as code, where MathJax is missing."""
    tag = "code" if isinstance(node, nodes.math) else "pre"
    translator.body.append(f'<{tag} class="math">{html.escape(node.astext().strip())}</{tag}>')
    raise nodes.SkipNode
