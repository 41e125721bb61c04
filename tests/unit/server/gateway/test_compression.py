"""Which clients get a compressed body: by Accept-Encoding (RFC 9110, section 12.5.3)."""

from __future__ import annotations

import gzip

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from penstock_server.gateway.compression import SMALLEST, accepts_gzip, applied


@pytest.mark.parametrize(
    "header", ["gzip", "GZIP", "deflate, gzip;q=0.5", "br;q=1.0,gzip; q=0.8, *;q=0.1", "*", "x-gzip", "gzip;q=0.001"]
)
def test_it_is_taken(header: str) -> None:
    assert accepts_gzip(header)


@pytest.mark.parametrize(
    "header", ["", "identity", "deflate, br", "gzip;q=0", "gzip; q=0.0, *", "*;q=0", "gzip;q=x", "gzipped", ";;,=,"]
)
def test_it_is_not(header: str) -> None:
    assert not accepts_gzip(header)


@pytest.mark.parametrize(("size", "compressed"), [(SMALLEST - 1, False), (SMALLEST, True)])
def test_only_large_replies_are_compressed(size: int, compressed: bool) -> None:
    request = make_mocked_request("GET", "/", headers={"Accept-Encoding": "gzip"})
    reply = applied(request, web.Response(body=b"a" * size))
    assert isinstance(reply.body, bytes)
    assert (reply.headers.get("Content-Encoding") == "gzip") is compressed
    assert ("Vary" in reply.headers) is compressed
    assert (gzip.decompress(reply.body) if compressed else reply.body) == b"a" * size
