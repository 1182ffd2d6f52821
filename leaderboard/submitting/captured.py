"""Plays back traces that were made elsewhere: the generator of an entry of captures. It learns nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmark.corpus import Corpus
from benchmark.errors import Incompatible
from benchmark.harness.store import digest_of
from benchmark.method import Budget, Log, Method
from benchmark.storage.compact import iterate_traces
from benchmark.storage.description import describe
from benchmark.trace import Condition, Trace, join_packets

_ROOT = Path(__file__).resolve().parents[2]


def condition_key(condition: Condition) -> str:
    """Identify a condition by all that it asks."""
    asked = describe(Trace("", join_packets([]), condition))
    return digest_of({name: asked[name] for name in ("application", "duration", "window", "labels")})


class Captured:
    """Traces by the condition that each answers, read from an entry's folder when they are asked for."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.path = _ROOT / str(options["folder"]) / "traces.parquet"

    def fit(self, corpus: Corpus, budget: Budget, seed: int, log: Log) -> None:
        """Nothing is learnt: the traces are what they are."""

    def sample(self, conditions: Sequence[Condition], seed: int) -> Iterator[Trace]:
        """Yield the trace that answers each condition. Raises Incompatible where one has no answer."""
        found = {condition_key(trace.condition): trace for trace in iterate_traces(self.path)}
        for number, condition in enumerate(conditions):
            trace = found.get(condition_key(condition))
            if trace is None:
                raise Incompatible(f"no capture answers condition {number} of this corpus and budget")
            yield replace(trace, name=f"captured-{number:04d}")

    def save(self, folder: Path) -> None:
        """Write that there is nothing."""
        (folder / "captured.json").write_text(json.dumps({"path": self.path.name}))

    def load(self, folder: Path) -> None:
        """Nothing to read."""


def build(method: Method) -> Captured:
    """The generator of an entry of captures."""
    return Captured(method.options)
