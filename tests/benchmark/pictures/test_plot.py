"""The command that draws: traces are found by all their names, and what can't be found is one line."""

import json

import pytest

from benchmark.__main__ import main
from benchmark.capture.pcap import write_pcap
from benchmark.commands.sources import find_trace, read_source
from benchmark.errors import CorpusError
from benchmark.storage.compact import write_traces
from tests.benchmark.pictures.session_making import LADDER, streamed


def test_a_trace_is_found_by_all_its_names(corpus, tmp_path):
    for text, name in (
        ("made:l3", None),
        (f"{corpus}:l3", None),
        (str(corpus), "l3"),
        (f"{corpus}/traces.parquet:l3", None),
        ("made", "l3"),
    ):
        found = find_trace(text, tmp_path, name)
        assert (found.trace.name, found.ladder, found.count) == ("l3", LADDER, 9)
    assert find_trace("made", tmp_path).trace.name == "l0"


def test_a_capture_is_found_as_a_file(tmp_path):
    write_pcap(tmp_path / "odd:name.pcap", streamed("a").packets)
    found = find_trace(str(tmp_path / "odd:name.pcap"), tmp_path)
    assert (found.trace.name, found.count, len(found.trace.packets)) == ("odd:name", 1, 295)


def test_a_cells_synthetic_traces_are_found(corpus, tmp_path):
    cell = tmp_path / "results" / "cells" / "0123"
    cell.mkdir(parents=True)
    made = [streamed("synthetic-0000"), streamed("synthetic-0001", (5, 5, 5))]
    write_traces(tmp_path / "results" / "store" / "sample" / ("a" * 32) / "traces.parquet", made)
    record = {
        "status": "ok",
        "stages": {"sample": {"key": "a" * 64}},
        "config": {"dataset": {"name": "made", "path": None}},
    }
    (cell / "record.json").write_text(json.dumps(record))
    (cell / "job.json").write_text(json.dumps({"root": str(tmp_path), "store": str(tmp_path / "gone")}))
    found = find_trace(f"{cell}:synthetic-0001", tmp_path)
    assert (found.trace.labels.rung.tolist(), found.ladder) == ([5, 5, 5], LADDER)
    with pytest.raises(CorpusError, match="did you mean 'synthetic-0001'"):
        find_trace(f"{cell}:synthetic-001", tmp_path)
    (cell / "record.json").write_text(json.dumps({**record, "stages": {}, "status": "failed", "reason": "died"}))
    with pytest.raises(CorpusError, match=r"0123: the cell has no synthetic traces \(failed: died"):
        find_trace(str(cell), tmp_path)
    (cell / "record.json").write_text(json.dumps({**record, "stages": {"sample": {"key": "../../x"}}}))
    with pytest.raises(CorpusError, match="aren't in the store any more"):
        find_trace(str(cell), tmp_path)
    (cell / "record.json").write_text("[")
    with pytest.raises(CorpusError, match=r"record.json: not a readable JSON"):
        find_trace(str(cell), tmp_path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("made:l33", "made: no trace 'l33' is in it; did you mean 'l3'?"),
        ("mode:l3", "mode: neither a file or folder nor a corpus; did you mean 'made'?"),
        ("nothing.pcap", "nothing.pcap: neither a file"),
    ],
)
def test_an_unknown_trace_is_one_line_with_the_nearest_name(corpus, capsys, text, reason):
    assert main(["plot", text]) == 2
    error = capsys.readouterr().err
    assert reason in error
    assert error.count("\n") == 1


def test_a_damaged_corpus_is_not_read_in_part(corpus, tmp_path, capsys):
    path = corpus / "traces.parquet"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CorpusError, match="SHA-256"):
        read_source(corpus)
    assert main(["plot", "made:l3", "--out", str(tmp_path / "a.png")]) == 2
    assert "SHA-256" in capsys.readouterr().err
    assert not (tmp_path / "a.png").exists()


def test_the_command_draws_and_says_what_is_missing(corpus, tmp_path, capsys):
    assert main(["plot", "made", "--out", str(tmp_path / "deep" / "a.svg")]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == str(tmp_path / "deep" / "a.svg")
    assert said[1:] == [
        "left out: buffer: the trace's notes don't have it",
        "l0 is the first of 9 traces; for another: made:NAME",
    ]
    assert (
        "made:l0: light-h2" in (tmp_path / "deep" / "a.svg").read_text() or (tmp_path / "deep" / "a.svg").stat().st_size
    )


@pytest.mark.parametrize("command", ["plot", "gallery"])
def test_help_has_examples(command, capsys):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    assert f"  python -m benchmark {command} streaming" in capsys.readouterr().out
