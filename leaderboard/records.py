"""Finds and reads records; what can't be read, or isn't sound, is named and left out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmark.record import DIED, Record, RecordError, boot_id, read_record
from leaderboard.soundness import Unsound, check_record

ROOT = Path(__file__).resolve().parents[1]
OWN, COMMITTED = ROOT / "results" / "cells", ROOT / "leaderboard" / "records"
SUBMISSIONS = ROOT / "leaderboard" / "submissions"
# A record of a thousand test traces has about 3 MB.
LARGEST = 16 * 2**20


def find_records(folder: Path | None = None) -> list[Path]:
    """List record files: those below ``folder``; else of the runs made here; else those shipped and submitted."""
    if folder is not None:
        return sorted({*folder.rglob("record.json"), *folder.rglob("*.record.json")})
    own = sorted(OWN.glob("*/record.json"))
    return own or [*sorted(COMMITTED.rglob("*.record.json")), *sorted(SUBMISSIONS.glob("*/records/*.record.json"))]


def read_records(paths: Sequence[Path], base: Path = ROOT) -> tuple[list[Record], list[str]]:
    """Read records; return those that are sound, and a sentence for each that isn't.

    base: the folder that sentences name files from. A cell that several files tell of is one record: the one that
    ended last. A submission's records are of its own method alone.
    """
    found: dict[str, tuple[Record, str]] = {}
    faults: list[str] = []
    for path in paths:
        name = _name(path, base)
        try:
            record = _read(path)
        except (RecordError, Unsound) as error:
            faults.append(f"{name}: {str(error).removeprefix(f'{path}: ')}")
            continue
        known = found.get(record.cell)
        if known is None or known[0] == record:
            found[record.cell] = (record, name)
            continue
        older, newer = sorted([known, (record, name)], key=lambda pair: (pair[0].ended, pair[1]))
        found[record.cell] = newer
        faults.append(f"{older[1]}: cell {record.cell} is in {newer[1]} too, which ended last")
    return [record for record, _ in found.values()], [printable(fault) for fault in faults]


def read_one(path: Path) -> Record:
    """Read the record at ``path``. Raises RecordError or Unsound."""
    return _read(path)


def state_of(record: Record) -> str:
    """Return the record's status, or "running" where the process that opened it is at work on it still."""
    if record.reason != DIED or record.boot != boot_id():
        return record.status
    return "running" if Path(f"/proc/{record.pid}").exists() else record.status


def printable(text: str, also: str = "") -> str:
    """Return text without what a terminal would act on; letters of ``also``, such as a line's end, stay."""
    return "".join(letter if letter.isprintable() or letter in also else "?" for letter in text)


def select(records: Iterable[Record], **chosen: str | None) -> list[Record]:
    """Return the records whose choices are those given, by axis; None is any."""
    return [
        record
        for record in records
        if all(wanted is None or record.choices.get(axis) == wanted for axis, wanted in chosen.items())
    ]


def _read(path: Path) -> Record:
    # A pipe or a device would never end.
    if not path.is_file():
        raise RecordError(f"{path}: not a file")
    if (size := path.stat().st_size) > LARGEST:
        raise RecordError(f"{path}: {size} bytes, a record has at most {LARGEST}")
    record = read_record(path)
    check_record(record)
    if path.is_relative_to(SUBMISSIONS) and path.relative_to(SUBMISSIONS).parts[0] != record.method:
        raise RecordError(f"{path}: a record of '{record.method}' in the submission of another method")
    return record


def _name(path: Path, base: Path) -> str:
    for folder in (base, ROOT):
        if path.is_relative_to(folder):
            return str(path.relative_to(folder))
    return path.name
