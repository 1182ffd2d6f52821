"""Tuning: settings from Hydra's grammar, values from records, the test split unseen."""

import json
import re
import subprocess
import sys

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus
from hypothesis import given
from hypothesis import strategies as st

from benchmark.errors import ConfigError
from benchmark.harness.stage import cell_id, identity, stage_keys
from benchmark.sweeping.discovery import offer_plugins
from tests.houses import ROOT, build_corpus, config_of

optuna = pytest.importorskip("optuna", reason="optuna isn't installed (requirements-sweeps.lock)")
offer_plugins()
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


@given(st.floats(1e-6, 1e6))
def test_a_proposed_setting_is_read_back_as_it_was(value):
    trial = optuna.trial.FixedTrial({"a.b": value})
    trial.suggest_float("a.b", 1e-6, 1e6, log=True)
    (word,) = sweeper.settings_of(trial)
    assert OverridesParser.create().parse_override(word).value() == value


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
def test_trials_are_cells_and_the_best_is_said_and_a_study_goes_on_where_it_was(tmp_path):
    results = tmp_path / "results"
    words = [
        sys.executable, "run.py", "-m", "hydra/sweeper=optuna", "generator=two_level",
        "generator.options.jitter=choice(0.05,0.2)", "objective=timing.distance", "hydra.sweeper.direction=minimize",
        "budget=tiny", "dataset=pcaps",
        f"dataset.path={build_corpus(tmp_path / 'captures')}", f"results={results}",
    ]  # fmt: skip
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="hydra-submitit-launcher isn't installed")
    through = [*words, "hydra/launcher=submitit_local", "hydra.sweeper.trials=3"]
    done = subprocess.run(through, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    records = [json.loads(path.read_text()) for path in (results / "validation" / "cells").glob("*/record.json")]
    assert not list(results.glob("cells/*/record.json"))
    values = {
        one["config"]["generator"]["options"]["jitter"]: one["scores"]["timing.distance"]["value"]
        for one in records
        if one["method"] == "two_level"
    }
    tried = [float(word) for word in re.findall(r"^trial \d of 3: \S+jitter=(\S+):", done.stderr, flags=re.MULTILINE)]
    assert len(tried) == 3
    # One of the two settings is the reference's own; a setting that is proposed again is the cell that there is.
    assert set(values) == {*tried, 0.05}
    assert {one["config"]["scored_on"] for one in records} == {"validation"}
    assert f"best of 3 trials: {min(values[jitter] for jitter in tried):.4g}" in done.stderr
    again = subprocess.run([*words, "hydra.sweeper.trials=3"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert again.stderr.count("two_level: ok") == again.stderr.count(", found)") == 3
