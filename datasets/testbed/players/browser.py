"""Chromium for a session: started by Playwright in a network namespace, alone on the link, and gone after any exit.

Nothing that a browser does of its own accord (updates, safe browsing, favicons, look-ups) gets to the link: no name
but the server's resolves, and a page's own files come from disk, by a route that is taken away before the session.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page, Playwright, Route

HERE = Path(__file__).resolve().parent
_PREFIX = "tb-browser-"
# Chromium heeds only the last list of features, so this one stands for Playwright's too, as far as the network goes.
FEATURES = (
    "WebRtcHideLocalIpsWithMdns",
    "MediaRouter",
    "OptimizationHints",
    "NetworkTimeServiceQuerying",
    "PreconnectToSearch",
    "HttpsUpgrades",
    "LensOverlay",
    "AimEnabled",
    "PaintHolding",
    "DestroyProfileOnBrowserClose",
)
# Set by the processes of a session, so that they take nobody else's profile, cache or crash folder.
_HOME_VARIABLES = ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "TMPDIR")
FLAGS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-client-side-phishing-detection",
    "--disable-breakpad",
    f"--disable-features={','.join(FEATURES)}",
    "--no-first-run",
    "--no-pings",
    "--no-sandbox",
    "--disable-gpu",
    "--autoplay-policy=no-user-gesture-required",
)


class BrowserError(Exception):
    """A browser can't be started, or its page failed."""


def find_chromium() -> str | None:
    """Return the path of Chromium, or None where it isn't installed."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def resolver_rules(host: str = "", address: str = "") -> str:
    """Return the flag by which only ``host`` resolves, to ``address``; without, nothing does."""
    rules = f"MAP {host} {address},MAP * ~NOTFOUND,EXCLUDE {address}" if host else "MAP * ~NOTFOUND"
    return f"--host-resolver-rules={rules}"


@asynccontextmanager
async def open_playwright() -> AsyncIterator[tuple[Playwright, Path]]:
    """Start Playwright; yield it and a temporary folder for all that browsers write, removed at the end.

    The folders of processes that were killed are removed too.
    """
    try:
        from playwright.async_api import async_playwright
    except ImportError as error:
        raise BrowserError("playwright is missing: pip install playwright") from error
    _sweep()
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
    os.environ.update(dict.fromkeys(_HOME_VARIABLES, str(folder)))
    try:
        async with async_playwright() as playwright:
            yield playwright, folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def open_browser(
    playwright: Playwright, folder: Path, flags: Sequence[str], namespace: str | None = None, nice: int = 0
) -> AsyncIterator[Browser]:
    """Start a Chromium with a new profile, in ``namespace`` (None: this one); it dies with Playwright's driver."""
    program = find_chromium()
    if program is None:
        raise BrowserError("chromium is missing: apt-get install chromium")
    command = ["setpriv", "--pdeathsig", "KILL"]
    if nice:
        command += ["nice", "-n", str(nice)]
    if namespace:
        command += ["ip", "netns", "exec", namespace]
    launcher = folder / f"launch-{namespace or 'here'}"
    # The arguments are all ours; quoting is for a temporary folder's odd characters.
    words = " ".join("'" + word.replace("'", "'\\''") + "'" for word in [*command, program])
    launcher.write_text(f'#!/bin/sh\nexec {words} "$@"\n', encoding="utf-8")
    launcher.chmod(0o700)
    browser = await playwright.chromium.launch(
        executable_path=launcher,
        args=[*FLAGS, *flags],
        handle_sigint=False,
        handle_sigterm=False,
        handle_sighup=False,
        env=dict(os.environ),
    )
    try:
        yield browser
    finally:
        # A driver that is itself being killed can't answer.
        with suppress(Exception):
            await asyncio.wait_for(browser.close(), 10)


async def open_page(browser: Browser, origin: str, name: str, files: Mapping[str, Path]) -> Page:
    """Open ``origin/name`` with its files from disk (name within the origin to path); the link sees none of it."""
    page = await browser.new_page(viewport={"width": 360, "height": 220})

    async def answer(route: Route) -> None:
        path = files.get(route.request.url.removeprefix(f"{origin}/"))
        await (route.fulfill(path=path) if path else route.abort())

    await page.route("**/*", answer)
    await page.goto(f"{origin}/{name}")
    # Routed requests pass through this process, which would delay the session's own.
    await page.unroute_all()
    return page


def _sweep() -> None:
    """Remove the temporary folders of players that are gone."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        process = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if process.isdigit() and not Path(f"/proc/{process}").exists():
            shutil.rmtree(folder, ignore_errors=True)
