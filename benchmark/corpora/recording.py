"""Reading a capture for a corpus: its clock is checked, its damage named, its payload cut."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.capture.pcap import read_frames, read_packets
from benchmark.checksum import convention_checksums
from benchmark.corpora.account import Account
from benchmark.corpora.capture_folder import Settings
from benchmark.errors import CorpusError, TraceError
from benchmark.trace import NANOSECONDS, Packets

# Captures of several queues are out of order by milliseconds; more is a clock set back, or a second capture.
BACKWARD = 1.0


@dataclass(frozen=True)
class Recording:
    """The packets kept of a capture. epoch_ns: the first one's time, nanoseconds since 1970."""

    packets: Packets
    epoch_ns: int


@dataclass(frozen=True)
class _Scan:
    """count: IP packets ahead of the fault, or of the limit. fault: what is wrong with the next, or empty."""

    count: int
    epoch_ns: int
    fault: str
    error: Exception | None = None


def read_recording(path: Path, name: str, settings: Settings, account: Account) -> Recording | None:
    """Read a capture as the options ask; None, and an entry of the account, where it holds nothing readable.

    Layer 4 checksums follow ``benchmark.checksum``, since captured payloads are cut.
    Raises TraceError for a damaged capture, CorpusError for a clock that steps, unless ``keep_readable``: then what
    lies ahead of the fault is kept, and the account says so.
    """
    scan = _scan(path, settings)
    if scan.error is not None:
        if not settings.keep_readable:
            raise scan.error
        (account.cut if scan.count else account.left_out)[name] = scan.fault
        if not scan.count:
            return None
    packets = read_packets(
        path,
        scan.error is not None,
        limit=scan.count or None,
        duration=settings.duration,
        snaplen=settings.snaplen,
    )
    return Recording(convention_checksums(packets), scan.epoch_ns)


def clock_fault(ts: NDArray[np.int64], settings: Settings, last: int | None = None) -> tuple[int, str]:
    """Return the index of the first time, of int64 [n] nanoseconds, that steps away, and how; (n, "") if none does.

    last: the time ahead of the first.
    """
    if len(ts) == 0:
        return 0, ""
    gaps = np.diff(ts, prepend=ts[0] if last is None else last)
    ahead = np.iinfo(np.int64).max if settings.clock_step is None else round(settings.clock_step * NANOSECONDS)
    wrong = np.flatnonzero((gaps > ahead) | (gaps < -BACKWARD * NANOSECONDS))
    if not len(wrong):
        return len(ts), ""
    gap = int(gaps[wrong[0]]) / NANOSECONDS
    bound = f"dataset.clock_step is {settings.clock_step:g} s" if gap > 0 else f"more than {BACKWARD:g} s"
    return int(wrong[0]), f"its clock steps {'on' if gap > 0 else 'back'} by {abs(gap):.3f} s ({bound})"


def _scan(path: Path, settings: Settings) -> _Scan:
    """Walk the times of a capture in file order, as far as the options will have its packets."""
    count, first, last, earliest = 0, None, None, 0
    try:
        for ts in _times(path):
            if first is None:
                first = earliest = int(ts[0])
            if settings.duration is not None:
                ts = ts[ts < first + round(settings.duration * NANOSECONDS)]
                if not len(ts):
                    break
            if settings.limit is not None:
                ts = ts[: settings.limit - count]
            sound, fault = clock_fault(ts, settings, last)
            count += sound
            earliest = min([earliest, *ts[:sound].min(keepdims=True).tolist()]) if sound else earliest
            if fault:
                fault = f"{fault} at IP packet {count + 1}"
                hint = "dataset.keep_readable=true keeps the packets ahead of it"
                return _Scan(count, earliest, fault, CorpusError(f"{path}: {fault}; {hint}"))
            if count == settings.limit:
                break
            last = int(ts[-1])
    except TraceError as error:
        return _Scan(count, earliest, str(error), error)
    return _Scan(settings.limit or 0, earliest, "")


def _times(path: Path) -> Iterator[NDArray[np.int64]]:
    """Yield the times of a capture's IP packets, block by block."""
    for frames in read_frames(path):
        ts = frames.ts[frames.ip >= 0]
        if len(ts):
            yield ts
