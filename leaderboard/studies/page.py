"""A page in sections: each has a question, an answer made of figures, tables and a picture, and what it lacks."""

from __future__ import annotations

import html
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from leaderboard.output import write_aside
from leaderboard.records import ROOT, printable
from leaderboard.studies.pictures import Picture, render

DASH = "–"
WIDTH = 120


@dataclass
class Section:
    """One question. answer: sentences. blocks: tables and remarks. lacks: sentences on what the records don't hold."""

    title: str
    question: str = ""
    answer: str = ""
    blocks: list[str] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    lacks: list[str] = field(default_factory=list)

    def text(self, folder: str) -> str:
        """Markdown; pictures are taken from ``folder``."""
        parts = [f"## {self.title}", f"*{self.question}*" if self.question else "", self.answer, *self.blocks]
        parts += [f"![{one.meaning}]({folder}/{one.name}.png)" for one in self.pictures]
        parts += ["\n".join(f"- {lack}" for lack in self.lacks)]
        return "\n\n".join(wrap(part) for part in parts if part)


@dataclass
class Page:
    """Everything of a page: its title, what it is made from, and its sections."""

    title: str
    introduction: str
    sections: list[Section]

    def write(self, out: Path) -> list[Path]:
        """Write the page, and its pictures into the folder ``pictures`` beside it; return the files."""
        pictures = out.parent / "pictures"
        parts = [f"# {self.title}", wrap(self.introduction)]
        written = []
        for section in self.sections:
            parts.append(section.text(pictures.name))
            for picture in section.pictures:
                written.append(pictures / f"{picture.name}.png")
                write_aside(written[-1], render(picture))
        write_aside(out, ("\n\n".join(parts) + "\n").encode())
        return [out, *written]


def wrap(text: str) -> str:
    """Break paragraphs into lines; tables, lists, code and pictures stay as they are."""
    return "\n\n".join(map(_wrapped, text.split("\n\n")))


def _wrapped(part: str) -> str:
    if part.startswith(("|", "- ", "    ", "![", "#")):
        return part
    return textwrap.fill(part, WIDTH, break_long_words=False, break_on_hyphens=False)


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table: the first column is text, the others are numbers and stand to the right. Cells are escaped."""
    lines = [[escape(cell) for cell in line] for line in (headings, *rows)]
    widths = [max(3, *(len(line[place]) for line in lines)) for place in range(len(headings))]
    rule = ["-" * width if not place else "-" * (width - 1) + ":" for place, width in enumerate(widths)]
    return "\n".join(
        "| " + " | ".join(f"{cell:{'>' if place else '<'}{widths[place]}}" for place, cell in enumerate(line)) + " |"
        for line in (lines[0], rule, *lines[1:])
    )


def escape(text: str) -> str:
    """Make a record's words harmless in Markdown: one line, no markup, no end of a cell."""
    plain = html.escape(printable(" ".join(text.split())), quote=False)
    return re.sub(r"([|`*\\!]|\[(?=[^\]]*\]\())", r"\\\1", plain)


def name_of(name: str) -> str:
    """A name from a record as it stands in a sentence."""
    return f"*{escape(name)}*"


def named(names: Sequence[str]) -> str:
    """Names in a sentence: a, b and c."""
    return listed([name_of(name) for name in names])


def listed(words: Sequence[str]) -> str:
    """Join words as a sentence does: a, b and c."""
    return " and ".join([", ".join(words[:-1]), *words[-1:]] if len(words) > 1 else words)


def begun(text: str) -> str:
    """A sentence with a capital letter first."""
    return text[:1].upper() + text[1:]


def plural(count: int, word: str) -> str:
    """A count with its noun."""
    return f"{count} {word}{'s' * (count != 1)}"


def told_folder(folder: Path) -> str:
    """A folder as pages name it: below the repository, or else by its own name."""
    resolved = folder.resolve()
    return resolved.relative_to(ROOT).as_posix() if resolved.is_relative_to(ROOT) else folder.name
