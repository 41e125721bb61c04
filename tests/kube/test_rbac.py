"""The executor with the rights of deploy/kustomize/tasks and no other: they are enough, and each is needed.

The executor logs in as a ServiceAccount of its own. Invariant: every verb of the Role is in `RIGHTS`, so a right that
nothing needs cannot get in unseen.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from penstock.client import Client
from penstock_api.v2beta1 import run_pb2

from tests.support import rights
from tools.cluster import Cluster
from tools.embedded import Embedded
from tools.kube_penstock import SECRET, KubePenstock, Surroundings, surroundings
from tools.testing import kube_specs, runs

_ACCOUNT = "penstock-executor"
OF_EVERY_TASK = [
    ("create", "pods"),
    ("delete", "pods"),
    ("get", "pods"),
    ("list", "pods"),
    ("watch", "pods"),
    ("get", "pods/log"),
    ("create", "configmaps"),
    ("get", "configmaps"),
]
OF_CLAIMS = [
    ("create", "persistentvolumeclaims"),
    ("get", "persistentvolumeclaims"),
    ("delete", "persistentvolumeclaims"),
]
OF_EVENTS = [("list", "events"), ("watch", "events")]
RIGHTS = [*OF_EVERY_TASK, *OF_CLAIMS, *OF_EVENTS, ("list", "persistentvolumeclaims"), ("get", "secrets")]


def test_every_right_is_known() -> None:
    assert rights.rights_in(rights.rules_of(_ACCOUNT)) == sorted(RIGHTS)


def test_the_role_is_enough(cluster: Cluster, tmp_path: Path) -> None:
    with restricted(cluster, tmp_path, None) as penstock, Client(penstock.up.grpc) as client:
        specs = [
            # More than a termination message holds: it is read from the log.
            kube_specs.shell("head -c 9000 /dev/zero | tr '\\0' x > /tmp/kfp/outputs/text", outputs=["text"]),
            kube_specs.container(
                ["sh", "-c", "echo made > {{$.outputs.artifacts['data'].path}}"], artifacts={"data": "system.Dataset"}
            ),
            claims(),
        ]
        for run_id in [runs.start(client, spec) for spec in specs]:
            run = runs.finished(client, run_id)
            assert run.state == run_pb2.SUCCEEDED, run.error.message
        cluster.until(lambda: cluster.pods(penstock.namespace), lambda pods: pods == [])
        log = penstock.up.log_file.read_text()
    assert "forbidden" not in log
    assert "lacks" not in log


@pytest.mark.parametrize(("verb", "resource"), OF_EVERY_TASK)
def test_one_right_less(cluster: Cluster, tmp_path: Path, verb: str, resource: str) -> None:
    with restricted(cluster, tmp_path, (verb, resource)) as penstock, Client(penstock.up.grpc) as client:
        error = failed(client, kube_specs.shell("true"), "only")
        assert f"lacks in namespace '{penstock.namespace}': {verb} {resource}" in error
        assert cluster.pods(penstock.namespace) == []


@pytest.mark.parametrize(("verb", "resource"), OF_EVENTS)
def test_one_right_of_events_less(cluster: Cluster, tmp_path: Path, verb: str, resource: str) -> None:
    """Tasks run, and whoever looks into the log knows why nothing is said of their nodes."""
    with restricted(cluster, tmp_path, (verb, resource)) as penstock, Client(penstock.up.grpc) as client:
        assert runs.finished(client, runs.start(client, kube_specs.shell("true"))).state == run_pb2.SUCCEEDED
        assert "the executor's Role lacks list, watch events" in penstock.up.log_file.read_text()


@pytest.mark.parametrize(("verb", "resource"), OF_CLAIMS)
def test_one_right_of_claims_less(cluster: Cluster, tmp_path: Path, verb: str, resource: str) -> None:
    with restricted(cluster, tmp_path, (verb, resource)) as penstock, Client(penstock.up.grpc) as client:
        task = "make" if verb == "create" else "remove"
        assert f'cannot {verb} resource "{resource}"' in failed(client, claims(), task)


def test_claims_cannot_be_listed(cluster: Cluster, tmp_path: Path) -> None:
    """Nothing fails, but nobody finds the workspaces that were left; so the log says it."""
    with restricted(cluster, tmp_path, ("list", "persistentvolumeclaims")) as penstock:
        logged(penstock, 'cannot list resource "persistentvolumeclaims"')


def test_secrets_cannot_be_read(cluster: Cluster, tmp_path: Path) -> None:
    """Agents get the keys from the kubelet all the same; the executor itself says what it cannot read."""
    with restricted(cluster, tmp_path, ("get", "secrets")) as penstock, Client(penstock.up.grpc) as client:
        run_id = runs.start(client, kube_specs.shell("true"))
        assert runs.finished(client, run_id).state == run_pb2.SUCCEEDED
        logged(penstock, 'cannot get resource "secrets"')


@contextmanager
def restricted(cluster: Cluster, directory: Path, without: tuple[str, str] | None) -> Iterator[KubePenstock]:
    """A Penstock that logs in with the manifests' Role, less one verb of one resource."""
    with cluster.namespace("penstock-rbac") as namespace:
        kubeconfig = rights.login(cluster, namespace, directory, _ACCOUNT, without)
        settings = {
            "KUBECONFIG": str(kubeconfig),
            "PENSTOCK_ORPHAN_INTERVAL": "1",
            "PENSTOCK_LOG_LEVEL": "warning",
        }
        with surroundings(cluster, directory / "data", namespace=namespace) as around:
            store_keys_from_a_secret(cluster, around)
            environment = {**around.environment, **settings}
            with Embedded(directory / "data", "--backend", "kubernetes", environment=environment) as up:
                yield KubePenstock(up, cluster, namespace, around.store)


