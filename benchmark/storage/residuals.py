"""Packets as tables of residuals and back, to the byte: what ``benchmark.storage.compact`` stores.

A packet whose bytes follow from its fields (IPv4 without options, TCP or UDP, whole headers) becomes a
column of a ``Table``; any other packet keeps its bytes. A table holds residuals, value minus prediction
modulo the column's width, so that most entries are 0 and compress to nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.checksum import ip_checksums, l4_checksums
from benchmark.flow import assign_flows
from benchmark.storage import columns
from benchmark.storage.assembly import build_packets, count_header_bytes
from benchmark.storage.dissection import copy_rest, extract_fields
from benchmark.storage.prediction import swap_residuals
from benchmark.trace import Packets


@dataclass(frozen=True, eq=False)
class Table:
    """Packets as residuals.

    values: uint32 [len(COLUMNS), n]. rest: uint8, the bytes that no column holds (all of a raw packet, else
    TCP options kept verbatim and captured payload); those of packet i are ``rest[starts[i]:starts[i + 1]]``.
    """

    values: NDArray[np.uint32]
    rest: NDArray[np.uint8]
    starts: NDArray[np.int64]


def table_of(packets: Packets) -> Table:
    """Take packets apart, predicting with times rounded to 1 us; times and link type are not in the table."""
    flows = assign_flows(packets.fields)
    data = np.ascontiguousarray(packets.data)
    count = len(packets)
    values = np.zeros((len(columns.COLUMNS), count), np.uint32)
    sizes = np.zeros(count, np.int64)
    values[columns.LENGTH] = packets.length.astype(np.int32).view(np.uint32)
    values[columns.FLOW] = np.maximum(flows.index, 0)
    values[columns.FORWARD] = flows.up
    extract_fields(data, packets.offsets, packets.length, flows.index, values, sizes)
    plain = values[columns.KIND] != columns.KIND_RAW
    values[columns.FLOW, ~plain] = values[columns.FORWARD, ~plain] = 0
    expected = ip_checksums(data, packets.offsets).astype(np.int64)
    values[columns.IP_CHECKSUM] = np.where(plain, (values[columns.IP_CHECKSUM] - expected) & 0xFFFF, 0)
    expected = l4_checksums(data, packets.offsets, packets.length).astype(np.int64)
    values[columns.L4_CHECKSUM] = np.where(plain, (values[columns.L4_CHECKSUM] - expected) & 0xFFFF, 0)
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    rest = np.zeros(starts[-1], np.uint8)
    copy_rest(data, packets.offsets, starts, rest)
    swap_residuals(values, microseconds_of(packets.ts), max(1, flows.count), backwards=False)
    return Table(values, rest, starts)


def check_table(table: Table) -> str:
    """Say what makes a table of unknown origin impossible to put together, or return ""."""
    values, sizes = table.values, np.diff(table.starts)
    kind, layout = values[columns.KIND], values[columns.LAYOUT]
    if (kind > columns.KIND_UDP).any():
        return "column kind holds an unknown kind"
    if (values[columns.FORWARD] > 1).any():
        return "column forward holds more than 0 and 1"
    if (values[columns.FLOW] >= max(1, len(kind))).any():
        return "column flow holds a number beyond the trace's packets"
    verbatim = (layout >= columns.LAYOUT_VERBATIM) & (layout <= columns.LAYOUT_VERBATIM + 10)
    tcp, udp = kind == columns.KIND_TCP, kind == columns.KIND_UDP
    if (tcp & (layout > columns.LAYOUT_SACK + 3) & ~verbatim).any() or (udp & (layout > columns.LAYOUT_RTP)).any():
        return "column layout holds an unknown layout"
    if (tcp & verbatim & (sizes < 4 * (layout.astype(np.int64) - columns.LAYOUT_VERBATIM))).any():
        return "column rest is shorter than the options that it should hold"
    return ""


def microseconds_of(ts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Round times in ns to the nearest microsecond, halves up; int64 [n]."""
    return np.asarray(ts // 1000 + (ts % 1000 >= 500), np.int64)


def packets_of(table: Table, microseconds: NDArray[np.int64], link: int) -> Packets:
    """Put packets together from a table that passed ``check_table``; microseconds: int64 [n]."""
    values = table.values.copy()
    count = values.shape[1]
    flows = int(values[columns.FLOW].max(initial=0)) + 1
    swap_residuals(values, microseconds, flows, backwards=True)
    headers = np.zeros(count, np.int64)
    count_header_bytes(values, headers)
    offsets = np.concatenate([[0], np.cumsum(headers + np.diff(table.starts))]).astype(np.int64)
    data = np.zeros(offsets[-1], np.uint8)
    build_packets(values, table.rest, table.starts, headers, offsets, data)
    length = np.ascontiguousarray(values[columns.LENGTH]).view(np.int32)
    plain = np.flatnonzero(values[columns.KIND] != columns.KIND_RAW)
    at = offsets[plain]
    sums = ip_checksums(data, offsets)[plain] + values[columns.IP_CHECKSUM, plain].astype(np.uint16)
    data[at + 10], data[at + 11] = sums >> 8, sums & 0xFF
    at = at + np.where(values[columns.KIND, plain] == columns.KIND_TCP, 36, 26)
    sums = l4_checksums(data, offsets, length)[plain] + values[columns.L4_CHECKSUM, plain].astype(np.uint16)
    data[at], data[at + 1] = sums >> 8, sums & 0xFF
    return Packets(microseconds * 1000, length, data, offsets, link)
