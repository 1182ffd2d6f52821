"""Records made up for pages: of any number, and some whose every text is hostile. Their scores are of no method."""

from __future__ import annotations

import hashlib
import random

from benchmark.record import Record

REFERENCES = ("independent", "markov", "two_level", "resample", "real")
TOKENIZATIONS = ("bytes", "fields", "joint", "segments")
CONTEXTS = ("tokens_256", "tokens_1024", "tokens_4096")
TRACES = tuple(f"trace-{number:02d}" for number in range(8))
MARKUP = '<img src=x onerror="window.broken=1"><script>window.broken=2</script>'


def make_records(methods: int, seeds: int = 3, datasets: tuple[str, ...] = ("streaming",), **changes) -> list[Record]:
    """Make a record a dataset, method and seed, references among the methods; every third has a probe on a router."""
    return [
        make_record(number, seed, dataset, **changes)
        for dataset in datasets
        for number in range(methods)
        for seed in range(seeds)
    ]


def make_record(number: int, seed: int, dataset: str = "streaming", **changes) -> Record:
    """Make the record of method ``number``; the first five are references. changes: fields of the record."""
    reference = number < len(REFERENCES)
    method = REFERENCES[number] if reference else f"model{number % 11}"
    choices = {"dataset": dataset, "budget": "default", "generator": method, "probe": "none", "router": "none"}
    config = {"generator": {"name": method, "options": {"width": number}}, "seed": seed, "dataset": {"name": dataset}}
    config["budget"] = {"name": "default"}
    if not reference:
        choices |= {
            "tokenization": TOKENIZATIONS[number % 4],
            "context": CONTEXTS[number % 3],
            "conditioning": "prefix",
        }
        config |= {axis: {"name": choices[axis]} for axis in ("tokenization", "context", "conditioning")}
    probed = number % 3 == 0
    if probed:
        choices |= {"probe": "tree", "router": ("host", "qemu_arm64")[number % 2]}
        config |= {"probe": {"name": "tree", "features": "F3"}, "router": {"name": choices["router"]}}
    quality = {"independent": 0.3, "markov": 0.35, "real": 0.97, "resample": 0.95}.get(
        method, 0.3 + 0.6 * _draw(number)
    )
    figures = {
        "downstream.rung.skill_kept": quality + 0.02 * _draw(number, seed),
        "timing.distance": 14 - 12 * quality,
        "fidelity.c2st": 1 - 0.4 * quality,
        "validity.l2.raw": 0.4 if number % 13 == 12 else 1.0,
        "memorisation.copied_share": 0.8 if method == "resample" else 0.0,
        "memorisation.flagged": 1.0 if method == "resample" else 0.0,
        "cost.fit_s": 40 + 300 * _draw(number, "fit"),
        "cost.sample_packets_per_s": 10 ** (3 + 3 * _draw(number, "speed")),
    }
    if probed:
        figures |= {"kernel.added_insns": 60 + 400 * _draw(number, "insns"), "kernel.accuracy.rung": quality * 0.9}
    record = Record(
        cell=hashlib.sha256(f"{dataset} {number} {seed}".encode()).hexdigest()[:12],
        method=method, choices=choices, config=config, seed=seed, status="ok", reason="",
        started="2026-01-01T00:00:00+00:00", ended="2026-01-01T00:05:00+00:00", boot="made",
        stages={"fit": {"key": "k", "seconds": 12.5, "reused": False}},
        scores={
            name: {"value": value, "interval": [value * 0.95, value * 1.05], "reason": ""}
            for name, value in figures.items()
        },
        floors={"downstream.rung.skill_kept": 1.0, "validity.l2.raw": 1.0},
        per_trace={
            "downstream.rung.skill_kept": {
                trace: figures["downstream.rung.skill_kept"] + 0.2 * (_draw(number, seed, trace) - 0.5)
                for trace in TRACES
            }
        },
        metric_versions={"downstream": 2, "timing": 1, "fidelity": 1, "validity": 1, "cost": 1, "kernel": 1},
        corpus={"name": dataset, "digest": hashlib.sha256(dataset.encode()).hexdigest()},
        code={"revision": "0" * 40, "dirty": False}, machine={"cores": 2},
    )  # fmt: skip
    for name, value in changes.items():
        setattr(record, name, value)
    return record


def make_hostile_records() -> list[Record]:
    """Make records whose every text is markup that would run, were it not text."""
    hostile = []
    for number in range(2):
        for seed in range(3):
            record = make_record(20 + number, seed)
            record.method = f"{MARKUP}{number}"
            record.choices = dict.fromkeys(record.choices, f"{MARKUP}'\"&amp;</title></script><!--") | {
                "dataset": "streaming", "budget": "default",
            }  # fmt: skip
            record.config["generator"] = {"name": MARKUP, "options": {MARKUP: f"</pre>{MARKUP}"}}
            record.notes, record.violation = {MARKUP: True}, MARKUP
            record.scores["validity.l1.raw"] = {"value": 0.5, "interval": None, "reason": ""}
            record.per_trace["validity.l1.raw"] = {MARKUP: 0.5}
            record.figures = {MARKUP: MARKUP}
            record.packages = {MARKUP: MARKUP}
            record.machine = {MARKUP: {MARKUP: MARKUP}}
            record.code = {"revision": MARKUP, "dirty": True}
            record.stages = {MARKUP: {"key": MARKUP, "seconds": 1.0, "reused": True}}
            record.scores[f"downstream.{MARKUP}"] = {"value": None, "interval": None, "reason": MARKUP}
            hostile.append(record)
    failed = make_record(30, 0, status="failed", reason=f"javascript:{MARKUP}", traceback=f"</pre>{MARKUP}", scores={})
    return [*make_records(6), *hostile, failed]


def _draw(*names: object) -> float:
    return random.Random(repr(names)).random()