def store_keys_from_a_secret(cluster: Cluster, around: Surroundings) -> None:
    """Settings of the namespace's store that name a Secret."""
    keys = {"secretName": SECRET, "accessKeyKey": "AWS_ACCESS_KEY_ID", "secretKeyKey": "AWS_SECRET_ACCESS_KEY"}
    settings = {"endpoint": around.endpoint, "region": "us-east-1", "forcePathStyle": True}
    default = {**settings, "credentials": {"fromEnv": False, "secretRef": keys}}
    cluster.create(
        f"/api/v1/namespaces/{around.namespace}/configmaps",
        {"metadata": {"name": "kfp-launcher"}, "data": {"providers": yaml.safe_dump({"s3": {"default": default}})}},
    )


def claims() -> dict[str, Any]:
    """Makes a claim and deletes it, as kfp-kubernetes says it."""
    package = kube_specs.chain({"make": ["true"], "remove": ["true"]})
    spec = package["pipeline_spec"]
    text = {"parameterType": "STRING"}
    given: dict[str, Any] = {
        "pvc_name_suffix": "-data", "access_modes": ["ReadWriteOnce"], "size": "1Mi",
        "storage_class_name": "nobody-provides-it"
    }  # fmt: skip
    spec["components"]["comp-make"] = {
        "executorLabel": "exec-make",
        "inputDefinitions": {"parameters": {**dict.fromkeys(given, text), "access_modes": {"parameterType": "LIST"}}},
        "outputDefinitions": {"parameters": {"name": text}},
    }
    spec["components"]["comp-remove"]["inputDefinitions"] = {"parameters": {"pvc_name": text}}
    tasks = spec["root"]["dag"]["tasks"]
    constants = {name: {"runtimeValue": {"constant": value}} for name, value in given.items()}
    tasks["make"]["inputs"] = {"parameters": constants}
    made = {"taskOutputParameter": {"producerTask": "make", "outputParameterKey": "name"}}
    tasks["remove"]["inputs"] = {"parameters": {"pvc_name": made}}
    for label, image in (("exec-make", "argostub/createpvc"), ("exec-remove", "argostub/deletepvc")):
        spec["deploymentSpec"]["executors"][label] = {"container": {"image": image}}
    return package


def failed(client: Client, spec: dict[str, Any], path: str) -> str:
    run_id = runs.start(client, spec)
    run = runs.finished(client, run_id)
    assert run.state == run_pb2.FAILED
    return str(runs.tasks(client, run_id)[path].error)


def logged(penstock: KubePenstock, text: str) -> None:
    penstock.cluster.until(penstock.up.log_file.read_text, lambda log: text in log)
