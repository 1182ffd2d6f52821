"""Captures sorted by service, as NetDiffusion and NetSSM read them: a trace for each flow or capture."""

import pytest

from benchmark.corpora import netdiffusion, netssm
from benchmark.errors import CorpusError
from tests.benchmark.corpora.capture_making import capture, traces_of


@pytest.fixture
def services(tmp_path):
    for application in ("Netflix", "zoom"):
        for i in range(4):
            path = tmp_path / "Video" / application / f"{i}.pcap"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(capture(60, flows=3))
    return tmp_path


def test_a_trace_for_each_flow(services):
    corpus = netdiffusion.load({"path": "."}, services)
    found = traces_of(corpus)
    assert len(found) == 24
    assert corpus.applications() == ["netflix", "zoom"]
    for trace in found.values():
        assert len(trace.packets) == 20
        assert trace.packets.ts[0] == 0
        assert trace.flows.count == 1
    splits = [{trace.notes["file"] for trace in split} for split in (corpus.train, corpus.validation, corpus.test)]
    assert sum(len(files) for files in splits) == len(set.union(*splits)) == 8
    short = traces_of(netdiffusion.load({"path": ".", "flow_packets": 12}, services))
    assert {len(trace.packets) for trace in short.values()} == {12}
    with pytest.raises(CorpusError, match="no trace"):
        netdiffusion.load({"path": ".", "minimum": 21}, services)


def test_a_trace_for_each_capture(services):
    found = traces_of(netssm.load({"path": "."}, services))
    assert len(found) == 8
    assert {len(trace.packets) for trace in found.values()} == {60}
    corpus = netssm.load({"path": ".", "each": 3}, services)
    assert len(traces_of(corpus)) == 6
    assert corpus.notes["left_out"]["Video/zoom/3.pcap"] == "over dataset.each=3 of zoom"


def test_the_table_of_labels_that_netssm_reads(tmp_path):
    names = [f"{application}{i}.pcap" for application in ("netflix", "x") for i in range(3)]
    for name in names:
        (tmp_path / "input").mkdir(exist_ok=True)
        (tmp_path / "input" / name).write_bytes(capture())
    with pytest.raises(CorpusError, match=r"x0.pcap: its path names none of netflix, .*labels.csv"):
        netssm.load({"path": "."}, tmp_path)
    rows = "".join(f"{name},{name[:-6]}\n" for name in names)
    (tmp_path / "labels.csv").write_text("File,Label\n" + rows)
    assert netssm.load({"path": "."}, tmp_path).applications() == ["netflix", "x"]
    (tmp_path / "labels.csv").write_text("File,Label\n" + rows + "y.pcap,y\n")
    with pytest.raises(CorpusError, match=r"labels.csv line 8: there is no capture 'y.pcap'"):
        netssm.load({"path": "."}, tmp_path)
    (tmp_path / "labels.csv").write_text("File,Label\n" + rows[: rows.rindex("x2")])
    with pytest.raises(CorpusError, match=r"x2.pcap: the capture has no application in labels.csv"):
        netssm.load({"path": "."}, tmp_path)
