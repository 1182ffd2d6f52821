"""Packets from a table of header fields that tshark wrote, as VCAML publishes its calls.

A row is a packet; times, addresses, ports, lengths and the RTP header come from it, the rest of the header is what
a plain packet has. Rows that aren't UDP over IPv4 in one piece are left out and counted.
"""

from __future__ import annotations

import csv
import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import CorpusError
from benchmark.trace import Packets

COLUMNS = (
    "frame.time_relative", "frame.time_epoch", "ip.src", "ip.dst", "ip.proto", "ip.len", "udp.srcport",
    "udp.dstport", "udp.length", "rtp.ssrc", "rtp.timestamp", "rtp.seq", "rtp.p_type", "rtp.marker",
)  # fmt: skip
_NEEDED = ("frame.time_epoch", "ip.src", "ip.dst", "ip.proto", "udp.srcport", "udp.dstport", "udp.length")
_UDP, _HEADERS, _RTP = 17, 28, 12
# Addresses that the publishers hashed get stand-ins of this network, in order of appearance.
_STAND_INS = int(ipaddress.ip_address("10.64.0.1"))


@dataclass(frozen=True)
class TableCapture:
    """times: int64 [n] nanoseconds since 1970, in the file's order, of the packets. skipped: rows left out."""

    packets: Packets
    times: NDArray[np.int64]
    skipped: int


def read_tshark_table(path: Path) -> TableCapture:
    """Read a table, comma or tab separated, headed by field names or in VCAML's order without a head.

    The packets' ts is since 1970, in the file's order. Raises CorpusError naming file and line for a bad row.
    """
    rows: list[tuple[int, ...]] = []
    stand_ins: dict[str, int] = {}
    skipped = 0
    for where, row in _rows(path):
        if row["ip.proto"].removesuffix(".0") != str(_UDP) or not row["udp.length"] or "," in row["ip.src"]:
            skipped += 1
            continue
        try:
            rows.append(_packet(row, stand_ins))
        except (ValueError, OverflowError) as error:
            raise CorpusError(f"{where}: {error}") from error
    table = np.array(rows, np.int64).reshape(-1, 11)
    return TableCapture(_packets(table), table[:, 0], skipped)


def _rows(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            first = file.readline()
            file.seek(0)
            reader = csv.reader(file, delimiter="\t" if "\t" in first else ",", strict=True)
            header = COLUMNS if first[:1].isdigit() else tuple(name.strip() for name in next(reader, ()))
            for name in _NEEDED:
                if name not in header:
                    raise CorpusError(f"{path} line 1: column '{name}' is missing")
            for cells in reader:
                where = f"{path} line {reader.line_num}"
                if len(cells) != len(header):
                    raise CorpusError(f"{where}: {len(cells)} cells under {len(header)} columns")
                yield where, dict(zip(header, cells, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CorpusError(f"{path}: not a table of packets ({error})") from error


def _packet(row: dict[str, str], stand_ins: dict[str, int]) -> tuple[int, ...]:
    """Return time, source, destination, ports, IP length, and the RTP header's words (0 without)."""
    whole, _, part = row["frame.time_epoch"].partition(".")
    time = int(whole) * 10**9 + int((part + "0" * 9)[:9])
    ends = [_address(row[name], stand_ins) for name in ("ip.src", "ip.dst")]
    ports = [_number(row[name], 0xFFFF) for name in ("udp.srcport", "udp.dstport")]
    length = 20 + _number(row["udp.length"], 0xFFFF - 20)
    if length < _HEADERS:
        raise ValueError(f"udp.length {row['udp.length']} is less than a UDP header")
    if not row.get("rtp.ssrc") or length < _HEADERS + _RTP:
        return (time, *ends, *ports, length, 0, 0, 0, 0, 0)
    rtp = [_number(row.get(f"rtp.{name}", ""), most) for name, most in (("p_type", 127), ("seq", 0xFFFF))]
    words = [_number(row.get(f"rtp.{name}", ""), 0xFFFFFFFF) for name in ("timestamp", "ssrc")]
    marker = row.get("rtp.marker", "") in ("1", "1.0", "True")
    return (time, *ends, *ports, length, 1, 128 * marker + rtp[0], rtp[1], *words)


def _number(text: str, most: int) -> int:
    """Read the first of a cell's numbers, decimal or hexadecimal; an empty cell is 0."""
    text = text.split(",")[0].removesuffix(".0")
    number = int(text, 0) if text else 0
    if not 0 <= number <= most:
        raise ValueError(f"'{text}' is not a number of at most {most}")
    return number


def _address(text: str, stand_ins: dict[str, int]) -> int:
    try:
        return int(ipaddress.IPv4Address(text))
    except ValueError:
        return stand_ins.setdefault(text, _STAND_INS + len(stand_ins))


def _packets(table: NDArray[np.int64]) -> Packets:
    """Lay out the headers: IPv4 without options, UDP, and 12 bytes of RTP where the row has them."""
    rows = np.zeros((len(table), _HEADERS + _RTP), np.uint8)
    rows[:, 0], rows[:, 8], rows[:, 9] = 0x45, 64, _UDP
    _place(rows, 2, table[:, 5], 2)
    for column, at, size in ((1, 12, 4), (2, 16, 4), (3, 20, 2), (4, 22, 2), (8, 30, 2), (9, 32, 4), (10, 36, 4)):
        _place(rows, at, table[:, column], size)
    _place(rows, 24, table[:, 5] - 20, 2)
    rows[:, 28] = 0x80 * table[:, 6]
    rows[:, 29] = table[:, 7]
    captured = np.where(table[:, 6] > 0, _HEADERS + _RTP, _HEADERS)
    kept = np.arange(_HEADERS + _RTP) < captured[:, None]
    offsets = np.concatenate([[0], np.cumsum(captured)]).astype(np.int64)
    return Packets(table[:, 0].copy(), table[:, 5].astype(np.int32), rows[kept], offsets)


def _place(rows: NDArray[np.uint8], at: int, values: NDArray[np.int64], size: int) -> None:
    for byte in range(size):
        rows[:, at + byte] = (values >> 8 * (size - 1 - byte)) & 0xFF
