"""The strong classical baseline: segments first, then the packets that carry each.

Level one is a chain of headers: how much a request brings down, how fast, and how long until the next. A
header is one of the training headers of the (application, rung), likelier the more its own predecessor and
its moment are like those at hand; its sizes and times are then varied by a few per cent. The rung is the
one at the segment's expected end, since a window's rung is that of the segments completed in it.

Level two is a Markov chain over joint packet symbols for each (application, rate bin). It runs until the
header's bytes have come down, never opens a segment by itself, and is paced so that the header's rate comes
true. A call has no requests: each second of it is a segment, whose chain is that of its rate.

Of a trace with several flows the largest is learnt; a sampled trace has that one flow.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from baselines.parts.chains import Chain, Pools, draw_from, learn_chain
from baselines.parts.classes import Example, read_examples, window_of
from baselines.parts.fixed_symbols import SYMBOLS, first_request, learn_payloads, symbols_of
from baselines.parts.openings import Openings
from baselines.parts.requests import learn_requests
from baselines.parts.rows import Rows
from baselines.parts.sketch_sampler import SketchSampler
from baselines.parts.tables import Arrays
from baselines.two_level.header_pool import HeaderPool
from baselines.two_level.segment_packets import OPEN, Law, add_segment, add_slice
from baselines.two_level.segments import RATES, bin_rates, find_segments
from benchmark.corpus import Corpus
from benchmark.method import Budget, Log, Method
from benchmark.synthesis.sketch import Sketch
from benchmark.trace import NANOSECONDS, Condition

COMMON = 200  # packets that a rate bin needs for a chain of its own


def build(method: Method) -> TwoLevel:
    """Return the generator; option ``jitter`` is the spread of sizes and times, 0.05 by default."""
    return TwoLevel(float(method.options.get("jitter", 0.05)))


class TwoLevel(SketchSampler):
    """Headers by bootstrap, packets by Markov chains."""

    def __init__(self, jitter: float) -> None:
        """jitter: standard deviation of the logarithm of sizes and times."""
        self.jitter = jitter

    def fit(self, corpus: Corpus, budget: Budget, seed: int, log: Log) -> None:
        """Cut the training sketches into segments; pool their headers, count what happens within them."""
        self.classes, examples = read_examples(corpus.train)
        applications = self.classes.applications
        self.headers = HeaderPool.learn(examples, applications)
        self.chain, self.keys = _learn_packets(examples, applications)
        self.payloads = learn_payloads(examples, applications)
        self.requests = learn_requests(examples, applications)
        self.openings = Openings.learn(examples)
        log.report("fit", 1, 1, headers=float(len(self.headers)))

    def draw(self, condition: Condition, random: np.random.Generator) -> Sketch:
        """Write segment after segment until the condition's duration is full."""
        opening = self.openings.draw(condition.application, random)
        windows, window = self.classes.of_windows(condition), window_of(condition)
        application = int(self.classes.application_of()[windows[0]])
        request, end = first_request(opening.transport), round(condition.duration * NANOSECONDS)
        rows, now, header, state = Rows(), opening.first, None, OPEN
        while now < end and not rows.full:
            header = self.headers.draw(windows, window, application, header, now, self.jitter, random)
            key = self.keys[application, bin_rates(np.array([header.rate]))[0]]
            law = Law(self.chain.rows[key], self.chain.pools, self.payloads, application, request)
            if opening.transport == "rtp":
                now, state = add_slice(rows, law, now, state, random)
                continue
            if rows.count:
                rows.add(now, True, int(draw_from(self.requests, application, random)))
            else:
                rows.add(now, opening.up, opening.payload)
            now = add_segment(rows, law, header, end, random)
        return rows.sketch(opening.transport, opening.round_trip)

    def arrays(self) -> Arrays:
        """Return headers, chains and payloads."""
        return {
            "rows": self.chain.rows,
            "keys": self.keys,
            **self.headers.arrays(),
            **self.chain.pools.arrays("chain"),
            **self.payloads.arrays("payloads"),
            **self.requests.arrays("requests"),
        }

    def take(self, arrays: Arrays) -> None:
        """Take back headers, chains and payloads."""
        self.chain, self.keys = Chain(arrays["rows"], Pools.of(arrays, "chain")), arrays["keys"]
        self.payloads, self.requests = Pools.of(arrays, "payloads"), Pools.of(arrays, "requests")
        self.headers = HeaderPool.of(arrays)


def _learn_packets(examples: Sequence[Example], applications: Sequence[str]) -> tuple[Chain, NDArray[np.int64]]:
    """Learn the chains within segments, and which serves each (application, rate bin), int64 [a, RATES].

    A rate bin that is rare in training is served by the nearest one that isn't.
    """
    keys, before, after = [], [], []
    for example in examples:
        found = find_segments(example.sketch)
        symbols = symbols_of(example.sketch)
        previous = np.concatenate([[OPEN], symbols[:-1]])
        inner = np.ones(len(symbols), np.bool_)
        if example.sketch.transport != "rtp":
            # Rows that open segments are the headers' business.
            inner[found.first] = False
            previous[np.minimum(found.first + 1, len(symbols) - 1)] = OPEN
        rate = np.repeat(bin_rates(found.rate), np.diff(np.append(found.first, len(symbols))))
        keys.append((applications.index(example.application) * RATES + rate)[inner])
        before.append(previous[inner])
        after.append(symbols[inner])
    key = np.concatenate(keys)
    groups = np.repeat(np.arange(len(applications)), RATES)
    chain = learn_chain(key, np.concatenate(before), np.concatenate(after), groups, SYMBOLS + 1)
    seen = np.bincount(key, minlength=len(groups)).reshape(len(applications), RATES)
    nearest = np.zeros_like(seen)
    for application, counts in enumerate(seen):
        common = np.flatnonzero(counts >= min(COMMON, counts.max()))
        chosen = common[np.argmin(np.abs(np.arange(RATES)[:, None] - common), axis=1)]
        nearest[application] = application * RATES + chosen
    return chain, nearest
