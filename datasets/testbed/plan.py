"""A plan: the sessions of a capture, as a YAML file describes them; ``plans/smoke.yaml`` is a commented example.

    name: smoke              of the plan; the file's stem where it isn't given
    version: 1               of the corpora
    seed: 0                  of every draw
    lanes: {light: 4}        sessions of a class that run at once (light, chromium, aiortc; a browser's calls run alone)
    media: bytes             films: ``bytes`` (random bytes of recorded sizes) or ``films`` (encoded by ffmpeg)
    corpora:                 what the sessions of each kind become: a folder's name, the window, the split
      streaming: {kind: streaming, window: 10, shares: {train: 0.5, validation: 0.17, test: 0.33}, unscored: {}}
    sessions: []             single sessions (no count), and groups of ``count``: the fields of ``session.Session``

Each field of a session or group is a value, a list or a distribution (see ``draw``). ``link.down`` is a list of
[second, Mbit/s] steps, or ``{mean, step, wobble, outages: {count, length, after, gap}}``: every ``step`` seconds a rate
drawn log-normally (standard deviation ``wobble`` of the logarithm), scaled so that the session's mean is ``mean``, with
``count`` outages of ``length`` seconds, none before second ``after`` nor within ``gap`` seconds of another. Calls may
have ``camera_fps``, ``scene`` and ``preference`` too (see ``players/call.py``).
"""

from __future__ import annotations

import fnmatch
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmark.errors import ConfigError, nearest
from draw import Draws, mapping, whole
from media import FILMS
from media_bytes import CLIP as BYTES
from rates import draw_steps
from session import ADAPTATIONS, BACKENDS, CLIENTS, CONGESTIONS, CROSS_TRAFFIC, KINDS, PROTOCOLS, Link, Session

PLANS = Path(__file__).resolve().parent / "plans"
CLASSES = ("light", "chromium", "aiortc", "call")
MEDIA = ("bytes", "films")
# As benchmark.corpus has them, whose import takes seconds.
SPLITS = ("train", "validation", "test")
_TOP = ("name", "version", "seed", "lanes", "media", "corpora", "sessions")
_FIELDS = tuple(each.name for each in fields(Session) if each.name not in ("notes", "seed"))
# What a call's browsers may be told besides (players/call.py); it stands among the session's notes.
_NOTES = ("camera_fps", "scene", "preference")
_LINK = tuple(each.name for each in fields(Link) if each.name != "seed")
_CHOICES = {
    "kind": KINDS,
    "client": CLIENTS,
    "protocol": PROTOCOLS,
    "adaptation": ADAPTATIONS,
    "congestion": CONGESTIONS,
    "cross": CROSS_TRAFFIC,
}
_TOGETHER = {
    ("streaming", "light"): (("h2",), ("rate", "buffer")),
    ("streaming", "chromium"): (("h2", "h3"), ("shaka",)),
    ("call", "chromium"): (("webrtc",), ("none",)),
    ("call", "aiortc"): (("webrtc",), ("none",)),
}


@dataclass(frozen=True)
class CorpusPlan:
    """What the sessions of a kind become. window: s. shares: of each split. unscored: tasks, with the reason."""

    name: str
    kind: str
    window: float
    shares: Mapping[str, float]
    unscored: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """A plan, all of it drawn."""

    name: str
    version: int
    seed: int
    lanes: Mapping[str, int]
    media: str
    corpora: tuple[CorpusPlan, ...]
    sessions: tuple[Session, ...]

    def only(self, pattern: str) -> Plan:
        """Return the plan with only the sessions whose name the pattern matches. Raises ConfigError if none does."""
        chosen = tuple(session for session in self.sessions if fnmatch.fnmatchcase(session.name, pattern))
        if not chosen:
            names = [session.name for session in self.sessions]
            raise ConfigError(f"only={pattern} matches no session of plan {self.name}{nearest(pattern, names)}")
        return replace(self, sessions=chosen)


def class_of(session: Session) -> str:
    """Return which lanes a session runs in: its client's, but for a browser's calls, "call"."""
    return "call" if (session.kind, session.client) == ("call", "chromium") else session.client


