"""A learning curve as a drawing that needs no script, coloured by the page's own style sheet."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from markupsafe import Markup, escape

WIDTH, HEIGHT = 720, 250
LEFT, RIGHT, TOP, BOTTOM = 44, 96, 12, 30
Points = Sequence[tuple[float, float]]


def draw_curve(series: Sequence[tuple[str, Points]]) -> Markup:
    """Draw loss by step, one line a series, each named at its end; the text alternative says where each went."""
    steps = [step for _, points in series for step, _ in points]
    losses = [loss for _, points in series for _, loss in points]
    first, last = min(steps), max(steps)
    low, high = min(losses), max(losses)
    ticks = _ticks(low, high)
    low, high = min(low, ticks[0]), max(high, ticks[-1])

    def across(step: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (step - first) / ((last - first) or 1)

    def down(loss: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (high - loss) / ((high - low) or 1)

    parts = [
        f'<path class="grid" d="M{LEFT} {down(tick):.1f}H{WIDTH - RIGHT}"/>'
        f'<text x="{LEFT - 8}" y="{down(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>'
        for tick in ticks
    ]
    parts.append(f'<path class="axis" d="M{LEFT} {HEIGHT - BOTTOM}H{WIDTH - RIGHT}"/>')
    parts += [
        f'<text x="{across(step):.1f}" y="{HEIGHT - 10}" text-anchor="{anchor}">{step:g}{unit}</text>'
        for step, anchor, unit in ((first, "start", ""), (last, "end", " steps"))
    ]
    ends = _spread_out([down(points[-1][1]) for _, points in series])
    for place, (name, points) in enumerate(series):
        line = "L".join(f"{across(step):.1f} {down(loss):.1f}" for step, loss in points)
        kind = min(place, 1)
        parts.append(f'<path class="line{kind}" d="M{line}"/>')
        parts.append(
            f'<text class="name{kind}" x="{WIDTH - RIGHT + 8}" y="{ends[place] + 4:.1f}">{escape(_said(name))}</text>'
        )
    says = "; ".join(f"{_said(name)} from {points[0][1]:.3g} to {points[-1][1]:.3g}" for name, points in series)
    label = escape(f"Learning curve over {last:g} steps: {says}.")
    return Markup(  # every part is numbers or escaped above
        f'<svg class="curve" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
    )


def _said(name: str) -> str:
    return {"loss": "training", "validation_loss": "validation"}.get(name, name)


def _ticks(low: float, high: float) -> list[float]:
    """Return three to six round values that span the range."""
    span = (high - low) or abs(high) or 1.0
    power = 10 ** math.floor(math.log10(span / 3))
    step = next(power * factor for factor in (1, 2, 5, 10) if span / (power * factor) <= 4)
    first = math.floor(low / step)
    return [round(number * step, 12) for number in range(first, math.ceil(high / step) + 1)]


def _spread_out(heights: list[float], gap: float = 14) -> list[float]:
    """Move names apart that would overlap."""
    order = sorted(range(len(heights)), key=lambda place: heights[place])
    moved = list(heights)
    for before, after in itertools.pairwise(order):
        moved[after] = max(moved[after], moved[before] + gap)
    return moved
