"""Every way to be pending, on a real cluster: what `why`, the task, the API's own fields and the UI's Pod tabs say."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from penstock.client import Client
from penstock_api.v1 import insight_pb2
from penstock_api.v2beta1 import run_pb2

from tests.support import http
from tools.cluster import Cluster
from tools.kube_penstock import KubePenstock, kube_penstock
from tools.testing import kube_specs, runs

# From the run's creation: a Pod, the cluster's first word about it, half a second of patience, a report.
_SECONDS = 5.0
SCARCE = "example.com/scarce"
QUEUE = "example.com/queue"
_MISSING = {"runtimeValue": {"constant": "no-such"}}
_UNBOUND = {"runtimeValue": {"constant": "unbound"}}
WAYS: dict[str, tuple[dict[str, Any], str]] = {
    "no node with room": (
        {"resources": {"resourceCpuRequest": "900"}},
        "no node takes the Pod: of 1 node 1 has too little cpu left",
    ),
    "no node with its label": (
        {"kubernetes": {"nodeSelector": {"labels": {"disk": "none-has-it"}}}},
        "no node takes the Pod: of 1 node 1 has not the labels that the task selects",
    ),
    "no such image": (
        {"image": "docker.io/nobody/nothing:1"},
        r"the image 'docker.io/nobody/nothing:1' cannot be pulled( \(tried (once|\d+ times)\))?: failed to .*",
    ),
    "a quota": (
        {"resources": {"accelerator": {"resourceType": SCARCE, "resourceCount": "1"}}},
        rf"the namespace's quota 'scarce': the Pod asks for requests.{SCARCE}=1, "
        rf"requests.{SCARCE}=1 of requests.{SCARCE}=1 is used",
    ),
    "a claim without a volume": (
        {"kubernetes": {"pvcMount": [{"mountPath": "/data", "pvcNameParameter": _UNBOUND}]}},
        "no node takes the Pod: its claim has no volume yet",
    ),
    "a claim that is not there": (
        {"kubernetes": {"pvcMount": [{"mountPath": "/data", "pvcNameParameter": _MISSING}]}},
        "no node takes the Pod: the claim 'no-such' does not exist",
    ),
    "a variable of a Secret that is not there": (
        {
            "kubernetes": {
                "secretAsEnv": [{"secretNameParameter": _MISSING, "keyToEnv": [{"secretKey": "k", "envVar": "V"}]}]
            }
        },
        "the container 'main' cannot be created: secret \"no-such\" not found",
    ),
    "a volume of a Secret that is not there": (
        {"kubernetes": {"secretAsVolume": [{"secretNameParameter": _MISSING, "mountPath": "/secret"}]}},
        r"on the node \S+ a volume cannot be mounted \(tried (once|\d+ times)\): MountVolume.SetUp failed for volume "
        r'"\S+" : secret "no-such" not found',
    ),
}


@pytest.fixture(scope="module")
def told() -> Iterator[dict[str, tuple[str, float]]]:
    """Text and seconds of each way; build/pending.json at the end."""
    found: dict[str, tuple[str, float]] = {}
    yield found
    file = Path("build/pending.json")
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(found, indent=1))


@pytest.fixture(scope="module")
def patient(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubePenstock]:
    """A Penstock in a namespace with a quota and a claim that nobody fills."""
    with kube_penstock(cluster, tmp_path_factory.mktemp("pending")) as up:
        space = f"/api/v1/namespaces/{up.namespace}"
        quota = {"metadata": {"name": "scarce"}, "spec": {"hard": {f"requests.{SCARCE}": "1"}}}
        cluster.create(f"{space}/resourcequotas", quota)
        cluster.until(
            lambda: cluster.get(f"{space}/resourcequotas/scarce"),
            lambda found: found is not None and "hard" in found.get("status", {}),
        )
        cluster.create(f"{space}/pods", _pod("holder", SCARCE))
        cluster.create(
            f"{space}/persistentvolumeclaims",
            {
                "metadata": {"name": "unbound"},
                "spec": {
                    "accessModes": ["ReadWriteOnce"],
                    "storageClassName": "",
                    "volumeName": "nobody-makes-it",
                    "resources": {"requests": {"storage": "1Gi"}},
                },
            },
        )
        yield up


@pytest.mark.parametrize("way", list(WAYS))
def test_why_it_is_pending(patient: KubePenstock, told: dict[str, tuple[str, float]], way: str) -> None:
    settings, words = WAYS[way]
    with Client(patient.up.grpc) as client:
        began = time.monotonic()
        run_id = runs.start(client, kube_specs.shell("true", **settings))
        why = explained(client, run_id, words)
        seconds = time.monotonic() - began
        told[way] = (why, round(seconds, 2))
        assert seconds < _SECONDS
        task = runs.tasks(client, run_id)["only"]
        assert re.fullmatch(words, task.waiting) and task.state == "PENDING"
        detail = next(one for one in runs.get(client, run_id).run_details.task_details if one.display_name == "only")
        assert re.fullmatch(words, detail.state_history[-1].error.message)
        query = f"podname={task.pod_name}&podnamespace={patient.namespace}&runid={run_id}"
        pod = http.call("GET", f"{patient.up.http}/k8s/pod?{query}").json
        assert pod["status"]["phase"] == "Pending"
        events = http.call("GET", f"{patient.up.http}/k8s/pod/events?{query}").json["items"]
        assert any(re.fullmatch(words, event["message"]) for event in events), events
        ended(client, run_id)


def test_a_scheduling_gate_and_a_place(cluster: Cluster, told: dict[str, tuple[str, float]], tmp_path: Path) -> None:
    """A queue's gate, by the namespace's own template; behind it a task for which there is no place."""
    template = {"spec": {"schedulingGates": [{"name": QUEUE}]}}
    settings = {"PENSTOCK_PARALLELISM": "1", "PENSTOCK_PENDING_DEADLINE": "3"}
    with cluster.namespace("penstock-gated") as namespace:
        cluster.create(
            f"/api/v1/namespaces/{namespace}/configmaps",
            {"metadata": {"name": "penstock"}, "data": {"podTemplate": yaml.safe_dump(template)}},
        )
        with (
            kube_penstock(cluster, tmp_path / "gated", settings=settings, namespace=namespace) as up,
            Client(up.up.grpc) as client,
        ):
            run_id = runs.start(client, kube_specs.shell("true"))
            gate = f"the Pod is held back by the scheduling gate {QUEUE}: whoever set it decides when it may start"
            began = time.monotonic()
            told["a scheduling gate"] = (explained(client, run_id, gate), round(time.monotonic() - began, 2))
            behind = runs.start(client, kube_specs.shell("echo behind"))
            began = time.monotonic()
            place = re.escape("no place is free: 1 of 1 Pods run (--parallelism)")
            told["no place"] = (explained(client, behind, place), round(time.monotonic() - began, 2))
            # Longer than the deadline of pending Pods, which a queue does not know.
            time.sleep(4)
            task = runs.tasks(client, run_id)["only"]
            assert (task.state, task.attempts, task.waiting) == ("PENDING", 1, gate)
            asked = time.monotonic()
            ended(client, behind)
            assert time.monotonic() - asked < 2, "it was never begun"
            pod = f"/api/v1/namespaces/{namespace}/pods/{task.pod_name}"
            cluster.wait(cluster.client.patch_merge(pod, {"spec": {"schedulingGates": []}}))
            assert runs.finished(client, run_id).state == run_pb2.SUCCEEDED


def test_a_limit_range_refuses_at_once(cluster: Cluster, tmp_path: Path) -> None:
    with kube_penstock(cluster, tmp_path / "limited") as up, Client(up.up.grpc) as client:
        limits = {"limits": [{"type": "Container", "max": {"cpu": "1"}}]}
        cluster.create(
            f"/api/v1/namespaces/{up.namespace}/limitranges", {"metadata": {"name": "small"}, "spec": limits}
        )
        run_id = runs.start(client, kube_specs.shell("true", resources={"resourceCpuLimit": "2"}))
        assert runs.finished(client, run_id, 20).state == run_pb2.FAILED
        error = runs.tasks(client, run_id)["only"].error
        assert "Kubernetes refuses the task's Pod: maximum cpu usage per Container is 1, but limit is 2" in error


def test_a_quota_that_allows_less_in_all_refuses_at_once(patient: KubePenstock) -> None:
    asked = {"accelerator": {"resourceType": SCARCE, "resourceCount": "2"}}
    with Client(patient.up.grpc) as client:
        run_id = runs.start(client, kube_specs.shell("true", resources=asked))
        assert runs.finished(client, run_id, 20).state == run_pb2.FAILED
        error = runs.tasks(client, run_id)["only"].error
        assert f"the namespace's quota 'scarce' allows requests.{SCARCE}=1 in all, and the Pod asks for 2" in error


def _pod(name: str, resource: str) -> dict[str, Any]:
    """One of somebody else that takes a piece of the resource; it need not start for that."""
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    container = {"name": "main", "image": kube_specs.IMAGE, "resources": {"limits": {resource: "1"}}}
    pod_security = {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}}
    spec = {"securityContext": pod_security, "containers": [{**container, "securityContext": security}]}
    return {"metadata": {"name": name}, "spec": spec}


def explained(client: Client, run_id: str, words: str) -> str:
    """The text of `why`, as soon as it says what it is to say."""
    request = insight_pb2.ExplainTaskRequest(run_id=run_id, task="only")

    def look() -> str:
        return str(client.call(client.insight.ExplainTask, request).summary)

    found: str = runs.until(look, lambda text: re.fullmatch(rf"attempt 1 waits: {words}", text) is not None, 30)
    return found


def ended(client: Client, run_id: str) -> None:
    client.call(client.runs.TerminateRun, run_pb2.TerminateRunRequest(run_id=run_id))
    runs.finished(client, run_id, 30)
