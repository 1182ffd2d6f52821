"""The sessions of a plan, run in parallel lanes: resumable, tolerant of failures, with progress."""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmark.errors import ConfigError, Unsupported
from lane import Lane
from outcome import KEPT, REJECTED, UNSUPPORTED, write_json
from plan import CLASSES, Plan, class_of
from session import Session
from versions import find_versions

HERE = Path(__file__).resolve().parent
PLAN = "plan.json"
# Seconds between two starts of a class, so that sessions don't all load their programs at once; a browser's take long.
STAGGER = {"light": 0.2, "chromium": 3.0, "aiortc": 0.2, "call": 0.0}
# Seconds that a session may take beyond its duration before it is ended, and what it is thought to take at first.
PATIENCE = 120.0
OVERHEAD = 12.0
GRACE = 15.0
# Classes whose sessions run beside each other; a browser wants more of the machine, and a browser's call all of it.
PHASES = (("light", "aiortc"), ("chromium",), ("call",))


class Stopped(BaseException):
    """A signal asked for the end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@dataclass
class Run:
    """A session that is being made."""

    session: Session
    kind: str
    lane: int
    aside: Path
    process: subprocess.Popen[bytes]
    began: float


@dataclass
class Progress:
    """How far a capture is."""

    total: int
    verdicts: dict[str, str] = field(default_factory=dict)
    walls: dict[str, list[float]] = field(default_factory=dict)

    def tell(self, name: str, verdict: str, reason: str, wall: float, left: float) -> None:
        """Print that a session is done, and the seconds left."""
        self.verdicts[name] = verdict
        rejected = list(self.verdicts.values()).count(REJECTED)
        why = f": {reason}" if reason else ""
        counts = f"[{len(self.verdicts)}/{self.total}, {rejected} rejected, about {_spell(left)} left]"
        print(f"{counts} {name} {verdict} after {wall:.0f} s{why}", flush=True)


def write_plan(plan: Plan, sessions: Path) -> None:
    """Write what the reduction needs of the whole plan beside its sessions."""
    content = {
        "name": plan.name,
        "version": plan.version,
        "seed": plan.seed,
        "corpora": [asdict(corpus) for corpus in plan.corpora],
        "sessions": {
            session.name: {"group": str(session.notes.get("group", "")), "kind": session.kind}
            for session in plan.sessions
        },
    }
    write_json(sessions / PLAN, content)


def check_sessions(plan: Plan, sessions: Path) -> None:
    """Raise ConfigError where a session that is there already isn't the one that the plan asks for."""
    for session in plan.sessions:
        path = sessions / session.name / "session.json"
        if not path.parent.exists():
            continue
        try:
            made = json.loads(path.read_text(encoding="utf-8"))["session"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{path}: not a session's description; remove its folder") from error
        if made != json.loads(json.dumps(session.as_dict())):
            raise ConfigError(
                f"{path.parent}: made by another plan; choose another folder with sessions=, or remove it"
            )


def run_plan(plan: Plan, sessions: Path, media: Path, shaka: Path, retry: bool = False) -> None:
    """Make the sessions that aren't there yet, phase by phase, browsers' calls last and one at a time.

    Raises Unsupported where a session says that this machine can't run it.
    """
    for stale in sessions.glob(".*"):
        if stale.is_dir():
            shutil.rmtree(stale, ignore_errors=True)
    todo = [session for session in plan.sessions if _is_wanted(sessions / session.name, retry)]
    progress = Progress(len(todo))
    if len(todo) < len(plan.sessions):
        print(f"{len(plan.sessions) - len(todo)} of {len(plan.sessions)} sessions are there already")
    spec = {"media": str(media), "shaka": str(shaka), "versions": find_versions() if todo else {}}
    for phase in PHASES:
        later = [session for session in todo if PHASES.index(_phase_of(session)) > PHASES.index(phase)]
        _run_phase([session for session in todo if _phase_of(session) == phase], later, plan, sessions, spec, progress)


def _run_phase(
    chosen: Sequence[Session],
    later: Sequence[Session],
    plan: Plan,
    sessions: Path,
    spec: dict[str, Any],
    progress: Progress,
) -> None:
    """Run sessions in the lanes of their classes; ``later`` are those of later phases."""
    waiting, running = list(chosen), list[Run]()
    started = dict.fromkeys(CLASSES, -math.inf)
    try:
        while waiting or running:
            now = time.monotonic()
            for kind in CLASSES:
                free = set(range(plan.lanes[kind])) - {run.lane for run in running if run.kind == kind}
                session = next((session for session in waiting if class_of(session) == kind), None)
                if session is not None and free and now - started[kind] >= STAGGER[kind]:
                    waiting.remove(session)
                    running.append(_start(session, min(free), sessions, spec))
                    started[kind] = now
            for run in list(running):
                if run.process.poll() is None and now - run.began > run.session.duration + PATIENCE:
                    _end([run])
                if run.process.poll() is None:
                    continue
                running.remove(run)
                progress.walls.setdefault(run.kind, []).append(now - run.began)
                verdict, reason = _conclude(run, sessions / run.session.name)
                left = _left([*(other.session for other in running), *waiting, *later], plan, progress)
                progress.tell(run.session.name, verdict, reason, now - run.began, left)
            time.sleep(0.1)
    finally:
        _end(running)
        Lane.sweep()


def _phase_of(session: Session) -> tuple[str, ...]:
    return next(phase for phase in PHASES if class_of(session) in phase)


def _start(session: Session, lane: int, sessions: Path, spec: dict[str, Any]) -> Run:
    aside = sessions / f".{session.name}"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    write_json(aside / "spec.json", {**spec, "lane": lane, "session": session.as_dict()})
    command = ["setpriv", "--pdeathsig", "TERM", sys.executable, str(HERE / "run_session.py"), str(aside)]
    with (aside / "output.txt").open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    return Run(session, class_of(session), lane, aside, process, time.monotonic())


def _conclude(run: Run, folder: Path) -> tuple[str, str]:
    """Give a finished session its name, or make a rejected one of what it left; return verdict and reason."""
    told = (run.aside / "output.txt").read_text(encoding="utf-8", errors="replace").strip().splitlines()
    if run.process.returncode == UNSUPPORTED:
        raise Unsupported(told[-1].removeprefix("unsupported: ") if told else "a session can't run here")
    made = run.aside / "session.json"
    if not made.is_file():
        reason = f"the session ended with status {run.process.returncode}"
        reason += f" ({told[-1][:300]})" if told else ""
        content = {"session": run.session.as_dict(), "verdict": REJECTED, "reason": reason}
        write_json(made, content)
    content = json.loads(made.read_text(encoding="utf-8"))
    (run.aside / "spec.json").unlink()
    if content["verdict"] == KEPT:
        (run.aside / "output.txt").unlink()
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(run.aside, folder)
    return content["verdict"], content["reason"]


def _end(running: Sequence[Run]) -> None:
    """End sessions: ask, wait, and kill; their lanes are cleared by their keepers."""
    for run in running:
        with contextlib.suppress(ProcessLookupError):
            run.process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + GRACE
    for run in running:
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.process.wait(max(0.0, deadline - time.monotonic()))
        if run.process.poll() is None:
            run.process.kill()
            run.process.wait()


def _is_wanted(folder: Path, retry: bool) -> bool:
    if not folder.exists():
        return True
    return retry and json.loads((folder / "session.json").read_text(encoding="utf-8"))["verdict"] == REJECTED


def _left(sessions: Sequence[Session], plan: Plan, progress: Progress) -> float:
    """Return about how many seconds sessions will take in their lanes."""
    seconds = dict.fromkeys(CLASSES, 0.0)
    for session in sessions:
        kind = class_of(session)
        walls = progress.walls.get(kind)
        expected = sum(walls) / len(walls) if walls else session.duration + OVERHEAD
        seconds[kind] += expected / plan.lanes[kind]
    return sum(max(seconds[kind] for kind in phase) for phase in PHASES)


def _spell(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
