"""What we rely on of `exec`, as one suite: it runs on the simulated server and on a real cluster.

Invariants: as those of kubernetes_contract.py. A script comes with what it does, for a simulated node, as its `$0`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from penstock_kube.client import KubeClient
from penstock_kube.errors import InvalidError, KubeError, NotFoundError, ProgramFailedError, UnavailableError
from penstock_kube.exec_stream import ExecStream

from tests.support.kubernetes_contract import Place, fresh, life_of, phase_is, waiting_reason

SLEEPS = "trap 'exit 0' TERM; while :; do sleep 0.1; done"


def script(text: str, **told: Any) -> list[str]:
    return ["sh", "-c", text, json.dumps(told)]


@asynccontextmanager
async def pod_that_runs(client: KubeClient, place: Place) -> AsyncIterator[str]:
    """Its name."""
    name = fresh("exec")
    await life_of(client, place, place.pod(name, SLEEPS, kind="runs-forever"), phase_is("Running"))
    yield name
    with suppress(NotFoundError):
        await client.delete(place.path("pods", name), grace_seconds=0)


async def all_of(stream: ExecStream, size: int | None = None) -> bytes:
    """What the program writes, to its end or to so many bytes."""
    received = b""
    while size is None or len(received) < size:
        piece = await stream.receive()
        if not piece:
            break
        received += piece
    return received


class ExecContract:
    """Test methods; a subclass provides the fixture `place`."""

    async def test_a_program_in_a_container(self, place: Place) -> None:
        async with place.client() as client, pod_that_runs(client, place) as pod:
            command = script("echo hello; echo aside >&2", stdout="hello\n", stderr="aside\n")
            async with client.exec(place.namespace, pod, "main", command) as stream:
                assert await all_of(stream) == b"hello\n"
                # Its end does not pass.
                assert await stream.receive() == b""

    async def test_a_program_that_fails(self, place: Place) -> None:
        async with place.client() as client, pod_that_runs(client, place) as pod:
            command = script("echo some; echo why >&2; exit 3", stdout="some\n", stderr="why\n", exit_code=3)
            async with client.exec(place.namespace, pod, "main", command) as stream:
                received = b""
                with pytest.raises(ProgramFailedError, match=r"; stderr: why$") as failed:
                    while True:
                        received += await stream.receive()
                assert failed.value.exit_code == 3
                assert received == b"some\n"

    async def test_both_ways_at_once(self, place: Place) -> None:
        """More than all buffers on the way take together."""
        data = bytes(range(256)) * 16 * 1024

        async with (
            place.client() as client,
            pod_that_runs(client, place) as pod,
            client.exec(place.namespace, pod, "main", ["cat"]) as stream,
        ):
            sending = asyncio.ensure_future(stream.send(data))
            assert await all_of(stream, len(data)) == data
            await sending

    async def test_a_program_that_is_not_there(self, place: Place) -> None:
        async with (
            place.client() as client,
            pod_that_runs(client, place) as pod,
            client.exec(place.namespace, pod, "main", ["no-such-program"]) as stream,
        ):
            with pytest.raises(KubeError, match="executable file not found"):
                await stream.receive()

    async def test_a_place_that_is_none(self, place: Place) -> None:
        async with place.client() as client, pod_that_runs(client, place) as pod:
            with pytest.raises(NotFoundError) as missing:
                async with client.exec(place.namespace, "nowhere", "main", ["cat"]):
                    pass
            assert 'pods "nowhere" not found' in missing.value.message
            with pytest.raises(InvalidError, match="container other is not valid for pod"):
                async with client.exec(place.namespace, pod, "other", ["cat"]):
                    pass

    async def test_a_container_that_does_not_run_yet(self, place: Place) -> None:
        pod = place.pod(fresh("exec-pull"), "true", kind="image-pull")
        pod["spec"]["containers"][0]["image"] = "nowhere.invalid/no/such:1"

        async with place.client() as client:
            await life_of(client, place, pod, lambda step: waiting_reason(step) == "ImagePullBackOff")
            await self._refused(client, place, pod["metadata"]["name"])

    async def test_a_container_that_has_ended(self, place: Place) -> None:
        pod = place.pod(fresh("exec-ended"), "true")

        async with place.client() as client:
            await life_of(client, place, pod, phase_is("Succeeded"))
            await self._refused(client, place, pod["metadata"]["name"])

    async def _refused(self, client: KubeClient, place: Place, pod: str) -> None:
        with pytest.raises(UnavailableError, match="container not found") as refused:
            async with client.exec(place.namespace, pod, "main", ["cat"]) as stream:
                await stream.receive()
        assert refused.value.status == 500

    async def test_a_pod_that_has_no_node(self, place: Place) -> None:
        pod = place.pod(fresh("exec-nowhere"), "true", kind="unschedulable")
        pod["spec"]["nodeSelector"] = {"no": "such-node"}

        async with place.client() as client:
            await client.create(place.path("pods"), pod)
            with pytest.raises(InvalidError, match="does not have a host assigned"):
                async with client.exec(place.namespace, pod["metadata"]["name"], "main", ["cat"]):
                    pass

    async def test_a_pod_that_goes(self, place: Place) -> None:
        async with (
            place.client() as client,
            pod_that_runs(client, place) as pod,
            client.exec(place.namespace, pod, "main", ["cat"]) as stream,
        ):
            await stream.send(b"here")
            assert await stream.receive() == b"here"
            await client.delete(place.path("pods", pod), grace_seconds=1)
            with pytest.raises(KubeError):
                await stream.receive()
