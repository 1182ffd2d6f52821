"""Embedded corpora: the shipped ones are what their manifests say; each way of not being so is one error."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmark.checksum import convention_checksums
from benchmark.corpora import embedded
from benchmark.corpora.manifest import Entry, Manifest, file_digest, read_manifest, trace_digest, write_manifest
from benchmark.errors import ConfigError, CorpusError
from benchmark.storage.compact import write_traces
from benchmark.trace import Labels
from benchmark.wire import SKIP_NONE, TCP
from tests.benchmark.packet_making import header, packets_from, trace_from

ROOT = Path(__file__).resolve().parents[2]


def made_traces():
    head = bytes([0, 80, 0, 90, 0, 8, 0, 0])
    return [
        trace_from(packets_from([header(head, 17, ttl=i), header(head, 17)]), f"t{i}", rung=np.array([i, 1], np.int8))
        for i in range(4)
    ]


def make_corpus(folder, made, **changes):
    folder.mkdir(parents=True, exist_ok=True)
    write_traces(folder / "traces.parquet", made)
    splits = ["train", "validation", "test", "train"]
    entries = [
        Entry(trace.name, "traces.parquet", len(trace.packets), trace_digest(trace), split, "video", 0.001, "")
        for trace, split in zip(made, splits, strict=False)
    ]
    digests = {"traces.parquet": file_digest(folder / "traces.parquet")}
    manifest = Manifest("made", 0, 1, 10.0, "10.0.0.2/32", digests, tuple(entries), (144, 240, 360, 480))
    manifest = replace(manifest, **changes)
    write_manifest(folder / "manifest.json", manifest)
    return manifest


@pytest.fixture
def folder(tmp_path):
    make_corpus(tmp_path / "datasets" / "made", made_traces())
    return tmp_path / "datasets" / "made"


def load(folder, **options):
    return embedded.load({"name": "made", "path": str(folder), **options}, folder)


def test_a_corpus_is_found_by_name_or_by_path(folder):
    root = folder.parents[1]
    for options in (
        {"name": "made", "path": None},
        {"name": "x", "path": "datasets/made", "loader": "embedded"},
    ):
        corpus = embedded.load(options, root)
        assert [trace.name for trace in corpus.train] == ["t0", "t3"]
        assert [trace.name for trace in corpus.validation] == ["t1"]
        assert [trace.name for trace in corpus.test] == ["t2"]
        assert (corpus.window, corpus.client, corpus.ladder) == (10.0, "10.0.0.2/32", (144, 240, 360, 480))
        assert embedded.digest(options, root) == corpus.digest


def test_a_limit_takes_the_first_of_each_split_and_changes_the_digest(folder):
    corpus = load(folder, limit=1)
    assert [trace.name for trace in corpus.train] == ["t0"]
    assert corpus.digest not in (load(folder).digest, load(folder, limit=2).digest)


def test_the_digest_follows_content_not_its_container(folder, tmp_path):
    first = load(folder).digest
    make_corpus(tmp_path / "again", made_traces(), version=7)
    assert load(tmp_path / "again").digest == first
    changed = made_traces()
    changed[2] = trace_from(changed[2].packets, "t2", rung=np.array([0, 1], np.int8))
    make_corpus(tmp_path / "changed", changed)
    assert load(tmp_path / "changed").digest != first


def test_a_manifest_is_read_as_it_was_written(folder):
    manifest = read_manifest(folder / "manifest.json")
    write_manifest(folder / "again.json", manifest)
    assert read_manifest(folder / "again.json") == manifest
    assert (folder / "again.json").read_bytes() == (folder / "manifest.json").read_bytes()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"paht": "x"}, "did you mean 'path'"),
        ({"limit": 0}, "limit"),
        ({"limit": True}, "limit"),
        ({"limit": "3"}, "limit"),
    ],
)
def test_bad_options_are_named(folder, options, reason):
    with pytest.raises(ConfigError, match=reason):
        load(folder, **options)


def test_an_unknown_corpus_offers_the_nearest_name(folder):
    with pytest.raises(CorpusError, match="did you mean 'made'"):
        embedded.load({"name": "mode"}, folder.parents[1])


def test_a_changed_file_is_refused(folder):
    path = folder / "traces.parquet"
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(CorpusError, match=r"traces.parquet: .*SHA-256"):
        load(folder)


def test_a_missing_file_is_named(folder):
    (folder / "traces.parquet").unlink()
    with pytest.raises(CorpusError, match=r"traces.parquet: the file is missing"):
        load(folder)
    (folder / "manifest.json").unlink()
    with pytest.raises(CorpusError, match=r"manifest.json: the corpus has no manifest"):
        load(folder)


def without_labels(trace):
    return replace(trace, condition=replace(trace.condition, labels=Labels.unknown(2)))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda trace: replace(trace, packets=packets_from([])), "t1' has labels but no packets"),
        (without_labels, "t1' has packets but no labels"),
        (lambda trace: trace_from(trace.packets, "t1", windows=0), "t1' has packets but no labels"),
        (
            lambda trace: replace(trace, condition=replace(trace.condition, window=5.0)),
            "t1' has windows of 5.0 s",
        ),
        (
            lambda trace: replace(trace, condition=replace(trace.condition, duration=60.0)),
            "labels for 2 windows",
        ),
        (lambda trace: trace_from(trace.packets, "t1", rung=np.array([4, 0], np.int8)), "beyond the ladder"),
        (lambda trace: replace(trace, client="10.0.0.0/8"), "another application or client"),
        (lambda trace: replace(trace, name="t9"), "t9' isn't in the manifest"),
    ],
)
def test_a_trace_that_is_not_as_the_manifest_says_is_named(folder, change, reason):
    traces = made_traces()
    entries = read_manifest(folder / "manifest.json").traces
    traces[1] = change(traces[1])
    make_corpus(folder, traces, traces=entries)
    with pytest.raises(CorpusError, match=reason):
        load(folder)


def test_a_trace_with_other_content_is_named(folder):
    entries = read_manifest(folder / "manifest.json").traces
    traces = made_traces()
    traces[3] = replace(traces[3], packets=traces[2].packets)
    make_corpus(folder, traces, traces=entries)
    with pytest.raises(CorpusError, match="t3' isn't the one whose digest"):
        load(folder)
    make_corpus(folder, made_traces()[:3], traces=entries)
    with pytest.raises(CorpusError, match="t3' is in the manifest but not in the file"):
        load(folder)


def test_a_corpus_needs_training_traces(folder):
    entries = [replace(entry, split="test") for entry in read_manifest(folder / "manifest.json").traces]
    make_corpus(folder, made_traces(), traces=tuple(entries))
    with pytest.raises(CorpusError, match="no trace is in the training split"):
        load(folder)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("window", 0, "window"),
        ("window", None, "window"),
        ("ladder", ["144"], "ladder"),
        ("files", {"../traces.parquet": "x"}, "files"),
        ("files", {}, "no digest"),
        ("traces", {}, "traces"),
        ("traces", [5], "trace 0"),
        ("client", 5, "client"),
    ],
)
def test_a_wrong_manifest_is_named(folder, field, value, reason):
    content = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**content, field: value}))
    with pytest.raises(CorpusError, match=reason):
        load(folder)


@pytest.mark.parametrize(("field", "value"), [("split", "dev"), ("packets", "2"), ("name", "t1"), ("digest", None)])
def test_a_wrong_entry_of_a_manifest_is_named(folder, field, value):
    content = json.loads((folder / "manifest.json").read_text())
    content["traces"][0][field] = value
    (folder / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(CorpusError, match=str(value) if field in ("split", "name") else field):
        load(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 100_000, "\ud800"])
def test_a_manifest_that_is_not_json_is_refused(folder, text):
    (folder / "manifest.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(CorpusError, match=r"manifest.json"):
        load(folder)


# The corpora that come with the repository.


@pytest.fixture(scope="module", params=["streaming", "calls"])
def shipped(request):
    return embedded.load({"name": request.param}, ROOT)


def test_shipped_corpora_keep_the_import_convention(shipped):
    for trace in [*shipped.train, *shipped.validation, *shipped.test]:
        packets, fields = trace.packets, trace.packets.fields
        assert (fields.skip == SKIP_NONE).all()
        assert (np.diff(packets.ts) >= 0).all()
        assert packets.ts[0] == 0
        assert trace.windows()[-1] == len(trace.labels) - 1
        headers = fields.ip_header + fields.l4_header
        quic = (fields.sport == 443) | (fields.dport == 443)
        kept = np.where(fields.protocol == TCP, 0, np.where(quic, 1, 16))
        assert np.array_equal(packets.captured, headers + np.minimum(kept, fields.payload))
        assert convention_checksums(packets).same_as(packets)
        assert trace.flows.count == 1
        # Video comes down, and most of the bytes with it.
        assert packets.length[~trace.flows.up].sum() > 4 * packets.length[trace.flows.up].sum()


def test_shipped_labels_are_in_range(shipped):
    for trace in [*shipped.train, *shipped.validation, *shipped.test]:
        labels = trace.labels
        assert ((labels.rung >= -1) & (labels.rung < max(1, len(shipped.ladder)))).all()
        known = labels.stall[np.isfinite(labels.stall)]
        assert ((known >= 0) & (known <= shipped.window + 1e-3)).all()
        assert (labels.bitrate[np.isfinite(labels.bitrate)] >= 0).all()
        heights = {int(height) for height in labels.height} - {-1}
        assert heights <= set(shipped.ladder or (180, 270, 360))
        # Media can't have come faster than packets: over a whole trace, labels and capture agree.
        seconds = shipped.window * np.isfinite(labels.bitrate).sum()
        down = trace.packets.length[~trace.flows.up].sum() * 8
        assert np.nansum(labels.bitrate) * shipped.window < 1.02 * down
        assert np.nansum(labels.bitrate) * shipped.window > 0.7 * down * seconds / trace.condition.duration


def test_streaming_has_every_application_and_class_in_each_split():
    corpus = embedded.load({"name": "streaming"}, ROOT)
    assert [len(corpus.train), len(corpus.validation), len(corpus.test)] == [24, 10, 14]
    assert corpus.applications() == ["light-h2", "shaka-h2", "shaka-h3"]
    for split in (corpus.train, corpus.validation, corpus.test):
        assert {trace.condition.application for trace in split} == set(corpus.applications())
        rungs = np.concatenate([trace.labels.rung for trace in split])
        assert set(range(6)) <= set(rungs.tolist())


def test_calls_say_that_they_are_not_scored():
    corpus = embedded.load({"name": "calls"}, ROOT)
    assert [len(corpus.train), len(corpus.validation), len(corpus.test)] == [1, 1, 1]
    assert set(corpus.unscored) == {"rung", "height", "startup", "stall", "fps", "bitrate"}
    assert all("version 1" in reason for reason in corpus.unscored.values())


def test_shipped_corpora_are_small():
    sizes = [path.stat().st_size for name in ("streaming", "calls") for path in (ROOT / "datasets" / name).iterdir()]
    assert sum(sizes) < 10_000_000


def test_a_copy_with_one_flipped_byte_is_refused(tmp_path):
    shutil.copytree(ROOT / "datasets" / "calls", tmp_path / "calls")
    path = tmp_path / "calls" / "traces.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(CorpusError, match="SHA-256"):
        embedded.load({"name": "calls", "path": str(tmp_path / "calls")}, ROOT)
