"""The ``stepper`` directive puts the numbers and lines of docs/export_steps.py into the page, which loads nothing more.

The export needs TensorFlow and some seconds, so it is kept in the build folder and made again only when one of its
sources has changed. The content of the directive is the texts that docs/_static/stepper.js shows: they are paragraphs
of the page, which can be translated like any others.
"""

import hashlib
import json
from pathlib import Path

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

DOCS = Path(__file__).parent
SOURCES = [
    DOCS / "export_steps.py",
    DOCS.parent / "scripts" / "07_two_layer_network.py",
    DOCS.parent / "tf_backprop" / "datasets.py",
]
EXPORT = DOCS / "_build" / "steps.json"


class Stepper(SphinxDirective):
    """Holds the numbers as JSON, the code as HTML, and the texts."""

    has_content = True

    def run(self):
        """Return the nodes of the stepper."""
        for source in (*SOURCES, EXPORT):
            self.env.note_dependency(source)
        exported = json.loads(EXPORT.read_text(encoding="utf-8"))["export"]
        code = ""
        for mode in ("identity", "sigmoid"):
            pre = f"<pre>{exported[mode].pop('code')}</pre>"
            code += f'<div class="highlight stepper-code" data-mode="{mode}" hidden>{pre}</div>'
        data = json.dumps(exported).replace("<", "\\u003c")
        texts = nodes.container(classes=["stepper-texts"])
        self.state.nested_parse(self.content, self.content_offset, texts)
        script = f'<script type="application/json" id="stepper-data">{data}</script>'
        return [nodes.raw("", f'<div id="stepper" hidden>{code}</div>{script}', format="html"), texts]


def export_when_outdated(app) -> None:
    """Run the lesson's update by TensorFlow, if one of the sources has changed since the last time."""
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in SOURCES)).hexdigest()
    try:
        if json.loads(EXPORT.read_text(encoding="utf-8"))["digest"] == digest:
            return
    except (OSError, ValueError, KeyError):
        pass
    from export_steps import export  # here: it imports TensorFlow

    EXPORT.parent.mkdir(parents=True, exist_ok=True)
    EXPORT.write_text(json.dumps({"digest": digest, "export": export()}), encoding="utf-8")


def add_assets(app, pagename, templatename, context, doctree) -> None:
    """Load the style and the script on the pages that have a stepper only."""
    if doctree is not None and any("stepper-texts" in node["classes"] for node in doctree.findall(nodes.container)):
        app.add_css_file("stepper.css")
        app.add_js_file("stepper.js", loading_method="defer")


def setup(app):
    """Register with Sphinx."""
    app.connect("builder-inited", export_when_outdated)
    app.connect("html-page-context", add_assets)
    app.add_directive("stepper", Stepper)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
