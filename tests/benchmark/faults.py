"""Single faults, seeded, put into a real trace: what the validator has to find."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from benchmark.trace import Packets, Trace, join_packets
from benchmark.wire import ACK, CWR, ECE, FIN, PSH, RST, SYN, TCP, UDP, URG


@dataclass(frozen=True)
class Fault:
    """A trace with one fault. touched: new numbers of the packets that were changed, added or moved."""

    kind: str
    trace: Trace
    touched: tuple[int, ...]


class Editor:
    """A copy of a trace whose packets can be changed byte by byte."""

    def __init__(self, trace: Trace, generator: np.random.Generator) -> None:
        self.trace = trace
        self.draw = generator
        self.fields = trace.packets.fields
        self.data = trace.packets.data.copy()
        self.length = trace.packets.length.copy()
        self.offsets = trace.packets.offsets

    def middle(self, wanted: np.ndarray) -> int:
        """Draw a packet among ``wanted``, bool [n], away from both ends of the trace."""
        count = len(self.trace.packets)
        places = np.flatnonzero(wanted)
        inner = places[(places >= 20) & (places < count - 200)]
        return int(self.draw.choice(inner if len(inner) else places))

    def of(self, protocol: int, payload: bool | None = None) -> np.ndarray:
        chosen = (self.fields.skip == 0) & (self.fields.protocol == protocol)
        if payload is not None:
            chosen &= (self.fields.payload > 0) == payload
        return chosen & ((self.fields.flags & (SYN | FIN | RST)) == 0)

    def l4(self, packet: int) -> int:
        return int(self.offsets[packet] + self.fields.ip_header[packet])

    def get(self, at: int, size: int) -> int:
        return int.from_bytes(self.data[at : at + size].tobytes(), "big")

    def put(self, at: int, size: int, value: int) -> None:
        self.data[at : at + size] = np.frombuffer((value % (1 << 8 * size)).to_bytes(size, "big"), np.uint8)

    def add(self, at: int, size: int, amount: int) -> None:
        self.put(at, size, self.get(at, size) + amount)

    def repair(self, packet: int) -> None:
        """Write right checksums over whatever the packet now says, by the convention for cut payloads."""
        start, end = int(self.offsets[packet]), int(self.offsets[packet + 1])
        header = 4 * (int(self.data[start]) & 15)
        if header < 20 or start + header + 8 > end:
            return
        self.put(start + 10, 2, 0)
        self.put(start + 10, 2, 0xFFFF ^ _sum(self.data[start : start + header].tobytes()))
        protocol, l4 = int(self.data[start + 9]), start + header
        place = {TCP: l4 + 16, UDP: l4 + 6}.get(protocol)
        if place is None or place + 2 > end:
            return
        sent = int(self.length[packet]) - header
        size = 8 if protocol == UDP else 4 * (int(self.data[l4 + 12]) >> 4)
        stop = l4 + sent if end - l4 >= sent else min(end, l4 + max(size, 20 if protocol == TCP else 8))
        self.put(place, 2, 0)
        pseudo = (
            self.data[start + 12 : start + 20].tobytes() + bytes([0, protocol]) + (sent & 0xFFFF).to_bytes(2, "big")
        )
        total = 0xFFFF ^ _sum(pseudo + self.data[l4:stop].tobytes())
        self.put(place, 2, total or (0xFFFF if protocol == UDP else 0))

    def packets(self) -> Packets:
        return Packets(self.trace.packets.ts, self.length, self.data, self.offsets, self.trace.packets.link)

    def option(self, packet: int, kind: int) -> int:
        """Return where a TCP option stands in the buffer, -1 if it doesn't."""
        at, end = self.l4(packet) + 20, self.l4(packet) + int(self.fields.l4_header[packet])
        while at < end and self.data[at] != 0:
            if self.data[at] == kind:
                return at
            at += 1 if self.data[at] == 1 else max(2, int(self.data[at + 1]))
        return -1


