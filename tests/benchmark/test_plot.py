"""Pictures of traces and the gallery: what is drawn is what the trace holds, and what can't be drawn is said."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib import pyplot as plt

from benchmark.__main__ import main
from benchmark.capture.pcap import write_pcap
from benchmark.commands import gallery, plot, timeline
from benchmark.commands.account import (
    describe_quality,
    describe_setting,
    dominating_rung,
    link_rate,
    main_packets,
    mean_rate,
    other_share,
    outages,
    read_series,
    stall_parts,
)
from benchmark.commands.choice import choose
from benchmark.commands.sources import find_trace, read_source
from benchmark.commands.timeline import draw_timeline
from benchmark.corpora.manifest import Entry, Manifest, file_digest, trace_digest, write_manifest
from benchmark.errors import ConfigError, CorpusError
from benchmark.storage.compact import write_traces
from benchmark.trace import NANOSECONDS, Condition, Labels, Trace, join_packets
from tests.benchmark.traffic_making import trace_of

LADDER = (144, 240, 360, 480, 720, 1080)
MAGIC = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}


def labels_of(rung, stall=0.0, startup=1.0, fps=None):
    windows = len(rung)
    rung = np.array(rung, np.int8)
    if fps is not None:
        rung[:] = -1
    return Labels(
        rung,
        np.where(rung >= 0, np.array(LADDER)[rung], 180).astype(np.int16),
        np.full(windows, stall, np.float32),
        np.full(windows, np.nan if fps is None else fps, np.float32),
        np.full(windows, 2e6, np.float32),
        startup if fps is None else float("nan"),
    )


def streamed(name, rung=(2, 2, 3), application="light-h2", seed=0, notes=None, **labels):
    """A trace of 10 packets a second for 30 s, 1,400 bytes down and 100 up in turn, with labels."""
    made = trace_of([0.1] * 295, [1400, 100] * 147 + [1400], [False, True] * 147 + [False], name, 30.0, seed)
    known = {"stall": 0.0, "startup": 1.0, "fps": None, **labels}
    condition = Condition(application, 30.0, 10.0, labels_of(list(rung), **known))
    return replace(made, condition=condition, notes=notes or {})


def crossed(name, port=8443, **made):
    """The same beside five flows of others' larger downloads, from ``port``."""
    first = streamed(name, **made)
    parts = [first.packets]
    for seed in range(5):
        other = trace_of([0.1] * 250, [1500] * 250, [False] * 250, seed=7 + seed).packets
        data = other.data.copy().reshape(len(other), -1)
        data[:, 20:22] = port >> 8, port & 255
        parts.append(replace(other, data=data.ravel()))
    packets = join_packets(parts)
    return replace(first, packets=packets.take(np.argsort(packets.ts, kind="stable")))


def write_corpus(folder, traces, ladder=LADDER):
    folder.mkdir(parents=True)
    write_traces(folder / "traces.parquet", traces)
    splits = ["train", "validation", "test"]
    entries = [
        Entry(
            trace.name,
            "traces.parquet",
            len(trace.packets),
            trace_digest(trace),
            splits[place % 3],
            trace.condition.application,
            float(trace.packets.ts[-1]) / NANOSECONDS,
            "",
        )
        for place, trace in enumerate(traces)
    ]
    digests = {"traces.parquet": file_digest(folder / "traces.parquet")}
    unscored = dict.fromkeys(("rung", "height", "startup", "stall", "fps", "bitrate"), "made for a test")
    write_manifest(
        folder / "manifest.json",
        Manifest(folder.name, 0, 1, 10.0, "10.0.0.2/32", digests, tuple(entries), ladder, unscored),
    )


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    """A root with a corpus of streaming sessions, made as the repository's are."""
    monkeypatch.setattr(plot, "ROOT", tmp_path)
    monkeypatch.setattr(gallery, "ROOT", tmp_path)
    traces = [streamed(f"l{rung}", (rung, rung, 0), seed=rung) for rung in range(6)]
    traces += [streamed("s0", application="shaka-h2", seed=9), streamed("s1", stall=2.0, seed=10), crossed("s2")]
    write_corpus(tmp_path / "datasets" / "made", traces)
    return tmp_path / "datasets" / "made"


