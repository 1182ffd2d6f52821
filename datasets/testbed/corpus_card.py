"""The tables of a corpus's card, computed from its manifest and traces."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.corpora.embedded import load
from benchmark.corpora.manifest import Manifest, read_manifest
from benchmark.corpus import SPLITS, Corpus
from benchmark.quality.task import STALLED, past_startup
from benchmark.trace import Trace
from learnability_table import learnability_tables
from markdown_table import Row, table
from player_labels import mode

START, END = "<!-- tables: start -->", "<!-- tables: end -->"
DESIGN = ("application", "player", "adaptation", "congestion", "clip", "cross", "codec", "height")
_MARKS = 40  # the longest bar of a histogram


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
    """Return counts, class balance, label figures, rates and learnability of a corpus as Markdown tables."""
    corpus = load({"name": folder.name, "path": str(folder.resolve())}, folder)
    manifest = read_manifest(folder / "manifest.json")
    splits = {split: list(getattr(corpus, split)) for split in SPLITS}
    splits["all"] = [trace for split in SPLITS for trace in splits[split]]
    size = sum(path.stat().st_size for path in folder.glob("*.parquet"))
    packets = sum(len(trace.packets) for trace in splits["all"])
    parts = [
        f"Computed by `python datasets/testbed/reduce.py --card datasets/{folder.name}`.",
        f"{packets:,} packets in {size:,} bytes: {size / packets:.2f} bytes a packet.",
        _counts(corpus, splits),
        "Traces by what the plan asked for:",
        _design(splits),
        *(_streaming(corpus, splits) if corpus.ladder else _calls(splits)),
        *_rates(splits["all"]),
        *_rejected(manifest),
        *_versions(manifest),
        *learnability_tables(manifest, f"datasets/{folder.name}"),
    ]
    return "\n\n".join(parts)


def stalls_after_startup(trace: Trace) -> bool:
    """Tell whether a trace stalled for more than ``STALLED`` seconds in all besides its startup delay."""
    return bool(np.nansum(trace.labels.stall) - trace.labels.startup > STALLED)


def dominating_rung(trace: Trace) -> int:
    """Return the modal rung of a trace's windows, ties to the lower; -1 if none has one."""
    return mode([int(rung) for rung in trace.labels.rung if rung >= 0])


def access_rate(trace: Trace) -> float:
    """Return the mean rate of a trace's link down, Mbit/s, outside outages; NaN where its notes don't tell."""
    steps = (trace.notes.get("link") or {}).get("down") or []
    # The schedule began a little before the first packet.
    times = np.array([step[0] for step in steps] + [np.inf], float) + trace.notes.get("link_began", 0.0)
    times = times.clip(0, trace.condition.duration)
    rates, seconds = np.array([step[1] for step in steps], float), np.diff(times)
    up = seconds[rates > 0].sum() if len(rates) else 0.0
    return float((rates * seconds).sum() / up) if up > 0 else float("nan")


def _counts(corpus: Corpus, splits: dict[str, list[Trace]]) -> str:
    applications = sorted({trace.condition.application for trace in splits["all"]})
    rows = []
    for split, chosen in splits.items():
        of_application = Counter(trace.condition.application for trace in chosen)
        packets = [len(trace.packets) for trace in chosen]
        row = [split, len(chosen), *(of_application[name] for name in applications)]
        row += [sum(packets), min(packets, default=0), max(packets, default=0)]
        rungs = np.concatenate([trace.labels.rung for trace in chosen]) if chosen else np.zeros(0)
        rows.append([*row, f"{rungs[rungs >= 0].mean():.2f}" if (rungs >= 0).any() else "–"] if corpus.ladder else row)
    header = ["split", "traces", *applications, "packets", "fewest", "most"]
    return table([*header, "mean rung"] if corpus.ladder else header, rows)


def _design(splits: dict[str, list[Trace]]) -> str:
    rows: list[Row] = []
    for what in DESIGN:
        counts = {split: Counter(_asked(trace, what) for trace in chosen) for split, chosen in splits.items()}
        told = sorted(value for value in counts["all"] if value)
        rows += [[what, value, *(counts[split][value] for split in splits)] for value in told]
    return table(["asked", "value", *splits], rows)


def _asked(trace: Trace, what: str) -> str:
    """Return what a trace's session was asked to have, "" where its notes don't tell."""
    if what == "application":
        return trace.condition.application
    return str(trace.notes.get(what) or "")


