"""The capture command: its arguments, its verdicts, how it goes on after failures, and a small plan made for real."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("cryptography", reason="make testbed installs it")

import capture
import run_plan
import verdict
from benchmark.capture.pcap import write_pcap
from benchmark.corpora import embedded
from benchmark.errors import ConfigError, Unsupported
from link.namespaces import left_over
from needs import lacking, modules, programs
from plan import find_plan, make_plan, read_plan
from run_session import first_packet
from session import Link, Session
from tests.benchmark.packet_making import packets_from
from verdict import Evidence, judge
from versions import find_versions

TESTBED = Path(__file__).resolve().parents[2] / "datasets" / "testbed"
START = 1_700_000_000.0


def test_arguments():
    words = ["plan=smoke", "lanes.light=3", "retry=true", "only=*-0*", "out=a b", "sessions=[x"]
    options = capture.read_options(words)
    assert (options.plan, options.retry, options.reduce) == ("smoke", True, True)
    assert (options.only, options.out, options.sessions) == ("*-0*", "a b", "[x")
    plan = read_plan(find_plan("smoke"))
    assert capture.with_lanes(plan, options.lanes).lanes == {**plan.lanes, "light": 3}
    assert capture.with_lanes(plan, 7).lanes == {"light": 7, "chromium": 7, "aiortc": 7, "call": 1}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["plan=smoke", "seshuns=x"], "there is no argument 'seshuns'; did you mean 'sessions'"),
        (["smoke"], "arguments are name=value, not 'smoke'"),
        (["only=x"], "plan= is missing"),
        (["plan=smoke", "retry=perhaps"], "retry must be true or false, not 'perhaps'"),
        (["plan=smoke", "retry=[1"], "arguments can't be read"),
    ],
)
def test_a_wrong_argument_is_named(words, message, capsys):
    with pytest.raises(ConfigError, match=message):
        capture.read_options(words)
    assert capture.main(words) == 2
    assert capsys.readouterr().err.startswith("capture: ")


@pytest.mark.parametrize("lanes", [0, "many", {"call": 2}, {"lihgt": 1}, True])
def test_wrong_lanes_are_refused(lanes):
    with pytest.raises(ConfigError, match="lanes"):
        capture.with_lanes(read_plan(find_plan("smoke")), lanes)


def test_help_shows_examples(capsys):
    assert capture.main(["--help"]) == 0
    assert "plan=smoke" in capsys.readouterr().out


def test_what_a_plan_needs():
    plan = read_plan(find_plan("smoke"))
    assert set(programs(plan)) == {"ip", "setpriv", "sysctl", "tcpdump", "nginx"}
    assert set(modules(plan)) == {"cryptography", "h2", "aiortc"}
    if os.geteuid() != 0:
        assert lacking(plan, Path("shaka.js")) == "network namespaces and TUN devices need root"


def test_a_machine_that_lacks_something_says_so_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(capture, "lacking", lambda plan, shaka: "nginx isn't installed; `make testbed` installs it")
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    try:
        assert capture.main(["plan=smoke", f"out={tmp_path}", f"sessions={tmp_path / 's'}"]) == 3
    finally:
        signal.signal(signal.SIGTERM, before[0])
        signal.signal(signal.SIGINT, before[1])
    assert capsys.readouterr().err == "unsupported: nginx isn't installed; `make testbed` installs it\n"
    assert not (tmp_path / "s").exists()


def test_versions_are_numbers():
    found = find_versions()
    assert found["python"] == sys.version.split()[0]
    assert all(value and "\n" not in value for value in found.values())


def evidence(kind="streaming", client="light", protocol="h2", **changes):
    """What a session without fault leaves."""
    session = Session("s", kind, client, protocol, Link(((0, 5),)), duration=60.0)
    times = [1000 * (START + 0.5 * step) for step in range(133)]
    log = {"started": 1000 * START + 900, "protocol": protocol, "segs": [[0, "c1-1.m4s", 1, 1, 0]]}
    log["samples"] = [{"t": time} for time in times]
    if kind == "call":
        seconds = range(66)
        log = {"t_connect": 1000 * START, "asked_fps": 30}
        log["client"] = [{"t": 1000 * (START + s), "in_video": {"framesDecoded": 29 * s}} for s in seconds]
        log["server"] = [
            {"t": 1000 * (START + s), "out_video": {"framesSent": 30 * s, "qualityLimitationReason": "none"}}
            for s in seconds
        ]
    parts = {
        "link": {"late_share": 0.001, "lateness_max_ms": 20.0},
        "captured": {"packets": 9000, "dropped": 0},
        "machine": {"load": 3.0, "cores": 2, "steal_share": 0.001, "clock_step": 0.0},
        "log": log,
    }
    for name, change in changes.items():
        parts[name] = {**parts[name], **change} if change is not None else {}
    return Evidence(session, first_packet=START + 0.1, **parts)


@pytest.mark.parametrize("kind", ["streaming light h2", "streaming chromium h3", "call aiortc webrtc"])
def test_a_session_without_fault_is_kept(kind):
    assert judge(evidence(*kind.split())) == ""
    assert judge(evidence(*kind.split(), link={"late_share": None, "lateness_max_ms": None})) == ""


def without(samples, begin, end):
    return [sample for sample in samples if not begin < sample["t"] / 1000 - START < end]


SAMPLES = evidence().log["samples"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"link": {"late_share": 0.011}}, "the relay sent 1.1% of its packets over 5 ms late"),
        ({"link": {"lateness_max_ms": 501.0}}, "the relay sent a packet 501 ms late"),
        ({"machine": {"steal_share": 0.051}}, "the hypervisor took 5.1% of the CPU time"),
        ({"machine": {"wake_p99_ms": 251.0}}, "the session's own process woke 251 ms late once in a hundred times"),
        ({"machine": {"clock_step": -0.06}}, "the clock was set by -0.060 s"),
        ({"captured": {"dropped": 1}}, "the capture dropped 1 packets"),
        ({"captured": {"packets": 49}}, "the capture has only 49 packets"),
        ({"log": None}, "the player left no log"),
        ({"log": {"samples": []}}, "the player's log has no samples"),
        ({"log": {"samples": without(SAMPLES, 58, 99)}}, "the player's log ends 2.1 s early"),
        ({"log": {"samples": without(SAMPLES, 20, 21.7)}}, "the player took no sample for 2.0 s"),
        ({"log": {"started": None}}, "the player never started to play"),
        ({"log": {"segs": []}}, "the player fetched no segment"),
        ({"log": {"protocol": "h3"}}, "the player spoke h3, not h2"),
    ],
)
def test_each_fault_of_a_streaming_session_is_rejected(changes, reason):
    assert judge(evidence(**changes)) == reason


@pytest.mark.parametrize(
    "changes",
    [
        {"link": {"late_share": 0.01, "lateness_max_ms": 500.0}},
        {"machine": {"steal_share": 0.05, "load": 99.0, "clock_step": 0.05, "wake_p99_ms": 250.0}},
        {"log": {"samples": without(SAMPLES, 20, 21.2)}},
        {"log": {"samples": without(SAMPLES, 59, 99)}},
    ],
)
def test_at_its_limit_a_session_is_kept(changes):
    assert judge(evidence(**changes)) == ""


def test_a_browser_may_sample_less_often():
    assert judge(evidence(client="chromium", log={"samples": without(SAMPLES, 20, 22.7)})) == ""
    assert "no sample for 3.5 s" in judge(evidence(client="chromium", log={"samples": without(SAMPLES, 20, 23.2)}))


def test_only_a_browser_is_rejected_for_the_load_alone():
    assert judge(evidence(client="chromium", machine={"load": 16.0})) == ""
    assert judge(evidence(client="chromium", machine={"load": 16.1})) == "the machine's load was 16.1 on 2 cores"


def sender(frames, reason="none"):
    return [
        {"t": 1000 * (START + s), "out_video": {"framesSent": frames(s), "qualityLimitationReason": reason}}
        for s in range(66)
    ]


def test_a_call_whose_sender_was_starved_is_rejected():
    def judged(client="chromium", **log):
        return judge(evidence("call", client, "webrtc", log=log))

    assert judged(server=sender(lambda s: 25 * s)) == "the call's sender made 25.0 frames a second of 30"
    assert judged(server=sender(lambda s: 26 * s)) == ""
    assert judged(client="aiortc", server=sender(lambda s: 6 * s)) == ""
    assert judged(client="aiortc", server=sender(lambda s: 4 * s)) != ""
    # A slow network may take frames, and so may a call's first seconds.
    assert judged(server=sender(lambda s: 10 * s, "bandwidth")) == ""
    assert judged(server=sender(lambda s: 30 * max(0, s - 4))) == ""
    assert judged(server=sender(lambda s: 30 * s, "cpu")) == "the call's sender lacked CPU in 100% of its samples"
    # An encoder that keeps the resolution drops frames without a word; the camera's own tell.
    dropping = [{**sample, "source_video": {"frames": 30 * s}} for s, sample in enumerate(sender(lambda s: 10 * s))]
    assert judged(server=dropping) == ""
    starved = [{**sample, "source_video": {"frames": 20 * s}} for s, sample in enumerate(sender(lambda s: 20 * s))]
    assert judged(server=starved) == "the call's sender made 20.0 frames a second of 30"
    slow = sender(lambda s: 30 * s)
    for second, sample in enumerate(slow):
        sample["out_video"] |= {"framesEncoded": 30 * second, "totalEncodeTime": 30 * second * 0.021}
    assert judged(server=slow) == "the call's sender took 21 ms to encode a frame"
    assert judged(client="aiortc", server=slow) == ""
    late = [
        {**sample, "late": 301 if second % 15 == 0 else 3} for second, sample in enumerate(sender(lambda s: 30 * s))
    ]
    assert judged(server=late) == "the call's sender was over 300 ms late in 7% of its samples"
    assert judged(server=[{**sample, "late": 300} for sample in late]) == ""
    blind = {"client": [{"t": 1000 * (START + 65), "in_video": {}}]}
    assert judge(evidence("call", "aiortc", "webrtc", log=blind)) == "the call's receiver decoded no frame"


def test_all_reasons_are_told():
    assert judge(evidence(captured={"dropped": 2}, log={"protocol": "h3"})).count(";") == 1


def test_sessions_are_judged_again_by_the_limits_of_now(tmp_path, capsys):
    found = evidence()
    about = {"session": found.session.as_dict(), "link": found.link, "captured": found.captured}
    about |= {"machine": found.machine, "first_packet": found.first_packet}
    about |= {"verdict": "rejected", "reason": "too strict"}
    links = {"good": found.link, "late": {"late_share": 0.5}, "broken": {}}
    for name, parts in ((name, {**about, "link": link}) for name, link in links.items()):
        (tmp_path / name).mkdir()
        (tmp_path / name / "session.json").write_text(json.dumps(parts))
        (tmp_path / name / "log.json").write_text(json.dumps(found.log))
    assert verdict.main([str(tmp_path)]) == 0
    assert capsys.readouterr().out == "good: rejected before, kept now\n3 sessions judged\n"
    read = {path.parent.name: json.loads(path.read_text()) for path in tmp_path.glob("*/session.json")}
    assert (read["good"]["verdict"], read["good"]["reason"]) == ("kept", "")
    assert read["late"]["reason"].startswith("the relay sent 50.0%")
    assert read["broken"]["reason"] == "too strict"


def test_the_first_packet_of_a_capture(tmp_path):
    path = tmp_path / "a.pcap"
    for nanoseconds in (True, False):
        write_pcap(path, packets_from([b"x"], ts=[500_000]), epoch_ns=int(START) * 10**9, nanoseconds=nanoseconds)
        assert first_packet(path) == pytest.approx(START + 0.0005, abs=1e-6)
    path.write_bytes(path.read_bytes()[:24])
    assert first_packet(path) != first_packet(path)


# Stands in for run_session.py: does what the session's clip says, and counts how often it ran.
STAND_IN = """
import json, os, signal, sys, time
folder = sys.argv[1]
spec = json.load(open(folder + "/spec.json"))
session = spec["session"]
print("a word")
with open(os.path.dirname(folder) + "/ran.txt", "a") as stream:
    stream.write(session["name"] + "\\n")
