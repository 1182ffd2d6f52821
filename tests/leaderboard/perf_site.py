"""How long the site takes to build, load and filter with a thousand records, in headless Chromium; run it by hand.

python -m tests.leaderboard.perf_site
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.errors import Unsupported
from leaderboard.board import Board, build_board
from leaderboard.site import build_site
from leaderboard.site.browser import open_chromium
from tests.leaderboard.made_records import make_records

if TYPE_CHECKING:
    from playwright.sync_api import CDPSession

REPEATS = 7
FILTERS = (("dataset", "calls"), ("dataset", ""), ("router", "host"), ("router", ""))


def measure(board: Board, folder: Path) -> dict[str, float]:
    """Seconds of building, of loading until the table stands, and of the slowest filter, by the page's own clock.

    work: processor time of the page's main thread until it has loaded, which a busy machine hardly changes.
    """
    start = time.perf_counter()
    build_site(board, folder, runs=folder / "none")
    built = time.perf_counter() - start
    loads, filters, works = [], [], []
    with open_chromium() as browser:
        for _ in range(REPEATS):
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.set_default_timeout(90_000)
            session = page.context.new_cdp_session(page)
            session.send("Performance.enable", {"timeDomain": "threadTicks"})
            page.goto((folder / "index.html").as_uri())
            works.append(work_of(session))
            loads.append(page.evaluate("performance.getEntriesByName('load')[0].duration"))
            page.evaluate("performance.clearMeasures('filter')")
            for name, value in FILTERS:
                page.select_option(f"select[name={name}]", value)
            page.fill("input[type=search]", "model7")
            filters.append(
                page.evaluate("Math.max(...performance.getEntriesByName('filter').map((one) => one.duration))")
            )
            page.close()
    load, slowest = (statistics.median(times) / 1000 for times in (loads, filters))
    return {"build": built, "load": load, "work": statistics.median(works), "filter": slowest}


def work_of(session: CDPSession) -> float:
    """Seconds that the main thread has worked since the page was opened."""
    found = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
    return float(found["TaskDuration"])


def main() -> int:
    """Print the times of two boards of a thousand records: three seeds a method, and one."""
    for methods, seeds in ((167, 3), (500, 1)):
        records = make_records(methods, seeds, ("streaming", "calls"))[:1000]
        start = time.perf_counter()
        board = build_board(records)
        ranked = time.perf_counter() - start
        with tempfile.TemporaryDirectory() as folder:
            try:
                times = measure(board, Path(folder))
            except Unsupported as error:
                print(f"not measured: {error}")
                return 0
        rows = sum(len(arena.rows) for arena in board.arenas)
        said = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in times.items())
        print(f"{len(records)} records in {rows} rows: rank {ranked:.2f} s, {said}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
