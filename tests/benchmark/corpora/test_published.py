"""What every loader of a public data set says: where to get the data, and which options it has."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from benchmark.corpora import ndpi, netdiffusion, netssm, requet, vcaml
from benchmark.errors import ConfigError, CorpusError

ROOT = Path(__file__).resolve().parents[3]
LOADERS = {"ndpi": ndpi, "requet": requet, "vcaml": vcaml, "netdiffusion": netdiffusion, "netssm": netssm}


@pytest.mark.parametrize("name", LOADERS)
def test_data_that_is_missing_is_one_error_that_says_where_to_get_it(name, tmp_path):
    (tmp_path / "bare").mkdir()
    for path, reason in ((None, "dataset.path isn't set"), ("no", "there is no such folder"), ("bare", r"no \.pcap")):
        for ask in (LOADERS[name].load, LOADERS[name].digest):
            with pytest.raises(CorpusError, match=reason) as caught:
                ask({"path": path, "name": name}, tmp_path)
            message = str(caught.value)
            assert "https://" in message
            assert "licence: " in message
            assert "dataset.path=FOLDER" in message
            assert f"section {name}" in message


@pytest.mark.parametrize("name", LOADERS)
def test_options_are_those_of_the_yaml(name, tmp_path):
    options = OmegaConf.to_container(OmegaConf.load(ROOT / "conf" / "dataset" / f"{name}.yaml"))
    with pytest.raises(CorpusError, match=r"dataset.path isn't set"):
        LOADERS[name].load(options, tmp_path)
    kind = {"ndpi": "NdpiSettings", "requet": "RequetSettings", "vcaml": "VcamlSettings"}.get(name)
    kind = kind or {"netdiffusion": "NetDiffusionSettings", "netssm": "NetSsmSettings"}[name]
    defaults = {**vars(getattr(LOADERS[name], kind)()), "path": None}
    assert options == defaults
    with pytest.raises(ConfigError, match=f"dataset.windw is not an option of {name}; did you mean 'window'"):
        LOADERS[name].load({"windw": 1}, tmp_path)
