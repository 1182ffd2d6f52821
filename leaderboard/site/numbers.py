"""Numbers as people read them."""

from __future__ import annotations

from leaderboard.figures import CATALOGUE

NONE = "–"


def plain(value: float | None, form: str = ".4g") -> str:
    """Format a number with a true minus sign; a dash for none."""
    return NONE if value is None else f"{value:{form}}".replace("-", "−")


def of_metric(metric: str, value: float | None) -> str:
    """Format a value as the metric's own column does, or with four digits where it has no column."""
    figure = CATALOGUE.get(metric)
    return plain(value, figure.form if figure else ".4g")


def limits(metric: str, low: float | None, high: float | None) -> str:
    """Format an interval; a dash for none."""
    return NONE if low is None or high is None else f"{of_metric(metric, low)} to {of_metric(metric, high)}"


def shortened(value: float | None) -> float | None:
    """Keep six significant digits: more than a page shows, and half the bytes."""
    return None if value is None else float(f"{value:.6g}")


def count(number: int, noun: str) -> str:
    """Return "1 seed", "3 seeds"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
