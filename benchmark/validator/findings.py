"""What the validator can find: the rules, as data, and the findings of one trace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

LEVELS = (0, 1, 2, 3, 4)


@dataclass(frozen=True)
class Rule:
    """One thing that legal traffic doesn't do.

    level: the rung of the ladder, 0 to 4. meaning: what is wrong, "found" and "wanted" standing for the two
    values that a finding carries. source: the document that forbids it.
    """

    name: str
    level: int
    meaning: str
    source: str


# The position of a rule is its number, the bit that it sets in ``Findings.mask``; lower levels come first.
RULES = (
    Rule("ip_version", 0, "not IPv4 or IPv6: version {found}", "RFC 791 §3.1, RFC 8200 §3"),
    Rule("ip_header", 0, "IP header of {found} bytes where {wanted} can be read", "RFC 791 §3.1"),
    Rule("l4_header", 0, "layer 4 header of {found} bytes where {wanted} can be read", "RFC 9293 §3.1, RFC 768"),
    Rule("ip_length", 1, "IP length {found} where {wanted} was due", "RFC 791 §3.1, RFC 8200 §3"),
    Rule("ip_checksum", 1, "IPv4 header checksum {found:#06x} where {wanted:#06x} was due", "RFC 1071"),
    Rule("ip_fragment", 1, "flags and fragment word {found:#06x} contradicts itself", "RFC 791 §3.1, RFC 3514"),
    Rule("ip_options", 1, "IPv4 option of kind {found} doesn't fit its {wanted} bytes", "RFC 791 §3.1"),
    Rule("ttl_zero", 1, "TTL or hop limit 0", "RFC 1122 §3.2.1.7, RFC 8200 §3"),
    Rule(
        "martian",
        1,
        "address that can't stand there (first byte {found})",
        "RFC 1122 §3.2.1.3, RFC 4291 §2.5",
    ),
    Rule("port_zero", 1, "port 0", "RFC 6335 §6"),
    Rule("udp_length", 1, "UDP length {found} in an IP payload of {wanted}", "RFC 768"),
    Rule("tcp_offset", 1, "TCP data offset of {found} bytes, legal is 20 to {wanted}", "RFC 9293 §3.1"),
    Rule("tcp_reserved", 1, "reserved TCP bits {found:#x} set", "RFC 9293 §3.1"),
    Rule("tcp_flags", 1, "TCP flags {found:#04x} don't go together", "RFC 9293 §3.10.7"),
    Rule("tcp_urgent", 1, "urgent pointer {found} against the URG flag", "RFC 9293 §3.8.5"),
    Rule("tcp_options", 1, "TCP option of kind {found} is malformed, {wanted} bytes left", "RFC 9293 §3.2"),
    Rule("tcp_option_place", 1, "TCP option of kind {found} outside a SYN", "RFC 9293 §3.7.1, RFC 7323 §2.2"),
    Rule(
        "l4_checksum",
        1,
        "layer 4 checksum {found:#06x} where {wanted:#06x} was due",
        "RFC 9293 §3.1, RFC 768",
    ),
    Rule("time_back", 2, "captured {found} ns before the packet ahead of it", "the order of a capture"),
    Rule("ttl_change", 2, "TTL {found} in a direction that has {wanted}", "one path a direction"),
    Rule("fragment_alone", 2, "fragment of datagram {found} without its fellows", "RFC 791 §3.2"),
    Rule("no_handshake", 2, "flow opens without SYN, {found} ms into the trace", "RFC 9293 §3.5"),
    Rule("handshake_order", 2, "not SYN, SYN-ACK, ACK: flags {found:#04x}", "RFC 9293 §3.5"),
    Rule("handshake_number", 2, "handshake acknowledges {found} where {wanted} was due", "RFC 9293 §3.5"),
    Rule("syn_again", 2, "SYN with number {found} in an open connection", "RFC 9293 §3.10.7.4"),
    Rule(
        "option_unoffered",
        2,
        "TCP option of kind {found} that the handshake didn't agree on",
        "RFC 7323, RFC 2018",
    ),
    Rule("seq_window", 2, "sequence ends at {found}, the window at {wanted}", "RFC 9293 §3.4"),
    Rule("seq_gap", 2, "sequence leaps to {found} from {wanted}; what lies between never came", "RFC 9293 §3.4"),
    Rule("seq_overlap", 2, "new data from {found} where {wanted} was next", "RFC 9293 §3.4"),
    Rule(
        "seq_inside",
        2,
        "acknowledgement numbered {found}, inside sent data; next is {wanted}",
        "RFC 9293 §3.4",
    ),
    Rule("ack_unseen", 2, "acknowledges {found}, data was seen up to {wanted}", "RFC 9293 §3.10.7.4"),
    Rule("ack_inside", 2, "acknowledges {found}, the inside of a segment", "RFC 9293 §3.10.7.4"),
    Rule("ack_back", 2, "acknowledges {found}, its neighbours {wanted}", "RFC 9293 §3.4"),
    Rule("sack", 2, "SACK block ends at {found}, data was seen up to {wanted}", "RFC 2018 §4"),
    Rule("ts_back", 2, "timestamp {found} out of the clock's order, {wanted} is near", "RFC 7323 §5"),
    Rule(
        "ts_echo",
        2,
        "echoes timestamp {found}, unseen or older than the last; newest is {wanted}",
        "RFC 7323 §4",
    ),
    Rule("ts_missing", 2, "no timestamp option in a connection that has it", "RFC 7323 §3.2"),
    Rule("ecn", 2, "ECN bits {found:#x} where the handshake didn't agree on ECN", "RFC 3168 §6.1"),
    Rule("after_fin", 2, "FIN at {found}, yet its sender goes on", "RFC 9293 §3.6"),
    Rule("after_rst", 2, "RST, yet its sender goes on", "RFC 9293 §3.5.3"),
    Rule("udp_unasked", 2, "server port {found} opens the flow", "RFC 9000 §7, RFC 1035 §4"),
    Rule("rtp_sequence", 2, "RTP sequence {found} where {wanted} was next", "RFC 3550 §A.1"),
    Rule("tshark", 3, "tshark reports an error or a malformed packet", "Wireshark"),
    Rule("tls_start", 4, "port 443 opens with byte {found:#04x}, no TLS record", "RFC 8446 §5.1"),
    Rule("quic_fixed_bit", 4, "QUIC first byte {found:#04x} lacks the fixed bit", "RFC 9000 §17"),
    Rule("quic_start", 4, "QUIC opens with short header {found:#04x}", "RFC 9000 §17.2"),
    Rule(
        "quic_initial",
        4,
        "first QUIC datagram has {found} bytes, at least {wanted} are due",
        "RFC 9000 §14.1",
    ),
    Rule("quic_late", 4, "QUIC long header {found:#04x} long after the handshake", "RFC 9001 §4.9"),
    Rule(
        "media_start",
        4,
        "first byte {found:#04x} is no RTP, RTCP, STUN or DTLS",
        "RFC 7983 §7, RFC 3550 §5.1",
    ),
    Rule("stun", 4, "STUN header contradicts itself ({found})", "RFC 8489 §5"),
    Rule("dns", 4, "DNS header contradicts its port or its length (flags {found:#06x})", "RFC 1035 §4.1.1"),
)

(
    IP_VERSION, IP_HEADER, L4_HEADER,
    IP_LENGTH, IP_CHECKSUM, IP_FRAGMENT, IP_OPTIONS, TTL_ZERO, MARTIAN, PORT_ZERO, UDP_LENGTH, TCP_OFFSET,
    TCP_RESERVED, TCP_FLAGS, TCP_URGENT, TCP_OPTIONS, TCP_OPTION_PLACE, L4_CHECKSUM,
    TIME_BACK, TTL_CHANGE, FRAGMENT_ALONE, NO_HANDSHAKE, HANDSHAKE_ORDER, HANDSHAKE_NUMBER, SYN_AGAIN,
    OPTION_UNOFFERED, SEQ_WINDOW, SEQ_GAP, SEQ_OVERLAP, SEQ_INSIDE, ACK_UNSEEN, ACK_INSIDE, ACK_BACK, SACK,
    TS_BACK, TS_ECHO, TS_MISSING, ECN, AFTER_FIN, AFTER_RST, UDP_UNASKED, RTP_SEQUENCE,
    TSHARK,
    TLS_START, QUIC_FIXED_BIT, QUIC_START, QUIC_INITIAL, QUIC_LATE, MEDIA_START, STUN, DNS,
) = range(len(RULES))  # fmt: skip

_LEVEL = np.array([rule.level for rule in RULES], np.uint8)


class Marks(NamedTuple):
    """Where the levels write: one row a packet.

    mask: int64 [n], bit r is set where rule r was broken. found, wanted: int64 [n], the values of the
    packet's first finding.
    """

    mask: NDArray[np.int64]
    found: NDArray[np.int64]
    wanted: NDArray[np.int64]


def blank_marks(count: int) -> Marks:
    """Marks of ``count`` packets about which nothing was found."""
    return Marks(np.zeros(count, np.int64), np.zeros(count, np.int64), np.zeros(count, np.int64))


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def mark(marks: Any, packet: int, rule: int, found: int, wanted: int) -> None:
    """Note that ``packet`` breaks ``rule``; the values are kept if it's the packet's first finding."""
    if marks.mask[packet] == 0:
        marks.found[packet] = found
        marks.wanted[packet] = wanted
    marks.mask[packet] |= np.int64(1) << rule


@dataclass(frozen=True, eq=False)
class Findings:
    """All findings of one trace.

    marks: see ``Marks``. judged: bool [5], whether a level could be judged at all; reasons says why not.
    unfinished: int64, TCP flows that end without FIN or RST. A capture that stops in mid-connection has them
    too, so they are listed but count against no packet.
    """

    marks: Marks
    judged: tuple[bool, bool, bool, bool, bool]
    reasons: tuple[str, str, str, str, str]
    unfinished: NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of packets looked at."""
        return len(self.marks.mask)

    def table(self) -> tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.int64]]:
        """Return (packet, level, rule) of every finding, by packet and then by rule."""
        faulty = np.flatnonzero(self.marks.mask)
        bits = (self.marks.mask[faulty, None] >> np.arange(len(RULES))) & 1
        row, rule = np.nonzero(bits)
        return faulty[row], _LEVEL[rule], rule.astype(np.int64)

    def legal(self, level: int) -> NDArray[np.bool_]:
        """Tell which packets, bool [n], have no finding at ``level`` or any level below.

        Level 4 leaves level 3 out, so that it doesn't depend on what is installed.
        """
        levels = (0, 1, 2, 4) if level == 4 else LEVELS[: level + 1]
        bits = sum(1 << number for number, rule in enumerate(RULES) if rule.level in levels)
        return np.asarray((self.marks.mask & np.int64(bits)) == 0)

    def share(self, level: int) -> float:
        """Share of packets that ``legal`` tells; 0 for a trace without packets, which can't be praised."""
        return float(self.legal(level).mean()) if len(self) else 0.0

    def counts(self) -> dict[str, int]:
        """Packets that break each rule, by the rule's name; only rules that were broken."""
        _, _, rule = self.table()
        numbers, counts = np.unique(rule, return_counts=True)
        return {RULES[number].name: int(count) for number, count in zip(numbers, counts, strict=True)}
