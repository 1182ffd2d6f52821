"""Pages on whole matrices: what is planted in records is said, and what isn't there can't be told."""

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.harness.child import families
from leaderboard.__main__ import main
from leaderboard.board import Interval
from leaderboard.figures import CATALOGUE
from leaderboard.selection import read_matrix
from leaderboard.settings import CONF
from leaderboard.studies import augmentation, conditioning, context, tokenization
from leaderboard.studies.answers.targets import BY_MEAN, MET, MISSED, REACHED, TARGETS, UNKNOWN, Target
from leaderboard.studies.comparison import stand, verdict
from leaderboard.studies.evidence import gather_evidence, gather_methods, read_board
from leaderboard.studies.measures import MEASURES, ORDERED, RUNG
from leaderboard.studies.missing import lacking
from leaderboard.studies.page import escape, table
from tests.leaderboard.board_records import failure, seeds, write
from tests.leaderboard.made_records import make_hostile_records
from tests.leaderboard.study_records import augmented, cell, curves, matrix


def board_of(folder, records):
    write(folder, *records)
    return read_board(folder)[0]


def page_of(tmp_path, records, name):
    write(tmp_path / "cells", *records)
    out = tmp_path / "page.md"
    assert main(["study", name, "--records", str(tmp_path / "cells"), "--out", str(out)]) == 0
    return out.read_text()


def flat(text):
    return " ".join(text.split())


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


def test_what_each_tokenization_keeps_is_in_its_files_words(tmp_path):
    modules = {}
    for path in sorted((CONF / "tokenization").glob("*.yaml")):
        if module := yaml.safe_load(path.read_text()).get("module"):
            modules[path.stem] = module
    outside = ["baselines.tokenizations.__init__.__init__", "os", "baselines.tokenizations..secret", 3, None]
    modules |= {f"foreign{number}": module for number, module in enumerate(outside)}
    records = [cell("gpt", 0, 0.5, tokenization=(name, {"module": module})) for name, module in modules.items()]
    section = tokenization.losses(gather_evidence(board_of(tmp_path, records), tokenization.AXES))
    told = dict(line[3:].split("*: ", 1) for line in section.blocks[0].split("\n"))
    assert set(told) == {name for name in modules if not name.startswith("foreign")}
    assert all("exact" in text.lower() for text in told.values())
    assert "every bit of the nPrint matrix" in told["nprint"]
    assert "foreign0" in section.lacks[0]
    assert "foreign4" in section.lacks[0]


@pytest.mark.parametrize(("length", "said"), [
    (256, "A context of 256 tokens holds 2 packets of *bytes* and 256 packets of *joint*."),
    ([256], ""), (True, ""), (None, ""),
])  # fmt: skip
def test_the_packets_that_a_context_holds_are_said(tmp_path, length, said):
    records = [
        cell("gpt", 0, 0.5, {"cost.tokens_per_packet": tokens}, tokenization=name, context=("some", {"length": length}))
        for name, tokens in (("bytes", 129.0), ("joint", 1.0))
    ]
    answer = tokenization.costs(gather_evidence(board_of(tmp_path, records), tokenization.AXES)).answer
    assert answer.endswith(said)
    assert ("context" in answer) == bool(said)


def test_samples_that_end_early_are_named(tmp_path):
    records = [
        cell("gpt", seed, 0.5, {"fidelity.duration_wasserstein": off}, tokenization=name)
        for name, off in (("bytes", 57.5), ("joint", 0.5)) for seed in range(3)
    ]  # fmt: skip
    whole = tokenization.reach(gather_evidence(board_of(tmp_path / "whole", records), tokenization.AXES))
    assert whole.answer == "No trace was cut for the tokens that it takes."
    for one in records[:3]:
        one.notes["cut"] = True
    cut = tokenization.reach(gather_evidence(board_of(tmp_path / "cut", records), tokenization.AXES))
    assert "of *bytes* end early" in cut.answer
    assert "57.50" in cut.blocks[0]
    silent = matrix({"bytes": 0.5}, "tokenization")
    silent = tokenization.reach(gather_evidence(board_of(tmp_path / "silent", silent), tokenization.AXES))
    assert not silent.answer
    assert silent.lacks


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