def _streaming(corpus: Corpus, splits: dict[str, list[Trace]]) -> list[str]:
    heights = [f"{height}p" for height in corpus.ladder]
    lower = sum(height < 480 for height in corpus.ladder)
    middle = sum(height < 720 for height in corpus.ladder)
    windows, traces, quality = [], [], []
    for split, chosen in splits.items():
        rungs = np.concatenate([np.zeros(0, np.int8), *(trace.labels.rung for trace in chosen)])
        counts = [int((rungs == rung).sum()) for rung in range(-1, len(heights))]
        grouped = [sum(counts[1 : lower + 1]), sum(counts[lower + 1 : middle + 1]), sum(counts[middle + 1 :])]
        windows.append([split, *counts, *grouped])
        dominating = Counter(dominating_rung(trace) for trace in chosen)
        traces.append([split, *(dominating[rung] for rung in range(len(heights)))])
        quality.append([split, *_quality(chosen)])
    startup = ["median startup, s", "least", "most", "traces that never play"]
    stall = ["traces that stall after startup", "windows past startup", "of these stalled"]
    return [
        "Windows by rung:",
        table(["split", "none yet", *heights, "below 480p", "480p", "HD"], windows),
        "Traces by the rung that dominates (the modal rung of their windows, ties to the lower):",
        table(["split", *heights], traces),
        "Startup and stalls. A trace stalls after startup if its stalled time, less the startup delay, exceeds"
        f" {STALLED} s in all; a window is past startup if an earlier one has a played height, and stalled above"
        f" {STALLED} s:",
        table(["split", *startup, *stall, "windows without a played height"], quality),
    ]


def _quality(chosen: Sequence[Trace]) -> list[Any]:
    startup = np.array([trace.labels.startup for trace in chosen])
    known = startup[np.isfinite(startup)]
    past = [trace.labels.stall[past_startup(trace.labels)] for trace in chosen]
    seconds = [f"{value:.2f}" for value in (np.median(known), known.min(), known.max())] if len(known) else ["–"] * 3
    return [
        *seconds,
        len(startup) - len(known),
        sum(stalls_after_startup(trace) for trace in chosen),
        sum(map(len, past)),
        int(sum((stall > STALLED).sum() for stall in past)),
        int(sum((trace.labels.height <= 0).sum() for trace in chosen)),
    ]


def _calls(splits: dict[str, list[Trace]]) -> list[str]:
    played = sorted({int(height) for trace in splits["all"] for height in trace.labels.height if height > 0})
    rows = []
    for split, chosen in splits.items():
        fps, bitrate, stall = (
            np.concatenate([np.zeros(0), *(getattr(trace.labels, name) for trace in chosen)])
            for name in ("fps", "bitrate", "stall")
        )
        heights = Counter(int(height) for trace in chosen for height in trace.labels.height)
        frozen = int((stall > STALLED).sum())
        row = [split, len(fps), _quartiles(fps, ".1f"), _quartiles(bitrate / 1000, ",.0f"), frozen]
        rows.append([*row, *(heights[height] for height in played)])
    header = ["split", "windows", "fps", "kbit/s", f"frozen > {STALLED} s", *(f"{height}p" for height in played)]
    return ["Windows, with the quartiles of frame rate and video bit rate, and by frame height:", table(header, rows)]


def _quartiles(values: Any, form: str) -> str:
    known = values[np.isfinite(values)]
    return " / ".join(f"{value:{form}}" for value in np.quantile(known, (0.25, 0.5, 0.75))) if len(known) else "–"


def _rates(traces: Sequence[Trace]) -> list[str]:
    """Quantiles and a histogram by octave of the links' rates."""
    found = np.array([access_rate(trace) for trace in traces])
    rates = found[np.isfinite(found)]
    if not len(rates):
        return []
    shares = (0, 0.1, 0.25, 0.5, 0.75, 0.9, 1)
    octaves = Counter(np.floor(np.log2(rates)).astype(int).tolist())
    most = max(octaves.values())
    bars = [
        f"{2.0**octave:>8g} to {2.0 ** (octave + 1):<8g} {count:>4} {'#' * round(_MARKS * count / most)}"
        for octave in range(min(octaves), max(octaves) + 1)
        for count in [octaves[octave]]
    ]
    return [
        "Rates of the links down, Mbit/s, each the mean over its trace's 60 s outside outages; quantiles and octaves:",
        table(
            ["least", "10 %", "25 %", "median", "75 %", "90 %", "most"],
            [[f"{q:.3g}" for q in np.quantile(rates, shares)]],
        ),
        "\n".join(["```text", *(bar.rstrip() for bar in bars), "```"]),
    ]


def _rejected(manifest: Manifest) -> list[str]:
    """Name the sessions that were captured and left out: a note of the manifest maps them to the reason."""
    parts = []
    groups = manifest.notes.get("groups")
    if isinstance(groups, Mapping):
        rows = [[name, *(counts[what] for what in ("asked", "kept", "rejected"))] for name, counts in groups.items()]
        parts += ["Sessions by group of the plan:", table(["group", "asked", "kept", "rejected"], rows)]
    rejected = manifest.notes.get("rejected")
    if not isinstance(rejected, Mapping):
        return parts
    if not rejected:
        return [*parts, "No session was rejected."]
    return [*parts, f"Rejected sessions ({len(rejected)}):", table(["session", "reason"], sorted(rejected.items()))]


def _versions(manifest: Manifest) -> list[str]:
    """List the software: a note of the manifest maps programs to versions."""
    versions = manifest.notes.get("versions")
    if not isinstance(versions, Mapping) or not versions:
        return []
    return ["Software: " + ", ".join(f"{name} {version}" for name, version in sorted(versions.items())) + "."]
