"""Runs an entry's method in the sandbox, on one seed, and brings out its traces."""

from __future__ import annotations

import json
import math
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.corpus import Corpus
from benchmark.errors import TraceError
from benchmark.storage.compact import read_traces, write_traces
from benchmark.trace import Condition, Trace, join_packets
from leaderboard.submitting import inside
from leaderboard.submitting.entry import CODE, PLACE, Entry
from leaderboard.submitting.sandbox.jail import REPOSITORY, Outcome, run_task
from leaderboard.submitting.sandbox.limits import Limits, Task

# What of the repository an entry's code finds, read-only. No corpus is among it.
_ROOMS = ("benchmark", "baselines", "leaderboard/__init__.py", "leaderboard/submitting")
_SAMPLES = tuple(inside.sampled(batch) for batch in inside.BATCHES)
_CONDITIONS = tuple(inside.conditions_of(batch) for batch in inside.BATCHES)
_COMPILED, _CACHE = "/compiled", "/sandbox/compiled"
_FIGURES = ("parameters", "tokens_per_packet")


@dataclass(frozen=True)
class Sampled:
    """What a sandboxed run brought out.

    traces: by batch, see ``inside.BATCHES``. fit, sample: seconds and peak_memory_mb of the two, as seen from outside.
    """

    traces: dict[str, list[Trace]]
    figures: dict[str, float]
    fit: dict[str, float]
    sample: dict[str, float]
    isolation: dict[str, Any]


@dataclass(frozen=True)
class Refused:
    """Why a run brought out nothing that can be scored. kind: one word. isolation: what held it."""

    kind: str
    reason: str
    isolation: dict[str, Any]
    printed: str = ""


def run_entry(
    entry: Entry, config: Mapping[str, Any], corpus: Corpus, asked: Mapping[str, Sequence[Condition]], limits: Limits,
    say: Callable[[str], None] = lambda text: None, privileged: bool | None = None,
) -> Sampled | Refused:  # fmt: skip
    """Fit and sample an entry's method in the sandbox, and read its samples in another.

    config: the resolved cell config. asked: the conditions of each batch. say: told what is going on.
    Raises Unsupported where the machine has no sandbox.
    """
    with tempfile.TemporaryDirectory(prefix="entry-") as folder:
        job = Path(folder)
        _write_job(job, config, corpus, asked)
        say("fit and sample, in the sandbox")
        ran = run_task(_work(entry, job), limits, privileged=privileged)
        missing = [name for name in _SAMPLES if name not in ran.results]
        if ran.reason or missing:
            reason = ran.reason or f"{missing[0]}: {ran.faults.get(missing[0], 'missing')}"
            return Refused(ran.kind or "samples", reason, ran.isolation, ran.printed)
        say("reading the samples, in a sandbox of their own")
        _bring(ran, job)
        (job / "train.parquet").unlink()
        read = run_task(_reading(job), limits, privileged=privileged)
        if read.reason or any(name not in read.results for name in _SAMPLES):
            return Refused("samples", read.reason or "the samples can't be read", ran.isolation, read.printed)
        _bring(read, job)
        try:
            traces = {batch: read_traces(job / inside.sampled(batch)) for batch in inside.BATCHES}
        except TraceError as error:
            return Refused("samples", error.reason, ran.isolation)
    fit, sample = (_costs(ran, number) for number in (1, 2))
    return Sampled(traces, _figures(ran.results.get(inside.FACTS, b"{}")), fit, sample, ran.isolation)


def _write_job(job: Path, config: Mapping[str, Any], corpus: Corpus, asked: Mapping[str, Sequence[Condition]]) -> None:
    """Write what the sandbox is to see: the config, the training split and the conditions."""
    facts = {
        "name": corpus.name, "digest": corpus.digest, "window": corpus.window, "ladder": list(corpus.ladder),
        "client": corpus.client, "unscored": corpus.unscored,
    }  # fmt: skip
    kept = {
        name: config.get(name) for name in ("generator", "tokenization", "context", "conditioning", "budget", "seed")
    }
    (job / "job.json").write_text(json.dumps({"config": kept, "corpus": facts}))
    write_traces(job / "train.parquet", list(corpus.train))
    for batch in inside.BATCHES:
        empty = [Trace(batch, join_packets([]), condition) for condition in asked[batch]]
        write_traces(job / inside.conditions_of(batch), empty)
    for path in (job, *job.iterdir()):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _bring(ran: Outcome, job: Path) -> None:
    """Put the samples that a run sent into the job's folder."""
    for name in _SAMPLES:
        (job / name).write_bytes(ran.results[name])


def _house() -> dict[str, str]:
    """The rooms at their own paths, by which compiled functions are found again, and those functions."""
    shown = {str(REPOSITORY / name): str(REPOSITORY / name) for name in _ROOMS}
    compiled = os.environ.get("NUMBA_CACHE_DIR", "")
    return shown | ({compiled: _COMPILED} if os.path.isdir(compiled) else {})


def _work(entry: Entry, job: Path) -> Task:
    code = {str(entry.folder / CODE): str(REPOSITORY / PLACE / entry.name / CODE)}
    files = {str(job / n): str(inside.JOB / n) for n in ("job.json", "train.parquet", *_CONDITIONS)}
    visible = {**_house(), **code, **files}
    return Task(visible, _steps(visible, "fit", "sample"), (*_SAMPLES, inside.FACTS), _environment())


def _reading(job: Path) -> Task:
    visible = {**_house(), **{str(job / n): str(inside.JOB / n) for n in (*_SAMPLES, *_CONDITIONS)}}
    return Task(visible, _steps(visible, "read"), _SAMPLES, _environment())


def _steps(visible: Mapping[str, str], *names: str) -> tuple[tuple[str, ...], ...]:
    """The commands of a task; the compiled functions are copied first, since numba reads only where it may write."""
    copy = ("/bin/cp", "-rp", _COMPILED, _CACHE) if _COMPILED in visible.values() else ("/bin/mkdir", _CACHE)
    return (copy, *((sys.executable, "-s", "-m", "leaderboard.submitting.inside", name) for name in names))


def _environment() -> dict[str, str]:
    return {
        "PATH": "/usr/bin:/bin", "PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1", "HOME": "/sandbox",
        "TMPDIR": "/sandbox", "USER": "nobody", "OMP_NUM_THREADS": "1", "NUMBA_CACHE_DIR": _CACHE, "LANG": "C.UTF-8",
    }  # fmt: skip


def _costs(ran: Outcome, step: int) -> dict[str, float]:
    found = ran.steps[step]
    return {"seconds": found["seconds"], "peak_memory_mb": found["peak_memory_mb"]}


def _figures(content: bytes) -> dict[str, float]:
    """Numbers that the method says of itself: those that are known, if they are numbers."""
    try:
        said = json.loads(content[: 1 << 16]).get("figures", {})
        found = {name: float(said[name]) for name in _FIGURES if isinstance(said.get(name), int | float)}
    except (ValueError, AttributeError, RecursionError, OverflowError):
        return {}
    return {name: value for name, value in found.items() if math.isfinite(value) and value >= 0}
