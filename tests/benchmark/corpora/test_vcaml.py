"""Calls with WebRTC's statistics as a corpus: in each form that VCAML published, and captures of others."""

import json
import shutil
import struct

import numpy as np
import pytest

from benchmark.corpora import pcaps, vcaml
from benchmark.corpora.captured_host import captured_host
from benchmark.corpora.tshark_table import COLUMNS, read_tshark_table
from benchmark.corpora.webrtc_dump import read_webrtc_dump, reduce_series
from benchmark.errors import CorpusError
from benchmark.trace import NANOSECONDS
from tests.benchmark.corpora.capture_making import capture, traces_of

STARTED = "2023-01-01T00:00:00.250Z"
EPOCH = 1_672_531_200


def dump(seconds=20, fps=None, stream="IT01V123", **statistics):
    given = {"framesPerSecond": fps or [30] * seconds, **statistics}
    stats = {
        f"{stream}-{name}": {"startTime": STARTED, "endTime": "2023-01-01T00:00:20Z", "values": json.dumps(values)}
        for name, values in given.items()
    }
    idle = {"IT01V9-framesPerSecond": {"startTime": STARTED, "endTime": STARTED, "values": "[1, 1]"}}
    return {"PeerConnections": {"1-1": {"stats": {}}, "1-2": {"stats": {**stats, **idle}}}}


def test_a_dump_of_get_stats(tmp_path):
    path = tmp_path / "a.json"
    statistics = {
        "[framesReceived/s]": [0, 30, 28, 29],
        "[bytesReceived_in_bits/s]": [0, 1e6, 2e6, 3e6],
        "frameHeight": [0, 360, 360, 720],
        "totalFreezesDuration": [0, 0, 0.5, 0.75],
    }
    for stream in ("IT01V123", "RTCInboundRTPVideoStream_7"):
        path.write_text(json.dumps(dump(4, stream=stream, **statistics)))
        series = read_webrtc_dump(path)
        assert series["fps"] == {EPOCH: 0, EPOCH + 1: 30, EPOCH + 2: 28, EPOCH + 3: 29}
        windows = reduce_series(series, EPOCH * NANOSECONDS, 1.0)
        assert windows[0] == {"fps": 30, "bitrate": 1e6, "stall": 0, "height": 360}
        assert windows[2] == {"fps": 29, "bitrate": 3e6, "stall": 0.25, "height": 720}
        assert sorted(windows) == [0, 1, 2]
        assert reduce_series(series, EPOCH * NANOSECONDS, 3.0)[0]["fps"] == 29
    for text in ("{", "[]", '{"PeerConnections": {"a": {"stats": {}}}}'):
        path.write_text(text)
        with pytest.raises(CorpusError, match=r"a\.json"):
            read_webrtc_dump(path)


def call_table(seconds=20, start=EPOCH):
    lines = [",".join(COLUMNS)]
    for i in range(seconds * 10):
        ends = "hashed-a,hashed-b" if i % 10 == 0 else "hashed-b,hashed-a"
        ports = "50000,3478" if i % 10 == 0 else "3478,50000"
        lines.append(f"{i / 10},{start + i / 10:.6f},{ends},17,1028,{ports},1008,0x1234,{90 * i},{i},98,{i % 2}")
    lines.append(f"{seconds},{start + seconds},hashed-a,hashed-b,6,40,,,,,,,,")
    return "\n".join(lines) + "\n"


def make_calls(home, form):
    """Lay out three calls as the in-lab, the real-world or the older archives do."""
    for i, application in enumerate(("meet", "teams", "webex")):
        text = json.dumps(dump(20, **{"[framesReceived/s]": [20 + i] * 20, "frameHeight": [360] * 20}))
        if form == "in_lab_data":
            folder = home / form / f"exp_{application}_{i}"
            table, stats = folder / "net.csv", folder / "webrtc_internals.json"
        elif form == "real_world_data":
            folder = home / form / f"device{i}"
            table, stats = folder / f"2023-{application}-5.csv", folder / f"2023-{application}-5.json"
        else:
            folder = home / form / f"exp{i}" / application
            table, stats = folder / "captures" / "x.pcap", folder / "webrtc" / "y.json"
        for path in (table, stats):
            path.parent.mkdir(parents=True, exist_ok=True)
        stats.write_text(text)
        if table.suffix == ".csv":
            table.write_text(call_table())
        else:
            table.write_bytes(capture(200, times=np.arange(200) / 10, start=EPOCH))
    return home / form


