"""What the documents say works as they say it."""

import re
import shlex

import pytest
import yaml

from benchmark.harness.cell import run_cell
from leaderboard.submitting.scaffold import TEMPLATE
from tests.houses import ROOT, build_house, config_of, rooms_of


def blocks(language):
    text = (ROOT / "docs" / "add-a-method.md").read_text()
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def test_the_page_on_adding_a_method_adds_one(tmp_path):
    root = build_house(tmp_path)
    (root / "baselines" / "poisson.py").write_text(blocks("python")[0])
    config = config_of(root, "poisson")
    config["generator"] = yaml.safe_load(blocks("yaml")[0])
    record, _ = run_cell(config, {"generator": "poisson"}, rooms_of(root))
    assert (record.status, record.reason) == ("ok", "")
    assert record.value("validity.l2.raw") == 1.0


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


@pytest.mark.parametrize("page", ["README.md", "docs/add-a-method.md"])
def test_paths_that_are_named_exist(page):
    named = re.findall(
        r"`((?:benchmark|baselines|conf|datasets|docs|tests|leaderboard|bpf)/[\w./-]*)`",
        (ROOT / page).read_text(),
    )
    missing = [
        path for path in named if "mymethod" not in path and "poisson" not in path and not (ROOT / path).exists()
    ]
    assert [path for path in missing if not path.startswith(("results/",))] == []


def test_pictures_of_the_readme_exist():
    for path in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", (ROOT / "README.md").read_text()):
        assert (ROOT / path).stat().st_size > 1000


def test_no_package_named_datasets_stands_in_the_way():
    # Hugging Face's library of that name is looked up from the repository's root.
    assert not (ROOT / "datasets" / "__init__.py").exists()
