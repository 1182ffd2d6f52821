"""Entries: what is taken, and what is refused before anything of it runs."""

import pytest

from benchmark.errors import ConfigError
from benchmark.harness.registry import build_generator
from leaderboard.submitting.changed import changed_entries
from leaderboard.submitting.entry import CARD, CODE, PLACE, SETTINGS, find_entry, read_entries
from leaderboard.submitting.hydra_choices import offer_submissions
from leaderboard.submitting.scaffold import first_card, make_method
from tests.houses import ROOT


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
