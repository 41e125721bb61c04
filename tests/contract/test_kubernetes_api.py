"""The contract of an API server, on the simulated one, so that tests with it prove the same as tests on a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import aclosing

import pytest
from penstock_kube.config import load_cluster
from penstock_kube.errors import GoneError

from tests.support.exec_contract import ExecContract
from tests.support.kubernetes_contract import KubernetesContract, Place, config_map, fresh
from tools.sim_kube.process import Troublemaker, sim_kube


@pytest.fixture(scope="module")
def server() -> Iterator[Troublemaker]:
    with sim_kube("--latency", "0.2", "--bookmark-seconds", "1", "--namespace", "contract") as server:
        yield server


@pytest.fixture(scope="module")
def place(server: Troublemaker) -> Place:
    return Place(load_cluster(kubeconfig=str(server.kubeconfig)), "contract", "busybox")


class TestSimulatedServer(KubernetesContract, ExecContract):
    async def test_a_version_that_was_compacted(self, place: Place, server: Troublemaker) -> None:
        async with place.client() as client:
            path = place.path("configmaps")
            for number in range(3):
                await client.create(path, config_map(fresh(f"gone-{number}")))
            pages = client.pages(path, limit=2)
            version = (await pages.__anext__()).resource_version
            await client.create(path, config_map(fresh("gone")))
            server.control("compact")
            with pytest.raises(GoneError):
                await pages.__anext__()
            with pytest.raises(GoneError) as refused:
                async with aclosing(client.watch(path, resource_version=version, timeout_seconds=5)) as watch:
                    await watch.__anext__()
            assert refused.value.status == 410
