"""Components are killed, refuse requests, are cut off or suspended during runs: one Pod per attempt, nothing lost or
left.

The tests that kill parts of the node or of a container run on the node itself, as root; what they kill of the cluster
is brought back by the command PENSTOCK_CLUSTER_UP. A failure prints the seed; PENSTOCK_FAULT_SEED takes it again,
PENSTOCK_FAULT_RUNS is the number of runs in the larger storms.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from penstock_api.v2beta1 import run_pb2

from tests.support import node_processes
from tests.support.fault_world import CLUSTER_UP, RUNS, FaultWorld, Find, Record, fault_world
from tests.support.faulty import FaultyProxy, Refuse, Stall
from tools.cluster import Cluster
from tools.databases import PostgreSQL
from tools.kube_proxy import kube_proxy
from tools.testing import kube_specs, runs

pytestmark = pytest.mark.timeout(1500)
# An attempt is begun again three times after failures that are not its own.
MOST_KILLS = 3


# --- kill -9 ----------------------------------------------------------------------------------------------------------


def kill_executor(world: FaultWorld) -> bool:
    return world.restart_one(world.replicas.executors)


def kill_server(world: FaultWorld) -> bool:
    return world.restart_one(world.replicas.servers)


def kill_agent(world: FaultWorld) -> bool:
    return kill_contained(world, node_processes.agents)


def kill_wrapper(world: FaultWorld) -> bool:
    return kill_contained(world, node_processes.wrappers)


def kill_contained(world: FaultWorld, find: Find) -> bool:
    live = {uid: pod for uid, pod in world.live().items() if pod.attempt.number <= MOST_KILLS}
    found = find(live)
    if not found:
        return False
    process, uid = world.random.choice(found)
    # Its end may be noticed before this returns.
    world.killed.add(live[uid].attempt)
    try:
        process.kill()
    except psutil.NoSuchProcess:
        world.killed.discard(live[uid].attempt)
        return False
    return True


def delete_pod(world: FaultWorld) -> bool:
    """By hand, also without waiting for its node."""
    pods = [pod for pod in world.live().values() if pod.attempt.number <= MOST_KILLS]
    if not pods:
        return False
    pod = world.random.choice(pods)
    world.killed.add(pod.attempt)
    path = f"/api/v1/namespaces/{world.around.namespace}/pods/{pod.name}"
    world.cluster.delete(path, world.random.choice([0, 1]))
    return True


def kill_kubelet(world: FaultWorld) -> bool:
    node_processes.kill_part("kubelet", CLUSTER_UP)
    return True


def kill_containerd(world: FaultWorld) -> bool:
    node_processes.kill_part("containerd", CLUSTER_UP)
    return True


def kill_api_server(world: FaultWorld) -> bool:
    node_processes.kill_part("kube-apiserver", CLUSTER_UP)
    return True


@pytest.mark.parametrize(
    ("victim", "kills", "pause", "share"),
    [
        (kill_executor, 6, (0.5, 4.0), 1.0),
        (kill_server, 6, (0.5, 4.0), 1.0),
        (kill_agent, 8, (0.0, 0.5), 1.0),
        (kill_wrapper, 12, (0.0, 2.0), 1.0),
        (delete_pod, 8, (0.0, 2.0), 0.4),
        (kill_kubelet, 3, (1.0, 5.0), 0.5),
        (kill_containerd, 3, (1.0, 5.0), 0.5),
        (kill_api_server, 3, (1.0, 5.0), 0.4),
    ],
)
def test_killed(
    cluster: Cluster, postgresql_server: PostgreSQL, tmp_path: Path, fault_seed: int, fault_figures: Record,
    victim: Callable[[FaultWorld], bool], kills: int, pause: tuple[float, float], share: float,
) -> None:  # fmt: skip
    # What happens to a Pod whose container was being started is the node's affair: it may fail, and is begun again.
    node = victim in (kill_kubelet, kill_containerd)
    # A program that is asked to go has to be there.
    seconds = 2.0 if victim is delete_pod else 0.5
    with fault_world(cluster, postgresql_server, tmp_path, fault_seed) as world:
        found = world.storm(round(RUNS * share), victim, seconds=seconds, at_most=kills, pause=pause, any_may_fail=node)
        if victim in (kill_agent, kill_wrapper, delete_pod):
            assert found["attempts"] > found["tasks"], "no kill has ended an attempt"
    fault_figures(victim.__name__, found)


# --- what stands between ----------------------------------------------------------------------------------------------

CALLS = "^(?!.*watch=1)"
REFUSALS: list[dict[str, Any]] = [
    {"status": 409, "method": "POST|DELETE", "rate": 0.1},
    {"status": 429, "method": "POST|DELETE|GET", "path": CALLS, "retry_after": 1, "rate": 0.1},
    {"status": 500, "method": "POST|DELETE|GET", "rate": 0.15},
    {"action": "drop", "method": "POST|DELETE|GET", "path": CALLS, "rate": 0.05},
    {"action": "drop-after", "method": "POST|DELETE|GET", "rate": 0.1},
    # Each holds its caller up until the deadline of calls, so there are few.
    {"action": "hang", "method": "POST|DELETE|GET", "path": CALLS, "rate": 0.05, "times": 4},
    {"action": "hang-after", "method": "POST|DELETE|GET", "path": CALLS, "rate": 0.05, "times": 4},
]


def test_an_api_server_that_refuses(
    cluster: Cluster, postgresql_server: PostgreSQL, tmp_path: Path, fault_seed: int, fault_figures: Record
) -> None:
    """Watches are cut besides. This test asks the API server itself."""
    with kube_proxy(cluster.kubeconfig, seed=fault_seed) as proxy:

        def cut(world: FaultWorld) -> bool:
            proxy.control("cut")
            return True

        settings = {"KUBECONFIG": str(proxy.kubeconfig)}
        with fault_world(cluster, postgresql_server, tmp_path, fault_seed, settings=settings) as world:
            proxy.control("faults", REFUSALS)
            found = world.storm(30, cut, at_most=10)
        met = proxy.stats()["met"]
        assert {"status 409", "status 429", "status 500", "drop", "drop-after"} <= set(met), met
    fault_figures("API server refuses, watches cut", {**found, "faults": sum(met.values())})


def test_a_database_that_restarts(
    cluster: Cluster, postgresql_server: PostgreSQL, tmp_path: Path, fault_seed: int, fault_figures: Record
) -> None:
    def restart(world: FaultWorld) -> bool:
        postgresql_server.stop(world.random.choice(["fast", "immediate"]))
        time.sleep(world.random.uniform(0.0, 3.0))
        postgresql_server.start()
        return True

    with fault_world(cluster, postgresql_server, tmp_path, fault_seed) as world:
        found = world.storm(20, restart, at_most=3, pause=(1.0, 5.0))
    fault_figures("PostgreSQL restarts", found)


def test_an_object_store_that_refuses_and_stalls(
    cluster: Cluster, postgresql_server: PostgreSQL, tmp_path: Path, fault_seed: int, fault_figures: Record
) -> None:
    with contextlib.ExitStack() as stack:
        proxies: list[FaultyProxy] = []

        def stand_between(around: Any) -> None:
            host, port = around.endpoint.removeprefix("http://").rsplit(":", 1)
            proxies.append(stack.enter_context(FaultyProxy(int(port), host)))
            around.reach_store_at(proxies[0].endpoint)

        def be_away(world: FaultWorld) -> bool:
            (proxy,) = proxies
            for fault in (Refuse(), Stall(), None):
                proxy.always = fault
                proxy.drop()
                time.sleep(world.random.uniform(1.0, 4.0) if fault else 0.0)
            return True

        with fault_world(cluster, postgresql_server, tmp_path, fault_seed, prepare=stand_between) as world:
            found = world.storm(20, be_away, at_most=3)
        met = {type(fault) for fault in proxies[0].met}
        assert met == {Refuse, Stall}, met
    fault_figures("S3 answers 503 and stalls", {**found, "faults": len(proxies[0].met)})


# --- the node, and the other executor ---------------------------------------------------------------------------------


def test_a_cordoned_node(
    cluster: Cluster, postgresql_server: PostgreSQL, tmp_path: Path, fault_seed: int, fault_figures: Record
) -> None:
    """Runs wait, and go on."""

    def cordon(nodes: list[str], cordoned: bool) -> None:
        for name in nodes:
            cluster.wait(cluster.client.patch_merge(f"/api/v1/nodes/{name}", {"spec": {"unschedulable": cordoned}}))

    def cordon_and_lift(world: FaultWorld) -> bool:
        nodes = cluster.items("/api/v1/nodes")
        # A tainted one takes no Pod of ours anyhow.
        free = [
            str(one["metadata"]["name"])
            for one in nodes
            if not one["spec"].get("unschedulable") and not one["spec"].get("taints")
        ]
        cordon(free, True)
        try:
            runs.until(world.watch.live, lambda pods: pods and not any(pod.node for pod in pods), 120)
        finally:
            cordon(free, False)
        return True

    with fault_world(cluster, postgresql_server, tmp_path, fault_seed) as world:
        found = world.storm(10, cordon_and_lift, at_most=1, pause=(1.0, 3.0))
    fault_figures("node cordoned", found)


def test_an_executor_that_stands_still_past_its_lease(
    cluster: Cluster, postgresql_server: PostgreSQL, tmp_path: Path, fault_seed: int, fault_figures: Record
) -> None:
    """When it wakes, its runs are another's; it must begin nothing, and end nothing that is not its own."""
    with fault_world(cluster, postgresql_server, tmp_path, fault_seed, executors=2, lease_seconds=3.0) as world:

        def stand_still(world: FaultWorld) -> bool:
            victim = world.random.choice(world.replicas.executors)
            victim.suspend()
            try:
                runs.until(lambda: held_by(world.database, victim.name), lambda number: number == 0, 120)
                time.sleep(world.random.uniform(0.0, 1.0))
            finally:
                victim.resume()
            return True

        found = world.storm(20, stand_still, at_most=4)
        lost = sum(program.log.count("the lease is lost") for program in world.replicas.executors)
        assert lost, "nobody has lost a lease"
    fault_figures("executor frozen past its lease", {**found, "faults": lost})


