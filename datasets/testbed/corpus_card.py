"""The tables of a corpus's card, computed from its manifest and traces."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.corpora.embedded import load
from benchmark.corpus import SPLITS, Corpus
from benchmark.trace import Trace

START, END = "<!-- tables: start -->", "<!-- tables: end -->"


def write_card(folder: Path) -> None:
    """Write the tables of ``folder/card.md`` anew between its two marks; the rest of the card stays."""
    path = folder / "card.md"
    text = path.read_text(encoding="utf-8") if path.exists() else f"# {folder.name}\n\n{START}\n{END}\n"
    before, _, after = text.partition(START)
    _, _, after = after.partition(END)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(f"{before}{START}\n\n{tables(folder)}\n\n{END}{after or chr(10)}", encoding="utf-8")
    os.replace(aside, path)


def tables(folder: Path) -> str:
    """Return counts, class balance and label figures of a corpus as Markdown tables."""
    corpus = load({"name": folder.name, "path": str(folder.resolve())}, folder)
    size = sum(path.stat().st_size for path in folder.glob("*.parquet"))
    packets = sum(len(trace.packets) for split in SPLITS for trace in getattr(corpus, split))
    parts = [
        f"{packets:,} packets in {size:,} bytes: {size / packets:.2f} bytes a packet.",
        _counts(corpus),
    ]
    if corpus.ladder:
        parts += ["Windows by rung:", _rungs(corpus), _quality(corpus)]
    else:
        parts += [_calls(corpus)]
    return "\n\n".join(parts)


def _counts(corpus: Corpus) -> str:
    traces = [trace for split in SPLITS for trace in getattr(corpus, split)]
    applications = sorted({trace.condition.application for trace in traces})
    rows = []
    for split in SPLITS:
        chosen: Sequence[Trace] = getattr(corpus, split)
        of_application = Counter(trace.condition.application for trace in chosen)
        packets = [len(trace.packets) for trace in chosen]
        row = [split, len(chosen), *(of_application[name] for name in applications)]
        row += [sum(packets), min(packets, default=0), max(packets, default=0)]
        rungs = np.concatenate([trace.labels.rung for trace in chosen]) if chosen else np.zeros(0)
        rows.append([*row, f"{rungs.mean():.2f}"] if corpus.ladder and len(rungs) else row)
    header = ["split", "traces", *applications, "packets", "fewest", "most"]
    return _table([*header, "mean rung"] if corpus.ladder else header, rows)


def _rungs(corpus: Corpus) -> str:
    rows = []
    for split in SPLITS:
        rungs = np.concatenate([trace.labels.rung for trace in getattr(corpus, split)])
        counts = [int((rungs == rung).sum()) for rung in range(-1, len(corpus.ladder))]
        classes = [int((rungs < 0).sum()), int(((rungs >= 0) & (rungs < 3)).sum()), counts[4]]
        rows.append([split, *counts, *classes[1:], int((rungs > 3).sum())])
    header = ["split", "none yet", *(f"{height}p" for height in corpus.ladder), "below 480p", "480p", "HD"]
    return _table(header, rows)


def _quality(corpus: Corpus) -> str:
    rows = []
    for split in SPLITS:
        labels = [trace.labels for trace in getattr(corpus, split)]
        startup = np.array([label.startup for label in labels])
        stall = np.array([label.stall for label in labels])
        played = np.concatenate([label.height for label in labels])
        seconds = (np.median(startup), startup.min(), startup.max())
        stalled = (stall > 0.5).sum(), (stall[:, 2:] > 0.5).sum()
        counts = (*stalled, (played < 0).sum())
        rows.append([split, *(f"{value:.2f}" for value in seconds), *map(int, counts)])
    header = ["split", "median startup, s", "least", "most", "windows stalled > 0.5 s"]
    return _table([*header, "of these past 20 s", "windows without a played height"], rows)


def _calls(corpus: Corpus) -> str:
    rows = []
    for split in SPLITS:
        for trace in getattr(corpus, split):
            labels = trace.labels
            heights = Counter(int(height) for height in labels.height if height > 0)
            shown = ", ".join(f"{height}p {count}" for height, count in sorted(heights.items()))
            rate = f"{np.nanmean(labels.bitrate) / 1000:.0f}"
            row = [split, trace.name, str(trace.notes.get("codec")), len(labels)]
            rows.append([*row, f"{np.nanmean(labels.fps):.1f}", rate, shown])
    return _table(["split", "call", "codec", "windows", "mean fps", "mean kbit/s", "windows by height"], rows)


def _table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [header, ["---"] * len(header)]
    lines += [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
