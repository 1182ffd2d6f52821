"""Level 4: payloads open as their protocol says, as far as their first bytes were captured."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmark.trace import NANOSECONDS, Trace
from benchmark.validator.datagram import datagram_start, media_packets
from benchmark.validator.findings import (
    DNS,
    MEDIA_START,
    QUIC_FIXED_BIT,
    QUIC_INITIAL,
    QUIC_LATE,
    QUIC_START,
    STUN,
    TLS_START,
    Marks,
    mark,
)
from benchmark.wire import SKIP_NONE, SYN, TCP

QUIC_DATAGRAM = 1200  # bytes that a client's Initial fills at least (RFC 9000 §14.1)
QUIC_HANDSHAKE = 10 * NANOSECONDS  # far beyond any handshake with its probes
MAGIC_COOKIE = (0x21, 0x12, 0xA4, 0x42)  # STUN, RFC 8489 §5

Index = NDArray[np.int64]


def judge_payloads(trace: Trace, marks: Marks) -> int:
    """Write the findings of level 4; return how many packets had payload bytes that could be judged."""
    if trace.flows.count == 0:
        return 0
    fields = trace.packets.fields
    _, have = datagram_start(trace)
    sound = (have > 0) & (marks.mask == 0)
    quic = np.flatnonzero(sound & ((fields.sport == 443) | (fields.dport == 443)))
    dns = np.flatnonzero(sound & ((fields.sport == 53) | (fields.dport == 53)))
    media = np.flatnonzero(sound & media_packets(trace, marks))
    _judge_quic(trace, quic, marks)
    _judge_dns(trace, dns, marks)
    _judge_media(trace, media, marks)
    return len(quic) + len(dns) + len(media) + _judge_tls(trace, marks)


def _judge_quic(trace: Trace, chosen: Index, marks: Marks) -> None:
    """Judge QUIC on UDP port 443 by its first byte (RFC 9000 §17)."""
    if len(chosen) == 0:
        return
    packets, fields, flows = trace.packets, trace.packets.fields, trace.flows
    place, _ = datagram_start(trace)
    first_byte = packets.data[place[chosen]].astype(np.int64)
    way = 2 * flows.index[chosen].astype(np.int64) + ~flows.up[chosen]
    opening = np.zeros(len(chosen), np.bool_)
    opening[np.unique(way, return_index=True)[1]] = True
    opens = packets.ts[flows.first[flows.index[chosen]]]
    # A flow that was open before the capture began may go on with short headers.
    lead = np.zeros(flows.count, np.int64)
    leads = opening & (chosen == flows.first[flows.index[chosen]])
    lead[flows.index[chosen[leads]]] = first_byte[leads]
    asked = fields.dport[flows.first[flows.index[chosen]]] == 443
    started = lead[flows.index[chosen]] >= 128
    begun = started | ((lead[flows.index[chosen]] > 0) & (opens - packets.ts[0] > NANOSECONDS))
    long = first_byte >= 128
    # Version Negotiation, a server's first answer, may have any bits but the first (RFC 9000 §17.2.1).
    for k in np.flatnonzero(((first_byte & 0x40) == 0) & ~(opening & long & ~flows.up[chosen])):
        mark(marks, int(chosen[k]), QUIC_FIXED_BIT, int(first_byte[k]), 0)
    for k in np.flatnonzero(opening & ~long & begun & asked):
        mark(marks, int(chosen[k]), QUIC_START, int(first_byte[k]), 0)
    small = opening & long & asked & (fields.dport[chosen] == 443) & (fields.payload[chosen] < QUIC_DATAGRAM)
    for k in np.flatnonzero(small & started):
        mark(marks, int(chosen[k]), QUIC_INITIAL, int(fields.payload[chosen[k]]), QUIC_DATAGRAM)
    for k in np.flatnonzero(long & started & (packets.ts[chosen] - opens > QUIC_HANDSHAKE)):
        mark(marks, int(chosen[k]), QUIC_LATE, int(first_byte[k]), 0)


def _judge_dns(trace: Trace, chosen: Index, marks: Marks) -> None:
    """Judge DNS on UDP port 53 by its header: the direction of questions and answers, the reserved bit."""
    packets, fields = trace.packets, trace.packets.fields
    place, have = datagram_start(trace)
    chosen = chosen[have[chosen] >= 4]
    if len(chosen) == 0:
        return
    flags = (packets.data[place[chosen] + 2].astype(np.int64) << 8) | packets.data[place[chosen] + 3]
    answer = (flags & 0x8000) != 0
    told = fields.sport[chosen] == 53
    asked = fields.dport[chosen] == 53
    wrong = (answer & ~told) | (~answer & ~asked) | ((flags >> 11 & 15) > 6) | ((flags & 0x40) != 0)
    wrong |= fields.payload[chosen] < 12
    for k in np.flatnonzero(wrong):
        mark(marks, int(chosen[k]), DNS, int(flags[k]), 0)


def _judge_media(trace: Trace, chosen: Index, marks: Marks) -> None:
    """Judge what shares a port with RTP by its first bytes (RFC 7983 §7)."""
    if len(chosen) == 0:
        return
    packets, fields = trace.packets, trace.packets.fields
    place, have = datagram_start(trace)
    # Bytes beyond the captured ones read as 0 and are looked at only where ``enough`` says so.
    reach = np.minimum(place[chosen, None] + np.arange(8), len(packets.data) - 1)
    words = packets.data[reach].astype(np.int64)
    kind, payload = words[:, 0], fields.payload[chosen].astype(np.int64)
    enough = have[chosen] >= 8
    rtp, stun, dtls = (kind >= 128) & (kind < 192), kind < 4, (kind >= 20) & (kind < 64)
    short = np.where((words[:, 1] >= 192) & (words[:, 1] <= 223), payload < 8, payload < 12)
    channel = (kind >= 64) & (kind < 80)
    rtcp = rtp & (words[:, 1] >= 192) & (words[:, 1] <= 223)
    overlong = rtcp & (4 * ((words[:, 2] << 8 | words[:, 3]) + 1) > payload)
    # From 32 on it's DTLS 1.3's short header, without a version (RFC 9147 §4.1).
    version = (kind < 32) & (words[:, 1] != 254) & (have[chosen] >= 2)
    wrong = ~(rtp | stun | dtls | channel) | (rtp & short) | (enough & overlong) | (dtls & version)
    for k in np.flatnonzero(wrong):
        mark(marks, int(chosen[k]), MEDIA_START, int(kind[k]), 0)
    length = (words[:, 2] << 8) | words[:, 3]
    cookie = (words[:, 4:8] == MAGIC_COOKIE).all(axis=1)
    for k in np.flatnonzero(stun & enough & (~cookie | (length + 20 != payload) | (length % 4 != 0))):
        mark(marks, int(chosen[k]), STUN, int(length[k]), 0)


def _judge_tls(trace: Trace, marks: Marks) -> int:
    """Judge the first data each way of TCP flows on port 443 that open with a SYN (RFC 8446 §5.1)."""
    packets, fields, flows = trace.packets, trace.packets.fields, trace.flows
    place = packets.offsets[:-1] + fields.ip_header + fields.l4_header
    have = np.minimum(packets.offsets[1:] - place, fields.payload)
    tls = (fields.skip == SKIP_NONE) & (fields.protocol == TCP) & ((fields.sport == 443) | (fields.dport == 443))
    chosen = np.flatnonzero(tls & (fields.payload > 0) & ((fields.flags & SYN) == 0))
    greeted = np.zeros(flows.count, np.bool_)
    greeted[flows.index[tls & ((fields.flags & SYN) != 0)]] = True
    way = 2 * flows.index[chosen].astype(np.int64) + ~flows.up[chosen]
    chosen = chosen[np.unique(way, return_index=True)[1]]
    chosen = chosen[greeted[flows.index[chosen]] & (have[chosen] > 0) & (marks.mask[chosen] == 0)]
    for packet in chosen:
        start = packets.data[place[packet] : place[packet] + have[packet]]
        # Handshake or alert record, then version 3.x.
        if start[0] not in (21, 22) or (len(start) > 1 and start[1] != 3) or (len(start) > 2 and start[2] > 4):
            mark(marks, int(packet), TLS_START, int(start[0]), 0)
    return len(chosen)
