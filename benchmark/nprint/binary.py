"""The user's own nPrint binary, run as a subprocess and guarded against its known faults.

It isn't shipped: ``NPRINT_BIN`` or the PATH names it. What nprint 1.2.1 does wrong, and the answer to it:

- it crashes on missing and empty files: ``benchmark.capture.pcap`` reads the capture first, and along with it;
- it reads past the captured bytes of cut packets: those cells become -1;
- with ``-p`` it crashes where the IP length is 0, and reads IPv6 TCP payloads in the wrong place: refused;
- it drops VLAN-tagged and other frames silently, and takes some others for IP: rows are joined by a count of
  the frames that it is bound to print, and the output is refused where it doesn't add up.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from benchmark.capture.frames import ETHERNET, IPV4, IPV6, LINUX_SLL, RAW, RAW_BSD, RAW_OPENBSD, Frames
from benchmark.capture.pcap import read_frames
from benchmark.errors import TraceError, Unsupported
from benchmark.nprint.columns import Representation
from benchmark.nprint.encoding import eligible_frames, encode_frames
from benchmark.nprint.process import running

# Bytes of a cooked header, which the tool skips.
_SLL_BYTES = 16
_BLOCK_ROWS = 4096

Block = tuple[NDArray[np.int8], NDArray[np.int64]]


def find_nprint() -> str:
    """Return the path of the user's nPrint binary; Unsupported says how to get one."""
    named = os.environ.get("NPRINT_BIN", "")
    found = shutil.which(named or "nprint")
    if found:
        return os.path.abspath(found)
    why = f"NPRINT_BIN={named} isn't an executable" if named else "no nprint on the PATH"
    raise Unsupported(
        f"{why}: build nprint 1.2.1 from https://github.com/nprint/nprint and name it in NPRINT_BIN, "
        "or use the native encoder (--backend native), which gives the same bits"
    )


def run_nprint(
    path: str | Path,
    options: Representation | None = None,
    *,
    timeout: float = 600.0,
    keep_readable: bool = False,
) -> Block:
    """Return the binary's matrix of a capture, int8 [rows, columns], and rows' frame numbers, int64 [rows].

    Everything else as in ``stream_nprint``.
    """
    chosen = options or Representation()
    blocks = list(stream_nprint(path, chosen, timeout=timeout, keep_readable=keep_readable))
    if not blocks:
        return np.zeros((0, chosen.columns), np.int8), np.zeros(0, np.int64)
    return np.concatenate([rows for rows, _ in blocks]), np.concatenate([index for _, index in blocks])


def stream_nprint(
    path: str | Path,
    options: Representation,
    *,
    timeout: float = 600.0,
    keep_readable: bool = False,
) -> Iterator[Block]:
    """Yield the binary's matrix in blocks of at most 4,096 rows, each with its frame numbers, from 0.

    timeout: seconds for the whole run. Raises Unsupported without a binary, and TraceError for a capture that
    can't be read or the binary can't be trusted with, or where its output isn't what the capture asks for.
    """
    binary = find_nprint()
    frames_ahead = 0
    command = [binary, "-P", os.path.abspath(path), *options.arguments()]
    # The first frames are read before the tool starts, so that an empty or foreign file never reaches it.
    source = read_frames(path, keep_readable)
    frames = next(source, None)
    if frames is None:
        return
    _refuse_what_it_cannot_read(frames, options, path)
    with running(command, path, timeout) as rows:
        rows.read_header(options)
        while frames is not None:
            printed = _printed(frames)
            for first in range(0, len(printed), _BLOCK_ROWS):
                part = printed[first : first + _BLOCK_ROWS]
                matrix = rows.read(len(part), options)
                ours = np.isin(part, eligible_frames(frames))
                kept = part[ours]
                yield _checked(matrix[ours], frames, kept, options, path), frames_ahead + kept
            frames_ahead += len(frames.ip)
            frames = next(source, None)
            if frames is not None:
                _refuse_what_it_cannot_read(frames, options, path)
        rows.read_end()


def _printed(frames: Frames) -> NDArray[np.int64]:
    """Numbers of the frames that the tool prints, by its own rule for where IP starts."""
    skipped = _SLL_BYTES if frames.link == LINUX_SLL else 0
    return np.flatnonzero(_prints(np.ascontiguousarray(frames.data), frames.offsets, skipped))


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _prints(data: Any, offsets: Any, skipped: int) -> Any:
    found = np.zeros(len(offsets) - 1, np.bool_)
    for i in range(len(found)):
        at = offsets[i] + skipped
        end = offsets[i + 1]
        if end - at >= 14 and (
            (data[at + 12] == 0x08 and data[at + 13] == 0x00) or (data[at + 12] == 0x86 and data[at + 13] == 0xDD)
        ):
            at += 14
        if end - at < 10:
            continue
        version = data[at] >> 4
        if version == 4:
            protocol = data[at + 9]
        elif version == 6:
            protocol = data[at + 6]
        else:
            continue
        found[i] = protocol in (6, 17, 1)
    return found


def _refuse_what_it_cannot_read(frames: Frames, options: Representation, path: str | Path) -> None:
    if frames.link not in (ETHERNET, RAW, RAW_BSD, RAW_OPENBSD, IPV4, IPV6, LINUX_SLL):
        raise TraceError(f"the nprint binary can't read link type {frames.link}; use the native encoder", path)
    if options.payload == 0:
        return
    rows = eligible_frames(frames)
    at = frames.offsets[rows] + frames.ip[rows]
    first = frames.data[at] >> 4
    length = (frames.data[at + 2].astype(np.int64) << 8) | frames.data[at + 3]
    if np.any((first == 4) & (length == 0)):
        raise TraceError(
            "it has an IP length of 0 (segmentation offload), on which the nprint binary crashes with -p; "
            "use the native encoder",
            path,
        )


def _checked(
    matrix: NDArray[np.int8],
    frames: Frames,
    rows: NDArray[np.int64],
    options: Representation,
    path: str | Path,
) -> NDArray[np.int8]:
    """Return the matrix with -1 where the tool read beyond what was captured."""
    ours, _ = encode_frames(frames, options, rows)
    cut = np.diff(frames.offsets)[rows] < frames.wire[rows]
    matrix[cut[:, None] & (ours == -1)] = -1
    if options.payload == 0:
        return matrix
    shown = slice(options.columns - 8 * options.payload, None)
    # The payload's end by the IP header: the tool takes a length below the headers' for a huge one.
    payload = matrix[:, shown]
    payload[ours[:, shown] == -1] = -1
    start = frames.offsets[rows] + frames.ip[rows]
    wrong = np.any(payload != ours[:, shown], axis=1) & (frames.data[start] >> 4 == 6)
    if np.any(wrong):
        raise TraceError(
            f"frame {rows[wrong][0]} is IPv6, whose payload this nprint binary reads in the wrong place; "
            "use the native encoder or leave -p out",
            path,
        )
    return matrix
