"""Captures with conditions: which capture answers what was asked, read from strangers with bounds on all of it."""

from __future__ import annotations

import csv
import ipaddress
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.capture.pcap import read_packets
from benchmark.errors import ConfigError, TraceError
from benchmark.storage.description import describe
from benchmark.trace import NANOSECONDS, Condition, Packets, Trace, join_packets

TABLES = ("answers.csv", "answers.json")
_TABLE_BYTES, _CAPTURE_BYTES, _ALL_BYTES = 1 << 22, 1 << 28, 1 << 32
_MOST_PACKETS = 2_000_000  # of one trace, as the harness allows a method
# Later than asked by this much is a slip of rounding.
_SLACK = 0.001


@dataclass(frozen=True)
class Answer:
    """One line of the table. condition: its number in the conditions. client: prefix of the client's address, or ""."""

    file: str
    condition: int
    client: str


def write_conditions(path: Path, conditions: Sequence[Condition]) -> None:
    """Write what is asked for, numbered, as JSON: application, duration, window and labels of each."""
    listed = []
    for number, condition in enumerate(conditions):
        asked = describe(Trace("", join_packets([]), condition))
        wanted = {name: asked[name] for name in ("application", "duration", "window", "labels")}
        listed.append({"condition": number, **wanted})
    path.write_text(json.dumps({"conditions": listed}, indent=1) + "\n")


def read_answers(folder: Path) -> list[Answer]:
    """Read the table beside the captures. Raises ConfigError naming the file and the line."""
    path = next((folder / name for name in TABLES if (folder / name).is_file()), None)
    if path is None:
        raise ConfigError(f"{folder}: neither {' nor '.join(TABLES)} says which condition each capture answers")
    if path.stat().st_size > _TABLE_BYTES:
        raise ConfigError(f"{path}: over {_TABLE_BYTES >> 20} MiB")
    try:
        rows = _rows(path)
    except (ValueError, RecursionError, csv.Error) as error:
        raise ConfigError(f"{path}: not readable ({error})") from None
    answers = [_answer(row, f"{path} entry {number + 1}") for number, row in enumerate(rows)]
    doubled = {a.condition for a in answers if sum(b.condition == a.condition for b in answers) > 1}
    if doubled:
        raise ConfigError(f"{path}: condition {min(doubled)} is answered twice")
    return answers


def _rows(path: Path) -> list[Any]:
    if path.suffix == ".csv":
        with open(path, newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, list):
        raise ValueError("a list of objects is wanted")
    return content


def _answer(row: Any, where: str) -> Answer:
    if not isinstance(row, dict) or not {"file", "condition"} <= set(row):
        raise ConfigError(f"{where}: the columns are file, condition and, where known, client")
    try:
        number = int(row["condition"])
    except (TypeError, ValueError):
        raise ConfigError(f"{where}: condition '{row['condition']}' isn't a number") from None
    client = str(row.get("client") or "")
    if client:
        try:
            ipaddress.ip_network(client, strict=False)
        except ValueError:
            raise ConfigError(f"{where}: client '{client}' isn't an address or a prefix") from None
    return Answer(str(row["file"]), number, client)


def read_captures(folder: Path, conditions: Sequence[Condition]) -> list[Trace]:
    """Read the captures of a folder as the traces that answer ``conditions``, in order of the conditions.

    Raises ConfigError for a table or a file that can't be used, TraceError for a capture that can't be read or that
    isn't what was asked: longer than the duration, empty, or with too many packets.
    """
    traces: dict[int, Trace] = {}
    left = _ALL_BYTES
    for answer in read_answers(folder):
        if not 0 <= answer.condition < len(conditions):
            raise ConfigError(f"{folder}: '{answer.file}' answers condition {answer.condition}, which wasn't asked")
        path = folder / answer.file
        if path.name != answer.file or path.is_symlink() or not path.is_file():
            raise ConfigError(f"{folder}: '{answer.file}' isn't a plain file in this folder")
        size = path.stat().st_size
        left -= size
        if size > _CAPTURE_BYTES or left < 0:
            raise ConfigError(f"{path}: over {_CAPTURE_BYTES >> 20} MiB, or {_ALL_BYTES >> 30} GiB with the others")
        traces[answer.condition] = _trace(path, answer, conditions[answer.condition])
    missing = sorted(set(range(len(conditions))) - set(traces))
    if missing:
        raise ConfigError(f"{folder}: no capture answers condition {missing[0]} ({len(missing)} are missing)")
    return [traces[number] for number in sorted(traces)]


def _trace(path: Path, answer: Answer, condition: Condition) -> Trace:
    packets = read_packets(path)
    fault = capture_fault(packets, condition)
    if fault:
        raise TraceError(fault, path)
    return Trace(f"captured-{answer.condition:04d}", packets, condition, answer.client)


def capture_fault(packets: Packets, condition: Condition) -> str:
    """Say what is wrong with packets as the answer to a condition, "" where nothing is."""
    if not len(packets):
        return "holds no IP packet"
    if len(packets) > _MOST_PACKETS:
        return f"holds more than {_MOST_PACKETS} packets"
    if packets.ts.min() < 0:
        return "has a packet from before its beginning"
    last = packets.ts.max() / NANOSECONDS
    if not math.isfinite(last) or last > condition.duration + _SLACK:
        return f"lasts {last:.3f} s, and {condition.duration:g} s were asked for"
    return ""
