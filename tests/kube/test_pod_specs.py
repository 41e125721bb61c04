"""Pods and claims are put to a real API server, which checks them and keeps none.

What is checked: its schema, its validation, and the Pod Security admission of a namespace that lets in nothing but
`restricted`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from penstock_executor.attempts import TaskLaunch
from penstock_executor.backends.kubernetes.claims import (
    claim_to_create,
    claim_to_delete,
    is_claim_task,
    workspace_claim,
)
from penstock_executor.backends.kubernetes.pod_spec import make_pod
from penstock_executor.backends.kubernetes.settings import (
    ArtifactsClaim,
    CertificateBundle,
    NamespacePolicy,
    PodSettings,
)
from penstock_ir.artifact import Artifact
from penstock_ir.loader import parse_package
from penstock_kube.errors import KubeError

from tests.support.kubernetes_settings import resolved
from tests.support.pods import launch
from tools.cluster import Cluster
from tools.testing.launches import launches_of
from tools.testing.pod_settings import POLICY, SETTINGS, Store

PIPELINES = Path(__file__).resolve().parents[1] / "pipelines"
INDEX = json.loads((PIPELINES / "index.json").read_text())["pipelines"]
DATA = Artifact("d", "system.Dataset", "gs://lake/data")
MODEL = Artifact("m", "system.Model", "oci://registry/team/model:1")


@pytest.fixture(scope="module")
def restricted(cluster: Cluster) -> Iterator[str]:
    with cluster.namespace("podspec") as name:
        yield name


@pytest.fixture(scope="module")
def open_to_root(cluster: Cluster) -> Iterator[str]:
    with cluster.namespace("podspec-open", {"pod-security.kubernetes.io/enforce": "baseline"}) as name:
        yield name


def accepted(cluster: Cluster, namespace: str, made: dict[str, Any], kind: str = "pods") -> dict[str, Any]:
    """As the API server would store it, which must be what was sent and defaults. Raises KubeError."""
    path = f"/api/v1/namespaces/{namespace}/{kind}"
    stored = cluster.wait(cluster.client.create(path, made, dryRun="All", fieldValidation="Strict"))
    missing = dict(_missing(made, stored, ""))
    assert not missing
    return stored


def _missing(sent: Any, stored: Any, place: str) -> Iterator[tuple[str, Any]]:
    """What is in `sent` and not in `stored`."""
    if isinstance(sent, dict) and isinstance(stored, dict):
        for key, value in sent.items():
            # The API server leaves out what is false or empty.
            if key in stored or value not in (False, "", {}, []):
                yield from _missing(value, stored.get(key), f"{place}.{key}")
    elif isinstance(sent, list) and isinstance(stored, list):
        if len(sent) > len(stored):
            yield place, sent
        for index, value in enumerate(sent):
            # Admission puts volumes and tolerations of its own at the end.
            yield from _missing(value, stored[index] if index < len(stored) else None, f"{place}[{index}]")
    elif sent != stored and not place.endswith(("cpu", "memory")):
        yield place, sent


def put(
    cluster: Cluster,
    namespace: str,
    task: TaskLaunch,
    settings: PodSettings = SETTINGS,
    policy: NamespacePolicy = POLICY,
) -> dict[str, Any]:
    made = make_pod(replace(task, namespace=namespace), settings, policy, Store())
    return accepted(cluster, namespace, made)


@pytest.mark.parametrize("entry", INDEX, ids=lambda entry: entry["name"])
def test_every_task_of_our_own_pipelines(cluster: Cluster, restricted: str, entry: dict[str, Any]) -> None:
    document = parse_package((PIPELINES / entry["file"]).read_bytes())
    launched = 0
    for task in launches_of(document, entry["parameters"], namespace=restricted):
        put(cluster, restricted, task)
        launched += 1
        if "workspace" in task.kubernetes:
            accepted(cluster, restricted, workspace_claim(task, "here"), "persistentvolumeclaims")
        if launched == 20:
            break
    assert launched or entry["expected_state"] == "FAILED" or "empty" in entry["name"]


SELECTOR = {"key": "zone", "operator": "In", "values": ["a"]}
EVERYTHING: dict[str, Any] = {
    "secretAsVolume": [
        {"secretName": "registry.example.com", "mountPath": "/s1", "optional": True},
        {"secretName": "registry.example.com", "mountPath": "/s2"},
        {"secretName": "same", "mountPath": "/s3-secret"},
    ],
    "configMapAsVolume": [{"configMapName": "same", "mountPath": "/c1", "optional": True}],
    "secretAsEnv": [{"secretName": "s", "keyToEnv": [{"secretKey": "k.e-y", "envVar": "S"}], "optional": True}],
    "configMapAsEnv": [{"configMapName": "c", "keyToEnv": [{"configMapKey": "k", "envVar": "C"}]}],
    "pvcMount": [
        {"constant": "my-data", "mountPath": "/d1", "subPath": "a/b"},
        {"constant": "my-data", "mountPath": "relative"},
        {"constant": "penstock", "mountPath": "/d3"},
        {"constant": "data.with.dots-" + "x" * 100, "mountPath": "/d4"},
    ],
    "nodeSelector": {"labels": {"kubernetes.io/arch": "amd64"}},
    "podMetadata": {"labels": {"team": "a"}, "annotations": {"note": "ünïcode\n"}},
    "imagePullSecret": [{"secretName": "pull"}],
    "imagePullPolicy": "IfNotPresent",
    "activeDeadlineSeconds": "3600",
    "fieldPathAsEnv": [{"name": "NODE", "fieldPath": "spec.nodeName"}],
    "tolerations": [
        {"key": "k", "operator": "Equal", "value": "v", "effect": "NoSchedule"},
        {"key": "example.com/slow", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": "30"},
    ],
    "genericEphemeralVolume": [
        {
            "volumeName": "own",
            "mountPath": "/own",
            "accessModes": ["ReadWriteOnce"],
            "size": "1Gi",
            "defaultStorageClass": True,
            "metadata": {"labels": {"a": "b"}},
        },
        {
            "volumeName": "named",
            "mountPath": "/named",
            "accessModes": ["ReadWriteOncePod"],
            "size": "1Gi",
            "storageClassName": "standard",
        },
    ],
    "nodeAffinity": [
        {"matchExpressions": [SELECTOR, {"key": "gpu", "operator": "Exists"}]},
        {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n"]}], "weight": 3},
    ],
    "podAffinity": [
        {"matchPodLabels": {"a": "b"}, "topologyKey": "zone", "namespaces": ["n"], "weight": 9},
        {"matchPodExpressions": [SELECTOR], "matchNamespaceLabels": {"c": "d"}, "topologyKey": "host", "anti": True},
    ],
    "enabledSharedMemory": {"volumeName": "shm", "size": "64Mi"},
    "emptyDirMounts": [
        {"volumeName": "scratch", "mountPath": "/scratch", "medium": "Memory", "sizeLimit": "1Gi"},
        {"volumeName": "penstock", "mountPath": "/more"},
    ],
    "securityContext": {"runAsUser": "65534", "runAsGroup": "0"},
    "initContainers": [
        {
            "name": "prepare",
            "image": "busybox:1.36",
            "command": ["sh", "-c", "echo $HOME $(A) > /there/mark"],
            "env": [{"name": "A", "value": "1"}],
            "volumeMounts": [{"volumeName": "scratch", "mountPath": "/there"}],
            "resources": {"requests": {"cpu": "10m"}, "limits": {"memory": "16Mi"}},
        },
        {"name": "beside", "image": "busybox:1.36", "args": ["sleep", "1"], "restartPolicy": "Always"},
    ],
}


# Without this list a task's affinity is about its own namespace alone.
LISTS = replace(POLICY, allowed={"affinityNamespaces": ("*",)})


def test_every_kubernetes_setting_at_once(cluster: Cluster, restricted: str) -> None:
    task = launch("true", kubernetes=resolved(EVERYTHING), artifacts={"m": "system.Model"}, reads={"d": [DATA]})
    put(cluster, restricted, task, policy=LISTS)


@pytest.mark.parametrize("field", EVERYTHING)
def test_every_kubernetes_setting_alone(cluster: Cluster, restricted: str, field: str) -> None:
    config = {field: EVERYTHING[field]}
    if field == "initContainers":
        config["emptyDirMounts"] = EVERYTHING["emptyDirMounts"]
    put(cluster, restricted, launch("true", kubernetes=resolved(config)), policy=LISTS)


HOSTILE = ["$HOME $(KFP_POD_NAME) $$(X)", "quote ' \" \\ \n \t line", "ünïcödé 🌍", "\x01\x1b[0m", "", "x" * 131_071]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_any_text(cluster: Cluster, restricted: str, text: str) -> None:
    task = launch("echo", text, env=(("A", text[:1000]),), inputs={"x": text[:1000]}, run_display_name=text[:1000])
    put(cluster, restricted, replace(task, args=("{{$}}",)))


RESOURCES = {
    "resourceCpuRequest": "500m",
    "resourceMemoryLimit": "2Gi",
    "cpuLimit": 0.75,
    "memoryRequest": 1.5,
    "accelerator": {"resourceType": "nvidia.com/gpu", "resourceCount": "1"},
}
TASKS = {
    "parameters": launch("true", outputs=["a", "b"]),
    "artifacts": launch("true", artifacts={"m": "system.Model"}, reads={"d": [DATA]}),
    "entrypoint": launch(args=["--x"]),
    "entrypoint with outputs": launch(args=["--x"], outputs=["a"], artifacts={"m": "system.Model"}),
    "entrypoint with inputs": launch(reads={"d": [DATA]}),
    "models": launch("true", reads={"m": [MODEL]}),
    "models around an entrypoint": launch(reads={"m": [MODEL], "d": [DATA]}, outputs=["a"]),
    "resources": launch("true", resources=RESOURCES),
    "deadline": launch("true", deadline_seconds=0.1),
    "account": launch("true", service_account="pipeline-runner"),
    "large": launch(*["true", *["x" * 100_000] * 9]),
    "many inputs": launch("true", reads={"d": [replace(DATA, uri=f"{DATA.uri}/{'é' * 300}{n}") for n in range(300)]}),
    "unknown root": launch("true", outputs=["a"], task_root="mem://nowhere"),
}
PLACES = {
    "plain": SETTINGS,
    "everything": replace(
        SETTINGS,
        architecture="mixed",
        certificates=CertificateBundle("ca"),
        proxy=(("http_proxy", "http://proxy:3128"), ("no_proxy", ".svc,10.0.0.0/8")),
        agent_env_from_secret="keys",
        artifacts_claim=ArtifactsClaim("artifacts", "/data"),
        fs_group=2000,
    ),
}
TEMPLATE = yaml.safe_load(
    """
