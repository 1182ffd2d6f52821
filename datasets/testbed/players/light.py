"""The light adaptive player: fetches the segments as a browser would, and plays them on a virtual buffer.

    python players/light.py CONFIG.json LOG.json       inside the client's namespace

HTTP/2 over TLS 1.3 on one connection, the server's certificate pinned; picture and sound are fetched side by side,
each up to the buffer's goal. A request is never given up: an outage delays it, and the buffer runs dry as a real
one does. A film loops, so any start offset plays to the end.
Before the session, the player believes in a throughput: the link's mean rate, mistaken by a log-normal factor that
the seed draws, as a player that remembers its last session here.

The log's "frames" are what a screen that drops none would have shown.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from adaptation import Adaptation, first_estimate, make_adaptation
from buffer import AUDIO, VIDEO, Buffer
from http2 import Connection, ConnectionBroken

AFTER = 6.0
PERIOD = 0.25
FRAMES = 24
RETRY = 1.0


class Clock:
    """Unix time that never steps: the wall clock once, then the monotonic one."""

    def __init__(self) -> None:
        self._began = time.time() - time.monotonic()

    def now(self) -> float:
        """Return unix seconds."""
        return self._began + time.monotonic()

    def drift(self) -> float:
        """Return the seconds by which the wall clock has left this one."""
        return time.time() - self.now()


@dataclass
class Transfer:
    """A file that is being fetched: for which track, asked when, and how much had come in all by then."""

    name: str
    track: int
    asked: float
    before: int
    size: int = 0


class Player:
    """One session's player, for a configuration (a session and where its server is) and a film's ladder."""

    def __init__(self, config: Mapping[str, Any], ladder: Mapping[str, Any]) -> None:
        self._config = config
        self._heights = [int(height) for height in ladder["heights"]]
        self._count = min(len(sizes) for sizes in ladder["sizes"])
        self._clock = Clock()
        self._buffer = Buffer(
            float(config["offset"]), float(ladder["segment"]), float(config["buffer"]), self._clock.now()
        )
        bits = [float(rate) for rate in ladder["bits"]]
        self._adaptation: Adaptation = make_adaptation(
            config["adaptation"],
            [rate + bits[-1] for rate in bits[:-1]],
            first_estimate(config["link"]["down"], float(config["duration"]), int(config["seed"])),
            self._buffer.room,
            self._buffer.segment,
        )
        address = str(config["url"]).removeprefix("https://")
        self._host, _, self._path = address.partition("/")
        self._connection: Connection | None = None
        self._connecting: threading.Thread | None = None
        self._transfers: dict[int, Transfer] = {}
        self._rungs: list[int | None] = [None, None]
        self._initialised: set[int] = set()
        self._opened = False
        self._pause = 0.0
        self._received = 0
        self._segments: list[list[Any]] = []
        self._events: list[list[Any]] = []
        self._protocol = ""

    def play(self) -> dict[str, Any]:
        """Play for the session's duration and a little more; return the log."""
        begin = self._clock.now()
        end = begin + float(self._config["duration"]) + AFTER
        samples = []
        tick = begin + PERIOD
        while tick < end:
            now = self._clock.now()
            if now >= tick:
                samples.append(self._sample(now))
                tick += PERIOD
                continue
            try:
                self._ask(now)
                self._take(min(tick - now, self._idle()))
            except ConnectionBroken as error:
                self._lose(str(error))
        moments = [[_milliseconds(at), name, round(value, 3)] for at, name, value in self._buffer.events]
        return {
            "client": f"light-{self._config['adaptation']}",
            "t0": _milliseconds(begin),
            "started": None if self._buffer.started is None else _milliseconds(self._buffer.started),
            "samples": samples,
            "segs": self._segments,
            "ev": sorted(self._events + moments, key=lambda event: event[0]),
            "protocol": self._protocol,
            "drift": round(1000 * self._clock.drift(), 3),
            "cpu": round(time.process_time(), 3),
        }

    def _ask(self, now: float) -> None:
        """Ask for what is wanted next: the manifest, and then for each track with room its next file."""
        if now < self._pause:
            return
        if self._connection is None:
            self._connect()
            return
        fetching = {transfer.track for transfer in self._transfers.values()}
        if not self._opened:
            if not fetching:
                self._get(self._path.rpartition("/")[2], VIDEO, now)
            return
        self._buffer.advance(now)
        for track in {VIDEO, AUDIO} - fetching:
            if self._buffer.wait(track) > 0:
                continue
            rung = self._rungs[track]
            if rung is None:
                level = self._buffer.level(track)
                rung = self._rungs[track] = self._adaptation.choose(level) if track == VIDEO else len(self._heights)
            number = self._buffer.next_segment(track) % self._count + 1
            self._get(f"c{rung}-{number}.m4s" if rung in self._initialised else f"i{rung}.m4s", track, now)

    def _idle(self) -> float:
        """Return the seconds until a track will have room, as far as it's known."""
        fetching = {transfer.track for transfer in self._transfers.values()}
        waits = [self._buffer.wait(track) for track in (VIDEO, AUDIO) if track not in fetching]
        return max(0.01, min((wait for wait in waits if wait > 0), default=PERIOD))

    def _get(self, name: str, track: int, now: float) -> None:
        assert self._connection is not None
        stream = self._connection.get(f"/{self._path.rpartition('/')[0]}/{name}")
        self._transfers[stream] = Transfer(name, track, now, self._received)

    def _take(self, timeout: float) -> None:
        """Wait for what comes, and take it in."""
        if self._connection is None:
            time.sleep(min(timeout, 0.02))
            return
        pieces = self._connection.receive(timeout)
        now = self._clock.now()
        for piece in pieces:
            transfer = self._transfers.get(piece.stream)
            if transfer is None:
                continue
            self._received += piece.size
            transfer.size += piece.size
            if piece.failure:
                del self._transfers[piece.stream]
                self._complain(f"{transfer.name}: {piece.failure}", now)
            elif piece.ended:
                del self._transfers[piece.stream]
                self._complete(transfer, now)

    def _complete(self, transfer: Transfer, now: float) -> None:
        """Log a file that has come, and play it."""
        took = now - transfer.asked
        entry = [_milliseconds(now), transfer.name, transfer.size, round(1000 * took, 1), _milliseconds(transfer.asked)]
        self._segments.append(entry)
        rung = self._rungs[transfer.track]
        if not self._opened:
            self._opened = True
        elif rung is not None and rung not in self._initialised:
            self._initialised.add(rung)
        elif rung is not None:
            if transfer.track == VIDEO:
                self._adaptation.measured(8 * (self._received - transfer.before) / max(took, 1e-3))
            self._buffer.append(transfer.track, now, self._heights[rung] if transfer.track == VIDEO else 0)
            self._rungs[transfer.track] = None

    def _connect(self) -> None:
        """Connect beside, so that samples are taken meanwhile."""
        if self._connecting is not None:
            return

        def connect() -> None:
            patience = float(self._config["duration"]) + AFTER
            place = (str(self._config["address"]), int(self._config["port"]))
            try:
                connection = Connection(*place, self._host, str(self._config["certificate"]), patience)
                self._protocol = connection.protocol
                self._connection = connection
            except ConnectionBroken as error:
                self._complain(str(error), self._clock.now())
            self._connecting = None

        self._connecting = threading.Thread(target=connect, daemon=True)
        self._connecting.start()

    def _lose(self, reason: str) -> None:
        """Forget a broken connection and what was asked for over it; all of it will be asked for again."""
        self._complain(reason, self._clock.now())
        self._transfers.clear()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _complain(self, reason: str, now: float) -> None:
        self._events.append([_milliseconds(now), "error", reason])
        self._pause = now + RETRY

    def _sample(self, now: float) -> dict[str, Any]:
        state = self._buffer.state(now)
        return {
            "t": _milliseconds(now),
            "ct": round(state.playhead, 4),
            "h": state.height,
            "buf": round(state.ahead, 4),
            "stall": round(state.stalled, 4),
            "play": state.playing,
            "dropped": 0,
            "frames": int(FRAMES * state.played),
        }


def _milliseconds(seconds: float) -> float:
    return round(1000 * seconds, 1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Play the session that the configuration describes; return the exit status, 1 if nothing was ever fetched."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    if len(given) != 2:
        print(__doc__)
        return 2
    config = json.loads(Path(given[0]).read_text(encoding="utf-8"))
    ladder = json.loads((Path(config["media"]) / config["clip"] / "ladder.json").read_text(encoding="utf-8"))
    if config["protocol"] != "h2":
        print(f"light: this player speaks h2, not {config['protocol']}", file=sys.stderr)
        return 2
    log = Player(config, ladder).play()
    aside = Path(given[1] + ".partial")
    aside.write_text(json.dumps(log), encoding="utf-8")
    os.replace(aside, given[1])
    errors = [event for event in log["ev"] if event[1] == "error"]
    if errors and not log["segs"]:
        print(f"light: {errors[0][2]}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