@pytest.mark.parametrize("form", ["in_lab_data", "real_world_data", "older"])
def test_calls_in_each_published_form(tmp_path, form):
    make_calls(tmp_path, form)
    corpus = vcaml.load({"path": form}, tmp_path)
    found = {trace.condition.application: trace for trace in traces_of(corpus).values()}
    assert sorted(found) == ["meet", "teams", "webex"]
    for i, application in enumerate(("meet", "teams", "webex")):
        labels = found[application].labels
        assert len(labels) == 20
        assert set(labels.fps[:19].tolist()) == {20 + i}
        assert set(labels.height[:19].tolist()) == {360}
    assert corpus.window == 1.0
    assert corpus.digest == vcaml.digest({"path": form}, tmp_path)


def test_packets_from_a_table(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(call_table(3))
    table = read_tshark_table(path)
    fields = table.packets.fields
    assert table.skipped == 1
    assert len(table.packets) == 30
    assert set(table.packets.length.tolist()) == {1028}
    assert set(table.packets.captured.tolist()) == {40}
    assert fields.sport[:2].tolist() == [50000, 3478]
    assert bytes(table.packets.data[40:80][28:40]) == struct.pack(">BBHII", 0x80, 128 + 98, 1, 90, 0x1234)
    assert table.times[1] - table.times[0] == NANOSECONDS // 10
    plain = "\n".join(line.replace(",", "\t") for line in call_table(3).splitlines()[1:])
    path.write_text(plain)
    assert read_tshark_table(path).packets.same_as(table.packets)
    path.write_text(call_table(3).replace("50000,3478,1008", "50000,99999,1008", 1))
    with pytest.raises(CorpusError, match=r"a.csv line 2: '99999' is not a number of at most 65535"):
        read_tshark_table(path)
    path.write_text(call_table(3)[:-20])
    with pytest.raises(CorpusError, match=r"a.csv line 32: .* cells under 14 columns"):
        read_tshark_table(path)
    path.write_text("frame.time_epoch,ip.src\n")
    with pytest.raises(CorpusError, match=r"line 1: column 'ip.dst' is missing"):
        read_tshark_table(path)


def test_calls_that_are_not_whole_or_not_of_one_time(tmp_path):
    home = make_calls(tmp_path, "real_world_data")
    stats = home / "device1" / "2023-teams-5.json"
    text = stats.read_text()
    stats.write_text(text.replace("2023-01-01", "2024-01-01"))
    with pytest.raises(CorpusError, match=r"none of its readings falls in the time of .*2023-teams-5.csv"):
        vcaml.load({"path": home.name}, tmp_path)
    stats.unlink()
    with pytest.raises(CorpusError, match=r"1 captures have no dump of getStats \(device1/2023-teams-5.csv"):
        vcaml.load({"path": home.name}, tmp_path)
    corpus = vcaml.load({"path": home.name, "incomplete": "keep"}, tmp_path)
    assert np.isnan(traces_of(corpus)["device1/2023-teams-5.csv"].labels.fps).all()
    (home / "device1" / "2023-teams-5.csv").rename(home / "device1" / "2023-other-5.csv")
    with pytest.raises(CorpusError, match="its path names none of meet, teams, webex, zoom"):
        vcaml.load({"path": home.name, "incomplete": "keep"}, tmp_path)


def test_meeting_captures_of_others(unpacked, tmp_path):
    """Any calls fit the folder of captures; VCA-sense has their applications in the files' names."""
    home = unpacked("vca_sense")
    names = sorted(path.name for path in home.glob("*.pcap"))[::6]
    rows = [f"{name},{name.split('__')[0]}" for name in names]
    for name in names:
        shutil.copy(home / name, tmp_path / name)
    (tmp_path / "labels.csv").write_text("\n".join(["file,application", *rows]) + "\n")
    found = traces_of(pcaps.load({"path": ".", "window": 1.0, "duration": 60.0}, tmp_path))
    assert {trace.condition.application for trace in found.values()} == {"feishu", "tx"}
    hosts = [captured_host(trace.packets) for trace in found.values()]
    assert {"192.168.1.8/32", "192.168.1.14/32", "10.122.225.135/32"} <= set(hosts)
