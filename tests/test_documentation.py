"""What the documents say works as they say it."""

import re
import shlex
import subprocess
import sys

import numpy as np
import pytest
import yaml

from baselines import gpt
from baselines.parts.sketches import gaps_of
from benchmark.harness.cell import run_cell
from benchmark.method import Budget, Conditioning, Context, Log, Method, Tokenization
from benchmark.synthesis.sketch import sketch_of
from benchmark.validator.check import check, first_violation
from leaderboard.__main__ import main as leaderboard
from leaderboard.submitting.scaffold import TEMPLATE
from tests.baselines import made_traces
from tests.houses import ROOT, build_house, config_of, rooms_of


def blocks(language, page="add-a-method"):
    text = (ROOT / "docs" / f"{page}.md").read_text()
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def test_the_page_on_adding_a_method_adds_one(tmp_path):
    root = build_house(tmp_path)
    (root / "baselines" / "poisson.py").write_text(blocks("python")[0])
    config = config_of(root, "poisson")
    config["generator"] = yaml.safe_load(blocks("yaml")[0])
    record, _ = run_cell(config, {"generator": "poisson"}, rooms_of(root))
    assert (record.status, record.reason) == ("ok", "")
    assert record.value("validity.l2.raw") == 1.0


def test_the_page_on_adding_a_tokenization_adds_one(tmp_path):
    settings = yaml.safe_load(blocks("yaml", "add-a-tokenization")[0])
    names: dict = {}
    exec(blocks("python", "add-a-tokenization")[0], names)  # as the page has it
    tokenization, again = (names["build"](settings["options"]) for _ in range(2))
    corpus = made_traces.make_corpus(4)
    generator = gpt.build(Method({}, tokenization, Context(64), Conditioning("all")))
    network = {"layers": 1, "width": 16, "heads": 2, "steps": 5, "batch_tokens": 256, "learning_rate": 0.01}
    generator.fit(corpus, Budget("tiny", 60, 60, network=network), 0, Log(lambda event: None))
    assert isinstance(tokenization, Tokenization)
    tokenization.save(tmp_path)
    again.load(tmp_path)
    for trace in corpus.test:
        real, tokens = sketch_of(trace), again.encode(trace)
        found = sketch_of(again.decode(tokens))
        assert (len(found), found.transport) == (len(real), real.transport)
        np.testing.assert_array_equal(found.up, real.up)
        np.testing.assert_allclose(gaps_of(found), gaps_of(real), rtol=tokenization.gaps.bound, atol=1000)
        assert len(tokens) == 2 * len(real) + 2
    for made in generator.sample([trace.condition for trace in corpus.test], 0):
        assert not first_violation(made, check(made, with_tshark=False))


@pytest.mark.parametrize("page", ["add-a-method", "add-a-tokenization"])
def test_what_a_page_adds_passes_lint_and_types(page, tmp_path):
    added = tmp_path / "added.py"
    added.write_text(blocks("python", page)[0])
    # Checked in the place of a method, since both tools have rules of their own for that folder.
    there = "baselines/markov.py"
    for tool in (
        ["ruff", "check", "--stdin-filename", there, "-"],
        ["ruff", "format", "--check", "--stdin-filename", there, "-"],
        ["mypy", "--cache-dir", str(tmp_path / "cache"), "--shadow-file", there, str(added), there],
    ):
        told = subprocess.run(
            [sys.executable, "-m", *tool], input=added.read_text(), cwd=ROOT, capture_output=True, text=True
        )
        assert told.returncode == 0, told.stdout + told.stderr


def test_commands_of_the_page_are_commands(monkeypatch):
    from leaderboard import __main__ as leaderboard

    for command in leaderboard.COMMANDS:
        monkeypatch.setattr(command, "run", lambda arguments: 0)
    lines = [shlex.split(line, comments=True) for block in blocks("sh") for line in block.splitlines()]
    given = [words[3:] for words in lines if words[:3] == ["python", "-m", "leaderboard"]]
    assert [words[0] for words in given] == [
        "new", "check", "submit", "build", "conditions", "new", "check", "submit",
    ]  # fmt: skip
    assert all(leaderboard.main(words) == 0 for words in given)


def test_the_method_that_a_new_submission_starts_from_is_valid(tmp_path):
    root = build_house(tmp_path)
    (root / "baselines" / "start.py").write_text((TEMPLATE / "method.py").read_text())
    record, _ = run_cell(config_of(root, "start"), {"generator": "start"}, rooms_of(root))
    assert (record.status, record.reason) == ("ok", "")
    assert record.value("validity.l2.raw") == 1.0


@pytest.mark.parametrize("page", ["README.md", "docs/add-a-method.md", "docs/add-a-tokenization.md"])
def test_paths_that_are_named_exist(page):
    named = re.findall(
        r"`((?:benchmark|baselines|conf|datasets|docs|tests|leaderboard|bpf)/[\w./-]*)`",
        (ROOT / page).read_text(),
    )
    missing = [
        path for path in named if not re.search("mymethod|poisson|two_tokens", path) and not (ROOT / path).exists()
    ]
    assert [path for path in missing if not path.startswith(("results/",))] == []


def test_rows_and_cells_that_the_readme_names_are_in_the_shipped_records(capsys):
    text = (ROOT / "README.md").read_text()
    found = re.findall(r"python -m leaderboard ((?:explain|compare) .*?)(?:  |$)", text, flags=re.MULTILINE)
    assert len(found) >= 2
    for command in found:
        status = leaderboard([*shlex.split(command), "--records", str(ROOT / "leaderboard" / "records")])
        assert status == 0, f"{command}: {capsys.readouterr().err}"


def test_pictures_of_the_readme_exist():
    for path in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", (ROOT / "README.md").read_text()):
        assert (ROOT / path).stat().st_size > 1000


def test_no_package_named_datasets_stands_in_the_way():
    # Hugging Face's library of that name is looked up from the repository's root.
    assert not (ROOT / "datasets" / "__init__.py").exists()
