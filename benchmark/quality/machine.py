"""The state machine from packets to features; the kernel program matches it bit for bit.

Integers only. Stored fields wrap at their width; 16- and 8-bit counters stay at their maximum. A packet's
tick is the u32 (ns >> 10), which wraps; an interval that is negative, or 2^31 ticks or more, is 0. Division
happens only where a window opens or closes.

Windows: a flow's window is the newer of its halves'. A packet past its half's ``window_end``, or whose half
is in an older window than the other, moves its half to the window that its time falls in, but never to one
older than the flow's. If that window is newer than the flow's, the flow's closes: halves in it give their
values, a half left in an older one gives zeros. So each packet counts once, windows without packets aren't
written, and a late packet counts in the window that is open.

Segments (Bronzino et al. 2019): an up packet of at least 60 payload bytes, 50 ms or more after the last such
one that counted, is a request. The first down payload after it closes the running segment and opens one.
Frames (VCAML, Sharma et al., IMC 2023): a UDP down packet above 298 payload bytes whose size is within 2 B
of one of the last three such packets goes on with the frame; any other opens one.
RTT (TCP timestamps, as pping has it): each side notes one TSval at a time and measures when exactly that one
is echoed; an echo past it ends the wait without a sample.
"""

# All compiled functions stand in this one file: numba's cache doesn't see a change in another.

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba import boolean, from_dtype, int32, int64, uint32, void

from benchmark.quality.names import GAP_BINS, MAP_BITS, RING, SEGMENT_BINS, SIZE_BINS
from benchmark.quality.state import CLOCK, HALF, NONE_16, NONE_32, PACKET, REQUESTS, SEGMENTS
from benchmark.wire import ACK, FIN, PSH, RST, SYN, TCP, UDP

TICK_SHIFT = 10
BURST_TICKS = 29_297  # 30 ms, rounded up
REQUEST_TICKS = 48_829  # 50 ms, rounded up
REQUEST_BYTES = 60
FRAME_BYTES = 298  # VCAML's UDP length of 306, less the header
FRAME_SLACK = 2
SPREAD = 0x9E3779B1  # multiplicative hashing by the golden ratio of 2^32 (Knuth, volume 3, 6.4)

HALF_COLUMNS = (2, 6 + SIZE_BINS, 6 + GAP_BINS, 8)  # features of one direction in F0, F1, F2, F3
SEGMENT_COLUMNS = 11 + SEGMENT_BINS + 6
DOWN_BYTES = 3  # the column by which a trace's flow is chosen

_LOW = 0xFFFFFFFF
_HALF, _HALVES, _CLOCK = from_dtype(HALF), from_dtype(HALF)[::1], from_dtype(CLOCK)
_REQUESTS, _SEGMENTS, _PACKET = from_dtype(REQUESTS), from_dtype(SEGMENTS), from_dtype(PACKET)


@numba.njit(int64(int64), cache=True, nogil=True)  # type: ignore[untyped-decorator]
def bit_length(value: int) -> int:
    """Position of the highest set bit of a u32, from 1; 0 for 0."""
    bits = 0
    for step in (16, 8, 4, 2, 1):
        if value >> step:
            value >>= step
            bits += step
    return bits + value


@numba.njit(int64(int64), cache=True, nogil=True)  # type: ignore[untyped-decorator]
def log2_eighths(value: int) -> int:
    """Eight times the binary logarithm of a u32, linear between powers of two, rounded down; 0 for 0."""
    if value == 0:
        return 0
    top: int = bit_length(value) - 1
    fraction = value >> (top - 3) if top >= 3 else value << (3 - top)
    return (top << 3) | (fraction & 7)


@numba.njit(int64(int64, int64), cache=True, nogil=True)  # type: ignore[untyped-decorator]
def elapsed(now: int, then: int) -> int:
    """Ticks from ``then`` to ``now``, u32 that wrap; 0 where the clock ran backwards."""
    passed = (now - then) & _LOW
    return passed if passed < 0x80000000 else 0


@numba.njit(int64(int64, int64), cache=True, nogil=True)  # type: ignore[untyped-decorator]
def ahead(a: int, b: int) -> int:
    """Difference a - b of two u32 that wrap, as a signed 32-bit number (RFC 1982)."""
    return (((a - b) & _LOW) ^ 0x80000000) - 0x80000000


