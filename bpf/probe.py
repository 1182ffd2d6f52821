"""A probe in this machine's kernel: loaded, fed with traces, timed, and asked what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import ConfigError, nearest
from benchmark.trace import Trace
from bpf import loader_bcc, loader_libbpf, loader_raw
from bpf.abi import CLOCK, COUNTERS, RECORD, RESULT, SKIP_REASONS
from bpf.build import object_path
from bpf.elf import Bundle, read_object
from bpf.feed import ETHERNET, Frames, SharedClock, frames_of, run_all
from bpf.kernel import MEMORY_MAPPED, Loaded, Program
from bpf.replay import clocks_of, tailor

_PROGRAMS = {"tc": "tc", "tcx": "tc", "xdp": "xdp", "socket": "socket"}
_HALF_A_CLOCK = 1 << 31
_ZERO = bytes(4)


@dataclass(frozen=True)
class ProbeOptions:
    """What is loaded.

    features: F0 to F5. hook: tc, tcx, xdp or socket. client: prefix of the client's addresses ("" for none). blob: the
    model, b"" for none. replay: packets' times come from the clock map. rows: results hold the features, too.
    no_ethernet: packets begin at the IP header. flows, results: how many their maps hold, 0 for the object's numbers.
    loader: libbpf, bcc, or raw for bpf(2) alone.
    """

    features: str = "F4"
    hook: str = "tc"
    client: str = ""
    blob: bytes = b""
    replay: bool = True
    rows: bool = False
    no_ethernet: bool = False
    flows: int = 0
    results: int = 0
    loader: str = "libbpf"


@dataclass(frozen=True, eq=False)
class Replayed:
    """What a replay left: counters by name (``skipped`` by reason), and results, RESULT or RECORD [windows]."""

    counters: Mapping[str, int]
    skipped: Mapping[str, int]
    results: NDArray[Any]

    @property
    def unaccounted(self) -> int:
        """Packets handed over, less those counted on a flow and those skipped for a reason."""
        return self.counters["seen"] - self.counters["accounted"] - sum(self.skipped.values())


class LoadedProbe:
    """A probe that is in the kernel until it is closed. Raises Unsupported where this machine can't load it."""

    def __init__(self, options: ProbeOptions) -> None:
        if options.hook not in _PROGRAMS:
            raise ConfigError(f"unknown hook '{options.hook}'{nearest(options.hook, _PROGRAMS)}")
        self.options = options
        self.bundle, self.loaded = _load(options)
        kind = _PROGRAMS[options.hook]
        self.program = self.loaded.programs[f"probe_{kind}"]
        self.floor = self.loaded.programs[f"pass_{kind}"]
        self._closer = self.loaded.programs["close_flow"]
        self._clock = SharedClock(self.loaded.maps["clock"]) if options.replay else None

    def __enter__(self) -> LoadedProbe:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Take it out of the kernel."""
        self._clock = None
        self.loaded.close()

    def replay(self, trace: Trace) -> Replayed:
        """Run the program on every packet of a trace at the trace's time, then close every flow."""
        frames = frames_of(trace.packets)
        return self.feed(frames, list(clocks_of(trace, self.bundle)))

    def feed(self, frames: Frames, clocks: list[tuple[NDArray[Any], slice]]) -> Replayed:
        """Run the program on frames, each slice of them under its clock (CLOCK records), then close every flow."""
        if self._clock is None:
            raise ConfigError("a probe that isn't loaded for replay has no clock to set")
        before = self.counters()
        size = self.loaded.maps["results"].max_entries
        lead = ETHERNET if self.options.hook == "socket" else 0
        results: list[bytes] = []
        for clock, chosen in clocks:
            self._clock.set(clock)
            # A packet closes one window at most, so the queue never overflows.
            for first in range(chosen.start, chosen.stop, size):
                part = slice(first, min(first + size, chosen.stop))
                run_all(self.program.descriptor, frames, part, self._clock, lead)
                results += self._drain()
        results += self.close_flows()
        after = self.counters()
        layout = RECORD if self.options.rows else RESULT
        changed = {name: int(after[name] - before[name]) for name in COUNTERS.names or () if name != "skipped"}
        skipped = (after["skipped"] - before["skipped"]).tolist()
        return Replayed(
            changed,
            {name: int(skipped[place]) for place, name in enumerate(SKIP_REASONS) if place},
            np.frombuffer(b"".join(results), layout),
        )

    def close_flows(self) -> list[bytes]:
        """Publish every flow's open window, forget the flows, and return all results, as bytes of each."""
        results = self._drain()
        for number, key in enumerate(list(self.loaded.maps["flows"].keys())):
            if number % self.loaded.maps["results"].max_entries == 0:
                results += self._drain()
            self.close_flow(key)
        return results + self._drain()

    def close_flow(self, key: bytes) -> None:
        """Publish the open window of the flow that has this key in the map, and forget the flow."""
        self._closer.run(bytes(ETHERNET) + key)

    def counters(self) -> NDArray[Any]:
        """Return COUNTERS [], summed over CPUs."""
        counters = self.loaded.maps["counters"]
        stride = (counters.value_size + 7) // 8 * 8
        block = counters.lookup(_ZERO) or b""
        every = [np.frombuffer(block, COUNTERS, 1, at)[0] for at in range(0, len(block), stride)]
        total = np.zeros((), COUNTERS)
        for name in COUNTERS.names or ():
            total[name] = sum(one[name] for one in every)
        return total

    def map_bytes(self) -> dict[str, int]:
        """Memory of each map, by the kernel's own account."""
        return {name: one.memory() for name, one in self.loaded.maps.items()}

    def figures(self) -> dict[str, float]:
        """What the program costs without running: sizes as the kernel and its verifier tell them."""
        facts = self.program.facts()
        return {
            "map_bytes": sum(self.map_bytes().values()),
            "verified_insns": facts.verified_insns,
            "verified_states": facts.verified_states,
            "stack_bytes": facts.stack_bytes,
            "jited_bytes": facts.jited_bytes,
            "load_ms": self.loaded.seconds * 1e3,
        }

    def time(self, frame: bytes, repeat: int = 100_000, rounds: int = 7, start: int = 0, step: int = 1000) -> float:
        """ns that the program adds to a packet: less the passing program, minimum of ``rounds``, taken in turns.

        Under replay the first packet comes at ``start`` ns, and each ``step`` ns after the one before.
        """
        data = bytes(ETHERNET) + frame if self.options.hook == "socket" else frame
        found, floor = [], []
        for _ in range(rounds):
            if self._clock is not None:
                self._clock.record["now"], self._clock.record["step"] = start, step
            floor.append(_duration(self.floor, data, repeat))
            found.append(_duration(self.program, data, repeat))
            if self._clock is not None:
                start = int(self._clock.record["now"][0])
                self._clock.record["step"] = 0
        return float(min(found) - min(floor))

    def _drain(self) -> list[bytes]:
        queue, found = self.loaded.maps["results"], []
        while (value := queue.pop()) is not None:
            found.append(value)
        return found


