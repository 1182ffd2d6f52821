"""What a writer needs to know of its tokenization."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from baselines.parts.sketches import TRANSPORTS
from baselines.tokenizations.segments.alphabet import END, OPEN_LATER, QUIET
from baselines.tokenizations.segments.header_model import HeaderModel
from baselines.tokenizations.segments.playing import Lexicon


@dataclass(frozen=True, eq=False)
class Script:
    """What the tokens are, and what training showed of them.

    first: kind to its first token. seen: bool [transports, vocabulary], tokens that each transport had.
    transports: float64 [applications + 1, transports], shares; row 0 is unknown. trips: float64
    [applications + 1, TRIPS], shares. fastest: packets a second of the fastest training trace.
    """

    lexicon: Lexicon
    first: dict[int, int]
    seen: NDArray[np.bool_]
    applications: tuple[str, ...]
    transports: NDArray[np.float64]
    trips: NDArray[np.float64]
    headers: HeaderModel
    fastest: float

    def number(self, application: str) -> int:
        """Return the number of an application, -1 where it is unknown or hidden."""
        return self.applications.index(application) if application in self.applications else -1

    def masks(self) -> NDArray[np.bool_]:
        """Legal tokens for every transport and set of packet kinds, bool [transports, sets, vocabulary]."""
        bits = np.arange(1 << (OPEN_LATER + 1 - QUIET))
        packet = self.lexicon.kinds - QUIET
        table = np.zeros((len(TRANSPORTS), len(bits), len(packet)), np.bool_)
        for way in range(len(TRANSPORTS)):
            legal = ((bits[:, None] >> np.maximum(packet, 0)[None, :]) & 1).astype(bool) & (packet >= 0)
            table[way] = legal & self.seen[way]
            table[way, ~table[way].any(axis=1), self.first[END]] = True
        return table
