"""A player's buffer without a player: what would be on the screen, given when each segment arrived. Pure.

Playback starts once ``START`` seconds are buffered and, after the buffer ran dry, resumes once ``RESUME`` are
(ExoPlayer's defaults: 2.5 s and 5 s). Both picture and sound must be there. Times are seconds of any one clock and
never go back; film time goes on past the film's end, since films loop.
"""

from __future__ import annotations

from dataclasses import dataclass

START = 2.5
RESUME = 5.0
VIDEO, AUDIO = 0, 1


@dataclass(frozen=True)
class State:
    """What a player's statistics would say at one moment.

    playhead: film time, s. ahead: seconds buffered ahead, of picture and sound both. height: lines of the picture
    shown, 0 ahead of the first. stalled: seconds of rebuffering so far, the start-up not counted. played: seconds.
    """

    playhead: float
    ahead: float
    height: int
    stalled: float
    played: float
    playing: bool


class Buffer:
    """A buffer of picture and sound that holds up to ``goal`` seconds of each, and never less than two segments."""

    def __init__(self, offset: float, segment: float, goal: float, now: float = 0.0) -> None:
        if offset < 0 or segment <= 0:
            raise ValueError(f"no playback from {offset} s with segments of {segment} s")
        self.segment = segment
        self.goal = max(goal, 2 * segment)
        self.events: list[tuple[float, str, float]] = []
        self.started: float | None = None
        self._offset = offset
        self._first = int(offset // segment)
        self._heights: list[int] = []
        self._ends = [self._first * segment] * 2
        self._playhead = offset
        self._playing = False
        self._stalled = 0.0
        self._now = now

    @property
    def room(self) -> float:
        """Return the most seconds that can be buffered when a segment is asked for."""
        return self.goal - self.segment

    def next_segment(self, track: int) -> int:
        """Return the track's next segment, from 0, in a film without end."""
        return round(self._ends[track] / self.segment)

    def level(self, track: int) -> float:
        """Return the seconds of a track buffered ahead of the playhead."""
        return max(0.0, self._ends[track] - self._playhead)

    def wait(self, track: int) -> float:
        """Return the seconds of playback until the track's next segment has room; 0 if it has."""
        return max(0.0, self._ends[track] - self._playhead - self.room)

    def append(self, track: int, now: float, height: int = 0) -> None:
        """Add the track's next segment, complete at ``now``; ``height`` in lines if it's a picture's."""
        self.advance(now)
        self._ends[track] += self.segment
        if track == VIDEO:
            self._heights.append(height)
        wanted = START if self.started is None else RESUME
        if self._playing or self._ahead() < min(wanted, self.room):
            return
        self._playing = True
        if self.started is None:
            self.started = self._now
        self.events.append((self._now, "playing", self._playhead))

    def advance(self, now: float) -> None:
        """Play up to ``now``."""
        passed = max(0.0, now - self._now)
        ahead = self._ahead()
        if self._playing and passed > ahead:
            self._playing = False
            self._playhead += ahead
            self._stalled += passed - ahead
            self.events.append((self._now + ahead, "stalled", self._playhead))
        elif self._playing:
            self._playhead += passed
        elif self.started is not None:
            self._stalled += passed
        self._now += passed

    def state(self, now: float) -> State:
        """Return what is seen at ``now``."""
        self.advance(now)
        played = self._playhead - self._offset
        return State(self._playhead, self._ahead(), self._height(), self._stalled, played, self._playing)

    def _ahead(self) -> float:
        return max(0.0, min(self._ends) - self._playhead)

    def _height(self) -> int:
        if self.started is None:
            return 0
        # A dry buffer's playhead stands at the end of the last segment, whose last picture stays on the screen.
        index = int(self._playhead / self.segment + 1e-9) - self._first
        return self._heights[min(index, len(self._heights) - 1)]
