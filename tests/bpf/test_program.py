"""The probe as an object and as a loaded program: layouts, sizes, rules of the portable subset, hand-over of clocks."""

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmark.errors import ConfigError, Unsupported
from benchmark.quality.names import FEATURE_SETS, feature_names
from benchmark.quality.state import state_bytes
from benchmark.trace import Condition, Labels, Trace
from benchmark.wire import SKIP_NAMES
from bpf import abi
from bpf.build import ORDERS, compile_object, object_path, source_digest, stale
from bpf.elf import RODATA, read_object
from bpf.feed import Frames, frames_of
from bpf.kernel import STRICT_ALIGNMENT, create_map, load_program, require
from bpf.probe import LoadedProbe, ProbeOptions, later_clock, live_clock
from bpf.replay import hand_over, tailor
from tests.benchmark.packet_making import packets_from
from tests.bpf.agreement import loaded
from tests.bpf.hostile import CLIENT, make

SECOND = 1_000_000_000
HELPERS = {1, 2, 3, 5, 26, 39, 87}  # map lookup, update, delete; ktime; skb_load_bytes, skb_pull_data; map push


def test_objects_are_of_these_sources():
    assert stale() == []


@pytest.mark.skipif(shutil.which("clang") is None, reason="clang isn't installed")
def test_compiling_again_gives_the_same_object(tmp_path):
    known = json.loads((object_path("F0").parent / "digests.json").read_text())
    version = subprocess.run(["clang", "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
    if version != known["compiler"]:
        pytest.skip(f"the objects come from {known['compiler']}, this is {version}")
    for order in ORDERS:
        compile_object("F1", order, tmp_path / "object")
        assert (tmp_path / "object").read_bytes() == object_path("F1", order).read_bytes()
    assert known["sources"] == source_digest()


@pytest.mark.parametrize("feature_set", FEATURE_SETS)
def test_layouts_are_the_reference_s(feature_set):
    level = FEATURE_SETS.index(feature_set)
    for order in ORDERS:
        types = read_object(object_path(feature_set, order)).types
        assert types.record("flow").itemsize == (state_bytes(level) + 32 + 8 + 7) // 8 * 8
        for name, layout in (
            *(("short_key", abi.SHORT_KEY), ("ends", abi.ENDS)),
            *(("flow_key", abi.KEY), ("clock", abi.CLOCK), ("config", abi.CONFIG), ("counters", abi.COUNTERS)),
            *(("result", abi.RESULT), ("record", abi.RECORD), ("flow", abi.flow_layout(level))),
        ):
            same_layout(types.record(name), layout)
    assert len(feature_names(feature_set)) <= abi.ROW


def same_layout(one, other):
    assert one.itemsize == other.itemsize
    for name, (kind, offset) in one.fields.items():
        wanted, place = other.fields[name][:2]
        assert (kind.itemsize, offset) == (wanted.itemsize, place), name
        if kind.fields:
            same_layout(kind, wanted)


def test_reasons_for_skipping_have_the_reference_s_names():
    assert abi.SKIP_REASONS[: len(SKIP_NAMES)] == SKIP_NAMES


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("feature_set", FEATURE_SETS)
def test_programs_keep_to_what_every_router_has(feature_set, order):
    """No calls but to old helpers, no atomics, no 64-bit division, no float, nothing beyond 4,096 instructions."""
    bundle = read_object(object_path(feature_set, order))
    for program in bundle.programs.values():
        assert len(program.instructions) // 8 <= 4096
        wide = False
        for at in range(0, len(program.instructions), 8):
            code, registers, _, immediate = np.frombuffer(
                program.instructions, [("code", "u1"), ("regs", "u1"), ("off", bundle.byte_order + "i2"),
                                       ("imm", bundle.byte_order + "i4")], 1, at)[0].tolist()  # fmt: skip
            if wide:
                wide = False
                continue
            wide = code == 0x18
            if code == 0x85:
                source = registers >> 4 if bundle.byte_order == "<" else registers & 15
                assert source == 0
                assert immediate in HELPERS
            assert code & 0xE7 != 0xC3, "atomic"
            assert code & 0xF7 not in (0x37, 0x97), "64-bit division"


@pytest.mark.parametrize("feature_set", FEATURE_SETS)
def test_strict_alignment_is_kept(feature_set, tmp_path):
    """The verifier of a machine that traps on unaligned loads takes the object that is made for one."""
    try:
        require()
        target = tmp_path / "object.o"
        compile_object(feature_set, "bpfel", target, ("-DSTRICT_ALIGNMENT",))
    except Unsupported as reason:
        pytest.skip(str(reason))
    bundle = tailor(read_object(target), b"", CLIENT)
    maps = {name: create_map(spec) for name, spec in bundle.maps.items()}
    for name in ("probe_tc", "probe_xdp", "probe_socket", "close_flow"):
        load_program(bundle.programs[name], maps, STRICT_ALIGNMENT)


def test_4096_flows_at_f4_take_no_more_than_two_megabytes():
    with loaded_for_routers(features="F4") as probe:
        figures = probe.figures()
        assert figures["map_bytes"] <= 2 * 1024 * 1024
        assert figures["stack_bytes"] <= 512
        assert figures["verified_insns"] < 1_000_000
        assert figures["jited_bytes"] > 0


def loaded_for_routers(**options):
    try:
        return LoadedProbe(ProbeOptions(replay=False, client=CLIENT, **options))
    except Unsupported as reason:
        pytest.skip(str(reason))


def test_pass_programs_let_packets_go_on():
    frame = bytes(12) + b"\x08\x00" + bytes(60)
    for hook, wanted in (("tc", 0xFFFFFFFF), ("xdp", 2), ("socket", 0)):
        with loaded(features="F0", hook=hook) as probe:
            assert probe.program.run(frame)[0] == probe.floor.run(frame)[0] == wanted


def test_five_tags_are_one_too_many():
    case = make(1, 50, links=False, cuts=False, flips=False)
    frames = case.frames
    tagged, offsets = [], [0]
    for number in range(len(frames)):
        one = frames.data[frames.offsets[number] : frames.offsets[number + 1]].tobytes()
        for tags in (4, 5):
            tagged.append(one[:12] + b"\x81\x00\x00\x01" * tags + one[12:])
            offsets.append(offsets[-1] + len(tagged[-1]))
    tagged = Frames(
        np.frombuffer(b"".join(tagged), np.uint8).copy(), np.array(offsets), np.zeros(2 * len(frames), np.uint64)
    )
    with loaded(features="F0", client=CLIENT) as probe:
        replayed = probe.feed(tagged, [(live_clock(SECOND, 0), slice(0, len(tagged)))])
    assert replayed.skipped["not_ip"] == len(frames)
    assert replayed.unaccounted == 0


def fold(address):
    """What the flow map's key keeps of an IPv6 address (parse.h)."""
    first, *rest = np.frombuffer(address, "=u4").tolist()
    for word in rest:
        first = ((first ^ first >> 15) * 0x9E3779B1 + word) % 2**32
    return first


def test_flows_whose_addresses_fold_alike_are_told_apart():
    client, server = bytes.fromhex("fd00" + 13 * "00" + "02"), bytes.fromhex("20010db8" + 11 * "00" + "01")
    other = server[:8] + b"\x01" + server[9:12]
    other += np.uint32((fold(server) - fold(other + bytes(4))) % 2**32).tobytes()
    assert fold(other) == fold(server)
    datagrams = [
        bytes.fromhex("6000000000081140") + client + end + bytes.fromhex("04d200350008") + bytes(2)
        for end in (server, server, other, server)
    ]
    for prefix in ("fd00::/16", ""):
        with loaded(features="F0", client=prefix) as probe:
            clock = [(live_clock(SECOND, 0), slice(0, 4))]
            replayed = probe.feed(frames_of(packets_from(datagrams)), clock)
        assert replayed.skipped["clash"] == 1
        assert replayed.counters["accounted"] == 3
        assert replayed.unaccounted == 0
        (record,) = replayed.results
        assert record["row"][0] == 3
        key = record["result"]["key"]
        assert (key["client"].tobytes(), key["server"].tobytes()) == (client, server)
        assert key["ports"].tolist() == [1234, 53]


def test_raw_ip_devices():
    """Where packets begin at the IP header, the frame's first byte tells the version."""
    case = make(2, 400, links=False, cuts=False, flips=False)
    packets = case.trace.packets
    frames = Frames(packets.data, packets.offsets, packets.ts.astype(np.uint64))
    with loaded(features="F2", hook="socket", client=CLIENT, no_ethernet=True) as probe:
        found = probe.feed(frames, [(live_clock(10 * SECOND, 0), slice(0, len(frames)))])
        assert found.counters["seen"] == len(packets)
        assert found.skipped["not_ip"] == 0
        assert found.unaccounted == 0


def test_live_time_is_the_kernel_s():
    packets = packets_from([bytes.fromhex("4500001c000000004011000000000000ffffffff0001000200080000")])
    frames = frames_of(packets)
    with loaded_for_routers(features="F2") as probe:
        clock = live_clock(3600 * SECOND // 4, time.clock_gettime_ns(time.CLOCK_MONOTONIC))
        probe.loaded.maps["clock"].update(bytes(4), clock.tobytes())
        for _ in range(3):
            probe.program.run(frames.data.tobytes())
        (result,) = (np.frombuffer(one, abi.RESULT)[0] for one in probe.close_flows())
        assert result["window"] == 0
        assert probe.counters()["accounted"] == 3


def test_clocks_are_handed_over_before_they_run_out():
    clock = live_clock(10 * SECOND, 5)
    clock["index"] = 2**32 - 3
    last = clock
    for days in range(1, 400):
        now = 5 + days * 86_400 * SECOND
        later = later_clock(last, now)
        if later is None:
            assert now - int(last["epoch"]) < (1 << 32) << int(last["shift"])
            continue
        # Whole windows on, late packets of the last weeks within it.
        moved, counted = int(later["epoch"]) - int(last["epoch"]), int(later["index"]) - int(last["index"])
        assert moved % (10 * SECOND) == 0
        assert (moved // (10 * SECOND) - counted) % 2**32 == 0
        assert now - int(later["epoch"]) >= ((1 << 31) - int(later["units"])) << int(later["shift"])
        last = later
    assert int(last["epoch"]) > 0


def test_a_late_packet_is_within_the_clock_that_was_handed_over():
    clock = live_clock(10 * SECOND, 0)
    span = (1 << 31) << int(clock["shift"])
    times = np.array([0, span + 1, span - 5 * SECOND, 5 * span], np.int64)
    for handed, chosen in hand_over(clock, times):
        for time_of in times[chosen].tolist():
            assert 0 <= time_of - int(handed["epoch"]) < 2 * span


@pytest.mark.parametrize("window", [0, -1, 1 << 51, 3])
def test_windows_that_cannot_be_counted_are_refused(window):
    if window == 3:
        assert int(live_clock(3, 0)["units"]) == 3
        return
    with pytest.raises(ConfigError):
        live_clock(window, 0)


def test_unknown_hooks_and_feature_sets_are_refused():
    with pytest.raises(ConfigError, match="tcx"):
        LoadedProbe(ProbeOptions(hook="tcxx"))
    with pytest.raises(ConfigError, match="F5"):
        object_path("F6")


def test_without_the_right_to_load_it_says_so():
    if os.getuid():
        with pytest.raises(Unsupported, match="root"):
            require()
        return
    script = "import os\nfrom bpf.kernel import require\nos.setgid(65534)\nos.setuid(65534)\nrequire()"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False
    )
    assert "Unsupported: bpf(2) needs root" in done.stderr


def test_rodata_is_the_configuration_alone():
    bundle = read_object(object_path("F4"))
    assert bundle.maps[RODATA].value_size == abi.CONFIG.itemsize


def test_a_trace_s_results_name_its_flows():
    case = make(8, 300)
    condition = Condition("x", 10.0, 10.0, Labels.unknown(1))
    trace = Trace("x", case.trace.packets, condition, CLIENT)
    with loaded(features="F1", client=CLIENT) as probe:
        replayed = probe.replay(replace(trace, packets=trace.packets.take(trace.packets.captured >= 40)))
        assert replayed.unaccounted == 0
        assert len(replayed.results) > 0
