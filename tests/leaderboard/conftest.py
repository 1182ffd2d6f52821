"""A house with one entry, as its author begins it."""

import pytest

from leaderboard.submitting.scaffold import first_card, make_method
from tests.houses import ROOT


@pytest.fixture
def root(tmp_path):
    (tmp_path / "conf").symlink_to(ROOT / "conf")
    make_method("mine", tmp_path, first_card("Ada Lovelace", "Apache-2.0", "Packets at random."))
    return tmp_path
