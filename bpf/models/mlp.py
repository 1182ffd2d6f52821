"""A multilayer perceptron of 8-bit integers: trained by torch in floats, then quantised.

Inputs are the binary logarithms of the features that a forest finds most useful, standardised to steps of 1/32 of a
standard deviation. Weights have one scale a neuron, activations one a layer, set by what the training windows reach.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmark.errors import ConfigError, nearest
from benchmark.quality.models import build_model, levels
from bpf.models.blob import INPUT, LABELS, MLP, MLP_HIDDEN, MLP_HIDDEN_2, MLP_INPUTS, NEURON, SMALL, join
from bpf.models.compiled import Compiled, FloatArray, IntArray, finish, label_mask
from bpf.models.trees import constant

OPTIONS: dict[str, Any] = {"inputs": 24, "hidden": [16, 8], "steps": 400, "rate": 0.01, "decay": 0.01}
FINE = 32  # steps of an input in one standard deviation
LEAST_SPREAD = 2.0  # levels; an input of less is standardised by this, which keeps its factor in 16 bits
SUM_BITS = 20  # that a sum of a hidden layer stays within
HEADROOM = 1.25  # of activations over what training windows reach


def build(options: Mapping[str, Any]) -> Perceptron:
    """Return what fits an MLP.

    inputs: how many features it sees. hidden: neurons of its two hidden layers. steps, rate, decay: of AdamW on all
    windows at once.
    """
    for name in options:
        if name not in OPTIONS:
            raise ConfigError(f"probe.options: no option '{name}'{nearest(name, OPTIONS)}")
    chosen = {**OPTIONS, **options}
    widths, most = [chosen["inputs"], *chosen["hidden"]], [MLP_INPUTS, MLP_HIDDEN, MLP_HIDDEN_2]
    if len(widths) != len(most) or any(not 0 < width <= room for width, room in zip(widths, most, strict=True)):
        raise ConfigError(f"an mlp has at most {most[0]} inputs and hidden layers of {most[1]} and {most[2]} neurons")
    return Perceptron(chosen)


class Perceptron:
    """Fits an MLP and compiles it."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.options = options

    def fit(self, features: IntArray, labels: FloatArray, names: Sequence[str], classes: bool, seed: int) -> Compiled:
        """Fit and compile; see ``benchmark.probe.Fitter``."""
        if len(np.unique(labels)) == 1:
            return constant(float(labels[0]), classes, features)
        kept = self._useful(features, labels, classes, seed)
        seen = levels(features[:, kept]).astype(np.float64)
        # In sixteenths of a level, as the kernel subtracts it.
        mean = np.round(16 * seen.mean(axis=0)) / 16
        spread = np.maximum(seen.std(axis=0), LEAST_SPREAD)
        found = np.unique(labels).astype(np.int64) if classes else np.zeros(0, np.int64)
        centre, width = (0.0, 1.0) if classes else (float(labels.mean()), float(labels.std()) or 1.0)
        target = np.searchsorted(found, labels) if classes else (labels - centre) / width
        network = self._train(_standardise(seen, mean, spread), target, len(found) or 1, seed)
        return _compile(network, kept, mean, spread, found, (centre, width), features)

    def load(self, blob: bytes) -> Compiled:
        """Return the model of a blob."""
        return Compiled(blob)

    def _useful(self, features: IntArray, labels: FloatArray, classes: bool, seed: int) -> list[int]:
        """The features that a forest finds most useful, in their own order."""
        forest = build_model("forest", seed, not classes, n_estimators=40).fit(features, labels)
        count = min(self.options["inputs"], features.shape[1])
        return sorted(np.argsort(-forest.feature_importances_, kind="stable")[:count].tolist())

    def _train(self, seen: FloatArray, target: Any, outputs: int, seed: int) -> nn.Sequential:
        first, second = self.options["hidden"]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = nn.Sequential(
                nn.Linear(seen.shape[1], first), nn.ReLU(), nn.Linear(first, second), nn.ReLU(),
                nn.Linear(second, outputs),
            )  # fmt: skip
            optimiser = torch.optim.AdamW(
                network.parameters(), self.options["rate"], weight_decay=self.options["decay"]
            )
            values = torch.tensor(seen, dtype=torch.float32)
            wanted = torch.tensor(target, dtype=torch.long if outputs > 1 else torch.float32)
            loss_of = nn.CrossEntropyLoss() if outputs > 1 else nn.HuberLoss()
            for _ in range(self.options["steps"]):
                optimiser.zero_grad()
                out = network(values)
                loss_of(out if outputs > 1 else out[:, 0], wanted).backward()
                optimiser.step()
        return network


