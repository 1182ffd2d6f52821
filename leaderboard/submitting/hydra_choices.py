"""Submissions as choices of ``generator=``: each is put into Hydra's store, where a method of ``conf/`` goes first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore

from leaderboard.submitting.entry import Entry, read_entries


def offer_submissions(root: Path) -> tuple[list[str], dict[str, str]]:
    """Offer all sound entries to Hydra; return their names, and what is wrong with each of the others.

    Hydra never reads an entry's own YAML: it gets plain values that were checked, with a module that is named here.
    """
    entries, faults = read_entries(root)
    for entry in entries.values():
        ConfigStore.instance().store(name=entry.name, node=_node(entry), group="generator", package="_global_")
    return list(entries), faults


def _node(entry: Entry) -> dict[str, Any]:
    chosen = [{f"override /{axis}": name} for axis, name in entry.choices.items()]
    return {"defaults": [*chosen, "_self_"], "generator": entry.node}
