"""A compiled model, and how far it is from the one that it was compiled from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bpf.models.blob import HEADER, KINDS, LABELS
from bpf.models.integers import predict, sums

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
FloatScores = Callable[[IntArray], FloatArray]


@dataclass(frozen=True, eq=False)
class Compiled:
    """A quality model in integers (``benchmark.probe.QualityModel``).

    blob: what the kernel reads. facts: its sizes, and ``quantisation``, the report on the windows that it was fitted
    on. scores: of the float model, rows [n, columns] to [n, LABELS]; absent where only the blob is known.
    """

    blob: bytes
    facts: Mapping[str, Any] = field(default_factory=dict)
    scores: FloatScores | None = None

    def predict(self, rows: NDArray[Any]) -> tuple[IntArray, IntArray]:
        """Return (label, score) of rows of features; see ``integers.predict``."""
        return predict(self.blob, rows)

    def quantisation(self, rows: NDArray[Any]) -> dict[str, float]:
        """Report how far the integers are from the float model on rows; empty where only the blob is known."""
        return compare(self.blob, self.scores, np.asarray(rows, np.int64)) if self.scores else {}

    def answers(self, label: IntArray, score: IntArray) -> FloatArray:
        """Return the class, or a regression's number in its unit, float64 [n]."""
        header = np.frombuffer(self.blob, HEADER, 1)[0]
        if header["labels"]:
            return label.astype(np.float64)
        return np.asarray(np.ldexp(score.astype(np.float64), -int(header["exponent"])))


def finish(blob: bytes, scores: FloatScores, rows: IntArray) -> Compiled:
    """Return the compiled model with its facts; ``rows`` are the windows that quantisation is reported on."""
    header = np.frombuffer(blob, HEADER, 1)[0]
    facts = {
        "kind": KINDS[header["kind"]],
        "bytes": len(blob),
        "nodes": int(header["nodes"]),
        "steps": int(header["steps"]),
        "inputs": int(header["inputs"]),
        "hidden": [int(width) for width in header["hidden"]],
        "quantisation": compare(blob, scores, rows),
    }
    return Compiled(blob, facts, scores)


def compare(blob: bytes, scores: FloatScores, rows: IntArray) -> dict[str, float]:
    """Report what quantisation changes on ``rows``, int64 [n, columns].

    agreement: share of rows with the float model's answer (a regression's: within 1 % of the range of answers).
    error_max, error_mean: of the scores, in their own unit (probabilities of a forest, logits or decision values
    else, the label's unit of a regression).
    """
    if not len(rows):
        return {}
    header = np.frombuffer(blob, HEADER, 1)[0]
    wanted = scores(rows)
    found = np.ldexp(sums(blob, rows).astype(np.float64), -int(header["exponent"]))
    open_classes = [k for k in range(LABELS) if int(header["labels"]) >> k & 1] or [0]
    wanted, found = wanted[:, open_classes], found[:, open_classes]
    error = np.abs(wanted - found)
    if header["labels"]:
        same = wanted.argmax(axis=1) == found.argmax(axis=1)
    else:
        same = error[:, 0] <= max(1e-9, 1e-2 * float(np.ptp(wanted)))
    return {
        "agreement": float(same.mean()),
        "error_max": float(error.max()),
        "error_mean": float(error.mean()),
    }


def exponent_for(bound: float) -> int:
    """Return the largest power of two by which values up to ``bound`` fit 30 bits and a sign, within -64 to 30."""
    if bound <= 0:
        return 30
    return int(min(30, max(-64, 30 - np.ceil(np.log2(bound)))))


def label_mask(classes: IntArray) -> int:
    """Return the mask of the classes that may be the answer."""
    return int(sum(1 << int(k) for k in classes))
