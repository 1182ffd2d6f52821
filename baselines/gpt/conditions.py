"""What of a condition is shown to the generator, by conditioning scheme."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from benchmark.errors import ConfigError, Incompatible, nearest
from benchmark.trace import Condition, Labels

SCHEMES = ("none", "application", "quality", "trajectory", "network", "all")
# Those of a method that can be told quality, but not the path.
WITHOUT_PATH = ("none", "application", "quality", "trajectory")


def check_scheme(name: str, method: str = "", told: Sequence[str] = SCHEMES) -> None:
    """Raise ConfigError for a scheme that doesn't exist, Incompatible for one of more than ``method`` can be told."""
    if name not in SCHEMES:
        raise ConfigError(f"conditioning '{name}' is unknown{nearest(name, SCHEMES)}")
    if name not in told:
        raise Incompatible(f"{method} is told {', '.join(told)} alone, not {name}")


def shown(condition: Condition, scheme: str) -> Condition:
    """Return the condition as a scheme shows it.

    none: duration alone. application: its name too. quality: and the commonest rung, in every window.
    trajectory: and the quality of each window, and the startup delay. network: the application and the path's rate,
    delay and loss. all: both.
    """
    labels = condition.labels
    if scheme in ("none", "application", "network"):
        labels = Labels.unknown(len(labels))
    elif scheme == "quality":
        known = labels.rung[labels.rung >= 0]
        commonest = np.bincount(known).argmax() if len(known) else -1
        labels = replace(Labels.unknown(len(labels)), rung=np.full_like(labels.rung, commonest))
    application = "" if scheme == "none" else condition.application
    network = condition.network if scheme in ("network", "all") else None
    return replace(condition, application=application, labels=labels, network=network)
