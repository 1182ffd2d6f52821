"""TCP flows from sketches: RFC 9293, with timestamps and window scaling as RFC 7323, SACK as RFC 2018 have them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from benchmark.checksum import ip_checksums, l4_checksums
from benchmark.synthesis.recovery import MOST_BLOCKS, find_arrived, number, plan_holes
from benchmark.synthesis.sketch import Endpoints, Sketch
from benchmark.trace import Packets
from benchmark.wire import ACK, FIN, PSH, SYN

MAXIMUM_SEGMENT = 1460
LARGEST_PAYLOAD = 1448  # the maximum segment less the timestamp option (RFC 6691)
WINDOW_SCALE = 10
FIRST_WINDOW = (65_160, 64_240)  # server, client: never scaled in a SYN (RFC 7323 §2.2)
SMALLEST_WINDOW = (64 << WINDOW_SCALE, 63 << WINDOW_SCALE)  # none below an end's first
LARGEST_WINDOW = 65_535 << WINDOW_SCALE
ANSWER = 30_000  # ns that an end takes to answer a SYN or a FIN


def compile_tcp(sketch: Sketch, ends: Endpoints, random: np.random.Generator, end: int | None) -> Packets:
    """Compile a TCP sketch: handshake, its rows, teardown by the client.

    Data rows keep their times: where the first comes before the handshake could end, the handshake is
    squeezed ahead of it, and likewise the teardown between the last row and ``end``.
    """
    ts, up, payload = split_rows(sketch, LARGEST_PAYLOAD)
    holes = plan_holes(up, payload, _blocks_of(sketch, up, payload))
    need = np.zeros(2, np.int64)
    _largest_flights(up, payload, need)
    need[0] = max(need[0], _number(ts, up, payload, np.zeros(len(up), np.uint8), holes, 0)[1])
    # Room for a FIN beside the data; constant, so that the window's edge never moves back (RFC 9293 §3.8.6).
    windows = np.clip(need[::-1] + 1, np.array(SMALLEST_WINDOW), LARGEST_WINDOW)
    windows = (windows + (1 << WINDOW_SCALE) - 1) >> WINDOW_SCALE
    overrun = np.zeros(len(ts), np.bool_)
    _find_overruns(up, payload, windows << WINDOW_SCALE, overrun)
    if overrun.any():
        at = np.flatnonzero(overrun)
        ts, payload = np.insert(ts, at, ts[at]), np.insert(payload, at, np.int32(0))
        up, holes = np.insert(up, at, ~up[at]), np.insert(holes, at, 0)
    ts, up, payload, flags = _add_control(ts, up, payload, sketch.round_trip, end)
    control = np.zeros(3, np.int64)
    holes = np.concatenate([control, holes, control])
    lag = int(ts[1] - ts[0])  # the handshake's pace is the path's
    numbers, _ = _number(ts, up, payload, flags, holes, lag)
    if _most_ahead(up, payload, numbers) >= FIRST_WINDOW[0]:
        # An upload so fast needs the server's answers at once, lest it overrun the window.
        lag = 0
        numbers, _ = _number(ts, up, payload, flags, holes, lag)
    blocks = (numbers.edges[:, ::2] >= 0).sum(axis=1)
    sizes = np.where(flags & SYN, 60, 52 + np.where(blocks > 0, 4 + 8 * blocks, 0))
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    data = np.zeros(offsets[-1], np.uint8)
    start = random.integers(0, 1 << 32, 4, np.int64)
    names = random.integers(0, 1 << 16, 2, np.int64)
    addresses = _tuple_bytes(ends)
    _write(ts, up, payload, flags, offsets, data, addresses, numbers, start[:2], start[2:], names, windows)
    length = (payload + sizes).astype(np.int32)
    fill_checksums(data, offsets, length, 16)
    return Packets(ts, length, data, offsets)


def split_rows(sketch: Sketch, largest: int) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.int32]]:
    """Split payloads above ``largest`` bytes over several rows of the same time; all other rows stay."""
    pieces = np.maximum(1, -(-sketch.payload.astype(np.int64) // largest))
    if (pieces == 1).all():
        return sketch.ts, sketch.up, sketch.payload
    payload = np.full(int(pieces.sum()), largest, np.int32)
    payload[np.cumsum(pieces) - 1] = sketch.payload - (pieces - 1) * largest
    return np.repeat(sketch.ts, pieces), np.repeat(sketch.up, pieces), payload


def fill_checksums(data: NDArray[np.uint8], offsets: NDArray[np.int64], length: NDArray[np.int32], place: int) -> None:
    """Write IPv4 and layer 4 checksums into packets of 20-byte IP headers; ``place``: within layer 4."""
    for at, sums in ((10, ip_checksums(data, offsets)), (20 + place, l4_checksums(data, offsets, length))):
        data[offsets[:-1] + at] = sums >> 8
        data[offsets[:-1] + at + 1] = sums & 0xFF


def _tuple_bytes(ends: Endpoints) -> NDArray[np.uint8]:
    """Return client address, client port, server address and server port, uint8 [12]."""
    ports = np.array([ends.client_port, ends.server_port], ">u2").view(np.uint8)
    return np.array([*ends.client, *ports[:2], *ends.server, *ports[2:]], np.uint8)


def _add_control(
    ts: NDArray[np.int64], up: NDArray[np.bool_], payload: NDArray[np.int32], round_trip: int, end: int | None
) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.int32], NDArray[np.uint8]]:
    """Put the three-way handshake ahead of the rows and the teardown behind them; add the rows' flags."""
    first = int(ts[0]) if len(ts) else (round_trip + ANSWER if end is None else end)
    last = int(ts[-1]) if len(ts) else min(first, round_trip + ANSWER)
    opening = np.minimum([0, round_trip, round_trip + ANSWER], first)
    closing = np.array([0, round_trip, round_trip + ANSWER])
    latest = last + round_trip if end is None else end - closing[-1]
    closing = np.maximum(last, max(last, latest) + closing)
    if end is not None:
        closing = np.maximum(last, np.minimum(closing, end))
    # The sender pushes where it has no more to send for now: a short segment, or the last of its run.
    pushed = payload > 0
    if len(ts):
        pushed[:-1] &= (payload[:-1] < LARGEST_PAYLOAD) | (up[1:] != up[:-1])
    flags = np.where(pushed, ACK | PSH, ACK)
    nothing = np.zeros(3, np.int32)
    return (
        np.concatenate([opening, ts, closing]).astype(np.int64),
        np.concatenate([[True, False, True], up, [True, False, True]]),
        np.concatenate([nothing, payload, nothing]).astype(np.int32),
        np.concatenate([[SYN, SYN | ACK, ACK], flags, [FIN | ACK, FIN | ACK, ACK]]).astype(np.uint8),
    )


