"""Fits the model of segment headers: all its members at once, each stopped early on traces that it didn't see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from baselines.parts.asked import RUNGS, asked_of
from baselines.tokenizations.segments.alphabet import TALK
from baselines.tokenizations.segments.cuts import Headers
from baselines.tokenizations.segments.header_model import (
    FIELDS,
    MIDDLE,
    PAST,
    HeaderHistory,
    HeaderModel,
    given_input,
    rung_code,
)
from benchmark.trace import Condition, Labels

_RATE, _DROPOUT = 5e-3, 0.1
_BLUR, _HIDDEN = 0.25, 0.3


def fit_headers(
    traces: Sequence[tuple[int, Headers]],
    applications: int,
    seed: int,
    members: int = 4,
    epochs: int = 800,
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
                inputs = history.features(application, applications, float(headers.opened[k]), headers.asked)
                rows.append(np.concatenate([rung_code(rung), inputs]))
                values.append([float(headers.size[k]), float(headers.rate[k]), float(headers.cycle[k])])
                groups.append(number)
            history.remember(float(headers.size[k]), float(headers.rate[k]), float(headers.cycle[k]), rung)
    if not rows:
        nothing = asked_of(Condition("", 1.0, 1.0, Labels.unknown(1)))
        inputs = HeaderHistory(needed).features(-1, applications, 0.0, nothing)
        rows, values, groups = [np.concatenate([rung_code(-1), inputs])], [[1000.0, 10000.0, 0.0]], [0]
    x, y, group = np.stack(rows), np.array(values), np.array(groups)
    random = np.random.default_rng(seed)
    held = np.stack(
        [np.isin(group, random.permutation(len(traces))[: max(1, len(traces) // 5)]) for _ in range(members)]
    )
    weights: dict[str, NDArray[np.float32]] = {}
    # Private generator state: a fit must not disturb, or hang on, the caller's.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for field, (name, *_) in enumerate(FIELDS):
            inputs = np.concatenate([x, [[given_input(v) for v in row[:field]] for row in y]], 1)
            usable = y[:, 0] > 0 if name == "rate" else np.ones(len(y), bool)
            for key, tensor in _fit_field(inputs, y[:, field], field, usable, held, epochs, hidden).items():
                weights[f"{name}.{key}"] = tensor.numpy().astype(np.float32)
    return HeaderModel(weights, needed, _start_lags(traces, applications))


def _start_lags(traces: Sequence[tuple[int, Headers]], applications: int) -> NDArray[np.float64]:
    """Median time from the last end of a segment ahead of playback's start to the start: of all, then of each."""
    found: list[list[float]] = [[] for _ in range(applications + 1)]
    for application, headers in traces:
        large = headers.size >= TALK
        ends = headers.opened[large] + headers.size[large] / headers.rate[large]
        starts = headers.asked.startup - headers.asked.began
        # What ends as playback starts may be captured just after it.
        ahead = ends[ends <= starts + 0.02]
        if len(ahead):
            for row in (0, application + 1):
                found[row].append(max(0.0, float(starts - ahead.max())))
    return np.array([float(np.median(lags)) if lags else 0.0 for lags in found])


def _bytes_needed(headers: Sequence[Headers]) -> NDArray[np.float64]:
    """Bytes per second that came down while each rung was fetched, smoothed towards the mean of all."""
    size, seconds = np.zeros(RUNGS), np.zeros(RUNGS)
    for each in headers:
        place = np.clip(each.rung_end + 1, 0, RUNGS - 1)
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
    """Fit all members at once; each keeps the weights that were best on the rows that it didn't see.

    x: [n, inputs]. y: [n], values of the field. usable: [n]. held: [members, n], rows kept from each.
    """
    inputs, wanted = torch.tensor(x, dtype=torch.float32), torch.tensor(y, dtype=torch.float32)
    learn = torch.tensor(usable & ~held).float()
    check = torch.tensor(usable & held).float()
    members, parts = len(held), FIELDS[field][4]
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
    past = inputs[:, width - PAST : width]
    past = (past + _BLUR * torch.randn_like(past)) * (torch.rand(len(past), 1) >= _HIDDEN)
    return torch.cat([inputs[:, : width - PAST], past, inputs[:, width:]], 1)


def _outputs(weights: Mapping[str, torch.Tensor], x: torch.Tensor, dropout: float) -> torch.Tensor:
    """Run all members: inputs [n, i] to outputs [m, n, o]."""
    hidden = torch.tanh(torch.matmul(x, weights["inner"]) + weights["inner_bias"])
    if dropout:
        # One mask for all rows: as much noise on the weights, and no random number a row.
        hidden = hidden * (torch.rand(hidden.shape[0], 1, hidden.shape[2]) >= dropout) / (1 - dropout)
    return torch.matmul(hidden, weights["outer"]) + weights["outer_bias"]


def _loss(out: torch.Tensor, y: torch.Tensor, field: int) -> torch.Tensor:
    """Negative log-likelihood of the values' bins, out [m, n, o] to [m, n]."""
    name, _, per_octave, _, parts = FIELDS[field]
    log_y = torch.log2(torch.clamp(y, min=1e-9))[:, None]
    shares = torch.log_softmax(out[..., :parts], -1)
    centers = out[..., parts : 2 * parts] * 4 + MIDDLE[name]
    scales = torch.exp(torch.clamp(out[..., 2 * parts : 3 * parts], -4, 2))
    half = 0.5 / per_octave
    mass = torch.sigmoid((log_y + half - centers) / scales) - torch.sigmoid((log_y - half - centers) / scales)
    some = torch.logsumexp(shares + torch.log(mass + 1e-7), -1)
    gate = out[..., -1]
    return -torch.where(y <= 0, nn.functional.logsigmoid(gate), nn.functional.logsigmoid(-gate) + some)
