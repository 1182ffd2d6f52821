"""Captures by application, as generators of traffic publish them: folders or file names tell the application."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.corpora.account import Account
from benchmark.corpora.application_names import application_in
from benchmark.corpora.assembly import Assembly
from benchmark.corpora.capture_folder import CAPTURES, CaptureFolder, file_digest, inside, read_settings, whole_digest
from benchmark.corpora.label_table import FileLabels, read_label_tables
from benchmark.corpora.publication import Publication, PublicSettings
from benchmark.corpora.recording import read_recording
from benchmark.corpus import Corpus
from benchmark.errors import CorpusError, nearest

_HINT = "put it into a folder named after its application, or say so in labels.csv"


@dataclass(frozen=True)
class ApplicationSettings(PublicSettings):
    """unit: "flow" makes a trace of each flow of a capture, "capture" one of each file.

    flow_packets: most packets of a flow. labels: table in the folder, read where it exists: file (or only the file's
    name), application. each: most captures of an application, the first by name.
    """

    unit: str = field(default="flow", metadata={"choices": ("capture", "flow")})
    flow_packets: int | None = None
    labels: str = "labels.csv"
    each: int | None = None


def load_applications(
    settings: ApplicationSettings, publication: Publication, applications: Sequence[str], root: Path
) -> Corpus:
    """Load a folder of captures of the given applications.

    Raises CorpusError for data that isn't there, an altered file, or a capture of no known application.
    """
    account = Account()
    assembly = Assembly(settings, open_applications(settings, publication, applications, root, account), account)
    for name in assembly.folder.labels:
        recording = read_recording(assembly.folder.path / name, name, settings, account)
        if recording is None:
            continue
        if settings.unit == "flow":
            assembly.add_flows(name, recording.packets, settings.flow_packets)
        else:
            assembly.add(name, recording.packets)
    return assembly.finish(notes=publication.notes())


def open_applications(
    settings: ApplicationSettings,
    publication: Publication,
    applications: Sequence[str],
    root: Path,
    account: Account,
) -> CaptureFolder:
    """Find the captures and their applications, and check the files."""
    path, names = publication.locate(settings, root, CAPTURES)
    table = inside(path, settings.labels)
    if table.is_file():
        found = _by_table(table, names, settings)
    else:
        found = {name: application_in(name, applications, path, _HINT) for name in names}
    if settings.each is not None:
        for application in sorted(set(found.values())):
            rest = [name for name in names if found[name] == application][settings.each :]
            account.left_out |= dict.fromkeys(rest, f"over dataset.each={settings.each} of {application}")
        names = [name for name in names if name not in account.left_out]
    digests = publication.check(path, names, settings)
    publication.remark(names, settings, account)
    if table.is_file():
        digests[settings.labels] = file_digest(table)
    labels = {name: FileLabels(str(path / name), found[name]) for name in names}
    return CaptureFolder(path, labels, whole_digest(digests, settings))


def digest_applications(
    options: Mapping[str, Any],
    kind: type[ApplicationSettings],
    publication: Publication,
    applications: Sequence[str],
    root: Path,
) -> str:
    """Return the digest that the loaded corpus will have: of captures, table and options."""
    return open_applications(read_settings(options, kind), publication, applications, root, Account()).digest


def _by_table(table: Path, names: list[str], settings: ApplicationSettings) -> dict[str, str]:
    """Return the applications that the table gives; it may leave out the folders of a file."""
    said = read_label_tables(table, None, settings.window)
    found: dict[str, str] = {}
    for given, entry in said.items():
        matches = [name for name in names if given in (name, Path(name).name)]
        if len(matches) != 1:
            fault = "there is no capture" if not matches else f"{len(matches)} captures are called"
            raise CorpusError(f"{entry.where}: {fault} '{given}'{nearest(given, names) if not matches else ''}")
        found[matches[0]] = entry.application
    for name in names:
        if not found.get(name):
            raise CorpusError(f"{table.parent / name}: the capture has no application in {table.name}")
    return found
