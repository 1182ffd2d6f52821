"""What a metric is: a fact with a name, a unit, a direction and a range; and what it is computed from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from benchmark.probe import ProbeEvidence
from benchmark.trace import Trace


@dataclass(frozen=True)
class Metric:
    """One scored quantity; tables, pages and plots follow from it.

    name: "family.name[.variant]". unit: "" for shares and ratios. direction: "up" (more is better), "down" or
    "none". low, high: the range that values can take. of_record: methods are ranked by it.
    """

    name: str
    unit: str
    direction: str
    low: float
    high: float
    meaning: str
    of_record: bool = False


@dataclass(frozen=True)
class Score:
    """The value of a metric, or None with the reason.

    interval: a 95 % interval, where one was computed. per_trace: the raw values by trace name, where there are any.
    """

    value: float | None
    reason: str = ""
    interval: tuple[float, float] | None = None
    per_trace: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Evidence:
    """All that the metrics of one cell are computed from.

    train, validation, test: real traces. synthetic: what is scored, after the method's own repair if it has one.
    raw: the same as they were sampled. repaired: after the harness's one repair. ladder: heights of the rungs.
    costs: seconds, packets and memory measured by the stages. unscored: downstream tasks left out, with the reason.
    independent: the independent reference's traces for the same conditions, where it was sampled.
    probe: what a probe said of the test traces, where one ran. pairs: synthetic traces of one seed for conditions that
    differ in quality alone, low and high.
    """

    train: Sequence[Trace]
    validation: Sequence[Trace]
    test: Sequence[Trace]
    synthetic: Sequence[Trace]
    raw: Sequence[Trace]
    repaired: Sequence[Trace]
    ladder: tuple[int, ...] = ()
    seed: int = 0
    costs: Mapping[str, float] = field(default_factory=dict)
    unscored: Mapping[str, str] = field(default_factory=dict)
    independent: Sequence[Trace] = ()
    probe: ProbeEvidence | None = None
    pairs: Sequence[tuple[Trace, Trace]] = ()


@dataclass(frozen=True)
class Family:
    """Metrics that are computed together, by one function; ``version`` changes when any value would."""

    name: str
    version: int
    metrics: tuple[Metric, ...]
    score: Callable[[Evidence], Mapping[str, Score]]
