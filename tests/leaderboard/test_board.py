"""The board: what is ranked with what, who competes, what is imputed, and which ranks are shared."""

import random

import pytest

from benchmark.harness.scoring import families
from benchmark.metrics import kernel
from leaderboard.board import build_board
from leaderboard.figures import CATALOGUE
from leaderboard.table import render
from tests.leaderboard.board_records import C2ST, KEPT, L2, VERSIONS, failure, record, seeds


def only(board):
    assert len(board.arenas) == 1
    return board.arenas[0]


def row(board, name):
    return next(row for arena in board.arenas for row in arena.rows if row.name == name)


def test_figures_say_of_metrics_what_the_metrics_say():
    metrics = {metric.name: metric for family in [*families(), kernel.FAMILY] for metric in family.metrics}
    for name, figure in CATALOGUE.items():
        metric = metrics[name]
        assert (figure.direction, figure.of_record) == (metric.direction, metric.of_record), name
        assert figure.low >= metric.low, name
        assert figure.high <= metric.high, name
    # Bytes of a window nearly are the bit rate, so that a high score of it says nothing.
    unlisted = {name for name, metric in metrics.items() if metric.of_record} - CATALOGUE.keys()
    assert unlisted == {"downstream.bitrate.skill_kept"}


def test_equal_methods_share_ranks_and_a_planted_gap_is_found():
    board = build_board([*seeds("good", 0.9), *seeds("fair", 0.6), *seeds("same", 0.6), *seeds("independent", 0.1)])
    assert {each.name: str(each.ranks.get(KEPT)) for each in only(board).rows} == {
        "good": "1", "fair": "2–3", "same": "2–3", "independent": "None",
    }  # fmt: skip


def test_less_is_better_where_the_figure_says_so():
    board = build_board([*seeds("near", c2st=0.6), *seeds("far", c2st=0.9)])
    # No values by trace and no noise: the seeds agree, and the gap is certain.
    assert [row(board, name).ranks[C2ST] for name in ("near", "far")] == [(1, 1), (2, 2)]


def test_the_order_of_records_changes_nothing():
    records = [*seeds("good", 0.9), *seeds("fair", 0.6), *seeds("independent", 0.1), failure("broken", 0)]
    wanted = [(each.name, each.intervals, each.ranks) for each in only(build_board(records)).rows]
    random.Random(1).shuffle(records)
    assert [(each.name, each.intervals, each.ranks) for each in only(build_board(records)).rows] == wanted


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"metric_versions": {**VERSIONS, "downstream": 1}}, "downstream is scored by version 1 there, 2 here"),
        ({"corpus": {"name": "streaming", "digest": "decade"}}, "another version (decade there, c0ffee here)"),
        ({"config": {"generator": {"name": "old"}, "budget": {"traces": 9}}}, "the settings of the dataset or the"),
    ],
)  # fmt: skip
def test_other_versions_are_never_ranked_together_and_the_reason_is_said(changes, said):
    newer = seeds("new", 0.6)
    for each in newer:
        each.ended = "2026-02-02T00:00:00+00:00"
    board = build_board([*seeds("old", 0.9, **changes), *newer])
    assert [[each.name for each in arena.rows] for arena in board.arenas] == [["new"], ["old"]]
    assert [arena.current for arena in board.arenas] == [True, False]
    assert said in board.arenas[0].apart[0].sentence
    assert row(board, "old").ranks[KEPT] == row(board, "new").ranks[KEPT] == (1, 1)
    assert len({arena.slug for arena in board.arenas}) == 2


def test_budgets_and_datasets_are_arenas_that_nobody_takes_for_one():
    board = build_board(
        [*seeds("a"), *seeds("a", choices={"budget": "smoke"}), *seeds("a", choices={"dataset": "calls"})]
    )
    assert [arena.title for arena in board.arenas] == [
        "dataset=calls budget=default", "dataset=streaming budget=default", "dataset=streaming budget=smoke",
    ]  # fmt: skip
    assert all(arena.apart == () for arena in board.arenas)


def test_references_are_shown_and_not_ranked():
    board = build_board([*seeds("real", 0.99), *seeds("gpt", 0.6)])
    assert (row(board, "real").part, row(board, "real").ranked, row(board, "real").ranks) == ("ceiling", False, {})
    assert row(board, "gpt").ranks[KEPT] == (1, 1)


def test_below_the_validity_gate_a_method_is_listed_and_not_ranked():
    board = build_board([*seeds("loose", 0.9, valid=0.89), *seeds("strict", 0.5, valid=0.91)])
    assert not row(board, "loose").ranked
    assert "validity gate: 0.890" in row(board, "loose").unranked_reason
    assert row(board, "strict").ranks[KEPT] == (1, 1)


def test_the_gate_is_a_share_of_what_real_traffic_reaches():
    rough = seeds("rough", 0.5, valid=0.8, floors={L2: 0.85})
    assert row(build_board(rough), "rough").ranked


def test_one_copying_seed_takes_a_method_out_of_the_ranking():
    board = build_board(
        [record("thief", 0, flagged=1.0), record("thief", 1), record("thief", 2), *seeds("honest", 0.4)]
    )
    assert "copies training traces (seed 0)" in row(board, "thief").unranked_reason
    assert row(board, "honest").ranks[KEPT] == (1, 1)


def test_fewer_than_three_seeds_are_no_rank():
    board = build_board([*seeds("quick", 0.9, count=2), *seeds("slow", 0.5)])
    assert row(board, "quick").unranked_reason == "2 seeds; a rank rests on at least 3"


