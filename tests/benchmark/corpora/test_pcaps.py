"""A folder of captures as a corpus: labels, splits, limits, and one clear error for each slip."""

import os
import tarfile

import numpy as np
import pytest

from benchmark.capture.pcap import read_packets
from benchmark.checksum import convention_checksums
from benchmark.corpora.pcaps import digest, load
from benchmark.errors import ConfigError, CorpusError, TraceError
from tests.benchmark.capture_bytes import BUNDLE, ethernet, ipv4, pcap, udp

NAMES = [f"{application}/{i}.pcap" for application in ("calls", "films") for i in range(5)]


@pytest.fixture
def folder(tmp_path):
    """Ten captures of 30 packets, one a second, in two sub-folders."""
    home = tmp_path / "captures"
    for i, name in enumerate(NAMES):
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pcap([ethernet(ipv4(udp(bytes(i * 7 + j)))) for j in range(30)]))
    return home


def write_labels(folder, rows=None, header="file,application", name="labels.csv"):
    rows = [f"{file},{file.split('/')[0]}" for file in NAMES] if rows is None else rows
    (folder / name).write_text("\n".join([header, *rows]) + "\n")


def options(**more):
    return {"path": "captures", "window": 10, **more}


def open_corpus(folder, **more):
    return load(options(**more), folder.parent)


def by_name(corpus):
    return {trace.name: trace for split in (corpus.train, corpus.validation, corpus.test) for trace in split}


def test_folders_name_the_applications(folder):
    corpus = open_corpus(folder)
    assert corpus.applications() == ["calls", "films"]
    traces = by_name(corpus)
    assert sorted(traces) == NAMES
    assert all(trace.condition.application == name.split("/")[0] for name, trace in traces.items())
    assert sorted(corpus.unscored) == ["bitrate", "fps", "height", "rung", "stall", "startup"]
    assert corpus.unscored["rung"] == "no trace of the train split has a label for rung"
    assert corpus.digest == digest(options(), folder.parent)


def test_splits_are_stratified_and_hang_on_names_alone(folder):
    corpus = open_corpus(folder)
    for application in ("calls", "films"):
        counts = [
            sum(trace.condition.application == application for trace in split)
            for split in (corpus.train, corpus.validation, corpus.test)
        ]
        assert counts == [2, 1, 2]
    write_labels(folder, [f"{file},{file.split('/')[0]}" for file in reversed(NAMES)])
    again = open_corpus(folder)
    assert [trace.name for trace in again.test] == [trace.name for trace in corpus.test]


def test_splits_given_are_kept(folder):
    given = ["train", "validation", "test", "test", "test"] * 2
    rows = [f"{file},any,{split}" for file, split in zip(NAMES, given, strict=True)]
    write_labels(folder, rows, "file,application,split")
    corpus = open_corpus(folder)
    assert [trace.name for trace in corpus.validation] == [NAMES[1], NAMES[6]]
    assert [trace.name for trace in corpus.train] == [NAMES[0], NAMES[5]]


def test_packets_are_the_captures_cut_to_the_snapshot_length(folder):
    corpus = open_corpus(folder, snaplen=50, client="10.0.0.2/32")
    trace = by_name(corpus)[NAMES[2]]
    whole = read_packets(folder / NAMES[2])
    assert np.array_equal(trace.packets.length, whole.length)
    assert trace.packets.captured.max() == 50
    assert trace.packets.same_as(convention_checksums(trace.packets))
    assert trace.client == corpus.client == "10.0.0.2/32"
    assert trace.flows.up.all()
    uncut = by_name(open_corpus(folder, snaplen=None))[NAMES[2]]
    assert np.array_equal(uncut.packets.captured, whole.captured)


def test_duration_limit_and_minimum(folder):
    assert len(by_name(open_corpus(folder, limit=25))[NAMES[0]].packets) == 25
    trace = by_name(open_corpus(folder, duration=25.0))[NAMES[0]]
    assert len(trace.packets) == 25
    assert len(trace.labels) == 3
    (folder / NAMES[0]).write_bytes(pcap([ethernet(ipv4(udp()))] * 3))
    corpus = open_corpus(folder)
    assert corpus.notes["left_out"] == {NAMES[0]: "3 IP packets, fewer than 20"}
    assert NAMES[0] not in by_name(corpus)
    assert NAMES[0] in by_name(open_corpus(folder, minimum=3))


