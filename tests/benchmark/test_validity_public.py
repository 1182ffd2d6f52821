"""Validity of public captures: other people's traffic, with offloads, losses and mid-stream starts."""

from __future__ import annotations

import tarfile
from collections import Counter
from pathlib import Path

import pytest

from benchmark.capture.pcap import read_packets
from benchmark.errors import TraceError
from benchmark.trace import Condition, Labels, Trace
from benchmark.validator import RULES, check

ARCHIVE = Path(__file__).parents[3] / "shared" / "data" / "public" / "ndpi.tar.xz"

# Filled in by the network card after the capture, where it was taken at the sender.
CHECKSUMS = {"ip_checksum", "l4_checksum"}
# What a capture shows that lost packets itself, began in mid-connection, or saw a route change.
CAPTURE = {"seq_gap", "ack_unseen", "ts_echo", "sack", "no_handshake", "ttl_change"}


@pytest.fixture(scope="module")
def captures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    if not ARCHIVE.exists():
        pytest.skip("the public captures (ndpi.tar.xz) aren't here")
    folder = tmp_path_factory.mktemp("ndpi")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return sorted(path for path in folder.rglob("*") if path.suffix in (".pcap", ".pcapng"))


def test_public_captures_are_nearly_legal(captures: list[Path]) -> None:
    packets = 0
    broken: Counter[str] = Counter()
    for path in captures:
        try:
            held = read_packets(path, keep_readable=True)
        except TraceError:
            continue
        findings = check(Trace(path.stem, held, Condition("", 60, 10, Labels.unknown(6))), with_tshark=False)
        packets += len(findings)
        broken.update(findings.counts())
    assert packets > 50_000
    by_level = [0] * 5
    for rule in RULES:
        if rule.name not in CHECKSUMS | CAPTURE:
            by_level[rule.level] += broken[rule.name]
    assert by_level[0] == 0
    assert by_level[1] < packets / 5_000, broken
    assert by_level[2] < packets / 2_000, broken
    assert sum(broken[name] for name in CHECKSUMS) < packets / 15
    assert sum(broken[name] for name in CAPTURE) < packets / 25
