"""A sketch: what a generator decides of a trace. The compiler turns it into valid packets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.trace import Trace
from benchmark.wire import FIN, RST, SYN, TCP


@dataclass(frozen=True, eq=False)
class Sketch:
    """Packets of one flow as a generator sees them: when, which way and how much payload.

    transport: "tcp", "quic" or "rtp". ts: int64 [n], ns, non-decreasing, counted from the trace's first packet.
    up: bool [n]. payload: int32 [n], layer 4 payload bytes; 0 is a bare acknowledgement (TCP only).
    Handshake and teardown aren't in it: the compiler owns them. round_trip: ns, for the handshake's pace.
    """

    transport: str
    ts: NDArray[np.int64]
    up: NDArray[np.bool_]
    payload: NDArray[np.int32]
    round_trip: int = 40_000_000

    def __len__(self) -> int:
        return len(self.ts)


def sketch_of(trace: Trace) -> Sketch:
    """Return the sketch of a trace's largest flow (by down bytes), without handshake and teardown packets.

    Times count from the flow's first packet, so what the handshake took stays ahead of the first row.
    """
    fields, flows = trace.packets.fields, trace.flows
    if flows.count == 0:
        empty = np.zeros(0, np.int64)
        return Sketch("tcp", empty, empty.astype(bool), empty.astype(np.int32))
    down = (flows.index >= 0) & ~flows.up
    weight = np.bincount(flows.index[down], trace.packets.length[down], minlength=flows.count)
    flow = int(np.argmax(weight))
    members = np.flatnonzero(flows.index == flow)
    tcp = bool(fields.protocol[members[0]] == TCP)
    kept = members
    round_trip = 40_000_000
    ts = trace.packets.ts - trace.packets.ts[members[0]]
    if tcp:
        control = (fields.flags[members] & (SYN | FIN | RST)) != 0
        opening = members[(fields.flags[members] & SYN) != 0]
        kept = members[~control]
        if len(opening) >= 2:
            round_trip = max(1, int(ts[opening[1]] - ts[opening[0]]))
        # The acknowledgement that ends the handshake is the compiler's too.
        if len(kept) and fields.payload[kept[0]] == 0 and len(opening):
            kept = kept[1:]
    transport = "tcp" if tcp else _datagram_transport(trace, members)
    return Sketch(
        transport,
        np.maximum.accumulate(ts[kept]) if len(kept) else ts[kept],
        flows.up[kept],
        fields.payload[kept],
        round_trip,
    )


def _datagram_transport(trace: Trace, members: NDArray[np.int64]) -> str:
    """Tell QUIC from RTP by the port: 443 is QUIC (RFC 9312 §2), all else is taken for RTP."""
    fields = trace.packets.fields
    first = members[0]
    return "quic" if 443 in (fields.sport[first], fields.dport[first]) else "rtp"
