"""What is said of a sweep before it starts is what its records say, and no more."""

from datetime import UTC, datetime, timedelta

from benchmark.harness.estimate import estimate, read_known
from benchmark.harness.machine import machine_facts
from benchmark.harness.stage import cell_id, identity
from benchmark.record import Record, open_record

HERE = machine_facts()
START = datetime(2026, 1, 1, tzinfo=UTC)


def config(generator="gpt", seed=0, budget="smoke", **options):
    return {
        "dataset": {"name": "streaming"}, "generator": {"name": generator, "axes": [], "options": options},
        "probe": {"name": "none"}, "router": {"name": "none"}, "seed": seed, "budget": {"name": budget},
    }  # fmt: skip


def record(of, seconds, machine=HERE, status="ok", stages=()):
    return Record(
        cell=cell_id(of), method=of["generator"]["name"], choices={}, config=identity(of), seed=of["seed"],
        status=status, started=START.isoformat(), ended=(START + timedelta(seconds=seconds)).isoformat(),
        machine=dict(machine), stages={str(number): {"seconds": one} for number, one in enumerate(stages)},
    )  # fmt: skip


def cells(*configs):
    return {cell_id(one): one for one in configs}


def test_known_cells_are_summed_and_shared_among_workers():
    asked = cells(*(config(seed=seed) for seed in range(6)))
    known = [record(config(seed=seed), seconds) for seed, seconds in ((10, 50), (11, 60), (12, 900))]
    assert estimate(asked, {}, [], known).seconds == 6 * 60
    assert estimate(asked, {}, [], known, workers=3).seconds == 2 * 60
    assert estimate(asked, {}, [], known, workers=50).seconds == 60


def test_the_sentence_counts_cells_references_and_what_is_done():
    asked = cells(*(config(seed=seed) for seed in range(60)))
    done = list(asked)[:12]
    known = [record(config(seed=100 + number), 17.5) for number in range(8)]
    sentence = estimate(asked, {}, done, known).sentence()
    assert sentence == "60 cells, 12 done, about 14 min (from 8 records of this machine)"
    references = cells(config("independent"), config(seed=0))
    assert estimate(asked, references, done, known, 4).sentence().startswith("60 cells and 1 reference, 12 done, about")


def test_what_is_not_known_is_said():
    asked = cells(config("gpt"), config("hmm"), config("hmm", seed=1))
    assert "isn't known: no record" in estimate(asked, {}, [], []).sentence()
    partly = estimate(asked, {}, [], [record(config("gpt", seed=9), 30)])
    assert partly.seconds == 30
    assert partly.sentence().endswith("not counting 2 of hmm, of which no record is known")


def test_a_finished_sweep_is_said_to_be():
    asked = cells(config())
    assert estimate(asked, {}, list(asked), []).sentence() == "1 cell, all done"


def test_closer_kinds_come_first_and_failures_do_not_count():
    asked = cells(config(width=8))
    known = [
        record(config(seed=1, width=8), 10), record(config(seed=1, width=64), 500),
        record(config(seed=2, width=8), 1, status="failed"),
    ]  # fmt: skip
    assert estimate(asked, {}, [], known).seconds == 10
    assert estimate(asked, {}, [], known[1:]).seconds == 500
    assert estimate(asked, {}, [], [record(config(seed=1, budget="full"), 5)]).seconds is None


def test_records_of_another_machine_are_named_as_such():
    other = {"processor": "abacus", "cores": 1}
    found = estimate(cells(config()), {}, [], [record(config(seed=1), 40, machine=other)])
    assert "(from 1 record of another machine)" in found.sentence()
    both = estimate(cells(config()), {}, [], [record(config(seed=1), 40, machine=other), record(config(seed=2), 9)])
    assert (both.seconds, both.here) == (9, True)


def test_stages_that_were_found_count_with_what_they_took_once():
    assert estimate(cells(config()), {}, [], [record(config(seed=1), 2, stages=(30, 5, 7))]).seconds == 42


def test_records_that_are_not_sound_are_left_out(tmp_path):
    for name, content in (("good", None), ("bad", "{")):
        (tmp_path / name).mkdir()
        path = tmp_path / name / "record.json"
        open_record(path, record(config(), 3)) if content is None else path.write_text(content)
    assert [one.method for one in read_known([tmp_path, tmp_path / "nowhere"])] == ["gpt"]
