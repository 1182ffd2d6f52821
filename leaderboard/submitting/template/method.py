"""Packets at random times, at the mean rate that each application and rung has in training.

The least that a method does: a place to start from. What it's handed and must give back is in benchmark/method.py.
"""

import json

import numpy as np

from benchmark.synthesis.compiler import trace_of
from benchmark.synthesis.sketch import Sketch, sketch_of
from benchmark.trace import NANOSECONDS


class Submission:
    """A rate and a pool of payload sizes for each application and rung."""

    def fit(self, corpus, budget, seed, log):
        """Learn from ``corpus.train`` alone: when an entry is verified, nothing else is there.

        Here: count packets and keep a sample of their sizes.
        """
        counts, seconds, sizes, self.transport = {}, {}, {}, {}
        for number, trace in enumerate(corpus.train):
            sketch, condition = sketch_of(trace), trace.condition
            self.transport[condition.application] = sketch.transport
            since = sketch.began + sketch.ts  # windows count from the trace's first packet, which may be another flow's
            windows = np.minimum(since // int(condition.window * NANOSECONDS), len(condition.labels) - 1)
            for window, rung in enumerate(condition.labels.rung):
                key = f"{condition.application} {rung}"
                inside = windows == window
                counts[key] = counts.get(key, 0) + int(inside.sum())
                seconds[key] = seconds.get(key, 0.0) + condition.window
                signed = np.where(sketch.up[inside], -1 - sketch.payload[inside], sketch.payload[inside])
                sizes.setdefault(key, []).extend(signed[:200].tolist())
            log.report("fit", number + 1, len(corpus.train))
        self.rates = {key: counts[key] / seconds[key] for key in counts}
        self.sizes = {key: pool or [0] for key, pool in sizes.items()}

    def sample(self, conditions, seed):
        """Yield one trace a condition; the compiler makes valid packets of times, directions and sizes."""
        rng = np.random.default_rng(seed)
        for number, condition in enumerate(conditions):
            times, sizes = [], []
            for window, rung in enumerate(condition.labels.rung):
                key = f"{condition.application} {rung}"
                if key not in self.rates:
                    key = next(known for known in self.rates if known.startswith(condition.application))
                count = rng.poisson(self.rates[key] * condition.window)
                times.append(np.sort(rng.uniform(window, window + 1, count)) * condition.window)
                sizes.append(rng.choice(self.sizes[key], count))
            ts = (np.concatenate(times) * NANOSECONDS).astype(np.int64)
            inside = ts < condition.duration * NANOSECONDS
            signed = np.concatenate(sizes)[inside]
            payload = np.where(signed < 0, -1 - signed, signed).astype(np.int32)
            sketch = Sketch(self.transport[condition.application], ts[inside], signed < 0, payload)
            yield trace_of(sketch, condition, f"synthetic-{number:04d}", seed + number)

    def save(self, folder):
        """Write what was learnt; JSON or safetensors, never pickle."""
        facts = {"rates": self.rates, "sizes": self.sizes, "transport": self.transport}
        (folder / "rates.json").write_text(json.dumps(facts))

    def load(self, folder):
        """Read it back."""
        facts = json.loads((folder / "rates.json").read_text())
        self.rates, self.sizes, self.transport = facts["rates"], facts["sizes"], facts["transport"]


def build(method):
    """The one name that a generator's file exports; ``method.options`` are those of the YAML."""
    return Submission()
