"""What warm workers and their executor are made of is killed during runs: no program begins twice, nothing is lost or
left.

As in `test_faults`, the tests run on the node itself, as root, and a failure prints its seed. What began is told by the
tasks' programs themselves, since a worker's Pod does not show it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support import node_processes
from tests.support.begun import begun
from tests.support.fault_world import CLUSTER_UP, RUNS, FaultWorld, Find, Record, fault_world
from tests.support.pod_watch import SeenPod
from tools.cluster import Cluster
from tools.databases import PostgreSQL
from tools.kube_penstock import Surroundings

pytestmark = pytest.mark.timeout(1500)
ISOLATION = os.environ.get("PENSTOCK_FAULT_WORKERS", "namespace")
POLICY = {"workers": "namespace", "workersDefault": ISOLATION, "workersMax": "6", "workersIdleSeconds": "5"}
# One attempt may be hit again and again; that it is retried often enough is not what is shown here.
SETTINGS = {"PENSTOCK_INFRASTRUCTURE_RETRIES": "20"}
# Shorter than what is between two kills: an executor that holds nothing yet is no victim.
LEASE_SECONDS = 4.0


def kill_executor(world: FaultWorld) -> bool:
    """When it has workers: what it has not begun by then gets Pods of its own."""
    return bool(live_workers(world)) and world.restart_one(world.replicas.executors)


def kill_agent(world: FaultWorld) -> bool:
    return kill_contained(world, node_processes.agents)


def kill_wrapper(world: FaultWorld) -> bool:
    return kill_contained(world, node_processes.wrappers_in_workers)


def kill_first_process(world: FaultWorld) -> bool:
    return kill_contained(world, node_processes.first_of_workers)


def kill_contained(world: FaultWorld, find: Find) -> bool:
    found = find([pod.uid for pod in live_workers(world)])
    if not found:
        return False
    process, _ = world.random.choice(found)
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return False
    return True


def delete_worker(world: FaultWorld) -> bool:
    """By hand: with all the time that it may take, with little, and without waiting for its node."""
    pods = live_workers(world)
    if not pods:
        return False
    path = f"/api/v1/namespaces/{world.around.namespace}/pods/{world.random.choice(pods).name}"
    world.cluster.delete(path, world.random.choice([None, 0, 1]))
    return True


def kill_kubelet(world: FaultWorld) -> bool:
    node_processes.kill_part("kubelet", CLUSTER_UP)
    return True


def live_workers(world: FaultWorld) -> list[SeenPod]:
    return [pod for pod in world.watch.workers() if pod.node and not pod.gone and not pod.ended]


CONTAINED = (kill_agent, kill_wrapper, kill_first_process)


def in_turns(world: FaultWorld) -> bool:
    """Mostly what is in workers: after its executor what waits gets Pods of its own, and the kubelet is away for
    seconds."""
    seldom, often = (kill_executor, kill_kubelet), (*CONTAINED, delete_worker)
    return world.random.choices([*seldom, *often], [1] * len(seldom) + [4] * len(often))[0](world)


@pytest.mark.parametrize(
    ("victim", "kills", "pause", "share"),
    [
        (kill_executor, 6, (4.0, 10.0), 1.0),
        (kill_agent, 10, (0.0, 2.0), 1.0),
        (kill_wrapper, 12, (0.0, 1.0), 1.0),
        (kill_first_process, 10, (0.0, 2.0), 1.0),
        (delete_worker, 8, (0.0, 2.0), 1.0),
        (kill_kubelet, 3, (1.0, 5.0), 0.5),
        (in_turns, 20, (0.5, 4.0), 1.0),
    ],
)
def test_killed(
    cluster: Cluster, postgresql_server: PostgreSQL, tmp_path: Path, fault_seed: int, fault_figures: Record,
    victim: Callable[[FaultWorld], bool], kills: int, pause: tuple[float, float], share: float,
) -> None:  # fmt: skip
    def allow(around: Surroundings) -> None:
        path = f"/api/v1/namespaces/{around.namespace}/configmaps"
        cluster.create(path, {"metadata": {"name": "penstock"}, "data": POLICY})

    with (
        begun(cluster.node_address()) as told,
        fault_world(
            cluster, postgresql_server, tmp_path, fault_seed,
            lease_seconds=LEASE_SECONDS, settings=SETTINGS, prepare=allow,
        ) as world,
    ):  # fmt: skip
        found: dict[str, Any] = world.storm(
            round(RUNS * share), victim, at_most=kills, pause=pause, any_may_fail=True, begun=told
        )
        assert found["workers"], "nothing ran in workers"
        if victim in CONTAINED:
            assert found["attempts"] > found["tasks"], "no kill has ended an attempt"
        if victim not in (delete_worker, in_turns):
            # A Pod that is deleted without waiting for its node is gone before its processes are.
            assert not told.beside(), "two attempts of a task ran at once"
    fault_figures(f"{victim.__name__} (workers)", found)
