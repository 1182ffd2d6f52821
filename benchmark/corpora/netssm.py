"""The sets of NetSSM: NetDiffusion's ten services, and Netflix sessions of several flows, a trace for each capture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.corpora.application_set import ApplicationSettings, digest_applications, load_applications
from benchmark.corpora.capture_folder import read_settings
from benchmark.corpora.netdiffusion import APPLICATIONS
from benchmark.corpora.publication import Publication
from benchmark.corpus import Corpus

PUBLICATION = Publication(
    title="the NetSSM sets (Chu et al., PACMNET 2026)",
    where="https://github.com/noise-lab/netssm, section 'Datasets', Multimedia Traffic and Netflix Streaming",
    licence="stated in each archive's README, if at all",
)


@dataclass(frozen=True)
class NetSsmSettings(ApplicationSettings):
    """What NetSSM trained on: whole captures, of one flow or of a session's many."""

    name: str = "netssm"
    loader: str = "netssm"
    unit: str = field(default="capture", metadata={"choices": ("capture", "flow")})


def load(options: Mapping[str, Any], root: Path) -> Corpus:
    """Load the captures of a folder; options: the fields of NetSsmSettings."""
    return load_applications(read_settings(options, NetSsmSettings), PUBLICATION, APPLICATIONS, root)


def digest(options: Mapping[str, Any], root: Path) -> str:
    """Return the digest that the loaded corpus will have."""
    return digest_applications(options, NetSsmSettings, PUBLICATION, APPLICATIONS, root)
