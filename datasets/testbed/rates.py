"""A link's rate by time: explicit steps, or drawn ones with outages (``plan`` says how they are asked for)."""

from __future__ import annotations

from typing import Any

from benchmark.errors import ConfigError
from draw import Draws, mapping, whole

# Seconds of schedule beyond the session's duration: the player's start and its last seconds.
MARGIN = 40.0
DOWN = ("mean", "step", "wobble", "outages")
OUTAGES = ("count", "length", "after", "gap")


def draw_steps(asked: Any, duration: float, draws: Draws, where: str) -> tuple[tuple[float, float], ...]:
    """Return the steps that ``link.down`` asks for; ``where`` names the file and the field. Raises ConfigError."""
    if isinstance(asked, list):
        steps = [(float(step[0]), float(step[1])) for step in asked if isinstance(step, list) and len(step) == 2]
        times = [step[0] for step in steps]
        if len(steps) != len(asked) or not steps or times[0] != 0 or sorted(set(times)) != times:
            raise ConfigError(f"{where} must be [second, Mbit/s] steps in order of time, the first at 0")
        return tuple(steps)
    if isinstance(asked, (int, float)):
        return ((0.0, float(asked)),)
    asked = mapping(asked, DOWN, where)
    mean = draws.value(asked.get("mean"), "link.down.mean")
    if not isinstance(mean, (int, float)) or not mean > 0:
        raise ConfigError(f"{where}.mean must be Mbit/s, above 0")
    step = float(draws.value(asked.get("step", 5.0), "link.down.step"))
    wobble = float(draws.value(asked.get("wobble", 0.0), "link.down.wobble"))
    if not step > 0 or wobble < 0:
        raise ConfigError(f"{where}: step must be above 0 and wobble 0 or more")
    chance = draws.random("link.down")
    count = int((duration + MARGIN) // step) + 1
    rates = [chance.lognormvariate(0.0, wobble) for _ in range(count)]
    within = rates[: max(1, round(duration / step))]
    scale = mean * len(within) / sum(within)
    steps = [(number * step, max(0.01, round(rate * scale, 3))) for number, rate in enumerate(rates)]
    for begin, end in _outages(asked.get("outages"), duration, draws, where):
        after = [rate for time, rate in steps if time <= end][-1]
        steps = [each for each in steps if not begin <= each[0] <= end]
        steps = sorted([*steps, (begin, 0.0), (end, after)])
    return tuple(steps)


def _outages(given: Any, duration: float, draws: Draws, where: str) -> list[tuple[float, float]]:
    """Return when each outage begins and ends, evenly at random over what of the session they may stand in."""
    if not given:
        return []
    given = mapping(given, OUTAGES, f"{where}.outages")
    count = draws.value(given.get("count", 1), "link.down.outages.count")
    count = whole(count, f"{where}.outages.count", least=0)
    after = float(draws.value(given.get("after", 0.0), "link.down.outages.after"))
    gap = float(draws.value(given.get("gap", 5.0), "link.down.outages.gap"))
    lengths = [float(draws.value(given.get("length"), f"link.down.outages.length.{each}")) for each in range(count)]
    free = duration - after - sum(lengths) - gap * max(0, count - 1)
    if free < 0:
        raise ConfigError(
            f"{where}.outages: {count} outages of {sum(lengths):g} s don't fit between {after:g} s and the end"
        )
    chance = draws.random("link.down.outages")
    places = sorted(chance.uniform(0, free) for _ in range(count))
    begun, found = after, []
    for place, before, length in zip(places, [0.0, *places], lengths, strict=False):
        begun += place - before
        found.append((round(begun, 3), round(begun + length, 3)))
        begun += length + gap
    return found