@pytest.mark.parametrize("name", ["tokenization_study", "context_study", "conditioning_study", "augmentation_study"])
def test_the_same_records_give_the_same_bytes(tmp_path, name):
    told = [cell("gpt", seed, 0.5, pairs=0.5, conditioning=told) for told in ("none", "all") for seed in range(3)]
    records = [*told, *curves({"joint": 0.05}), *augmented({"hmm": [0.1] * 5}), *seeds("independent", 0.1)]
    pages = []
    for order in (records, records[::-1]):
        folder = tmp_path / str(len(pages))
        write(folder / "cells", *order)
        assert main(["study", name, "--records", str(folder / "cells"), "--out", str(folder / "docs" / "page.md")]) == 0
        pages.append({path.name: path.read_bytes() for path in sorted((folder / "docs").rglob("*.*"))})
    assert pages[0] == pages[1]
    assert any(name.endswith(".png") for name in pages[0])


def test_a_longer_context_helps_where_it_was_planted_and_nowhere_else(tmp_path):
    board = board_of(tmp_path, curves({"joint": 0.05, "segments": 0.0, "bytes": -0.05}))
    found = context.trends(context.curves_of(gather_evidence(board, context.AXES)), MEASURES[RUNG])
    assert found["joint"].value == pytest.approx(0.05, abs=0.01)
    assert {name: gap.told for name, gap in found.items()} == {"joint": True, "segments": False, "bytes": True}
    said = context.longer(context.curves_of(gather_evidence(board, context.AXES))).answer
    assert "longer helps *joint*" in said
    assert "longer harms *bytes*" in said
    assert "it can't be told whether longer helps with *segments*" in said


def test_schemes_stand_from_the_least_told_to_the_most_and_guidance_is_named(tmp_path):
    records = [
        cell("gpt", seed, kept, pairs=pairs, conditioning=(name, {"guidance": guidance, "dropout": 0.0}))
        for name, guidance, kept, pairs in (("all", 1.0, 0.8, 1.0), ("none", 1.0, 0.2, 0.5), ("all", 2.0, 0.6, 1.0))
        for seed in range(3)
    ]
    board = board_of(tmp_path, records)
    entries = conditioning.ordered(gather_evidence(board, conditioning.AXES).entries)
    assert [entry.name for entry in entries] == ["none", "all", "all, guidance 2"]
    page = conditioning.write(board, "conditioning_study", "records")
    text = flat("\n".join(section.text("pictures") for section in page.sections))
    assert "By ordered *all* has the best mean, 1.00" in text
    assert "Of *all*: By rung kept *all* is best" in text
    assert "No record has downstream.adherence" in text


def test_few_pairs_in_order_are_not_certainty(tmp_path):
    board = board_of(tmp_path, [cell("gpt", seed, 0.5, pairs=1.0, conditioning="all") for seed in range(3)])
    found = gather_evidence(board, conditioning.AXES).entries[0].interval(ORDERED)
    assert found.mean == found.high == 1
    assert found.low == pytest.approx(24 / (24 + 1.96**2), abs=0.002)  # Wilson's bound of 24 in 24


def test_augmentation_is_told_by_share_and_sign(tmp_path):
    board = board_of(tmp_path, augmented({"gpt": [0.1, 0.05, 0.0, 0.0, -0.05], "hmm": [0.0] * 5}))
    entries = augmentation.scored(gather_methods(board))
    found = augmentation.gains(entries)
    assert [augmentation.told(found["gpt", share]) for share in (5, 10, 100)] == ["helps", "helps", "harms"]
    assert "helps beside 5 %" in augmentation.sentence(entries[0], found)
    assert "Whether *hmm* helps can't be told at any share" in augmentation.sentence(entries[1], found)


