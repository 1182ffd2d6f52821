"""Names to code: reads the YAML names of an axis and imports only the file of the one that was chosen."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

from benchmark.corpus import Corpus
from benchmark.errors import ConfigError, Incompatible, nearest
from benchmark.method import Conditioning, Context, Generator, Method, Tokenization
from benchmark.probe import Fitter, Router

REFERENCES = ("independent", "markov", "two_level", "resample", "real")
# Where a generator's file may lie: among the methods of the house, or where submissions are kept and played back.
METHOD_ROOMS = ("baselines", "leaderboard.submissions", "leaderboard.submitting")
_MODULE = re.compile(r"[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)+")


def names(axis: str, conf: Path) -> list[str]:
    """Names that an axis offers: the YAML files of its group in ``conf``."""
    return sorted(path.stem for path in (conf / axis).glob("*.yaml"))


def check_choices(
    overrides: Sequence[str],
    conf: Path,
    submissions: Sequence[str] = (),
    faults: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Check ``axis=name[,name...]`` arguments; one that isn't there ends the program with the nearest name.

    submissions: generators beside those of ``conf``. faults: what is wrong with each submission that can't be used.
    """
    groups = {path.name for path in conf.iterdir() if path.is_dir()}
    for override in overrides:
        axis, _, value = override.lstrip("+").partition("=")
        if axis not in groups or not value or re.search(r"[(\[{$]", value):
            continue
        known = [*names(axis, conf), *(submissions if axis == "generator" else ())]
        for name in value.split(","):
            if axis == "generator" and name in faults and name not in known:
                sys.exit(f"error: {faults[name]}")
            if name not in known:
                sys.exit(f"error: conf/{axis} has no '{name}'{nearest(name, known)}")


def load_module(module: str, room: str, root: Path) -> ModuleType:
    """Import one file of a room. Raises ConfigError for a name outside it or a file that isn't there."""
    if not _MODULE.fullmatch(module) or not module.startswith(f"{room}."):
        raise ConfigError(f"module '{module}' isn't inside {room}/")
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name):
            raise
        folder = root.joinpath(*room.split("."))
        known = [f"{room}.{path.stem}" for path in folder.glob("*.py")]
        raise ConfigError(f"{folder}: no module '{module}'{nearest(module, known)}") from None


def build_generator(config: Mapping[str, Any], root: Path) -> Generator:
    """Build the generator of a resolved cell config, with its tokenization, context and conditioning."""
    entry = config["generator"]
    room = next((room for room in METHOD_ROOMS if str(entry["module"]).startswith(f"{room}.")), METHOD_ROOMS[0])
    module = load_module(entry["module"], room, root)
    if not hasattr(module, "build"):
        raise ConfigError(f"{entry['module']}: a generator's file exports build(method)")
    generator: Generator = module.build(
        Method(
            dict(entry.get("options") or {}),
            build_tokenization(config, root),
            Context(**config["context"]) if config.get("context") else Context(0),
            Conditioning(**config["conditioning"]) if config.get("conditioning") else Conditioning("none"),
        )
    )
    return generator


def build_tokenization(config: Mapping[str, Any], root: Path) -> Tokenization | None:
    """Build the tokenization of a resolved cell config, or None where it has none."""
    entry = config.get("tokenization")
    if not entry or not entry.get("module"):
        if "tokenization" in (config["generator"].get("axes") or ()):
            raise Incompatible(f"{config['generator']['name']} works on tokens; choose a tokenization")
        return None
    module = load_module(entry["module"], "baselines", root)
    tokenization: Tokenization = module.build(dict(entry.get("options") or {}))
    return tokenization


def build_fitter(config: Mapping[str, Any], options: Mapping[str, Any], root: Path) -> Fitter:
    """Build what fits the quality model of a resolved cell config's probe, with these options."""
    entry = config["probe"]
    fitter: Fitter = load_module(entry["module"], "bpf", root).build(dict(options))
    return fitter


def build_router(config: Mapping[str, Any], root: Path) -> Router:
    """Build the router of a resolved cell config."""
    entry = config["router"]
    router: Router = load_module(entry["module"], "bpf", root).build(dict(entry.get("options") or {}))
    return router


def corpus_loader(config: Mapping[str, Any], root: Path) -> ModuleType:
    """Import the loader of a dataset: a file of ``benchmark/corpora/``."""
    return load_module(f"benchmark.corpora.{config['dataset']['loader']}", "benchmark", root)


def load_corpus(config: Mapping[str, Any], root: Path) -> Corpus:
    """Load the corpus that a resolved cell config names. Raises CorpusError or TraceError."""
    corpus: Corpus = corpus_loader(config, root).load(dict(config["dataset"]), root)
    return corpus


def corpus_digest(config: Mapping[str, Any], root: Path) -> str:
    """Digest of the corpus's content, without loading its packets."""
    digest: str = corpus_loader(config, root).digest(dict(config["dataset"]), root)
    return digest
