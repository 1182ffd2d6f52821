"""Columns of an nPrint matrix: which protocols it shows, in the real tool's order and with its names.

Source: Holland et al., "New Directions in Automated Traffic Analysis", CCS 2021; nprint 1.2.1's output.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from benchmark.errors import ConfigError, nearest

# Bytes that each block shows. IPv4 and TCP have room for all options that their length fields allow.
ETH_BYTES, IPV4_BYTES, IPV6_BYTES, TCP_BYTES, UDP_BYTES, ICMP_BYTES = 14, 60, 40, 60, 8, 8
MAX_PAYLOAD = 65_535

_FIELDS: dict[str, tuple[tuple[str, int], ...]] = {
    "eth": (("eth_dhost", 48), ("eth_shost", 48), ("eth_ethertype", 16)),
    "ipv4": (
        ("ipv4_ver", 4),
        ("ipv4_hl", 4),
        ("ipv4_tos", 8),
        ("ipv4_tl", 16),
        ("ipv4_id", 16),
        ("ipv4_rbit", 1),
        ("ipv4_dfbit", 1),
        ("ipv4_mfbit", 1),
        ("ipv4_foff", 13),
        ("ipv4_ttl", 8),
        ("ipv4_proto", 8),
        ("ipv4_cksum", 16),
        ("ipv4_src", 32),
        ("ipv4_dst", 32),
        ("ipv4_opt", 320),
    ),
    "ipv6": (
        ("ipv6_ver", 4),
        ("ipv6_tc", 8),
        ("ipv6_fl", 20),
        ("ipv6_len", 16),
        ("ipv6_nh", 8),
        ("ipv6_hl", 8),
        ("ipv6_src", 128),
        ("ipv6_dst", 128),
    ),
    "tcp": (
        ("tcp_sprt", 16),
        ("tcp_dprt", 16),
        ("tcp_seq", 32),
        ("tcp_ackn", 32),
        ("tcp_doff", 4),
        ("tcp_res", 3),
        ("tcp_ns", 1),
        ("tcp_cwr", 1),
        ("tcp_ece", 1),
        ("tcp_urg", 1),
        ("tcp_ackf", 1),
        ("tcp_psh", 1),
        ("tcp_rst", 1),
        ("tcp_syn", 1),
        ("tcp_fin", 1),
        ("tcp_wsize", 16),
        ("tcp_cksum", 16),
        ("tcp_urp", 16),
        ("tcp_opt", 320),
    ),
    "udp": (("udp_sport", 16), ("udp_dport", 16), ("udp_len", 16), ("udp_cksum", 16)),
    "icmp": (("icmp_type", 8), ("icmp_code", 8), ("icmp_cksum", 16), ("icmp_roh", 32)),
}

_SWITCHES = {
    "-e": "eth",
    "--eth": "eth",
    "-4": "ipv4",
    "--ipv4": "ipv4",
    "-6": "ipv6",
    "--ipv6": "ipv6",
    "-t": "tcp",
    "--tcp": "tcp",
    "-u": "udp",
    "--udp": "udp",
    "-i": "icmp",
    "--icmp": "icmp",
}


@dataclass(frozen=True)
class Representation:
    """Which blocks a matrix has, always in the order eth, ipv4, ipv6, tcp, udp, icmp, payload.

    payload: bytes of layer 4 payload shown, 0 to 65,535. The default is the tool's ``-4 -t -u -i``.
    """

    eth: bool = False
    ipv4: bool = True
    ipv6: bool = False
    tcp: bool = True
    udp: bool = True
    icmp: bool = True
    payload: int = 0

    def blocks(self) -> dict[str, tuple[int, int]]:
        """First byte column and bytes of each block shown; a matrix has eight columns for each byte."""
        sizes = {
            "eth": self.eth * ETH_BYTES,
            "ipv4": self.ipv4 * IPV4_BYTES,
            "ipv6": self.ipv6 * IPV6_BYTES,
            "tcp": self.tcp * TCP_BYTES,
            "udp": self.udp * UDP_BYTES,
            "icmp": self.icmp * ICMP_BYTES,
            "payload": self.payload,
        }
        places, at = {}, 0
        for name, size in sizes.items():
            if size:
                places[name] = (at, size)
                at += size
        return places

    @property
    def bytes(self) -> int:
        """Bytes that a row shows."""
        return sum(size for _, size in self.blocks().values())

    @property
    def columns(self) -> int:
        """Columns of a matrix: one a bit."""
        return 8 * self.bytes

    def arguments(self) -> list[str]:
        """The same choice as the real tool's arguments."""
        short = {name: switch for switch, name in _SWITCHES.items() if len(switch) == 2}
        switches = [short[name] for name in self.blocks() if name in short]
        return [*switches, "-p", str(self.payload)] if self.payload else switches


def parse_options(options: str) -> Representation:
    """Read the real tool's switches, such as ``"-4 -t -u -i -p 16"``; unknown ones raise ConfigError."""
    try:
        words = shlex.split(options)
    except ValueError as fault:
        raise ConfigError(f"nprint options {options!r}: {fault}") from fault
    chosen: set[str] = set()
    payload = 0
    while words:
        word = words.pop(0)
        if word in _SWITCHES:
            chosen.add(_SWITCHES[word])
            continue
        if word in ("-p", "--payload"):
            payload = _payload_bytes(words.pop(0) if words else "", options)
            continue
        for prefix in ("--payload=", "-p"):
            if word.startswith(prefix) and word[len(prefix) :].isdecimal():
                payload = _payload_bytes(word[len(prefix) :], options)
                break
        else:
            known = [*_SWITCHES, "-p", "--payload"]
            raise ConfigError(f"nprint options {options!r}: no option {word!r}{nearest(word, known)}")
    if not chosen and not payload:
        raise ConfigError(f"nprint options {options!r}: choose at least one of -e -4 -6 -t -u -i -p N")
    return Representation(
        "eth" in chosen,
        "ipv4" in chosen,
        "ipv6" in chosen,
        "tcp" in chosen,
        "udp" in chosen,
        "icmp" in chosen,
        payload,
    )


def _payload_bytes(word: str, options: str) -> int:
    if not (word.isascii() and word.isdecimal() and len(word) <= 6 and int(word) <= MAX_PAYLOAD):
        raise ConfigError(
            f"nprint options {options!r}: -p takes a number of bytes from 0 to {MAX_PAYLOAD}, not {word!r}"
        )
    return int(word)


def column_names(options: Representation) -> list[str]:
    """Names of all columns as the real tool prints them, such as ``ipv4_ttl_0``; bit 0 is the highest."""
    names = []
    for block, (_, size) in options.blocks().items():
        if block == "payload":
            names += [f"payload_bit_{bit}" for bit in range(8 * size)]
            continue
        names += [f"{field}_{bit}" for field, bits in _FIELDS[block] for bit in range(bits)]
    return names
