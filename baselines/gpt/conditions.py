"""What of a condition is shown to the generator, by conditioning scheme."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from benchmark.errors import ConfigError, nearest
from benchmark.trace import Condition

SCHEMES = ("none", "application", "quality", "trajectory")


def check_scheme(name: str) -> None:
    """Raise ConfigError for a scheme that doesn't exist."""
    if name not in SCHEMES:
        raise ConfigError(f"conditioning '{name}' is unknown{nearest(name, SCHEMES)}")


def shown(condition: Condition, scheme: str) -> Condition:
    """Return the condition as a scheme shows it.

    none: duration alone. application: its name too. quality: and the commonest rung, in every window.
    trajectory: and the rung of each window.
    """
    rung = condition.labels.rung
    if scheme in ("none", "application"):
        rung = np.full_like(rung, -1)
    elif scheme == "quality":
        known = rung[rung >= 0]
        rung = np.full_like(rung, np.bincount(known).argmax() if len(known) else -1)
    application = "" if scheme == "none" else condition.application
    return replace(condition, application=application, labels=replace(condition.labels, rung=rung))
