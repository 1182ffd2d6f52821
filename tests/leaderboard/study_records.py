"""Records of whole matrices, made up so that what a study should say of them is known."""

from __future__ import annotations

import hashlib

import numpy as np

from benchmark.metric import Score
from benchmark.record import score_facts
from leaderboard.__main__ import main
from leaderboard.studies.evidence import read_board
from tests.leaderboard.board_records import record, write

GAIN, REAL, AUGMENTED = (f"augmentation.rung.{what}" for what in ("gain", "real", "augmented"))
SHARES = (5, 10, 25, 50, 100)
LENGTHS = (16, 64, 256, 1024)


def cell(method, seed, kept, scores=None, pairs=None, **axes):
    """Make a cell; axes: axis to name, or to (name, settings). pairs: share of eight pairs in order."""
    names = {axis: value if isinstance(value, str) else value[0] for axis, value in axes.items()}
    made = record(method, seed, kept, choices=names)
    made.cell = hashlib.sha256(f"{made.cell} {sorted(axes.items())}".encode()).hexdigest()[:12]
    for axis, value in axes.items():
        made.config[axis] = {"name": names[axis], **({} if isinstance(value, str) else value[1])}
    given = {"cost.fit_s": 100.0, "cost.sample_packets_per_s": 5000.0, "cost.tokens_per_packet": 2.0, **(scores or {})}
    made.scores |= score_facts({name: Score(value) for name, value in given.items()})
    if pairs is not None:
        ordered = {f"pair-{number}": float(number < round(8 * pairs)) for number in range(8)}
        made.scores |= score_facts({"counterfactual.ordered": Score(pairs), "counterfactual.gap": Score(pairs - 0.5)})
        made.per_trace["counterfactual.ordered"] = ordered
    return made


def matrix(kept_by_name, axis, seeds=3, **changes):
    """Make the cells of one axis: name to skill kept."""
    return [
        cell("gpt", seed, kept, **{axis: name, **changes})
        for name, kept in kept_by_name.items()
        for seed in range(seeds)
    ]


def curves(slopes, seeds=3):
    """Make cells over lengths of context: tokenization to what each doubling adds to the skill kept."""
    return [
        cell("gpt", seed, 0.3 + slope * np.log2(length), tokenization=name, conditioning="trajectory",
             context=(f"tokens_{length}", {"length": length}))
        for name, slope in slopes.items() for length in LENGTHS for seed in range(seeds)
    ]  # fmt: skip


def augmented(gains, seeds=3, noise=0.01):
    """Make cells with augmentation curves: method to the gain at each share."""
    made = []
    for method, by_share in gains.items():
        for seed in range(seeds):
            one = cell(method, seed, 0.5)
            rng = np.random.default_rng([seed, len(method)])
            for share, gain in zip(SHARES, by_share, strict=True):
                by_trace = {f"trace-{number:02d}": float(gain + noise * rng.standard_normal()) for number in range(24)}
                value = float(np.mean(list(by_trace.values())))
                one.scores |= score_facts({
                    f"{GAIN}.{share}": Score(value), f"{REAL}.{share}": Score(0.6),
                    f"{AUGMENTED}.{share}": Score(0.6 + value),
                })  # fmt: skip
                one.per_trace[f"{GAIN}.{share}"] = by_trace
            made.append(one)
    return made


def board_of(folder, records):
    write(folder, *records)
    return read_board(folder)[0]


def page_of(tmp_path, records, name):
    write(tmp_path / "cells", *records)
    out = tmp_path / "page.md"
    assert main(["study", name, "--records", str(tmp_path / "cells"), "--out", str(out)]) == 0
    return out.read_text()


def flat(text):
    return " ".join(text.split())
