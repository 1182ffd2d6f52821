"""Captured frames, and where in each the IP packet lies. Link types: https://www.tcpdump.org/linktypes.html."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from benchmark.capture.gather import gather
from benchmark.trace import Packets

NULL, ETHERNET, RAW_BSD, RAW_OPENBSD, RAW, LOOP, LINUX_SLL = 0, 1, 12, 14, 101, 108, 113
IPV4, IPV6, LINUX_SLL2 = 228, 229, 276
READABLE_LINKS = (NULL, ETHERNET, RAW_BSD, RAW_OPENBSD, RAW, LOOP, LINUX_SLL, IPV4, IPV6, LINUX_SLL2)
_FOREIGN_LINKS = {
    6: "token ring",
    9: "PPP",
    10: "FDDI",
    50: "PPP in HDLC-like framing",
    51: "PPPoE",
    104: "Cisco HDLC",
    105: "IEEE 802.11",
    107: "frame relay",
    117: "OpenBSD pflog",
    119: "IEEE 802.11 with Prism header",
    122: "IP over Fibre Channel",
    127: "IEEE 802.11 with radiotap header",
    143: "DOCSIS",
    187: "Bluetooth HCI",
    189: "USB, Linux",
    192: "PPI",
    195: "IEEE 802.15.4",
    201: "Bluetooth HCI with direction",
    220: "USB, Linux, padded",
    227: "CAN",
    240: "netANALYZER",
    249: "USBPcap",
    251: "Bluetooth Low Energy",
    253: "netlink",
}

# libpcap's limit on a captured packet (MAXIMUM_SNAPLEN): a longer record is corrupt.
MAXIMUM_CAPTURED = 262_144
MAXIMUM_WIRE = 0x7FFF_FFFF


def describe_link(link: int) -> str:
    """Say why a link type can't be read, naming it."""
    known = _FOREIGN_LINKS.get(link, "unknown to this reader")
    readable = ", ".join(str(number) for number in READABLE_LINKS)
    return f"foreign link type {link} ({known}); readable are {readable}"


@dataclass(frozen=True, eq=False)
class Frames:
    """Consecutive frames of a capture, all of one link type.

    ts: int64 [n], nanoseconds since the epoch. wire: int32 [n], bytes of the frame as sent.
    data: uint8, the captured bytes of all frames; frame i is ``data[offsets[i]:offsets[i + 1]]``.
    offsets: int64 [n + 1]. link: LINKTYPE_ number.
    ip: int64 [n], position of the IP header within the frame, or -1 where the frame carries no IP.
    """

    ts: NDArray[np.int64]
    wire: NDArray[np.int32]
    data: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    link: int
    ip: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ts)


@dataclass(frozen=True, eq=False)
class Records:
    """Frames where they lie in a read buffer; they hold only until the next are asked for.

    start, size: int64 [n], record i's bytes are ``buffer[start[i]:start[i] + size[i]]``.
    ts: int64 [n] ns since the epoch. wire: int32 [n]. link: int32 [n]. ip: int64 [n] as in Frames.
    """

    buffer: NDArray[np.uint8]
    start: NDArray[np.int64]
    size: NDArray[np.int64]
    ts: NDArray[np.int64]
    wire: NDArray[np.int32]
    link: NDArray[np.int32]
    ip: NDArray[np.int64]

    def frames(self) -> Iterator[Frames]:
        """Yield the records as Frames, one for each run of equal link types."""
        edges = np.flatnonzero(np.diff(self.link)) + 1
        for low, high in zip([0, *edges], [*edges, len(self.ts)], strict=True):
            run = slice(low, high)
            data, offsets = gather(self.buffer, self.start[run], self.size[run])
            yield Frames(
                self.ts[run].copy(),
                self.wire[run].copy(),
                data,
                offsets,
                int(self.link[low]),
                self.ip[run].copy(),
            )

    def packets(self, snaplen: int | None = None) -> Packets:
        """Return the IP packets, of each at most ``snaplen`` bytes; ts stays nanoseconds since the epoch."""
        chosen = self.ip >= 0
        start = (self.start + self.ip)[chosen]
        size = (self.size - self.ip)[chosen]
        sent = (self.wire - self.ip)[chosen]
        length = np.empty(len(start), np.int32)
        _lengths(self.buffer, start, size, sent, length)
        # Ethernet pads short frames: what lies beyond the IP length isn't the packet's.
        kept = np.minimum(size, length if snaplen is None else np.minimum(length, snaplen))
        data, offsets = gather(self.buffer, start, kept)
        link = int(self.link[0]) if len(self.link) else RAW
        return Packets(self.ts[chosen], length, data, offsets, link)


