"""Logistic regression, or ridge regression of numbers, on the features' binary logarithms.

Standardisation is folded into the weights, which are 16-bit: a product with a level of 0 to 255 and a sum over 255
features fit 32 bits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmark.errors import ConfigError, nearest
from benchmark.quality.models import build_model, levels
from bpf.models.blob import BIAS, LABELS, LINEAR, WEIGHT, Array, join
from bpf.models.compiled import Compiled, FloatArray, IntArray, finish, label_mask
from bpf.models.trees import constant

OPTIONS = {"penalty": 1.0}
LARGEST = 32767  # of a weight


def build(options: Mapping[str, Any]) -> Linear:
    """Return what fits a linear model. penalty: strength of the L2 penalty."""
    for name in options:
        if name not in OPTIONS:
            raise ConfigError(f"probe.options: no option '{name}'{nearest(name, OPTIONS)}")
    return Linear(float({**OPTIONS, **options}["penalty"]))


class Linear:
    """Fits a logistic or ridge regression and compiles it."""

    def __init__(self, penalty: float) -> None:
        self.penalty = penalty

    def fit(self, features: IntArray, labels: FloatArray, names: Sequence[str], classes: bool, seed: int) -> Compiled:
        """Fit and compile; see ``benchmark.probe.Fitter``."""
        if len(np.unique(labels)) == 1:
            return constant(float(labels[0]), classes, features)
        settings = {"C": 1 / self.penalty} if classes else {"alpha": self.penalty}
        return compile_linear(build_model("logistic", seed, not classes, **settings).fit(features, labels), features)

    def load(self, blob: bytes) -> Compiled:
        """Return the model of a blob."""
        return Compiled(blob)


def compile_linear(pipeline: Any, rows: IntArray) -> Compiled:
    """Compile a fitted pipeline of levels, StandardScaler and a linear model; ``rows`` are reported on."""
    scaler, model = pipeline[-2], pipeline[-1]
    classes = np.asarray(model.classes_, np.int64) if hasattr(model, "classes_") else np.zeros(0, np.int64)
    slopes = np.atleast_2d(model.coef_) / scaler.scale_
    starts = np.ravel(model.intercept_) - slopes @ scaler.mean_
    places = [0] if not len(classes) else [int(classes[1])] if len(slopes) == 1 else [int(k) for k in classes]
    outputs = max(places) + 1
    weights, bias = np.zeros((slopes.shape[1], outputs)), np.zeros(LABELS)
    weights[:, places], bias[places] = slopes.T, starts

    def scores(values: IntArray) -> FloatArray:
        found = np.zeros((len(values), LABELS))
        found[:, places] = levels(values) @ slopes.T + starts
        return found

    exponent = _exponent(weights, bias)
    header = {
        "kind": LINEAR, "labels": label_mask(classes), "exponent": exponent, "outputs": outputs, "inputs": len(weights),
    }  # fmt: skip
    arrays: list[Array] = [
        np.round(np.ldexp(bias, exponent)).astype(BIAS),
        np.round(np.ldexp(weights, exponent)).astype(WEIGHT),
    ]
    return finish(join(header, arrays), scores, rows)


def _exponent(weights: FloatArray, bias: FloatArray) -> int:
    """Return the largest exponent by which weights fit 16 bits and no sum leaves 32."""
    largest = float(np.abs(weights).max())
    total = float((np.abs(bias[: weights.shape[1]]) + 255 * (np.abs(weights).sum(axis=0))).max())
    room = [np.log2(LARGEST / largest)] if largest > 0 else []
    # Rounding adds half a unit to each weight.
    room += [np.log2((2**31 - 1 - 128 * len(weights)) / total)] if total > 0 else []
    return int(min(30, np.floor(min(room)))) if room else 0
