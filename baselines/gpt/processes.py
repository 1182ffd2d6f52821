"""One training on several GPUs of a machine: a process each, which share the rows of every batch."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from copy import deepcopy
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch.multiprocessing.spawn import start_processes

from baselines.gpt.model import Network
from baselines.gpt.training import Plan, Sequences, train_here
from benchmark.method import Log

_RESULT = "network.safetensors"


def count_processes(rows: int) -> int:
    """How many processes a training should start: one a GPU where there are several, but none without a row.

    1 where this process is one of several already (``accelerate launch``): it joins them.
    """
    if torch.distributed.is_initialized() or int(os.environ.get("WORLD_SIZE", "1")) > 1:
        return 1
    return max(1, min(torch.cuda.device_count(), rows))


def train_in_processes(
    processes: int, network: Network, sequences: Sequences, validation: Sequences, plan: Plan, seed: int, log: Log
) -> float:
    """Train as ``train_here`` does, in processes started for it; on the CPU where there is no GPU for each.

    Their reports come through this process. What one of them raises is raised here, and ends them all.
    """
    from accelerate.utils import PrepareForLaunch, patch_environment

    on_gpu = torch.cuda.device_count() >= processes
    launch = PrepareForLaunch(_work, "MULTI_GPU" if on_gpu else "MULTI_CPU")
    shared = {"nproc": processes, "world_size": processes, "local_world_size": processes, "omp_num_threads": 1}
    heard, told = Pipe(duplex=False)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        work = (processes, folder, deepcopy(network).cpu(), sequences, validation, plan, seed, log.keep, told)
        with patch_environment(**shared):
            group = start_processes(launch, work, processes, join=False, start_method="spawn")
        told.close()  # so that the pipe ends with the last of the processes
        try:
            _pass_on(heard, log)
            while not group.join():
                continue
        finally:
            for process in group.processes:
                process.kill()
        network.load_state_dict(load_file(folder / _RESULT))
        network.eval()
        return float(json.loads((folder / "loss.json").read_text()))


def _pass_on(heard: Connection, log: Log) -> None:
    """Report what the processes send until all are gone."""
    with heard:
        while True:
            try:
                log.write(heard.recv())
            except EOFError:
                return


def _work(
    processes: int, folder: Path, network: Network, sequences: Sequences, validation: Sequences, plan: Plan,
    seed: int, keep: Path | None, told: Connection,
) -> None:  # fmt: skip
    """Be one of the processes; the first leaves the result in ``folder``."""
    rank = int(os.environ["RANK"])
    torch.set_num_threads(1)
    on_gpu = torch.cuda.device_count() >= processes
    if on_gpu:
        torch.cuda.set_device(rank)
        network = network.to(f"cuda:{rank}")
    else:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    # They meet at a file: a port chosen ahead could be another's by then.
    torch.distributed.init_process_group(
        "nccl" if on_gpu else "gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=processes
    )
    torch.manual_seed(seed)

    def write(event: Mapping[str, Any]) -> None:
        told.send(dict(event))

    try:
        loss = train_here(network, sequences, validation, plan, seed, Log(write, keep))
        if rank == 0:
            save_file(
                {name: value.cpu().contiguous() for name, value in network.state_dict().items()}, folder / _RESULT
            )
            (folder / "loss.json").write_text(json.dumps(loss))
    finally:
        torch.distributed.destroy_process_group()
