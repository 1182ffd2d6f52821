"""Captured sessions into corpora: the cut, the splits, the command."""

import json
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

import reduce
from benchmark.capture.pcap import write_pcap
from benchmark.checksum import convention_checksums
from benchmark.corpora import embedded
from benchmark.corpora.manifest import read_manifest
from benchmark.storage.compact import read_traces
from benchmark.trace import NANOSECONDS
from corpus_card import tables
from session import Link, Session
from splits import BLOCK, split_traces
from tests.benchmark.packet_making import header, packets_from, trace_from
from tests.datasets.player_logs import START, call_log, streaming_log

ROOT = Path(__file__).resolve().parents[2]


def tcp(sport, dport, seq, payload):
    return header(struct.pack(">HHIIBBHHH", sport, dport, seq, 0, 0x50, 16, 255, 0, 0) + payload, 6, address=0)


def test_the_cut_keeps_headers_and_the_first_payload_bytes():
    quic = header(struct.pack(">HHHH", 443, 5000, 8 + 40, 9) + b"Q" * 40, 17)
    call = header(struct.pack(">HHHH", 700, 5000, 8 + 40, 9) + b"R" * 40, 17)
    short = header(struct.pack(">HHHH", 700, 5000, 8 + 3, 9) + b"S" * 3, 17)
    whole = [tcp(443, 5000, 1, b"T" * 100), quic, call, short]
    ts = [5_000, 5_000 + 1_499, 60 * NANOSECONDS + 4_000, 60 * NANOSECONDS + 4_600]
    cut = reduce.cut_packets(packets_from(whole, ts=ts), 60.0)
    assert cut.captured.tolist() == [40, 29, 28 + 16]
    assert cut.length.tolist() == [140, 68, 68]
    # The third packet is just within 60 s of the first; the fourth would round up to 60 s.
    assert cut.ts.tolist() == [0, 1000, 60 * NANOSECONDS - 1000]
    assert convention_checksums(cut).same_as(cut)
    assert bytes(cut.data[40 + 28 : 40 + 29]) == b"Q"


SHARES = {"train": 0.5, "validation": 0.17, "test": 0.33}
SPLITS = ("train", "validation", "test")


def made(name, application, rung, bitrate=0.0):
    trace = trace_from(packets_from([b"x"]), name, rung=np.array([rung, rung], np.int8))
    object.__setattr__(trace.condition, "application", application)
    object.__setattr__(trace.labels, "bitrate", np.array([bitrate, bitrate], np.float32))
    return trace


def many():
    """200 traces of three applications, whose rung follows their rate, but not strictly."""
    generator = np.random.default_rng(4)
    traces = []
    for kind, count in (("a", 120), ("b", 50), ("c", 30)):
        for number in range(count):
            rate = float(np.exp(generator.uniform(np.log(0.2e6), np.log(8e6))))
            rung = int(
                np.clip(np.searchsorted([0.4e6, 0.8e6, 1.6e6, 3e6, 6e6], rate * generator.lognormal(0, 0.4)), 0, 5)
            )
            traces.append(made(f"{kind}{number:03}", kind, rung, rate))
    return traces


def test_splits_follow_shares_within_applications_and_rungs():
    traces = many()
    splits = split_traces(traces, SHARES, 0)
    assert splits == split_traces(traces[::-1], SHARES, 0)
    counts = {split: list(splits.values()).count(split) for split in SPLITS}
    assert counts == {"train": 100, "validation": 34, "test": 66}
    for kind, count in (("a", 120), ("b", 50), ("c", 30)):
        for split, share in SHARES.items():
            given = sum(value == split for name, value in splits.items() if name[0] == kind)
            assert abs(given - share * count) <= 2.01
    for rung in range(6):
        names = [trace.name for trace in traces if trace.labels.rung[0] == rung]
        for split, share in SHARES.items():
            assert abs(sum(splits[name] == split for name in names) - share * len(names)) <= 2.5
    rates = {split: [] for split in SPLITS}
    for trace in traces:
        rates[splits[trace.name]].append(np.log(trace.labels.bitrate[0]))
    means = [float(np.mean(rates[split])) for split in SPLITS]
    assert max(means) - min(means) < 0.1


def test_the_seed_settles_ties_only():
    traces = [made(f"a{number:02}", "a", -1, 1e6 * number) for number in range(24)]
    assert split_traces(traces, SHARES, 0) == split_traces(traces, SHARES, 0)
    assert split_traces(traces, SHARES, 0) != split_traces(traces, SHARES, 1)
    for seed in range(5):
        splits = split_traces(traces, SHARES, seed)
        for first in range(0, 24, BLOCK):
            block = [splits[trace.name] for trace in traces[first : first + BLOCK]]
            assert block.count("train") == 3
            assert block.count("test") == 2


