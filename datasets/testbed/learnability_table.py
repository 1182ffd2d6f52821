"""The card's tables of learnability, from the figures that ``learnability`` left in the manifest's notes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmark.corpora.manifest import Manifest
from markdown_table import table

SHORTCUTS = ("window index", "application", "down bytes")
TRIVIAL = 0.8  # of the forest's gain; a shortcut with that share makes a label nearly trivial


def learnability_tables(manifest: Manifest, folder: str) -> list[str]:
    """Return the paragraphs and tables of learnability; ``folder`` is named in the command that computes them."""
    command = f"`python datasets/testbed/learnability.py {folder}`"
    found = manifest.notes.get("learnability")
    if not found:
        return [f"Learnability hasn't been measured: {command}."]
    if found["digest"] != manifest.traces_digest():
        return [f"Learnability was measured on other traces than these; measure it again: {command}."]
    tasks = found["tasks"]
    measured = {name: figures for name, figures in tasks.items() if "scores" in figures}
    parts = [_about(command, found)]
    if measured:
        header = [
            "task",
            "measure",
            "windows",
            "sessions",
            "forest",
            "baseline",
            *(f"{name} only" for name in SHORTCUTS),
        ]
        rows = [_row(name, figures) for name, figures in measured.items()]
        parts.append(table([*header, "gain", "over the best shortcut", "learnable"], rows))
    told = {part: None for figures in measured.values() for part in figures["parts"]}
    if told:
        cells = [[name, *(_pair(figures["parts"].get(part)) for part in told)] for name, figures in measured.items()]
        parts += ["The same forest (and baseline) on parts of the corpus:", table(["task", *told], cells)]
    if found["sets"]:
        parts.append("Accuracy of the rung by feature set:")
        parts.append(table(list(found["sets"]), [[_interval(score) for score in found["sets"].values()]]))
    parts += [_trivial(name, figures) for name, figures in measured.items() if _share(figures) >= TRIVIAL]
    lacking = [f"- {name}: {figures['reason']}" for name, figures in tasks.items() if not figures["learnable"]]
    if lacking:
        parts.append("Not learnable here, so that nothing is ranked by it:\n\n" + "\n".join(lacking))
    return parts


def _about(command: str, found: Mapping[str, Any]) -> str:
    return (
        f"Learnability, computed by {command}: a forest on F5 against the majority (or median; for balanced accuracy"
        f" any constant answer) and three shortcuts, over {found['folds']} folds by session, cut in"
        f" {len(found['seeds'])} ways, all splits together. Intervals are 95 % bootstraps over sessions; gains are"
        " paired. A task is learnable if the interval of its gain over the baseline lies above zero."
    )


def _row(name: str, figures: Mapping[str, Any]) -> list[Any]:
    scores = figures["scores"]
    measure = figures["measure"] + (f", {figures['unit']}" if figures["unit"] else "")
    counted = [name, measure, figures["windows"], figures["sessions"]]
    told = [_interval(scores["forest"]), *(_number(scores[seen][0]) for seen in ("baseline", *SHORTCUTS))]
    beyond = f"{_interval(figures['beyond'])} ({figures['shortcut']})"
    return [*counted, *told, _interval(figures["gain"]), beyond, "yes" if figures["learnable"] else "no"]


def _pair(scores: Sequence[float | None] | None) -> str:
    if scores is None or None in scores:
        return "–"
    forest, baseline = (_number(score) for score in scores if score is not None)
    return f"{forest} ({baseline})"


def _share(figures: Mapping[str, Any]) -> float:
    """Return what share of the forest's gain the best shortcut has alone; 0 where there is no gain."""
    gain, beyond = figures["gain"][0], figures["beyond"][0]
    return (gain - beyond) / gain if figures["learnable"] else 0.0


def _trivial(name: str, figures: Mapping[str, Any]) -> str:
    share = min(1.0, _share(figures))
    return f"`{name}` is nearly trivial: {figures['shortcut']} alone has {100 * share:.0f} % of the forest's gain."


def _interval(found: Sequence[float]) -> str:
    value, low, high = (_number(number) for number in found)
    return f"{value} [{low}, {high}]"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
