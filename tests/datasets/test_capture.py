"""The capture command: its arguments, what it needs, and a small plan made for real."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("cryptography", reason="make testbed installs it")

import capture
from benchmark.capture.pcap import write_pcap
from benchmark.corpora import embedded
from benchmark.errors import ConfigError
from link.namespaces import left_over
from needs import lacking, modules, programs
from plan import find_plan, read_plan
from run_session import first_packet
from tests.benchmark.packet_making import packets_from
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


def test_the_first_packet_of_a_capture(tmp_path):
    path = tmp_path / "a.pcap"
    for nanoseconds in (True, False):
        write_pcap(path, packets_from([b"x"], ts=[500_000]), epoch_ns=int(START) * 10**9, nanoseconds=nanoseconds)
        assert first_packet(path) == pytest.approx(START + 0.0005, abs=1e-6)
    path.write_bytes(path.read_bytes()[:24])
    assert first_packet(path) != first_packet(path)


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
