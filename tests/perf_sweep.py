"""Sixty cells on a Ray cluster of three nodes that share nothing but a URL, one killed halfway; then the same again.

python -m tests.perf_sweep [FOLDER]    about six minutes of one core; FOLDER keeps what it makes
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmark.record import RecordError, read_record
from tests.houses import ROOT, build_corpus

CELLS = ("generator=independent,markov,resample,real,two_level", "seed=range(12)")


def finished(shared: Path) -> int:
    """Count the records that are ok."""
    count = 0
    for path in shared.glob("cells/*/record.json"):
        try:
            count += read_record(path).status == "ok"
        except RecordError:
            continue
    return count


def sweep(folder: Path, kill: bool) -> None:
    """Run the matrix on a cluster of its own and print what came of it; kill one node at thirty records."""
    from ray.cluster_utils import Cluster

    def node(number: int) -> dict[str, Any]:
        return {"num_cpus": 1, "env_vars": {"TRACEARENA_SCRATCH": str(folder / f"node-{number}")}}

    cluster = Cluster(initialize_head=True, head_node_args={**node(0), "include_dashboard": False})
    workers = [cluster.add_node(**node(number)) for number in (1, 2)]
    victim = workers[1].all_processes["raylet"][0].process.pid
    words = [
        sys.executable, "run.py", "-m", *CELLS, "budget=tiny", "dataset=pcaps", f"dataset.path={folder / 'captures'}",
        f"results=file://{folder}/shared", "hydra/launcher=ray", f"hydra.launcher.init.address={cluster.address}",
        "hydra.launcher.init.log_to_driver=false", "workers=1",
    ]  # fmt: skip
    began = time.monotonic()
    run = subprocess.Popen(words, cwd=ROOT, env={**os.environ, "TRACEARENA_SCRATCH": str(folder / "driver")})
    while run.poll() is None:
        time.sleep(0.5)
        if kill and (done := finished(folder / "shared")) >= 30:
            os.kill(victim, signal.SIGKILL)
            print(f"killed a node after {time.monotonic() - began:.0f} s, with {done} records ok", flush=True)
            kill = False
    seconds, files = time.monotonic() - began, len(list((folder / "shared").glob("cells/*/record.json")))
    print(f"exit {run.returncode} after {seconds:.0f} s: {files} records, {finished(folder / 'shared')} ok", flush=True)
    cluster.shutdown()


def main() -> None:
    """Run the matrix twice."""
    os.environ.update(RAY_AUTH_MODE="disabled", RAY_worker_niceness="0", OMP_NUM_THREADS="1")
    with tempfile.TemporaryDirectory(prefix="sweep-") as made:
        folder = Path(sys.argv[1] if len(sys.argv) > 1 else made).resolve()
        if not (folder / "captures").exists():
            build_corpus(folder / "captures")
        sweep(folder, kill=True)
        sweep(folder, kill=False)


if __name__ == "__main__":
    main()
