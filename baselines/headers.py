"""A small model of segment headers: how much comes down, how fast, and when the next request follows.

Each of the three is a mixture of logistics in log2, discretised to the tokenization's bins (Salimans et al.
2017,
PixelCNN++), given by a little network that sees the condition, the clock and the two headers before. Nothing
is
stored of single headers. Each of a few members stops early on
training traces that it did not see, and a draw comes from one of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from baselines.segment_cuts import Headers
from baselines.segment_state import (
    CYCLE_FLOOR,
    CYCLE_PER_OCTAVE,
    CYCLES,
    PER_OCTAVE,
    RATE_FLOOR,
    RATES,
    SIZE_FLOOR,
    SIZES,
)

_RUNGS = 16
_BIG = 20_000.0
_PAST = 10  # inputs, the last ones, that tell of the headers before
_RATE, _DROPOUT = 5e-3, 0.1
_BLUR, _HIDDEN = 0.25, 0.3
_FIELDS = (
    ("size", SIZE_FLOOR, PER_OCTAVE, SIZES, 5),
    ("rate", RATE_FLOOR, PER_OCTAVE, RATES, 3),
    ("cycle", CYCLE_FLOOR, CYCLE_PER_OCTAVE, CYCLES, 4),
)


def bin_of(value: NDArray[Any] | float, floor: float, per_octave: int, bins: int) -> NDArray[np.int64]:
    """Return the bin of each value, 0 for none; bin k spans log2 ``floor + (k - 1, k) / per_octave``."""
    logs = np.log2(np.maximum(value, 1e-9))
    place = 1 + np.floor((logs - floor) * per_octave)
    return np.asarray(np.where(np.asarray(value) > 0, np.clip(place, 1, bins - 1), 0), np.int64)


def value_in(place: int, floor: float, per_octave: int, uniform: float) -> float:
    """Return the value at a share ``uniform`` of the way (in log) through a bin; 0 for bin 0."""
    return 0.0 if place == 0 else float(2.0 ** (floor + (place - 1 + uniform) / per_octave))


class HeaderHistory:
    """What the next header depends on from the headers before, and the bytes per second that each rung
    needs.
    """

    def __init__(self, needed: NDArray[np.float64]) -> None:
        """needed: float64 [rungs + 1], bytes a second played of each rung (the first: unknown)."""
        self._needed = needed
        self._last = np.zeros(8)
        self._pace = 0.0
        self._paced = 0.0
        self._media = 0.0

    def features(
        self, application: int, applications: int, opened: float, window: float, rungs: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Return the inputs of the model but the rung at the segment's end, float64 [inputs].

        opened: seconds. window: seconds. rungs: int64 [windows], what is asked for, -1 where nothing is.
        """
        who = np.zeros(applications + 1)
        who[application + 1] = 1.0
        buffered = np.clip(self._media - opened, -20, 60) / 20
        clock = [opened / 60, np.log1p(opened), float(opened < 1), buffered]
        place = min(int(opened / window), len(rungs) - 1)
        around = np.clip([place - 1, place + 1], 0, len(rungs) - 1)
        course = np.array([rungs.mean(), rungs.max(), *rungs[around]]) / 3
        return np.concatenate([who, rung_code(int(rungs[place])), course, clock, self._last, [self._pace, self._paced]])

    def remember(self, size: float, rate: float, cycle: float, rung: int) -> None:
        """Take in a header that was written."""
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


def rung_code(rung: int) -> NDArray[np.float64]:
    """One of few, and its height as a number, so that rare rungs borrow from their neighbours."""
    code = np.zeros(_RUNGS + 1)
    code[min(rung + 1, _RUNGS - 1)] = 1.0
    code[-1] = rung / 3
    return code


