"""What is asked for as state columns: known answers, rows apart and together, and each scheme of conditioning."""

from dataclasses import replace

import numpy as np
import pytest

from baselines import netdiffusion, netshare
from baselines.gpt.conditions import SCHEMES, shown
from baselines.gpt.plain import stateful
from baselines.parts.told import COLUMNS, Told
from baselines.tokenizations import fields, joint
from benchmark.errors import ConfigError, Incompatible
from benchmark.method import Conditioning, Context, Method
from tests.baselines.made_traces import make_corpus
from tests.baselines.test_asked import make_condition

NAMES = [name for name, _ in COLUMNS]


def told(condition, *seconds):
    rows = np.zeros(len(seconds), np.int64)
    return Told([condition]).at(rows, np.array(seconds, float))


def test_columns_say_what_is_asked_at_each_moment():
    found = dict(zip(NAMES, told(make_condition(4), 0.0, 1.9, 2.6, 10.0, 39.0, 500.0).T.tolist(), strict=True))
    assert found["rung"] == [1, 1, 1, 2, 4, 4]
    assert found["stall"] == [1, 1, 1, 3, 1, 1]
    # The path's rate has a step a second, and goes on as it ends.
    assert found["link"][:2] == [1, found["link"][2] - 6]
    assert len({*found["link"][2:]}) == 1
    assert found["loss"] == [2] * 6
    assert len({*found["delay"]}) == 1
    # Playback starts at 2.5 s: within four seconds, within one, and begun.
    assert found["start"] == [5, 3, 1, 1, 1, 1]


def test_values_are_below_what_the_columns_say():
    far = replace(
        make_condition(), labels=replace(make_condition().labels, rung=np.array([99, -1], np.int8), startup=1e9)
    )
    for condition in (make_condition(4), far, shown(far, "none")):
        found = told(condition, 0.0, 15.0, 1e6)
        assert (found >= 0).all()
        assert (found < [size for _, size in COLUMNS]).all()


def test_a_row_is_told_the_same_alone_and_among_others():
    conditions = [make_condition(2), shown(make_condition(4), "application"), make_condition(4)]
    together, seconds = Told(conditions), np.array([3.0, 17.0, 33.0])
    alone = [told(condition, moment)[0] for condition, moment in zip(conditions, seconds, strict=True)]
    np.testing.assert_array_equal(together.at(np.arange(3), seconds), alone)
    together.keep(np.array([0, 2]))
    np.testing.assert_array_equal(together.at(np.arange(2), seconds[[0, 2]]), [alone[0], alone[2]])


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("build", [joint.build, fields.build], ids=["joint", "fields"])
def test_a_tokenization_without_a_state_is_told_all_that_the_scheme_shows(build, scheme):
    traces = [replace(t, condition=replace(make_condition(3), application="player")) for t in make_corpus(4).train]
    tokenization = stateful(build({}))
    tokenization.fit(traces, 0)
    condition = shown(traces[0].condition, scheme)
    _, trained = tokenization.encode_with_columns(traces[0], condition)
    asked = {name for (name, _), value in zip(tokenization.columns, trained[0], strict=True) if value > 0}
    told_by = {
        "none": set(),
        "application": {"application"},
        "quality": {"application", "rung"},
        "trajectory": {"application", "rung", "stall", "start"},
        "network": {"application", "link", "loss", "delay"},
        "all": {"application", *NAMES},
    }
    assert asked == told_by[scheme]
    # What sampling shows at a trace's beginning is what training showed there.
    np.testing.assert_array_equal(tokenization.writer([condition], [0]).columns()[0], trained[0])


@pytest.mark.parametrize("build", [netdiffusion.build, netshare.build], ids=["netdiffusion", "netshare"])
def test_a_method_that_cannot_be_told_the_path_says_so(build):
    for scheme in ("network", "all"):
        with pytest.raises(Incompatible, match=f"not {scheme}"):
            build(Method({}, None, Context(0), Conditioning(scheme)))
    with pytest.raises(ConfigError, match="did you mean 'quality'"):
        build(Method({}, None, Context(0), Conditioning("qality")))
