"""The site's files: the same bytes each time, links that lead somewhere, text that stays text, the right run's log."""

import json
import re
import struct
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.record import close_record, open_record
from leaderboard.board import build_board
from leaderboard.data import write_data
from leaderboard.site import build_site
from leaderboard.site.build import _island
from leaderboard.site.curve import draw_curve
from leaderboard.site.evidence import LOG_BYTES, clean, find_evidence
from leaderboard.site.index import index_data
from tests.leaderboard.made_records import MARKUP, make_hostile_records, make_record, make_records

PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR"


class Page(HTMLParser):
    """Collects a page's elements, addresses and scripts."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.addresses, self.handlers, self.inline = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.elements.append(tag)
        self.addresses += [value for name, value in attributes if name in ("href", "src") and value]
        self.handlers += [name for name, _ in attributes if name.startswith("on")]
        if tag == "script" and "src" not in given and given.get("type") != "application/json":
            self.inline.append(given)


def build(records, folder, runs=None, faults=()):
    board = build_board(records, faults)
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in build_site(board, folder, runs or folder / "no-runs")
    }


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    board = build_board(
        [*make_records(9), make_record(9, 0, metric_versions={"downstream": 1})], ["broken.json: not JSON"]
    )
    write_data(board, folder)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in build_site(board, folder)} | {
        path.relative_to(folder).as_posix(): b"" for path in folder.rglob("*.parquet")
    }


def test_the_same_records_in_any_order_give_the_same_bytes(tmp_path):
    records = make_records(7)
    assert build(records, tmp_path / "one") == build(records[::-1], tmp_path / "other")


def test_another_score_changes_its_own_pages_and_no_other_cells(tmp_path):
    before = build(make_records(7), tmp_path / "one")
    records = make_records(7)
    records[-1].scores["timing.distance"]["value"] += 1
    after = build(records, tmp_path / "other")
    changed = {name for name in before if before[name] != after[name]}
    assert f"cells/{records[-1].cell}.html" in changed
    assert {name for name in changed if name.startswith("cells/")} == {f"cells/{records[-1].cell}.html"}


def test_every_link_leads_to_a_file_of_the_site(site):
    for address, content in site.items():
        if not address.endswith(".html"):
            continue
        for link in Page(content.decode()).addresses:
            if link.startswith(("#", "data:,")):
                continue
            assert "//" not in link, f"{address} reaches out to {link}"
            target = (Path("/") / Path(address).parent / link).resolve().relative_to("/").as_posix()
            assert target in site or (target.startswith(("data/", "records", "board", "table"))), f"{address} -> {link}"


def test_pages_load_nothing_from_elsewhere_and_hold_no_code_of_their_own(site):
    for address, content in site.items():
        if address.endswith(".html"):
            page = Page(content.decode())
            assert not page.inline
            assert not page.handlers
            assert "default-src 'none'; script-src 'self' file:;" in unescape(content.decode())


def test_each_method_and_cell_has_a_page(site):
    board = build_board(make_records(9))
    for arena in board.arenas:
        for row in arena.rows:
            assert row.name in site[f"methods/{row.slug}.html"].decode()
    for record in board.records:
        page = site[f"cells/{record.cell}.html"].decode()
        assert f"seed={record.seed}" in page
        assert "isn&#39;t on the machine" in page


def test_what_is_not_ranked_together_and_what_was_left_out_is_said(site):
    page = site["index.html"].decode()
    assert "downstream is scored by version" in page
    assert "broken.json: not JSON" in page
    assert "copies training traces" not in page.split("Listed, not ranked")[1], "a reference isn't listed as a method"


def test_hostile_text_stays_text(tmp_path):
    pages = build(make_hostile_records(), tmp_path, faults=[MARKUP])
    honest = build(make_records(6), tmp_path / "honest")
    known = {
        tag for name, content in honest.items() if name.endswith(".html") for tag in Page(content.decode()).elements
    }
    seen = 0
    for name, content in pages.items():
        assert re.fullmatch(r"[a-z]+/?[A-Za-z0-9._-]*", name), name
        if not name.endswith(".html"):
            continue
        page = Page(content.decode())
        assert not page.handlers
        assert not page.inline
        assert set(page.elements) <= known
        assert "<img src=x" not in content.decode()
        seen += "&lt;img src=x" in content.decode() or "\\u003cimg src=x" in content.decode()
    assert seen > 5, "the markup was shown as text"


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.text(), st.lists(st.text() | st.integers() | st.none(), max_size=4), max_size=4))
def test_data_in_a_page_neither_ends_its_element_nor_changes(value):
    text = str(_island(value))
    assert not set("<>&") & set(text)
    assert json.loads(text) == value


@settings(deadline=None)
@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"])), st.sampled_from("\x00\x07\x9b\u202e\u2066"))
def test_cleaning_takes_controls_and_nothing_else(text, control):
    assert clean(text) == text
    assert clean(f"{text}{control}{text}\x1b[31m\n") == f"{text}{text}\n"


def test_the_data_of_the_page_are_the_boards(site):
    board = build_board([*make_records(9), make_record(9, 0, metric_versions={"downstream": 1})])
    data = index_data(board)
    text = site["index.html"].decode().split('id="board">')[1].split("</script>")[0]
    assert json.loads(text)["rows"] == json.loads(json.dumps(data["rows"]))
    first = board.arenas[data["rows"][0]["arena"]].rows[0]
    shown = data["rows"][0]["scores"]["downstream.rung.skill_kept"]
    assert shown == pytest.approx(list(first.intervals["downstream.rung.skill_kept"]), rel=1e-5)


def test_references_mark_the_floor_and_the_ceiling():
    data = index_data(build_board(make_records(9)))
    arena = data["arenas"][0]
    kept = "downstream.rung.skill_kept"
    assert arena["floor"][kept] < 0.35 < 0.95 < arena["ceiling"][kept]


def run_folder(runs, record, **files):
    folder = runs / record.cell
    folder.mkdir(parents=True)
    open_record(folder / "record.json", record)
    close_record(folder / "record.json", record)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_bytes(content)
    return folder


def events(*losses):
    lines = [{"what": "fit", "done": step, "total": 9, "loss": loss} for step, loss in enumerate(losses)]
    return "\n".join(json.dumps(line) for line in lines).encode()


def test_a_page_shows_the_log_curve_and_picture_of_its_own_run(tmp_path):
    records = make_records(6)
    run_folder(
        tmp_path / "runs", records[-1], log__txt=b"\x1b[31mloss went <b>down</b>\x00\n", events__jsonl=events(4, 2, 1),
        picture__png=PNG,
    )  # fmt: skip
    pages = build(records, tmp_path / "out", tmp_path / "runs")
    page = pages[f"cells/{records[-1].cell}.html"].decode()
    assert "loss went &lt;b&gt;down&lt;/b&gt;" in page
    assert 'class="curve"' in page
    assert pages[f"pictures/{records[-1].cell}.png"] == PNG
    assert "no folder" not in page


def test_the_folder_of_another_run_is_no_evidence(tmp_path):
    record = make_record(6, 0)
    run_folder(tmp_path, make_record(6, 0, ended="2026-02-02T00:00:00+00:00"), log__txt=b"of another run")
    found = find_evidence(record, tmp_path)
    assert found.log == ""
    assert "another run" in found.absent


def test_hostile_folders_are_bounded(tmp_path):
    record = make_record(6, 0)
    folder = run_folder(
        tmp_path, record, log__txt=b"x" * 1_000_000, picture__png=b"<svg onload=alert(1)>",
        events__jsonl=b"[" * 100_000 + b"\n" + b'{"what": "fit", "done": 1, "loss": 1e999}\n' + events(*range(5000)),
    )  # fmt: skip
    found = find_evidence(record, tmp_path)
    assert len(found.log) == LOG_BYTES
    assert found.log_cut
    assert found.picture is None
    assert len(found.curve[0][1]) <= 402
    secret = tmp_path / "secret"
    secret.write_bytes(b"not for a page")
    (folder / "log.txt").unlink()
    (folder / "log.txt").symlink_to(secret)
    assert find_evidence(record, tmp_path).log == ""
    record.cell = "../secret"
    assert find_evidence(record, tmp_path).absent


def test_a_curve_says_in_words_where_it_went():
    drawing = draw_curve([("loss", [(0, 4.0), (10, 1.0)]), ("validation_loss", [(0, 4.2), (10, 1.1)])])
    assert "training from 4 to 1; validation from 4.2 to 1.1" in drawing
    # The first point is at the left edge, the last at the right one.
    assert re.search(r'class="line0" d="M44\.0 [\d.]+L624\.0 ', drawing)


@pytest.mark.parametrize("losses", [(1.0, 1.0), (0.0, 0.0), (1e-9, 1e9), (-3.0, 5.0)])
def test_any_curve_can_be_drawn(losses):
    assert "nan" not in draw_curve([("loss", list(enumerate(losses)))])


def test_licences_of_the_libraries_go_with_them(site):
    text = site["assets/licences.txt"].decode()
    assert "plotly" in text
    assert "Permission is hereby granted" in text
    assert b"window.DataTable=" in site["assets/datatables.js"]


def test_an_empty_board_has_a_page(tmp_path):
    assert b"There are no records yet" in build([], tmp_path)["index.html"]