def test_noise_is_seldom_told_from_nothing():
    rng = np.random.default_rng(5)
    from leaderboard.scoring import Scores
    from leaderboard.studies.comparison import contrast, corrected

    names = tuple(map(str, range(20)))
    tables = rng.standard_normal((300, 3, 20))
    found = [contrast([Scores((0, 1, 2), one.mean(axis=1), names, one)], [1.0]) for one in tables]
    assert np.mean([gap.told for gap, _ in found]) < 0.08
    assert not any(gap.told for gap in corrected(found))


@given(st.floats(-2, 2), st.floats(0, 1), st.sampled_from(TARGETS))
@settings(max_examples=200, deadline=None)
def test_a_target_is_met_only_with_the_whole_interval(mean, reach, target):
    found = Interval(mean, mean - reach, mean + reach)
    worst = found.low if target.upwards else found.high
    best = found.high if target.upwards else found.low
    said = target.verdict(found)
    assert (said == MET) == target.keeps(worst)
    assert (said == MISSED) == (not target.keeps(best))
    assert said in (MET, MISSED) or said == (BY_MEAN if target.keeps(mean) else REACHED)


def test_the_targets_bounds():
    ordered = next(target for target in TARGETS if target.metric == ORDERED)
    assert [ordered.verdict(one) for one in (None, Interval(0.9, None, None), Interval(0.95, 0.8, 1))] == [
        UNKNOWN, MET, BY_MEAN,
    ]  # fmt: skip
    assert Target("", ORDERED, 0.9, strict=True).verdict(Interval(0.9, None, None)) == MISSED


def test_answers_from_the_shipped_records(tmp_path):
    out = tmp_path / "answers.md"
    assert main(["answers", "--out", str(out)]) == 0
    text = out.read_text()
    for heading in ("Training", "Representation", "Router", "Price", "Targets"):
        assert f"## {heading}" in text
    assert "instructions on an emulated one" in flat(text)
    assert main(["answers", "--out", str(tmp_path / "again.md")]) == 0
    assert (tmp_path / "again.md").read_bytes() == out.read_bytes()


def test_answers_without_records_say_what_makes_them(tmp_path):
    (tmp_path / "none").mkdir()
    assert main(["answers", "--records", str(tmp_path / "none"), "--out", str(tmp_path / "answers.md")]) == 0
    text = (tmp_path / "answers.md").read_text()
    for name in ("first_light", "tokenization_study", "context_study", "conditioning_study", "kernel_agreement"):
        assert f"experiment={name}" in text


def test_answers_read_a_table_and_a_planted_method(tmp_path):
    good = [cell("gpt", seed, 0.97, {"timing.distance": 1.2, "fidelity.c2st": 0.6}, pairs=1.0) for seed in range(3)]
    write(tmp_path / "cells", *good, *seeds("independent", 0.2), *seeds("real", 0.98), *seeds("two_level", 0.4))
    out = tmp_path / "answers.md"
    assert main(["answers", "--records", str(tmp_path / "cells"), "--out", str(out)]) == 0
    text = flat(out.read_text())
    assert "Yes: a model that *gpt* alone taught" in text
    rows = {line.split("|")[1].strip(): line.split("|")[4].strip() for line in out.read_text().splitlines()
            if line.startswith("|") and line.count("|") == 5}  # fmt: skip
    assert rows["c2st"] == rows["L2 raw"] == rows["rung kept"] == MET
    assert rows["gain beside 5 % of real traces"] == UNKNOWN
    assert rows["counterfactual in order"] == BY_MEAN


def test_hostile_records_do_no_harm(tmp_path):
    records = make_hostile_records()
    for one in records:
        one.config |= {axis: {"name": one.method} for axis in ("tokenization", "context", "conditioning")}
    write(tmp_path / "cells", *records)
    pages = ["tokenization_study", "conditioning_study", "augmentation_study"]
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
