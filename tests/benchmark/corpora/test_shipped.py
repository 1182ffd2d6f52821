"""The corpora that come with the repository are what their manifests and cards say."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmark.checksum import convention_checksums
from benchmark.corpora import embedded
from benchmark.errors import CorpusError
from benchmark.wire import ICMP, SKIP_NONE, TCP

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module", params=["streaming", "calls"])
def shipped(request):
    return embedded.load({"name": request.param}, ROOT)


def test_shipped_corpora_keep_the_import_convention(shipped):
    for trace in [*shipped.train, *shipped.validation, *shipped.test]:
        packets, fields = trace.packets, trace.packets.fields
        # A browser that gave a QUIC connection up refuses what still comes, by ICMP.
        parsed = fields.skip == SKIP_NONE
        assert (fields.protocol[~parsed] == ICMP).all()
        assert (np.diff(packets.ts) >= 0).all()
        assert packets.ts[0] == 0
        assert trace.windows()[-1] < len(trace.labels)
        headers = fields.ip_header + fields.l4_header
        quic = (fields.sport == 443) | (fields.dport == 443)
        kept = np.where(fields.protocol == TCP, 0, np.where(quic, 1, 16))
        assert np.array_equal(packets.captured[parsed], (headers + np.minimum(kept, fields.payload))[parsed])
        assert convention_checksums(packets).same_as(packets)
        if trace.notes["cross"] != "none":
            assert trace.flows.count > 1
        elif trace.condition.application != "shaka-h3":
            assert trace.flows.count == 1
        # Video comes down, and most of the bytes with it; a call's other end sends too.
        ways = [packets.length[~trace.flows.up].sum(), packets.length[trace.flows.up].sum()]
        assert ways[0] > (4 if shipped.ladder else 0.5) * ways[1]


def test_shipped_labels_are_in_range(shipped):
    media, received = 0.0, 0.0
    for trace in [*shipped.train, *shipped.validation, *shipped.test]:
        labels = trace.labels
        assert ((labels.rung >= -1) & (labels.rung < max(1, len(shipped.ladder)))).all()
        known = labels.stall[np.isfinite(labels.stall)]
        assert ((known >= 0) & (known <= shipped.window + 1e-3)).all()
        assert (labels.bitrate[np.isfinite(labels.bitrate)] >= 0).all()
        heights = {int(height) for height in labels.height} - {-1}
        assert heights <= set(shipped.ladder or (180, 270, 360, 540, 720))
        # Media can't have come faster than packets: over a whole trace, labels and capture agree.
        seconds = shipped.window * np.isfinite(labels.bitrate).sum()
        down = trace.packets.length[~trace.flows.up].sum() * 8
        assert np.nansum(labels.bitrate) * shipped.window < 1.02 * down
        if trace.notes["cross"] == "none":
            media += np.nansum(labels.bitrate) * shipped.window
            received += down * seconds / trace.condition.duration
    assert media > 0.7 * received


def test_streaming_is_balanced_as_its_card_says():
    corpus = embedded.load({"name": "streaming"}, ROOT)
    traces = [*corpus.train, *corpus.validation, *corpus.test]
    assert len(traces) >= 180
    assert len(corpus.test) >= 60
    applications = [trace.condition.application for trace in traces]
    assert min(applications.count("shaka-h2"), applications.count("shaka-h3")) >= 20
    for split in (corpus.train, corpus.validation, corpus.test):
        assert {trace.condition.application for trace in split} == {"light-h2", "shaka-h2", "shaka-h3"}
        rungs = np.concatenate([trace.labels.rung for trace in split])
        counts = np.bincount(rungs[rungs >= 0], minlength=6)
        assert counts.min() > counts.sum() / 12
    dominating = [np.bincount(trace.labels.rung[trace.labels.rung >= 0]).argmax() for trace in traces]
    assert np.bincount(dominating, minlength=6).min() >= 25
    assert sum(float(trace.labels.stall.sum()) - trace.labels.startup > 0.5 for trace in traces) >= 30
    assert set(corpus.unscored) == {"fps"}


def test_calls_are_scored_by_frame_rate():
    corpus = embedded.load({"name": "calls"}, ROOT)
    assert len(corpus.train) + len(corpus.validation) + len(corpus.test) >= 30
    assert {"fps", "bitrate"}.isdisjoint(corpus.unscored)
    assert {"rung", "startup"} <= set(corpus.unscored)


def test_shipped_corpora_are_small():
    sizes = [path.stat().st_size for name in ("streaming", "calls") for path in (ROOT / "datasets" / name).iterdir()]
    assert sum(sizes) < 25_000_000


def test_a_copy_with_one_flipped_byte_is_refused(tmp_path):
    shutil.copytree(ROOT / "datasets" / "calls", tmp_path / "calls")
    path = tmp_path / "calls" / "traces.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(CorpusError, match="SHA-256"):
        embedded.load({"name": "calls", "path": str(tmp_path / "calls")}, ROOT)
