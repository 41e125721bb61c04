"""The contract of an API server on the cluster of KUBECONFIG: what the simulated server is measured against."""

from __future__ import annotations

import asyncio
import dataclasses
import ssl
import uuid
from collections.abc import Iterator
from contextlib import aclosing, suppress

import pytest
from penstock_kube import exec_stream
from penstock_kube.client import KubeClient
from penstock_kube.config import load_cluster
from penstock_kube.errors import GoneError, NotFoundError, ProgramFailedError, UnauthorizedError

from tests.support.exec_contract import ExecContract, pod_that_runs
from tests.support.kubernetes_contract import KubernetesContract, Place, watched


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    cluster = load_cluster()
    namespace = f"kube-client-{uuid.uuid4().hex[:8]}"
    place = Place(cluster, namespace, "busybox")

    async def set_up() -> None:
        async with place.client() as client:
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

    async def tear_down() -> None:
        async with place.client() as client:
            await client.delete(f"/api/v1/namespaces/{namespace}")

    # Loops of their own: the module's tests have one each.
    asyncio.run(set_up())
    yield place
    asyncio.run(tear_down())


class TestCluster(KubernetesContract, ExecContract):
    async def test_a_version_that_is_too_old(self, place: Place) -> None:
        """Of a kind that is new: an API server has nothing in memory of before. Else minutes pass until it forgets."""
        group = f"{place.namespace}.penstock.dev"
        kinds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        schema = {"openAPIV3Schema": {"type": "object"}}
        kind = {
            "metadata": {"name": f"things.{group}"},
            "spec": {
                "group": group,
                "scope": "Namespaced",
                "names": {"plural": "things", "kind": "Thing"},
                "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
            },
        }
        path = f"/apis/{group}/v1/namespaces/{place.namespace}/things"

        async with place.client() as client:
            await client.create(kinds, kind)
            try:
                while True:
                    with suppress(NotFoundError):
                        await client.get(path)
                        break
                    await asyncio.sleep(0.1)
                with pytest.raises(GoneError) as refused:
                    async with aclosing(client.watch(path, resource_version="1")) as watch:
                        await watch.__anext__()
                assert refused.value.status == 410
            finally:
                await client.delete(f"{kinds}/things.{group}")

    async def test_a_program_hears_that_its_caller_has_gone(self, place: Place) -> None:
        """By the end of its stdin; by that alone a worker's agent learns who is still connected."""
        async with place.client() as client, pod_that_runs(client, place) as pod:
            waits = ["sh", "-c", "echo begun; cat > /dev/null; touch /tmp/heard"]
            async with client.exec(place.namespace, pod, "main", waits) as stream:
                assert await stream.receive() == b"begun\n"
            heard = False
            while not heard:
                async with client.exec(place.namespace, pod, "main", ["test", "-e", "/tmp/heard"]) as stream:
                    with suppress(ProgramFailedError):
                        heard = await stream.receive() == b""

    async def test_pings_are_answered(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        """A connection without a word lasts for longer than it does without answers."""
        monkeypatch.setattr(exec_stream, "HEARTBEAT_SECONDS", 1.0)
        async with (
            place.client() as client,
            pod_that_runs(client, place) as pod,
            client.exec(place.namespace, pod, "main", ["sh", "-c", "sleep 5; echo there"]) as stream,
        ):
            assert await stream.receive() == b"there\n"

    async def test_a_stranger_is_refused(self, place: Place) -> None:
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
            async with KubeClient(stranger) as client:
                await client.get("/api/v1/namespaces/default/configmaps")
