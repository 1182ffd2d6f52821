"""The page on the kernel side: known records give known parts, what they lack is named, and words stay words."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmark.errors import ConfigError
from benchmark.record import Record
from bpf.__main__ import main
from bpf.report import (
    agreement,
    command,
    features,
    hooks,
    loaders,
    machines,
    maps,
    models,
    overload,
    targets,
    user_space,
)
from bpf.report import throughput as throughput_section
from bpf.report.keeping import keep_records
from bpf.report.page import Section, table
from bpf.report.study import Study, read_study

FIGURES = {
    "added_ns": 90.0, "closing_ns": 300.0, "map_bytes": 2_000_000.0, "unaccounted": 0.0, "seen": 1000.0,
    "verified_insns": 150_000.0, "jited_bytes": 12_000.0, "stack_bytes": 184.0, "load_ms": 300.0,
}  # fmt: skip
LIVE = {
    "mtu": 1500,
    "tried": [
        {"hook": hook, "devices": devices, "traces": [
            {"sent": {"up": 10, "down": 30}, "counted": {"up": up, "down": down}, "lost": lost, "seconds": 5.0,
             "late_ms": [0.1, 2.0], "windows": 2, "same_bytes": same, "same_label": same}]}
        for hook, devices, up, down, lost, same in (
            ("tc", ["lan"], 10, 30, 0, 1.0), ("xdp", ["lan", "wan"], 10, 30, 0, 1.0), ("xdp", ["lan"], 10, 0, 30, 0.0))
    ],
}  # fmt: skip
FLOOD = {"packets_per_s": 9, "delivered": 1000, "seen": 990, "unseen": 10}
EFFECT = {"change": -0.01, "interval": [-0.03, 0.02], "verdict": "noise hides the effect, if there is one"}
NOTES: dict[str, Any] = {
    "kernel": "6.1 made",
    "replay": {"rows": 12, "rows_as_the_reference": 12},
    "maps": {"flows": {"bytes": 1_500_000, "entries": 4096}, "clock": {"bytes": 400, "entries": 1}},
    "timing": {
        f"{one} {hook}{model}": {
            "packet_ns": 40.0 + 10 * number, "added_ns": 41.0 + 10 * number, "reading_the_clock_ns": 20.0,
            "closings_per_packet": 0.001, "load_average": 1.5, "stretch": {"added_ns": 99.0},
        }
        for number, one in enumerate(("F0", "F4"))
        for hook, model in (("tc", " without model"), ("socket", " without model"), ("tc", ""))
        if model or one == "F4"
    },
    "live": {"settings": {}, "load_average": 0.5, **LIVE},
    "overload": {
        "settings": {"seconds": 2.0, "flows": 8192, "window": 0.25},
        "nobody": FLOOD, "user_space": {**FLOOD, "unseen": 500},
        "probe": {**FLOOD, "unseen": 0, "unaccounted": 0, "results_overwritten": 5, "flows_evicted": 7},
    },
    "throughput": {
        "settings": {"rounds": 7, "seconds": 1, "offloads": True, "congestion": "cubic"}, "load_average": 1.0,
        "gbit_per_s": {name: [9.0, 10.0, 11.0] for name in ("nothing", "passing", "probe")},
        "median": dict.fromkeys(("nothing", "passing", "probe"), 10.0),
        "probe_over_nothing": EFFECT, "probe_over_passing": EFFECT,
    },
    "user_space": {
        "settings": {"rounds": 7}, "packets": 500,
        "reference": {
            "ns_per_packet": {"parsing": 20.0, "flows": 10.0, "features": 100.0, "inference": 70.0},
            "inference_ns_per_window": 5000.0,
        },
        "receive": {"ns_per_packet": [700.0, 800.0, 900.0]}, "nfstream": {"unsupported": "NFStream: it isn't here"},
    },
    "loaders": {
        "settings": {"rounds": 3},
        "found": {"libbpf": {"load_s": 0.2, "start_s": 1.0}, "bcc": {"load_s": 3.0, "start_s": 5.0}},
    },
}  # fmt: skip


def make_record(cell: str = "a", **changes: Any) -> Record:
    """A finished cell of the targets' probe on the host, with a note of every part; changes by short names."""
    of = {
        "dataset": "streaming", "generator": "resample", "probe": "forest", "router": "host", "features": "F4",
        "hook": "tc", "loader": "libbpf", "trees": 10, "depth": 10, "figures": {}, "notes": {}, "status": "ok",
        "reason": "", "accuracy": 0.8, "predictions": "e2cd", **changes,
    }  # fmt: skip
    options = {"trees": of["trees"], "depth": of["depth"]}
    settings = {name: of[name] for name in ("features", "hook", "loader")}
    probe = {"name": of["probe"], "module": "bpf.models.trees", "options": options, **settings}
    found = {
        "task": "rung", **settings,
        "model": {"bytes": 4000 * of["trees"], "nodes": 50 * of["trees"], "options": options},
        "figures": {**FIGURES, **of["figures"]}, "notes": of["notes"], "predictions": of["predictions"],
    }  # fmt: skip
    return Record(
        cell=cell, method=of["generator"], seed=0, status=of["status"], reason=of["reason"],
        choices={axis: of[axis] for axis in ("dataset", "generator", "probe", "router")},
        config={"probe": probe, "router": {"name": of["router"]}, "generator": {"name": of["generator"]}},
        stages={"fit": {"key": "k"}, "model": {"key": "m"}}, ended="2026-01-02T03:04:05", code={"revision": "abc"},
        scores={
            "kernel.accuracy.rung": {"value": of["accuracy"], "interval": [0.7, 0.9], "reason": ""},
            "kernel.agreement": {"value": 1.0 if of["router"] != "none" else None, "interval": None, "reason": ""},
        },
        per_trace={"fidelity.c2st": {"t": 1.0}, "kernel.accuracy.rung": {"t": 0.5}},
        machine={"processor": "made", "cores": 2, "memory_mb": 2048, "system": "Linux"},
        probe=found if of["status"] == "ok" else {},
    )  # fmt: skip


