"""Draw a capture or the traces of a corpus: packet sizes, gaps and throughput over time."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmark.commands.sources import read_source


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("trace", type=Path, help="a capture, or a Parquet file of traces")
    parser.add_argument("--out", type=Path, help="the picture (default: the name of the trace with .png)")
    parser.add_argument("--name", help="which trace, where the file holds several (default: the first)")


def run(chosen: argparse.Namespace) -> int:
    """Draw the picture and print its path."""
    from benchmark.commands.picture import draw_traces

    traces, ladder = read_source(chosen.trace, limit=None if chosen.name else 1)
    named = [trace for trace in traces if chosen.name in (None, trace.name)]
    if not named:
        known = ", ".join(trace.name for trace in traces[:10])
        raise SystemExit(f"error: {chosen.trace}: no trace '{chosen.name}'; it holds {known}")
    out = chosen.out or Path(f"{chosen.trace.stem}.png")
    draw_traces([(named[0].name, named[0])], out, ladder)
    print(out)
    return 0
