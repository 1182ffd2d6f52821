"""What runs inside the sandbox: an entry's fit, its sampling, and the reading of what it sampled.

python -m leaderboard.submitting.inside fit|sample|read, in a folder that holds out/; its input lies in /job.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmark.corpus import Corpus
from benchmark.errors import TraceError
from benchmark.harness.registry import build_generator
from benchmark.method import Budget, Log
from benchmark.storage.compact import iterate_traces, read_traces, write_traces
from benchmark.synthesis.stitch import sample_whole
from benchmark.trace import Condition, Trace

JOB, HOUSE = Path("/job"), Path(__file__).resolve().parents[2]
MODEL, OUT = Path("model"), Path("out")
# What is asked for: the conditions of the corpus, then those that differ in quality alone, low and high.
BATCHES = ("asked", "low", "high")
FACTS = "facts.json"
# What a trace may say of how it was made.
NOTES = ("stitched", "cut")
MODEL_FILES = (".json", ".safetensors", ".parquet")
MOST_PACKETS = 2_000_000  # of one trace, as the harness allows a method


def main(arguments: Sequence[str]) -> int:
    """Run one step."""
    steps = {"fit": fit, "sample": sample, "read": read}
    return steps[arguments[0]]()


def fit() -> int:
    """Fit the entry's method on the training split, which is all there is of the corpus, and save it."""
    job = json.loads((JOB / "job.json").read_text())
    train = read_traces(JOB / "train.parquet")
    corpus = Corpus(train=train, validation=[], test=[], **{**job["corpus"], "ladder": tuple(job["corpus"]["ladder"])})
    generator = build_generator(job["config"], HOUSE)
    generator.fit(corpus, Budget(**job["config"]["budget"]), job["config"]["seed"], _log())
    MODEL.mkdir()
    generator.save(MODEL)
    return 0


def sample() -> int:
    """Load what was saved and write the traces that answer the conditions."""
    job = json.loads((JOB / "job.json").read_text())
    others = sorted(p.name for p in MODEL.rglob("*") if p.is_symlink() or (p.is_file() and p.suffix not in MODEL_FILES))
    if others:
        print(f"'{others[0]}' isn't a model file: {', '.join(MODEL_FILES)} are, which can be loaded safely")
        return 2
    generator = build_generator(job["config"], HOUSE)
    generator.load(MODEL)
    for batch in BATCHES:
        conditions = asked_conditions(batch)
        traces = sample_whole(generator, conditions, job["config"]["seed"], _log()) if conditions else []
        write_traces(OUT / sampled(batch), list(traces))
    (OUT / FACTS).write_text(json.dumps({"figures": dict(getattr(generator, "figures", {}))}))
    return 0


def conditions_of(batch: str) -> str:
    """Name of the file of a batch's conditions."""
    return f"conditions-{batch}.parquet"


def sampled(batch: str) -> str:
    """Name of the file of a batch's traces."""
    return f"traces-{batch}.parquet"


def asked_conditions(batch: str) -> list[Condition]:
    """The conditions of a batch, in order."""
    return [trace.condition for trace in iterate_traces(JOB / conditions_of(batch))]


def read() -> int:
    """Read samples of unknown origin, and write anew what is in them: packets and clients, under what was asked."""
    for batch in BATCHES:
        try:
            write_traces(OUT / sampled(batch), list(_checked(JOB / sampled(batch), asked_conditions(batch))))
        except TraceError as error:
            print(f"{sampled(batch)}: {error.reason}")
            return 2
    return 0


def _checked(path: Path, conditions: Sequence[Condition]) -> Iterator[Trace]:
    count = 0
    for trace in iterate_traces(path):
        if count == len(conditions):
            raise TraceError(f"more than {len(conditions)} traces", path)
        if len(trace.packets) > MOST_PACKETS:
            raise TraceError(f"trace {count} has {len(trace.packets)} packets", path)
        notes = dict.fromkeys((name for name in NOTES if trace.notes.get(name)), True)
        yield replace(trace, name=f"synthetic-{count:04d}", condition=conditions[count], notes=notes)
        count += 1
    if count < len(conditions):
        raise TraceError(f"{count} traces for {len(conditions)} conditions", path)


def _log() -> Log:
    """Print progress at most twice a second."""
    last = [0.0]

    def write(event: Mapping[str, Any]) -> None:
        if time.monotonic() - last[0] > 0.5:
            last[0] = time.monotonic()
            print(json.dumps(event, default=float), flush=True)

    return Log(write)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
