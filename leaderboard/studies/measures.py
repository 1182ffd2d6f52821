"""The figures that studies show beside those of the table: their headings, formats, directions and ranges."""

from __future__ import annotations

from leaderboard.figures import CATALOGUE, Figure

SHARES = (5, 10, 25, 50, 100)
LABELS = ("rung", "rung6", "height", "startup", "stall", "fps")
RUNG, TIMING, C2ST, VALID = "downstream.rung.skill_kept", "timing.distance", "fidelity.c2st", "validity.l2.raw"
OVER = "downstream.rung.skill_over_independent"
ADHERENCE, ORDERED, GAP = "downstream.adherence", "counterfactual.ordered", "counterfactual.gap"
TOKENS, SPEED, FIT = "cost.tokens_per_packet", "cost.sample_packets_per_s", "cost.fit_s"
PARAMETERS, MEMORY = "cost.parameters", "cost.peak_memory_mb"
REAL_TO_REAL, SYNTHETIC_TO_REAL = "downstream.rung.trtr", "downstream.rung.tstr"
BITRATE, FLAGGED = "downstream.bitrate.skill_kept", "memorisation.flagged"
DURATION, PACKETS = "fidelity.duration_wasserstein", "fidelity.trace_packets_wasserstein"


def augmentation(what: str, share: int) -> str:
    """Metric of the augmentation curve: "real", "augmented" or "gain" at a share of real traces in percent."""
    return f"augmentation.rung.{what}.{share}"


def _of_share(share: int) -> tuple[Figure, ...]:
    return (
        Figure(augmentation("real", share), "real alone", "accuracy of the rung, trained on a share of real traces",
               "up", ".3f", 0, 1),
        Figure(augmentation("augmented", share), "augmented", "the same with synthetic traces beside them", "up", ".3f",
               0, 1),
        Figure(augmentation("gain", share), "gain", "what the synthetic traces add", "up", "+.3f", -1, 1),
    )  # fmt: skip


_MORE = (
    Figure(OVER, "rung over indep.", "rung kept, with packets drawn independently for each rung as zero", "up"),
    Figure(BITRATE, "bit rate kept", "skill kept for the bit rate, which the bytes of a window nearly are", "up"),
    Figure(REAL_TO_REAL, "trained on real", "accuracy of the rung on real test traces", "up", ".3f", 0, 1),
    Figure(SYNTHETIC_TO_REAL, "accuracy", "share of windows of real test traces whose rung is told", "up", ".3f", 0, 1),
    Figure(ADHERENCE, "adherence", "share of windows that show the rung asked for", "up", low=0, high=1),
    Figure(ORDERED, "ordered", "share of pairs in which asking for more brings more", "up", low=0, high=1),
    Figure(GAP, "gap", "how much more, over what real traffic of the two shows", "up"),
    Figure(FLAGGED, "flagged", "whether more was copied than held-out real traffic explains", "down", ".0f", 0, 1),
    Figure(DURATION, "seconds off", "distance of synthetic traces' durations from those of real ones", "down", low=0),
    Figure(
        PACKETS,
        "packets off",
        "distance of synthetic traces' numbers of packets from those of real ones",
        "down",
        ",.0f",
        0,
    ),
    Figure(TOKENS, "tokens/packet", "tokens that a packet takes", "down", ",.2f", 0, bare=True),
    Figure(PARAMETERS, "parameters", "numbers that were fitted", "down", ",.0f", 0, bare=True),
    Figure(MEMORY, "peak MB", "peak memory of fit and sampling", "down", ",.0f", 0, bare=True),
    *(figure for share in SHARES for figure in _of_share(share)),
)
MEASURES = CATALOGUE | {figure.metric: figure for figure in _MORE}


def figures(*metrics: str) -> list[Figure]:
    """Look up several figures."""
    return [MEASURES[metric] for metric in metrics]


def kept(label: str) -> str:
    """Metric of the skill kept of a label."""
    return f"downstream.{label}.skill_kept"
