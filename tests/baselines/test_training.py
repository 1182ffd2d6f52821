"""Training of gpt and mamba: killed it goes on to the same end, it stops early, and processes share a batch."""

from __future__ import annotations

import multiprocessing
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import baselines.gpt.model as gpt
import baselines.mamba.network as mamba
from baselines.gpt.checkpoint import FILE
from baselines.gpt.processes import count_processes, train_in_processes
from baselines.gpt.training import Plan, train
from benchmark.method import RESUMED, Log

TOKENS, COLUMNS = 12, (5, 3)
PLAN = Plan(20, 64, context=16, noise=0.1, patience=0, dropout=0.3, condition_columns=(1,))
Rows = list[dict[str, Any]]


class Killed(Exception):
    """Stands for a kill, where a process of its own would cost seconds."""


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def network_of(name: str) -> Any:
    torch.manual_seed(0)
    if name == "gpt":
        return gpt.Network(gpt.Shape(1, 16, 2, 1, 32), TOKENS, COLUMNS, range(TOKENS))
    return mamba.Network(mamba.Shape(1, 16, 8, 8), TOKENS, COLUMNS, range(TOKENS))


def sequences_of(count: int, seed: int, first: int = 0) -> list[tuple[Any, Any]]:
    random = np.random.default_rng(seed)
    columns = [random.integers(0, (5, 3), (60, 2)) for _ in range(count)]
    return [(random.integers(first, TOKENS, 60), own) for own in columns]


def run(name: str, keep: Path | None = None, die_at: int = 0, plan: Plan = PLAN, seed: int = 3) -> tuple[Any, Rows]:
    """Train; raise Killed at the report of step ``die_at``. Returns the network and what was reported."""
    rows: Rows = []

    def write(row: Any) -> None:
        rows.append(dict(row))
        if die_at and row["done"] == die_at:
            raise Killed

    network = network_of(name)
    train(network, sequences_of(4, 1), sequences_of(2, 2), plan, seed, Log(write, keep))
    return network, rows


