"""A stage's code is what its modules import, and comments aren't code."""

import pytest

from benchmark.harness.source import source_digest


@pytest.fixture
def house(tmp_path):
    for room in ("benchmark", "baselines"):
        (tmp_path / room).mkdir()
        (tmp_path / room / "__init__.py").write_text("")
    (tmp_path / "benchmark" / "wire.py").write_text("X = 1\n")
    (tmp_path / "benchmark" / "score.py").write_text("Y = 1\n")
    (tmp_path / "baselines" / "shared.py").write_text("from benchmark.wire import X\n")
    (tmp_path / "baselines" / "method.py").write_text(
        '"""Says."""\nfrom baselines import shared\n\ndef f():\n    return 1\n'
    )
    return tmp_path


def digest(house):
    return source_digest(["baselines.method"], house)


@pytest.mark.parametrize("path", ["baselines/method.py", "baselines/shared.py", "benchmark/wire.py"])
def test_a_change_in_what_is_imported_changes_the_digest(house, path):
    before = digest(house)
    file = house / path
    file.write_text(file.read_text() + "\nZ = 2\n")
    assert digest(house) != before


def test_a_change_elsewhere_does_not(house):
    before = digest(house)
    (house / "benchmark" / "score.py").write_text("Y = 2\n")
    assert digest(house) == before


def test_comments_and_docstrings_do_not(house):
    before = digest(house)
    (house / "baselines" / "method.py").write_text(
        '"""Says more."""\n# why\nfrom baselines import shared\n\n\ndef f():\n    """Returns."""\n    return 1\n'
    )
    assert digest(house) == before


def test_relative_imports_count(house):
    (house / "baselines" / "method.py").write_text("from .shared import X\n")
    before = digest(house)
    (house / "benchmark" / "wire.py").write_text("X = 3\n")
    assert digest(house) != before


def test_a_missing_module_is_named(house):
    with pytest.raises(FileNotFoundError, match=r"baselines\.absent"):
        source_digest(["baselines.absent"], house)
