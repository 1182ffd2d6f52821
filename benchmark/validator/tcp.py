"""Level 2 for TCP: one pass over a trace's packets with the state of every connection."""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from benchmark.trace import Trace
from benchmark.validator.acknowledgement import judge_acknowledgement, judge_sack
from benchmark.validator.clock import judge_clock
from benchmark.validator.connection import (
    judge_ecn,
    judge_end,
    judge_phase,
    judge_reset,
    judge_syn,
    open_without_syn,
)
from benchmark.validator.findings import OPTION_UNOFFERED, SEQ_OVERLAP, Marks, mark
from benchmark.validator.sequence import WORD, Segment, distrust, judge_sequence
from benchmark.validator.state import FRESH, MIDDLE, SIDE, clear, make_memory, unwrap
from benchmark.wire import ACK, CWR, ECE, FIN, RST, SYN, TCP


class Columns(NamedTuple):
    """What the machine reads of each packet: header fields, flow, direction, time since the first packet."""

    time: NDArray[np.int64]
    flow: NDArray[np.int32]
    up: NDArray[np.bool_]
    protocol: NDArray[np.uint8]
    header: NDArray[np.int64]  # position of layer 4 in the buffer
    size: NDArray[np.int32]  # bytes of the TCP header
    seq: NDArray[np.uint32]
    ack: NDArray[np.uint32]
    flags: NDArray[np.uint8]
    payload: NDArray[np.int32]
    window: NDArray[np.uint16]
    has_stamp: NDArray[np.uint8]
    stamp: NDArray[np.uint32]
    echo: NDArray[np.uint32]


