"""A house for tests: a root with the real harness and baselines, methods of the test's own, and a small corpus."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.capture.pcap import write_pcap
from benchmark.harness.cell import Rooms
from benchmark.synthesis.compiler import compile_sketch
from benchmark.synthesis.sketch import Sketch

ROOT = Path(__file__).resolve().parents[1]

FRAGILE = '''
"""A method that does what its options say: finish, raise, hang, or be killed, in its fit or its sampling."""

import os
import signal
import time


class Fragile:
    def __init__(self, options):
        self.options = options
        self.figures = {"parameters": 1}

    def _act(self, stage):
        if self.options.get("stage") != stage:
            return
        mode = self.options["mode"]
        if mode == "raise":
            raise ValueError("the method gave up")
        if mode == "hang":
            time.sleep(600)
        if mode == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if mode == "fill":
            self.block = True
        if mode == "unsupported":
            from benchmark.errors import Unsupported
            raise Unsupported("needs a machine that flies")

    def fit(self, corpus, budget, seed, log):
        log.report("fit", 1, 1, loss=0.5)
        self.traces = list(corpus.train)
        with open(self.options["diary"], "a") as diary:
            diary.write("fit\\n")
        self._act("fit")

    def sample(self, conditions, seed):
        with open(self.options["diary"], "a") as diary:
            diary.write("sample\\n")
        self._act("sample")
        yield from self.traces

    def save(self, folder):
        from benchmark.storage.compact import write_traces
        write_traces(folder / "traces.parquet", self.traces)
        if self.options.get("mode") == "fill":
            (folder / "ballast").write_bytes(bytes(200_000_000))

    def load(self, folder):
        from benchmark.storage.compact import read_traces
        self.traces = read_traces(folder / "traces.parquet")


def build(method):
    return Fragile(method.options)
'''


def build_house(folder: Path) -> Path:
    """Make a root whose harness is the real one and whose baselines can be added to; return it."""
    root = folder / "house"
    (root / "baselines").mkdir(parents=True)
    for room in ("benchmark", "conf"):
        (root / room).symlink_to(ROOT / room)
    for entry in (ROOT / "baselines").iterdir():
        if entry.name != "__pycache__":
            (root / "baselines" / entry.name).symlink_to(entry)
    (root / "baselines" / "fragile.py").write_text(FRAGILE)
    build_corpus(root / "captures")
    return root


def build_corpus(folder: Path, traces: int = 6, packets: int = 300) -> Path:
    """Write a folder of small captures with labels, the kind that dataset=pcaps loads."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows = []
    for number in range(traces):
        ts = np.cumsum(rng.exponential(20e6, packets)).astype(np.int64)
        up = rng.random(packets) < 0.3
        payload = np.where(up, 0, 1200).astype(np.int32)
        write_pcap(folder / f"t{number}.pcap", compile_sketch(Sketch("tcp", ts, up, payload), number))
        split = ("train", "train", "validation", "test", "test", "train")[number % 6]
        rows.append({"file": f"t{number}.pcap", "application": "web", "split": split})
    with open(folder / "labels.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, ["file", "application", "split"])
        writer.writeheader()
        writer.writerows(rows)
    return folder


def rooms_of(root: Path) -> Rooms:
    """Rooms of a test's house."""
    return Rooms(root, root / "results")


def config_of(root: Path, generator: str = "fragile", **options: Any) -> dict[str, Any]:
    """Resolved config of a cell on the house's corpus."""
    return {
        "dataset": {"name": "pcaps", "loader": "pcaps", "path": str(root / "captures"), "window": 2.0},
        "generator": {
            "name": generator, "module": f"baselines.{generator}", "repair": "none", "axes": [],
            "options": {**({"diary": str(root / "diary")} if generator == "fragile" else {}), **options},
        },
        "budget": {"name": "tiny", "fit_seconds": 5, "cell_seconds": 300, "network": {}, "image": {}},
        "probe": {"name": "none"}, "router": {"name": "none"}, "seed": 0,
    }  # fmt: skip
