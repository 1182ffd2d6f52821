"""Which captured sessions are kept: pure rules, each with a named limit, over what was recorded of a session.

    python datasets/testbed/verdict.py SESSIONS      judges the sessions there again, by the limits of now

A session is rejected where the testbed, not the link that was asked for, may have shaped what was captured: a rejected
session tells of an overloaded machine or a broken run, never of bad quality.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from outcome import KEPT, REJECTED, write_json
from session import Link, Session


@dataclass(frozen=True)
class Limits:
    """The limits of the rules; times in seconds unless named otherwise.

    late_share: of packets that left the relay over 5 ms late. lateness_ms: the latest packet; such a pause of the
    relay is an outage that nobody asked for. steal: share of CPU time that the hypervisor took. load: of the
    machine, a core, beside a browser, which decodes pictures; a light player and the relay go ahead of other
    work, and their own samples and lateness tell where that wasn't enough. wake_ms: how late a sleeping process
    of the session's priority wakes, the 99th percentile. sample_gap, browser_gap: between two samples of a light
    player and of a browser's, which a busy machine delays. uncovered: of the end of the capture that the player's
    samples don't reach. clock_step: of the wall clock against the monotonic one. packets: fewest captured.
    frame_share: of the camera's frames that a call's sender made while its network didn't limit it; aiortc, which
    encodes in Python and doesn't tell what limits it, has a low limit of its own. settling: of a call's start, not
    counted in that. cpu_limited: share of the sender's samples in which the encoder says that the CPU limits it.
    encode_ms: of a frame, on average; 3 ms are usual. page_late_ms, page_late_share: how late the sender's page was
    for its own timer, and in how many of its samples it may be later.
    """

    late_share: float = 0.01
    lateness_ms: float = 500.0
    steal: float = 0.05
    load: float = 8.0
    wake_ms: float = 250.0
    sample_gap: float = 1.5
    browser_gap: float = 3.0
    uncovered: float = 1.5
    clock_step: float = 0.05
    packets: int = 50
    frame_share: float = 0.85
    frame_share_aiortc: float = 0.15
    settling: float = 5.0
    cpu_limited: float = 0.1
    encode_ms: float = 20.0
    page_late_ms: float = 300.0
    page_late_share: float = 0.05


LIMITS = Limits()


@dataclass(frozen=True)
class Evidence:
    """What was recorded of a session; see ``run_session`` for the keys. first_packet: unix seconds, NaN of none."""

    session: Session
    link: Mapping[str, Any]
    captured: Mapping[str, Any]
    machine: Mapping[str, Any]
    log: Mapping[str, Any]
    first_packet: float


def judge(evidence: Evidence, limits: Limits = LIMITS) -> str:
    """Return why a session is rejected, all reasons in one line; empty where it is kept."""
    reasons = (rule(evidence, limits) for rule in RULES)
    return "; ".join(reason for reason in reasons if reason)


def relay_was_late(evidence: Evidence, limits: Limits = LIMITS) -> str:
    """Reject where the relay itself delayed packets."""
    # The kernel's own emulation doesn't tell.
    share, latest = evidence.link.get("late_share") or 0.0, evidence.link.get("lateness_max_ms") or 0.0
    if share > limits.late_share:
        return f"the relay sent {share:.1%} of its packets over 5 ms late"
    if latest > limits.lateness_ms:
        return f"the relay sent a packet {latest:.0f} ms late"
    return ""


def machine_was_busy(evidence: Evidence, limits: Limits = LIMITS) -> str:
    """Reject where other work took the processors."""
    steal, load = evidence.machine.get("steal_share", 0.0), evidence.machine.get("load", 0.0)
    cores = max(1, evidence.machine.get("cores", 1))
    if steal > limits.steal:
        return f"the hypervisor took {steal:.1%} of the CPU time"
    if evidence.session.client == "chromium" and load > limits.load * cores:
        return f"the machine's load was {load:.1f} on {cores} cores"
    wake = evidence.machine.get("wake_p99_ms", 0.0)
    if wake > limits.wake_ms:
        return f"the session's own process woke {wake:.0f} ms late once in a hundred times"
    return ""


def clock_was_set(evidence: Evidence, limits: Limits = LIMITS) -> str:
    """Reject where the wall clock was set, since capture and log are matched by it."""
    step = evidence.machine.get("clock_step", 0.0)
    return f"the clock was set by {step:.3f} s" if abs(step) > limits.clock_step else ""


def capture_lacks_packets(evidence: Evidence, limits: Limits = LIMITS) -> str:
    """Reject a capture with packets dropped, or with hardly any."""
    dropped, packets = evidence.captured.get("dropped", 0), evidence.captured.get("packets", 0)
    if dropped:
        return f"the capture dropped {dropped} packets"
    if packets < limits.packets or math.isnan(evidence.first_packet):
        return f"the capture has only {packets} packets"
    return ""


def log_is_incomplete(evidence: Evidence, limits: Limits = LIMITS) -> str:
    """Reject a log without samples, with a hole in them, or that ends before the capture is cut."""
    if not evidence.log:
        return "the player left no log"
    call = evidence.session.kind == "call"
    times = [sample["t"] / 1000 for sample in evidence.log.get("client" if call else "samples") or []]
    if not times:
        return "the player's log has no samples"
    end = evidence.first_packet + evidence.session.duration
    if times[-1] < end - limits.uncovered:
        return f"the player's log ends {end - times[-1]:.1f} s early"
    if call:
        return ""
    limit = limits.sample_gap if evidence.session.client == "light" else limits.browser_gap
    gap = max((after - before for before, after in pairwise(times)), default=0.0)
    return f"the player took no sample for {gap:.1f} s" if gap > limit else ""


def player_never_played(evidence: Evidence, limits: Limits = LIMITS) -> str:
    """Reject a player that showed nothing, or a call that received no frame."""
    if not evidence.log:
        return ""
    if evidence.session.kind == "call":
        frames = [sample.get("in_video", {}).get("framesDecoded", 0) for sample in evidence.log.get("client") or []]
        return "" if max(frames, default=0) > 0 else "the call's receiver decoded no frame"
    if not evidence.log.get("started"):
        return "the player never started to play"
    return "" if evidence.log.get("segs") else "the player fetched no segment"


def protocol_is_another(evidence: Evidence, limits: Limits = LIMITS) -> str:
    """Reject where the browser or client negotiated another protocol than was asked for."""
    if evidence.session.kind == "call" or not evidence.log:
        return ""
    spoken = evidence.log.get("protocol")
    return "" if spoken == evidence.session.protocol else f"the player spoke {spoken}, not {evidence.session.protocol}"


def frame_rate_was_starved(evidence: Evidence, limits: Limits = LIMITS) -> str:
    """Reject a call whose sender made far fewer frames than its camera should while its network didn't limit it.

    A browser's are counted ahead of the encoder, which drops frames at a low rate without saying so where it was told
    to keep the resolution.
    """
    asked = evidence.log.get("asked_fps")
    if evidence.session.kind != "call" or not asked:
        return ""
    begin = evidence.log.get("t_connect", 0) + 1000 * limits.settling
    samples = [sample for sample in evidence.log.get("server") or [] if sample["t"] >= begin and "out_video" in sample]
    frames = seconds = 0.0
    for before, after in pairwise(samples):
        sent = [_frames_made(sample) for sample in (before, after)]
        limited = {sample["out_video"].get("qualityLimitationReason") for sample in (before, after)}
        if sent[0] is None or sent[1] is None or "bandwidth" in limited:
            continue
        frames += sent[1] - sent[0]
        seconds += (after["t"] - before["t"]) / 1000
    aiortc = evidence.session.client == "aiortc"
    if seconds and frames / seconds < asked * (limits.frame_share_aiortc if aiortc else limits.frame_share):
        return f"the call's sender made {frames / seconds:.1f} frames a second of {asked:g}"
    reasons = [sample["out_video"].get("qualityLimitationReason") for sample in samples]
    starved = reasons.count("cpu") / len(reasons) if reasons else 0.0
    return f"the call's sender lacked CPU in {starved:.0%} of its samples" if starved > limits.cpu_limited else ""


def _frames_made(sample: Mapping[str, Any]) -> int | None:
    made = sample.get("source_video", {}).get("frames", sample["out_video"].get("framesSent"))
    return None if made is None else int(made)


def sender_was_slow(evidence: Evidence, limits: Limits = LIMITS) -> str:
    """Reject a browser's call whose sender took long to encode, or was late itself; Chromium seldom says so."""
    if evidence.session.kind != "call" or evidence.session.client != "chromium":
        return ""
    begin = evidence.log.get("t_connect", 0) + 1000 * limits.settling
    samples = [sample for sample in evidence.log.get("server") or [] if sample["t"] >= begin and "out_video" in sample]
    if len(samples) < 2:
        return ""
    first, last = (sample["out_video"] for sample in (samples[0], samples[-1]))
    frames = last.get("framesEncoded", 0) - first.get("framesEncoded", 0)
    took = 1000 * (last.get("totalEncodeTime", 0.0) - first.get("totalEncodeTime", 0.0)) / max(frames, 1)
    if took > limits.encode_ms:
        return f"the call's sender took {took:.0f} ms to encode a frame"
    late = sum(sample.get("late", 0) > limits.page_late_ms for sample in samples) / len(samples)
    if late > limits.page_late_share:
        return f"the call's sender was over {limits.page_late_ms:.0f} ms late in {late:.0%} of its samples"
    return ""


