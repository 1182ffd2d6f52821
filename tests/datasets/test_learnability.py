"""Learnability: planted labels are found, shuffled ones aren't, sessions never leak; and the card's tables."""

import json
from dataclasses import replace

import numpy as np
import pytest

import learnability
import task_figures
from benchmark.corpora import embedded
from benchmark.corpora.manifest import Entry, Manifest, file_digest, read_manifest, trace_digest, write_manifest
from benchmark.metrics import judge
from benchmark.quality.features import FeatureTable, feature_names
from benchmark.quality.task import TASKS, gather, past_startup
from benchmark.storage.compact import write_traces
from benchmark.trace import Condition, Labels
from corpus_card import access_rate, dominating_rung, stalls_after_startup, tables, write_card
from learnability import unscored
from learnability_table import learnability_tables
from task_figures import folded_losses, measure_task
from tests.benchmark.packet_making import packets_from, trace_from
from tests.benchmark.test_downstream import LADDER, session

NAMES = feature_names("F5")
WINDOWS = 10


@pytest.fixture(autouse=True)
def _few_trees(monkeypatch):
    monkeypatch.setattr(judge, "TREES", 10)
    monkeypatch.setattr(task_figures, "SEEDS", (0,))


def made(count, seed, tell, noise=1000, **more):
    """Traces without packets whose rungs are drawn, and tables of noise; ``tell`` gives a column from the trace."""
    random = np.random.default_rng(seed)
    traces, built = [], []
    for place in range(count):
        rungs = random.integers(0, 6, WINDOWS).astype(np.int8)
        labels = {name: read(rungs, random) for name, read in more.items()}
        traces.append(trace_from(packets_from([]), f"t{place}", WINDOWS, rung=labels.pop("rung", rungs), **labels))
        values = random.integers(0, noise, (WINDOWS, len(NAMES)))
        values[:, NAMES.index("segment_max")] = tell(traces[-1], random)
        built.append(FeatureTable(np.arange(WINDOWS), values, NAMES))
    return traces, built


def measured(task, traces, built, sessions=None):
    return measure_task(TASKS[task], traces, built, LADDER, sessions or [trace.name for trace in traces])


def test_a_planted_label_is_found():
    traces, built = made(16, 1, lambda trace, random: 1000.0 * trace.labels.rung + random.integers(0, 100, WINDOWS))
    for task in ("rung", "rung6"):
        figures = measured(task, traces, built)
        assert figures["learnable"]
        assert figures["reason"] == ""
        assert figures["scores"]["forest"][0] > 0.85 > figures["scores"]["baseline"][2]
        assert figures["gain"][0] > figures["gain"][1] > 0
        assert figures["beyond"][1] > 0
    assert figures["windows"] == 16 * WINDOWS
    assert sum(figures["classes"].values()) == 16 * WINDOWS
    assert unscored(dict.fromkeys(TASKS, figures)) == {}
    # A label that some trace lacks must stay excused, or the corpus wouldn't load.
    assert unscored(dict.fromkeys(TASKS, figures), {"rung": "old", "height": "older"}, {"height"}) == {
        "height": "older"
    }


def test_a_shuffled_label_is_not():
    traces, built = made(16, 2, lambda trace, random: random.permutation(trace.labels.rung))
    figures = measured("rung", traces, built)
    assert not figures["learnable"]
    value, low, high = figures["scores"]["forest"]
    assert f"accuracy {value:g} [{low:g}, {high:g}] against" in figures["reason"]
    assert "160 windows of 16 sessions" in figures["reason"]
    assert unscored(dict.fromkeys(TASKS, figures)).keys() == {task.label for task in TASKS.values()}


def constant(rungs, _random):
    return np.full(WINDOWS, rungs[0], np.int8)


def test_windows_of_a_trace_never_help_each_other():
    # A feature that names the trace tells its one label, but only to those who saw other windows of that trace.
    traces, built = made(24, 3, lambda _trace, random: np.full(WINDOWS, random.integers(0, 1 << 30)), 1, rung=constant)
    assert not measured("rung", traces, built)["learnable"]
    examples = gather(TASKS["rung"], traces, built, LADDER)
    apart = replace(examples, trace=np.arange(len(examples)))
    assert folded_losses(TASKS["rung"], apart, 0)[0].mean() < 0.1
    assert folded_losses(TASKS["rung"], examples, 0)[0].mean() > 0.3


def test_traces_of_a_session_never_help_each_other():
    signatures = np.repeat(np.random.default_rng(4).permutation(40), 2) * 1000
    order = iter(signatures)
    traces, built = made(80, 4, lambda _trace, _random: np.full(WINDOWS, next(order)), 1, rung=constant)
    for place in range(1, 80, 2):
        traces[place] = replace(traces[place], condition=traces[place - 1].condition)
    sessions = [f"s{place // 2}" for place in range(80)]
    assert measured("rung", traces, built)["learnable"]
    figures = measured("rung", traces, built, sessions)
    assert not figures["learnable"]
    assert figures["sessions"] == 40