def test_three_traces_fill_three_splits():
    traces = [made(name, "webrtc", -1) for name in "xyz"]
    assert sorted(split_traces(traces, SHARES, 0).values()) == sorted(SPLITS)


def describe(name, kind="streaming", client="light", protocol="h2", verdict="kept", reason="", group="g"):
    """A session.json as run_session writes it."""
    link = Link(((0.0, 5.0),), seed=1)
    session = Session(name, kind, client, protocol, link, clip="street", codec="VP8", notes={"group": group})
    report = {"began": START - 1.5, "dropped_queue": {"down": 3, "up": 0}, "dropped_loss": {"down": 0, "up": 0}}
    late = {"lateness_mean_ms": 0.1, "lateness_p99_ms": 0.4, "lateness_max_ms": 3.0, "late_share": 0.0}
    about = {
        "session": session.as_dict(),
        "link": {**report, **late},
        "captured": {"packets": 10, "dropped": 0},
        "machine": {"load": 1.5, "cores": 2},
        "first_packet": START,
        "began": START - 2,
        "versions": {"nginx": "1.22.1"},
        "verdict": verdict,
        "reason": reason,
    }
    return {**about, "machine": {}, "first_packet": None} if verdict == "rejected" else about


def write_session(folder, name, log, **about):
    place = folder / name
    place.mkdir(parents=True)
    others = tcp(5001, 8443, 1, b"")
    packets = packets_from(
        [tcp(5000, 443, 1, b""), *[tcp(443, 5000, 1 + 1000 * i, b"T" * 1000) for i in range(8)], others],
        ts=[int(i * 6.001 * NANOSECONDS) for i in range(10)],
    )
    write_pcap(place / "capture.pcap", packets, epoch_ns=int(START) * NANOSECONDS)
    (place / "log.json").write_text(json.dumps(log))
    (place / "session.json").write_text(json.dumps(describe(name, **about)))


def write_plan(folder):
    corpora = [
        {"name": "streaming", "kind": "streaming", "window": 10.0, "shares": SHARES, "unscored": {"height": "why"}},
        {"name": "calls", "kind": "call", "window": 1.0, "shares": SHARES, "unscored": {}},
    ]
    sessions = {
        path.parent.name: {"group": "g", "kind": json.loads(path.read_text())["session"]["kind"]}
        for path in sorted(folder.glob("*/session.json"))
    }
    sessions["s9"] = {"group": "g", "kind": "streaming"}  # asked for, not made
    plan = {"name": "mine", "version": 3, "seed": 1, "corpora": corpora, "sessions": sessions}
    (folder / "plan.json").write_text(json.dumps(plan))


@pytest.fixture
def sessions(tmp_path):
    folder = tmp_path / "sessions"
    for i in range(8):
        log = {**streaming_log(length=62), "client": "chromium-shaka" if i % 2 else "light-rate"}
        log["segs"] = [[1000 * START + 9_000, f"c{i % 6}-1.m4s", 5_000, 1, 1000 * START + 8_000]]
        write_session(folder, f"s{i}", log, client="chromium" if i % 2 else "light")
    for i in range(3):
        write_session(folder, f"w{i}", call_log(62), kind="call", client="chromium", protocol="webrtc")
    write_session(folder, "s8", {}, verdict="rejected", reason="the capture dropped 3 packets")
    write_plan(folder)
    return folder


def run(sessions, out):
    return reduce.main([str(sessions), "--out", str(out)])


