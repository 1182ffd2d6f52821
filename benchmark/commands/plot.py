"""Draw a trace over time: throughput (down above, up below), the player's buffer, resolution and stalls.

Of calls: throughput, frame rate, bit rate, height and freezes. Of a capture without labels: throughput and packet
sizes. Where a trace has several flows, the one with most bytes down is blue, all others orange. What a trace has no
data for is left out, and said. The picture's format is its suffix: .png, .svg or .pdf.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmark.commands.account import file_stem, shown
from benchmark.commands.sources import Found, find_trace

EXAMPLES = """examples:
  python -m benchmark plot streaming:l20                    a trace of a corpus, by its name
  python -m benchmark plot datasets/calls --name w01        the same, by the corpus's folder
  python -m benchmark plot capture.pcap --out capture.pdf   a capture file
  python -m benchmark plot results/cells/0123456789ab:synthetic-0003
                                                            a synthetic trace of a cell
"""
ROOT = Path(__file__).resolve().parents[2]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.epilog = EXAMPLES
    parser.add_argument(
        "trace",
        metavar="TRACE",
        help="CORPUS:NAME, a capture, a Parquet file of traces, a folder of either, or a cell's folder (then :NAME)",
    )
    parser.add_argument("--out", type=Path, help="the picture (default: the name of the trace with .png)")
    parser.add_argument("--name", help="which trace, where there are several (default: the first)")
    parser.add_argument(
        "--keep-readable", action="store_true", help="of a broken capture, draw what comes before the fault"
    )


def run(chosen: argparse.Namespace) -> int:
    """Draw the picture; print its path and what it lacks."""
    from benchmark.commands.timeline import draw_timeline

    found = find_trace(chosen.trace, ROOT, chosen.name, chosen.keep_readable)
    trace = found.trace
    out = chosen.out or Path(f"{file_stem(trace.name)}.png")
    missing = draw_timeline(trace, out, found.ladder, _title(found))
    print(out)
    for reason in missing:
        print(f"left out: {reason}")
    if found.count > 1 and chosen.name is None and trace.name not in chosen.trace:
        print(f"{shown(trace.name)} is the first of {found.count} traces; for another: {found.where}:NAME")
    return 0


def _title(found: Found) -> str:
    """Name the trace after the corpus, file or cell that holds it, and the application where it's known."""
    name, application = found.trace.name, found.trace.condition.application
    stem = Path(found.where.rstrip("/")).name
    place = name if Path(stem).stem == name else f"{stem}:{name}"
    return place if application == "unknown" else f"{place}: {application}"
