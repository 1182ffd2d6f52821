"""The upper level: an autoregressive hidden Markov model over a flow's segments.

A hidden situation emits a segment's figures (bytes, rate, pause, latency: Gaussian in octaves, with a mean that
follows the figures of the segment before) and classes (rows after the last byte, whether the link falls silent).
It also emits what is asked for: application, rung, stall, how far startup is. At sampling these classes are
known, so the next situation is drawn from its posterior given them, and what is asked needs no network to tell it.
Emissions as in switching autoregression (Hamilton 1989), expectation and maximisation after Rabiner (1989).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from baselines.hmm.baum_welch import FloatArray, expect, normalise_rows

IntArray = NDArray[np.int64]
_RIDGE = 4.0  # segments' worth of pull of the regression towards no regression at all
_SPREAD = 0.02  # least variance, in units of the corpus's own
_PRIOR = 4.0  # segments' worth of that spread in every situation


@dataclass
class Situations:
    """The parameters. k situations, d figures, channels of classes.

    start [k]. steps [k, k]. weights [k, d + 1, d]: mean = (1, figures before) @ weights. covariance [k, d, d].
    channels: shares of the values of each class channel, [k, values]. centre, scale: [d], of the figures.
    low, high: [d], what training holds, beyond which nothing is drawn.
    """

    start: FloatArray
    steps: FloatArray
    weights: FloatArray
    covariance: FloatArray
    channels: list[FloatArray]
    centre: FloatArray
    scale: FloatArray
    low: FloatArray
    high: FloatArray

    def follow(self, before: int, told: Mapping[int, int], random: np.random.Generator) -> int:
        """Draw the next situation, given the one before (-1 at the start) and values of some channels."""
        share = self.start if before < 0 else self.steps[before]
        for channel, value in told.items():
            share = share * self.channels[channel][:, value]
        return draw_share(share, random)

    def emit(self, situation: int, before: FloatArray | None, random: np.random.Generator) -> FloatArray:
        """Draw the figures of a segment, float64 [d], given those of the one before."""
        regressors = self._regressors(None if before is None else before[None])[0]
        mean = regressors @ self.weights[situation]
        drawn = random.multivariate_normal(mean, self.covariance[situation], method="cholesky")
        return np.asarray(np.clip(drawn * self.scale + self.centre, self.low, self.high))

    def classify(self, situation: int, channel: int, random: np.random.Generator) -> int:
        """Draw a value of a class channel."""
        return draw_share(self.channels[channel][situation], random)

    def likelihood(self, figures: FloatArray, classes: IntArray) -> tuple[FloatArray, float]:
        """Return the likelihood of a flow's segments under each situation, float64 [s, k], every row over its
        greatest, and the sum of the logarithms of those. figures [s, d], classes [s, channels]."""
        scaled = (figures - self.centre) / self.scale
        regressors = self._regressors(figures[:-1], first=True)
        logs = np.zeros((len(figures), len(self.start)))
        for k, (weights, covariance) in enumerate(zip(self.weights, self.covariance, strict=True)):
            far = np.linalg.solve(np.linalg.cholesky(covariance), (scaled - regressors @ weights).T)
            logs[:, k] = -0.5 * (far**2).sum(axis=0) - 0.5 * np.linalg.slogdet(covariance)[1]
        for channel, shares in enumerate(self.channels):
            logs += np.log(shares[:, classes[:, channel]]).T
        greatest = logs.max(axis=1, keepdims=True)
        return np.exp(logs - greatest), float(greatest.sum())

    def _regressors(self, before: FloatArray | None, first: bool = False) -> FloatArray:
        """Return (1, figures before), scaled; zeros stand before the first segment."""
        none = np.zeros((1, len(self.centre)))
        scaled = none if before is None else (before - self.centre) / self.scale
        rows = np.concatenate([none, scaled]) if first else scaled
        return np.column_stack([np.ones(len(rows)), rows])

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return it as arrays by name."""
        own = {f"situations.{name}": value for name, value in vars(self).items() if name != "channels"}
        return own | {f"situations.channel.{k:02d}": shares for k, shares in enumerate(self.channels)}

    @staticmethod
    def of(arrays: Mapping[str, NDArray[Any]]) -> Situations:
        """Build it from what ``arrays`` gave."""
        own = {name[11:]: value for name, value in arrays.items() if name.startswith("situations.")}
        channels = [own.pop(name) for name in sorted(own) if name.startswith("channel.")]
        return Situations(**own, channels=channels)


def draw_share(share: FloatArray, random: np.random.Generator) -> int:
    """Draw an index by its share; shares need not add up to 1."""
    reached = np.cumsum(share)
    if not reached[-1] > 0:
        return int(random.integers(len(share)))
    return int(min(np.searchsorted(reached, random.random() * reached[-1], "right"), len(share) - 1))


