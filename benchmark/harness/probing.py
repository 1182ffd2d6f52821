"""The stages of a cell that has a probe: the quality model, chosen on validation, and what the router finds with it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.corpus import Corpus
from benchmark.errors import ConfigError, Incompatible, nearest
from benchmark.harness.registry import build_fitter, build_router
from benchmark.method import Log
from benchmark.probe import FIGURES, Fitter, Probe, ProbeEvidence, ProbeResult, QualityModel
from benchmark.quality.features import FEATURE_SETS, extract_all, feature_names
from benchmark.quality.task import TASKS, Examples, Task, gather
from benchmark.trace import Trace
from benchmark.verdicts import agreement, choose, digest, judge, table

HOOKS, LOADERS = ("tc", "tcx", "xdp", "socket"), ("libbpf", "bcc")
REFERENCE = "none"  # the router that is the reference


@dataclass(frozen=True)
class Settings:
    """A probe's YAML, checked. task: the one asked for, or the corpus's own where none is."""

    name: str
    features: str
    hook: str
    loader: str
    task: Task
    options: Mapping[str, Any]
    choices: Mapping[str, Sequence[Any]]


def read_settings(config: Mapping[str, Any], corpus: Corpus) -> Settings:
    """Read the probe's settings. Raises ConfigError for a wrong one, Incompatible for a task that the corpus lacks."""
    entry = config["probe"]
    for name, known in (("features", FEATURE_SETS), ("hook", HOOKS), ("loader", LOADERS)):
        if entry[name] not in known:
            raise ConfigError(f"probe.{name}: no '{entry[name]}'{nearest(str(entry[name]), known)}")
    wanted = entry.get("task") or ("rung" if corpus.ladder else "fps")
    if wanted not in TASKS:
        raise ConfigError(f"probe.task: no task '{wanted}'{nearest(str(wanted), TASKS)}")
    task = TASKS[wanted]
    if task.history:
        raise Incompatible(f"probe.task={wanted} needs the windows before, which the kernel doesn't keep")
    if task.label in corpus.unscored or (task.label == "rung" and not corpus.ladder):
        why = corpus.unscored.get(task.label, "it has no ladder")
        raise Incompatible(f"probe.task={wanted} on {corpus.name}: {why}")
    options, choices = dict(entry.get("options") or {}), dict(entry.get("choices") or {})
    return Settings(entry["name"], entry["features"], entry["hook"], entry["loader"], task, options, choices)


def train_model(
    config: Mapping[str, Any], root: Path, corpus: Corpus, synthetic: Sequence[Trace], folder: Path
) -> dict[str, Any]:
    """Fit a quality model on synthetic windows for each choice of options; keep the one that validation likes best.

    Writes ``model.bin`` and returns the facts: the task, the options chosen, the loss of every candidate on validation
    (share of wrong windows, or mean absolute error; None without labelled windows there), sizes and quantisation.
    """
    settings = read_settings(config, corpus)
    names = feature_names(settings.features)
    train = _windows(settings, synthetic, corpus.ladder)
    if not len(train):
        raise Incompatible(f"no synthetic window is labelled, and probe.task={settings.task.name} needs some")
    validation = _windows(settings, corpus.validation, corpus.ladder)
    best: tuple[float, Mapping[str, Any], QualityModel] | None = None
    candidates = []
    for chosen in _combinations(settings.choices):
        fitter = build_fitter(config, {**settings.options, **chosen}, root)
        model = fitter.fit(train.features, train.labels, names, settings.task.classes, config["seed"])
        loss = _loss(settings.task, model, validation)
        candidates.append({"options": dict(chosen), "validation_loss": loss})
        if best is None or (loss is not None and loss < best[0]):
            best = (np.inf if loss is None else loss, chosen, model)
    assert best is not None
    (folder / "model.bin").write_bytes(best[2].blob)
    return {
        "task": settings.task.name,
        "windows": len(train),
        "options": {**settings.options, **best[1]},
        "candidates": candidates,
        **best[2].facts,
        "quantisation_validation": dict(best[2].quantisation(validation.features)),
    }


def _windows(settings: Settings, traces: Sequence[Trace], ladder: tuple[int, ...]) -> Examples:
    tables = extract_all(traces, settings.features)
    return gather(settings.task, traces, tables, ladder, settings.features)


def _combinations(choices: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    """Every combination of the options that are to be chosen; one, of nothing, where none is."""
    for values in itertools.product(*choices.values()):
        yield dict(zip(choices, values, strict=True))


def _loss(task: Task, model: QualityModel, examples: Examples) -> float | None:
    if not len(examples):
        return None
    answers = model.answers(*model.predict(examples.features))
    wrong = answers != examples.labels if task.classes else np.abs(answers - examples.labels)
    if not task.balanced:
        return float(np.mean(wrong))
    return float(np.mean([np.mean(wrong[examples.labels == label]) for label in np.unique(examples.labels)]))


@dataclass(frozen=True, eq=False)
class Found:
    """What the probe stage leaves: evidence for the metrics, and facts for the record."""

    evidence: ProbeEvidence
    facts: dict[str, Any]


def run_probe(
    config: Mapping[str, Any], root: Path, corpus: Corpus, model_folder: Path, folder: Path, log: Log
) -> Found:
    """Run the router on the real test traces and hold it against the reference; ``verdicts.npy`` keeps what was said.

    Raises Unsupported where the machine lacks what the router needs, ConfigError for a result of the wrong shape.
    """
    settings = read_settings(config, corpus)
    fitter: Fitter = build_fitter(config, {**settings.options}, root)
    model = fitter.load((model_folder / "model.bin").read_bytes())
    probe = Probe(
        settings.name, settings.features, settings.hook, settings.loader, settings.task.name, model, settings.options
    )
    traces, router = list(corpus.test), config["router"]["name"]
    log.report(f"router {router}", 0, len(traces))
    result = build_router(config, root).run(probe, traces)
    _check(result, len(traces), router)
    reference = judge(model, traces, settings.features)
    width = len(feature_names(settings.features))
    chosen = [
        choose(verdicts, model, len(trace.labels), width)
        for verdicts, trace in zip(result.verdicts, traces, strict=True)
    ]
    np.save(folder / "verdicts.npy", table(result.verdicts), allow_pickle=False)
    same = None if router == REFERENCE else agreement(result.verdicts, reference)
    facts = {
        "router": router,
        "features": settings.features,
        "hook": settings.hook,
        "loader": settings.loader,
        "figures": {name: float(value) for name, value in result.figures.items()},
        "reasons": dict(result.reasons),
        "notes": dict(result.notes),
        "predictions": digest(result.verdicts),
    }
    return Found(ProbeEvidence(settings.task.name, router, chosen, result, same), facts)


def _check(result: ProbeResult, traces: int, router: str) -> None:
    if len(result.verdicts) != traces:
        raise ConfigError(f"router={router} gave verdicts on {len(result.verdicts)} of {traces} traces")
    for name in result.figures:
        if name not in FIGURES:
            raise ConfigError(f"router={router} reports a figure '{name}'{nearest(name, FIGURES)}")
