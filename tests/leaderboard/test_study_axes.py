"""Pages on context, conditioning and augmentation: what is planted is told, and noise isn't."""

import numpy as np
import pytest

from leaderboard.studies import augmentation, conditioning, context, guidance
from leaderboard.studies.evidence import gather_evidence, gather_methods
from leaderboard.studies.measures import MEASURES, ORDERED, RUNG
from tests.leaderboard.study_records import augmented, board_of, cell, curves, flat


def test_a_longer_context_helps_where_it_was_planted_and_nowhere_else(tmp_path):
    board = board_of(tmp_path, curves({"joint": 0.05, "segments": 0.0, "bytes": -0.05}))
    found = context.trends(context.curves_of(gather_evidence(board, context.AXES)), MEASURES[RUNG])
    assert found["joint"].value == pytest.approx(0.05, abs=0.01)
    assert {name: gap.told for name, gap in found.items()} == {"joint": True, "segments": False, "bytes": True}
    said = context.longer(context.curves_of(gather_evidence(board, context.AXES))).answer
    assert "longer helps *joint*" in said
    assert "longer harms *bytes*" in said
    assert "it can't be told whether longer helps with *segments*" in said
    best = {one.title: one.answer for one in context.write(board, "context_study", "records").sections}
    assert "By rung kept *1,024* is best" in best["Curve of *joint*"]
    assert "By rung kept *16* is best" in best["Curve of *bytes*"]
    assert "no two of 4 lengths can be told apart" in best["Curve of *segments*"]


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
    assert "No record has downstream.adherence" in text


def test_what_going_beyond_the_condition_does_is_told_by_scheme_and_share_hidden(tmp_path):
    schemes = (("all", 0.1, 0.1), ("quality", 0.1, -0.1), ("none", 0.0, 0.0))
    records = [
        cell("gpt", seed, 0.5 + slope * scale + 0.001 * seed, pairs=1.0,
             conditioning=(name, {"guidance": scale, "dropout": hidden}))
        for name, hidden, slope in schemes for scale in (3.0, 1.0, 1.5)[: 3 if slope else 1] for seed in range(3)
    ]  # fmt: skip
    board = board_of(tmp_path, records)
    found = guidance.curves_of(gather_evidence(board, guidance.AXES))
    assert list(found) == ["all, 10% hidden", "quality, 10% hidden"]
    assert [[scale for scale, _ in curve] for curve in found.values()] == [[1.0, 1.5, 3.0]] * 2
    page = guidance.write(board, "guidance_study", "records")
    said = {section.title: section.answer for section in page.sections}
    assert "With *all, 10% hidden*, scale 3 against 1: better in rung kept (+0.20" in said["Does going beyond help?"]
    assert "With *quality, 10% hidden*, scale 3 against 1:" in said["Does going beyond help?"]
    assert "worse in rung kept (-0.20" in said["Does going beyond help?"]
    assert "By rung kept *3* is best" in said["Curve of *all, 10% hidden*"]
    assert "By rung kept *1* is best" in said["Curve of *quality, 10% hidden*"]
    unswept = board_of(tmp_path / "unswept", [cell("gpt", seed, 0.5, conditioning="all") for seed in range(3)])
    assert "experiment=guidance_study" in guidance.write(unswept, "guidance_study", "records").sections[0].lacks[0]


def test_whether_being_told_makes_traffic_more_real_is_told_from_its_figures(tmp_path):
    records = [
        cell("gpt", seed, 0.5, {"fidelity.c2st": c2st + 0.001 * seed * sign}, conditioning=name)
        for name, c2st, sign in (("none", 0.9, 1), ("all", 0.7, -1))
        for seed in range(3)
    ]
    section = conditioning.likeness(gather_evidence(board_of(tmp_path, records), conditioning.AXES))
    assert "By c2st *all* is best: 0.70" in section.answer
    assert "against the next, *none*" in section.answer
    assert section.lacks == []


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
