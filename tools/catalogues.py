"""Brings the Chinese catalogues up to date with the pages and the messages: ``python -m tools.catalogues [messages]``.

It takes the texts from the pages by Sphinx, and the messages of the check and of practice from their source, keeps each
translation whose English is the same, and marks one as fuzzy whose English has changed a little. Then it says how many
are missing or fuzzy. In their place, a reader sees English. With the word ``messages`` it leaves the pages alone.
"""

import ast
import io
import subprocess
import sys
from pathlib import Path

from tf_backprop.support import language, lessons

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

DOCS = lessons.SCRIPTS.parent / "docs"
TEMPLATES = DOCS / "_build" / "gettext"
CATALOGUES = DOCS / "locale" / "zh_CN" / "LC_MESSAGES"
MESSAGES = language.FOLDER / "zh_CN" / "LC_MESSAGES" / "tf_backprop.po"

HEADER = """msgid ""
msgstr ""
"Language: zh_CN\\n"
"MIME-Version: 1.0\\n"
"Content-Type: text/plain; charset=utf-8\\n"
"Content-Transfer-Encoding: 8bit\\n"

"""


def read(path: Path) -> Catalog:
    """Read a catalogue, or return an empty one."""
    if not path.exists():
        return Catalog(locale="zh_CN")
    with path.open("rb") as file:
        return read_po(file, locale="zh_CN")


def write(path: Path, catalog: Catalog) -> None:
    """Write a catalogue without what changes by itself: line numbers and dates."""
    text = io.BytesIO()
    write_po(text, catalog, width=120, no_location=True, omit_header=True, ignore_obsolete=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(HEADER + text.getvalue().decode().strip() + "\n", encoding="utf-8")


def template(path: Path) -> Catalog:
    """Read what Sphinx has taken from a page, without the texts of the pictures on the cards: those of the figures."""
    titles = tuple(f"{lesson.title}: " for lesson in lessons.find())
    texts = Catalog(locale="zh_CN")
    for message in read(path):
        if message.id and not message.id.startswith(titles):
            texts.add(message.id)
    return texts


def templates(source: str) -> list[str]:
    """Return the templates of the messages in a program: what `say` is called with, and how `joined` joins.

    A template is written where `say` is called, or is given a name in the same function before.
    """
    tree, found, named = ast.parse(source), {}, {}
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            pairs = [pair for node in ast.walk(function) if isinstance(node, ast.Assign) for pair in _pairs(node)]
            texts = [(name, value) for name, value in pairs if isinstance(value, ast.Constant)]
            for call in _calls(function):
                named.setdefault(call, []).extend(value for name, value in texts if name == ast.unparse(call.args[0]))
    for call in _calls(tree):
        here = [call.args[0]] if isinstance(call.args[0], ast.Constant) else named.get(call, [])
        if not here:
            raise ValueError(f"line {call.lineno}: the template of a message must stand there, or in the function")
        found |= {(node.lineno, node.col_offset): node.value for node in here}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and "{b}" in str(node.value):
            found[node.lineno, node.col_offset] = node.value
    return [text for _, text in sorted(found.items())]


def _calls(tree: ast.AST) -> list[ast.Call]:
    """Return the calls of `say` in a program, but for that in `joined`, whose pairs are found by their {b}."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "say"]
    return [call for call in calls if ast.unparse(call.args[0]) != "pair"]


def _pairs(node: ast.Assign) -> list[tuple[str, ast.expr]]:
    """Return the names that an assignment gives values, and the values."""
    target, value = node.targets[0], node.value
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        return [(ast.unparse(name), one) for name, one in zip(target.elts, value.elts, strict=True)]
    return [(ast.unparse(target), value)]


def messages() -> Catalog:
    """Return the messages of the check and of practice, in the order of their files."""
    texts = Catalog(locale="zh_CN")
    for path in sorted(language.FOLDER.parents[1].rglob("*.py")):
        for text in templates(path.read_text(encoding="utf-8")):
            texts.add(text)  # once, wherever it stands
    return texts


class Undated(Catalog):
    """A catalogue whose header says nothing that changes by itself: dates, and the version of Babel."""

    mime_headers = (("Language", "zh_CN"), ("Content-Type", "text/plain; charset=utf-8"))


def compiled(path: Path) -> bytes:
    """Return a catalogue as gettext reads it."""
    file, catalog = io.BytesIO(), Undated(locale="zh_CN")
    for message in read(path):
        if message.id:
            catalog[message.id] = message
    write_mo(file, catalog)
    return file.getvalue()


def update(path: Path, texts: Catalog, known: dict[str, str]) -> Catalog:
    """Bring a catalogue up to date with `texts`; what is translated on another page is taken from there."""
    catalog = read(path)
    catalog.update(texts)
    updated = Catalog(locale="zh_CN")
    for text in texts:  # in the order of the page
        if text.id:
            message = catalog[text.id]
            if not message.string and text.id in known:
                message.string = known[text.id]
            message.flags &= {"fuzzy"}  # without Babel's guesses that a text with a % is a format
            updated[text.id] = message
    write(path, updated)
    return updated


def extract() -> list[str]:
    """Let Sphinx take the texts from the pages, and return the pages."""
    command = [sys.executable, "-m", "sphinx", "-b", "gettext", "-E", "--quiet", str(DOCS), str(TEMPLATES)]
    subprocess.run(command, check=True)
    pages = (path.relative_to(TEMPLATES).with_suffix("") for path in TEMPLATES.rglob("*.pot"))
    return sorted(page.as_posix() for page in pages if page.name != "sphinx")


def main() -> None:
    """Update all catalogues, and print a line for each that is not complete."""
    pages = extract() if sys.argv[1:] != ["messages"] else []
    known = {}
    for path in sorted(CATALOGUES.rglob("*.po")):
        done = (message for message in read(path) if message.string and not message.fuzzy)
        known |= {message.id: message.string for message in done if message.string != message.id}
    texts = {page: (CATALOGUES / f"{page}.po", template(TEMPLATES / f"{page}.pot")) for page in pages}
    texts["messages"] = (MESSAGES, messages())
    complete = 0
    for page, (path, found) in texts.items():
        updated = [message for message in update(path, found, known) if message.id]
        missing, fuzzy = (sum(wrong) for wrong in ([not m.string for m in updated], [m.fuzzy for m in updated]))
        complete += not (missing or fuzzy)
        if missing or fuzzy:
            print(f"{page}: of {len(updated)} texts {missing} are missing and {fuzzy} fuzzy")
    MESSAGES.with_suffix(".mo").write_bytes(compiled(MESSAGES))
    print(f"{complete} of {len(texts)} catalogues are complete")


if __name__ == "__main__":
    main()
