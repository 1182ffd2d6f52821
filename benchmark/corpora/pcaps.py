"""A folder of captures as a corpus: one trace a file, labels from CSV tables or the folders' names.

``labels.csv`` has the columns file (path within the folder), application, and optionally split (train,
validation, test), startup (seconds) and sha256. Labels of windows stand in it too (several rows a file), or in
``windows.csv``: file, window (from 0) or start and end (seconds), rung, height, stall, fps, bitrate. Without
``labels.csv`` the sub-folder that a capture lies in names its application. Files without a split are split within
their application by the hash of their name, 30 % test, 20 % validation, the rest training; or all together where
that leaves a split empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmark.corpora.assembly import Assembly
from benchmark.corpora.capture_folder import FolderSettings, open_folder, read_settings
from benchmark.corpora.recording import read_recording
from benchmark.corpus import Corpus


def load(options: Mapping[str, Any], root: Path) -> Corpus:
    """Load the captures of a folder, one in memory after another, each cut to what the options keep.

    options: the fields of FolderSettings. root: the repository. notes: what was left out or kept in part, and why.
    Raises ConfigError for a bad option, CorpusError for labels and files that don't fit together, a clock that
    steps or a split that stays empty, TraceError for a capture that can't be read.
    """
    settings = read_settings(options, FolderSettings)
    assembly = Assembly(settings, open_folder(settings, root))
    for name in assembly.folder.labels:
        recording = read_recording(assembly.folder.path / name, name, settings, assembly.account)
        if recording is not None:
            assembly.add(name, recording.packets)
    return assembly.finish(ladder=settings.ladder)


def digest(options: Mapping[str, Any], root: Path) -> str:
    """Return the digest that the loaded corpus will have: of captures, labels and options."""
    return open_folder(read_settings(options, FolderSettings), root).digest
