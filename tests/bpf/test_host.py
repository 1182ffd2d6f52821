"""The host as a router: its kernel says what the reference says, tells what it costs, and leaves nothing behind."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import yaml

from benchmark.errors import ConfigError, Unsupported
from benchmark.probe import Probe
from benchmark.quality.features import extract_flows
from benchmark.quality.names import feature_names
from benchmark.synthesis.compiler import compile_sketch
from benchmark.synthesis.sketch import Sketch
from benchmark.trace import Condition, Labels, Trace, join_packets
from benchmark.verdicts import agreement, digest, judge
from bpf.kernel import require
from bpf.models.blob import BIAS, LABELS, LINEAR, WEIGHT, join
from bpf.models.compiled import Compiled
from bpf.routers import host, live, overload, throughput, user_space
from bpf.routers.network import Namespace, bridged, running
from bpf.routers.replaying import compare_rows, replay
from tests.houses import ROOT

CLIENT = "10.0.0.2/32"


def make_model(features="F0"):
    """A linear model of three classes, between which windows of ``make_trace`` are spread."""
    width = len(feature_names(features))
    rows = extract_flows(make_trace(1), features).values
    typical = (8 * np.log2(np.maximum(rows, 1))).mean(axis=0)
    rng = np.random.default_rng(3)
    header = {"kind": LINEAR, "labels": 0b111, "outputs": 3, "inputs": width, "exponent": 0}
    weights = rng.integers(-300, 300, (width, 3)).astype(WEIGHT)
    bias = np.zeros(LABELS, BIAS)
    bias[:3] = -(typical @ weights)
    return Compiled(join(header, [bias, weights]))


def make_probe(features="F0", hook="tc", **options):
    return Probe("made", features, hook, "libbpf", "rung", make_model(features), options)


def make_packets(seed, count=400, protocol="tcp"):
    rng = np.random.default_rng(seed)
    ts = np.cumsum(rng.exponential(10e6, count)).astype(np.int64)
    up = rng.random(count) < 0.3
    payload = np.where(up, rng.choice([0, 40, 400], count), rng.integers(1, 1449, count)).astype(np.int32)
    return compile_sketch(Sketch(protocol, ts, up, payload), seed)


def make_trace(seed=1, client=CLIENT, window=1.0, **changes):
    """A trace of two flows, TCP and QUIC."""
    packets = join_packets([make_packets(seed, **changes), make_packets(seed + 100, protocol="quic", **changes)])
    packets = packets.take(np.argsort(packets.ts, kind="stable"))
    labels = Labels.unknown(math.ceil(packets.ts[-1] / 1e9 / window))
    return Trace(f"t{seed}", packets, Condition("x", len(labels) * window, window, labels), client)


@pytest.fixture(scope="module")
def kernel():
    """Skip without the right to load programs."""
    try:
        require()
    except Unsupported as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="module")
def namespaces(kernel):
    """Skip without the right to make namespaces, or the tools."""
    if shutil.which("ip") is None:
        pytest.skip("ip isn't installed")
    try:
        Namespace().close()
    except Unsupported as reason:
        pytest.skip(str(reason))


@pytest.mark.parametrize("hook", ["tc", "tcx", "xdp", "socket"])
def test_the_kernel_says_what_the_reference_says(kernel, hook):
    probe = make_probe("F0", hook)
    traces = [make_trace(1), make_trace(2, client=""), make_trace(3, window=0.5), make_trace(4)]
    result = host.build({"parts": ["replay"]}).run(probe, traces)
    reference = judge(probe.model, traces, "F0")
    assert digest(result.verdicts) == digest(reference)
    assert agreement(result.verdicts, reference) == 1
    assert len({label for one in reference for label in one.label.tolist()}) > 1
    assert result.figures["seen"] == result.figures["accounted"] == sum(len(trace.packets) for trace in traces)
    assert result.figures["unaccounted"] == result.figures["lost_results"] == 0
    assert result.notes["replay"]["rows_as_the_reference"] == result.notes["replay"]["rows"] > 0
    sizes = {"map_bytes", "verified_insns", "verified_states", "stack_bytes", "jited_bytes", "load_ms"}
    assert sizes <= {*result.figures}
    assert result.reasons["added_ns"] == "router.options.parts has no 'timing'"


def test_traces_without_a_flow_cost_nothing_that_could_be_told(kernel):
    trace = make_trace(1)
    trace = replace(trace, packets=trace.packets.take(slice(0, 0)))
    result = host.build({}).run(make_probe(), [trace])
    assert result.figures["seen"] == 0
    assert "added_ns" not in result.figures
    assert result.reasons["added_ns"] == "no packet of the traces has a flow"
    assert len(result.verdicts[0].flow) == 0


def test_packets_without_a_flow_are_skipped_for_a_reason(kernel):
    trace = make_trace(1)
    data = trace.packets.data.copy()
    data[trace.packets.offsets[5] + 6] |= 0x20
    data[trace.packets.offsets[5] + 7] = 9  # a fragment, not the first
    data[trace.packets.offsets[6] + 9] = 50  # of another protocol
    trace = replace(trace, packets=replace(trace.packets, data=data))
    done = replay(make_probe(), [trace])
    assert done.unaccounted == 0
    assert done.skipped["fragment"] == done.skipped["protocol"] == 1
    assert done.counters["accounted"] == len(trace.packets) - 2


def test_a_changed_feature_is_found():
    trace = make_trace(1)
    probe = make_probe()
    verdicts = judge(probe.model, [trace], "F0")[0]
    rows = extract_flows(trace, "F0").values
    assert compare_rows(trace, "F0", verdicts, rows) == (len(rows), len(rows))
    changed = rows.copy()
    changed[3, 1] += 1
    assert compare_rows(trace, "F0", verdicts, changed) == (len(rows) - 1, len(rows))


def test_costs_are_told_with_their_spread(kernel):
    settings = {"rounds": 2, "repeat": 200, "features": None, "hooks": ["socket"]}
    result = host.build({"timing": settings}).run(make_probe(), [make_trace(1), make_trace(2, client="")])
    assert result.figures["closing_ns"] > result.figures["added_ns"]
    assert "added_ns" not in result.reasons
    own = result.notes["timing"]["F0 tc"]
    assert sum(kind["share"] for kind in own["packets"].values()) == pytest.approx(1, abs=1e-3)
    for kind in own["packets"].values():
        assert all(kind[what] == sorted(kind[what]) for what in ("passing", "packet", "replayed", "closing"))
    assert {*result.notes["timing"]} == {"F0 tc", "F0 socket without model"}
    json.dumps(result.notes)


def test_without_the_right_to_it_is_unsupported():
    if os.geteuid() != 0:
        with pytest.raises(Unsupported):
            host.build({}).run(make_probe(), [make_trace(1)])
        return
    os.seteuid(65534)
    try:
        with pytest.raises(Unsupported, match=r"root|permit"):
            host.build({"parts": ["replay"]}).run(make_probe(), [make_trace(1)])
        with pytest.raises(Unsupported, match="root"):
            Namespace()
    finally:
        os.seteuid(0)


def test_a_part_that_cannot_run_leaves_its_reason(kernel, monkeypatch):
    def refuse(*_):
        raise Unsupported("no wires here")

    monkeypatch.setitem(host._FURTHER, "live", refuse)
    result = host.build({"parts": ["replay", "live"]}).run(make_probe(), [make_trace(1)])
    assert result.notes["live"]["unsupported"] == "no wires here"
    assert len(result.verdicts) == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"parts": ["replay", "timeing"]}, "did you mean 'timing'"),
        ({"lives": {}}, "did you mean 'live'"),
        ({"live": {"trace": 1}}, "did you mean 'traces'"),
    ],
)
def test_a_wrong_option_gets_the_nearest_name(options, words):
    with pytest.raises(ConfigError, match=words):
        host.build(options)


def test_the_configuration_says_what_the_defaults_are():
    options = yaml.safe_load((ROOT / "conf/router/host.yaml").read_text())["options"]
    built, defaults = host.build(options), host.build({})
    assert built.parts == defaults.parts
    assert built.settings == defaults.settings
    assert {*options} == {"parts", *(name for name, settings in defaults.settings.items() if settings)}


def test_an_effect_within_the_noise_is_not_told():
    rng = np.random.default_rng(0)
    without = rng.normal(20, 4, 9)
    assert "noise hides" in throughput.effect(without, rng.permutation(without))["verdict"]
    assert throughput.effect(without, without * rng.normal(0.8, 0.01, 9))["verdict"] == "slower"
    # The second least and the second greatest of nine enclose the median in 96 % of cases.
    told = throughput.effect(np.full(9, 100.0), np.array([90, 105, 99, 97, 96, 94, 95, 93, 92.0]))
    assert told == {"change": -0.05, "interval": [-0.08, -0.01], "verdict": "slower"}
    assert "too few" in throughput.effect([1, 1], [2, 2])["verdict"]


def test_user_space_time_is_told_by_stage():
    told = user_space.time_reference(make_probe(), [make_trace(1)], 1)
    assert {*told["ns_per_packet"]} == {"parsing", "flows", "features", "inference"}
    assert told["windows"] == len(extract_flows(make_trace(1), "F0").values)


HOLD = """
import sys, time
from bpf.routers.network import bridged, running
with bridged() as line, running(line.router, ["sleep", "600"]) as process:
    print(process.pid, line.router.run("readlink /proc/self/ns/net"), flush=True)
    time.sleep(600)
