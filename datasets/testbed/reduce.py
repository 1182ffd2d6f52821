"""Turn captured sessions into corpora: traces of headers with labels, a manifest and a card.

    python datasets/testbed/reduce.py SESSIONS --out FOLDER       writes a folder for each corpus of the sessions' plan
    python datasets/testbed/reduce.py --card datasets/streaming   writes the tables of its card.md again

SESSIONS is what ``capture.py`` leaves: plan.json, and for each session a folder of capture.pcap (the client's capture),
log.json (the player's or the call's log) and session.json (what was asked for, how it went, the verdict). Rejected
sessions stand in the manifest's notes with the reason. Each capture is cut to the session's duration from its first
packet, with the flows of cross traffic, and to the headers and the first payload bytes (TCP 0, QUIC 1, other UDP
16); its layer 4 checksums are set to the convention of ``benchmark.checksum``, and its times are rounded to 1 us.
Labels are made by ``player_labels``, splits by ``splits``.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmark.capture.pcap import read_packets
from benchmark.checksum import convention_checksums
from benchmark.corpora.manifest import Entry, Manifest, file_digest, trace_digest, write_manifest
from benchmark.corpus import SPLITS
from benchmark.errors import CorpusError, TraceError
from benchmark.storage.compact import read_traces, write_traces
from benchmark.storage.residuals import microseconds_of
from benchmark.trace import NANOSECONDS, Condition, Packets, Trace
from benchmark.wire import SKIP_NONE, TCP
from corpus_card import END, START, write_card
from player_labels import LADDER, RULE, label_call, label_streaming
from session import CLIENT_ADDRESS, CROSS_PORT
from splits import split_traces

CLIENT = f"{CLIENT_ADDRESS}/32"
FILE = "traces.parquet"
APPLICATIONS = {"light": "light", "chromium": "shaka"}
CALLS = {"chromium": "webrtc", "aiortc": "aiortc"}
# Fewer calls, or fewer traces that stall after playback began, are too few to rank by.
FEWEST_CALLS = 20
FEWEST_STALLS = 20
LATENESS = ("lateness_mean_ms", "lateness_p99_ms", "lateness_max_ms", "late_share")


@dataclass(frozen=True)
class Captured:
    """A session's folder and what its session.json says."""

    folder: Path
    about: Mapping[str, Any]

    @property
    def session(self) -> Mapping[str, Any]:
        """What was asked for, as ``session.Session`` has it."""
        return dict(self.about["session"])

    @property
    def kept(self) -> bool:
        """Whether the session was kept."""
        return bool(self.about["verdict"] == "kept")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("sessions", nargs="?", type=Path, help="folder of captured sessions")
    parser.add_argument("--out", type=Path, help="where the corpora's folders go")
    parser.add_argument("--card", type=Path, metavar="FOLDER", help="write the tables of FOLDER/card.md anew")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.card is not None:
            write_card(chosen.card)
        elif chosen.sessions is not None and chosen.out is not None:
            reduce_sessions(chosen.sessions, chosen.out)
        else:
            parser.error("give a folder of sessions with --out FOLDER, or --card FOLDER")
    except (CorpusError, TraceError) as error:
        print(f"reduce: {error}", file=sys.stderr)
        return 1
    return 0


def reduce_sessions(sessions: Path, out: Path) -> list[Path]:
    """Make the corpora of the plan from the sessions that were kept; return their folders.

    Raises CorpusError where a session lacks a file or isn't of the plan, and, when the other corpora are written, where
    none of a corpus was kept; TraceError for a capture that can't be read.
    """
    plan = _read_json(sessions / "plan.json")
    found = read_sessions(sessions, plan)
    if not found:
        raise CorpusError(f"{sessions}: there is no session in this folder")
    folders, spoilt = list[Path](), list[str]()
    for corpus in plan["corpora"]:
        chosen = [captured for captured in found if captured.session["kind"] == corpus["kind"]]
        kept = [captured for captured in chosen if captured.kept]
        if chosen and not kept:
            reasons = "; ".join(f"{captured.folder.name}: {captured.about['reason']}" for captured in chosen[:3])
            spoilt.append(f"no session of {corpus['name']} was kept ({reasons})")
        if not kept:
            continue
        traces = [trace_of(captured, corpus["window"]) for captured in kept]
        folder = out / corpus["name"]
        write_corpus(folder, corpus, traces, int(plan["version"]), int(plan["seed"]), notes_of(plan, corpus, chosen))
        folders.append(folder)
    if spoilt:
        raise CorpusError(f"{sessions}: {'; '.join(spoilt)}")
    return folders


