"""Entries: what is taken, what is refused before anything of it runs, and when scores agree."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest

from benchmark.capture.pcap import write_pcap
from benchmark.errors import ConfigError, Incompatible, TraceError
from benchmark.harness.registry import build_generator
from benchmark.harness.stage import cell_id
from benchmark.record import close_record
from benchmark.storage.compact import write_traces
from benchmark.synthesis.compiler import trace_of
from benchmark.synthesis.sketch import Sketch
from benchmark.trace import NANOSECONDS, Condition, Labels
from leaderboard.marks import verified_cells
from leaderboard.submitting import captured, inside
from leaderboard.submitting.agreement import FIGURES, compare_scores
from leaderboard.submitting.answers import read_captures, write_conditions
from leaderboard.submitting.changed import changed_entries
from leaderboard.submitting.claims import values_by_figure
from leaderboard.submitting.entry import CARD, CODE, PLACE, RECORDS, SETTINGS, VERDICT, find_entry, read_entries
from leaderboard.submitting.hydra_choices import offer_submissions
from leaderboard.submitting.sandbox.limits import Limits
from leaderboard.submitting.scaffold import first_card, make_method
from leaderboard.submitting.verdict import Verdict, is_verified, read_verdict, write_verdict
from leaderboard.submitting.verification import verify_entry
from tests.houses import ROOT
from tests.leaderboard.board_records import record


@pytest.fixture
def root(tmp_path):
    (tmp_path / "conf").symlink_to(ROOT / "conf")
    make_method("mine", tmp_path, first_card("Ada Lovelace", "Apache-2.0", "Packets at random."))
    return tmp_path


def entry_of(root):
    return find_entry("mine", root)


def test_a_new_entry_is_sound_as_it_stands(root):
    entry = entry_of(root)
    assert (entry.kind, entry.card.authors, entry.node["module"]) == (
        "method", ("Ada Lovelace",), "leaderboard.submissions.mine.method",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "reason"), [("gpt", "method of the house"), ("class", "no Python word"), ("../up", "a-z"), ("A", "a-z")]
)
def test_names_that_cannot_be_taken(root, name, reason):
    with pytest.raises(ConfigError, match=reason):
        make_method(name, root, first_card("Ada", "MIT", "x"))


def test_an_entry_is_not_overwritten(root):
    with pytest.raises(ConfigError, match="is there already"):
        make_method("mine", root, first_card("Ada", "MIT", "x"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("module: os", "the folder is the name"),
        ("name: gpt", "the folder is the name"),
        ("repare: none", "did you mean 'repair'"),
        ("repair: hraness", "one of none, harness"),
        ("axes: [tokenisation]", "did you mean 'tokenization'"),
        ("axes: [tokenization]\nchoices: {tokenization: segment}", "did you mean 'segments'"),
        ("choices: {tokenization: segments}", "isn't among 'axes'"),
        ("options: {_target_: os.system}", "underscore"),
        ("options: {a: {b: [{_partial_: 1}]}}", "underscore"),
        ("options: {key: '${oc.env:HOME}'}", "interpolations"),
        ("options: !!python/object/apply:os.system [id]", "tags"),
        ("options: &a [1]\naxes: *a", "aliases"),
        ("options: {day: 2026-01-01}", "quote it"),
        ("- a list", "mapping"),
        ("a: [", "not readable as YAML"),
    ],
)
def test_settings_that_are_refused(root, text, reason):
    (root / PLACE / "mine" / SETTINGS).write_text(text)
    with pytest.raises(ConfigError, match=reason) as caught:
        entry_of(root)
    assert SETTINGS in str(caught.value)


@pytest.mark.parametrize(
    ("field", "reason"),
    [("authors", "authors"), ("paper", "paper"), ("licence", "licence"), ("data", "data"), ("summary", "summary")],
)
def test_a_card_without_a_field_is_refused(root, field, reason):
    path = root / PLACE / "mine" / CARD
    path.write_text("\n".join(line for line in path.read_text().splitlines() if not line.startswith(f"{field}:")))
    with pytest.raises(ConfigError, match=f"field '{reason}' is missing"):
        entry_of(root)


def test_a_card_with_an_unknown_or_empty_field_is_refused(root):
    path = root / PLACE / "mine" / CARD
    whole = path.read_text()
    path.write_text(whole + "license: MIT\n")
    with pytest.raises(ConfigError, match="did you mean 'licence'"):
        entry_of(root)
    path.write_text(whole.replace('"Apache-2.0"', '""'))
    with pytest.raises(ConfigError, match="'licence' is empty"):
        entry_of(root)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import pickle\ndef build(method): ...", "'pickle' isn't taken"),
        ("def build(method):\n    from dill import loads", "'dill' isn't taken"),
        ("import leaderboard.submissions.other.method\ndef build(method): ...", "an entry is one file"),
        ("from . import more\ndef build(method): ...", "an entry is one file"),
        ("x = 1", "exports build"),
        ("def build(", "not readable as Python"),
    ],
)
def test_code_that_is_refused(root, code, reason):
    (root / PLACE / "mine" / CODE).write_text(code)
    with pytest.raises(ConfigError, match=reason):
        entry_of(root)


def test_files_and_links_that_do_not_belong_are_refused(root):
    folder = root / PLACE / "mine"
    (folder / "weights.pt").write_bytes(b"x")
    with pytest.raises(ConfigError, match="no such file"):
        entry_of(root)
    (folder / "weights.pt").unlink()
    (folder / CODE).unlink()
    (folder / CODE).symlink_to("/etc/passwd")
    with pytest.raises(ConfigError, match="links aren't taken"):
        entry_of(root)


def test_a_broken_entry_sinks_no_other(root):
    make_method("other", root, first_card("Ada", "MIT", "x"))
    (root / PLACE / "mine" / SETTINGS).write_text("module: os")
    found, faults = read_entries(root)
    assert list(found) == ["other"]
    assert list(faults) == ["mine"]


def test_an_entry_is_a_choice_of_generator_with_its_own_axes(root):
    from tests.configs import compose

    (root / PLACE / "mine" / SETTINGS).write_text(
        "axes: [tokenization]\nchoices: {tokenization: segments}\noptions: {a: 1}"
    )
    assert "mine" in offer_submissions(root)[0]
    config = compose("generator=mine", "generator.options.a=2")
    assert config["tokenization"]["name"] == "segments"
    assert config["generator"]["options"] == {"a": 2}
    assert compose("generator=mine", "tokenization=joint")["tokenization"]["name"] == "joint"


def test_a_verdict_is_void_once_the_code_changes(root):
    entry = entry_of(root)
    write_verdict(entry, Verdict("verified", "", entry.digest))
    assert is_verified(entry_of(root))
    (root / PLACE / "mine" / CODE).write_text((root / PLACE / "mine" / CODE).read_text() + "\nx = 1\n")
    assert read_verdict(entry_of(root)) is None
    assert not is_verified(entry_of(root))


def claim_of(entry, seed, value, **choices):
    """A record beside an entry, as its author's run would leave it."""
    made = record("mine", seed, value, choices=choices)
    made.config = {"generator": entry.node, "seed": seed, "budget": {"name": made.choices["budget"]}}
    made.config["dataset"] = {"name": made.choices["dataset"]}
    made.cell = cell_id(made.config)
    path = entry.folder / RECORDS / f"{made.choices['budget']}-{seed}.record.json"
    path.parent.mkdir(exist_ok=True)
    close_record(path, made)
    return made


