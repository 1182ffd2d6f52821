"""The page on tokenizations: what each keeps, holds and reaches is said in its own words."""

import pytest
import yaml

from leaderboard.settings import CONF
from leaderboard.studies import tokenization
from leaderboard.studies.evidence import gather_evidence
from tests.leaderboard.study_records import board_of, cell, matrix


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
