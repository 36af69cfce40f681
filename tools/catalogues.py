"""Brings the Chinese catalogues in docs/locale up to date with the pages: ``python -m tools.catalogues``.

It takes the texts from the pages by Sphinx, keeps each translation whose English is the same, and marks one as fuzzy
whose English has changed a little. Then it says how many are missing or fuzzy on which page. In their place, the site
shows English.
"""

import io
import subprocess
import sys
from pathlib import Path

from tf_backprop.support import lessons

from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po, write_po

DOCS = lessons.SCRIPTS.parent / "docs"
TEMPLATES = DOCS / "_build" / "gettext"
CATALOGUES = DOCS / "locale" / "zh_CN" / "LC_MESSAGES"

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


def update(page: str, known: dict[str, str]) -> Catalog:
    """Bring the catalogue of `page` up to date; what is translated on another page is taken from there."""
    catalog = read(CATALOGUES / f"{page}.po")
    texts = template(TEMPLATES / f"{page}.pot")
    catalog.update(texts)
    updated = Catalog(locale="zh_CN")
    for text in texts:  # in the order of the page
        if text.id:
            message = catalog[text.id]
            if not message.string and text.id in known:
                message.string = known[text.id]
            message.flags &= {"fuzzy"}  # without Babel's guesses that a text with a % is a format
            updated[text.id] = message
    write(CATALOGUES / f"{page}.po", updated)
    return updated


def extract() -> list[str]:
    """Let Sphinx take the texts from the pages, and return the pages."""
    command = [sys.executable, "-m", "sphinx", "-b", "gettext", "-E", "--quiet", str(DOCS), str(TEMPLATES)]
    subprocess.run(command, check=True)
    pages = (path.relative_to(TEMPLATES).with_suffix("") for path in TEMPLATES.rglob("*.pot"))
    return sorted(page.as_posix() for page in pages if page.name != "sphinx")


def main() -> None:
    """Update all catalogues, and print a line for each that is not complete."""
    pages = extract()
    known = {}
    for path in sorted(CATALOGUES.rglob("*.po")):
        done = (message for message in read(path) if message.string and not message.fuzzy)
        known |= {message.id: message.string for message in done if message.string != message.id}
    complete = 0
    for page in pages:
        messages = [message for message in update(page, known) if message.id]
        missing, fuzzy = (sum(wrong) for wrong in ([not m.string for m in messages], [m.fuzzy for m in messages]))
        complete += not (missing or fuzzy)
        if missing or fuzzy:
            print(f"{page}: of {len(messages)} texts {missing} are missing and {fuzzy} fuzzy")
    print(f"{complete} of {len(pages)} pages are complete")


if __name__ == "__main__":
    main()
