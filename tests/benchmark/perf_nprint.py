"""Speed of the nPrint encoder beside the user's binary, side by side on one capture; run it by hand.

python -m tests.benchmark.perf_nprint
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmark.capture.pcap import read_frames, write_pcap
from benchmark.errors import Unsupported
from benchmark.nprint.binary import find_nprint
from benchmark.nprint.encoding import Representation, encode_frames
from tests.benchmark.nprint_captures import packet, packets_from

PACKETS = 100_000
REPEATS = 3


def measure() -> dict[str, float]:
    """Packets per second: the encoder, the encoder with reading, and the binary where there is one."""
    rng = np.random.default_rng(0)
    kinds = [packet(kind, payload=bytes(1000)) for kind in (6, 17, 1)]
    chosen = rng.choice(3, PACKETS, p=[0.71, 0.24, 0.05])
    speeds = {"encoder": 0.0, "encoder and reader": 0.0}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "packets.pcap"
        write_pcap(path, packets_from([kinds[kind] for kind in chosen]))
        encode_frames(next(read_frames(path)))  # compiled before it is timed
        for _ in range(REPEATS):
            begin = time.perf_counter()
            encoding = 0.0
            for frames in read_frames(path):
                start = time.perf_counter()
                encode_frames(frames)
                encoding += time.perf_counter() - start
            whole = time.perf_counter() - begin
            speeds["encoder"] = max(speeds["encoder"], PACKETS / encoding)
            speeds["encoder and reader"] = max(speeds["encoder and reader"], PACKETS / whole)
        try:
            binary = find_nprint()
        except Unsupported:
            return speeds
        command = [binary, "-P", str(path), *Representation().arguments()]
        for _ in range(REPEATS):
            begin = time.perf_counter()
            subprocess.run(command, stdout=subprocess.DEVNULL, check=True, timeout=600)
            seconds = time.perf_counter() - begin
            speeds["binary"] = max(speeds.get("binary", 0.0), PACKETS / seconds)
    return speeds


def main() -> None:
    """Print the best of three of each, and the ratio."""
    speeds = measure()
    for name, speed in speeds.items():
        print(f"nprint {name:20s} {speed:12,.0f} packets/s")
    if "binary" in speeds:
        print(f"the encoder is {speeds['encoder'] / speeds['binary']:.0f} times as fast")
    else:
        print("nprint binary absent (name yours in NPRINT_BIN): no ratio")


if __name__ == "__main__":
    main()