def judge_tcp(trace: Trace, marks: Marks) -> NDArray[np.int64]:
    """Write the TCP findings of level 2; return the flows that end without FIN or RST, int64.

    Packets with a finding of level 0 or 1 aren't trusted: a receiver would drop them, so what they would have
    carried is unknown and their neighbours aren't blamed for it.
    """
    packets, fields, flows = trace.packets, trace.packets.fields, trace.flows
    if flows.count == 0:
        return np.zeros(0, np.int64)
    columns = Columns(
        packets.ts - packets.ts[0],
        flows.index,
        flows.up,
        fields.protocol,
        packets.offsets[:-1] + fields.ip_header,
        fields.l4_header,
        fields.seq,
        fields.ack,
        fields.flags,
        fields.payload,
        fields.tcp_window,
        fields.has_ts,
        fields.ts_value,
        fields.ts_echo,
    )
    sides = np.zeros(2 * flows.count, SIDE)
    ended = np.zeros(flows.count, np.bool_)
    tcp = fields.protocol[flows.first] == TCP
    memory = make_memory(int(np.count_nonzero(fields.protocol == TCP)))
    _run(np.ascontiguousarray(packets.data), columns, flows.first, sides, ended, memory, marks)
    return np.flatnonzero(tcp & ~ended)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _run(data: Any, columns: Any, first: Any, sides: Any, ended: Any, memory: Any, marks: Any) -> None:
    phases = np.full(len(ended), FRESH, np.int64)
    askers = np.zeros(len(ended), np.int64)
    for key in range(len(sides)):
        clear(sides[key])
    lost = np.int64(0)
    for i in range(len(columns.flow)):
        flow = np.int64(columns.flow[i])
        trusted = marks.mask[i] == 0
        if flow < 0 or (not trusted and first[flow] == i):
            lost += 0 if trusted else 1
        if flow < 0 or columns.protocol[i] != TCP:
            continue
        way = 0 if columns.up[i] else 1
        side, other = sides[2 * flow + way], sides[2 * flow + 1 - way]
        segment = _segment(columns, i, side, lost)
        if not trusted:
            distrust(segment, side, 2 * flow + way, memory)
            continue
        if phases[flow] == FRESH and (segment.flags & (SYN | ACK)) != SYN:
            open_without_syn(segment, side, other, marks)
            phases[flow] = FRESH if segment.flags & SYN else MIDDLE
        ended[flow] = ended[flow] or (segment.flags & (FIN | RST)) != 0
        options = _options(data, columns.header[i], columns.size[i])
        if segment.flags & SYN:
            before = phases[flow]
            phases[flow] = judge_syn(
                segment, side, other, 2 * flow + way, before, askers[flow] == way, memory, marks, options[:4]
            )
            if not segment.flags & ACK and side.syn_packet == i:
                askers[flow] = way
                ended[flow] = False
            if side.syn_packet == i or side.isn >= 0:
                judge_clock(segment, side, other, 2 * flow + way, 2 * flow + 1 - way, memory, marks, False)
            continue
        if segment.flags & RST:
            judge_reset(segment, side, marks)
            # It ends the connection; if it doesn't, what it says excuses others.
            distrust(segment, side, 2 * flow + way, memory)
            continue
        phases[flow] = judge_phase(segment, side, other, phases[flow], askers[flow] == way, marks)
        side.seen = 1
        _judge_segment(data, columns, segment, side, other, flow, way, askers[flow] == way, options, memory, marks)
    for key in range(len(sides)):
        side = sides[key]
        if side.overlap_packet >= 0:
            mark(
                marks,
                side.overlap_packet,
                SEQ_OVERLAP,
                (side.top - side.overlap_size) & WORD,
                side.top & WORD,
            )


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _judge_segment(
    data: Any,
    columns: Any,
    segment: Any,
    side: Any,
    other: Any,
    flow: int,
    way: int,
    asker: bool,
    options: Any,
    memory: Any,
    marks: Any,
) -> None:
    """Judge a segment of an open connection."""
    key, other_key = 2 * flow + way, 2 * flow + 1 - way
    length = segment.payload + (1 if segment.flags & FIN else 0)
    old = False
    if side.synced:
        seq = unwrap(side.top, segment.seq)
        old = seq + length <= side.top if length else seq < side.top
    if other.synced and unwrap(other.top, segment.ack) < other.acked:
        old = True
    if not judge_sequence(segment, side, other, key, memory, marks):
        return
    judge_acknowledgement(segment, side, other, other_key, memory, marks)
    known = side.syn_packet >= 0 and other.syn_packet >= 0
    if options[5] > 0:
        if known and not other.sack:
            mark(marks, segment.packet, OPTION_UNOFFERED, 5, 0)
        judge_sack(segment, other, other_key, memory, marks, data, options[4], options[5])
    if known and segment.has_stamp and not (side.stamps and other.stamps):
        mark(marks, segment.packet, OPTION_UNOFFERED, 8, 0)
    else:
        judge_clock(segment, side, other, key, other_key, memory, marks, old)
    bits = segment.flags & (ECE | CWR)
    bits |= (np.int64(data[columns.header[segment.packet] + 12]) & 1) << 8
    judge_ecn(segment, bits, side, other, asker, marks)
    judge_end(segment, side, marks)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _segment(columns: Any, i: int, side: Any, lost: int) -> Any:
    stamp = np.int64(columns.stamp[i])
    lead = np.int64(0)
    if columns.has_stamp[i] and side.stamp >= 0:
        lead = unwrap(side.stamp, stamp) - side.stamp
    return Segment(
        np.int64(i),
        np.int64(columns.time[i]),
        np.int64(columns.seq[i]),
        np.int64(columns.ack[i]),
        np.int64(columns.flags[i]),
        np.int64(columns.payload[i]),
        np.int64(columns.window[i]),
        np.int64(columns.has_stamp[i]),
        stamp,
        np.int64(columns.echo[i]),
        np.int64(lost),
        lead >= 0,
        lead > 0,
    )


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _options(data: Any, at: Any, size: Any) -> Any:
    """Return (MSS, window shift or -1, SACK permitted, has timestamps, where SACK blocks stand, how many)."""
    zero = np.int64(0)
    mss, shift, sack, stamps, place, blocks = zero, np.int64(-1), zero, zero, zero, zero
    end = at + size
    here = at + 20
    # The usual form of a data packet: two NOPs and the timestamps (RFC 7323 appendix A).
    if size == 32 and data[here] == 1 and data[here + 1] == 1 and data[here + 2] == 8:
        return mss, shift, sack, np.int64(1), place, blocks
    while here < end and data[here] != 0:
        kind = data[here]
        if kind == 1:
            here += 1
            continue
        length = np.int64(data[here + 1])
        if kind == 2:
            mss = (np.int64(data[here + 2]) << 8) | np.int64(data[here + 3])
        elif kind == 3:
            shift = np.int64(data[here + 2])
        elif kind == 4:
            sack = np.int64(1)
        elif kind == 8:
            stamps = np.int64(1)
        elif kind == 5:
            place, blocks = here + 2, (length - 2) // 8
        here += length
    return mss, shift, sack, stamps, place, blocks
