"""The rows of one arena: what each is, whether it competes and, if not, why, and how it ranks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from benchmark.record import Record
from leaderboard.board import Interval, Rank, Row
from leaderboard.figures import C2ST, CATALOGUE, FLAGGED, L2_RAW, RANKED, headline
from leaderboard.naming import ELSEWHERE, digest, distinct_names, made_elsewhere, method_key, row_key, row_name, slug
from leaderboard.ranking import LEAST_SEEDS, rank_rows
from leaderboard.records import state_of
from leaderboard.scoring import FAILURES, Scores, gather, imputed_shares, intervals

# The part that a reference plays; all other rows are methods that compete.
PARTS = {
    "independent": "floor", "markov": "floor", "two_level": "baseline", "resample": "copies", "real": "ceiling",
}  # fmt: skip
FLOOR = "independent"
# Share of packets without a violation, of real traffic's own share, below which a method isn't ranked.
GATE = 0.9


@dataclass(frozen=True, eq=False)
class Standing:
    """Rows in order, and the smallest resolvable gap by metric."""

    rows: tuple[Row, ...]
    resolvable: Mapping[str, float]


@dataclass(eq=False)
class _Draft:
    """A row on its way. protocol: what a router's figures may be compared within, "" without a probe."""

    records: list[Record]
    part: str
    states: tuple[str, ...]
    protocol: str
    scores: dict[str, Scores] = field(default_factory=dict)
    intervals: dict[str, Interval] = field(default_factory=dict)
    ranks: dict[str, Rank] = field(default_factory=dict)
    reason: str = ""

    @property
    def head(self) -> Record:
        """The first record; what the row's records have in common is read from it."""
        return self.records[0]


def stand(records: Sequence[Record], verified: Mapping[str, str]) -> Standing:
    """Make rows of an arena's records, and rank those that compete."""
    drafts = _drafts(records)
    for draft in drafts:
        _score(draft, drafts)
    for metric, figure in CATALOGUE.items():
        scored = [draft for draft in drafts if metric in draft.scores]
        found = intervals([draft.scores[metric] for draft in scored], figure)
        for draft, interval in zip(scored, found, strict=True):
            draft.intervals[metric] = interval
    for draft in drafts:
        if _under_trained(draft, drafts):
            draft.part = "under-trained"
        draft.reason = _why_unranked(draft)
    resolvable = _rank([draft for draft in drafts if not draft.reason])
    rows = [
        _row(draft, name, verified)
        for draft, name in zip(drafts, distinct_names([draft.head for draft in drafts]), strict=True)
    ]
    first = headline(records).metric
    rows.sort(key=lambda row: (-row.intervals[first].mean if first in row.intervals else float("inf"), row.name))
    return Standing(tuple(rows), resolvable)


def _drafts(records: Sequence[Record]) -> list[_Draft]:
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(row_key(record), []).append(record)
    return [
        _Draft(
            group, PARTS.get(group[0].method, ""), tuple(sorted({state_of(record) for record in group})),
            _protocol(group),
        )
        for _, group in sorted(groups.items())
    ]  # fmt: skip


def _protocol(records: Sequence[Record]) -> str:
    """Identify what a router's figures depend on beside the method: the router, and the kernel that it ran."""
    found = {
        digest([record.config.get("router"), record.probe["notes"].get("kernel")])
        for record in records
        if isinstance(record.probe.get("notes"), dict)
    }
    return "+".join(sorted(found))


def _score(draft: _Draft, drafts: Sequence[_Draft]) -> None:
    """Gather a row's scores; figures of record that it lacks are its floor's, unless it is a reference itself."""
    own = {metric: gather(draft.records, metric) for metric in CATALOGUE}
    competes = not draft.part and any(own[metric] for metric in RANKED)
    for metric, scores in own.items():
        if competes and metric in RANKED and (scores is None or len(scores.seeds) < len(draft.records)):
            scores = gather(draft.records, metric, _Floor(draft, drafts))
        if scores is not None:
            draft.scores[metric] = scores


class _Floor:
    """Where a row's lacking values come from: the independent reference, with the same probe for a kernel's figures."""

    def __init__(self, draft: _Draft, drafts: Iterable[_Draft]) -> None:
        self.draft = draft
        self.floors = [other for other in drafts if other.head.method == FLOOR]

    def __call__(self, seed: int, metric: str) -> Record | None:
        place = ("probe", "router")
        for other in self.floors:
            if metric.startswith("kernel.") and any(
                other.head.config.get(axis) != self.draft.head.config.get(axis) for axis in place
            ):
                continue
            for record in other.records:
                if record.seed == seed and record.value(metric) is not None:
                    return record
        return None


