"""Packets as an image, after NetDiffusion (Jiang et al., SIGMETRICS 2024): a row a packet, a column a bit.

The columns are nPrint's for IPv4, IPv6, TCP, UDP and ICMP less the addresses: 1,088 of them, as published.
Those that never change in training may be left out. One column is ours: the direction, 1 for up, which the
published method draws from a Markov chain; it decides which of two fixed addresses sends.
A pixel is 1, 0 or -1 (absent); rows below the last packet are -1 throughout.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmark.nprint.encoding import Representation, column_names, decode, encode_packets
from benchmark.synthesis.compiler import CLIENT
from benchmark.synthesis.sketch import largest_flow
from benchmark.trace import Condition, Packets, Trace

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

    used: int64 [columns - 1], their places in nPrint's matrix; the direction is the image's last column.
    constant: int8 [1408], the value of every column of the matrix, which those not used keep.
    """

    used: NDArray[np.int64]
    constant: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.used) + 1


def choose_columns(traces: Sequence[Trace], every: bool = False) -> Columns:
    """Return the columns whose bits change over the traces, or, if ``every``, all 1,088."""
    lowest = np.full(len(_NAMES), 1, np.int8)
    highest = np.full(len(_NAMES), -1, np.int8)
    for trace in traces:
        matrix, _ = _encode_flow(trace)
        if len(matrix):
            lowest = np.minimum(lowest, matrix.min(axis=0))
            highest = np.maximum(highest, matrix.max(axis=0))
    used = _KEPT if every else _KEPT[lowest[_KEPT] < highest[_KEPT]]
    return Columns(used.astype(np.int64), np.minimum(lowest, highest))


def draw_rows(trace: Trace, columns: Columns) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
    """Return the rows of a trace's largest flow, int8 [rows, columns], and the packet behind each, int64 [rows]."""
    matrix, index = _encode_flow(trace)
    up = trace.flows.up[index].astype(np.int8)
    return np.column_stack([matrix[:, columns.used], up]), index


def read_rows(pixels: NDArray[np.int8], columns: Columns) -> Packets:
    """Return the packets of an image, int8 [rows, columns], as they are; times are 0.

    A row is padding, and dropped, where most of its pixels are absent that are there in a packet.
    """
    matrix = np.tile(columns.constant, (len(pixels), 1))
    matrix[:, columns.used] = pixels[:, :-1]
    real = _holds_packet(pixels, columns)
    matrix, up = matrix[real], pixels[real, -1] > 0
    _write_addresses(matrix, up)
    packets = decode(matrix, REPRESENTATION)
    length = np.clip(packets.length, packets.captured, np.maximum(packets.captured, MAXIMUM_LENGTH))
    return replace(packets, length=length.astype(np.int32))


def _encode_flow(trace: Trace) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
    matrix, index = encode_packets(trace.packets, REPRESENTATION)
    own = trace.flows.index[index] == largest_flow(trace)
    return matrix[own], index[own]


def _holds_packet(pixels: NDArray[np.int8], columns: Columns) -> NDArray[np.bool_]:
    """Tell packets from padding by the IP header and the direction, which every packet has."""
    names = np.array(_NAMES)[columns.used]
    network = np.char.startswith(names, "ipv4_") | np.char.startswith(names, "ipv6_")
    options = np.char.startswith(names, "ipv4_opt")
    told = np.append(np.flatnonzero(network & ~options), len(columns.used))
    most: NDArray[np.bool_] = (pixels[:, told] >= 0).sum(axis=1) * 3 >= len(told)
    return most


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


class ImageSet:
    """The images that training traces hold: ``rows`` consecutive packets of the largest flow, from any packet on.

    name_class: the class of an image, from its trace's condition and the window it starts in.
    gaps: int64, ns between packets that follow each other.
    """

    def __init__(
        self,
        traces: Sequence[Trace],
        columns: Columns,
        rows: int,
        name_class: Callable[[Condition, int], str],
    ) -> None:
        self.rows = rows
        self.pixels: list[NDArray[np.int8]] = []
        starts: list[NDArray[np.int64]] = []
        names: list[str] = []
        gaps: list[NDArray[np.int64]] = []
        for trace in traces:
            pixels, index = draw_rows(trace, columns)
            gaps.append(np.diff(trace.packets.ts[index]))
            short = max(0, rows - len(pixels))
            self.pixels.append(np.pad(pixels, ((0, short), (0, 0)), constant_values=-1))
            first = np.arange(len(self.pixels[-1]) - rows + 1)
            windows = trace.windows()[index[first]] if len(index) else np.zeros(1, np.int64)
            named = {window: name_class(trace.condition, int(window)) for window in np.unique(windows)}
            starts.append(np.column_stack([np.full(len(first), len(starts)), first]))
            names += [named[window] for window in windows]
        self.starts, self.gaps = np.concatenate(starts), np.concatenate(gaps)
        self.names, self.classes = np.unique(np.array(names), return_inverse=True)

    def shares(self) -> NDArray[np.float64]:
        """Shares of pixels present, and of 1 among those, in each class: [classes + 1, 2 columns].

        Row 0 is all classes together. Half a pixel is added to every count, so that no share is 0 or 1.
        """
        depth = self.pixels[0].shape[1]
        counts = np.zeros((len(self.names), 3, depth))
        for trace, pixels in enumerate(self.pixels):
            own = self.starts[:, 0] == trace
            first, classes = self.starts[own, 1], self.classes[own]
            for name in np.unique(classes):
                rows = pixels[first[classes == name]]
                counts[name, 0] += len(rows)
                counts[name, 1] += (rows >= 0).sum(axis=0)
                counts[name, 2] += (rows > 0).sum(axis=0)
        total, present, ones = np.concatenate([counts.sum(axis=0, keepdims=True), counts]).swapaxes(0, 1)
        return np.concatenate([(present + 0.5) / (total + 1), (ones + 0.5) / (present + 1)], axis=1)

    def draw(self, random: np.random.Generator, count: int) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
        """Return images, int8 [count, rows, columns], and the number of each one's class among ``names``."""
        chosen = random.integers(0, len(self.starts), count)
        images = [self.pixels[trace][first : first + self.rows] for trace, first in self.starts[chosen]]
        return np.stack(images), self.classes[chosen]
