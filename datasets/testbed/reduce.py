"""Turn captured sessions into a corpus: traces of headers with labels, a manifest and a card.

    python datasets/testbed/reduce.py SESSIONS --out datasets     writes datasets/streaming and datasets/calls
    python datasets/testbed/reduce.py --card datasets/streaming   writes the tables of its card.md again

A session is NAME.pcap (the client's capture), NAME.json (the player's or the call's log), NAME.link (the
emulated link, JSON) and for streaming NAME.labels.json, of which only ``client`` and ``proto`` are used.
Each capture is cut to 60 s from its first packet, to the headers and the first payload bytes (TCP 0, QUIC 1,
other UDP 16), its layer 4 checksums are set to the convention of ``benchmark.checksum``, and its times are
rounded to 1 us. Labels are made by ``player_labels``.

Split rule: within each application (in alphabetical order) traces are sorted by mean rung, then by name;
each goes to the split that is furthest behind its share of the traces seen so far (ties: train, test,
validation).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from corpus_card import write_card
from player_labels import LADDER, RULE, label_call, label_streaming

from benchmark.capture.pcap import read_frames, read_packets
from benchmark.checksum import convention_checksums
from benchmark.corpora.manifest import Entry, Manifest, file_digest, trace_digest, write_manifest
from benchmark.errors import CorpusError, TraceError
from benchmark.storage.compact import read_traces, write_traces
from benchmark.storage.residuals import microseconds_of
from benchmark.trace import NANOSECONDS, Condition, Packets, Trace
from benchmark.wire import SKIP_NONE, TCP

VERSION = 0
DURATION = 60.0
CLIENT = "10.77.0.2/32"
FILE = "traces.parquet"
WINDOWS = {"streaming": 10.0, "calls": 1.0}
SHARES = {
    "streaming": {"train": 24 / 48, "test": 14 / 48, "validation": 10 / 48},
    "calls": {"train": 1 / 3, "test": 1 / 3, "validation": 1 / 3},
}
TASKS = ("rung", "height", "startup", "stall", "fps", "bitrate")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("sessions", nargs="?", type=Path, help="folder of captured sessions")
    parser.add_argument("--out", type=Path, default=Path("datasets"), help="where the corpora's folders go")
    parser.add_argument("--card", type=Path, metavar="FOLDER", help="write the tables of FOLDER/card.md anew")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.card is not None:
            write_card(chosen.card)
        elif chosen.sessions is not None:
            reduce_sessions(chosen.sessions, chosen.out)
        else:
            parser.error("give a folder of sessions, or --card FOLDER")
    except (CorpusError, TraceError) as error:
        print(f"reduce: {error}", file=sys.stderr)
        return 1
    return 0


def reduce_sessions(sessions: Path, out: Path) -> None:
    """Make one corpus of the streaming sessions and one of the calls in a folder."""
    corpora: dict[str, list[Trace]] = {name: [] for name in WINDOWS}
    for capture in sorted(sessions.glob("*.pcap")):
        log = _read_json(capture.with_suffix(".json"))
        name = "calls" if "t_connect" in log else "streaming"
        corpora[name].append(_streaming(capture, log) if name == "streaming" else _call(capture, log))
    if not any(corpora.values()):
        raise CorpusError(f"{sessions}: there is no session (NAME.pcap) in this folder")
    for name, traces in corpora.items():
        if traces:
            write_corpus(out / name, name, traces)


def write_corpus(folder: Path, name: str, traces: Sequence[Trace]) -> None:
    """Write the traces, the manifest and the card's tables into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    write_traces(folder / FILE, traces)
    stored = read_traces(folder / FILE)
    if [trace_digest(trace) for trace in stored] != [trace_digest(trace) for trace in traces]:
        raise CorpusError(f"{folder / FILE}: what was written isn't what is read back")
    splits = split_traces(traces, SHARES[name])
    entries = [
        Entry(
            name=trace.name,
            file=FILE,
            packets=len(trace.packets),
            digest=trace_digest(trace),
            split=splits[trace.name],
            application=trace.condition.application,
            duration=round(float(trace.packets.ts[-1]) / NANOSECONDS, 6),
            session=trace.name,
        )
        for trace in traces
    ]
    manifest = Manifest(
        name=name,
        version=VERSION,
        label_rule=RULE,
        window=WINDOWS[name],
        client=CLIENT,
        ladder=LADDER if name == "streaming" else (),
        files={FILE: file_digest(folder / FILE)},
        unscored=unscored_tasks(name, traces),
        traces=tuple(entries),
    )
    write_manifest(folder / "manifest.json", manifest)
    write_card(folder)


