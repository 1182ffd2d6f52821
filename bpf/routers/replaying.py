"""Replay of traces through a probe in this machine's kernel, held against the reference feature by feature."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.probe import Probe, Verdicts
from benchmark.quality.features import extract_flows
from benchmark.trace import Trace
from bpf.probe import LoadedProbe, ProbeOptions
from bpf.replay import read_verdicts

_REPLAYED_AS = {"xdp": "tc"}
"""An XDP test run takes tens of milliseconds a packet; tc's program accounts alike (one function behind both)."""


@dataclass
class Replays:
    """What replays left.

    verdicts: by the traces' places. handed: packets. counters: the probe's own, skipped: by reason. rows: flows and
    windows in the kernel or the reference; same_rows: of those, the ones with every feature alike in both.
    """

    verdicts: dict[int, Verdicts] = field(default_factory=dict)
    handed: int = 0
    counters: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    rows: int = 0
    same_rows: int = 0
    program: str = ""

    @property
    def unaccounted(self) -> int:
        """Packets handed over, less those counted on a flow and those skipped for a reason."""
        return self.handed - self.counters["accounted"] - sum(self.skipped.values())

    @property
    def closings(self) -> float:
        """Windows closed by each accounted packet, on average."""
        return self.counters["closed"] / max(1, self.counters["accounted"])


def options_of(probe: Probe, client: str, **changes: Any) -> ProbeOptions:
    """What is loaded of a probe, for traces of one client prefix."""
    sizes = {name: int(probe.options[name]) for name in ("flows", "results") if name in probe.options}
    given: dict[str, Any] = {
        "features": probe.features, "hook": probe.hook, "client": client, "blob": probe.model.blob,
        "loader": probe.loader, **sizes, **changes,
    }  # fmt: skip
    return ProbeOptions(**given)


def replay(probe: Probe, traces: Sequence[Trace]) -> Replays:
    """Replay all traces. Raises Unsupported where this machine can't."""
    found = Replays(program=_REPLAYED_AS.get(probe.hook, probe.hook))
    for client in dict.fromkeys(trace.client for trace in traces):
        with LoadedProbe(options_of(probe, client, hook=found.program, rows=True)) as loaded:
            for place, trace in enumerate(traces):
                if trace.client == client:
                    _replay_one(probe, loaded, trace, place, found)
    return found


def _replay_one(probe: Probe, loaded: LoadedProbe, trace: Trace, place: int, found: Replays) -> None:
    done = loaded.replay(trace)
    found.handed += len(trace.packets)
    found.counters.update(done.counters)
    found.skipped.update(done.skipped)
    verdicts = read_verdicts(trace, done.results.tobytes(), loaded.bundle)
    found.verdicts[place] = verdicts
    same, rows = compare_rows(trace, probe.features, verdicts, done.results["row"])
    found.same_rows += same
    found.rows += rows


def compare_rows(trace: Trace, features: str, verdicts: Verdicts, rows: NDArray[np.uint32]) -> tuple[int, int]:
    """Count flows and windows whose features are all alike in kernel and reference, and all that there are."""
    table = extract_flows(trace, features)
    width = table.values.shape[1]
    reference = {
        place: row.tobytes()
        for place, row in zip(zip(table.flow.tolist(), table.window.tolist(), strict=True), table.values, strict=True)
    }
    kernel = {
        place: np.ascontiguousarray(row[:width]).tobytes()
        for place, row in zip(zip(verdicts.flow.tolist(), verdicts.window.tolist(), strict=True), rows, strict=True)
    }
    same = sum(kernel.get(place) == row for place, row in reference.items())
    return same, len(reference.keys() | kernel.keys())
