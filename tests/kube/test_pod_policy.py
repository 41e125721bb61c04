"""The policy of deploy/kustomize/components/executor-pods on a cluster: a run passes, a stolen token gets no further.

The executor logs in as a ServiceAccount of its own, which the policy is made to name. The namespace lets in privileged
Pods, so that what refuses one is the policy. Invariant: the policy is removed again, and is about that account alone.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from penstock.client import Client
from penstock_api.v2beta1 import run_pb2
from penstock_executor.backends.kubernetes.own_names import OWN_SERVICE_ACCOUNTS
from penstock_executor.backends.kubernetes.pod_spec import make_pod
from penstock_kube.errors import KubeError

from tests.support import rights
from tests.support.pod_policy import FORBIDDEN, documents, forbidden
from tests.support.pods import launch
from tools.cluster import Cluster
from tools.embedded import Embedded
from tools.kube_penstock import surroundings
from tools.testing import kube_specs, runs
from tools.testing.pod_settings import POLICY, SETTINGS, Store

_ACCOUNT = "penstock-executor"
_API = "/apis/admissionregistration.k8s.io/v1"
_PRIVILEGED = {"pod-security.kubernetes.io/enforce": "privileged"}


@dataclass(frozen=True, slots=True)
class Held:
    """A namespace in which the policy holds for `executor`, the login of an executor."""

    namespace: str
    kubeconfig: Path
    executor: Cluster

    def put(self, pod: dict[str, Any]) -> None:
        """As the executor, without keeping it. Raises KubeError."""
        path = f"/api/v1/namespaces/{self.namespace}/pods"
        self.executor.wait(self.executor.client.create(path, pod, dryRun="All"))


def task_pod(namespace: str) -> dict[str, Any]:
    return make_pod(replace(launch("true"), namespace=namespace), SETTINGS, POLICY, Store())


@contextmanager
def policy_for(cluster: Cluster, account: str, namespace: str) -> Iterator[None]:
    """The policy under a name of its own, about this account."""
    policy, binding = copy.deepcopy(documents())
    (condition,) = policy["spec"]["matchConditions"]
    user = f"system:serviceaccount:penstock:{_ACCOUNT}"
    assert user in condition["expression"]
    condition["expression"] = condition["expression"].replace(user, f"system:serviceaccount:{namespace}:{account}")
    name = f"penstock-test-{account}"
    policy["metadata"]["name"] = binding["metadata"]["name"] = binding["spec"]["policyName"] = name
    paths = (f"{_API}/validatingadmissionpolicies", f"{_API}/validatingadmissionpolicybindings")
    with ExitStack() as stack:
        for path, document in zip(paths, (policy, binding), strict=True):
            cluster.create(path, document)
            stack.callback(cluster.delete, f"{path}/{name}")
        yield


@pytest.fixture(scope="module")
def held(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Held]:
    with ExitStack() as stack:
        namespace = stack.enter_context(cluster.namespace("penstock-policy", _PRIVILEGED))
        kubeconfig = rights.login(cluster, namespace, tmp_path_factory.mktemp("policy"), _ACCOUNT, None)
        # A Pod of an account that does not exist is refused before any policy is asked.
        for account in OWN_SERVICE_ACCOUNTS:
            cluster.create(f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": account}})
        stack.enter_context(policy_for(cluster, kubeconfig.stem, namespace))
        executor = stack.enter_context(Cluster(str(kubeconfig)))
        made = Held(namespace, kubeconfig, executor)
        bad = forbidden(task_pod(namespace), "host network")
        # The API server compiles a new policy a moment after it was stored.
        cluster.until(lambda: refusal(made, bad), lambda text: text != "")
        yield made


def refusal(held: Held, pod: dict[str, Any]) -> str:
    """What the API server says; empty when it takes the Pod."""
    try:
        held.put(pod)
    except KubeError as error:
        return str(error)
    return ""


def test_the_policy_is_compiled_without_warnings(cluster: Cluster, held: Held) -> None:
    """The API server knows the types, so it tells of a field that there is not."""
    path = f"{_API}/validatingadmissionpolicies/penstock-test-{held.kubeconfig.stem}"
    found = cluster.until(
        lambda: cluster.get(path), lambda one: one is not None and "typeChecking" in one.get("status", {})
    )
    assert found is not None
    assert found["status"]["typeChecking"].get("expressionWarnings", []) == []


def test_a_tasks_pod_passes(held: Held) -> None:
    held.put(task_pod(held.namespace))


@pytest.mark.parametrize("change", FORBIDDEN)
def test_a_forbidden_pod_is_refused(held: Held, change: str) -> None:
    text = refusal(held, forbidden(task_pod(held.namespace), change))
    assert f"penstock-test-{held.kubeconfig.stem}" in text
    assert FORBIDDEN[change][1] in text


@pytest.mark.parametrize("change", ["host network", "host path", "privileged"])
def test_others_make_what_they_may(cluster: Cluster, held: Held, change: str) -> None:
    path, pod = f"/api/v1/namespaces/{held.namespace}/pods", forbidden(task_pod(held.namespace), change)
    cluster.wait(cluster.client.create(path, pod, dryRun="All"))


def test_a_run_passes(cluster: Cluster, held: Held, tmp_path: Path) -> None:
    with surroundings(cluster, tmp_path / "data", namespace=held.namespace) as around:
        environment = {**around.environment, "KUBECONFIG": str(held.kubeconfig)}
        with (
            Embedded(tmp_path / "data", "--backend", "kubernetes", environment=environment) as up,
            Client(up.grpc) as client,
        ):
            spec = kube_specs.container(
                ["sh", "-c", "echo made > {{$.outputs.artifacts['data'].path}}"], artifacts={"data": "system.Dataset"}
            )
            run = runs.finished(client, runs.start(client, spec))
            assert run.state == run_pb2.SUCCEEDED, run.error.message