RULES: tuple[Callable[[Evidence, Limits], str], ...] = (
    relay_was_late,
    machine_was_busy,
    clock_was_set,
    capture_lacks_packets,
    log_is_incomplete,
    player_never_played,
    protocol_is_another,
    frame_rate_was_starved,
    sender_was_slow,
)


def judge_again(folder: Path) -> tuple[str, str]:
    """Judge a session's folder again and write the verdict there; return the verdict before and now.

    A session that didn't run to its end stays as it is.
    """
    path = folder / "session.json"
    about = json.loads(path.read_text(encoding="utf-8"))
    before = str(about["verdict"])
    link, captured, machine, first = (about.get(name) for name in ("link", "captured", "machine", "first_packet"))
    if not (link and captured and machine and first and (folder / "log.json").is_file()):
        return before, before
    given = about["session"]
    session = Session(**{**given, "link": Link(**given["link"])})
    log = json.loads((folder / "log.json").read_text(encoding="utf-8"))
    reason = judge(Evidence(session, link, captured, machine, log, first))
    now = REJECTED if reason else KEPT
    write_json(path, {**about, "verdict": now, "reason": reason})
    return before, now


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    if len(given) != 1 or given[0].startswith("-"):
        print((__doc__ or "").strip())
        return 0 if {"-h", "--help"} & set(given) else 2
    folders = sorted(path.parent for path in Path(given[0]).glob("[!.]*/session.json"))
    for folder in folders:
        before, now = judge_again(folder)
        if before != now:
            print(f"{folder.name}: {before} before, {now} now")
    print(f"{len(folders)} sessions judged")
    return 0


if __name__ == "__main__":
    sys.exit(main())
