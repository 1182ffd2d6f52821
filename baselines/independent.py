"""The first floor: packets drawn one by one, as if none knew of the others.

For each (application, rung): direction and payload are drawn together, the gap apart from them, each as
often as in the training packets of that class. The class is looked up anew at every packet's time.
Of a trace with several flows the largest is learnt; a sampled trace has that one flow.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from baselines.parts.chains import Pools, draw_from, learn_pools
from baselines.parts.classes import read_examples, window_of
from baselines.parts.fixed_symbols import bin_gaps, draw_gap
from baselines.parts.openings import Openings
from baselines.parts.sketch_sampler import SketchSampler
from baselines.parts.sketches import gaps_of
from baselines.parts.tables import Arrays
from benchmark.corpus import Corpus
from benchmark.method import Budget, Log, Method
from benchmark.synthesis.sketch import Sketch
from benchmark.trace import NANOSECONDS, Condition

MOST_PACKETS = 1_000_000


def build(method: Method) -> IndependentPackets:
    """Return the generator; it has no options."""
    return IndependentPackets()


class IndependentPackets(SketchSampler):
    """Independent packets by (application, rung)."""

    def fit(self, corpus: Corpus, budget: Budget, seed: int, log: Log) -> None:
        """Count payloads with their directions, and gaps, of every class."""
        self.classes, examples = read_examples(corpus.train)
        keys = np.concatenate([example.classes_at(example.sketch.ts) for example in examples])
        # Direction and payload as one number: the payload times two, and one more for up.
        sent = np.concatenate([e.sketch.payload.astype(np.int64) * 2 + e.sketch.up for e in examples])
        gaps = np.concatenate([bin_gaps(gaps_of(example.sketch)) for example in examples])
        self.sent = learn_pools(keys, sent, len(self.classes))
        self.gaps = learn_pools(keys, gaps, len(self.classes))
        self.openings = Openings.learn(examples)
        log.report("fit", 1, 1, packets=float(len(keys)))

    def draw(self, condition: Condition, random: np.random.Generator) -> Sketch:
        """Draw packets until the condition's duration is full."""
        opening = self.openings.draw(condition.application, random)
        ts = np.zeros(MOST_PACKETS, np.int64)
        sent = np.zeros(MOST_PACKETS, np.int64)
        windows = self.classes.of_windows(condition)
        end = round(condition.duration * NANOSECONDS)
        count = _draw(ts, sent, windows, window_of(condition), opening.first, end, self.sent, self.gaps, random)
        payload = (sent[:count] // 2).astype(np.int32)
        return Sketch(opening.transport, ts[:count], sent[:count] % 2 == 1, payload, opening.round_trip)

    def arrays(self) -> Arrays:
        """Return the counts."""
        return {**self.sent.arrays("sent"), **self.gaps.arrays("gaps")}

    def take(self, arrays: Arrays) -> None:
        """Take back the counts."""
        self.sent, self.gaps = Pools.of(arrays, "sent"), Pools.of(arrays, "gaps")


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _draw(ts: Any, sent: Any, windows: Any, window: int, now: int, end: int, kinds: Any, gaps: Any, random: Any) -> int:
    """Fill ``ts`` and ``sent`` until the end; return the number of packets."""
    count = 0
    while now < end and count < len(ts):
        key = windows[min(now // window, len(windows) - 1)]
        ts[count] = now
        sent[count] = draw_from(kinds, key, random)
        count += 1
        now += draw_gap(draw_from(gaps, key, random), random)
    return count
