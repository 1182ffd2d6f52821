"""A rebuild of Bronzino et al. 2019 for the kernel: resolution and startup delay of streaming.

"Inferring Streaming Video Quality from Encrypted Traffic: Practical Models and Deployment Experience", POMACS 3(3),
2019 (SIGMETRICS 2020), doi 10.1145/3366704.

Theirs: resolution of each 10 s slot and startup delay, from network features (throughput, packets and bytes either
way, intervals, parallel flows) and video segments' (sizes, intervals and counts, told from upstream requests), by a
random forest, one composite model for Netflix, YouTube, Amazon and Twitch. Transport features (flags, windows, round
trips, retransmissions) added little to the two.

Ours stand for theirs so:

* throughput, packets and bytes: ``*_packets``, ``*_bytes``, ``*_payload``; a slot's length is constant, so bytes are
  throughput
* intervals of packets: ``*_gap_*``; sizes of packets: ``*_size_*``
* counts of requests and segments: ``requests``, ``segments``, with requests as in their published code: an up packet
  with payload ends the running segment (ours wants 60 B and 50 ms after the last, which spares QUIC's
  acknowledgements)
* sizes and intervals of segments: sum, mean, maximum, last, a histogram, and the ring of the slot's last ten

They differ: parallel flows aren't counted, since a flow is all that a program sees at once; deviations are sums of
squares, and quartiles are bins; segments of earlier slots, which theirs list, only count by what a slot leaves open;
startup delay is asked of the first window. The hyperparameters weren't to be had, so the forest is scikit-learn's own
defaults with depth bounded.

Published: trained on some services, an average precision of 0.29 on an unseen one; deployed for 16 months in 66
homes. Their precision by resolution and error of startup delay couldn't be read for this rebuild. Ours:
``kernel.accuracy.rung``, ``kernel.accuracy.rung6`` and ``kernel.error.startup`` of the record; the corpora differ, so
the figures don't compare.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmark.errors import ConfigError, nearest
from benchmark.quality.names import feature_names
from bpf.models.trees import Trees

OPTIONS = {"trees": 100, "depth": 16, "leaf": 1}
_TRANSPORT = set(feature_names("F3")) - set(feature_names("F2"))
COLUMNS = tuple(name for name in feature_names("F5") if name not in _TRANSPORT and not name.startswith("frame"))
"""The features that stand for theirs: all but the transport's, and frames, which are calls'."""


def build(options: Mapping[str, Any]) -> Trees:
    """Return what fits the rebuilt model. trees, depth: capacity of the forest. leaf: fewest windows of a leaf."""
    return rebuild(options, COLUMNS)


def rebuild(options: Mapping[str, Any], columns: Sequence[str]) -> Trees:
    """Return an untuned random forest on those of ``columns`` that the probe computes."""
    for name in options:
        if name not in OPTIONS:
            raise ConfigError(f"probe.options: no option '{name}'{nearest(name, OPTIONS)}")
    return Trees({"model": "forest", "share": "sqrt", **OPTIONS, **options}, columns)
