"""nDPI's captures: one application a capture, or one a flow where nDPI's table of flows is at hand."""

from __future__ import annotations

import csv
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.corpora.account import Account
from benchmark.corpora.assembly import Assembly
from benchmark.corpora.capture_folder import CAPTURES, CaptureFolder, file_digest, inside, read_settings, whole_digest
from benchmark.corpora.known_digests import NDPI
from benchmark.corpora.label_table import FileLabels
from benchmark.corpora.publication import Publication, PublicSettings
from benchmark.corpora.recording import read_recording
from benchmark.corpus import Corpus
from benchmark.errors import CorpusError
from benchmark.flow import assign_flows
from benchmark.trace import Packets
from benchmark.wire import TCP, UDP

PUBLICATION = Publication(
    title="the captures of nDPI 4.2",
    where="https://github.com/ntop/nDPI, tag 4.2, folder tests/pcap (later releases: tests/cfgs/default/pcap)",
    licence="LGPL-3.0, that of nDPI; nothing is said of the captures alone",
    digests=NDPI,
)
_COLUMNS = ("file", "l4", "client", "server", "dpi_app")
_PROTOCOLS = {"TCP": TCP, "UDP": UDP}
_NO_APPLICATION = ("", "Unknown")
Ends = frozenset[tuple[str, int]]
FlowTable = dict[str, dict[tuple[int, Ends], str]]


@dataclass(frozen=True)
class NdpiSettings(PublicSettings):
    """unit: "capture" makes a trace of each file, "flow" one of each flow that the table names.

    flows: table in the folder: file, l4, client, server, dpi_app.
    """

    name: str = "ndpi"
    loader: str = "ndpi"
    keep_readable: bool = True
    unit: str = field(default="capture", metadata={"choices": ("capture", "flow")})
    flows: str = "flows.csv"


def load(options: Mapping[str, Any], root: Path) -> Corpus:
    """Load the captures of a folder; the application is the sub-folder's name, else the file's, or the flow's.

    options: the fields of NdpiSettings. Raises CorpusError for data that isn't there, an altered file, or a table
    and captures that don't fit together.
    """
    settings = read_settings(options, NdpiSettings)
    account = Account()
    folder = _open(settings, root, account)
    assembly = Assembly(settings, folder, account)
    table = _read_flows(folder.path / settings.flows) if settings.unit == "flow" else {}
    unseen = 0
    for name in folder.labels:
        recording = read_recording(folder.path / name, name, settings, account)
        if recording is None:
            continue
        if settings.unit == "capture":
            assembly.add(name, recording.packets)
        else:
            rows = table.get(Path(name).name, {})
            named = _name_flows(recording.packets, rows)
            unseen += max(len(rows) - len(named), 0)
            assembly.add_flows(name, recording.packets, applications=named)
    if unseen:
        account.remarks.append(f"{settings.flows}: {unseen} flows aren't in the packets kept of their captures")
    # Nearly every application has one capture, but the same applications' flows are in many.
    strata = dict.fromkeys(folder.labels, "") if settings.unit == "flow" else None
    return assembly.finish(notes=PUBLICATION.notes(), strata=strata)


def digest(options: Mapping[str, Any], root: Path) -> str:
    """Return the digest that the loaded corpus will have: of captures, table and options."""
    return _open(read_settings(options, NdpiSettings), root, Account()).digest


def _open(settings: NdpiSettings, root: Path, account: Account) -> CaptureFolder:
    path, names = PUBLICATION.locate(settings, root, CAPTURES)
    digests = PUBLICATION.check(path, names, settings)
    PUBLICATION.remark(names, settings, account)
    if settings.unit == "flow":
        table = inside(path, settings.flows)
        if not table.is_file():
            raise CorpusError(f"{table}: dataset.unit=flow needs this table of flows: {', '.join(_COLUMNS)}")
        digests[settings.flows] = file_digest(table)
        orphans = sorted(_read_flows(table).keys() - {Path(name).name for name in names})
        account.left_out |= dict.fromkeys(orphans, f"in {settings.flows}, but no such capture")
    labels = {name: FileLabels(str(path / name), _application(name)) for name in names}
    return CaptureFolder(path, labels, whole_digest(digests, settings))


def _application(name: str) -> str:
    """Return the sub-folder's name, or the first word of the file's: youtube_quic.pcap is of youtube."""
    parts = Path(name).parts
    if len(parts) > 1:
        return parts[0]
    word = re.split(r"[_\-. ]", parts[0])[0].lower()
    return word.rstrip("0123456789") or word


def _read_flows(path: Path) -> FlowTable:
    """Read the table; of rows with the same ends, the one with most packets stands."""
    table: FlowTable = {}
    most: dict[tuple[str, int, Ends], int] = {}
    number = 1
    try:
        with open(path, newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file, strict=True):
                number += 1
                if row["l4"] not in _PROTOCOLS or row["dpi_app"] in _NO_APPLICATION:
                    continue
                key = (_PROTOCOLS[row["l4"]], frozenset(_end(row[side]) for side in ("client", "server")))
                packets = int(row.get("pkts_c2s") or 0) + int(row.get("pkts_s2c") or 0)
                if packets >= most.get((row["file"], *key), 0):
                    most[row["file"], *key] = packets
                    table.setdefault(row["file"], {})[key] = row["dpi_app"].lower()
    except (OSError, UnicodeDecodeError, csv.Error, KeyError, TypeError, ValueError, AttributeError) as error:
        raise CorpusError(f"{path} line {number}: not a table of flows ({error!r})") from error
    return table


def _end(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return _shorten(host.strip("[]")), int(port)


def _shorten(host: str) -> str:
    """Write an address as nDPI does, which shortens each single 0 of an IPv6 address, and so isn't quite RFC 5952."""
    return host.lower().replace(":0:", "::")


def _name_flows(packets: Packets, table: Mapping[tuple[int, Ends], str]) -> dict[int, str]:
    """Return the application of each flow that the table knows."""
    fields = packets.fields
    named = {}
    for flow, first in enumerate(assign_flows(fields).first.tolist()):
        size = 4 if fields.version[first] == 4 else 16
        ends = [
            (_shorten(str(ipaddress.ip_address(side[first, :size].tobytes()))), int(port[first]))
            for side, port in ((fields.source, fields.sport), (fields.destination, fields.dport))
        ]
        if application := table.get((int(fields.protocol[first]), frozenset(ends))):
            named[flow] = application
    return named
