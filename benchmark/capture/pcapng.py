"""The pcapng reader (draft-ietf-opsawg-pcapng): sections, interfaces and packet blocks.

Enhanced, simple and obsolete packet blocks are read; every other block is passed over, whatever its size.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmark.capture.bytestream import ByteStream
from benchmark.capture.frames import (
    READABLE_LINKS,
    Records,
    describe_link,
    locate_ip,
)
from benchmark.capture.pcapng_walk import (
    END,
    FIXED,
    FULL,
    INTERFACE,
    INTERFACE_ROW,
    LENGTH,
    LINK,
    MAXIMUM_BLOCK,
    MAXIMUM_INTERFACES,
    MAXIMUM_SECONDS,
    NO_INTERFACE,
    OBSOLETE,
    RECORD_ROWS,
    SECTION,
    SIMPLE,
    STRUCTURE,
    TIME,
    TOO_LONG,
    TRAILER,
    walk_packets,
)
from benchmark.errors import TraceError

SECTION_HEADER = b"\x0a\x0d\x0d\x0a"


@dataclass
class _Section:
    """What the walk needs to know of the section that it is in."""

    order: str
    interfaces: Any = field(default_factory=lambda: np.zeros(MAXIMUM_INTERFACES, INTERFACE_ROW))
    count: int = 0


def pcapng_records(stream: ByteStream) -> Iterator[Records]:
    """Yield the packets of a pcapng stream in file order; a packet without a time takes the one before's.

    Raises TraceError at the first fault.
    """
    start, size, ts = (np.empty(RECORD_ROWS, np.int64) for _ in range(3))
    wire, links = (np.empty(RECORD_ROWS, np.int32) for _ in range(2))
    section = _read_section(stream, 0)
    seen = 0
    last = 0
    while True:
        big = section.order == ">"
        table = section.interfaces[: section.count]
        count, at, status, wanted = walk_packets(
            stream.buffer, stream.begin, stream.end, big, table, start, size, ts, wire, links, last
        )
        if count:
            rows = slice(count)
            last = int(ts[count - 1])
            ip = locate_ip(stream.buffer, start[rows], size[rows], links[rows])
            yield Records(stream.buffer, start[rows], size[rows], ts[rows], wire[rows], links[rows], ip)
            seen += count
        stream.begin = at
        if status == FULL:
            continue
        if status == END:
            if stream.fill(wanted):
                continue
            if len(stream) == 0:
                return
        elif status == STRUCTURE:
            section = _read_structure(stream, section, seen)
            continue
        raise TraceError(_fault(stream, section, status), stream.path, stream.offset, seen)


def _read_structure(stream: ByteStream, section: _Section, seen: int) -> _Section:
    """Read or pass over the block ahead, which is no packet; return the section that then holds."""
    offset = stream.offset
    head = stream.peek(8)
    kind, total = struct.unpack(section.order + "II", head)
    if kind == SECTION:
        return _read_section(stream, seen)
    if kind == INTERFACE:
        _add_interface(section, _take_block(stream, section.order, kind, seen), stream, offset, seen)
        return section
    if total < 12 or total % 4:
        raise TraceError(f"block of {total} bytes", stream.path, offset, seen)
    whole = stream.skip(total - 4)
    trailer = stream.peek(4) if whole else b""
    if len(trailer) < 4:
        raise TraceError(f"block of {total} bytes cut short", stream.path, offset, seen)
    if trailer != head[4:]:
        raise TraceError(_trailer(total, struct.unpack(section.order + "I", trailer)[0]), stream.path, offset, seen)
    stream.skip(4)
    return section


def _read_section(stream: ByteStream, seen: int) -> _Section:
    mark = stream.peek(12)[8:]
    if len(mark) < 4:
        raise TraceError("section header cut short", stream.path, stream.offset, seen)
    offset = stream.offset
    order = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}.get(mark)
    if order is None:
        raise TraceError(f"byte-order magic {mark.hex(' ')}", stream.path, offset + 8, seen)
    block = _take_block(stream, order, SECTION, seen)
    major, minor = struct.unpack(order + "HH", block[12:16])
    if major != 1:
        raise TraceError(f"pcapng version {major}.{minor}, where 1.x is known", stream.path, offset + 12, seen)
    return _Section(order)


def _take_block(stream: ByteStream, order: str, kind: int, seen: int) -> bytes:
    """Return the whole block ahead and pass it, its length checked against limit, file and trailer."""
    offset = stream.offset
    total = struct.unpack(order + "I", stream.peek(8)[4:])[0]
    if total < FIXED[kind] or total % 4 or total > MAXIMUM_BLOCK:
        raise TraceError(f"block type {kind:#x} of {total} bytes", stream.path, offset, seen)
    block = stream.peek(total)
    if len(block) < total:
        raise TraceError(f"block cut short: {len(block)} of {total} bytes", stream.path, offset, seen)
    trailer = struct.unpack(order + "I", block[-4:])[0]
    if trailer != total:
        raise TraceError(_trailer(total, trailer), stream.path, offset, seen)
    stream.skip(total)
    return block


def _trailer(total: int, trailer: int) -> str:
    return f"block says {total} bytes at its start, {trailer} at its end"


def _add_interface(section: _Section, block: bytes, stream: ByteStream, offset: int, seen: int) -> None:
    """Append the interface that a block describes. Options 9 and 14 tell its clock, 0 ends them."""
    if section.count == MAXIMUM_INTERFACES:
        raise TraceError(f"more than {MAXIMUM_INTERFACES} interfaces", stream.path, offset, seen)
    order = section.order
    link, _, snaplen = struct.unpack(order + "HHI", block[8:16])
    resolution, shift = 6, 0
    at, end = 16, len(block) - 4
    while at + 4 <= end:
        code, size = struct.unpack(order + "HH", block[at : at + 4])
        value = block[at + 4 : at + 4 + size]
        if code == 0:
            break
        if at + 4 + size > end:
            raise TraceError(f"interface option {code} of {size} bytes overruns its block", stream.path, offset, seen)
        if code == 9 and size == 1:
            resolution = value[0]
        elif code == 14 and size == 8:
            shift = struct.unpack(order + "q", value)[0]
        at += 4 + (size + 3) // 4 * 4
    if abs(shift) > MAXIMUM_SECONDS:
        raise TraceError(f"interface's clock is {shift} seconds off", stream.path, offset, seen)
    binary, power = resolution >> 7, resolution & 0x7F
    section.interfaces[section.count] = (link, link in READABLE_LINKS, binary, power, shift, snaplen)
    section.count += 1


def _fault(stream: ByteStream, section: _Section, status: int) -> str:
    """Say what is wrong with the block that the stream stands at."""
    head = stream.peek(32)
    if len(head) < 8:
        return f"block header cut short: {len(head)} of 8 bytes"
    kind, total = struct.unpack(section.order + "II", head[:8])
    if status == END:
        return f"block type {kind:#x} cut short: {len(stream)} of {total} bytes"
    if status == LENGTH:
        return f"block type {kind:#x} of {total} bytes"
    if status == TRAILER:
        return _trailer(total, struct.unpack(section.order + "I", stream.peek(total)[-4:])[0])
    width = "H" if kind == OBSOLETE else "I"
    interface = 0 if kind == SIMPLE else struct.unpack_from(section.order + width, head, 8)[0]
    if status == NO_INTERFACE:
        return f"packet of interface {interface}, where {section.count} are described"
    if status == LINK:
        return describe_link(int(section.interfaces["link"][interface]))
    if status == TIME:
        return "packet's time lies beyond what nanoseconds since 1970 can hold (year 2262)"
    captured, wire = struct.unpack_from(section.order + "II", head, 20)
    if status == TOO_LONG:
        return f"packet of {captured} captured bytes in a block of {total}"
    if kind == SIMPLE:
        wire = struct.unpack_from(section.order + "I", head, 8)[0]
        return f"simple packet of {wire} bytes in a block of {total}"
    return f"packet of {captured} captured bytes for a frame of {wire}"
