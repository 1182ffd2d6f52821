"""The harness's one repair, the same for every method: sketch what can be read, and compile it again."""

from __future__ import annotations

import ipaddress
import zlib
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from benchmark.synthesis.compiler import trace_of
from benchmark.synthesis.datagram import LARGEST_PAYLOAD as LARGEST_DATAGRAM
from benchmark.synthesis.sketch import Sketch, empty_sketch, measure_round_trip
from benchmark.synthesis.tcp import LARGEST_PAYLOAD as LARGEST_SEGMENT
from benchmark.trace import Trace
from benchmark.wire import FIN, RST, SYN, TCP, UDP, Fields

_WELL_KNOWN = 1024  # ports below belong to servers (RFC 6335 §6)


def repair(trace: Trace, seed: int) -> Trace:
    """Return a valid trace of the same rows: a packet in is a packet out, but for handshake and teardown.

    What a compiled trace says is kept: times, directions, payload sizes. Nothing is asked of the input but
    that its arrays fit together: packets may be of any bytes.
    """
    # Every trace its own endpoints, though the harness hands out one seed.
    own = (abs(int(seed)) << 32) | zlib.crc32(trace.name.encode())
    repaired = trace_of(read_sketch(trace), trace.condition, trace.name, own)
    return replace(repaired, notes={**trace.notes, "repaired": True})


def read_sketch(trace: Trace) -> Sketch:
    """Read a sketch off packets that may break any rule.

    The transport is the one that most packets name. A packet's payload is what its IP length leaves after
    the headers, or the captured bytes where that length can't be. Times never step back.
    """
    packets = trace.packets
    if len(packets) == 0:
        return empty_sketch("tcp")
    fields = packets.fields
    transport = _vote_transport(fields)
    up = guess_directions(trace)
    overhead = _overhead(fields, transport)
    stated = packets.length.astype(np.int64)
    total = np.where(stated >= np.minimum(overhead, packets.captured), stated, packets.captured)
    largest = LARGEST_SEGMENT if transport == "tcp" else LARGEST_DATAGRAM
    payload = np.clip(total - overhead, 0, largest).astype(np.int32)
    ts = np.maximum.accumulate(np.maximum(packets.ts - packets.ts[0], 0))
    if transport != "tcp":
        return Sketch(transport, ts, up, payload)
    kept = _rows(fields.flags, up, payload)
    return Sketch("tcp", ts[kept], up[kept], payload[kept], measure_round_trip(ts, fields.flags, up))


def guess_directions(trace: Trace) -> NDArray[np.bool_]:
    """Guess which packets go up, bool [n].

    By the client's prefix where exactly one end lies in it; else to a well-known port; else from the end
    whose address has fewer bits unlike the first sender's.
    """
    fields = trace.packets.fields
    apart = _unlike(fields.destination, fields) - _unlike(fields.source, fields)
    up = (apart > 0) & (fields.version > 0)
    to_server = (fields.dport < _WELL_KNOWN) & (fields.dport > 0) & (fields.sport >= _WELL_KNOWN)
    to_client = (fields.sport < _WELL_KNOWN) & (fields.sport > 0) & (fields.dport >= _WELL_KNOWN)
    up = np.where(to_server | to_client, to_server, up)
    if not trace.client:
        return up
    network = ipaddress.ip_network(trace.client, strict=False)
    width = network.max_prefixlen // 8
    mask = np.frombuffer(network.netmask.packed, np.uint8)
    wanted = np.frombuffer(network.network_address.packed, np.uint8)
    own = fields.version == network.version
    source = ((fields.source[:, :width] & mask) == wanted).all(axis=1) & own
    destination = ((fields.destination[:, :width] & mask) == wanted).all(axis=1) & own
    return np.asarray(np.where(source != destination, source, up), np.bool_)


def _unlike(addresses: NDArray[np.uint8], fields: Fields) -> NDArray[np.int64]:
    """Count the bits in which each address differs from the first readable source address."""
    readable = np.flatnonzero(fields.version > 0)
    first = fields.source[readable[0]] if len(readable) else np.zeros(16, np.uint8)
    return np.asarray(np.bitwise_count(addresses ^ first).sum(axis=1), np.int64)


def _vote_transport(fields: Fields) -> str:
    """Return the transport that most packets name: of UDP's, QUIC where most have port 443."""
    datagram = fields.protocol == UDP
    if datagram.sum() <= (fields.protocol == TCP).sum():
        return "tcp"
    secure = datagram & ((fields.sport == 443) | (fields.dport == 443))
    return "quic" if 2 * secure.sum() >= datagram.sum() else "rtp"


def _overhead(fields: Fields, transport: str) -> NDArray[np.int64]:
    """Return the header bytes of each packet, int64 [n]; the compiler's own where they can't be read."""
    ip = np.where(fields.ip_header >= 20, fields.ip_header, 20).astype(np.int64)
    usual = 32 if transport == "tcp" else 8
    legal = np.where(fields.protocol == TCP, fields.l4_header >= 20, fields.l4_header == 8)
    return ip + np.where(legal, fields.l4_header, usual)


def _rows(flags: NDArray[np.uint8], up: NDArray[np.bool_], payload: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Tell which TCP packets are rows: all but SYNs ahead of the data and FINs and RSTs behind it.

    Elsewhere a wrong flag must not cost a packet. The acknowledgements that end both go with them.
    """
    full = np.flatnonzero(payload > 0)
    count = len(payload)
    first, last = (int(full[0]), int(full[-1])) if len(full) else (count, -1)
    place = np.arange(count)
    opening = (place < first) & ((flags & SYN) != 0)
    closing = (place > last) & ((flags & (FIN | RST)) != 0) & ~opening
    kept: NDArray[np.bool_] = ~(opening | closing)
    if opening.any():
        after = int(np.flatnonzero(opening)[-1]) + 1
        if after < count and payload[after] == 0:
            kept[after] = False
    if (closing & up).any() and (closing & ~up).any():
        both = max(int(np.argmax(closing & up)), int(np.argmax(closing & ~up)))
        kept[both:] = False
    return kept
