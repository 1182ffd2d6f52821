"""Loaders of public data sets: on the captures at hand, where they are, and on made files of the same form."""

import csv
import hashlib
import json
import lzma
import shutil
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

from benchmark.corpora import ndpi, netdiffusion, netssm, pcaps, requet, vcaml
from benchmark.corpora.capture_folder import Settings
from benchmark.corpora.captured_host import captured_host
from benchmark.corpora.recording import clock_fault
from benchmark.corpora.requet_table import fit_lag, read_player_table, reduce_table
from benchmark.corpora.tshark_table import COLUMNS, read_tshark_table
from benchmark.corpora.webrtc_dump import read_webrtc_dump, reduce_series
from benchmark.errors import ConfigError, CorpusError
from benchmark.trace import NANOSECONDS
from tests.benchmark.capture_bytes import BUNDLE, ethernet, ipv4, pcap, udp

ROOT = Path(__file__).resolve().parents[2]
# Two sessions that are whole, two tables and two captures that are not.
SESSIONS = (
    "movement_Apr20_exp_135",
    "baseline_Mar22_exp_41",
    "baseline_Mar22_exp_51",
    "baseline_Mar22_exp_52",
    "baseline_May17_exp_370",
    "movement_Apr05_exp_86",
)
LOADERS = {"ndpi": ndpi, "requet": requet, "vcaml": vcaml, "netdiffusion": netdiffusion, "netssm": netssm}


def traces_of(corpus):
    return {trace.name: trace for split in (corpus.train, corpus.validation, corpus.test) for trace in split}


def capture(count=30, flows=1, start=1_700_000_000, times=None):
    """Make a capture of packets between 10.0.0.2 and 10.0.0.1, flow by flow in turn; times are seconds."""
    frames = [
        ethernet(ipv4(udp(bytes(10 + i % 7), source=5000 + i % flows), source="10.0.0.2", destination="10.0.0.1"))
        for i in range(count)
    ]
    if times is None:
        return pcap(frames, start=start)
    out = [pcap([])]
    for frame, time in zip(frames, times, strict=True):
        whole, part = divmod(round((start + time) * 1e6), 10**6)
        out.append(struct.pack("<IIII", whole, part, len(frame), len(frame)) + frame)
    return b"".join(out)


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory):
    """Unpack one of the public bundles, with its xz files; a function of its name."""

    def unpack(name):
        bundle = BUNDLE.with_name(f"{name}.tar.xz")
        if not bundle.exists():
            pytest.skip(f"public captures aren't there: {bundle.name}")
        home = tmp_path_factory.mktemp(name)
        with tarfile.open(bundle) as archive:
            archive.extractall(home, filter="data")
        for path in home.rglob("*.xz"):
            if name == "requet" and path.name.split(".")[0] not in SESSIONS:
                path.unlink()
                continue
            with lzma.open(path) as source, open(path.with_suffix(""), "wb") as sink:
                shutil.copyfileobj(source, sink)
            path.unlink()
        return home / name

    return unpack


@pytest.fixture(scope="session")
def youtube(unpacked):
    return unpacked("requet")


# What every loader says


@pytest.mark.parametrize("name", LOADERS)
def test_data_that_is_missing_is_one_error_that_says_where_to_get_it(name, tmp_path):
    (tmp_path / "bare").mkdir()
    for path, reason in ((None, "dataset.path isn't set"), ("no", "there is no such folder"), ("bare", r"no \.pcap")):
        for ask in (LOADERS[name].load, LOADERS[name].digest):
            with pytest.raises(CorpusError, match=reason) as caught:
                ask({"path": path, "name": name}, tmp_path)
            message = str(caught.value)
            assert "https://" in message
            assert "licence: " in message
            assert "dataset.path=FOLDER" in message
            assert f"section {name}" in message


@pytest.mark.parametrize("name", LOADERS)
def test_options_are_those_of_the_yaml(name, tmp_path):
    options = OmegaConf.to_container(OmegaConf.load(ROOT / "conf" / "dataset" / f"{name}.yaml"))
    with pytest.raises(CorpusError, match=r"dataset.path isn't set"):
        LOADERS[name].load(options, tmp_path)
    kind = {"ndpi": "NdpiSettings", "requet": "RequetSettings", "vcaml": "VcamlSettings"}.get(name)
    kind = kind or {"netdiffusion": "NetDiffusionSettings", "netssm": "NetSsmSettings"}[name]
    defaults = {**vars(getattr(LOADERS[name], kind)()), "path": None}
    assert options == defaults
    with pytest.raises(ConfigError, match=f"dataset.windw is not an option of {name}; did you mean 'window'"):
        LOADERS[name].load({"windw": 1}, tmp_path)


# A folder of captures and tables


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


# nDPI


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


# Requet


