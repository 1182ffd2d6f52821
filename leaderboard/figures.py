"""The figures that tables show: their headings, formats, directions and ranges, and which of them rank methods.

They repeat what metrics say of themselves, since the leaderboard reads records alone; a test holds the two together.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmark.record import Record


@dataclass(frozen=True)
class Figure:
    """One column: a metric, its heading, a format, the better direction and the range of its values.

    direction: "up" (more is better), "down" or "none". bare: shown without its interval. of_record: methods are ranked
    by it. meaning: one line for a reader who hovers over the heading.
    """

    metric: str
    title: str
    meaning: str
    direction: str
    form: str = ".2f"
    low: float = -math.inf
    high: float = math.inf
    bare: bool = False
    of_record: bool = False

    @property
    def heading(self) -> str:
        """The title with an arrow for the better direction."""
        return self.title + {"up": " ↑", "down": " ↓"}.get(self.direction, "")

    def clip(self, value: float) -> float:
        """Move a bound of an interval into the range that values can have."""
        return min(max(value, self.low), self.high)

    def text(self, value: float | None) -> str:
        """Format a value; a dash for none."""
        return "–" if value is None else f"{value:{self.form}}"


C2ST, L2_RAW, FLAGGED = "fidelity.c2st", "validity.l2.raw", "memorisation.flagged"
_KEPT = "skill on real test traces after training on synthetic ones, over the skill after training on real ones"


def _kept(task: str, title: str, label: str) -> Figure:
    return Figure(f"downstream.{task}.skill_kept", title, f"{label}: {_KEPT}", "up", of_record=True)


# Of the labels that a corpus has; the first of them that is scored orders the rows. A video's bit rate is left out:
# the bytes of a window nearly are it.
QUALITY = (
    _kept("rung", "rung kept", "ladder rung in three classes"),
    Figure("downstream.rung6.skill_over_independent", "over indep.", "all six rungs: skill kept, with packets drawn "
           "independently for each rung as zero", "up"),
    _kept("rung6", "rung6 kept", "ladder rung, all six"),
    _kept("fps", "fps kept", "frames a second"),
    _kept("height", "height kept", "height played"),
    _kept("startup", "startup kept", "startup delay"),
    _kept("stall", "stall kept", "stalls of over half a second past startup"),
)  # fmt: skip
FIGURES = (
    Figure("timing.distance", "timing", "distance of the packets' timing, over its real-against-real value", "down",
           low=0, of_record=True),
    Figure(C2ST, "c2st", "held-out AUC of a classifier that tells real from synthetic; 0.5 is indistinguishable",
           "down", low=0.5, high=1, of_record=True),
    Figure(L2_RAW, "L2 raw", "share of packets that break no protocol rule, as sampled", "up", ".3f", 0, 1, bare=True,
           of_record=True),
    Figure("validity.l2.repaired", "L2 repaired", "the same after the harness's one repair", "up", ".3f", 0, 1,
           bare=True),
    Figure("memorisation.copied_share", "copied", "share of packet runs copied from training, beyond what held-out "
           "real traffic shows", "down", low=0, high=1),
    Figure("cost.fit_s", "fit s", "seconds that fitting took", "down", ".0f", 0, bare=True),
    Figure("cost.sample_packets_per_s", "packets/s", "packets sampled in a second", "up", ",.0f", 0, bare=True),
)  # fmt: skip
# Shown where a row has a value, as the quality columns are.
KERNEL = (
    Figure("kernel.accuracy.rung", "kernel rung", "share of windows whose rung the kernel tells", "up", low=0, high=1,
           of_record=True),
    Figure("kernel.accuracy.fps", "kernel fps", "share of windows whose frame rate the kernel tells", "up", low=0,
           high=1),
    Figure("kernel.agreement", "agreement", "flows and windows of which the kernel says what the reference says", "up",
           ".6g", 0, 1, bare=True),
    Figure("kernel.added_insns", "insns/packet", "instructions that the probe adds to a packet", "down", ".1f",
           bare=True, of_record=True),
    Figure("kernel.added_ns", "ns/packet", "ns that the probe adds to a packet", "down", ".1f", bare=True),
    Figure("kernel.closing_ns", "closing ns", "ns of a packet that closes a window", "down", ",.0f", bare=True),
    Figure("kernel.map_bytes", "map bytes", "memory of all maps", "down", ",.0f", bare=True),
    Figure("kernel.unaccounted", "unaccounted", "packets neither counted nor skipped for a reason", "down", ".0f",
           bare=True),
)  # fmt: skip
CATALOGUE = {figure.metric: figure for figure in (*QUALITY, *FIGURES, *KERNEL)}
RANKED = tuple(metric for metric, figure in CATALOGUE.items() if figure.of_record)


def figures_with_values(records: Sequence[Record]) -> tuple[Figure, ...]:
    """Return the columns of a table of ``records``: those of quality and kernel only where some record has a value."""
    return (*_with_values(QUALITY, records), *FIGURES, *_with_values(KERNEL, records))


def headline(records: Sequence[Record]) -> Figure:
    """Return the figure that orders the rows: the first of quality that some record has a value of."""
    return next(iter(_with_values(QUALITY, records)), QUALITY[0])


def _with_values(figures: Iterable[Figure], records: Sequence[Record]) -> list[Figure]:
    return [figure for figure in figures if any(record.value(figure.metric) is not None for record in records)]
