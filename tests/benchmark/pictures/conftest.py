"""A repository with a corpus of its own."""

import pytest

from benchmark.commands import gallery, plot
from tests.benchmark.pictures.session_making import crossed, streamed, write_corpus


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    """A root with a corpus of streaming sessions, made as the repository's are."""
    monkeypatch.setattr(plot, "ROOT", tmp_path)
    monkeypatch.setattr(gallery, "ROOT", tmp_path)
    traces = [streamed(f"l{rung}", (rung, rung, 0), seed=rung) for rung in range(6)]
    traces += [streamed("s0", application="shaka-h2", seed=9), streamed("s1", stall=2.0, seed=10), crossed("s2")]
    write_corpus(tmp_path / "datasets" / "made", traces)
    return tmp_path / "datasets" / "made"
