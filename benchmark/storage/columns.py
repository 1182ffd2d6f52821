"""The columns that header fields are kept in, and the shapes of TCP options that they have room for."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

# Name and width in bits of each column, in the order in which a packet's fields are predicted.
COLUMNS: tuple[tuple[str, int], ...] = (
    ("kind", 8),  # KIND_RAW, KIND_TCP or KIND_UDP
    ("flow", 32),  # number of the flow in its trace, by first packet; 0 for raw packets
    ("forward", 8),  # 1 where sent by the sender of the flow's first packet
    ("length", 32),  # IP total length (of raw packets too, two's complement)
    ("tos", 8),
    ("identification", 16),
    ("fragment", 16),
    ("ttl", 8),
    ("ip_checksum", 16),  # minus the true checksum
    ("source", 32),
    ("destination", 32),
    ("sport", 16),
    ("dport", 16),
    ("layout", 8),  # which options (TCP) or payload start (UDP) the columns below hold: LAYOUT_
    ("seq", 32),
    ("ack", 32),
    ("flags", 16),  # with the four reserved bits above them
    ("tcp_window", 16),
    ("ts_value", 32),
    ("ts_echo", 32),
    ("sack_0", 32),  # edges of SACK blocks: left, right, left, ...
    ("sack_1", 32),
    ("sack_2", 32),
    ("sack_3", 32),
    ("sack_4", 32),
    ("sack_5", 32),
    ("sack_6", 32),
    ("sack_7", 32),
    ("l4_checksum", 16),  # minus the checksum by the convention of ``benchmark.checksum``
    ("rtp_head", 16),  # RFC 3550: version to payload type; also the head of an RTCP packet
    ("rtp_seq", 16),
    ("rtp_time", 32),
    ("rtp_source", 32),
    ("rtp_next", 32),  # what follows the 12 bytes of fixed header
)
WIDTHS = np.array([bits for _, bits in COLUMNS], np.int64)

(KIND, FLOW, FORWARD, LENGTH, TOS, IDENTIFICATION, FRAGMENT, TTL, IP_CHECKSUM) = range(9)
(SOURCE, DESTINATION, SPORT, DPORT, LAYOUT, SEQ, ACK, FLAGS, WINDOW, TS_VALUE, TS_ECHO) = range(9, 20)
SACK, L4_CHECKSUM, RTP = 20, 28, 29

KIND_RAW, KIND_TCP, KIND_UDP = range(3)
# TCP: no options; NOP NOP timestamps and up to 3 SACK blocks; NOP NOP and 1 to 4 SACK blocks; any other
# words, kept as bytes. UDP: nothing; the first 16 bytes of RTP or RTCP.
LAYOUT_NONE, LAYOUT_TIMESTAMPS, LAYOUT_SACK, LAYOUT_VERBATIM, LAYOUT_RTP = 0, 1, 5, 16, 1


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def sack_blocks(layout: Any) -> Any:
    """Count the SACK blocks of a TCP layout."""
    if layout >= LAYOUT_VERBATIM or layout == LAYOUT_NONE:
        return 0
    return layout - LAYOUT_TIMESTAMPS if layout < LAYOUT_SACK else layout - LAYOUT_SACK + 1


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def option_bytes(layout: Any) -> Any:
    """Count the option bytes of a TCP layout."""
    if layout >= LAYOUT_VERBATIM:
        return 4 * (layout - LAYOUT_VERBATIM)
    blocks = sack_blocks(layout)
    size = 4 + 8 * blocks if blocks > 0 else 0
    return size + 12 if LAYOUT_TIMESTAMPS <= layout < LAYOUT_SACK else size
