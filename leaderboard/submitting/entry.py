"""An entry: one folder below ``leaderboard/submissions/``, checked before anything of it is used."""

from __future__ import annotations

import ast
import hashlib
import json
import keyword
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.errors import ConfigError, nearest
from leaderboard.submitting.card import Card, read_card
from leaderboard.submitting.safe_yaml import read_plain

PLACE = Path("leaderboard") / "submissions"
CODE, SETTINGS, CARD, TRACES, VERDICT, RECORDS = (
    "method.py", "method.yaml", "card.yaml", "traces.parquet", "verified.json", "records",
)  # fmt: skip
_NAME = re.compile(r"[a-z][a-z0-9_]{1,39}")
_AXES = ("tokenization", "context", "conditioning")
_KEYS = ("repair", "axes", "choices", "options")
_REPAIRS = ("none", "harness")
# Modules that read or write pickles, whose files can't be loaded safely.
_PICKLES = ("pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal")
_CODE_BYTES, _TRACES_BYTES, _RECORD_BYTES, _MOST_RECORDS = 1 << 19, 1 << 26, 1 << 23, 64


@dataclass(frozen=True)
class Entry:
    """A checked entry. kind: "method", which can be run again, or "captures", traces that were made elsewhere."""

    name: str
    folder: Path
    kind: str
    settings: Mapping[str, Any]
    card: Card

    @property
    def node(self) -> dict[str, Any]:
        """What the entry is as a choice of ``generator=``: the generator's part of a config."""
        options = dict(self.settings.get("options") or {})
        module = f"{'.'.join(PLACE.parts)}.{self.name}.method"
        if self.kind == "captures":
            module = "leaderboard.submitting.captured"
            options = {"folder": str(PLACE / self.name), "digest": file_digest(self.folder / TRACES)}
        return {
            "name": self.name,
            "module": module,
            "repair": self.settings.get("repair", "none"),
            "axes": list(self.settings.get("axes") or []),
            "submission": self.kind,
            "options": options,
        }

    @property
    def choices(self) -> dict[str, str]:
        """The tokenization, context and conditioning that the method picks unless the command line says otherwise."""
        return dict(self.settings.get("choices") or {})

    @property
    def digest(self) -> str:
        """Digest of what makes the entry's traces: its code as it stands, byte for byte, and its settings."""
        content = self.folder / (CODE if self.kind == "method" else TRACES)
        facts = [self.name, self.kind, dict(self.settings), file_digest(content)]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_name(name: str, root: Path) -> str:
    """Return the name of an entry if it's one. Raises ConfigError, also for the name of a method of the house."""
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise ConfigError(f"'{name}': a name is 2 to 40 of a-z, 0-9 and _, starts with a letter, and is no Python word")
    taken = {path.stem for path in (root / "conf" / "generator").glob("*.yaml")}
    if name in taken:
        raise ConfigError(f"'{name}' is a method of the house already (conf/generator/{name}.yaml); take another name")
    return name


def entry_names(root: Path) -> list[str]:
    """Names of all folders of submissions, sound or not."""
    return sorted(path.name for path in (root / PLACE).glob("*/") if not path.name.startswith((".", "_")))


def find_entry(name: str, root: Path) -> Entry:
    """Read the entry of a name. Raises ConfigError with the nearest name where there is none."""
    folder = root / PLACE / name
    if name not in entry_names(root):
        raise ConfigError(f"{PLACE} has no '{name}'{nearest(name, entry_names(root))}")
    return read_entry(folder, root)


def read_entry(folder: Path, root: Path) -> Entry:
    """Read and check an entry's folder, without running anything of it.

    Raises ConfigError naming the file and the field: for a file that doesn't belong there, a link, a file too large,
    a setting that isn't one, code that reads pickles or other entries.
    """
    name = check_name(folder.name, root)
    _check_files(folder)
    kind = "method" if (folder / CODE).exists() else "captures"
    if kind == "captures" and not (folder / TRACES).exists():
        raise ConfigError(f"{folder}: neither {CODE} nor {TRACES} is there")
    if kind == "method" and (folder / TRACES).exists():
        raise ConfigError(f"{folder}: {CODE} and {TRACES} are both there; an entry is a method or captures")
    settings = _settings(folder / SETTINGS, root, kind)
    if kind == "method":
        _check_code(folder / CODE)
    return Entry(name, folder, kind, settings, read_card(folder / CARD))


