"""Pictures of traces: what is drawn is what the trace holds, and what can't be drawn is said."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib import pyplot as plt

from benchmark.commands import timeline
from benchmark.commands.timeline import draw_timeline
from benchmark.errors import ConfigError
from benchmark.trace import NANOSECONDS, Condition, Labels, Trace, join_packets
from tests.benchmark.pictures.session_making import LADDER, MAGIC, crossed, streamed


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
