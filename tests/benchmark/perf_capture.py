"""Packets read per second, with header fields: our reader beside dpkt and scapy on one generated file.

Run as ``python -m tests.benchmark.perf_capture [PACKETS]``; figures are the best of several rounds, one core.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import dpkt
import numpy as np
from scapy.layers.inet import IP, TCP
from scapy.utils import PcapReader, RawPcapReader

from benchmark.capture.pcap import read_frames, read_packets, write_pcap
from benchmark.trace import Packets

ROUNDS = 5
# Objects a packet are so slow that a share of the file tells their rate.
SCAPY_PACKETS = 2_000
DPKT_PACKETS = 20_000


def generate(count: int) -> Packets:
    """Make TCP packets of a download: three in four are full, the rest acknowledgements."""
    draw = np.random.default_rng(0)
    length = np.where(draw.random(count) < 0.25, 52, 760).astype(np.int32)
    offsets = np.concatenate([[0], np.cumsum(length)]).astype(np.int64)
    data = draw.integers(0, 256, offsets[-1], np.uint8)
    head = np.frombuffer(bytes.fromhex("4500000000004000400600000a0000020a000001"), np.uint8)
    tail = np.frombuffer(bytes.fromhex("9c4001bb00000000000000008010ffff000000000101080a"), np.uint8)
    for place, part in ((0, head), (20, tail)):
        data[offsets[:-1, None] + place + np.arange(len(part))] = part
    data[offsets[:-1] + 2] = length >> 8
    data[offsets[:-1] + 3] = length & 255
    data[offsets[:-1] + 21] = draw.integers(0, 64, count)
    return Packets(np.arange(count, dtype=np.int64) * 20_000, length, data, offsets)


def read_ours(path: Path) -> int:
    """Read all packets and parse their fields."""
    packets = read_packets(path)
    return len(packets.fields.seq)


def walk_ours(path: Path) -> int:
    """Read all frames, with the place of their IP header, but no fields."""
    return sum(len(frames) for frames in read_frames(path))


def read_dpkt(path: Path) -> int:
    """Read and dissect with dpkt down to the TCP sequence number."""
    count = 0
    with open(path, "rb") as file:
        for _, data in dpkt.pcap.Reader(file):
            _ = dpkt.ethernet.Ethernet(data).data.data.seq
            count += 1
            if count == DPKT_PACKETS:
                break
    return count


def walk_dpkt(path: Path) -> int:
    """Read raw records with dpkt."""
    with open(path, "rb") as file:
        return sum(1 for _ in dpkt.pcap.Reader(file))


def read_scapy(path: Path) -> int:
    """Read and dissect with scapy down to the TCP sequence number."""
    count = 0
    with PcapReader(str(path)) as reader:
        for packet in reader:
            _ = packet[IP][TCP].seq
            count += 1
            if count == SCAPY_PACKETS:
                break
    return count


def walk_scapy(path: Path) -> int:
    """Read raw records with scapy."""
    with RawPcapReader(str(path)) as reader:
        return sum(1 for _ in reader)


READERS: dict[str, tuple[tuple[str, Callable[[Path], int]], ...]] = {
    "with header fields": (("ours", read_ours), ("dpkt", read_dpkt), ("scapy", read_scapy)),
    "records only": (("ours", walk_ours), ("dpkt", walk_dpkt), ("scapy", walk_scapy)),
}


def rate(read: Callable[[Path], int], path: Path) -> float:
    """Packets per second of the fastest round."""
    best = 0.0
    for _ in range(ROUNDS):
        start = time.perf_counter()
        count = read(path)
        best = max(best, count / (time.perf_counter() - start))
    return best


def main() -> None:
    """Print packets per second and how many times ours the others take."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "generated.pcap"
        write_pcap(path, generate(count), link=1)
        first = time.perf_counter()
        read_ours(path)
        print(f"{count:,} packets, {path.stat().st_size / 1e6:.0f} MB; first read, compiling or not,", end=" ")
        print(f"{time.perf_counter() - first:.2f} s; best of {ROUNDS} rounds, one core, warm")
        for title, readers in READERS.items():
            rates = {name: rate(read, path) for name, read in readers}
            for name, value in rates.items():
                print(f"{title:<20} {name:<6} {value:>12,.0f} packets/s   ours is {rates['ours'] / value:,.1f}x")


if __name__ == "__main__":
    main()
