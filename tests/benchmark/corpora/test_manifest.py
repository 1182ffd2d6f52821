"""Embedded corpora: found by name or path; each way of not being as the manifest says is one error."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pyarrow.parquet as parquet
import pytest

from benchmark.corpora import embedded
from benchmark.corpora.manifest import Entry, Manifest, file_digest, read_manifest, trace_digest, write_manifest
from benchmark.errors import ConfigError, CorpusError
from benchmark.storage.compact import SCHEMA, write_traces
from benchmark.trace import Labels
from tests.benchmark.packet_making import header, packets_from, trace_from


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
    unscored = {"fps": "nobody counted frames", "startup": "nobody looked"}
    manifest = Manifest("made", 0, 1, 10.0, "10.0.0.2/32", digests, tuple(entries), (144, 240, 360, 480), unscored)
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


def relabelled(**labels):
    known = {name: np.array(row, np.int16 if name == "height" else np.float32) for name, row in labels.items()}
    return lambda trace: trace_from(trace.packets, trace.name, **{"rung": np.array([1, 1], np.int8), **known})


def retimed(*ts):
    return lambda trace: replace(trace, packets=replace(trace.packets, ts=np.array(ts, np.int64)))


def conditioned(**changes):
    return lambda trace: replace(trace, condition=replace(trace.condition, **changes))


NOTHING = [np.nan, np.nan]
FAULTS = [
    (lambda trace: replace(trace, packets=packets_from([])), "t1' has labels but no packets"),
    (conditioned(labels=Labels.unknown(2)), "t1' has packets but no labels"),
    (lambda trace: trace_from(trace.packets, "t1", windows=0), "t1' has packets but no labels"),
    (conditioned(window=5.0), "t1' has windows of 5.0 s"),
    (conditioned(duration=60.0), "labels for 2 windows .* leave a part unlabelled"),
    (conditioned(duration=15.0), "labels for 2 windows .* overlap"),
    (lambda trace: trace_from(trace.packets, "t1", rung=np.array([4, 0], np.int8)), "rung beyond the ladder: 4"),
    (lambda trace: trace_from(trace.packets, "t1", rung=np.array([0, -2], np.int8)), "rung: -2 in window 1"),
    (lambda trace: trace_from(trace.packets, "t1"), "no label rung in any window"),
    (relabelled(height=[240, -2]), "height: -2 in window 1"),
    (relabelled(stall=[0, -1]), "stall of -1 in window 1"),
    (relabelled(stall=[11, 0]), "stall of 11 in window 0, not one of 0 to 10"),
    (relabelled(stall=[np.inf, 0]), "stall of inf"),
    (relabelled(stall=NOTHING), "no label stall"),
    (relabelled(bitrate=[-5, 0]), "bitrate of -5"),
    (relabelled(bitrate=NOTHING), "no label bitrate"),
    (relabelled(fps=[0, 1e6]), r"fps of 1e\+06 in window 1"),
    (lambda trace: trace_from(trace.packets, "t1", rung=np.array([1, 1], np.int8), startup=-1.0), "startup of -1"),
    (lambda trace: trace_from(trace.packets, "t1", rung=np.array([1, 1], np.int8), startup=np.inf), "startup of inf"),
    (retimed(0, -1_000_000), r"clock step: packet 1 is 0.001000 s before packet 0"),
    (retimed(-1_000_000, 0), "first packet at -0.001000 s"),
    (retimed(0, 31_000_000_000), "clock step: 31.000 s of silence before packet 1, more than 30 s"),
    (retimed(0, 20_000_000_000), "packets to 20.000 s, beyond its labels' 2 windows"),
    (retimed(0, 19_000_000_000), "lasts 19.000000 s, not the manifest's duration of 0.001 s"),
    (lambda trace: replace(trace, packets=trace.packets.take(slice(1))), "has 1 packets, not the manifest's 2"),
    (conditioned(application="call"), "application 'call', not the manifest's 'video'"),
    (lambda trace: replace(trace, client="10.0.0.0/8"), "client '10.0.0.0/8', not the manifest's"),
    (lambda trace: replace(trace, name="t9"), "t9' isn't in the manifest"),
    (lambda trace: replace(trace, name="t0"), "t0' stands twice in the file"),
]


@pytest.mark.parametrize(("change", "reason"), FAULTS)
@pytest.mark.parametrize("limit", [None, 1])
def test_a_trace_that_is_not_as_the_manifest_says_is_named(folder, change, reason, limit):
    traces = made_traces()
    entries = read_manifest(folder / "manifest.json").traces
    traces[1] = change(traces[1])
    make_corpus(folder, traces, traces=entries)
    with pytest.raises(CorpusError, match=rf"traces.parquet: trace '.*{reason}"):
        load(folder, limit=limit)


def test_a_fault_of_a_trace_beyond_the_limit_is_named_too(folder):
    traces = made_traces()
    entries = read_manifest(folder / "manifest.json").traces
    make_corpus(folder, [*traces[:3], relabelled(stall=[0, -1])(traces[3])], traces=entries)
    with pytest.raises(CorpusError, match="t3' has a stall"):
        load(folder, limit=1)


def test_playback_that_never_began_needs_neither_height_nor_startup(folder):
    traces = made_traces()
    traces[1] = relabelled(height=[-1, -1], stall=[10, 10])(traces[1])
    unscored = {"fps": "nobody counted frames"}
    traces = [trace if trace is traces[1] else replace_startup(trace, 1.0) for trace in traces]
    make_corpus(folder, traces, unscored=unscored)
    assert len(load(folder).validation) == 1
    make_corpus(folder, [replace_startup(trace, np.nan) for trace in traces], unscored=unscored)
    with pytest.raises(CorpusError, match="t0' has a label height but no startup"):
        load(folder)
    make_corpus(folder, [traces[0], replace_startup(traces[1], 1.0), *traces[2:]], unscored=unscored)
    with pytest.raises(CorpusError, match="t1' has a label startup but no height"):
        load(folder)


def replace_startup(trace, startup):
    return replace(trace, condition=replace(trace.condition, labels=replace(trace.labels, startup=startup)))


# Files whose digest is right, so that only what stands in them can tell that they're damaged.


def rewrite(folder, content):
    (folder / "traces.parquet").write_bytes(content)
    manifest = read_manifest(folder / "manifest.json")
    digests = {"traces.parquet": file_digest(folder / "traces.parquet")}
    write_manifest(folder / "manifest.json", replace(manifest, files=digests))


@pytest.mark.parametrize("keep", [0, 4, 100, -1, -9])
def test_a_truncated_file_is_refused(folder, keep):
    content = (folder / "traces.parquet").read_bytes()
    (folder / "traces.parquet").write_bytes(content[:keep])
    with pytest.raises(CorpusError, match=r"traces.parquet: the file \(\d+ bytes\) isn't the one whose SHA-256"):
        load(folder)
    rewrite(folder, content[:keep])
    with pytest.raises(CorpusError, match=r"traces.parquet: not a readable Parquet file"):
        load(folder)


@pytest.mark.parametrize(("rows", "reason"), [(7, "t3' are missing"), (9, "more packets than its traces")])
def test_a_file_with_rows_too_few_or_too_many_is_refused(folder, rows, reason):
    whole = parquet.read_table(folder / "traces.parquet")
    described = parquet.read_metadata(folder / "traces.parquet").metadata[b"tracearena"]
    table = whole.take(np.arange(rows) % len(whole))
    with parquet.ParquetWriter(folder / "made", SCHEMA, store_schema=False) as writer:
        writer.add_key_value_metadata({"tracearena": described})
        writer.write_table(table.cast(SCHEMA))
    rewrite(folder, (folder / "made").read_bytes())
    with pytest.raises(CorpusError, match=reason):
        load(folder)


def test_a_file_that_the_manifest_lacks_is_named(folder):
    shutil.copy(folder / "traces.parquet", folder / "more.parquet")
    with pytest.raises(CorpusError, match=r"more.parquet: the file isn't in the manifest"):
        load(folder)


def test_a_file_without_traces_is_checked_all_the_same(folder):
    manifest = read_manifest(folder / "manifest.json")
    (folder / "rejected.csv").write_text("x")
    files = {**manifest.files, "rejected.csv": file_digest(folder / "rejected.csv")}
    write_manifest(folder / "manifest.json", replace(manifest, files=files))
    assert len(load(folder).train) == 2
    (folder / "rejected.csv").write_text("y")
    with pytest.raises(CorpusError, match=r"rejected.csv: the file \(1 bytes\)"):
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


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_corpus_needs_traces_in_each_split(folder, split):
    other = "test" if split == "train" else "train"
    entries = read_manifest(folder / "manifest.json").traces
    moved = [replace(entry, split=other) if entry.split == split else entry for entry in entries]
    make_corpus(folder, made_traces(), traces=tuple(moved))
    with pytest.raises(CorpusError, match=rf"manifest.json: the {split} split has no trace"):
        load(folder)


DIGEST = "0" * 64


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("window", 0, "window"),
        ("window", None, "window is of the wrong type"),
        ("window", 10**400, "window is out of range"),
        ("window", float("nan"), "window must be above 0"),
        ("ladder", ["144"], "ladder"),
        ("ladder", [240, 144], "lowest first"),
        ("ladder", [144, 144], "each height once"),
        ("ladder", list(range(1, 200)), "ladder"),
        ("files", {"../traces.parquet": DIGEST}, "'../traces.parquet', which isn't a file within"),
        ("files", {"..": DIGEST}, "which isn't a file within"),
        ("files", {"/etc/passwd": DIGEST}, "which isn't a file within"),
        ("files", {"traces.parquet": "x"}, "64 hexadecimal digits"),
        ("files", {}, "'t0' is in the file 'traces.parquet', which has no digest"),
        ("traces", {}, "traces is of the wrong type"),
        ("traces", [5], "trace 0"),
        ("client", 5, "client"),
        ("client", "10.0.0.2/99", "client isn't a prefix"),
        ("unscored", {"rugn": "?"}, "unknown task 'rugn'; did you mean 'rung'"),
        ("unscored", {"rung": 5}, "no reason for the task 'rung'"),
        ("format", 2, "format 2 is newer than this TraceArena reads"),
        ("format", "1", "format must be a whole number"),
        ("laddr", [], "field laddr is unknown; did you mean 'ladder'"),
    ],
)
def test_a_wrong_manifest_is_named(folder, field, value, reason):
    content = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**content, field: value}))
    with pytest.raises(CorpusError, match=rf"manifest.json: .*{reason}"):
        load(folder)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("split", "dev", "trace 't0': field split is 'dev'"),
        ("packets", "2", "trace 't0': field packets is of the wrong type"),
        ("packets", -2, "packets is below 0"),
        ("name", "t1", "trace 't1' stands twice: in the splits train and validation"),
        ("name", "t3", "trace 't3' stands twice$"),
        ("name", None, "trace 0: field name"),
        ("digest", None, "digest is of the wrong type"),
        ("digest", "abc", "digest isn't a SHA-256"),
        ("duration", float("inf"), "duration"),
        ("duration", 10**400, "duration is out of range"),
        ("sesion", "s", "trace 't0': field sesion is unknown; did you mean 'session'"),
    ],
)
def test_a_wrong_entry_of_a_manifest_is_named(folder, field, value, reason):
    content = json.loads((folder / "manifest.json").read_text())
    content["traces"][0][field] = value
    (folder / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(CorpusError, match=reason):
        load(folder)


def test_fields_that_a_manifest_lacks_are_named(folder):
    content = json.loads((folder / "manifest.json").read_text())
    for field in set(content) - {"format"}:
        (folder / "manifest.json").write_text(json.dumps({name: content[name] for name in content if name != field}))
        with pytest.raises(CorpusError, match=rf"manifest.json: field {field} is missing"):
            load(folder)
    for field in content["traces"][0]:
        entry = {name: value for name, value in content["traces"][0].items() if name != field}
        (folder / "manifest.json").write_text(json.dumps({**content, "traces": [entry]}))
        with pytest.raises(CorpusError, match=rf"manifest.json: trace .*: field {field} is missing"):
            load(folder)


def test_a_session_in_two_splits_is_named(folder):
    entries = [replace(entry, session="one") for entry in read_manifest(folder / "manifest.json").traces]
    make_corpus(folder, made_traces(), traces=tuple(entries))
    with pytest.raises(CorpusError, match="session 'one' is in two splits: trace 't0' in train, trace 't1' in valid"):
        load(folder)


def test_a_manifest_without_a_format_is_of_the_first(folder):
    content = json.loads((folder / "manifest.json").read_text())
    assert content.pop("format") == 1
    (folder / "manifest.json").write_text(json.dumps(content))
    assert read_manifest(folder / "manifest.json").format == 1


def test_a_manifest_larger_than_any_is_not_read_to_its_end(folder):
    with (folder / "manifest.json").open("wb") as stream:
        stream.truncate(1 << 40)
    with pytest.raises(CorpusError, match="larger than 64 MiB"):
        load(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 100_000, "\ud800"])
def test_a_manifest_that_is_not_json_is_refused(folder, text):
    (folder / "manifest.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(CorpusError, match=r"manifest.json"):
        load(folder)
