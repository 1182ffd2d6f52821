"""Plans: what they draw, that they draw it again, and what they say of a mistake."""

import copy
import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.errors import ConfigError
from draw import Draws
from plan import PLANS, class_of, find_plan, make_plan, read_plan

SHARES = {"train": 0.5, "validation": 0.17, "test": 0.33}


def group(**fields):
    made = {
        "name": "light",
        "count": 40,
        "kind": "streaming",
        "client": "light",
        "protocol": "h2",
        "adaptation": ["rate", "buffer"],
        "congestion": ["cubic", "bbr"],
        "clip": "bytes",
        "offset": {"uniform": [0, 60]},
        "cross": {"choice": {"none": 0.7, "web": 0.2, "bulk": 0.1}},
        "link": {"down": {"mean": {"log_uniform": [0.3, 8]}, "wobble": 0.3}, "delay": {"uniform": [5, 80]}},
    }
    return {**made, **fields}


def content(*sessions, **fields):
    corpora = {
        "streaming": {"kind": "streaming", "window": 10, "shares": SHARES},
        "calls": {"kind": "call", "window": 1, "shares": SHARES},
    }
    return {"seed": 3, "media": "bytes", "corpora": corpora, "sessions": list(sessions or [group()]), **fields}


def planned(*sessions, **fields):
    return make_plan(content(*sessions, **fields), "mine", "mine.yaml")


def mean_rate(session):
    """Mean of the link's rate over the session, second by second."""
    steps = session.link.down
    seconds = range(int(session.duration))
    return sum([rate for begin, rate in steps if begin <= second][-1] for second in seconds) / len(seconds)


def test_the_same_plan_draws_the_same_sessions():
    assert planned() == planned()
    assert planned().sessions != planned(seed=4).sessions
    other = group(name="other", count=3)
    assert planned(other, group()).sessions[3:] == planned().sessions


def test_a_part_of_a_plan_has_the_sessions_of_the_whole():
    whole = planned()
    part = whole.only("light-1*")
    assert [session.name for session in part.sessions] == [f"light-1{digit}" for digit in range(10)]
    assert all(session in whole.sessions for session in part.sessions)
    with pytest.raises(ConfigError, match="only=lihgt-01 matches no session of plan mine; did you mean 'light-01'"):
        whole.only("lihgt-01")


def test_a_log_uniform_rate_has_one_session_in_each_stratum():
    means = sorted(mean_rate(session) for session in planned().sessions)
    for index, mean in enumerate(means):
        quantile = math.log(mean / 0.3) / math.log(8 / 0.3)
        assert index / 40 - 0.002 <= quantile <= (index + 1) / 40 + 0.002


def test_choices_are_dealt_by_their_shares():
    sessions = planned().sessions
    counts = {kind: sum(session.cross == kind for session in sessions) for kind in ("none", "web", "bulk")}
    assert counts == {"none": 28, "web": 8, "bulk": 4}
    assert sum(session.adaptation == "rate" for session in sessions) == 20
    # Fields are shuffled by themselves, or adaptation and congestion control would be one factor.
    both = sum((session.adaptation == "rate") == (session.congestion == "cubic") for session in sessions)
    assert 8 <= both <= 32


@given(st.integers(1, 60), st.integers(0, 1000), st.floats(0.01, 10), st.floats(1, 100))
def test_draws_stay_within_their_range_and_cover_it(count, seed, low, factor):
    draws = [Draws(seed, "g", f"g-{index}", index, count, "file") for index in range(count)]
    quantiles = sorted(draw.quantile("field") for draw in draws)
    assert all(index / count <= quantile < (index + 1) / count for index, quantile in enumerate(quantiles))
    for kind in ("uniform", "log_uniform"):
        values = [draw.value({kind: [low, low * factor]}, "field") for draw in draws]
        assert all(low - 1e-4 <= value <= low * factor + 1e-4 for value in values)
    assert all(draw.value(["a", "b", "c"], "field") in "abc" for draw in draws)


def outages_of(session):
    steps = [*session.link.down, (math.inf, 1.0)]
    return [
        (begin, end - begin) for (begin, rate), (end, _) in pairwise(steps) if rate == 0 and begin < session.duration
    ]


def test_outages_have_their_number_length_and_place():
    asked = {"count": {"choice": {0: 0.5, 1: 0.25, 2: 0.25}}, "length": {"uniform": [4, 10]}, "after": 15, "gap": 6}
    down = {"mean": {"log_uniform": [0.3, 8]}, "step": 5, "wobble": 0.5, "outages": asked}
    sessions = planned(group(link={"down": down})).sessions
    counts = [len(outages_of(session)) for session in sessions]
    assert sorted(counts) == [0] * 20 + [1] * 10 + [2] * 10
    for session in sessions:
        outages = outages_of(session)
        assert all(begin >= 15 and 4 <= length <= 10 and begin + length <= 60 for begin, length in outages)
        if len(outages) == 2:
            assert outages[1][0] - sum(outages[0]) >= 6 - 1e-6
        times = [step[0] for step in session.link.down]
        assert times == sorted(set(times))
        assert times[0] == 0
    begins = [begin for session in sessions for begin, _ in outages_of(session)]
    assert min(begins) < 25
    assert max(begins) > 40


