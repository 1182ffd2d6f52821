"""Level 3: what tshark says is believed, and its absence or failure is a reason, never a score."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from benchmark.validator import check
from tests.benchmark.test_validity import connection, rules, trace_of


def stand_in(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = folder / "tshark"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_frames_that_it_names_are_marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, "printf '3\\n7\\n'", monkeypatch)
    findings = check(trace_of(connection()))
    packet, level, _ = findings.table()
    assert packet.tolist() == [2, 6]
    assert level.tolist() == [3, 3]
    assert findings.judged[3]
    assert findings.share(2) == findings.share(4) == 1.0
    assert findings.share(3) < 1.0


@pytest.mark.parametrize("script", ["echo broken >&2; exit 2", "exit 1"])
def test_its_failure_is_a_reason(script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, script, monkeypatch)
    findings = check(trace_of(connection()))
    assert not findings.judged[3]
    assert "tshark failed" in findings.reasons[3]


def test_its_absence_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert check(trace_of(connection())).reasons[3] == "tshark isn't installed"


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark isn't installed")
def test_the_real_one_agrees() -> None:
    assert check(trace_of(connection())).share(3) == 1.0
    talk = connection()
    assert "ack_unseen" in rules(trace_of(talk[:4] + talk[6:]))
    assert check(trace_of(talk[:4] + talk[6:])).share(3) < 1.0
