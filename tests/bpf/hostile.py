"""Frames that no honest network sends, beside those that it does, made in numpy: thousands in a few milliseconds.

Each is laid out of pieces (link, IP, extension headers, layer 4, payload) as rows of one matrix; a mask of what each
row has of every piece takes the frames out of it.
"""

from dataclasses import dataclass

import numpy as np

from benchmark.capture.frames import ETHERNET, Records, locate_ip
from benchmark.trace import Condition, Labels, Packets, Trace
from bpf.feed import Frames

CLIENT = "10.0.0.2/32"
MS = 1_000_000
DAY = 86_400_000_000_000
SECOND = 1_000_000_000
ENDS = ((10, 0, 0, 2), (10, 0, 0, 3), (203, 0, 113, 9), (203, 0, 113, 10), (10, 0, 0, 2))
STEPS = (0, 0, 700, 20_000, 400_000, 2 * MS, 29 * MS, 30 * MS, 50 * MS, 51 * MS, 900 * MS)
RARE_STEPS = (6 * SECOND, 31 * SECOND, 2**42, DAY, 9 * DAY, 40 * DAY, -1, -5 * MS, -12 * SECOND)
PAYLOADS = (0, 0, 0, 1, 59, 60, 63, 64, 298, 299, 301, 304, 1000, 1002, 1200, 1448, 1448, 1448, 9000, 65_000)
FLAGS = (16, 16, 16, 16, 24, 2, 18, 17, 25, 4, 20, 0, 255)
EXTENSIONS = (0, 43, 44, 51, 60)


@dataclass(frozen=True, eq=False)
class Case:
    """Frames, and the trace that the reference sees of them: the IP packets, merged ones apart again."""

    frames: Frames
    trace: Trace
    not_ip: int


def make(
    seed,
    count=4000,
    *,
    client=CLIENT,
    merged=False,
    links=True,
    cuts=True,
    flips=True,
    captured=None,
    flows=24,
    shortest=54,
):
    """A case of ``count`` frames.

    captured: what a hook's buffer holds of a frame. shortest: bytes of an untagged frame, where the kernel's test run
    refuses shorter ones.
    """
    random = np.random.default_rng(seed)
    rows = _Rows(random, count, flows, merged)
    tagged = _links(random, rows, links)
    pieces = [tagged, _addresses(random, rows, merged or not flips), _layer_4(random, rows, merged)]
    ahead = sum(size for _, size in pieces)
    tail = np.maximum(random.integers(0, 21, count), np.where(tagged[1] == 14, shortest - ahead, 0))
    pieces.append((random.integers(0, 256, (count, 40), np.uint8), tail))
    matrix = np.concatenate([piece for piece, _ in pieces], axis=1)
    kept = np.concatenate([np.arange(piece.shape[1]) < size[:, None] for piece, size in pieces], axis=1)
    if cuts and not merged:
        whole = kept.sum(axis=1)
        limit = np.where(random.random(count) < 0.1, random.integers(15, 15 + np.maximum(1, whole - 14)), whole)
        limit = np.maximum(limit, np.where(tagged[1] == 14, shortest, 0))
        kept &= np.cumsum(kept, axis=1) <= limit[:, None]
    sizes = kept.sum(axis=1)
    data = matrix[kept]
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    if flips and not merged:
        hit = np.flatnonzero(random.random(count) < 0.03)
        places = offsets[hit] + 12 + random.integers(0, np.maximum(1, sizes[hit] - 12))
        data[places] ^= random.integers(1, 256, len(hit)).astype(np.uint8)
    times = rows.times
    together = np.stack([rows.told, rows.segment_size], axis=1) if merged else None
    frames = Frames(data, offsets, times.astype(np.uint64), together)
    trace, not_ip = _reference(frames, rows, merged, client, captured)
    return Case(frames, trace, not_ip)