class Numbers(NamedTuple):
    """sequence, acknowledged: int64 [n], edges: int64 [n, 6]; see ``recovery.number``. arrived: ``find_arrived``."""

    arrived: NDArray[np.int64]
    sequence: NDArray[np.int64]
    acknowledged: NDArray[np.int64]
    edges: NDArray[np.int64]


def _blocks_of(sketch: Sketch, up: NDArray[np.bool_], payload: NDArray[np.int32]) -> NDArray[np.int8]:
    """Return the SACK blocks that each row asks for once the sketch's rows are split; only bare ones ask."""
    blocks = np.zeros(len(up), np.int8)
    blocks[up & (payload == 0)] = sketch.blocks[sketch.up & (sketch.payload == 0)]
    return blocks


def _number(
    ts: NDArray[np.int64],
    up: NDArray[np.bool_],
    payload: NDArray[np.int32],
    flags: NDArray[np.uint8],
    holes: NDArray[np.int64],
    lag: int,
) -> tuple[Numbers, int]:
    """Number all packets; return the most bytes beyond an acknowledgement besides."""
    nothing = np.zeros(len(up), np.int64)
    edges = np.zeros((len(up), 2 * MOST_BLOCKS), np.int64)
    numbers = Numbers(nothing, nothing.copy(), nothing.copy(), edges)
    find_arrived(ts, flags, lag, numbers.arrived)
    return numbers, int(number(up, payload, flags, holes, *numbers))