def same(first: nn.Module, second: nn.Module) -> bool:
    """Whether all weights are equal to the last bit."""
    pairs: list[tuple[Tensor, Tensor]] = list(
        zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("name", ["gpt", "mamba"])
def test_killed_twice_it_ends_as_if_never_killed(name: str, tmp_path: Path) -> None:
    whole, told = run(name)
    with pytest.raises(Killed):
        run(name, tmp_path, die_at=8)
    with pytest.raises(Killed):
        run(name, tmp_path, die_at=14)
    torch.manual_seed(99)
    resumed, again = run(name, tmp_path)
    assert same(whole, resumed)
    resumptions = [row for row in again if row["what"] == RESUMED]
    assert [row["done"] for row in resumptions] == [12]
    assert resumptions[0]["seconds"] > 0
    # The curve is whole too: the reports of before are told again.
    assert [row for row in again if row["what"] == "fit"] == told


def _train_and_die(keep: Path) -> None:
    torch.set_num_threads(1)

    def write(row: Any) -> None:
        if row["done"] == 12:
            os.kill(os.getpid(), signal.SIGKILL)

    train(network_of("gpt"), sequences_of(4, 1), sequences_of(2, 2), PLAN, 3, Log(write, keep))


@pytest.mark.slow
def test_a_process_killed_in_truth_leaves_what_another_goes_on_from(tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=_train_and_die, args=(tmp_path,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    resumed, again = run("gpt", tmp_path)
    assert [row["done"] for row in again if row["what"] == RESUMED] == [10]
    assert same(run("gpt")[0], resumed)


def test_a_finished_training_is_found_at_its_end(tmp_path: Path) -> None:
    first, _ = run("gpt", tmp_path)
    second, rows = run("gpt", tmp_path)
    assert rows[-1]["what"] == RESUMED
    assert rows[-1]["done"] == PLAN.steps
    assert same(first, second)


def test_another_training_or_a_damaged_file_is_not_gone_on_from(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        run("gpt", tmp_path, die_at=8)
    _, other_seed = run("gpt", tmp_path, seed=4)
    assert not [row for row in other_seed if row["what"] == RESUMED]
    path = tmp_path / FILE
    path.write_bytes(path.read_bytes()[:1000])
    network, rows = run("gpt", tmp_path)
    assert not [row for row in rows if row["what"] == RESUMED]
    assert same(network, run("gpt")[0])


def train_on_what_validation_lacks(patience: int) -> tuple[float, Rows, nn.Module]:
    """Training traces of one token, validation of the others: the better it learns, the worse the check."""
    rows: Rows = []
    empty = np.zeros((60, 2), np.int64)
    network = network_of("gpt")
    plan = Plan(40, 64, context=16, patience=patience)
    best = train(
        network, [(np.zeros(60, np.int64), empty)], sequences_of(2, 2, first=1), plan, 0,
        Log(lambda row: rows.append(dict(row))),
    )  # fmt: skip
    return best, rows, network


def test_it_stops_when_validation_has_long_not_gained_and_keeps_the_best() -> None:
    best, rows, network = train_on_what_validation_lacks(patience=3)
    checks = [row["validation_loss"] for row in rows if row["what"] == "fit"]
    assert rows[-1]["what"] == "fit stopped early"
    assert rows[-1]["checks_without_gain"] == 3
    assert len(checks) - 1 - int(np.argmin(checks)) == 3
    assert best == min(checks)
    patient, all_rows, other = train_on_what_validation_lacks(patience=0)
    assert all_rows[-1]["done"] == 40
    assert {row["what"] for row in all_rows} == {"fit"}
    assert patient == best
    assert same(network, other)


def test_without_validation_a_noisy_training_loss_stops_nothing() -> None:
    rows: Rows = []
    plan = Plan(20, 64, context=16, learning_rate=0.0, patience=1)
    train(network_of("gpt"), sequences_of(4, 1), [], plan, 0, Log(lambda row: rows.append(dict(row))))
    assert [row["done"] for row in rows] == list(range(2, 21, 2))


def test_past_its_seconds_it_stops_after_a_step_and_stays_stopped(tmp_path: Path) -> None:
    plan = Plan(20, 64, context=16, seconds=0.0)
    first, rows = run("gpt", tmp_path, plan=plan)
    assert [(row["what"], row["done"]) for row in rows] == [("fit", 1), ("fit stopped by its time limit", 1)]
    second, _ = run("gpt", tmp_path, plan=plan)
    assert same(first, second)


def test_a_machine_without_gpus_trains_in_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert count_processes(8) == 1
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert [count_processes(rows) for rows in (8, 3, 1)] == [4, 3, 1]
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert count_processes(8) == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gpt", "mamba"])
def test_two_processes_learn_what_one_learns_of_the_same_batches(name: str, tmp_path: Path) -> None:
    """An odd number of rows, of unlike numbers of scored tokens: the mean is still over all of them."""
    plan = replace(PLAN, batch_tokens=80)
    alone, told = run(name, plan=plan)
    rows: Rows = []
    network = network_of(name)
    log = Log(lambda row: rows.append(dict(row)), tmp_path)
    loss = train_in_processes(2, network, sequences_of(4, 1), sequences_of(2, 2), plan, 3, log)
    assert [row["done"] for row in rows] == [row["done"] for row in told]
    for figure in ("loss", "validation_loss"):
        np.testing.assert_allclose([row[figure] for row in rows], [row[figure] for row in told], rtol=1e-4)
    assert loss == min(row["validation_loss"] for row in rows)
    for here, there in zip(alone.state_dict().values(), network.state_dict().values(), strict=True):
        torch.testing.assert_close(here, there, rtol=1e-2, atol=1e-3)
    assert (tmp_path / FILE).exists()


@pytest.mark.slow
def test_what_a_process_raises_is_raised() -> None:
    broken = [(np.full(60, TOKENS), np.zeros((60, 2), np.int64))]  # no such token
    with pytest.raises(Exception, match="index out of range"):
        train_in_processes(2, network_of("gpt"), broken, [], PLAN, 0, Log(lambda row: None))