def _check_files(folder: Path) -> None:
    """Check that the folder holds what an entry holds, and that by plain files."""
    limits = {CODE: _CODE_BYTES, SETTINGS: 1 << 16, CARD: 1 << 16, TRACES: _TRACES_BYTES, VERDICT: 1 << 20}
    for path in [folder, *sorted(folder.iterdir())]:
        if path.is_symlink():
            raise ConfigError(f"{path}: links aren't taken")
        if path == folder or path.name == "__pycache__":
            continue
        if path.name == RECORDS and path.is_dir():
            _check_records(path)
        elif not path.is_file() or path.name not in limits:
            raise ConfigError(f"{path}: an entry has no such file{nearest(path.name, limits)}")
        elif path.stat().st_size > limits[path.name]:
            raise ConfigError(f"{path}: over {limits[path.name] >> 10} KiB")


def _check_records(folder: Path) -> None:
    inside = sorted(folder.iterdir())
    if len(inside) > _MOST_RECORDS:
        raise ConfigError(f"{folder}: more than {_MOST_RECORDS} records")
    for path in inside:
        if path.is_symlink() or not path.is_file() or not path.name.endswith(".record.json"):
            raise ConfigError(f"{path}: only plain files named *.record.json are taken here")
        if path.stat().st_size > _RECORD_BYTES:
            raise ConfigError(f"{path}: over {_RECORD_BYTES >> 20} MiB")


def _settings(path: Path, root: Path, kind: str) -> dict[str, Any]:
    settings = read_plain(path)
    known = _KEYS if kind == "method" else ("repair",)
    for name in settings:
        if name in ("name", "module"):
            raise ConfigError(f"{path}: '{name}' isn't taken: the folder is the name, and {CODE} beside it is the code")
        if name not in known:
            raise ConfigError(f"{path}: unknown setting '{name}'{nearest(name, known)}")
    if settings.get("repair", "none") not in _REPAIRS:
        raise ConfigError(f"{path}: 'repair' is one of {', '.join(_REPAIRS)}")
    axes = settings.get("axes") or []
    if not isinstance(axes, list):
        raise ConfigError(f"{path}: 'axes' is a list")
    for axis in axes:
        if axis not in _AXES:
            raise ConfigError(f"{path}: 'axes' has '{axis}'{nearest(str(axis), _AXES)}")
    if not isinstance(settings.get("options") or {}, dict):
        raise ConfigError(f"{path}: 'options' is a mapping")
    choices = settings.get("choices") or {}
    if not isinstance(choices, dict):
        raise ConfigError(f"{path}: 'choices' is a mapping")
    for axis, choice in choices.items():
        if axis not in axes:
            raise ConfigError(f"{path}: 'choices' has '{axis}', which isn't among 'axes'{nearest(axis, axes)}")
        offered = [one.stem for one in (root / "conf" / axis).glob("*.yaml")]
        if choice not in offered:
            raise ConfigError(f"{path}: conf/{axis} has no '{choice}'{nearest(str(choice), offered)}")
    return settings


def _check_code(path: Path) -> None:
    """Refuse, by reading it, code that can't be an entry's; what it does beyond that the sandbox bounds."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ConfigError(f"{path}: not readable as Python ({error})") from None
    builds = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "build"]
    if not builds:
        raise ConfigError(f"{path}: a method's file exports build(method)")
    for node in ast.walk(tree):
        for name in _imported(node):
            first = name.split(".")[0]
            if first in _PICKLES:
                raise ConfigError(f"{path} line {node.lineno}: '{first}' isn't taken; save JSON or safetensors")  # type: ignore[attr-defined]
            if first in ("leaderboard", "tests", ""):
                where = "a module beside it" if not first else f"'{name}'"
                raise ConfigError(f"{path} line {node.lineno}: imports {where}; an entry is one file")  # type: ignore[attr-defined]


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return ["" if node.level else str(node.module)]
    return []


def read_entries(root: Path) -> tuple[dict[str, Entry], dict[str, str]]:
    """Read all entries; return those that are sound by name, and what is wrong with each of the others."""
    found: dict[str, Entry] = {}
    faults: dict[str, str] = {}
    for name in entry_names(root):
        try:
            found[name] = read_entry(root / PLACE / name, root)
        except (ConfigError, OSError) as error:
            faults[name] = str(error)
    return found, faults
