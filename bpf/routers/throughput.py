"""What a probe costs a router's throughput: iperf3 through three namespaces, with and without it, in turns.

The router forwards; the probe sits on its client's side. Rounds go over nothing, the passing program and the probe, so
that what else the machine does falls on all alike. An effect is told only where its interval leaves out zero.
"""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from benchmark.errors import ConfigError, Unsupported
from benchmark.probe import Probe
from benchmark.trace import Trace
from bpf.probe import LoadedProbe, live_clock
from bpf.routers.live import attached_on
from bpf.routers.network import Line, routed, running
from bpf.routers.replaying import options_of

OPTIONS: Mapping[str, Any] = {"rounds": 7, "seconds": 1, "offloads": True, "congestion": "cubic"}
"""rounds: of three runs each. seconds: of a run. offloads: whether the devices cut, merge and checksum late.
congestion: control, pinned."""
_OFFLOADS = ("tso", "gso", "gro", "tx")
_FEATURES = (
    *("tx-checksumming", "tcp-segmentation-offload", "generic-segmentation-offload"),
    *("generic-receive-offload", "scatter-gather"),
)
_WINDOW = 1_000_000_000
_LEVEL = 0.95
_ZERO = bytes(4)


def run(probe: Probe, _traces: Sequence[Trace], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Measure Gbit/s down to the client in turns; return every run, and the probe's effect with its interval."""
    rounds, seconds = int(settings["rounds"]), int(settings["seconds"])
    if rounds < 2 or seconds < 1:
        raise ConfigError("router.options.throughput: at least 2 rounds, of a second or more")
    found: dict[str, list[float]] = {"nothing": [], "passing": [], "probe": []}
    seen = 0
    with routed() as line, LoadedProbe(options_of(probe, "10.78.1.0/24", replay=False)) as loaded:
        _set_offloads(line, bool(settings["offloads"]))
        loaded.loaded.maps["clock"].update(_ZERO, live_clock(_WINDOW, time.monotonic_ns()).tobytes())
        programs = {"nothing": None, "passing": loaded.floor, "probe": loaded.program}
        with _serving(line):
            # The first run warms up what all share.
            _measure(line, 1, settings["congestion"])
            for number in range(rounds):
                # Each stands first, second and last as often.
                names = [list(programs)[(number + place) % len(programs)] for place in range(len(programs))]
                for name in names:
                    program = programs[name]
                    with attached_on(line, probe.hook, program.descriptor) if program else contextlib.nullcontext():
                        found[name].append(_measure(line, seconds, settings["congestion"]))
        offloads, seen = _features(line), int(loaded.counters()["seen"])
    return {
        "gbit_per_s": {name: [round(one, 3) for one in runs] for name, runs in found.items()},
        "median": {name: round(float(np.median(runs)), 3) for name, runs in found.items()},
        "offloads_of_lan": offloads,
        "packets_seen": seen,
        "probe_over_nothing": effect(found["nothing"], found["probe"]),
        "probe_over_passing": effect(found["passing"], found["probe"]),
    }


def effect(without: Sequence[float], measured: Sequence[float]) -> dict[str, Any]:
    """Change of throughput round by round, as a share: the median, its interval, and whether noise hides it.

    The interval is of order statistics, which holds whatever the noise looks like (Conover, "Practical Nonparametric
    Statistics", 1999, section 3.2); below six rounds there is none of 95 %.
    """
    changes = np.sort(np.array(measured) / np.array(without) - 1)
    count = len(changes)
    below = [sum(math.comb(count, k) for k in range(rank + 1)) / 2**count for rank in range(count)]
    rank = sum(share <= (1 - _LEVEL) / 2 for share in below)
    found = {"change": round(float(np.median(changes)), 4), "interval": None}
    if not rank:
        return {**found, "verdict": f"{count} rounds are too few for an interval"}
    low, high = float(changes[rank - 1]), float(changes[count - rank])
    verdict = "noise hides the effect, if there is one" if low <= 0 <= high else "slower" if high < 0 else "faster"
    return {**found, "interval": [round(low, 4), round(high, 4)], "verdict": verdict}


@contextlib.contextmanager
def _serving(line: Line) -> Iterator[None]:
    with running(line.client, ["iperf3", "--server", "--forceflush"]) as server:
        assert server.stdout is not None
        for words in server.stdout:
            if "listening" in words:
                break
        else:
            raise Unsupported("iperf3 doesn't listen")
        yield


def _measure(line: Line, seconds: int, congestion: str) -> float:
    """Gbit/s that arrived at the client."""
    words = f"iperf3 --client 10.78.1.2 --json --congestion {congestion} --time {seconds}"
    told = json.loads(line.server.run(words))
    return float(told["end"]["sum_received"]["bits_per_second"]) / 1e9


def _set_offloads(line: Line, wanted: bool) -> None:
    for one, names in zip(line.all, (("wire",), ("lan", "wan"), ("wire",)), strict=True):
        for name in names:
            one.run(f"ethtool -K {name} " + " ".join(f"{each} {'on' if wanted else 'off'}" for each in _OFFLOADS))


def _features(line: Line) -> dict[str, str]:
    told = line.router.run("ethtool -k lan")
    lines = (words.strip().partition(":") for words in told.splitlines())
    return {name: state.split()[0] for name, _, state in lines if name in _FEATURES and state.split()}
