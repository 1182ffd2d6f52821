"""Two-sample tests on one-second windows: can a classifier, or a neighbour, tell synthetic from real?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

FOLDS, REPEATS, TREES = 5, 2, 100
LEAST_TRACES = 3
NEIGHBOURS = 5


@dataclass(frozen=True, eq=False)
class PairedAreas:
    """How often a synthetic window scores above a real one, per pair of traces held out together.

    area: float64 [real, synthetic], the mean over the folds that held both out; 0 where none did.
    times: float64 [real, synthetic], how many folds did.
    """

    area: FloatArray
    times: FloatArray

    def value(self, real: NDArray[Any], synthetic: NDArray[Any]) -> float:
        """Area under the curve with traces weighted by ``real`` [real] and ``synthetic`` [synthetic]."""
        weight = self.times * np.outer(real, synthetic)
        total = weight.sum()
        return float((weight * self.area).sum() / total) if total else float("nan")


def held_out_areas(
    real: Sequence[FloatArray],
    synthetic: Sequence[FloatArray],
    real_kinds: Sequence[str],
    synthetic_kinds: Sequence[str],
    seed: int,
) -> PairedAreas:
    """Train a forest to tell synthetic windows from real ones, and score traces it hasn't seen.

    A classifier two-sample test (Lopez-Paz & Oquab, ICLR 2017) by area under the curve. Folds hold whole
    traces of both sides, dealt out by kind (application); every trace weighs the same however many windows
    it has, and areas are taken within a fold, since scores of different forests don't compare.
    """
    from sklearn.ensemble import ExtraTreesClassifier

    random = np.random.default_rng(seed)
    area, times = np.zeros((len(real), len(synthetic))), np.zeros((len(real), len(synthetic)))
    folds = min(FOLDS, len(real), len(synthetic))
    for repeat in range(REPEATS):
        real_fold, synthetic_fold = _deal(real_kinds, folds, random), _deal(synthetic_kinds, folds, random)
        for fold in range(folds):
            rows, labels, weights = _training_rows(
                [table for table, at in zip(real, real_fold, strict=True) if at != fold],
                [table for table, at in zip(synthetic, synthetic_fold, strict=True) if at != fold],
            )
            state = (seed * 1000 + repeat * 100 + fold) % (1 << 32)  # all that scikit-learn takes
            forest = ExtraTreesClassifier(TREES, min_samples_leaf=5, random_state=state)
            forest.fit(rows, labels, sample_weight=weights)
            real_out, synthetic_out = (
                np.flatnonzero(real_fold == fold),
                np.flatnonzero(synthetic_fold == fold),
            )
            held_out = [real[int(i)] for i in real_out] + [synthetic[int(j)] for j in synthetic_out]
            scores = np.split(
                forest.predict_proba(np.concatenate(held_out))[:, 1],
                np.cumsum([len(table) for table in held_out])[:-1],
            )
            for i, negative in zip(real_out, scores[: len(real_out)], strict=True):
                ordered = np.sort(negative)
                for j, positive in zip(synthetic_out, scores[len(real_out) :], strict=True):
                    below = np.searchsorted(ordered, positive, "left") + np.searchsorted(ordered, positive, "right")
                    area[i, j] += below.mean() / (2 * len(negative))
                    times[i, j] += 1
    return PairedAreas(np.divide(area, times, out=np.zeros_like(area), where=times > 0), times)


def _deal(kinds: Sequence[str], folds: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Deal traces into folds, each kind evenly, in random order within a kind; int64 [traces]."""
    order = np.lexsort((random.random(len(kinds)), np.asarray(kinds)))
    fold = np.empty(len(kinds), np.int64)
    fold[order] = np.arange(len(kinds)) % folds
    return fold


def _training_rows(real: list[FloatArray], synthetic: list[FloatArray]) -> Any:
    """Return rows, labels (1 is synthetic) and weights: sides weigh the same, as do the traces of a side."""
    tables = [*real, *synthetic]
    labels = np.repeat(np.repeat([0, 1], [len(real), len(synthetic)]), [len(table) for table in tables])
    share = np.repeat([1 / len(real), 1 / len(synthetic)], [len(real), len(synthetic)])
    weights = np.repeat(share / [len(table) for table in tables], [len(table) for table in tables])
    return np.concatenate(tables), labels, weights * len(labels) / 2


@dataclass(frozen=True, eq=False)
class Neighbourhood:
    """Which synthetic windows fall among the real ones.

    near: float64 [real, synthetic], the balls of real trace i's windows that windows of synthetic trace j
    fall in. covered: float64 [real], the share of a real trace's windows with a synthetic one in their
    ball.
    """

    near: FloatArray
    covered: FloatArray
    windows: FloatArray
    synthetic_windows: FloatArray

    def density(self, real: NDArray[Any], synthetic: NDArray[Any]) -> float:
        """Return the balls that a synthetic window falls in over k; about 1 is what real windows do."""
        inside = real @ self.near @ synthetic
        # Scaled for the real windows drawn, since every ball's radius is that of the whole real side.
        whole = (real @ self.windows) / self.windows.sum()
        windows = synthetic @ self.synthetic_windows
        return float(inside / (NEIGHBOURS * windows * whole)) if windows and whole else float("nan")

    def coverage(self, real: NDArray[Any]) -> float:
        """Return the share of real windows that have a synthetic window among their nearest."""
        total = real @ self.windows
        return float(real @ (self.covered * self.windows) / total) if total else float("nan")


def neighbourhood(real: Sequence[FloatArray], synthetic: Sequence[FloatArray]) -> Neighbourhood:
    """Prepare density and coverage, with balls that reach the k-th neighbour in *other* traces.

    Source: Naeem et al., "Reliable Fidelity and Diversity Metrics for Generative Models", ICML 2020.
    Windows of one trace resemble each other; balls within a trace would be too small for any other trace,
    even a real one, to reach. Features are standardised by the real side.
    """
    rows, owner = np.concatenate(real), np.repeat(np.arange(len(real)), [len(table) for table in real])
    others = np.concatenate(synthetic)
    centre, spread = scale_of(rows)
    rows, others = (rows - centre) / spread, (others - centre) / spread
    among = squared_distances(rows, rows)
    among[owner[:, None] == owner[None, :]] = np.inf
    radius = np.partition(among, NEIGHBOURS - 1, axis=1)[:, NEIGHBOURS - 1]
    inside = squared_distances(rows, others) <= radius[:, None]
    starts = np.concatenate([[0], np.cumsum([len(table) for table in synthetic])[:-1]]).astype(np.int64)
    by_synthetic = np.add.reduceat(inside.astype(np.float64), starts, axis=1)
    counts = np.array([len(table) for table in real], np.float64)
    near = np.zeros((len(real), len(synthetic)))
    np.add.at(near, owner, by_synthetic)
    covered = np.bincount(owner, inside.any(axis=1), minlength=len(real)) / counts
    return Neighbourhood(near, covered, counts, np.array([len(table) for table in synthetic], np.float64))


def scale_of(rows: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the mean and the spread of each column; a constant's spread is 1, so that any change shows."""
    spread = rows.std(axis=0)
    return rows.mean(axis=0), np.where(spread > 1e-9, spread, 1.0)


def squared_distances(first: FloatArray, second: FloatArray) -> FloatArray:
    """Return squared Euclidean distances, float64 [first, second]; rounding below zero is clipped."""
    product = first @ second.T
    squares = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1)[None, :]
    return np.asarray(np.maximum(squares - 2 * product, 0.0))
