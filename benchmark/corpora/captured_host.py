"""Which host a capture was taken at."""

from __future__ import annotations

import ipaddress
from collections import Counter, defaultdict

import numpy as np

from benchmark.flow import assign_flows
from benchmark.trace import Packets

# Broadcasts and neighbours make up less than this of what a host's own capture holds.
_LEAST_SHARE = 0.9


def captured_host(packets: Packets) -> str:
    """Return the prefix of the address that is an end of 9 in 10 packets of flows, or "" if there is none.

    Of two such, a host and the one server that it talks to, it's the one that has more peers.
    """
    fields = packets.fields
    flows = assign_flows(fields)
    carried = np.bincount(flows.index[flows.index >= 0], minlength=flows.count).tolist()
    packets_of: Counter[str] = Counter()
    peers: defaultdict[str, set[str]] = defaultdict(set)
    for count, first in zip(carried, flows.first.tolist(), strict=True):
        size = 4 if fields.version[first] == 4 else 16
        ends = [str(ipaddress.ip_address(side[first, :size].tobytes())) for side in (fields.source, fields.destination)]
        for end, other in (ends, reversed(ends)):
            packets_of[end] += count
            peers[end].add(other)
    often = [end for end, count in packets_of.items() if count >= _LEAST_SHARE * sum(carried)]
    most = max((len(peers[end]) for end in often), default=0)
    hosts = [end for end in often if len(peers[end]) == most]
    return f"{hosts[0]}/{128 if ':' in hosts[0] else 32}" if len(hosts) == 1 else ""
