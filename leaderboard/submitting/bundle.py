"""The record bundle of a submission, and the text of its pull request."""

from __future__ import annotations

import re
import shutil
import statistics
from collections.abc import Sequence
from pathlib import Path

from tabulate import tabulate

from benchmark.errors import ConfigError
from benchmark.harness.store import write_bytes
from benchmark.record import Record, RecordError, read_record
from leaderboard.submitting.agreement import FIGURES, LEAST_SEEDS
from leaderboard.submitting.claims import read_claims, values_by_figure
from leaderboard.submitting.entry import PLACE, RECORDS, VERDICT, Entry


def keep_claims(entry: Entry, results: Path, dataset: str, budget: str) -> list[Record]:
    """Copy the records of an entry's runs beside it, in place of those that were there; return them, by seed.

    Raises ConfigError where too few seeds ended well, with the command that runs them.
    """
    chosen: dict[int, Path] = {}
    for path in sorted(results.rglob("*record.json")):
        try:
            record = read_record(path)
        except RecordError:
            continue
        mine = record.config.get("generator") == entry.node and record.status == "ok"
        if mine and record.choices.get("dataset") == dataset and record.choices.get("budget") == budget:
            chosen[record.seed] = path
    command = f"python run.py -m generator={entry.name} dataset={dataset} budget={budget} seed=0,1,2"
    if (len(chosen) < LEAST_SEEDS and entry.kind == "method") or not chosen:
        raise ConfigError(
            f"{results}: {len(chosen)} seeds of {entry.name} as it stands ended well at dataset={dataset} "
            f"budget={budget}, and {LEAST_SEEDS} are wanted; run `{command}`"
        )
    folder = entry.folder / RECORDS
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for seed, path in sorted(chosen.items()):
        write_bytes(folder / f"{budget}-{seed}.record.json", path.read_bytes())
    records, faults = read_claims(entry)
    if faults:
        raise ConfigError(faults[0])
    return sorted(records, key=lambda record: record.seed)


def write_request(entry: Entry, records: Sequence[Record], out: Path) -> Path:
    """Write the text of the pull request; return the file."""
    folder = out / entry.name
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "pull_request.md"
    write_bytes(path, request_text(entry, records).encode())
    return path


def request_text(entry: Entry, records: Sequence[Record]) -> str:
    """The text of a pull request: card, scores claimed, how to verify them."""
    card, first = entry.card, records[0]
    facts = [
        ("authors", ", ".join(card.authors)), ("paper", card.paper), ("licence", card.licence), ("data", card.data),
        ("made with", card.made_with), ("contact", card.contact), ("kind", entry.kind),
        ("corpus", f"{first.corpus.get('name')} {str(first.corpus.get('digest'))[:16]}"),
        ("code", f"{str(first.code.get('revision'))[:12]}{' with changes' if first.code.get('dirty') else ''}"),
        ("entry", entry.digest[:16]),
    ]  # fmt: skip
    values = values_by_figure(records)
    rows = [
        (figure, f"{statistics.fmean(values[figure]):.3f}", _spread(values[figure]), len(values[figure]))
        for figure in FIGURES
        if figure in values
    ]
    setting = f"dataset={first.choices['dataset']} budget={first.choices['budget']}"
    again = (
        f"`python -m leaderboard verify {entry.name} --dataset {first.choices['dataset']} "
        f"--budget {first.choices['budget']}` runs it again in a sandbox."
        if entry.kind == "method"
        else "These traces were made elsewhere: they are scored as any, and can't be run again."
    )
    return "\n".join(
        [
            f"# Submission: {entry.name}", "", _plain(card.summary), "",
            *(f"- {name}: {_plain(value)}" for name, value in facts if value), "",
            f"Claimed, {setting}, seeds {', '.join(str(record.seed) for record in records)}:", "",
            tabulate(rows, ("figure", "mean", "spread", "seeds"), tablefmt="github", disable_numparse=True), "",
            f"{again} Files: `{PLACE}/{entry.name}/`; `{VERDICT}` is the maintainers' to write.", "",
        ]
    )  # fmt: skip


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.stdev(values):.3f}" if len(values) > 1 else "–"


def _plain(text: str) -> str:
    """Text of a stranger as one line without markup."""
    return re.sub(r"([\\`*_\[\]<>#|!])", r"\\\1", " ".join(text.split()))
