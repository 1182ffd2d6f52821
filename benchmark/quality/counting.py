"""What one packet adds to the half of its direction: sizes, gaps, sequence numbers, round trips (F0 to F3, F5).

RTT (TCP timestamps, as pping has it): each side notes one TSval at a time and measures when exactly that one
is echoed; an echo past it ends the wait without a sample.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba import int64, void

from benchmark.quality.arithmetic import LOW, TICK_SHIFT, ahead, bit_length, elapsed, more, square
from benchmark.quality.names import GAP_BINS, SIZE_BINS
from benchmark.quality.records import HALF_TYPE, PACKET_TYPE, REQUESTS_TYPE, SEGMENTS_TYPE
from benchmark.quality.segmenting import follow_frame, follow_request, follow_segment
from benchmark.wire import ACK, FIN, PSH, RST, SYN, TCP, UDP

BURST_TICKS = 29_297  # 30 ms, rounded up
SPREAD = 0x9E3779B1  # multiplicative hashing by the golden ratio of 2^32 (Knuth, volume 3, 6.4)


@numba.njit(void(HALF_TYPE, int64), cache=True, nogil=True)  # type: ignore[untyped-decorator]
def count_size(own: Any, size: int) -> None:
    """F1: payload sizes."""
    place = 0 if size == 0 else min(1 + bit_length(size >> 6), SIZE_BINS - 1)
    own.size_bins[place] = more(own.size_bins[place])
    if size == 0:
        return
    own.data = own.data + 1
    own.payload = own.payload + size
    own.size_squares = own.size_squares + ((size * size) >> 10)
    own.size_min = min(np.int64(own.size_min), size)
    own.size_max = max(np.int64(own.size_max), size)


@numba.njit(void(HALF_TYPE, int64, int64), cache=True, nogil=True)  # type: ignore[untyped-decorator]
def count_gap(own: Any, tick: int, opening: int) -> None:
    """F2: gaps between the packets of one direction; the flow's first has none."""
    gap = elapsed(tick, own.last)
    own.last = tick
    if opening:
        return
    place = min((bit_length(gap >> 5) + 1) >> 1, GAP_BINS - 1)
    own.gap_bins[place] = more(own.gap_bins[place])
    own.gap_sum = own.gap_sum + gap
    own.gap_squares = own.gap_squares + square(gap)
    own.gap_min = min(np.int64(own.gap_min), gap)
    own.gap_max = max(np.int64(own.gap_max), gap)
    if gap >= BURST_TICKS:
        own.bursts = more(own.bursts)


@numba.njit(void(HALF_TYPE, int64, int64, int64, int64, int64), cache=True, nogil=True)  # type: ignore[untyped-decorator]
def follow_sequence(own: Any, seq: int, ack: int, flags: int, size: int, opening: int) -> None:
    """F3: pushes, retransmissions and holes by sequence number, acknowledgements that say nothing new (RFC
    9293)."""
    if flags & PSH:
        own.pushes = more(own.pushes)
    bare = size == 0 and flags & (ACK | SYN | FIN | RST) == ACK
    if bare and not opening and ack == own.last_ack:
        own.repeated_acks = more(own.repeated_acks)
    if flags & ACK:
        own.last_ack = ack
    # SYN and FIN take a sequence number each.
    end = (seq + size + (1 if flags & SYN else 0) + (1 if flags & FIN else 0)) & LOW
    if end == seq:
        return
    if opening:
        own.next_seq = end
        return
    if ahead(seq, own.next_seq) > 0:
        own.holes = more(own.holes)
    if ahead(end, own.next_seq) > 0:
        own.next_seq = end
    elif size:
        own.retransmits = more(own.retransmits)


@numba.njit(void(HALF_TYPE, HALF_TYPE, int64, int64, int64, int64, int64), cache=True, nogil=True)  # type: ignore[untyped-decorator]
def follow_timestamps(own: Any, other: Any, tick: int, value: int, echo: int, flags: int, size: int) -> None:
    """F3: round trips from a TSval to its echo (RFC 7323); ``own`` measures those that ``other`` noted."""
    if flags & ACK != 0 and other.probe != own.answered:
        past = ahead(echo, other.probe_value)
        if past == 0:
            trip = elapsed(tick, other.probe_tick)
            own.rtt_samples = more(own.rtt_samples)
            own.rtt_sum = own.rtt_sum + trip
            own.rtt_min = min(np.int64(own.rtt_min), trip)
            own.rtt_max = max(np.int64(own.rtt_max), trip)
        if past >= 0:
            own.answered = other.probe
    if size != 0 and own.probe == other.answered and value != own.probe_value:
        own.probe_value = value
        own.probe_tick = tick
        own.probe = own.probe + 1


@numba.njit(void(HALF_TYPE, int64), cache=True, nogil=True)  # type: ignore[untyped-decorator]
def mark_size(own: Any, size: int) -> None:
    """F5: linear counting of payload sizes (Whang et al. 1990): one bit a hash value."""
    if size == 0:
        return
    place = ((size * SPREAD) & LOW) >> 24
    bit = 1 << (place & 31)
    word = np.int64(own.size_map[place >> 5])
    if word & bit:
        return
    own.size_map[place >> 5] = word | bit
    own.unique = own.unique + 1


@numba.njit(  # type: ignore[untyped-decorator]
    void(HALF_TYPE, HALF_TYPE, REQUESTS_TYPE, SEGMENTS_TYPE, PACKET_TYPE, int64, int64), cache=True, nogil=True
)
def count_packet(own: Any, other: Any, up: Any, down: Any, packet: Any, opening: int, level: int) -> None:
    """Count one packet in its half, which stands in the packet's window.

    opening: 1 for the half's first packet, when nothing is kept in it yet. level: 0 to 5 for F0 to F5.
    """
    own.packets = own.packets + 1
    own.bytes = own.bytes + packet.length
    if level == 0:
        return
    size = min(np.int64(packet.payload), 0xFFFF)
    tick = np.int64(packet.ns >> np.uint64(TICK_SHIFT)) & LOW
    count_size(own, size)
    if level >= 2:
        count_gap(own, tick, opening)
    if level >= 3 and packet.protocol == TCP:
        follow_sequence(own, packet.seq, packet.ack, packet.flags, size, opening)
        if packet.has_ts:
            follow_timestamps(own, other, tick, packet.ts_value, packet.ts_echo, packet.flags, size)
    if level >= 4:
        if packet.up:
            follow_request(up, tick, size, packet.protocol)
        else:
            follow_segment(down, up, tick, size)
            if packet.protocol == UDP:
                follow_frame(down, tick, size)
    if level >= 5:
        mark_size(own, size)