def learn_situations(
    figures: Sequence[FloatArray],
    classes: Sequence[IntArray],
    values: Sequence[int],
    situations: int,
    iterations: int,
    random: np.random.Generator,
) -> tuple[Situations, list[float]]:
    """Fit to flows' figures [s, d] and classes [s, channels] with ``values`` values each.

    Returns the model and its log-likelihood a segment after each iteration. Begins with clusters of figures and
    classes (k-means), so that no situation starts empty.
    """
    every = np.concatenate(figures)
    centre, scale = every.mean(axis=0), np.maximum(every.std(axis=0), 1e-3)
    situations = max(1, min(situations, len(every) // 6))
    dummies = [np.eye(size)[np.concatenate([c[:, k] for c in classes])] for k, size in enumerate(values)]
    share = _cluster(np.column_stack([(every - centre) / scale, *dummies]), situations, random)
    bounds = np.cumsum([0, *[len(f) for f in figures]])
    model = Situations(
        np.full(situations, 1 / situations), np.full((situations, situations), 1 / situations),
        np.zeros((situations, every.shape[1] + 1, every.shape[1])), np.zeros((situations, 0, 0)), [],
        centre, scale, every.min(axis=0), every.max(axis=0),
    )  # fmt: skip
    moves = sum(
        (share[a : b - 1].T @ share[a + 1 : b] for a, b in pairwise(bounds)),
        np.zeros((situations, situations)),
    )
    _maximise(model, figures, classes, values, share, moves, bounds)
    course = []
    for _ in range(iterations):
        moves, total = np.zeros_like(model.steps), 0.0
        for own, told, a, b in zip(figures, classes, bounds[:-1], bounds[1:], strict=True):
            rows, offset = model.likelihood(own, told)
            posterior = np.zeros_like(rows)
            total += offset + expect(rows, model.start, model.steps, posterior, moves)
            share[a:b] = posterior
        course.append(total / len(every))
        _maximise(model, figures, classes, values, share, moves * model.steps, bounds)
    return model, course


def _maximise(
    model: Situations,
    figures: Sequence[FloatArray],
    classes: Sequence[IntArray],
    values: Sequence[int],
    share: FloatArray,
    moves: FloatArray,
    bounds: IntArray,
) -> None:
    """Set the parameters to those that posteriors and expected steps make likeliest, drawn towards priors."""
    states, size = share.shape[1], len(model.centre)
    everyone = share.sum(axis=0)
    model.start = normalise_rows(share[bounds[:-1]].sum(axis=0), 1.0)
    # A step that was never seen goes where situations are common.
    model.steps = normalise_rows(moves + 0.5 * everyone / everyone.sum(), 1e-3)
    regressors = np.concatenate([model._regressors(own[:-1], first=True) for own in figures])
    scaled = (np.concatenate(figures) - model.centre) / model.scale
    covariance, weights = np.zeros((states, size, size)), np.zeros((states, size + 1, size))
    ridge = np.diag([1e-3, *[_RIDGE] * size])
    for k in range(states):
        weighted = regressors * share[:, k : k + 1]
        weights[k] = np.linalg.solve(weighted.T @ regressors + ridge, weighted.T @ scaled)
        left = scaled - regressors @ weights[k]
        scatter = (left * share[:, k : k + 1]).T @ left
        covariance[k] = (scatter + _PRIOR * _SPREAD * np.eye(size)) / (everyone[k] + _PRIOR) + 1e-4 * np.eye(size)
    model.weights, model.covariance = weights, covariance
    told = np.concatenate(classes)
    model.channels = []
    for channel, count in enumerate(values):
        counts = share.T @ np.eye(count)[told[:, channel]]
        overall = counts.sum(axis=0) / counts.sum()
        model.channels.append(normalise_rows(counts + 0.2 * overall, 0.02))


def _cluster(points: FloatArray, clusters: int, random: np.random.Generator) -> FloatArray:
    """Return which of ``clusters`` each point belongs to, as shares [n, clusters], by a few rounds of k-means."""
    middles = points[random.choice(len(points), clusters, replace=False)]
    owner = np.zeros(len(points), np.int64)
    for _ in range(12):
        far = (points**2).sum(axis=1)[:, None] - 2 * points @ middles.T + (middles**2).sum(axis=1)
        owner = far.argmin(axis=1)
        for k in np.unique(owner):
            middles[k] = points[owner == k].mean(axis=0)
    return 0.9 * np.eye(clusters)[owner] + 0.1 / clusters