def rare(rungs, random):
    return np.where((rungs == 5) & (np.arange(WINDOWS) > 2) & (random.random(WINDOWS) < 0.5), 4.0, 0.0).astype(
        np.float32
    )


def test_a_rare_stall_is_found_and_its_baseline_is_a_half():
    traces, built = made(
        40, 5, lambda trace, random: (trace.labels.stall > 1) * 500 + random.integers(0, 99), stall=rare
    )
    figures = measured("stall", traces, built)
    assert figures["measure"] == "balanced accuracy"
    assert figures["scores"]["baseline"] == [0.5, 0.5, 0.5]
    assert figures["learnable"]
    assert figures["scores"]["forest"][0] > 0.8
    assert figures["classes"]["1"] < 0.15 * figures["windows"]
    traces, built = made(40, 6, lambda _trace, random: random.integers(0, 599, WINDOWS), stall=rare)
    assert not measured("stall", traces, built)["learnable"]


def test_what_follows_from_the_windows_index_is_shown():
    traces, built = made(
        20,
        7,
        lambda trace, _random: trace.labels.rung,
        rung=lambda _rungs, _random: (np.arange(WINDOWS) % 6).astype(np.int8),
    )
    figures = measured("rung6", traces, built)
    assert figures["learnable"]
    assert figures["shortcut"] == "window index"
    assert figures["beyond"][1] <= 0
    assert figures["scores"]["window index"][0] == 1
    manifest = manifest_of([], "made")
    notes = {
        "learnability": {
            "digest": manifest.traces_digest(),
            "seeds": [0],
            "folds": 5,
            "tasks": {"rung6": figures},
            "sets": {},
        }
    }
    said = "\n".join(learnability_tables(replace(manifest, notes=notes), "datasets/made"))
    assert "`rung6` is nearly trivial: window index alone has 100 % of the forest's gain." in said


def test_too_little_has_a_reason():
    traces, built = made(9, 8, lambda trace, _random: trace.labels.rung)
    assert measured("rung", traces, built)["reason"].startswith("9 sessions have this label, and at least 10")
    assert measured("fps", traces, built)["reason"] == "no window has this label"
    assert measured("bitrate", traces, built)["reason"] == "all 90 windows have the same label"
    traces, built = made(12, 9, lambda trace, _random: 0, stall=lambda _rungs, _random: np.zeros(WINDOWS, np.float32))
    traces[0].labels.stall[5] = 9.0
    assert measured("stall", traces, built)["reason"].startswith("only 1 sessions have a window of the rarest class")


def manifest_of(traces, name, files=None, **notes):
    entries = tuple(
        Entry(
            *(trace.name, "traces.parquet", len(trace.packets), trace_digest(trace)),
            *(
                ("train", "test", "validation")[place % 3],
                trace.condition.application,
                trace.packets.ts[-1] / 1e9,
                trace.name,
            ),
        )
        for place, trace in enumerate(traces)
    )
    return Manifest(
        *(name, 1, 1, 10.0, "10.0.0.2/32", files or {}, entries),
        ladder=LADDER,
        notes=notes,
        unscored={"rung": "old", "fps": "not taken"},
    )


@pytest.fixture
def corpus(tmp_path):
    traces = []
    for place in range(12):
        trace = session(f"s{place:02}", place)
        stall = np.array([1, 0, 0, 2 * (place % 4 == 0), 0], np.float32)
        height = np.where(np.arange(5) > 0, trace.labels.height, -1).astype(np.int16)
        labels = replace(trace.labels, stall=stall, height=height, startup=1.0)
        condition = Condition("light-h2" if place % 2 else "shaka-h3", 50.0, 10.0, labels)
        notes = {"link": {"down": [[0, 2.0], [10, 0.0], [30, 4.0]]}, "clip": "fields", "congestion": "bbr"}
        traces.append(replace(trace, condition=condition, notes=notes))
    folder = tmp_path / "made"
    folder.mkdir()
    write_traces(folder / "traces.parquet", traces)
    files = {"traces.parquet": file_digest(folder / "traces.parquet")}
    more = {"rejected": {"x1": "the relay ran late"}, "versions": {"nginx": "1.22.1", "caddy": "2.6.2"}}
    write_manifest(folder / "manifest.json", manifest_of(traces, "made", files, **more))
    return folder