@numba.njit(int64(int64), cache=True, nogil=True)  # type: ignore[untyped-decorator]
def more(counter: int) -> int:
    """Count one on a 16-bit counter that stays at its maximum."""
    return min(counter + 1, 0xFFFF)


@numba.njit(int64(int64), cache=True, nogil=True)  # type: ignore[untyped-decorator]
def square(gap: int) -> int:
    """Square of an interval in units of 1,024 ticks (1.05 ms), which fits 28 bits; intervals of 2^24 ticks
    or more count as 2^24 - 1."""
    short = min(gap, 0xFFFFFF) >> 10
    return short * short


@numba.njit(void(_HALF, int64), cache=True, nogil=True)  # type: ignore[untyped-decorator]
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


@numba.njit(void(_HALF, int64, int64), cache=True, nogil=True)  # type: ignore[untyped-decorator]
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


@numba.njit(void(_HALF, int64, int64, int64, int64, int64), cache=True, nogil=True)  # type: ignore[untyped-decorator]
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
    end = (seq + size + (1 if flags & SYN else 0) + (1 if flags & FIN else 0)) & _LOW
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


@numba.njit(void(_HALF, _HALF, int64, int64, int64, int64, int64), cache=True, nogil=True)  # type: ignore[untyped-decorator]
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


@numba.njit(void(_REQUESTS, int64, int64), cache=True, nogil=True)  # type: ignore[untyped-decorator]
def follow_request(up: Any, tick: int, size: int) -> None:
    """F4: tell requests among up packets."""
    if size < REQUEST_BYTES:
        return
    if up.number != 0 and elapsed(tick, up.tick) < REQUEST_TICKS:
        return
    up.tick = tick
    # Number 0 is before the first request, so counting wraps to 1.
    up.number = 1 if up.number == 0xFFFF else up.number + 1
    up.requests = more(up.requests)


@numba.njit(void(_SEGMENTS, int64), cache=True, nogil=True)  # type: ignore[untyped-decorator]
def close_segment(down: Any, request: int) -> None:
    """Count the running segment as complete; ``request`` is the tick of the one that ended it."""
    size = np.int64(down.open)
    time = elapsed(down.last, down.start)
    down.segments = more(down.segments)
    down.bytes = down.bytes + size
    down.size_last = size
    down.size_max = max(np.int64(down.size_max), size)
    down.time = down.time + time
    down.time_max = max(np.int64(down.time_max), time)
    down.rate_sum = down.rate_sum + (256 + log2_eighths(size) - log2_eighths(time))
    down.idle = down.idle + elapsed(request, down.last)
    place = min(bit_length(size >> 12), SEGMENT_BINS - 1)
    down.bins[place] = min(down.bins[place] + 1, 0xFF)
    place = np.int64(down.ring_next)
    down.ring_bytes[place] = size
    down.ring_gap[place] = elapsed(request, down.start)
    down.ring_next = 0 if place + 1 == RING else place + 1


@numba.njit(void(_SEGMENTS, _REQUESTS, int64, int64), cache=True, nogil=True)  # type: ignore[untyped-decorator]
def follow_segment(down: Any, up: Any, tick: int, size: int) -> None:
    """F4 and F5: add payload to the running segment, having closed it if there was a request since."""
    if size == 0:
        return
    if down.number != up.number:
        if down.number != 0 and down.open != 0:
            close_segment(down, up.tick)
        down.number = up.number
        down.start = up.tick
        down.open = 0
    down.open = down.open + size
    down.last = tick


@numba.njit(void(_SEGMENTS, int64, int64), cache=True, nogil=True)  # type: ignore[untyped-decorator]
def follow_frame(down: Any, tick: int, size: int) -> None:
    """F4: tell video frames apart by packet size."""
    if size <= FRAME_BYTES:
        return
    same = False
    for k in range(3):
        if abs(size - np.int64(down.recent[k])) <= FRAME_SLACK:
            same = True
    down.recent[2] = down.recent[1]
    down.recent[1] = down.recent[0]
    down.recent[0] = size
    down.frame_bytes = down.frame_bytes + size
    if same:
        down.frame_open = down.frame_open + size
        return
    if down.frame_open:
        gap = elapsed(tick, down.frame_tick)
        down.frame_gap_squares = down.frame_gap_squares + square(gap)
        down.frame_gap_max = max(np.int64(down.frame_gap_max), gap)
        down.frame_max = max(np.int64(down.frame_max), np.int64(down.frame_open))
    down.frames = more(down.frames)
    down.frame_tick = tick
    down.frame_open = size


