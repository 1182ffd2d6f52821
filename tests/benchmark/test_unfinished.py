"""A fit that is killed goes on from what it kept; its seconds and its learning curve are whole in the record."""

import math

import pytest

from benchmark.harness.cell import run_cell
from benchmark.harness.curve import MOST_POINTS, Listener
from benchmark.harness.stage import stage_keys
from benchmark.harness.store import Store
from benchmark.method import Log
from tests.houses import build_house, config_of, rooms_of

KEY = "k" * 64
METHOD = '''
"""Resamples, after a fit that is killed halfway where it hasn't been before."""

import os
import signal

from baselines.fragile import Fragile


class Killed(Fragile):
    def fit(self, corpus, budget, seed, log):
        state = log.keep / "state"
        self.traces = list(corpus.train)
        log.report("fit", 1, 2, loss=2.0)
        if not state.exists():
            state.write_text("1")
            os.kill(os.getpid(), signal.SIGKILL)
        log.resume(1, 2, 1000.0)
        log.report("fit", 2, 2, loss=1.0, validation_loss=float("nan"))
        log.report("fit", 2, 2, loss=1.0)


def build(method):
    return Killed(method.options)
'''


def test_what_a_fit_keeps_stays_until_its_result_is_there(tmp_path):
    store = Store(tmp_path)

    def fail(folder):
        (store.unfinished("fit", KEY) / "state").write_text("half")
        raise ValueError("no")

    def finish(folder):
        assert (store.unfinished("fit", KEY) / "state").read_text() == "half"
        return {}

    with pytest.raises(ValueError, match="no"):
        store.make("fit", KEY, fail)
    folder, _, _ = store.make("fit", KEY, finish)
    assert [path for path in folder.parent.iterdir() if path.is_dir()] == [folder]


def test_a_fit_that_kept_nothing_leaves_no_folder(tmp_path):
    store = Store(tmp_path)

    def fail(folder):
        store.unfinished("fit", KEY)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        store.make("fit", KEY, fail)
    assert [path for path in (tmp_path / "fit").iterdir() if path.is_dir()] == []


def test_the_curve_has_all_figures_by_step_and_nothing_that_was_told_once(tmp_path):
    heard = []
    listener = Listener(Log(heard.append))
    log = listener.log(tmp_path)
    log.report("tokenize", 1, 1, tokens=100)
    for step in range(1, 4):
        log.report("fit", step, 3, loss=1 / step, validation_loss=2 / step)
    assert listener.curve() == {
        "fit": {"step": [1, 2, 3], "loss": [1.0, 0.5, 1 / 3], "validation_loss": [2.0, 1.0, 2 / 3]}
    }
    assert len(heard) == 4
    assert log.keep == tmp_path


def test_a_long_curve_is_thinned_and_keeps_its_ends(tmp_path):
    listener = Listener(Log(lambda row: None))
    for step in range(1, 1001):
        listener.log(tmp_path).report("fit", step, 1000, loss=1.0, broken=math.nan)
    steps = listener.curve()["fit"]["step"]
    assert len(steps) <= MOST_POINTS
    assert (steps[0], steps[-1]) == (1, 1000)
    assert set(listener.curve()["fit"]) == {"step", "loss"}


@pytest.mark.slow
def test_a_killed_cell_run_again_resumes_its_fit(tmp_path):
    root = build_house(tmp_path)
    (root / "baselines" / "killed.py").write_text(METHOD)
    config = config_of(root, "killed", diary=str(root / "diary"), mode="raise", stage="sample")
    first, _ = run_cell(config, {}, rooms_of(root))
    assert "SIGKILL" in first.reason
    second, _ = run_cell(config, {}, rooms_of(root))
    assert second.reason == "ValueError: the method gave up"  # in its sampling, so that no score is waited for
    store, key = rooms_of(root).stages, stage_keys(config, None, root).fit
    facts = store.facts("fit", key)
    assert facts["seconds"] > 1000
    assert facts["curve"] == {"fit": {"step": [1, 2, 2], "loss": [2.0, 1.0, 1.0]}}
    folder = store.folder("fit", key)
    assert [path for path in folder.parent.iterdir() if path.is_dir()] == [folder]
