"""Packets put together from the columns of ``benchmark.storage.columns``, all but their checksums."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from benchmark.storage import columns
from benchmark.wire import TCP, UDP


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _write(data: Any, at: Any, size: int, value: Any) -> None:
    for k in range(size):
        data[at + k] = (np.int64(value) >> (8 * (size - 1 - k))) & 0xFF


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def count_header_bytes(values: Any, headers: Any) -> None:
    """Count the bytes of each packet that come from columns."""
    for i in range(len(headers)):
        layout = np.int64(values[columns.LAYOUT, i])
        if values[columns.KIND, i] == columns.KIND_TCP:
            headers[i] = 40 + (0 if layout >= columns.LAYOUT_VERBATIM else columns.option_bytes(layout))
        elif values[columns.KIND, i] == columns.KIND_UDP:
            headers[i] = 28 + (16 if layout == columns.LAYOUT_RTP else 0)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def build_packets(values: Any, rest: Any, starts: Any, headers: Any, offsets: Any, data: Any) -> None:
    """Write every packet's bytes into ``data``, zeros, with two zero bytes for each checksum.

    values: uint32 [len(COLUMNS), n], not residuals. rest, starts: as in ``benchmark.storage.residuals.Table``.
    headers: int64 [n], as counted by ``count_header_bytes``. offsets: int64 [n + 1].
    """
    for i in range(len(headers)):
        at = offsets[i]
        size = starts[i + 1] - starts[i]
        for k in range(size):
            data[at + headers[i] + k] = rest[starts[i] + k]
        kind, layout = values[columns.KIND, i], np.int64(values[columns.LAYOUT, i])
        if kind == columns.KIND_RAW:
            continue
        data[at] = 0x45
        data[at + 1] = values[columns.TOS, i]
        _write(data, at + 2, 2, values[columns.LENGTH, i])
        _write(data, at + 4, 2, values[columns.IDENTIFICATION, i])
        _write(data, at + 6, 2, values[columns.FRAGMENT, i])
        data[at + 8] = values[columns.TTL, i]
        data[at + 9] = TCP if kind == columns.KIND_TCP else UDP
        _write(data, at + 12, 4, values[columns.SOURCE, i])
        _write(data, at + 16, 4, values[columns.DESTINATION, i])
        _write(data, at + 20, 2, values[columns.SPORT, i])
        _write(data, at + 22, 2, values[columns.DPORT, i])
        at += 20
        if kind == columns.KIND_UDP:
            _write(data, at + 4, 2, np.int64(values[columns.LENGTH, i]) - 20)
            if layout == columns.LAYOUT_RTP:
                _write(data, at + 8, 2, values[columns.RTP, i])
                _write(data, at + 10, 2, values[columns.RTP + 1, i])
                for k in range(3):
                    _write(data, at + 12 + 4 * k, 4, values[columns.RTP + 2 + k, i])
            continue
        _build_tcp(values, layout, headers[i], i, at, data)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _build_tcp(values: Any, layout: Any, headers: Any, i: int, at: Any, data: Any) -> None:
    """Write all of a TCP header but ports and checksum; the header starts at ``at``."""
    words = (headers - 20) // 4
    if layout >= columns.LAYOUT_VERBATIM:
        words = 5 + layout - columns.LAYOUT_VERBATIM
    _write(data, at + 4, 4, values[columns.SEQ, i])
    _write(data, at + 8, 4, values[columns.ACK, i])
    _write(data, at + 12, 2, (words << 12) | (np.int64(values[columns.FLAGS, i]) & 0xFFF))
    _write(data, at + 14, 2, values[columns.WINDOW, i])
    if columns.LAYOUT_TIMESTAMPS <= layout < columns.LAYOUT_SACK:
        _write(data, at + 20, 4, 0x0101080A)
        _write(data, at + 24, 4, values[columns.TS_VALUE, i])
        _write(data, at + 28, 4, values[columns.TS_ECHO, i])
        at += 12
    blocks = columns.sack_blocks(layout)
    if blocks > 0:
        _write(data, at + 20, 4, 0x01010500 + 2 + 8 * blocks)
        for k in range(2 * blocks):
            _write(data, at + 24 + 4 * k, 4, values[columns.SACK + k, i])
