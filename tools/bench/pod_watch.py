"""Watches the Pods of a namespace, and runs bare Pods for comparison."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any

from penstock_kube.client import KubeClient
from penstock_kube.reflector import EventKind, Reflector

from tools.testing import kube_specs

Json = dict[str, Any]

# Of thousands at once some would wait for a connection until their deadline.
_AT_ONCE = 100


class PodWatch:
    """`created` counts Pods; `times` has ("made" or "ended", seconds) of Pods that are not bare, as they were seen."""

    def __init__(self, client: KubeClient, namespace: str, spec: Mapping[str, Any] | None = None) -> None:
        """`spec` is merged into the spec of bare Pods."""
        self._client = client
        self._spec = dict(spec or {})
        self._path = f"/api/v1/namespaces/{namespace}/pods"
        self._pods = Reflector(client, self._path, trim=_seen, on_event=self._changed)
        self._ended: set[str] = set()
        self._turn = asyncio.Event()
        self.created = 0
        self.times: list[tuple[str, float]] = []

    async def run(self) -> None:
        await self._pods.run()

    async def bare(self, count: int, *, as_they_end: bool = False, made: Callable[[str], Json] | None = None) -> None:
        """Creates `count` Pods, 100 at a time, waits for their ends and deletes them: all at the end, or each when
        it ends. `made` gives a Pod of a name, instead of a bare one.
        """
        made = made or (lambda name: bare_pod(name, self._spec))
        names = [f"bare-{uuid.uuid4().hex[:12]}" for _ in range(count)]
        slots = asyncio.Semaphore(_AT_ONCE)

        async def asked(work: Callable[[], Coroutine[Any, Any, object]]) -> None:
            async with slots:
                await work()

        def remove(name: str) -> asyncio.Future[None]:
            return asyncio.ensure_future(asked(partial(self._client.delete, f"{self._path}/{name}")))

        making = asyncio.gather(*(asked(partial(self._client.create, self._path, made(name))) for name in names))
        # One that cannot be made would be waited for in vain.
        making.add_done_callback(lambda _: self._turn.set())
        remaining, removing = set(names), []
        while remaining:
            if making.done():
                making.result()
            ended = remaining & self._ended
            remaining -= ended
            removing += [remove(name) for name in ended if as_they_end]
            if remaining:
                self._turn.clear()
                await self._turn.wait()
        await making
        await asyncio.gather(*(removing or map(remove, names)))

    async def standing(self, count: int, command: Sequence[str]) -> list[str]:
        """Makes so many Pods that go on until they are removed, waits until all run; their names."""
        names = [f"bare-{uuid.uuid4().hex[:12]}" for _ in range(count)]
        slots = asyncio.Semaphore(_AT_ONCE)

        async def made(name: str) -> None:
            async with slots:
                await self._client.create(self._path, bare_pod(name, self._spec, command))

        await asyncio.gather(*map(made, names))
        await self.running(count)
        return names

    async def running(self, count: int) -> None:
        """Waits until so many run."""
        while sum(phase == "Running" for _, phase in self._pods.cache.values()) < count:
            self._turn.clear()
            await self._turn.wait()

    async def removed(self, names: Sequence[str], grace_seconds: int) -> None:
        """Asks for the removal of all, as many at a time as Penstock would, and waits until nothing is left."""
        slots = asyncio.Semaphore(_AT_ONCE)

        async def asked(name: str) -> None:
            async with slots:
                await self._client.delete(f"{self._path}/{name}", grace_seconds=grace_seconds)

        await asyncio.gather(*map(asked, names))
        await self.quiet()

    async def quiet(self) -> None:
        """Waits until all Pods of the previous measurement are gone, so that they do not disturb the next."""
        while self._pods.cache:
            self._turn.clear()
            await self._turn.wait()

    def _changed(self, kind: EventKind, pod: tuple[str, str]) -> None:
        name, phase = pod
        if kind is EventKind.ADDED:
            self.created += 1
            if not name.startswith("bare-"):
                self.times.append(("made", time.perf_counter()))
        if phase in ("Succeeded", "Failed") and name not in self._ended:
            self._ended.add(name)
            if not name.startswith("bare-"):
                self.times.append(("ended", time.perf_counter()))
        self._turn.set()


def _seen(pod: dict[str, Any]) -> tuple[str, str]:
    return pod["metadata"]["name"], pod.get("status", {}).get("phase", "")


def bare_pod(
    name: str, spec: Mapping[str, Any], command: Sequence[str] = ("true",), image: str = kube_specs.IMAGE
) -> Json:
    """As of `kubectl run`, hardened as Pod Security asks for; `spec` is merged into its own."""
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    return {
        "metadata": {"name": name},
        "spec": {
            **spec,
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 1000,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "main",
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": list(command),
                    "securityContext": security,
                }
            ],
        },
    }