# What notes and labels say.


def test_a_rate_in_steps_has_a_mean_over_the_trace():
    steps = np.array([[0, 4.0], [10, 2.0], [40, 9.0]])
    assert mean_rate(steps, 20.0) == 3.0
    assert mean_rate(steps, 5.0) == 4.0
    assert mean_rate(np.array([[-5, 1.0], [10, 3.0]]), 20.0) == 2.0
    assert mean_rate(np.array([[5, 4.0]]), 10.0) == 4.0


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        5,
        "x",
        [[0]],
        [[0, "1"]],
        [[0, None]],
        [[0, float("nan")]],
        [[1, 1], [0, 1]],
        [[0, 10**400]],
        [[0, True]],
    ],
)
def test_series_that_are_not_series_are_not_read(value):
    assert read_series({"buffer": value}, "buffer") is None
    assert read_series({"link": value}, "link", "down") is None
    assert read_series({"buffer": [[0, 1]] * 100_001}, "buffer") is None


def test_outages_are_joined_and_cut_to_the_trace():
    def of(down, **more):
        return outages(streamed("a", notes={"link": {"down": down}, **more}))

    assert of([[0, 5], [10, 0], [12, 0.0], [14, 3]]) == [(10.0, 14.0)]
    assert of([[0, 5], [10, 0], [12, 1], [20, 0]]) == [(10.0, 12.0), (20.0, 30.0)]
    assert of([[0, 5], [40, 0]]) == []
    assert of([[0, 5], [10, 0], [12, 3]], link_began=-4) == [(6.0, 8.0)]
    assert of("no steps") == []


def test_seconds_of_the_link_count_from_the_first_packet_where_the_notes_tell():
    notes = {"link": {"down": [[0, 5], [10, 1]]}, "link_began": -2.5}
    assert link_rate(streamed("a", notes=notes)).tolist() == [[-2.5, 5], [7.5, 1]]
    notes["link_began"] = float("nan")
    assert link_rate(streamed("a", notes=notes)).tolist() == [[0, 5], [10, 1]]


def test_stalls_are_split_at_the_first_frame():
    trace = streamed("a")
    labels = replace(trace.labels, stall=np.array([4, 3, 2], np.float32), startup=5.0)
    opening, later = stall_parts(replace(trace, condition=replace(trace.condition, labels=labels)))
    assert opening.tolist() == [4, 1, 0]
    assert later.tolist() == [0, 2, 2]
    unknown = replace(labels, stall=np.array([np.nan, 1, np.nan], np.float32), startup=float("nan"))
    opening, later = stall_parts(replace(trace, condition=replace(trace.condition, labels=unknown)))
    assert (opening.sum(), later.tolist()) == (0, [0, 1, 0])


def test_the_video_is_the_largest_flow_or_what_the_notes_leave():
    alone = streamed("a")
    assert main_packets(alone).all()
    assert other_share(alone) == 0.0
    trace = crossed("a", notes={"cross_port": 8443, "cross": "bulk"})
    chosen = main_packets(trace)
    assert chosen.sum() == len(alone.packets)
    assert trace.packets.take(chosen).same_as(alone.packets)
    assert other_share(trace) == pytest.approx(1 - alone.packets.length.sum() / trace.packets.length.sum())
    # Without the note, the others' largest download is taken for the video.
    assert main_packets(replace(trace, notes={})).sum() == 250


