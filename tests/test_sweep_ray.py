"""A sweep on a Ray cluster outlives a node: what it was at runs again elsewhere, and nothing is done twice."""

import json
import os
import signal
import threading
import time

import pytest
from hydra.core.utils import JobStatus

from tests.sweeping import launcher_of

pytestmark = pytest.mark.slow
JOBS, RAISES = 9, 5


@pytest.fixture(scope="module")
def cluster():
    """A cluster of three nodes, each of one core, on this machine."""
    ray = pytest.importorskip("ray", reason="ray isn't installed (requirements-sweeps.lock)")
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        workers = [nodes.add_node(num_cpus=1) for _ in range(2)]
        yield nodes, workers
        ray.shutdown()
        nodes.shutdown()


def on_ray(nodes):
    return launcher_of("hydra/launcher=ray", f"hydra.launcher.init.address={nodes.address}")


def other_node(workers):
    """Process number of the raylet of a worker node that this driver doesn't speak through."""
    import ray

    mine = ray._private.worker.global_worker.node.raylet_socket_name
    victim = next(node for node in workers if node.raylet_socket_name != mine)
    return victim.all_processes["raylet"][0].process.pid


def wait_for_cores(launcher, cores):
    """Wait until the cluster has noticed that a node is gone."""
    for _ in range(300):
        if launcher.workers() == cores:
            return True
        time.sleep(0.2)
    return False


def test_a_killed_node_loses_no_job_and_doubles_none_and_one_that_raises_is_a_failed_return(cluster, tmp_path):
    nodes, workers = cluster
    diary, killed = tmp_path / "diary", threading.Event()

    def kill():
        while not diary.exists() or len(diary.read_text().split()) < 3:
            time.sleep(0.1)
        os.kill(other_node(workers), signal.SIGKILL)
        killed.set()

    killer = threading.Thread(target=kill, daemon=True)
    with on_ray(nodes) as launcher:
        assert launcher.workers() == 3
        killer.start()
        jobs = [[f"seed={seed}", f"results={tmp_path}", "retry=false"] for seed in range(JOBS)]
        returned = launcher.launch(jobs, initial_job_idx=0)
        killer.join(120)
        assert killed.is_set()
        assert wait_for_cores(launcher, 2)
    sound = [seed for seed in range(JOBS) if seed != RAISES]
    assert [one.return_value for one in returned if one.status == JobStatus.COMPLETED] == [
        float(seed) for seed in sound
    ]
    assert returned[RAISES].status == JobStatus.FAILED
    assert "this job fails by itself" in str(returned[RAISES]._return_value)
    facts = [json.loads(path.read_text()) for path in (tmp_path / "remote").glob("store/fit/*/stage.json")]
    assert sorted(one["seed"] for one in facts) == sound
    assert sorted(map(int, diary.read_text().split())) == sound
