"""The path that a session was on, from its notes."""

import math

import numpy as np
import pytest

from benchmark.corpora.link import network_of
from benchmark.trace import Condition, Labels, Trace, join_packets

LINK = {"down": [[0.0, 8.0], [2.5, 2.0], [4.0, 0.0]], "delay": 20.0, "loss": 0.001}


def make_trace(**notes):
    return Trace("t", join_packets([]), Condition("app", 6.0, 3.0, Labels.unknown(2)), notes=notes)


def test_the_rate_is_averaged_over_each_second():
    network = network_of(make_trace(link=LINK))
    assert network.rate == pytest.approx([8e6, 8e6, 5e6, 2e6, 0, 0])
    assert (network.step, network.delay, network.loss) == (1.0, 0.02, 0.001)


def test_a_link_that_began_earlier_or_later_is_moved():
    earlier = network_of(make_trace(link=LINK, link_began=-1.5))
    assert earlier.rate == pytest.approx([8e6, 2e6, 1e6, 0, 0, 0])
    later = network_of(make_trace(link=LINK, link_began=1.0))
    assert later.rate == pytest.approx([8e6, 8e6, 8e6, 5e6, 2e6, 0])


@pytest.mark.parametrize(
    "notes",
    [
        {},
        {"link": None},
        {"link": {**LINK, "down": []}},
        {"link": {**LINK, "down": [[0.0]]}},
        {"link": {**LINK, "down": [[0.0, math.nan]]}},
        {"link": {**LINK, "down": [[1.0, 1.0], [0.0, 1.0]]}},
        {"link": {**LINK, "delay": "long"}},
        {"link": LINK, "link_began": True},
    ],
)
def test_notes_that_make_no_sense_say_nothing(notes):
    assert network_of(make_trace(**notes)) is None


def test_the_embedded_corpus_knows_its_links():
    from benchmark.corpora import embedded
    from tests.houses import ROOT

    corpus = embedded.load({"name": "streaming", "loader": "embedded", "limit": 2}, ROOT)
    for trace in corpus.train:
        network = trace.condition.network
        assert len(network.rate) == 60
        # No more came down than the link could bring, but for what its queue held and headers of links count.
        seconds = np.minimum((trace.packets.ts - trace.packets.ts[0]) // 10**9, 59)
        brought = np.bincount(seconds, np.where(trace.flows.up, 0, trace.packets.length), 60).cumsum() * 8
        assert np.all(brought <= network.rate.cumsum() * 1.02 + 2e6)
