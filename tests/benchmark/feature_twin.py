"""The features again, in slow plain Python: all flows in time order, lists and dictionaries, no cleverness.

It shares nothing with ``benchmark.quality.machine``; what it says is what kernel and machine must say.
"""

from collections import defaultdict

TCP, UDP = 6, 17
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
LOW = (1 << 32) - 1


def interval(now, then):
    passed = (now - then) % (1 << 32)
    return passed if passed < 1 << 31 else 0


def signed(value):
    value %= 1 << 32
    return value - (1 << 32) if value >= 1 << 31 else value


def eighths(value):
    """Eight times log2, linear between powers of two, by exact fractions."""
    if value == 0:
        return 0
    top = value.bit_length() - 1
    return 8 * top + (8 * (value - (1 << top))) // (1 << top)


def squared(gap):
    return (min(gap, (1 << 24) - 1) // 1024) ** 2


def divided(total, count):
    return (total % (1 << 32)) // count if count else 0


class Half:
    """One direction of a flow: what is kept, and lists of what the window saw."""

    def __init__(self):
        self.window = None  # none before the first packet
        self.last = self.next_seq = self.last_ack = 0
        self.probe = None  # (number, TSval, tick)
        self.probes = self.answered = 0
        self.clear()

    def clear(self):
        self.lengths, self.sizes, self.gaps, self.trips = [], [], [], []
        self.count = defaultdict(int)


class Flow:
    def __init__(self):
        self.halves = [Half(), Half()]
        self.requested = None  # tick of the last request
        self.number = 0
        self.running = None  # [request number, start, last, bytes]
        self.size_last = 0
        self.recent = []
        self.frame = None  # [tick, bytes]
        self.clear_down()

    def clear_down(self):
        self.segments = []  # (bytes, ticks, idle, interval)
        self.video = self.frames = 0
        self.frame_done, self.frame_gaps = [], []


def twin_rows(trace):
    """Features of every flow and window: {(flow, window): [values of F5]}."""
    fields, flows, packets = trace.packets.fields, trace.flows, trace.packets
    length = round(trace.condition.window * 1_000_000_000)
    earliest = min([0, *packets.ts.tolist()])  # times are unsigned
    epoch = int(packets.ts[0]) - earliest if len(packets) else 0
    state, rows = {}, {}
    for i in range(len(packets)):
        number = int(flows.index[i])
        if number < 0:
            continue
        flow = state.setdefault(number, Flow())
        up = bool(flows.up[i])
        own, other = flow.halves[0 if up else 1], flow.halves[1 if up else 0]
        opening = own.window is None
        ns = int(packets.ts[i]) - earliest
        newest = max((half.window for half in flow.halves if half.window is not None), default=None)
        place = max(0, (ns - epoch) // length)
        if opening or own.window < newest or ns >= epoch + (own.window + 1) * length:
            if newest is not None and place > newest:
                rows[number, newest] = row_of(flow, newest, epoch, length)
            own.window = place if newest is None else max(place, newest)
            own.clear()
            if up:
                flow.requests = 0
            else:
                flow.clear_down()
        packet = {name: int(getattr(fields, name)[i]) for name in ("seq", "ack", "flags", "ts_value", "ts_echo")}
        packet |= {"protocol": int(fields.protocol[i]), "stamped": bool(fields.has_ts[i])}
        packet |= {"size": min(65535, int(fields.payload[i])), "tick": (ns // 1024) % (1 << 32)}
        own.lengths.append(int(packets.length[i]))
        count(flow, own, other, up, opening, packet)
    for number, flow in state.items():
        newest = max(half.window for half in flow.halves if half.window is not None)
        rows[number, newest] = row_of(flow, newest, epoch, length)
    return rows


def count(flow, own, other, up, opening, packet):
    size, tick = packet["size"], packet["tick"]
    own.sizes.append(size)
    if not opening:
        own.gaps.append(interval(tick, own.last))
    own.last = tick
    if packet["protocol"] == TCP:
        count_tcp(own, other, opening, packet)
    if up:
        least = 47 if packet["protocol"] == TCP else 60
        if size >= least and (flow.requested is None or interval(tick, flow.requested) * 1024 >= 50_000_000):
            flow.requested, flow.number = tick, flow.number + 1
            flow.requests += 1
        return
    if size:
        if flow.running is None or flow.running[0] != flow.number:
            if flow.running is not None and flow.running[0]:
                _, start, last, got = flow.running
                asked = flow.requested
                spans = interval(last, start), interval(asked, last), interval(asked, start)
                flow.segments.append((got, *spans))
                flow.size_last = got
            flow.running = [flow.number, flow.requested or 0, tick, 0]
        flow.running[2] = tick
        flow.running[3] += size
    if packet["protocol"] == UDP and size > 298:
        flow.video += size
        if any(abs(size - seen) <= 2 for seen in flow.recent):
            flow.frame[1] += size
        else:
            if flow.frame:
                flow.frame_gaps.append(interval(tick, flow.frame[0]))
                flow.frame_done.append(flow.frame[1])
            flow.frame = [tick, size]
            flow.frames += 1
        flow.recent = [size, *flow.recent][:3]


def count_tcp(own, other, opening, packet):
    size, flags, seq = packet["size"], packet["flags"], packet["seq"]
    own.count["pushes"] += bool(flags & PSH)
    bare = size == 0 and flags & ACK and not flags & (SYN | FIN | RST)
    own.count["repeated"] += bool(bare and not opening and packet["ack"] == own.last_ack)
    if flags & ACK:
        own.last_ack = packet["ack"]
    taken = size + bool(flags & SYN) + bool(flags & FIN)
    if taken and opening:
        own.next_seq = (seq + taken) & LOW
    elif taken:
        own.count["holes"] += signed(seq - own.next_seq) > 0
        if signed(seq + taken - own.next_seq) > 0:
            own.next_seq = (seq + taken) & LOW
        elif size:
            own.count["retransmits"] += 1
    if not packet["stamped"]:
        return
    if flags & ACK and other.probes != own.answered:
        past = signed(packet["ts_echo"] - other.probe[0])
        if past == 0:
            own.trips.append(interval(packet["tick"], other.probe[1]))
        if past >= 0:
            own.answered = other.probes
    known = own.probe[0] if own.probe else 0
    if size and own.probes == other.answered and packet["ts_value"] != known:
        own.probe = (packet["ts_value"], packet["tick"])
        own.probes += 1


def row_of(flow, window, epoch, length):
    halves = [half if half.window == window else Half() for half in flow.halves]
    up, down = (half.window == window for half in flow.halves)
    columns = [part for make in (counts, sizes, gaps, tcp) for half in halves for part in make(half)]
    columns.append(flow.requests if up else 0)
    done = flow.segments if down else []
    got = [segment[0] for segment in done]
    took = [segment[1] for segment in done]
    rate = sum(256 + eighths(a) - eighths(b) for a, b in zip(got, took, strict=True))
    open_bytes = flow.running[3] if down and flow.running else 0
    end = (epoch + (window + 1) * length) // 1024
    columns += [len(done), sum(got), divided(sum(got), len(done)), max(got, default=0)]
    columns += [flow.size_last if down else 0, open_bytes, sum(took), max(took, default=0)]
    columns += [divided(rate, len(done)), sum(segment[2] for segment in done)]
    columns.append(interval(end, flow.running[2]) if open_bytes else 0)
    columns += [min(255, sum(place(a // 4096, 11) == k for a in got)) for k in range(12)]
    frames, gap = (flow.frames, flow.frame_gaps) if down else (0, [])
    columns += [frames, flow.video if down else 0, divided(flow.video, frames) if down else 0]
    columns += [max(flow.frame_done, default=0) if down else 0]
    columns += [sum(map(squared, gap)), max(gap, default=0)]
    for half in halves:
        columns.append(len({(size * 0x9E3779B1 % (1 << 32)) // (1 << 24) for size in half.sizes if size}))
    newest = [*reversed(done)][:10] + [(0, 0, 0, 0)] * 10
    columns += [segment[0] for segment in newest[:10]] + [segment[3] for segment in newest[:10]]
    return [column % (1 << 32) for column in columns]


def place(value, most):
    return min(value.bit_length(), most)


def counts(half):
    return len(half.lengths), sum(half.lengths)


def sizes(half):
    filled = [size for size in half.sizes if size]
    bins = [0 if size == 0 else min(7, 1 + (size // 64).bit_length()) for size in half.sizes]
    return (
        *(
            len(filled),
            sum(filled),
            divided(sum(filled), len(filled)),
            sum(size * size // 1024 for size in filled),
        ),
        *(min(filled, default=0), max(filled, default=0)),
        *(min(65535, bins.count(k)) for k in range(8)),
    )


def gaps(half):
    edges = [32 * 4**k for k in range(9)]
    bins = [sum(gap >= edge for edge in edges) for gap in half.gaps]
    return (
        *(sum(half.gaps), divided(sum(half.gaps), len(half.lengths)), sum(map(squared, half.gaps))),
        *(min(half.gaps, default=0), max(half.gaps, default=0)),
        sum(gap * 1024 >= 30_000_000 for gap in half.gaps),
        *(min(65535, bins.count(k)) for k in range(10)),
    )


def tcp(half):
    trips = half.trips
    return (
        *(half.count[name] for name in ("pushes", "repeated", "retransmits", "holes")),
        *(len(trips), divided(sum(trips), len(trips)), min(trips, default=0), max(trips, default=0)),
    )
