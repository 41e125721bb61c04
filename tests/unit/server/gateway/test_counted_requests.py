"""A request over HTTP counts as one call of its user, however many calls it takes to answer it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from concurrent.futures import Future
from typing import Any

import aiohttp
import grpc
import pytest
from penstock_api.v1 import insight_pb2, watch_pb2
from penstock_api.v1beta1 import pipeline_pb2 as pipeline_v1_pb2
from penstock_api.v2beta1 import pipeline_pb2
from penstock_server.errors import ResourceExhaustedError
from penstock_server.gateway.app import GatewaySettings, create_app
from penstock_server.gateway.server import GatewayServer, Site
from penstock_server.rpc import status
from penstock_server.rpc.local import LocalCallError
from penstock_server.rpc.server import public_services, web_methods

from tests.support.routes import routes

QUERY = "source=minio&bucket=b&key=k&podname=p"
# What aiohttp answers by itself, and what tells of the server and not of its objects.
NO_CALLS = {"/openapi.json", "/livez", "/readyz", "/metrics", "/visualizations/allowed"}


class Calls:
    """Notes each call and whether it continues one that was counted."""

    def __init__(self, error: grpc.RpcError | None = None) -> None:
        self.made: list[tuple[str, bool]] = []
        self._error = error
        self._chunks: list[Any] = []

    def unary(
        self, method: str, message: Any, timeout: float, metadata: Any, credentials: Any
    ) -> tuple[Future[Any], Any]:
        self.made.append((method.rpartition("/")[2], credentials.continues))
        replies = {
            "UploadPipeline": pipeline_pb2.Pipeline(pipeline_id="p"),
            "UploadPipelineVersion": pipeline_pb2.PipelineVersion(pipeline_id="p", pipeline_version_id="v"),
        }
        reply = b"" if isinstance(message, bytes) else replies.get(self.made[-1][0], pipeline_v1_pb2.Pipeline())
        return self._future(reply), self

    def stream(self, method: str, message: Any, timeout: float | None, metadata: Any, credentials: Any) -> Any:
        self.made.append((method.rpartition("/")[2], credentials.continues))
        # A part that is asked for is as long as was asked.
        data = b"0123"[: getattr(message, "max_bytes", 0) or 4]
        chunk: Any = insight_pb2.Chunk(data=data, total_bytes=4)
        if method.endswith("/WatchRun"):
            chunk = watch_pb2.RunChange()
        elif method.endswith("/WatchRuns"):
            chunk = watch_pb2.RunsChange()
        self._chunks = [chunk.SerializeToString() if isinstance(message, bytes) else chunk, None]
        return self

    def next(self) -> Future[Any]:
        return self._future(self._chunks.pop(0))

    def cancel(self) -> None: ...

    def trailing_metadata(self) -> tuple[()]:
        return ()

    def _future(self, result: Any) -> Future[Any]:
        future: Future[Any] = Future()
        if self._error is not None:
            future.set_exception(self._error)
        else:
            future.set_result(result)
        return future


class Gateway:
    def __init__(self, calls: Calls, client: aiohttp.ClientSession) -> None:
        self.calls, self.client = calls, client


async def serving(calls: Calls) -> AsyncIterator[Gateway]:
    settings = GatewaySettings(services=public_services(), web_methods=web_methods())
    server = GatewayServer([Site(create_app(calls, settings), "127.0.0.1", 0)])
    async with aiohttp.ClientSession(f"http://127.0.0.1:{server.start()[0]}") as client:
        yield Gateway(calls, client)
    server.stop(0)


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    async for one in serving(Calls()):
        yield one


@pytest.fixture
async def refusing() -> AsyncIterator[Gateway]:
    """As a server whose limit is reached."""
    refusal = status.status_of(ResourceExhaustedError("slowly", retry_seconds=2.5))
    trailing: Any = (("grpc-status-details-bin", refusal.SerializeToString()),)
    async for one in serving(Calls(LocalCallError(grpc.StatusCode.RESOURCE_EXHAUSTED, "slowly", trailing))):
        yield one


def package() -> aiohttp.FormData:
    form = aiohttp.FormData()
    form.add_field("uploadfile", b"x", filename="p.yaml")
    return form


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/apis/v1beta1/pipelines/upload", ["UploadPipeline", "GetPipelineV1"]),
        ("/apis/v1beta1/pipelines/upload_version", ["UploadPipelineVersion", "GetPipelineVersionV1"]),
        ("/apis/v2beta1/pipelines/upload", ["UploadPipeline"]),
    ],
)
async def test_uploads(gateway: Gateway, path: str, names: list[str]) -> None:
    await (await gateway.client.post(path, data=package())).read()
    assert [name for name, _ in gateway.calls.made] == names
    assert [continues for _, continues in gateway.calls.made] == [False, True][: len(names)]


async def test_a_part_of_an_object_is_asked_for_twice_and_counts_once(gateway: Gateway) -> None:
    for _ in range(2):
        gateway.calls.made.clear()
        reply = await gateway.client.get("/artifacts/minio/b/k", headers={"Range": "bytes=1-2"})
        assert (reply.status, await reply.read()) == (206, b"01")
        assert gateway.calls.made == [("ReadObject", False), ("ReadObject", True)]


async def test_every_route_counts_once(gateway: Gateway) -> None:
    uncounted = set()
    for verb, path in routes():
        gateway.calls.made.clear()
        data = package() if "/upload" in path else None
        kind = {} if data else {"Content-Type": "application/json"}
        reply = await gateway.client.request(verb, f"{_filled(path)}?{QUERY}", data=data, headers=kind)
        await reply.read()
        counted = [name for name, continues in gateway.calls.made if not continues]
        assert len(counted) <= 1, path
        if not counted:
            uncounted.add(path)
    assert {path for path in uncounted if not re.search(r"healthz|/system/", path)} == NO_CALLS


async def test_calls_from_browsers_count_once(gateway: Gateway) -> None:
    for path in web_methods():
        gateway.calls.made.clear()
        kind = {"Content-Type": "application/grpc-web+proto"}
        reply = await gateway.client.post(path, data=b"\0\0\0\0\0", headers=kind)
        assert (await reply.read())[-20:].endswith(b"\r\n")
        assert [continues for _, continues in gateway.calls.made] == [False], path


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("GET", "/apis/v2beta1/runs"),
        ("POST", "/apis/v2beta1/pipelines/upload"),
        ("GET", "/apis/v2beta1/runs/r/nodes/n/log"),
        ("GET", f"/artifacts/get?{QUERY}"),
        ("GET", f"/k8s/pod?{QUERY}"),
    ],
)
async def test_a_refusal_says_when_to_come_back(refusing: Gateway, verb: str, path: str) -> None:
    reply = await refusing.client.request(verb, path, data=package() if verb == "POST" else None)
    await reply.read()
    assert (reply.status, reply.headers["Retry-After"]) == (429, "3")


def _filled(path: str) -> str:
    return re.sub(r"\{[^{}]*(\{[^{}]*\})?[^{}]*\}", "minio", path)
