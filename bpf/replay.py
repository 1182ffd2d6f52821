"""Traces through a probe, wherever it runs: what a program is configured with, the frames and clocks that it is handed,
and what its results say."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.probe import Verdicts
from benchmark.quality.features import clock_of
from benchmark.trace import Trace
from bpf.elf import RODATA, Bundle
from bpf.models.blob import capacity_of, no_capacity, swapped

_ETHERTYPES = {4: b"\x08\x00", 6: b"\x86\xdd"}
_TICKS_OF_A_CLOCK = 1 << 31


def tailor(
    bundle: Bundle,
    blob: bytes,
    client: str,
    *,
    no_ethernet: bool = False,
    rows: bool = False,
    replay: bool = True,
    flows: int = 0,
    results: int = 0,
) -> Bundle:
    """Return a bundle for one client prefix ("" for none), with a model in slot 0 (b"" for none).

    no_ethernet: packets begin at the IP header. rows: results hold the row of features, too. replay: time comes from
    the clock map. flows, results: how many their maps hold, 0 for the object's own numbers.
    """
    capacity = capacity_of(blob) if blob else no_capacity()
    config = np.zeros((), bundle.types.record("config"))
    _set_client(config, client)
    config["replay"], config["no_ethernet"] = replay, no_ethernet
    for name in config.dtype["capacity"].names or ():
        config["capacity"][name] = capacity[name]
    changes: dict[str, dict[str, Any]] = {
        RODATA: {"contents": config.tobytes() + bundle.maps[RODATA].contents[config.itemsize :]},
        "models": {
            "value_size": int(capacity["bytes"]),
            "contents": swapped(blob) if blob and bundle.byte_order == ">" else blob,
        },
        "results": {"value_size": bundle.types.record("record" if rows else "result").itemsize},
        "flows": {},
    }
    for name, entries in (("flows", flows), ("results", results)):
        if entries:
            changes[name]["max_entries"] = entries
    maps = {name: replace(spec, **changes.get(name, {})) for name, spec in bundle.maps.items()}
    return replace(bundle, maps=maps)


def _set_client(config: NDArray[Any], client: str) -> None:
    """Set a prefix and its mask; of a version without one, a prefix that no masked address is."""
    network = ipaddress.ip_network(client, strict=False) if client else None
    for version, width in ((4, 4), (6, 16)):
        prefix, mask = b"\xff" * width, bytes(width)
        if network is not None and network.version == version:
            prefix, mask = network.network_address.packed, network.netmask.packed
        for name, packed in ((f"client_{version}", prefix), (f"mask_{version}", mask)):
            config[name] = np.frombuffer(packed, config.dtype[name].base).reshape(config.dtype[name].shape)


def frames_of(trace: Trace) -> Iterator[tuple[int, bytes]]:
    """Each packet's time in ns and its captured bytes behind an Ethernet header; no time is negative."""
    packets = trace.packets
    data, offsets = packets.data.tobytes(), packets.offsets.tolist()
    times = (packets.ts - min(0, int(packets.ts.min(initial=0)))).tolist()
    for number, time in enumerate(times):
        captured = data[offsets[number] : offsets[number + 1]]
        version = captured[0] >> 4 if captured else 0
        yield time, bytes(12) + _ETHERTYPES.get(version, b"\x08\x00") + captured


def clocks_of(trace: Trace, bundle: Bundle) -> Iterator[tuple[NDArray[Any], slice]]:
    """Each clock, a record of the program's own layout, and the packets that it is good for, in their order."""
    found = clock_of(trace)[0]
    clock = np.zeros((), bundle.types.record("clock"))
    for name in found.dtype.names:
        clock[name] = found[name]
    yield from hand_over(clock, trace.packets.ts - min(0, int(trace.packets.ts.min(initial=0))))


def hand_over(clock: NDArray[Any], times: NDArray[np.int64]) -> Iterator[tuple[NDArray[Any], slice]]:
    """Each clock that follows from the first, a record [], and which of packets at ``times`` ns it is good for.

    A clock counts 2^32 units; before that a later one is handed over, whole windows on, which late packets are within.
    """
    step = _TICKS_OF_A_CLOCK // int(clock["units"])
    since = times - int(clock["epoch"])
    period = np.maximum.accumulate(np.maximum(since, 0) // (step * int(clock["window"])))
    for number in np.unique(period).tolist():
        first, last = np.searchsorted(period, [number, number + 1]).tolist()
        later = clock.copy()
        passed = max(0, number - 1) * step
        later["epoch"] = int(clock["epoch"]) + passed * int(clock["window"])
        later["index"] = (int(clock["index"]) + passed) & 0xFFFFFFFF
        yield later, slice(first, last)


def read_verdicts(trace: Trace, results: bytes, bundle: Bundle) -> Verdicts:
    """The results of a trace as verdicts. ``results`` are those of the queue, one after the other."""
    size = bundle.maps["results"].value_size
    layout = bundle.types.record("result" if size == bundle.types.record("result").itemsize else "record")
    found = np.frombuffer(results, layout)
    told = found["result"] if "result" in (layout.names or ()) else found
    flow = _flows_of(trace, told["key"])
    columns = [told[name].astype(np.int64) for name in ("window", "down_bytes", "label", "score")]
    return Verdicts(flow, *columns)


def _flows_of(trace: Trace, keys: NDArray[Any]) -> NDArray[np.int64]:
    """Number the flows of results by their keys, as ``Trace.flows`` does. Raises KeyError for one that isn't there."""
    fields, flows = trace.packets.fields, trace.flows
    numbers = {}
    for number, first in enumerate(flows.first.tolist()):
        ends = [
            (fields.source[first].tobytes(), int(fields.sport[first]).to_bytes(2, "big")),
            (fields.destination[first].tobytes(), int(fields.dport[first]).to_bytes(2, "big")),
        ]
        client, server = ends if flows.up[first] else ends[::-1]
        tail = bytes([fields.protocol[first], fields.version[first]])
        numbers[client[0] + server[0] + client[1] + server[1] + tail + bytes(2)] = number
    return np.array([numbers[key.tobytes()] for key in keys], np.int64).reshape(len(keys))
