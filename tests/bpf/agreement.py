"""The kernel's results held against the reference's."""

import numpy as np
import pytest

from benchmark.errors import Unsupported
from benchmark.quality.features import clock_of, extract_flows
from benchmark.wire import SKIP_NAMES
from bpf.abi import CLOCK
from bpf.kernel import require
from bpf.probe import LoadedProbe, ProbeOptions
from bpf.replay import _flows_of, hand_over


def loaded(**options):
    """A probe with rows; skips the test, with the reason, where this machine can't load one."""
    try:
        require()
        return LoadedProbe(ProbeOptions(rows=True, **options))
    except Unsupported as reason:
        pytest.skip(str(reason))


def clocks(trace, times):
    found = clock_of(trace)[0]
    clock = np.zeros((), CLOCK)
    for name in found.dtype.names:
        clock[name] = found[name]
    return list(hand_over(clock, times))


def replay(probe, case):
    return probe.feed(case.frames, clocks(case.trace, case.frames.times.astype(np.int64)))


def table_of(trace, replayed, columns):
    """Results as rows (flow, window, features), sorted."""
    flows = _flows_of(trace, replayed.results["result"]["key"])
    window = replayed.results["result"]["window"].astype(np.int64)
    order = np.lexsort((window, flows))
    return flows[order], window[order], replayed.results["row"][order][:, :columns]


def check(probe, case, replayed=None):
    """Fail at the first feature of the first flow and window that differ, or where a packet isn't accounted for."""
    replayed = replayed or replay(probe, case)
    table = extract_flows(case.trace, probe.options.features)
    flows, windows, rows = table_of(case.trace, replayed, len(table.names))
    order = np.lexsort((table.window, table.flow))
    expected = list(zip(table.flow[order].tolist(), table.window[order].tolist(), strict=True))
    found = list(zip(flows.tolist(), windows.tolist(), strict=True))
    if found != expected:
        missing, extra = set(expected) - set(found), set(found) - set(expected)
        raise AssertionError(f"windows missing {sorted(missing)[:3]}, unknown {sorted(extra)[:3]}")
    wanted = table.values[order]
    if not np.array_equal(rows, wanted):
        row, column = np.argwhere(rows != wanted)[0]
        raise AssertionError(
            f"flow, window {expected[row]}: {table.names[column]} is {rows[row, column]}, not {wanted[row, column]}; "
            f"{int((rows != wanted).sum())} values differ"
        )
    skips = np.bincount(case.trace.packets.fields.skip, minlength=len(SKIP_NAMES))
    wanted_skips = {name: int(skips[place]) for place, name in enumerate(SKIP_NAMES) if place}
    wanted_skips["not_ip"] += case.not_ip
    assert {name: replayed.skipped[name] for name in wanted_skips} == wanted_skips
    assert replayed.skipped["no_room"] == 0
    assert replayed.unaccounted == 0
    assert replayed.counters["accounted"] == int(skips[0])
    assert replayed.counters["overwritten"] == replayed.counters["unpublished"] == 0
    return replayed
