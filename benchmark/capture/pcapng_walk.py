"""The compiled walk over pcapng packet blocks, and the clocks that stamp them."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from benchmark.capture.bytestream import number
from benchmark.capture.frames import MAXIMUM_CAPTURED, MAXIMUM_WIRE
from benchmark.trace import NANOSECONDS

SECTION = 0x0A0D0D0A
INTERFACE, OBSOLETE, SIMPLE, ENHANCED = 1, 2, 3, 6
FIXED = {SECTION: 28, INTERFACE: 20, OBSOLETE: 32, SIMPLE: 16, ENHANCED: 32}

# A packet or a description longer than this is corrupt; only blocks that are passed over may be longer.
MAXIMUM_BLOCK = 1 << 20
MAXIMUM_INTERFACES = 4096
RECORD_ROWS = 1 << 16
# Seconds that int64 nanoseconds can hold.
MAXIMUM_SECONDS = 9_223_372_035

END, FULL, STRUCTURE, LENGTH, TRAILER, NO_INTERFACE, LINK, TOO_LONG, LYING, TIME = range(10)

# One row an interface. power: the clock counts 10**-power or, where binary, 2**-power seconds.
INTERFACE_ROW = np.dtype(
    [
        ("link", "i4"),
        ("readable", "u1"),
        ("binary", "u1"),
        ("power", "i8"),
        ("offset", "i8"),
        ("snaplen", "i8"),
    ]
)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def clock_nanoseconds(high: Any, low: Any, interface: Any) -> Any:
    """Turn a clock reading into (whether int64 nanoseconds hold it, ns since the epoch), rounded down."""
    units = (np.uint64(high) << np.uint64(32)) | np.uint64(low)
    billion = np.uint64(NANOSECONDS)
    power = interface["power"]
    if interface["binary"]:
        seconds = units >> np.uint64(power) if power < 64 else np.uint64(0)
        part = units - (seconds << np.uint64(power)) if power < 64 else units
        # part is below 2**power: in two halves, its product with a billion keeps within 64 bits.
        upper, lower = part >> np.uint64(32), part & np.uint64(0xFFFFFFFF)
        if power < 32:
            fraction = (part * billion) >> np.uint64(power)
        elif power < 96:
            fraction = (upper * billion + ((lower * billion) >> np.uint64(32))) >> np.uint64(power - 32)
        else:
            fraction = np.uint64(0)
    elif power > 19:
        seconds, fraction = np.uint64(0), np.uint64(0)
        if power < 29:
            scale = np.uint64(1)
            for _ in range(power - 19):
                scale *= np.uint64(10)
            fraction = units // scale // np.uint64(10_000_000_000)
            seconds = fraction // billion
            fraction -= seconds * billion
    else:
        scale = np.uint64(1)
        for _ in range(power):
            scale *= np.uint64(10)
        seconds = units // scale
        part = units - seconds * scale
        fraction = part
        for _ in range(power, 9):
            fraction *= np.uint64(10)
        for _ in range(9, power):
            fraction //= np.uint64(10)
    if seconds > np.uint64(2 * MAXIMUM_SECONDS):
        return False, 0
    whole = np.int64(seconds) + interface["offset"]
    if whole > MAXIMUM_SECONDS or whole < -MAXIMUM_SECONDS:
        return False, 0
    return True, whole * NANOSECONDS + np.int64(fraction)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def walk_packets(
    buffer: Any,
    at: int,
    end: int,
    big: bool,
    interfaces: Any,
    start: Any,
    size: Any,
    ts: Any,
    wire: Any,
    links: Any,
    last: int,
) -> Any:
    """List packets up to a block of another kind; return (count, where it stopped, status, bytes wanted)."""
    count = 0
    while count < len(start):
        if at + 8 > end:
            return count, at, END, 8
        kind = number(buffer, at, big)
        total = number(buffer, at + 4, big)
        if kind not in (ENHANCED, SIMPLE, OBSOLETE):
            return count, at, STRUCTURE, 0
        fixed = 16 if kind == SIMPLE else 32
        if total < fixed or total % 4 or total > MAXIMUM_BLOCK:
            return count, at, LENGTH, 0
        if at + total > end:
            return count, at, END, total
        if number(buffer, at + total - 4, big) != total:
            return count, at, TRAILER, 0
        interface = 0
        if kind == ENHANCED:
            interface = number(buffer, at + 8, big)
        elif kind == OBSOLETE:
            word = number(buffer, at + 8, big)
            interface = word >> 16 if big else word & 0xFFFF
        if interface >= len(interfaces):
            return count, at, NO_INTERFACE, 0
        described = interfaces[interface]
        if not described["readable"]:
            return count, at, LINK, 0
        if kind == SIMPLE:
            sent = number(buffer, at + 8, big)
            captured = min(sent, total - 16)
            if described["snaplen"]:
                captured = min(captured, described["snaplen"])
            # The block holds the captured bytes and at most three of padding.
            if captured + 19 < total:
                return count, at, LYING, 0
            held = True
            moment = last if count == 0 else ts[count - 1]
        else:
            captured = number(buffer, at + 20, big)
            sent = number(buffer, at + 24, big)
            if captured > total - 32:
                return count, at, TOO_LONG, 0
            held, moment = clock_nanoseconds(number(buffer, at + 12, big), number(buffer, at + 16, big), described)
        if captured > MAXIMUM_CAPTURED:
            return count, at, TOO_LONG, 0
        if captured > sent or sent > MAXIMUM_WIRE:
            return count, at, LYING, 0
        if not held:
            return count, at, TIME, 0
        ts[count] = moment
        start[count] = at + (12 if kind == SIMPLE else 28)
        size[count] = captured
        wire[count] = sent
        links[count] = described["link"]
        count += 1
        at += total
    return count, at, FULL, 0
