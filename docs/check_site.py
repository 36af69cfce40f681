"""Report what is missing from the built site, or where to open it: ``make docs`` ends with this."""

import json
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

from tf_backprop.support import lessons

DOCS = Path(__file__).resolve().parent
SITE = DOCS / "_build" / "html"


class Page(HTMLParser):
    """Collects the links of a page, what it loads, its images without a text, and its ids."""

    def __init__(self, path):
        super().__init__()
        self.links, self.loads, self.without_text, self.ids = [], [], [], set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        """Look at a start tag."""
        given = dict(attrs)
        self.ids |= {given.get("id"), given.get("name")}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        self.loads += [given[name] for name in ("src", "data") if given.get(name)]
        if tag == "link" and "href" in given:
            self.loads.append(given["href"])
        if tag == "img":
            self.loads += [part.split()[0] for part in given.get("srcset", "").split(",") if part]
            if not given.get("alt"):
                self.without_text.append(given.get("src"))


def problems(site):
    """Return one line for each thing that is missing or wrong in the folder `site`."""
    sources = [path.stem for path in DOCS.iterdir() if path.suffix in (".rst", ".md")]
    names = [lesson.name for lesson in lessons.find()]
    expected = [f"{name}.html" for name in (*sources, "search", "gallery/index", *(f"gallery/{n}" for n in names))]
    expected = [f"{edition}{name}" for edition in ("", "zh/") for name in (*expected, "searchindex.js")]
    found = [f"{name}: missing" for name in expected if not (site / name).is_file()]
    pages = {path: Page(path) for path in sorted(site.rglob("*.html")) if "_static" not in path.parts}
    for path, page in pages.items():
        name = path.relative_to(site)
        found += [f"{name}: an image has no text: {image}" for image in page.without_text]
        found += [f"{name}: loads {address}" for address in page.loads if urlsplit(address).netloc]
        found += [f"{name}: {broken}" for broken in _broken(path, page, pages)]
        if str(DOCS.parent) in path.read_text(encoding="utf-8"):
            found.append(f"{name}: names a folder of this machine")
    for name in names:
        page = pages.get(site / "gallery" / f"{name}.html")
        if page is None:
            continue
        for ending, where in ((".ipynb", page.links), (".py", page.links)):
            if not any(address.endswith(ending) for address in where):
                found.append(f"gallery/{name}.html: no {ending}")
        for what, where in (("figure", page.loads), ("link to the figure in its full size", page.links)):
            if not any(f"/sphx_glr_{name}_001" in address for address in where):
                found.append(f"gallery/{name}.html: no {what}")
        for address in page.links:
            notebook = (site / "gallery" / address).resolve()
            if notebook.suffix == ".ipynb" and notebook.is_file():
                json.loads(notebook.read_text(encoding="utf-8"))
        if "sphx-glr-script-out" not in (site / "gallery" / f"{name}.html").read_text(encoding="utf-8"):
            found.append(f"gallery/{name}.html: no output")
    return found


def _broken(path, page, pages):
    """Yield each address of `page` that should be within the site and leads nowhere."""
    for address in (*page.links, *page.loads):
        parts = urlsplit(address)
        if parts.scheme or parts.netloc:
            continue
        file, fragment = urldefrag(address)
        target = (path.parent / unquote(urlsplit(file).path)).resolve() if urlsplit(file).path else path
        if not target.is_file():
            yield f"{address} leads nowhere"
        elif fragment and target in pages and unquote(fragment) not in pages[target].ids:
            yield f"{address} has no such place"


if __name__ == "__main__":
    wrong = problems(SITE)
    if wrong:
        sys.exit("\n".join(f"error: {line}" for line in wrong))
    print(f"open {(SITE / 'index.html').relative_to(Path.cwd())}")
