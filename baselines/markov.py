"""The second floor: a first-order Markov chain over joint symbols, one for each (application, rung).

A symbol is a packet's direction, size class and gap bin; payloads and gaps within them are drawn anew. A
state that a class never saw goes on as it does in the application's other classes.
Of a trace with several flows the largest is learnt; a sampled trace has that one flow.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from baselines.parts.chains import Chain, Pools, draw_from, learn_chain
from baselines.parts.classes import read_examples, window_of
from baselines.parts.fixed_symbols import GAPS, SIZES, SYMBOLS, draw_gap, draw_payload, learn_payloads, symbols_of
from baselines.parts.openings import Openings
from baselines.parts.sketch_sampler import SketchSampler
from baselines.parts.tables import Arrays
from benchmark.corpus import Corpus
from benchmark.method import Budget, Log, Method
from benchmark.synthesis.sketch import Sketch
from benchmark.trace import NANOSECONDS, Condition

START = SYMBOLS  # the state before the first packet
MOST_PACKETS = 1_000_000


def build(method: Method) -> MarkovPackets:
    """Return the generator; it has no options."""
    return MarkovPackets()


class MarkovPackets(SketchSampler):
    """Markov-1 packets by (application, rung)."""

    def fit(self, corpus: Corpus, budget: Budget, seed: int, log: Log) -> None:
        """Count transitions between symbols in every class, that of a transition's second packet."""
        self.classes, examples = read_examples(corpus.train)
        symbols = [symbols_of(example.sketch) for example in examples]
        keys = np.concatenate([example.classes_at(example.sketch.ts) for example in examples])
        before = np.concatenate([np.concatenate([[START], each[:-1]]) for each in symbols])
        self.chain = learn_chain(keys, before, np.concatenate(symbols), self.classes.application_of(), SYMBOLS + 1)
        self.payloads = learn_payloads(examples, self.classes.applications)
        self.openings = Openings.learn(examples)
        log.report("fit", 1, 1, transitions=float(len(keys)))

    def draw(self, condition: Condition, random: np.random.Generator) -> Sketch:
        """Run the chain until the condition's duration is full."""
        opening = self.openings.draw(condition.application, random)
        ts, payload = np.zeros(MOST_PACKETS, np.int64), np.zeros(MOST_PACKETS, np.int32)
        up = np.zeros(MOST_PACKETS, np.bool_)
        count = _draw(
            *(ts, up, payload),
            *(self.classes.of_windows(condition), window_of(condition)),
            *(opening.first, round(condition.duration * NANOSECONDS)),
            *(self.chain.rows, self.chain.pools, self.payloads, self.classes.application_of()),
            random,
        )
        return Sketch(opening.transport, ts[:count], up[:count], payload[:count], opening.round_trip)

    def arrays(self) -> Arrays:
        """Return the chains and the payloads."""
        return {
            "rows": self.chain.rows,
            **self.chain.pools.arrays("chain"),
            **self.payloads.arrays("payloads"),
        }

    def take(self, arrays: Arrays) -> None:
        """Take back the chains and the payloads."""
        self.chain = Chain(arrays["rows"], Pools.of(arrays, "chain"))
        self.payloads = Pools.of(arrays, "payloads")


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _draw(
    ts: Any,
    up: Any,
    payload: Any,
    windows: Any,
    window: int,
    now: int,
    end: int,
    rows: Any,
    pools: Any,
    payloads: Any,
    applications: Any,
    random: Any,
) -> int:
    """Fill ``ts``, ``up`` and ``payload`` until the end; return the number of packets."""
    count = 0
    state = START
    last = np.zeros(2, np.int64)
    while count < len(ts):
        key = windows[min(now // window, len(windows) - 1)]
        state = draw_from(pools, rows[key, state], random)
        # The first packet's time is the opening's.
        if count:
            now += draw_gap(state % GAPS, random)
        if now >= end:
            break
        kind = state // GAPS
        ts[count] = now
        up[count] = kind >= SIZES
        payload[count] = draw_payload(kind, applications[key], payloads, last, random)
        count += 1
    return count
