"""Seeded, stratified draws: a field of a plan is a value, a list to choose from, or a distribution.

A distribution is ``{uniform: [a, b]}``, ``{log_uniform: [a, b]}`` or ``{choice: {value: share, …}}``; a list is
a choice of equal shares. The quantiles of a group of n sessions are one from each of n equal strata, in an
order shuffled for each field by itself (a Latin hypercube; McKay, Beckman and Conover 1979), so that a
distribution is covered evenly however few sessions there are. A quantile depends on the plan's seed, the names
of group, session and field, and the group's size.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from benchmark.errors import ConfigError, nearest

DISTRIBUTIONS = ("uniform", "log_uniform", "choice")
_DIGITS = 4


@dataclass(frozen=True)
class Draws:
    """The draws of session ``index`` of a group of ``count``; ``where`` names file and group in errors."""

    seed: int
    group: str
    name: str
    index: int
    count: int
    where: str

    def random(self, field: str) -> random.Random:
        """Return the session's own source of chance for a field."""
        return random.Random(f"{self.seed}/{self.name}/{field}")

    def quantile(self, field: str) -> float:
        """Return a quantile in [0, 1) from this session's stratum."""
        order = _shuffled(f"{self.seed}/{self.group}/{field}", self.count)
        return (order[self.index] + self.random(field).random()) / self.count

    def value(self, asked: Any, field: str) -> Any:
        """Return the value of a field: as it stands, or drawn. Raises ConfigError."""
        if isinstance(asked, (list, tuple)):
            if not asked:
                raise ConfigError(f"{self.where}: {field} is an empty list; there is nothing to choose from")
            return asked[int(self.quantile(field) * len(asked))]
        if not isinstance(asked, Mapping):
            return asked
        if len(asked) != 1 or next(iter(asked)) not in DISTRIBUTIONS:
            wrong = next((str(key) for key in asked if key not in DISTRIBUTIONS), "")
            raise ConfigError(
                f"{self.where}: {field} must be a value, a list or one of {', '.join(DISTRIBUTIONS)}"
                + (f", not {wrong}{nearest(wrong, DISTRIBUTIONS)}" if wrong else "")
            )
        kind, given = next(iter(asked.items()))
        if kind == "choice":
            return self._choice(given, field)
        low, high = self._range(kind, given, field)
        quantile = self.quantile(field)
        if kind == "uniform":
            return round(low + quantile * (high - low), _DIGITS)
        return round(low * math.exp(quantile * math.log(high / low)), _DIGITS)

    def _choice(self, given: Any, field: str) -> Any:
        if not isinstance(given, Mapping) or not all(_number(share) and share >= 0 for share in given.values()):
            raise ConfigError(f"{self.where}: {field}.choice must map values to shares")
        if abs(sum(given.values()) - 1) > 1e-6:
            raise ConfigError(
                f"{self.where}: the shares of {field}.choice must add up to 1, not {sum(given.values()):g}"
            )
        quantile = self.quantile(field)
        for value, share in given.items():
            if quantile < share:
                return value
            quantile -= share
        return [value for value, share in given.items() if share > 0][-1]

    def _range(self, kind: str, given: Any, field: str) -> tuple[float, float]:
        if not isinstance(given, Sequence) or len(given) != 2 or not all(map(_number, given)):
            raise ConfigError(f"{self.where}: {field}.{kind} must be [least, most]")
        low, high = map(float, given)
        if low > high or (kind == "log_uniform" and low <= 0):
            raise ConfigError(f"{self.where}: {field}.{kind} needs {'0 < ' if kind != 'uniform' else ''}least <= most")
        return low, high


def mapping(given: Any, known: Sequence[str] | None, where: str) -> dict[str, Any]:
    """Return ``given`` where it is a mapping of known keys; else raise ConfigError with the nearest right name."""
    if not isinstance(given, Mapping):
        raise ConfigError(f"{where} must be a mapping" + (f" of {', '.join(known)}" if known else ""))
    for key in given:
        if known is not None and key not in known:
            raise ConfigError(f"{where} has no field '{key}'{nearest(str(key), known)}")
    return dict(given)


def whole(value: Any, where: str, least: int) -> int:
    """Return ``value`` where it is a whole number of at least ``least``; else raise ConfigError."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigError(f"{where} must be a whole number, {least} or more, not {value!r}")
    return value


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


@cache
def _shuffled(seed: str, count: int) -> tuple[int, ...]:
    order = list(range(count))
    random.Random(seed).shuffle(order)
    return tuple(order)
