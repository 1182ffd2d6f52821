"""Which cells of the board were confirmed by a re-run."""

from __future__ import annotations

from pathlib import Path

from benchmark.record import Record
from leaderboard.records import ROOT
from leaderboard.submitting.agreement import FIGURES
from leaderboard.submitting.claims import read_claims, values_by_figure
from leaderboard.submitting.entry import Entry, read_entries
from leaderboard.submitting.verdict import Verdict, is_verified, read_verdict


def verified_cells(root: Path = ROOT) -> dict[str, str]:
    """Return cell to mark, for the records of every submission whose verdict stands: it was run again and agreed."""
    marks = {}
    for entry in read_entries(root)[0].values():
        verdict = read_verdict(entry)
        if verdict is None or not is_verified(entry):
            continue
        seeds = ", ".join(map(str, verdict.seeds))
        for record in _confirmed(entry, verdict):
            marks[record.cell] = f"run again on fresh seeds ({seeds}), and agreed"
    return marks


def _confirmed(entry: Entry, verdict: Verdict) -> list[Record]:
    """The records that the verdict is on: of its dataset, budget and corpus, with the very scores that it compared."""
    setting = {"dataset": verdict.dataset, "budget": verdict.budget}
    claims = [record for record in read_claims(entry)[0] if setting.items() <= record.choices.items()]
    claimed = {figure: values for figure, values in values_by_figure(claims).items() if figure in FIGURES}
    same = claimed == verdict.claimed and all(record.corpus == verdict.corpus for record in claims)
    return claims if same else []
