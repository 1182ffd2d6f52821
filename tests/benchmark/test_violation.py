"""The first protocol violation of a run is that of the first trace in which the shares of valid packets show one."""

from dataclasses import replace

import numpy as np

from benchmark.harness.violation import describe_violation
from benchmark.synthesis.compiler import trace_of
from benchmark.synthesis.sketch import Sketch
from benchmark.trace import NANOSECONDS, Condition, Labels
from benchmark.validator import check


def whole(name):
    ts = np.arange(20, dtype=np.int64) * NANOSECONDS // 20
    sketch = Sketch("tcp", ts, np.arange(20) % 3 == 0, np.full(20, 500, np.int32))
    return trace_of(sketch, Condition("web", 2.0, 2.0, Labels.unknown(1)), name, 1)


def shares(traces):
    return {
        f"validity.l{level}.raw": {trace.name: check(trace).share(level) for trace in traces} for level in (0, 1, 2)
    }


def test_the_first_fault_of_the_first_faulty_trace_is_told():
    sound, faulty = whole("one"), whole("two")
    faulty = replace(faulty, packets=faulty.packets.take(slice(1, None)))
    traces = [sound, faulty, replace(faulty, name="three")]
    assert describe_violation(traces, shares(traces)).startswith("two: packet 0 at 0.000000 s")


def test_nothing_is_told_of_sound_traces_or_without_shares():
    traces = [whole("one"), whole("two")]
    assert describe_violation(traces, shares(traces)) == ""
    assert describe_violation(traces, {}) == ""
