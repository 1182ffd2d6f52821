"""The errors that a user can mend, each one sentence that names what is wrong and where."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


class TraceError(ValueError):
    """A capture or stored trace that can't be read, with the file and the byte offset of the fault.

    ``packets_read`` is the number of packets before the fault, which ``keep_readable`` would keep.
    """

    def __init__(self, reason: str, path: str | Path, offset: int | None = None, packets_read: int = 0) -> None:
        where = f"{path}" if offset is None else f"{path} at byte {offset}"
        super().__init__(f"{where}: {reason}")
        self.reason = reason
        self.path = str(path)
        self.offset = offset
        self.packets_read = packets_read


class ConfigError(ValueError):
    """A setting that can't be used; the message names the file or group, the field and the nearest name."""


class CorpusError(ValueError):
    """A corpus that is missing, incomplete or not what its manifest says."""


class Incompatible(ValueError):
    """Choices that don't go together; the cell's row says why it was skipped."""


class Unsupported(RuntimeError):
    """This machine lacks a tool or a privilege; the cell's row says which, and isn't a failure."""


def nearest(name: str, names: Iterable[str]) -> str:
    """Return ``", did you mean 'x'?"`` for the closest of ``names``, or the list of them if none is close."""
    known = sorted(names)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; known names: {', '.join(known)}" if known else ""