def test_the_command_writes_the_manifest_and_the_card(corpus, monkeypatch):
    monkeypatch.setattr(judge, "TREES", 5)
    monkeypatch.setattr(task_figures, "FOLDS", 3)
    before = read_manifest(corpus / "manifest.json")
    write_card(corpus)
    assert "Learnability hasn't been measured: `python datasets/testbed/learnability.py datasets/made`." in (
        (corpus / "card.md").read_text()
    )
    assert learnability.main([str(corpus)]) == 0
    after = read_manifest(corpus / "manifest.json")
    assert after.traces == before.traces
    assert after.traces_digest() == before.traces_digest()
    assert after.notes["versions"] == before.notes["versions"]
    # Of the rungs, which three segments a window tell, nothing is left out; what isn't in the labels is.
    assert "rung" not in after.unscored
    assert after.unscored["fps"] == "not taken"
    assert after.unscored["startup"] == "all 12 windows have the same label"
    assert after.unscored["stall"].startswith("only 3 sessions")
    assert dict(embedded.load({"path": str(corpus)}, corpus).unscored) == after.unscored
    assert set(after.notes["learnability"]["sets"]) == {"F0", "F1", "F2", "F3", "F4", "F5"}
    json.dumps(after.notes, allow_nan=False)
    text = (corpus / "card.md").read_text()
    assert "| rung | accuracy | 60 | 12 |" in text
    assert "- stall: only 3 sessions" in text
    parts = after.notes["learnability"]["tasks"]["rung"]["parts"]
    assert parts.keys() == {"application light-h2", "application shaka-h3"}
    assert "| task | application light-h2 | application shaka-h3 |" in text
    files = {path.name: path.read_bytes() for path in corpus.iterdir()}
    assert learnability.main([str(corpus)]) == 0
    assert files == {path.name: path.read_bytes() for path in corpus.iterdir()}


def test_figures_of_other_traces_are_not_shown(corpus):
    path = corpus / "manifest.json"
    notes = {"learnability": {"digest": "0" * 64, "tasks": {}, "sets": {}, "seeds": [], "folds": 5}}
    write_manifest(path, replace(read_manifest(path), notes=notes))
    assert "was measured on other traces than these" in tables(corpus)


def test_scores_on_parts_of_the_corpus():
    def tell(trace, _random):
        return trace.labels.rung if len(trace.name) == 2 else 0

    traces, built = made(20, 10, tell, 1)
    traces = [replace(trace, notes={"cross": "none" if len(trace.name) == 2 else "bulk"}) for trace in traces]
    parts = measured("rung6", traces, built)["parts"]
    assert parts.keys() == {"cross bulk", "cross none"}
    assert parts["cross none"][0] > 0.9 > 0.4 > parts["cross bulk"][0]


def test_a_folder_without_a_corpus_is_named(tmp_path, capsys):
    assert learnability.main([str(tmp_path / "none")]) == 1
    assert "there is no such corpus" in capsys.readouterr().err


def test_the_cards_tables(corpus):
    text = tables(corpus)
    assert text.startswith("Computed by `python datasets/testbed/reduce.py --card datasets/made`.")
    for line in (
        "| all | 12 | 6 | 6 | 900 | 75 | 75 |",
        "| clip | fields | 4 | 4 | 4 | 12 |",
        "| application | light-h2 | 2 | 2 | 2 | 6 |",
        "| x1 | the relay ran late |",
        "Software: caddy 2.6.2, nginx 1.22.1.",
        # Every trace waits 1 s before it plays; three stall for 2 s more in their fourth window.
        "| all | 1.00 | 1.00 | 1.00 | 0 | 3 | 36 | 3 | 12 |",
        "       2 to 4          12 ########################################",
    ):
        assert line in text
    assert "| cross |" not in text


def test_the_rules_of_the_tables():
    trace = trace_from(packets_from([]), windows=6, rung=np.array([-1, 4, 1, 4, 1, 0], np.int8))
    assert dominating_rung(trace) == 1
    assert dominating_rung(trace_from(packets_from([]))) == -1
    link = {"link": {"down": [[0, 3.0], [10, 0], [40, 6.0], [70, 90]]}}
    assert access_rate(replace(trace, notes=link)) == pytest.approx((3 * 10 + 6 * 20) / 30)
    assert np.isnan(access_rate(trace))
    stall = np.array([3, 0, 0.4, 0, 0, 0], np.float32)
    labels = replace(trace.labels, stall=stall, startup=3.0)
    assert not stalls_after_startup(replace(trace, condition=replace(trace.condition, labels=labels)))
    labels = replace(labels, startup=2.8)
    assert stalls_after_startup(replace(trace, condition=replace(trace.condition, labels=labels)))
    assert not stalls_after_startup(
        replace(trace, condition=replace(trace.condition, labels=replace(labels, startup=np.nan)))
    )
    height = np.array([-1, -1, 240, -1, 144, 144], np.int16)
    assert past_startup(replace(labels, height=height)).tolist() == [False, False, False, True, True, True]
    assert not past_startup(Labels.unknown(3)).any()