class HeaderModel:
    """Mixture networks for size, rate and cycle, several members each, evaluated in numpy."""

    def __init__(self, weights: Mapping[str, NDArray[np.float32]], needed: NDArray[np.float64]) -> None:
        """weights: the members' arrays by name. needed: see ``HeaderHistory``."""
        self.weights = dict(weights)
        self.needed = needed
        self.members = len(self.weights["size.inner"]) if self.weights else 0

    def draw(
        self, inputs: NDArray[np.float64], given: Sequence[float], random: np.random.Generator
    ) -> tuple[int, float]:
        """Draw the next field (size, rate or cycle, by how many are ``given``): its bin and its value."""
        name, floor, per_octave, bins, parts = _FIELDS[len(given)]
        x = np.concatenate([inputs, [_given(value) for value in given]]).astype(np.float32)
        one, inner, outer = int(random.integers(self.members)), f"{name}.inner", f"{name}.outer"
        hidden = np.tanh(x @ self.weights[inner][one] + self.weights[f"{inner}_bias"][one, 0])
        out = hidden @ self.weights[outer][one] + self.weights[f"{outer}_bias"][one, 0]
        if random.random() < 1 / (1 + np.exp(-float(out[-1]))):
            return 0, 0.0
        share = np.exp(out[:parts] - out[:parts].max())
        part = int(random.choice(parts, p=share / share.sum()))
        u = float(np.clip(random.random(), 1e-3, 1 - 1e-3))
        center = float(out[parts + part]) * 4 + _MIDDLE[name]
        log = center + float(np.exp(np.clip(out[2 * parts + part], -4, 2))) * np.log(u / (1 - u))
        value = float(2.0 ** np.clip(log, floor, floor + (bins - 1.001) / per_octave))
        return int(bin_of(value, floor, per_octave, bins)), value


_MIDDLE = {"size": 16.0, "rate": 18.0, "cycle": 1.0}


def _given(value: float) -> float:
    return float(np.log2(value) / 5 - 3 if value > 0 else -4.0)


