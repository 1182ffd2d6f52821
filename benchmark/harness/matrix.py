"""Cells together: the references come first, and what was resolved once isn't resolved again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmark.harness.cell import Listener, run_cell
from benchmark.harness.registry import REFERENCES
from benchmark.harness.rooms import Rooms
from benchmark.record import Record

Resolved = tuple[dict[str, Any], dict[str, str]]


def run_with_references(
    cell: Resolved,
    reference: Callable[[str], Resolved],
    rooms: Rooms,
    listen: Listener = lambda event: None,
    retry: bool = True,
    workers: int = 2,
) -> tuple[Record, bool]:
    """Make sure of the references' records for the cell's corpus, budget and seed, then run the cell.

    cell: (resolved config, choices). reference: resolves the config of a reference by name.
    workers: references that run at once. The independent one runs first, since scores are set against it.
    """
    independent = reference("independent")
    run_cell(*independent, rooms, listen=_named(listen, "independent"), retry=retry)

    def run(resolved: Resolved) -> tuple[Record, bool]:
        config, choices = resolved
        name = config["generator"]["name"]
        against = None if name == "independent" else independent[0]
        return run_cell(config, choices, rooms, independent=against, listen=_named(listen, name), retry=retry)

    others = [reference(name) for name in REFERENCES if name != "independent"]
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(run, others))
    return run(cell)


def _named(listen: Listener, name: str) -> Listener:
    """Say in each event whose it is."""

    def pass_on(event: Mapping[str, Any]) -> None:
        listen({"cell": name, **event})

    return pass_on
