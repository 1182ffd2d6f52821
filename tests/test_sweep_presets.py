"""Presets of launchers and sweepers compose, fit the plugins that they are for, and say what they lack."""

import importlib
import inspect

import hydra
import pytest
from omegaconf import OmegaConf

from benchmark.sweeping import presets
from benchmark.sweeping.composition import register_resolvers
from benchmark.sweeping.discovery import offer_plugins
from tests.houses import ROOT

offer_plugins()
LAUNCHERS = ("joblib", "ray", "submitit_local", "submitit_slurm")


def composed(*overrides):
    register_resolvers()
    with hydra.initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return hydra.compose("config", list(overrides), return_hydra_config=True)


@pytest.mark.parametrize("name", LAUNCHERS)
def test_a_launchers_settings_are_those_that_its_plugin_takes(name):
    settings = OmegaConf.to_container(composed(f"hydra/launcher={name}").hydra.launcher, resolve=False)
    module, _, kind = settings.pop("_target_").rpartition(".")
    pytest.importorskip(module, reason=f"the plugin of {name} isn't installed (requirements-sweeps.lock)")
    launcher = getattr(importlib.import_module(module), kind)
    known = inspect.signature(launcher.__init__).parameters
    if not any(one.kind is inspect.Parameter.VAR_KEYWORD for one in known.values()):
        assert set(settings) <= set(known)
        return
    plugin = importlib.import_module(f"{module.rpartition('.')[0]}.config")
    kinds = {
        "JoblibLauncher": "JobLibLauncherConf",
        "SlurmLauncher": "SlurmQueueConf",
        "LocalLauncher": "LocalQueueConf",
    }
    assert set(settings) <= set(OmegaConf.structured(getattr(plugin, kinds[kind])).keys())


def test_the_sweeper_of_every_sweep_is_ours():
    assert composed().hydra.sweeper._target_.endswith("MatrixSweeper")
    assert composed("hydra/sweeper=optuna").hydra.sweeper._target_.endswith("OptunaSweeper")


def test_a_cells_folder_is_its_id_wherever_results_go(monkeypatch, tmp_path):
    monkeypatch.setenv("TRACEARENA_SCRATCH", str(tmp_path))
    here, there = composed("results=somewhere"), composed("results=s3://bucket/results")
    assert here.hydra.run.dir.startswith("somewhere/cells/")
    assert there.hydra.run.dir.startswith(str(tmp_path))
    assert here.hydra.run.dir.rpartition("/")[2] == there.hydra.run.dir.rpartition("/")[2]


def test_what_is_scored_on_validation_goes_elsewhere():
    tuned = composed("scored_on=validation")
    assert tuned.hydra.run.dir.startswith("results/validation/cells/")
    assert tuned.hydra.run.dir.rpartition("/")[2] != composed().hydra.run.dir.rpartition("/")[2]


def test_a_preset_without_its_package_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(presets.NEEDED, "hydra/launcher=ray", "no_such_package")
    with pytest.raises(SystemExit, match=r"requirements-sweeps\.lock"):
        presets.check_presets(["-m", "hydra/launcher=ray"])
    presets.check_presets(["generator=gpt", "hydra/launcher=basic"])
