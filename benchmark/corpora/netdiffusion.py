"""The application set of NetDiffusion: ten services, a trace for each flow of at most 1,024 packets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.corpora.application_set import ApplicationSettings, digest_applications, load_applications
from benchmark.corpora.capture_folder import read_settings
from benchmark.corpora.publication import Publication
from benchmark.corpus import Corpus

PUBLICATION = Publication(
    title="the NetDiffusion application set (Jiang et al., SIGMETRICS 2024), published with NetSSM",
    where="https://github.com/noise-lab/netssm, section 'Datasets', Multimedia Traffic",
    licence="stated in each archive's README, if at all",
)
APPLICATIONS = (
    "netflix", "youtube", "amazon", "twitch", "teams", "meet", "zoom", "facebook", "twitter", "instagram",
)  # fmt: skip


@dataclass(frozen=True)
class NetDiffusionSettings(ApplicationSettings):
    """What NetDiffusion trained on: flows, of which its images hold 1,024 packets."""

    name: str = "netdiffusion"
    loader: str = "netdiffusion"
    minimum: int = 10
    flow_packets: int | None = 1024


def load(options: Mapping[str, Any], root: Path) -> Corpus:
    """Load the captures of a folder; options: the fields of NetDiffusionSettings."""
    return load_applications(read_settings(options, NetDiffusionSettings), PUBLICATION, APPLICATIONS, root)


def digest(options: Mapping[str, Any], root: Path) -> str:
    """Return the digest that the loaded corpus will have."""
    return digest_applications(options, NetDiffusionSettings, PUBLICATION, APPLICATIONS, root)
