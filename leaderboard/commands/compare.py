"""Two methods, paired over the seeds and test traces that both have."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tabulate import tabulate

from benchmark.errors import nearest
from benchmark.statistics.comparison import Spread, resolvable_gap
from benchmark.statistics.resampling import holm
from leaderboard.board import Arena, Board, Row, build_board
from leaderboard.commands import Subparsers, declare
from leaderboard.figures import CATALOGUE, RANKED
from leaderboard.ranking import LEAST_SEEDS, LEVEL, compare_all
from leaderboard.records import find_records, printable, read_records, select
from leaderboard.scoring import gather

EXAMPLES = """\
  python -m leaderboard compare "gpt joint" two_level      rows by the beginning of their name
  python -m leaderboard compare 3cc2 b199                  two cells, by the beginnings of their ids
  python -m leaderboard compare gpt markov --dataset streaming --budget default --json
"""


@dataclass(frozen=True)
class Finding:
    """One metric: means of both sides over shared seeds, the difference with its 95 % interval, and what can be told.

    adjusted: p_value after Holm over the metrics compared. resolvable: the smallest true gap that this design finds
    four times in five. Null where nothing varies that it could be judged by. seeds, traces: how many are shared.
    better: "A" or "B" where they can be told apart, which takes three shared seeds at least; else "".
    """

    metric: str
    first: float
    second: float
    difference: float
    low: float | None
    high: float | None
    p_value: float | None
    adjusted: float | None
    resolvable: float | None
    seeds: int
    traces: int
    better: str


def add(subparsers: Subparsers) -> None:
    """Declare the command."""
    parser = declare(subparsers, "compare", "compare two methods or cells, paired over shared seeds", EXAMPLES)
    parser.add_argument("first", help="a row's name or its beginning, or the beginning of a cell's id")
    parser.add_argument("second", help="the same")
    parser.add_argument("--records", type=Path, help="a folder of records")
    parser.add_argument("--dataset", help="only cells of this dataset")
    parser.add_argument("--budget", help="only cells of this budget")
    parser.add_argument("--metrics", default=",".join(RANKED), help="metrics to compare by; default: figures of record")
    parser.add_argument("--json", action="store_true", help="print one object")


def run(arguments: argparse.Namespace) -> int:
    """Print the comparison."""
    records, faults = read_records(find_records(arguments.records), arguments.records or Path.cwd())
    board = build_board(select(records, dataset=arguments.dataset, budget=arguments.budget), faults)
    metrics = arguments.metrics.split(",")
    try:
        for metric in metrics:
            if metric not in CATALOGUE:
                raise ValueError(f"--metrics: no '{metric}'{nearest(metric, CATALOGUE)}")
        arena, first, second = _both(board, arguments.first, arguments.second)
    except ValueError as error:
        print(printable(str(error)), file=sys.stderr)
        return 2
    found = compare_rows(first, second, metrics)
    if arguments.json:
        sides = {"arena": arena.slug, "first": first.name, "second": second.name}
        print(json.dumps({**sides, "metrics": [asdict(one) for one in found]}, indent=1))
        return 0
    print(printable(f"{arena.title}\nA = {first.name}\nB = {second.name}", also="\n"))
    print(_table(found) if found else "no seed was scored on both by a metric in common")
    return 0


def compare_rows(first: Row, second: Row, metrics: Sequence[str]) -> list[Finding]:
    """Compare two rows of one arena on every metric that both have on a shared seed."""
    rough = []
    for metric in metrics:
        sides = [gather(row.records, metric) for row in (first, second)]
        if sides[0] is None or sides[1] is None or not set(sides[0].seeds) & set(sides[1].seeds):
            continue
        both = [sides[0], sides[1]]
        seeds = sorted(set(both[0].seeds) & set(both[1].seeds))
        rough.append((metric, both, seeds, compare_all(both, least_seeds=1)))
    adjusted = holm([float(pairs.p_values[0, 1]) for *_, pairs in rough])
    findings = []
    for (metric, both, seeds, pairs), corrected in zip(rough, adjusted, strict=True):
        gap, spread = float(pairs.gaps[0, 1]), Spread(pairs.variances[:1, 1], pairs.freedoms[:1, 1])
        known = math.isfinite(float(spread.freedom[0]))
        width = float(spread.half_widths()[0]) if known else math.nan
        means = [float(side.shared(seeds, []).mean()) for side in both]
        upwards = (gap > 0) == (CATALOGUE[metric].direction == "up")
        told = known and len(seeds) >= LEAST_SEEDS and corrected < LEVEL and gap != 0
        better = ("A" if upwards else "B") if told else ""
        findings.append(
            Finding(
                metric, means[0], means[1], gap, gap - width if known else None, gap + width if known else None,
                float(pairs.p_values[0, 1]) if known else None, float(corrected) if known else None,
                resolvable_gap(float(spread.variance[0]), float(spread.freedom[0])) if known else None,
                len(seeds), len(set(both[0].traces) & set(both[1].traces)), better,
            )
        )  # fmt: skip
    return findings


def _both(board: Board, first: str, second: str) -> tuple[Arena, Row, Row]:
    """Find two rows (or cells) of one arena. Raises ValueError where names are unknown, unclear or of two arenas."""
    sides = [[(arena, row) for arena in board.arenas for row in _matching(arena, name)] for name in (first, second)]
    for name, found in zip((first, second), sides, strict=True):
        if not found:
            known = {row.name for arena in board.arenas for row in arena.rows}
            raise ValueError(f"{name}: no method or cell is called so{nearest(name, known)}")
    for arena in board.arenas:
        here = [[row for where, row in found if where is arena] for found in sides]
        for name, rows in zip((first, second), here, strict=True):
            if len(rows) > 1 and all(here):
                raise ValueError(f"{name}: {len(rows)} rows are called so: {'; '.join(row.name for row in rows)}")
        if all(here):
            return arena, here[0][0], here[1][0]
    one, other = sides[0][0][0], sides[1][0][0]
    why = next((apart.sentence for apart in one.apart if apart.slug == other.slug), "")
    raise ValueError(f"'{first}' is in {one.title} and '{second}' in {other.title}. {why}".rstrip())


def _matching(arena: Arena, name: str) -> list[Row]:
    """Rows of that name, else those whose name begins with its words, or so, else the one cell whose id begins so.

    A cell is a row by itself.
    """
    exact = [row for row in arena.rows if name in (row.name, row.slug)]
    worded = exact or [row for row in arena.rows if row.name.startswith(f"{name} ")]
    begun = worded or [row for row in arena.rows if row.name.startswith(name)]
    if begun:
        return begun
    cells = [(row, record) for row in arena.rows for record in row.records if record.cell.startswith(name)]
    return [
        Row(f"{row.name}, cell {record.cell}", record.cell, row.part, row.axes, (record,), row.states, False)
        for row, record in cells
    ]


def _table(found: Sequence[Finding]) -> str:
    lines = []
    for one in found:
        figure = CATALOGUE[one.metric]
        spread = "" if one.low is None or one.high is None else f" [{one.low:+.3g}, {one.high:+.3g}]"
        verdict = f"{one.better} is better" if one.better else "can't be told apart"
        if one.seeds < LEAST_SEEDS:
            verdict += f" ({one.seeds} seed{'s' * (one.seeds != 1)}: no result)"
        lines.append([
            figure.heading, figure.text(one.first), figure.text(one.second), f"{one.difference:+.3g}{spread}",
            _small(one.p_value), _small(one.adjusted), "–" if one.resolvable is None else f"{one.resolvable:.3g}",
            f"{one.seeds} × {max(1, one.traces)}", verdict,
        ])  # fmt: skip
    headings = ["", "A", "B", "A - B [95 %]", "p", "p, Holm", "smallest gap", "seeds × traces", ""]
    return str(tabulate(lines, headings, tablefmt="simple", disable_numparse=True))


def _small(value: float | None) -> str:
    return "–" if value is None else "< 0.0001" if value < 1e-4 else f"{value:.4f}"
