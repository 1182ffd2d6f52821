"""Stitching: pieces fill the duration, each asked for the window it starts in; stuck generators are named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.corpus import Corpus
from benchmark.method import Budget, Log
from benchmark.synthesis.compiler import CLIENT_PREFIX, compile_sketch
from benchmark.synthesis.sketch import Sketch
from benchmark.synthesis.stitch import remaining_condition, sample_whole
from benchmark.trace import Condition, Labels, Trace, join_packets

SECOND = 1_000_000_000
SILENT = Log(lambda entry: None)


def condition(seconds: float = 60.0) -> Condition:
    labels = Labels.unknown(6)
    labels.rung[:] = np.arange(6)
    labels.height[:] = 100 * np.arange(6)
    return Condition("web", seconds, 10.0, labels)


class Pieces:
    """Makes pieces of ``count`` packets, ``gap`` ns apart; the payload says which rung was asked for."""

    fixed_packets = 8

    def __init__(self, gap: int, count: int = 8) -> None:
        self.gap, self.count = gap, count
        self.rounds: list[list[Condition]] = []

    def fit(self, corpus: Corpus, budget: Budget, seed: int, log: Log) -> None: ...

    def save(self, folder: Path) -> None: ...

    def load(self, folder: Path) -> None: ...

    def sample(self, conditions: Sequence[Condition], seed: int) -> Iterator[Trace]:
        self.rounds.append(list(conditions))
        for number, asked in enumerate(conditions):
            ts = np.arange(self.count, dtype=np.int64) * self.gap + 5 * SECOND
            payload = np.full(self.count, 100 + int(asked.labels.rung[0]), np.int32)
            packets = compile_sketch(Sketch("rtp", ts, np.zeros(self.count, bool), payload), seed)
            yield Trace(f"piece-{number}", packets.shifted(5 * SECOND), asked, CLIENT_PREFIX)


def test_pieces_fill_the_duration_end_to_end() -> None:
    generator = Pieces(SECOND // 2)
    (trace,) = sample_whole(generator, [condition()], 1, SILENT)
    # Eight packets half a second apart, and the same gap between pieces: every half second, once.
    assert trace.packets.ts.tolist() == list(range(0, 60 * SECOND, SECOND // 2))
    assert trace.name == "synthetic-0000"
    assert trace.notes["stitched"] is True
    assert trace.client == CLIENT_PREFIX
    assert trace.condition.duration == 60.0


def test_every_piece_is_asked_for_the_window_it_starts_in() -> None:
    generator = Pieces(SECOND // 2)
    (trace,) = sample_whole(generator, [condition()], 1, SILENT)
    asked = trace.packets.fields.payload - 100
    window = trace.windows()
    pieces = np.arange(len(window)) // 8
    begins = window[np.searchsorted(pieces, pieces)]
    assert (asked == begins).all()
    assert set(asked.tolist()) == set(range(6))


def test_rounds_are_batched_and_few() -> None:
    generator = Pieces(SECOND // 2)
    wanted = [condition(), condition(20.0), condition(60.0)]
    log: list[Mapping[str, Any]] = []
    traces = list(sample_whole(generator, wanted, 1, Log(log.append)))
    assert len(generator.rounds) <= 4
    assert max(len(asked) for asked in generator.rounds) > 10
    assert [trace.packets.ts[-1] // SECOND for trace in traces] == [59, 19, 59]
    assert [trace.name for trace in traces] == [f"synthetic-{n:04d}" for n in range(3)]
    assert log[-1]["done"] == log[-1]["total"] == 3


def test_piece_longer_than_the_rest_is_cut() -> None:
    (trace,) = sample_whole(Pieces(2 * SECOND), [condition(5.0)], 1, SILENT)
    assert trace.packets.ts.tolist() == [0, 2 * SECOND, 4 * SECOND]


@pytest.mark.parametrize(("gap", "count"), [(0, 8), (SECOND, 0), (SECOND, 1)])
def test_generator_that_fills_no_time_is_named(gap: int, count: int) -> None:
    with pytest.raises(RuntimeError, match=r"Pieces: \d+ packets of trace 0 fill only 0\.000 s of 60 s"):
        list(sample_whole(Pieces(gap, count), [condition()], 1, SILENT))


def test_generator_that_fills_too_little_time_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmark.synthesis.stitch.MOST_PACKETS", 500)
    with pytest.raises(RuntimeError, match="Pieces"):
        list(sample_whole(Pieces(1000), [condition()], 1, SILENT))


def test_generator_that_loses_pieces_is_caught() -> None:
    class Short(Pieces):
        def sample(self, conditions: Sequence[Condition], seed: int) -> Iterator[Trace]:
            yield from list(super().sample(conditions, seed))[:-1]

    with pytest.raises(ValueError, match="shorter"):
        list(sample_whole(Short(SECOND), [condition(), condition()], 1, SILENT))


def test_whole_generators_are_asked_once() -> None:
    class Whole(Pieces):
        fixed_packets = None  # type: ignore[assignment]

    generator = Whole(SECOND)
    (trace,) = sample_whole(generator, [condition()], 1, SILENT)
    assert len(generator.rounds) == 1
    assert "stitched" not in trace.notes


def test_stitching_nothing() -> None:
    (trace,) = sample_whole(Pieces(SECOND), [condition(0.0)], 1, SILENT)
    assert trace.packets.same_as(join_packets([]))
    assert list(sample_whole(Pieces(SECOND), [], 1, SILENT)) == []


def test_remaining_condition() -> None:
    rest = remaining_condition(condition(), 25 * SECOND)
    assert rest.duration == 35.0
    assert rest.labels.rung.tolist() == [2, 3, 4, 5]
    assert rest.labels.height.tolist() == [200, 300, 400, 500]
    assert remaining_condition(condition(), 600 * SECOND).labels.rung.tolist() == [5]
