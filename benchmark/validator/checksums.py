"""Checksums as a receiver sees them; the sums are the validator's own, not those of whoever wrote the packet."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from benchmark.validator.findings import L4_CHECKSUM, mark
from benchmark.wire import TCP, UDP


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def judge_checksum(
    data: Any,
    at: int,
    end: int,
    l4: int,
    sent: int,
    protocol: int,
    header: int,
    version: int,
    marks: Any,
    i: int,
) -> None:
    """Judge the TCP or UDP checksum: over what was captured, or with a cut payload taken as zeros."""
    place = at + l4 + (16 if protocol == TCP else 6)
    told = word_at(data, place)
    if protocol == UDP and told == 0:
        if version == 6:
            mark(marks, i, L4_CHECKSUM, 0, 0xFFFF)
        return
    # Pseudo-header: addresses, protocol and layer 4 length (RFC 9293 §3.1, RFC 8200 §8.1).
    total = add_words(data, at + 12, at + 20) if version == 4 else add_words(data, at + 8, at + 40)
    total += np.int64(protocol) + (sent & 0xFFFF) + (sent >> 16)
    stop = at + l4 + (sent if end - at - l4 >= sent else np.int64(header))
    compare_sum(total + add_words(data, at + l4, stop), told, L4_CHECKSUM, marks, i)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def word_at(data: Any, at: int) -> Any:
    """Read the 16-bit word at an offset, in network order."""
    return (np.int64(data[at]) << 8) | np.int64(data[at + 1])


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def add_words(data: Any, start: int, stop: int) -> Any:
    """Sum of 16-bit words, an odd last byte padded with zero (RFC 1071)."""
    total = np.int64(0)
    at = start
    while at + 1 < stop:
        total += (np.int64(data[at]) << 8) + np.int64(data[at + 1])
        at += 2
    if at < stop:
        total += np.int64(data[at]) << 8
    return total


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def compare_sum(total: int, told: int, rule: int, marks: Any, i: int) -> None:
    """Mark the packet unless the words' sum, checksum included, is one's complement zero."""
    due = _fold(total - told) ^ 0xFFFF
    # 0 and 0xFFFF are the same number to a receiver, and RFC 768 swaps them.
    if told != due and not (told in (0, 0xFFFF) and due in (0, 0xFFFF)):
        mark(marks, i, rule, told, due)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _fold(total: int) -> int:
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total