@numba.njit(void(_HALF, int64), cache=True, nogil=True)  # type: ignore[untyped-decorator]
def mark_size(own: Any, size: int) -> None:
    """F5: linear counting of payload sizes (Whang et al. 1990): one bit a hash value."""
    if size == 0:
        return
    place = ((size * SPREAD) & _LOW) >> 24
    bit = 1 << (place & 31)
    word = np.int64(own.size_map[place >> 5])
    if word & bit:
        return
    own.size_map[place >> 5] = word | bit
    own.unique = own.unique + 1


@numba.njit(  # type: ignore[untyped-decorator]
    void(_HALF, _HALF, _REQUESTS, _SEGMENTS, _PACKET, int64, int64), cache=True, nogil=True
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
    tick = np.int64(packet.ns >> np.uint64(TICK_SHIFT)) & _LOW
    count_size(own, size)
    if level >= 2:
        count_gap(own, tick, opening)
    if level >= 3 and packet.protocol == TCP:
        follow_sequence(own, packet.seq, packet.ack, packet.flags, size, opening)
        if packet.has_ts:
            follow_timestamps(own, other, tick, packet.ts_value, packet.ts_echo, packet.flags, size)
    if level >= 4:
        if packet.up:
            follow_request(up, tick, size)
        else:
            follow_segment(down, up, tick, size)
            if packet.protocol == UDP:
                follow_frame(down, tick, size)
    if level >= 5:
        mark_size(own, size)


@numba.njit(int64(int64, int64), cache=True, nogil=True)  # type: ignore[untyped-decorator]
def mean(total: int, count: int) -> int:
    """Total / count, both u32, rounded down; 0 of nothing. Only for closing windows."""
    return total // count if count else 0


@numba.njit(int64(_HALF, uint32[::1], int64, int64), cache=True, nogil=True)  # type: ignore[untyped-decorator]
def write_half(own: Any, row: Any, at: int, part: int) -> int:
    """Write a half's features of set ``part`` (0 to 3) from column ``at`` on; return the column after
    them."""
    if part == 0:
        row[at], row[at + 1] = own.packets, own.bytes
        return at + 2
    if part == 1:
        row[at], row[at + 1] = own.data, own.payload
        row[at + 2] = mean(own.payload, own.data)
        row[at + 3] = own.size_squares
        row[at + 4] = own.size_min if own.data else 0
        row[at + 5] = own.size_max
        for k in range(SIZE_BINS):
            row[at + 6 + k] = own.size_bins[k]
        return at + 6 + SIZE_BINS
    if part == 2:
        row[at] = own.gap_sum
        row[at + 1] = mean(own.gap_sum, own.packets)
        row[at + 2] = own.gap_squares
        row[at + 3] = own.gap_min if own.gap_min != NONE_32 else 0
        row[at + 4], row[at + 5] = own.gap_max, own.bursts
        for k in range(GAP_BINS):
            row[at + 6 + k] = own.gap_bins[k]
        return at + 6 + GAP_BINS
    row[at], row[at + 1] = own.pushes, own.repeated_acks
    row[at + 2], row[at + 3] = own.retransmits, own.holes
    row[at + 4] = own.rtt_samples
    row[at + 5] = mean(own.rtt_sum, own.rtt_samples)
    row[at + 6] = own.rtt_min if own.rtt_samples else 0
    row[at + 7] = own.rtt_max
    return at + 8


@numba.njit(int64(_SEGMENTS, int64, uint32[::1], int64), cache=True, nogil=True)  # type: ignore[untyped-decorator]
def write_segments(down: Any, end: int, row: Any, at: int) -> int:
    """Write the features of segments and frames from column ``at`` on; return the column after them."""
    row[at], row[at + 1] = down.segments, down.bytes
    row[at + 2] = mean(down.bytes, down.segments)
    row[at + 3], row[at + 4], row[at + 5] = down.size_max, down.size_last, down.open
    row[at + 6], row[at + 7] = down.time, down.time_max
    row[at + 8] = mean(down.rate_sum, down.segments)
    row[at + 9] = down.idle
    row[at + 10] = elapsed(end, down.last) if down.open else 0
    at += 11
    for k in range(SEGMENT_BINS):
        row[at + k] = down.bins[k]
    at += SEGMENT_BINS
    row[at], row[at + 1] = down.frames, down.frame_bytes
    row[at + 2] = mean(down.frame_bytes, down.frames)
    row[at + 3], row[at + 4], row[at + 5] = down.frame_max, down.frame_gap_squares, down.frame_gap_max
    return at + 6


@numba.njit(void(_SEGMENTS, uint32[::1], int64), cache=True, nogil=True)  # type: ignore[untyped-decorator]
def write_ring(down: Any, row: Any, at: int) -> None:
    """Write the window's last segments, newest first: all sizes, then all intervals."""
    place: Any = np.int64(down.ring_next)
    listed: Any = min(RING, np.int64(down.segments))
    for k in range(listed):
        place = RING - 1 if place == 0 else place - 1
        row[at + k] = down.ring_bytes[place]
        row[at + RING + k] = down.ring_gap[place]


@numba.njit(  # type: ignore[untyped-decorator]
    void(_HALVES, _REQUESTS, _SEGMENTS, int64, uint32[::1], int64), cache=True, nogil=True
)
def write_row(halves: Any, up: Any, down: Any, window: int, row: Any, level: int) -> None:
    """Write all features of the flow's window, in the order of ``feature_names``; halves not in it stay
    zero."""
    row[:] = 0
    at = 0
    for part in range(min(level, 3) + 1):
        for way in range(2):
            if halves[way].window == window:
                write_half(halves[way], row, at, part)
            at += HALF_COLUMNS[part]
    if level < 4:
        return
    up_in, down_in = halves[0].window == window, halves[1].window == window
    if up_in:
        row[at] = up.requests
    if down_in:
        write_segments(down, np.int64(halves[1].window_end >> np.uint64(TICK_SHIFT)) & _LOW, row, at + 1)
    at += 1 + SEGMENT_COLUMNS
    if level < 5:
        return
    if up_in:
        row[at] = halves[0].unique
    if down_in:
        row[at + 1] = halves[1].unique
        write_ring(down, row, at + 2)


@numba.njit(int64(_CLOCK, int64), cache=True, nogil=True)  # type: ignore[untyped-decorator]
def window_at(clock: Any, ns: int) -> Any:
    """Index of the window that an instant falls in, by one 32-bit division; the clock's own for earlier
    instants."""
    since = ns - np.int64(clock.epoch)
    if since < 0:
        return np.int64(clock.index)
    units: Any = min(since >> np.int64(clock.shift), _LOW)
    return (np.int64(clock.index) + units // np.int64(clock.units)) & _LOW


@numba.njit(void(_HALF), cache=True, nogil=True)  # type: ignore[untyped-decorator]
def clear_half(own: Any) -> None:
    """Clear a half's window fields."""
    own.packets = own.bytes = 0
    own.data = own.payload = own.size_squares = own.size_max = 0
    own.size_min = NONE_16
    for k in range(SIZE_BINS):
        own.size_bins[k] = 0
    own.gap_sum = own.gap_squares = own.gap_max = own.bursts = 0
    own.gap_min = NONE_32
    for k in range(GAP_BINS):
        own.gap_bins[k] = 0
    own.pushes = own.repeated_acks = own.retransmits = own.holes = 0
    own.rtt_samples = own.rtt_sum = own.rtt_max = 0
    own.rtt_min = NONE_32
    own.unique = 0
    for k in range(MAP_BITS // 32):
        own.size_map[k] = 0


@numba.njit(void(_SEGMENTS), cache=True, nogil=True)  # type: ignore[untyped-decorator]
def clear_segments(down: Any) -> None:
    """Clear the window fields of segments and frames; the running ones go on."""
    down.segments = down.bytes = down.size_max = down.time = down.time_max = 0
    down.rate_sum = down.idle = 0
    for k in range(SEGMENT_BINS):
        down.bins[k] = 0
    down.frames = down.frame_bytes = down.frame_max = 0
    down.frame_gap_squares = down.frame_gap_max = 0
    down.ring_next = 0


@numba.njit(  # type: ignore[untyped-decorator]
    int64(_HALVES, _REQUESTS, _SEGMENTS, _CLOCK, int64, int64, uint32[::1], int64), cache=True, nogil=True
)
def enter_window(halves: Any, up: Any, down: Any, clock: Any, way: int, ns: int, row: Any, level: int) -> Any:
    """Move a half past its window's end to the window of ``ns``.

    If that closes the flow's window, write its features to ``row`` and return its index; else return -1.
    """
    own, other = halves[way], halves[1 - way]
    newest = max(np.int64(own.window), np.int64(other.window))
    index = max(window_at(clock, ns), newest)
    closed: Any = -1
    if index > newest and (own.window_end | other.window_end) != 0:
        write_row(halves, up, down, newest, row, level)
        closed = newest
    own.window = index
    own.window_end = clock.epoch + np.uint64(index + 1 - np.int64(clock.index)) * clock.window
    clear_half(own)
    if way == 0:
        up.requests = 0
    else:
        clear_segments(down)
    return closed


@numba.njit(  # type: ignore[untyped-decorator]
    int64(_HALVES, _REQUESTS, _SEGMENTS, _CLOCK, _PACKET, uint32[::1], int64), cache=True, nogil=True
)
def step(halves: Any, up: Any, down: Any, clock: Any, packet: Any, row: Any, level: int) -> Any:
    """Take one packet of the flow. Return the index of the window that it closed, now in ``row``, or -1."""
    way = 0 if packet.up else 1
    own, other = halves[way], halves[1 - way]
    opening = 1 if own.window_end == 0 else 0
    closed = -1
    if packet.ns >= own.window_end or own.window < other.window:
        closed = enter_window(halves, up, down, clock, way, np.int64(packet.ns), row, level)
    count_packet(own, other, up, down, packet, opening, level)
    return closed


@numba.njit(  # type: ignore[untyped-decorator]
    int64(
        *(from_dtype(PACKET)[::1], int64[::1], from_dtype(CLOCK)[::1], int64, boolean),
        *(uint32[:, ::1], int32[::1], uint32[::1]),
    ),
    cache=True,
    nogil=True,
)
def run(packets: Any, bounds: Any, clocks: Any, level: int, pick: bool, rows: Any, flow: Any, window: Any) -> int:
    """Run every flow's packets through the machine; return the number of windows closed.

    With ``pick``, row w of ``rows`` becomes the window of the flow with most down bytes; else rows, flows
    and windows are appended as they close, as far as there is room.
    """
    halves, up, down = np.zeros(2, HALF), np.zeros(1, REQUESTS), np.zeros(1, SEGMENTS)
    no_half, no_up, no_down = np.zeros(1, HALF), np.zeros(1, REQUESTS), np.zeros(1, SEGMENTS)
    clock = clocks.copy()
    periods = np.uint64((1 << 31) // np.int64(clock[0].units))
    row = np.zeros(rows.shape[1], np.uint32)
    count = 0
    for number in range(len(bounds) - 1):
        halves[0] = no_half[0]
        halves[1] = no_half[0]
        up[0] = no_up[0]
        down[0] = no_down[0]
        clock[0] = clocks[0]
        for i in range(bounds[number], bounds[number + 1] + 1):
            if i < bounds[number + 1]:
                since = np.int64(packets[i].ns) - np.int64(clock[0].epoch)
                while since >= np.int64(periods * clock[0].window):
                    clock[0].epoch = clock[0].epoch + periods * clock[0].window
                    clock[0].index = clock[0].index + periods
                    since -= np.int64(periods * clock[0].window)
                closed = step(halves, up[0], down[0], clock[0], packets[i], row, level)
            else:
                closed = max(np.int64(halves[0].window), np.int64(halves[1].window))
                write_row(halves, up[0], down[0], closed, row, level)
            if closed < 0:
                continue
            if not pick:
                if count < len(rows):
                    rows[count] = row
                    flow[count] = number
                    window[count] = closed
            elif closed < len(rows) and (flow[closed] < 0 or row[DOWN_BYTES] > rows[closed, DOWN_BYTES]):
                rows[closed] = row
                flow[closed] = number
            count += 1
    return count
