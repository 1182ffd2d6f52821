"""Headless Chromium that looks at the site: for its pictures, its timing and its tests."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from benchmark.errors import Unsupported

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# The pages are the site's own, and need no graphics card; nothing that the browser does of itself has a name to ask.
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)  # fmt: skip


@contextmanager
def open_chromium() -> Iterator[Browser]:
    """Start the system's Chromium by Playwright; it ends with the block. Raises Unsupported where either is missing."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise Unsupported("playwright is missing: pip install playwright") from None
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        raise Unsupported("chromium is missing: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()
