"""Makes an entry of captures: traces that were made elsewhere, each the answer to a condition."""

from __future__ import annotations

from pathlib import Path

from benchmark.harness.registry import load_corpus
from benchmark.storage.compact import write_traces
from benchmark.trace import Condition
from leaderboard.submitting.answers import read_captures
from leaderboard.submitting.card import Card
from leaderboard.submitting.entry import CARD, SETTINGS, TRACES, check_name
from leaderboard.submitting.resolving import resolve_cell
from leaderboard.submitting.scaffold import make_folder, write_card
from leaderboard.submitting.verification import asked_of

_SETTINGS = """\
# Traces that were made elsewhere: scored as any, marked as not re-runnable.
repair: none # or harness: score what the harness's repair makes of the packets
"""


def asked_conditions(dataset: str, budget: str, root: Path) -> list[Condition]:
    """The conditions that a method is asked for on a dataset at a budget, in order."""
    config, _ = resolve_cell([f"dataset={dataset}", f"budget={budget}", "generator=independent"], root)
    return [condition for batch in asked_of(load_corpus(config, root), config).values() for condition in batch]


def make_captures(name: str, root: Path, card: Card, captures: Path, dataset: str, budget: str) -> Path:
    """Make an entry of the captures in a folder; return its own folder.

    Raises ConfigError for a taken name or a table that doesn't fit, TraceError for a capture that can't be read.
    """
    check_name(name, root)
    traces = read_captures(captures, asked_conditions(dataset, budget, root))

    def fill(folder: Path) -> None:
        write_traces(folder / TRACES, traces)
        (folder / SETTINGS).write_text(_SETTINGS)
        write_card(folder / CARD, card)

    return make_folder(name, root, fill)