def _under_trained(draft: _Draft, drafts: Iterable[_Draft]) -> bool:
    """Tell whether a rebuilt method has yet to beat independent draws on c2st: its figures aren't the method's then."""
    if not draft.scores or not any(record.config.get("generator", {}).get("rebuilds") for record in draft.records):
        return False
    floors = [other.scores[C2ST].mean for other in drafts if other.head.method == FLOOR and C2ST in other.scores]
    own = draft.scores.get(C2ST)
    return own is None or not floors or own.mean >= min(floors)


def _why_unranked(draft: _Draft) -> str:
    """Say why a row doesn't compete; "" where it does."""
    if draft.head.method in PARTS:
        return f"a reference ({PARTS[draft.head.method]}), shown to compare with"
    ended = [record for record in draft.records if state_of(record) in ("ok", *FAILURES)]
    if not any(metric in draft.scores for metric in RANKED):
        record = draft.records[-1]
        state = state_of(record)
        # The record of a cell at work holds the reason that stands if it is cut off.
        reason = f": {record.reason}" if record.reason and state != "running" else ""
        return f"no seed has a score; seed {record.seed} is {state}{reason}"
    copying = [record.seed for record in draft.records if (record.value(FLAGGED) or 0) >= 1]
    if copying:
        return f"copies training traces (seed {', '.join(map(str, copying))}): more than held-out real traffic explains"
    valid = gather(draft.records, L2_RAW)
    if valid is None:
        return "no seed says how many of its packets are valid (validity.l2.raw)"
    real = next((value for record in draft.records if (value := record.floors.get(L2_RAW)) is not None), 1.0)
    if valid.mean < GATE * real:
        return (
            f"below the validity gate: {valid.mean:.3f} of its packets are valid as sampled (validity.l2.raw), the "
            f"gate is {GATE:g} of real traffic's {real:.3f}"
        )
    if len({record.seed for record in ended}) < LEAST_SEEDS:
        count = len({record.seed for record in ended})
        return f"{count} seed{'s' * (count != 1)}; a rank rests on at least {LEAST_SEEDS}"
    return ""


def _rank(drafts: Sequence[_Draft]) -> dict[str, float]:
    """Rank rows on each figure of record; return the smallest resolvable gaps.

    Rows of one method with several probes hold one place, but among a kernel's figures, which are ranked within one
    router and kernel.
    """
    resolvable: dict[str, float] = {}
    for metric in RANKED:
        scored = [draft for draft in drafts if metric in draft.scores]
        kernel = metric.startswith("kernel.")
        fields = {draft.protocol for draft in scored} if kernel else {""}
        for protocol in sorted(fields):
            entries: dict[str, list[_Draft]] = {}
            for draft in scored:
                if not kernel or draft.protocol == protocol:
                    entries.setdefault(row_key(draft.head) if kernel else method_key(draft.head), []).append(draft)
            chosen = [group[0].scores[metric] for group in entries.values()]
            ranks, gap = rank_rows(chosen, CATALOGUE[metric].direction == "up")
            for group, rank in zip(entries.values(), ranks, strict=True):
                for draft in group:
                    draft.ranks[metric] = rank
            if gap is not None:
                resolvable[metric] = max(gap, resolvable.get(metric, 0.0))
    return resolvable


def _row(draft: _Draft, name: str, verified: Mapping[str, str]) -> Row:
    shares = {} if draft.reason else imputed_shares(draft.scores)
    scored = [record.cell for record in draft.records if record.scores]
    marks = [verified[cell] for cell in scored if cell in verified]
    return Row(
        name=name,
        slug=slug(row_name(draft.head), row_key(draft.head)),
        part=draft.part,
        axes=dict(draft.head.choices),
        records=tuple(draft.records),
        states=draft.states,
        ranked=not draft.reason,
        unranked_reason=draft.reason,
        verified=marks[0] if scored and len(marks) == len(scored) else None,
        notes=_notes(draft),
        intervals=draft.intervals,
        ranks=draft.ranks,
        imputed=max(shares.values(), default=0.0),
        imputed_by_metric=shares,
    )


def _notes(draft: _Draft) -> tuple[str, ...]:
    """What the records note of themselves, and whether the traces were made elsewhere."""
    noted = {note for record in draft.records for note, value in record.notes.items() if value}
    return tuple(sorted(noted | {ELSEWHERE for record in draft.records if made_elsewhere(record)}))
