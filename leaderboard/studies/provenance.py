"""What the figures of a page rest on, in a paragraph: records, seeds, corpus, versions, machines; and how to read."""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.record import Record
from leaderboard.board import Arena
from leaderboard.studies.evidence import Entry, Evidence
from leaderboard.studies.measures import MEASURES
from leaderboard.studies.page import Section, escape, listed, plural, table

READING = (
    "Brackets are intervals of 95 % over seeds and test traces together. Who is ahead is told from paired differences "
    "over the seeds and test traces that both have, corrected for the number of pairs (Holm), and from three seeds at "
    "least; where that tells nothing, the sentence says so, whichever mean is higher."
)


def told_by(evidence: Evidence, command: str, folder: str) -> str:
    """The paragraph under a page's title."""
    written = f"`{command}` writes this page from the records in `{escape(folder)}`; no figure on it is typed by hand."
    return f"{written} {setting(evidence.arena, evidence.records)}\n\n{READING}"


def setting(arena: Arena | None, records: Sequence[Record]) -> str:
    """A sentence on what an arena's figures are of."""
    if arena is None:
        return ""
    seeds = sorted({record.seed for record in records})
    versions = listed([f"{escape(family)} {version}" for family, version in sorted(arena.versions.items())])
    machines = sorted({_machine(record) for record in records})
    return (
        f"{plural(len(records), 'cell')}, seeds {', '.join(map(str, seeds))}, at {escape(arena.title)}, corpus "
        f"{escape(arena.digest[:12])}, on {escape('; '.join(machines))}; versions of metrics: {versions}."
    )


def results(entries: Sequence[Entry], metrics: Sequence[str], heading: str) -> str:
    """A table of entries by metrics; a column that nobody has a value of is left out."""

    columns = [metric for metric in metrics if any(entry.scores(metric) is not None for entry in entries)]
    headings = [heading, "seeds", *(MEASURES[metric].heading for metric in columns)]
    rows = [
        [_titled(entry), str(len(entry.row.seeds)), *(entry.text(metric) for metric in columns)] for entry in entries
    ]
    return table(headings, rows)


def reasons(entries: Sequence[Entry]) -> list[str]:
    """Why entries aren't compared, and what is to be known of their samples: a list, empty where there is nothing."""
    lines = []
    for entry in entries:
        if not entry.competes:
            lines.append(f"- {escape(entry.name)} isn't compared: {escape(entry.row.unranked_reason[:300])}.")
        if entry.row.notes:
            lines.append(f"- {escape(entry.name)}: its samples are {escape(listed(entry.row.notes))}.")
    return ["\n".join(lines)] if lines else []


def nothing(title: str, question: str, lack: str) -> Section:
    """A section that the records have nothing for."""
    return Section(title, question, lacks=[lack])


def _titled(entry: Entry) -> str:
    return f"{entry.name} ({entry.row.part})" if entry.row.part else entry.name


def _machine(record: Record) -> str:
    processor, cores = record.machine.get("processor"), record.machine.get("cores")
    return f"{processor or 'a machine that the records do not name'}" + (f" ({cores} cores)" if cores else "")