def test_a_failed_seed_counts_as_independent_draws_and_the_share_is_shown():
    floors = seeds("independent", 0.1)
    board = build_board([record("shaky", 0, 0.9), record("shaky", 1, 0.9), failure("shaky", 2), *floors])
    shaky = row(board, "shaky")
    assert shaky.imputed == pytest.approx(1 / 3)
    assert shaky.imputed_by_metric[KEPT] == pytest.approx(1 / 3)
    measured = [each.value(KEPT) for each in (*shaky.records[:2], floors[2])]
    assert shaky.intervals[KEPT].mean == pytest.approx(sum(measured) / 3)
    assert shaky.states == ("failed", "ok")


def test_a_figure_that_a_method_dodges_is_its_floors():
    dodging = seeds("dodger", 0.9)
    for each in dodging:
        each.scores[C2ST] = {"value": None, "interval": None, "reason": "too few windows"}
    board = build_board([*dodging, *seeds("independent", 0.1, c2st=0.99)])
    assert row(board, "dodger").intervals[C2ST].mean == pytest.approx(0.99)
    assert row(board, "dodger").imputed_by_metric == {C2ST: 1.0}


def test_what_a_machine_lacks_is_not_imputed():
    missing = [
        record("kernel", 0),
        record("kernel", 1),
        record("kernel", 2),
        failure("kernel", 3, "unsupported", "no bpf"),
    ]
    board = build_board([*missing, *[record("independent", seed, 0.1) for seed in range(4)]])
    assert row(board, "kernel").imputed == 0
    assert row(board, "kernel").states == ("ok", "unsupported")


def test_a_method_of_which_nothing_was_scored_is_listed_with_its_reason():
    board = build_board(
        [failure("broken", seed, "timeout", "over 5 s") for seed in range(3)] + seeds("independent", 0.1)
    )
    broken = row(board, "broken")
    assert len(board.arenas) == 1
    assert (broken.ranked, broken.intervals, broken.imputed) == (False, {}, 0)
    assert broken.unranked_reason == "no seed has a score; seed 2 is timeout: over 5 s"


def test_rows_of_other_settings_are_other_rows_and_are_called_by_what_differs():
    board = build_board([*seeds("gpt", 0.5, options={"layers": 2}), *seeds("gpt", 0.6, options={"layers": 4})])
    assert [each.name for each in only(board).rows] == [
        "gpt [generator.options.layers=4]",
        "gpt [generator.options.layers=2]",
    ]
    assert len({each.slug for each in only(board).rows}) == 2


def probed(method, seed, insns, router="qemu_arm64", kernel="6.1", **changes):
    made = record(method, seed, choices={"probe": "tree", "router": router}, **changes)
    made.config |= {"probe": {"name": "tree", "features": "F4"}, "router": {"name": router}}
    made.probe = {"notes": {"kernel": kernel}}
    made.scores["kernel.added_insns"] = {"value": insns, "interval": None, "reason": ""}
    made.cell = f"{method}{router}{kernel}{seed}".replace(".", "")
    return made


def test_a_method_with_several_probes_holds_one_place():
    both = [*[probed("gpt", seed, 100) for seed in range(3)], *seeds("gpt", 0.5), *seeds("markov2", 0.1)]
    board = build_board(both)
    assert row(board, "markov2").ranks[KEPT] == (2, 2)
    assert row(board, "gpt").ranks[KEPT] == row(board, "gpt tree(F4)@qemu_arm64").ranks[KEPT] == (1, 1)


def test_costs_of_another_kernel_are_not_ranked_together():
    costs = (("a", 100, "6.1"), ("b", 200, "6.1"), ("c", 50, "5.10"))
    cells = [probed(method, seed, insns, kernel=kernel) for method, insns, kernel in costs for seed in range(3)]
    ranks = {each.name[0]: each.ranks["kernel.added_insns"] for each in only(build_board(cells)).rows}
    assert ranks == {"a": (1, 1), "b": (2, 2), "c": (1, 1)}


def test_a_row_of_traces_made_elsewhere_says_so_and_competes():
    cells = seeds("mine", 0.6)
    for each in cells:
        each.config["generator"]["submission"] = "captures"
    board = build_board([*cells, *seeds("gpt", 0.5)])
    assert (row(board, "mine").notes, row(board, "mine").ranked) == (("not re-runnable",), True)
    assert row(board, "gpt").notes == ()
    assert "mine [not re-runnable]" in render(board)


def test_a_row_is_verified_where_all_its_scored_cells_are():
    cells = seeds("gpt")
    marks = {each.cell: "re-run on fresh seeds" for each in cells}
    assert row(build_board(cells, verified=marks), "gpt").verified == "re-run on fresh seeds"
    del marks[cells[0].cell]
    assert row(build_board(cells, verified=marks), "gpt").verified is None


def test_the_smallest_gap_that_shows_is_one_that_does_show():
    board = build_board([*seeds("good", 0.7, spread=0.2), *seeds("fair", 0.6, spread=0.2)])
    gap = only(board).resolvable[KEPT]
    found = build_board([*seeds("good", 0.6 + 1.5 * gap, spread=0.2), *seeds("fair", 0.6, spread=0.2)])
    assert [each.ranks[KEPT] for each in only(found).rows] == [(1, 1), (2, 2)]


def test_scores_on_validation_stand_in_an_arena_of_their_own():
    tuned = seeds("hmm")
    for one in tuned:
        one.config["scored_on"] = "validation"
    board = build_board([*seeds("gpt"), *tuned])
    assert [{row.name for row in arena.rows} for arena in board.arenas] in ([{"gpt"}, {"hmm"}], [{"hmm"}, {"gpt"}])
    assert "split scored on" in board.arenas[0].apart[0].sentence
