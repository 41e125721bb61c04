"""Fake nodes: Pods bound to them run and succeed, other Pods are not affected, and nothing is left afterwards."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tools.cluster import Cluster
from tools.kwok import LABEL, FakeNodes, kwok

MESSAGE = '{"exit": {"code": 0}}'


@pytest.fixture(scope="module")
def with_nodes() -> Iterator[tuple[Cluster, FakeNodes, str]]:
    if not os.environ.get("KUBECONFIG"):
        pytest.fail("KUBECONFIG: these tests need a cluster; run them with `make test-kube`")
    with Cluster() as made, made.namespace("kwok", {}) as namespace:
        with kwok(made, nodes=2, message=MESSAGE) as nodes:
            yield made, nodes, namespace
        left = {node["metadata"]["name"] for node in made.items("/api/v1/nodes")}
        assert not left & set(nodes.names)


@pytest.mark.parametrize("how", ["bound", "scheduled"])
def test_a_pod_runs_and_succeeds(with_nodes: tuple[Cluster, FakeNodes, str], how: str) -> None:
    cluster, nodes, namespace = with_nodes
    spec = nodes.bound(1) if how == "bound" else nodes.pod_spec
    path = f"/api/v1/namespaces/{namespace}/pods"
    containers = [{"name": "main", "image": "nowhere.invalid/none"}, {"name": "agent", "image": "nowhere.invalid/none"}]
    document = {"metadata": {"name": how}, "spec": {"restartPolicy": "Never", **spec, "containers": containers}}
    cluster.create(path, document)

    def has_ended() -> bool:
        pod = cluster.get(f"{path}/{how}")
        return pod is not None and pod["status"]["phase"] == "Succeeded"

    cluster.until(has_ended, bool)
    pod = cluster.get(f"{path}/{how}")
    assert pod is not None and pod["spec"]["nodeName"] in nodes.names
    ends = {one["name"]: one["state"]["terminated"] for one in pod["status"]["containerStatuses"]}
    assert (ends["main"]["exitCode"], ends["main"]["message"]) == (0, MESSAGE)
    assert ends["agent"].get("message", "") == ""
    cluster.delete(f"{path}/{how}")
    cluster.until(lambda: cluster.get(f"{path}/{how}"), lambda left: left is None)


def test_real_nodes_are_left_alone(with_nodes: tuple[Cluster, FakeNodes, str]) -> None:
    cluster, nodes, _ = with_nodes
    real = [node for node in cluster.items("/api/v1/nodes") if node["metadata"]["name"] not in nodes.names]
    assert real
    for node in real:
        assert LABEL not in node["metadata"]["labels"]
        assert not any(taint["key"] == LABEL for taint in node["spec"].get("taints", []))
        conditions = {one["type"]: one["status"] for one in node["status"]["conditions"]}
        assert conditions["Ready"] == "True"
