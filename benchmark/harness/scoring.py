"""What the score stage measures, and the floor that it is read against: real training traces in the samples' place."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from benchmark.corpus import Corpus
from benchmark.harness.stage import METRICS
from benchmark.method import Log
from benchmark.metric import Evidence, Family, Score
from benchmark.metrics import memorisation
from benchmark.record import score_facts
from benchmark.trace import Trace


def families() -> list[Family]:
    """All families of metrics, in the order of the record."""
    found = [importlib.import_module(f"benchmark.metrics.{name}").FAMILY for name in METRICS]
    return list(found)


def evidence_of(
    corpus: Corpus,
    seed: int,
    synthetic: Sequence[Trace] = (),
    raw: Sequence[Trace] = (),
    repaired: Sequence[Trace] = (),
) -> Evidence:
    """Set a corpus and samples side by side; ``synthetic`` is what is used of ``raw`` and ``repaired``."""
    return Evidence(
        corpus.train, corpus.validation, corpus.test, synthetic, raw, repaired,
        ladder=corpus.ladder, seed=seed, unscored=corpus.unscored,
    )  # fmt: skip


def score_all(evidence: Evidence, log: Log) -> dict[str, Score]:
    """Score by every family, and report each."""
    scores: dict[str, Score] = {}
    for done, family in enumerate(families()):
        log.report(f"score {family.name}", done, len(METRICS))
        scores.update(family.score(evidence))
    return scores


def score_floor(corpus: Corpus, seed: int, log: Log) -> dict[str, float | None]:
    """Score real training traces as if they were samples; metric to value."""
    train, validation = list(corpus.train), list(corpus.validation)
    evidence = evidence_of(corpus, seed, train, train, train)
    scores = score_all(evidence, log)
    # Training traces are copies of themselves; what real traffic shows of copying, unseen traces say.
    if validation:
        scores |= memorisation.FAMILY.score(replace(evidence, synthetic=validation))
    return {name: fact["value"] for name, fact in score_facts(scores).items()}


def costs_of(fit: Mapping[str, Any], sample: Mapping[str, Any], traces: int) -> dict[str, float]:
    """What making the samples cost, from the facts of the stages that made them."""
    figures = {**fit.get("figures", {}), **sample.get("figures", {})}
    costs = {
        "fit_s": fit["seconds"],
        "sample_s": sample["seconds"],
        "packets": sample["packets"],
        "peak_memory_mb": max(fit["peak_memory_mb"], sample["peak_memory_mb"]),
        "traces": traces,
    }
    for name in ("parameters", "tokens_per_packet"):
        if name in figures:
            costs[name] = figures[name]
    if "tokens_per_packet" in costs:
        costs["tokens"] = costs["tokens_per_packet"] * costs["packets"]
    return costs


def facts_of(scores: Mapping[str, Score]) -> dict[str, Any]:
    """Scores as a stage keeps them: values with reasons, and the figure of each trace where a metric has one."""
    per_trace = {name: dict(score.per_trace) for name, score in scores.items() if score.per_trace}
    return {"scores": score_facts(dict(scores)), "per_trace": per_trace}