def find_plan(name: str) -> Path:
    """Return the file of a plan, given its name or path. Raises ConfigError with the nearest name."""
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise ConfigError(f"there is no plan file {name}")
        return path
    path = PLANS / f"{name}.yaml"
    if not path.is_file():
        raise ConfigError(f"there is no plan '{name}'{nearest(name, (known.stem for known in PLANS.glob('*.yaml')))}")
    return path


def read_plan(path: Path) -> Plan:
    """Read a plan and draw its sessions. Raises ConfigError that names the file, the field and the nearest name."""
    try:
        content = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    except (OSError, YAMLError, OmegaConfBaseException) as error:
        raise ConfigError(f"{path}: not a readable YAML file ({' '.join(str(error).split())})") from error
    return make_plan(content, path.stem, str(path))


def make_plan(content: Any, name: str, where: str) -> Plan:
    """Return the plan that a YAML file's content describes; ``where`` names the file in errors."""
    content = mapping(content, _TOP, where)
    seed = whole(content.get("seed", 0), f"{where}: seed", least=0)
    listed = content.get("sessions")
    if not isinstance(listed, list) or not listed:
        raise ConfigError(f"{where}: field sessions must be a list of sessions and groups")
    sessions: list[Session] = []
    for number, given in enumerate(listed):
        sessions += _group(given, number, seed, where)
    names = [session.name for session in sessions]
    if len(set(names)) != len(names):
        raise ConfigError(f"{where}: two sessions are named '{next(n for n in names if names.count(n) > 1)}'")
    lanes = mapping(content.get("lanes") or {}, CLASSES, f"{where}: lanes")
    lanes = {each: whole(lanes.get(each, 1), f"{where}: lanes.{each}", least=1) for each in CLASSES}
    if lanes["call"] != 1:
        raise ConfigError(f"{where}: lanes.call must be 1: browsers' calls side by side starve each other's frame rate")
    media = content.get("media", "films")
    if media not in MEDIA:
        raise ConfigError(f"{where}: media '{media}' isn't one of {', '.join(MEDIA)}{nearest(str(media), MEDIA)}")
    corpora = _corpora(content.get("corpora"), {session.kind for session in sessions}, where)
    _check_media(sessions, media, corpora, where)
    return Plan(
        str(content.get("name", name)),
        whole(content.get("version", 1), f"{where}: version", least=0),
        seed,
        lanes,
        media,
        corpora,
        tuple(sessions),
    )


def _corpora(given: Any, kinds: set[str], where: str) -> tuple[CorpusPlan, ...]:
    listed = mapping(given, None, f"{where}: corpora")
    corpora = []
    for name, entry in listed.items():
        place = f"corpora.{name}"
        entry = mapping(entry, ("kind", "window", "shares", "unscored"), f"{where}: {place}")
        if not str(name).isidentifier():
            raise ConfigError(f"{where}: {place}: a corpus's name is a folder's: letters, digits and _")
        kind, window = entry.get("kind"), entry.get("window")
        if kind not in KINDS:
            raise ConfigError(f"{where}: {place}.kind '{kind}' isn't one of {', '.join(KINDS)}")
        if not isinstance(window, (int, float)) or not window > 0:
            raise ConfigError(f"{where}: {place}.window must be seconds, above 0")
        shares = mapping(entry.get("shares"), SPLITS, f"{where}: {place}.shares")
        if set(shares) != set(SPLITS) or abs(sum(shares.values()) - 1) > 1e-6 or min(shares.values()) <= 0:
            raise ConfigError(f"{where}: {place}.shares must give {', '.join(SPLITS)} shares that add up to 1")
        unscored = mapping(entry.get("unscored") or {}, None, f"{where}: {place}.unscored")
        corpora.append(CorpusPlan(str(name), kind, float(window), shares, unscored))
    for kind in sorted(kinds):
        if [corpus.kind for corpus in corpora].count(kind) != 1:
            raise ConfigError(f"{where}: corpora must have one entry of kind {kind}, since there are such sessions")
    return tuple(corpora)


