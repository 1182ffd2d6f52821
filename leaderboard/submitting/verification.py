"""Verifies an entry: runs it again in the sandbox on fresh seeds, scores what came out, compares with its claims."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmark.corpus import Corpus
from benchmark.errors import ConfigError
from benchmark.harness.cell import run_cell
from benchmark.harness.child import PAIRS
from benchmark.harness.matrix import Resolved
from benchmark.harness.registry import load_corpus
from benchmark.harness.rooms import Rooms
from benchmark.harness.stage import stage_keys
from benchmark.method import Budget
from benchmark.record import Record
from benchmark.storage.compact import write_traces
from benchmark.synthesis.counterfactual import counterfactual_pairs
from benchmark.trace import Condition, Trace
from leaderboard.submitting.agreement import FIGURES, LEAST_SEEDS, RULE, compare_scores
from leaderboard.submitting.claims import read_claims, stale_reason, values_by_figure
from leaderboard.submitting.entry import Entry
from leaderboard.submitting.inside import NOTES
from leaderboard.submitting.rerun import Refused, Sampled, run_entry
from leaderboard.submitting.sandbox.limits import Limits
from leaderboard.submitting.verdict import Verdict

Say = Callable[[str], None]


@dataclass(frozen=True)
class Setting:
    """Where an entry is verified: the cells of the entry and of the independent reference, whatever their seed."""

    cell: Resolved
    independent: Resolved
    rooms: Rooms


def fresh_seeds(count: int, used: Sequence[int]) -> list[int]:
    """Draw seeds that nobody could know before, none of them among those used."""
    seeds: list[int] = []
    while len(seeds) < count:
        seed = 1000 + secrets.randbelow(1 << 30)
        if seed not in used and seed not in seeds:
            seeds.append(seed)
    return seeds


def verify_entry(
    entry: Entry, setting: Setting, seeds: Sequence[int], limits: Limits, say: Say = lambda text: None,
    privileged: bool | None = None,
) -> tuple[Verdict, list[Record]]:  # fmt: skip
    """Run an entry again on ``seeds`` and return the verdict, and the records of the runs.

    Its code runs in the sandbox only, where it sees the training split and the conditions; scores are computed here.
    Raises Unsupported where the machine has no sandbox, ConfigError for an entry of captures or too few seeds.
    """
    if entry.kind != "method":
        raise ConfigError(f"{entry.name}: captures can't be run again, and stay unverified; the board says so")
    if len(seeds) < LEAST_SEEDS:
        raise ConfigError(f"{len(seeds)} seeds; the noise of seeds shows from {LEAST_SEEDS} on")
    config, choices = setting.cell
    blank = Verdict("", "", entry.digest, choices["dataset"], choices["budget"], RULE)
    claims, faults = _claims(entry, setting)
    if faults:
        return replace(blank, outcome="refused", reason=f"its records: {faults[0]}"), []
    corpus = load_corpus(config, setting.rooms.root)
    records: list[Record] = []
    isolation: dict[str, Any] = {}
    for number, seed in enumerate(seeds):
        say(f"seed {number + 1} of {len(seeds)}")
        own = {**config, "seed": seed}
        found = run_entry(entry, own, corpus, asked_of(corpus, own), limits, say, privileged)
        isolation = found.isolation
        if isinstance(found, Refused):
            return replace(blank, outcome="refused", reason=found.reason, isolation=isolation, seeds=list(seeds)), []
        say("scores, outside the sandbox")
        records.append(_score((own, choices), setting, seed, found))
        if records[-1].status != "ok":
            reason = f"scoring: {records[-1].status}: {records[-1].reason}"
            return replace(blank, outcome="refused", reason=reason, isolation=isolation, seeds=list(seeds)), records
    verdict = replace(
        blank, isolation=isolation, seeds=list(seeds), corpus=records[0].corpus,
        metric_versions=records[0].metric_versions,
    )  # fmt: skip
    return _compared(verdict, claims, records), records


def asked_of(corpus: Corpus, config: Mapping[str, Any]) -> dict[str, list[Condition]]:
    """The conditions that a cell asks for, by batch (see ``inside.BATCHES``).

    Those of the training split, all or as many as the budget says, evenly spread; and pairs of low and high quality.
    """
    conditions = [trace.condition for trace in corpus.train]
    budget = Budget(**config["budget"])
    count = min(budget.traces or len(conditions), len(conditions))
    pairs = counterfactual_pairs(conditions, corpus.ladder, budget.pairs)
    return {
        "asked": [conditions[number * len(conditions) // count] for number in range(count)],
        "low": [low for low, _ in pairs],
        "high": [high for _, high in pairs],
    }


def _claims(entry: Entry, setting: Setting) -> tuple[list[Record], list[str]]:
    """Claims for this setting, and what is wrong with any record."""
    records, faults = read_claims(entry)
    _, choices = setting.cell
    chosen = [r for r in records if all(r.choices.get(axis) == choices[axis] for axis in ("dataset", "budget"))]
    for record in chosen:
        own, independent = ({**resolved[0], "seed": record.seed} for resolved in (setting.cell, setting.independent))
        if stale := stale_reason(record, own, independent, setting.rooms.root):
            faults.append(f"seed {record.seed}: {stale}")
    return chosen, faults


def _score(cell: Resolved, setting: Setting, seed: int, found: Sampled) -> Record:
    """Put the samples where the harness looks for them, and have it score them as it scores anything."""
    independent = {**setting.independent[0], "seed": seed}
    run_cell(independent, setting.independent[1], setting.rooms)
    keys = stage_keys(cell[0], independent, setting.rooms.root)
    store = setting.rooms.stages
    store.make("fit", keys.fit, lambda folder: {**found.fit, "figures": found.figures})

    def keep(folder: Path) -> dict[str, Any]:
        traces = found.traces["asked"]
        write_traces(folder / "traces.parquet", traces)
        write_traces(folder / PAIRS, _named(found.traces))
        return {
            **found.sample,
            "packets": sum(len(trace.packets) for trace in traces),
            "figures": found.figures,
            "notes": {name: True for name in NOTES if any(trace.notes.get(name) for trace in traces)},
        }

    store.make("sample", keys.sample, keep)
    return run_cell(*cell, setting.rooms, independent=independent)[0]


def _named(traces: Mapping[str, Sequence[Trace]]) -> list[Trace]:
    """The traces of the pairs, low ones first, under the names that the harness gives them."""
    return [
        replace(trace, name=f"counterfactual-{number:04d}-{quality}")
        for quality in ("low", "high")
        for number, trace in enumerate(traces[quality])
    ]


def _compared(verdict: Verdict, claims: Sequence[Record], records: Sequence[Record]) -> Verdict:
    measured = _figures(records)
    if not claims:
        reason = f"no records of dataset={verdict.dataset} budget={verdict.budget} came with it"
        return replace(verdict, outcome="unclaimed", reason=reason, measured=measured)
    claimed = _figures(claims)
    comparisons = compare_scores(claimed, measured)
    apart = [found for found in comparisons if not found.agrees]
    reason = "; ".join(f"{c.figure} claimed {c.claimed:.3f}, measured {_shown(c.measured)}" for c in apart)
    return replace(
        verdict, outcome="disagrees" if apart else "verified", reason=reason, claimed=claimed, measured=measured,
        comparisons=[asdict(found) for found in comparisons],
    )  # fmt: skip


def _figures(records: Sequence[Record]) -> dict[str, list[float]]:
    return {figure: values for figure, values in values_by_figure(records).items() if figure in FIGURES}


def _shown(value: float | None) -> str:
    return "nothing" if value is None else f"{value:.3f}"
