"""The main command, as a user types it."""

import json
import os
import subprocess
import sys

import pytest

from tests.houses import ROOT

pytestmark = pytest.mark.slow

QUICK = ("budget=tiny", "dataset.limit=3")


def run(results, *words, environment=None):
    return subprocess.run(
        [sys.executable, "run.py", *words, *QUICK, f"results={results}"], cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, **(environment or {})}, check=False,
    )  # fmt: skip


def records(results):
    return {path: json.loads(path.read_text()) for path in results.glob("cells/*/record.json")}


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    results = tmp_path_factory.mktemp("results")
    return results, run(results, "-m", "generator=gpt,netdiffusion", "tokenization=segments,joint")


def test_a_sweep_leaves_a_record_for_each_cell_and_each_reference(swept):
    results, done = swept
    assert done.returncode == 0, done.stderr
    methods = sorted(record["method"] for record in records(results).values())
    # netdiffusion has no use for tokens: both of its cells are one.
    assert methods == ["gpt", "gpt", "independent", "markov", "netdiffusion", "real", "resample", "two_level"]
    assert {record["status"] for record in records(results).values()} == {"ok"}


def test_a_sweep_ends_with_the_table_of_its_own_results(swept):
    _, done = swept
    assert "dataset=streaming budget=tiny" in done.stdout
    assert done.stdout.count("dataset=") == 1
    assert "real against real" in done.stdout


def test_a_record_lies_in_the_folder_of_its_cell(swept):
    assert all(path.parent.name == record["cell"] for path, record in records(swept[0]).items())


def test_methods_that_compile_are_valid_as_sampled(swept):
    for record in records(swept[0]).values():
        if record["method"] == "gpt":
            assert [record["scores"][f"validity.l{level}.raw"]["value"] for level in range(3)] == [1, 1, 1]


def test_fixed_length_images_are_stitched_and_say_so(swept):
    notes = {record["method"]: record["notes"] for record in records(swept[0]).values()}
    assert notes["netdiffusion"] == {"stitched": True}
    assert notes["gpt"] == {}


def test_a_second_run_finds_everything(swept):
    results, _ = swept
    before = {path: path.read_bytes() for path in records(results)}
    done = run(results, "-m", "generator=gpt,netdiffusion", "tokenization=segments,joint")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(", found)") == 4
    assert {path: path.read_bytes() for path in records(results)} == before


def test_a_single_run_meets_the_sweep(swept):
    done = run(swept[0], "generator=gpt")
    assert ", found)" in done.stderr


def test_an_offline_wandb_gets_the_record(swept):
    done = run(swept[0], "generator=gpt", "wandb.mode=offline")
    assert done.returncode == 0, done.stderr
    assert list(swept[0].glob("wandb/offline-run-*/*.wandb"))


def test_a_broken_wandb_breaks_nothing(swept, tmp_path):
    (tmp_path / "wandb.py").write_text("def init(**_):\n    raise RuntimeError('no network on this planet')\n")
    done = run(swept[0], "generator=gpt", "wandb.mode=online", environment={"PYTHONPATH": str(tmp_path)})
    assert done.returncode == 0
    assert "warning: wandb: no network on this planet" in done.stderr


def test_a_wrong_name_gets_the_nearest_right_one(tmp_path):
    done = run(tmp_path, "generator=netdifusion")
    assert done.returncode == 1
    assert "did you mean 'netdiffusion'?" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_seed_that_no_generator_takes_is_one_line(tmp_path):
    done = run(tmp_path, "generator=markov", "seed=-1")
    assert done.returncode != 0
    assert done.stderr.strip().splitlines()[-1] == "error: seed=-1: a seed is a whole number from 0 to 4294967295"
    assert not list(tmp_path.glob("cells/*/record.json"))


def test_incompatible_choices_are_skipped_with_the_reason(swept):
    done = run(swept[0], "generator=gpt", "tokenization=none")
    assert done.returncode == 0
    assert "gpt: skipped" in done.stderr


def test_a_folder_of_captures_is_a_corpus(swept, tmp_path):
    from tests.houses import build_corpus

    folder = build_corpus(tmp_path / "captures")
    done = subprocess.run(
        [sys.executable, "run.py", "dataset=pcaps", f"dataset.path={folder}", "generator=gpt", "budget=tiny",
         f"results={tmp_path / 'results'}"], cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert {record["status"] for record in records(tmp_path / "results").values()} == {"ok"}


def test_help_lists_the_axes_and_examples():
    done = subprocess.run([sys.executable, "run.py", "--help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "generator: gpt" in done.stdout
    assert "examples:" in done.stdout


def test_run_py_stays_a_page():
    assert len((ROOT / "run.py").read_text().splitlines()) <= 80
