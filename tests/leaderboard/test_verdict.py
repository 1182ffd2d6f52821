"""When scores agree, and what a verdict on an entry is good for."""

from dataclasses import replace

import numpy as np
import pytest

from benchmark.harness.stage import cell_id
from benchmark.record import close_record
from leaderboard.marks import verified_cells
from leaderboard.submitting.agreement import FIGURES, compare_scores
from leaderboard.submitting.claims import values_by_figure
from leaderboard.submitting.entry import CODE, PLACE, RECORDS, VERDICT, find_entry
from leaderboard.submitting.verdict import Verdict, is_verified, read_verdict, write_verdict
from tests.leaderboard.board_records import record


def test_a_verdict_is_void_once_the_code_changes(root):
    entry = find_entry("mine", root)
    write_verdict(entry, Verdict("verified", "", entry.digest))
    assert is_verified(find_entry("mine", root))
    (root / PLACE / "mine" / CODE).write_text((root / PLACE / "mine" / CODE).read_text() + "\nx = 1\n")
    assert read_verdict(find_entry("mine", root)) is None
    assert not is_verified(find_entry("mine", root))


def claim_of(entry, seed, value, **choices):
    """A record beside an entry, as its author's run would leave it."""
    made = record("mine", seed, value, choices=choices)
    made.config = {"generator": entry.node, "seed": seed, "budget": {"name": made.choices["budget"]}}
    made.config["dataset"] = {"name": made.choices["dataset"]}
    made.cell = cell_id(made.config)
    path = entry.folder / RECORDS / f"{made.choices['budget']}-{seed}.record.json"
    path.parent.mkdir(exist_ok=True)
    close_record(path, made)
    return made


def test_a_verdict_marks_the_records_that_it_is_on_and_no_others(root):
    entry = find_entry("mine", root)
    claims = [claim_of(entry, seed, 0.5) for seed in range(3)]
    claim_of(entry, 0, 0.5, budget="smoke")
    figures = {figure: values for figure, values in values_by_figure(claims).items() if figure in FIGURES}
    verdict = Verdict(
        "verified", "", entry.digest, "streaming", "default", seeds=[7, 8, 9], claimed=figures, corpus=claims[0].corpus
    )
    write_verdict(entry, verdict)
    assert verified_cells(root) == {
        claim.cell: "run again on fresh seeds (7, 8, 9), and agreed" for claim in claims
    }  # fmt: skip
    claim_of(entry, 1, 0.9)
    assert verified_cells(root) == {}
    claim_of(entry, 1, 0.5)
    assert len(verified_cells(root)) == 3
    write_verdict(entry, replace(verdict, corpus={"name": "streaming", "digest": "another"}))
    assert verified_cells(root) == {}


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"outcome": "verified"}', "[" * 100_000])
def test_a_verdict_that_is_none_verifies_nothing(root, text):
    (root / PLACE / "mine" / VERDICT).write_text(text)
    assert not is_verified(find_entry("mine", root))


def test_equal_methods_agree_and_a_gap_is_found():
    rng = np.random.default_rng(0)
    agreed = found = 0
    for _ in range(300):
        measured = {"timing.distance": rng.normal(2.0, 0.1, 3).tolist()}
        agreed += compare_scores({"timing.distance": rng.normal(2.0, 0.1, 3).tolist()}, measured)[0].agrees
        found += not compare_scores({"timing.distance": rng.normal(4.0, 0.1, 3).tolist()}, measured)[0].agrees
    assert agreed >= 0.92 * 300
    assert found >= 0.99 * 300


def test_a_wide_claim_hides_nothing_and_a_tiny_gap_is_none():
    measured = {"fidelity.c2st": [0.9, 0.91, 0.9], "validity.l2.raw": [1.0, 1.0, 1.0]}
    assert not compare_scores({"fidelity.c2st": [0.0, 0.6, 1.2]}, measured)[0].agrees
    assert compare_scores({"validity.l2.raw": [0.996]}, measured)[0].agrees
    assert not compare_scores({"validity.l2.raw": [0.99]}, measured)[0].agrees


def test_a_claim_that_cannot_be_measured_disagrees():
    assert not compare_scores({"fidelity.c2st": [0.6]}, {})[0].agrees
