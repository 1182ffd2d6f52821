"""Cross traffic: what others behind the same access link do meanwhile.

    python cross.py CONFIG.json LOG.json       inside the client's namespace

"web": somebody reads pages, each of 8 to 25 objects (log-normal sizes, median 15 kB, at most 1 MB) over up to six TLS
connections of its own, the first object ahead of the rest; then thinks for a while (exponential, mean 8 s). "bulk":
one or two downloads of 1 to 8 MB that begin at random moments. Both stay modest, so that the video's flow usually is
the largest: a download takes at most a quarter of what the link carries in the session. HTTP/1.1; the objects are
ranges of one file of random bytes. The log lists what was fetched: {"kind", "fetched": [[completed ms, bytes, ms it
took, page or download]], "errors": […], "cpu": CPU seconds}.
"""

from __future__ import annotations

import http.client
import json
import math
import os
import queue
import random
import signal
import socket
import ssl
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from session import HOST

AFTER = 6.0
CONNECTIONS = 6
OBJECTS = (8, 25)
MEDIAN_BYTES, SPREAD, MOST_BYTES = 15_000, 1.2, 1_000_000
THINK = 8.0
BULK_BYTES = (1e6, 8e6)
BULK_SHARE = 0.25
FILE = "bytes.bin"
FILE_BYTES = 8_000_000
PIECE = 65_536


@dataclass(frozen=True)
class Download:
    """A bulk download: when it begins, seconds since the start, and how many bytes it takes."""

    begin: float
    size: int


