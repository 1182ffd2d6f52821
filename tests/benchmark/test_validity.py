"""Validity: known answers, packet by packet, and the metric family's rules."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Raw

from benchmark.metric import Evidence
from benchmark.metrics.validity import FAMILY, METRICS
from benchmark.trace import Condition, Labels, Packets, Trace
from benchmark.validator import RULES, check, first_violation

CLIENT, SERVER = "10.0.0.2", "93.184.216.34"
MILLISECOND = 1_000_000


def trace_of(packets: list[bytes], gap: int = 5 * MILLISECOND, application: str = "x") -> Trace:
    sizes = [len(one) for one in packets]
    lengths = [int.from_bytes(one[2:4], "big") if one[:1] and one[0] >> 4 == 4 else len(one) for one in packets]
    held = Packets(
        np.arange(len(packets), dtype=np.int64) * gap,
        np.array(lengths, np.int32),
        np.frombuffer(b"".join(packets), np.uint8).copy(),
        np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
    )
    return Trace("t", held, Condition(application, 60.0, 10.0, Labels.unknown(6)), f"{CLIENT}/32")


class Talk:
    """Packets of one TCP connection, written with scapy."""

    def __init__(self, sport: int = 50_000, isn: int = 1000, peer_isn: int = 0xFFFFFF00, stamps: bool = True) -> None:
        self.ports = (sport, 443)
        self.next = [isn, peer_isn]
        self.clock = 100
        self.heard = [0, 0]
        self.stamps = stamps

    def send(self, up: bool, flags: str, size: int = 0, **fields: object) -> bytes:
        me = 0 if up else 1
        self.clock += 5
        options: list[tuple[str, object]] = []
        if "S" in flags:
            options = [("MSS", 1460), ("WScale", 7), ("SAckOK", b"")]
        if self.stamps:
            options += [("Timestamp", (self.clock, self.heard[1 - me] if "A" in flags else 0))]
        header = {
            "seq": self.next[me],
            "ack": self.next[1 - me] if "A" in flags else 0,
            "options": options,
            **fields,
        }
        source, target = (CLIENT, SERVER) if up else (SERVER, CLIENT)
        sport, dport = self.ports if up else self.ports[::-1]
        ip = IP(src=source, dst=target, flags="DF", ttl=64 if up else 57)
        packet = ip / TCP(sport=sport, dport=dport, flags=flags, window=500, **header)
        if size:
            packet = packet / Raw(b"\x16\x03\x03" + bytes(size - 3) if size > 3 else bytes(size))
        self.heard[me] = self.clock
        self.next[me] = (self.next[me] + size + sum(one in flags for one in "SF")) % (1 << 32)
        return bytes(packet)

    def opening(self) -> list[bytes]:
        return [self.send(True, "S"), self.send(False, "SA"), self.send(True, "A")]


def connection(**options: object) -> list[bytes]:
    """A legal connection: handshake, request, data across the wrap of the sequence number, end."""
    talk = Talk(**options)
    packets = [*talk.opening(), talk.send(True, "PA", 300)]
    for _ in range(5):
        packets += [talk.send(False, "A", 1000), talk.send(False, "PA", 700), talk.send(True, "A")]
    return [*packets, talk.send(True, "FA"), talk.send(False, "FA"), talk.send(True, "A")]


def rules(trace: Trace) -> dict[str, list[int]]:
    packet, _, rule = check(trace, with_tshark=False).table()
    found: dict[str, list[int]] = {}
    for number, where in zip(rule, packet, strict=True):
        found.setdefault(RULES[number].name, []).append(int(where))
    return found


def test_legal_connections_have_no_finding() -> None:
    assert rules(trace_of(connection())) == {}
    assert rules(trace_of(connection(stamps=False))) == {}
    whole = check(trace_of(connection()), with_tshark=False)
    assert [whole.share(level) for level in range(5)] == [1.0] * 5
    assert len(whole.unfinished) == 0
    assert first_violation(trace_of(connection()), whole) == ""


def test_a_trace_that_stops_early_is_unfinished_but_legal() -> None:
    findings = check(trace_of(connection()[:-3]), with_tshark=False)
    assert findings.unfinished.tolist() == [0]
    assert findings.share(2) == 1.0


def test_a_capture_may_begin_in_mid_connection_but_a_flow_may_not() -> None:
    assert rules(trace_of(connection()[5:])) == {}
    middle = connection(sport=50_001)[5:]
    late = trace_of([*connection(), *middle], gap=100 * MILLISECOND)
    assert rules(late) == {"no_handshake": [len(connection())]}


def test_loss_before_the_capture_resending_and_reordering_are_legal() -> None:
    talk = Talk(stamps=False)
    packets = [*talk.opening(), talk.send(True, "PA", 300)]
    data = [talk.send(False, "A", 1000) for _ in range(6)]
    lost = data[2]
    late = [*packets, data[0], data[1], data[3], data[4], lost, data[5], talk.send(True, "A"), data[4]]
    assert rules(trace_of(late)) == {}
    swapped = [*packets, data[1], data[0], *data[2:], talk.send(True, "A")]
    assert rules(trace_of(swapped)) == {}


def test_keep_alive_and_window_probe_are_legal() -> None:
    talk = Talk(stamps=False)
    packets = [*talk.opening(), talk.send(True, "PA", 300), talk.send(False, "A", 100), talk.send(True, "A")]
    probe = talk.send(False, "A", seq=(talk.next[1] - 1) % (1 << 32))
    assert rules(trace_of([*packets, probe, talk.send(True, "A")])) == {}


def test_data_that_never_came_is_blamed_on_the_leap() -> None:
    talk = Talk(stamps=False)
    kept = [*talk.opening(), talk.send(True, "PA", 300), talk.send(False, "A", 1000)]
    talk.send(False, "A", 1000)
    kept += [talk.send(False, "A", 1000), talk.send(True, "A")]
    assert rules(trace_of(kept)) == {"seq_gap": [5]}


@pytest.mark.parametrize(
    ("number", "fields", "rule"),
    [
        (6, {"seq": 5000}, "seq_gap"),
        (6, {"ack": 777}, "ack_inside"),
        (9, {"ack": 0xFFFFFF01}, "ack_back"),
        (6, {"ack": 20_000}, "ack_unseen"),
        (6, {"seq": 1 << 30}, "seq_window"),
        (6, {"options": []}, "ts_missing"),
        (6, {"options": [("Timestamp", (50, 126))]}, "ts_back"),
        (6, {"options": [("Timestamp", (1 << 28, 126))]}, "ts_back"),
        (6, {"options": [("Timestamp", (145, 1 << 25))]}, "ts_echo"),
        (6, {"flags": "SA"}, "syn_again"),
        (6, {"flags": "FA"}, "after_fin"),
        (6, {"flags": "RA"}, "after_rst"),
        (6, {"flags": "A", "reserved": 1}, "tcp_reserved"),
        (6, {"flags": "AE"}, "ecn"),
        (6, {"flags": "SF"}, "tcp_flags"),
        (6, {"flags": 0}, "tcp_flags"),
        (6, {"urgptr": 9}, "tcp_urgent"),
        (6, {"sport": 0}, "port_zero"),
        (6, {"chksum": 1}, "l4_checksum"),
        (6, {"dataofs": 4}, "tcp_offset"),
        (1, {"ack": 77}, "handshake_number"),
        (2, {"ack": 77}, "handshake_number"),
        (6, {"options": [("MSS", 1400)]}, "tcp_option_place"),
        (6, {"options": [("SAck", (900_000, 901_000)), ("Timestamp", (145, 140))]}, "sack"),
    ],
)
def test_one_wrong_tcp_field_is_found_where_it_stands(number: int, fields: dict[str, object], rule: str) -> None:
    packets = connection()
    wrong = IP(packets[number])
    for name, value in fields.items():
        setattr(wrong[TCP], name, value)
    del wrong[IP].len, wrong[IP].chksum
    if "chksum" not in fields:
        del wrong[TCP].chksum
    if "options" in fields:
        del wrong[TCP].dataofs
    packets[number] = bytes(wrong)
    found = rules(trace_of(packets))
    assert number in found.get(rule, []), found


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"ttl": 0}, "ttl_zero"),
        ({"ttl": 99}, "ttl_change"),
        ({"src": "224.0.0.1"}, "martian"),
        ({"src": "0.1.2.3"}, "martian"),
        ({"dst": "255.255.255.255"}, "martian"),
        ({"flags": "DF+MF"}, "ip_fragment"),
        ({"flags": "evil"}, "ip_fragment"),
        ({"chksum": 5}, "ip_checksum"),
        ({"ihl": 4}, "ip_header"),
        ({"version": 5}, "ip_version"),
    ],
)
def test_one_wrong_ip_field_is_found_where_it_stands(fields: dict[str, object], rule: str) -> None:
    packets = connection()
    wrong = IP(packets[6])
    for name, value in fields.items():
        setattr(wrong, name, value)
    if "chksum" not in fields:
        del wrong.chksum
    del wrong[TCP].chksum
    packets[6] = bytes(wrong)
    assert 6 in rules(trace_of(packets)).get(rule, [])


def test_a_cut_payload_counts_as_zeros() -> None:
    zeros = bytes(IP(src=CLIENT, dst=SERVER) / UDP(sport=5000, dport=4000) / Raw(bytes(200)))
    assert rules(trace_of([zeros, zeros[:44], zeros[:28]])) == {}
    # The byte that was captured counts as zero too.
    assert rules(trace_of([zeros[:28] + b"\xc3"])) == {}
    full = bytes(IP(src=CLIENT, dst=SERVER) / UDP(sport=5000, dport=4000) / Raw(bytes(range(200))))
    assert rules(trace_of([full, full[:44]])) == {"l4_checksum": [1]}


def test_udp_and_ipv6() -> None:
    six = bytes(IPv6(src="2001:db8::1", dst="2001:db8::2") / UDP(sport=5000, dport=4000) / Raw(b"hello"))
    assert rules(trace_of([six])) == {}
    assert "l4_checksum" in rules(trace_of([six[:-1] + b"x"]))
    bare = bytearray(bytes(IP(src=CLIENT, dst=SERVER) / UDP(sport=5000, dport=4000, chksum=0) / Raw(b"hello")))
    assert rules(trace_of([bytes(bare)])) == {}
    bare[25] += 3
    assert rules(trace_of([bytes(bare)])) == {"udp_length": [0]}
    ping = bytes(IP(src=CLIENT, dst=SERVER) / ICMP() / Raw(b"abc"))
    assert rules(trace_of([ping, ping[:-1] + b"x"])) == {"l4_checksum": [1]}


def test_quic_on_udp_443_is_legal_and_opens_long() -> None:
    def datagram(up: bool, first: int, size: int = 1200) -> bytes:
        source, target = (CLIENT, SERVER) if up else (SERVER, CLIENT)
        ports = {"sport": 5000, "dport": 443} if up else {"sport": 443, "dport": 5000}
        return bytes(IP(src=source, dst=target) / UDP(**ports) / Raw(bytes([first]) + bytes(size - 1)))

    legal = [
        datagram(True, 0xC3),
        datagram(False, 0xC1),
        datagram(True, 0x41, 50),
        datagram(False, 0x5F, 900),
    ]
    assert rules(trace_of(legal)) == {}
    assert rules(trace_of([*legal, datagram(True, 0x01, 40)])) == {"quic_fixed_bit": [4]}
    assert rules(trace_of([legal[0], legal[3]])) == {"quic_start": [1]}
    assert rules(trace_of([datagram(True, 0xC3, 300), *legal[1:]])) == {"quic_initial": [0]}
    late = trace_of([*legal, datagram(True, 0xC3)], gap=4_000 * MILLISECOND)
    assert rules(late) == {"quic_late": [4]}


def test_rtp_goes_on_and_shares_its_port_with_stun() -> None:
    def media(number: int, version: int = 0x80) -> bytes:
        header = bytes([version, 96]) + (number % 65536).to_bytes(2, "big") + bytes(4) + b"\x01\x02\x03\x04"
        return bytes(IP(src=CLIENT, dst=SERVER) / UDP(sport=5000, dport=6000) / Raw(header + bytes(50)))

    stun = bytes(
        IP(src=CLIENT, dst=SERVER) / UDP(sport=5000, dport=6000) / Raw(b"\0\1\0\0\x21\x12\xa4\x42" + bytes(12))
    )
    numbers = [65_530 + k for k in range(20)]
    legal = [stun, *(media(number) for number in numbers)]
    assert rules(trace_of(legal)) == {}
    lossy = [media(number) for number in numbers if number % 7]
    assert rules(trace_of(lossy)) == {}
    assert rules(trace_of([*legal[:8], media(9000), *legal[8:]])) == {"rtp_sequence": [8]}
    assert rules(trace_of([*legal[:8], media(400), *legal[8:]])) == {"rtp_sequence": [8]}
    assert rules(trace_of([*legal, media(numbers[-1] + 1, 0x10)])) == {"media_start": [21]}
    assert rules(trace_of([stun[:-12] + b"x" * 12, *legal[1:]])) == {"l4_checksum": [0]}


def test_dns_questions_go_to_port_53() -> None:
    def query(sport: int, dport: int, flags: int) -> bytes:
        header = b"\x12\x34" + flags.to_bytes(2, "big") + b"\0\1\0\0\0\0\0\0"
        return bytes(IP(src=CLIENT, dst=SERVER) / UDP(sport=sport, dport=dport) / Raw(header + b"\1a\0\0\1\0\1"))

    assert rules(trace_of([query(5000, 53, 0x0100)])) == {}
    assert rules(trace_of([query(5000, 53, 0x8180)])) == {"dns": [0]}


def test_tls_opens_with_a_record() -> None:
    packets = connection()
    assert rules(trace_of(packets)) == {}
    wrong = IP(packets[3])
    wrong[Raw].load = b"GET " + wrong[Raw].load[4:]
    del wrong[TCP].chksum
    assert rules(trace_of([*packets[:3], bytes(wrong), *packets[4:]])) == {"tls_start": [3]}


def test_the_order_of_the_handshake() -> None:
    packets = connection()
    assert rules(trace_of(packets[1:])) == {"handshake_order": [0]}
    assert rules(trace_of([packets[0], *packets[2:]]))["handshake_order"] == [1]


def test_what_a_receiver_drops_excuses_its_neighbours() -> None:
    packets = connection()
    packets[5] = packets[5][:-1] + b"\xff"
    assert rules(trace_of(packets)) == {"l4_checksum": [5]}


def test_first_violation_names_packet_rule_and_values() -> None:
    packets = connection()
    wrong = IP(packets[6])
    wrong.ttl = 0
    del wrong.chksum
    packets[6] = bytes(wrong)
    text = first_violation(trace_of(packets))
    assert text.startswith(f"packet 6 at 0.030000 s (up, TCP {CLIENT}:50000 > {SERVER}:443): level 1, ttl_zero")
    assert "RFC" in text
    for nonsense in ([b""], [b"\x00" * 5], [b"\x45"], [b"\x60" + bytes(39)]):
        assert first_violation(trace_of(nonsense)).startswith("packet 0 at 0.000000 s")


def test_rules_come_in_the_order_of_their_levels() -> None:
    levels = [rule.level for rule in RULES]
    assert levels == sorted(levels)
    assert len({rule.name for rule in RULES}) == len(RULES) < 63
    for rule in RULES:
        rule.meaning.format(found=1, wanted=2)


def evidence(raw: list[Trace], repaired: list[Trace]) -> Evidence:
    return Evidence([], [], [], raw, raw, repaired)


def test_the_family_scores_every_level_of_both_variants(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    good = replace(trace_of(connection()), name="good")
    packets = connection()
    packets[6] = packets[6][:8] + b"\0" + packets[6][9:]
    bad = replace(trace_of(packets), name="bad")
    scores = FAMILY.score(evidence([good, bad], [good, good]))
    assert list(scores) == [metric.name for metric in METRICS]
    assert next(iter(scores)) == "validity.l0.raw"
    assert scores["validity.l0.raw"].value == 1.0
    share = 1 - 1 / len(packets)
    assert scores["validity.l1.raw"].per_trace == {"good": 1.0, "bad": share}
    assert scores["validity.l1.raw"].value == pytest.approx((1 + share) / 2)
    low, high = scores["validity.l2.raw"].interval or (0.0, 0.0)
    assert low <= scores["validity.l2.raw"].value <= high
    assert scores["validity.l3.raw"].value is None
    assert "tshark" in scores["validity.l3.raw"].reason
    assert scores["validity.l4.repaired"].value == 1.0


def test_payloads_that_were_not_captured_give_null_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    bare = trace_of([Talk().send(True, "S")])
    scores = FAMILY.score(evidence([bare], [bare]))
    assert scores["validity.l4.raw"].value is None
    assert "payload" in scores["validity.l4.raw"].reason
    assert FAMILY.score(evidence([], []))["validity.l0.raw"].reason == "no traces"


def test_an_empty_trace_earns_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    empty = trace_of([])
    assert FAMILY.score(evidence([empty], [empty]))["validity.l2.raw"].value == 0.0
