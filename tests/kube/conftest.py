"""A cluster, and a Penstock beside it whose tasks are Pods there: what the tests on Kubernetes share.

Invariants: every test session has namespaces of its own and leaves nothing behind; server and executor are processes of
this machine, the object store too, which Pods reach at the node's address.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from penstock.client import Client

from tools.cluster import Cluster
from tools.kube_penstock import KubePenstock, kube_penstock


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    if not os.environ.get("KUBECONFIG"):
        pytest.fail("KUBECONFIG: these tests need a cluster; run them with `make test-kube`")
    with Cluster() as made:
        yield made


@pytest.fixture(scope="session")
def kube(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubePenstock]:
    """A server and an executor, for all tests that leave them as they are."""
    with kube_penstock(cluster, tmp_path_factory.mktemp("kube")) as up:
        yield up


@pytest.fixture
def own_kube(cluster: Cluster, tmp_path: Path) -> Iterator[KubePenstock]:
    """A Penstock and a namespace of the test's own, to be broken."""
    with kube_penstock(cluster, tmp_path / "data") as up:
        yield up


@pytest.fixture
def kube_client(kube: KubePenstock) -> Iterator[Client]:
    with ExitStack() as stack:
        yield stack.enter_context(Client(kube.up.grpc))
