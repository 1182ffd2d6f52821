"""Packets as an image, after NetDiffusion (Jiang et al., SIGMETRICS 2024): a row a packet, a column a bit.

The columns are nPrint's for IPv4, IPv6, TCP, UDP and ICMP less the addresses: 1,088 of them, as published.
Those that never change in training may be left out. Two things are ours: the direction, a column that is 1 for up,
which the published method draws from a Markov chain, and which decides which of two fixed addresses sends; and, where
they are asked for, columns of the time since the packet before, which the published images don't have.
A pixel is 1, 0 or -1 (absent); rows below the last packet are -1 throughout.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from baselines.netdiffusion.gap_bits import BITS, write_gaps
from benchmark.nprint.encoding import Representation, column_names, decode, encode_packets
from benchmark.synthesis.compiler import CLIENT
from benchmark.synthesis.sketch import largest_flow
from benchmark.trace import Packets, Trace

REPRESENTATION = Representation(ipv4=True, ipv6=True, tcp=True, udp=True, icmp=True)
MAXIMUM_LENGTH = 1500
_BLOCKS = REPRESENTATION.blocks()
_NAMES = column_names(REPRESENTATION)
_KEPT = np.array(
    [i for i, name in enumerate(_NAMES) if not name.startswith(("ipv4_src", "ipv4_dst", "ipv6_src", "ipv6_dst"))]
)
# One client and one server; the server's addresses are for documentation (RFC 5737, RFC 3849).
_CLIENT4, _SERVER4 = bytes(CLIENT), bytes([198, 51, 100, 1])
_CLIENT6, _SERVER6 = bytes.fromhex("fd" + "00" * 14 + "02"), bytes.fromhex("20010db8" + "00" * 11 + "01")


@dataclass(frozen=True, eq=False)
class Columns:
    """Which columns an image has.

    used: int64 [used], their places in nPrint's matrix; the direction is the image's last column.
    constant: int8 [1408], the value of every column of the matrix, which those not used keep.
    timed: whether the bits of the gap before the packet stand between these and the direction.
    """

    used: NDArray[np.int64]
    constant: NDArray[np.int8]
    timed: bool = True

    def __len__(self) -> int:
        return len(self.used) + (BITS if self.timed else 0) + 1

    def gap_bits(self, pixels: NDArray[np.int8]) -> NDArray[np.int8]:
        """Return the columns of time of rows, int8 [rows, 8]."""
        return pixels[:, len(self.used) : -1]

    def holds_packet(self, pixels: NDArray[np.int8]) -> NDArray[np.bool_]:
        """Tell packets from padding by the IP header and the direction, which every packet has: bool [rows].

        A row is padding where most of those pixels are absent.
        """
        most: NDArray[np.bool_] = (pixels[:, self._told] >= 0).sum(axis=1) * 3 >= len(self._told)
        return most

    @cached_property
    def _told(self) -> NDArray[np.int64]:
        names = np.array(_NAMES)[self.used]
        network = np.char.startswith(names, "ipv4_") | np.char.startswith(names, "ipv6_")
        options = np.char.startswith(names, "ipv4_opt")
        return np.append(np.flatnonzero(network & ~options), len(self) - 1)


def choose_columns(traces: Sequence[Trace], every: bool = False, timed: bool = True) -> Columns:
    """Return the columns whose bits change over the traces, or, if ``every``, all 1,088; ``timed`` adds the gaps."""
    lowest = np.full(len(_NAMES), 1, np.int8)
    highest = np.full(len(_NAMES), -1, np.int8)
    for trace in traces:
        matrix, _ = _encode_flow(trace)
        if len(matrix):
            lowest = np.minimum(lowest, matrix.min(axis=0))
            highest = np.maximum(highest, matrix.max(axis=0))
    used = _KEPT if every else _KEPT[lowest[_KEPT] < highest[_KEPT]]
    return Columns(used.astype(np.int64), np.minimum(lowest, highest), timed)


def draw_rows(trace: Trace, columns: Columns) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
    """Return the rows of a trace's largest flow, int8 [rows, columns], and the packet behind each, int64 [rows]."""
    matrix, index = _encode_flow(trace)
    parts = [matrix[:, columns.used]]
    if columns.timed:
        ts = trace.packets.ts[index]
        parts.append(write_gaps(np.diff(ts, prepend=ts[:1])))
    parts.append(trace.flows.up[index].astype(np.int8)[:, None])
    return np.concatenate(parts, axis=1), index


def read_rows(pixels: NDArray[np.int8], columns: Columns) -> Packets:
    """Return the packets of an image, int8 [rows, columns], as they are; rows of padding are dropped, times are 0."""
    pixels = pixels[columns.holds_packet(pixels)]
    matrix, up = np.tile(columns.constant, (len(pixels), 1)), pixels[:, -1] > 0
    matrix[:, columns.used] = pixels[:, : len(columns.used)]
    _write_addresses(matrix, up)
    packets = decode(matrix, REPRESENTATION)
    length = np.clip(packets.length, packets.captured, np.maximum(packets.captured, MAXIMUM_LENGTH))
    return replace(packets, length=length.astype(np.int32))


def _encode_flow(trace: Trace) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
    matrix, index = encode_packets(trace.packets, REPRESENTATION)
    own = trace.flows.index[index] == largest_flow(trace)
    return matrix[own], index[own]


def _write_addresses(matrix: NDArray[np.int8], up: NDArray[np.bool_]) -> None:
    for block, first, client, server in (
        ("ipv4", 12, _CLIENT4, _SERVER4),
        ("ipv6", 8, _CLIENT6, _SERVER6),
    ):
        place, _ = _BLOCKS[block]
        present = (matrix[:, 8 * place : 8 * (place + first)] >= 0).mean(axis=1) >= 0.5
        begin = 8 * (place + first)
        bits = np.unpackbits(np.frombuffer(client + server + client, np.uint8)).astype(np.int8)
        width = 8 * len(client)
        cells = slice(begin, begin + 2 * width)
        matrix[present & up, cells] = bits[: 2 * width]
        matrix[present & ~up, cells] = bits[width:]
        matrix[~present, cells] = -1