def test_accounts_say_what_notes_and_labels_hold():
    notes = {
        "player": "light-rate",
        "link": {"down": [[0, 4], [15, 0], [18, 2]], "delay_ms": 20, "loss": 0.01},
        "cross_port": 8443,
        "cross": "bulk",
    }
    trace = crossed("a", notes=notes, stall=1.0, startup=1.5)
    setting = describe_setting(trace)
    assert "light-rate; link 2.8 Mbit/s mean (0 to 4), 20 ms one way, 1 % loss; 1 outage of 3 s" in setting
    assert re.search(r"\d+ % of bytes in 5 other flows \(bulk\)$", setting)
    assert describe_quality(trace, LADDER) == (
        "fetched 360p in 2 of 3 windows, media 2 Mbit/s, startup 1.5 s, stalled 1.5 s after startup"
    )
    asked = replace(trace, name="synthetic-0001")
    assert describe_quality(asked, LADDER).startswith("asked for 360p")
    bare = replace(trace, notes={}, condition=replace(trace.condition, labels=Labels.unknown(3)))
    assert describe_quality(bare, LADDER) == ""
    assert describe_setting(bare).startswith(f"{len(trace.packets):,} packets, 6 flows, 29.4 s")
    assert dominating_rung(bare) == (-1, 0)


# Pictures.


@pytest.fixture
def kept(monkeypatch):
    """The figures that are drawn, which would be closed otherwise."""
    figures = []
    monkeypatch.setattr(timeline.plt, "close", figures.append)
    yield figures
    monkeypatch.undo()
    for figure in figures:
        plt.close(figure)


def axes_of(figure):
    return {axis.get_ylabel().split("\n")[0]: axis for axis in figure.axes}


def test_streaming_has_throughput_buffer_resolution_and_stalls(tmp_path, kept):
    notes = {"buffer": [[0, 0], [10, 8.5], [29, 4]], "link": {"down": [[0, 1.5], [12, 0], [14, 1]]}, "link_began": -1.0}
    trace = streamed("a", (2, 2, 3), notes=notes, stall=2.0, startup=3.0)
    assert draw_timeline(trace, tmp_path / "a.png", LADDER) == []
    axes = axes_of(kept[0])
    assert list(axes) == ["down", "up", "buffer", "resolution", "stalled"]
    bars = next(patch for patch in axes["down"].patches if patch.get_label() == "video's flow")
    step = np.diff(bars.get_data().edges)[0]
    down = trace.packets.length[~trace.flows.up].sum()
    assert (bars.get_data().values * step).sum() * 1e3 / 8 == pytest.approx(down)
    assert axes["up"].get_ylim()[0] > axes["up"].get_ylim()[1] == 0
    assert axes["buffer"].lines[0].get_xydata().tolist() == notes["buffer"]
    rungs, heights = (patch.get_data().values.tolist() for patch in axes["resolution"].patches[-2:])
    assert (rungs, heights) == ([2, 2, 3], [2, 2, 3])
    ticks = [tick.get_text() for tick in axes["resolution"].get_yticklabels()]
    assert ticks == ["144p", "240p", "360p", "480p", "720p", "1080p"]
    drawn = [bar.get_height() for container in axes["stalled"].containers for bar in container]
    assert drawn == [2, 1, 0, 0, 1, 2]
    names = [text.get_text() for text in axes["down"].get_legend().get_texts()]
    assert names == ["outage", "video's flow", "link's rate"]
    assert all(axis.get_xlim() == (0, 30) for axis in axes.values())


def test_calls_have_frame_rate_bit_rate_and_height(tmp_path, kept):
    trace = streamed("a", fps=25.0, application="webrtc")
    assert draw_timeline(trace, tmp_path / "a.png") == []
    axes = axes_of(kept[0])
    assert list(axes) == ["down", "up", "frames/s", "video", "resolution", "stalled"]
    assert axes["frames/s"].patches[0].get_data().values.tolist() == [25, 25, 25]
    assert axes["video"].patches[0].get_data().values.tolist() == [2, 2, 2]