metadata: {labels: {cost-center: "7"}, annotations: {cluster-autoscaler.kubernetes.io/safe-to-evict: "false"}}
spec:
  nodeSelector: {pool: tasks}
  tolerations: [{key: tasks, operator: Exists}]
  dnsConfig: {options: [{name: ndots, value: "1"}]}
  volumes: [{name: extra, emptyDir: {}}]
  containers:
  - {name: main, volumeMounts: [{name: extra, mountPath: /extra}], resources: {requests: {cpu: 10m}}}
  - {name: agent, resources: {limits: {memory: 1Gi}}}
"""
)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("place", PLACES)
def test_every_shape(cluster: Cluster, restricted: str, task: str, place: str) -> None:
    put(cluster, restricted, TASKS[task], PLACES[place])
    policy = NamespacePolicy(pod_template=TEMPLATE, image_pull_secrets=("pull",), service_account="default")
    put(cluster, restricted, TASKS[task], PLACES[place], policy)


def test_artifacts_in_files(cluster: Cluster, restricted: str) -> None:
    task = launch("true", artifacts={"m": "system.Model"}, task_root="file:///data/a b/ü")
    put(cluster, restricted, task, PLACES["everything"])


@pytest.mark.parametrize("user", [None, "0"])
def test_a_namespace_that_leaves_the_user_to_the_image(cluster: Cluster, open_to_root: str, user: str | None) -> None:
    context = {} if user is None else {"securityContext": {"runAsUser": user}}
    task = launch("true", kubernetes=resolved(context), artifacts={"m": "system.Model"})
    put(cluster, open_to_root, task, policy=NamespacePolicy(security="image-user"))


def test_the_namespace_does_refuse(cluster: Cluster, restricted: str) -> None:
    """So that what the others are accepted by is known to be there."""
    with pytest.raises(KubeError, match="PodSecurity"):
        put(cluster, restricted, launch("true"), policy=NamespacePolicy(security="image-user"))


PLAIN = {"access_modes": ["ReadWriteOnce"], "size": "1Gi"}


@pytest.mark.parametrize(
    "inputs",
    [
        {"pvc_name": "data"},
        {"pvc_name_suffix": "-cache"},
        {"storage_class_name": "fast"},
        {"storage_class_name": "", "volume_name": "pv"},
        {"annotations": {"a": "b"}, "data_source": {"kind": "PersistentVolumeClaim", "name": "other"}},
    ],
)
def test_claims(cluster: Cluster, restricted: str, inputs: dict[str, Any]) -> None:
    task = launch(image="argostub/createpvc", inputs={**PLAIN, **inputs})
    assert is_claim_task(task) and claim_to_delete(task) is None
    accepted(cluster, restricted, claim_to_create(task, "here"), "persistentvolumeclaims")
