"""Everything that one record says of its cell."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from tabulate import tabulate

from benchmark.record import Record
from leaderboard.board import Board, Row, build_board
from leaderboard.commands import Subparsers, declare
from leaderboard.figures import CATALOGUE
from leaderboard.marks import verified_cells
from leaderboard.naming import leaves
from leaderboard.records import find_records, printable, read_one, read_records, state_of
from leaderboard.settings import command
from leaderboard.violations import say_violations

EXAMPLES = """\
  python -m leaderboard explain 3cc2               a cell by the beginning of its id
  python -m leaderboard explain results/cells/3cc2ada83d09/record.json
  python -m leaderboard explain 3cc2 --all         every score, not only the table's
  python -m leaderboard explain 3cc2 --json
"""
LINES_OF_LOG, VIOLATION_LETTERS = 5, 2000


def add(subparsers: Subparsers) -> None:
    """Declare the command."""
    parser = declare(subparsers, "explain", "say what one cell is, how it ended and what it scored", EXAMPLES)
    parser.add_argument("cell", help="the beginning of a cell's id, or the path of a record")
    parser.add_argument("--records", type=Path, help="a folder of records")
    parser.add_argument("--all", action="store_true", help="every score, not only those of the table")
    parser.add_argument("--json", action="store_true", help="print the record with its row and command as one object")


def run(arguments: argparse.Namespace) -> int:
    """Print what is known of the cell."""
    paths = find_records(arguments.records)
    records, faults = read_records(paths, arguments.records or Path.cwd())
    own = Path(arguments.cell)
    try:
        if own.is_file() or own.suffix == ".json":
            record = read_one(own)
            records = [*(one for one in records if one.cell != record.cell), record]
        else:
            record = _chosen(arguments.cell, records, faults)
    except ValueError as error:
        print(printable(str(error)), file=sys.stderr)
        return 2
    board = build_board(records, faults, verified_cells())
    row = _row_of(record, board)
    if arguments.json:
        print(json.dumps({**_facts(record, row), "record": record.__dict__}, indent=1))
        return 0
    folder = next((path.parent for path in paths if path.parent.name == record.cell), None)
    print(printable("\n".join(_lines(record, row, arguments.all, folder)), also="\n"))
    return 0


def _chosen(prefix: str, records: Sequence[Record], faults: Sequence[str]) -> Record:
    found = [record for record in records if record.cell.startswith(prefix)]
    if len(found) == 1:
        return found[0]
    if found:
        several = ", ".join(f"{record.cell} ({record.method}, seed {record.seed})" for record in found[:8])
        raise ValueError(f"{prefix}: {len(found)} cells begin so: {several}")
    lost = [fault for fault in faults if prefix in fault]
    known = f"; `python -m leaderboard show --json` lists the {len(records)} there are"
    raise ValueError(f"{prefix}: no cell begins so" + (f"; left out: {lost[0]}" if lost else known))


def _row_of(record: Record, board: Board) -> Row:
    return next(row for arena in board.arenas for row in arena.rows if any(r.cell == record.cell for r in row.records))


def _facts(record: Record, row: Row) -> dict[str, object]:
    return {
        "cell": record.cell,
        "row": row.name,
        "state": state_of(record),
        "reason": record.reason,
        "ranked": row.ranked,
        "unranked_reason": row.unranked_reason,
        "ranks": {metric: list(rank) for metric, rank in row.ranks.items()},
        "command": command(record),
    }


def _lines(record: Record, row: Row, everything: bool, folder: Path | None) -> list[str]:
    """The page, line by line."""
    machine, code = record.machine, record.code
    made = [str(machine.get(fact, "?")) for fact in ("processor", "cores", "system")]
    versions = [f"{family} {version}" for family, version in sorted(record.metric_versions.items())]
    standing = "competes" if row.ranked else f"not ranked: {row.unranked_reason}"
    lines = [
        f"cell {record.cell}: {row.name}, seed {record.seed}",
        f"  state      {state_of(record)}" + (f": {record.reason}" if record.reason else ""),
        f"  row        {len(row.records)} seeds, {standing}",
        f"  ran        {record.started or '?'} to {record.ended or '?'}",
        f"  corpus     {record.corpus.get('name', '?')} {record.corpus.get('digest', '')[:12]}",
        f"  code       {str(code.get('revision', '?'))[:12]}{' with changes' if code.get('dirty') else ''}",
        f"  machine    {made[0]}, {made[1]} cores, {made[2]}",
        f"  versions   {', '.join(versions)}",
        f"  again      {command(record)}",
    ]
    if record.notes:
        lines.append(f"  notes      {json.dumps(record.notes, sort_keys=True)[:400]}")
    lines += ["", "stages", *_indented(_stages(record))]
    lines += ["", "config", *(f"  {key} = {json.dumps(value)}" for key, value in leaves(record.config))]
    lines += ["", "scores", *_indented(_scores(record, row, everything)), "", *_violation(record)]
    if record.traceback:
        lines += ["", "traceback", *_indented(record.traceback)]
    return lines + _log(folder)


def _stages(record: Record) -> str:
    if not record.stages:
        return "none was reached"
    rows = [[name, "found" if facts.get("reused") else "made", f"{float(facts.get('seconds', 0)):.1f} s",
             str(facts.get("key", ""))[:12]] for name, facts in record.stages.items()]  # fmt: skip
    return str(tabulate(rows, ["stage", "result", "took", "key"], tablefmt="plain", disable_numparse=True))


def _scores(record: Record, row: Row, everything: bool) -> str:
    """Each score with its interval, the noise floor and its rank; or why it has none."""
    probed = record.choices.get("probe", "none") != "none"
    table = [name for name in CATALOGUE if name in record.scores and (probed or not name.startswith("kernel."))]
    names = sorted(record.scores) if everything else table
    if not names:
        return "none"
    lines = []
    for name in names:
        score = record.scores[name]
        value, interval, floor = score["value"], score["interval"], record.floors.get(name)
        spread = f"[{interval[0]:.4g}, {interval[1]:.4g}]" if interval else ""
        why = score["reason"] or "no reason was given" if value is None else ""
        rank = f"rank {row.ranks[name]}" if name in row.ranks else ""
        lines.append([name, _number(value), spread, _number(floor), rank, why])
    headings = ["metric", "value", "95 %", "real", "", ""]
    return str(tabulate(lines, headings, tablefmt="plain", disable_numparse=True))


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.6g}"


def _violation(record: Record) -> list[str]:
    """The first protocol violation in words, where the record has it, and what its scores say."""
    first = [f"first protocol violation: {record.violation[:VIOLATION_LETTERS]}"] if record.violation else []
    return [*first, say_violations(record)]


def _log(folder: Path | None) -> list[str]:
    """The end of the cell's log, where it lies beside the record."""
    path = folder / "log.txt" if folder else None
    if path is None or not path.is_file():
        return []
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - 4096))
        last = file.read().decode(errors="replace").splitlines()[-LINES_OF_LOG:]
    return ["", f"end of {path}", *(f"  {line}" for line in last)] if last else []


def _indented(text: str) -> list[str]:
    return [f"  {line}" for line in text.splitlines()]
