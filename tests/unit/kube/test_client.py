"""Failing calls: which are retried, which are not, and the errors that callers get."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any

import anyio
import pytest
from penstock_kube.client import KubeClient
from penstock_kube.config import Cluster
from penstock_kube.errors import (
    ConflictError,
    GoneError,
    InvalidError,
    KubeConfigError,
    KubeError,
    ThrottledError,
    UnauthorizedError,
    UnavailableError,
)

from tools.sim_kube.faults import Fault
from tools.sim_kube.objects import RESOURCES
from tools.sim_kube.server import SimKube

PATH = "/api/v1/namespaces/default/configmaps"
MAPS = RESOURCES["", "configmaps"]


def map_named(name: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "data": {}}


@asynccontextmanager
async def served(*, deadline: float = 20.0, **options: Any) -> AsyncIterator[tuple[SimKube, KubeClient]]:
    """A simulated server and a client of it, for a minute."""
    async with SimKube() as server:
        cluster = dataclasses.replace(Cluster(server.url, None, dict, "default"), **options)
        async with KubeClient(cluster, deadline=deadline) as client:
            with anyio.fail_after(60):
                yield server, client


def exists(server: SimKube, name: str) -> bool:
    return server.store.get(MAPS, "default", name) is not None


@pytest.mark.parametrize(
    "fault", [Fault("status", 500), Fault("status", 503), Fault("drop")], ids=["500", "503", "dropped"]
)
async def test_reading_is_repeated(fault: Fault) -> None:
    async with served() as (server, client):
        await client.create(PATH, map_named("a"))
        server.faults.add(dataclasses.replace(fault, times=3))
        assert (await client.get(f"{PATH}/a"))["metadata"]["name"] == "a"


async def test_reading_ends_with_the_deadline() -> None:
    async with served(deadline=0.3) as (server, client):
        server.faults.add(Fault("status", 503, message="tired"))
        with pytest.raises(UnavailableError) as failed:
            await client.get(PATH)
        assert failed.value.status == 503 and failed.value.message == "tired"


async def test_an_attempt_that_hangs_does_not_cost_the_deadline() -> None:
    async with served(deadline=3.0) as (server, client):
        server.faults.add(Fault("hang", times=1))
        assert (await client.get(PATH))["kind"] == "ConfigMapList"


@pytest.mark.parametrize(
    ("action", "was_made"),
    [("drop", False), ("drop-after", True), ("hang", False), ("hang-after", True), ("status-before", False)],
)
async def test_a_create_without_an_answer_is_sent_once_and_ambiguous(action: str, was_made: bool) -> None:
    async with served(deadline=0.5) as (server, client):
        server.faults.add(Fault("status" if action == "status-before" else action, method="POST"))
        with pytest.raises(UnavailableError) as failed:
            await client.create(PATH, map_named("a"))
        assert failed.value.ambiguous
        assert exists(server, "a") is was_made
        assert server.requests["POST configmaps"] == int(was_made)


async def test_a_delete_without_an_answer_may_have_been_carried_out() -> None:
    async with served(deadline=0.5) as (server, client):
        await client.create(PATH, map_named("a"))
        server.faults.add(Fault("hang-after", method="DELETE"))
        with pytest.raises(UnavailableError) as failed:
            await client.delete(f"{PATH}/a")
        assert failed.value.ambiguous and not exists(server, "a")


async def test_a_server_that_is_not_there_did_nothing() -> None:
    async with served() as (server, client):
        await server.stop()
        with pytest.raises(UnavailableError) as failed:
            await client.create(PATH, map_named("a"))
        assert not failed.value.ambiguous and failed.value.status == 0


async def test_a_call_that_found_no_place_was_never_sent() -> None:
    async with served() as (server, _):
        # A tenth of the deadline lies between the end of waiting for a place and that of the call: a machine that
        # stands still for longer cannot tell them apart, and the client says then that it may have been sent.
        async with KubeClient(Cluster(server.url, None, dict, "default"), deadline=5.0, connections=1) as narrow:
            server.faults.add(Fault("hang", method="POST"))
            outcomes = await asyncio.gather(
                *(narrow.create(PATH, map_named(name)) for name in ("a", "b")), return_exceptions=True
            )
        sent = [outcome.ambiguous for outcome in outcomes if isinstance(outcome, UnavailableError)]
        assert sorted(sent) == [False, True]


async def test_a_busy_server_is_waited_for() -> None:
    async with served() as (server, client):
        server.faults.add(Fault("status", 429, method="POST", times=1, retry_after=1))
        loop = asyncio.get_running_loop()
        begun = loop.time()
        await client.create(PATH, map_named("a"))
        # Not before the server said so.
        assert loop.time() - begun >= 1.0


async def test_a_busy_server_is_not_waited_for_past_the_deadline() -> None:
    async with served() as (server, client):
        server.faults.add(Fault("status", 429, retry_after=30))
        with pytest.raises(ThrottledError) as failed:
            await client.create(PATH, map_named("a"))
        assert failed.value.retry_after == 30


async def test_a_conflict_is_the_callers() -> None:
    async with served() as (server, client):
        server.faults.add(Fault("status", 409))
        with pytest.raises(ConflictError):
            await client.create(PATH, map_named("a"))


async def test_credentials_are_read_anew_when_they_are_refused() -> None:
    """By calls and by streams; each of the calls that were refused together asks once at most."""
    read = []

    async with served() as (server, _client):

        def fresh() -> Cluster:
            read.append(server.token)
            token = server.token
            return Cluster(server.url, None, lambda: {"Authorization": f"Bearer {token}"}, "default", reload=fresh)

        async with KubeClient(Cluster(server.url, None, dict, "default", reload=fresh)) as rotating:
            server.token = "one"
            await asyncio.gather(*(rotating.create(PATH, map_named(f"a{number}")) for number in range(5)))
            assert read == ["one"]
            server.token = "two"
            async with aclosing(rotating.watch(PATH, resource_version="0", timeout_seconds=5)) as watch:
                assert (await watch.__anext__())["type"] == "ADDED"
            assert read == ["one", "two"]


async def test_who_stays_unknown_is_told() -> None:
    async with served() as (server, client):
        server.token = "other"
        with pytest.raises(UnauthorizedError):
            await client.get(PATH)
        with pytest.raises(UnauthorizedError):
            async with aclosing(client.watch(PATH, resource_version="0", timeout_seconds=5)) as watch:
                await watch.__anext__()


async def test_credentials_that_cannot_be_read_are_a_failure_that_passes() -> None:
    tries = []

    def headers() -> Mapping[str, str]:
        tries.append(1)
        if len(tries) == 1:
            raise KubeConfigError("the plugin is away")
        return {}

    async with served(headers=headers) as (_server, client):
        with pytest.raises(UnavailableError) as failed:
            await client.create(PATH, map_named("a"))
        assert not failed.value.ambiguous and failed.value.message == "the plugin is away"
        await client.create(PATH, map_named("a"))


@pytest.mark.parametrize("trouble", ["cut", "stop"])
async def test_a_watch_that_breaks_is_unavailable(trouble: str) -> None:
    async with served() as (server, client):
        await client.create(PATH, map_named("a"))
        with pytest.raises(UnavailableError):
            async with aclosing(client.watch(PATH, resource_version="0", timeout_seconds=60)) as watch:
                async for _ in watch:
                    if trouble == "cut":
                        server.watching.cut()
                    else:
                        await server.stop()


async def test_a_list_whose_version_is_compacted_begins_anew() -> None:
    async with served() as (server, client):
        for number in range(5):
            await client.create(PATH, map_named(f"a{number}"))
        server.faults.add(Fault("status", 410, path="continue=", times=1, reason="Expired"))
        listed = await client.list_all(PATH, limit=2)
        assert [item["metadata"]["name"] for item in listed.items] == [f"a{number}" for number in range(5)]
        server.faults.add(Fault("status", 410, path="continue=", reason="Expired"))
        with pytest.raises(GoneError):
            await client.list_all(PATH, limit=2)


async def test_an_answer_that_is_no_json() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\n<html>")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with KubeClient(Cluster(f"http://127.0.0.1:{port}", None, dict, "default"), deadline=1.0) as client:
        with pytest.raises(KubeError):
            await client.get(PATH)
    server.close()
    await server.wait_closed()


async def test_who_calls() -> None:
    """User agent and parameters, as they are on the wire."""
    seen = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    cluster = Cluster(f"http://127.0.0.1:{port}", None, lambda: {"Authorization": "Bearer t"}, "default")
    async with KubeClient(cluster) as client:
        await client.get(PATH, labelSelector="a in (b,c),!d", limit=5)
    server.close()
    await server.wait_closed()
    head = seen[0].splitlines()
    assert head[0] == f"GET {PATH}?labelSelector=a+in+%28b%2Cc%29%2C%21d&limit=5 HTTP/1.1"
    assert any(line.startswith("User-Agent: penstock-executor/") for line in head)
    assert "Authorization: Bearer t" in head


@pytest.mark.parametrize("name", ["a?b", "a#b", "..", "../../other/configmaps/a", ".", "", "a b", "a%2Fb", "ä", "a/"])
async def test_a_name_that_is_none_is_not_sent(name: str) -> None:
    async with served() as (server, client):
        await client.create(PATH, map_named("a"))
        for call in (client.get, client.delete):
            with pytest.raises(InvalidError, match="it holds what no name of an object has"):
                await call(f"{PATH}/{name}")
        with pytest.raises(InvalidError, match="it holds what no name of an object has"):
            await anext(client.log("default", name, "main"))
        assert exists(server, "a")
