"""A page in sections: each has a question, an answer made of figures, tables and a picture, and what it lacks."""

from __future__ import annotations

import html
import io
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

Draw = Callable[[Any], None]
"""Draws on the axes it is handed (one, or an array of them)."""
DASH = "–"
WIDTH = 120
COLOURS = ("#1d4ed8", "#c2410c", "#15803d", "#7c3aed", "#b45309", "#0f766e", "#be123c", "#4b5563")


@dataclass(frozen=True)
class Picture:
    """A picture of a section. name: of its file. panels: axes side by side. draw: fills them."""

    name: str
    meaning: str
    panels: int
    draw: Draw


@dataclass
class Section:
    """One question. answer: one or two sentences. blocks: tables and remarks. lacks: what the records don't hold."""

    title: str
    question: str
    answer: str = ""
    blocks: list[str] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    lacks: list[str] = field(default_factory=list)

    def text(self, folder: str) -> str:
        """Markdown, pictures taken from ``folder``."""
        parts = [f"## {self.title}"]
        parts += [f"*{self.question}*"] if self.question else []
        parts += [self.answer] if self.answer else []
        parts += self.blocks
        parts += [f"![{one.meaning}]({folder}/{one.name}.png)" for one in self.pictures]
        parts += [f"The records lack {one}." for one in self.lacks]
        return "\n\n".join(map(wrap, "\n\n".join(parts).split("\n\n")))


def wrap(part: str) -> str:
    """Break a paragraph into lines; tables, lists, code and pictures stay as they are."""
    if part.startswith(("|", "- ", "    ", "![", "#", "<!--")):
        return part
    return textwrap.fill(part, WIDTH, break_long_words=False, break_on_hyphens=False)


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table: the first column is text, the others are numbers and stand to the right."""
    lines = [list(headings), *([escape(cell) for cell in row] for row in rows)]
    widths = [max(3, *(len(line[place]) for line in lines)) for place in range(len(headings))]
    rule = ["-" * width if not place else "-" * (width - 1) + ":" for place, width in enumerate(widths)]
    shown = [lines[0], rule, *lines[1:]]
    return "\n".join(
        "| " + " | ".join(_filled(cell, width, place) for place, (cell, width) in enumerate(pairs)) + " |"
        for pairs in (list(zip(line, widths, strict=True)) for line in shown)
    )


def escape(text: str) -> str:
    """Make a record's words harmless in Markdown: one line, no markup, no end of a cell."""
    return html.escape(" ".join(text.split()), quote=False).replace("|", "\\|").replace("`", "'")


def count(value: float | None, form: str = ",.0f") -> str:
    """A number as it is shown, a dash where there is none."""
    return DASH if value is None else format(value, form)


def share(value: float | None, interval: tuple[float, float] | None = None) -> str:
    """A share with its interval."""
    if value is None:
        return DASH
    return f"{value:.3f}" + (f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else "")


def spread(values: Sequence[float], form: str = ",.1f") -> str:
    """Least and greatest of several figures, or the one."""
    if not values:
        return DASH
    low, high = format(min(values), form), format(max(values), form)
    return low if low == high else f"{low} to {high}"


def listed(words: Sequence[str]) -> str:
    """Join words as a sentence does: a, b and c."""
    return " and ".join([", ".join(words[:-1]), *words[-1:]] if len(words) > 1 else words)


def render(picture: Picture) -> bytes:
    """Draw a picture; the same figures give the same bytes."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, picture.panels, figsize=(4.6 * picture.panels, 3.4), constrained_layout=True)
    for axis in axes if picture.panels > 1 else [axes]:
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.25)
    picture.draw(axes)
    file = io.BytesIO()
    figure.savefig(file, dpi=100, format="png", metadata={"Software": ""})
    plt.close(figure)
    return file.getvalue()


def _filled(cell: str, width: int, place: int) -> str:
    return f"{cell:<{width}}" if not place else f"{cell:>{width}}"
