"""What the kernel side of a cell is: a probe, the quality model in it, and the router that it runs on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from benchmark.trace import Trace

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

NO_FLOW = -1  # number of a window's flow where no flow had a packet in it

FIGURES = {
    "added_insns": "guest instructions that the probe adds to a packet, on average over the replayed traces",
    "added_ns": "ns that the probe adds to a packet on the host: less the passing program, minimum of 7 rounds",
    "closing_ns": "ns of a packet that closes a window: features written out and the model run",
    "map_bytes": "memory of all maps, by the kernel's own account",
    "verified_insns": "instructions that the verifier walked",
    "verified_states": "states that the verifier kept",
    "stack_bytes": "stack of the program",
    "jited_bytes": "machine code of the program",
    "load_ms": "ms to load program and maps",
    "seen": "packets handed to the program, as counted by itself",
    "accounted": "packets counted on a flow",
    "skipped": "packets without a flow, for all reasons together",
    "unaccounted": "packets handed over, less those counted on a flow and those skipped for a reason",
    "lost_results": "closed windows that user space never got",
}
"""Figures that a router may report of a probe, and what each means."""


@runtime_checkable
class QualityModel(Protocol):
    """A fitted quality model in integers, as the kernel runs it.

    blob: what the program reads, little-endian. facts: sizes and quantisation, for the record.
    """

    blob: bytes
    facts: Mapping[str, Any]

    def predict(self, rows: NDArray[Any]) -> tuple[IntArray, IntArray]:
        """Return (label, score), int64 [n] each, of rows of features, uint32 [n, features]."""

    def quantisation(self, rows: NDArray[Any]) -> Mapping[str, float]:
        """Report how far the integers are from the float model on rows; empty where only the blob is known."""

    def answers(self, label: IntArray, score: IntArray) -> FloatArray:
        """Return what labels and scores stand for, float64 [n]: a class, or a number in its unit."""


@runtime_checkable
class Fitter(Protocol):
    """A kind of quality model: what the ``module`` of a probe's YAML builds from the probe's options."""

    def fit(
        self, features: IntArray, labels: FloatArray, names: Sequence[str], classes: bool, seed: int
    ) -> QualityModel:
        """Fit on windows: features [n, columns] with the columns' names, labels [n]: classes or numbers."""

    def load(self, blob: bytes) -> QualityModel:
        """Return the model that a blob holds."""


@dataclass(frozen=True, eq=False)
class Probe:
    """What runs on a router: where it hooks in, what it computes of each flow's windows, and what it infers of that.

    features: F0 to F5. hook: tc, tcx, xdp or socket. loader: libbpf or bcc. task: what the model tells
    (``benchmark.quality.task``). model: the model. options: of the loader and the maps, from the probe's YAML.
    """

    name: str
    features: str
    hook: str
    loader: str
    task: str
    model: QualityModel
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Verdicts:
    """What was inferred of one trace: int64 [n] each, a row for each flow and window with a packet, in any order.

    flow: numbered by first packet, as ``Trace.flows``. window: index. down_bytes: of that flow in that window.
    label, score: as the model gave them.
    """

    flow: IntArray
    window: IntArray
    down_bytes: IntArray
    label: IntArray
    score: IntArray

    @staticmethod
    def of(rows: Sequence[tuple[int, int, int, int, int]]) -> Verdicts:
        """Build from rows of (flow, window, down_bytes, label, score)."""
        columns = np.array(rows, np.int64).reshape(-1, 5).T
        return Verdicts(*columns)


@dataclass(frozen=True, eq=False)
class ProbeResult:
    """What a router found out.

    verdicts: one for each trace, in order. figures: those of FIGURES that it measured. reasons: why it can't tell
    others; "" stands for all that aren't named. notes: further measurements, as JSON values, kept in the record.
    """

    verdicts: Sequence[Verdicts]
    figures: Mapping[str, float] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)


class Router(Protocol):
    """Where a probe runs; what the ``module`` of a router's YAML builds from its options."""

    def run(self, probe: Probe, traces: Sequence[Trace]) -> ProbeResult:
        """Replay the traces through the probe. Raises Unsupported where this machine can't."""


@dataclass(frozen=True, eq=False)
class Choice:
    """A trace's prediction for each of its windows: that of the flow with most down bytes.

    answer: float64 [w]. label, score: int64 [w]. flow: int64 [w], NO_FLOW where no flow had a packet: the answer is
    then the model's to a row of zeros, which no program runs for.
    """

    answer: FloatArray
    label: IntArray
    score: IntArray
    flow: IntArray


@dataclass(frozen=True, eq=False)
class ProbeEvidence:
    """What the ``kernel`` metrics are computed from: a choice for each test trace, and all that the router found.

    router: its name. agreement: share of flows and windows that the reference says the same of; None where the
    router is the reference.
    """

    task: str
    router: str
    choices: Sequence[Choice]
    result: ProbeResult
    agreement: float | None
