"""Validity of public captures: other people's real traffic, with its offloads, losses and mid-stream starts."""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import pytest

from benchmark.errors import TraceError
from benchmark.pcap import read_packets
from benchmark.trace import Condition, Labels, Trace
from benchmark.validator import check

ARCHIVE = Path(__file__).parents[3] / "shared" / "data" / "public" / "ndpi.tar.xz"

# Captured where checksums were left to the network card, or with a broken stack in them.
OFFLOADED = {"dnscrypt-v2-doh", "geforcenow", "ftp", "dropbox", "facebook", "youtube_quic", "line", "bittorrent",
             "openvpn", "rtp", "quic-28", "tumblr", "instagram"}  # fmt: skip
# Lost a good part of its packets while it was captured.
LOSSY = {"netflix"}


@pytest.fixture(scope="module")
def captures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    if not ARCHIVE.exists():
        pytest.skip("the public captures (ndpi.tar.xz) aren't here")
    folder = tmp_path_factory.mktemp("ndpi")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return sorted(path for path in folder.rglob("*") if path.suffix in (".pcap", ".pcapng"))


def test_public_captures_are_nearly_legal(captures: list[Path]) -> None:
    legal = packets = 0
    parsed = []
    for path in captures:
        try:
            held = read_packets(path, keep_readable=True)
        except TraceError:
            continue
        if len(held) == 0:
            continue
        findings = check(Trace(path.stem, held, Condition("", 60, 10, Labels.unknown(6))), with_tshark=False)
        parsed.append(findings.share(0))
        if path.stem in OFFLOADED | LOSSY:
            continue
        assert findings.share(1) >= 0.98, (path.stem, findings.counts())
        legal += int(np.count_nonzero(findings.legal(2)))
        packets += len(findings)
    assert np.mean(parsed) > 0.999
    assert packets > 20_000
    assert legal / packets > 0.99