def test_what_there_is_no_data_for_is_left_out_and_said(tmp_path, kept):
    trace = streamed("a", notes={"link": {"down": [[0, 4]]}})
    missing = draw_timeline(trace, tmp_path / "a.png")
    assert [reason.split(":")[0] for reason in missing] == ["link's rate", "buffer", "rung fetched"]
    assert list(axes_of(kept[0])) == ["down", "up", "resolution", "stalled"]
    missing = draw_timeline(replace(trace, notes={"buffer": [["x", 1]]}), tmp_path / "a.png", LADDER)
    assert missing == ["buffer: the notes' buffer isn't a list of [second, seconds buffered] in time order"]
    bare = replace(trace, condition=replace(trace.condition, labels=Labels.unknown(3)), notes={})
    assert draw_timeline(bare, tmp_path / "a.png", LADDER) == ["quality: there are no labels"]
    assert list(axes_of(kept[2])) == ["down", "up", "IP length"]


def test_flows_of_others_stand_on_the_videos(tmp_path, kept):
    trace = crossed("a", notes={"cross_port": 8443})
    draw_timeline(trace, tmp_path / "a.png", LADDER)
    own, others = axes_of(kept[0])["down"].patches[:2]
    assert np.array_equal(others.get_data().baseline, own.get_data().values)
    step = np.diff(own.get_data().edges)[0]
    total = trace.packets.length[~trace.flows.up].sum()
    scale = 1e3 if "kbit" in kept[0].axes[0].get_ylabel() else 1e6
    assert (others.get_data().values * step).sum() * scale / 8 == pytest.approx(total)
    names = [text.get_text() for text in kept[0].axes[0].get_legend().get_texts()]
    assert names == ["video's flow", "5 other flows"]


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_pictures_have_the_format_of_their_suffix_and_are_alike_each_time(tmp_path, kind):
    trace = streamed("a")
    for folder in ("one", "two"):
        draw_timeline(trace, tmp_path / folder / f"a.{kind}", LADDER)
    content = (tmp_path / "one" / f"a.{kind}").read_bytes()
    assert content.startswith(MAGIC[kind])
    assert content == (tmp_path / "two" / f"a.{kind}").read_bytes()
    assert [path.name for path in (tmp_path / "one").iterdir()] == [f"a.{kind}"]


def test_another_suffix_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"a.gif: a picture ends in .png, .svg, .pdf"):
        draw_timeline(streamed("a"), tmp_path / "a.gif")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("seconds", [0.0, 0.004, 86_400.0 * 3650])
def test_traces_of_any_length_have_a_bounded_number_of_bars(tmp_path, kept, seconds):
    packets = streamed("a").packets.take(slice(2))
    packets = replace(packets, ts=np.array([0, int(seconds * NANOSECONDS)]))
    trace = Trace("a", packets, Condition("unknown", seconds, 10.0, Labels.unknown(1)))
    draw_timeline(trace, tmp_path / "a.png")
    assert len(axes_of(kept[0])["down"].patches[0].get_data().values) <= timeline.PAGE.bars


