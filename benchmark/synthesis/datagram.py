"""QUIC (RFC 9000) and RTP (RFC 3550) flows from sketches, over UDP (RFC 768)."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from benchmark.synthesis.sketch import Endpoints, Sketch
from benchmark.synthesis.tcp import fill_checksums, split_rows
from benchmark.trace import Packets

LARGEST_PAYLOAD = 1472
SMALLEST_QUIC = 21  # RFC 9000 §10.3: below that, a datagram could not even be a stateless reset
FIRST_QUIC = 1200  # RFC 9000 §14.1
FLIGHT = 10  # datagrams of one flight that may still carry long headers
SMALLEST_RTP = 12
RTP_HEAD = 16  # the RTP header and the head of its extension
AUDIO_PAYLOAD = 200  # calls send video in larger packets, audio in smaller ones
FRAME_STEP = 2  # packets of one video frame differ by at most this many bytes (Sharma et al., IMC 2023)
AUDIO_TYPE, VIDEO_TYPE = 111, 96  # dynamic payload types, as WebRTC's usual offers have them


def compile_quic(sketch: Sketch, ends: Endpoints, random: np.random.Generator, end: int | None) -> Packets:
    """Compile a QUIC sketch; one byte of each datagram is kept, the first byte of its QUIC header."""
    ts, up, payload = split_rows(sketch, LARGEST_PAYLOAD)
    payload = np.maximum(payload, SMALLEST_QUIC)
    if not len(ts) or not up[0] or payload[0] < FIRST_QUIC:
        ts = np.concatenate([ts[:1] if len(ts) else [0], ts]).astype(np.int64)
        up, payload = np.concatenate([[True], up]), np.concatenate([[FIRST_QUIC], payload])
    # A short header: fixed bit, and bits that header protection makes look random (RFC 9000 §17.3.1).
    head = (0x40 | random.integers(0, 64, len(ts))).astype(np.uint8)[:, None]
    _mark_long_headers(up, payload, head[:, 0])
    return _datagrams(ts - ts[0], up, payload.astype(np.int32), head, ends, random)


def compile_rtp(sketch: Sketch, ends: Endpoints, random: np.random.Generator, end: int | None) -> Packets:
    """Compile an RTP sketch: an audio and a video stream each way, told apart by size; 16 bytes are kept.

    A video frame is a run of packets of like size; its packets share a timestamp and its last has the marker.
    """
    ts, up, payload = split_rows(sketch, LARGEST_PAYLOAD)
    payload = np.maximum(payload, SMALLEST_RTP)
    ts = ts - ts[0] if len(ts) else ts
    head = np.zeros((len(ts), RTP_HEAD), np.uint8)
    stream = (up * 2 + (payload >= AUDIO_PAYLOAD)).astype(np.int64)
    start = random.integers(0, 1 << 32, (4, 2), np.int64)
    sequence = random.integers(0, 1 << 15, 4, np.int64)
    for number in range(4):
        rows = np.flatnonzero(stream == number)
        video = number % 2 == 1
        opens = np.ones(len(rows), np.bool_)
        if video:
            opens[1:] = np.abs(np.diff(payload[rows])) > FRAME_STEP
        frame = np.cumsum(opens) - 1
        rate = 90_000 if video else 48_000
        moment = (ts[rows][opens][frame] // 1000 * rate // 1_000_000 + start[number, 0]) & 0xFFFFFFFF
        marker = np.append(opens[1:], True)[: len(rows)] if video else np.zeros(len(rows), np.bool_)
        block = np.zeros((len(rows), RTP_HEAD), np.uint8)
        extended = payload[rows] >= RTP_HEAD
        block[:, 0] = 0x80 | np.where(extended, 0x10, 0)
        block[:, 1] = (marker << 7) | (VIDEO_TYPE if video else AUDIO_TYPE)
        block[:, 2:4] = _big_endian((sequence[number] + np.arange(len(rows))) & 0xFFFF, ">u2")
        block[:, 4:8] = _big_endian(moment, ">u4")
        block[:, 8:12] = _big_endian(np.full(len(rows), start[number, 1]), ">u4")
        # One-byte header extensions (RFC 8285 §4.2), three words of them where there is room.
        block[:, 12:14] = np.where(extended[:, None], np.array([0xBE, 0xDE], np.uint8), 0)
        block[:, 15] = np.where(extended, np.minimum(3, (payload[rows] - RTP_HEAD) // 4), 0)
        head[rows] = block
    return _datagrams(ts, up, payload.astype(np.int32), head, ends, random)


def _big_endian(values: NDArray[Any], kind: str) -> NDArray[np.uint8]:
    """Return the bytes of each value, uint8 [n, size]."""
    width = np.dtype(kind).itemsize
    return values.astype(kind).view(np.uint8).reshape(len(values), width)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _mark_long_headers(up: Any, payload: Any, head: Any) -> None:
    """Give the first three flights long headers (RFC 9000 §17.2): Initial, or 0-RTT and Handshake."""
    flight, place = 0, 0
    for i in range(len(up)):
        if i and up[i] != up[i - 1]:
            flight, place = flight + 1, 0
        if flight > 2:
            return
        if place < FLIGHT:
            initial = payload[i] >= FIRST_QUIC and (flight == 0 or (flight == 1 and place == 0))
            kind = 0xC0 if initial else 0xD0 if flight == 0 else 0xE0
            head[i] = kind | (head[i] & 0x0F)
        place += 1


def _datagrams(
    ts: NDArray[np.int64],
    up: NDArray[np.bool_],
    payload: NDArray[np.int32],
    head: NDArray[np.uint8],
    ends: Endpoints,
    random: np.random.Generator,
) -> Packets:
    """Write IPv4 and UDP headers; head: uint8 [n, k], the start of each payload, cut to its size."""
    kept = np.minimum(payload, head.shape[1]).astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(kept + 28)]).astype(np.int64)
    length = (payload + 28).astype(np.int32)
    block = np.zeros((len(ts), 28 + head.shape[1]), np.uint8)
    block[:, 0] = 0x45
    block[:, 2:4] = _big_endian(length, ">u2")
    block[:, 6], block[:, 8], block[:, 9] = 0x40, 64, 17
    identification = random.integers(0, 1 << 16, 2, np.int64)
    addresses = np.array([ends.server, ends.client], np.uint8)
    ports = _big_endian(np.array([ends.server_port, ends.client_port]), ">u2")
    for sender in range(2):
        rows = np.flatnonzero(up == bool(sender))
        numbers = (identification[sender] + np.arange(len(rows))) & 0xFFFF
        block[rows, 4:6] = _big_endian(numbers, ">u2")
        block[rows, 12:16], block[rows, 16:20] = addresses[sender], addresses[1 - sender]
        block[rows, 20:22], block[rows, 22:24] = ports[sender], ports[1 - sender]
    block[:, 24:26] = _big_endian(payload + 8, ">u2")
    block[:, 28:] = head
    data = block[np.arange(block.shape[1])[None, :] < (kept + 28)[:, None]]
    fill_checksums(data, offsets, length, 6)
    return Packets(ts, length, data, offsets)
