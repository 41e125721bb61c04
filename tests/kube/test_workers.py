"""Tasks that share warm workers on a real cluster: results, logs and ends as in Pods of their own, and fewer Pods."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import pytest
from penstock.client import Client
from penstock_api.v2beta1 import run_pb2

from tests.support import node_processes
from tests.support.begun import Begun, begun
from tools.cluster import Cluster
from tools.kube_penstock import KubePenstock, kube_penstock
from tools.testing import kube_specs, runs, specs

POLICY = {"workers": "namespace", "workersDefault": "run", "workersMax": "3"}


@pytest.fixture(scope="module")
def warm(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubePenstock]:
    """In a namespace whose tasks share workers."""
    with cluster.namespace("penstock-warm") as namespace:
        # Before the executor reads it, which it does again after half a minute only.
        path = f"/api/v1/namespaces/{namespace}/configmaps"
        cluster.create(path, {"metadata": {"name": "penstock"}, "data": POLICY})
        with kube_penstock(cluster, tmp_path_factory.mktemp("warm"), namespace=namespace) as up:
            yield up


@pytest.fixture
def client(warm: KubePenstock) -> Iterator[Client]:
    with ExitStack() as stack:
        yield stack.enter_context(Client(warm.up.grpc))


def placements(client: Client, run_id: str) -> dict[str, str]:
    """The Pods of a run's tasks."""
    return {path: task.pod_name for path, task in runs.tasks(client, run_id).items() if task.pod_name}


def test_a_loop_shares_workers(client: Client) -> None:
    run_id = runs.start(client, kube_specs.loop(30))
    run = runs.finished(client, run_id)
    assert run.state == run_pb2.SUCCEEDED, run.error.message
    pods = placements(client, run_id)
    assert len(pods) >= 30 and len(set(pods.values())) <= 3
    assert all(pod.startswith("penstock-worker-") for pod in pods.values())


def test_artifacts_parameters_and_logs(client: Client) -> None:
    run_id = runs.start(client, kube_specs.passing("handed over ünïcödé"))
    run = runs.finished(client, run_id)
    assert run.state == run_pb2.SUCCEEDED, run.error.message
    assert runs.outputs(client, run_id, "use") == {"text": "handed over ünïcödé"}
    assert len(set(placements(client, run_id).values())) <= 2


@pytest.mark.parametrize("text", ["$HOME $(UNKNOWN) $$ $(date)", "quote ' \" \\ \n line", "ünïcödé 🌍"])
def test_arguments_arrive_byte_for_byte(client: Client, text: str) -> None:
    spec = kube_specs.container(["sh", "-c", 'printf "%s" "$0" > /tmp/kfp/outputs/text', text], outputs=["text"])
    run_id = runs.start(client, spec)
    assert runs.finished(client, run_id).state == run_pb2.SUCCEEDED
    assert runs.outputs(client, run_id, "only") == {"text": text}


def test_references_to_variables_have_their_values(client: Client) -> None:
    spec = kube_specs.container(
        ["sh", "-c", 'printf "%s" "$0" > /tmp/kfp/outputs/text', "$(KFP_POD_NAME)"], outputs=["text"]
    )
    run_id = runs.start(client, spec)
    assert runs.finished(client, run_id).state == run_pb2.SUCCEEDED
    assert runs.outputs(client, run_id, "only") == {"text": placements(client, run_id)["only"]}


def test_a_failure_says_how(client: Client) -> None:
    run_id = runs.start(client, kube_specs.shell("echo the reason; exit 7"))
    run = runs.finished(client, run_id)
    assert run.state == run_pb2.FAILED
    error = str(runs.tasks(client, run_id)["only"].error)
    assert error.endswith("the command exited with code 7; its last lines:\nthe reason"), error


def test_memory_that_runs_out(client: Client) -> None:
    resources = {"memoryLimit": 0.03, "resourceMemoryLimit": "30Mi", "cpuLimit": 0.1, "resourceCpuLimit": "100m"}
    run_id = runs.start(client, kube_specs.shell("tail /dev/zero", resources=resources))
    run = runs.finished(client, run_id)
    assert run.state == run_pb2.FAILED
    error = str(runs.tasks(client, run_id)["only"].error)
    assert "OOMKilled" in error or "SIGKILL" in error, error


