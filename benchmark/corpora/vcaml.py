"""VCAML: calls over Meet, Teams and Webex, packets beside the receiver's getStats every second."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.checksum import convention_checksums
from benchmark.corpora.account import Account
from benchmark.corpora.application_names import application_in
from benchmark.corpora.assembly import Assembly
from benchmark.corpora.capture_folder import CAPTURES, CaptureFolder, read_settings, whole_digest
from benchmark.corpora.captured_host import captured_host
from benchmark.corpora.label_table import FileLabels
from benchmark.corpora.publication import Publication, PublicSettings
from benchmark.corpora.recording import Recording, clock_fault, read_recording
from benchmark.corpora.tshark_table import read_tshark_table
from benchmark.corpora.webrtc_dump import read_webrtc_dump, reduce_series
from benchmark.corpus import Corpus
from benchmark.errors import CorpusError
from benchmark.trace import NANOSECONDS

PUBLICATION = Publication(
    title="the VCAML data set (Sharma et al., IMC 2023; in-lab or real-world)",
    where="https://github.com/noise-lab/vcaml, section 'Download Datasets'",
    licence="none stated",
)
APPLICATIONS = ("meet", "teams", "webex", "zoom")
_HINT = "name a folder or the file after the application"


@dataclass(frozen=True)
class VcamlSettings(PublicSettings):
    """incomplete: what becomes of packets without a dump of getStats, and of dumps without packets, as in Requet."""

    name: str = "vcaml"
    loader: str = "vcaml"
    window: float = 1.0
    incomplete: str = field(default="refuse", metadata={"choices": ("refuse", "leave_out", "keep")})


@dataclass(frozen=True)
class _Calls:
    """dumps: the dump of getStats of each capture or table of packets that has one, paths within the folder."""

    path: Path
    packets: list[str]
    dumps: dict[str, str]
    digest: str


def load(options: Mapping[str, Any], root: Path) -> Corpus:
    """Load the calls of a folder: fps, bitrate, height and stall from the dumps, by the clock that both share.

    options: the fields of VcamlSettings. Raises CorpusError for data that isn't there, a call that isn't whole, a
    dump of another time than its packets; TraceError for a damaged capture.
    """
    settings = read_settings(options, VcamlSettings)
    account = Account()
    calls = _open(settings, root, account)
    assembly = Assembly(settings, CaptureFolder(calls.path, {}, calls.digest), account)
    for name in calls.packets:
        application = application_in(name, APPLICATIONS, calls.path, _HINT)
        said = assembly.folder.labels[name] = FileLabels(str(calls.path / name), application)
        read = _read_table if name.endswith(".csv") else read_recording
        recording = read(calls.path / name, name, settings, account)
        if recording is None:
            continue
        if name in calls.dumps:
            _label(said, calls.path / calls.dumps[name], recording, settings)
        assembly.add(name, recording.packets, client=settings.client or captured_host(recording.packets))
    return assembly.finish(notes=PUBLICATION.notes())


def digest(options: Mapping[str, Any], root: Path) -> str:
    """Return the digest that the loaded corpus will have: of packets, dumps and options."""
    return _open(read_settings(options, VcamlSettings), root, Account()).digest


def _open(settings: VcamlSettings, root: Path, account: Account) -> _Calls:
    """Pair packets with dumps: of one name, or alone in one folder, or alone in ``captures`` beside ``webrtc``."""
    path, names = PUBLICATION.locate(settings, root, (*CAPTURES, ".csv"))
    captures = {re.sub(r"\.[a-z]+$", "", name) for name in names if not name.endswith(".csv")}
    packets = [name for name in names if not name.endswith(".csv") or name.removesuffix(".csv") not in captures]
    jsons = [
        name for name in PUBLICATION.locate(settings, root, (*CAPTURES, ".csv", ".json"))[1] if name.endswith(".json")
    ]
    dumps: dict[str, str] = {}
    for name in packets:
        home = _home(name)
        same = [dump for dump in jsons if dump.removesuffix(".json") == re.sub(r"\.[a-z]+$", "", name)]
        near = [dump for dump in jsons if _home(dump) == home]
        alone = len(near) == 1 and sum(_home(other) == home for other in packets) == 1
        if same or alone:
            dumps[name] = (same or near)[0]
    lone = [name for name in packets if name not in dumps]
    orphans = sorted(set(jsons) - set(dumps.values()))
    if settings.incomplete == "refuse" and (lone or orphans):
        parts = [f"{len(lone)} captures have no dump of getStats ({', '.join(lone[:2])}, …)"] * bool(lone)
        parts += [f"{len(orphans)} dumps have no packets ({', '.join(orphans[:2])}, …)"] * bool(orphans)
        raise CorpusError(
            f"{path}: {' and '.join(parts)}; dataset.incomplete=leave_out leaves them out, =keep keeps captures"
            " without labels"
        )
    account.left_out |= dict.fromkeys(orphans, "a dump of getStats without packets")
    if settings.incomplete == "leave_out":
        account.left_out |= dict.fromkeys(lone, "packets without a dump of getStats")
        packets = [name for name in packets if name in dumps]
    used = sorted([*packets, *dumps.values()])
    digests = PUBLICATION.check(path, used, settings)
    PUBLICATION.remark(used, settings, account)
    return _Calls(path, packets, dumps, whole_digest(digests, settings))


def _home(name: str) -> str:
    """Return the folder of a call: that of the file, or the one above ``captures`` and ``webrtc``."""
    folder = Path(name).parent
    return (folder.parent if folder.name in ("captures", "capture", "webrtc") else folder).as_posix()


def _read_table(path: Path, name: str, settings: VcamlSettings, account: Account) -> Recording | None:
    """Read a table of packets as ``read_recording`` reads a capture."""
    table = read_tshark_table(path)
    sound, fault = clock_fault(table.times, settings)
    if fault:
        if not settings.keep_readable:
            hint = "dataset.keep_readable=true keeps the packets ahead of it"
            raise CorpusError(f"{path}: {fault} at IP packet {sound + 1}; {hint}")
        account.cut[name] = f"{fault} at IP packet {sound + 1}"
    if table.skipped:
        account.remarks.append(f"{name}: {table.skipped} rows left out that aren't UDP over IPv4 in one piece")
    packets = table.packets.take(slice(sound))
    packets = packets.take(packets.ts.argsort(kind="stable"))
    epoch = int(packets.ts[0]) if len(packets) else 0
    packets = packets.shifted(-epoch)
    if settings.duration is not None:
        packets = packets.take(packets.ts < round(settings.duration * NANOSECONDS))
    return Recording(convention_checksums(packets.take(slice(settings.limit))), epoch)


def _label(said: FileLabels, path: Path, recording: Recording, settings: VcamlSettings) -> None:
    """Fill in the labels from the dump, as far as there are packets."""
    ts = recording.packets.ts
    last = int(ts[-1]) // round(settings.window * NANOSECONDS) if len(ts) else -1
    windows = reduce_series(read_webrtc_dump(path), recording.epoch_ns, settings.window)
    said.windows = {index: labels for index, labels in windows.items() if index <= last}
    if not said.windows:
        raise CorpusError(f"{path}: none of its readings falls in the time of {said.where}")