"""


def test_nothing_stays_where_the_process_is_killed(namespaces):
    with subprocess.Popen([sys.executable, "-c", HOLD], cwd=ROOT, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        child, name = holder.stdout.readline().split()
        assert name in networks()
        holder.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 20
    while os.path.exists(f"/proc/{child}/ns") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert name not in networks()


def networks():
    """Network namespaces that processes are in."""
    found = set()
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                found.add(os.readlink(f"/proc/{entry}/ns/net"))
            except OSError:
                continue
    return found


def test_a_program_inside_is_gone_after_the_block(namespaces):
    with bridged() as line, running(line.client, ["sleep", "600"]) as process:
        pass
    assert process.poll() is not None


@pytest.mark.slow
@pytest.mark.parametrize("hook", ["tc", "tcx", "xdp", "socket"])
def test_live_packets_are_all_seen_in_both_directions(namespaces, hook):
    trace = make_trace(1, window=2.0, count=150)
    told = live.send_past(make_probe("F0", hook), trace, devices=live.DEVICES.get(hook, ("lan",)))
    up = int(trace.flows.up.sum())
    assert told["sent"] == told["counted"] == {"up": up, "down": len(trace.packets) - up}
    assert told["lost"] == told["skipped"] == 0
    assert told["seen"] == told["accounted"] == len(trace.packets)


@pytest.mark.slow
def test_xdp_on_one_side_sees_one_direction(namespaces):
    trace = make_trace(1, count=100)
    told = live.send_past(make_probe("F0", "xdp"), trace, speed=10)
    assert told["counted"] == {"up": int(trace.flows.up.sum()), "down": 0}
    assert told["lost"] == told["sent"]["down"] > 0


@pytest.mark.slow
def test_overload_loses_no_packet_that_was_delivered(namespaces):
    told = overload.run(make_probe("F0"), [], {"seconds": 0.5, "flows": 6000, "window": 0.1})
    assert told["probe"]["unseen"] == told["probe"]["unaccounted"] == 0
    assert told["probe"]["seen"] > 0
    assert told["user_space"]["seen"] + told["user_space"]["dropped_by_socket"] <= told["user_space"]["delivered"] + 1


@pytest.mark.slow
def test_throughput_beside_routing(namespaces):
    if shutil.which("iperf3") is None or shutil.which("ethtool") is None:
        pytest.skip("iperf3 or ethtool isn't installed")
    told = throughput.run(make_probe("F0"), [], {**throughput.OPTIONS, "rounds": 2})
    assert {len(runs) for runs in told["gbit_per_s"].values()} == {2}
    assert told["packets_seen"] > 0
    assert told["offloads_of_lan"]["tcp-segmentation-offload"] == "on"


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_run_py_gives_the_kernels_own_accuracy(kernel, tmp_path):
    words = ("-m", "generator=gpt", "probe=forest", "router=none,host", "budget=tiny", "dataset.limit=3")
    done = subprocess.run(
        [sys.executable, "run.py", *words, f"results={tmp_path}"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    records = [json.loads(path.read_text()) for path in tmp_path.glob("cells/*/record.json")]
    none, own = (
        next(one for one in records if one["method"] == "gpt" and one["choices"]["router"] == router)
        for router in ("none", "host")
    )
    assert own["status"] == "ok"
    assert own["probe"]["predictions"] == none["probe"]["predictions"]
    assert own["scores"]["kernel.agreement"]["value"] == 1
    assert own["scores"]["kernel.unaccounted"]["value"] == 0
    assert own["scores"]["kernel.accuracy.rung"] == none["scores"]["kernel.accuracy.rung"]
    assert own["scores"]["kernel.accuracy.rung"]["value"] is not None
    assert {own["stages"][name]["key"] for name in ("fit", "sample", "model")} == {
        none["stages"][name]["key"] for name in ("fit", "sample", "model")
    }
    assert sum(one["stages"]["fit"]["reused"] for one in (none, own)) == 1
