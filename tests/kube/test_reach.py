"""What a pipeline's author and a task reach on a real cluster: nothing of the installation, of the agent, of others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf import json_format
from penstock.client import Client
from penstock_api.v2beta1 import run_pb2

from tools.cluster import Cluster
from tools.kube_penstock import BUCKET, SECRET, KubePenstock, kube_penstock
from tools.testing import kube_specs, runs


@pytest.fixture(scope="module")
def shared(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubePenstock]:
    """In a namespace whose Pods share their processes, as Pods with a model in an image do, and that lists Secrets."""
    data = {"podTemplate": "spec: {shareProcessNamespace: true}", "secrets": "team-*", "claims": "*"}
    with cluster.namespace("penstock-reach") as namespace:
        cluster.create(f"/api/v1/namespaces/{namespace}/configmaps", {"metadata": {"name": "penstock"}, "data": data})
        with kube_penstock(cluster, tmp_path_factory.mktemp("reach"), namespace=namespace) as up:
            yield up


def ended(penstock: KubePenstock, spec: dict[str, Any], account: str = "") -> tuple[Any, run_pb2.Run]:
    """The only task of the pipeline, and its run; `account` is the ServiceAccount that the run names."""
    request = run_pb2.CreateRunRequest()
    request.run.display_name, request.run.service_account = "reach", account
    request.run.options.infrastructure_retries = 0
    json_format.ParseDict(spec, request.run.pipeline_spec)
    with Client(penstock.up.grpc) as client:
        run_id = str(client.call(client.runs.CreateRun, request).run_id)
        run = runs.finished(client, run_id)
        return runs.tasks(client, run_id)["only"], run


def refused(penstock: KubePenstock, spec: dict[str, Any], account: str = "") -> str:
    task, run = ended(penstock, spec, account)
    assert run.state == run_pb2.FAILED and task.attempts == 1
    return str(task.error)


def secret(name: str) -> dict[str, Any]:
    return {"secretAsEnv": [{"secretName": name, "keyToEnv": [{"secretKey": "k", "envVar": "V"}]}]}


def test_the_installations_own_is_for_no_task(shared: KubePenstock) -> None:
    own = "is the installation's own, which no task may use"
    mounted = {"pvcMount": [{"constant": "penstock-data", "mountPath": "/d"}]}
    for settings in (secret(SECRET), mounted, {"podMetadata": {"labels": {"app.kubernetes.io/part-of": "penstock"}}}):
        assert own in refused(shared, kube_specs.shell("true", kubernetes=settings))
    assert own in refused(shared, kube_specs.shell("true"), "penstock-executor")
    assert "the list 'secrets'" in refused(shared, kube_specs.shell("true", kubernetes=secret("prod")))
    assert shared.cluster.pods(shared.namespace) == []


def test_a_claim_of_the_installation_is_not_deleted(shared: KubePenstock) -> None:
    path = f"/api/v1/namespaces/{shared.namespace}/persistentvolumeclaims"
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
    for name, words in (("penstock-data", "is the installation's own"), ("others", "the list 'deletableClaims'")):
        shared.cluster.create(path, {"metadata": {"name": name}, "spec": spec})
        package = kube_specs.shell("true", image="argostub/deletepvc")
        component = package["pipeline_spec"]["components"]["comp-only"]
        component["inputDefinitions"] = {"parameters": {"pvc_name": {"parameterType": "STRING"}}}
        package["pipeline_spec"]["root"]["dag"]["tasks"]["only"]["inputs"] = {
            "parameters": {"pvc_name": {"runtimeValue": {"constant": name}}}
        }
        assert words in refused(shared, package)
        assert shared.cluster.get(f"{path}/{name}") is not None


# Whoever may look at a process finds the agent's instructions in its environment, and beside them the store's keys.
LOOK = """
sleep 2
for place in /proc/[0-9]*; do
  case "$(tr '\\0' ' ' < $place/cmdline)" in
  "python -m penstock_executor.agent"*)
    echo agent >> /tmp/kfp/outputs/agents
    grep -q PENSTOCK_TASK_0 $place/environ && echo environ
    readlink $place/root && echo root
    head -c 1 $place/mem && echo mem
  esac
done > /tmp/kfp/outputs/seen 2> /dev/null
echo kept > "$0"
"""


def test_the_agents_environment_is_its_own(shared: KubePenstock) -> None:
    command = ["sh", "-c", LOOK, "{{$.outputs.artifacts['data'].path}}"]
    spec = kube_specs.container(command, outputs=["seen", "agents"])
    data = {"data": {"artifactType": {"schemaTitle": "system.Dataset", "schemaVersion": "0.0.1"}}}
    spec["pipeline_spec"]["components"]["comp-only"]["outputDefinitions"]["artifacts"] = data
    task, run = ended(shared, spec)
    assert run.state == run_pb2.SUCCEEDED, task.error
    assert task.outputs["agents"] == "agent\n", "the processes of the Pod are seen, the agent's among them"
    assert task.outputs["seen"] == ""


def test_a_message_leads_nowhere_else(shared: KubePenstock) -> None:
    """The program ends its wrapper, and leaves a message in its name that points to what the executor can read."""
    place = f"s3://{BUCKET}/elsewhere/result.json"
    (shared.store / "elsewhere").mkdir(exist_ok=True)
    result = {"exit": {"code": 0, "finished_at": 9 * 10**18}, "parameters": {"text": "read"}}
    (shared.store / "elsewhere" / "result.json").write_text(json.dumps(result))
    message = json.dumps({"stored": place, "bytes": 100})
    script = f"printf '%s' '{message}' > /dev/termination-log; kill -9 $PPID; sleep 60"
    task, run = ended(shared, kube_specs.shell(script, outputs=["text"]))
    assert run.state == run_pb2.FAILED
    assert f"the task's message names {place!r} as its result, which is not its place" in task.error
    forged = f"printf '%s' '{json.dumps(result)}' > /dev/termination-log; kill -9 $PPID; sleep 60"
    task, run = ended(shared, kube_specs.shell(forged, outputs=["text"]))
    assert run.state == run_pb2.SUCCEEDED, "what a task says of itself it may"
    assert task.outputs["text"] == "read"
    assert 0 <= run.finished_at.seconds - run.created_at.seconds < 600
