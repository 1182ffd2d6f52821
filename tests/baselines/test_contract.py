"""What every registered generator keeps, with its own tokenization, and every tokenization with gpt."""

from dataclasses import replace

import numpy as np
import pytest

from benchmark.corpora.embedded import load
from benchmark.corpus import Corpus
from benchmark.harness.registry import build_generator, names
from benchmark.method import Budget, Log
from benchmark.synthesis.stitch import sample_whole
from benchmark.trace import NANOSECONDS, Condition, Labels, Trace
from tests.configs import compose
from tests.houses import ROOT

pytestmark = pytest.mark.slow

SECONDS = 20.0
# Real traces bring their own conditions.
OWN_CONDITION = ("real",)
# What these say is the corpus itself, whatever the seed or the condition.
PHOTOCOPIES = ("resample", "real")
QUIET = Log(lambda event: None)


def cut(trace: Trace) -> Trace:
    labels = Labels(
        *(getattr(trace.labels, name)[:2] for name in ("rung", "height", "stall", "fps", "bitrate")),
        startup=trace.labels.startup,
    )
    packets = trace.packets.take(trace.packets.ts < SECONDS * NANOSECONDS)
    condition = Condition(trace.condition.application, SECONDS, trace.condition.window, labels)
    return replace(trace, packets=packets, condition=condition)


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    whole = load({"name": "streaming"}, ROOT)
    small = sorted(whole.train, key=lambda trace: len(trace.packets))
    chosen = [next(t for t in small if t.condition.application == name) for name in whole.applications()]
    return replace(
        whole, train=[cut(t) for t in chosen], validation=[cut(t) for t in whole.validation[:2]],
        test=[cut(t) for t in whole.test[:2]],
    )  # fmt: skip


CASES = [(name,) for name in names("generator", ROOT / "conf")] + [
    ("gpt", f"tokenization={name}") for name in names("tokenization", ROOT / "conf") if name != "none"
]


@pytest.fixture(scope="module", params=CASES, ids=[" ".join(case) for case in CASES])
def fitted(request, corpus, tmp_path_factory):
    """A fitted generator's config and the folder that it was saved to."""
    chosen = compose("budget=tiny", f"generator={request.param[0]}", *request.param[1:])
    generator = build_generator(chosen, ROOT)
    folder = tmp_path_factory.mktemp("model")
    test_untouched = replace(corpus, test=_Forbidden())
    generator.fit(test_untouched, Budget(**chosen["budget"]), 0, QUIET)
    generator.save(folder)
    return chosen, folder


class _Forbidden:
    """A test split that can't be looked at."""

    def __iter__(self):
        raise AssertionError("a fit looked at the test split")

    __len__ = __getitem__ = __iter__


def loaded(fitted):
    generator = build_generator(fitted[0], ROOT)
    generator.load(fitted[1])
    return generator


def sampled(fitted, conditions, seed=0):
    return list(sample_whole(loaded(fitted), conditions, seed, QUIET))


@pytest.fixture(scope="module")
def samples(fitted, corpus):
    return sampled(fitted, [trace.condition for trace in corpus.train])


def test_a_trace_a_condition_in_order(fitted, corpus, samples):
    assert len(samples) == len(corpus.train)
    if fitted[0]["generator"]["name"] in OWN_CONDITION:
        return
    assert [t.condition.application for t in samples] == [t.condition.application for t in corpus.train]
    assert [len(t.labels) for t in samples] == [len(t.labels) for t in corpus.train]


def test_traces_last_no_longer_than_asked_and_go_forward_in_time(samples):
    for trace in samples:
        assert len(trace.packets) > 10
        assert trace.packets.ts[0] >= 0
        assert trace.packets.ts[-1] <= (trace.condition.duration + 0.001) * NANOSECONDS
        assert (np.diff(trace.packets.ts) >= 0).all()


def test_a_seed_gives_one_result(fitted, corpus, samples):
    again = sampled(fitted, [trace.condition for trace in corpus.train])
    assert all(a.packets.same_as(b.packets) for a, b in zip(samples, again, strict=True))


def test_another_seed_gives_another(fitted, corpus, samples):
    if fitted[0]["generator"]["name"] in PHOTOCOPIES:
        pytest.skip("copies of the corpus don't depend on the seed")
    other = sampled(fitted, [trace.condition for trace in corpus.train], seed=1)
    assert not any(a.packets.same_as(b.packets) for a, b in zip(samples, other, strict=True))


def test_files_are_safe_to_load(fitted):
    kinds = {path.suffix for path in fitted[1].rglob("*") if path.is_file()}
    assert kinds <= {".json", ".safetensors", ".parquet"}


def test_the_client_is_told(samples):
    for trace in samples:
        assert trace.client
        assert trace.flows.up.any()
        assert (~trace.flows.up).any()