def test_outages_that_do_not_fit_are_refused():
    down = {"mean": 2, "outages": {"count": 3, "length": 20, "after": 15}}
    with pytest.raises(ConfigError, match="3 outages of 60 s don't fit between 15 s and the end"):
        planned(group(link={"down": down}))


def test_explicit_steps_and_single_sessions():
    single = group(name="one", offset=5, cross="none", adaptation="rate", link={"down": [[0, 3], [7.5, 0], [9, 2]]})
    del single["count"]
    (session,) = planned(single).sessions
    assert session.name == "one"
    assert session.link.down == ((0.0, 3.0), (7.5, 0.0), (9.0, 2.0))
    assert (session.offset, session.duration, class_of(session)) == (5.0, 60.0, "light")


def changed(path, value):
    made = copy.deepcopy(content())
    place = made
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return made


SESSION = ("sessions", 0)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("sesions",), [], "mine.yaml has no field 'sesions'; did you mean 'sessions'"),
        (("sessions",), [], "field sessions must be a list"),
        ((*SESSION, "adaption"), "rate", r"sessions\[0\] has no field 'adaption'; did you mean 'adaptation'"),
        ((*SESSION, "client"), "ligth", "light.client can't be 'ligth'; did you mean 'light'"),
        ((*SESSION, "protocol"), "h3", "light.protocol of light must be of h2, not h3"),
        ((*SESSION, "count"), 0, "light.count must be a whole number, 1 or more, not 0"),
        ((*SESSION, "name"), "a/b", r"sessions\[0\].name must be letters, digits, - and _"),
        ((*SESSION, "clip"), "stret", "light-00.clip can't be 'stret'"),
        ((*SESSION, "duration"), 65, "light-00.duration 65 s isn't whole windows of 10 s"),
        ((*SESSION, "offset"), {"unifrom": [0, 1]}, "offset must be .* not unifrom; did you mean 'uniform'"),
        ((*SESSION, "offset"), {"uniform": [3, 1]}, r"offset.uniform needs least <= most"),
        (
            (*SESSION, "cross"),
            {"choice": {"none": 0.5, "web": 0.4}},
            "shares of cross.choice must add up to 1, not 0.9",
        ),
        ((*SESSION, "link", "dealy"), 3, "link has no field 'dealy'; did you mean 'delay'"),
        ((*SESSION, "link", "loss"), 1.5, "link.loss must be a share below 1"),
        ((*SESSION, "link", "backend"), "netme", "backend can't be 'netme'; did you mean 'netem'"),
        ((*SESSION, "link", "down"), {"maen": 3}, "link.down has no field 'maen'; did you mean 'mean'"),
        ((*SESSION, "link", "down"), [[1, 3]], "steps in order of time, the first at 0"),
        ((*SESSION, "link", "down"), {"mean": {"log_uniform": [0, 3]}}, "needs 0 < least <= most"),
        (("lanes",), {"call": 2}, "lanes.call must be 1"),
        (("lanes",), {"lihgt": 2}, "lanes has no field 'lihgt'; did you mean 'light'"),
        (("media",), "flims", "media 'flims' isn't one of bytes, films; did you mean 'films'"),
        (("corpora", "streaming", "shares"), {"train": 0.9, "test": 0.1}, "must give train, validation, test shares"),
        (("corpora",), {}, "corpora must have one entry of kind streaming"),
        (("version",), "one", "version must be a whole number"),
    ],
)
def test_a_mistake_is_named_with_its_file_and_field(path, value, message):
    with pytest.raises(ConfigError, match=message) as caught:
        make_plan(changed(path, value), "mine", "mine.yaml")
    assert "mine.yaml" in str(caught.value)


def test_two_sessions_of_one_name_are_refused():
    with pytest.raises(ConfigError, match="two sessions are named 'light-00'"):
        planned(group(), group(count=1))


def test_files(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("sessions: [")
    with pytest.raises(ConfigError, match=r"mine\.yaml: not a readable YAML file"):
        read_plan(path)
    with pytest.raises(ConfigError, match="there is no plan 'smok'; did you mean 'smoke'"):
        find_plan("smok")
    with pytest.raises(ConfigError, match="there is no plan file"):
        find_plan(str(tmp_path / "other.yaml"))


@pytest.mark.parametrize("name", sorted(path.stem for path in PLANS.glob("*.yaml")))
def test_shipped_plans_can_be_drawn(name):
    plan = read_plan(find_plan(name))
    assert plan.sessions
    assert plan.name == name
