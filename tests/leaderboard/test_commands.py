"""``show``, ``explain`` and ``compare`` on records of known content."""

import json
import shlex

import pytest

from leaderboard.__main__ import main
from leaderboard.board import build_board
from leaderboard.commands.compare import compare_rows
from leaderboard.records import COMMITTED, find_records, read_records
from leaderboard.settings import command, overrides
from tests.leaderboard.board_records import C2ST, KEPT, L2, failure, record, seeds, write
from tests.leaderboard.study_records import matrix


@pytest.fixture
def told(tmp_path, capsys):
    """Run a command over a few records; return (status, what it printed, what it complained of)."""
    records = [*seeds("gpt", 0.8), *seeds("hmm", 0.4), *seeds("independent", 0.1), failure("broken", 0)]
    write(tmp_path, *records, *seeds("gpt", 0.3, choices={"budget": "smoke"}))

    def run(*words):
        status = main([words[0], "--records", str(tmp_path), *words[1:]])
        return status, *capsys.readouterr()

    return run


def test_show_filters_and_offers_the_nearest_name(told):
    status, table, _ = told("show", "--budget", "smoke")
    assert status == 0
    assert "budget=smoke" in table
    assert "budget=default" not in table
    status, _, complaint = told("show", "--budget", "smok")
    assert (status, complaint) == (2, "--budget: no record of 'smok'; did you mean 'smoke'?\n")
    assert told("show", "--format", "gihub")[0] == 2


def test_show_as_json_says_who_is_ranked(told):
    rows = json.loads(told("show", "--json", "--budget", "default")[1])
    ranks = {(row["method"], tuple(row["ranks"].get(KEPT, ()))) for row in rows}
    assert ranks == {("gpt", (1, 1)), ("hmm", (2, 2)), ("independent", ()), ("broken", ())}


def test_explain_tells_what_a_cell_is_and_why_a_score_is_null(told):
    cell = record("gpt", 0).cell
    status, page, _ = told("explain", cell[:8])
    assert status == 0
    for said in (f"cell {cell}: gpt, seed 0", "3 seeds, competes", "generator=gpt", "rank 1"):
        assert said in page
    status, page, _ = told("explain", failure("broken", 0).cell)
    assert "failed: ValueError: no" in page
    assert json.loads(told("explain", cell, "--json")[1])["record"]["cell"] == cell


def test_explain_names_what_it_does_not_find(told):
    assert told("explain", "zzz")[0] == 2
    status, _, complaint = told("explain", "")
    assert status == 2
    assert "13 cells begin so" in complaint


def test_explain_says_why_a_score_is_null_and_where_rules_are_broken(tmp_path, capsys):
    odd = record("gpt", 0, valid=0.75)
    odd.scores[C2ST] = {"value": None, "interval": None, "reason": "too few windows"}
    (path,) = write(tmp_path, odd)
    assert main(["explain", str(path), "--records", str(tmp_path)]) == 0
    page = capsys.readouterr().out
    assert "too few windows" in page
    assert "Violations begin at level 2: 0.75 of the packets are legal up to it, as sampled." in page
    odd.per_trace[L2] = {"t0": 1.0, "t2": 0.5, "t1": 0.75}
    odd.violation = "t1: packet 7: \x1b[31mwrong checksum"
    write(tmp_path, odd)
    main(["explain", str(path), "--records", str(tmp_path)])
    page = capsys.readouterr().out
    assert "2 of 3 traces have one, the first is t1, 0.75 of whose packets are." in page
    assert "first protocol violation: t1: packet 7: ?[31mwrong checksum" in page


def test_compare_pairs_over_shared_seeds(told):
    found = json.loads(told("compare", "gpt", "hmm", "--budget", "default", "--json")[1])
    kept = next(one for one in found["metrics"] if one["metric"] == KEPT)
    assert (kept["better"], kept["seeds"], kept["traces"]) == ("A", 3, 24)
    assert kept["low"] < kept["difference"] < kept["high"]
    assert kept["difference"] == pytest.approx(0.4, abs=0.05)
    assert kept["p_value"] <= kept["adjusted"] < 0.001
    assert 0 < kept["resolvable"] < kept["difference"]


def test_compare_of_two_cells_is_no_result_though_it_varies_over_traces(told):
    first, second = record("gpt", 0).cell, record("hmm", 0).cell
    found = json.loads(told("compare", first, second, "--json")[1])
    kept = next(one for one in found["metrics"] if one["metric"] == KEPT)
    assert (kept["seeds"], kept["better"]) == (1, "")
    assert kept["p_value"] < 0.05
    assert "can't be told apart (1 seed: no result)" in told("compare", first, second)[1]


def test_compare_takes_whole_words_ahead_of_beginnings(tmp_path, capsys):
    kept = {"joint": 0.8, "joint_bpe": 0.2, "joint_bpe_rule": 0.2}
    write(tmp_path, *matrix(kept, "tokenization", context="tokens_256"))
    assert main(["compare", "gpt joint", "gpt joint_bpe", "--records", str(tmp_path)]) == 0
    assert "A = gpt joint tokens_256\nB = gpt joint_bpe tokens_256" in capsys.readouterr().out
    assert main(["compare", "gpt joint_b", "gpt joint", "--records", str(tmp_path)]) == 2
    assert "gpt joint_b: 2 rows are called so" in capsys.readouterr().err


def test_compare_says_what_is_wrong_with_names(told):
    assert "did you mean 'hmm'?" in told("compare", "gpt", "hm m")[2]
    assert "no 'c2st'" in told("compare", "gpt", "hmm", "--metrics", "c2st")[2]
    other = record("gpt", 0, 0.3, choices={"budget": "smoke"}).cell
    assert "is in dataset=streaming budget=smoke" in told("compare", other, "hmm")[2]


def test_equal_methods_are_not_told_apart():
    rows = build_board([*seeds("one", 0.5), *seeds("two", 0.5)]).arenas[0].rows
    assert [one.better for one in compare_rows(rows[0], rows[1], [KEPT])] == [""]


def test_the_records_that_are_shipped_show_and_say_how_they_are_made_again():
    records, faults = read_records(find_records(COMMITTED))
    assert faults == []
    arenas = build_board(records).arenas
    assert {row.part for row in arenas[0].rows} >= {"floor", "ceiling", "copies", "baseline"}
    gpt = next(each for each in records if each.method == "gpt" and each.choices["tokenization"] == "segments")
    assert command(gpt).startswith(
        "python run.py dataset=streaming generator=gpt tokenization=segments context=tokens_256"
    )


def test_settings_that_choices_do_not_explain_are_part_of_the_command():
    gpt = next(each for each in read_records(find_records(COMMITTED))[0] if each.method == "gpt")
    gpt.config["generator"]["options"] |= {"batch": 7, "words": "a b; rm -rf ~", "list": [1, "x"]}
    assert overrides(gpt)["generator.options.batch"] == 7
    words = shlex.split(command(gpt))
    assert "generator.options.batch=7" in words
    assert "+generator.options.words='a b; rm -rf ~'" in words
    assert "+generator.options.list=[1,'x']" in words
