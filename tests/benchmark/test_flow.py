"""Flows and directions: rules, known cases, and a dictionary as the reference."""

import ipaddress
import random
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.flow import assign_flows
from benchmark.wire import SKIP_NONE, parse_fields
from tests.benchmark.capture_bytes import ipv4, ipv6, udp


def parse(packets):
    offsets = np.concatenate([[0], np.cumsum([len(packet) for packet in packets])]).astype(np.int64)
    data = np.frombuffer(b"".join(packets), np.uint8).copy()
    return parse_fields(data, offsets, np.diff(offsets).astype(np.int32))


def segment(sport, dport):
    return struct.pack(">HH", sport, dport) + bytes(8) + b"\x50" + bytes(7)


def reference(fields, client=None):
    """Number flows with a dictionary of unordered ends; tell directions by the rule as written."""
    numbers, openers, index, up, first = {}, [], [], [], []
    for i in range(len(fields)):
        if fields.skip[i] != SKIP_NONE:
            index.append(-1)
            up.append(False)
            continue
        version, protocol = int(fields.version[i]), int(fields.protocol[i])
        width = 4 if version == 4 else 16
        sender = (fields.source[i, :width].tobytes(), int(fields.sport[i]))
        receiver = (fields.destination[i, :width].tobytes(), int(fields.dport[i]))
        key = (version, protocol, frozenset([sender, receiver]))
        if key not in numbers:
            numbers[key] = len(numbers)
            openers.append(sender)
            first.append(i)
        index.append(numbers[key])
        inside = [client is not None and ipaddress.ip_address(end[0]) in client for end in (sender, receiver)]
        up.append(inside[0] if inside[0] != inside[1] else sender == openers[numbers[key]])
    return index, up, first


def check(fields, client=None):
    flows = assign_flows(fields, client)
    index, up, first = reference(fields, client)
    assert flows.index.tolist() == index
    assert flows.up.tolist() == up
    assert flows.first.tolist() == first
    assert flows.count == len(first)


ADDRESSES = ["10.0.0.1", "10.0.0.2", "10.0.1.1", "0.0.0.0"]
CLIENTS = [
    None,
    *map(ipaddress.ip_network, ("10.0.0.2/32", "10.0.0.0/24", "10.0.0.0/8", "::/64", "0.0.0.0/0")),
]


@st.composite
def packets(draw):
    ports = [draw(st.integers(1, 3)), draw(st.integers(1, 3))]
    kind = draw(st.sampled_from(["udp", "tcp", "six", "other", "cut"]))
    body, protocol = (udp(b"", *ports), 17) if kind != "tcp" else (segment(*ports), 6)
    if kind == "six":
        packet = bytearray(ipv6(body))
        packet[23], packet[39] = draw(st.integers(1, 2)), draw(st.integers(1, 2))
        return bytes(packet)
    ends = {"source": draw(st.sampled_from(ADDRESSES)), "destination": draw(st.sampled_from(ADDRESSES))}
    if kind == "other":
        return ipv4(body, 1, **ends)
    return ipv4(body, protocol, **ends)[: 22 if kind == "cut" else None]


@settings(deadline=None, max_examples=300)
@given(raws=st.lists(packets(), max_size=30), client=st.sampled_from(CLIENTS))
def test_flows_as_a_dictionary_numbers_them(raws, client):
    check(parse(raws), client)


@pytest.mark.parametrize("seed", range(3))
def test_many_flows_with_full_tables(seed):
    draw = random.Random(seed)
    raws = []
    for _ in range(5_000):
        ends = [f"10.{draw.randrange(3)}.{draw.randrange(256)}.{draw.randrange(4)}" for _ in range(2)]
        raws.append(ipv4(udp(b"", draw.randrange(65536), 443), 17, ends[0], ends[1]))
    raws += [raws[draw.randrange(5_000)] for _ in range(5_000)]
    check(parse(raws), ipaddress.ip_network("10.1.0.0/16"))


CLIENT = ipaddress.ip_network("10.0.0.2/32")


def directions(ends, client):
    raws = [ipv4(udp(b"", 1 + (s > d), 1 + (d > s)), 17, s, d) for s, d in ends]
    return assign_flows(parse(raws), client).up.tolist()


def test_up_is_from_the_client_whoever_speaks_first():
    down, up = ("10.0.0.1", "10.0.0.2"), ("10.0.0.2", "10.0.0.1")
    assert directions([down, up, down], CLIENT) == [False, True, False]
    assert directions([down, up, down], None) == [True, False, True]


def test_where_both_or_no_ends_are_the_clients_the_opener_is_up():
    first, second = ("10.0.0.7", "10.0.0.2"), ("10.0.0.2", "10.0.0.7")
    wide = ipaddress.ip_network("10.0.0.0/8")
    elsewhere = ipaddress.ip_network("192.168.0.0/16")
    for client in (wide, elsewhere):
        assert directions([first, second, first], client) == [True, False, True]


def test_a_prefix_of_one_version_says_nothing_of_the_other():
    client = ipaddress.ip_network("0.0.0.0/0")
    fields = parse([ipv6(udp(b"", 1, 2)), ipv6(udp(b"", 2, 1))])
    swapped = fields.source.copy()
    fields.source[1], fields.destination[1] = fields.destination[1].copy(), swapped[1]
    assert assign_flows(fields, client).up.tolist() == [True, False]
    assert assign_flows(fields, ipaddress.ip_network("::2/128")).up.tolist() == [False, True]


def test_the_same_ports_over_tcp_and_udp_are_two_flows():
    fields = parse([ipv4(udp(b"", 5, 6), 17), ipv4(segment(5, 6), 6), ipv4(udp(b"", 5, 6), 17)])
    flows = assign_flows(fields)
    assert flows.index.tolist() == [0, 1, 0]
    assert flows.first.tolist() == [0, 1]


def test_a_packet_from_an_end_to_itself_is_one_flow_upwards():
    fields = parse([ipv4(udp(b"", 5, 5), 17, "10.0.0.1", "10.0.0.1")] * 2)
    flows = assign_flows(fields)
    assert flows.index.tolist() == [0, 0]
    assert flows.up.tolist() == [True, True]


def test_no_packets_no_flows():
    flows = assign_flows(parse([]), CLIENT)
    assert flows.count == 0
    assert len(flows.index) == len(flows.up) == len(flows.first) == 0