def test_a_clock_that_steps_is_an_error_or_ends_the_capture(folder):
    frame = ethernet(ipv4(udp()))
    first, last = pcap([frame] * 30, start=0), pcap([frame] * 30, start=1_700_000_000)
    (folder / NAMES[0]).write_bytes(first + last[24:])
    with pytest.raises(CorpusError, match=r"calls/0.pcap: its clock steps on by 1699999971.000 s .* at IP packet 31"):
        open_corpus(folder)
    corpus = open_corpus(folder, keep_readable=True)
    assert len(by_name(corpus)[NAMES[0]].packets) == 30
    assert "clock steps on" in corpus.notes["cut"][NAMES[0]]
    assert len(by_name(open_corpus(folder, duration=60.0))[NAMES[0]].packets) == 30
    corpus = open_corpus(folder, clock_step=None)
    assert "cap dataset.duration" in corpus.notes["left_out"][NAMES[0]]


WINDOWS = "window,rung,height,stall,fps,bitrate"
ROWS = ["0,2,480,0.5,30,1e6", "1,-1,,,,", "3,1,360,,24.5,2500"]


def check_windows(labels):
    assert labels.rung.tolist() == [2, -1, -1, 1]
    assert labels.height.tolist() == [480, -1, -1, 360]
    np.testing.assert_array_equal(labels.stall, np.float32([0.5, np.nan, np.nan, np.nan]))
    np.testing.assert_array_equal(labels.fps, np.float32([30, np.nan, np.nan, 24.5]))
    np.testing.assert_array_equal(labels.bitrate, np.float32([1e6, np.nan, np.nan, 2500]))
    assert labels.startup == 1.5


def test_labels_of_windows_in_the_same_table(folder):
    rows = [f"{file},a,1.5,{row}" for file in NAMES for row in ROWS]
    write_labels(folder, rows, f"file,application,startup,{WINDOWS}")
    corpus = open_corpus(folder, ladder=[240, 360, 480])
    for trace in by_name(corpus).values():
        check_windows(trace.labels)
        assert trace.condition.duration == 40.0  # the last label lies beyond the last packet
    assert corpus.unscored == {}
    assert corpus.ladder == (240, 360, 480)


def test_labels_of_windows_in_a_table_of_their_own(folder):
    write_labels(folder, [f"{file},a,1.5" for file in NAMES], "file,application,startup")
    write_labels(folder, [f"{file},{row}" for file in NAMES for row in ROWS], f"file,{WINDOWS}", "windows.csv")
    for trace in by_name(open_corpus(folder)).values():
        check_windows(trace.labels)


def test_the_digest_follows_captures_labels_and_options(folder):
    digests = {digest(options(), folder.parent)}
    digests.add(digest(options(window=5), folder.parent))
    digests.add(digest(options(snaplen=64), folder.parent))
    (folder / NAMES[0]).write_bytes((folder / NAMES[1]).read_bytes())
    digests.add(digest(options(), folder.parent))
    write_labels(folder)
    digests.add(digest(options(), folder.parent))
    write_labels(folder, [f"{file},other" for file in NAMES])
    digests.add(digest(options(), folder.parent))
    assert len(digests) == 6
    assert digest(options(name="mine", path=str(folder)), folder.parent) in digests


GOOD = [f"{file},a" for file in NAMES]
LABEL_FAULTS = {
    "no such capture": (
        [*GOOD, "calls/1.pcpa,a"],
        None,
        r"labels.csv line 12: there is no capture.*'calls/1.pcap'",
    ),
    "no label": (GOOD[1:], None, r"calls/0.pcap: the capture has no application in labels.csv"),
    "empty application": (["calls/0.pcap,", *GOOD[1:]], None, "has no application"),
    "twice": ([*GOOD, GOOD[3]], None, r"line 12: 'calls/3.pcap' has a row already, .* line 5"),
    "unknown column": (
        GOOD,
        "file,aplication",
        r"line 1: unknown column 'aplication'; did you mean 'application'",
    ),
    "missing column": (NAMES, "file", "column 'application' is missing"),
    "column twice": ([f"{row},a" for row in GOOD], "file,application,application", "stands there twice"),
    "ragged": ([*GOOD[1:], "calls/0.pcap"], None, "line 11: 1 cells under 2 columns"),
    "way out": ([*GOOD, "../other.pcap,a"], None, r"line 12: '../other.pcap' leads out of the folder"),
    "absolute": ([*GOOD, "/etc/hostname,a"], None, "leads out of the folder"),
    "split": (
        [f"{row},tset" for row in GOOD],
        "file,application,split",
        "no split 'tset'; did you mean 'test'",
    ),
    "startup": (
        [f"{row},soon" for row in GOOD],
        "file,application,startup",
        "startup 'soon' is not a number",
    ),
    "negative": ([f"{row},-2" for row in GOOD], "file,application,startup", "startup '-2' is not a number"),
    "endless": ([f"{row},inf" for row in GOOD], "file,application,startup", "startup 'inf' is not a number"),
    "quote": ([*GOOD, '"calls'], None, "not a table in CSV"),
    "binary": (["\0"], None, "labels.csv"),
}


