"""A folder of captures as a corpus: one trace a file, labels from CSV tables or the folders' names.

``labels.csv`` has the columns file (path within the folder), application, and optionally split (train,
validation, test) and startup (seconds). Labels of windows stand in it too (several rows a file), or in
``windows.csv``: file, window (from 0), rung, height, stall, fps, bitrate. Without ``labels.csv`` the
sub-folder that a capture lies in names its application. Files without a split are split within their
application by the hash of their name, 30 % test, 20 % validation, the rest training; or all together where
that leaves a split empty.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.capture.pcap import read_packets
from benchmark.checksum import convention_checksums
from benchmark.corpora.capture_folder import Settings, open_folder, read_settings
from benchmark.corpora.label_table import MAXIMUM_WINDOWS, FileLabels
from benchmark.corpus import SPLITS, Corpus
from benchmark.errors import CorpusError
from benchmark.trace import NANOSECONDS, Condition, Packets, Trace

SHARES = {"test": 0.3, "validation": 0.2}
TASKS = ("rung", "height", "startup", "stall", "fps", "bitrate")


def load(options: Mapping[str, Any], root: Path) -> Corpus:
    """Load the captures of a folder, one in memory after another, each cut to what the options keep.

    options: the fields of Settings. root: the repository. notes: ``left_out`` says which captures were too
    short, or longer than any clock that is right.
    Layer 4 checksums follow ``benchmark.checksum``, since captured payloads are cut.
    Raises ConfigError for a bad option, CorpusError for labels and files that don't fit together or a split
    that stays empty, TraceError for a capture that can't be read.
    """
    settings = read_settings(options)
    folder = open_folder(settings, root)
    traces: dict[str, Trace] = {}
    left_out: dict[str, str] = {}
    for name, said in folder.labels.items():
        packets = _packets(folder.path / name, settings)
        windows = _windows(packets, settings)
        if len(packets) < settings.minimum:
            left_out[name] = f"{len(packets)} IP packets, fewer than {settings.minimum}"
        elif windows > MAXIMUM_WINDOWS:
            left_out[name] = f"{windows} windows to its last packet, over {MAXIMUM_WINDOWS}: cap dataset.duration"
        else:
            traces[name] = _trace(packets, windows, name, said, settings)
    chosen = _split({name: folder.labels[name] for name in traces})
    splits = {split: [traces[name] for name in traces if chosen[name] == split] for split in SPLITS}
    for split, members in splits.items():
        if not members:
            raise CorpusError(
                f"{folder.path}: the {split} split has no trace ({len(traces)} captures of at least"
                f" {settings.minimum} packets); an application needs three captures to be in every split"
            )
    return Corpus(
        name=settings.name,
        digest=folder.digest,
        window=settings.window,
        ladder=settings.ladder,
        client=settings.client,
        unscored=_unscored(splits),
        notes={"left_out": left_out},
        **splits,
    )


def digest(options: Mapping[str, Any], root: Path) -> str:
    """Return the digest that the loaded corpus will have: of captures, labels and options."""
    return open_folder(read_settings(options), root).digest


def _packets(path: Path, settings: Settings) -> Packets:
    packets = read_packets(
        path,
        settings.keep_readable,
        limit=settings.limit,
        duration=settings.duration,
        snaplen=settings.snaplen,
    )
    return convention_checksums(packets)


def _windows(packets: Packets, settings: Settings) -> int:
    """Number of windows up to that of the last packet."""
    return int(packets.ts[-1]) // round(settings.window * NANOSECONDS) + 1 if len(packets) else 0


def _trace(packets: Packets, windows: int, name: str, said: FileLabels, settings: Settings) -> Trace:
    """Join packets and labels; the trace lasts to its last packet or label, whichever is later."""
    labelled = max(said.windows, default=-1) + 1
    if settings.duration is not None:
        labelled = min(labelled, math.ceil(settings.duration / settings.window))
    duration = max(int(packets.ts[-1]) / NANOSECONDS, 0.001)
    if labelled > windows:
        windows, duration = labelled, labelled * settings.window
    condition = Condition(said.application, duration, settings.window, said.labels(windows))
    return Trace(name, packets, condition, settings.client, {"file": name})


def _split(labels: Mapping[str, FileLabels]) -> dict[str, str]:
    """Return every file's split: the one it was given, or one by the hash of its name within its application.

    Where that leaves a split empty, as when each application has a single capture, all are split together.
    """
    said = {name: label.split for name, label in labels.items() if label.split}
    free = {name: label.application for name, label in labels.items() if not label.split}
    splits = dict(said)
    for application in set(free.values()):
        splits |= _deal([name for name in free if free[name] == application])
    if free and set(splits.values()) != set(SPLITS):
        splits = said | _deal(list(free))
    return splits


def _deal(names: list[str]) -> dict[str, str]:
    """Deal files out by the hash of their names. Two go to training and test; with three, every split has one."""
    left = sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())
    splits: dict[str, str] = {}
    for split, share in SHARES.items():
        count = max(round(share * len(names)), int(len(left) > (1 if split == "test" else 2)))
        splits |= dict.fromkeys(left[:count], split)
        left = left[count:]
    return splits | dict.fromkeys(left, "train")


def _unscored(splits: Mapping[str, Sequence[Trace]]) -> dict[str, str]:
    """Return the tasks that the labels don't reach, with the reason."""
    reasons = {}
    for task in TASKS:
        for split in ("train", "test"):
            if not any(_labelled(trace, task) for trace in splits[split]):
                reasons[task] = f"no trace of the {split} split has a label for {task}"
                break
    return reasons


def _labelled(trace: Trace, task: str) -> bool:
    values = np.asarray(getattr(trace.labels, task))
    return bool((values >= 0).any())
