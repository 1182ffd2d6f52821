"""Two captures of the same sessions: what agrees, what is beyond its tolerance, the command."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import compare
from benchmark.corpora.embedded import load
from benchmark.errors import CorpusError
from benchmark.trace import Labels

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def captured():
    corpus = load({"name": "streaming", "limit": 4}, ROOT)
    return {trace.name: trace for trace in [*corpus.train, *corpus.test]}


def changed(trace, **labels):
    known = {name: getattr(trace.labels, name) for name in ("rung", "height", "stall", "fps", "bitrate", "startup")}
    return replace(trace, condition=replace(trace.condition, labels=Labels(**{**known, **labels})))


def test_a_capture_agrees_with_itself(captured):
    assert compare.compare(captured, captured) == compare.Agreement(len(captured), 0.0, 0.0, 0.0, 1.0)


def test_differences_are_told_as_planted(captured):
    names = sorted(captured)
    later = {name: changed(trace, startup=trace.labels.startup + 0.75) for name, trace in captured.items()}
    agreement = compare.compare(captured, later)
    assert agreement.startup == pytest.approx(0.75, abs=1e-3)
    assert agreement.beyond() == ["startup"]

    other = {name: changed(trace, rung=np.full_like(trace.labels.rung, 5)) for name, trace in captured.items()}
    before = np.concatenate([captured[name].labels.rung for name in names])
    agreement = compare.compare(captured, other)
    assert agreement.rungs == pytest.approx(float(np.mean(before != 5)))
    assert agreement.same_rung == pytest.approx(float(np.mean(before == 5)))

    half = {
        name: replace(trace, packets=trace.packets.take(np.arange(len(trace.packets)) % 2 == 0))
        for name, trace in captured.items()
    }
    assert 0.3 < compare.compare(captured, half).rate < 0.7
    assert compare.compare(captured, half).beyond() == ["rate"]


def test_only_sessions_of_both_count(captured):
    name = min(captured)
    assert compare.compare(captured, {name: captured[name]}).traces == 1
    with pytest.raises(CorpusError, match="no session is in both"):
        compare.compare(captured, {"another": captured[name]})


def test_the_command_tells_and_pipes(capsys, tmp_path):
    folder = str(ROOT / "datasets" / "calls")
    assert compare.main([folder, folder, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["rate"], told["startup"], told["beyond"]) == (0, None, [])
    folder = str(ROOT / "datasets" / "streaming")
    assert compare.main([folder, folder]) == 0
    assert "100% of the windows have the same rung" in capsys.readouterr().out
    assert compare.main([folder, str(tmp_path / "none")]) == 2
    assert "there is no such corpus" in capsys.readouterr().err
