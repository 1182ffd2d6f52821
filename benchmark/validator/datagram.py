"""Level 2 for UDP: who speaks first, and whether RTP sequence numbers go on (RFC 3550 §A.1)."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from benchmark.trace import NANOSECONDS, Trace
from benchmark.validator.findings import RTP_SEQUENCE, UDP_UNASKED, Marks, mark
from benchmark.wire import SKIP_NONE, UDP

SERVER_PORTS = (53, 443)  # DNS and QUIC: the client asks first
MOST_DROPPED = 3000  # RFC 3550 §A.1
MOST_MISORDERED = 100
RTP_HEADER = 12


def datagram_start(trace: Trace) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (place of the UDP payload in the buffer, bytes of it captured); -1 bytes where it isn't UDP."""
    packets, fields = trace.packets, trace.packets.fields
    place = packets.offsets[:-1] + fields.ip_header + 8
    udp = (fields.skip == SKIP_NONE) & (fields.protocol == UDP)
    have = np.minimum(packets.offsets[1:] - place, fields.payload)
    return place, np.where(udp, np.maximum(have, 0), -1)


def media_packets(trace: Trace, marks: Marks) -> NDArray[np.bool_]:
    """Tell which packets, bool [n], belong to media flows: UDP on free ports, most of it RTP by its looks.

    In a trace whose condition is a call ("webrtc"), every such flow is one.
    """
    fields, flows = trace.packets.fields, trace.flows
    place, have = datagram_start(trace)
    known = np.isin(fields.sport, SERVER_PORTS) | np.isin(fields.dport, SERVER_PORTS)
    free = (have >= 0) & ~known & (marks.mask == 0)
    long_enough = free & (have >= RTP_HEADER)
    likely = np.zeros(len(free), np.bool_)
    likely[long_enough] = (trace.packets.data[place[long_enough]] & 0xC0) == 0x80
    if trace.condition.application == "webrtc":
        return np.asarray(free)
    members = np.bincount(flows.index[long_enough], minlength=flows.count)
    hits = np.bincount(flows.index[likely], minlength=flows.count)
    media = (hits * 2 > members) & (hits >= 10)
    return np.asarray(free & np.where(flows.index >= 0, media[flows.index], False)) if flows.count else free


def judge_datagrams(trace: Trace, marks: Marks) -> None:
    """Write the UDP findings of level 2."""
    fields, flows = trace.packets.fields, trace.flows
    if flows.count == 0:
        return
    first = flows.first
    late = trace.packets.ts[first] - trace.packets.ts[0] > NANOSECONDS
    answers = np.isin(fields.sport[first], SERVER_PORTS) & ~np.isin(fields.dport[first], SERVER_PORTS)
    for packet in first[(fields.protocol[first] == UDP) & late & answers & (marks.mask[first] == 0)]:
        mark(marks, int(packet), UDP_UNASKED, int(fields.sport[packet]), 0)
    _judge_media(trace, marks)


def _judge_media(trace: Trace, marks: Marks) -> None:
    data, flows = trace.packets.data, trace.flows
    place, have = datagram_start(trace)
    chosen = np.flatnonzero(media_packets(trace, marks) & (have >= RTP_HEADER))
    first, second = data[place[chosen]], data[place[chosen] + 1]
    # RTCP shares the port; RFC 5761 §4 tells it by the second byte.
    chosen = chosen[((first & 0xC0) == 0x80) & ((second < 192) | (second > 223))]
    if len(chosen) == 0:
        return
    words = data[place[chosen, None] + np.arange(RTP_HEADER)].astype(np.int64)
    sequence = (words[:, 2] << 8) | words[:, 3]
    source = (words[:, 8] << 24) | (words[:, 9] << 16) | (words[:, 10] << 8) | words[:, 11]
    way = 2 * flows.index[chosen].astype(np.int64) + flows.up[chosen]
    streams, stream = np.unique((way << 32) | source, return_inverse=True)
    _follow(chosen, stream.reshape(-1), sequence, len(streams), marks)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _follow(packets: Any, stream: Any, sequence: Any, streams: int, marks: Any) -> None:
    top = np.full(streams, -1, np.int64)
    before = np.full(streams, -1, np.int64)  # top before its last leap
    leaper = np.full(streams, -1, np.int64)
    stray = np.full(streams, -1, np.int64)  # what would follow a number out of range
    for k in range(len(packets)):
        s, number = stream[k], np.int64(sequence[k])
        if top[s] < 0 or number == stray[s]:
            top[s], stray[s], leaper[s] = number, -1, -1
            continue
        ahead = (number - top[s]) & 0xFFFF
        if ahead < MOST_DROPPED:
            if ahead > MOST_MISORDERED:
                before[s], leaper[s] = top[s], packets[k]
            elif ahead > 0 and leaper[s] >= 0:
                leaper[s] = -1
            top[s] = number
            continue
        if 0x10000 - ahead <= MOST_MISORDERED:
            continue
        if leaper[s] >= 0 and ((number - before[s]) & 0xFFFF) <= MOST_MISORDERED:
            mark(marks, leaper[s], RTP_SEQUENCE, top[s], (before[s] + 1) & 0xFFFF)
            top[s], leaper[s] = number, -1
            continue
        mark(marks, packets[k], RTP_SEQUENCE, number, (top[s] + 1) & 0xFFFF)
        stray[s] = (number + 1) & 0xFFFF
