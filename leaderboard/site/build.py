"""Writes the site: one page for the board, one for the cells, one a method and one a cell, all from templates."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from leaderboard.board import Arena, Board
from leaderboard.output import write_aside
from leaderboard.records import OWN
from leaderboard.settings import command
from leaderboard.site.cells import cell_address, cell_line, cell_name, cell_page
from leaderboard.site.evidence import find_evidence
from leaderboard.site.index import columns_of, index_page
from leaderboard.site.libraries import datatables_script, licences, plotly_script
from leaderboard.site.methods import method_pages

HERE = Path(__file__).parent
# Scripts and styles come from files beside the page alone, never from its text: what a record smuggles in can't run.
# Both libraries set styles on the elements that they make.
POLICY = (
    "default-src 'none'; script-src 'self' file:; style-src 'self' file: 'unsafe-inline'; "
    "img-src 'self' file: data:; base-uri 'none'; form-action 'none'"
)
DOWNLOADS = {
    "records.parquet": "a row a cell and metric: value, interval, the same of real traces, and why there is none",
    "records.json": "every record, less its values by trace",
    "board.json": "rows, intervals, ranks and reasons, as they stand above",
    "table.md": "the table as Markdown",
}
OF_ARENA = {
    "cells.parquet": "a row a cell: choices, status, machine, command",
    "traces.parquet": "a row a cell, metric and test trace",
}


def build_site(board: Board, out: Path, runs: Path = OWN) -> list[Path]:
    """Write the site's files below ``out``; return them, sorted. The same board and runs give the same bytes.

    runs: where cells' folders are, for their logs, curves and pictures; pages of cells without one say so.
    Raises Unsupported where a package that carries the pages' libraries is missing.
    """
    written: dict[str, bytes] = {f"assets/{name}": content.encode() for name, content in _assets().items()}
    for address, page in _pages(board, out, runs, written):
        written[address] = page.encode()
    for address, content in written.items():
        write_aside(out / address, content)
    return [out / address for address in sorted(written)]


def _assets() -> dict[str, str]:
    own = {path.name: path.read_text(encoding="utf-8") for path in sorted((HERE / "assets").iterdir())}
    libraries = {"datatables.js": datatables_script(), "plotly.js": plotly_script(), "licences.txt": licences()}
    return own | libraries


def _pages(board: Board, out: Path, runs: Path, written: dict[str, bytes]) -> Iterator[tuple[str, str]]:
    """Yield (address, page); pictures go to ``written`` as they are found."""
    templates = Environment(
        loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip

    def render(template: str, root: str, here: str = "", **facts: Any) -> str:
        return templates.get_template(template).render(facts, root=root, here=here, policy=POLICY) + "\n"

    first = index_page(board)
    first |= {"data": _island(first["data"]), "downloads": _downloads(board.arenas, out)}
    yield "index.html", render("index.html", "", "index.html", **first)
    lines = [cell_line(record) for record in board.records]
    yield "cells.html", render("cells.html", "", "cells.html", data=_island(lines))
    yield "reading.html", render("reading.html", "", "reading.html", columns=columns_of(board))
    for slug, page in method_pages(board).items():
        yield f"methods/{slug}.html", render("method.html", "../", **page)
    for arena in board.arenas:
        for row in arena.rows:
            for record in row.records:
                evidence = find_evidence(record, runs)
                picture = f"pictures/{cell_name(record)}.png" if evidence.picture else ""
                if evidence.picture:
                    written[picture] = evidence.picture
                whole = f"data/cells/{record.cell}.json"
                facts = cell_page(arena, row, record, evidence, command(record))
                yield (
                    cell_address(record),
                    render("cell.html", "../", picture=picture, whole=whole if (out / whole).exists() else "", **facts),
                )


def _island(value: Any) -> Markup:
    """JSON that stays data inside a script element: no letter of it can end the element or open a comment."""
    text = json.dumps(value, ensure_ascii=True, sort_keys=True, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _downloads(arenas: Sequence[Arena], out: Path) -> list[tuple[str, list[tuple[str, str, str]]]]:
    """Return (title, [(address, name, what it holds)]) of the data files that lie in ``out``."""
    places = [
        ("All groups", "", DOWNLOADS),
        *((arena.title, f"data/arenas/{arena.slug}/", OF_ARENA) for arena in arenas),
    ]
    found = [
        (title, [(folder + name, name, what) for name, what in names.items() if (out / folder / name).is_file()])
        for title, folder, names in places
    ]
    return [(title, files) for title, files in found if files]
