"""Bytes with times: one token a header byte, and a token for its gap ahead of each packet, without padding.

As ``baselines.tokenizations.bytes``, exact in the same, and in time within the bound that ``GapBins`` states: at 48
bins a decade a gap is off by 2.5 per cent of itself or by 100 ns, at most.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from baselines.tokenizations.bytes import Bytes


def build(options: Mapping[str, Any]) -> Bytes:
    """Build the tokenization; options as those of ``bytes``, and ``per_decade``, gap bins of a decade."""
    return Bytes(**{"layout": "ragged", "timing": "gaps", **options})
