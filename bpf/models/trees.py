"""Decision trees, random forests and gradient boosting, as one chain of integer nodes.

scikit-learn goes left where float32(x) <= threshold. Integers above 2^24 aren't exact in float32, so the kernel's
threshold is the largest integer that goes left, found by scikit-learn's own comparison and not by rounding down.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmark.errors import ConfigError, nearest
from benchmark.quality.models import build_model
from bpf.models.blob import FOREST, LABELS, NODE, join
from bpf.models.compiled import Compiled, FloatArray, IntArray, exponent_for, finish, label_mask

OPTIONS = {"model": "forest", "trees": 10, "depth": 10, "leaf": 2, "share": 0.4}
NODES = 1 << 16  # that 16 bits can number
Votes = list[tuple[int, float]]


def build(options: Mapping[str, Any]) -> Trees:
    """Return what fits trees: options are those of OPTIONS.

    model: tree, forest or boosting. trees: how many, or rounds of boosting. depth: at most. leaf: fewest windows of
    a leaf. share: of the features, that each split may choose from.
    """
    for name in options:
        if name not in OPTIONS:
            raise ConfigError(f"probe.options: no option '{name}'{nearest(name, OPTIONS)}")
    return Trees({**OPTIONS, **options})


class Trees:
    """Fits trees on those of ``columns`` that are there (all if None) and compiles them."""

    def __init__(self, options: Mapping[str, Any], columns: Sequence[str] | None = None) -> None:
        self.options = options
        self.columns = columns

    def fit(self, features: IntArray, labels: FloatArray, names: Sequence[str], classes: bool, seed: int) -> Compiled:
        """Fit and compile; see ``benchmark.probe.Fitter``."""
        kept = [place for place, name in enumerate(names) if self.columns is None or name in self.columns]
        if len(np.unique(labels)) == 1:
            return constant(float(labels[0]), classes, features)
        model = self._estimator(classes, seed).fit(features[:, kept], labels)
        return compile_trees(model, kept, features)

    def load(self, blob: bytes) -> Compiled:
        """Return the model of a blob."""
        return Compiled(blob)

    def _estimator(self, classes: bool, seed: int) -> Any:
        options, kind = self.options, self.options["model"]
        settings: dict[str, Any] = {"max_depth": options["depth"], "min_samples_leaf": options["leaf"]}
        if kind != "tree":
            settings |= {"n_estimators": options["trees"], "max_features": options["share"]}
        return build_model(kind, seed, not classes, **settings)


def compile_trees(model: Any, kept: Sequence[int], rows: IntArray) -> Compiled:
    """Compile a fitted tree, forest or boosting of scikit-learn.

    kept: the feature that each of its columns is. rows: windows [n, features] that quantisation is reported on.
    Classes are the model's labels and must lie in 0 to 7. Raises ConfigError for more nodes than 16 bits number.
    """
    classes = np.asarray(model.classes_, np.int64) if hasattr(model, "classes_") else np.zeros(0, np.int64)
    if len(classes) and not (classes.min() >= 0 and classes.max() < LABELS):
        raise ConfigError(f"classes must lie in 0 to {LABELS - 1}")
    if hasattr(model, "init_"):
        bias, trees, scores = _boosting(model, classes)
    else:
        bias, trees, scores = _forest(model, classes)
    blob = _chain(bias, trees, kept, classes)
    return finish(blob, lambda values: scores(values[:, list(kept)]), rows)


def constant(answer: float, classes: bool, rows: IntArray) -> Compiled:
    """Return the model that always gives one answer: a forest of a single vote."""
    place, value = (int(answer), 1.0) if classes else (0, answer)
    blob = _chain([(place, value)], [], [], np.array([place] if classes else [], np.int64))

    def scores(values: IntArray) -> FloatArray:
        found = np.zeros((len(values), LABELS))
        found[:, place] = value
        return found

    return finish(blob, scores, rows)


def _forest(model: Any, classes: IntArray) -> tuple[Votes, list[tuple[Any, list[Votes]]], Any]:
    """Return (bias, [(tree, votes of each node)], float scores): means of the trees' leaves."""
    estimators = getattr(model, "estimators_", [model])
    trees = []
    for estimator in estimators:
        values = estimator.tree_.value[:, 0, :] / len(estimators)
        if len(classes):
            # A tree of a forest numbers the classes by their place.
            values = values / estimator.tree_.value[:, 0, :].sum(axis=1, keepdims=True)
        places = classes if len(classes) else [0]
        trees.append((estimator.tree_, [list(zip(map(int, places), row.tolist(), strict=True)) for row in values]))

    def scores(rows: IntArray) -> FloatArray:
        found = np.zeros((len(rows), LABELS))
        found[:, classes if len(classes) else [0]] = (
            model.predict_proba(rows) if len(classes) else model.predict(rows)[:, None]
        )
        return found

    return [], trees, scores


