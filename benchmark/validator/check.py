"""Judge one trace on every level, and say in words what its first fault is."""

from __future__ import annotations

import ipaddress

import numpy as np

from benchmark.trace import NANOSECONDS, Trace
from benchmark.validator.datagram import judge_datagrams
from benchmark.validator.findings import RULES, Findings, blank_marks
from benchmark.validator.header import judge_headers
from benchmark.validator.path import judge_path
from benchmark.validator.payload import judge_payloads
from benchmark.validator.tcp import judge_tcp
from benchmark.validator.tshark import judge_with_tshark
from benchmark.wire import SKIP_NONE, TCP

_NO_PAYLOAD = "no payload bytes of a protocol that can be judged (TLS, QUIC, RTP, DNS) were captured"
_NOT_ASKED = "tshark wasn't asked"


def check(trace: Trace, with_tshark: bool = True) -> Findings:
    """Judge a trace on levels 0 to 4. Never raises for what packets hold.

    A packet is judged on a level only where the levels below found nothing (tshark looks at all of them).
    """
    marks = blank_marks(len(trace.packets))
    judge_headers(trace.packets, marks)
    # TCP needs to see what levels 0 and 1 found, not what another part of level 2 did.
    unfinished = judge_tcp(trace, marks)
    judge_path(trace, marks)
    judge_datagrams(trace, marks)
    payloads = judge_payloads(trace, marks)
    silent = judge_with_tshark(trace.packets, marks) if with_tshark else _NOT_ASKED
    judged = (True, True, True, not silent, payloads > 0)
    return Findings(marks, judged, ("", "", "", silent, "" if payloads else _NO_PAYLOAD), unfinished)


def first_violation(trace: Trace, findings: Findings | None = None) -> str:
    """Describe the first faulty packet: number, time, ends, level, rule, values and source; empty if none is.

    Packets are counted from 0; the values are those of the packet's first finding.
    """
    found = check(trace) if findings is None else findings
    faulty = np.flatnonzero(found.marks.mask)
    if len(faulty) == 0:
        return ""
    packet = int(faulty[0])
    rule = RULES[min(number for number in range(len(RULES)) if found.marks.mask[packet] >> number & 1)]
    values = {"found": int(found.marks.found[packet]), "wanted": int(found.marks.wanted[packet])}
    since = (trace.packets.ts[packet] - trace.packets.ts[0]) / NANOSECONDS
    meaning = rule.meaning.format(**values)
    return (
        f"packet {packet} at {since:.6f} s ({_describe(trace, packet)}): level {rule.level}, "
        f"{rule.name}: {meaning} ({rule.source})"
    )


def _describe(trace: Trace, packet: int) -> str:
    fields = trace.packets.fields
    version = int(fields.version[packet])
    if version == 0:
        return "not IP"
    ends = []
    for address, port in ((fields.source, fields.sport), (fields.destination, fields.dport)):
        width = 4 if version == 4 else 16
        text = str(ipaddress.ip_address(address[packet, :width].tobytes()))
        ends.append(f"{text}:{port[packet]}" if version == 4 else f"[{text}]:{port[packet]}")
    if fields.skip[packet] != SKIP_NONE:
        return f"protocol {fields.protocol[packet]}"
    name = "TCP" if fields.protocol[packet] == TCP else "UDP"
    way = "up" if trace.flows.up[packet] else "down"
    return f"{way}, {name} {ends[0]} > {ends[1]}"
