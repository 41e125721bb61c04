"""Every Kubernetes setting of a task in its Pod (executor.md §4); what the engine makes of them is in test_platform."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from penstock_executor.backends.kubernetes.errors import PodSpecError
from penstock_executor.backends.kubernetes.pod_spec import make_pod
from penstock_executor.backends.kubernetes.settings import CertificateBundle, NamespacePolicy
from penstock_executor.backends.kubernetes.task_store import TaskStore
from penstock_ir.artifact import Artifact
from penstock_store.providers import parse_file

from tests.support.pods import HARDENED, OUR_ENV, agent_of, launch, main_of, plain_pod, pod
from tools.testing.pod_settings import POLICY, SETTINGS


def made(policy: NamespacePolicy = POLICY, **platform: Any) -> dict[str, Any]:
    return pod(launch("true", kubernetes=platform), policy=policy)


def expected(**changes: Any) -> dict[str, Any]:
    """The plain Pod with fields of its spec set."""
    plain = plain_pod("true")
    plain["spec"].update(changes)
    return plain


SELECTOR = {"disk": "ssd"}
TOLERATIONS = [{"key": "k", "operator": "Exists"}]
AFFINITY = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "zone"}]}}


def test_scheduling() -> None:
    found = made(nodeSelector=SELECTOR, tolerations=TOLERATIONS, affinity=AFFINITY)
    assert found == expected(nodeSelector=SELECTOR, tolerations=TOLERATIONS, affinity=AFFINITY)


def test_pull_secrets_and_policy() -> None:
    policy = NamespacePolicy(image_pull_secrets=("ours", "both"))
    found = made(policy, imagePullSecrets=["both", "theirs"], imagePullPolicy="Never")
    assert found["spec"]["imagePullSecrets"] == [{"name": "ours"}, {"name": "both"}, {"name": "theirs"}]
    assert main_of(found)["imagePullPolicy"] == "Never"


def test_service_accounts() -> None:
    policy = NamespacePolicy(service_account="team")
    assert "serviceAccountName" not in made()["spec"]
    assert made(policy)["spec"]["serviceAccountName"] == "team"
    assert pod(launch("true", service_account="run"), policy=policy)["spec"]["serviceAccountName"] == "run"


def test_a_token_is_given_on_demand() -> None:
    found = made(annotations={"penstock.dev/service-account-token": "true"})
    assert found["spec"]["automountServiceAccountToken"] is True
    assert made(annotations={"penstock.dev/service-account-token": "yes"}) != found


@pytest.mark.parametrize(("seconds", "whole"), [(20.0, 20), (0.5, 1)])
def test_a_deadline(seconds: float, whole: int) -> None:
    assert pod(launch("true", deadline_seconds=seconds)) == expected(activeDeadlineSeconds=whole)


def test_labels_and_annotations() -> None:
    plain = plain_pod("true")["metadata"]
    found = made(labels={"team": "a"}, annotations={"note": "b", "sidecar.istio.io/inject": "true"})["metadata"]
    assert found["labels"] == {"team": "a", **plain["labels"]}
    assert found["annotations"] == {**plain["annotations"], "note": "b", "sidecar.istio.io/inject": "true"}


def test_variables_in_upstreams_order() -> None:
    secret = {"name": "S", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}
    node = {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}
    settings = replace(
        SETTINGS, proxy=(("http_proxy", "http://proxy"),), certificates=CertificateBundle("ca", "Secret", "pem")
    )
    task = launch("true", env=(("A", "cost: 5$"),), kubernetes={"env": [secret, node]}, artifacts={"m": "system.Model"})
    made = pod(task, settings)
    bundle = [
        {"name": name, "value": "/etc/penstock/certificates/ca.crt"}
        for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE")
    ]
    proxy = {"name": "http_proxy", "value": "http://proxy"}
    assert main_of(made)["env"] == [*OUR_ENV, *bundle, {"name": "A", "value": "cost: 5$$"}, proxy, secret, node]
    agent = agent_of(made)
    assert [*bundle, proxy] == agent["env"][1:5]
    mount = {"name": "penstock-certificates", "mountPath": "/etc/penstock/certificates", "readOnly": True}
    assert mount in agent["volumeMounts"] and mount in main_of(made)["volumeMounts"]
    source = {"secretName": "ca", "items": [{"key": "pem", "path": "ca.crt"}]}
    assert {"name": "penstock-certificates", "secret": source} in made["spec"]["volumes"]


def test_secrets_of_the_agent_are_the_agents() -> None:
    settings = replace(SETTINGS, agent_env_from_secret="keys")
    made = pod(launch("true", artifacts={"m": "system.Model"}), settings)
    assert agent_of(made)["envFrom"] == [{"secretRef": {"name": "keys"}}]
    assert "envFrom" not in main_of(made)
    assert not any("AWS" in entry["name"] for entry in main_of(made)["env"])


ROLE = {"roleArn": "arn:aws:iam::123456789012:role/tasks"}
REFERENCE = {"secretRef": {"secretName": "s", "accessKeyKey": "a", "secretKeyKey": "b"}}


@pytest.mark.parametrize("role", [None, ROLE])
@pytest.mark.parametrize("elsewhere", ["", "gs://models/x"])
def test_with_a_role_no_other_credentials_than_the_attempts(role: dict[str, str] | None, elsewhere: str) -> None:
    """The installation's Secret is only for places that have no role."""
    default = {"credentials": REFERENCE, **({"assumeRole": role} if role else {})}
    reads = {"x": [Artifact("a", "system.Model", elsewhere)]} if elsewhere else {}
    task = launch("true", artifacts={"m": "system.Model"}, reads=reads, pipeline_root="s3://bucket/root")
    store = TaskStore(parse_file(json.dumps({"providers": {"s3": {"default": default}}})), task)
    made = make_pod(task, replace(SETTINGS, agent_env_from_secret="keys"), POLICY, store)
    agent = agent_of(made)
    mount = {"name": "penstock-sessions", "mountPath": "/penstock/sessions", "readOnly": True}
    assert ("envFrom" in agent) is (role is None or bool(elsewhere))
    assert any("AWS" in entry["name"] or "KEY" in entry["name"] for entry in agent["env"]) is (role is None)
    assert (mount in agent["volumeMounts"]) is (role is not None)
    assert mount not in main_of(made)["volumeMounts"]
    assert "roleArn" not in json.dumps(made) and ROLE["roleArn"] not in json.dumps(made)


