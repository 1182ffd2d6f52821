"""Captures that answer conditions: what is taken and refused, and how they are played back."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest

from benchmark.capture.pcap import write_pcap
from benchmark.errors import ConfigError, Incompatible, TraceError
from benchmark.harness.registry import build_generator
from benchmark.storage.compact import write_traces
from benchmark.synthesis.compiler import trace_of
from benchmark.synthesis.sketch import Sketch
from benchmark.trace import NANOSECONDS, Condition, Labels
from leaderboard.submitting import captured, inside
from leaderboard.submitting.answers import read_captures, write_conditions
from leaderboard.submitting.entry import CARD, PLACE, SETTINGS, find_entry
from leaderboard.submitting.sandbox.limits import Limits
from leaderboard.submitting.verdict import Verdict, is_verified, write_verdict
from leaderboard.submitting.verification import verify_entry
from tests.houses import ROOT


def conditions(count=3):
    labels = Labels(*(np.full(2, value, kind) for value, kind in (
        (1, np.int8), (360, np.int16), (0, np.float32), (30, np.float32), (1e6, np.float32)
    )), startup=0.5)  # fmt: skip
    return [Condition(f"app{number}", 20.0, 10.0, labels) for number in range(count)]


@pytest.fixture
def captures(tmp_path):
    folder = tmp_path / "captures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    rows = ["file,condition,client"]
    for number, condition in enumerate(conditions()):
        ts = np.sort(rng.uniform(0, 19 * NANOSECONDS, 50)).astype(np.int64)
        sketch = Sketch("tcp", ts, rng.random(50) < 0.3, np.full(50, 500, np.int32))
        trace = trace_of(sketch, condition, "t", number)
        write_pcap(folder / f"c{number}.pcap", trace.packets)
        rows.append(f"c{number}.pcap,{number},{trace.client}")
    (folder / "answers.csv").write_text("\n".join(rows))
    return folder


def test_captures_answer_conditions(captures, tmp_path):
    traces = read_captures(captures, conditions())
    assert [trace.condition.application for trace in traces] == ["app0", "app1", "app2"]
    write_conditions(tmp_path / "asked.json", conditions())
    asked = json.loads((tmp_path / "asked.json").read_text())["conditions"]
    assert next((one["condition"], one["application"], one["labels"]["rung"]) for one in asked) == (0, "app0", [1, 1])


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ("file,condition\nc0.pcap,0", "no capture answers condition 1"),
        ("file,condition\nc0.pcap,0\nc1.pcap,0", "answered twice"),
        ("file,condition\nc0.pcap,7", "wasn't asked"),
        ("file,condition\n../c0.pcap,0", "isn't a plain file in this folder"),
        ("file,condition\n/etc/passwd,0", "isn't a plain file in this folder"),
        ("file,condition\nc0.pcap,one", "isn't a number"),
        ("file,condition,client\nc0.pcap,0,nobody", "isn't an address"),
        ("name,number\nc0.pcap,0", "the columns are"),
    ],
)
def test_tables_that_are_refused(captures, rows, reason):
    (captures / "answers.csv").write_text(rows)
    with pytest.raises(ConfigError, match=reason):
        read_captures(captures, conditions())


def test_captures_that_are_refused(captures, tmp_path):
    short = [replace(condition, duration=5.0) for condition in conditions()]
    with pytest.raises(TraceError, match="were asked for"):
        read_captures(captures, short)
    (captures / "c1.pcap").write_bytes(b"not a capture")
    with pytest.raises(TraceError):
        read_captures(captures, conditions())
    (captures / "c1.pcap").unlink()
    os.symlink("/etc/passwd", captures / "c1.pcap")
    with pytest.raises(ConfigError, match="plain file"):
        read_captures(captures, conditions())


def test_captures_are_played_back_by_condition(captures, root, monkeypatch):
    folder = root / PLACE / "played"
    folder.mkdir()
    traces = read_captures(captures, conditions())
    write_traces(folder / "traces.parquet", traces)
    (folder / SETTINGS).write_text("repair: none\n")
    (folder / CARD).write_text((root / PLACE / "mine" / CARD).read_text())
    entry = find_entry("played", root)
    assert (entry.kind, entry.node["submission"]) == ("captures", "captures")
    monkeypatch.setattr(captured, "_ROOT", root)
    generator = build_generator({"generator": entry.node}, ROOT)
    played = list(generator.sample(conditions()[::-1], 0))
    assert [trace.condition.application for trace in played] == ["app2", "app1", "app0"]
    assert played[2].packets.length.tolist() == traces[0].packets.length.tolist()
    with pytest.raises(Incompatible, match="no capture answers condition 0"):
        list(generator.sample([replace(conditions()[0], duration=7.0)], 0))
    with pytest.raises(ConfigError, match="can't be run again"):
        verify_entry(entry, None, [1, 2, 3], Limits())
    write_verdict(entry, Verdict("verified", "", entry.digest))
    assert not is_verified(entry)


def test_what_a_sandboxed_trace_notes_of_itself_is_kept_where_it_is_known(captures, tmp_path):
    given = read_captures(captures, conditions())
    noted = [replace(given[0], notes={"cut": "9 tokens reached 1 s", "stitched": True, "told": "<b>"}), *given[1:]]
    write_traces(tmp_path / "traces.parquet", noted)
    kept = list(inside._checked(tmp_path / "traces.parquet", conditions()))
    assert [trace.notes for trace in kept] == [{"stitched": True, "cut": True}, {}, {}]
