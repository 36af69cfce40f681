"""Fixtures: the built site on a local server, and a real browser that watches its console and every request."""

import functools
import http.server
import shutil
import subprocess
import tarfile
import threading

from browsing import complaints, media, resize
from tf_backprop.support import lessons

import pytest

AXE = "axe-core@4.10.3"  # what looks for barriers; npm brings it for the tests, and no page has it
HTML = lessons.SCRIPTS.parent / "docs" / "_build" / "html"


class Quiet(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # one connection for many requests

    def log_message(self, *_):
        pass

    def end_headers(self):
        self.send_header("Cache-Control", "max-age=3600")  # the site does not change while it is tested
        super().end_headers()


@pytest.fixture(scope="session")
def html():
    """Return the folder of the built site."""
    if not (HTML / "index.html").exists():
        pytest.skip("the site is not built: make docs")
    return HTML


@pytest.fixture(scope="session")
def site(html):
    """Return the address of the built site, without a slash at its end."""
    handler = functools.partial(Quiet, directory=html)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    """Return Debian's Chromium under selenium; it downloads into `chromium.downloads`."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium: pip install -e .[docs]")
    program, driver = (shutil.which(name) for name in ("chromium", "chromedriver"))
    if not (program and driver):
        pytest.skip("needs a browser: apt-get install chromium chromium-driver")
    downloads = tmp_path_factory.mktemp("downloads")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for argument in (
        "--headless=new",
        "--disable-gpu",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--no-first-run",
        "--force-color-profile=srgb",
    ):
        options.add_argument(argument)
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    with webdriver.Chrome(options, webdriver.ChromeService(driver)) as chrome:
        chrome.set_page_load_timeout(60)
        chrome.downloads = downloads
        yield chrome


@pytest.fixture
def browser(chromium, site):
    """Return the browser, 1280 px wide and light; after the test its console and its requests must have been clean."""
    chromium.get("about:blank")
    complaints(chromium, site)
    resize(chromium, 1280, 900)
    media(chromium, "light")
    yield chromium
    assert complaints(chromium, site) == []


@pytest.fixture(scope="session")
def axe(tmp_path_factory):
    """Return the source of axe-core, for `execute_script`."""
    npm, folder = shutil.which("npm"), tmp_path_factory.mktemp("axe")
    if not npm:
        pytest.skip(f"needs npm, which brings {AXE}")
    try:
        command = [npm, "pack", AXE, "--silent", "--pack-destination", folder]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
    except (subprocess.SubprocessError, OSError) as error:
        pytest.skip(f"npm did not bring {AXE} ({type(error).__name__})")
    (archive,) = folder.glob("*.tgz")
    with tarfile.open(archive) as package:
        return package.extractfile("package/axe.min.js").read().decode()