def test_no_task_uses_the_secret_of_an_attempt() -> None:
    """Whatever --own-secrets says."""
    settings = replace(SETTINGS, own=replace(SETTINGS.own, secrets=()))
    reference = {"secretKeyRef": {"name": "penstock-session-other", "key": "k"}}
    with pytest.raises(PodSpecError, match="is the installation's own"):
        pod(launch("true", kubernetes={"env": [{"name": "V", "valueFrom": reference}]}), settings)


def test_resources_and_accelerators() -> None:
    resources = {
        "resourceCpuRequest": "500m",
        "resourceMemoryLimit": "2Gi",
        "cpuLimit": 2,
        "memoryLimit": 1.5,
        "memoryRequest": 1,
        "accelerator": {"resourceType": "nvidia.com/gpu", "resourceCount": "2"},
    }
    assert main_of(pod(launch("true", resources=resources)))["resources"] == {
        "limits": {"cpu": "2", "memory": "2Gi", "nvidia.com/gpu": "2"},
        "requests": {"cpu": "500m", "memory": "1G"},
    }


def test_volumes_of_the_pipeline() -> None:
    shared = {"name": "s", "secret": {"secretName": "s", "optional": False}}
    own = {"name": "scratch", "emptyDir": {}}
    mounts = [{"name": "s", "mountPath": "/s"}, {"name": "scratch", "mountPath": "/dev/shm"}]
    found = made(volumes=[shared], volumeMounts=mounts[:1], ownVolumes=[own], ownVolumeMounts=mounts[1:])
    plain = plain_pod("true")
    assert found["spec"]["volumes"] == [*plain["spec"]["volumes"], shared, own]
    assert main_of(found)["volumeMounts"] == [*main_of(plain)["volumeMounts"], *mounts]


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        (["/s3"], "/s3 is where Penstock keeps a task's files; mount 'v' elsewhere"),
        (["/penstock"], "/penstock is where Penstock"),
        (["/penstock/bin/x"], "/penstock/bin/x is where Penstock"),
        (["/data", "/data"], "two volumes are mounted at /data"),
    ],
)
def test_mounts_that_are_in_the_way(paths: list[str], words: str) -> None:
    with pytest.raises(PodSpecError) as error:
        made(volumeMounts=[{"name": "v", "mountPath": path} for path in paths])
    assert words in str(error.value)


