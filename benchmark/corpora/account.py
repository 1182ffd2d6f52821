"""What of a dataset isn't in the corpus, so that nothing is left out unnoticed."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any

_SHOWN = 3


@dataclass
class Account:
    """What was left out, and why; it stands in the corpus's notes and is printed.

    left_out: captures or tables of which nothing is kept, by name. cut: captures of which a part is kept.
    unlabelled: captures without labels beside captures with them. remarks: what else a user must know.
    """

    left_out: dict[str, str] = field(default_factory=dict)
    cut: dict[str, str] = field(default_factory=dict)
    unlabelled: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def notes(self) -> dict[str, Any]:
        """Return the account as a corpus's notes hold it."""
        notes: dict[str, Any] = {"left_out": dict(self.left_out)}
        notes |= {name: dict(getattr(self, name)) for name in ("cut", "unlabelled") if getattr(self, name)}
        return notes | ({"remarks": list(self.remarks)} if self.remarks else {})

    def lines(self) -> list[str]:
        """Return the account in lines; the first captures of each kind stand for the rest."""
        lines = []
        for title, found in (
            ("left out", self.left_out),
            ("kept in part", self.cut),
            ("without labels", self.unlabelled),
        ):
            shown = "; ".join(f"{name}: {reason}" for name, reason in list(found.items())[:_SHOWN])
            if found:
                lines.append(f"{title}, {len(found)}: {shown}{'; …' * (len(found) > _SHOWN)}")
        return lines + self.remarks

    def show(self, corpus: str) -> None:
        """Print the account to the standard error."""
        for line in self.lines():
            print(f"{corpus}: {line}", file=sys.stderr)