def _most_ahead(up: NDArray[np.bool_], payload: NDArray[np.int32], numbers: Numbers) -> int:
    """Return the most bytes that the client has sent beyond what the server has been seen to acknowledge."""
    seen = np.maximum.accumulate(np.where(up, 0, numbers.acknowledged))
    return int(np.where(up, numbers.sequence + payload - seen, 0).max())


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _largest_flights(up: Any, payload: Any, need: Any) -> None:
    """Find the most bytes that each end (0 server, 1 client) sends between two packets of the other."""
    flight = np.zeros(2, np.int64)
    for i in range(len(up)):
        sender = np.int64(up[i])
        flight[1 - sender] = 0
        flight[sender] += payload[i]
        need[sender] = max(need[sender], flight[sender])


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _find_overruns(up: Any, payload: Any, windows: Any, overrun: Any) -> None:
    """Mark the rows before which the receiver must acknowledge, lest they overrun its window less a FIN.

    windows: int64 [2], bytes that the server and the client announce once the handshake is over.
    """
    flight = np.zeros(2, np.int64)
    # The client has announced its scaled window by ending the handshake; the server only its first one.
    room = np.array([windows[1], FIRST_WINDOW[0]])
    for i in range(len(up)):
        sender = np.int64(up[i])
        flight[1 - sender] = 0
        room[1 - sender] = windows[sender]
        if flight[sender] + payload[i] > room[sender] - 1:
            overrun[i] = True
            flight[sender] = 0
            room[sender] = windows[1 - sender]
        flight[sender] += payload[i]


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _put(data: Any, at: int, size: int, value: int) -> None:
    """Write ``value`` big-endian into ``size`` bytes."""
    for k in range(size):
        data[at + size - 1 - k] = (value >> (8 * k)) & 0xFF


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _write(
    ts: Any,
    up: Any,
    payload: Any,
    flags: Any,
    offsets: Any,
    data: Any,
    ends: Any,
    numbers: Any,
    first_seq: Any,
    clock: Any,
    identification: Any,
    windows: Any,
) -> None:
    """Write every packet but its checksums. Per-end arrays [2] stand for server (0) and client (1).

    Sequence numbers count from each end's first in 64 bits and wrap only on the wire.
    """
    acknowledged = np.zeros(2, np.int64)  # what each end has last acknowledged of the other's
    echo = np.zeros(2, np.int64)  # TS.Recent of each end
    reached = 0
    for i in range(len(ts)):
        # RFC 7323 §4.3: echo the segment that the last acknowledgement asked for, not later ones.
        for k in range(reached, numbers.arrived[i]):
            if up[k] and numbers.sequence[k] <= acknowledged[0]:
                echo[0] = (clock[1] + ts[k] // 1_000_000) & 0xFFFFFFFF
        reached = max(reached, numbers.arrived[i])
        sender = np.int64(up[i])
        peer = 1 - sender
        at = offsets[i]
        size = offsets[i + 1] - at
        synchronise = flags[i] & SYN
        data[at] = 0x45
        _put(data, at + 2, 2, size + payload[i])
        # Linux numbers a SYN-ACK 0, since it has no socket yet.
        if not (synchronise and sender == 0):
            _put(data, at + 4, 2, identification[sender] & 0xFFFF)
            identification[sender] += 1
        data[at + 6] = 0x40
        data[at + 8] = 64
        data[at + 9] = 6
        mine, other = (0, 6) if sender == 1 else (6, 0)
        data[at + 12 : at + 16] = ends[mine : mine + 4]
        data[at + 16 : at + 20] = ends[other : other + 4]
        data[at + 20 : at + 22] = ends[mine + 4 : mine + 6]
        data[at + 22 : at + 24] = ends[other + 4 : other + 6]
        _put(data, at + 24, 4, (first_seq[sender] + numbers.sequence[i]) & 0xFFFFFFFF)
        if flags[i] & ACK:
            acknowledged[sender] = numbers.acknowledged[i]
            _put(data, at + 28, 4, (first_seq[peer] + acknowledged[sender]) & 0xFFFFFFFF)
        data[at + 32] = ((size - 20) >> 2) << 4
        data[at + 33] = flags[i]
        _put(data, at + 34, 2, FIRST_WINDOW[sender] if synchronise else windows[sender])
        option = at + 40
        if synchronise:
            _put(data, option, 4, 0x02040000 | MAXIMUM_SEGMENT)
            _put(data, option + 4, 2, 0x0402)
            option += 6
        else:
            _put(data, option, 2, 0x0101)
            option += 2
        value = (clock[sender] + ts[i] // 1_000_000) & 0xFFFFFFFF
        _put(data, option, 2, 0x080A)
        _put(data, option + 2, 4, value)
        _put(data, option + 6, 4, echo[sender])
        if synchronise:
            _put(data, option + 10, 4, 0x01030300 | WINDOW_SCALE)
        elif numbers.edges[i, 0] >= 0:
            blocks = (size - 56) >> 3
            _put(data, option + 10, 4, 0x01010500 | (2 + 8 * blocks))
            for k in range(2 * blocks):
                _put(data, option + 14 + 4 * k, 4, (first_seq[peer] + numbers.edges[i, k]) & 0xFFFFFFFF)
        if sender == 0 and numbers.sequence[i] <= acknowledged[1]:
            echo[1] = value