class _Rows:
    """What is drawn once for every frame."""

    def __init__(self, random, count, flows, merged):
        self.count = count
        ends = random.integers(0, len(ENDS), (flows, 2))
        self.flow = np.minimum(random.geometric(0.25, count) - 1, flows - 1)
        self.up = random.random(count) < 0.4
        self.ends = np.where(self.up[:, None], ends[self.flow], ends[self.flow][:, ::-1])
        ports = random.choice([443, 443, 80, 50_000, 50_001, 0x1234], (flows, 2))
        self.ports = np.where(self.up[:, None], ports[self.flow], ports[self.flow][:, ::-1])
        self.version = random.choice([4, 4, 6], flows)[self.flow]
        self.protocol = random.choice([6, 6, 6, 17, 17], flows)[self.flow]
        if not merged:
            self.protocol = np.where(random.random(count) < 0.03, random.choice([1, 58, 59, 132], count), self.protocol)
        step = random.choice(STEPS, count)
        rare = random.random(count) < 0.004
        step[rare] = random.choice(RARE_STEPS, int(rare.sum()))
        start = random.choice([0, 12_345, 2**42 - 1, 2**42 + 2**41 - 5 * MS, 2**58])
        self.times = np.maximum(0, start + np.cumsum(step))
        self.payload = random.choice(PAYLOADS, count)
        self.segment_size = np.zeros(count, np.int64)
        self.segments = np.zeros(count, np.int64)
        if merged:
            self.segment_size = random.choice([0, 1, 60, 299, 1000, 1448, 9000], count)
            pieces = random.choice([1, 2, 3, 4, 17, 45], count)
            last = random.integers(1, np.maximum(2, self.segment_size + 1))
            total = (pieces - 1) * self.segment_size + last
            one = (self.segment_size == 0) | (pieces == 1) | (total > 65_000)
            self.payload = np.where(one, np.minimum(self.payload, 1448), total)
            self.segments = np.where(one, np.where(self.segment_size > 0, 1, 0), pieces)
            self.segment_size = np.where(one, np.maximum(self.segment_size, self.payload), self.segment_size)
            # Untrusted senders say how large segments are, and of how many nothing or anything.
            self.told = np.where(
                random.random(count) < 0.2, random.choice([0, 0, 1, 2, 46, 65_535], count), self.segments
            )


def _put(matrix, at, values, width):
    for place in range(width):
        matrix[:, at + place] = np.asarray(values, np.int64) >> 8 * (width - 1 - place) & 0xFF


def _links(random, rows, links):
    """Ethernet, up to four VLAN tags, and PPPoE."""
    count = rows.count
    matrix = random.integers(0, 256, (count, 14 + 20 + 8), np.uint8)
    kind = np.where(rows.version == 6, 0x86DD, 0x0800)
    if links:
        kind = np.where(random.random(count) < 0.02, random.choice([0x0806, 0x88CC, 0x0800, 0x86DD, 0], count), kind)
    tags = random.choice([0, 0, 0, 0, 1, 1, 2, 3, 4], count) if links else np.zeros(count, np.int64)
    pppoe = random.random(count) < (0.15 if links else 0.0)
    protocol = np.where(kind == 0x86DD, 0x0057, 0x0021)
    protocol = np.where(random.random(count) < 0.05, random.choice([0xC021, 0x0021, 0x0057], count), protocol)
    head = np.where(random.random(count) < 0.05, random.choice([0x1165, 0x2100, 0x1200], count), 0x1100)
    tag = random.choice([0x8100, 0x8100, 0x88A8, 0x9100], (count, 5))
    inner = np.where(pppoe, 0x8864, kind)
    for place in range(6):
        here = np.where(place < tags, tag[:, min(place, 4)], inner)
        chosen = place <= tags
        matrix[chosen, 12 + 4 * place] = (here >> 8)[chosen]
        matrix[chosen, 13 + 4 * place] = (here & 0xFF)[chosen]
    size = 14 + 4 * tags
    for place, value in ((0, head), (6, protocol)):
        which = np.flatnonzero(pppoe)
        matrix[which, size[which] + place] = value[which] >> 8
        matrix[which, size[which] + place + 1] = value[which] & 0xFF
    return matrix, size + 8 * pppoe


