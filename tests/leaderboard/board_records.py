"""Records with values by trace, made up so that what a board should say of them is known."""

from __future__ import annotations

import hashlib

import numpy as np

from benchmark.metric import Score
from benchmark.record import Record, close_record, open_record, score_facts

KEPT, C2ST, TIMING, L2 = "downstream.rung.skill_kept", "fidelity.c2st", "timing.distance", "validity.l2.raw"
VERSIONS = {"downstream": 2, "fidelity": 1, "timing": 1, "validity": 1, "memorisation": 1, "cost": 1, "kernel": 1}
TRACES = 24


def record(method, seed, kept=0.5, *, spread=0.05, valid=1.0, flagged=0.0, c2st=0.9, options=None, **changes):
    """Make one finished cell; ``kept`` is its skill, with noise of its own by trace, ``None`` for no score at all."""
    name = f"{method} {seed} {options} {sorted(changes.get('choices', {}).items())}"
    cell = hashlib.sha256(name.encode()).hexdigest()[:12]
    choices = {"generator": method, "dataset": "streaming", "budget": "default", "probe": "none", "router": "none"}
    made = Record(
        cell=cell, method=method, seed=seed, status="ok", reason="", choices={**choices, **changes.pop("choices", {})},
        config={"generator": {"name": method, "options": options or {}}, "seed": seed}, boot="made",
        started="2026-01-01T00:00:00+00:00", ended="2026-01-01T00:01:00+00:00", floors={KEPT: 1.0, L2: 1.0},
        metric_versions=dict(VERSIONS), corpus={"name": "streaming", "digest": "c0ffee"},
    )  # fmt: skip
    if kept is not None:
        rng = np.random.default_rng(int(cell, 16))
        values = kept + spread * rng.standard_normal(TRACES)
        by_trace = {f"trace-{number:02d}": float(value) for number, value in enumerate(values)}
        made.scores = score_facts({
            KEPT: Score(float(values.mean()), interval=(kept - 0.1, kept + 0.1)), L2: Score(valid),
            C2ST: Score(c2st), TIMING: Score(5.0 + seed), "memorisation.flagged": Score(flagged),
        })  # fmt: skip
        made.per_trace = {KEPT: by_trace}
    for field, value in changes.items():
        setattr(made, field, value)
    return made


def seeds(method, kept=0.5, count=3, **changes):
    """Make a method's cells of several seeds."""
    return [record(method, seed, kept, **changes) for seed in range(count)]


def failure(method, seed, status="failed", reason="ValueError: no", **changes):
    """Make a cell that ended before anything was scored, as the harness leaves it."""
    made = record(method, seed, None, status=status, reason=reason, **changes)
    made.metric_versions, made.corpus, made.floors = {}, {}, {}
    return made


def write(folder, *records):
    """Write records below ``folder`` as the harness does; return their paths."""
    paths = []
    for each in records:
        (folder / each.cell).mkdir(parents=True, exist_ok=True)
        paths.append(folder / each.cell / "record.json")
        open_record(paths[-1], each)
        close_record(paths[-1], each)
    return paths
