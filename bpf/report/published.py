"""Figures that others published, with their sources: other machines, other corpora, none measured here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """One published figure. probe: the rebuild that it stands beside, "" for none."""

    what: str
    figure: str
    source: str
    probe: str = ""


PUBLISHED = (
    Published(
        "average precision of resolution on a service that it wasn't trained on", "0.29",
        "Bronzino et al., POMACS 3(3), 2019, doi 10.1145/3366704", "bronzino",
    ),
    Published(
        "seconds of calls whose frame rate is within 2 of the truth", "83.05 %",
        "Sharma et al., IMC 2023, arXiv 2306.01194", "vcaml",
    ),
    Published(
        "mean absolute error of the frame rate, frames a second", "0.85 (Webex) to 1.93 (Teams)",
        "the same, its code's README", "vcaml",
    ),
    Published(
        "decision tree a packet, in user space and in a socket filter", "7.97 and 6.57 µs",
        "Bachl, Fabini and Zseby, arXiv 2102.09980: 125,420 and 152,274 packets/s",
    ),
    Published(
        "integer perceptron of 1,280 weights a flow, XDP", "3 to 5 µs",
        "Zhang et al., DSN 2024, doi 10.1109/DSN58291.2024.00048",
    ),
    Published(
        "empty XDP program a packet", "13.3 ns",
        "Høiland-Jørgensen et al., CoNEXT 2018, the paper's own data: 4.8 to 4.5 million packets/s",
    ),
)  # fmt: skip
