"""A real Chromium for the browser tests, driven by Playwright."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from playwright.sync_api import Browser, sync_playwright

CHROMIUM_VARIABLE: Final = "GATEWAY_TEST_CHROMIUM"
DEFAULT_CHROMIUM: Final = "/usr/bin/chromium"
CHROMIUM_ARGUMENTS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
)


def chromium_path() -> str:
    """Return the Chromium executable that the tests use."""
    return os.environ.get(CHROMIUM_VARIABLE, DEFAULT_CHROMIUM)


def find_missing() -> str | None:
    """Return what is missing for a browser test and how to install it, or None."""
    if shutil.which(chromium_path()) is None:
        return f"{chromium_path()} is missing: apt-get install chromium, or set {CHROMIUM_VARIABLE}"
    return None


@contextmanager
def run_browser() -> Iterator[Browser]:
    """Run a headless Chromium until the end of the block."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium_path(), args=list(CHROMIUM_ARGUMENTS), headless=True
        )
        try:
            yield browser
        finally:
            browser.close()
