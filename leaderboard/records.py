"""Finds and reads records; what can't be read is named and left out."""

from __future__ import annotations

from pathlib import Path

from benchmark.harness.machine import boot_id
from benchmark.record import DIED, Record, RecordError, read_record

ROOT = Path(__file__).resolve().parents[1]
OWN, COMMITTED = ROOT / "results" / "cells", ROOT / "leaderboard" / "records"


def find_records(folder: Path | None = None) -> list[Path]:
    """List record files: those below ``folder``; else of the runs made here; else those that the project ships."""
    if folder is not None:
        return sorted({*folder.rglob("record.json"), *folder.rglob("*.record.json")})
    own = sorted(OWN.glob("*/record.json"))
    return own or sorted(COMMITTED.rglob("*.record.json"))


def read_records(paths: list[Path]) -> tuple[list[Record], list[str]]:
    """Read records; return those that are sound, and a sentence for each that isn't."""
    records: list[Record] = []
    faults: list[str] = []
    for path in paths:
        try:
            records.append(read_record(path))
        except RecordError as error:
            faults.append(str(error))
    return records, faults


def state_of(record: Record) -> str:
    """Return the record's status, or "running" where the process that opened it is at work on it still."""
    if record.reason != DIED or record.boot != boot_id():
        return record.status
    return "running" if Path(f"/proc/{record.pid}").exists() else record.status
