"""The gallery: which traces stand for a corpus, and a page that keeps to its own pictures."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from benchmark.__main__ import main
from benchmark.commands import gallery
from benchmark.commands.choice import choose
from benchmark.commands.sources import read_source
from benchmark.errors import ConfigError
from tests.benchmark.pictures.session_making import LADDER, streamed, write_corpus


def test_choices_show_each_application_rung_stall_and_the_traffic_of_others(corpus):
    traces, ladder = read_source(corpus)
    chosen = choose(traces, ladder, 12)
    reasons = {choice.reason: choice.trace.name for choice in chosen}
    assert reasons["stalls after startup"] == "s1"
    assert reasons["shares its link with the traffic of others"] == "s2"
    for rung, height in enumerate(LADDER):
        name = reasons[f"{height}p dominates"]
        assert name == ("s0" if height == 360 else f"l{rung}")
    assert {choice.trace.condition.application for choice in chosen} == {"light-h2", "shaka-h2"}
    names = [choice.trace.name for choice in chosen]
    assert len(set(names)) == len(names) == 9
    assert [choice.trace.name for choice in choose(traces[::-1], ladder, 12)] == names
    assert [choice.trace.name for choice in choose(traces, ladder, 3)] == names[:3]
    assert choose([], ladder, 3) == []


def test_calls_are_chosen_good_and_bad():
    calls = [streamed(f"w{fps}", fps=float(fps), application="webrtc") for fps in (12, 30, 25)]
    calls.append(streamed("a20", fps=20.0, application="aiortc"))
    chosen = choose(calls, (), 4)
    assert [choice.trace.name for choice in chosen] == ["w30", "w12", "a20", "w25"]
    assert [choice.rank for choice in chosen] == [0, 0, 0, 1]


def test_a_gallery_is_a_page_with_its_pictures(corpus, tmp_path, capsys):
    calls = [streamed(f"w{fps}", fps=float(fps), application="webrtc", seed=fps) for fps in (12, 30, 25)]
    write_corpus(tmp_path / "datasets" / "talks", calls, ())
    out = tmp_path / "docs" / "gallery"
    arguments = ["gallery", "made", "talks", "--out", str(out)]
    assert main([*arguments, "--count", "11"]) == 0
    assert "11 pictures" in capsys.readouterr().out
    page = (tmp_path / "docs" / "gallery.md").read_text()
    shown = re.findall(r"!\[[^]]+\]\((gallery/[\w.-]+)\)", page)
    assert len(shown) == 11
    assert sorted(path.name for path in out.iterdir()) == sorted(Path(name).name for name in shown)
    assert "**s1**, light-h2: stalls after startup." in page
    assert page.count("## ") == 2
    first = {path: path.read_bytes() for path in out.iterdir()}
    assert main([*arguments, "--count", "11"]) == 0
    assert first == {path: path.read_bytes() for path in out.iterdir()}
    assert sum(map(len, first.values())) / len(first) < 1e6 / 12
    (out / "mine.png").write_bytes(b"x")
    assert main([*arguments, "--count", "2"]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["made-s1.png", "mine.png", "talks-w30.png"]


def test_a_gallery_leaves_a_page_of_others_alone_but_for_its_text(corpus, tmp_path):
    (tmp_path / "gallery").mkdir()
    (tmp_path / "gallery" / "mine.png").write_bytes(b"x")
    (tmp_path / "gallery.md").write_text("# Holidays\n![me](gallery/mine.png)\n")
    with pytest.raises(ConfigError, match="holds something else"):
        gallery.write_page(tmp_path / "gallery.md", tmp_path / "gallery", [], ["gallery"])
    assert (tmp_path / "gallery" / "mine.png").exists()
    assert "Holidays" in (tmp_path / "gallery.md").read_text()


def test_names_of_unknown_origin_stay_within_the_page_and_the_folder(corpus, tmp_path, capsys):
    odd = [streamed(name, seed=i) for i, name in enumerate(("../$x ](y)\n<b>\ud800", "a" * 500, "../_x ](y)\n<b>"))]
    odd[0] = replace(odd[0], notes={"player": "<b>\ud800\n"})
    write_corpus(tmp_path / "datasets" / "odd", odd)
    assert main(["gallery", "odd", "--out", str(tmp_path / "out"), "--count", "3"]) == 0
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert len(names) == 3
    assert all(re.fullmatch(r"odd-[\w.-]{1,120}\.png", name) for name in names)
    page = (tmp_path / "out.md").read_text(encoding="utf-8")
    assert "<b>" not in page.replace("\\<b\\>", "")


def test_too_few_pictures_are_refused(corpus, capsys):
    assert main(["gallery", "made", "--out", "x", "--count", "0"]) == 2
    assert "--count 0" in capsys.readouterr().err