def _addresses(random, rows, honest):
    """IPv4 with options, or IPv6 with extension headers; their lengths tell of what follows, mostly."""
    count = rows.count
    matrix = random.integers(0, 256, (count, 40 + 10 * 24), np.uint8)
    four = rows.version == 4
    words = np.where(random.random(count) < 0.1, random.integers(3, 16, count), 5)
    chain = np.where(random.random(count) < 0.15, random.integers(1, 11, count), 0)
    walked = rows.protocol.copy()
    # The last header names the upper protocol, each one before it the one behind.
    kinds = random.choice(EXTENSIONS, (count, 10), p=[0.3, 0.1, 0.2, 0.1, 0.3])
    if honest:
        words = np.maximum(words, 5)
        chain = np.minimum(chain, 7)
        kinds[kinds == 44] = 60
    units = random.integers(0, 2, (count, 10))
    sizes = np.where(kinds == 51, (units + 2) * 4, (units + 1) * 8)
    sizes[kinds == 44] = 8
    at = np.full(count, 40)
    for place in range(10):
        chosen = np.flatnonzero((place < chain) & ~four)
        following = np.where(place + 1 < chain, kinds[:, min(place + 1, 9)], walked)
        matrix[chosen, at[chosen]] = following[chosen]
        matrix[chosen, at[chosen] + 1] = units[chosen, place]
        fragment = chosen[kinds[chosen, place] == 44]
        offset = np.where(random.random(len(fragment)) < 0.7, random.choice([0, 1], len(fragment)), 0x0558)
        matrix[fragment, at[fragment] + 2] = offset >> 8
        matrix[fragment, at[fragment] + 3] = offset & 0xFF
        at[chosen] += sizes[chosen, place]
    first = np.where(chain > 0, kinds[:, 0], rows.protocol)
    rows.ip_header = np.where(four, words * 4, at)
    rows.walked_length = rows.ip_header
    table = np.array(ENDS)[rows.ends]
    addresses = np.zeros((count, 2, 16), np.int64)
    addresses[:, :, 12:] = table
    six = ~four
    matrix[four, 0], matrix[six, 0] = 0x40 + words[four], 0x60
    for end in range(2):
        matrix[four, 12 + 4 * end : 16 + 4 * end] = table[four, end]
        matrix[six, 8 + 16 * end : 24 + 16 * end] = addresses[six, end]
    fragment = np.where(random.random(count) < 0.06, random.choice([0x2000, 0x2001, 0x00B9, 0x8000], count), 0x4000)
    if honest:
        fragment[:] = 0x4000
    matrix[four, 6], matrix[four, 7] = fragment[four] >> 8, fragment[four] & 0xFF
    matrix[four, 9], matrix[six, 6] = rows.protocol[four], first[six]
    rows.matrix = matrix
    return matrix, rows.ip_header