def read_sessions(sessions: Path, plan: Mapping[str, Any]) -> list[Captured]:
    """Return the sessions in a folder, in order of name."""
    found = []
    for folder in sorted(sessions.iterdir()):
        if not folder.is_dir() or folder.name.startswith("."):
            continue
        if folder.name not in plan["sessions"]:
            raise CorpusError(f"{folder}: plan {plan['name']} has no such session; move the folder away")
        captured = Captured(folder, _read_json(folder / "session.json"))
        if captured.session["name"] != folder.name:
            raise CorpusError(f"{folder}: session.json is that of session '{captured.session['name']}'")
        found.append(captured)
    return found


def trace_of(captured: Captured, window: float) -> Trace:
    """Return the trace of a session, labelled, in windows of ``window`` seconds."""
    session, link = captured.session, captured.about["link"]
    log = _read_json(captured.folder / "log.json")
    path = captured.folder / "capture.pcap"
    if not path.is_file():
        raise CorpusError(f"{path}: the session lacks this file")
    first, duration = captured.about["first_packet"], float(session["duration"])
    windows = round(duration / window)
    if windows * window != duration:
        raise CorpusError(f"{captured.folder}: {duration:g} s aren't whole windows of {window:g} s")
    if session["kind"] == "streaming":
        application = f"{APPLICATIONS[session['client']]}-{session['protocol']}"
        labels = label_streaming(log, first, window, windows)
        asked: tuple[str, ...] = ("adaptation", "protocol", "congestion", "clip", "offset", "cross")
    else:
        application = CALLS[session["client"]]
        labels = label_call(log, first, window, windows)
        asked = ("protocol", "codec", "height", "cross")
    packets = cut_packets(read_packets(path, duration=duration), duration)
    notes = {
        "player": log.get("client") if session["kind"] == "streaming" else session["client"],
        **{name: session[name] for name in asked},
        **{name: value for name, value in session["notes"].items() if name != "group"},
        **(buffer_notes(session, log, first) if session["kind"] == "streaming" else {}),
        **({"cross_port": CROSS_PORT} if session["cross"] != "none" else {}),
        "link": session["link"],
        "link_began": round(link["began"] - first, 3),
        "lateness": {name: link[name] for name in LATENESS},
        "dropped": {"queue": link["dropped_queue"], "loss": link["dropped_loss"]},
        "load": captured.about["machine"]["load"],
    }
    return Trace(captured.folder.name, packets, Condition(application, duration, window, labels), CLIENT, notes)


def buffer_notes(session: Mapping[str, Any], log: Mapping[str, Any], first: float) -> dict[str, Any]:
    """Return the player's buffer goal, s, and what it had ahead, [second of the trace, s] once a second."""
    buffered: dict[int, float] = {}
    for sample in log["samples"]:
        second = math.floor(sample["t"] / 1000 - first)
        if 0 <= second < session["duration"]:
            buffered.setdefault(second, round(float(sample["buf"]), 1))
    return {"buffer_goal": session["buffer"], "buffer": [list(pair) for pair in sorted(buffered.items())]}


def cut_packets(packets: Packets, duration: float) -> Packets:
    """Return what a corpus keeps of a capture; this module's docstring says what that is."""
    ts = microseconds_of(packets.ts - packets.ts[0]) * 1000
    packets = replace(packets, ts=ts).take(ts < duration * NANOSECONDS)
    fields = packets.fields
    quic = (fields.sport == 443) | (fields.dport == 443)
    prefix = np.where(fields.protocol == TCP, 0, np.where(quic, 1, 16))
    wanted = fields.ip_header.astype(np.int64) + fields.l4_header + prefix
    sizes = np.where(fields.skip == SKIP_NONE, np.minimum(wanted, packets.captured), packets.captured)
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    source = np.repeat(packets.offsets[:-1] - offsets[:-1], sizes) + np.arange(offsets[-1])
    return convention_checksums(replace(packets, data=packets.data[source], offsets=offsets))


