"""Flows and directions: which bidirectional 5-tuple a packet belongs to, and whether it leaves the client."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from benchmark.wire import SKIP_NONE, Fields

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, eq=False)
class Flows:
    """Flow of each packet.

    index: int32 [n], flows numbered by first packet; -1 for packets without one (``Fields.skip`` says why).
    up: bool [n], the packet leaves the client.
    count: the number of flows. first: int64 [count], the packet that opened each flow.
    """

    index: NDArray[np.int32]
    up: NDArray[np.bool_]
    count: int
    first: NDArray[np.int64]


def assign_flows(fields: Fields, client: Network | None = None) -> Flows:
    """Number the flows and tell directions.

    Up is from the client: an address inside ``client`` where exactly one end is; else the sender of the
    flow's first packet. A fragment after the first, or any packet that wasn't parsed, has flow -1 and
    isn't up.
    """
    count = len(fields)
    ends = np.zeros((count, 40), np.uint8)
    ends[:, 0:16] = fields.source
    ends[:, 16:18] = fields.sport.astype(">u2").view(np.uint8).reshape(count, 2)
    ends[:, 18:34] = fields.destination
    ends[:, 34:36] = fields.dport.astype(">u2").view(np.uint8).reshape(count, 2)
    ends[:, 36] = fields.protocol
    ends[:, 37] = fields.version
    index = np.full(count, -1, np.int32)
    forward = np.zeros(count, np.bool_)
    size = 1 << max(4, int(2 * count + 1).bit_length())
    flows = _number(ends, fields.skip == SKIP_NONE, np.full(size, -1, np.int64), index, forward)
    first = np.full(flows, -1, np.int64)
    _first(index, first)
    up = forward
    if client is not None:
        source = _inside(fields.source, fields.version, client)
        destination = _inside(fields.destination, fields.version, client)
        up = np.where(source != destination, source, forward) & (index >= 0)
    return Flows(index, up, flows, first)


def _inside(addresses: NDArray[np.uint8], version: NDArray[np.uint8], network: Network) -> NDArray[np.bool_]:
    """Tell which addresses, uint8 [n, 16], lie in the network."""
    width = network.max_prefixlen // 8
    mask = np.frombuffer(network.netmask.packed, np.uint8)
    wanted = np.frombuffer(network.network_address.packed, np.uint8)
    same = ((addresses[:, :width] & mask) == wanted).all(axis=1)
    return np.asarray(same & (version == network.version))


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _number(ends: Any, usable: Any, slots: Any, index: Any, forward: Any) -> int:
    """Number 5-tuples through an open-addressing table of first packets; keys are compared in full."""
    mask = len(slots) - 1
    flows = 0
    for i in range(len(ends)):
        if not usable[i]:
            continue
        low, high = _hash(ends[i, 0:18]), _hash(ends[i, 18:36])
        slot = np.int64((low + high + np.uint64(ends[i, 36])) & np.uint64(mask))
        while True:
            owner = slots[slot]
            if owner < 0:
                slots[slot] = i
                index[i] = flows
                forward[i] = True
                flows += 1
                break
            if ends[owner, 36] == ends[i, 36] and ends[owner, 37] == ends[i, 37]:
                if _equal(ends, owner, i, 0, 18):
                    index[i] = index[owner]
                    forward[i] = True
                    break
                if _equal(ends, owner, i, 18, 0):
                    index[i] = index[owner]
                    break
            slot = (slot + 1) & mask
    return flows


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _hash(key: Any) -> Any:
    """FNV-1a, 64 bits."""
    value = np.uint64(14695981039346656037)
    for byte in key:
        value = (value ^ np.uint64(byte)) * np.uint64(1099511628211)
    return value


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _equal(ends: Any, owner: int, i: int, source: int, destination: int) -> bool:
    """Compare the owner's ends with packet i's, whose source end stands at ``source``."""
    for k in range(18):
        if ends[owner, k] != ends[i, source + k] or ends[owner, 18 + k] != ends[i, destination + k]:
            return False
    return True


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _first(index: Any, first: Any) -> None:
    for i in range(len(index)):
        flow = index[i]
        if flow >= 0 and first[flow] < 0:
            first[flow] = i