def write_records(folder: Path, *records: Record) -> Path:
    for record in records:
        (folder / "cells" / record.cell).mkdir(parents=True)
        (folder / "cells" / record.cell / "record.json").write_text(json.dumps(asdict(record)))
    return folder


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """Cells of two feature sets on the host and the guest, and one by bcc."""
    guest = {"router": "qemu_arm64", "notes": {"kernel": {"version": "6.1"}, "packets": {
        "down TCP": {"share": 1.0, "passing": 100, "packet": 650, "closing": 2000}}}}  # fmt: skip
    return read_study(
        write_records(
            tmp_path / "study",
            make_record("host4", notes=NOTES),
            make_record(
                "host0", features="F0", accuracy=0.6, figures={"added_ns": 50.0}, notes={"maps": NOTES["maps"]}
            ),
            make_record("guest4", **guest, figures={"added_insns": 650.5}),
            make_record("guest0", **guest, features="F0", figures={"added_insns": 450.0}),
            make_record("bcc", loader="bcc"),
            make_record("many", trees=100, figures={"closing_ns": 9000.0}, accuracy=0.85),
            make_record("over", trees=400, status="failed", reason="70000 nodes | of `65536`"),
        )
    )


def test_targets_are_held_against_every_run(study: Study) -> None:
    section = targets.write(study)
    text = "".join(section.text("p").split())
    assert "5of6targets" in text
    assert "|instructionsaddedtoapacket,ARM64|≤600|650|1|missed|" in text
    assert "|timeaddedtoapacket,endsofwindowsincluded|&lt;100ns|90ns|1|met|" in text
    assert "|downTCP|100.0%|550|1,900|" in text


def test_a_target_met_by_some_runs_is_not_called_met(tmp_path: Path) -> None:
    runs = [make_record(str(ns), figures={"added_ns": float(ns)}) for ns in (90, 100, 120)]
    section = targets.write(read_study(write_records(tmp_path, *runs)))
    assert "90 to 120 ns" in section.blocks[0]
    assert "met in 1 of 3" in section.blocks[0]
    assert any("ARM64" in lack for lack in section.lacks)


def test_the_hook_that_sees_one_direction_is_told(study: Study) -> None:
    section = hooks.write(study)
    assert "All packets of both directions: tc on lan and xdp on lan and wan." in section.answer
    assert "One direction only: xdp on lan (no packet down)." in section.answer
    assert "0 of 30" in section.blocks[0]
    assert section.lacks == []


