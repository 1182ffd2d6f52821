"""Kinds of packets, and one of each that stands for all: what a probe's cost per packet is measured on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.trace import Trace
from benchmark.wire import SKIP_NONE, TCP


@dataclass(frozen=True)
class Kind:
    """Packets of one direction and protocol, with or without payload.

    share: of all packets with a flow. trace, packet: places of the packet in the middle of all of this kind.
    """

    name: str
    share: float
    trace: int
    packet: int


def find_kinds(traces: Sequence[Trace]) -> list[Kind]:
    """Return the kinds of packets in ``traces``, the most frequent first."""
    codes = [_codes(trace) for trace in traces]
    trace_of = np.repeat(np.arange(len(traces)), [len(part) for part in codes])
    starts = np.cumsum([0, *(len(part) for part in codes)])
    every = np.concatenate(codes) if codes else np.zeros(0, np.int64)
    total = int((every >= 0).sum())
    kinds = []
    for code in np.unique(every[every >= 0]).tolist():
        places = np.flatnonzero(every == code)
        middle = int(places[len(places) // 2])
        trace = int(trace_of[middle])
        kinds.append(Kind(_name(code), len(places) / total, trace, middle - int(starts[trace])))
    return sorted(kinds, key=lambda kind: -kind.share)


def _codes(trace: Trace) -> np.ndarray:
    """Number the kind of each packet, int64 [n]; -1 without a flow."""
    fields = trace.packets.fields
    code = trace.flows.up * 4 + (fields.protocol == TCP) * 2 + (fields.payload > 0) * 1
    return np.where(fields.skip == SKIP_NONE, code, -1).astype(np.int64)


def _name(code: int) -> str:
    return " ".join(
        ["up" if code & 4 else "down", "TCP" if code & 2 else "UDP", "with payload" if code & 1 else "without payload"]
    )
