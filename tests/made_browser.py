"""A headless browser with a profile of its own, of Debian's packages chromium and chromium-driver."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
DRIVER = "chromedriver"
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)


@contextmanager
def browser(profile: Path) -> Iterator[webdriver.Chrome]:
    """Start a browser; skips the test where none is installed."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    driver = shutil.which(DRIVER)
    if found is None or driver is None:
        pytest.skip("no browser: `apt-get install chromium chromium-driver` installs one")
    options = Options()
    options.binary_location = found
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    # With the driver's path given, selenium looks for none in the network.
    one = webdriver.Chrome(options=options, service=Service(driver))
    try:
        yield one
    finally:
        one.quit()


def show(
    one: webdriver.Chrome, page: Path, *, width: int, scheme: str = "light", medium: str = "screen"
) -> None:
    """Open a page as a screen of so many CSS pixels, or paper of that width, shows it."""
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
    one.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    media = {"media": medium, "features": [{"name": "prefers-color-scheme", "value": scheme}]}
    one.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    one.get(page.as_uri())


def requests(one: webdriver.Chrome) -> list[str]:
    """Return the addresses that were asked for since the last call, whether or not they answered."""
    messages: list[dict[str, Any]] = [
        json.loads(entry["message"])["message"] for entry in one.get_log("performance")
    ]
    return [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]
