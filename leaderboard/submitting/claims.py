"""The records that an entry brings along: what its authors measured, checked for being records of this very entry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark.harness.stage import cell_id, stage_keys
from benchmark.record import Record, RecordError, read_record
from leaderboard.submitting.entry import RECORDS, Entry


def read_claims(entry: Entry) -> tuple[list[Record], list[str]]:
    """Read an entry's records; return those that are sound, and a sentence for each that isn't.

    A record is sound if its id is that of its config, its config is the entry's own, and it ended well. What it says
    its scores are is only a claim.
    """
    found: list[Record] = []
    faults: list[str] = []
    for path in sorted((entry.folder / RECORDS).glob("*.record.json")):
        try:
            record = read_record(path)
            fault = _fault(record, entry)
        except RecordError as error:
            faults.append(str(error))
            continue
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            faults.append(f"{path}: not a record of a cell ({type(error).__name__}: {error})")
            continue
        if fault:
            faults.append(f"{path}: {fault}")
        else:
            found.append(record)
    return found, faults


def _fault(record: Record, entry: Entry) -> str:
    if record.method != entry.name or record.config["generator"] != entry.node:
        return "isn't of this entry as it stands; run it again"
    if cell_id(record.config) != record.cell:
        return f"its id isn't that of its config, which is {cell_id(record.config)}"
    if record.config.get("seed") != record.seed:
        return "its seed isn't that of its config"
    if record.status != "ok":
        return f"its status is {record.status}"
    return ""


def stale_reason(record: Record, config: Mapping[str, Any], independent: Mapping[str, Any], root: Path) -> str:
    """Say why a claim was made by other code, on another corpus or by other metrics than are here; "" where it wasn't.

    config, independent: the resolved configs of the claim's cell and of its independent reference.
    """
    keys = stage_keys(config, independent, root)
    for stage in ("fit", "sample", "score"):
        if record.stages.get(stage, {}).get("key") != keys.of(stage):
            return f"its {stage} was made by other code, settings or data than are here now"
    return ""


def values_by_figure(records: Sequence[Record]) -> dict[str, list[float]]:
    """Scores of records by metric, a value a record that has one."""
    found: dict[str, list[float]] = {}
    for record in records:
        for metric in record.scores:
            value = record.value(metric)
            if isinstance(value, int | float) and not isinstance(value, bool):
                found.setdefault(metric, []).append(float(value))
    return found
