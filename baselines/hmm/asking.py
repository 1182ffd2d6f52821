"""What is asked for, as classes that a segment's situation emits: of the windows that the segment reaches.

One class is of the whole flow and isn't asked for: how fast its link is. It is drawn once, given what is asked, and
then told with every segment, so that a flow keeps to its link.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmark.quality.task import STALLED
from benchmark.trace import NANOSECONDS, Condition, Trace

IntArray = NDArray[np.int64]
CHANNELS = ("application", "rung", "stall", "startup", "moment", "link")
LINKS = 8  # classes of a flow's rate, by its quantiles in training
RUNGS = 12  # 0: nothing fetched, then the rungs from the lowest on
LEVELS = 4  # classes of the startup delay, by its quantiles in training
MOMENTS = np.array([0.3, 1.0, 3.0, 8.0, 20.0, 40.0])  # seconds since the flow began: startup, filling, steady


def startup_seconds(traces: Sequence[Trace], application: str) -> list[float]:
    """Return the edges between classes of startup delay of one application, LEVELS - 1 of them."""
    known = [t.labels.startup for t in traces if t.condition.application == application]
    known = [value for value in known if np.isfinite(value)]
    return np.quantile(known, np.arange(1, LEVELS) / LEVELS).tolist() if known else [0.0] * (LEVELS - 1)


class Links:
    """Which links training flows had, given what is asked. summaries: int64 [flows, 3]; links: int64 [flows]."""

    def __init__(self, summaries: IntArray, links: IntArray) -> None:
        self.summaries, self.links = summaries, links

    def draw(self, summary: tuple[int, int, int], random: np.random.Generator) -> int:
        """Draw a link, as flows asked for alike have them: less likely by e for every class or rung between."""
        far = np.abs(self.summaries - np.array(summary)) @ np.array([4.0, 1.0, 1.0])
        shares = np.bincount(self.links, np.exp(-far), minlength=LINKS) + 1e-6
        return int(random.choice(LINKS, p=shares / shares.sum()))


class Asked:
    """The condition of one flow. began: ns from the trace's first packet, where windows count from, to the flow's."""

    def __init__(
        self,
        condition: Condition,
        applications: Sequence[str],
        levels: Mapping[str, Sequence[float]],
        began: int,
    ) -> None:
        self._labels, self._began = condition.labels, began
        self._window = max(1, round(condition.window * NANOSECONDS))
        known = condition.application in applications
        self._application = list(applications).index(condition.application) if known else 0
        self._applications = len(applications)
        # As for startup: stalls count after playback began.
        played = np.asarray(self._labels.height > 0)
        past = np.cumsum(played) - played > 0
        self._stalled = past & (np.nan_to_num(self._labels.stall) > STALLED)
        self._startup = float(self._labels.startup)
        edges = levels.get(condition.application, [])
        self.link = 0
        self._level = 1 + int(np.searchsorted(edges, self._startup)) if np.isfinite(self._startup) else 0

    def values(self) -> list[int]:
        """Return how many values each channel has."""
        return [self._applications, RUNGS, 2, LEVELS + 2, len(MOMENTS) + 1, LINKS]

    def at(self, opened: int, finished: int) -> tuple[int, ...]:
        """Return the values for a segment that opens and finishes at these ns of the flow.

        The rung is that of the window it finishes in, since a window's rung is that of segments completed in it.
        The startup delay's class is told while playback waits; from then on it is a class of its own.
        """
        a, b = self._place(opened), self._place(finished)
        rung = int(np.clip(self._labels.rung[b], -1, RUNGS - 2)) + 1 if len(self._labels) else 0
        stalled = int(self._stalled[a : b + 1].any()) if len(self._labels) else 0
        waiting = (opened + self._began) / NANOSECONDS <= self._startup
        startup = self._level if waiting or self._level == 0 else LEVELS + 1
        moment = int(np.searchsorted(MOMENTS, opened / NANOSECONDS))
        return self._application, rung, stalled, startup, moment, self.link

    def summary(self) -> tuple[int, int, int]:
        """Return what a flow's link is drawn by: application, class of the startup delay, mean rung."""
        rungs = self._labels.rung[self._labels.rung >= 0]
        return self._application, self._level, int(np.rint(rungs.mean())) + 1 if len(rungs) else 0

    def _place(self, moment: int) -> int:
        return int(np.clip((moment + self._began) // self._window, 0, max(0, len(self._labels) - 1)))
