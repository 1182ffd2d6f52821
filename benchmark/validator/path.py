"""Level 2 for any protocol: the order of the capture, one TTL a direction, fragments with their fellows."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from benchmark.trace import Trace
from benchmark.validator.findings import FRAGMENT_ALONE, TIME_BACK, TTL_CHANGE, Marks, mark


def judge_path(trace: Trace, marks: Marks) -> None:
    """Write these findings; packets with a finding of level 0 or 1 aren't looked at."""
    packets, fields, flows = trace.packets, trace.packets.fields, trace.flows
    if len(packets) == 0:
        return
    _judge_order(packets.ts, marks)
    way = np.where(flows.index >= 0, 2 * flows.index + ~flows.up, -1).astype(np.int64)
    _judge_ttl(way, fields.ttl, fields.version, np.full(2 * flows.count, -1, np.int64), marks)
    torn = np.flatnonzero((fields.version == 4) & ((fields.fragment & 0x3FFF) != 0) & (marks.mask == 0))
    if len(torn):
        _judge_fragments(trace, torn, marks)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _judge_order(ts: Any, marks: Any) -> None:
    for i in range(1, len(ts)):
        if ts[i] < ts[i - 1]:
            mark(marks, i, TIME_BACK, ts[i - 1] - ts[i], 0)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _judge_ttl(way: Any, ttl: Any, version: Any, usual: Any, marks: Any) -> None:
    """Mark a TTL unlike the direction's; a second packet in a row with the new one shows a new route."""
    other = np.full(len(usual), -1, np.int64)
    for i in range(len(way)):
        if way[i] < 0 or marks.mask[i] != 0:
            continue
        value, at = np.int64(ttl[i]), way[i]
        if usual[at] < 0 or other[at] == value:
            usual[at] = value
        if value != usual[at]:
            mark(marks, i, TTL_CHANGE, value, usual[at])
            other[at] = value
        else:
            other[at] = -1


def _judge_fragments(trace: Trace, torn: np.ndarray[Any, Any], marks: Marks) -> None:
    """Mark fragments of datagrams of which the trace has neither both ends nor a second fragment."""
    fields = trace.packets.fields
    keys = np.concatenate(
        [
            fields.source[torn, :4],
            fields.destination[torn, :4],
            fields.protocol[torn, None],
            fields.identification[torn].astype(">u2").view(np.uint8).reshape(-1, 2),
        ],
        axis=1,
    )
    _, datagram, count = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
    for packet in torn[count[datagram.reshape(-1)] < 2]:
        mark(marks, int(packet), FRAGMENT_ALONE, int(fields.identification[packet]), 0)
