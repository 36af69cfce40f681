"""Draw the home page's picture of the stepper on the way back, in each language: ``python -m tools.picture``.

Sphinx takes ``stepper.zh_CN.png`` for the Chinese page. Before it, ``make docs``. It needs selenium, and Debian's
chromium with chromium-driver.
"""

import base64
import io
import shutil
from pathlib import Path

from tf_backprop.support import lessons
from tf_backprop.support.errors import UsageError

from PIL import Image

DOCS = lessons.SCRIPTS.parent / "docs"
SITE = DOCS / "_build" / "html"
PICTURES = {
    DOCS / "_static" / "stepper.png": SITE / "stepper.html",
    DOCS / "_static" / "stepper.zh_CN.png": SITE / "zh" / "stepper.html",
}
STEP = "#s=8"  # every weight has its derivative
WIDTH, SCALE = 1280, 2
BESIDE, ABOVE = 12, 2  # the margins, in pixels of the page


def screenshot(page: Path) -> bytes:
    """Return a PNG of the graph with its formulas and a nudge, in the light, at twice the size of the page."""
    from selenium import webdriver

    program, driver = (shutil.which(name) for name in ("chromium", "chromedriver"))
    if not (program and driver and page.exists()):
        raise UsageError("the picture needs the built site (make docs), chromium and chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for argument in ("--headless=new", "--no-sandbox", "--force-color-profile=srgb"):
        options.add_argument(argument)
    with webdriver.Chrome(options, webdriver.ChromeService(driver)) as browser:
        metrics = {"width": WIDTH, "height": 900, "deviceScaleFactor": SCALE, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        preferred = {"prefers-color-scheme": "light", "prefers-reduced-motion": "reduce"}
        features = [{"name": name, "value": value} for name, value in preferred.items()]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        browser.get(page.as_uri() + STEP)
        browser.find_element("css selector", "#stepper .nudge button").click()
        stage, graph = (browser.find_element("css selector", f"#stepper .{name}").rect for name in ("stage", "graph"))
        box = {"x": stage["x"], "width": stage["width"], "y": graph["y"], "height": graph["height"]}
        clip = {"x": box["x"] - BESIDE, "y": box["y"] - ABOVE, "scale": 1}
        clip |= {"width": box["width"] + 2 * BESIDE, "height": box["height"] + 2 * ABOVE}
        return base64.b64decode(browser.execute_cdp_cmd("Page.captureScreenshot", {"clip": clip})["data"])


def main() -> None:
    """Write the pictures, in few colours, which makes them a third as large."""
    for file, page in PICTURES.items():
        image = Image.open(io.BytesIO(screenshot(page))).convert("RGB").quantize(160, dither=Image.Dither.NONE)
        image.save(file, optimize=True)
        print(f"{file.relative_to(DOCS.parent)}: {image.width} x {image.height}, {file.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
