"""Capture labelled sessions as a plan says, and reduce them to corpora.

    python datasets/testbed/capture.py plan=smoke                       light sessions and small calls, under a minute
    python datasets/testbed/capture.py plan=version_1 out=datasets      hours; goes on where it was interrupted
    python datasets/testbed/capture.py plan=my.yaml only='light-0*' lanes.light=6
    python datasets/testbed/capture.py plan=my.yaml retry=true          makes the rejected sessions again

    plan      name of a plan in datasets/testbed/plans, or a YAML file (datasets/testbed/plan.py says what it holds)
    out       where the corpora's folders go              (results/testbed/PLAN)
    sessions  where captured sessions go and are found    (results/testbed/PLAN/sessions)
    media     folder of films, made where it lacks any    (results/testbed/films, or bytes)
    lanes     sessions at once: a number, or lanes.light=, lanes.chromium=, lanes.aiortc=   (the plan's)
    only      pattern of sessions' names, e.g. only='light-*'
    retry     true makes rejected sessions again          (false)
    reduce    false leaves the sessions as they are       (true)
    shaka     path of shaka-player.compiled.js            (where make testbed puts it)

Sessions that the testbed itself spoilt are rejected, with the reason in their session.json and in the manifest.
Needs root, /dev/net/tun, tcpdump, and what the plan's sessions need; `make testbed` installs it. Where something is
missing the exit status is 3 and one line says what. 0: all is done; 1: nothing could be kept; 2: a wrong argument.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmark.errors import ConfigError, CorpusError, TraceError, Unsupported, nearest
from lane import Lane
from needs import lacking
from outcome import UNSUPPORTED
from plan import CLASSES, Plan, find_plan, read_plan
from run_plan import Stopped, check_sessions, run_plan, write_plan
from versions import shaka_path

RESULTS = Path("results") / "testbed"
TEXTS = ("plan", "out", "sessions", "media", "only", "shaka")


@dataclass(frozen=True)
class Options:
    """The command line; see the module's docstring."""

    plan: str = ""
    out: str = ""
    sessions: str = ""
    media: str = ""
    lanes: Any = None
    only: str = ""
    retry: bool = False
    reduce: bool = True
    shaka: str = ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or {"-h", "--help", "help"} & set(words):
        print((__doc__ or "").strip())
        return 0 if words else 2
    try:
        options = read_options(words)
        path = find_plan(options.plan)
        whole = with_lanes(read_plan(path), options.lanes)
        plan = whole.only(options.only) if options.only else whole
    except ConfigError as error:
        print(f"capture: {error}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    try:
        return capture(whole, plan, options)
    except Unsupported as error:
        print(f"unsupported: {error}", file=sys.stderr)
        return UNSUPPORTED
    except (ConfigError, CorpusError, TraceError) as error:
        print(f"capture: {error}", file=sys.stderr)
        return 1
    except Stopped as stopped:
        print(f"capture: stopped by {signal.Signals(stopped.number).name}; the same command goes on", file=sys.stderr)
        return 128 + stopped.number


def capture(whole: Plan, plan: Plan, options: Options) -> int:
    """Make the sessions of ``plan``, a part of ``whole``, and reduce all that are there; return the exit status."""
    shaka = Path(options.shaka).resolve() if options.shaka else shaka_path()
    lack = lacking(plan, shaka)
    if lack:
        raise Unsupported(lack)
    out = Path(options.out or RESULTS / whole.name)
    sessions = Path(options.sessions or RESULTS / whole.name / "sessions").resolve()
    media = Path(options.media or RESULTS / plan.media).resolve()
    sessions.mkdir(parents=True, exist_ok=True)
    with _locked(sessions):
        check_sessions(plan, sessions)
        write_plan(whole, sessions)
        with contextlib.suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, 0, -10)
        Lane.sweep()
        _prepare(plan, media)
        run_plan(plan, sessions, media, shaka, retry=options.retry)
    if not options.reduce:
        return 0
    # numba and pyarrow take seconds to import, which a session in parallel would feel.
    from reduce import reduce_sessions

    for folder in reduce_sessions(sessions, out):
        print(f"wrote {folder}")
    return 0


def read_options(words: Sequence[str]) -> Options:
    """Return the options that name=value words give. Raises ConfigError with the nearest right name."""
    known = [each.name for each in fields(Options)]
    for word in words:
        name, sign, _ = word.partition("=")
        if not sign:
            raise ConfigError(f"arguments are name=value, not '{word}'{nearest(name, known)}")
        if name.partition(".")[0] not in known:
            raise ConfigError(f"there is no argument '{name}'{nearest(name, known)}")
    # Paths and patterns are taken as they are: a pattern such as * isn't YAML.
    texts: dict[str, Any] = dict(word.split("=", 1) for word in words if word.partition("=")[0] in TEXTS)
    rest = [word for word in words if word.partition("=")[0] not in TEXTS]
    try:
        given: Any = OmegaConf.to_container(OmegaConf.from_dotlist(rest), resolve=True)
    except (OmegaConfBaseException, YAMLError) as error:
        raise ConfigError(f"arguments can't be read ({' '.join(str(error).split())})") from error
    if not texts.get("plan"):
        raise ConfigError("plan= is missing; `--help` shows examples")
    for name in ("retry", "reduce"):
        if not isinstance(given.get(name, False), bool):
            raise ConfigError(f"{name} must be true or false, not '{given[name]}'")
    return Options(**texts, **given)


def with_lanes(plan: Plan, lanes: Any) -> Plan:
    """Return the plan with other lanes: a number for all but browsers' calls, or a mapping. Raises ConfigError."""
    if lanes is None:
        return plan
    chosen = lanes if isinstance(lanes, dict) else dict.fromkeys(("light", "chromium", "aiortc"), lanes)
    for name, count in chosen.items():
        if name not in CLASSES:
            raise ConfigError(f"there is no argument 'lanes.{name}'{nearest(str(name), CLASSES)}")
        if not isinstance(count, int) or isinstance(count, bool) or count < 1 or (name == "call" and count > 1):
            raise ConfigError(f"lanes.{name} must be {'1' if name == 'call' else '1 or more'}, not {count!r}")
    return replace(plan, lanes={**plan.lanes, **chosen})


def _prepare(plan: Plan, media: Path) -> None:
    if not any(session.kind == "streaming" for session in plan.sessions):
        return
    clips = sorted({session.clip for session in plan.sessions if session.kind == "streaming"})
    if plan.media == "bytes":
        from media_bytes import prepare_bytes

        prepare_bytes(media)
        return
    from media import MediaError, prepare_media

    try:
        prepare_media(media, clips)
    except MediaError as error:
        raise ConfigError(str(error)) from error


@contextlib.contextmanager
def _locked(sessions: Path) -> Iterator[None]:
    """Keep a second capture out of the folder; the lock goes with this process."""
    with (sessions / ".lock").open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigError(f"{sessions}: another capture is at work in this folder") from error
        yield


def _stop(number: int, _: Any) -> None:
    raise Stopped(number)


if __name__ == "__main__":
    sys.exit(main())
