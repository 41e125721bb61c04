"""What users and tasks wrote is never a page of the server's origin, whichever route it comes by."""

from __future__ import annotations

import re
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from penstock_api.v1 import insight_pb2, watch_pb2
from penstock_api.v2beta1 import run_pb2
from penstock_server.gateway.app import GatewaySettings, create_app
from penstock_server.gateway.server import GatewayServer, Site
from penstock_server.gateway.ui import UiSettings
from penstock_server.rpc.server import public_services

from tests.support.routes import routes

HTML = b"<!DOCTYPE html><script>alert(1)</script>"
SHOWN_AS = ("application/octet-stream", "text/plain", "application/x-ndjson", "text/event-stream")
QUERY = "source=minio&bucket=b&key=k&podname=p"


class Replies:
    """A server whose every call fails with a text that is a page, or that streams one."""

    def __init__(self, *, fails: bool, method: str = "") -> None:
        self._fails = fails
        text = HTML.decode()
        changes = {
            "WatchRun": watch_pb2.RunChange(tasks=[insight_pb2.Task(display_name=text)]),
            "WatchRuns": watch_pb2.RunsChange(runs=[run_pb2.Run(display_name=text)]),
        }
        self._chunks = [changes.get(method.rpartition("/")[2], insight_pb2.Chunk(data=HTML)), None]

    def unary(
        self, method: str, message: Any, timeout: float, metadata: Any, credentials: Any
    ) -> tuple[Future[Any], Any]:
        return self._failed(), self

    def stream(self, method: str, message: Any, timeout: float | None, metadata: Any, credentials: Any) -> Any:
        return Replies(fails=self._fails, method=method)

    def next(self) -> Future[Any]:
        if self._fails:
            return self._failed()
        future: Future[Any] = Future()
        future.set_result(self._chunks.pop(0))
        return future

    def cancel(self) -> None: ...

    def trailing_metadata(self) -> tuple[()]:
        return ()

    def _failed(self) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_exception(ValueError(HTML.decode()))
        return future


@pytest.mark.parametrize("fails", [False, True], ids=["streams", "errors"])
async def test_every_route(tmp_path: Path, fails: bool) -> None:
    (tmp_path / "index.html").write_text("<html><head></head></html>")
    (tmp_path / "part.js").write_text("x")
    settings = GatewaySettings(services=public_services(), ui=UiSettings(tmp_path))
    pages, streamed = set(), set()
    gateway = GatewayServer([Site(create_app(Replies(fails=fails), settings), "127.0.0.1", 0)])
    url = f"http://127.0.0.1:{gateway.start()[0]}"
    async with aiohttp.ClientSession(url) as client:
        paths = [(verb, re.sub(r"\{[^{}]*(\{[^{}]*\})?[^{}]*\}", "minio", path)) for verb, path in routes()]
        assert len(paths) > 80
        for verb, path in [*paths, ("GET", "/unknown"), ("OPTIONS", "/"), ("GET", "/"), ("GET", "/part.js")]:
            for prefix in ("", "/pipeline"):
                async with client.request(verb, f"{prefix}{path}?{QUERY}") as reply:
                    assert reply.headers["X-Content-Type-Options"] == "nosniff", path
                    policy = reply.headers.get("Content-Security-Policy", "")
                    if not policy.startswith("sandbox; default-src 'none'") or "script" in policy or "allow" in policy:
                        pages.add(path)
                    if reply.status == 200 and HTML in await reply.read():
                        streamed.add(path)
                        assert reply.content_type in (("text/html",) if path.endswith(":html") else SHOWN_AS)
    gateway.stop(0)
    assert pages == {"/", "/part.js"}
    assert bool(streamed) != fails
    if streamed:
        assert len(streamed) >= 8, streamed
