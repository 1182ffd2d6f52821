"""The label rule, on players' logs worked out by hand."""

import math

import numpy as np
import pytest

from player_labels import label_call, label_streaming, mode, playhead_moves
from tests.datasets.player_logs import START, call_log, streaming_log


def label(log, first_packet=START, windows=3):
    return label_streaming(log, first_packet, 10.0, windows)


def seconds(values):
    return [round(float(value), 3) for value in values]


def test_rung_is_the_modal_video_segment_and_is_carried_forward():
    log = streaming_log(length=42)
    at = 1000 * START
    log["segs"] = [
        [at + 11_000, "i3.m4s", 800, 5],  # init and audio segments don't count
        [at + 11_100, "c6-1.m4s", 50_000, 5],
        [at + 11_200, "c6-2.m4s", 50_000, 5],
        [at + 12_000, "c4-1.m4s", 100_000, 5],
        [at + 13_000, "c1-2.m4s", 100_000, 5],
        [at + 19_999, "c4-3.m4s", 100_000, 5],
        [at + 30_000, "c5-4.m4s", 100_000, 5],
        [at + 31_000, "c2-5.m4s", 100_000, 5],
        [at + 45_000, "c0-6.m4s", 100_000, 5],  # after the trace's end
        [at - 1_000, "c0-0.m4s", 100_000, 5],  # before it began
    ]
    labels = label(log, windows=4)
    assert labels.rung.tolist() == [-1, 4, 4, 2]
    assert seconds(labels.bitrate) == [0, 320_000, 0, 160_000]
    assert np.isnan(labels.fps).all()


def test_windows_count_from_the_first_packet_not_from_the_player():
    log = streaming_log()
    # A fifth value says when the segment was asked for.
    log["segs"] = [[1000 * START + 9_000, "c3-1.m4s", 1, 1, 1000 * START + 8_999]]
    assert label(log).rung.tolist() == [3, 3, 3]
    assert label(log, first_packet=START - 5).rung.tolist() == [-1, 3, 3]


def test_height_counts_only_while_the_playhead_moves():
    # Before playback the element reports the init segment's height.
    log = streaming_log(first_play=9.0, height=lambda time: 1080 if time < 9.4 else 240 if time < 24 else 480)
    assert label(log).height.tolist() == [240, 240, 480]
    assert label(streaming_log(first_play=12.0)).height.tolist() == [-1, 360, 360]


@pytest.mark.parametrize(("values", "modal"), [([], -1), ([3], 3), ([5, 2], 2), ([5, 5, 2], 5), ([4, 1, 4, 1], 1)])
def test_ties_go_to_the_lower(values, modal):
    assert mode(values) == modal


def test_a_seek_is_not_a_move():
    samples = [{"t": 1000 * time, "ct": place} for time, place in [(0, 0), (0.5, 41.2), (1, 41.2), (1.5, 41.6)]]
    times, moves = playhead_moves(samples)
    assert seconds(times) == [0, 0.5, 1, 1.5]
    assert seconds(moves) == [0, 0, 0.4]


@pytest.mark.parametrize("first_play", [0.75, 2.0, 2.3, 11.5])
def test_startup_runs_from_the_players_start_to_the_first_move(first_play):
    labels = label(streaming_log(first_play=first_play, offset=28.0))
    assert labels.startup == pytest.approx(first_play, abs=0.001)
    waits = [min(10, first_play), max(0, first_play - 10), 0]
    assert seconds(labels.stall) == pytest.approx(waits, abs=0.002)


def test_startup_runs_from_the_later_of_player_and_first_packet():
    assert label(streaming_log(first_play=2.0), first_packet=START + 1).startup == pytest.approx(1.0)
    assert label(streaming_log(first_play=2.0), first_packet=START - 8).startup == pytest.approx(2.0)
    # Ahead of the player's start nothing is wanted, so nothing stalls.
    assert seconds(label(streaming_log(first_play=2.0), first_packet=START - 8).stall) == [2, 0, 0]


def test_stalls_are_what_the_players_counter_gained():
    labels = label(streaming_log(first_play=1.0, stalls=[(8.5, 10.5), (24.0, 25.0)]))
    assert seconds(labels.stall) == pytest.approx([1.0 + 1.5, 0.5, 1.0], abs=0.01)
    chromium = streaming_log(first_play=1.0, stalls=[(8.5, 10.5), (24.0, 25.0)])
    for sample in chromium["samples"]:
        sample["bt"] = sample.pop("stall") + 0.7  # time spent buffering ahead of playback
    assert seconds(label(chromium).stall) == seconds(labels.stall)


def test_a_session_that_never_plays_stalls_throughout():
    labels = label(streaming_log(first_play=99.0), first_packet=START - 4)
    assert math.isnan(labels.startup)
    assert seconds(labels.stall) == [6, 10, 10]
    assert labels.height.tolist() == [-1, -1, -1]


def test_calls_interpolate_cumulative_counters():
    labels = label_call(call_log(), START, 1.0, 14)
    # Samples stand at 0.4 s to 11.4 s: the first window and the last three aren't spanned.
    assert np.isnan(labels.fps).tolist() == [True] + [False] * 10 + [True] * 3
    assert seconds(labels.fps[1:11]) == [25.0] * 10
    assert seconds(labels.bitrate[1:11]) == [80_000.0] * 10
    # The sample at 5.4 s tells of a freeze of half a second that has ended.
    assert np.isnan(labels.stall).tolist() == np.isnan(labels.fps).tolist()
    assert seconds(labels.stall[1:11]) == [0, 0, 0, 0.1, 0.4, 0, 0, 0, 0, 0]
    assert labels.height.tolist() == [360] * 6 + [180] * 6 + [-1] * 2
    assert labels.rung.tolist() == [-1] * 14


def test_a_long_freeze_fills_the_windows_that_it_spans_and_no_more():
    log = call_log()
    for second, sample in enumerate(log["client"]):
        sample["in_video"]["totalFreezesDuration"] = 0.0 if second < 5 else 2.5
    assert seconds(label_call(log, START, 1.0, 14).stall[1:11]) == [0, 0.1, 1, 1, 0.4, 0, 0, 0, 0, 0]
