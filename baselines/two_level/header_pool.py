"""Segment headers drawn from those of training, each likelier the more its past is like the one at hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from baselines.parts.classes import Example
from baselines.parts.sketches import SLICE
from baselines.two_level.segments import find_segments
from benchmark.trace import NANOSECONDS

# Widths of the kernel, in octaves: of bytes, rate and pause of the header before, and of the moment.
WIDTHS = np.array([1.5, 0.4, 1.0, 0.5])
LIKELIEST = 1e-6  # of the weight, so that every header of a class can be drawn


class Header(NamedTuple):
    """What a segment is to be: bytes down, bytes/s, rows after the last of them, ns to the next opening."""

    bytes: int
    rate: float
    tail: int
    pause: int

    @property
    def lasts(self) -> int:
        """Time from the opening to the last byte down, ns."""
        return round(self.bytes / self.rate * NANOSECONDS) if self.rate > 0 else 0


@dataclass(frozen=True, eq=False)
class HeaderPool:
    """The headers of all training segments, arrays [h].

    key: int64, class at the segment's end. application: int64. past: float64 [h, 4], see ``_past``.
    header: float64 [h, 4], the fields of Header.
    """

    key: NDArray[np.int64]
    application: NDArray[np.int64]
    past: NDArray[np.float64]
    header: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.key)

    @staticmethod
    def learn(examples: Sequence[Example], applications: Sequence[str]) -> HeaderPool:
        """Collect the headers; one that the end of its trace cuts short is left out."""
        keys, names, pasts, headers = [], [], [], []
        for example in examples:
            found = find_segments(example.sketch)
            whole = max(1, len(found.first) - 1)
            before: Header | None = None
            for i in range(whole):
                header = Header(int(found.bytes[i]), float(found.rate[i]), int(found.tail[i]), int(found.pause[i]))
                keys.append(int(example.classes_at(found.finished[i : i + 1])[0]))
                names.append(applications.index(example.application))
                pasts.append(_past(before, int(found.opened[i])))
                headers.append(header)
                before = header
        return HeaderPool(
            np.array(keys, np.int64),
            np.array(names, np.int64),
            np.array(pasts),
            np.array(headers, np.float64),
        )

    def draw(
        self,
        windows: NDArray[np.int64],
        window: int,
        application: int,
        before: Header | None,
        now: int,
        jitter: float,
        random: np.random.Generator,
    ) -> Header:
        """Draw the header of the segment that opens at ``now``, for the class at its expected end.

        windows: the class of each window of ``window`` ns. before: the header before, None for the first.
        """
        expected = now + 2 * NANOSECONDS
        drawn = Header(0, 0.0, 0, 0)
        for _ in range(2):
            key = windows[min(expected // window, len(windows) - 1)]
            drawn = self._draw_of(int(key), application, before, now, random)
            if windows[min((now + drawn.lasts) // window, len(windows) - 1)] == key:
                break
            expected = now + drawn.lasts
        size, rate, pause = np.exp(jitter * random.standard_normal(3))
        return Header(round(drawn.bytes * size), drawn.rate * float(rate), drawn.tail, round(drawn.pause * pause))

    def _draw_of(
        self, key: int, application: int, before: Header | None, now: int, random: np.random.Generator
    ) -> Header:
        pool = np.flatnonzero(self.key == key)
        if len(pool) == 0:
            pool = np.flatnonzero(self.application == application)
        if len(pool) == 0:
            pool = np.arange(len(self))
        far = (self.past[pool] - _past(before, now)) / WIDTHS
        weight = np.exp(-0.5 * (far**2).sum(axis=1)) + LIKELIEST
        size, rate, tail, pause = self.header[random.choice(pool, p=weight / weight.sum())]
        return Header(int(size), float(rate), int(tail), int(pause))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return it as arrays by name."""
        return {f"headers.{name}": value for name, value in vars(self).items()}

    @staticmethod
    def of(arrays: dict[str, NDArray[Any]]) -> HeaderPool:
        """Build it from what ``arrays`` gave."""
        return HeaderPool(*(arrays[f"headers.{name}"] for name in ("key", "application", "past", "header")))


def _past(before: Header | None, now: int) -> list[float]:
    """Return what a header depends on, in octaves: bytes, rate, pause of the one before; the moment."""
    moment = np.log2(0.5 + now / NANOSECONDS)
    if before is None:
        return [0.0, 0.0, 0.0, moment]
    pause = np.log2(0.05 + before.pause / SLICE)
    return [np.log2(1 + before.bytes), np.log2(1 + before.rate), pause, moment]
