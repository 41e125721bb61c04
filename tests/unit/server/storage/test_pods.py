"""Logs of many Pods of an API server, followed over one event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest
from aiohttp import web
from penstock_kube.config import Cluster
from penstock_server.domain.log_parts import LogPart
from penstock_server.errors import NotFoundError
from penstock_server.storage.pods import ClusterPods

PODS = 200


class ApiServer:
    """Pods say that they have begun, and the rest when `go` is set; those of other names are refused."""

    def __init__(self) -> None:
        self.url = ""
        self.open = 0
        self.since: dict[str, str | None] = {}
        self._loop = asyncio.new_event_loop()
        self._go = asyncio.Event()
        self._started = threading.Event()
        # What a failed test leaves waiting must not keep the others waiting.
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        assert self._started.wait(60)

    def go(self) -> None:
        self._loop.call_soon_threadsafe(self._go.set)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _serve(self) -> None:
        self._loop.run_until_complete(self._begin())
        self._started.set()
        self._loop.run_forever()
        self._loop.run_until_complete(self._runner.cleanup())
        self._loop.close()

    async def _begin(self) -> None:
        app = web.Application()
        app.router.add_get("/api/v1/namespaces/team/pods/{name}", self._pod)
        app.router.add_get("/api/v1/namespaces/team/pods/{name}/log", self._log)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, backlog=1024).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def _pod(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        labels = {"penstock.dev/worker": "abc"} if name == "shared" else {}
        return web.json_response({"metadata": {"name": name, "labels": labels}})

    async def _log(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        if name in ("gone", "waiting"):
            return web.json_response({"reason": "BadRequest", "message": "no"}, status=404 if name == "gone" else 400)
        assert request.query["follow"] == "true"
        self.since[name] = request.query.get("sinceTime")
        reply = web.StreamResponse()
        await reply.prepare(request)
        self.open += 1
        try:
            await reply.write(f"{name} begun\n".encode())
            await self._go.wait()
            await reply.write(b"end" * 100_000)
        finally:
            self.open -= 1
        return reply


@pytest.fixture
def server() -> Iterator[ApiServer]:
    made = ApiServer()
    yield made
    made.close()


@pytest.fixture
def pods(server: ApiServer) -> Iterator[ClusterPods]:
    made = ClusterPods(Cluster(server.url, None, dict, "team"), "team")
    yield made
    made.close()


class Following:
    def __init__(self, pods: ClusterPods, name: str, mark: str = "", since: int = 0) -> None:
        self._more = threading.Semaphore(0)
        part = LogPart(name, mark, since)
        self.log = pods.log("team", part, follow=True, when_more=self._more.release)

    def comes(self) -> bytes | None:
        """The next bytes; None at the end."""
        while (piece := self.log.take()) == b"":
            assert self._more.acquire(timeout=60)
        return piece

    def rest(self) -> bytes:
        got = b""
        while (piece := self.comes()) is not None:
            got += piece
        return got


def test_hundreds_of_pods_are_followed_without_a_thread_each(server: ApiServer, pods: ClusterPods) -> None:
    before = threading.active_count()
    followed = {f"pod-{number}": Following(pods, f"pod-{number}") for number in range(PODS)}
    for name, following in followed.items():
        assert following.comes() == f"{name} begun\n".encode()
    assert server.open == PODS
    # That of the event loop may be new, and threads of earlier tests may end meanwhile.
    assert threading.active_count() - before <= 1
    for number in range(10):
        followed.pop(f"pod-{number}").log.close()
    server.go()
    assert {following.rest() for following in followed.values()} == {b"end" * 100_000}


@pytest.mark.parametrize("name", ["gone", "waiting"])
def test_a_pod_without_a_log(pods: ClusterPods, name: str) -> None:
    with pytest.raises(NotFoundError):
        Following(pods, name).comes()


def test_a_pod_that_many_share_has_no_log_for_who_does_not_know_whose_lines_are_whose(pods: ClusterPods) -> None:
    with pytest.raises(NotFoundError):
        Following(pods, "shared").comes()


def test_of_a_pod_that_many_share_what_is_certainly_older_is_not_read(server: ApiServer, pods: ClusterPods) -> None:
    server.go()
    assert Following(pods, "shared", "m1", 1_700_000_000_999).rest().startswith(b"shared begun\n")
    assert server.since == {"shared": "2023-11-14T22:08:20Z"}, "the clocks may differ by five minutes"
    assert Following(pods, "own", "", 1_700_000_000_000).rest().startswith(b"own begun\n")
    assert server.since["own"] is None