def test_a_verdict_marks_the_records_that_it_is_on_and_no_others(root):
    entry = entry_of(root)
    claims = [claim_of(entry, seed, 0.5) for seed in range(3)]
    claim_of(entry, 0, 0.5, budget="smoke")
    figures = {figure: values for figure, values in values_by_figure(claims).items() if figure in FIGURES}
    verdict = Verdict(
        "verified", "", entry.digest, "streaming", "default", seeds=[7, 8, 9], claimed=figures, corpus=claims[0].corpus
    )
    write_verdict(entry, verdict)
    assert verified_cells(root) == {
        claim.cell: "run again on fresh seeds (7, 8, 9), and agreed" for claim in claims
    }  # fmt: skip
    claim_of(entry, 1, 0.9)
    assert verified_cells(root) == {}
    claim_of(entry, 1, 0.5)
    assert len(verified_cells(root)) == 3
    write_verdict(entry, replace(verdict, corpus={"name": "streaming", "digest": "another"}))
    assert verified_cells(root) == {}


def test_what_a_sandboxed_trace_notes_of_itself_is_kept_where_it_is_known(captures, tmp_path):
    given = read_captures(captures, conditions())
    noted = [replace(given[0], notes={"cut": "9 tokens reached 1 s", "stitched": True, "told": "<b>"}), *given[1:]]
    write_traces(tmp_path / "traces.parquet", noted)
    kept = list(inside._checked(tmp_path / "traces.parquet", conditions()))
    assert [trace.notes for trace in kept] == [{"stitched": True, "cut": True}, {}, {}]


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"outcome": "verified"}', "[" * 100_000])
def test_a_verdict_that_is_none_verifies_nothing(root, text):
    (root / PLACE / "mine" / VERDICT).write_text(text)
    assert not is_verified(entry_of(root))