def test_what_a_feature_set_costs_and_buys(study: Study) -> None:
    section = features.write(study)
    assert "+40 ns a packet (50 to 90)" in section.answer
    assert "+200 ARM64 instructions a packet (450 to 650)" in section.answer
    assert "accuracy +0.200 trained on resample" in section.answer
    assert any("F1, F2, F3, F5" in lack for lack in section.lacks)


def test_a_run_that_was_not_timed_stands_for_no_time(tmp_path: Path) -> None:
    plain = make_record("a")
    plain.probe["figures"].pop("added_ns")
    section = features.write(read_study(write_records(tmp_path, plain, make_record("b", figures={"added_ns": 77.0}))))
    assert "77.0" in section.blocks[1]


def test_a_gain_of_accuracy_has_its_interval_over_traces(tmp_path: Path) -> None:
    first, last = make_record("f", features="F0", accuracy=0.5), make_record("l", accuracy=0.75)
    for record, right in ((first, (0.5, 0.5, 0.5, 0.5)), (last, (1.0, 1.0, 0.5, 0.5))):
        record.per_trace["kernel.accuracy.rung"] = {f"t{number}": one for number, one in enumerate(right)}
    answer = features.write(read_study(write_records(tmp_path, first, last))).answer
    low, high = (float(bound) for bound in answer.split("+0.250 [")[1].split("]")[0].split(","))
    assert low == pytest.approx(0, abs=0.01)
    assert high == pytest.approx(0.5, abs=0.01)


def test_the_largest_model_and_the_limit_it_met(study: Study) -> None:
    section = models.write(study)
    assert "forest of 100 trees to depth 10 on F4" in section.answer
    assert "9.0 µs" in section.answer
    text = section.text("p")
    assert "70000 nodes \\| of '65536'" in text


def test_routers_of_one_cell_are_held_against_each_other(study: Study, tmp_path: Path) -> None:
    section = agreement.write(study)
    assert "12 of 12 replayed rows" in section.answer
    assert any("one fit, one model, one digest" in block for block in section.blocks)
    other = make_record("x", router="none", predictions="f00d")
    section = agreement.write(read_study(write_records(tmp_path / "others", make_record("y"), other)))
    assert "2 digests of all predictions" in section.blocks[0]


def test_parts_of_the_host_have_their_sections(study: Study) -> None:
    spent = user_space.write(study)
    assert "1,000 ns a packet, of which receiving 80%; the kernel adds 90" in spent.answer
    assert spent.lacks == ["NFStream (it isn't here)"]
    assert "15.0 times the time to load" in loaders.write(study).answer
    assert "The probe missed 0.000 of 1,000" in overload.write(study).answer
    assert "a thread that reads a packet socket missed 0.500" in overload.write(study).answer
    assert "noise hides the effect" in throughput_section.write(study).answer
    assert "flows 1,500,000 for 4,096 entries" in maps.write(study).answer
    assert "0.5 to 1.5 on 2 cores" in machines.write(study).text("p")


def test_what_the_records_lack_is_named(tmp_path: Path) -> None:
    refused = make_record("a", notes={"live": {"unsupported": "needs a flying machine"}})
    study = read_study(write_records(tmp_path / "r", refused))
    lacks = command.write_page(study, tmp_path / "page.md", "r")
    text = " ".join((tmp_path / "page.md").read_text().split())
    assert all(f"The records lack {lack}." in text for lack in lacks)
    for word in ("flying machine", "overload", "throughput", "loaders", "user space", "bytes by map", "ARM64"):
        assert any(word in lack for lack in lacks), word


def test_the_same_records_give_the_same_bytes_and_pictures_are_there(study: Study, tmp_path: Path) -> None:
    for name in ("one", "other"):
        command.write_page(study, tmp_path / name / "kernel.md", "records")
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file())
    assert len(files) == 6
    assert all((tmp_path / "one" / path).read_bytes() == (tmp_path / "other" / path).read_bytes() for path in files)
    text = (tmp_path / "one" / "kernel.md").read_text()
    for path in files:
        if path.suffix == ".png":
            content = (tmp_path / "one" / path).read_bytes()
            assert content.startswith(b"\x89PNG")
            assert len(content) > 4000
            assert f"({path})" in text


