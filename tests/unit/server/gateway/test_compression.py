"""Which clients get a compressed body: by Accept-Encoding (RFC 9110, section 12.5.3)."""

from __future__ import annotations

import gzip

import pytest
import zstandard
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from penstock_server.gateway.compression import CODINGS, SMALLEST, applied, chosen


@pytest.mark.parametrize(
    "header",
    [
        "gzip",
        "GZIP",
        "deflate, gzip;q=0.5",
        "br;q=1.0,gzip; q=0.8, *;q=0.1",
        "*",
        "x-gzip",
        "gzip;q=0.001",
        "gzip, zstd;q=0.9",
        "gzip;q=0.5, zstd;q=0",
        "gzip, identity",
        "gzip;q=1.000",
    ],
)
def test_gzip(header: str) -> None:
    assert chosen(header) == "gzip"


@pytest.mark.parametrize(
    "header",
    ["zstd", "ZSTD", "gzip, deflate, br, zstd", "zstd;q=0.5, gzip;q=0.5", "gzip;q=0.1, zstd ; q = 0.2", "zstd, *"],
)
def test_zstd(header: str) -> None:
    assert chosen(header) == "zstd"
    without = chosen(header, {"gzip": None})
    assert without == ("gzip" if "gzip" in header or "*" in header else "")


@pytest.mark.parametrize(
    "header",
    [
        "",
        "identity",
        "deflate, br",
        "gzip;q=0",
        "gzip; q=0.0, *",
        "*;q=0",
        "gzip;q=x",
        "gzip;q=nan",
        "gzip;q=inf",
        "gzip;q=1e300",
        "gzip;q=-1",
        "zstd;q=2",
        "gzipped",
        ";;,=,",
        "identity, gzip;q=0.5, zstd;q=0.5",
    ],
)
def test_none(header: str) -> None:
    assert chosen(header) == ""


def test_only_the_beginning_of_a_long_list_counts() -> None:
    assert chosen("a," * 31 + "gzip") == "gzip"
    assert chosen("a," * 32 + "gzip") == ""


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize(("size", "compressed"), [(SMALLEST - 1, False), (SMALLEST, True)])
def test_only_large_replies_are_compressed(coding: str, size: int, compressed: bool) -> None:
    request = make_mocked_request("GET", "/", headers={"Accept-Encoding": coding})
    reply = applied(request, web.Response(body=b"a" * size))
    assert isinstance(reply.body, bytes)
    assert (reply.headers.get("Content-Encoding") == coding) is compressed
    assert ("Vary" in reply.headers) is compressed
    body = reply.body
    if compressed:
        body = gzip.decompress(body) if coding == "gzip" else zstandard.ZstdDecompressor().decompress(body)
    assert body == b"a" * size


def test_a_browser_can_undo_it() -> None:
    """It takes windows of 8 MiB (RFC 9659)."""
    sent = CODINGS["zstd"](bytes(64 * 1024 * 1024))
    assert zstandard.get_frame_parameters(sent).window_size <= 8 * 1024 * 1024