def test_equal_methods_agree_and_a_gap_is_found():
    rng = np.random.default_rng(0)
    agreed = found = 0
    for _ in range(300):
        measured = {"timing.distance": rng.normal(2.0, 0.1, 3).tolist()}
        agreed += compare_scores({"timing.distance": rng.normal(2.0, 0.1, 3).tolist()}, measured)[0].agrees
        found += not compare_scores({"timing.distance": rng.normal(4.0, 0.1, 3).tolist()}, measured)[0].agrees
    assert agreed >= 0.92 * 300
    assert found >= 0.99 * 300


def test_a_wide_claim_hides_nothing_and_a_tiny_gap_is_none():
    measured = {"fidelity.c2st": [0.9, 0.91, 0.9], "validity.l2.raw": [1.0, 1.0, 1.0]}
    assert not compare_scores({"fidelity.c2st": [0.0, 0.6, 1.2]}, measured)[0].agrees
    assert compare_scores({"validity.l2.raw": [0.996]}, measured)[0].agrees
    assert not compare_scores({"validity.l2.raw": [0.99]}, measured)[0].agrees


def test_a_claim_that_cannot_be_measured_disagrees():
    assert not compare_scores({"fidelity.c2st": [0.6]}, {})[0].agrees


def conditions(count=3):
    labels = Labels(*(np.full(2, value, kind) for value, kind in (
        (1, np.int8), (360, np.int16), (0, np.float32), (30, np.float32), (1e6, np.float32)
    )), startup=0.5)  # fmt: skip
    return [Condition(f"app{number}", 20.0, 10.0, labels) for number in range(count)]


@pytest.fixture
def captures(tmp_path):
    folder = tmp_path / "captures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    rows = ["file,condition,client"]
    for number, condition in enumerate(conditions()):
        ts = np.sort(rng.uniform(0, 19 * NANOSECONDS, 50)).astype(np.int64)
        sketch = Sketch("tcp", ts, rng.random(50) < 0.3, np.full(50, 500, np.int32))
        trace = trace_of(sketch, condition, "t", number)
        write_pcap(folder / f"c{number}.pcap", trace.packets)
        rows.append(f"c{number}.pcap,{number},{trace.client}")
    (folder / "answers.csv").write_text("\n".join(rows))
    return folder


