"""What each header field is predicted to be, from the packets before it in its flow and direction.

Values and residuals share one array: ``swap_residuals`` turns the one into the other in place, both ways by
the same code, so that what one way takes away the other puts back, whatever the predictions are worth.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from benchmark.storage import columns

# RTP streams share this many predictors by flow, direction and payload type; a clash costs bytes only.
_STREAMS = 4096
_MASKS = (np.int64(1) << columns.WIDTHS) - 1
# Each end of a packet, and the same end as the other direction's packets name it.
_ENDS = (
    (columns.SOURCE, columns.DESTINATION),
    (columns.DESTINATION, columns.SOURCE),
    (columns.SPORT, columns.DPORT),
    (columns.DPORT, columns.SPORT),
)


def swap_residuals(values: NDArray[np.uint32], microseconds: NDArray[np.int64], flows: int, backwards: bool) -> None:
    """Turn values into residuals in place, or (``backwards``) residuals into values.

    values: uint32 [len(COLUMNS), n], one trace in time order; flow numbers are below ``flows``.
    microseconds: int64 [n], when each packet was seen.
    """
    _swap(values, microseconds, flows, backwards)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _turn(values: Any, column: int, i: int, predicted: Any, backwards: bool) -> Any:
    """Swap one entry; return the value, whichever way."""
    entry, predicted = np.int64(values[column, i]), np.int64(predicted)
    if backwards:
        value = (entry + predicted) & _MASKS[column]
        values[column, i] = value
        return value
    values[column, i] = (entry - predicted) & _MASKS[column]
    return entry


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _swap(values: Any, microseconds: Any, flows: int, backwards: bool) -> None:
    # One row for each flow and direction; a row's neighbour (``^ 1``) is the other direction's.
    last = np.zeros((2 * flows, len(_MASKS)), np.uint32)
    highest = np.zeros(2 * flows, np.int64)
    seen = np.zeros(2 * flows, np.int64)
    streams = np.zeros((_STREAMS, 5), np.int64)
    for i in range(values.shape[1]):
        if values[columns.KIND, i] == columns.KIND_RAW:
            continue
        side = 2 * np.int64(values[columns.FLOW, i]) + np.int64(values[columns.FORWARD, i])
        mine, theirs = last[side], last[side ^ 1]
        for column in (columns.TOS, columns.FRAGMENT, columns.TTL):
            mine[column] = _turn(values, column, i, mine[column], backwards)
        counted = np.int64(mine[columns.IDENTIFICATION]) + 1
        mine[columns.IDENTIFICATION] = _turn(values, columns.IDENTIFICATION, i, counted, backwards)
        for near, far in _ENDS:
            mine[near] = _turn(values, near, i, mine[near], backwards)
            theirs[far] = mine[near]
        if values[columns.KIND, i] == columns.KIND_TCP:
            # Linux counts timestamps in milliseconds; pure acknowledgements meet no queue before the capture.
            ticks = (microseconds[i] - seen[side]) // 1000
            seen[side] += 1000 * ticks
            _swap_tcp(values, i, mine, theirs, highest, side, ticks, backwards)
        elif values[columns.LAYOUT, i] == columns.LAYOUT_RTP:
            _swap_rtp(values, i, side, streams, backwards)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _swap_tcp(
    values: Any, i: int, mine: Any, theirs: Any, highest: Any, side: int, ticks: int, backwards: bool
) -> None:
    layout = np.int64(values[columns.LAYOUT, i])
    flags = np.int64(values[columns.FLAGS, i])
    payload = np.int64(values[columns.LENGTH, i]) - 40 - columns.option_bytes(layout)
    seq = _turn(values, columns.SEQ, i, highest[side], backwards)
    following = (seq + max(0, payload) + (flags & 1) + ((flags >> 1) & 1)) & 0xFFFFFFFF
    # Serial arithmetic (RFC 1982): a retransmission doesn't move the highest end back.
    if (following - highest[side]) & 0xFFFFFFFF < 0x80000000 or flags & 2:
        highest[side] = following
    acked = np.int64(mine[columns.ACK])
    if payload <= 0 and columns.sack_blocks(layout) == 0:
        acked = highest[side ^ 1]
    mine[columns.ACK] = _turn(values, columns.ACK, i, acked, backwards)
    mine[columns.WINDOW] = _turn(values, columns.WINDOW, i, mine[columns.WINDOW], backwards)
    if columns.LAYOUT_TIMESTAMPS <= layout < columns.LAYOUT_SACK:
        value, echo = np.int64(mine[columns.TS_VALUE]), mine[columns.TS_ECHO]
        if payload <= 0:
            value, echo = value + ticks, theirs[columns.TS_VALUE]
        mine[columns.TS_VALUE] = _turn(values, columns.TS_VALUE, i, value, backwards)
        mine[columns.TS_ECHO] = _turn(values, columns.TS_ECHO, i, echo, backwards)
    for column in range(columns.SACK, columns.SACK + 2 * columns.sack_blocks(layout)):
        mine[column] = _turn(values, column, i, mine[column], backwards)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _swap_rtp(values: Any, i: int, side: int, streams: Any, backwards: bool) -> None:
    stream = streams[(side * 128 + (np.int64(values[columns.RTP, i]) & 127)) % _STREAMS]
    stream[0] = _turn(values, columns.RTP + 1, i, stream[0] + 1, backwards)
    for k in range(1, 4):
        stream[k] = _turn(values, columns.RTP + 1 + k, i, stream[k], backwards)
