"""Tuning: settings from Hydra's grammar, values from records, the test split unseen."""

import json
import subprocess
import sys

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus

from benchmark.errors import ConfigError
from benchmark.harness.stage import cell_id, identity, stage_keys
from tests.houses import ROOT, build_corpus, config_of

optuna = pytest.importorskip("optuna", reason="optuna isn't installed (requirements-sweeps.lock)")
sweeper = pytest.importorskip("hydra_plugins.tracearena.optuna_sweeper")


def spanned(word):
    return sweeper.distribution(OverridesParser.create().parse_override(word))


def test_hydras_grammar_becomes_distributions():
    kinds = optuna.distributions
    assert spanned("a=interval(0.1,2)") == kinds.FloatDistribution(0.1, 2.0)
    assert spanned("a=tag(log,interval(1e-4,1e-2))") == kinds.FloatDistribution(1e-4, 1e-2, log=True)
    assert spanned("a=tag(int,interval(1,8))") == kinds.IntDistribution(1, 8)
    assert spanned("a=tag(int,log,interval(1,64))") == kinds.IntDistribution(1, 64, log=True)
    assert spanned("a=range(2,11,4)") == kinds.IntDistribution(2, 10, step=4)
    assert spanned("a=x,y").choices == ("x", "y")
    assert spanned("a=choice(16,32)").choices == ("16", "32")


def test_a_sweep_that_cannot_be_tuned_is_named():
    with pytest.raises(ConfigError, match="can't tune 'seed=glob"):
        spanned("seed=glob(*)")


@pytest.mark.parametrize(("given", "value"), [(0.5, 0.5), (None, None), (float("nan"), None)])
def test_a_record_without_the_figure_has_no_value(given, value):
    returned = JobReturn(status=JobStatus.COMPLETED)
    returned.return_value = given
    assert sweeper.value_of(returned) == value


def test_a_failed_job_has_no_value():
    returned = JobReturn(status=JobStatus.FAILED)
    returned.return_value = ValueError("no")
    assert sweeper.value_of(returned) is None


def test_what_is_scored_on_validation_shares_no_result_with_the_test_split(tmp_path):
    build_corpus(tmp_path / "captures")
    plain = config_of(tmp_path, "independent")
    tuned = {**plain, "scored_on": "validation"}
    assert identity({**plain, "scored_on": "test"}) == identity(plain)
    assert cell_id(tuned) != cell_id(plain)
    ours, theirs = stage_keys(tuned, None, ROOT), stage_keys(plain, None, ROOT)
    assert not {ours.fit, ours.sample, ours.score, ours.floor} & {theirs.fit, theirs.sample, theirs.score, theirs.floor}
    with pytest.raises(ConfigError, match="did you mean 'validation'"):
        stage_keys({**plain, "scored_on": "validatoin"}, None, ROOT)


@pytest.mark.slow
def test_three_trials_are_three_cells_and_the_best_is_said(tmp_path):
    results = tmp_path / "results"
    words = [
        sys.executable, "run.py", "-m", "hydra/sweeper=optuna", "hydra.sweeper.trials=3", "generator=two_level",
        "generator.options.jitter=tag(log,interval(0.01,0.5))", "objective=timing.distance",
        "hydra.sweeper.direction=minimize", "budget=tiny", "dataset=pcaps",
        f"dataset.path={build_corpus(tmp_path / 'captures')}", f"results={results}",
    ]  # fmt: skip
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="hydra-submitit-launcher isn't installed")
    through = [*words, "hydra/launcher=submitit_local"]
    done = subprocess.run(through, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    records = [json.loads(path.read_text()) for path in (results / "validation" / "cells").glob("*/record.json")]
    assert not list(results.glob("cells/*/record.json"))
    references = [one for one in records if one["config"]["generator"].get("options", {}).get("jitter") in (None, 0.05)]
    trials = [one for one in records if one not in references]
    assert len(trials) == 3
    assert {one["config"]["scored_on"] for one in records} == {"validation"}
    best = min(one["scores"]["timing.distance"]["value"] for one in trials)
    assert f"best of 3 trials: {best:.4g}" in done.stderr
    again = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert again.stderr.count("two_level: ok") == again.stderr.count(", found)") == 3
