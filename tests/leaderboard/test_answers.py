"""The answers: targets are met with whole intervals alone, and what records lack is said."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leaderboard.__main__ import main
from leaderboard.board import Interval
from leaderboard.studies.answers import representation, targets
from leaderboard.studies.answers.targets import BY_MEAN, MET, MISSED, REACHED, TARGETS, UNKNOWN, Target, met
from leaderboard.studies.answers.writing import MOST_SHOWN, fewer
from leaderboard.studies.evidence import gather_methods
from leaderboard.studies.measures import ORDERED
from tests.leaderboard.board_records import seeds, write
from tests.leaderboard.study_records import board_of, cell, flat


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
    studies = ("tokenization_study", "context_study", "conditioning_study", "guidance_study")
    for name in ("first_light", *studies, "kernel_agreement"):
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


def test_schemes_are_held_against_each_other_as_they_are_and_scales_apart(tmp_path):
    plain, hidden = {"guidance": 1.0, "dropout": 0.0}, {"guidance": 1.0, "dropout": 0.1}
    cells = [("none", plain, 0.2), ("all", plain, 0.8), ("all", hidden, 0.85), ("all", hidden | {"guidance": 2.0}, 0.9)]
    records = [
        cell("gpt", seed, kept + 0.001 * seed, conditioning=(scheme, told))
        for scheme, told, kept in cells
        for seed in range(3)
    ]
    said = {block.split(".")[0]: block for block in representation.write(board_of(tmp_path, records)).blocks}
    assert "By rung kept *all* is best" in said["Conditioning"]
    assert "dropout" not in said["Conditioning"]
    assert "With *all, 10% hidden*, scale 2 against 1: better in rung kept (+0.0" in said["Guidance"]


def test_a_generators_setting_is_chosen_by_all_labels_and_not_by_a_hair_of_one(tmp_path):
    stalls = {"all": 0.9, "trajectory": 0.5}
    records = [
        cell("gpt", seed, kept, {"downstream.stall.skill_kept": stalls[told]}, conditioning=told)
        for told, kept in (("all", 0.98), ("trajectory", 0.99))
        for seed in range(3)
    ]
    records += [one for number in range(MOST_SHOWN) for one in seeds(f"method{number}", 0.5)]
    shown = {entry.name for entry in fewer(gather_methods(board_of(tmp_path, records))).entries}
    assert len(shown) == MOST_SHOWN + 1
    assert "gpt all" in shown


@pytest.mark.parametrize("near", [(0.68, 0.69, 0.70), (0.70, 0.71, 0.72)], ids=["by its mean", "within its interval"])
def test_of_methods_that_meet_as_many_targets_the_nearest_to_the_others_is_first(tmp_path, near):
    # Neither has an interval below 0.7; one has its mean or its lower end there.
    c2st = {"near": near, "far": (0.74, 0.75, 0.76)}
    records = [
        cell(method, seed, kept, {"fidelity.c2st": c2st[method][seed]})
        for method, kept in (("near", 0.98), ("far", 0.99))
        for seed in range(3)
    ]
    entries = {entry.name: entry for entry in gather_methods(board_of(tmp_path, records)).entries}
    assert met(entries["near"])[0] == met(entries["far"])[0]
    said = targets.write(gather_methods(board_of(tmp_path, records))).answer
    assert "None meets more than *near*" in said
    assert f"*far* {met(entries['far'])[0]} and {met(entries['far'])[1]}" in said
