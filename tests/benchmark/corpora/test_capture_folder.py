"""A folder of captures with tables of windows: what fits, what is left out, and clocks that step."""

import hashlib

import numpy as np
import pytest

from benchmark.corpora import pcaps
from benchmark.corpora.capture_folder import Settings
from benchmark.corpora.recording import clock_fault
from benchmark.errors import CorpusError
from benchmark.trace import NANOSECONDS
from tests.benchmark.capture_bytes import pcap
from tests.benchmark.corpora.capture_making import capture, traces_of


@pytest.fixture
def folder(tmp_path):
    for i in range(6):
        (tmp_path / f"{i}.pcap").write_bytes(capture())
    (tmp_path / "labels.csv").write_text("file,application\n" + "".join(f"{i}.pcap,a\n" for i in range(6)))
    return tmp_path


def load_folder(folder, rows=None, header="file,start,end,stall", **more):
    if rows is not None:
        (folder / "windows.csv").write_text("\n".join([header, *rows]) + "\n")
    return pcaps.load({"path": ".", **more}, folder)


def test_windows_by_start_and_end(folder):
    rows = [f"{i}.pcap,{10 * k},{10 * k + 10},{k}" for i in range(6) for k in range(3)]
    for trace in traces_of(load_folder(folder, rows)).values():
        assert trace.labels.stall.tolist() == [0, 1, 2]
    rows[4:4] = ["1.pcap,5,15,1"]
    with pytest.raises(CorpusError, match=r"line 6: a window of '1.pcap', 5 to 15 s overlaps 0 to 10 s, .* line 5"):
        load_folder(folder, rows)


WINDOW_FAULTS = {
    "off the grid": ("0.pcap,3,13,1", r"line 2: 3 to 13 s isn't window 0 of 10 s \(0 to 10 s\); dataset.window"),
    "backwards": ("0.pcap,10,5,1", "a window from 10 to 5 s can't be"),
    "no end": ("0.pcap,10,,1", "a window needs both its start and its end"),
    "far beyond": (
        "0.pcap,500,510,1",
        r"'0.pcap' has a label of window 50, but the capture's last packet is in window 2",
    ),
}


@pytest.mark.parametrize("name", WINDOW_FAULTS)
def test_windows_that_cannot_be(folder, name):
    row, message = WINDOW_FAULTS[name]
    others = [f"{i}.pcap,0,10,1" for i in range(1, 6)]
    with pytest.raises(CorpusError, match=message):
        load_folder(folder, [row, *others])


def test_index_and_seconds_must_agree(folder):
    rows = [f"{i}.pcap,1,10,20,1" for i in range(5)] + ["5.pcap,2,10,20,1"]
    with pytest.raises(CorpusError, match=r"line 7: 10 to 20 s isn't window 2 of 10 s"):
        load_folder(folder, rows, "file,window,start,end,stall")


def test_a_capture_without_windows_where_others_have_them(folder):
    rows = [f"{i}.pcap,0,10,1" for i in range(5)]
    with pytest.raises(CorpusError, match=r"5.pcap: the capture has no window in windows.csv"):
        load_folder(folder, rows)
    corpus = load_folder(folder, [*rows, "5.pcap,0,10,"])
    assert corpus.notes["unlabelled"]["0.pcap"] == "2 of 3 windows"


def test_labels_without_packets(folder):
    (folder / "3.pcap").write_bytes(pcap([]))
    with pytest.raises(CorpusError, match=r"'3.pcap' has labels, but no IP packets"):
        load_folder(folder, [f"{i}.pcap,0,10,1" for i in range(6)])


def test_a_digest_in_the_table(folder):
    good = hashlib.sha256((folder / "0.pcap").read_bytes()).hexdigest()
    rows = "".join(f"{i}.pcap,a,{good if i < 2 else ''}\n" for i in range(6))
    (folder / "labels.csv").write_text("file,application,sha256\n" + rows)
    assert len(traces_of(load_folder(folder))) == 6
    (folder / "1.pcap").write_bytes(capture(31))
    with pytest.raises(CorpusError, match=r"1.pcap: its SHA-256 is .*, not .*, .*labels.csv line 3"):
        load_folder(folder)


def test_what_is_left_out_is_printed_and_noted(folder, capsys):
    (folder / "0.pcap").write_bytes(capture(3))
    (folder / "1.pcap").write_bytes(capture()[:-3])
    (folder / "2.pcap").write_bytes(b"not a capture")
    corpus = load_folder(folder, keep_readable=True)
    assert corpus.notes["left_out"]["0.pcap"] == "3 IP packets, fewer than 20"
    assert "neither pcap nor pcapng" in corpus.notes["left_out"]["2.pcap"]
    assert "cut short" in corpus.notes["cut"]["1.pcap"]
    printed = capsys.readouterr().err
    assert "left out, 2: 0.pcap: 3 IP packets" in printed
    assert "kept in part, 1: 1.pcap" in printed


def test_clocks_that_step():
    seconds = NANOSECONDS * np.array([0, 1, 2, 700, 701])
    assert clock_fault(seconds, Settings()) == (
        3,
        "its clock steps on by 698.000 s (dataset.clock_step is 600 s)",
    )
    assert clock_fault(seconds, Settings(clock_step=None)) == (5, "")
    back = NANOSECONDS * np.array([10, 11, 12, 5])
    assert clock_fault(back, Settings(clock_step=None))[0] == 3
    assert "steps back by 7.000 s" in clock_fault(back, Settings())[1]
    assert clock_fault(np.array([10**9, 10**9 - 5 * 10**8]), Settings()) == (2, "")
    assert clock_fault(seconds[:1], Settings(), last=-(10**12))[0] == 0
    assert clock_fault(seconds[:0], Settings()) == (0, "")


def test_a_clock_set_back_is_an_error_and_ends_what_is_kept(folder):
    (folder / "0.pcap").write_bytes(capture(40, times=[*range(30), *range(20, 30)]))
    with pytest.raises(CorpusError, match=r"0.pcap: its clock steps back by 9.000 s .* at IP packet 31"):
        load_folder(folder)
    assert len(traces_of(load_folder(folder, keep_readable=True))["0.pcap"].packets) == 30
