"""``keep``: exactly one matrix is shipped, and the README's table is refreshed between its markers."""

import shutil

import pytest

from benchmark.errors import ConfigError
from leaderboard.records import COMMITTED, find_records, read_records
from leaderboard.selection import belongs, read_matrix, select_matrix
from leaderboard.settings import sweep_values
from leaderboard.shipping import choose_records, keep_records, refresh_readme, split_ended
from tests.leaderboard.board_records import record, seeds, write


def shipped():
    return read_records(find_records(COMMITTED / "first_light"))[0]


def test_a_matrix_is_the_cells_that_its_file_sweeps_over_and_their_references():
    records = shipped()
    assert {each.cell for each in select_matrix(records, "first_light")} == {each.cell for each in records}


@pytest.mark.parametrize(
    ("axis", "value"), [("budget", "smoke"), ("context", "tokens_1024"), ("tokenization", "bpe"), ("dataset", "calls")]
)
def test_a_cell_of_another_choice_is_not_of_the_matrix(axis, value):
    gpt = next(each for each in shipped() if each.method == "gpt")
    assert belongs(gpt, read_matrix("first_light"))
    gpt.choices[axis] = value
    assert not belongs(gpt, read_matrix("first_light"))


def test_a_cell_of_another_seed_or_setting_is_not_of_the_matrix():
    first, second, third = [each for each in shipped() if each.method == "gpt"][:3]
    first.seed = 7
    second.config["generator"]["options"]["batch"] = 5
    third.method = "markov_of_somebody"
    assert select_matrix([first, second, third], "first_light") == []


def test_a_setting_that_the_file_sweeps_is_one_of_its_values():
    matrix = read_matrix("guidance_study")
    assert all(belongs(each, matrix) for each in shipped() if each.method == "independent")
    guided = next(each for each in shipped() if each.method == "gpt" and each.choices["tokenization"] == "segments")
    assert not belongs(guided, matrix)
    guided.config["conditioning"] |= {"dropout": 0.1, "guidance": 1.5}
    assert belongs(guided, matrix)
    guided.config["conditioning"]["guidance"] = 1.7
    assert not belongs(guided, matrix)


def test_an_experiment_that_is_not_there_is_named():
    with pytest.raises(ConfigError, match="did you mean 'first_light'"):
        read_matrix("first_lite")


@pytest.mark.parametrize(
    ("text", "values"),
    [("gpt,hmm", ["gpt", "hmm"]), ("0,1,2", [0, 1, 2]), ("range(0,3)", [0, 1, 2]), ("choice(a,b)", ["a", "b"]),
     ("[a,b],[c]", [["a", "b"], ["c"]]), (3, [3])],
)  # fmt: skip
def test_a_sweep_is_read_as_hydra_reads_it(text, values):
    assert sweep_values(text) == values


def test_a_cell_that_runs_still_is_told_apart_from_one_that_failed():
    running, failed, done = record("gpt", 0), record("gpt", 1), record("gpt", 2)
    running.status, running.ended = "failed", ""
    failed.status = "failed"
    assert split_ended([running, failed, done]) == ([failed, done], [running])


def test_what_was_kept_is_replaced_as_a_whole(tmp_path):
    runs, shelf = tmp_path / "cells", tmp_path / "shelf"
    write(runs, *seeds("gpt"), *seeds("hmm"))
    everything = choose_records(runs)
    keep_records("light", everything, runs, shelf, tmp_path)
    chosen = choose_records(runs, cells=[record("gpt", 0).cell[:6], record("gpt", 1).cell[:6]])
    copies = keep_records("light", chosen, runs, shelf, tmp_path)
    assert sorted(copies) == sorted((shelf / "light").iterdir())
    assert [each.method for each in read_records(copies)[0]] == ["gpt", "gpt"]


def test_nothing_chosen_keeps_what_was_there(tmp_path):
    runs, shelf = tmp_path / "cells", tmp_path / "shelf"
    write(runs, *seeds("gpt"))
    keep_records("light", choose_records(runs), runs, shelf, tmp_path)
    with pytest.raises(ConfigError, match="no record"):
        keep_records("light", choose_records(runs, budget="full"), runs, shelf, tmp_path)
    assert len(list((shelf / "light").iterdir())) == 3
    with pytest.raises(ConfigError, match="isn't the name"):
        keep_records("../light", choose_records(runs), runs, shelf, tmp_path)
    with pytest.raises(ConfigError, match="none begins with 'zz'"):
        choose_records(runs, cells=["zz"])


def test_the_readme_changes_between_the_markers_alone(tmp_path):
    shutil.copytree(COMMITTED / "first_light", tmp_path / "shelf" / "light")
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- table light -->\nold\n<!-- end of table light -->\nafter\n")
    assert refresh_readme("light", readme, tmp_path / "shelf")
    text = readme.read_text()
    assert text.startswith("before\n<!-- table light -->\n\ndataset=streaming budget=default\n\n| method")
    assert text.endswith("<!-- end of table light -->\nafter\n")
    assert "old" not in text
    assert not refresh_readme("heavy", readme, tmp_path / "shelf")
    readme.write_text("<!-- table light -->")
    with pytest.raises(ConfigError, match="once each"):
        refresh_readme("light", readme, tmp_path / "shelf")
