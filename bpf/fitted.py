"""Quality models for use on a live device: out of a cell of results, or fitted on a corpus's real training traces."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.errors import ConfigError, nearest
from benchmark.quality.names import FEATURE_SETS
from bpf.cache import cache_folder

if TYPE_CHECKING:
    from benchmark.probe import QualityModel

ROOT = Path(__file__).resolve().parents[1]
_UNITS = {"startup": "s", "fps": "1/s", "bitrate": "bit/s"}
_CLASSES = ("below 480p", "480p", "HD")  # of benchmark.quality.task.definition
_SOURCES = ("bpf/models", "benchmark/quality")
_LARGEST = 1 << 24


@dataclass(frozen=True, eq=False)
class Fitted:
    """A model and what it was made for: feature set, task, seconds of a window, heights of the ladder's rungs."""

    model: QualityModel
    features: str
    task: str
    window: float
    ladder: tuple[int, ...]
    origin: str

    def say(self, label: int, score: int) -> tuple[float, str]:
        """What an answer stands for: a number, and words for it."""
        value = float(self.model.answers(np.array([label]), np.array([score]))[0])
        if self.task == "rung":
            return value, _CLASSES[int(value)]
        if self.task == "rung6":
            return value, f"{self.ladder[int(value)]}p" if int(value) < len(self.ladder) else f"rung {int(value)}"
        return value, f"{value:.3g} {_UNITS.get(self.task, '')}".strip()


def fit(probe: str, dataset: str, features: str | None = None) -> Fitted:
    """Fit the model of ``conf/probe`` on a corpus's training traces, chosen on validation; kept in the cache."""
    # What fits models takes seconds to import, which commands without a model needn't wait for.
    from benchmark.harness.probing import read_settings, train_model
    from benchmark.harness.registry import corpus_digest, load_corpus

    config = _config(probe, dataset)
    config["probe"]["features"] = features or config["probe"]["features"]
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    digest.update(corpus_digest(config, ROOT).encode())
    for folder in _SOURCES:
        for path in sorted((ROOT / folder).glob("*.py")):
            digest.update(path.read_bytes())
    place = cache_folder("quality") / digest.hexdigest()[:32]
    if not (place / "facts.json").is_file():
        corpus = load_corpus(config, ROOT)
        settings = read_settings(config, corpus)
        made = Path(tempfile.mkdtemp(dir=place.parent))
        try:
            train_model(config, ROOT, corpus, corpus.train, made)
            facts = {
                "task": settings.task.name,
                "window": corpus.train[0].condition.window,
                "ladder": list(corpus.ladder),
            }
            (made / "facts.json").write_text(json.dumps(facts))
            shutil.rmtree(place, ignore_errors=True)
            os.replace(made, place)
        finally:
            shutil.rmtree(made, ignore_errors=True)
    facts = json.loads((place / "facts.json").read_text())
    origin = f"{probe}, fitted on the real training traces of {dataset}"
    return _load(config, place / "model.bin", facts["task"], facts["window"], tuple(facts["ladder"]), origin)


def of_cell(folder: Path) -> Fitted:
    """The model that a cell of results trained on its synthetic traces. Raises ConfigError for a cell without one."""
    from benchmark.harness.probing import read_settings
    from benchmark.harness.registry import load_corpus

    try:
        record = json.loads((folder / "record.json").read_text())
        config, key = record["config"], str(record["stages"]["model"]["key"])[:32]
        job = json.loads((folder / "job.json").read_text()) if (folder / "job.json").is_file() else {}
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{folder}: no cell with a probe's model: {error!r}") from None
    stores = [Path(str(job.get("store", ""))), folder.resolve().parents[1] / "store"]
    for path in (store / "model" / Path(key).name / "model.bin" for store in stores):
        if path.is_file():
            corpus = load_corpus({"dataset": {**config["dataset"], "limit": 1}}, ROOT)
            task, window = read_settings(config, corpus).task.name, corpus.train[0].condition.window
            return _load(config, path, task, window, corpus.ladder, f"{config['probe']['name']} of cell {folder.name}")
    raise ConfigError(f"{folder}: the cell's model isn't in the store any more")


def _load(
    config: Mapping[str, Any], path: Path, task: str, window: float, ladder: tuple[int, ...], origin: str
) -> Fitted:
    from benchmark.harness.registry import build_fitter

    if path.stat().st_size > _LARGEST:
        raise ConfigError(f"{path} is too large for a model")
    model = build_fitter(config, dict(config["probe"].get("options") or {}), ROOT).load(path.read_bytes())
    features = config["probe"]["features"]
    if features not in FEATURE_SETS:
        raise ConfigError(f"no feature set '{features}'{nearest(str(features), FEATURE_SETS)}")
    return Fitted(model, features, task, window, ladder, origin)


def _config(probe: str, dataset: str) -> dict[str, Any]:
    from omegaconf import OmegaConf

    from benchmark.harness.registry import names

    config: dict[str, Any] = {"seed": 0}
    for axis, name in (("probe", probe), ("dataset", dataset)):
        known = names(axis, ROOT / "conf")
        if name not in known or name == "none":
            raise ConfigError(f"conf/{axis} has no '{name}'{nearest(name, [each for each in known if each != 'none'])}")
        config[axis] = OmegaConf.to_container(OmegaConf.load(ROOT / "conf" / axis / f"{name}.yaml"))
    return config
