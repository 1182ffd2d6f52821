"""Losses told by acknowledgements: a known answer, valid packets from any sketch, and real traffic made again."""

from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP

from benchmark.corpora import embedded
from benchmark.synthesis.compiler import CLIENT_PREFIX, compile_sketch, trace_of
from benchmark.synthesis.recovery import plan_holes
from benchmark.synthesis.sketch import Sketch, sketch_of
from benchmark.trace import Condition, Labels, Trace
from benchmark.validator.check import check, first_violation

MS = 1_000_000
ROOT = Path(__file__).parents[2]
CONDITION = Condition("web", 60.0, 10.0, Labels.unknown(6))


def make_sketch(rows: list[tuple[float, int, int, int]]) -> Sketch:
    """rows: (milliseconds, 1 for up, payload, SACK blocks)."""
    table = np.array(rows, np.float64).reshape(-1, 4)
    ts, up, payload, blocks = table.T
    return Sketch(
        "tcp",
        (ts * MS).astype(np.int64),
        up > 0,
        payload.astype(np.int32),
        40 * MS,
        blocks=blocks.astype(np.int8),
    )


# Two losses: the second and the fourth segment come late, after what followed them.
LOSSES = make_sketch(
    [
        (100, 1, 100, 0),
        (150, 0, 1000, 0),  # 1 to 1001
        (151, 1, 0, 0),
        (152, 0, 500, 0),  # beyond a hole
        (153, 1, 0, 1),
        (154, 0, 600, 0),  # beyond a second hole
        (155, 1, 0, 2),
        (200, 0, 1400, 0),  # fills the first
        (201, 1, 0, 1),
        (210, 0, 700, 0),  # fills the second
        (211, 1, 0, 0),
        (212, 0, 300, 0),
        (213, 1, 0, 0),
    ]
)


def test_two_losses_by_hand() -> None:
    packets = compile_sketch(LOSSES, 3)
    up = Trace("t", packets, CONDITION, CLIENT_PREFIX).flows.up
    read = [IP(bytes(packets.data[a:b])) for a, b in zip(packets.offsets, packets.offsets[1:], strict=False)]
    server, client = read[1][TCP].seq, read[0][TCP].seq
    down = [(p[TCP].seq - server) % 2**32 for p, way in zip(read, up, strict=True) if not way]
    assert down[:7] == [0, 1, 2401, 3601, 1001, 2901, 4201]
    assert (read[-2][TCP].seq - server) % 2**32 == 4501
    acknowledged = [(p[TCP].ack - server) % 2**32 for p, way in zip(read, up, strict=True) if way]
    assert acknowledged[2:] == [1, 1001, 1001, 1001, 2901, 4201, 4501, 4501, 4502]
    blocks = [dict(p[TCP].options).get("SAck") for p, way in zip(read, up, strict=True) if way]
    shifted = [tuple((edge - server) % 2**32 for edge in found) if found else None for found in blocks]
    assert shifted[3:8] == [None, (2401, 2901), (3601, 4201, 2401, 2901), (3601, 4201), None]
    assert {(p[TCP].ack - client) % 2**32 for p in read[4:] if p[TCP].sport == 443} == {101, 102}


def test_what_nothing_fills_was_not_lost() -> None:
    sketch = make_sketch([(100, 1, 100, 0), (150, 0, 900, 0), (151, 1, 0, 1), (152, 1, 0, 1)])
    assert not plan_holes(sketch.up, sketch.payload, sketch.blocks).any()
    assert not sketch_of(Trace("t", compile_sketch(sketch, 0), CONDITION, CLIENT_PREFIX)).blocks.any()


def test_blocks_without_data_between_stay_as_they_are() -> None:
    rows = [(100, 1, 100, 0), (150, 0, 900, 0), (151, 1, 0, 1), (152, 1, 0, 3), (153, 0, 800, 0), (154, 1, 0, 0)]
    made = sketch_of(Trace("t", compile_sketch(make_sketch(rows), 0), CONDITION, CLIENT_PREFIX))
    assert made.blocks.tolist() == [0, 0, 1, 1, 0, 0]


row = st.tuples(st.integers(0, 50), st.booleans(), st.sampled_from([0, 0, 1, 60, 700, 1448, 4000]), st.integers(0, 3))


@settings(max_examples=150, deadline=None)
@given(st.lists(row, min_size=1, max_size=60), st.integers(0, 2**32 - 1))
def test_any_losses_make_valid_packets_and_keep_the_rows(rows: list[tuple[int, bool, int, int]], seed: int) -> None:
    gap, up, payload, blocks = (np.array(column) for column in zip(*rows, strict=True))
    asked = np.where(up & (payload == 0), blocks, 0).astype(np.int8)
    ts = 200 * MS + np.cumsum(gap) * MS
    sketch = Sketch("tcp", ts, up, payload.astype(np.int32), 40 * MS, blocks=asked)
    trace = Trace("t", compile_sketch(sketch, seed), CONDITION, CLIENT_PREFIX)
    found = check(trace, with_tshark=False)
    assert not found.marks.mask.any(), first_violation(trace, found)
    made = sketch_of(trace)
    whole = payload <= 1448
    if whole.all():
        assert made.up.tolist() == up.tolist()
        assert made.payload.tolist() == payload.tolist()
        assert asked.any() or not made.blocks.any()
    for way in (True, False):
        assert made.payload[made.up == way].sum() == payload[up == way].sum()


def test_real_losses_come_back() -> None:
    corpus = embedded.load({"name": "streaming", "loader": "embedded"}, ROOT)
    compared = 0
    for trace in corpus.validation:
        sketch = sketch_of(trace)
        if sketch.transport != "tcp" or not sketch.blocks.any() or compared == 3:
            continue
        compared += 1
        made = trace_of(sketch, trace.condition, "made", 0)
        found = check(made, with_tshark=False)
        assert not found.marks.mask.any(), first_violation(made, found)
        again = sketch_of(made)
        bare = sketch.up & (sketch.payload == 0)
        assert len(again) == len(sketch)
        # What real stacks also say, of data that came twice (RFC 2883), isn't made.
        assert (again.blocks[bare] == sketch.blocks[bare]).mean() > 0.97
    assert compared == 3
