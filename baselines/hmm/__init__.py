"""hmm: a hidden Markov model of two levels, segments and the packets within them, fitted by Baum and Welch's steps.

The upper level's hidden situations emit a segment's figures and, as channels of the same model, what is asked for:
application, rung, stall, startup. Sampling knows those and draws situations from their posterior (``situations``).
The lower level's hidden phases emit packets, timed in units of the segment's rate (``packets``). All is drawn from
fitted shares and Gaussians; nothing is a training segment.

Classical models of this kind, Bayesian networks among them, beat generative adversarial networks at traffic
(Schoen et al., EuroS&PW 2024). Of a trace with several flows the largest is learnt; a sampled trace has that one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from baselines.hmm.asking import CHANNELS, LINKS, Asked, Links, startup_seconds
from baselines.hmm.baum_welch import FloatArray
from baselines.hmm.packets import BINS, KINDS, GapBins, Phases, contexts_of, learn_gap_bins, learn_phases, log_gaps
from baselines.hmm.segments import FREEZE, PACKET, Segments, find_segments, units_of
from baselines.hmm.situations import Situations, learn_situations
from baselines.hmm.writing import Law, Task, write_rows
from baselines.parts.chains import Pools, draw_from
from baselines.parts.classes import read_examples
from baselines.parts.fixed_symbols import kinds_of, learn_payloads
from baselines.parts.openings import Openings
from baselines.parts.requests import learn_requests
from baselines.parts.rows import Rows
from baselines.parts.sketch_sampler import SketchSampler
from baselines.parts.sketches import REQUEST_SPACING, SLICE, gaps_of, request_bytes
from baselines.parts.tables import Arrays
from benchmark.corpus import Corpus
from benchmark.errors import ConfigError
from benchmark.method import Budget, Log, Method
from benchmark.synthesis.sketch import Sketch, sketch_of
from benchmark.trace import NANOSECONDS, Condition

OPTIONS = {"situations": 64, "phases": 40, "rows": 300_000}
ROWS_A_STEP = 500  # of the budget
_TAIL, _FROZEN = len(CHANNELS), len(CHANNELS) + 1
_TAILS = 16
_FLOOR = np.array([1.0, 1.0, 1e6, 1e5, 1e7])  # added before logarithms: bytes, bytes/s, ns, ns, ns


def build(method: Method) -> HiddenMarkov:
    """Return the generator. Options: ``situations`` and ``phases``, hidden states of each level, and ``rows``,
    packets of each application that the lower level is fitted to."""
    unknown = sorted(set(method.options) - set(OPTIONS))
    if unknown:
        raise ConfigError(f"hmm has no option '{unknown[0]}'; it has {', '.join(OPTIONS)}")
    return HiddenMarkov({**OPTIONS, **{name: int(value) for name, value in method.options.items()}})


class HiddenMarkov(SketchSampler):
    """Situations and phases; see the module."""

    def __init__(self, sizes: dict[str, int]) -> None:
        """sizes: the options, all of them."""
        self.sizes = sizes

    def fit(self, corpus: Corpus, budget: Budget, seed: int, log: Log) -> None:
        """Fit both levels; the budget's ``network.steps`` decides how many iterations each gets, and on how much."""
        random = np.random.default_rng(seed)
        steps = int(budget.network.get("steps", 700))
        iterations = int(np.clip(steps // 25, 3, 40))
        sizes = {**self.sizes, "rows": min(self.sizes["rows"], ROWS_A_STEP * steps)}
        traces = [trace for trace in corpus.train if len(sketch_of(trace))]
        self.classes, examples = read_examples(traces or corpus.train)
        applications = self.classes.applications
        found = [find_segments(example.sketch) for example in examples]
        self.payloads = learn_payloads(examples, applications)
        self.requests = learn_requests(examples, applications)
        self.openings = Openings.learn(examples)
        self.levels = {name: sorted(startup_seconds(traces, name)) for name in applications}
        log.report("fit", 0, 1 + len(applications))
        asked = [Asked(trace.condition, applications, self.levels, example.sketch.began)
                 for trace, example in zip(traces, examples, strict=True)]  # fmt: skip
        speed = np.array([np.log(np.average(segments.rate, weights=segments.bytes + 1)) for segments in found])
        link = np.searchsorted(np.quantile(speed, np.arange(1, LINKS) / LINKS), speed, "right")
        self.links = Links(np.array([one.summary() for one in asked], np.int64), link.astype(np.int64))
        for one, own in zip(asked, link.tolist(), strict=True):
            one.link = own
        classes = [_classes_of(one, segments) for one, segments in zip(asked, found, strict=True)]
        values = [*asked[0].values(), _TAILS, 2]
        figures = [_figures_of(segments) for segments in found]
        self.situations, course = learn_situations(
            figures, classes, values, self.sizes["situations"], iterations, random
        )
        log.report("fit", 1, 1 + len(applications), likelihood_a_segment=course[-1])
        self.bins, self.phases = {}, {}
        for number, name in enumerate(applications):
            own = [k for k, example in enumerate(examples) if example.application == name]
            self.bins[name], self.phases[name], likelihood = _learn_packets(
                [examples[k].sketch for k in own], [found[k] for k in own], sizes, iterations, random
            )
            log.report("fit", 2 + number, 1 + len(applications), likelihood_a_packet=likelihood)

    def draw(self, condition: Condition, random: np.random.Generator) -> Sketch:
        """Write segment after segment until the condition's duration is full."""
        opening = self.openings.draw(condition.application, random)
        names = self.classes.applications
        name = condition.application if condition.application in names else names[0]
        asked = Asked(condition, names, self.levels, 0)
        asked.link = self.links.draw(asked.summary(), random)
        call = opening.transport == "rtp"
        rows, now = Rows(), opening.first
        end = round(condition.duration * NANOSECONDS)
        phases, situation, before = self.phases[name].cumulative(), -1, None
        law = Law(phases, self.bins[name].edges, self.payloads, names.index(name), request_bytes(opening.transport))
        while now < end and not rows.full:
            situation, before = self._next(situation, before, asked, now, random)
            task, pause = self._task(situation, before, now + SLICE if call else end, call, random)
            if not call:
                first = rows.count == 0
                payload = opening.payload if first else int(draw_from(self.requests, names.index(name), random))
                rows.add(now, opening.up if first else True, payload)
            rows.count = write_rows(rows.page, rows.count, law, task, now, random)
            now = now + SLICE if call else max(rows.latest + pause, now + REQUEST_SPACING)
        return rows.sketch(opening.transport, opening.round_trip)

    def _next(
        self, before: int, figures: FloatArray | None, asked: Asked, now: int, random: np.random.Generator
    ) -> tuple[int, FloatArray]:
        """Draw the situation and the figures of the segment that opens at ``now``, for the windows it reaches."""
        finished = now + 2 * NANOSECONDS
        drawn = -1, np.zeros(0)
        for _ in range(3):
            told = asked.at(now, finished)
            situation = self.situations.follow(before, dict(enumerate(told)), random)
            drawn = situation, self.situations.emit(situation, figures, random)
            finished = now + _lasts(drawn[1])
            if asked.at(now, finished) == told:
                break
        return drawn

    def _task(
        self, situation: int, figures: FloatArray, end: int, call: bool, random: np.random.Generator
    ) -> tuple[Task, int]:
        """Return what to write, and the pause after it, ns."""
        size, rate, pause, latency, freeze = np.maximum(2.0**figures - _FLOOR, 0)
        frozen = self.situations.classify(situation, _FROZEN, random)
        silence = max(int(freeze), FREEZE) if frozen and not call else 0
        tail = self.situations.classify(situation, _TAIL, random)
        left = int(size * random.random())
        unit = PACKET * NANOSECONDS / max(rate, 1.0)
        return Task(int(size), tail, unit, int(latency), silence, left, end, call), int(pause)

    def arrays(self) -> Arrays:
        """Return both levels, requests and payloads."""
        own: Arrays = {"links": self.links.links, "summaries": self.links.summaries, **self.situations.arrays()}
        own |= {**self.payloads.arrays("payloads"), **self.requests.arrays("requests")}
        for number, name in enumerate(self.classes.applications):
            own |= self.phases[name].arrays(f"phases.{number:03d}")
            own[f"edges.{number:03d}"] = self.bins[name].edges
            own[f"startup.{number:03d}"] = np.array(self.levels[name], np.float64)
        return own

    def take(self, arrays: Arrays) -> None:
        """Take back both levels, requests and payloads."""
        self.situations, self.links = Situations.of(arrays), Links(arrays["summaries"], arrays["links"])
        self.payloads, self.requests = Pools.of(arrays, "payloads"), Pools.of(arrays, "requests")
        names = list(enumerate(self.classes.applications))
        self.phases = {name: Phases.of(arrays, f"phases.{number:03d}") for number, name in names}
        self.bins = {name: GapBins(arrays[f"edges.{number:03d}"]) for number, name in names}
        self.levels = {name: arrays[f"startup.{number:03d}"].tolist() for number, name in names}


def _figures_of(found: Segments) -> FloatArray:
    """Return log2 of bytes, rate, pause, latency and silence, float64 [s, 5]."""
    columns = np.column_stack([found.bytes, found.rate, found.pause, found.latency, found.freeze])
    return np.asarray(np.log2(columns + _FLOOR))


def _lasts(figures: FloatArray) -> int:
    """Return the ns from a segment's opening to its last byte."""
    size, rate, _, latency, freeze = np.maximum(2.0**figures - _FLOOR, 0)
    return int(latency + freeze + size / max(rate, 1.0) * NANOSECONDS)


def _classes_of(asked: Asked, found: Segments) -> NDArray[np.int64]:
    """Return the values of all class channels of a flow's segments, int64 [s, channels]."""
    told = [asked.at(int(a), int(b)) for a, b in zip(found.opened, found.finished, strict=True)]
    tail = np.minimum(found.tail, _TAILS - 1)
    return np.column_stack([np.array(told, np.int64), tail, found.freeze > 0]).astype(np.int64)


def _learn_packets(
    sketches: Sequence[Sketch],
    found: Sequence[Segments],
    sizes: dict[str, int],
    iterations: int,
    random: np.random.Generator,
) -> tuple[GapBins, Phases, float]:
    """Fit the lower level to one application's segments; return gap bins, phases, log-likelihood a packet."""
    kinds = [kinds_of(sketch) for sketch in sketches]
    logs = [log_gaps(s.up, gaps_of(s), units_of(s, f)) for s, f in zip(sketches, found, strict=True)]
    gaps = np.concatenate([gaps_of(sketch) for sketch in sketches])
    opens = np.concatenate([np.isin(np.arange(len(s)), f.first) for s, f in zip(sketches, found, strict=True)])
    # What the upper level draws (when a segment opens, when the link is silent) is no business of the bins.
    inner = ~opens & (gaps < FREEZE)
    bins = learn_gap_bins(np.concatenate(kinds)[inner], np.concatenate(logs)[inner])
    sequences, contexts = [], []
    for sketch, segments, kind, log in zip(sketches, found, kinds, logs, strict=True):
        symbols = bins.encode(kind, log)
        skipped = 0 if sketch.transport == "rtp" else 1
        ends = np.append(segments.first[1:], len(symbols))
        spans = [slice(a + skipped, b) for a, b in zip(segments.first, ends, strict=True) if b > a + skipped]
        sequences += [symbols[span] for span in spans]
        contexts += [contexts_of(kind[span], log[span]) for span in spans]
    share = sizes["rows"] / max(1, sum(len(sequence) for sequence in sequences))
    kept = [k for k in range(len(sequences)) if k == 0 or random.random() <= share]
    phases, course = learn_phases(
        [sequences[k] for k in kept], KINDS * BINS, sizes["phases"], iterations, [contexts[k] for k in kept]
    )
    return bins, phases, course[-1]
