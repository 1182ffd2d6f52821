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
from leaderboard.submitting.entry import read_entries
from leaderboard.submitting.hydra_choices import offer_submissions
from tests.configs import compose
from tests.houses import ROOT

pytestmark = pytest.mark.slow

SECONDS = 20.0
# Real traces bring their own conditions.
OWN_CONDITION = ("real",)
# What these say is the corpus itself, whatever the seed or the condition.
PHOTOCOPIES = ("resample", "real")
# Enough for twenty packets where each takes a hundred tokens.
MOST_TOKENS, STEPS = 2560, 80
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


# A submission is handed the training split alone, as when it's verified.
offer_submissions(ROOT)
SUBMISSIONS = [entry.name for entry in read_entries(ROOT)[0].values() if entry.kind == "method"]
CASES = [(name,) for name in [*names("generator", ROOT / "conf"), *SUBMISSIONS]] + [
    ("gpt", f"tokenization={name}") for name in names("tokenization", ROOT / "conf") if name != "none"
]


@pytest.fixture(scope="module", params=CASES, ids=[" ".join(case) for case in CASES])
def fitted(request, corpus, tmp_path_factory):
    """A fitted generator's config and the folder that it was saved to."""
    chosen = compose("budget=tiny", f"generator={request.param[0]}", *request.param[1:])
    options = (chosen.get("tokenization") or {}).get("options") or {}
    if "most_tokens" in options:
        options["most_tokens"] = MOST_TOKENS
    if "per_decade" in options:
        # Gaps are a token among several: it takes more steps until they aren't all alike to the network.
        chosen["budget"]["network"]["steps"] = STEPS
    generator = build_generator(chosen, ROOT)
    folder = tmp_path_factory.mktemp("model")
    test_untouched = replace(corpus, test=_Forbidden())
    if request.param[0] in SUBMISSIONS:
        test_untouched = replace(test_untouched, validation=[])
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


def test_another_condition_gives_another(fitted, corpus):
    """The same seed and place: other rungs where each window's is told, else another application."""
    if fitted[0]["generator"]["name"] in OWN_CONDITION:
        pytest.skip("real traces bring their own conditions")
    asked = corpus.train[0].condition
    other = corpus.train[-1].condition
    if (fitted[0].get("conditioning") or {}).get("name") == "trajectory":
        rung = np.full_like(asked.labels.rung, 0 if asked.labels.rung.max() > 0 else 5)
        other = replace(asked, labels=replace(asked.labels, rung=rung))
    first, second = (sampled(fitted, [condition])[0] for condition in (asked, other))
    assert not first.packets.same_as(second.packets)


def test_files_are_safe_to_load(fitted):
    kinds = {path.suffix for path in fitted[1].rglob("*") if path.is_file()}
    assert kinds <= {".json", ".safetensors", ".parquet"}


def test_a_method_of_the_house_says_how_many_numbers_it_learnt(fitted):
    name = fitted[0]["generator"]["name"]
    if name in (*PHOTOCOPIES, *SUBMISSIONS):
        pytest.skip("learns no numbers, or is a submission, which may leave it unsaid")
    assert loaded(fitted).figures["parameters"] > 0


def test_the_client_is_told(samples):
    for trace in samples:
        assert trace.client
        assert trace.flows.up.any()
        assert (~trace.flows.up).any()
