"""What ``check`` runs of a submission: the contract tests, a smoke matrix, and one run in the sandbox."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from benchmark.errors import ConfigError, Unsupported
from benchmark.harness.cell import run_cell
from benchmark.harness.registry import load_corpus
from benchmark.harness.rooms import Rooms
from leaderboard.submitting.entry import Entry
from leaderboard.submitting.rerun import Refused, run_entry
from leaderboard.submitting.resolving import resolve_cell
from leaderboard.submitting.sandbox.limits import Limits
from leaderboard.submitting.verification import asked_of

RESULTS = Path("results") / "check"
_QUICK = ("budget=tiny", "dataset.limit=3")
_LIMITS = Limits(wall_s=300)
_DEADLINE = 900


def check_contract(entry: Entry, root: Path) -> str:
    """Run the contract tests on a method; return what fails, "" where nothing does."""
    if entry.kind != "method":
        return "left out: captures have no code to test"
    if importlib.util.find_spec("pytest") is None:
        return "left out: pytest isn't installed"
    words = [sys.executable, "-m", "pytest", "-q", "-x", "tests/baselines/test_contract.py", "-k", f"[{entry.name}]"]
    done = _run(words, root)
    return "" if done.returncode == 0 else f"failed\n{done.stdout[-4000:]}{done.stderr[-2000:]}"


def check_matrix(entry: Entry, root: Path) -> str:
    """Run the method beside independent draws at the smallest budget, on a few traces; return what isn't ok."""
    if entry.kind != "method":
        return "left out: captures answer the conditions of one budget; run.py scores them there"
    rooms = Rooms(root, root / RESULTS)
    try:
        cell, independent = (resolve_cell([f"generator={name}", *_QUICK], root) for name in (entry.name, "independent"))
    except ConfigError as error:
        return f"failed: {error}"
    run_cell(*independent, rooms)
    record, _ = run_cell(*cell, rooms, independent=independent[0])
    return "" if record.status == "ok" else f"failed: {record.status}: {record.reason}"


def check_sandbox(entry: Entry, root: Path) -> str:
    """Run the method once in the sandbox, where verification runs it; return why it can't be."""
    if entry.kind != "method":
        return "left out: captures can't be run again"
    try:
        config, _ = resolve_cell([f"generator={entry.name}", *_QUICK], root)
        corpus = load_corpus(config, root)
        found = run_entry(entry, config, corpus, asked_of(corpus, config), _LIMITS)
    except Unsupported as error:
        return f"left out: {error}"
    except ConfigError as error:
        return f"failed: {error}"
    if isinstance(found, Refused):
        return f"failed: {found.reason}\n{found.printed[-2000:]}"
    return ""


CHECKS: dict[str, Callable[[Entry, Path], str]] = {
    "contract": check_contract,
    "sandbox": check_sandbox,
    "matrix": check_matrix,
}


def _run(words: list[str], root: Path) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(words, cwd=root, capture_output=True, text=True, timeout=_DEADLINE, check=False)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(words, 124, "", f"over {_DEADLINE} s")
