"""Sessions made for the tests of pictures, and corpora of them."""

from dataclasses import replace

import numpy as np

from benchmark.corpora.manifest import Entry, Manifest, file_digest, trace_digest, write_manifest
from benchmark.storage.compact import write_traces
from benchmark.trace import NANOSECONDS, Condition, Labels, join_packets
from tests.benchmark.traffic_making import trace_of

LADDER = (144, 240, 360, 480, 720, 1080)
MAGIC = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}


def labels_of(rung, stall=0.0, startup=1.0, fps=None):
    windows = len(rung)
    rung = np.array(rung, np.int8)
    if fps is not None:
        rung[:] = -1
    return Labels(
        rung,
        np.where(rung >= 0, np.array(LADDER)[rung], 180).astype(np.int16),
        np.full(windows, stall, np.float32),
        np.full(windows, np.nan if fps is None else fps, np.float32),
        np.full(windows, 2e6, np.float32),
        startup if fps is None else float("nan"),
    )


def streamed(name, rung=(2, 2, 3), application="light-h2", seed=0, notes=None, **labels):
    """A trace of 10 packets a second for 30 s, 1,400 bytes down and 100 up in turn, with labels."""
    made = trace_of([0.1] * 295, [1400, 100] * 147 + [1400], [False, True] * 147 + [False], name, 30.0, seed)
    known = {"stall": 0.0, "startup": 1.0, "fps": None, **labels}
    condition = Condition(application, 30.0, 10.0, labels_of(list(rung), **known))
    return replace(made, condition=condition, notes=notes or {})


def crossed(name, port=8443, **made):
    """The same beside five flows of others' larger downloads, from ``port``."""
    first = streamed(name, **made)
    parts = [first.packets]
    for seed in range(5):
        other = trace_of([0.1] * 250, [1500] * 250, [False] * 250, seed=7 + seed).packets
        data = other.data.copy().reshape(len(other), -1)
        data[:, 20:22] = port >> 8, port & 255
        parts.append(replace(other, data=data.ravel()))
    packets = join_packets(parts)
    return replace(first, packets=packets.take(np.argsort(packets.ts, kind="stable")))


def write_corpus(folder, traces, ladder=LADDER):
    folder.mkdir(parents=True)
    write_traces(folder / "traces.parquet", traces)
    splits = ["train", "validation", "test"]
    entries = [
        Entry(
            trace.name,
            "traces.parquet",
            len(trace.packets),
            trace_digest(trace),
            splits[place % 3],
            trace.condition.application,
            float(trace.packets.ts[-1]) / NANOSECONDS,
            "",
        )
        for place, trace in enumerate(traces)
    ]
    digests = {"traces.parquet": file_digest(folder / "traces.parquet")}
    unscored = dict.fromkeys(("rung", "height", "startup", "stall", "fps", "bitrate"), "made for a test")
    write_manifest(
        folder / "manifest.json",
        Manifest(folder.name, 0, 1, 10.0, "10.0.0.2/32", digests, tuple(entries), ladder, unscored),
    )
