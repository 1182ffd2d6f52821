"""The same source by bcc: translated, compiled when loaded, and told apart from libbpf's by nothing that it says."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmark.errors import Unsupported
from benchmark.quality.names import feature_names
from benchmark.trace import Trace
from bpf import headers
from bpf.abi import CONFIG
from bpf.elf import MapSpec
from bpf.kernel import require
from bpf.loader_bcc import find_bcc
from bpf.probe import LoadedProbe, ProbeOptions
from bpf.translation import initializer, translate


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRACEARENA_CACHE", str(tmp_path))
    return tmp_path


def test_every_map_becomes_a_table_of_its_name() -> None:
    text = translate()
    found = {name: kind for kind, name in re.findall(r'BPF_F_TABLE\("(\w+)", [\w ]+, [\w ]+, (\w+),', text)}
    assert found["flows"] == "lru_hash"
    assert found["clock"] == found["models"] == found["active"] == "array"
    assert found["counters"] == "percpu_array"
    assert "BPF_QUEUE(results, struct record, 256);" in text
    assert "SEC(" not in text
    assert "bpf_map_lookup_elem(" not in text
    assert not re.search(r"^#include", text, re.MULTILINE)


def test_maps_are_as_large_as_the_loader_says() -> None:
    text = translate(maps={"models": MapSpec("models", 2, 4, 5000, 2), "flows": MapSpec("flows", 9, 16, 0, 64, 2)})
    assert "struct models_value { __u8 bytes[5000]; }" in text
    assert 'BPF_F_TABLE("array", __u32, struct models_value, models, 2, 0);' in text
    assert 'BPF_F_TABLE("lru_hash", struct short_key, struct flow, flows, 64, 2);' in text


def test_the_configuration_becomes_constants() -> None:
    config = np.zeros((), CONFIG)
    config["mask_6"][2], config["replay"], config["capacity"]["nodes"] = 5, 1, 7
    line = next(line for line in translate(config[()]).splitlines() if line.startswith("static const struct config"))
    assert ".mask_6 = { 0, 0, 5, 0 }" in line
    assert ".replay = 1" in line
    assert ".nodes = 7" in line
    assert initializer(np.array([1, 2])) == "{ 1, 2 }"


def test_a_source_that_is_written_otherwise_is_refused(tmp_path: Path) -> None:
    (tmp_path / "probe.bpf.c").write_text("const volatile struct config settings;\n")
    with pytest.raises(ValueError, match="isn't written as it was"):
        translate(folder=tmp_path)


def test_headers_are_written_once(cache: Path) -> None:
    try:
        first = headers.prepare_headers()
    except Unsupported as reason:
        pytest.skip(str(reason))
    assert headers.prepare_headers() == first
    assert (first / "include/uapi/linux/if_packet.h").resolve() == headers.INCLUDE / "linux/if_packet.h"
    size = sum(path.lstat().st_size for path in first.rglob("*"))
    assert size < 100_000


def test_pypis_package_of_the_same_name_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "bcc").mkdir()
    (tmp_path / "bcc" / "__init__.py").write_text("")
    with pytest.raises(Unsupported, match="with libbcc, isn't found"):
        find_bcc([str(tmp_path)])


def same_verdict(trace: Trace, options: ProbeOptions) -> None:
    replays = []
    for loader in ("libbpf", "bcc"):
        with LoadedProbe(replace(options, loader=loader)) as probe:
            replays.append(probe.replay(trace))
    one, other = replays
    assert one.counters == other.counters
    assert one.skipped == other.skipped
    assert len(one.results) > 1
    assert one.results["result"].tobytes() == other.results["result"].tobytes()
    columns = len(feature_names(options.features))
    assert np.array_equal(one.results["row"][:, :columns], other.results["row"][:, :columns])


@pytest.mark.parametrize("hook", ["tc", "socket"])
def test_bcc_says_the_same_as_libbpf(cache: Path, hook: str) -> None:
    from tests.benchmark.traffic_making import stream

    try:
        require()
        find_bcc()
        headers.find_headers()
    except Unsupported as reason:
        pytest.skip(str(reason))
    same_verdict(stream("one", 1), ProbeOptions(features="F4", hook=hook, client="10.0.0.2/32", rows=True))
