"""Which cells of the board were confirmed by a re-run."""

from __future__ import annotations

from pathlib import Path

from leaderboard.records import ROOT
from leaderboard.submitting.claims import read_claims
from leaderboard.submitting.entry import read_entries
from leaderboard.submitting.verdict import is_verified, read_verdict


def verified_cells(root: Path = ROOT) -> dict[str, str]:
    """Return cell to mark, for the records of every submission whose verdict stands: it was run again and agreed."""
    marks = {}
    for entry in read_entries(root)[0].values():
        verdict = read_verdict(entry)
        if verdict is None or not is_verified(entry):
            continue
        seeds = ", ".join(map(str, verdict.seeds))
        for record in read_claims(entry)[0]:
            marks[record.cell] = f"run again on fresh seeds ({seeds}), and agreed"
    return marks