def split_traces(traces: Sequence[Trace], shares: Mapping[str, float]) -> dict[str, str]:
    """Return the split of each trace by name, after the rule in this module's docstring."""
    splits: dict[str, str] = {}
    taken = dict.fromkeys(shares, 0)
    ordered = sorted(
        traces, key=lambda trace: (trace.condition.application, float(np.mean(trace.labels.rung)), trace.name)
    )
    for count, trace in enumerate(ordered, start=1):
        # Rounding keeps equal shares tied on every machine.
        behind = {split: round(share * count - taken[split], 9) for split, share in shares.items()}
        split = max(behind, key=lambda name: behind[name])
        splits[trace.name] = split
        taken[split] += 1
    return splits


def unscored_tasks(name: str, traces: Sequence[Trace]) -> dict[str, str]:
    """Return the downstream tasks that the corpus can't support, with the reason."""
    if name == "calls":
        reason = f"version {VERSION} has {len(traces)} calls; calls are scored from version 1 of the corpus"
        return dict.fromkeys(TASKS, reason)
    stalled = sum(float(trace.labels.stall.sum()) > trace.labels.startup + 0.1 for trace in traces)
    return {
        "stall": f"only {stalled} of {len(traces)} traces stall after playback began",
        "fps": "the streaming players' logs have no frame rate",
    }


def cut_packets(packets: Packets) -> Packets:
    """Return what a corpus keeps of a capture; this module's docstring says what that is."""
    ts = microseconds_of(packets.ts - packets.ts[0]) * 1000
    packets = replace(packets, ts=ts).take(ts < DURATION * NANOSECONDS)
    fields = packets.fields
    quic = (fields.sport == 443) | (fields.dport == 443)
    prefix = np.where(fields.protocol == TCP, 0, np.where(quic, 1, 16))
    wanted = fields.ip_header.astype(np.int64) + fields.l4_header + prefix
    sizes = np.where(fields.skip == SKIP_NONE, np.minimum(wanted, packets.captured), packets.captured)
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    source = np.repeat(packets.offsets[:-1] - offsets[:-1], sizes) + np.arange(offsets[-1])
    return convention_checksums(replace(packets, data=packets.data[source], offsets=offsets))


def _streaming(capture: Path, log: Mapping[str, Any]) -> Trace:
    about = _read_json(capture.with_suffix(".labels.json"))
    client, protocol = str(about["client"]), str(about["proto"])
    software = "shaka" if client.startswith("chromium") else "light"
    window = WINDOWS["streaming"]
    labels = label_streaming(log, _first_packet(capture), window, round(DURATION / window))
    condition = Condition(f"{software}-{protocol}", DURATION, window, labels)
    notes = {"player": client, "protocol": protocol, "link": _read_json(capture.with_suffix(".link"))}
    return _trace(capture, condition, notes)


def _call(capture: Path, log: Mapping[str, Any]) -> Trace:
    window = WINDOWS["calls"]
    labels = label_call(log, _first_packet(capture), window, round(DURATION / window))
    notes = {"player": "chromium", "codec": log["codec"], "link": _read_json(capture.with_suffix(".link"))}
    return _trace(capture, Condition("webrtc", DURATION, window, labels), notes)


def _trace(capture: Path, condition: Condition, notes: Mapping[str, Any]) -> Trace:
    packets = read_packets(capture, duration=DURATION)
    return Trace(capture.stem, cut_packets(packets), condition, CLIENT, notes)


def _first_packet(capture: Path) -> float:
    """Return when the capture's first packet was seen, in unix seconds."""
    return float(min(int(frames.ts.min()) for frames in read_frames(capture) if len(frames.ts))) / NANOSECONDS


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CorpusError(f"{path}: the session lacks this file") from error
    except ValueError as error:
        raise CorpusError(f"{path}: not a JSON file ({error})") from error
    if not isinstance(content, dict):
        raise CorpusError(f"{path}: not a JSON object")
    return content


if __name__ == "__main__":
    sys.exit(main())
