"""Reads YAML of strangers: small, plain values only, and nothing that a later reader would act on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from benchmark.errors import ConfigError

_BYTES, _DEPTH, _VALUES = 1 << 16, 8, 2000


def read_plain(path: Path) -> dict[str, Any]:
    """Return the mapping of a YAML file.

    Raises ConfigError, naming the file and the place, for what isn't YAML or a mapping; anchors and aliases, which grow
    when they're expanded; tags, which name classes; interpolations, which read the environment; and names that start
    with an underscore, which Hydra acts on.
    """
    if path.is_symlink() or not path.is_file():
        raise ConfigError(f"{path}: isn't there, or isn't a plain file")
    if path.stat().st_size > _BYTES:
        raise ConfigError(f"{path}: over {_BYTES >> 10} KiB")
    try:
        text = path.read_bytes().decode()
        for token in yaml.scan(text, Loader=yaml.SafeLoader):
            if isinstance(token, yaml.AnchorToken | yaml.AliasToken | yaml.TagToken):
                line = token.start_mark.line + 1
                raise ConfigError(f"{path} line {line}: anchors, aliases and tags aren't taken; write the value out")
        content = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{path}: not readable as YAML ({' '.join(str(error).split())[:200]})") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: a mapping of names to values is wanted")
    _check(content, path, "", 0)
    if _count(content) > _VALUES:
        raise ConfigError(f"{path}: more than {_VALUES} values")
    return content


def _check(value: Any, path: Path, place: str, depth: int) -> None:
    if depth > _DEPTH:
        raise ConfigError(f"{path}: '{place}' lies more than {_DEPTH} levels deep")
    if isinstance(value, dict):
        for name, inner in value.items():
            where = f"{place}.{name}".lstrip(".")
            if not isinstance(name, str):
                raise ConfigError(f"{path}: '{where}': names are text")
            if name.startswith("_"):
                raise ConfigError(f"{path}: '{where}': names that start with an underscore aren't taken")
            _check(inner, path, where, depth + 1)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            _check(inner, path, f"{place}[{number}]", depth + 1)
    elif isinstance(value, str):
        if "${" in value or "???" in value:
            raise ConfigError(f"{path}: '{place}': interpolations aren't taken")
    elif value is not None and not isinstance(value, bool | int | float):
        raise ConfigError(f"{path}: '{place}': {type(value).__name__} isn't taken; quote it as text")


def _count(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + sum(map(_count, value.values()))
    return 1 + sum(map(_count, value)) if isinstance(value, list) else 1
