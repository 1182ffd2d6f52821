"""What notes and labels say of a trace, in words and series."""

import re
from dataclasses import replace

import numpy as np
import pytest

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
from benchmark.trace import Labels
from tests.benchmark.pictures.session_making import LADDER, crossed, streamed


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
