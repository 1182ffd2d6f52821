"""What the project ships of its own runs: records, their pictures, and the table and picture of the README."""

from __future__ import annotations

import shutil
from pathlib import Path

from benchmark.harness.store import write_bytes
from benchmark.record import Record
from leaderboard.records import COMMITTED, OWN, ROOT, find_records, read_records
from leaderboard.table import render

README = ROOT / "README.md"
PICTURES = ROOT / "docs" / "pictures"
# Methods whose pictures are shown beside the table.
SHOWN = ("gpt", "netdiffusion")


def keep_records(name: str, budget: str = "default") -> list[Path]:
    """Copy the records of the runs made here, at one budget, to ``leaderboard/records/NAME/``; return the copies.

    Records that were there before are replaced as a whole, so that the folder is one matrix and no more.
    """
    records, _ = read_records(find_records(OWN))
    chosen = [record for record in records if record.choices.get("budget") == budget]
    folder = COMMITTED / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    PICTURES.mkdir(parents=True, exist_ok=True)
    copies = []
    for record in chosen:
        copies.append(folder / f"{record.method}-{record.seed}-{record.cell}.record.json")
        shutil.copyfile(OWN / record.cell / "record.json", copies[-1])
        picture = OWN / record.cell / "picture.png"
        if record.seed == 0 and record.method in SHOWN and picture.exists():
            shutil.copyfile(picture, PICTURES / f"{name}-{_label(record)}.png")
    return copies


def refresh_readme(name: str) -> None:
    """Replace the README's table by that of ``leaderboard/records/NAME/``; all else stays as it is."""
    records, _ = read_records(find_records(COMMITTED / name))
    start, end = f"<!-- table {name} -->", f"<!-- end of table {name} -->"
    text = README.read_text()
    if text.count(start) != 1 or text.count(end) != 1:
        raise ValueError(f"{README}: wants the lines '{start}' and '{end}' once each")
    head, rest = text.split(start)
    tail = rest.split(end)[1]
    write_bytes(README, f"{head}{start}\n\n{render(records, 'github')}\n\n{end}{tail}".encode())


def _label(record: Record) -> str:
    used = [record.choices.get("tokenization", "none")] if "tokenization" in record.config else []
    return "-".join([record.method, *(name for name in used if name not in ("none", "segments"))])