def test_words_of_records_stay_words(tmp_path: Path) -> None:
    nasty = "<script>alert(1)</script>\n\n# | `x`"
    study = read_study(write_records(tmp_path / "r", make_record("a"), make_record("b", status="failed", reason=nasty)))
    command.write_page(study, tmp_path / "page.md", "r")
    text = (tmp_path / "page.md").read_text()
    assert "<script>" not in text
    assert "\n# |" not in text
    assert table(["a"], [["x | y\nz"]]).splitlines()[2] == "| x \\| y z |"


def test_a_record_of_another_shape_costs_one_section(tmp_path: Path) -> None:
    odd = {"live": {"tried": [{"hook": "tc"}]}, "overload": {"settings": 3, "probe": {}}, "timing": {"F4 tc": [1]}}
    study = read_study(write_records(tmp_path / "r", make_record("a", notes=odd), make_record("b", notes=NOTES)))
    lacks = command.write_page(study, tmp_path / "page.md", "r")
    assert any("KeyError: 'traces'" in lack for lack in lacks)
    text = (tmp_path / "page.md").read_text()
    assert "## Hooks" in text
    assert "15.0 times the time to load" in text


def test_the_command_on_a_folder_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = write_records(tmp_path / "r", make_record("a"))
    (records / "cells" / "bad").mkdir()
    (records / "cells" / "bad" / "record.json").write_text("{}")
    assert main(["report", "--records", str(records), "--out", str(tmp_path / "mine" / "page.md")]) == 0
    said = capsys.readouterr().out
    assert "1 runs" in said
    assert "bad/record.json: schema" in said
    assert "schema is None" in (tmp_path / "mine" / "page.md").read_text()
    for empty in (tmp_path / "none", tmp_path / "mine"):
        assert main(["report", "--records", str(empty), "--out", str(tmp_path / "no.md")]) == 2
    assert not (tmp_path / "no.md").exists()


def test_kept_records_are_one_study_and_no_more(tmp_path: Path) -> None:
    plain = make_record("plain")
    plain.config = {"probe": {"name": "none"}}
    source = write_records(tmp_path / "runs", make_record("a"), plain)
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "old.record.json").write_text("{}")
    assert [path.name for path in keep_records(source, tmp_path / "kept")] == ["resample-forest-host-a.record.json"]
    assert len(list((tmp_path / "kept").iterdir())) == 1
    run = read_study(tmp_path / "kept").runs[0]
    assert run.record.per_trace == {"kernel.accuracy.rung": {"t": 0.5}}
    with pytest.raises(ConfigError, match="no record of a cell with a probe"):
        keep_records(tmp_path / "empty", tmp_path / "kept")
    assert len(list((tmp_path / "kept").iterdir())) == 1


def test_only_what_stands_between_the_marks_is_replaced(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text(f"before\n\n{command.START}\n\nold\n\n{command.END}\n\nafter\n")
    command.refresh(page, "| new |")
    assert page.read_text() == f"before\n\n{command.START}\n\n| new |\n\n{command.END}\n\nafter\n"
    page.write_text("no marks")
    with pytest.raises(ConfigError, match="once each"):
        command.refresh(page, "x")


def test_every_experiment_is_headed_by_its_command() -> None:
    paths = sorted(machines.EXPERIMENTS.glob("kernel_*.yaml"))
    commands = machines.commands_of(machines.EXPERIMENTS)
    assert len(commands) == len(paths) + 1
    for path, line in zip(paths, commands, strict=False):
        assert line.split()[:3] == ["python", "run.py", f"experiment={path.stem}"]
        settings = yaml.safe_load(path.read_text())
        assert settings["results"] == "results/kernel_study"
        assert {"generator", "probe", "router"} <= settings["hydra"]["sweeper"]["params"].keys()


def test_a_section_without_anything_is_its_question_and_what_it_lacks() -> None:
    assert Section("A", "b?", lacks=["c"]).text("p") == "## A\n\n*b?*\n\nThe records lack c."


def test_the_projects_page_is_what_its_records_say(tmp_path: Path) -> None:
    if not command.RECORDS.is_dir():
        pytest.skip("the project ships no records of the kernel side")
    study = read_study(command.RECORDS)
    command.write_page(study, tmp_path / "kernel.md", command.named(command.RECORDS))
    assert (tmp_path / "kernel.md").read_text() == command.PAGE.read_text(), "run: python -m bpf report"
    assert targets.summarise(study) in command.README.read_text(), "run: python -m bpf report"
    assert all((command.PAGE.parent / "pictures" / path.name).is_file() for path in (tmp_path / "pictures").iterdir())
