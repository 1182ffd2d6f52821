"""Features of each window of a trace, exactly as the kernel program computes them.

The machine is in ``machine``, its state in ``state``, the names and order of the features in ``names``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import ConfigError, nearest
from benchmark.quality.machine import run
from benchmark.quality.names import FEATURE_SETS, feature_names
from benchmark.quality.state import CLOCK, PACKET
from benchmark.trace import NANOSECONDS, Trace

__all__ = [
    "FEATURE_SETS",
    "FeatureTable",
    "FlowTable",
    "extract",
    "extract_all",
    "extract_flows",
    "feature_names",
]

_MAX_SHIFT = 10


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """Features of a trace's windows.

    window: int64 [w], 0 to w - 1. values: int64 [w, features], of the flow with most down bytes in the
    window (ties: first seen), zeros where no flow had a packet. names: of the columns. skipped: packets
    without a flow.
    """

    window: NDArray[np.int64]
    values: NDArray[np.int64]
    names: tuple[str, ...]
    skipped: int = 0


@dataclass(frozen=True, eq=False)
class FlowTable:
    """Features of every flow and window with a packet, in order of flow, then window.

    flow, window: int64 [rows]. values: uint32 [rows, features]. names: of the columns. skipped: packets
    without a flow.
    """

    flow: NDArray[np.int64]
    window: NDArray[np.int64]
    values: NDArray[np.uint32]
    names: tuple[str, ...]
    skipped: int = 0


def extract(trace: Trace, feature_set: str = "F5") -> FeatureTable:
    """Return the features of each window of the trace's condition; packets after the last window are left
    out.

    Raises ConfigError for an unknown feature set or a window that the kernel's clock can't count.
    """
    windows = len(trace.labels)
    level, names = _level(feature_set), feature_names(feature_set)
    packets, bounds, skipped = _sort_packets(trace)
    rows = np.zeros((windows, len(names)), np.uint32)
    owner = np.full(windows, -1, np.int32)
    run(packets, bounds, clock_of(trace), level, True, rows, owner, np.zeros(0, np.uint32))
    return FeatureTable(np.arange(windows), rows.astype(np.int64), names, skipped)


def extract_all(traces: Iterable[Trace], feature_set: str = "F5") -> list[FeatureTable]:
    """Return the features of each trace."""
    return [extract(trace, feature_set) for trace in traces]


def extract_flows(trace: Trace, feature_set: str = "F5") -> FlowTable:
    """Return the features of every flow and window, as the kernel hands them over before a flow is chosen."""
    level, names = _level(feature_set), feature_names(feature_set)
    packets, bounds, skipped = _sort_packets(trace)
    # A packet closes one window at most, and each flow leaves one open.
    counted = int(
        run(
            *(packets, bounds, clock_of(trace), 0, False),
            *(np.zeros((0, 4), np.uint32), np.zeros(0, np.int32), np.zeros(0, np.uint32)),
        )
    )
    rows = np.zeros((counted, len(names)), np.uint32)
    flow, window = np.zeros(counted, np.int32), np.zeros(counted, np.uint32)
    run(packets, bounds, clock_of(trace), level, False, rows, flow, window)
    return FlowTable(flow.astype(np.int64), window.astype(np.int64), rows, names, skipped)


def _level(feature_set: str) -> int:
    if feature_set not in FEATURE_SETS:
        raise ConfigError(f"unknown feature set '{feature_set}'{nearest(feature_set, FEATURE_SETS)}")
    return FEATURE_SETS.index(feature_set)


def clock_of(trace: Trace) -> NDArray[Any]:
    """Return the CLOCK record [1] that counts the trace's windows from its first packet."""
    window = round(trace.condition.window * NANOSECONDS)
    shift = min(_MAX_SHIFT, (window & -window).bit_length() - 1)
    if window <= 0 or window >> shift >= 1 << 31:
        raise ConfigError(f"{trace.name}: a window of {trace.condition.window} s can't be counted in 32 bits")
    epoch = int(_times(trace)[0]) if len(trace.packets) else 0
    return np.array([(epoch, window, 0, shift, window >> shift)], CLOCK)


def _times(trace: Trace) -> NDArray[np.int64]:
    """Return the packets' times, int64 [n], moved so that none is negative: the kernel's clock never is."""
    return trace.packets.ts - min(0, int(trace.packets.ts.min(initial=0)))


def _sort_packets(trace: Trace) -> tuple[NDArray[Any], NDArray[np.int64], int]:
    """Return PACKET records flow by flow, where each flow's begin [flows + 1], and the packets without a
    flow."""
    flows, fields = trace.flows, trace.packets.fields
    order = np.argsort(flows.index, kind="stable")
    bounds = np.searchsorted(flows.index[order], np.arange(flows.count + 1))
    records = np.empty(len(order), PACKET)
    records["ns"] = _times(trace)[order]
    records["length"] = trace.packets.length[order]
    for name in ("payload", "seq", "ack", "ts_value", "ts_echo", "protocol", "flags", "has_ts"):
        records[name] = getattr(fields, name)[order]
    records["up"] = flows.up[order]
    return records, bounds.astype(np.int64), int(bounds[0]) if flows.count else len(order)
