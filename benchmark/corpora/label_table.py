"""Labels of a folder of captures, from CSV: one table, or one of files and one of windows."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmark.corpus import SPLITS
from benchmark.errors import CorpusError, nearest
from benchmark.trace import Labels

FILE_COLUMNS = ("file", "application", "split", "startup", "sha256")
# A row's window: its number, or its start and end in seconds.
SPAN_COLUMNS = ("window", "start", "end")
WINDOW_COLUMNS = ("file", "window", "rung", "height", "stall", "fps", "bitrate")
# More windows than this are a slip: at 10 s each they last eleven days.
MAXIMUM_WINDOWS = 100_000
# NetSSM's tables of labels have these heads.
_ALIASES = {"File": "file", "Label": "application"}
# Seconds by which a window's start and end may be off: tables are written with three digits or more.
_GRID = 0.0011
_WHOLE = {"window": MAXIMUM_WINDOWS - 1, "rung": 126, "height": 32_767}


@dataclass
class FileLabels:
    """What the tables say of one capture. windows: per window index, the numbers by column; nan is unknown.

    where: "FILE line N" of the first row, for messages. sha256: the digest that the capture must have, or empty.
    spans: (start, end, where) of each row of a window, seconds.
    """

    where: str
    application: str = ""
    split: str = ""
    startup: float = math.nan
    sha256: str = ""
    spans: list[tuple[float, float, str]] = field(default_factory=list)
    windows: dict[int, dict[str, float]] = field(default_factory=dict)

    def rungs(self) -> list[int]:
        """Rungs that are known, in no order."""
        return [int(numbers["rung"]) for numbers in self.windows.values() if numbers.get("rung", math.nan) >= 0]

    def labels(self, count: int) -> Labels:
        """Return the labels of the first ``count`` windows."""
        columns = {name: np.full(count, np.nan) for name in WINDOW_COLUMNS[2:]}
        for index, numbers in self.windows.items():
            for name, number in numbers.items():
                if index < count:
                    columns[name][index] = number
        return Labels(
            rung=np.nan_to_num(columns["rung"], nan=-1).astype(np.int8),
            height=np.nan_to_num(columns["height"], nan=-1).astype(np.int16),
            stall=columns["stall"].astype(np.float32),
            fps=columns["fps"].astype(np.float32),
            bitrate=columns["bitrate"].astype(np.float32),
            startup=self.startup,
        )


def read_label_tables(labels: Path, windows: Path | None, window: float) -> dict[str, FileLabels]:
    """Read the table of files, and of windows if given; return what they say of each file.

    labels: columns of FILE_COLUMNS and, with several rows a file, of windows. windows: file, the columns of
    SPAN_COLUMNS (a window's number, or its start and end in seconds, or both), the labels. window: seconds.
    An empty cell is unknown. Raises CorpusError naming file and line for an unknown or missing column, a bad
    number, a duplicate row, contradicting rows, or windows that overlap or don't lie side by side.
    """
    found: dict[str, FileLabels] = {}
    if labels.is_file():
        known = (*FILE_COLUMNS, *SPAN_COLUMNS, *WINDOW_COLUMNS[2:])
        for where, row in _rows(labels, known, ("file", "application")):
            if row["file"] in found and not _has_window(row):
                raise CorpusError(f"{where}: '{row['file']}' has a row already, {found[row['file']].where}")
            entry = found.setdefault(row["file"], FileLabels(where))
            _add_file(entry, where, row)
            if _has_window(row):
                _add_window(entry, where, row, window)
    if windows is not None:
        for where, row in _rows(windows, ("file", *SPAN_COLUMNS, *WINDOW_COLUMNS[2:]), ("file",)):
            if labels.is_file() and row["file"] not in found:
                raise CorpusError(f"{where}: '{row['file']}' isn't in {labels.name}{nearest(row['file'], found)}")
            if not _has_window(row):
                raise CorpusError(f"{windows} line 1: column 'window' is missing, or 'start' and 'end'")
            _add_window(found.setdefault(row["file"], FileLabels(where)), where, row, window)
    return found


def _has_window(row: dict[str, str]) -> bool:
    return "window" in row or "start" in row or "end" in row


def _rows(path: Path, known: tuple[str, ...], needed: tuple[str, ...]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield (where, cells by column) of every row that isn't blank."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            header = [_ALIASES.get(name.strip(), name.strip()) for name in next(reader, [])]
            for name in header:
                if name not in known:
                    raise CorpusError(f"{path} line 1: unknown column '{name}'{nearest(name, known)}")
            for name in needed:
                if name not in header:
                    raise CorpusError(f"{path} line 1: column '{name}' is missing")
            if len(set(header)) < len(header):
                raise CorpusError(f"{path} line 1: a column stands there twice")
            for cells in reader:
                where = f"{path} line {reader.line_num}"
                if not any(cell.strip() for cell in cells):
                    continue
                if len(cells) != len(header):
                    raise CorpusError(f"{where}: {len(cells)} cells under {len(header)} columns")
                yield where, {name: cell.strip() for name, cell in zip(header, cells, strict=True)}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CorpusError(f"{path}: not a table in CSV ({error})") from error


def _add_file(entry: FileLabels, where: str, row: dict[str, str]) -> None:
    for name in ("application", "split", "sha256"):
        value = row.get(name, "")
        held = getattr(entry, name)
        if value and held and value != held:
            raise CorpusError(f"{where}: {name} '{value}' contradicts '{held}', {entry.where}")
        if name == "split" and value and value not in SPLITS:
            raise CorpusError(f"{where}: no split '{value}'{nearest(value, SPLITS)}")
        setattr(entry, name, held or value)
    startup = _number(where, "startup", row.get("startup", ""))
    if not math.isnan(startup) and not math.isnan(entry.startup) and startup != entry.startup:
        raise CorpusError(f"{where}: startup {startup} contradicts {entry.startup}, {entry.where}")
    entry.startup = entry.startup if math.isnan(startup) else startup


def _add_window(entry: FileLabels, where: str, row: dict[str, str], window: float) -> None:
    index = _number(where, "window", row.get("window", ""))
    start, end = (_number(where, name, row.get(name, "")) for name in ("start", "end"))
    if math.isnan(start) != math.isnan(end):
        raise CorpusError(f"{where}: a window needs both its start and its end")
    if math.isnan(index) and math.isnan(start):
        raise CorpusError(f"{where}: the window's number is missing")
    if math.isnan(start):
        start, end = index * window, (index + 1) * window
    if not start < end <= (MAXIMUM_WINDOWS + 1) * window:
        raise CorpusError(f"{where}: a window from {start:g} to {end:g} s can't be")
    number = round(start / window) if math.isnan(index) else int(index)
    if number in entry.windows and abs(start - number * window) <= _GRID:
        raise CorpusError(f"{where}: window {number} of '{row['file']}' has a row already")
    if abs(start - number * window) > _GRID or abs(end - (number + 1) * window) > _GRID:
        for again, until, other in entry.spans:
            if start < until - _GRID and again < end - _GRID:
                spans = f"{start:g} to {end:g} s overlaps {again:g} to {until:g} s"
                raise CorpusError(f"{where}: a window of '{row['file']}', {spans}, {other}")
        raise CorpusError(
            f"{where}: {start:g} to {end:g} s isn't window {number} of {window:g} s"
            f" ({number * window:g} to {(number + 1) * window:g} s); dataset.window sets their length"
        )
    entry.spans.append((start, end, where))
    entry.windows[number] = {name: _number(where, name, row[name]) for name in WINDOW_COLUMNS[2:] if name in row}


def _number(where: str, name: str, text: str) -> float:
    """Read a cell: nan where it's empty (or -1, which says so too for rung and height)."""
    if text == "" or (text == "-1" and name in ("rung", "height")):
        return math.nan
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or number < 0:
        raise CorpusError(f"{where}: {name} '{text}' is not a number from 0 on")
    if name in _WHOLE and (number != int(number) or number > _WHOLE[name]):
        raise CorpusError(f"{where}: {name} '{text}' is not a whole number of at most {_WHOLE[name]}")
    return number
