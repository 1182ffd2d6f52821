"""Captures made for the tests of loaders, and the traces of what they load."""

import struct

from tests.benchmark.capture_bytes import ethernet, ipv4, pcap, udp


def traces_of(corpus):
    return {trace.name: trace for split in (corpus.train, corpus.validation, corpus.test) for trace in split}


def capture(count=30, flows=1, start=1_700_000_000, times=None):
    """Make a capture of packets between 10.0.0.2 and 10.0.0.1, flow by flow in turn; times are seconds."""
    frames = [
        ethernet(ipv4(udp(bytes(10 + i % 7), source=5000 + i % flows), source="10.0.0.2", destination="10.0.0.1"))
        for i in range(count)
    ]
    if times is None:
        return pcap(frames, start=start)
    out = [pcap([])]
    for frame, time in zip(frames, times, strict=True):
        whole, part = divmod(round((start + time) * 1e6), 10**6)
        out.append(struct.pack("<IIII", whole, part, len(frame), len(frame)) + frame)
    return b"".join(out)
