"""Requet: YouTube sessions over Wi-Fi, captures of headers beside a player's log every 100 ms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.corpora.account import Account
from benchmark.corpora.assembly import Assembly
from benchmark.corpora.capture_folder import CAPTURES, CaptureFolder, read_settings, whole_digest
from benchmark.corpora.captured_host import captured_host
from benchmark.corpora.known_digests import REQUET
from benchmark.corpora.label_table import FileLabels
from benchmark.corpora.publication import Publication, PublicSettings
from benchmark.corpora.recording import read_recording
from benchmark.corpora.requet_table import HEIGHTS, LEAST_FIT, PlayerTable, fit_lag, read_player_table, reduce_table
from benchmark.corpus import Corpus
from benchmark.errors import CorpusError
from benchmark.trace import Packets

PUBLICATION = Publication(
    title="the Requet data set (Gutterman et al., MMSys 2019)",
    where="https://github.com/Wimnet/RequetDataSet",
    licence="none stated; its authors ask to be cited",
    digests=REQUET,
)
TABLES = ("_merged.txt", ".csv")


@dataclass(frozen=True)
class RequetSettings(PublicSettings):
    """incomplete: what becomes of captures without a label table and of tables without a capture.

    "refuse" is an error; "leave_out" keeps whole sessions alone; "keep" keeps captures without labels too.
    """

    name: str = "requet"
    loader: str = "requet"
    incomplete: str = field(default="refuse", metadata={"choices": ("refuse", "leave_out", "keep")})


@dataclass(frozen=True)
class _Sessions:
    """Captures and tables by session, their paths within the folder."""

    path: Path
    captures: dict[str, str]
    tables: dict[str, str]
    digest: str


def load(options: Mapping[str, Any], root: Path) -> Corpus:
    """Load the sessions of a folder: rung, height, stall and startup from the player's log.

    options: the fields of RequetSettings. Raises CorpusError for data that isn't there, an altered file, a session
    that isn't whole, or a table that isn't its capture's; TraceError for a damaged capture.
    """
    settings = read_settings(options, RequetSettings)
    account = Account()
    sessions = _open(settings, root, account)
    folder = CaptureFolder(sessions.path, {}, sessions.digest)
    assembly = Assembly(settings, folder, account)
    for session, name in sessions.captures.items():
        said = folder.labels[name] = FileLabels(str(sessions.path / name), "youtube")
        recording = read_recording(sessions.path / name, name, settings, account)
        if recording is None:
            continue
        notes: dict[str, Any] = {}
        if session in sessions.tables:
            path = sessions.path / sessions.tables[session]
            notes = _label(said, read_player_table(path), recording.packets, path, settings)
        client = settings.client or captured_host(recording.packets)
        assembly.add(name, recording.packets, client=client, notes=notes)
    return assembly.finish(ladder=HEIGHTS, notes=PUBLICATION.notes())


def digest(options: Mapping[str, Any], root: Path) -> str:
    """Return the digest that the loaded corpus will have: of captures, tables and options."""
    return _open(read_settings(options, RequetSettings), root, Account()).digest


def _open(settings: RequetSettings, root: Path, account: Account) -> _Sessions:
    """Pair captures with tables by name and check the files."""
    path, names = PUBLICATION.locate(settings, root, CAPTURES)
    tables = _by_session(path, PUBLICATION.locate(settings, root, (*CAPTURES, *TABLES))[1], TABLES)
    captures = _by_session(path, names, CAPTURES)
    lone = sorted(captures.keys() - tables.keys())
    orphans = sorted(tables.keys() - captures.keys())
    if settings.incomplete == "refuse" and (lone or orphans):
        parts = [f"{len(lone)} captures have no label table ({', '.join(lone[:2])}, …)"] * bool(lone)
        parts += [f"{len(orphans)} label tables have no capture ({', '.join(orphans[:2])}, …)"] * bool(orphans)
        raise CorpusError(
            f"{path}: {' and '.join(parts)}, where the published set has both for each session;"
            " dataset.incomplete=leave_out leaves them out, =keep keeps captures without labels"
        )
    account.left_out |= {tables.pop(session): "a label table without a capture" for session in orphans}
    if settings.incomplete == "keep":
        account.unlabelled |= {captures[session]: "no label table" for session in lone}
    else:
        account.left_out |= {captures.pop(session): "a capture without a label table" for session in lone}
    used = sorted([*captures.values(), *tables.values()])
    digests = PUBLICATION.check(path, used, settings)
    PUBLICATION.remark(used, settings, account)
    return _Sessions(path, captures, tables, whole_digest(digests, settings))


def _by_session(path: Path, names: list[str], endings: tuple[str, ...]) -> dict[str, str]:
    """Return the files by the session that their names tell; a session can't have two."""
    found: dict[str, str] = {}
    for name in names:
        ending = next((ending for ending in endings if name.endswith(ending)), "")
        session = Path(name).name.removesuffix(ending)
        if not ending:
            continue
        if session in found:
            raise CorpusError(f"{path}: '{found[session]}' and '{name}' are both of session {session}")
        found[session] = name
    return found


def _label(
    said: FileLabels, table: PlayerTable, packets: Packets, path: Path, settings: RequetSettings
) -> dict[str, Any]:
    """Fill in the labels from the table, and return the notes of the trace."""
    lag, fit = fit_lag(table, packets.ts)
    if fit < LEAST_FIT:
        raise CorpusError(f"{path}: not the table of {said.where}: their packets per 100 ms correlate at {fit:g}")
    reduction = reduce_table(table, lag, settings.window)
    last = int(packets.ts[-1]) // round(settings.window * 1e9)
    said.windows = {number: labels for number, labels in reduction.windows.items() if number <= last + 1}
    said.startup = reduction.startup
    return {"lag_s": lag, "fit": fit, "buffer_s": reduction.health[: last + 1]}
