"""Sorts records into arenas: the same corpus and budget, scored by the same versions of metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from benchmark.record import Record
from leaderboard.board import Apart, Arena
from leaderboard.figures import figures_with_values
from leaderboard.naming import digest, row_key, slug
from leaderboard.rows import Standing, stand


class Key(NamedTuple):
    """What records must have in common to be ranked together. versions: (family, version), sorted."""

    dataset: str
    budget: str
    setting: str
    corpus: str
    content: str
    versions: tuple[tuple[str, int], ...]


def arenas_of(records: Sequence[Record], verified: Mapping[str, str]) -> tuple[Arena, ...]:
    """Build the arenas; those of one dataset and budget stand together, the one with the newest record first.

    Datasets and budgets with most records come first.
    """
    groups = _grouped(records)
    newest = {key: max(record.ended for record in group) for key, group in groups.items()}
    order = sorted(groups, key=lambda key: key)
    order.sort(key=lambda key: newest[key], reverse=True)
    most = Counter(key[:2] for key, group in groups.items() for _ in group)
    order.sort(key=lambda key: (-most[key[:2]], key[:2]))
    firsts = {key[:2]: key for key in reversed(order)}
    return tuple(_arena(key, groups[key], order, key == firsts[key[:2]], verified) for key in order)


def _key(record: Record) -> Key:
    settings = {
        # Where a corpus lies is no part of what it is, which its digest says.
        "dataset": {name: value for name, value in record.config.get("dataset", {}).items() if name != "path"},
        "budget": record.config.get("budget", {}),
    }
    # Tuning scores on validation, whose scores say nothing beside those on the test split.
    if record.config.get("scored_on", "test") != "test":
        settings["scored_on"] = record.config["scored_on"]
    return Key(
        record.choices.get("dataset", ""), record.choices.get("budget", ""), digest(settings),
        record.corpus.get("name", ""), record.corpus.get("digest", ""), tuple(sorted(record.metric_versions.items())),
    )  # fmt: skip


def _grouped(records: Sequence[Record]) -> dict[Key, list[Record]]:
    """Group records by key. One that ended before anything was scored doesn't say all of it, and goes where it fits.

    That is the arena of the same dataset, budget and settings in which its method has other seeds, or else the newest.
    """
    groups: dict[Key, list[Record]] = {}
    waiting: list[Record] = []
    for record in sorted(records, key=lambda record: (record.seed, record.cell)):
        if record.metric_versions or record.scores:
            groups.setdefault(_key(record), []).append(record)
        else:
            waiting.append(record)
    scored = {key: (max(r.ended for r in group), {row_key(r) for r in group}) for key, group in groups.items()}
    for record in waiting:
        own = _key(record)
        fitting = [key for key in sorted(scored) if key[:3] == own[:3]]
        best = max(fitting, key=lambda key: (row_key(record) in scored[key][1], scored[key][0]), default=own)
        groups.setdefault(best, []).append(record)
    return {key: sorted(group, key=lambda record: (record.seed, record.cell)) for key, group in groups.items()}


def _arena(
    key: Key, records: Sequence[Record], order: Sequence[Key], current: bool, verified: Mapping[str, str]
) -> Arena:
    standing: Standing = stand(records, verified)
    title = f"dataset={key.dataset} budget={key.budget}"
    apart = tuple(
        Apart(_slug(other), _difference(key, other)) for other in order if other[:2] == key[:2] and other != key
    )
    return Arena(
        slug=_slug(key), title=title, dataset=key.dataset, digest=key.content, budget=key.budget,
        versions=dict(key.versions), setting=key.setting, rows=standing.rows, figures=figures_with_values(records),
        floors=next((record.floors for record in records if record.floors), {}), resolvable=standing.resolvable,
        apart=apart, current=current,
    )  # fmt: skip


def _slug(key: Key) -> str:
    return slug(f"{key.dataset} {key.budget}", digest(key)[:8])


def _difference(here: Key, there: Key) -> str:
    """Say why scores here and there can't be ranked together."""
    reasons = []
    if here.content != there.content or here.corpus != there.corpus:
        reasons.append(
            f"the corpus is another version ({_short(there.content)} there, {_short(here.content)} here), so the test "
            "traces differ"
        )
    if here.setting != there.setting:
        reasons.append("the settings of the dataset or the budget, or the split scored on, differ under the same names")
    ours, theirs = dict(here.versions), dict(there.versions)
    for family in sorted(ours.keys() | theirs.keys()):
        if ours.get(family) != theirs.get(family):
            reasons.append(
                f"{family} is scored by version {theirs.get(family, 'none')} there, {ours.get(family, 'none')} here"
            )
    return "Not ranked together: " + "; ".join(reasons) + "."


def _short(content: str) -> str:
    return content[:8] or "not known"