def test_captures_answer_conditions(captures, tmp_path):
    traces = read_captures(captures, conditions())
    assert [trace.condition.application for trace in traces] == ["app0", "app1", "app2"]
    write_conditions(tmp_path / "asked.json", conditions())
    asked = json.loads((tmp_path / "asked.json").read_text())["conditions"]
    assert next((one["condition"], one["application"], one["labels"]["rung"]) for one in asked) == (0, "app0", [1, 1])


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ("file,condition\nc0.pcap,0", "no capture answers condition 1"),
        ("file,condition\nc0.pcap,0\nc1.pcap,0", "answered twice"),
        ("file,condition\nc0.pcap,7", "wasn't asked"),
        ("file,condition\n../c0.pcap,0", "isn't a plain file in this folder"),
        ("file,condition\n/etc/passwd,0", "isn't a plain file in this folder"),
        ("file,condition\nc0.pcap,one", "isn't a number"),
        ("file,condition,client\nc0.pcap,0,nobody", "isn't an address"),
        ("name,number\nc0.pcap,0", "the columns are"),
    ],
)
def test_tables_that_are_refused(captures, rows, reason):
    (captures / "answers.csv").write_text(rows)
    with pytest.raises(ConfigError, match=reason):
        read_captures(captures, conditions())


def test_captures_that_are_refused(captures, tmp_path):
    short = [replace(condition, duration=5.0) for condition in conditions()]
    with pytest.raises(TraceError, match="were asked for"):
        read_captures(captures, short)
    (captures / "c1.pcap").write_bytes(b"not a capture")
    with pytest.raises(TraceError):
        read_captures(captures, conditions())
    (captures / "c1.pcap").unlink()
    os.symlink("/etc/passwd", captures / "c1.pcap")
    with pytest.raises(ConfigError, match="plain file"):
        read_captures(captures, conditions())


def test_a_pull_request_touches_its_entry_alone():
    names, faults = changed_entries(
        [
            "leaderboard/submissions/mine/method.py",
            "leaderboard/submissions/mine/records/default-0.record.json",
            "leaderboard/submissions/mine/verified.json",
            "leaderboard/submissions/README.md",
            "run.py",
        ]
    )
    assert names == ["mine"]
    assert [fault.split(":")[0] for fault in faults] == [
        "leaderboard/submissions/mine/verified.json", "leaderboard/submissions/README.md", "run.py",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["--help", "gpt", "two\nlines", "a b"])
def test_a_pull_requests_folder_whose_name_is_none_is_refused(name):
    names, (fault,) = changed_entries([f"leaderboard/submissions/{name}/method.py"])
    assert names == []
    assert "\n" not in fault


def test_a_module_outside_its_rooms_is_refused():
    config = {"generator": {"name": "x", "module": "os.path", "axes": [], "options": {}}}
    with pytest.raises(ConfigError, match="isn't inside"):
        build_generator(config, ROOT)


def test_captures_are_played_back_by_condition(captures, root, monkeypatch):
    folder = root / PLACE / "played"
    folder.mkdir()
    traces = read_captures(captures, conditions())
    write_traces(folder / "traces.parquet", traces)
    (folder / SETTINGS).write_text("repair: none\n")
    (folder / CARD).write_text((root / PLACE / "mine" / CARD).read_text())
    entry = find_entry("played", root)
    assert (entry.kind, entry.node["submission"]) == ("captures", "captures")
    monkeypatch.setattr(captured, "_ROOT", root)
    generator = build_generator({"generator": entry.node}, ROOT)
    played = list(generator.sample(conditions()[::-1], 0))
    assert [trace.condition.application for trace in played] == ["app2", "app1", "app0"]
    assert played[2].packets.length.tolist() == traces[0].packets.length.tolist()
    with pytest.raises(Incompatible, match="no capture answers condition 0"):
        list(generator.sample([replace(conditions()[0], duration=7.0)], 0))
    with pytest.raises(ConfigError, match="can't be run again"):
        verify_entry(entry, None, [1, 2, 3], Limits())
    write_verdict(entry, Verdict("verified", "", entry.digest))
    assert not is_verified(entry)
