"""The Kubernetes backend on a simulated API server, and what it said."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from penstock_executor.agent.protocol import AttemptResult, ProcessExit
from penstock_executor.attempts import AttemptKey, BackendEvent, TaskLaunch, TaskOutcome, TaskWaiting
from penstock_executor.backends.kubernetes.backend import KubernetesBackend
from penstock_executor.backends.kubernetes.backend_settings import BackendSettings
from penstock_executor.backends.kubernetes.build import Dependencies, kubernetes_backend
from penstock_executor.backends.kubernetes.settings import PodSettings
from penstock_executor.backends.kubernetes.wrapper import wrapper_config_map
from penstock_executor.engine.names import pod_name
from penstock_kube.client import KubeClient
from penstock_kube.config import Cluster
from penstock_store.config import StoreConfig
from penstock_store.files import FileArtifactStore

from tests.support.held_runs import Runs
from tools.sim_kube.node import Latency
from tools.sim_kube.outcome import Outcome
from tools.sim_kube.server import SimKube

RUN = "6c2a7b5e-0000-4000-8000-000000000001"


def well(**parameters: str) -> str:
    return AttemptResult(exit=ProcessExit(0, started_at=1, finished_at=2), parameters=parameters).to_json()


class Bench:
    """A simulated cluster, a backend on it, and what the backend said."""

    def __init__(self, kube: SimKube, directory: Path) -> None:
        self.kube = kube
        self.directory = directory
        self.runs = Runs()
        self.events: list[BackendEvent] = []
        self._heard = asyncio.Event()
        self.client = KubeClient(Cluster(kube.url, None, dict, "default"), deadline=2.0)

    async def backend(
        self, stores: StoreConfig | None = None, environ: Mapping[str, str] | None = None, **settings: Any
    ) -> KubernetesBackend:
        """`stores` instead of files in the directory, `environ` with their credentials."""
        pods = PodSettings(
            agent_image="agent", instance="here", wrapper_config_map=str(wrapper_config_map()["metadata"]["name"])
        )
        stores = stores or StoreConfig(default_root=self.directory.as_uri())
        dependencies = Dependencies(self.client, stores, environ or {}, FileArtifactStore(self.directory))
        made = kubernetes_backend(dependencies, BackendSettings(pods=pods, **settings), 1000.0)
        await made.start(self._deliver, self.runs)
        return made

    def _deliver(self, event: BackendEvent) -> None:
        self.events.append(event)
        self._heard.set()

    async def outcome(self, key: AttemptKey) -> TaskOutcome:
        while True:
            for event in self.events:
                if isinstance(event, TaskOutcome) and event.key == key:
                    return event
            self._heard.clear()
            await asyncio.wait_for(self._heard.wait(), 20)

    async def wait(self, key: AttemptKey, *, within: float = 2.0) -> str:
        """What the attempt waits for, as soon as it is told."""

        def told() -> list[str]:
            return [one.text for one in self.events if isinstance(one, TaskWaiting) and one.key == key]

        async def look() -> None:
            while not told():
                self._heard.clear()
                await self._heard.wait()

        await asyncio.wait_for(look(), within)
        return told()[-1]

    async def pods(self) -> list[Mapping[str, Any]]:
        items: list[Mapping[str, Any]] = (await self.client.get("/api/v1/namespaces/default/pods"))["items"]
        return items

    async def until(self, holds: Any) -> None:
        async def wait() -> None:
            while not await holds():
                await asyncio.sleep(0.02)

        await asyncio.wait_for(wait(), 20)

    def task(self, name: str = "t", attempt: int = 1, **fields: Any) -> TaskLaunch:
        key = AttemptKey(RUN, name, attempt)
        given: dict[str, Any] = {
            "key": key,
            "task_name": name,
            "pipeline_name": "p",
            "image": "image",
            "command": ("true",),
            "args": (),
            "env": (),
            "task_root": f"{self.directory.as_uri()}/p/{RUN}/{name}/{attempt}",
            "inputs": {},
            "defaults": {},
            "input_artifacts": {},
            "input_artifact_definitions": {},
            "output_parameters": {},
            "output_artifacts": {},
            "pod_name": pod_name("run", name, RUN, name, attempt),
        }
        return TaskLaunch(**{**given, **fields})


@asynccontextmanager
async def bench(tmp_path: Path, outcome: Outcome | None = None, latency: float = 0.05) -> AsyncIterator[Bench]:
    decided = outcome or Outcome(messages={"main": well()}, log="hello\n")
    async with SimKube(latency=Latency(latency, 0.1), decide=lambda _: decided) as kube:
        made = Bench(kube, tmp_path)
        try:
            yield made
        finally:
            await made.client.close()
