"""A minute of fast video, over 30,000 packets, by a whole method: valid from SYN to FIN, in bounded memory."""

import resource
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from baselines.gpt import build
from baselines.tokenizations import segments
from benchmark.corpora import embedded
from benchmark.method import Budget, Conditioning, Context, Log, Method
from benchmark.validator.check import check, first_violation
from benchmark.wire import ACK, FIN, SYN

ROOT = Path(__file__).parents[2]
NETWORK = {"layers": 1, "width": 16, "heads": 1, "inner": 16, "steps": 60, "batch_tokens": 512, "header_epochs": 100}


@pytest.mark.slow
def test_a_minute_of_fast_video() -> None:
    corpus = embedded.load({"name": "streaming", "loader": "embedded"}, ROOT)
    fast = [trace for trace in corpus.train if (~trace.flows.up).sum() > 20_000 and trace.flows.count][:8]
    assert len(fast) == 8
    gpt = build(Method({}, segments.build({}), Context(64), Conditioning("all")))
    gpt.fit(replace(corpus, train=fast, validation=fast[:2]), Budget("tiny", 60, 60, network=NETWORK), 0, Log(print))
    asked = max((trace for trace in fast), key=lambda trace: len(trace.packets)).condition
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (trace,) = gpt.sample([asked], 0)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert len(trace.packets) > 30_000
    assert trace.packets.length.sum() * 8 / 60 > 5e6
    assert trace.packets.ts[-1] <= 60e9
    found = check(trace, with_tshark=False)
    assert not found.marks.mask.any(), first_violation(trace, found)
    flags = trace.packets.fields.flags
    assert flags[:3].tolist() == [SYN, SYN | ACK, ACK]
    assert flags[-3:].tolist() == [FIN | ACK, FIN | ACK, ACK]
    assert np.bincount(trace.flows.index[trace.flows.index >= 0]).tolist() == [len(trace.packets)]
    # Kilobytes: a hundred bytes a packet kept, and the network's few.
    assert grown < 200_000