def fit_headers(
    traces: Sequence[tuple[int, Headers]],
    applications: int,
    seed: int,
    members: int = 4,
    epochs: int = 300,
    hidden: int = 48,
) -> HeaderModel:
    """Fit the model to the headers of training traces, each with its application's number."""
    needed = _bytes_needed([headers for _, headers in traces])
    rows: list[NDArray[np.float64]] = []
    values: list[list[float]] = []
    groups: list[int] = []
    for number, (application, headers) in enumerate(traces):
        history = HeaderHistory(needed)
        for k in range(len(headers.size)):
            rung = int(headers.rung_end[k])
            if headers.whole[k]:
                inputs = history.features(
                    application, applications, float(headers.opened[k]), headers.window, headers.rungs
                )
                rows.append(np.concatenate([rung_code(rung), inputs]))
                values.append([float(headers.size[k]), float(headers.rate[k]), float(headers.cycle[k])])
                groups.append(number)
            history.remember(float(headers.size[k]), float(headers.rate[k]), float(headers.cycle[k]), rung)
    if not rows:
        width = applications + 1 + 2 * (_RUNGS + 1) + 8 + 4 + _PAST
        rows, values, groups = [np.zeros(width)], [[1000.0, 10000.0, 0.0]], [0]
    x, y, group = np.stack(rows), np.array(values), np.array(groups)
    random = np.random.default_rng(seed)
    held = np.stack(
        [np.isin(group, random.permutation(len(traces))[: max(1, len(traces) // 5)]) for _ in range(members)]
    )
    weights: dict[str, NDArray[np.float32]] = {}
    # Private generator state: a fit must not disturb, or hang on, the caller's.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for field, (name, *_) in enumerate(_FIELDS):
            inputs = np.concatenate([x, [[_given(v) for v in row[:field]] for row in y]], 1)
            usable = y[:, 0] > 0 if name == "rate" else np.ones(len(y), bool)
            for key, tensor in _fit_field(inputs, y[:, field], field, usable, held, epochs, hidden).items():
                weights[f"{name}.{key}"] = tensor.numpy().astype(np.float32)
    return HeaderModel(weights, needed)


def _bytes_needed(headers: Sequence[Headers]) -> NDArray[np.float64]:
    """Bytes per second that came down while each rung was fetched, smoothed towards the mean of all."""
    size, seconds = np.zeros(_RUNGS), np.zeros(_RUNGS)
    for each in headers:
        place = np.clip(each.rung_end + 1, 0, _RUNGS - 1)
        np.add.at(size, place, each.size)
        np.add.at(seconds, place, each.seconds)
    mean = size.sum() / max(seconds.sum(), 1e-3)
    return np.asarray((size + 5 * mean) / (seconds + 5) + 1.0)


def _fit_field(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    field: int,
    usable: NDArray[np.bool_],
    held: NDArray[np.bool_],
    epochs: int,
    hidden: int,
) -> dict[str, torch.Tensor]:
    """Fit all members at once; each keeps the weights that were best on the rows that it didn't see, held [m,
    n].
    """
    inputs, wanted = torch.tensor(x, dtype=torch.float32), torch.tensor(y, dtype=torch.float32)
    learn = torch.tensor(usable & ~held).float()
    check = torch.tensor(usable & held).float()
    members, parts = len(held), _FIELDS[field][4]
    best = {
        "inner": torch.randn(members, x.shape[1], hidden) / x.shape[1] ** 0.5,
        "inner_bias": torch.zeros(members, 1, hidden),
        "outer": 0.1 * torch.randn(members, hidden, 3 * parts + 1) / hidden**0.5,
        "outer_bias": torch.zeros(members, 1, 3 * parts + 1),
    }
    best["outer_bias"][:, :, parts : 2 * parts] = torch.linspace(-1, 1, parts)
    weights = {name: value.clone().requires_grad_() for name, value in best.items()}
    optimiser = torch.optim.AdamW(weights.values(), lr=_RATE, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs)
    least = torch.full((members,), float("inf"))
    for epoch in range(epochs):
        if epoch % 10 == 9 or epoch + 1 == epochs:
            with torch.no_grad():
                losses = _loss(_outputs(weights, inputs, 0.0), wanted, field)
            loss = (losses * check).sum(1) / check.sum(1).clamp(min=1)
            better = loss < least
            least = torch.where(better, loss, least)
            for name, value in weights.items():
                best[name] = torch.where(better[:, None, None], value.detach(), best[name])
        optimiser.zero_grad()
        losses = _loss(_outputs(weights, _blur(inputs, x.shape[1] - field), _DROPOUT), wanted, field)
        ((losses * learn).sum(1) / learn.sum(1).clamp(min=1)).sum().backward()
        optimiser.step()
        schedule.step()
    return best


def _blur(inputs: torch.Tensor, width: int) -> torch.Tensor:
    """Hide the past of some rows and blur it in all, so that a model left to itself heeds what is asked."""
    past = inputs[:, width - _PAST : width]
    past = (past + _BLUR * torch.randn_like(past)) * (torch.rand(len(past), 1) >= _HIDDEN)
    return torch.cat([inputs[:, : width - _PAST], past, inputs[:, width:]], 1)


def _outputs(weights: Mapping[str, torch.Tensor], x: torch.Tensor, dropout: float) -> torch.Tensor:
    """Run all members: inputs [n, i] to outputs [m, n, o]."""
    hidden = torch.tanh(torch.matmul(x, weights["inner"]) + weights["inner_bias"])
    if dropout:
        # One mask for all rows: as much noise on the weights, and no random number a row.
        hidden = hidden * (torch.rand(hidden.shape[0], 1, hidden.shape[2]) >= dropout) / (1 - dropout)
    return torch.matmul(hidden, weights["outer"]) + weights["outer_bias"]


def _loss(out: torch.Tensor, y: torch.Tensor, field: int) -> torch.Tensor:
    """Negative log-likelihood of the values' bins, out [m, n, o] to [m, n]."""
    name, _, per_octave, _, parts = _FIELDS[field]
    log_y = torch.log2(torch.clamp(y, min=1e-9))[:, None]
    shares = torch.log_softmax(out[..., :parts], -1)
    centers = out[..., parts : 2 * parts] * 4 + _MIDDLE[name]
    scales = torch.exp(torch.clamp(out[..., 2 * parts : 3 * parts], -4, 2))
    half = 0.5 / per_octave
    mass = torch.sigmoid((log_y + half - centers) / scales) - torch.sigmoid((log_y - half - centers) / scales)
    some = torch.logsumexp(shares + torch.log(mass + 1e-7), -1)
    gate = out[..., -1]
    return -torch.where(y <= 0, nn.functional.logsigmoid(gate), nn.functional.logsigmoid(-gate) + some)
