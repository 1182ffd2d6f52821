"""A rebuild of VCAML for the kernel: frame rate and bit rate of calls, by its "IP/UDP ML" method.

Sharma, Mangla, Gupta, Jiang and Feamster, "Estimating WebRTC Video QoE Metrics Without Using Application Headers",
IMC 2023, arXiv 2306.01194.

Theirs: frame rate, bit rate, frame jitter and frame height of each second of Meet, Teams and Webex, by an untuned
random forest of scikit-learn on 18 features of the packets whose UDP length is above 306: of sizes the mean,
deviation, minimum, maximum, three quartiles, packets, bytes and unique sizes; of intervals the mean, deviation,
minimum, maximum, three quartiles, and the intervals of 30 ms or more.

Ours stand for theirs so, all of the down direction:

* packets and bytes: ``down_packets``, ``down_bytes``, ``down_data``, ``down_payload``; unique sizes:
  ``down_unique_sizes``, by linear counting in 256 bits
* sizes: ``down_size_mean``, ``_min``, ``_max``; the deviation is ``_squares``, the quartiles eight bins
* intervals: ``down_gap_mean``, ``_min``, ``_max``; the deviation is ``_squares``, the quartiles ten bins;
  ``down_bursts``
* the filter of 306 B, which ours applies to frames alone: ``frame_bytes``, the bytes of the packets it lets through

They differ: sizes and intervals are of all down packets of the flow, audio too; the mean interval is over packets,
not over intervals; a window begins where the clock says, not with a packet; and a leaf holds three windows at least,
so that 16 bits number all nodes. ``down_unique_sizes`` needs F5.

Published: frame rate within 2 frames a second in 83.05 % of the seconds of 15 real-world networks, 1.76 points below
the method that reads RTP headers, over 54,696 s in all (the paper's abstract); mean absolute errors of 1.31 (Meet),
1.83 to 1.93 (Teams) and 0.85 (Webex) frames a second (the code's README). Ours: ``kernel.accuracy.fps`` and
``kernel.error.fps``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmark.quality.names import GAP_BINS, SIZE_BINS
from bpf.models.bronzino import rebuild
from bpf.models.trees import Trees

_THEIRS = (
    *("packets", "bytes", "data", "payload", "size_mean", "size_squares", "size_min", "size_max"),
    *(f"size_bin_{k}" for k in range(SIZE_BINS)),
    *("gap_mean", "gap_squares", "gap_min", "gap_max", "bursts"),
    *(f"gap_bin_{k}" for k in range(GAP_BINS)),
    "unique_sizes",
)
COLUMNS = (*(f"down_{name}" for name in _THEIRS), "frame_bytes")
"""The features that stand for theirs."""
LEAF = 3
"""Fewest windows of a leaf: with one, a hundred trees of numbers have more nodes than 16 bits number."""


def build(options: Mapping[str, Any]) -> Trees:
    """Return what fits the rebuilt model. trees, depth: capacity of the forest. leaf: fewest windows of a leaf."""
    return rebuild({"leaf": LEAF, **options}, COLUMNS)
