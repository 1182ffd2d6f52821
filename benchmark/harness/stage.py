"""The stages of a cell, fit, sample, score, model and probe, and the keys by which their results are found again."""

from __future__ import annotations

import resource
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.errors import ConfigError, nearest
from benchmark.harness.registry import corpus_digest
from benchmark.harness.source import files_digest, source_digest
from benchmark.harness.store import digest_of

# Raised when a stage's result would change for a reason that none of its files or settings shows.
VERSIONS = {"fit": 1, "sample": 1, "score": 1, "model": 1, "probe": 1}
METRICS = ("fidelity", "timing", "validity", "memorisation", "downstream", "augmentation", "counterfactual", "cost")
# Scored by the probe stage, from what the router found.
PROBE_METRICS = ("kernel",)
# What a cell is scored on: the test split or, while settings are chosen, the validation split.
SCORED_ON = ("test", "validation")
# Guards and limits say how long a run may take, not what comes out of it.
_GUARDS = ("cell_seconds", "fit_seconds")


@dataclass(frozen=True)
class Keys:
    """Keys of a cell's stages, each a digest of all that the stage's result depends on.

    model, probe: "" where the cell has no probe.
    """

    fit: str
    sample: str
    score: str
    floor: str
    model: str = ""
    probe: str = ""

    def of(self, stage: str) -> str:
        """Key of a stage by name."""
        key: str = getattr(self, stage)
        return key


def has_probe(config: Mapping[str, Any]) -> bool:
    """Tell whether a probe is part of the cell."""
    return bool((config.get("probe") or {}).get("module"))


def ignored_axes(config: Mapping[str, Any]) -> set[str]:
    """Axes that the generator has no use for, so that choices on them make no other cell."""
    return {"tokenization", "context", "conditioning"} - set(config["generator"].get("axes") or ())


def identity(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a config that makes a cell what it is: no how-to-run keys, no axis its generator ignores."""
    ignored = ignored_axes(config)
    kept: dict[str, Any] = {
        axis: config[axis]
        for axis in (
            "dataset",
            "generator",
            "tokenization",
            "context",
            "conditioning",
            "probe",
            "router",
            "seed",
        )
        if axis not in ignored and config.get(axis) is not None
    }
    if not has_probe(config):
        # Without a probe nothing of the router's settings matters, and its name is all that tells cells apart.
        for axis in ("probe", "router"):
            if axis in kept:
                kept[axis] = {"name": kept[axis]["name"]}
    kept["budget"] = {name: value for name, value in config["budget"].items() if name not in _GUARDS}
    if config.get("scored_on", "test") != "test":
        kept["scored_on"] = config["scored_on"]
    return kept


def scored_split(config: Mapping[str, Any]) -> str:
    """Return the split that a cell is scored on. Raises ConfigError for one that isn't meant for that."""
    split = str(config.get("scored_on", "test"))
    if split not in SCORED_ON:
        raise ConfigError(f"scored_on: no '{split}'{nearest(split, SCORED_ON)}")
    return split


def cell_id(config: Mapping[str, Any]) -> str:
    """Identify a cell by the hash of its identity."""
    return digest_of(identity(config))[:12]


def stage_keys(config: Mapping[str, Any], independent: Mapping[str, Any] | None, root: Path) -> Keys:
    """Compute the keys of a cell's stages.

    independent: config of the independent reference's cell, which the score stage reads; None if this is it.
    """
    kept = identity(config)
    generator, tokenization = kept["generator"], kept.get("tokenization") or {}
    conditioning = dict(kept.get("conditioning") or {})
    guidance = conditioning.pop("guidance", None)
    corpus = corpus_digest(config, root)
    if (split := scored_split(config)) != "test":
        corpus = digest_of([corpus, split])
    modules = [generator["module"], *([tokenization["module"]] if tokenization.get("module") else [])]
    fit = digest_of(
        {
            "stage": ["fit", VERSIONS["fit"]],
            "corpus": corpus,
            "code": source_digest(modules, root),
            "generator": {name: generator.get(name) for name in ("name", "module", "options")},
            "tokenization": tokenization,
            "context": kept.get("context"),
            "conditioning": conditioning,
            "budget": kept["budget"],
            "seed": kept["seed"],
        }
    )
    sample = digest_of(
        {
            "stage": ["sample", VERSIONS["sample"]],
            "upstream": fit,
            "code": source_digest([*modules, "benchmark.synthesis.stitch", "benchmark.storage.compact"], root),
            "guidance": guidance,
        }
    )
    metrics = source_digest([f"benchmark.metrics.{name}" for name in METRICS] + ["benchmark.synthesis.repair"], root)
    floor = digest_of({"stage": ["floor", VERSIONS["score"]], "corpus": corpus, "code": metrics, "seed": kept["seed"]})
    score = digest_of(
        {
            "stage": ["score", VERSIONS["score"]],
            "upstream": sample,
            "floor": floor,
            "repair": generator.get("repair", "none"),
            "independent": stage_keys(independent, None, root).sample if independent else None,
        }
    )
    if not has_probe(kept):
        return Keys(fit, sample, score, floor)
    return Keys(fit, sample, score, floor, *_probe_keys(kept, sample, root))


def _probe_keys(kept: Mapping[str, Any], sample: str, root: Path) -> tuple[str, str]:
    """Keys of the quality model, whatever router it is for, and of what the router finds with it."""
    probe, router = kept["probe"], kept["router"]
    model = digest_of(
        {
            "stage": ["model", VERSIONS["model"]],
            "upstream": sample,
            "code": source_digest([probe["module"], "benchmark.harness.probing", "benchmark.synthesis.repair"], root),
            "repair": kept["generator"].get("repair", "none"),
            "probe": {name: probe.get(name) for name in ("module", "task", "features", "options", "choices")},
        }
    )
    metrics = [f"benchmark.metrics.{name}" for name in PROBE_METRICS]
    found = digest_of(
        {
            "stage": ["probe", VERSIONS["probe"]],
            "upstream": model,
            "code": source_digest([router["module"], "benchmark.harness.probing", *metrics], root),
            "files": files_digest(router.get("sources") or (), root),
            "probe": probe,
            "router": router,
        }
    )
    return model, found


class Stopwatch:
    """Seconds and peak memory of a stage, for its facts."""

    def __init__(self) -> None:
        self.started = time.perf_counter()

    def facts(self) -> dict[str, float]:
        """Seconds since the start, and the process's peak resident memory in MiB so far."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return {"seconds": time.perf_counter() - self.started, "peak_memory_mb": peak}
