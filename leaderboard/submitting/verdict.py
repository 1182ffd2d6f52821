"""The verdict on an entry, kept beside it: what a re-run in the sandbox found, void once the entry changes."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from benchmark.harness.store import write_json
from leaderboard.submitting.entry import VERDICT, Entry

SCHEMA = 1
OUTCOMES = ("verified", "disagrees", "refused", "unclaimed")
_BYTES = 1 << 20


@dataclass(frozen=True)
class Verdict:
    """What a re-run found.

    outcome: "verified"; "disagrees" with what was claimed; "refused", since it couldn't be run or broke a rule;
    "unclaimed", where there was no claim to compare with. reason: why it isn't verified.
    entry: digest of the entry's code and settings. isolation: what held the code while it ran.
    claimed, measured: figure to its values, one a seed. comparisons: figure by figure, see ``agreement``.
    seeds: fresh ones, of fit and sampling. corpus: name and digest; metric_versions: family to version.
    """

    outcome: str
    reason: str
    entry: str
    dataset: str = ""
    budget: str = ""
    rule: str = ""
    isolation: dict[str, Any] = field(default_factory=dict)
    seeds: list[int] = field(default_factory=list)
    claimed: dict[str, list[float]] = field(default_factory=dict)
    measured: dict[str, list[float]] = field(default_factory=dict)
    comparisons: list[dict[str, Any]] = field(default_factory=list)
    corpus: dict[str, Any] = field(default_factory=dict)
    metric_versions: dict[str, int] = field(default_factory=dict)
    schema: int = SCHEMA


def write_verdict(entry: Entry, verdict: Verdict) -> Path:
    """Write a verdict beside its entry; return the file."""
    path = entry.folder / VERDICT
    write_json(path, asdict(verdict))
    return path


def read_verdict(entry: Entry) -> Verdict | None:
    """Return the verdict on an entry as it stands, None where there is none, or none of this code."""
    path = entry.folder / VERDICT
    try:
        if path.is_symlink() or path.stat().st_size > _BYTES:
            return None
        content = json.loads(path.read_bytes())
        known = {field.name for field in fields(Verdict)}
        if not isinstance(content, dict) or set(content) != known or content["schema"] != SCHEMA:
            return None
        verdict = Verdict(**content)
    except (OSError, ValueError, RecursionError):
        return None
    return verdict if verdict.entry == entry.digest and verdict.outcome in OUTCOMES else None


def is_verified(entry: Entry) -> bool:
    """Tell whether an entry, as it stands, was run again and found to score as claimed."""
    verdict = read_verdict(entry)
    return entry.kind == "method" and verdict is not None and verdict.outcome == "verified"
