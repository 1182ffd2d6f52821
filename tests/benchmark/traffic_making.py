"""Traces made for the tests of metrics: on-off TCP downloads whose rate differs from trace to trace."""

from dataclasses import replace

import numpy as np

from benchmark.metric import Evidence
from benchmark.trace import Condition, Labels, Packets, Trace

CLIENT, SERVER = (10, 0, 0, 2), (203, 0, 113, 9)
HEADER = 52


def trace_of(gap, size, up, name="one", duration=12.0, seed=0, protocol=6, ttl=64, application="made"):
    """A one-flow trace from gaps (seconds, one ahead of each packet), IP sizes (bytes) and directions."""
    random = np.random.default_rng(seed)
    count = len(gap)
    up = np.asarray(up, bool)
    port = int(random.integers(32768, 60999))
    start_seq, start_ack, clock = random.integers(1, 1 << 31, 3)
    data = np.zeros((count, HEADER), np.uint8)
    data[:, 0], data[:, 8], data[:, 9] = 0x45, ttl, protocol
    put(data, 2, size, 2)
    data[:, 12:16] = np.where(up[:, None], CLIENT, SERVER)
    data[:, 16:20] = np.where(up[:, None], SERVER, CLIENT)
    put(data, 20, np.where(up, port, 443), 2)
    put(data, 22, np.where(up, 443, port), 2)
    if protocol == 6:
        payload = np.maximum(0, np.asarray(size, np.int64) - HEADER)
        sent_up, sent_down = (np.cumsum(payload * way) for way in (up, ~up))
        ahead, behind = start_seq + sent_up - payload * up, start_ack + sent_down - payload * ~up
        put(data, 24, np.where(up, ahead, behind), 4)
        put(data, 28, np.where(up, behind, ahead), 4)
        data[:, 32], data[:, 33] = 0x80, 0x10
        put(data, 34, np.full(count, 501), 2)
        data[:, 40:44] = (1, 1, 8, 10)
        stamp = clock + np.cumsum(np.asarray(gap) * 1000).astype(np.int64)
        put(data, 44, stamp, 4)
        put(data, 48, stamp // 2 + 1, 4)
    else:
        put(data, 24, np.asarray(size) - 20, 2)
    ts = np.round(np.cumsum(gap) * 1e9).astype(np.int64)
    ts = ts - ts[0] if count else ts
    packets = Packets(ts, np.asarray(size, np.int32), data.ravel(), np.arange(count + 1, dtype=np.int64) * HEADER)
    condition = Condition(application, duration, 2.0, Labels.unknown(round(duration / 2.0)))
    return Trace(name, packets, condition, "10.0.0.2/32")


def put(data, at, values, width):
    """Write big-endian numbers of ``width`` bytes into columns of a header table."""
    for place in range(width):
        shift = 8 * (width - 1 - place)
        data[:, at + place] = (np.asarray(values, np.int64) >> shift) & 0xFF


def stream(name, seed, duration=12.0):
    """A download in segments: a request, a burst of full packets, acknowledgements, then silence."""
    random = np.random.default_rng(seed)
    rate = random.uniform(1e6, 4e6)
    gap, size, up = [], [], []
    while sum(gap) < duration - 0.5:
        burst = int(random.integers(30, 90))
        pause = random.uniform(0.2, 0.8)
        gap += [pause, 0.02]
        size += [int(random.integers(420, 700)), 52]
        up += [True, False]
        for packet in range(burst):
            gap.append(1500 * 8 / rate * random.lognormal(0, 0.3))
            size.append(1500 if packet < burst - 1 else int(random.integers(100, 1400)))
            up.append(False)
            if packet % 2:
                gap.append(random.uniform(5e-5, 5e-4))
                size.append(52)
                up.append(True)
    return trace_of(gap, size, up, name, duration, seed)


def streams(count, seed, prefix):
    return [stream(f"{prefix}{number:02d}", seed + number) for number in range(count)]


def rebuilt(trace, gaps, order=None):
    """The same packets with other gaps (nanoseconds), in another order."""
    packets = trace.packets if order is None else trace.packets.take(order)
    ts = np.cumsum(gaps)
    return Trace("synthetic-" + trace.name, replace(packets, ts=ts - ts[0]), trace.condition, trace.client)


def gaps_of(trace):
    return np.diff(trace.packets.ts, prepend=trace.packets.ts[:1])


def shuffled_gaps(trace, seed=0):
    """Packets in their order with their gaps dealt anew: gaps as a whole stay as they were."""
    return rebuilt(trace, np.random.default_rng(seed).permutation(gaps_of(trace)))


def shuffled_packets(trace, seed=0):
    """Packets, each with its gap, in random order."""
    order = np.random.default_rng(seed).permutation(len(trace.packets))
    return rebuilt(trace, gaps_of(trace)[order], order)


def drawn_packets(trace, seed=0):
    """Packets, each with its gap, drawn independently with replacement."""
    count = len(trace.packets)
    order = np.random.default_rng(seed).integers(0, count, count)
    return rebuilt(trace, gaps_of(trace)[order], order)


def jittered(trace, spread, seed=0):
    """A copy whose every gap is a little longer or shorter."""
    noise = np.random.default_rng(seed).lognormal(0, spread, len(trace.packets))
    return rebuilt(trace, (gaps_of(trace) * noise).astype(np.int64))


def evidence_of(train, test, synthetic, validation=(), **more):
    return Evidence(train, list(validation), test, synthetic, synthetic, synthetic, **more)
