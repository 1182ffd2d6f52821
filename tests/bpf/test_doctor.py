"""What is told of this machine, and of machines that lack things."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.errors import Unsupported
from bpf import checks, doctor, trial
from bpf.checks import Finding

ROOT = Path(__file__).resolve().parents[2]
NOBODY = 65534


def test_abilities_follow_from_findings() -> None:
    found = [Finding(name, True, "") for need in doctor.NEEDS.values() for name in need]
    assert all(not ability.lacks for ability in doctor.judge(found))
    found = [Finding(each.name, None if each.name == "hook tc" else each.there, "") for each in found]
    lacking = {ability.name: ability.lacks for ability in doctor.judge(found)}
    assert lacking["router=host"] == ("hook tc",)
    assert lacking["probe.hook=xdp"] == ()


def test_a_remedy_stands_under_what_is_missing_alone() -> None:
    found = [Finding("clang", False, "missing", "apt-get install clang"), Finding("tc", True, "/sbin/tc", "apt-get")]
    lines = doctor.as_text(found, doctor.judge(found, {"make bpf": ("clang",), "tc": ("tc",)})).splitlines()
    assert [line.split() for line in lines] == [
        ["clang", "no", "missing"],
        ["->", "apt-get", "install", "clang"],
        ["tc", "yes", "/sbin/tc"],
        [],
        ["make", "bpf", "no", "lacks", "clang"],
        ["tc", "yes"],
    ]


def test_this_machine_is_told_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    from bpf.__main__ import main

    status = main(["doctor", "--json"])
    told = json.loads(capsys.readouterr().out)
    names = [finding["name"] for finding in told["findings"]]
    assert len(set(names)) == len(names)
    assert {need for needs in doctor.NEEDS.values() for need in needs} <= set(names)
    assert status == (1 if told["abilities"]["router=host"] else 0)
    assert all(finding["remedy"] for finding in told["findings"] if not finding["there"])


def test_trying_hooks_leaves_this_network_namespace_alone() -> None:
    before = os.readlink("/proc/self/ns/net")
    try:
        reasons = trial.try_hooks()
    except (OSError, Unsupported) as reason:
        pytest.skip(str(reason))
    assert set(reasons) == {"tc", "tcx", "xdp", "socket"}
    assert os.readlink("/proc/self/ns/net") == before


def test_without_privilege_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(trial, "call", refuse)
    monkeypatch.setattr(checks, "held_capabilities", list)
    found = {finding.name: finding for finding in [*checks.kernel(), *checks.hooks()]}
    assert found["privilege"].there is False
    assert found["bpf"].there is False
    assert found["bpf"].detail == "EPERM: Operation not permitted"
    assert found["bpf"].remedy == "run as root (sudo)"
    assert found["hook tc"].there is not True


def test_a_user_without_rights_gets_an_answer() -> None:
    if os.geteuid() != 0:
        pytest.skip("becoming a user without rights takes root")
    try:
        done = subprocess.run(
            [sys.executable, "-c", "from bpf import checks; print(*(f.there for f in checks.kernel()))"],
            cwd=ROOT, env={"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}, user=NOBODY, group=NOBODY,
            extra_groups=[], capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
    except OSError as reason:
        pytest.skip(f"this interpreter isn't for everybody: {reason}")
    if "Permission denied" in done.stderr or "ModuleNotFoundError" in done.stderr:
        pytest.skip("the checkout or the interpreter isn't for everybody")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[:2] == ["False", "False"]
