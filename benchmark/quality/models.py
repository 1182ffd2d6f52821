"""Quality models: small classifiers and regressors from a window's features to its quality.

Every model takes integer features, is seeded, and is simple enough to be compiled for the kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from benchmark.errors import ConfigError, nearest

IntArray = NDArray[np.int64]

# Chosen by cross-validation over training and validation traces of the streaming corpus: few features carry
# the answer, so each split needs a wide choice of them.
_FOREST = {"n_estimators": 100, "min_samples_leaf": 2, "max_features": 0.4}

_MODELS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "tree": (DecisionTreeClassifier, DecisionTreeRegressor, {"max_depth": 8, "min_samples_leaf": 4}),
    "forest": (RandomForestClassifier, RandomForestRegressor, _FOREST),
    "boosting": (
        GradientBoostingClassifier,
        GradientBoostingRegressor,
        {"n_estimators": 60, "max_depth": 3, "min_samples_leaf": 2, "max_features": 0.4},
    ),
    "logistic": (LogisticRegression, Ridge, {"max_iter": 2000}),
    "mlp": (
        MLPClassifier,
        MLPRegressor,
        {"hidden_layer_sizes": (32, 16), "alpha": 0.01, "max_iter": 1000, "tol": 1e-3},
    ),
}
MODELS = tuple(_MODELS)

HISTORY = (
    *("down_bytes", "requests", "segments", "segment_bytes", "segment_mean", "segment_max", "segment_last"),
    *("segment_open", "segment_time", "segment_time_max", "segment_rate", "idle_time", "segment_quiet"),
)
"""The features that a model with history sees of earlier windows: what fills and drains the player's
buffer."""

_LEVELLED = ("logistic", "mlp")


def build_model(name: str, seed: int = 0, regression: bool = False, **options: Any) -> Any:
    """Return an unfitted scikit-learn estimator; ``options`` override its settings.

    A logistic model or an MLP sees the features' logarithms (``levels``), standardised; trees see them as
    they are. As a regression, "logistic" is ridge regression. Raises ConfigError for an unknown name or
    option.
    """
    if name not in _MODELS:
        raise ConfigError(f"unknown quality model '{name}'{nearest(name, MODELS)}")
    classifier, regressor, settings = _MODELS[name]
    chosen = regressor if regression else classifier
    known = chosen().get_params()
    for option in options:
        if option not in known:
            raise ConfigError(f"quality model '{name}' has no option '{option}'{nearest(option, known)}")
    model = chosen(**{**settings, "random_state": seed, **options})
    if name not in _LEVELLED:
        return model
    return make_pipeline(FunctionTransformer(levels), StandardScaler(), model)


def levels(values: NDArray[Any]) -> IntArray:
    """Return ``arithmetic.log2_eighths`` of every value, int64 of the same shape; values are below 2^53.

    Eight times the binary logarithm, linear between powers of two: 0 to 255 for a 32-bit feature.
    """
    whole = np.asarray(values, np.int64)
    fraction, exponent = np.frexp(whole.astype(np.float64))
    # value = fraction * 2^exponent with 1/2 <= fraction < 1: 16 * fraction, cut off, is 8 plus the eighths.
    eighths = (exponent.astype(np.int64) - 1) * 8 + (fraction * 16).astype(np.int64) - 8
    return np.asarray(np.where(whole > 0, eighths, 0))


def add_history(values: IntArray, names: Sequence[str]) -> IntArray:
    """Return each window's features, then ``HISTORY`` of the two windows before and their running mean.

    values: int64 [w, features] of one trace's consecutive windows, with their names; the result has three
    columns more for each name in ``HISTORY``. Ahead of the first window stand copies of it, so that history
    doesn't tell where the trace began. The mean is m + (x - m) / 4, rounded down, from m = the first
    window: a shift in the kernel, and no count of windows.
    """
    chosen = values[:, [place for place, name in enumerate(names) if name in HISTORY]]
    row = np.arange(len(values))
    mean = chosen.copy()
    for window in range(1, len(values)):
        mean[window] = mean[window - 1] + ((chosen[window] - mean[window - 1]) >> 2)
    return np.hstack([values, chosen[np.maximum(row - 1, 0)], chosen[np.maximum(row - 2, 0)], mean])


def history_names(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of ``add_history``'s columns."""
    kept = [name for name in names if name in HISTORY]
    return (*names, *(f"{name}_{which}" for which in ("before", "before_2", "mean") for name in kept))
