"""Make one session: lane, servers, link, capture, cross traffic and player, and the verdict on what came of it.

    python datasets/testbed/run_session.py FOLDER      FOLDER/spec.json: {session, lane, media, shaka, versions}

Writes into FOLDER, which ``run_plan`` renames: capture.pcap, log.json and session.json (its keys:
``describe``). A session that fails is a rejected one. Exit status 3 where this machine lacks something that
every such session would lack.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmark.errors import Unsupported
from lane import Lane, Process
from link import LinkError, open_link
from machine import Machine
from outcome import KEPT, REJECTED, UNSUPPORTED, write_json
from servers import ServerError, Serving, serve
from session import Link, Session
from tap import TapError, capture
from verdict import Evidence, judge
from versions import PATH

PLAYERS = Path(__file__).resolve().parent / "players"
PROGRAMS = {
    ("streaming", "light"): "light.py",
    ("streaming", "chromium"): "chromium.py",
    ("call", "chromium"): "call.py",
    ("call", "aiortc"): "call_aiortc.py",
}
# Seconds that a player may take beyond the session's duration: a browser's start, the playing on, the log.
PATIENCE = 75.0
_MICROSECONDS, _NANOSECONDS = 0xA1B2C3D4, 0xA1B23C4D


@dataclass
class Made:
    """What came of a session so far. first_packet: unix seconds; NaN of none."""

    link: dict[str, Any] = field(default_factory=dict)
    captured: dict[str, int] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    log: dict[str, Any] = field(default_factory=dict)
    first_packet: float = math.nan
    reason: str = ""


def main() -> int:
    """Run the command line; return the exit status."""
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        print(__doc__)
        return 2
    folder = Path(sys.argv[1]).resolve()
    spec = json.loads((folder / "spec.json").read_text(encoding="utf-8"))
    given = spec["session"]
    session = Session(**{**given, "link": Link(**given["link"])})
    os.environ["PATH"] = PATH
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    began, clock = time.time(), time.monotonic()
    made = Made()
    try:
        make_session(session, spec, folder, made)
        made.reason = made.reason or judge(
            Evidence(session, made.link, made.captured, made.machine, made.log, made.first_packet)
        )
    except Unsupported as error:
        print(f"unsupported: {error}")
        return UNSUPPORTED
    except (LinkError, ServerError, TapError, OSError, subprocess.TimeoutExpired, ValueError) as error:
        made.reason = f"{type(error).__name__}: {error}"
    content = describe(session, made, spec["versions"])
    write_json(folder / "session.json", {**content, "began": began, "wall": round(time.monotonic() - clock, 3)})
    return 0


def describe(session: Session, made: Made, versions: dict[str, str]) -> dict[str, Any]:
    """Return what session.json holds, save ``began`` (unix seconds) and ``wall`` (seconds that it took)."""
    return {
        "session": session.as_dict(),
        "link": made.link,
        "captured": made.captured,
        "machine": made.machine,
        "first_packet": None if math.isnan(made.first_packet) else made.first_packet,
        "versions": versions,
        "verdict": REJECTED if made.reason else KEPT,
        "reason": made.reason,
    }


def make_session(session: Session, spec: dict[str, Any], folder: Path, made: Made) -> None:
    """Make a session in a lane of its own and fill ``made`` as it goes."""
    path = folder / "capture.pcap"
    scratch = folder / "servers"
    try:
        with contextlib.ExitStack() as stack:
            lane = stack.enter_context(Lane(int(spec["lane"])))
            lane.congestion(session.congestion)
            serving = stack.enter_context(_servers(lane, session, Path(spec["media"]), scratch))
            machine = stack.enter_context(Machine())
            link = stack.enter_context(open_link(lane, session.link))
            tap = stack.enter_context(capture(lane, path))
            made.reason = _play(lane, session, _config(lane, session, spec, serving), folder)
            caught = tap.stop()
            made.captured = {"packets": caught.packets, "dropped": caught.dropped_by_kernel}
            made.link = link.report().as_dict()
            made.machine = {**machine.figures(), "cpu_seconds": round(lane.cpu_seconds(), 2)}
        made.first_packet = first_packet(path)
        if (folder / "log.json").is_file():
            made.log = json.loads((folder / "log.json").read_text(encoding="utf-8"))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def first_packet(path: Path) -> float:
    """Return when a pcap file's first packet was captured, in unix seconds; NaN where there is none."""
    with path.open("rb") as stream:
        head = stream.read(24 + 16)
    if len(head) < 24 + 16:
        return math.nan
    for order in "<>":
        magic = struct.unpack_from(f"{order}I", head)[0]
        if magic in (_MICROSECONDS, _NANOSECONDS):
            second, part = struct.unpack_from(f"{order}II", head, 24)
            return float(second + part / (1e9 if magic == _NANOSECONDS else 1e6))
    raise ValueError(f"{path}: not a pcap file")


@contextlib.contextmanager
def _servers(lane: Lane, session: Session, media: Path, scratch: Path) -> Iterator[Serving | None]:
    """Start what a session is served by; a call's ends need no server."""
    if session.kind == "call":
        yield None
        return
    crossed = session.cross != "none"
    with serve(lane, media, session.clip, session.protocol, scratch, cross=crossed) as serving:
        yield serving


def _config(lane: Lane, session: Session, spec: dict[str, Any], serving: Serving | None) -> dict[str, Any]:
    return {
        **session.as_dict(),
        **(serving.config() if serving else {}),
        "namespaces": {"client": lane.client, "server": lane.server},
        "media": spec["media"],
        "shaka": spec["shaka"],
    }


def _play(lane: Lane, session: Session, config: dict[str, Any], folder: Path) -> str:
    """Run the player, and the cross traffic beside it, to its end; return why it failed, empty where it didn't."""
    write_json(folder / "config.json", config)
    program = PLAYERS / PROGRAMS[session.kind, session.client]
    names = [str(folder / "config.json"), str(folder / "log.json")]
    # A call has an end in each namespace; it finds them itself.
    place = None if session.kind == "call" else lane.client
    output = folder / "player.txt"
    others: Process | None = None
    try:
        if session.kind == "streaming" and session.cross != "none":
            command = [sys.executable, str(program.parents[1] / "cross.py"), names[0], str(folder / "cross.json")]
            others = lane.popen(lane.client, command, log=folder / "cross.txt")
        player = lane.popen(place, [sys.executable, str(program), *names], log=output)
        try:
            status = player.wait(session.duration + PATIENCE)
        except subprocess.TimeoutExpired:
            player.stop()
            return f"the player didn't end within {session.duration + PATIENCE:.0f} s"
    finally:
        if others is not None:
            others.stop()
        (folder / "config.json").unlink(missing_ok=True)
    told = output.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    if status == UNSUPPORTED:
        raise Unsupported(told[-1].removeprefix("unsupported: ") if told else f"{program.name} can't run here")
    if status:
        return f"the player ended with status {status}" + (f" ({told[-1][:300]})" if told else "")
    for path in (output, folder / "cross.txt"):
        path.unlink(missing_ok=True)
    return ""


if __name__ == "__main__":
    sys.exit(main())