def locate_ip(
    buffer: NDArray[np.uint8], start: NDArray[np.int64], size: NDArray[np.int64], link: NDArray[np.int32]
) -> NDArray[np.int64]:
    """Find the IP header in every frame, int64 [n]: its position within the frame, -1 where there is none.

    VLAN tags (802.1Q, 802.1ad) and PPPoE sessions (RFC 2516) are walked through; tunnels aren't entered.
    """
    ip = np.empty(len(start), np.int64)
    _locate(buffer, start, size, link, ip)
    return ip


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _word(buffer: Any, at: Any) -> Any:
    return (np.int64(buffer[at]) << 8) | np.int64(buffer[at + 1])


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _after_ethertype(buffer: Any, at: Any, end: Any, ethertype: Any) -> Any:
    """Follow an EtherType to IP; return (position, version expected), position -1 where it isn't IP."""
    while ethertype in (0x8100, 0x88A8, 0x9100) and at + 4 <= end:
        ethertype = _word(buffer, at + 2)
        at += 4
    if ethertype == 0x8864 and at + 8 <= end and buffer[at] == 0x11 and buffer[at + 1] == 0:
        protocol = _word(buffer, at + 6)
        at += 8
        if protocol == 0x0021:
            return at, 4
        if protocol == 0x0057:
            return at, 6
        return -1, 0
    if ethertype == 0x0800:
        return at, 4
    if ethertype == 0x86DD:
        return at, 6
    return -1, 0


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _locate(buffer: Any, start: Any, size: Any, link: Any, ip: Any) -> None:
    for i in range(len(start)):
        begin = start[i]
        end = begin + size[i]
        kind = link[i]
        at = -1
        version = 0
        ip[i] = -1
        if kind == ETHERNET:
            if end - begin >= 14:
                at, version = _after_ethertype(buffer, begin + 14, end, _word(buffer, begin + 12))
        elif kind == LINUX_SLL:
            if end - begin >= 16:
                at, version = _after_ethertype(buffer, begin + 16, end, _word(buffer, begin + 14))
        elif kind == LINUX_SLL2:
            if end - begin >= 20:
                at, version = _after_ethertype(buffer, begin + 20, end, _word(buffer, begin))
        elif kind in (NULL, LOOP):
            if end - begin >= 4:
                # The family is in the capturing host's order, and its IPv6 number is that host's.
                family = max(_word(buffer, begin), _word(buffer, begin + 2))
                if family > 255:
                    family >>= 8
                if family == 2:
                    at, version = begin + 4, 4
                elif family in (10, 24, 28, 30):
                    at, version = begin + 4, 6
        elif end > begin:
            at = begin
            version = int(buffer[begin] >> 4)
            if (kind == IPV4 and version != 4) or (kind == IPV6 and version != 6):
                at = -1
        if at >= 0 and at < end and version in (4, 6) and np.int64(buffer[at] >> 4) == version:
            ip[i] = at - begin


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _lengths(buffer: Any, start: Any, size: Any, sent: Any, length: Any) -> None:
    """IP total length of every packet; ``sent`` is what the frame carried from the IP header on.

    The header is the truth, as it is for the kernel program, which sees no capture's length field. It says 0
    where the sender left segmentation to its card (and in jumbograms): then the frame's length counts.
    """
    for i in range(len(start)):
        at = start[i]
        length[i] = max(sent[i], size[i])
        if buffer[at] >> 4 == 4:
            if size[i] >= 4 and _word(buffer, at + 2):
                length[i] = _word(buffer, at + 2)
        elif size[i] >= 7:
            payload = _word(buffer, at + 4)
            # Next header 59 is "none" (RFC 8200 §4.7): a payload of zero bytes is then meant.
            if payload or buffer[at + 6] == 59:
                length[i] = 40 + payload
