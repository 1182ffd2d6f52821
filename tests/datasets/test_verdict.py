"""Which sessions are kept, which are rejected and why, and judging them again."""

import json

import pytest

import verdict
from session import Link, Session
from verdict import Evidence, judge

START = 1_700_000_000.0


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
