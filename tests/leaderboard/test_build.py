"""``build``: the same bytes for the same records, only what changed is written, and data that others can read."""

import json
import os

import pyarrow.parquet as pq
import pytest

from benchmark.errors import ConfigError
from leaderboard.__main__ import main
from leaderboard.board import build_board
from leaderboard.data import write_data
from leaderboard.output import update_folder
from tests.leaderboard.board_records import KEPT, TRACES, failure, record, seeds, write


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def build(records, out):
    board = build_board(records)
    return update_folder(out, lambda folder: write_data(board, folder))


def cells():
    return [
        *seeds("gpt", 0.6),
        *seeds("independent", 0.1),
        failure("broken", 0),
        *seeds("gpt", choices={"dataset": "calls"}),
    ]


def test_the_same_records_give_the_same_bytes(tmp_path):
    build(cells(), tmp_path / "one")
    build(cells()[::-1], tmp_path / "two")
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_built_again_nothing_is_written(tmp_path):
    build(cells(), tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    changes = build(cells(), tmp_path / "out")
    assert (changes.written, changes.removed) == ((), ())
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == before


def test_a_record_more_changes_only_what_depends_on_it(tmp_path):
    build(cells(), tmp_path / "out")
    more = record("gpt", 3, 0.6)
    changes = build([*cells(), more], tmp_path / "out")
    arena = next(arena.slug for arena in build_board(cells()).arenas if arena.dataset == "streaming")
    assert changes.written == (
        "board.json", f"data/arenas/{arena}/cells.parquet", f"data/arenas/{arena}/traces.parquet",
        f"data/cells/{more.cell}.json", "records.json", "records.parquet", "table.md",
    )  # fmt: skip
    assert changes.removed == ()
    gone = build(cells(), tmp_path / "out")
    assert gone.removed == (f"data/cells/{more.cell}.json",)
    assert not (tmp_path / "out" / "data" / "cells" / f"{more.cell}.json").exists()


def test_the_data_hold_every_record(tmp_path):
    everything = cells()
    build(everything, tmp_path / "out")
    table = pq.read_table(tmp_path / "out" / "records.parquet").to_pydict()
    read = {
        (cell, metric): value
        for cell, metric, value in zip(table["cell"], table["metric"], table["value"], strict=True)
    }
    assert read == {(each.cell, metric): each.value(metric) for each in everything for metric in each.scores}
    tables = [pq.read_table(path).to_pydict() for path in (tmp_path / "out").rglob("cells.parquet")]
    assert sorted(cell for table in tables for cell in table["cell"]) == sorted(each.cell for each in everything)
    traces = [pq.read_table(path).num_rows for path in (tmp_path / "out").rglob("traces.parquet")]
    assert sum(traces) == TRACES * sum(KEPT in each.per_trace for each in everything)
    whole = json.loads((tmp_path / "out" / "data" / "cells" / f"{everything[0].cell}.json").read_text())
    assert whole == json.loads(json.dumps(everything[0].__dict__))
    assert {each["cell"] for each in json.loads((tmp_path / "out" / "records.json").read_text())} == {
        each.cell for each in everything
    }


def test_a_folder_of_others_is_refused_and_untouched(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ConfigError, match="isn't empty"):
        build(cells(), tmp_path)
    assert contents(tmp_path) == {"thesis.txt": b"years of work"}


def test_a_manifest_that_was_tampered_with_reaches_nothing_outside(tmp_path):
    build(cells(), tmp_path / "out")
    (tmp_path / "thesis.txt").write_text("years of work")
    manifest = tmp_path / "out" / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "../thesis.txt": "0", "/etc/hostname": "0"}))
    assert build(cells(), tmp_path / "out").removed == ()
    assert (tmp_path / "thesis.txt").exists()


def test_a_build_that_fails_leaves_what_was_there(tmp_path):
    build(cells(), tmp_path / "out")
    before = contents(tmp_path / "out")

    def fail(folder):
        (folder / "table.md").write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        update_folder(tmp_path / "out", fail)
    assert contents(tmp_path / "out") == before
    assert os.listdir(tmp_path) == ["out"]


def test_no_records_build_an_empty_board(tmp_path):
    build([], tmp_path / "out")
    assert json.loads((tmp_path / "out" / "board.json").read_text()) == {"arenas": [], "left_out": []}


def test_the_command_builds_data_and_site(tmp_path, capsys):
    write(tmp_path / "records", *cells())
    words = ["build", "--records", str(tmp_path / "records"), "--out", str(tmp_path / "out")]
    assert main(words) == 0
    assert {"table.md", "records.parquet", "index.html"} <= contents(tmp_path / "out").keys()
    assert main(words) == 0
    assert "0 files written, 0 removed" in capsys.readouterr().out
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a").write_text("a")
    assert main([*words[:-1], str(tmp_path / "elsewhere")]) == 2
