"""The board: what tables, pages and files are made of. ``build_board`` makes it of records alone.

All text of records (methods, choices, reasons, tracebacks) is a stranger's: whoever writes it into a page, a terminal
or a table escapes it there. Slugs are safe in file names and links.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from benchmark.record import Record
from leaderboard.figures import Figure


class Interval(NamedTuple):
    """A mean over seeds, and its 95 % interval over seeds and test traces; None and None where nothing varies."""

    mean: float
    low: float | None
    high: float | None


class Rank(NamedTuple):
    """The ranks that a row may have, 1 the best. Rows that can't be told apart share ranks, so ranges overlap."""

    best: int
    worst: int

    def __str__(self) -> str:
        return str(self.best) if self.best == self.worst else f"{self.best}–{self.worst}"


@dataclass(frozen=True, eq=False)
class Row:
    """All records of one method in one setting: they differ by seed only.

    name: for people, unique in its arena. slug: for file names and links, unique in its arena.
    part: the part that a reference plays ("floor", "baseline", "copies", "ceiling"), "under-trained" for a rebuilt
    method that has yet to beat independent draws, else "".
    axes: axis (generator, tokenization, context, conditioning, probe, router, dataset, budget) to chosen name.
    records: by seed, then cell. states: the records' states (a status, or "running"), sorted, each once.
    ranked: whether it competes; unranked_reason: why not, one sentence, "" where it does.
    verified: what a re-run confirmed, None where nobody re-ran it. notes: what a reader should know, such as
    "stitched".
    intervals: metric to interval, for every metric of the arena's figures that it has a value of, with what was
    imputed. ranks: metric to rank among the ranked rows of the arena, figures of record only, ranked rows only.
    imputed: greatest share of seeds, over figures of record, whose value is the independent reference's for want of an
    own one; to be shown beside the name where it isn't 0. imputed_by_metric: that share by metric, where not 0.
    """

    name: str
    slug: str
    part: str
    axes: Mapping[str, str]
    records: tuple[Record, ...]
    states: tuple[str, ...]
    ranked: bool
    unranked_reason: str = ""
    verified: str | None = None
    notes: tuple[str, ...] = ()
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    ranks: Mapping[str, Rank] = field(default_factory=dict)
    imputed: float = 0.0
    imputed_by_metric: Mapping[str, float] = field(default_factory=dict)

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of its records, sorted."""
        return tuple(sorted({record.seed for record in self.records}))

    def interval(self, metric: str) -> Interval | None:
        """Interval of a metric, None where the row has no value of it."""
        return self.intervals.get(metric)


class Apart(NamedTuple):
    """Another arena of the same dataset and budget, and the sentence that says why the two aren't ranked together."""

    slug: str
    sentence: str


@dataclass(frozen=True, eq=False)
class Arena:
    """Records that may be ranked together: same corpus, budget, metric versions and protocol.

    slug: for file names and links, unique on the board. title: such as "dataset=streaming budget=default".
    dataset, digest: name and content of the corpus. budget: its name. versions: family of metrics to version.
    setting: what else tells arenas apart (settings of dataset and budget), a digest.
    rows: ordered by the headline figure, best first, what has no value of it last. figures: the table's columns.
    floors: metric to the value of real training traces in the place of synthetic ones: the noise floor.
    resolvable: metric to the smallest gap that the pairs of ranked rows (their median) would show four times in five at
    this number of seeds and traces, after correction; only where there are two ranked rows.
    apart: the arenas that a reader might take for this one, and why they aren't it. current: whether the newest record
    of all of them is here.
    """

    slug: str
    title: str
    dataset: str
    digest: str
    budget: str
    versions: Mapping[str, int]
    setting: str
    rows: tuple[Row, ...]
    figures: tuple[Figure, ...]
    floors: Mapping[str, float | None]
    resolvable: Mapping[str, float]
    apart: tuple[Apart, ...]
    current: bool

    @property
    def records(self) -> list[Record]:
        """All records of its rows."""
        return [record for row in self.rows for record in row.records]


@dataclass(frozen=True, eq=False)
class Board:
    """Everything there is to show. faults: a sentence for each file that was left out, and why."""

    arenas: tuple[Arena, ...]
    faults: tuple[str, ...] = ()

    @property
    def records(self) -> list[Record]:
        """All records, arena by arena."""
        return [record for arena in self.arenas for record in arena.records]


def build_board(
    records: Iterable[Record], faults: Sequence[str] = (), verified: Mapping[str, str] | None = None
) -> Board:
    """Sort records into arenas and rank what may be ranked; the same board for the same records in any order.

    faults: sentences on files that were left out, to be shown. verified: cell to the mark of the re-run that confirmed
    it; a row is marked where all its scored cells are.
    """
    from leaderboard.arenas import arenas_of

    return Board(arenas_of(list(records), verified or {}), tuple(faults))
