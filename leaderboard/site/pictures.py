"""Pictures of a site for people who haven't built it: python -m leaderboard.site.pictures DIR --out docs/pictures."""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path
from typing import Literal, NamedTuple

from PIL import Image

from benchmark.errors import Unsupported
from leaderboard.output import write_aside
from leaderboard.site.browser import open_chromium

COLOURS = 128


class View(NamedTuple):
    """A picture: its name, the page, the window's size, the colour scheme and what is scrolled to."""

    name: str
    page: str
    width: int
    height: int
    scheme: Literal["light", "dark"] = "light"
    target: str = ""


VIEWS = (
    View("desktop", "index.html", 1440, 1080),
    View("dark", "index.html", 1440, 1080, "dark"),
    View("phone", "index.html", 390, 844),
    View("plots", "index.html", 1440, 720, "light", "#plots"),
    View("cell", "", 1440, 1400),
)


def take_pictures(site: Path, out: Path, cell: str = "") -> list[Path]:
    """Write ``site-NAME.png`` for each view of the site below ``out``; return them. cell: whose page, "" for the first.

    Raises Unsupported where Chromium or Playwright is missing.
    """
    address = (
        f"cells/{cell}.html" if cell else min(path.relative_to(site).as_posix() for path in site.glob("cells/*.html"))
    )
    paths = []
    with open_chromium() as browser:
        for view in VIEWS:
            page = browser.new_page(
                viewport={"width": view.width, "height": view.height}, color_scheme=view.scheme,
                device_scale_factor=2 if view.width < 600 else 1,
            )  # fmt: skip
            page.set_default_timeout(90_000)
            page.goto((site / (view.page or address)).resolve().as_uri())
            if view.target:
                page.locator(view.target).evaluate("(element) => element.scrollIntoView()")
                page.locator(".plot[data-drawn]").first.wait_for()
            page.wait_for_timeout(500)
            paths.append(out / f"site-{view.name}.png")
            write_aside(paths[-1], _smaller(page.screenshot()))
            page.close()
    return paths


def _smaller(png: bytes) -> bytes:
    """Reduce a picture to few colours: pages have no more, and the file is a third."""
    found = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(
        found, "PNG", optimize=True
    )
    return found.getvalue()


def main(arguments: list[str] | None = None) -> int:
    """Take the pictures; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m leaderboard.site.pictures", description=__doc__)
    parser.add_argument("site", type=Path, help="a folder that python -m leaderboard build made")
    parser.add_argument("--out", type=Path, default=Path("docs/pictures"), help="folder of the pictures")
    parser.add_argument("--cell", default="", help="the cell whose page is pictured")
    chosen = parser.parse_args(arguments)
    if not (chosen.site / "index.html").is_file():
        print(
            f"{chosen.site} has no index.html; make it by: python -m leaderboard build --out {chosen.site}",
            file=sys.stderr,
        )
        return 2
    try:
        paths = take_pictures(chosen.site, chosen.out, chosen.cell)
    except Unsupported as error:
        print(error, file=sys.stderr)
        return 1
    for path in paths:
        print(f"{path}: {path.stat().st_size // 1000} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