def test_mounts_within_the_workspace() -> None:
    mounts = [{"name": "v", "mountPath": "/kfp-workspace/x"}]
    assert mounts[0] in main_of(made(volumeMounts=mounts))["volumeMounts"]
    with pytest.raises(PodSpecError, match="/kfp-workspace/x lies in the run's workspace"):
        made(volumeMounts=mounts, workspace={"claimName": "c", "spec": {}})


def test_init_containers_are_hardened_and_literal() -> None:
    found = made(
        initContainers=[
            {"name": "a", "image": "busybox", "args": ["$X $(A)"], "env": [{"name": "A", "value": "$(B)"}]},
            {"name": "b", "image": "busybox", "restartPolicy": "Always"},
        ]
    )
    assert found["metadata"]["annotations"]["eks.amazonaws.com/skip-containers"] == "main,a,b"
    assert found["spec"]["initContainers"] == [
        {
            "name": "a",
            "image": "busybox",
            "args": ["$$X $(A)"],
            "env": [{"name": "A", "value": "$$(B)"}],
            "securityContext": HARDENED,
        },
        {"name": "b", "image": "busybox", "restartPolicy": "Always", "securityContext": HARDENED},
    ]


IMAGE_USER = NamespacePolicy(security="image-user")


@pytest.mark.parametrize(
    ("policy", "wanted", "context"),
    [
        (POLICY, {}, {"runAsNonRoot": True}),
        (POLICY, {"runAsUser": 65534, "runAsGroup": 0}, {"runAsUser": 65534, "runAsGroup": 0, "runAsNonRoot": True}),
        (POLICY, {"runAsNonRoot": False}, {"runAsNonRoot": True}),
        (IMAGE_USER, {}, {}),
        (IMAGE_USER, {"runAsUser": 0}, {"runAsUser": 0}),
        (IMAGE_USER, {"runAsNonRoot": True}, {"runAsNonRoot": True}),
        (IMAGE_USER, {"runAsNonRoot": False}, {"runAsNonRoot": False}),
    ],
)
def test_users(policy: NamespacePolicy, wanted: dict[str, Any], context: dict[str, Any]) -> None:
    found = pod(launch("true", kubernetes={"securityContext": wanted}, artifacts={"m": "system.Model"}), policy=policy)
    assert main_of(found)["securityContext"] == {**HARDENED, **context}
    agent = {"runAsNonRoot": True, "runAsUser": 1000, "runAsGroup": 0}
    assert agent_of(found)["securityContext"] == {**HARDENED, **agent}
    everybody = {
        "fsGroup": 0,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    restricted = policy.security == "restricted"
    assert found["spec"]["securityContext"] == {**everybody, **(agent if restricted else {})}


@pytest.mark.parametrize(
    ("policy", "wanted"), [(POLICY, {"runAsUser": 0}), (IMAGE_USER, {"runAsUser": 0, "runAsNonRoot": True})]
)
def test_root_where_nobody_may_be(policy: NamespacePolicy, wanted: dict[str, Any]) -> None:
    with pytest.raises(PodSpecError, match="the task asks for user 0, but has to run as another"):
        made(policy, securityContext=wanted)
