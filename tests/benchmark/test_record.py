"""A record stands from the start, survives a full disk, and is checked when read."""

import errno
import json
import math
import os

import pytest

from benchmark.metric import Score
from benchmark.record import DIED, Record, RecordError, close_record, open_record, read_record, score_facts


@pytest.fixture
def record():
    return Record(cell="abc", method="gpt", choices={"generator": "gpt"}, config={"seed": 0}, seed=0)


def test_an_open_record_says_that_the_run_died(tmp_path, record):
    open_record(tmp_path / "record.json", record)
    read = read_record(tmp_path / "record.json")
    assert (read.status, read.reason) == ("failed", DIED)


def test_a_closed_record_reads_back_equal(tmp_path, record):
    path = tmp_path / "record.json"
    open_record(path, record)
    record.status, record.reason = "ok", ""
    record.scores = score_facts({"fidelity.c2st": Score(0.5, interval=(0.4, 0.6))})
    close_record(path, record)
    assert read_record(path) == record
    assert read_record(path).value("fidelity.c2st") == 0.5


def _full_disk(monkeypatch):
    def full(*_args, **_named):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)


def test_a_full_disk_still_leaves_the_final_status(tmp_path, monkeypatch, record):
    path = tmp_path / "record.json"
    open_record(path, record)
    _full_disk(monkeypatch)
    record.status, record.reason = "timeout", "over 5 s"
    close_record(path, record)
    assert read_record(path) == record


def test_scores_that_do_not_fit_on_a_full_disk_are_no_success(tmp_path, monkeypatch, record):
    path = tmp_path / "record.json"
    open_record(path, record)
    _full_disk(monkeypatch)
    record.status, record.reason = "ok", ""
    record.per_trace = {"m": {f"trace-{i}": i / 7 for i in range(5000)}}
    close_record(path, record)
    read = read_record(path)
    assert read.status == "failed"
    assert "disk full" in read.reason


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema": 99}, "schema is 99"),
        ({"status": "fine"}, "status 'fine'"),
        ({"scores": []}, "'scores' should be dict"),
        ({"cell": 7}, "'cell' should be str"),
    ],
)
def test_a_foreign_record_is_named(tmp_path, record, change, words):
    path = tmp_path / "record.json"
    open_record(path, record)
    content = json.loads(path.read_text())
    content.update(change)
    path.write_text(json.dumps(content))
    with pytest.raises(RecordError, match=words):
        read_record(path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000])
def test_a_corrupt_record_is_named(tmp_path, content):
    path = tmp_path / "record.json"
    path.write_bytes(content)
    with pytest.raises(RecordError, match=r"record\.json"):
        read_record(path)


def test_numbers_that_are_not_finite_become_null_with_a_reason():
    facts = score_facts(
        {
            "a": Score(math.nan),
            "b": Score(math.inf, reason="divided by nothing"),
            "c": Score(None, "no labels"),
        }
    )
    assert [facts[name]["value"] for name in "abc"] == [None, None, None]
    assert facts["a"]["reason"]
    assert facts["b"]["reason"] == "divided by nothing"
    assert facts["c"]["reason"] == "no labels"
