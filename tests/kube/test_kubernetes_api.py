"""The contract of an API server on the cluster of KUBECONFIG: what the simulated server is measured against."""

from __future__ import annotations

import asyncio
import dataclasses
import ssl
import uuid
from collections.abc import Iterator
from contextlib import aclosing

import pytest
from penstock_kube.client import KubeClient
from penstock_kube.config import Cluster, load_cluster
from penstock_kube.errors import GoneError, UnauthorizedError

from tests.support.kubernetes_contract import KubernetesContract, Place, watched


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    cluster = load_cluster()
    namespace = f"kube-client-{uuid.uuid4().hex[:8]}"
    place = Place(cluster, namespace, "busybox")

    async def set_up(client: KubeClient) -> None:
        await client.create("/api/v1/namespaces", {"metadata": {"name": namespace}})
        # Pods are refused until the controller has made it.
        accounts = place.path("serviceaccounts")
        listed = await client.list_all(accounts)
        if not any(item["metadata"]["name"] == "default" for item in listed.items):
            await watched(
                client,
                accounts,
                listed.resource_version,
                lambda event: event["object"]["metadata"]["name"] == "default",
            )

    async def tear_down(client: KubeClient) -> None:
        await client.delete(f"/api/v1/namespaces/{namespace}")

    place.run(set_up)
    yield place
    place.run(tear_down)


class TestCluster(KubernetesContract):
    def test_a_version_that_is_too_old(self, place: Place) -> None:
        """Older than what any API server has in memory. Until it removes one from its database minutes pass."""

        async def use(client: KubeClient) -> None:
            with pytest.raises(GoneError) as refused:
                async with aclosing(client.watch(place.path("configmaps"), resource_version="1")) as watch:
                    await watch.__anext__()
            assert refused.value.status == 410

        place.run(use)

    def test_a_stranger_is_refused(self, place: Place) -> None:
        cluster = place.cluster
        assert cluster.ssl is not None
        context = ssl.create_default_context(
            cadata="".join(map(ssl.DER_cert_to_PEM_cert, cluster.ssl.get_ca_certs(binary_form=True)))
        )
        context.verify_flags = cluster.ssl.verify_flags
        stranger = dataclasses.replace(
            cluster, ssl=context, headers=lambda: {"Authorization": "Bearer nobody"}, reload=None
        )
        with pytest.raises(UnauthorizedError):
            asyncio.run(_look(stranger))


async def _look(cluster: Cluster) -> None:
    async with KubeClient(cluster) as client:
        await client.get("/api/v1/namespaces/default/configmaps")