def write_corpus(
    folder: Path,
    corpus: Mapping[str, Any],
    traces: Sequence[Trace],
    version: int,
    seed: int,
    notes: Mapping[str, Any],
) -> None:
    """Write traces, manifest and card aside, then put the whole in ``folder``'s place; its card's text stays."""
    splits = split_traces(traces, corpus["shares"], seed)
    empty = set(SPLITS) - set(splits.values())
    if empty:
        raise CorpusError(f"{folder}: {len(traces)} sessions are too few: none is left for {', '.join(sorted(empty))}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    # The card is headed by its folder's name, so the folder aside has the same one.
    aside = folder.parent / f".{folder.name}.{os.getpid()}" / folder.name
    shutil.rmtree(aside.parent, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        write_traces(aside / FILE, traces)
        stored = read_traces(aside / FILE)
        if [trace_digest(trace) for trace in stored] != [trace_digest(trace) for trace in traces]:
            raise CorpusError(f"{folder / FILE}: what was written isn't what is read back")
        manifest = Manifest(
            name=folder.name,
            version=version,
            label_rule=RULE,
            window=float(corpus["window"]),
            client=CLIENT,
            ladder=LADDER if corpus["kind"] == "streaming" else (),
            files={FILE: file_digest(aside / FILE)},
            unscored={**unscored_tasks(corpus["kind"], traces), **corpus["unscored"]},
            notes=notes,
            traces=_entries(traces, splits),
        )
        write_manifest(aside / "manifest.json", manifest)
        card = folder / "card.md"
        text = card.read_text(encoding="utf-8") if card.exists() else _first_card(folder.name, manifest)
        (aside / "card.md").write_text(text, encoding="utf-8")
        write_card(aside)
        if folder.exists():
            os.replace(folder, aside.parent / "before")
        os.replace(aside, folder)
    finally:
        shutil.rmtree(aside.parent, ignore_errors=True)


def unscored_tasks(kind: str, traces: Sequence[Trace]) -> dict[str, str]:
    """Return the downstream tasks that the corpus can't support, with the reason."""
    if kind == "call":
        few = f"only {len(traces)} calls; fewer than {FEWEST_CALLS} aren't scored"
        tasks = dict.fromkeys(("height", "stall", "fps", "bitrate"), few) if len(traces) < FEWEST_CALLS else {}
        return {"rung": "calls have no ladder", "startup": "a call's log doesn't tell when it was wanted", **tasks}
    unscored = {"fps": "the label rule takes no frame rate from a streaming player"}
    stalled = sum(float(np.nansum(trace.labels.stall)) > trace.labels.startup + 0.1 for trace in traces)
    if stalled < FEWEST_STALLS:
        unscored["stall"] = f"only {stalled} of {len(traces)} traces stall after playback began"
    return unscored


def notes_of(plan: Mapping[str, Any], corpus: Mapping[str, Any], chosen: Sequence[Captured]) -> dict[str, Any]:
    """Return the manifest's notes: the plan, what became of its sessions, the software, the days."""
    groups = plan["sessions"]
    asked = Counter(entry["group"] for entry in groups.values() if entry["kind"] == corpus["kind"])
    kept = Counter(groups[each.folder.name]["group"] for each in chosen if each.kept)
    rejected = {each.folder.name: each.about["reason"] for each in chosen if not each.kept}
    lost = Counter(groups[name]["group"] for name in rejected)
    versions: dict[str, set[str]] = {}
    for each in chosen:
        for name, version in each.about.get("versions", {}).items():
            versions.setdefault(name, set()).add(version)
    days = sorted(time.strftime("%Y-%m-%d", time.gmtime(each.about["began"])) for each in chosen if each.kept)
    return {
        "plan": plan["name"],
        "seed": plan["seed"],
        "shares": corpus["shares"],
        "captured": [days[0], days[-1]],
        "groups": {
            group: {"asked": count, "kept": kept[group], "rejected": lost[group]} for group, count in asked.items()
        },
        "rejected": rejected,
        "versions": {name: ", ".join(sorted(found)) for name, found in sorted(versions.items())},
    }


def _entries(traces: Sequence[Trace], splits: Mapping[str, str]) -> tuple[Entry, ...]:
    return tuple(
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
    )


def _first_card(name: str, manifest: Manifest) -> str:
    made = manifest.notes
    return (
        f"# {name}\n\nVersion {manifest.version}, captured by `python datasets/testbed/capture.py plan={made['plan']}`"
        f" on {made['captured'][-1]}; labels by rule {manifest.label_rule} of `datasets/testbed/player_labels.py`.\n\n"
        f"{START}\n{END}\n"
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        missing = "the folder lacks this file; capture.py writes it" if path.name == "plan.json" else ""
        raise CorpusError(f"{path}: {missing or 'the session lacks this file'}") from error
    except (OSError, ValueError) as error:
        raise CorpusError(f"{path}: not a JSON file ({error})") from error
    if not isinstance(content, dict):
        raise CorpusError(f"{path}: not a JSON object")
    return content


if __name__ == "__main__":
    sys.exit(main())
