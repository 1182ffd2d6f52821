"""The browser player: headless Chromium with shaka-player.

    python players/chromium.py CONFIG.json LOG.json       inside the client's namespace

The page and shaka come from disk, the film over the link; HTTP/3 is forced from the first packet where the session asks
for it, as a browser does that has been on the site before. What shaka believes of the network before its first segment
is drawn by the session's seed, so that the first rung varies. A film loops.
"""

from __future__ import annotations

import asyncio
import math
import random
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parent))

from browser import HERE, BrowserError, open_browser, open_page, open_playwright, resolver_rules
from running import processor_seconds, run_player

AFTER = 6.0
# Not the film's host: a browser connects to a page's host before anything is asked of it.
ORIGIN = "https://player.test"
ESTIMATES = (0.3e6, 3e6)
# An outage costs an attempt every few seconds; a player gives up far later than any outage of a plan lasts.
ATTEMPTS = 30
ANSWER = 30.0


def first_estimate(seed: int) -> float:
    """Return the throughput that the player believes in at first, bits/s: log-uniform over ``ESTIMATES``."""
    low, high = ESTIMATES
    share = random.Random(f"first estimate {seed}").random()
    return float(round(low * math.exp(share * math.log(high / low))))


def browser_flags(config: Mapping[str, Any]) -> list[str]:
    """Return the flags that bring the session's host, certificate and protocol."""
    host = str(urlsplit(config["url"]).hostname)
    flags = [
        resolver_rules(host, config["address"]),
        f"--ignore-certificate-errors-spki-list={config['spki']}",
        # Else a page from elsewhere may not ask a private address for anything.
        f"--ip-address-space-overrides={config['address']}:{config['port']}=public",
    ]
    if config["protocol"] == "h3":
        return [*flags, "--enable-quic", f"--origin-to-force-quic-on={host}:{config['port']}"]
    return [*flags, "--disable-quic"]


async def play(config: dict[str, Any]) -> dict[str, Any]:
    """Play the session; return its log. Raises BrowserError if nothing plays at all."""
    files = {"player.html": HERE / "player.html", "player.js": HERE / "player.js", "shaka.js": Path(config["shaka"])}
    estimate = first_estimate(int(config["seed"]))
    settings = {
        "url": config["url"],
        "offset": config["offset"],
        "buffer": config["buffer"],
        "estimate": estimate,
        "attempts": ATTEMPTS,
    }
    async with (
        open_playwright() as (playwright, folder),
        open_browser(playwright, folder, browser_flags(config)) as browser,
    ):
        page = await open_page(browser, ORIGIN, "player.html", files)
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        await asyncio.wait_for(page.evaluate("settings => begin(settings)", settings), ANSWER)
        await asyncio.sleep(float(config["duration"]) + AFTER)
        log: dict[str, Any] = await asyncio.wait_for(page.evaluate("collect()"), ANSWER)
        used = processor_seconds()
        version = browser.version
    protocols = log["protocols"]
    if not log["segs"] and not log["samples"]:
        raise BrowserError(f"nothing was fetched: {log['ev'][-3:]} {complaints[-3:]}")
    return {
        "client": "chromium-shaka",
        **log,
        "protocol": max(protocols, key=lambda name: protocols[name]) if protocols else "",
        "estimate": estimate,
        "browser": version,
        "console": complaints[-20:],
        "cpu": used,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Play the session that the configuration describes; return the exit status."""
    return run_player(play, sys.argv[1:] if arguments is None else arguments, str(__doc__))


if __name__ == "__main__":
    sys.exit(main())