def test_a_trace_without_packets_can_be_drawn(tmp_path):
    trace = Trace("a", join_packets([]), Condition("unknown", 0.0, 10.0, Labels.unknown(0)))
    draw_timeline(trace, tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 1000


# The command.


def test_a_trace_is_found_by_all_its_names(corpus, tmp_path):
    for text, name in (
        ("made:l3", None),
        (f"{corpus}:l3", None),
        (str(corpus), "l3"),
        (f"{corpus}/traces.parquet:l3", None),
        ("made", "l3"),
    ):
        found = find_trace(text, tmp_path, name)
        assert (found.trace.name, found.ladder, found.count) == ("l3", LADDER, 9)
    assert find_trace("made", tmp_path).trace.name == "l0"


def test_a_capture_is_found_as_a_file(tmp_path):
    write_pcap(tmp_path / "odd:name.pcap", streamed("a").packets)
    found = find_trace(str(tmp_path / "odd:name.pcap"), tmp_path)
    assert (found.trace.name, found.count, len(found.trace.packets)) == ("odd:name", 1, 295)


def test_a_cells_synthetic_traces_are_found(corpus, tmp_path):
    cell = tmp_path / "results" / "cells" / "0123"
    cell.mkdir(parents=True)
    made = [streamed("synthetic-0000"), streamed("synthetic-0001", (5, 5, 5))]
    write_traces(tmp_path / "results" / "store" / "sample" / ("a" * 32) / "traces.parquet", made)
    record = {
        "status": "ok",
        "stages": {"sample": {"key": "a" * 64}},
        "config": {"dataset": {"name": "made", "path": None}},
    }
    (cell / "record.json").write_text(json.dumps(record))
    (cell / "job.json").write_text(json.dumps({"root": str(tmp_path), "store": str(tmp_path / "gone")}))
    found = find_trace(f"{cell}:synthetic-0001", tmp_path)
    assert (found.trace.labels.rung.tolist(), found.ladder) == ([5, 5, 5], LADDER)
    with pytest.raises(CorpusError, match="did you mean 'synthetic-0001'"):
        find_trace(f"{cell}:synthetic-001", tmp_path)
    (cell / "record.json").write_text(json.dumps({**record, "stages": {}, "status": "failed", "reason": "died"}))
    with pytest.raises(CorpusError, match=r"0123: the cell has no synthetic traces \(failed: died"):
        find_trace(str(cell), tmp_path)
    (cell / "record.json").write_text(json.dumps({**record, "stages": {"sample": {"key": "../../x"}}}))
    with pytest.raises(CorpusError, match="aren't in the store any more"):
        find_trace(str(cell), tmp_path)
    (cell / "record.json").write_text("[")
    with pytest.raises(CorpusError, match=r"record.json: not a readable JSON"):
        find_trace(str(cell), tmp_path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("made:l33", "made: no trace 'l33' is in it; did you mean 'l3'?"),
        ("mode:l3", "mode: neither a file or folder nor a corpus; did you mean 'made'?"),
        ("nothing.pcap", "nothing.pcap: neither a file"),
    ],
)
def test_an_unknown_trace_is_one_line_with_the_nearest_name(corpus, capsys, text, reason):
    assert main(["plot", text]) == 2
    error = capsys.readouterr().err
    assert reason in error
    assert error.count("\n") == 1


def test_a_damaged_corpus_is_not_read_in_part(corpus, tmp_path, capsys):
    path = corpus / "traces.parquet"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CorpusError, match="SHA-256"):
        read_source(corpus)
    assert main(["plot", "made:l3", "--out", str(tmp_path / "a.png")]) == 2
    assert "SHA-256" in capsys.readouterr().err
    assert not (tmp_path / "a.png").exists()


