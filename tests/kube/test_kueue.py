"""Tasks in queues of Kueue, on a real cluster: they wait for quota, and give it back to what is more important."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from penstock.client import Client
from penstock_api.v1 import insight_pb2
from penstock_api.v2beta1 import run_pb2
from penstock_executor.backends.kubernetes.view import millis, view_of

from tests.support.go_ahead import GoAhead
from tests.support.kueue import Kueue, kueue
from tools.cluster import Cluster
from tools.kube_penstock import KubePenstock, kube_penstock
from tools.testing import kube_specs, runs

_REQUEST = "100m"
_PENDING = 20.0


@pytest.fixture(scope="module")
def queues(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kueue]:
    with kueue(cluster, tmp_path_factory.mktemp("kueue")) as made:
        yield made


@pytest.fixture
def up(queues: Kueue, cluster: Cluster, tmp_path: Path) -> Iterator[KubePenstock]:
    """Whose Pods are given up soon, and whose tasks have no retries for the platform's failures."""
    settings = {
        "PENSTOCK_PENDING_DEADLINE": str(_PENDING),
        "PENSTOCK_INFRASTRUCTURE_RETRIES": "0",
        "PENSTOCK_FREE_PREEMPTIONS": "true",
    }
    with kube_penstock(cluster, tmp_path / "up", settings=settings, labels=queues.labels) as made:
        yield made


def in_queue(queue: str, script: str, priority: str = "") -> dict[str, Any]:
    labels = {"kueue.x-k8s.io/queue-name": queue}
    if priority:
        labels["kueue.x-k8s.io/priority-class"] = priority
    kubernetes = {"podMetadata": {"labels": labels}}
    return kube_specs.shell(script, kubernetes=kubernetes, resources={"resourceCpuRequest": _REQUEST})


def summary(client: Client, run_id: str) -> str:
    request = insight_pb2.ExplainTaskRequest(run_id=run_id, task="only")
    return str(client.call(client.insight.ExplainTask, request).summary)


def running(client: Client, run_id: str) -> None:
    runs.until(lambda: runs.tasks(client, run_id)["only"].state, lambda state: state == "RUNNING", 60)


def succeeded(client: Client, run_id: str) -> None:
    run = runs.finished(client, run_id, 90)
    assert run.state == run_pb2.SUCCEEDED, [(task.state, task.error) for task in runs.tasks(client, run_id).values()]


@pytest.mark.timeout(300)
def test_quota_for_two_of_three(up: KubePenstock, queues: Kueue, go: GoAhead) -> None:
    queue = queues.queue(up.namespace, "200m")
    with Client(up.up.grpc) as client:
        first = [runs.start(client, in_queue(queue, go.wait), name=f"run {number}") for number in range(2)]
        for run_id in first:
            running(client, run_id)
        third = runs.start(client, in_queue(queue, "true"))
        words = (
            r"attempt 1 waits: the Pod waits for Kueue to admit it in the queue 'team': .*insufficient unused quota.*"
        )
        runs.until(lambda: summary(client, third), lambda text: re.fullmatch(words, text) is not None, 30)
        # Longer than the deadline of pending Pods, which a queue does not know.
        time.sleep(_PENDING + 1)
        tasks = [runs.tasks(client, run_id)["only"] for run_id in (*first, third)]
        assert [(task.state, task.attempts) for task in tasks] == [("RUNNING", 1)] * 2 + [("PENDING", 1)], tasks
        go.give()
        for run_id in (*first, third):
            succeeded(client, run_id)


@pytest.mark.timeout(300)
def test_a_place_that_is_taken_back_is_waited_for_again(up: KubePenstock, queues: Kueue, go: GoAhead) -> None:
    queue = queues.queue(up.namespace, "100m")
    low, high = queues.priority(1), queues.priority(100)
    with Client(up.up.grpc) as client:
        patient = runs.start(client, in_queue(queue, go.wait, low))
        running(client, patient)
        urgent = runs.start(client, in_queue(queue, go.wait, high))
        running(client, urgent)
        again = "attempt 2 waits: the Pod waits for Kueue to admit it"
        runs.until(lambda: summary(client, patient), lambda text: text.startswith(again), 60)
        request = insight_pb2.ExplainTaskRequest(run_id=patient, task="only")
        reasons = [one.text for one in client.call(client.insight.ExplainTask, request).reasons]
        assert any("attempt 1 was preempted" in text and "(Preempted)" in text for text in reasons), reasons
        go.give()
        for run_id in (urgent, patient):
            succeeded(client, run_id)
        assert runs.tasks(client, patient)["only"].attempts == 2


@pytest.mark.timeout(300)
def test_a_run_that_waits_in_a_queue_can_be_ended(up: KubePenstock, queues: Kueue, cluster: Cluster) -> None:
    """Its Pod is held by the queue, and has Kueue's finalizer besides."""
    queue = queues.queue(up.namespace, "50m")
    with Client(up.up.grpc) as client:
        run_id = runs.start(client, in_queue(queue, "true"))
        runs.until(lambda: summary(client, run_id), lambda text: "waits for Kueue" in text, 30)
        client.call(client.runs.TerminateRun, run_pb2.TerminateRunRequest(run_id=run_id))
        assert runs.finished(client, run_id, 30).state == run_pb2.FAILED
        cluster.until(lambda: cluster.pods(up.namespace, run_id), lambda pods: pods == [])


@pytest.mark.timeout(300)
def test_a_pod_tells_when_it_was_let_go(up: KubePenstock, queues: Kueue, cluster: Cluster) -> None:
    """So that an executor which did not see it counts from there."""
    queue = queues.queue(up.namespace, "50m")
    with Client(up.up.grpc) as client:
        run_id = runs.start(client, in_queue(queue, "sleep 600"))
        runs.until(lambda: summary(client, run_id), lambda text: "waits for Kueue" in text, 30)
        time.sleep(2)
        path = f"/apis/kueue.x-k8s.io/v1beta2/clusterqueues/{up.namespace}-queue"
        spec = (cluster.get(path) or {})["spec"]
        spec["resourceGroups"][0]["flavors"][0]["resources"][0]["nominalQuota"] = "100m"
        change = {"spec": {"resourceGroups": spec["resourceGroups"]}}
        cluster.wait(cluster.client.patch_merge(path, change))
        running(client, run_id)
        (pod,) = cluster.pods(up.namespace, run_id)
        (workload,) = queues.workloads(up.namespace)
        admitted = next(one for one in workload["status"]["conditions"] if one["type"] == "Admitted")
        assert view_of(pod).ungated_at >= millis(admitted["lastTransitionTime"])
        client.call(client.runs.TerminateRun, run_pb2.TerminateRunRequest(run_id=run_id))
        runs.finished(client, run_id, 30)
