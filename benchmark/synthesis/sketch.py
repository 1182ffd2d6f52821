"""A sketch: what a generator decides of a trace. The compiler turns it into valid packets."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from benchmark.trace import Trace
from benchmark.wire import FIN, RST, SYN, TCP

ROUND_TRIP = 40_000_000  # ns, where a trace doesn't show one
_MOST_BLOCKS = 3  # beside the timestamp option


@dataclass(frozen=True)
class Endpoints:
    """The two ends of a compiled flow: IPv4 addresses as four bytes, and ports."""

    client: tuple[int, int, int, int]
    server: tuple[int, int, int, int]
    client_port: int
    server_port: int


@dataclass(frozen=True, eq=False)
class Sketch:
    """Packets of one flow as a generator sees them: when, which way and how much payload.

    transport: "tcp", "quic" or "rtp". ts: int64 [n], ns, non-decreasing, from the flow's first packet on.
    up: bool [n]. payload: int32 [n], layer 4 payload bytes; 0 is a bare acknowledgement (TCP only).
    Handshake and teardown aren't in it: the compiler owns them. round_trip: ns, for the handshake's pace.
    began: ns from the trace's first packet, where windows count from, to the flow's. A compiled trace has no other
    flow, so it is 0 there. blocks: int8 [n], SACK blocks of the client's bare acknowledgements (TCP only), from which
    the compiler tells what was lost; none if left out.
    """

    transport: str
    ts: NDArray[np.int64]
    up: NDArray[np.bool_]
    payload: NDArray[np.int32]
    round_trip: int = ROUND_TRIP
    began: int = 0
    blocks: NDArray[np.int8] = field(default_factory=lambda: np.zeros(0, np.int8))

    def __post_init__(self) -> None:
        """Fill in what was left out."""
        if len(self.blocks) != len(self.ts):
            object.__setattr__(self, "blocks", np.zeros(len(self.ts), np.int8))

    def __len__(self) -> int:
        return len(self.ts)


def largest_flow(trace: Trace) -> int:
    """Return the flow with most down bytes in the whole trace (ties: first seen), -1 where there is no flow."""
    flows = trace.flows
    if flows.count == 0:
        return -1
    down = (flows.index >= 0) & ~flows.up
    return int(np.argmax(np.bincount(flows.index[down], trace.packets.length[down], minlength=flows.count)))


def sketch_of(trace: Trace) -> Sketch:
    """Return the sketch of a trace's largest flow, without handshake and teardown packets.

    Times count from the flow's first packet, so what the handshake took stays ahead of the first row.
    """
    fields, flows = trace.packets.fields, trace.flows
    if flows.count == 0:
        return empty_sketch("tcp")
    members = np.flatnonzero(flows.index == largest_flow(trace))
    began = max(0, int(trace.packets.ts[members[0]] - trace.packets.ts[0]))
    ts = trace.packets.ts[members] - trace.packets.ts[members[0]]
    ts = np.maximum.accumulate(np.maximum(ts, 0))
    up, payload = flows.up[members], fields.payload[members]
    if fields.protocol[members[0]] != TCP:
        # QUIC by its port (RFC 9312 §2); all other datagrams are taken for RTP.
        quic = 443 in (fields.sport[members[0]], fields.dport[members[0]])
        return Sketch("quic" if quic else "rtp", ts, up, payload, began=began)
    flags = fields.flags[members]
    kept = rows_of_tcp(flags, up, payload)
    options = fields.l4_header[members] - np.where(fields.has_ts[members] > 0, 32, 20)
    blocks = np.where(up & (payload == 0), np.clip((options - 4) // 8, 0, _MOST_BLOCKS), 0).astype(np.int8)
    return Sketch(
        "tcp", ts[kept], up[kept], payload[kept], measure_round_trip(ts, flags, up), began, blocks[kept]
    )  # fmt: skip


def empty_sketch(transport: str) -> Sketch:
    """Return a sketch without rows."""
    nothing = np.zeros(0, np.int64)
    return Sketch(transport, nothing, nothing.astype(bool), nothing.astype(np.int32))


def rows_of_tcp(flags: NDArray[np.uint8], up: NDArray[np.bool_], payload: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Tell which packets of a TCP flow, all [n], are a sketch's rows: those that neither open nor close it.

    Besides SYN, FIN and RST without payload, that leaves out the acknowledgement that ends the handshake
    and those that follow both sides' FINs.
    """
    kept: NDArray[np.bool_] = ((flags & (SYN | FIN | RST)) == 0) | (payload > 0)
    opening = np.flatnonzero((flags & SYN) != 0)
    rest = np.flatnonzero(kept)
    if len(opening) and len(rest) and rest[0] > opening[-1] and payload[rest[0]] == 0:
        kept[rest[0]] = False
    closing = (flags & FIN) != 0
    if (closing & up).any() and (closing & ~up).any():
        both = max(int(np.argmax(closing & up)), int(np.argmax(closing & ~up)))
        kept[both:] &= payload[both:] > 0
    return kept


def measure_round_trip(ts: NDArray[np.int64], flags: NDArray[np.uint8], up: NDArray[np.bool_]) -> int:
    """Return the time from the client's SYN to the server's, in ns, or ROUND_TRIP where there is none."""
    synchronise = (flags & SYN) != 0
    asked, answered = np.flatnonzero(synchronise & up), np.flatnonzero(synchronise & ~up)
    if not len(asked) or not len(answered) or answered[0] < asked[0]:
        return ROUND_TRIP
    return max(1, int(ts[answered[0]] - ts[asked[0]]))
