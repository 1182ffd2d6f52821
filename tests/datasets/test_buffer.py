"""The light player's buffer, on cases worked out by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buffer import AUDIO, RESUME, START, VIDEO, Buffer


def fill(buffer, now, *tracks, height=360):
    for track in tracks:
        buffer.append(track, now, height)


def test_playback_starts_with_enough_of_picture_and_sound():
    buffer = Buffer(offset=10.0, segment=4.0, goal=30.0)  # the first segment, from 8 s, leaves 2 s of it
    assert buffer.next_segment(VIDEO) == 2
    fill(buffer, 1.0, VIDEO, AUDIO)
    assert buffer.state(1.5).playing is False
    assert buffer.state(1.5).height == 0
    fill(buffer, 2.0, VIDEO)
    assert buffer.started is None
    fill(buffer, 3.0, AUDIO)
    assert buffer.started == 3.0
    state = buffer.state(5.0)
    assert (state.playhead, state.ahead, state.stalled, state.played) == (12.0, 4.0, 0.0, 2.0)
    assert START < 4.0 < RESUME


def test_a_dry_buffer_stalls_and_resumes_after_the_stated_amount():
    buffer = Buffer(offset=0.0, segment=4.0, goal=30.0)
    fill(buffer, 0.0, VIDEO, AUDIO, height=240)
    state = buffer.state(6.0)
    assert (state.playhead, state.stalled, state.playing, state.height) == (4.0, 2.0, False, 240)
    fill(buffer, 7.0, VIDEO, AUDIO, height=720)
    assert buffer.state(8.0).playing is False  # 4 s are less than RESUME
    fill(buffer, 9.0, VIDEO, AUDIO)
    state = buffer.state(10.0)
    assert (state.playhead, state.stalled, state.playing, state.height) == (5.0, 5.0, True, 720)
    assert [(at, name) for at, name, _ in buffer.events] == [(0.0, "playing"), (4.0, "stalled"), (9.0, "playing")]


def test_a_goal_below_two_segments_still_plays():
    buffer = Buffer(offset=0.0, segment=4.0, goal=1.0)
    assert (buffer.goal, buffer.room) == (8.0, 4.0)
    fill(buffer, 0.0, VIDEO, AUDIO)
    buffer.advance(10.0)
    fill(buffer, 10.0, VIDEO, AUDIO)
    assert buffer.state(10.0).playing  # RESUME wouldn't fit
    with pytest.raises(ValueError, match="no playback"):
        Buffer(-1.0, 4.0, 30.0)


@given(
    st.floats(0, 500),
    st.floats(8, 60),
    st.lists(st.tuples(st.sampled_from([VIDEO, AUDIO]), st.floats(0.01, 9)), max_size=60),
)
def test_no_second_is_lost(offset, goal, fetches):
    buffer = Buffer(offset, 4.0, goal)
    now = 0.0
    for track, took in fetches:
        now += took
        buffer.advance(now)
        if buffer.wait(track) == 0:
            buffer.append(track, now, 360)
            assert buffer.level(track) <= buffer.goal + 1e-6
        state = buffer.state(now)
        if buffer.started is not None:
            assert state.played + state.stalled == pytest.approx(now - buffer.started, abs=1e-6)
        else:
            assert state.played == state.stalled == state.height == 0
        assert state.ahead >= 0