def held_by(url: str, executor: str) -> int:
    """Runs under way that an executor holds."""
    with psycopg.connect(url) as connection:
        query = "SELECT count(*) FROM runs WHERE lease_owner LIKE %s AND claimable"
        row = connection.execute(query, [f"{executor}/%"]).fetchone()
    return int(row[0]) if row else 0


# --- ends that are asked for ------------------------------------------------------------------------------------------

WILLING = "trap 'exit 143' TERM; echo began; while :; do sleep 0.1; done"
STUBBORN = "trap '' TERM; echo began; while :; do sleep 0.1; done"


def test_a_terminated_run_leaves_no_pod(
    cluster: Cluster, postgresql_server: PostgreSQL, tmp_path: Path, fault_seed: int, fault_figures: Record
) -> None:
    """From the call to the Pod's end: five seconds at most over what this node needs to delete a bare Pod."""
    artifact = {"data": "system.Dataset"}
    specs = {
        "willing": kube_specs.shell(WILLING),
        "stubborn": kube_specs.shell(STUBBORN),
        "willing, with an agent": kube_specs.shell(WILLING, artifacts=artifact),
        "stubborn, with an agent": kube_specs.shell(STUBBORN, artifacts=artifact),
    }
    took: dict[str, float] = {}
    with fault_world(cluster, postgresql_server, tmp_path, fault_seed) as world:
        bare = bare_pod_deleted(world)
        for what, spec in specs.items():
            run_id = runs.start(world.client, spec, name=what)
            runs.until(lambda: runs.tasks(world.client, run_id)["only"].state, lambda state: state == "RUNNING", 120)  # noqa: B023
            began = time.monotonic()
            world.client.call(world.client.runs.TerminateRun, run_pb2.TerminateRunRequest(run_id=run_id))
            world.no_pod_is_left()
            took[what] = round(time.monotonic() - began, 1)
            run = runs.finished(world.client, run_id)
            assert run.state in (run_pb2.FAILED, run_pb2.CANCELED)
        twice = world.watch.twice()
    fault_figures(
        "terminated: slowest", {"runs": len(took), "twice": len(twice), "seconds": max(took.values()), "cleared": bare}
    )
    assert not twice
    assert max(took.values()) <= 5.0 + bare, (took, bare)


def bare_pod_deleted(world: FaultWorld) -> float:
    """Seconds from the call to the end of a Pod that ends at SIGTERM."""
    path = f"/api/v1/namespaces/{world.around.namespace}/pods"
    security = {
        "runAsNonRoot": True,
        "runAsUser": 1000,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    main = {
        "name": "main",
        "image": kube_specs.IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", WILLING],
        "securityContext": security,
    }
    world.cluster.create(path, {"metadata": {"name": "bare"}, "spec": {"restartPolicy": "Never", "containers": [main]}})
    world.cluster.until(
        lambda: world.cluster.get(f"{path}/bare"), lambda pod: bool(pod and pod["status"]["phase"] == "Running"), 120
    )
    began = time.monotonic()
    world.cluster.delete(f"{path}/bare")
    world.cluster.until(lambda: world.cluster.get(f"{path}/bare"), lambda pod: pod is None, 120)
    return round(time.monotonic() - began, 1)
