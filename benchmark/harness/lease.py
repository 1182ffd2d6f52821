"""A lock on a shared filesystem: a file of a generation that only one worker can create, kept alive by its beat."""

from __future__ import annotations

import json
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from benchmark.harness.remote import Remote
from benchmark.record import boot_id

BEAT, PATIENCE = 10.0, 60.0
_LONGEST_PAUSE = 2.0


@contextmanager
def lease(
    remote: Remote,
    name: str,
    beat: float = BEAT,
    patience: float = PATIENCE,
    wait: Callable[[], None] = lambda: None,
) -> Iterator[None]:
    """Hold the lease ``name``, waiting for whoever has it; ``wait`` is called once if someone does.

    Each holder creates the next generation of the file, which the filesystem grants to one only, and writes to it
    every ``beat`` seconds. A holder on this machine is over when its process is; one elsewhere, when its file hasn't
    changed for ``patience`` seconds by the waiter's own clock, so that clocks needn't agree. Where two hold it after
    all (a holder that slept, a filesystem without exclusive creation), both do the same work twice and the last write
    stands, of the same content.
    """
    folder = f"leases/{name}"
    mine = {
        "holder": uuid.uuid4().hex,
        "machine": _machine(),
        "pid": os.getpid(),
        "born": _born(os.getpid()),
        "beat": 0,
    }
    generation = _acquire(remote, folder, mine, patience, wait)
    stop = threading.Event()
    heart = threading.Thread(target=_keep, args=(remote, f"{folder}/{generation:06d}", mine, beat, stop), daemon=True)
    heart.start()
    try:
        yield
    finally:
        stop.set()
        heart.join()
        # A release that can't be written costs the next holder its patience, not this one its result.
        with suppress(OSError):
            remote.write(f"{folder}/{generation:06d}", json.dumps({**mine, "released": True}).encode())


def _acquire(remote: Remote, folder: str, mine: dict[str, Any], patience: float, wait: Callable[[], None]) -> int:
    """Create the generation after the latest once that is over; return it."""
    latest = max((int(name) for name in remote.names(folder) if name.isdigit()), default=-1)
    seen: tuple[int, bytes | None] = (-1, None)
    since, pause, waited = time.monotonic(), 0.1, False
    while True:
        content = remote.read(f"{folder}/{latest:06d}") if latest >= 0 else None
        if (latest, content) != seen:
            seen, since = (latest, content), time.monotonic()
        if latest < 0 or _over(content) or time.monotonic() - since >= patience:
            if remote.create(f"{folder}/{latest + 1:06d}", json.dumps(mine).encode()):
                return latest + 1
            latest, pause = latest + 1, 0.1
            continue
        if not waited:
            wait()
            waited = True
        time.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)


def _keep(remote: Remote, name: str, mine: dict[str, Any], beat: float, stop: threading.Event) -> None:
    while not stop.wait(beat):
        mine["beat"] += 1
        with suppress(OSError):
            remote.write(name, json.dumps(mine).encode())


def _over(content: bytes | None) -> bool:
    """Tell whether a holder has let go, or was a process of this machine that is no more."""
    try:
        holder = json.loads(content or b"")
        if holder.get("released"):
            return True
        return bool(holder["machine"] == _machine() != "" and _born(int(holder["pid"])) != holder["born"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return False  # half written, or not ours: patience decides


def _machine() -> str:
    """This boot and space of process numbers; "" where there is no telling."""
    space = Path("/proc/self/ns/pid")
    return f"{boot_id()} {os.readlink(space)}" if boot_id() and space.exists() else ""


def _born(pid: int) -> str:
    """When a process started, in ticks since the boot; "" where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