def later_clock(clock: NDArray[Any], now: int) -> NDArray[Any] | None:
    """Return the clock (CLOCK []) to hand over at ``now`` ns, or None while the one in use has time left.

    A clock counts 2^32 units. The later one begins whole windows on, but so far back that late packets are within it.
    """
    units = (now - int(clock["epoch"])) >> int(clock["shift"])
    if units < _HALF_A_CLOCK + _HALF_A_CLOCK // 2:
        return None
    passed = (units - _HALF_A_CLOCK) // int(clock["units"])
    later = clock.copy()
    later["epoch"] = int(clock["epoch"]) + passed * int(clock["window"])
    later["index"] = (int(clock["index"]) + passed) & 0xFFFFFFFF
    return later


def live_clock(window_ns: int, now: int) -> NDArray[Any]:
    """Return the clock (CLOCK []) whose window 0 begins at ``now`` ns. Raises ConfigError if 32 bits can't count it."""
    shift = min(10, (window_ns & -window_ns).bit_length() - 1)
    if window_ns <= 0 or window_ns >> shift >= 1 << 31:
        raise ConfigError(f"a window of {window_ns} ns can't be counted in 32 bits")
    clock = np.zeros((), CLOCK)
    clock["epoch"], clock["window"], clock["shift"], clock["units"] = now, window_ns, shift, window_ns >> shift
    return clock


def _load(options: ProbeOptions) -> tuple[Bundle, Loaded]:
    path = object_path(options.features)
    bundle = tailor(
        read_object(path),
        options.blob,
        options.client,
        no_ethernet=options.no_ethernet,
        rows=options.rows,
        replay=options.replay,
        flows=options.flows,
        results=options.results,
    )
    if options.replay:
        clock = bundle.maps["clock"]
        bundle = replace(bundle, maps={**bundle.maps, "clock": replace(clock, flags=clock.flags | MEMORY_MAPPED)})
    kind = _PROGRAMS[options.hook]
    programs = (f"probe_{kind}", f"pass_{kind}", "close_flow")
    if options.loader == "libbpf":
        return bundle, loader_libbpf.load(path, bundle, programs)
    if options.loader == "raw":
        return bundle, loader_raw.load(bundle, programs)
    if options.loader == "bcc":
        return bundle, loader_bcc.load(options.features, bundle, programs)
    raise ConfigError(f"unknown loader '{options.loader}'{nearest(options.loader, ('libbpf', 'raw', 'bcc'))}")


def _duration(program: Program, frame: bytes, repeat: int) -> int:
    return program.run(frame, repeat)[1]