def _boosting(model: Any, classes: IntArray) -> tuple[Votes, list[tuple[Any, list[Votes]]], Any]:
    """Return (bias, [(tree, votes of each node)], float scores): each tree adds to one class's raw score.

    Of two classes the second has the raw score and the first 0.
    """
    outputs = model.estimators_.shape[1]
    places = [0] if not len(classes) else [int(classes[1])] if outputs == 1 else [int(k) for k in classes]
    start = np.ravel(model._raw_predict_init(np.zeros((1, model.n_features_in_), np.float32)))
    bias = list(zip(places, start.tolist(), strict=True))
    trees = []
    for stage in model.estimators_:
        for place, estimator in zip(places, stage, strict=True):
            values = model.learning_rate * estimator.tree_.value[:, 0, 0]
            trees.append((estimator.tree_, [[(place, value)] for value in values.tolist()]))

    def scores(rows: IntArray) -> FloatArray:
        found = np.zeros((len(rows), LABELS))
        raw = model.decision_function(rows) if len(classes) else model.predict(rows)
        found[:, places] = np.reshape(raw, (len(rows), len(places)))
        return found

    return bias, trees, scores


def threshold_of(threshold: float) -> int:
    """Return the largest 32-bit x with float32(x) <= threshold, -1 where there is none."""
    if threshold < 0:
        return -1
    found = 0
    for bit in reversed(range(32)):
        # float() because numpy would round the threshold to a float32 too.
        if float(np.float32(found | 1 << bit)) <= threshold:
            found |= 1 << bit
    return found


class _Chain:
    """Nodes laid out one tree after the other."""

    def __init__(self, exponent: int, kept: Sequence[int]) -> None:
        self.exponent, self.kept = exponent, kept
        self.nodes: list[list[int]] = []  # value, next, place, vote; a vote whose next is -1 ends its tree
        self.open: list[int] = []  # votes that end the last tree
        self.steps = 0

    def begin(self) -> int:
        """Make room for a root, and let the last tree go on there."""
        self.nodes.append([])
        for last in self.open:
            self.nodes[last][1] = len(self.nodes) - 1
        self.open = []
        return len(self.nodes) - 1

    def put_votes(self, votes: Votes, at: int) -> int:
        """Write a leaf's votes, the first at ``at``; return how many there are."""
        whole = [(place, round(float(np.ldexp(value, self.exponent)))) for place, value in votes]
        whole = [vote for vote in whole if vote[1]] or [(votes[0][0], 0)]
        for number, (place, value) in enumerate(whole):
            if number:
                self.nodes.append([])
                self.nodes[at][1] = len(self.nodes) - 1
                at = len(self.nodes) - 1
            self.nodes[at] = [value & 0xFFFFFFFF, 0, place, 1]
        self.open.append(at)
        return len(whole)

    def put_tree(self, tree: Any, votes: list[Votes]) -> None:
        """Write a tree of scikit-learn."""
        deepest = 0
        waiting = [(0, self.begin(), 0)]
        while waiting:
            node, at, depth = waiting.pop()
            left, right = int(tree.children_left[node]), int(tree.children_right[node])
            if left == right:
                deepest = max(deepest, depth + self.put_votes(votes[node], at))
                continue
            threshold = threshold_of(float(tree.threshold[node]))
            if threshold < 0:
                waiting.append((right, at, depth))
                continue
            pair = len(self.nodes)
            self.nodes += [[], []]
            self.nodes[at] = [threshold, pair, self.kept[int(tree.feature[node])], 0]
            waiting += [(left, pair, depth + 1), (right, pair + 1, depth + 1)]
        self.steps += deepest


def _chain(bias: Votes, trees: list[tuple[Any, list[Votes]]], kept: Sequence[int], classes: IntArray) -> bytes:
    """Lay out bias and trees; the exponent is the largest that no sum can overflow."""
    if max(kept, default=0) > 255:
        raise ConfigError("a node numbers 256 features at most")
    bound = sum(abs(value) for _, value in bias)
    for tree, votes in trees:
        leaves = np.flatnonzero(tree.children_left == tree.children_right)
        bound += max(max(abs(value) for _, value in votes[leaf]) for leaf in leaves)
    chain = _Chain(exponent_for(bound), kept)
    if bias:
        chain.steps += chain.put_votes(bias, chain.begin())
    for tree, votes in trees:
        chain.put_tree(tree, votes)
    if len(chain.nodes) > NODES:
        raise ConfigError(f"{len(chain.nodes)} nodes, and a model has {NODES} at most; fewer or shallower trees")
    nodes = np.array([tuple(node) for node in chain.nodes], NODE)
    header = {
        "kind": FOREST, "labels": label_mask(classes), "exponent": chain.exponent,
        "outputs": max(1, len(classes)), "nodes": len(nodes), "steps": chain.steps,
    }  # fmt: skip
    return join(header, [nodes])
