"""How a cell's work ended: from an exception or an exit status to a status and its reason, in one line."""

from __future__ import annotations

import json
import signal
import sysconfig
import traceback
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import ConfigError, CorpusError, Incompatible, TraceError, Unsupported
from benchmark.harness.store import write_json

USER_ERRORS = (ConfigError, CorpusError, TraceError)


@dataclass(frozen=True)
class Ending:
    """How a child process ended."""

    status: str
    reason: str
    traceback: str = ""


def ending_of_child(code: int, folder: Path) -> Ending:
    """Read what the child wrote of its own fault, or name the signal that ended it."""
    path = folder / "fault.json"
    if code > 0 and path.exists():
        fault = json.loads(path.read_text())
        return Ending(fault["status"], fault["reason"], fault["traceback"])
    if code < 0:
        return Ending("failed", f"killed by {signal.Signals(-code).name}; log.txt has what it printed")
    return Ending("failed", f"exit status {code}; log.txt has what it printed")


def ending_of(error: BaseException) -> Ending:
    """Turn an exception into a status and a one-line reason."""
    if isinstance(error, Unsupported):
        return Ending("unsupported", str(error))
    if isinstance(error, Incompatible):
        return Ending("skipped", str(error))
    if isinstance(error, OSError) and error.errno == 28:
        return Ending("failed", f"disk full: {error}", _traceback())
    if isinstance(error, MemoryError):
        return Ending("failed", f"out of memory: {error}", _traceback())
    text = str(error).strip().splitlines()[:1]
    name = "" if isinstance(error, USER_ERRORS) else f"{type(error).__name__}: "
    return Ending("failed", name + "".join(text), _traceback())


def write_fault(folder: Path, error: BaseException) -> None:
    """Leave a child's fault for its parent; on a full disk the parent tells from the log."""
    ending = ending_of(error)
    fault = {"status": ending.status, "reason": ending.reason, "traceback": ending.traceback}
    write_json(folder / "fault.json", fault)


def _traceback() -> str:
    """Return where the exception in hand came from, files named from the project's or the environment's root.

    Records are published: how somebody's folders are called is no part of them.
    """
    text, paths = traceback.format_exc(), sysconfig.get_paths()
    for place in (paths["purelib"], paths["platlib"], paths["stdlib"], Path(__file__).resolve().parents[2]):
        text = text.replace(f'"{place}/', '"')
    return text
