"""Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

Row = Sequence[Any]


def table(header: Row, rows: Iterable[Row]) -> str:
    """Return a Markdown table; whole numbers get thousands separators."""
    lines = [header, ["---"] * len(header)]
    lines += [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
