"""Rows that open segments, the payloads of requests, and the rows of a growing sketch: known answers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from baselines.parts.classes import Example
from baselines.parts.requests import learn_requests, opening_rows
from baselines.parts.rows import MOST_ROWS, Rows
from baselines.parts.sketches import REQUEST_BYTES, REQUEST_SPACING
from benchmark.synthesis.sketch import Sketch

MILLISECOND = 1_000_000


def make_sketch(transport, rows):
    """Rows of (ms, up, payload)."""
    ts, up, payload = zip(*rows, strict=True) if rows else ((), (), ())
    return Sketch(transport, np.array(ts, np.int64) * MILLISECOND, np.array(up, bool), np.array(payload, np.int32))


def example(application, rows):
    return Example(make_sketch("quic", rows), application, np.zeros(1, np.int64), 1)


ASKS = [(0, False, 900), (10, True, 300), (20, True, 400), (90, True, 30), (100, True, 350), (110, False, 900)]


def test_the_first_row_and_requests_50_ms_apart_open():
    assert opening_rows(make_sketch("quic", ASKS)).tolist() == [0, 1, 4]


def test_each_second_of_a_call_opens_with_its_first_row():
    rows = [(k, True, 500) for k in (200, 900, 1000, 1999, 4100, 4200)]
    assert opening_rows(make_sketch("rtp", rows)).tolist() == [0, 2, 4]


def test_nothing_opens_an_empty_sketch():
    assert opening_rows(make_sketch("tcp", [])).tolist() == []


@given(st.lists(st.tuples(st.integers(0, 5000), st.booleans(), st.integers(0, 200)), min_size=1, max_size=40))
def test_later_openings_are_requests_apart(rows):
    sketch = make_sketch("quic", sorted(rows))
    opening = opening_rows(sketch)
    later = opening[1:]
    assert opening[0] == 0
    assert (sketch.up[later] & (sketch.payload[later] >= REQUEST_BYTES)).all()
    assert (np.diff(sketch.ts[later]) >= REQUEST_SPACING).all()


def test_requests_are_learnt_by_application_but_for_the_first_row():
    alone = [(0, True, 777), (5, False, 900)]
    pools = learn_requests([example("b", ASKS), example("a", alone), example("b", ASKS)], ["a", "b"])
    a, b = (pools.values[pools.starts[k] : pools.starts[k + 1]].tolist() for k in range(2))
    # A flow of one segment has no other opening than its first row.
    assert a == [777]
    assert b == [300, 350]
    assert pools.cumulative.tolist() == [1.0, 0.5, 1.0]


def test_rows_come_back_as_a_sketch():
    rows = Rows()
    rows.add(5, True, 300)
    rows.add(9, False, 1448)
    sketch = rows.sketch("tcp", 7)
    assert (sketch.transport, sketch.round_trip, rows.latest, rows.full) == ("tcp", 7, 9, False)
    assert sketch.ts.tolist() == [5, 9]
    assert sketch.up.tolist() == [True, False]
    assert sketch.payload.tolist() == [300, 1448]


def test_a_full_page_says_so():
    rows = Rows()
    rows.count = MOST_ROWS
    assert rows.full
    with pytest.raises(IndexError):
        rows.add(0, True, 1)