def test_the_command_draws_and_says_what_is_missing(corpus, tmp_path, capsys):
    assert main(["plot", "made", "--out", str(tmp_path / "deep" / "a.svg")]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == str(tmp_path / "deep" / "a.svg")
    assert said[1:] == [
        "left out: buffer: the trace's notes don't have it",
        "l0 is the first of 9 traces; for another: made:NAME",
    ]
    assert (
        "made:l0: light-h2" in (tmp_path / "deep" / "a.svg").read_text() or (tmp_path / "deep" / "a.svg").stat().st_size
    )


@pytest.mark.parametrize("command", ["plot", "gallery"])
def test_help_has_examples(command, capsys):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    assert f"  python -m benchmark {command} streaming" in capsys.readouterr().out


# The gallery.


def test_choices_show_each_application_rung_stall_and_the_traffic_of_others(corpus):
    traces, ladder = read_source(corpus)
    chosen = choose(traces, ladder, 12)
    reasons = {choice.reason: choice.trace.name for choice in chosen}
    assert reasons["stalls after startup"] == "s1"
    assert reasons["shares its link with the traffic of others"] == "s2"
    for rung, height in enumerate(LADDER):
        name = reasons[f"{height}p dominates"]
        assert name == ("s0" if height == 360 else f"l{rung}")
    assert {choice.trace.condition.application for choice in chosen} == {"light-h2", "shaka-h2"}
    names = [choice.trace.name for choice in chosen]
    assert len(set(names)) == len(names) == 9
    assert [choice.trace.name for choice in choose(traces[::-1], ladder, 12)] == names
    assert [choice.trace.name for choice in choose(traces, ladder, 3)] == names[:3]
    assert choose([], ladder, 3) == []


def test_calls_are_chosen_good_and_bad():
    calls = [streamed(f"w{fps}", fps=float(fps), application="webrtc") for fps in (12, 30, 25)]
    calls.append(streamed("a20", fps=20.0, application="aiortc"))
    chosen = choose(calls, (), 4)
    assert [choice.trace.name for choice in chosen] == ["w30", "w12", "a20", "w25"]
    assert [choice.rank for choice in chosen] == [0, 0, 0, 1]


def test_a_gallery_is_a_page_with_its_pictures(corpus, tmp_path, capsys):
    calls = [streamed(f"w{fps}", fps=float(fps), application="webrtc", seed=fps) for fps in (12, 30, 25)]
    write_corpus(tmp_path / "datasets" / "talks", calls, ())
    out = tmp_path / "docs" / "gallery"
    arguments = ["gallery", "made", "talks", "--out", str(out)]
    assert main([*arguments, "--count", "11"]) == 0
    assert "11 pictures" in capsys.readouterr().out
    page = (tmp_path / "docs" / "gallery.md").read_text()
    shown = re.findall(r"!\[[^]]+\]\((gallery/[\w.-]+)\)", page)
    assert len(shown) == 11
    assert sorted(path.name for path in out.iterdir()) == sorted(Path(name).name for name in shown)
    assert "**s1**, light-h2: stalls after startup." in page
    assert page.count("## ") == 2
    first = {path: path.read_bytes() for path in out.iterdir()}
    assert main([*arguments, "--count", "11"]) == 0
    assert first == {path: path.read_bytes() for path in out.iterdir()}
    assert sum(map(len, first.values())) / len(first) < 1e6 / 12
    (out / "mine.png").write_bytes(b"x")
    assert main([*arguments, "--count", "2"]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["made-s1.png", "mine.png", "talks-w30.png"]


def test_a_gallery_leaves_a_page_of_others_alone_but_for_its_text(corpus, tmp_path):
    (tmp_path / "gallery").mkdir()
    (tmp_path / "gallery" / "mine.png").write_bytes(b"x")
    (tmp_path / "gallery.md").write_text("# Holidays\n![me](gallery/mine.png)\n")
    with pytest.raises(ConfigError, match="holds something else"):
        gallery.write_page(tmp_path / "gallery.md", tmp_path / "gallery", [], ["gallery"])
    assert (tmp_path / "gallery" / "mine.png").exists()
    assert "Holidays" in (tmp_path / "gallery.md").read_text()


def test_names_of_unknown_origin_stay_within_the_page_and_the_folder(corpus, tmp_path, capsys):
    odd = [streamed(name, seed=i) for i, name in enumerate(("../$x ](y)\n<b>\ud800", "a" * 500, "../_x ](y)\n<b>"))]
    odd[0] = replace(odd[0], notes={"player": "<b>\ud800\n"})
    write_corpus(tmp_path / "datasets" / "odd", odd)
    assert main(["gallery", "odd", "--out", str(tmp_path / "out"), "--count", "3"]) == 0
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert len(names) == 3
    assert all(re.fullmatch(r"odd-[\w.-]{1,120}\.png", name) for name in names)
    page = (tmp_path / "out.md").read_text(encoding="utf-8")
    assert "<b>" not in page.replace("\\<b\\>", "")


def test_too_few_pictures_are_refused(corpus, capsys):
    assert main(["gallery", "made", "--out", "x", "--count", "0"]) == 2
    assert "--count 0" in capsys.readouterr().err
