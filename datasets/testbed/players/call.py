"""A call: Chromium to Chromium over WebRTC, one at each end of the link.

    python players/call.py CONFIG.json LOG.json       in the root namespace; the browsers start in the session's two

The server's end sends the picture whose quality counts, the client's end a small one; both send sound. The descriptions
are exchanged here, beside the link. ``notes`` of a session may say: camera_fps (30), scene ("talk" or "walk", by the
seed), preference (what an encoder short of rate keeps: "balanced", "maintain-framerate" or "maintain-resolution"),
two_way (true). The log's server end tells frames sent and the time of encoding, by which starved calls show.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from browser import HERE, BrowserError, open_browser, open_page, open_playwright, resolver_rules
from camera import SCENES, picture_width, prepare_camera
from running import processor_seconds, run_player

if TYPE_CHECKING:
    from playwright.async_api import Page

AFTER = 6.0
ORIGIN = "https://call.test"
ANSWER = 30.0
CAMERA_FPS = 30
# The picture that the client's end sends.
SMALL_HEIGHT, SMALL_FPS, SMALL_RATE = 180, 15, 100_000
PREFERENCE = "balanced"
NICE = -5
CODECS = ("VP8", "H264")


def end_settings(config: Mapping[str, Any], end: str) -> dict[str, Any]:
    """Return what the page of one end is told: camera, codec and encoder. Raises BrowserError on an unknown codec."""
    notes = config.get("notes") or {}
    codec = config["codec"] or CODECS[0]
    if codec not in CODECS:
        raise BrowserError(f"there is no codec '{codec}' for calls (there are {', '.join(CODECS)})")
    scene = str(notes.get("scene") or random.Random(f"scene {config['seed']}").choice(SCENES))
    small = end == "client"
    height = SMALL_HEIGHT if small else int(config["height"])
    return {
        "scene": SCENES[0] if small else scene,
        "height": height,
        "width": picture_width(height),
        "fps": SMALL_FPS if small else int(notes.get("camera_fps", CAMERA_FPS)),
        "codec": codec,
        "preference": str(notes.get("preference", PREFERENCE)),
        "maximum": SMALL_RATE if small else 0,
        "video": not small or bool(notes.get("two_way", True)),
    }


def camera_flags(path: Path) -> list[str]:
    """Return the flags that make a film the camera, and let the page use it unasked."""
    return [
        resolver_rules(),
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-video-capture={path}",
        "--disable-quic",
    ]


async def play(config: dict[str, Any]) -> dict[str, Any]:
    """Hold the call; return its log. Raises BrowserError if it doesn't connect."""
    settings = {end: end_settings(config, end) for end in ("client", "server")}
    media = Path(config["media"])
    files = {name: HERE / name for name in ("call.html", "call.js")}
    complaints: list[str] = []
    async with AsyncExitStack() as stack:
        playwright, folder = await stack.enter_async_context(open_playwright())
        pages: dict[str, Page] = {}
        for end, asked in settings.items():
            camera = prepare_camera(media, asked["scene"], asked["height"], asked["fps"])
            place = config["namespaces"][end]
            opening = open_browser(playwright, folder, camera_flags(camera), place, NICE)
            browser = await stack.enter_async_context(opening)
            pages[end] = await open_page(browser, ORIGIN, "call.html", files)
            pages[end].on("console", lambda message: complaints.append(message.text))
            pages[end].on("pageerror", lambda error: complaints.append(str(error)))
        version = browser.version
        before = processor_seconds()
        cameras = {end: await _ask(page, "settings => prepare(settings)", settings[end]) for end, page in pages.items()}
        offer = await _ask(pages["server"], "settings => describe(settings)", settings["server"])
        answer = await _ask(
            pages["client"], "([settings, offer]) => describe(settings, offer)", [settings["client"], offer]
        )
        await asyncio.gather(*(_ask(page, "watch()") for page in pages.values()))
        await _ask(pages["server"], "answer => accept(answer)", answer)
        await asyncio.sleep(float(config["duration"]) + AFTER)
        logs = {end: await _ask(page, "collect()") for end, page in pages.items()}
        used = processor_seconds()
    connected = logs["client"]["connected"]
    if connected is None:
        raise BrowserError(f"the call didn't connect: {logs['client']['state']} {complaints[-3:]}")
    return {
        "codec": settings["server"]["codec"],
        "t_connect": connected,
        "client": logs["client"]["samples"],
        "server": logs["server"]["samples"],
        "asked_fps": settings["server"]["fps"],
        "asked": settings,
        "cameras": cameras,
        "state": {end: log["state"] for end, log in logs.items()},
        "drift": {end: log["drift"] for end, log in logs.items()},
        "browser": version,
        "console": complaints[-20:],
        "cpu": used,
        "cpu_call": round(used - before, 2),
    }


async def _ask(page: Page, expression: str, argument: Any = None) -> Any:
    return await asyncio.wait_for(page.evaluate(expression, argument), ANSWER)


def main(arguments: Sequence[str] | None = None) -> int:
    """Hold the call that the configuration describes; return the exit status."""
    return run_player(play, sys.argv[1:] if arguments is None else arguments, str(__doc__))


if __name__ == "__main__":
    sys.exit(main())
