"""Bytes of packets taken apart into the columns of ``benchmark.storage.columns``, in one compiled pass."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from benchmark.storage import columns
from benchmark.wire import TCP, UDP


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _read(data: Any, at: Any, size: int) -> Any:
    value = np.int64(0)
    for k in range(size):
        value = (value << 8) | np.int64(data[at + k])
    return value


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def extract_fields(data: Any, offsets: Any, length: Any, flow: Any, values: Any, sizes: Any) -> None:
    """Fill the columns of every packet that its fields describe wholly; the others stay raw.

    flow: int32 [n], -1 where there is none. values: uint32 [len(COLUMNS), n] and sizes: int64 [n], the bytes
    of each packet that no column holds, are filled.
    """
    for i in range(len(length)):
        at, end = offsets[i], offsets[i + 1]
        sizes[i] = end - at
        if flow[i] < 0 or end - at < 28 or data[at] != 0x45 or _read(data, at + 2, 2) != length[i]:
            continue
        l4 = at + 20
        if data[at + 9] == TCP:
            if not _extract_tcp(data, l4, end, values, sizes, i):
                continue
        elif data[at + 9] == UDP:
            if _read(data, l4 + 4, 2) != (length[i] - 20) & 0xFFFF:
                continue
            values[columns.KIND, i] = columns.KIND_UDP
            values[columns.L4_CHECKSUM, i] = _read(data, l4 + 6, 2)
            sizes[i] = end - l4 - 8
            _extract_rtp(data, l4, values, sizes, i)
        else:
            continue
        values[columns.TOS, i] = data[at + 1]
        values[columns.IDENTIFICATION, i] = _read(data, at + 4, 2)
        values[columns.FRAGMENT, i] = _read(data, at + 6, 2)
        values[columns.TTL, i] = data[at + 8]
        values[columns.IP_CHECKSUM, i] = _read(data, at + 10, 2)
        values[columns.SOURCE, i] = _read(data, at + 12, 4)
        values[columns.DESTINATION, i] = _read(data, at + 16, 4)
        values[columns.SPORT, i] = _read(data, l4, 2)
        values[columns.DPORT, i] = _read(data, l4 + 2, 2)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _extract_tcp(data: Any, l4: Any, end: Any, values: Any, sizes: Any, i: int) -> bool:
    header = np.int64(data[l4 + 12] >> 4) * 4
    if header < 20 or l4 + header > end or data[l4 + 18] != 0 or data[l4 + 19] != 0:
        return False
    layout = _tcp_layout(data, l4 + 20, header - 20)
    values[columns.KIND, i] = columns.KIND_TCP
    values[columns.LAYOUT, i] = layout
    values[columns.SEQ, i] = _read(data, l4 + 4, 4)
    values[columns.ACK, i] = _read(data, l4 + 8, 4)
    values[columns.FLAGS, i] = _read(data, l4 + 12, 2) & 0xFFF
    values[columns.WINDOW, i] = _read(data, l4 + 14, 2)
    values[columns.L4_CHECKSUM, i] = _read(data, l4 + 16, 2)
    sizes[i] = end - l4 - header
    if layout >= columns.LAYOUT_VERBATIM:
        sizes[i] = end - l4 - 20
        return True
    at = l4 + 20
    if columns.LAYOUT_TIMESTAMPS <= layout < columns.LAYOUT_SACK:
        values[columns.TS_VALUE, i] = _read(data, at + 4, 4)
        values[columns.TS_ECHO, i] = _read(data, at + 8, 4)
        at += 12
    for k in range(2 * columns.sack_blocks(layout)):
        values[columns.SACK + k, i] = _read(data, at + 4 + 4 * k, 4)
    return True


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _extract_rtp(data: Any, l4: Any, values: Any, sizes: Any, i: int) -> None:
    at = l4 + 8
    if sizes[i] < 16 or data[at] >> 6 != 2 or values[columns.LAYOUT, i] != columns.LAYOUT_NONE:
        return
    values[columns.LAYOUT, i] = columns.LAYOUT_RTP
    values[columns.RTP, i] = _read(data, at, 2)
    values[columns.RTP + 1, i] = _read(data, at + 2, 2)
    for k in range(3):
        values[columns.RTP + 2 + k, i] = _read(data, at + 4 + 4 * k, 4)
    sizes[i] -= 16


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _tcp_layout(data: Any, at: Any, size: Any) -> Any:
    """Tell which layout the option bytes have (RFC 7323 appendix A, RFC 2018 §3)."""
    if size == 0:
        return columns.LAYOUT_NONE
    verbatim = columns.LAYOUT_VERBATIM + size // 4
    left, layout = size, columns.LAYOUT_SACK - 1
    if size >= 12 and _read(data, at, 4) == 0x0101080A:
        left, layout = size - 12, columns.LAYOUT_TIMESTAMPS
        at += 12
    if left == 0:
        return layout
    blocks = (left - 4) // 8
    if left < 12 or left != 4 + 8 * blocks or _read(data, at, 4) != 0x01010500 + 2 + 8 * blocks:
        return verbatim
    return layout + blocks


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def copy_rest(data: Any, offsets: Any, starts: Any, rest: Any) -> None:
    """Copy the last bytes of every packet, as many as ``starts`` leaves room for."""
    for i in range(len(starts) - 1):
        size = starts[i + 1] - starts[i]
        for k in range(size):
            rest[starts[i] + k] = data[offsets[i + 1] - size + k]
