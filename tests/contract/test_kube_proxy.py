"""The fault-injecting proxy: without faults it changes nothing, with faults it injects those that are set."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import aclosing

import pytest
from penstock_kube.config import load_cluster
from penstock_kube.errors import ConflictError, UnavailableError

from tests.support.exec_contract import ExecContract, pod_that_runs
from tests.support.kubernetes_contract import KubernetesContract, Place, config_map, fresh
from tools.kube_proxy import kube_proxy
from tools.sim_kube.process import Troublemaker, sim_kube


@pytest.fixture(scope="module")
def proxy() -> Iterator[Troublemaker]:
    with (
        sim_kube("--latency", "0.2", "--bookmark-seconds", "1", "--namespace", "contract") as server,
        kube_proxy(str(server.kubeconfig)) as proxy,
    ):
        yield proxy


@pytest.fixture
def place(proxy: Troublemaker) -> Iterator[Place]:
    yield Place(load_cluster(kubeconfig=str(proxy.kubeconfig)), "contract", "busybox")
    proxy.control("faults", [])


class TestProxy(KubernetesContract, ExecContract):
    async def test_faults_befall_what_they_name(self, place: Place, proxy: Troublemaker) -> None:
        async with place.client() as client:
            path = place.path("configmaps")
            proxy.control("faults", [{"action": "status", "status": 409, "method": "POST", "times": 1}])
            with pytest.raises(ConflictError):
                await client.create(path, config_map(fresh("fault")))
            proxy.control("faults", [{"action": "drop-after", "method": "POST", "times": 1}])
            name = fresh("fault")
            with pytest.raises(UnavailableError) as lost:
                await client.create(path, config_map(name))
            assert lost.value.ambiguous
            assert (await client.get(f"{path}/{name}"))["metadata"]["name"] == name
        assert {"status 409", "drop-after"} <= set(proxy.stats()["met"])

    @pytest.mark.parametrize("how", ["cut", "fault"])
    async def test_a_watch_breaks_off(self, place: Place, proxy: Troublemaker, how: str) -> None:
        async with place.client() as client:
            path = place.path("configmaps")
            await client.create(path, config_map(fresh("cut")))
            if how == "fault":
                proxy.control("faults", [{"action": "drop-after", "path": "watch=1", "times": 1}])
            with pytest.raises(UnavailableError):
                async with aclosing(client.watch(path, resource_version="0", timeout_seconds=60)) as watch:
                    async for _ in watch:
                        if how == "cut":
                            proxy.control("cut")

    async def test_a_program_is_cut_off(self, place: Place, proxy: Troublemaker) -> None:
        async with (
            place.client() as client,
            pod_that_runs(client, place) as pod,
            client.exec(place.namespace, pod, "main", ["cat"]) as stream,
        ):
            await stream.send(b"here")
            assert await stream.receive() == b"here"
            proxy.control("cut")
            with pytest.raises(UnavailableError):
                await stream.receive()
