"""nDPI's captures as a corpus: on those at hand, where they are, and on made ones."""

import csv

import pytest

from benchmark.corpora import ndpi
from benchmark.errors import CorpusError
from tests.benchmark.corpora.capture_making import capture, traces_of


def test_ndpi_by_capture(unpacked):
    home = unpacked("ndpi")
    corpus = ndpi.load({"path": "ndpi"}, home.parent)
    found = traces_of(corpus)
    assert len(found) == 51
    assert {"netflix", "youtube", "zoom"} <= set(corpus.applications())
    assert "clock steps" in corpus.notes["cut"]["youtube/quic.pcap"]
    assert "remarks" not in corpus.notes
    assert corpus.digest == ndpi.digest({"path": "ndpi"}, home.parent)
    corpus = ndpi.load({"path": "ndpi", "unit": "flow", "minimum": 10}, home.parent)
    flows = traces_of(corpus)
    assert len(flows) > 700
    with open(home / "flows.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["file"] == "netflix.pcap" and row["dpi_app"] == "NetFlix"]
    counted = [
        name for name, trace in flows.items() if "netflix.pcap" in name and trace.condition.application == "netflix"
    ]
    assert len(counted) == sum(int(row["pkts_c2s"]) + int(row["pkts_s2c"]) >= 10 for row in rows)
    assert all(trace.flows.count == 1 for trace in flows.values())
    (home / "netflix" / "netflix.pcap").write_bytes(capture())
    with pytest.raises(
        CorpusError, match=r"netflix.pcap: not the published file: its SHA-256 is .* dataset.digests=false"
    ):
        ndpi.digest({"path": "ndpi"}, home.parent)
    assert ndpi.digest({"path": "ndpi", "digests": False}, home.parent)


def test_ndpi_by_file_name(tmp_path):
    for name in ("youtube_x", "youtube2", "zoom-1", "zoom-2"):
        (tmp_path / f"{name}.pcap").write_bytes(capture())
    corpus = ndpi.load({"path": "."}, tmp_path)
    assert {name: trace.condition.application for name, trace in traces_of(corpus).items()} == {
        "youtube_x.pcap": "youtube",
        "youtube2.pcap": "youtube",
        "zoom-1.pcap": "zoom",
        "zoom-2.pcap": "zoom",
    }
    assert corpus.notes["remarks"] == ["digests: 4 of 4 files have none known: youtube2.pcap, youtube_x.pcap, …"]
    with pytest.raises(CorpusError, match=r"dataset.unit=flow needs this table of flows"):
        ndpi.load({"path": ".", "unit": "flow"}, tmp_path)