def _layer_4(random, rows, merged):
    """TCP with options of many layouts, or UDP; the length goes into the IP header."""
    count = rows.count
    matrix = random.integers(0, 256, (count, 60), np.uint8)
    tcp = rows.protocol == 6
    layout = random.choice(8, count, p=[0.2, 0.5, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05])
    words = np.array([5, 8, 10, 15, 9, 15, 8, 8])[layout]
    if not merged:
        words = np.where(random.random(count) < 0.02, random.integers(0, 16, count), words)
    _put(matrix, 0, rows.ports[:, 0], 2)
    _put(matrix, 2, rows.ports[:, 1], 2)
    sent = np.zeros(count, np.int64)
    for flow in range(int(rows.flow.max()) + 1):
        for way in (False, True):
            chosen = (rows.flow == flow) & (rows.up == way)
            sent[chosen] = np.cumsum(rows.payload[chosen]) - rows.payload[chosen]
    moved = random.choice([0, 0, 0, 0, 0, 0, 0, -1448, 1448, -60, 2**31, 2**31 - 1, 2**31 + 1448, 99_999], count)
    seq = 2**32 - 60_000 + sent + moved
    _put(matrix, 4, seq & 0xFFFFFFFF, 4)
    _put(matrix, 8, random.choice([0, 5, 2**32 - 1], count), 4)
    matrix[:, 12] = words << 4 | matrix[:, 12] & 15
    matrix[:, 13] = random.choice(FLAGS, count)
    stamp = (2**32 - 3 + sent // 3000) & 0xFFFFFFFF
    echo = _latest(rows, stamp) - random.choice([0, 0, 0, 1, 2**31], count) & 0xFFFFFFFF
    plain = np.array([1, 1, 8, 10], np.uint8)
    for number, ahead in (
        (1, plain),
        (2, (2, 4, 5, 180, 4, 2, 8, 10)),
        (3, (1,) * 18 + (8, 10)),
        (4, (3, 3, 7, 1, 1, 1, 8, 10)),
    ):
        chosen = layout == number
        matrix[chosen, 20 : 20 + len(ahead)] = ahead
        here = np.zeros((int(chosen.sum()), 8), np.uint8)
        _put(here, 0, stamp[chosen], 4)
        _put(here, 4, echo[chosen], 4)
        matrix[chosen, 20 + len(ahead) : 28 + len(ahead)] = here
    matrix[layout == 5, 20:] = random.choice([0, 1, 1, 1, 2, 8, 10], (int((layout == 5).sum()), 40))
    matrix[layout == 6, 20:24] = (8, 10, 0, 9)
    matrix[layout == 7, 20:22] = (8, 12)
    rows.l4_header = np.where(tcp, words * 4, 8)
    size = np.where(tcp, np.maximum(20, words * 4), 8)
    total = rows.ip_header + rows.l4_header + rows.payload
    odd = random.random(count) < (0.0 if merged else 0.03)
    total = np.where(odd, random.choice([0, 1, 19, 20, 27, 40, 47, 60, 65_535], count), total)
    four, six = rows.version == 4, rows.version == 6
    rows.matrix[four, 2], rows.matrix[four, 3] = total[four] >> 8 & 0xFF, total[four] & 0xFF
    within = total - 40
    rows.matrix[six, 4], rows.matrix[six, 5] = within[six] >> 8 & 0xFF, within[six] & 0xFF
    rows.flags, rows.seq, rows.tcp = matrix[:, 13].astype(np.int64), seq, tcp
    return matrix, size


def _latest(rows, stamp):
    """The stamp that the other end sent last before each packet, 0 before its first."""
    found = np.zeros(rows.count, np.int64)
    for flow in range(int(rows.flow.max()) + 1):
        for way in (False, True):
            theirs = np.where((rows.flow == flow) & (rows.up != way), np.arange(rows.count), -1)
            last = np.maximum.accumulate(theirs)
            chosen = (rows.flow == flow) & (rows.up == way)
            found[chosen] = np.where(last >= 0, stamp[last], 0)[chosen]
    return found


def _reference(frames, rows, merged, client, captured):
    """The trace of the frames' IP packets as a capture's reader finds them, and how many frames aren't IP."""
    sizes = np.diff(frames.offsets)
    kept = sizes if captured is None else np.minimum(sizes, captured)
    link = np.full(len(frames), ETHERNET, np.int32)
    start = frames.offsets[:-1]
    times = frames.times.astype(np.int64)
    ip = locate_ip(frames.data, start, kept, link)
    records = Records(frames.data, start, kept, times, sizes.astype(np.int32), link, ip)
    packets = records.packets()
    if merged:
        packets = _apart(packets, rows, ip >= 0)
    condition = Condition("hostile", 10.0, 10.0, Labels.unknown(1))
    return Trace("hostile", packets, condition, client), int((ip < 0).sum())


def _apart(packets, rows, is_ip):
    """The packets that were merged: each with its share of payload, its sequence number and its own flags."""
    fields = packets.fields
    assert is_ip.all()
    pieces = np.maximum(1, rows.segments)
    index = np.repeat(np.arange(len(pieces)), pieces)
    place = np.arange(len(index)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    last = place == pieces[index] - 1
    size = np.where(last, rows.payload[index] - place * rows.segment_size[index], rows.segment_size[index])
    out = packets.take(index)
    data, at = out.data.copy(), out.offsets[:-1]
    header = (rows.ip_header + rows.l4_header)[index]
    length = header + size
    four = rows.version[index] == 4
    field = np.where(four, at + 2, at + 4)
    value = np.where(four, length, length - 40)
    data[field], data[field + 1] = value >> 8 & 0xFF, value & 0xFF
    tcp = np.flatnonzero(rows.tcp[index])
    l4 = at + rows.ip_header[index]
    seq = rows.seq[index] + place * rows.segment_size[index]
    for byte in range(4):
        data[l4[tcp] + 4 + byte] = (seq[tcp] >> 8 * (3 - byte)) & 0xFF
    # Segmentation leaves SYN, FIN and PSH to the last.
    flags = np.where(last, rows.flags[index], rows.flags[index] & ~0x0B)
    data[l4[tcp] + 13] = flags[tcp]
    assert len(fields) == len(pieces)
    return Packets(out.ts, length.astype(np.int32), data, out.offsets, out.link)
