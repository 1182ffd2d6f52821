"""What a condition asks for, as a network sees it."""

import math
from dataclasses import replace

import numpy as np
import pytest

from baselines.gpt.conditions import SCHEMES, shown
from baselines.parts.asked import LINKS, asked_of, at_moment, delay_level, row_of, stack, take_rows
from benchmark.trace import Condition, Labels, Network

NETWORK = Network(np.array([0.0, 1e6, 8e6], np.float32), 1.0, 0.02, 0.001)


def make_condition(windows=2):
    labels = replace(
        Labels.unknown(windows),
        rung=np.arange(windows, dtype=np.int8),
        stall=np.array([0.0, 5.0, 0.6, 0.5][:windows], np.float32),
        startup=2.5,
    )
    return Condition("app", 10.0 * windows, 10.0, labels, NETWORK)


def test_levels_say_what_was_asked():
    asked = asked_of(make_condition(4), began=3.0)
    assert asked.rungs.tolist() == [0, 1, 2, 3]
    assert asked.stalls.tolist() == [1, 3, 2, 1]
    assert asked.links[0] == 1
    assert asked.links[2] - asked.links[1] == 6  # three octaves in halves
    assert (asked.loss, asked.delay, asked.startup, asked.began) == (2, 0.02, 2.5, 3.0)
    assert 0 < asked.links.min() <= asked.links.max() < LINKS


def test_what_is_hidden_is_unknown():
    asked = asked_of(shown(make_condition(), "none"))
    assert asked.rungs.max() == -1
    assert asked.stalls.max() == asked.links.max() == asked.loss == 0
    assert math.isnan(asked.startup)
    assert delay_level(asked.delay) == 0


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_scheme_shows_what_it_says(scheme):
    told = shown(make_condition(), scheme)
    assert (told.application == "app") == (scheme != "none")
    assert (told.network is not None) == (scheme in ("network", "all"))
    assert (told.labels.rung.max() >= 0) == (scheme in ("quality", "trajectory", "all"))
    assert math.isnan(told.labels.startup) == (scheme not in ("trajectory", "all"))
    assert (told.duration, told.window, len(told.labels)) == (20.0, 10.0, 2)


def test_rows_that_are_stacked_come_back():
    one, other = asked_of(make_condition(2)), asked_of(make_condition(4), 1.5)
    both = stack([one, other])
    for row, own in enumerate((one, other)):
        found = row_of(both, row)
        assert found.rungs[: len(own.rungs)].tolist() == own.rungs.tolist()
        assert set(found.rungs[len(own.rungs) :]) <= {own.rungs[-1]}
        assert (found.window, found.delay, found.began) == (own.window, own.delay, own.began)
    assert take_rows(both, np.array([1])).began.tolist() == [1.5]


def test_the_last_step_goes_on_and_the_first_began_before():
    values = np.array([4, 5, 6])
    assert [at_moment(values, 10.0, second) for second in (-1.0, 0.0, 9.9, 10.0, 25.0, 99.0)] == [4, 4, 4, 5, 6, 6]
