"""Loss and recovery of a TCP download: which segments were lost, and what every packet numbers and acknowledges.

A sketch says how many SACK blocks (RFC 2018) the client's bare acknowledgements carry; from that follows what must
have been lost. A block is what arrived beyond a hole, so where an acknowledgement has more blocks than the last, a
hole has opened before a data row between them; where it has fewer, a data row between them has filled the lowest
hole, which is as long as that row. What can't be so, as a hole that nothing fills, isn't made.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from benchmark.wire import FIN, SYN

MOST_BLOCKS = 3  # beside the timestamp option
_LARGEST_PACKET = 1500


def plan_holes(up: NDArray[np.bool_], payload: NDArray[np.int32], blocks: NDArray[np.int8]) -> NDArray[np.int64]:
    """Return int64 [n]: bytes lost just before each row, or -1 for a row that fills the lowest hole, else 0."""
    holes = np.zeros(len(up), np.int64)
    if not blocks.any():
        return holes
    wished = np.flatnonzero(up & (payload == 0))
    data = np.flatnonzero(~up & (payload > 0))
    _open_and_fill(wished, blocks[wished].astype(np.int64), data, np.searchsorted(data, wished), holes)
    opened, filled = np.flatnonzero(holes > 0), np.flatnonzero(holes < 0)
    # The lowest hole is filled first, so the first opened by the first that fills.
    holes[opened[: len(filled)]] = payload[filled]
    holes[opened[len(filled) :]] = 0
    return holes


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _open_and_fill(wished: Any, blocks: Any, data: Any, before: Any, holes: Any) -> None:
    """Mark data rows before which a hole opens (1) and those that fill one (-1).

    wished: int64 [a], bare acknowledgements, which ask for ``blocks`` holes to be open. data: int64 [d], data rows, of
    which ``before`` [a] precede each acknowledgement.
    """
    opened, last = 0, 0
    for k in range(len(wished)):
        change = min(blocks[k], MOST_BLOCKS) - opened
        rows = data[last : before[k]][: abs(change)]
        step = 1 if change > 0 else -1
        for row in rows:
            holes[row] = step
        opened += step * len(rows)
        last = before[k]


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def find_arrived(ts: Any, flags: Any, lag: int, arrived: Any) -> None:
    """Write to ``arrived`` int64 [n] how many packets had passed the capture point in time for each to tell of.

    The client is near. What passes from the server was sent before what went up ``lag`` ns ago had reached it; only
    opening and closing a flow wait for their answer.
    """
    reached = 0
    for i in range(len(ts)):
        if flags[i] & (SYN | FIN):
            reached = i
        while reached < i and ts[reached] <= ts[i] - lag:
            reached += 1
        arrived[i] = reached


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def number(
    up: Any, payload: Any, flags: Any, holes: Any, arrived: Any, sequence: Any, acknowledged: Any, edges: Any
) -> int:
    """Number the packets of a flow; return the most bytes that the server has sent beyond an acknowledgement.

    arrived: see ``find_arrived``. sequence, acknowledged: int64 [n], counted from each end's SYN in 64 bits. edges:
    int64 [n, 6], the SACK blocks that the client's packets carry, the highest first, -1 where none.
    """
    following = np.zeros(2, np.int64)  # the next number of the server (0) and the client (1)
    starts, ends = np.zeros(MOST_BLOCKS, np.int64), np.zeros(MOST_BLOCKS, np.int64)  # of the open holes
    count = largest = heard = reached = 0
    edges[:] = -1
    for i in range(len(up)):
        sender = np.int64(up[i])
        received = starts[0] if count else following[0]
        for k in range(reached, arrived[i]):
            if up[k]:
                heard = sequence[k] + payload[k] + (1 if flags[k] & (SYN | FIN) else 0)
        reached = max(reached, arrived[i])
        acknowledged[i] = received if sender else heard
        sequence[i] = following[sender]
        if sender:
            room = (_LARGEST_PACKET - 56 - payload[i]) // 8
            for k in range(min(count, room)):
                edges[i, 2 * k] = ends[count - 1 - k]
                edges[i, 2 * k + 1] = following[0] if k == 0 else starts[count - k]
        elif holes[i] < 0:
            sequence[i] = starts[0]
            count -= 1
            starts[:count], ends[:count] = starts[1 : count + 1].copy(), ends[1 : count + 1].copy()
            continue
        elif holes[i] > 0:
            starts[count], ends[count] = following[0], following[0] + holes[i]
            following[0] += holes[i]
            count += 1
            sequence[i] = following[0]
        following[sender] += payload[i] + (1 if flags[i] & (SYN | FIN) else 0)
        if not sender:
            largest = max(largest, following[0] - (starts[0] if count else received))
    return largest
