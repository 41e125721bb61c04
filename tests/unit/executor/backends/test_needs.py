"""Features that a backend of one machine lacks: plan and start report the same, before anything runs."""

from __future__ import annotations

from typing import Any

import pytest
from penstock_executor.backends.needs import unsupported
from penstock_ir.backend_limits import CONTAINER, KUBERNETES, LOCAL
from penstock_ir.compile import compile_pipeline
from penstock_ir.loader import document_from_json
from penstock_ir.plan import plan_pipeline

from tools.testing import kube_specs, specs
from tools.testing.launches import launches_of

CONSTANT = {"runtimeValue": {"constant": "name"}}
FROM_CLUSTER: dict[str, dict[str, Any]] = {
    "a Secret": {"secretAsVolume": [{"secretNameParameter": CONSTANT, "mountPath": "/s"}]},
    "a Secret of the cluster": {
        "secretAsEnv": [{"secretName": "s", "keyToEnv": [{"secretKey": "a", "envVar": "A"}]}],
    },
    "a ConfigMap": {"configMapAsVolume": [{"configMapName": "c", "mountPath": "/c"}]},
    "a ConfigMap of the cluster": {
        "configMapAsEnv": [{"configMapName": "c", "keyToEnv": [{"configMapKey": "a", "envVar": "A"}]}]
    },
    "init containers": {"initContainers": [{"name": "first", "image": "image"}]},
}
OF_A_POD: dict[str, dict[str, Any]] = {
    "mounts a volume": {"pvcMount": [{"pvcNameParameter": CONSTANT, "mountPath": "/d"}]},
    "mounts a volum": {"emptyDirMounts": [{"volumeName": "v", "mountPath": "/v"}]},
    "field of its Pod": {"fieldPathAsEnv": [{"name": "A", "fieldPath": "metadata.name"}]},
}
HARMLESS: list[dict[str, Any]] = [
    {},
    {"nodeSelector": {"labels": {"a": "b"}}},
    {"imagePullPolicy": "Always"},
    {"enabledSharedMemory": {"size": "1Gi"}},
    {"secretAsEnv": [{"secretName": "s", "optional": True, "keyToEnv": [{"secretKey": "a", "envVar": "A"}]}]},
    {"configMapAsVolume": [{"configMapName": "c", "mountPath": "/c", "optional": True}]},
]


def said(document: dict[str, Any], backend: str) -> str:
    """What is said at the start of the one task, after a look whether a plan says the same."""
    found = document_from_json(document)
    [launch] = launches_of(found, {})
    at_start = unsupported(launch, backend) or ""
    plan = plan_pipeline(compile_pipeline(found), {}, backends=[backend])
    assert [problem.message for problem in plan.problems] == ([at_start] if at_start else [])
    assert {problem.place for problem in plan.problems} <= {"deploymentSpec.executors.exec-only"}
    return at_start


def task(config: dict[str, Any], command: tuple[str, ...] = ("true",)) -> dict[str, Any]:
    return kube_specs.container(command, kubernetes=config)


@pytest.mark.parametrize("what", FROM_CLUSTER)
def test_what_only_a_cluster_has(what: str) -> None:
    document = task(FROM_CLUSTER[what])
    assert what in said(document, LOCAL)
    assert said(document, LOCAL).endswith("run it on Kubernetes")
    assert said(document, CONTAINER).endswith("in a container of this machine; run it on Kubernetes")
    assert said(document, KUBERNETES) == ""


@pytest.mark.parametrize("what", OF_A_POD)
def test_what_a_container_has_too(what: str) -> None:
    document = task(OF_A_POD[what])
    assert what in said(document, LOCAL)
    assert said(document, LOCAL).endswith("run it with `--backend container` or on Kubernetes")
    assert said(document, CONTAINER) == ""


@pytest.mark.parametrize("config", HARMLESS)
def test_what_every_place_can_do_or_leave_aside(config: dict[str, Any]) -> None:
    assert [said(task(config), backend) for backend in (LOCAL, CONTAINER, KUBERNETES)] == ["", "", ""]


def test_a_container_without_a_command() -> None:
    document = task({}, ())
    assert "names no command" in said(document, LOCAL)
    assert "`--backend container`" in said(document, LOCAL)
    assert "name the command in the component" in said(document, LOCAL)
    assert said(document, CONTAINER) == ""


@pytest.mark.parametrize("image", ["argostub/createpvc", "argostub/deletepvc"])
def test_tasks_that_make_claims(image: str) -> None:
    document = kube_specs.container((), image=image)
    assert "makes or deletes a volume claim" in said(document, LOCAL)
    assert said(document, CONTAINER) == ""


def test_a_plan_says_whose_image_is_left_aside() -> None:
    pipeline = compile_pipeline(document_from_json(task({})))
    notes = {backend: plan_pipeline(pipeline, {}, backends=[backend]).tasks[0].note for backend in (LOCAL, CONTAINER)}
    assert notes == {LOCAL: f"a process of this machine: the image {kube_specs.IMAGE} is not used", CONTAINER: ""}


def test_a_null_name_leaves_a_secret_out_of_the_plan() -> None:
    spec = specs.container(["true"])
    spec["root"]["inputDefinitions"] = {"parameters": {"s": {"parameterType": "STRING", "isOptional": True}}}
    entry = {"secretNameParameter": {"componentInputParameter": "s"}, "mountPath": "/s"}
    document = kube_specs.on_cluster(spec, kubernetes={"secretAsVolume": [entry]})
    pipeline = compile_pipeline(document_from_json(document))
    assert not plan_pipeline(pipeline, {"s": None}, backends=[LOCAL]).problems
    assert len(plan_pipeline(pipeline, {"s": "name"}, backends=[LOCAL]).problems) == 1
