"""Penstock's own web UI as the gateway serves it: its page at every address of a page, its files, the headers."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from penstock_server.gateway.app import GatewaySettings, create_app
from penstock_server.gateway.server import GatewayServer, Site
from penstock_server.rpc.server import public_services

_PAGE = "<!doctype html><title>Penstock</title>"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """With a secret beside it, and a link to that."""
    (tmp_path / "secret.txt").write_text("secret")
    root = tmp_path / "bundle"
    (root / "assets").mkdir(parents=True)
    (root / "index.html").write_text(_PAGE)
    script = root / "assets" / "index-1a2b.js"
    script.write_text("plain")
    script.with_name("index-1a2b.js.gz").write_bytes(gzip.compress(b"compressed"))
    (root / "icon.svg").write_text("<svg/>")
    (root / "link").symlink_to(tmp_path / "secret.txt")
    return root


@asynccontextmanager
async def opened(bundle: Path | None) -> AsyncIterator[ClientSession]:
    calls: Any = None
    app = create_app(calls, GatewaySettings(services=public_services(), bundle=bundle))
    gateway = GatewayServer([Site(app, "127.0.0.1", 0)])
    (port,) = gateway.start()
    try:
        async with ClientSession(f"http://127.0.0.1:{port}") as client:
            yield client
    finally:
        gateway.stop(0)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/health",
        "/artifacts",
        "/artifacts?type=system.Model",
        "/lineage?artifact=a",
        "/runs",
        "/runs/",
        "/runs/some-id?view=graph",
        "/runs/a/b/c",
        "/pipelines/x",
        "/start?clone=x",
        "/compare?run=x",
    ],
)
async def test_every_page_is_the_one_page(bundle: Path, path: str) -> None:
    async with opened(bundle) as client, client.get(path) as reply:
        assert (reply.status, await reply.text()) == (200, _PAGE)
        assert reply.content_type == "text/html"
        assert reply.headers["Cache-Control"] == "no-cache"
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert reply.headers["Referrer-Policy"] == "no-referrer"
        policy = reply.headers["Content-Security-Policy"]
        assert "script-src 'self'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy


async def test_files_with_a_hash_are_kept_for_good(bundle: Path) -> None:
    async with opened(bundle) as client:
        async with client.get("/assets/index-1a2b.js") as reply:
            assert await reply.text() == "compressed"
            assert reply.headers["Content-Encoding"] == "gzip"
            assert reply.content_type.endswith("/javascript")
            assert "immutable" in reply.headers["Cache-Control"]
        async with client.get("/assets/index-1a2b.js", headers={"Accept-Encoding": "identity"}) as reply:
            assert await reply.text() == "plain"
        async with client.get("/icon.svg") as reply:
            assert (reply.content_type, reply.headers["Cache-Control"]) == ("image/svg+xml", "no-cache")


@pytest.mark.parametrize(
    "path",
    [
        "/apis/v2beta1/nothing", "/artifacts/nothing", "/nothing", "/assets/gone.js", "/assets", "/link", "/pipeline/",
        "/%2e%2e/secret.txt", "/assets/%2e%2e/%2e%2e/secret.txt", "/runsandmore", "/a%00b",
    ],
)  # fmt: skip
async def test_what_is_no_page_stays_an_error(bundle: Path, path: str) -> None:
    async with opened(bundle) as client, client.get(path) as reply:
        assert reply.status in (400, 404)
        assert "Penstock" not in await reply.text()
        assert reply.headers["Content-Security-Policy"].startswith("sandbox")


async def test_pages_are_only_read(bundle: Path) -> None:
    async with opened(bundle) as client:
        async with client.options("/runs/some-id") as reply:
            assert reply.headers["Allow"] == "GET, HEAD, OPTIONS"
        async with client.head("/runs/some-id") as reply:
            assert reply.status == 200 and await reply.read() == b""
        async with client.post("/runs/some-id", json={}) as reply:
            assert reply.status == 404


async def test_without_a_bundle_the_page_says_how_to_build_it(tmp_path: Path) -> None:
    async with opened(tmp_path / "missing") as client:
        async with client.get("/") as reply:
            assert reply.status == 200 and "make ui" in await reply.text()
            assert "script-src 'self'" in reply.headers["Content-Security-Policy"]
        async with client.get("/icon.svg") as reply:
            assert reply.status == 404


async def test_where_another_ui_is_served_there_is_none(bundle: Path) -> None:
    async with opened(None) as client, client.get("/") as reply:
        assert reply.status == 404