def _group(given: Any, number: int, seed: int, where: str) -> list[Session]:
    """Return the sessions of one entry of ``sessions``."""
    given = mapping(given, (*_FIELDS, *_NOTES, "count"), f"{where}: sessions[{number}]")
    group = given.get("name")
    if not isinstance(group, str) or not group or not all(sign.isalnum() or sign in "-_" for sign in group):
        raise ConfigError(f"{where}: sessions[{number}].name must be letters, digits, - and _")
    link = mapping(given.get("link"), _LINK, f"{where}: {group}.link")
    if "count" not in given:
        return [_session(given, link, Draws(seed, group, group, 0, 1, where))]
    count = whole(given["count"], f"{where}: {group}.count", least=1)
    digits = max(2, len(str(count - 1)))
    return [
        _session(given, link, Draws(seed, group, f"{group}-{index:0{digits}}", index, count, where))
        for index in range(count)
    ]


def _session(given: Mapping[str, Any], link: Mapping[str, Any], draws: Draws) -> Session:
    """Return one session of an entry, everything drawn."""
    where = f"{draws.where}: {draws.group}"
    values = {name: draws.value(asked, name) for name, asked in given.items() if name not in ("name", "count", "link")}
    for name, known in _CHOICES.items():
        if name in values and values[name] not in known:
            raise ConfigError(f"{where}.{name} can't be '{values[name]}'{nearest(str(values[name]), known)}")
    missing = [name for name in ("kind", "client", "protocol") if name not in values]
    if missing:
        raise ConfigError(f"{where} lacks {', '.join(missing)}")
    together = _TOGETHER.get((values["kind"], values["client"]))
    if together is None:
        raise ConfigError(f"{where}: kind {values['kind']} and client {values['client']} don't go together")
    if "adaptation" not in values:
        values["adaptation"] = draws.value(list(together[1]), "adaptation")
    for name, allowed in zip(("protocol", "adaptation"), together, strict=True):
        if values[name] not in allowed:
            raise ConfigError(
                f"{where}.{name} of {values['client']} must be of {', '.join(allowed)}, not {values[name]}"
            )
    for name in ("duration", "offset", "buffer"):
        if name in values:
            values[name] = _amount(values[name], f"{where}.{name}")
    if values["kind"] == "call":
        values.setdefault("codec", "VP8")
    seeds = draws.random("seed")
    shaped = _link(link, values.get("duration", Session.duration), seeds.randrange(2**31), draws, f"{where}.link")
    notes = {"group": draws.group} | {name: values.pop(name) for name in _NOTES if name in values}
    made = {"name": draws.name, "link": shaped, "seed": seeds.randrange(2**31), "notes": notes}
    return Session(**{**values, **made})


def _link(asked: Mapping[str, Any], duration: float, seed: int, draws: Draws, where: str) -> Link:
    if "down" not in asked:
        raise ConfigError(f"{where} lacks down")
    values = {name: draws.value(each, f"link.{name}") for name, each in asked.items() if name != "down"}
    backend = values.pop("backend", "relay")
    if backend not in BACKENDS:
        raise ConfigError(f"{where}.backend can't be '{backend}'{nearest(str(backend), BACKENDS)}")
    amounts = {name: _amount(value, f"{where}.{name}") for name, value in values.items()}
    if amounts.get("loss", 0.0) >= 1:
        raise ConfigError(f"{where}.loss must be a share below 1, not {amounts['loss']:g}")
    down = draw_steps(asked["down"], duration, draws, f"{where}.down")
    return Link(down=down, seed=seed, backend=backend, **amounts)


def _check_media(sessions: Sequence[Session], media: str, corpora: Sequence[CorpusPlan], where: str) -> None:
    """Raise ConfigError where a session asks for a film that isn't, or doesn't last whole windows."""
    films = (BYTES,) if media == "bytes" else tuple(FILMS)
    windows = {corpus.kind: corpus.window for corpus in corpora}
    for session in sessions:
        if session.kind == "streaming" and session.clip not in films:
            raise ConfigError(f"{where}: {session.name}.clip can't be '{session.clip}'{nearest(session.clip, films)}")
        window = windows[session.kind]
        if not session.duration > 0 or round(session.duration / window) * window != session.duration:
            raise ConfigError(
                f"{where}: {session.name}.duration {session.duration:g} s isn't whole windows of {window:g} s"
            )


def _amount(value: Any, where: str) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or value < 0:
        raise ConfigError(f"{where} must be a number, 0 or more, not {value!r}")
    return float(value)
