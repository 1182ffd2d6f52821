"""One cell of the matrix: from a resolved config to a record, whatever happens on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmark.errors import Incompatible, Unsupported
from benchmark.harness.fault import USER_ERRORS, Ending, ending_of, ending_of_child
from benchmark.harness.machine import code_revision, machine_facts, package_versions
from benchmark.harness.rooms import Rooms
from benchmark.harness.stage import Keys, cell_id, identity, ignored_axes, stage_keys
from benchmark.harness.store import write_json
from benchmark.harness.tools import stands
from benchmark.record import Record, RecordError, boot_id, close_record, open_record, read_record

# The checkout that this harness is part of; a cell's own root may be another.
HARNESS = Path(__file__).resolve().parents[2]
Event = Mapping[str, Any]
Listener = Callable[[Event], None]


def run_cell(
    config: Mapping[str, Any],
    choices: Mapping[str, str],
    rooms: Rooms,
    *,
    independent: Mapping[str, Any] | None = None,
    listen: Listener = lambda event: None,
    retry: bool = True,
) -> tuple[Record, bool]:
    """Run a cell, or find its record; return (record, whether it was found).

    config: the resolved config. choices: axis to chosen name. independent: resolved config of the reference that
    scores are set against, None if this is it. listen: called with each progress event of the child.
    retry: run again what isn't ok. Never raises for a fault of the method, the machine or the data.
    """
    found = find_record(config, independent, rooms, retry=retry)
    if found is not None:
        return found, True

    def wait() -> None:
        listen({"what": "waiting for another run of it", "done": 0, "total": 1})

    with rooms.stages.hold("cell", cell_id(config), wait):
        # Who held it before may have been at this very cell.
        found = find_record(config, independent, rooms, retry=retry)
        if found is not None:
            return found, True
        return _run_anew(config, choices, rooms, independent, listen), False


def find_record(
    config: Mapping[str, Any], independent: Mapping[str, Any] | None, rooms: Rooms, *, retry: bool = True
) -> Record | None:
    """Return a cell's record if it stands: ok, of today's keys, its samples still in the store; else None.

    retry: take no record that isn't ok; without it, one of a cell that ended, however it did, stands.
    """
    try:
        keys = stage_keys(config, independent, rooms.root)
    except (*USER_ERRORS, Incompatible, Unsupported, OSError, SyntaxError):
        return None
    rooms.fetch_cell(cell_id(config))
    return _found(rooms.cells / cell_id(config) / "record.json", keys, rooms, keep_failures=not retry)


def _run_anew(
    config: Mapping[str, Any],
    choices: Mapping[str, str],
    rooms: Rooms,
    independent: Mapping[str, Any] | None,
    listen: Listener,
) -> Record:
    folder = rooms.cells / cell_id(config)
    path = folder / "record.json"
    folder.mkdir(parents=True, exist_ok=True)
    used = {axis: "none" if axis in ignored_axes(config) else name for axis, name in choices.items()}
    record = Record(
        cell=folder.name, method=config["generator"]["name"], choices=used, config=identity(config),
        seed=config["seed"], started=_now(), pid=os.getpid(), boot=boot_id(),
    )  # fmt: skip
    try:
        stage_keys(config, independent, rooms.root)
    except (*USER_ERRORS, Incompatible, Unsupported, OSError, SyntaxError) as error:
        (folder / "result.json").unlink(missing_ok=True)
        open_record(path, record)
        return _finish(path, record, ending_of(error), rooms)
    record.code = code_revision(rooms.root)
    record.packages, record.machine = package_versions(), machine_facts()
    open_record(path, record)
    rooms.share_cell(record.cell, start=True)
    try:
        ending = _run(config, independent, folder, rooms, listen)
    except OSError as error:
        ending = ending_of(error)
    return _finish(path, record, ending, rooms)


def _found(path: Path, keys: Keys, rooms: Rooms, keep_failures: bool) -> Record | None:
    """Return the record at ``path`` if it stands: ok, of these keys, none of the tools that it lacked here by now, and
    its samples still in the store."""
    if not path.exists():
        return None
    try:
        record = read_record(path)
    except RecordError:
        return None
    if record.status != "ok":
        return record if keep_failures and not record.reason.startswith("died") else None
    stored = rooms.stages.has("sample", keys.sample)
    same = all(record.stages.get(stage, {}).get("key", "") == keys.of(stage) for stage in ("score", "probe"))
    return record if stored and same and all(map(stands, record.stages.values())) else None


def _run(
    config: Mapping[str, Any],
    independent: Mapping[str, Any] | None,
    folder: Path,
    rooms: Rooms,
    listen: Listener,
) -> Ending:
    """Run the child and see it end: by itself, or killed with all it started at the deadline."""
    for leftover in ("result.json", "fault.json"):
        (folder / leftover).unlink(missing_ok=True)
    job = {
        "root": str(rooms.root), "folder": str(folder), "store": str(rooms.store), "config": config,
        "independent": independent, "remote": rooms.remote.url if rooms.remote else None,
    }  # fmt: skip
    write_json(folder / "job.json", job)
    deadline = float(config["budget"]["cell_seconds"])
    with open(folder / "log.txt", "wb") as log, open(folder / "events.jsonl", "w") as events:
        child = subprocess.Popen(
            [sys.executable, "-m", "benchmark", "cell", str(folder)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, cwd=HARNESS, start_new_session=True,
        )  # fmt: skip
        late = threading.Event()
        timer = threading.Timer(deadline, _kill_late, (child, late))
        timer.start()
        try:
            _follow(child, events, listen)
            code = child.wait()
        finally:
            timer.cancel()
            _kill_group(child)
            child.wait()
    if late.is_set():
        return Ending("timeout", f"over {deadline:g} s; budget.cell_seconds sets the deadline")
    if code == 0:
        return Ending("ok", "")
    return ending_of_child(code, folder)


def _follow(child: subprocess.Popen[bytes], events: Any, listen: Listener) -> None:
    """Pass on the child's events until it closes its end."""
    assert child.stdout is not None
    for line in child.stdout:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        events.write(json.dumps({**event, "time": round(time.time(), 3)}) + "\n")
        listen(event)


def _kill_late(child: subprocess.Popen[bytes], late: threading.Event) -> None:
    late.set()
    _kill_group(child)


def _kill_group(child: subprocess.Popen[bytes]) -> None:
    """Kill the child's process group; what it started has no life of its own."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _finish(path: Path, record: Record, ending: Ending, rooms: Rooms) -> Record:
    """Complete the record from the child's result and put it in place."""
    folder = path.parent
    record.status, record.reason, record.traceback = ending.status, ending.reason, ending.traceback
    record.ended = _now()
    # A cell whose probe can't run on this machine leaves the scores that were reached before.
    if ending.status == "ok" or (folder / "result.json").exists():
        result = json.loads((folder / "result.json").read_text())
        for name, value in result.items():
            setattr(record, name, value)
    close_record(path, record)
    rooms.share_cell(record.cell)
    return record


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
