"""What a study rests on: the rows of one arena that differ in nothing but what is studied, and the references."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scipy.stats import binomtest

from benchmark.record import Record
from leaderboard.board import Arena, Board, Interval, Row, build_board
from leaderboard.figures import Figure
from leaderboard.naming import digest
from leaderboard.ranking import LEAST_SEEDS
from leaderboard.records import find_records, read_records, state_of
from leaderboard.rows import PARTS
from leaderboard.scoring import Scores, gather, intervals
from leaderboard.studies.measures import MEASURES, ORDERED
from leaderboard.studies.page import DASH

_OF_ARENAS = ("seed", "dataset", "budget")


@dataclass(frozen=True, eq=False)
class Entry:
    """A row of the board, called by what the study varies."""

    name: str
    row: Row

    def scores(self, metric: str) -> Scores | None:
        """Its scores of a metric, nothing imputed; None where it has none."""
        return gather(self.row.records, metric)

    def interval(self, metric: str) -> Interval | None:
        """Mean and interval of a metric, None where it has no value."""
        scores = self.scores(metric)
        if scores is None:
            return None
        found = intervals([scores], MEASURES[metric])[0]
        return _with_few_pairs(found, scores) if metric == ORDERED else found

    def text(self, metric: str) -> str:
        """A cell of a table: the mean and its interval, a dash where there is none."""
        return shown(MEASURES[metric], self.interval(metric))

    @property
    def competes(self) -> bool:
        """Whether a verdict may rest on it: three seeds, and no reason not to be ranked but being a reference."""
        reason = self.row.unranked_reason
        return (not reason or self.row.part in PARTS.values()) and len(self.row.seeds) >= LEAST_SEEDS

    def setting(self, axis: str, name: str) -> Any:
        """A setting of an axis, None where it has none."""
        return self.row.records[0].config.get(axis, {}).get(name)

    def number(self, axis: str, name: str, usual: float) -> float:
        """A setting that is a number, ``usual`` where it has none."""
        value = self.setting(axis, name)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else usual


@dataclass(frozen=True, eq=False)
class Evidence:
    """Entries of one arena in a fixed order, references beside them, and sentences on what was left out."""

    arena: Arena | None
    entries: tuple[Entry, ...]
    references: tuple[Entry, ...]
    left_out: tuple[str, ...] = ()

    @property
    def records(self) -> list[Record]:
        """Records of the entries."""
        return [record for entry in self.entries for record in entry.row.records]

    def reference(self, method: str) -> Entry | None:
        """A reference by its method's name."""
        return next((entry for entry in self.references if entry.row.records[0].method == method), None)


def read_board(*folders: Path) -> tuple[Board, list[Record]]:
    """Build a board of the finished records below folders; a cell that is in several is the one that ended last."""
    chosen: dict[str, Record] = {}
    faults: list[str] = []
    for folder in folders:
        records, found = read_records(find_records(folder), folder.parent)
        faults += found
        for record in records:
            known = chosen.get(record.cell)
            if state_of(record) != "running" and (known is None or known.ended < record.ended):
                chosen[record.cell] = record
    finished = [chosen[cell] for cell in sorted(chosen)]
    return build_board(finished, faults), finished


def gather_evidence(board: Board, axes: Sequence[str]) -> Evidence:
    """Find the largest group of rows that differ on ``axes`` alone, of all arenas; what differs else is left out.

    Among equals that of the newest record is chosen.
    """
    groups: dict[tuple[str, str], list[Row]] = {}
    arenas = {arena.slug: arena for arena in board.arenas}
    for arena in board.arenas:
        for row in arena.rows:
            if row.part not in PARTS.values() and all(axis in row.records[0].config for axis in axes):
                groups.setdefault((arena.slug, _rest(row, axes)), []).append(row)
    if not groups:
        return Evidence(None, (), (), board.faults)
    best = max(sorted(groups), key=lambda key: (*_scored(groups[key]), _newest(groups[key])))
    arena = arenas[best[0]]
    rows = groups[best]
    others = sum(map(len, groups.values())) - len(rows)
    left_out = [f"{others} rows that differ in more than {' and '.join(axes)} from those shown"] if others else []
    return Evidence(arena, _entries(rows, axes), references_of(arena), (*board.faults, *left_out))


def gather_methods(board: Board) -> Evidence:
    """Find the arena in which most methods have a rank, the newest among equals, and all methods of it.

    A method in rows with several probes is one: its traces are the same.
    """
    if not board.arenas:
        return Evidence(None, (), (), board.faults)
    arena = max(
        sorted(board.arenas, key=lambda arena: arena.slug),
        key=lambda arena: (sum(row.ranked for row in arena.rows), _newest(arena.rows)),
    )
    methods: dict[str, Row] = {}
    for row in sorted(arena.rows, key=lambda row: (row.axes.get("probe", "none") != "none", -len(row.seeds), row.name)):
        if row.part not in PARTS.values():
            methods.setdefault(_rest(row, ("probe", "router")), row)
    entries = sorted((Entry(row.name, row) for row in methods.values()), key=lambda entry: entry.name)
    return Evidence(arena, tuple(entries), references_of(arena), board.faults)


def references_of(arena: Arena) -> tuple[Entry, ...]:
    """The references of an arena, in the order of their parts."""
    order = list(PARTS)
    rows = [row for row in arena.rows if row.records[0].method in PARTS and row.axes.get("probe", "none") == "none"]
    rows.sort(key=lambda row: (order.index(row.records[0].method), row.name))
    return tuple(Entry(row.name, row) for row in rows)


def shown(figure: Figure, found: Interval | None) -> str:
    """A mean with its interval as tables and sentences have it."""
    if found is None:
        return DASH
    if found.low is None or found.high is None or figure.bare:
        return figure.text(found.mean)
    return f"{figure.text(found.mean)} [{figure.text(found.low)}, {figure.text(found.high)}]"


def _entries(rows: Sequence[Row], axes: Sequence[str]) -> tuple[Entry, ...]:
    names = [" ".join(row.axes.get(axis, "") for axis in axes) for row in rows]
    clear = [row.name if names.count(name) > 1 else name for name, row in zip(names, rows, strict=True)]
    entries = [Entry(name, row) for name, row in zip(clear, rows, strict=True)]
    return tuple(sorted(entries, key=lambda entry: entry.name))


def _rest(row: Row, axes: Sequence[str]) -> str:
    """What a row is apart from ``axes``, and from what makes an arena."""
    head = row.records[0]
    ignored = {*axes, *_OF_ARENAS}
    return digest(
        [{name: value for name, value in part.items() if name not in ignored} for part in (head.choices, head.config)]
    )


def _scored(rows: Sequence[Row]) -> tuple[int, int]:
    """How many rows, and how many cells, have scores."""
    counts = [sum(bool(record.scores) for record in row.records) for row in rows]
    return sum(map(bool, counts)), sum(counts)


def _newest(rows: Sequence[Row]) -> str:
    return max((record.ended for row in rows for record in row.records), default="")


def _with_few_pairs(found: Interval, scores: Scores) -> Interval:
    """Widen the interval of a share of few pairs: all of 24 in order isn't certainty (Wilson, 1927)."""
    pairs = scores.table.size if scores.traces else 0
    if not pairs or found.low is None or found.high is None:
        return found
    wilson = binomtest(round(scores.table.mean() * pairs), pairs).proportion_ci(method="wilson")
    return Interval(found.mean, min(found.low, float(wilson.low)), max(found.high, float(wilson.high)))