def test_a_log_is_the_tasks_own_while_it_runs_and_afterwards(client: Client) -> None:
    commands: dict[str, Any] = {
        "first": ["sh", "-c", "echo of the first; exit 0"],
        "second": ["sh", "-c", "echo of the second; sleep 6; echo its end"],
    }
    run_id = runs.start(client, kube_specs.chain(commands))
    live = runs.until(lambda: runs.log(client, run_id, "second"), lambda text: b"of the second" in text)
    assert b"of the first" not in live
    assert runs.finished(client, run_id).state == run_pb2.SUCCEEDED
    assert runs.log(client, run_id, "first") == b"of the first\n"
    assert runs.log(client, run_id, "second") == b"of the second\nits end\n"


def test_a_run_is_terminated(client: Client) -> None:
    run_id = runs.start(client, kube_specs.shell("trap '' TERM; echo begun; while :; do sleep 1; done"))
    runs.until(lambda: runs.log(client, run_id, "only"), lambda text: b"begun" in text)
    client.call(client.runs.TerminateRun, run_pb2.TerminateRunRequest(run_id=run_id))
    assert runs.finished(client, run_id).state == run_pb2.FAILED
    assert runs.tasks(client, run_id)["only"].state == "CANCELED"


def test_a_worker_whose_pod_is_deleted_loses_nothing(warm: KubePenstock, client: Client) -> None:
    run_id = runs.start(client, kube_specs.shell("echo begun; sleep 8; echo done"))
    runs.until(lambda: runs.log(client, run_id, "only"), lambda text: b"begun" in text)
    pod = runs.tasks(client, run_id)["only"].pod_name
    warm.cluster.delete(f"/api/v1/namespaces/{warm.namespace}/pods/{pod}")
    assert runs.finished(client, run_id).state == run_pb2.SUCCEEDED
    task = runs.tasks(client, run_id)["only"]
    assert task.pod_name != pod


@pytest.mark.parametrize("name", ["artifact_passing", "pythonic_artifacts", "collected_lists"])
def test_lightweight_components_install_once_and_are_forked(client: Client, name: str) -> None:
    """Parameters, artifacts and errors of the SDK, in a Python that has imported it before."""
    run_id = runs.start(client, specs.compiled(name), caching=False)
    run = runs.finished(client, run_id, 240)
    assert run.state == run_pb2.SUCCEEDED, [task.error for task in runs.tasks(client, run_id).values()]
    pods = placements(client, run_id)
    assert len(set(pods.values())) < len(pods) and all(pod.startswith("penstock-worker-") for pod in pods.values())


def test_an_executor_and_an_agent_that_are_killed(warm: KubePenstock, client: Client) -> None:
    """The storm of this is `test_worker_faults`."""
    with begun(warm.cluster.node_address()) as told:
        run_id = runs.start(client, kube_specs.chain({name: two_seconds(told, name) for name in ("t0", "t1", "t2")}))
        runs.until(told.attempts, bool, 60)
        warm.up.child("penstock_executor").kill()
        runs.until(told.attempts, lambda seen: any(one.path == "t1" for one in seen), 60)
        agents = node_processes.agents([pod["metadata"]["uid"] for pod in workers_of(warm)])
        if agents:
            for process, _ in agents:
                process.kill()
        else:
            # The node is another machine.
            for pod in workers_of(warm):
                path = f"/api/v1/namespaces/{warm.namespace}/pods/{pod['metadata']['name']}"
                warm.cluster.delete(path, grace_seconds=0)
        run = runs.finished(client, run_id)
        assert run.state == run_pb2.SUCCEEDED, run.error.message
        assert not told.twice()
        assert {one.path for one in told.attempts()} == {"t0", "t1", "t2"}


def two_seconds(told: Begun, path: str) -> list[str]:
    return ["sh", "-c", told.script(path, "sleep 2")]


def workers_of(warm: KubePenstock) -> list[Mapping[str, Any]]:
    return warm.cluster.items(f"/api/v1/namespaces/{warm.namespace}/pods", "penstock.dev/worker")
