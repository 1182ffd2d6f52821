"""Hostile, corrupt, foreign and future records are named and left out; none ends a command."""

import json
import os
from dataclasses import replace

import pytest

from leaderboard.board import build_board
from leaderboard.data import write_data
from leaderboard.records import LARGEST, read_records
from leaderboard.table import render
from tests.leaderboard.board_records import KEPT, record, seeds, write


def damaged(folder, damage):
    """Write a sound record, then change its JSON."""
    (path,) = write(folder, record("gpt", 0))
    content = json.loads(path.read_text())
    changed = damage(content)
    path.write_text(changed if isinstance(changed, str) else json.dumps(content))
    return path


def nested(depth):
    value = "x"
    for _ in range(depth):
        value = {"a": value}
    return value


def score(value=0.5, interval=None, reason=""):
    return lambda content: content["scores"].update({KEPT: {"value": value, "interval": interval, "reason": reason}})


DAMAGES = {
    "half a file": lambda content: json.dumps(content)[:500],
    "another program's": lambda content: '{"results": [1, 2]}',
    "a list": lambda content: "[]",
    "empty": lambda content: "",
    "of the future": lambda content: content.update(schema=2),
    "a field of another type": lambda content: content.update(scores=[1]),
    "a field missing": lambda content: content.pop("seed"),
    "an unknown status": lambda content: content.update(status="fine"),
    "a seed beyond 64 bits": lambda content: content.update(seed=2**70),
    "a seed that is true": lambda content: content.update(seed=True),
    "a cell with a path": lambda content: content.update(cell="../../etc/passwd"),
    "a method with an escape": lambda content: content.update(method="\x1b[2Jgpt"),
    "a method without end": lambda content: content.update(method="m" * 10_000),
    "half a surrogate pair": lambda content: content.update(reason="\ud800"),
    "a choice that is no name": lambda content: content["choices"].update(budget=[1]),
    "an axis that is no object": lambda content: content["config"].update(generator="gpt"),
    "nested too deep": lambda content: content.update(notes=nested(60)),
    "nested past any stack": lambda content: "[" * 100_000,
    "a score that isn't an object": lambda content: content["scores"].update({KEPT: 0.5}),
    "a score that is text": score("0.5"),
    "a score that is true": score(True),
    "a score that isn't a number": score(float("nan")),
    "an infinite score": score(float("inf")),
    "a score without end": score(10**400),
    "an interval of one": score(interval=[0.1]),
    "an interval of text": score(interval=["a", "b"]),
    "values by trace of text": lambda content: content["per_trace"].update({KEPT: {"t": "0.5"}}),
    "values by trace in a list": lambda content: content["per_trace"].update({KEPT: [0.5]}),
    "a floor that isn't finite": lambda content: content["floors"].update({KEPT: float("-inf")}),
    "a version that is text": lambda content: content["metric_versions"].update(downstream="2"),
    "a note that isn't finite": lambda content: content["notes"].update(x=float("nan")),
    "a stage that is a number": lambda content: content["stages"].update(fit=3),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_it_is_named_and_left_out_and_the_rest_stands(tmp_path, name):
    path = damaged(tmp_path, DAMAGES[name])
    sound = write(tmp_path, *seeds("markov"))
    records, faults = read_records([path, *sound], tmp_path)
    assert [each.method for each in records] == ["markov"] * 3
    assert len(faults) == 1
    assert faults[0].startswith(f"{path.relative_to(tmp_path)}: ")
    assert faults[0].isprintable()
    write_data(build_board(records, faults), tmp_path / "out")
    assert faults[0] in json.loads((tmp_path / "out" / "board.json").read_text())["left_out"]


def test_a_file_without_end_and_a_pipe_are_not_read(tmp_path):
    large, pipe = tmp_path / "large.record.json", tmp_path / "pipe.record.json"
    with open(large, "wb") as file:
        file.truncate(LARGEST + 1)
    os.mkfifo(pipe)
    records, faults = read_records([large, pipe], tmp_path)
    assert records == []
    assert faults == [
        f"large.record.json: {LARGEST + 1} bytes, a record has at most {LARGEST}", "pipe.record.json: not a file",
    ]  # fmt: skip


def test_of_two_records_of_a_cell_the_one_that_ended_last_stands(tmp_path):
    older = record("gpt", 0)
    newer = replace(older, ended="2026-03-03T00:00:00+00:00")
    paths = [*write(tmp_path / "a", newer), *write(tmp_path / "b", older), *write(tmp_path / "c", newer)]
    records, faults = read_records(paths, tmp_path)
    assert [each.ended for each in records] == [newer.ended]
    assert len(faults) == 1
    assert faults[0].startswith(f"b/{older.cell}/record.json: cell {older.cell} is in ")


MARKUP = "<img src=x onerror=alert(1)>|`[a](javascript:b)`"


def test_text_of_records_is_no_markup_in_the_table():
    page = render(build_board(seeds(MARKUP)), "github")
    assert "<img" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;\\|\\`\\[a](javascript:b)\\`" in page


def test_names_of_files_hold_nothing_of_a_hostile_name(tmp_path):
    board = build_board(seeds("../../x/" + MARKUP, choices={"dataset": "../..", "budget": "/etc"}))
    write_data(board, tmp_path / "out")
    names = [path.name for path in tmp_path.rglob("*")]
    assert all(part.replace("-", "").replace(".", "").isalnum() for part in names)
    assert not (tmp_path.parent / "x").exists()
    assert board.arenas[0].rows[0].slug.startswith("x-img-src-x-onerror-alert-1-a-javascript-b-")
