"""Jobs of a sweep as processes of this machine, through joblib and submitit."""

import pytest

from tests.sweeping import launcher_of

pytestmark = pytest.mark.slow
PRESETS = {
    "joblib": ("hydra_joblib_launcher", ["hydra.launcher.n_jobs=2"]),
    "submitit_local": ("hydra_submitit_launcher", []),
}


@pytest.mark.parametrize("name", PRESETS)
def test_jobs_end_and_return_their_figures(name, tmp_path):
    plugin, words = PRESETS[name]
    pytest.importorskip(f"hydra_plugins.{plugin}", reason=f"{plugin} isn't installed (requirements-sweeps.lock)")
    with launcher_of(f"hydra/launcher={name}", f"results={tmp_path}", *words) as launcher:
        jobs = [[f"seed={seed}", f"results={tmp_path}"] for seed in (0, 1, 1)]
        returned = launcher.launch(jobs, initial_job_idx=0)
    assert [one.return_value for one in returned] == [0.0, 1.0, 1.0]
    # Two of the jobs are of one cell: the second waited, or found what the first had made.
    assert sorted((tmp_path / "diary").read_text().split()) == ["0", "1"]
    assert len(list((tmp_path / "cells").glob("*/hydra/config.yaml"))) == 2
