"""A corpus: labelled traces, split by trace into train, validation and test, with a manifest of digests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmark.trace import Trace

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, eq=False)
class Corpus:
    """Labelled traces by split.

    digest: identifies the content; part of every stage's key. window: seconds a window lasts.
    ladder: the heights of the rungs, lowest first; empty where there is no ladder.
    client: the prefix of the client's addresses; empty where unknown.
    unscored: downstream tasks that this corpus can't support, each with the reason.
    """

    name: str
    digest: str
    window: float
    train: Sequence[Trace]
    validation: Sequence[Trace]
    test: Sequence[Trace]
    ladder: tuple[int, ...] = ()
    client: str = ""
    unscored: dict[str, str] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)

    def applications(self) -> list[str]:
        """Names of the applications in the training split, sorted."""
        return sorted({trace.condition.application for trace in self.train})