class Person:
    """Fetches over connections of its own, and keeps the log."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = config
        self._context = ssl.create_default_context(cafile=config["certificate"])
        self._patience = float(config["duration"]) + AFTER
        self._lock = threading.Lock()
        self.fetched: list[list[float]] = []
        self.errors: list[str] = []

    def fetch(self, sizes: Sequence[int], mark: int) -> None:
        """Fetch objects one after another over one connection; ``mark`` tells the log what they belong to."""
        todo: queue.SimpleQueue[int] = queue.SimpleQueue()
        for size in sizes:
            todo.put(size)
        self.drain(todo, mark)

    def drain(self, todo: queue.SimpleQueue[int], mark: int) -> None:
        """Fetch what is in a queue of sizes over one connection, until it's empty."""
        try:
            with self._connect() as link:
                while True:
                    self._get(link, todo.get_nowait(), mark)
        except queue.Empty:
            return
        except (OSError, http.client.HTTPException) as error:
            with self._lock:
                self.errors.append(f"{type(error).__name__}: {error}")

    def load_page(self, sizes: Sequence[int], page: int) -> None:
        """Fetch a page: its first object, then the rest over up to six connections side by side."""
        self.fetch(sizes[:1], page)
        todo: queue.SimpleQueue[int] = queue.SimpleQueue()
        for size in sizes[1:]:
            todo.put(size)
        count = min(CONNECTIONS, len(sizes) - 1)
        workers = [threading.Thread(target=self.drain, args=(todo, page), daemon=True) for _ in range(count)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    def log(self) -> dict[str, Any]:
        """Return the log."""
        with self._lock:
            return {
                "kind": self._config["cross"],
                "fetched": sorted(self.fetched),
                "errors": list(self.errors),
                "cpu": round(time.process_time(), 3),
            }

    def _connect(self) -> _Connection:
        place = (self._config["address"], int(self._config["cross_port"]))
        plain = socket.create_connection(place, timeout=self._patience)
        return _Connection(self._context.wrap_socket(plain, server_hostname=HOST))

    def _get(self, link: _Connection, size: int, mark: int) -> None:
        asked = time.time()
        first = size % 4096
        got = link.get(f"/{FILE}", first, min(size, FILE_BYTES - first))
        completed = time.time()
        with self._lock:
            self.fetched.append([round(1000 * completed, 1), got, round(1000 * (completed - asked), 1), mark])


class _Connection:
    """One HTTP/1.1 connection over a socket that is open already."""

    def __init__(self, secured: ssl.SSLSocket) -> None:
        self._link = http.client.HTTPConnection(HOST)
        self._link.sock = secured
        self._piece = bytearray(PIECE)

    def __enter__(self) -> _Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self._link.close()

    def get(self, path: str, first: int, size: int) -> int:
        """Fetch a range of a file; return the bytes that came."""
        self._link.request("GET", path, headers={"Range": f"bytes={first}-{first + size - 1}"})
        answer = self._link.getresponse()
        if answer.status != http.client.PARTIAL_CONTENT:
            raise http.client.HTTPException(f"status {answer.status}")
        got = 0
        while count := answer.readinto(self._piece):
            got += count
        return got


def draw_pages(seed: int) -> Iterator[tuple[float, list[int]]]:
    """Yield pages without end: seconds of thought before each, and its objects' bytes."""
    chance = random.Random(f"web {seed}")
    while True:
        think = chance.expovariate(1 / THINK)
        count = chance.randint(*OBJECTS)
        sizes = [chance.lognormvariate(math.log(MEDIAN_BYTES), SPREAD) for _ in range(count)]
        yield think, [max(200, min(MOST_BYTES, round(size))) for size in sizes]


def draw_downloads(seed: int, duration: float, megabits: float) -> list[Download]:
    """Return the downloads of a session over a link of so many Mbit/s on average, in the order in which they begin."""
    chance = random.Random(f"bulk {seed}")
    most = BULK_SHARE * megabits * 1e6 / 8 * duration
    count = chance.randint(1, 2)
    begins = sorted(chance.uniform(0.05, 0.85) * duration for _ in range(count))
    low, high = map(math.log, BULK_BYTES)
    sizes = [math.exp(chance.uniform(low, high)) for _ in begins]
    return [Download(begin, round(min(size, most / count))) for begin, size in zip(begins, sizes, strict=True)]


def mean_rate(config: Mapping[str, Any]) -> float:
    """Return the link's mean rate down over the session, Mbit/s."""
    duration = float(config["duration"])
    steps = [(float(second), float(rate)) for second, rate in config["link"]["down"] if second < duration]
    ends = [second for second, _ in steps[1:]] + [duration]
    return sum(rate * (end - second) for (second, rate), end in zip(steps, ends, strict=True)) / duration


def browse(person: Person, config: Mapping[str, Any]) -> None:
    """Read pages; never returns."""
    for page, (think, sizes) in enumerate(draw_pages(int(config["seed"]))):
        time.sleep(think)
        person.load_page(sizes, page)


def download(person: Person, config: Mapping[str, Any]) -> None:
    """Make the downloads, each at its moment."""
    began = time.monotonic()
    downloads = draw_downloads(int(config["seed"]), float(config["duration"]), mean_rate(config))
    for number, one in enumerate(downloads):
        time.sleep(max(0.0, began + one.begin - time.monotonic()))
        threading.Thread(target=person.fetch, args=([one.size], number), daemon=True).start()


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the cross traffic that the configuration asks for; return the exit status."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    if len(given) != 2:
        print(__doc__)
        return 2
    config = json.loads(Path(given[0]).read_text(encoding="utf-8"))
    kinds = {"web": browse, "bulk": download}
    if config["cross"] not in kinds:
        print(f"cross: there is no traffic '{config['cross']}' (there are {', '.join(kinds)})", file=sys.stderr)
        return 2
    person = Person(config)
    threading.Thread(target=kinds[config["cross"]], args=(person, config), daemon=True).start()
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    ended.wait(float(config["duration"]) + AFTER)
    log = person.log()
    aside = Path(given[1] + ".partial")
    aside.write_text(json.dumps(log), encoding="utf-8")
    os.replace(aside, given[1])
    if log["errors"] and not log["fetched"]:
        print(f"cross: {log['errors'][0]}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
