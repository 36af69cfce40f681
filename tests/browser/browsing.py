"""What the tests in a browser do with it: its size, light and dark, and what it complains of."""

import json


def resize(browser, width, height):
    """Make the page `width` CSS pixels wide, also below the least width of a window."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def media(browser, scheme):
    """Prefer "light" or "dark", as the reader's system would."""
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def complaints(browser, site):
    """Return what was wrong since the last call: messages of the console, failed requests, requests to other hosts."""
    wrong = [f"console: {entry['message']}" for entry in browser.get_log("browser") if entry["level"] != "INFO"]
    addresses = {}
    for entry in browser.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        method, parameters = message["method"], message["params"]
        if method == "Network.requestWillBeSent":
            address = addresses[parameters["requestId"]] = parameters["request"]["url"]
            if not address.startswith((site + "/", "data:", "blob:", "about:")):
                wrong.append(f"another host: {address}")
        elif method == "Network.responseReceived" and parameters["response"]["status"] >= 400:
            wrong.append(f"{parameters['response']['status']}: {parameters['response']['url']}")
        elif method == "Network.loadingFailed" and not parameters.get("canceled"):
            wrong.append(f"failed: {addresses.get(parameters['requestId'])} {parameters['errorText']}")
    return wrong
