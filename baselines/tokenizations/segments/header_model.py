"""A small model of segment headers: how much comes down, how fast, and when the next request follows.

Each of the three is a mixture of logistics in log2, discretised to the tokenization's bins (Salimans et al.,
PixelCNN++, 2017), given by a little network that sees the condition, the clock and the two headers before.
Nothing is stored of single headers. ``header_fitting`` learns it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from baselines.parts.asked import RUNGS, Asked, at_moment
from baselines.tokenizations.segments.alphabet import (
    CYCLE_FLOOR,
    CYCLE_PER_OCTAVE,
    CYCLES,
    PER_OCTAVE,
    RATE_FLOOR,
    RATE_PER_OCTAVE,
    RATES,
    SIZE_FLOOR,
    SIZES,
    bin_of,
)

# Name, log2 of the floor, bins an octave, bins, parts of the mixture.
FIELDS = (
    ("size", SIZE_FLOOR, PER_OCTAVE, SIZES, 5),
    ("rate", RATE_FLOOR, RATE_PER_OCTAVE, RATES, 3),
    ("cycle", CYCLE_FLOOR, CYCLE_PER_OCTAVE, CYCLES, 4),
)
MIDDLE = {"size": 16.0, "rate": 18.0, "cycle": 1.0}  # log2, about which the parts are spread
PAST = 10  # inputs, the last ones, that tell of the headers before
_TURNS = 6  # headers that a trace opens with, each of a kind of its own; those that follow are alike
_CUT = 13.0  # log2 of bit/s, below which a link is as good as cut
_BIG = 20_000.0  # bytes, from which a header's rate tells of the path's


class HeaderHistory:
    """What the next header depends on: the headers before, and the bytes per second that each rung needs."""

    def __init__(self, needed: NDArray[np.float64]) -> None:
        """needed: float64 [rungs + 1], bytes a second played of each rung (the first: unknown)."""
        self._needed = needed
        self._last = np.zeros(8)
        self._pace = 0.0
        self._paced = 0.0
        self._media = 0.0
        self._count = 0

    def features(self, application: int, applications: int, opened: float, asked: Asked) -> NDArray[np.float64]:
        """Return the inputs of the model but the rung at the segment's end, float64 [inputs].

        opened: seconds since the flow began.
        """
        who = np.zeros(applications + 1)
        who[application + 1] = 1.0
        turn = np.zeros(_TURNS)
        turn[min(self._count, _TURNS - 1)] = 1.0
        buffered = np.clip(self._media - opened, -20, 60) / 20
        clock = [opened / 60, np.log1p(opened), float(opened < 1), buffered]
        rungs, moment = asked.rungs, opened + asked.began
        place = min(int(moment / asked.window), len(rungs) - 1)
        around = np.clip([place - 1, place + 1], 0, len(rungs) - 1)
        course = np.array([rungs.mean(), rungs.max(), *rungs[around]]) / 3
        stalls = asked.stalls[[around[0], place, around[1]]]
        wait = [0.0, 0.0, 0.0]
        if not np.isnan(asked.startup):
            wait = [1.0, np.log1p(asked.startup) / 2, float(np.clip((asked.startup - moment) / 5, -1, 1))]
        return np.concatenate(
            [
                *(who, turn, rung_code(int(rungs[place])), course, clock, stalls / 3, stalls == 0, wait),
                *(_link_ahead(asked, moment), self._last, [self._pace, self._paced]),
            ]
        )

    def remember(self, size: float, rate: float, cycle: float, rung: int) -> None:
        """Take in a header that was written."""
        self._count += 1
        recent = [
            np.log2(1 + size) / 10 - 1,
            np.log2(1 + rate) / 10 - 1,
            np.log2(0.02 + cycle),
            float(cycle > 0),
        ]
        self._last = np.concatenate([recent, self._last[:4]])
        self._media += size / self._needed[min(rung + 1, len(self._needed) - 1)]
        if size > _BIG and rate > 0:
            level = np.log2(rate) / 2 - 9
            self._pace = level if self._paced == 0 else 0.6 * self._pace + 0.4 * level
            self._paced = 1.0


def _link_ahead(asked: Asked, moment: float) -> NDArray[np.float64]:
    """Return what a segment that opens now will meet on the link, float64 [9]; all 0 where it isn't known."""
    if np.isnan(asked.rates[0]):
        return np.zeros(9)
    place = min(int(moment / asked.step), len(asked.rates) - 1)
    spans = [asked.rates[place : place + max(1, round(span / asked.step))] for span in (1, 3, 8)]
    means = [(np.log2(np.mean(2.0**span)) - 20) / 3 for span in spans]
    cut = [float((span < _CUT).mean()) for span in spans]
    return np.array([1.0, *means, *cut, np.log2(max(asked.delay, 1e-4)) / 3 + 2, asked.loss / 3])


def rung_at(asked: Asked, seconds: float) -> int:
    """Return the rung asked for at a moment of the flow."""
    return int(at_moment(asked.rungs, asked.window, seconds + asked.began))


def rung_code(rung: int) -> NDArray[np.float64]:
    """One of few, and its height as a number, so that rare rungs borrow from their neighbours."""
    code = np.zeros(RUNGS + 1)
    code[min(rung + 1, RUNGS - 1)] = 1.0
    code[-1] = rung / 3
    return code


class HeaderModel:
    """Mixture networks for size, rate and cycle, several members each, evaluated in numpy."""

    def __init__(
        self, weights: Mapping[str, NDArray[np.float32]], needed: NDArray[np.float64], lags: NDArray[np.float64]
    ) -> None:
        """weights: the members' arrays by name. needed: see ``HeaderHistory``.

        lags: float64 [applications + 1], seconds from the end of a segment to the playback that it starts.
        """
        self.weights = dict(weights)
        self.needed, self.lags = needed, lags
        self.members = len(self.weights["size.inner"]) if self.weights else 0

    def draw(
        self, inputs: NDArray[np.float64], given: Sequence[float], random: np.random.Generator
    ) -> tuple[int, float]:
        """Draw the next field (size, rate or cycle, by how many are ``given``): its bin and its value."""
        name, floor, per_octave, bins, parts = FIELDS[len(given)]
        x = np.concatenate([inputs, [given_input(value) for value in given]]).astype(np.float32)
        one, inner, outer = int(random.integers(self.members)), f"{name}.inner", f"{name}.outer"
        hidden = np.tanh(x @ self.weights[inner][one] + self.weights[f"{inner}_bias"][one, 0])
        out = hidden @ self.weights[outer][one] + self.weights[f"{outer}_bias"][one, 0]
        if random.random() < 1 / (1 + np.exp(-float(out[-1]))):
            return 0, 0.0
        share = np.exp(out[:parts] - out[:parts].max())
        part = int(random.choice(parts, p=share / share.sum()))
        u = float(np.clip(random.random(), 1e-3, 1 - 1e-3))
        center = float(out[parts + part]) * 4 + MIDDLE[name]
        log = center + float(np.exp(np.clip(out[2 * parts + part], -4, 2))) * np.log(u / (1 - u))
        value = float(2.0 ** np.clip(log, floor, floor + (bins - 1.001) / per_octave))
        return int(bin_of(value, floor, per_octave, bins)), value


def given_input(value: float) -> float:
    """Return what the model sees of a field that was drawn before."""
    return float(np.log2(value) / 5 - 3 if value > 0 else -4.0)