def _standardise(seen: Any, mean: FloatArray, spread: FloatArray) -> FloatArray:
    """Standardise levels, no further from the mean than 8 bits reach."""
    return np.asarray(np.clip((seen - mean) / spread, -127 / FINE, 127 / FINE))


def _compile(
    network: nn.Sequential, kept: list[int], mean: FloatArray, spread: FloatArray, classes: IntArray,
    unit: tuple[float, float], rows: IntArray,
) -> Compiled:  # fmt: skip
    """Quantise; ``rows`` are the windows that activations are scaled by and quantisation is reported on."""
    layers = [
        (layer.weight.detach().double().numpy(), layer.bias.detach().double().numpy())
        for layer in network
        if isinstance(layer, nn.Linear)
    ]
    places = [int(k) for k in classes] if len(classes) else [0]
    centre, width = unit

    def forward(values: IntArray) -> list[FloatArray]:
        signal = _standardise(levels(values[:, kept]), mean, spread)
        signals = []
        for number, (weight, bias) in enumerate(layers):
            signal = signal @ weight.T + bias
            signal = np.maximum(signal, 0) if number < len(layers) - 1 else signal
            signals.append(signal)
        return signals

    def scores(values: IntArray) -> FloatArray:
        found = np.zeros((len(values), LABELS))
        found[:, places] = forward(values)[-1] * width + centre
        return found

    inputs = np.zeros(len(kept), INPUT)
    inputs["feature"], inputs["mean"] = kept, np.round(16 * mean)
    inputs["factor"] = np.round(FINE * 65536 / (16 * spread))
    hidden, scale, largest = [], 1 / FINE, 127
    for (weight, bias), reached in zip(layers[:2], forward(rows), strict=False):
        step = max(HEADROOM * float(reached.max()), 1e-6) / 255
        hidden.append(_quantise(weight, bias, scale, step, largest))
        scale, largest = step, 255
    weight, bias = np.zeros((max(places) + 1, layers[2][0].shape[1])), np.zeros(max(places) + 1)
    weight[places], bias[places] = layers[2][0] * width, layers[2][1] * width + centre
    last, exponent = _quantise_outputs(weight, bias, scale)
    parts = [*hidden, last]
    header = {
        "kind": MLP, "labels": label_mask(classes), "exponent": exponent, "outputs": len(weight),
        "inputs": len(kept), "hidden": [len(hidden[0][0]), len(hidden[1][0])],
    }  # fmt: skip
    blob = join(header, [inputs, *(neurons for neurons, _ in parts), *(small for _, small in parts)])
    return finish(blob, scores, rows)


def _quantise(weight: FloatArray, bias: FloatArray, scale: float, step: float, largest: int) -> tuple[Any, Any]:
    """Quantise a hidden layer.

    scale: what one unit of its inputs stands for; step: of its activations; largest: that an input is. A neuron's
    sum is in units of its own weights' scale, narrowed where it could leave SUM_BITS.
    """
    neurons = np.zeros(len(weight), NEURON)
    small = np.zeros(weight.shape, SMALL)
    for number, (row, start) in enumerate(zip(weight, bias, strict=True)):
        unit = max(float(np.abs(row).max()) / 127, 1e-12)
        while True:
            whole, lift = np.round(row / unit), round(start / (unit * scale))
            if abs(lift) + largest * np.abs(whole).sum() < 1 << SUM_BITS:
                break
            unit *= 2
        # Sum >> 4, times factor, >> shift: factor of 15 bits, so that the product fits 31.
        ratio = unit * scale * 16 / step
        shift = int(np.clip(14 - np.floor(np.log2(ratio)), 0, 31))
        factor = round(float(np.ldexp(ratio, shift)))
        if factor > 32767:
            factor, shift = (factor + 1) >> 1, shift - 1
        neurons[number] = (lift, min(factor, 32767), max(shift, 0), 0)
        small[number] = whole
    return neurons, small


def _quantise_outputs(weight: FloatArray, bias: FloatArray, scale: float) -> tuple[tuple[Any, Any], int]:
    """Quantise the output layer; return it and the exponent of its sums, whose common unit is a power of two."""
    exponent = int(np.floor(np.log2(127 / max(float(np.abs(weight).max()) * scale, 1e-12))))
    neurons = np.zeros(len(weight), NEURON)
    neurons["bias"] = np.round(np.ldexp(bias, exponent))
    return (neurons, np.round(np.ldexp(weight * scale, exponent)).astype(SMALL)), exponent
