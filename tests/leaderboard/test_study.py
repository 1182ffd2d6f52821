"""Pages on whole matrices: what is planted in records is said, and what isn't there can't be told."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.harness.scoring import families
from leaderboard.__main__ import main
from leaderboard.figures import CATALOGUE
from leaderboard.selection import read_matrix
from leaderboard.studies import augmentation, conditioning, tokenization
from leaderboard.studies.catalogue import STUDIES
from leaderboard.studies.comparison import Gap, stand, verdict
from leaderboard.studies.evidence import gather_evidence
from leaderboard.studies.measures import MEASURES, RUNG
from leaderboard.studies.missing import lacking
from leaderboard.studies.page import escape, table
from tests.leaderboard.board_records import failure, seeds, write
from tests.leaderboard.made_records import make_hostile_records
from tests.leaderboard.study_records import augmented, board_of, cell, curves, flat, matrix, page_of


def test_measures_say_of_metrics_what_the_metrics_say():
    metrics = {metric.name: metric for family in families() for metric in family.metrics}
    for name in MEASURES.keys() - CATALOGUE.keys():
        assert MEASURES[name].direction == metrics[name].direction, name
        assert (MEASURES[name].low, MEASURES[name].high) == (metrics[name].low, metrics[name].high), name


def test_a_planted_winner_is_named_with_its_gap(tmp_path):
    board = board_of(tmp_path, matrix({"segments": 0.9, "joint": 0.5, "bytes": 0.5}, "tokenization"))
    entries = gather_evidence(board, tokenization.AXES).entries
    said = verdict(entries, MEASURES[RUNG])
    assert "*segments* is best: 0.9" in said
    assert "against the next" in said
    assert stand(entries, MEASURES[RUNG]).gaps["segments", "bytes"].value == pytest.approx(0.4, abs=0.05)


def test_a_difference_that_is_nothing_has_no_minus():
    assert Gap(-0.0, -0.0, -0.0, False).text(".2f") == "+0.00 [+0.00, +0.00]"
    assert Gap(-0.25, None, 0.5, True).text(".2f") == "-0.25"


def test_what_is_alike_cannot_be_told(tmp_path):
    said = flat(page_of(tmp_path, matrix({"segments": 0.5, "joint": 0.5, "bytes": 0.5}, "tokenization"),
                        "tokenization_study"))  # fmt: skip
    assert "By rung kept" in said
    assert "no two of 3 tokenizations can be told apart" in said
    assert "is best" not in said.split("By timing")[0].split("By rung kept")[1]


def test_two_seeds_are_no_result(tmp_path):
    board = board_of(tmp_path, matrix({"segments": 0.9, "joint": 0.1}, "tokenization", seeds=2))
    entries = gather_evidence(board, tokenization.AXES).entries
    assert verdict(entries, MEASURES[RUNG]) == "By rung kept nothing can be said: no entry has it on 3 seeds."


def test_what_is_not_valid_is_shown_and_does_not_win(tmp_path):
    broken = matrix({"bytes": 0.99}, "tokenization")
    for one in broken:
        one.scores["validity.l2.raw"]["value"] = 0.2
    said = flat(page_of(tmp_path, [*broken, *matrix({"joint": 0.5, "segments": 0.3}, "tokenization")],
                        "tokenization_study"))  # fmt: skip
    assert "*joint* is best" in said
    assert "bytes isn't compared: below the validity gate" in said


def test_the_cells_that_lack_are_named_with_their_reasons(tmp_path):
    records = matrix({"segments": 0.5}, "tokenization")
    records.append(failure("gpt", 1, reason="MemoryError: too much", choices={"tokenization": "bpe"}))
    records[-1].config["tokenization"] = {"name": "bpe"}
    found = lacking(read_matrix("tokenization_study"), records)
    assert found["tokenization=bpe"] == {0: "no record", 1: "failed: MemoryError: too much", 2: "no record"}
    assert found["tokenization=bytes"] == dict.fromkeys(range(3), "no record")
    assert "tokenization=segments" not in found
    assert "tokenization=bpe, seeds 0 and 2: no record; seed 1: failed: MemoryError" in page_of(
        tmp_path, records, "tokenization_study"
    )


@pytest.mark.parametrize("name", [*STUDIES])
def test_the_same_records_give_the_same_bytes(tmp_path, name):
    guided = [("all", {"guidance": scale, "dropout": 0.1}) for scale in (1.0, 2.0)]
    told = [cell("gpt", seed, 0.5, pairs=0.5, conditioning=told) for told in ("none", *guided) for seed in range(3)]
    records = [*told, *curves({"joint": 0.05}), *augmented({"hmm": [0.1] * 5}), *seeds("independent", 0.1)]
    pages = []
    for order in (records, records[::-1]):
        folder = tmp_path / str(len(pages))
        write(folder / "cells", *order)
        assert main(["study", name, "--records", str(folder / "cells"), "--out", str(folder / "docs" / "page.md")]) == 0
        pages.append({path.name: path.read_bytes() for path in sorted((folder / "docs").rglob("*.*"))})
    assert pages[0] == pages[1]
    assert any(name.endswith(".png") for name in pages[0])


def test_hostile_records_do_no_harm(tmp_path):
    records = make_hostile_records()
    for one in records:
        one.config |= {axis: {"name": one.method} for axis in ("tokenization", "context", "conditioning")}
    write(tmp_path / "cells", *records)
    pages = ["tokenization_study", "conditioning_study", "guidance_study", "augmentation_study"]
    for name in pages:
        main(["study", name, "--records", str(tmp_path / "cells"), "--out", str(tmp_path / f"{name}.md")])
    main(["answers", "--records", str(tmp_path / "cells"), "--out", str(tmp_path / "answers.md")])
    for path in tmp_path.glob("*.md"):
        assert "<img" not in path.read_text()
        assert "<script" not in path.read_text()


@given(st.text(max_size=40))
@settings(max_examples=100, deadline=None)
def test_a_cell_of_a_table_stays_one_cell(text):
    lines = table(["a", "b"], [[text, "1"]]).split("\n")
    assert len(lines) == 3
    assert lines[2].replace("\\|", "").count("|") == 3
    assert "<" not in escape(text)


def test_an_unknown_study_is_named_with_the_nearest(capsys):
    assert main(["study", "tokenisation_study"]) == 2
    assert "did you mean 'tokenization_study'" in capsys.readouterr().err


def test_a_study_without_records_says_what_makes_them(tmp_path, capsys):
    assert main(["study", "context_study", "--records", str(tmp_path / "nowhere")]) == 2
    assert "python run.py experiment=context_study" in capsys.readouterr().err


def test_the_experiments_sweep_what_their_pages_ask_for():
    told = read_matrix("conditioning_study")
    assert set(told.choices["conditioning"]) == set(conditioning.SCHEMES)
    beside = read_matrix("augmentation_study")
    assert {"gpt", *augmentation.REFERENCES} <= set(beside.choices["generator"])
    assert told.seeds == beside.seeds == [0, 1, 2]
