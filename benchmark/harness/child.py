"""The expensive part of a cell, run in a child process: its stages, each found again if done before."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import sys
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmark.commands.picture import draw_comparison
from benchmark.corpus import Corpus
from benchmark.harness.curve import Listener
from benchmark.harness.probing import run_probe, train_model
from benchmark.harness.registry import build_generator, load_corpus
from benchmark.harness.remote import Remote
from benchmark.harness.scoring import costs_of, evidence_of, facts_of, families, score_all, score_floor
from benchmark.harness.stage import Keys, Stopwatch, has_probe, scored_split, stage_keys
from benchmark.harness.store import Store, write_json
from benchmark.harness.tools import missing_tools
from benchmark.harness.violation import describe_violation
from benchmark.method import Budget, Generator, Log
from benchmark.metrics import kernel
from benchmark.record import score_facts
from benchmark.storage.compact import read_traces, write_traces
from benchmark.synthesis.counterfactual import counterfactual_pairs
from benchmark.synthesis.repair import repair
from benchmark.synthesis.stitch import sample_whole
from benchmark.trace import Trace

PAIRS = "pairs.parquet"
# A launcher's word to a run that it started several of; a cell's child is one alone, and would wait for the others.
_LAUNCHED = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK", "MASTER_ADDR", "MASTER_PORT")


class Work:
    """One cell's stages on one store."""

    def __init__(self, job: Mapping[str, Any], log: Log) -> None:
        self.root, self.folder = Path(job["root"]), Path(job["folder"])
        self.config: dict[str, Any] = job["config"]
        self.independent: dict[str, Any] | None = job["independent"]
        self.store, self.log = Store(Path(job["store"]), Remote(job["remote"]) if job["remote"] else None), log
        self.seed: int = self.config["seed"]
        self.corpus: Corpus = load_corpus(self.config, self.root)
        if scored_split(self.config) == "validation":
            self.corpus = replace(self.corpus, test=self.corpus.validation)
        self.keys: Keys = stage_keys(self.config, self.independent, self.root)
        self.stages: dict[str, dict[str, Any]] = {}

    def run(self) -> dict[str, Any]:
        """Run what isn't there yet and return the result: stages, scores, floors, figures, notes."""
        fit = self._stage("fit", self._fit)
        sample = self._stage("sample", self._sample)
        score = self._stage("score", self._score)
        picture = self.store.folder("score", self.keys.score) / "picture.png"
        if picture.exists():
            shutil.copyfile(picture, self.folder / "picture.png")
        _, floor, _ = self.store.make("floor", self.keys.floor, self._floor)
        figures = {**fit["figures"], **sample["figures"]}
        versions = {family.name: family.version for family in [*families(), kernel.FAMILY]}
        result = {
            "stages": self.stages,
            "scores": {**score["scores"], **score_facts(kernel.nothing("no probe is part of this cell"))},
            "per_trace": score["per_trace"],
            "floors": floor["values"],
            "metric_versions": versions,
            "figures": figures,
            "curve": fit.get("curve", {}),
            "violation": score.get("violation", ""),
            "notes": sample["notes"],
            "corpus": {"name": self.corpus.name, "digest": self.corpus.digest},
        }
        return self._probed(result) if has_probe(self.config) else result

    def _probed(self, result: dict[str, Any]) -> dict[str, Any]:
        """Add what the probe says and costs to a result, which stands without it where the router can't run."""
        unreached = score_facts(kernel.nothing("the router didn't finish; the record's reason says why"))
        write_json(self.folder / "result.json", {**result, "scores": {**result["scores"], **unreached}})
        model = self._stage("model", self._model)
        probe = self._stage("probe", self._probe)
        return {
            **result,
            "scores": {**result["scores"], **probe["scores"]},
            "per_trace": {**result["per_trace"], **probe["per_trace"]},
            "probe": {
                "model": {name: fact for name, fact in model["model"].items() if name != "task"},
                "task": model["model"]["task"],
                **probe["probe"],
            },
        }

    def _model(self, folder: Path) -> dict[str, Any]:
        watch = Stopwatch()
        raw = self._samples(self.keys.sample)
        synthetic = [repair(trace, self.seed) for trace in raw] if self._mends() else raw
        model = train_model(self.config, self.root, self.corpus, synthetic, folder)
        return {**watch.facts(), "model": model}

    def _probe(self, folder: Path) -> dict[str, Any]:
        watch = Stopwatch()
        model = self.store.folder("model", self.keys.model)
        found = run_probe(self.config, self.root, self.corpus, model, folder, self.log)
        scores = kernel.score(replace(evidence_of(self.corpus, self.seed), probe=found.evidence))
        return {**watch.facts(), **facts_of(scores), "probe": found.facts}

    def _stage(self, name: str, work: Any) -> dict[str, Any]:
        self.log.report(f"stage:{name}", 0, 1)
        watch = Stopwatch()
        _, facts, reused = self.store.make(name, self.keys.of(name), work)
        seconds = facts["seconds"] if reused else watch.facts()["seconds"] + facts.get("earlier", 0.0)
        self.stages[name] = {"key": self.keys.of(name), "seconds": round(seconds, 3), "reused": reused}
        if facts.get("lacked"):
            self.stages[name]["lacked"] = facts["lacked"]
        self.log.report(f"stage:{name}", 1, 1, seconds=seconds, reused=float(reused))
        return facts

    def _budget(self) -> Budget:
        return Budget(**self.config["budget"])

    def _fit(self, folder: Path) -> dict[str, Any]:
        generator = build_generator(self.config, self.root)
        listener = Listener(self.log)
        watch = Stopwatch()
        generator.fit(self.corpus, self._budget(), self.seed, listener.log(self.store.unfinished("fit", self.keys.fit)))
        facts = watch.facts()
        facts["seconds"] += listener.earlier
        generator.save(folder)
        return {**facts, "earlier": listener.earlier, "figures": _figures(generator), "curve": listener.curve()}

    def _sample(self, folder: Path) -> dict[str, Any]:
        generator = build_generator(self.config, self.root)
        generator.load(self.store.folder("fit", self.keys.fit))
        conditions = [trace.condition for trace in self._asked()]
        watch = Stopwatch()
        traces = []
        for trace in sample_whole(generator, conditions, self.seed, self.log):
            traces.append(trace)
            self.log.report("sample", len(traces), len(conditions))
        facts = watch.facts()
        write_traces(folder / "traces.parquet", traces)
        write_traces(folder / PAIRS, self._sample_pairs(generator))
        noted = {name for trace in traces for name in ("stitched", "cut") if trace.notes.get(name)}
        return {
            **facts,
            "packets": sum(len(trace.packets) for trace in traces),
            "figures": _figures(generator),
            "notes": dict.fromkeys(sorted(noted), True),
        }

    def _sample_pairs(self, generator: Generator) -> list[Trace]:
        """Sample the pairs of low and high quality, low ones first; each pair shares its place and its seed."""
        conditions = [trace.condition for trace in self.corpus.train]
        pairs = counterfactual_pairs(conditions, self.corpus.ladder, self._budget().pairs)
        traces: list[Trace] = []
        for quality, asked in zip(("low", "high"), zip(*pairs, strict=True), strict=False):
            for trace in sample_whole(generator, asked, self.seed, self.log):
                traces.append(replace(trace, name=f"counterfactual-{len(traces) % len(pairs):04d}-{quality}"))
                self.log.report("sample pairs", len(traces), 2 * len(pairs))
        return traces

    def _asked(self) -> list[Trace]:
        """The training traces whose conditions are asked for: all, or as many as the budget says, evenly spread."""
        train = list(self.corpus.train)
        count = min(self._budget().traces or len(train), len(train))
        return [train[number * len(train) // count] for number in range(count)]

    def _samples(self, key: str) -> list[Trace]:
        self.store.fetch("sample", key)
        return read_traces(self.store.folder("sample", key) / "traces.parquet")

    def _pairs(self) -> list[tuple[Trace, Trace]]:
        traces = read_traces(self.store.folder("sample", self.keys.sample) / PAIRS)
        traces = [repair(trace, self.seed) for trace in traces] if self._mends() else traces
        half = len(traces) // 2
        return list(zip(traces[:half], traces[half:], strict=True))

    def _score(self, folder: Path) -> dict[str, Any]:
        watch, lacked = Stopwatch(), missing_tools()
        raw = self._samples(self.keys.sample)
        repaired = [repair(trace, self.seed) for trace in raw]
        synthetic = repaired if self._mends() else raw
        independent: list[Trace] = synthetic
        if self.independent:
            independent = self._samples(stage_keys(self.independent, None, self.root).sample)
        fit, sample = (self.store.facts(name, self.keys.of(name)) or {} for name in ("fit", "sample"))
        evidence = replace(
            evidence_of(self.corpus, self.seed, synthetic, raw, repaired),
            independent=independent, costs=costs_of(fit, sample, len(raw)), pairs=self._pairs(),
        )  # fmt: skip
        scores = facts_of(score_all(evidence, self.log))
        pairs = list(zip(self._asked(), synthetic, strict=False))
        draw_comparison(pairs, folder / "picture.png", self.config["generator"]["name"], self.corpus.ladder)
        return {
            **watch.facts(), **scores, "violation": describe_violation(raw, scores["per_trace"]), "lacked": lacked,
        }  # fmt: skip

    def _mends(self) -> bool:
        """Whether the method's own samples are repaired before they are used."""
        return bool(self.config["generator"].get("repair", "none") == "harness")

    def _floor(self, _folder: Path) -> dict[str, Any]:
        watch, lacked = Stopwatch(), missing_tools()
        values = score_floor(self.corpus, self.seed, self.log)
        return {**watch.facts(), "values": values, "lacked": lacked}


def _figures(generator: Generator) -> dict[str, Any]:
    """Numbers that the generator says of itself, such as parameters and tokens per packet."""
    return dict(getattr(generator, "figures", {}))


def run_child(folder: Path) -> int:
    """Run the job in ``folder/job.json``; progress as JSON lines on standard output, the result beside the job.

    A fault of the method goes to the caller as an exception; so does a lack of rights or tools.
    """
    _die_with_parent()
    for name in _LAUNCHED:
        os.environ.pop(name, None)
    events = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a method prints belongs to the log, not among the events
    job = json.loads((folder / "job.json").read_text())
    log = Log(lambda event: print(json.dumps(event), file=events))
    write_json(folder / "result.json", Work(job, log).run())
    return 0


def _die_with_parent() -> None:
    """End this process, and its group, when the parent is gone, however it went."""
    with_parent = 1  # PR_SET_PDEATHSIG, prctl(2)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(with_parent, signal.SIGKILL)
    threading.Thread(target=_watch_parent, daemon=True).start()


def _watch_parent() -> None:
    """The parent holds the other end of standard input and never writes: an end of file means that it died."""
    os.read(0, 1)
    os.killpg(0, signal.SIGKILL)