def test_requet_sessions(youtube):
    root = youtube.parent
    with pytest.raises(CorpusError, match=r"2 captures have no label table .* and 2 label tables have no capture"):
        requet.load({"path": "requet"}, root)
    options = {"path": "requet", "incomplete": "keep"}
    corpus = requet.load(options, root)
    found = traces_of(corpus)
    assert len(found) == 4
    assert len(corpus.notes["left_out"]) == 2
    moved = found["pcap/movement_Apr20_exp_135.pcap"]
    assert moved.notes["lag_s"] == pytest.approx(-0.1, abs=0.02)
    assert moved.notes["fit"] > 0.99
    assert moved.client == "192.168.1.190/32"
    assert moved.labels.startup == pytest.approx(28.6, abs=0.1)
    assert set(moved.labels.height.tolist()) == {-1, 144, 360, 480}
    assert float(np.nansum(moved.labels.stall)) == pytest.approx(105.9, abs=1)
    steady = found["pcap/baseline_Mar22_exp_41.pcap"]
    assert steady.client == "160.39.184.21/32"
    assert set(steady.labels.rung.tolist()) == {4}
    with pytest.raises(CorpusError, match="validation split has no trace"):
        requet.load({"path": "requet", "incomplete": "leave_out"}, root)
    assert corpus.digest == requet.digest(options, root)


def test_requet_refuses_an_altered_table_and_one_of_another_session(youtube, tmp_path):
    shutil.copytree(youtube, tmp_path / "requet")
    table = tmp_path / "requet" / "labels_100ms" / "movement_Apr20_exp_135.csv"
    table.write_bytes((youtube / "labels_100ms" / "baseline_Mar22_exp_51.csv").read_bytes())
    options = {"path": "requet", "incomplete": "keep"}
    with pytest.raises(CorpusError, match=r"exp_135.csv: not the published file"):
        requet.load(options, tmp_path)
    with pytest.raises(CorpusError, match=r"exp_135.csv: not the table of .*exp_135.pcap"):
        requet.load({**options, "digests": False}, tmp_path)


def merged_line(row, time, packets, event, epoch, progress, level, fraction="0.5"):
    """A row as the published tables have it, whose addresses aren't JSON."""
    network = "[[0,0,0,0,0,0,0], [0,0.0.0.0,0,0,1,0,256]]"
    levels = [int(i == level) for i in range(9)]
    player = f"[{event},{epoch},1000,{progress},100,{levels},{0 if fraction == 'null' else 9.5},{fraction},true]"
    return f"[{time}, 0, {packets}, 0, 256, {network}, {player}]\n\n"


def test_the_published_table_and_its_reduction(tmp_path):
    """10 s: 1 s without a player, 2 s until it plays 360p, a stall from 6 to 8 s, then 720p."""
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 9, 100)
    lines, progress = [], 0.0
    for row in range(100):
        time = row / 10
        plays = 3 <= time < 6 or time >= 8
        progress += 0.1 * plays
        sampled = time >= 1
        event = [0, 0, 0, 1] if sampled else [0, 0, 0, 0]
        level = 0 if time < 3 else 3 if time < 6 else 5
        health = "null" if 6 <= time < 8 else "0.5"
        lines.append(merged_line(row, time, counts[row], event, 5000 + row if sampled else 0, progress, level, health))
    path = tmp_path / "x_merged.txt"
    path.write_text("".join(lines))
    table = read_player_table(path)
    assert table.packets.tolist() == counts.tolist()
    ts = np.repeat(np.arange(100) * NANOSECONDS // 10, counts) + NANOSECONDS * 8 // 10
    ts = ts + np.arange(len(ts)) % 7
    lag, fit = fit_lag(table, ts)
    assert lag == pytest.approx(0.8, abs=0.1)
    assert fit > 0.99
    reduction = reduce_table(table, 0.0, 5.0)
    assert sorted(reduction.windows) == [0, 1]
    assert reduction.windows[0]["rung"] == 2
    assert reduction.windows[0]["height"] == 360
    assert reduction.windows[0]["stall"] == pytest.approx(2.0, abs=0.11)
    assert reduction.windows[1]["rung"] == 4
    assert reduction.windows[1]["height"] == 720
    assert reduction.windows[1]["stall"] == pytest.approx(2.0, abs=0.11)
    assert reduction.startup == pytest.approx(2.0, abs=0.11)
    path.write_text("".join(lines[:50]) + lines[7])
    with pytest.raises(CorpusError, match="isn't later than the one ahead of it: its windows overlap"):
        read_player_table(path)
    path.write_text("".join(lines[:50]) + lines[50][:-30])
    with pytest.raises(CorpusError, match=r"x_merged.txt: line 101 isn't a row"):
        read_player_table(path)


# VCAML

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


# NetDiffusion and NetSSM


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