def _sum(data: bytes) -> int:
    total = sum(int.from_bytes(data[k : k + 2].ljust(2, b"\0"), "big") for k in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


Edit = Callable[[Editor], int]


def _field(
    protocol: int | None,
    at: int,
    size: int,
    change: Callable[[Editor, int], int],
    payload: bool | None = None,
) -> Edit:
    """An edit of one field: of the IP header (protocol None) or of layer 4."""

    def edit(editor: Editor) -> int:
        wanted = editor.of(TCP, payload) | editor.of(UDP, payload) if protocol is None else editor.of(protocol, payload)
        packet = editor.middle(wanted)
        place = at + (int(editor.offsets[packet]) if protocol is None else editor.l4(packet))
        editor.put(place, size, change(editor, editor.get(place, size)))
        return packet

    return edit


def _plus(*amounts: int) -> Callable[[Editor, int], int]:
    return lambda editor, value: value + int(editor.draw.choice(amounts))


def _becomes(*values: int) -> Callable[[Editor, int], int]:
    return lambda editor, value: int(editor.draw.choice([one for one in values if one != value]))


def _sets(*bits: int) -> Callable[[Editor, int], int]:
    return lambda editor, value: value | int(editor.draw.choice(bits))


def _total_length(editor: Editor) -> int:
    packet = editor.middle(editor.of(TCP, True) | editor.of(UDP, True))
    amount = int(editor.draw.choice([-37, -8, 12, 100]))
    editor.length[packet] += amount
    editor.put(int(editor.offsets[packet]) + 2, 2, int(editor.length[packet]))
    return packet


def _stamp(place: int, *amounts: int) -> Edit:
    def edit(editor: Editor) -> int:
        packet = editor.middle(editor.of(TCP) & (editor.fields.has_ts > 0))
        editor.add(editor.option(packet, 8) + place, 4, int(editor.draw.choice(amounts)))
        return packet

    return edit


def _option_byte(place: int, *values: int) -> Edit:
    def edit(editor: Editor) -> int:
        packet = editor.middle(editor.of(TCP) & (editor.fields.has_ts > 0))
        editor.data[editor.option(packet, 8) + place] = int(editor.draw.choice(values))
        return packet

    return edit


def _address(editor: Editor) -> int:
    packet = editor.middle(editor.of(TCP) | editor.of(UDP))
    editor.data[int(editor.offsets[packet]) + int(editor.draw.choice([12, 16]))] = int(
        editor.draw.choice([0, 127, 240])
    )
    return packet


def _client_port(protocol: int) -> Edit:
    def edit(editor: Editor) -> int:
        packet = editor.middle(editor.of(protocol) & (editor.trace.packets.ts > editor.trace.packets.ts[0] + 10**9))
        place = editor.l4(packet) + (0 if editor.trace.flows.up[packet] else 2)
        editor.add(place, 2, int(editor.draw.integers(1, 500)))
        return packet

    return edit


def _sack(editor: Editor) -> int:
    wanted = editor.of(TCP, False) & (editor.fields.l4_header > 40)
    packet = editor.middle(wanted)
    editor.add(
        editor.option(packet, 5) + 2 + int(editor.draw.choice([0, 4])),
        4,
        int(editor.draw.choice([-777, 500_000])),
    )
    return packet


# Each is tried with the checksums left as they were and with right ones: illegal either way.
TCP_EDITS: dict[str, Edit] = {
    "ip: version": _field(None, 0, 1, lambda editor, value: value ^ 0x20),
    "ip: header length": _field(None, 0, 1, lambda editor, value: int(editor.draw.choice([0x44, 0x46, 0x4F]))),
    "ip: total length": _total_length,
    "ip: reserved bit": _field(None, 6, 2, _sets(0x8000)),
    "ip: more fragments": _field(None, 6, 2, _sets(0x2000)),
    "ip: fragment offset": _field(None, 6, 2, lambda editor, value: value | int(editor.draw.integers(1, 8191))),
    "ip: ttl 0": _field(None, 8, 1, _becomes(0)),
    "ip: ttl of one packet": _field(None, 8, 1, _plus(-1, 7, 100)),
    "ip: protocol": _field(TCP, -11, 1, _becomes(UDP)),
    "ip: martian": _address,
    "tcp: port 0": _field(TCP, 0, 2, _becomes(0)),
    "tcp: client port": _client_port(TCP),
    "tcp: sequence of data": _field(TCP, 4, 4, _plus(-100, 1, 100, 5000, 10**8, -(10**8)), True),
    "tcp: sequence of acknowledgement": _field(TCP, 4, 4, _plus(-100, 1, 100, 5000, 10**8, -(10**8)), False),
    "tcp: acknowledgement number": _field(TCP, 8, 4, _plus(-100, 1, 100, 5_000_000, 10**9), False),
    "tcp: offset": _field(TCP, 12, 1, lambda editor, value: int(editor.draw.choice([0x00, 0x40, 0xF0]))),
    "tcp: options lost": _field(TCP, 12, 1, _becomes(0x50)),
    "tcp: reserved bits": _field(TCP, 12, 1, _sets(2, 4, 8)),
    "tcp: SYN and FIN or RST": _field(TCP, 13, 1, _sets(SYN | FIN, SYN | RST)),
    "tcp: no flags": _field(TCP, 13, 1, _becomes(0, PSH)),
    "tcp: SYN late": _field(TCP, 13, 1, _sets(SYN)),
    "tcp: FIN early": _field(TCP, 13, 1, _sets(FIN)),
    "tcp: RST early": _field(TCP, 13, 1, _sets(RST)),
    "tcp: URG": _field(TCP, 13, 1, _sets(URG)),
    "tcp: ECN not agreed": _field(TCP, 13, 1, _sets(ECE, CWR)),
    "tcp: urgent pointer": _field(TCP, 18, 2, _plus(1, 500)),
    "tcp: timestamp": _stamp(2, -5000, -50, 10_000_000, 2**31),
    "tcp: timestamp echo": _stamp(6, -(10**7), 60_000, 2**30),
    "tcp: option length": _option_byte(1, 0, 1, 9, 11, 200),
    "tcp: option kind": _option_byte(0, 2, 3, 5),
    "tcp: SACK edge": _sack,
}

UDP_EDITS: dict[str, Edit] = {
    "udp: port 0": _field(UDP, 2, 2, _becomes(0)),
    "udp: length": _field(UDP, 4, 2, _plus(-9, 1, 64)),
    "ip: total length": TCP_EDITS["ip: total length"],
    "ip: ttl 0": TCP_EDITS["ip: ttl 0"],
    "ip: header length": TCP_EDITS["ip: header length"],
    "ip: fragment offset": TCP_EDITS["ip: fragment offset"],
    "ip: martian": TCP_EDITS["ip: martian"],
}

QUIC_EDITS: dict[str, Edit] = {
    "quic: fixed bit": _field(UDP, 8, 1, lambda editor, value: value & 0xBF),
    "udp: client port": _client_port(UDP),
}

RTP_EDITS: dict[str, Edit] = {
    "rtp: version": _field(UDP, 8, 1, _becomes(0x00, 0x50, 0xC0)),
}


def _bit_flip(editor: Editor) -> int:
    """Flip one bit anywhere in the headers that a checksum covers, as a bad line does."""
    packet = editor.middle(editor.of(TCP) | editor.of(UDP))
    size = int(editor.fields.ip_header[packet] + editor.fields.l4_header[packet])
    # The UDP checksum itself may be turned off by nothing but zeroing it, which one flip hardly does.
    at = int(editor.offsets[packet]) + int(editor.draw.integers(size))
    editor.data[at] ^= 1 << int(editor.draw.integers(8))
    return packet


Change = Callable[[Trace, np.random.Generator], tuple[Packets, tuple[int, ...]]]


def _drop(chosen: Callable[[Trace, np.random.Generator], int]) -> Change:
    def change(trace: Trace, draw: np.random.Generator) -> tuple[Packets, tuple[int, ...]]:
        packet = chosen(trace, draw)
        return trace.packets.take(np.arange(len(trace.packets)) != packet), ()

    return change


def _syn(trace: Trace, draw: np.random.Generator) -> int:
    return int(np.flatnonzero((trace.packets.fields.flags & (SYN | ACK)) == SYN)[-1])


def _syn_ack(trace: Trace, draw: np.random.Generator) -> int:
    return int(np.flatnonzero((trace.packets.fields.flags & (SYN | ACK)) == SYN | ACK)[-1])


def _data(trace: Trace, draw: np.random.Generator) -> int:
    editor = Editor(trace, draw)
    return editor.middle(editor.of(TCP, True) & ~trace.flows.up)


def _ack_before_data(trace: Trace, draw: np.random.Generator) -> tuple[Packets, tuple[int, ...]]:
    """Swap data with the acknowledgement of it that follows at once; the times stay in order."""
    fields, up = trace.packets.fields, trace.flows.up
    following = (
        (fields.payload[:-1] > 0) & ~up[:-1] & up[1:] & (fields.payload[1:] == 0) & (fields.protocol[:-1] == TCP)
    )
    following &= fields.ack[1:] == (fields.seq[:-1] + fields.payload[:-1].astype(np.uint32))
    places = np.flatnonzero(following)
    packet = int(draw.choice(places[(places > 20) & (places < len(trace.packets) - 200)]))
    order = np.arange(len(trace.packets))
    order[[packet, packet + 1]] = order[[packet + 1, packet]]
    return replace(trace.packets.take(order), ts=trace.packets.ts), (packet, packet + 1)


def _repeated(trace: Trace, packet: int, edit: Callable[[Editor], None]) -> tuple[Packets, tuple[int, ...]]:
    """Send a packet once more, changed."""
    editor = Editor(replace(trace, packets=trace.packets.take(np.array([packet]))), np.random.default_rng(0))
    edit(editor)
    editor.repair(0)
    parts = [
        trace.packets.take(slice(0, packet + 1)),
        editor.packets(),
        trace.packets.take(slice(packet + 1, None)),
    ]
    return join_packets(parts), (packet, packet + 1)


def _other_syn_ack(trace: Trace, draw: np.random.Generator) -> tuple[Packets, tuple[int, ...]]:
    return _repeated(trace, _syn_ack(trace, draw), lambda editor: editor.add(editor.l4(0) + 4, 4, 12_345))


def _again_from_inside(trace: Trace, draw: np.random.Generator) -> tuple[Packets, tuple[int, ...]]:
    """Send data again from its inside on, so that it runs into what wasn't sent yet."""
    return _repeated(trace, _full_data(trace, draw), lambda editor: editor.add(editor.l4(0) + 4, 4, 500))


def _full_data(trace: Trace, draw: np.random.Generator) -> int:
    editor = Editor(trace, draw)
    newest = np.maximum.accumulate(np.where(trace.flows.up, 0, editor.fields.seq.astype(np.int64)))
    latest = editor.fields.seq.astype(np.int64) == newest
    return editor.middle(editor.of(TCP, True) & ~trace.flows.up & (editor.fields.payload > 1000) & latest)


def _cut(trace: Trace, draw: np.random.Generator) -> tuple[Packets, tuple[int, ...]]:
    """Leave a packet with part of its header."""
    packet = Editor(trace, draw).middle(trace.packets.captured >= 28)
    size = int(draw.integers(1, 28))
    head = trace.packets.take(slice(packet, packet + 1))
    short = Packets(head.ts, head.length, head.data[:size], np.array([0, size]), head.link)
    parts = [trace.packets.take(slice(0, packet)), short, trace.packets.take(slice(packet + 1, None))]
    return join_packets(parts), (packet,)


def _time_back(trace: Trace, draw: np.random.Generator) -> tuple[Packets, tuple[int, ...]]:
    packet = int(draw.integers(20, len(trace.packets) - 200))
    ts = trace.packets.ts.copy()
    ts[packet] = ts[packet - 1] - int(draw.integers(1, 10**9))
    return replace(trace.packets, ts=ts), (packet,)


def _rtp_leap(trace: Trace, draw: np.random.Generator) -> tuple[Packets, tuple[int, ...]]:
    editor = Editor(trace, draw)
    place = trace.packets.offsets[:-1] + 28
    sized = editor.of(UDP) & (trace.packets.captured >= 44)
    first = np.where(sized, trace.packets.data[np.minimum(place, len(trace.packets.data) - 2)], 0)
    second = np.where(sized, trace.packets.data[np.minimum(place + 1, len(trace.packets.data) - 1)], 0)
    packet = editor.middle(((first & 0xC0) == 0x80) & ((second < 192) | (second > 223)))
    editor.add(editor.l4(packet) + 10, 2, int(draw.choice([500, 5000, 30_000, -5000])))
    return editor.packets(), (packet,)


def _quic_opening(trace: Trace, draw: np.random.Generator) -> tuple[Packets, tuple[int, ...]]:
    """A server whose first datagram has a short header."""
    editor = Editor(trace, draw)
    packet = int(np.flatnonzero(editor.of(UDP) & ~trace.flows.up)[0])
    editor.data[editor.l4(packet) + 8] &= 0x7F
    return editor.packets(), (packet,)


TCP_CHANGES: dict[str, Change] = {
    "dropped SYN": _drop(_syn),
    "dropped SYN-ACK": _drop(_syn_ack),
    "dropped data, acknowledged all the same": _drop(_data),
    "acknowledgement ahead of its data": _ack_before_data,
    "second SYN-ACK, other number": _other_syn_ack,
    "data again, from its inside on": _again_from_inside,
    "header cut": _cut,
    "time runs back": _time_back,
}
QUIC_CHANGES: dict[str, Change] = {"quic: server opens short": _quic_opening, "header cut": _cut}
RTP_CHANGES: dict[str, Change] = {"rtp: sequence leap": _rtp_leap, "header cut": _cut}


def inject(trace: Trace, seed: int) -> Fault:
    """Put one fault into a trace: a bit flip, a field with or without right checksums, or a changed order."""
    draw = np.random.default_rng(seed)
    fields = trace.packets.fields
    tcp = bool(fields.protocol[0] == TCP)
    quic = not tcp and 443 in (int(fields.sport[0]), int(fields.dport[0]))
    edits = TCP_EDITS if tcp else UDP_EDITS | (QUIC_EDITS if quic else RTP_EDITS)
    changes = TCP_CHANGES if tcp else QUIC_CHANGES if quic else RTP_CHANGES
    if tcp and not np.any(Editor(trace, draw).of(TCP, False) & (fields.l4_header > 40)):
        edits = {name: edit for name, edit in edits.items() if edit is not _sack}
    number = int(draw.integers(len(edits) + len(changes) + 2))
    if number < len(edits):
        name, edit = list(edits.items())[number]
        repaired = bool(draw.integers(2))
        editor = Editor(trace, draw)
        packet = edit(editor)
        if repaired:
            editor.repair(packet)
        kind = f"{name}, checksums {'right' if repaired else 'left'}"
        return Fault(kind, replace(trace, packets=editor.packets()), (packet,))
    if number < len(edits) + len(changes):
        name, change = list(changes.items())[number - len(edits)]
        packets, touched = change(trace, draw)
        return Fault(name, replace(trace, packets=packets), touched)
    editor = Editor(trace, draw)
    packet = _bit_flip(editor)
    return Fault("bit flip in a header", replace(trace, packets=editor.packets()), (packet,))