@pytest.mark.parametrize("name", LABEL_FAULTS)
def test_slips_in_the_table_are_named(folder, name):
    rows, header, message = LABEL_FAULTS[name]
    write_labels(folder, rows, header or "file,application")
    with pytest.raises(CorpusError, match=message):
        open_corpus(folder)


WINDOW_FAULTS = {
    "rung": ("calls/0.pcap,0,1.5", "rung '1.5' is not a whole number"),
    "beyond the ladder": ("calls/0.pcap,0,3", "'calls/0.pcap' has a rung beyond the ladder of 3"),
    "window": ("calls/0.pcap,,1", "the window's number is missing"),
    "many windows": ("calls/0.pcap,1e12,1", "window '1e12' is not a whole number of at most 99999"),
    "unknown file": ("calls/9.pcap,0,1", "'calls/9.pcap' isn't in labels.csv"),
    "twice": ("calls/0.pcap,0,1\ncalls/0.pcap,0,1", "line 3: window 0 of 'calls/0.pcap' has a row already"),
}


@pytest.mark.parametrize("name", WINDOW_FAULTS)
def test_slips_in_the_windows_are_named(folder, name):
    row, message = WINDOW_FAULTS[name]
    write_labels(folder)
    write_labels(folder, [row], "file,window,rung", "windows.csv")
    with pytest.raises(CorpusError, match=message):
        open_corpus(folder, ladder=[1, 2, 3])


def test_contradicting_rows(folder):
    rows = [f"{file},a,{i}" for file in NAMES for i in range(2)]
    write_labels(folder, [*rows, "calls/0.pcap,b,2"], "file,application,window")
    with pytest.raises(CorpusError, match=r"line 22: application 'b' contradicts 'a', .* line 2"):
        open_corpus(folder)


OPTION_FAULTS = {
    "unknown": ({"windw": 3}, "dataset.windw is not an option of pcaps; did you mean 'window"),
    "no path": ({"path": None}, "dataset.path"),
    "window": ({"window": 0}, "dataset.window must be a number above 0, not 0"),
    "limit": ({"limit": 1.5}, "dataset.limit must be a whole number above 0 or null"),
    "client": ({"client": "10.0.0.300"}, "dataset.client must be a prefix"),
    "ladder": ({"ladder": ["low"]}, "dataset.ladder must be a list of heights"),
    "keep": ({"keep_readable": "yes"}, "dataset.keep_readable must be true or false"),
}


@pytest.mark.parametrize("name", OPTION_FAULTS)
def test_bad_options_are_named(folder, name):
    changes, message = OPTION_FAULTS[name]
    with pytest.raises(ConfigError, match=message):
        load({**options(), **changes}, folder.parent)


def test_folders_that_do_not_do(folder, tmp_path):
    with pytest.raises(CorpusError, match="there is no such folder"):
        load({"path": "nowhere"}, tmp_path)
    (tmp_path / "bare").mkdir()
    with pytest.raises(CorpusError, match="no captures"):
        load({"path": "bare"}, tmp_path)
    with pytest.raises(CorpusError, match="leads out of the folder"):
        open_corpus(folder, labels="../labels.csv")
    (folder / "loose.pcap").write_bytes(pcap([]))
    with pytest.raises(CorpusError, match="no sub-folder to name the application"):
        open_corpus(folder)


def test_a_link_that_leads_out_is_refused(folder, tmp_path):
    (tmp_path / "secret.pcap").write_bytes(pcap([]))
    os.symlink(tmp_path / "secret.pcap", folder / "calls" / "link.pcap")
    with pytest.raises(CorpusError, match="leads out of the folder"):
        open_corpus(folder)


def test_a_split_without_traces_is_refused(folder):
    for name in NAMES[2:]:
        (folder / name).unlink()
    with pytest.raises(CorpusError, match="validation split has no trace"):
        open_corpus(folder)


def test_a_damaged_capture_is_refused_or_kept_as_far_as_it_goes(folder):
    path = folder / NAMES[0]
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(TraceError, match=r"calls/0.pcap at byte \d+: record cut short"):
        open_corpus(folder)
    assert len(by_name(open_corpus(folder, keep_readable=True))[NAMES[0]].packets) == 29


def test_public_captures_by_folder(tmp_path):
    if not BUNDLE.exists():
        pytest.skip(f"public captures aren't there: {BUNDLE.name}")
    with tarfile.open(BUNDLE) as bundle:
        bundle.extractall(tmp_path, filter="data")
    corpus = load({"path": "ndpi", "duration": 60.0}, tmp_path)
    assert len(by_name(corpus)) > 40
    assert {"netflix", "youtube", "skype"} <= set(corpus.applications())
    assert all(len(trace.packets) >= 20 for trace in corpus.train)