def test_sessions_become_corpora_that_load(sessions, tmp_path, capsys):
    out = tmp_path / "datasets"
    assert run(sessions, out) == 0, capsys.readouterr().err
    corpus = embedded.load({"name": "streaming"}, tmp_path)
    assert [len(getattr(corpus, split)) for split in SPLITS] == [4, 1, 3]
    assert corpus.applications() == ["light-h2", "shaka-h2"]
    trace = next(trace for trace in corpus.train if trace.condition.application == "light-h2")
    assert trace.packets.ts[-1] == 9 * 6.001 * NANOSECONDS
    assert trace.packets.captured.tolist() == [40] * 10
    assert len(np.unique(trace.packets.fields.sport)) == 3, "cross traffic's flow stays"
    assert trace.notes["player"] == "light-rate"
    assert trace.notes["link"]["down"] == [[0.0, 5.0]]
    assert trace.notes["link_began"] == -1.5
    assert trace.notes["buffer_goal"] == 30.0
    assert trace.notes["buffer"][:2] == [[0, 4.0], [1, 4.0]]
    assert "cross_port" not in trace.notes
    assert trace.notes["lateness"]["lateness_p99_ms"] == 0.4
    asked = {"adaptation", "protocol", "congestion", "clip", "offset", "cross", "load"}
    assert asked <= set(trace.notes)
    calls = embedded.load({"name": "calls"}, tmp_path)
    assert calls.train[0].condition.application == "webrtc"
    assert len(calls.train[0].labels) == 60
    assert "only 3 calls" in calls.unscored["fps"]
    first = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert run(sessions, out) == 0
    assert first == {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert sorted(path.name for path in out.iterdir()) == ["calls", "streaming"]


def test_the_manifest_says_what_became_of_the_plan(sessions, tmp_path):
    assert run(sessions, tmp_path / "datasets") == 0
    manifest = read_manifest(tmp_path / "datasets" / "streaming" / "manifest.json")
    assert manifest.version == 3
    assert manifest.notes["rejected"] == {"s8": "the capture dropped 3 packets"}
    assert manifest.notes["groups"] == {"g": {"asked": 10, "kept": 8, "rejected": 1}}
    assert manifest.notes["versions"] == {"nginx": "1.22.1"}
    assert manifest.notes["plan"] == "mine"
    assert manifest.unscored["height"] == "why"
    assert "0 of 8 traces stall" in manifest.unscored["stall"]


def test_the_cards_tables_are_written_anew_and_its_text_stays(sessions, tmp_path):
    run(sessions, tmp_path / "datasets")
    card = tmp_path / "datasets" / "streaming" / "card.md"
    assert "| train | 4 |" in card.read_text()
    card.write_text("# Mine\n\nWords.\n\n<!-- tables: start -->\nold\n<!-- tables: end -->\n\nMore words.\n")
    assert reduce.main(["--card", str(card.parent)]) == 0
    text = card.read_text()
    assert text.startswith("# Mine\n\nWords.\n")
    assert text.endswith("\n\nMore words.\n")
    assert "old" not in text
    assert "| train | 4 |" in text
    # A reduction keeps the text too.
    run(sessions, tmp_path / "datasets")
    assert card.read_text() == text


@pytest.mark.parametrize("name", ["capture.pcap", "log.json", "session.json"])
def test_a_session_that_lacks_a_file_is_named(sessions, tmp_path, capsys, name):
    (sessions / "s3" / name).unlink()
    assert run(sessions, tmp_path / "datasets") == 1
    assert f"s3/{name}: the session lacks this file" in capsys.readouterr().err
    assert not (tmp_path / "datasets" / "streaming").exists()


def test_a_truncated_capture_is_named(sessions, tmp_path, capsys):
    path = sessions / "s3" / "capture.pcap"
    path.write_bytes(path.read_bytes()[:-7])
    assert run(sessions, tmp_path / "datasets") == 1
    assert "s3/capture.pcap at byte" in capsys.readouterr().err


def test_a_session_of_another_plan_is_named(sessions, tmp_path, capsys):
    write_session(sessions, "s77", streaming_log())
    assert run(sessions, tmp_path / "datasets") == 1
    assert "s77: plan mine has no such session" in capsys.readouterr().err


def test_a_folder_without_a_plan_or_sessions_is_named(tmp_path, capsys):
    assert run(tmp_path, tmp_path / "out") == 1
    assert "plan.json: the folder lacks this file" in capsys.readouterr().err
    write_plan(tmp_path)
    assert run(tmp_path, tmp_path / "out") == 1
    assert "there is no session" in capsys.readouterr().err


def test_a_corpus_of_which_nothing_is_left_is_named_and_the_others_are_written(sessions, tmp_path, capsys):
    for i in range(3):
        about = describe(f"w{i}", "call", "chromium", "webrtc", verdict="rejected", reason="too slow")
        (sessions / f"w{i}" / "session.json").write_text(json.dumps(about))
    assert run(sessions, tmp_path / "datasets") == 1
    assert "no session of calls was kept (w0: too slow; w1: too slow; w2: too slow)" in capsys.readouterr().err
    assert embedded.load({"name": "streaming"}, tmp_path).train


def test_too_few_sessions_for_three_splits_are_named(sessions, tmp_path, capsys):
    shutil.rmtree(sessions / "w1")
    assert run(sessions, tmp_path / "datasets") == 1
    assert "calls: 2 sessions are too few: none is left for validation" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["streaming", "calls"])
def test_shipped_cards_are_up_to_date(name):
    text = (ROOT / "datasets" / name / "card.md").read_text()
    assert tables(ROOT / "datasets" / name) in text


def test_what_is_stored_is_what_was_reduced(sessions, tmp_path):
    run(sessions, tmp_path)
    for trace in read_traces(tmp_path / "streaming" / "traces.parquet"):
        assert convention_checksums(trace.packets).same_as(trace.packets)
