"""How a plan is run: what is there already, what is rejected, what dies, what can't be made here."""

import json
import shutil

import pytest

import run_plan
from benchmark.errors import ConfigError, Unsupported
from plan import make_plan

# Stands in for run_session.py: does what the session's cross traffic and congestion control say, and counts its runs.
STAND_IN = """
import json, os, signal, sys, time
folder = sys.argv[1]
spec = json.load(open(folder + "/spec.json"))
session = spec["session"]
print("a word")
with open(os.path.dirname(folder) + "/ran.txt", "a") as stream:
    stream.write(session["name"] + "\\n")
if session["cross"] == "bulk":
    sys.exit("unsupported: no such thing")
if session["cross"] == "web":
    os.kill(os.getpid(), signal.SIGKILL)
if session["congestion"] == "bbr":
    time.sleep(60)
open(folder + "/capture.pcap", "w").close()
verdict = ["kept", ""] if session["buffer"] < 20 else ["rejected", "too big"]
json.dump({"session": session, "verdict": verdict[0], "reason": verdict[1]}, open(folder + "/session.json", "w"))
"""


def small_plan(**fields):
    group = {
        "name": "light",
        "count": 3,
        "kind": "streaming",
        "client": "light",
        "protocol": "h2",
        "clip": "bytes",
        "duration": 10,
        "buffer": 10,
        "link": {"down": 3},
    }
    shares = {"train": 0.5, "validation": 0.25, "test": 0.25}
    corpora = {"streaming": {"kind": "streaming", "window": 2, "shares": shares}}
    sessions = [{**group, **fields}]
    content = {"media": "bytes", "lanes": {"light": 2}, "corpora": corpora, "sessions": sessions}
    return make_plan(content, "small", "small.yaml")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "run_session.py").write_text(STAND_IN)
    monkeypatch.setattr(run_plan, "HERE", tmp_path)
    sessions = tmp_path / "sessions"
    sessions.mkdir()
    return sessions


def run(plan, folder, **options):
    run_plan.check_sessions(plan, folder)
    run_plan.run_plan(plan, folder, folder, folder, **options)


def ran(folder):
    return (folder / "ran.txt").read_text().split()


def left_aside(folder):
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


needs_setpriv = pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv (util-linux) isn't installed")


@needs_setpriv
def test_sessions_that_are_there_are_not_made_again(folder, capsys):
    plan = small_plan()
    run(plan.only("light-01"), folder)
    run(plan, folder)
    run(plan, folder, retry=True)
    assert sorted(ran(folder)) == ["light-00", "light-01", "light-02"]
    assert sorted(path.name for path in (folder / "light-01").iterdir()) == ["capture.pcap", "session.json"]
    assert left_aside(folder) == []
    assert "[2/2, 0 rejected, about 0 s left]" in capsys.readouterr().out


@needs_setpriv
def test_rejected_sessions_are_made_again_where_asked(folder, capsys):
    plan = small_plan(buffer=20)
    run(plan, folder)
    assert "3 rejected" in capsys.readouterr().out
    run(plan, folder)
    assert len(ran(folder)) == 3
    run(plan, folder, retry=True)
    assert len(ran(folder)) == 6


@needs_setpriv
def test_a_session_that_dies_is_a_rejected_one_and_the_run_goes_on(folder):
    plan = small_plan(cross=["web", "none", "none"])
    run(plan, folder)
    verdicts = [json.loads((folder / s.name / "session.json").read_text()) for s in plan.sessions]
    assert sorted(made["verdict"] for made in verdicts) == ["kept", "kept", "rejected"]
    (died,) = (made for made in verdicts if made["verdict"] == "rejected")
    assert died["session"]["cross"] == "web"
    assert died["reason"].startswith("the session ended with status -9")


@needs_setpriv
def test_a_session_that_never_ends_is_ended(folder, monkeypatch):
    monkeypatch.setattr(run_plan, "PATIENCE", -9.5)
    run(small_plan(congestion="bbr", count=1), folder)
    made = json.loads((folder / "light-00" / "session.json").read_text())
    assert made["verdict"] == "rejected"


@needs_setpriv
def test_a_machine_that_cannot_run_a_session_ends_the_run(folder, monkeypatch):
    monkeypatch.setattr(run_plan, "UNSUPPORTED", 1)
    with pytest.raises(Unsupported, match=r"^no such thing$"):
        run(small_plan(cross="bulk"), folder)


@needs_setpriv
def test_sessions_of_another_plan_are_not_mixed_in(folder):
    run(small_plan(), folder)
    with pytest.raises(ConfigError, match=r"light-00: made by another plan; choose another folder with sessions="):
        run(small_plan(buffer=11), folder)
