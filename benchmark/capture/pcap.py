"""Captures in and out: pcap (draft-ietf-opsawg-pcap) and pcapng, read in blocks of bounded memory."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numba
import numpy as np

from benchmark.capture.bytestream import ByteStream, number
from benchmark.capture.frames import (
    MAXIMUM_CAPTURED,
    MAXIMUM_WIRE,
    READABLE_LINKS,
    Frames,
    Records,
    describe_link,
    locate_ip,
)
from benchmark.capture.pcapng import SECTION_HEADER, pcapng_records
from benchmark.capture.writer import write_pcap, write_pcapng
from benchmark.errors import TraceError
from benchmark.trace import NANOSECONDS, Packets, join_packets

__all__ = ["Frames", "packets_of", "read_frames", "read_packets", "write_pcap", "write_pcapng"]

_MAGIC = {  # magic number: (byte order, nanoseconds in a unit of the fraction)
    b"\xd4\xc3\xb2\xa1": ("<", 1000),
    b"\xa1\xb2\xc3\xd4": (">", 1000),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
    b"\xa1\xb2\x3c\x4d": (">", 1),
}
_FOREIGN_MAGIC = {
    b"\x1f\x8b": "compressed with gzip; decompress it first (gunzip)",
    b"\x28\xb5\x2f\xfd": "compressed with zstd; decompress it first (unzstd)",
    b"\xfd7zX": "compressed with xz; decompress it first (unxz)",
    b"BZh": "compressed with bzip2; decompress it first (bunzip2)",
    b"PK\x03\x04": "a zip archive; unpack it first",
    b"snoop": "a snoop capture, not pcap or pcapng",
    b"\x34\xcd\xb2\xa1": "a modified pcap (Kuznetzov's), which isn't supported",
    b"\xa1\xb2\xcd\x34": "a modified pcap (Kuznetzov's), which isn't supported",
}
_RECORD_ROWS = 1 << 16
_END, _FULL, _TOO_LONG, _LYING, _FRACTION = range(5)


def read_frames(path: str | Path, keep_readable: bool = False, block_bytes: int = 1 << 22) -> Iterator[Frames]:
    """Yield the frames of a pcap or pcapng file in file order, in blocks of about ``block_bytes``.

    Raises TraceError at the first fault, after the frames ahead of it; ``keep_readable`` ends there instead.
    A file that is no capture at all, or of a link type that can't be read, raises either way.
    """
    for records in _read_records(path, keep_readable, block_bytes):
        yield from records.frames()


def packets_of(frames: Frames, epoch_ns: int) -> Packets:
    """Return the IP packets among frames, in their order, with ts counted from ``epoch_ns``.

    length is the IP header's, or the frame's where that is 0; padding after the packet is dropped.
    """
    link = np.full(len(frames), frames.link, np.int32)
    size = np.diff(frames.offsets)
    records = Records(frames.data, frames.offsets[:-1], size, frames.ts, frames.wire, link, frames.ip)
    return replace(records.packets().shifted(-epoch_ns), link=frames.link)


def read_packets(
    path: str | Path,
    keep_readable: bool = False,
    *,
    limit: int | None = None,
    duration: float | None = None,
    snaplen: int | None = None,
    block_bytes: int = 1 << 22,
) -> Packets:
    """Return the IP packets of a capture in time order (stable), ts counted from the first of them.

    limit: stop after so many packets. duration: keep only packets less than so many seconds after the first.
    snaplen: keep at most so many bytes of each, from the IP header on.
    Raises TraceError as ``read_frames`` does.
    """
    parts: list[Packets] = []
    count = 0
    for records in _read_records(path, keep_readable, block_bytes):
        part = records.packets(snaplen)
        if duration is not None and parts and len(part):
            near = part.ts < parts[0].ts[0] + round(duration * NANOSECONDS)
            # A block wholly beyond the duration ends the reading: disorder doesn't span blocks.
            if not near.any():
                break
        if len(part):
            parts.append(part)
            count += len(part)
        if limit is not None and count >= limit:
            break
    packets = join_packets(parts)
    del parts
    if limit is not None and len(packets) > limit:
        packets = packets.take(slice(limit))
    if len(packets) == 0:
        return packets
    if (np.diff(packets.ts) < 0).any():
        packets = packets.take(np.argsort(packets.ts, kind="stable"))
    packets = packets.shifted(-int(packets.ts[0]))
    if duration is not None and packets.ts[-1] >= duration * NANOSECONDS:
        packets = packets.take(slice(int(np.searchsorted(packets.ts, round(duration * NANOSECONDS)))))
    return packets


def _read_records(path: str | Path, keep_readable: bool, block_bytes: int) -> Iterator[Records]:
    with ByteStream(path, block_bytes) as stream:
        magic = stream.peek(8)
        if not magic:
            raise TraceError("empty file", path, 0)
        if magic[:4] in _MAGIC:
            source = _pcap_records(stream)
        elif magic[:4] == SECTION_HEADER:
            source = pcapng_records(stream)
        else:
            for foreign, reason in _FOREIGN_MAGIC.items():
                if magic.startswith(foreign):
                    raise TraceError(reason, path, 0)
            raise TraceError(f"neither pcap nor pcapng (begins with {magic[:4].hex(' ')})", path, 0)
        begun = False
        try:
            for records in source:
                begun = True
                yield records
        except TraceError as error:
            if not keep_readable or not (begun or error.packets_read):
                raise


def _pcap_records(stream: ByteStream) -> Iterator[Records]:
    header = stream.peek(24)
    if len(header) < 24:
        raise TraceError(f"file header cut short: {len(header)} of 24 bytes", stream.path, 0)
    order, unit = _MAGIC[header[:4]]
    major, minor = struct.unpack(order + "HH", header[4:8])
    if (major, minor) != (2, 4):
        raise TraceError(f"pcap version {major}.{minor}, where 2.4 is known", stream.path, 4)
    # The upper bits tell of a frame check sequence, which the IP length leaves out.
    link = struct.unpack(order + "I", header[20:24])[0] & 0x03FF_FFFF
    if link not in READABLE_LINKS:
        raise TraceError(describe_link(link), stream.path, 20)
    stream.skip(24)
    start, size, ts = (np.empty(_RECORD_ROWS, np.int64) for _ in range(3))
    wire = np.empty(_RECORD_ROWS, np.int32)
    links = np.full(_RECORD_ROWS, link, np.int32)
    seen = 0
    while True:
        count, at, status, wanted = _walk(
            stream.buffer, stream.begin, stream.end, order == ">", unit, start, size, ts, wire
        )
        if count:
            rows = slice(count)
            ip = locate_ip(stream.buffer, start[rows], size[rows], links[rows])
            yield Records(stream.buffer, start[rows], size[rows], ts[rows], wire[rows], links[rows], ip)
            seen += count
        stream.begin = at
        if status == _FULL:
            continue
        if status == _END:
            if stream.fill(wanted):
                continue
            if len(stream) == 0:
                return
        raise TraceError(_fault(stream, order, status), stream.path, stream.offset, seen)


def _fault(stream: ByteStream, order: str, status: int) -> str:
    """Say what is wrong with the record that the stream stands at."""
    head = stream.peek(16)
    if len(head) < 16:
        return f"record header cut short: {len(head)} of 16 bytes"
    _, fraction, captured, wire = struct.unpack(order + "IIII", head)
    if status == _TOO_LONG:
        return f"record of {captured} captured bytes, more than {MAXIMUM_CAPTURED} can't be"
    if status == _LYING:
        return f"record of {captured} captured bytes for a frame of {wire}"
    if status == _FRACTION:
        return f"record's fraction of a second is {fraction}, a second or more"
    return f"record cut short: {len(stream) - 16} of {captured} bytes"


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _walk(buffer: Any, at: int, end: int, big: bool, unit: int, start: Any, size: Any, ts: Any, wire: Any) -> Any:
    """List whole records; return (count, where it stopped, status, bytes wanted there)."""
    count = 0
    while count < len(start):
        if at + 16 > end:
            return count, at, _END, 16
        fraction = number(buffer, at + 4, big)
        captured = number(buffer, at + 8, big)
        sent = number(buffer, at + 12, big)
        if captured > MAXIMUM_CAPTURED:
            return count, at, _TOO_LONG, 0
        if captured > sent or sent > MAXIMUM_WIRE:
            return count, at, _LYING, 0
        if fraction * unit >= NANOSECONDS:
            return count, at, _FRACTION, 0
        if at + 16 + captured > end:
            return count, at, _END, 16 + captured
        ts[count] = number(buffer, at, big) * NANOSECONDS + fraction * unit
        start[count] = at + 16
        size[count] = captured
        wire[count] = sent
        count += 1
        at += 16 + captured
    return count, at, _FULL, 0
