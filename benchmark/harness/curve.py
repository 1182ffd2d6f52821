"""What a fit reports, listened to on its way: its learning curve, and the seconds of runs of it that were killed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmark.method import RESUMED, Log

MOST_POINTS = 200
_NO_FIGURES = ("what", "done", "total", "seconds")
_MOST_SERIES = 50
Curve = dict[str, dict[str, list[float]]]


class Listener:
    """Passes on what a fit reports, and remembers its figures by what was reported.

    earlier: seconds that runs of this fit took which didn't finish.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._series: dict[tuple[str, tuple[str, ...]], list[tuple[float, ...]]] = {}
        self.earlier = 0.0

    def log(self, keep: Path) -> Log:
        """Return the log to fit with. keep: see ``Log``."""
        return Log(self._hear, keep)

    def curve(self) -> Curve:
        """Figures that were reported more than once, by what and by name, beside "step"; at most MOST_POINTS of each.

        Such as {"fit": {"step": [60, 120], "loss": [3.1, 2.7], "validation_loss": [3.2, 2.9]}}.
        """
        curve: Curve = {}
        for (what, names), points in self._series.items():
            if len(points) > 1 and what not in curve:
                columns = zip(*_thinned(points), strict=True)
                curve[what] = {name: list(column) for name, column in zip(("step", *names), columns, strict=True)}
        return curve

    def _hear(self, event: Mapping[str, Any]) -> None:
        self._log.write(event)
        if event.get("what") == RESUMED:
            self.earlier = float(event["seconds"])
            return
        figures = {name: value for name, value in event.items() if name not in _NO_FIGURES and _finite(value)}
        name = (str(event.get("what")), tuple(figures))
        if figures and _finite(event.get("done")) and (name in self._series or len(self._series) < _MOST_SERIES):
            self._series.setdefault(name, []).append((event["done"], *figures.values()))


def _thinned(points: list[tuple[float, ...]]) -> list[tuple[float, ...]]:
    kept = points[:: math.ceil(len(points) / MOST_POINTS)]
    return kept if kept[-1] == points[-1] else [*kept[: MOST_POINTS - 1], points[-1]]


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