what = session["congestion"] + session["cross"]
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


REASON = lacking(read_plan(find_plan("smoke")), Path("no shaka"))
smoke = pytest.mark.skipif(bool(REASON), reason=f"unsupported: {REASON}")


def command(folder, *words):
    names = ["out", "sessions", "media"]
    return [sys.executable, str(TESTBED / "capture.py"), "plan=smoke", *(f"{n}={folder / n}" for n in names), *words]


@pytest.mark.slow
@smoke
def test_the_smoke_plan_becomes_corpora_that_load(tmp_path):
    done = subprocess.run(command(tmp_path), capture_output=True, text=True, timeout=400, check=False)
    made = [json.loads(path.read_text()) for path in (tmp_path / "sessions").glob("*/session.json")]
    assert len(made) == 7, done.stdout + done.stderr
    busy = ("the relay sent", "the session's own", "the hypervisor took", "the call's sender", "the player took no")
    spoilt = [session["reason"] for session in made if session["verdict"] == "rejected"]
    if spoilt and all(reason.startswith(busy) for reason in spoilt):
        pytest.skip(f"this machine is too busy to capture: {spoilt[0]}")
    assert done.returncode == 0, done.stdout + done.stderr
    corpus = embedded.load({"name": "streaming", "path": str(tmp_path / "out" / "streaming")}, tmp_path)
    assert min(len(corpus.train), len(corpus.validation), len(corpus.test)) >= 1
    traces = {trace.name: trace for trace in [*corpus.train, *corpus.validation, *corpus.test]}
    assert set(traces) == {"plain-00", "plain-01", "outage", "cross"}
    assert traces["plain-00"].flows.count == 1
    assert traces["cross"].flows.count > 1
    assert all((trace.labels.rung >= 0).any() for trace in traces.values())
    assert {trace.notes["adaptation"] for trace in traces.values()} == {"rate", "buffer"}
    calls = embedded.load({"name": "calls", "path": str(tmp_path / "out" / "calls")}, tmp_path)
    assert calls.train[0].condition.application == "aiortc"
    assert left_over() == []


@pytest.mark.slow
@smoke
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_nothing_is_left_after_a_signal(tmp_path, number):
    words = command(tmp_path, "only=plain-*")
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    begun, deadline = tmp_path / "sessions" / ".plain-01" / "capture.pcap", time.monotonic() + 60
    while not begun.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert begun.exists()
    time.sleep(3)
    process.send_signal(number)
    told, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + number, told
    assert "the same command goes on" in told
    assert left_over() == []
    assert not list((tmp_path / "sessions").glob("*/session.json"))
