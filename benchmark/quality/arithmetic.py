"""Arithmetic on unsigned integers of 32 and 16 bits, as the kernel program does it: no floats, no division but one."""

from __future__ import annotations

import numba
from numba import int64

TICK_SHIFT = 10
LOW = 0xFFFFFFFF


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
    passed = (now - then) & LOW
    return passed if passed < 0x80000000 else 0


@numba.njit(int64(int64, int64), cache=True, nogil=True)  # type: ignore[untyped-decorator]
def ahead(a: int, b: int) -> int:
    """Difference a - b of two u32 that wrap, as a signed 32-bit number (RFC 1982)."""
    return (((a - b) & LOW) ^ 0x80000000) - 0x80000000


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


@numba.njit(int64(int64, int64), cache=True, nogil=True)  # type: ignore[untyped-decorator]
def mean(total: int, count: int) -> int:
    """Total / count, both u32, rounded down; 0 of nothing. Only for closing windows."""
    return total // count if count else 0
