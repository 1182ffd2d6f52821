"""wandb is a mirror: the same cells by its sweeps as by ours, and nothing lost where it fails."""

import itertools
import json
import subprocess
import sys

import pytest
import yaml

from benchmark.harness import mirror as mirroring
from benchmark.harness.dashboard import COSTS, SECTIONS, build, definition, main
from benchmark.harness.mirror import learning_curve, metric_key, mirror
from benchmark.harness.rooms import Rooms
from benchmark.harness.stage import cell_id
from benchmark.record import Record
from tests.configs import compose
from tests.houses import ROOT

SWEEP = yaml.safe_load((ROOT / "conf" / "wandb" / "sweep.yaml").read_text())


def chosen_by_wandb():
    """Every run of the sweep, as its agent would get it: parameter to {"value": ...}."""
    spans = {name: one.get("values") or [one["value"]] for name, one in SWEEP["parameters"].items()}
    for values in itertools.product(*spans.values()):
        yield {name: {"value": value} for name, value in zip(spans, values, strict=True)}


def agent_command(arguments):
    """The words that wandb's agent starts, by its own builder of commands."""
    utils = pytest.importorskip("wandb.sdk.launch.sweeps.utils")
    parts = utils.create_sweep_command_args({"args": arguments})
    parts |= {"env": ["/usr/bin/env"], "interpreter": ["python"], "program": [SWEEP["program"]]}
    words = []
    for word in utils.create_sweep_command(list(SWEEP["command"])):
        words += parts[word[2:-1]] if word.startswith("${") else [word]
    return words


def test_an_agents_command_is_a_plain_run_of_one_cell():
    words = agent_command(next(chosen_by_wandb()))
    assert words[:4] == ["/usr/bin/env", "python", "run.py", "wandb.mode=online"]
    assert "-m" not in words
    assert not any(word.startswith("--") for word in words)


def test_each_run_of_the_sweep_is_the_cell_of_the_plain_command():
    runs = list(chosen_by_wandb())
    assert len(runs) == 24
    for arguments in runs[:: len(runs) // 4]:
        plain = [f"{name}={one['value']}" for name, one in arguments.items()]
        ours, theirs = compose(*plain), compose(*agent_command(arguments)[3:])
        assert cell_id(theirs) == cell_id(ours)
        assert theirs["seed"] == arguments["seed"]["value"]
        assert theirs["dataset"]["limit"] is None
    assert len({cell_id(compose(*agent_command(one)[3:])) for one in runs[:4]}) == 4


def test_the_sweeps_metric_is_one_that_the_mirror_sends():
    names = {metric.replace("/", ".") for metric in [SWEEP["metric"]["name"]]}
    assert names == {"downstream.rung.skill_kept"}
    assert metric_key("downstream.rung.skill_kept") == SWEEP["metric"]["name"]


@pytest.fixture
def finished(tmp_path):
    """A record with scores, and the events of its fit."""
    scores = {
        "downstream.rung.skill_kept": {"value": 0.75, "interval": [0.6, 0.9], "reason": ""},
        "kernel.map_bytes": {"value": None, "interval": None, "reason": "no probe"},
    }
    axes = {"generator": "gpt", "tokenization": "joint", "probe": "none", "dataset": "streaming", "budget": "tiny"}
    record = Record(
        cell="0123456789ab", method="gpt", seed=3, status="ok", reason="", scores=scores, choices=axes,
        floors={"timing.distance": 1.0}, config={"generator": {"name": "gpt", "options": {"batch": 2}}},
    )  # fmt: skip
    folder = tmp_path / "cells" / record.cell
    folder.mkdir(parents=True)
    events = [
        {"what": "stage:fit", "done": 0, "total": 1, "time": 1.0},
        *({"what": "fit", "done": step, "total": 4, "loss": 1 / step, "time": 2.0} for step in range(1, 5)),
        {"what": "stage:fit", "done": 1, "total": 1, "seconds": 3.0, "reused": 0.0, "time": 3.0},
    ]
    lines = [json.dumps(event) for event in events]
    (folder / "events.jsonl").write_text("\n".join([lines[0], "{torn", *lines[1:]]) + "\n")
    return record, Rooms(ROOT, tmp_path), folder


def test_the_learning_curve_is_the_fits_figures(finished):
    curve = list(learning_curve(finished[2] / "events.jsonl"))
    assert curve == [{"progress/fit loss": 1 / step, "progress/step": step} for step in range(1, 5)]
    assert list(learning_curve(finished[2] / "nothing")) == []


def test_the_mirror_names_the_run_after_its_cell(finished, monkeypatch):
    monkeypatch.delenv("WANDB_SWEEP_ID", raising=False)
    given = mirroring._arguments(finished[0], {"mode": "offline", "project": "p", "group": None})
    assert (given["id"], given["job_type"], given["group"]) == ("0123456789ab", "gpt", "streaming tiny")
    assert given["name"] == "gpt joint seed 3"
    # Flat, as a sweep sets them: a sweep's own key may never stand for a whole group.
    assert given["config"]["generator"] == "gpt"
    assert given["config"]["cell"] == finished[0].config
    assert mirroring._arguments(finished[0], {"mode": "offline", "group": "first"})["group"] == "first"


def test_under_an_agent_the_run_keeps_the_name_that_the_sweep_gave_it(finished, monkeypatch):
    monkeypatch.setenv("WANDB_SWEEP_ID", "abc")
    given = mirroring._arguments(finished[0], {"mode": "online", "project": "p", "group": None})
    assert {"id", "project", "resume"} & set(given) == set()
    assert given["config"]["cell_id"] == "0123456789ab"


@pytest.mark.slow
def test_an_offline_run_holds_the_scores_the_curve_and_the_table(finished, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    record, rooms, _ = finished
    mirror(record, {"mode": "offline", "project": "p", "group": None}, rooms)
    (run,) = rooms.results.glob("wandb/offline-run-*/run-0123456789ab.wandb")
    words = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(run)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"wandb can't read its own file here: {done.stderr[-200:]}")
    assert "progress/fit loss" in done.stdout
    assert "downstream/rung/skill_kept" in done.stdout
    assert "0.75" in done.stdout
    assert "table-file" in done.stdout


def test_a_wandb_that_fails_costs_a_warning(finished, monkeypatch, capsys):
    def fail(name):
        raise RuntimeError("no network on this planet")

    monkeypatch.setattr(mirroring.importlib, "import_module", fail)
    mirror(finished[0], {"mode": "online", "project": "p", "group": None}, finished[1])
    assert "warning: wandb: no network on this planet" in capsys.readouterr().err


def test_a_disabled_mirror_does_not_even_import_wandb(finished, monkeypatch):
    monkeypatch.setattr(mirroring.importlib, "import_module", lambda name: pytest.fail(f"imported {name}"))
    mirror(finished[0], {"mode": "disabled"}, finished[1])


def test_the_dashboard_shows_what_the_mirror_sends():
    pytest.importorskip("wandb_workspaces", reason="wandb-workspaces isn't installed (requirements-sweeps.lock)")
    found = definition(build("team", "project"))
    shown = json.dumps(found)
    for metric in [*itertools.chain(*SECTIONS.values()), *COSTS]:
        assert metric_key(metric) in shown
    assert [section["name"] for section in found["sections"][:2]] == list(SECTIONS)[:2]
    assert "progress/fit" in shown
    assert definition(build("team", "project")) == found


def test_a_wrong_project_is_named(capsys):
    assert main(["tracearena"]) == 2
    assert "isn't of the form ENTITY/PROJECT" in capsys.readouterr().err
