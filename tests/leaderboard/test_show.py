"""The table and its JSON show every record, and say what was left out."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from benchmark.metric import Score
from benchmark.record import Record, boot_id, close_record, open_record, score_facts
from leaderboard.board import build_board
from leaderboard.records import state_of
from leaderboard.table import render
from tests.houses import ROOT


def record(method, seed, kept, status="ok", reason="", **choices):
    scores = {"downstream.rung.skill_kept": Score(kept, interval=(kept - 0.1, kept + 0.1))} if kept is not None else {}
    return Record(
        cell=f"{method}{seed}", method=method, seed=seed, status=status, reason=reason, config={"seed": seed},
        choices={"generator": method, "dataset": "streaming", "budget": "default", **choices},
        scores=score_facts(scores), floors={"downstream.rung.skill_kept": 1.0},
    )  # fmt: skip


def write(folder, *records):
    for each in records:
        (folder / each.cell).mkdir()
        open_record(folder / each.cell / "record.json", each)
        close_record(folder / each.cell / "record.json", each)


def show(*words):
    return subprocess.run(
        [sys.executable, "-m", "leaderboard", "show", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )


def rows_of(records):
    (arena,) = build_board(records).arenas
    return arena.rows


def test_rows_are_ordered_best_first_and_seeds_are_joined():
    rows = rows_of([record("markov", 0, 0.5), record("gpt", 0, 0.8), record("gpt", 1, 0.9), record("real", 0, None)])
    assert [(row.name, len(row.records)) for row in rows] == [("gpt", 2), ("markov", 1), ("real", 1)]


def test_the_interval_over_seeds_is_students():
    rows = rows_of([record("gpt", seed, value) for seed, value in enumerate((0.7, 0.8, 0.9))])
    mean, low, high = rows[0].interval("downstream.rung.skill_kept")
    # t(0.975, 2 degrees of freedom) = 4.3027, standard error = 0.1 / sqrt(3)
    assert mean == pytest.approx(0.8)
    assert (low, high) == (pytest.approx(0.8 - 0.24841, abs=1e-4), pytest.approx(0.8 + 0.24841, abs=1e-4))


def test_with_values_by_trace_the_interval_covers_seeds_and_traces():
    # Two seeds that agree, on traces that don't: Student's interval over the seeds would be a point.
    twins = [record("gpt", seed, 0.5) for seed in (0, 1)]
    for twin in twins:
        twin.per_trace = {"downstream.rung.skill_kept": {f"t{number}": number % 2 for number in range(16)}}
    mean, low, high = rows_of(twins)[0].interval("downstream.rung.skill_kept")
    assert mean == pytest.approx(0.5)
    # The mean of 16 coins has a standard error of 1/8.
    assert 0.5 - 0.3 < low < 0.5 - 0.15
    assert 0.5 + 0.15 < high < 0.5 + 0.3


def test_one_seed_shows_its_own_interval():
    assert "0.80 [0.70, 0.90]" in render(build_board([record("gpt", 0, 0.8)]))


def test_budgets_are_tables_of_their_own():
    text = render(build_board([record("gpt", 0, 0.8), record("gpt", 1, 0.1, budget="smoke")]))
    assert "budget=default" in text
    assert "budget=smoke" in text


def test_a_rebuilt_method_is_under_trained_until_it_beats_independent_draws():
    def with_c2st(method, value, **generator):
        made = record(method, 0, 0.5)
        made.config = {"generator": {"name": method, **generator}}
        made.scores |= score_facts({"fidelity.c2st": Score(value)})
        return made

    floor = with_c2st("independent", 0.9)
    for value, part in ((0.95, "under-trained"), (0.9, "under-trained"), (0.8, "")):
        rows = rows_of([floor, with_c2st("netdiffusion", value, rebuilds="a paper")])
        assert {row.name: row.part for row in rows} == {"independent": "floor", "netdiffusion": part}


def test_a_rebuilt_method_that_was_never_scored_is_not_under_trained():
    skipped = record("netshare", 0, None, "skipped", "it is told nothing of the path")
    skipped.config = {"generator": {"name": "netshare", "rebuilds": "a paper"}}
    assert rows_of([skipped])[0].part == ""


def test_a_cell_at_work_is_running_and_one_whose_process_is_gone_died():
    working = Record(cell="a", method="m", choices={}, config={}, seed=0, pid=os.getpid(), boot=boot_id())
    assert state_of(working) == "running"
    assert rows_of([working])[0].unranked_reason == "no seed has a score; seed 0 is running"
    assert state_of(replace(working, boot="an earlier boot")) == "failed"
    assert state_of(replace(working, status="timeout", reason="over 5 s")) == "timeout"


def test_json_has_a_row_for_every_status(tmp_path):
    write(tmp_path, record("gpt", 0, 0.8), record("broken", 0, None, "failed", "ValueError: no"))
    rows = {row["method"]: row for row in json.loads(show("--records", str(tmp_path), "--json").stdout)}
    assert rows["gpt"]["scores"] == {"downstream.rung.skill_kept": 0.8}
    assert rows["gpt"]["config"]["generator"] == "gpt"
    assert (rows["broken"]["status"], rows["broken"]["reason"]) == ("failed", "ValueError: no")


def test_a_corrupt_record_is_named_and_left_out(tmp_path):
    write(tmp_path, record("gpt", 0, 0.8))
    (tmp_path / "gpt0" / "other").mkdir()
    (tmp_path / "gpt0" / "other" / "record.json").write_text("{")
    shown = show("--records", str(tmp_path))
    assert "left out" in shown.stderr
    assert "gpt" in shown.stdout


def test_a_failure_is_said_below_the_table(tmp_path):
    write(tmp_path, record("broken", 0, None, "timeout", "over 5 s"))
    assert "broken (cell broken0): timeout: over 5 s" in show("--records", str(tmp_path)).stdout


def test_an_empty_folder_says_what_to_run(tmp_path):
    assert "python run.py" in show("--records", str(tmp_path)).stdout
