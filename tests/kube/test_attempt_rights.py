"""An agent with the rights of its attempt alone, on a real cluster: Secrets come, are mounted, and go with their Pods.

The store with temporary credentials is a process of this machine before the tests' S3 server; the executor logs in with
the Roles of deploy/kustomize/tasks, that for these Secrets included.
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
from tests.support.role_store import ROLE, RoleStore, role_store
from tools.cluster import Cluster
from tools.embedded import Embedded
from tools.kube_penstock import KubePenstock, surroundings
from tools.object_stores import ObjectStore
from tools.testing import kube_specs, runs

_ACCOUNT, _SESSIONS = "penstock-executor", "penstock-executor-sessions"
RIGHTS = [("create", "secrets"), ("patch", "secrets")]


def test_every_right_is_known() -> None:
    assert rights.rights_in(rights.rules_of(_SESSIONS)) == RIGHTS


def test_artifacts_pass_with_keys_of_each_attempt(cluster: Cluster, tmp_path: Path) -> None:
    with restricted(cluster, tmp_path, None) as (penstock, roles), Client(penstock.up.grpc) as client:
        run_id = runs.start(client, kube_specs.passing("hello"))
        run = runs.finished(client, run_id)
        assert run.state == run_pb2.SUCCEEDED, run.error.message
        policies = [session.asked["Policy"] for session in roles.sessions.values()]
        names = {session.asked["RoleSessionName"] for session in roles.sessions.values()}
        assert len(policies) == len(names) == 2
        assert all(run_id in policy for policy in policies)
        assert sum(policy.count("/data") > 0 for policy in policies) == 1, "one reads what the other made"
        # The garbage collector of the cluster takes them with their Pods.
        cluster.until(lambda: session_secrets(penstock), lambda found: found == [])


@pytest.mark.parametrize("right", RIGHTS)
def test_one_right_less(cluster: Cluster, tmp_path: Path, right: tuple[str, str]) -> None:
    with restricted(cluster, tmp_path, right) as (penstock, _), Client(penstock.up.grpc) as client:
        run_id = runs.start(client, kube_specs.passing("hello"))
        assert runs.finished(client, run_id).state == run_pb2.FAILED
        error = runs.tasks(client, run_id)["make"].error
        assert error.startswith("providers.s3.default.assumeRole: ")
        assert f"lacks in namespace '{penstock.namespace}': {right[0]} secrets" in error
        assert cluster.pods(penstock.namespace) == []


@pytest.mark.timeout(900)
def test_renewed_keys_reach_the_agent(cluster: Cluster, tmp_path: Path) -> None:
    """Those that the Pod began with have ended long before its program does; the kubelet has to bring the others."""
    with restricted(cluster, tmp_path, None) as (penstock, roles), Client(penstock.up.grpc) as client:
        roles.seconds = 100
        run_id = runs.start(client, kube_specs.passing("hello", seconds=150))
        run = runs.finished(client, run_id, timeout=600)
        assert run.state == run_pb2.SUCCEEDED, run.error.message
        assert len(roles.sessions) > 4


def session_secrets(penstock: KubePenstock) -> list[str]:
    listed: Any = penstock.cluster.get(f"/api/v1/namespaces/{penstock.namespace}/secrets")
    names = (one["metadata"]["name"] for one in listed["items"])
    return [name for name in names if name.startswith("penstock-session-")]


@contextmanager
def restricted(
    cluster: Cluster, directory: Path, without: tuple[str, str] | None
) -> Iterator[tuple[KubePenstock, RoleStore]]:
    """A Penstock whose store names a role; its executor has the manifests' Roles, less one verb of one resource."""
    with cluster.namespace("penstock-places") as namespace:
        kubeconfig = rights.login(cluster, namespace, directory, _ACCOUNT, without, _SESSIONS)
        with surroundings(cluster, directory / "data", namespace=namespace) as around:
            access, secret = (around.environment[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))
            store = ObjectStore(around.endpoint, around.store.parent, access, secret)
            with role_store(store, cluster.node_address()) as roles:
                default = {
                    "endpoint": roles.endpoint,
                    "region": "us-east-1",
                    "credentials": {"fromEnv": True},
                    "assumeRole": {"roleArn": ROLE},
                }
                settings = yaml.safe_dump({"providers": {"s3": {"default": default}}})
                Path(around.environment["PENSTOCK_STORE_CONFIG"]).write_text(settings)
                environment = {**around.environment, "KUBECONFIG": str(kubeconfig)}
                with Embedded(directory / "data", "--backend", "kubernetes", environment=environment) as up:
                    yield KubePenstock(up, cluster, namespace, around.store), roles
