"""Requet's sessions as a corpus: on those at hand, where they are, and on made tables."""

import shutil

import numpy as np
import pytest

from benchmark.corpora import requet
from benchmark.corpora.requet_table import fit_lag, read_player_table, reduce_table
from benchmark.errors import CorpusError
from benchmark.trace import NANOSECONDS
from tests.benchmark.corpora.capture_making import traces_of


@pytest.fixture(scope="session")
def youtube(unpacked):
    return unpacked("requet")


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
