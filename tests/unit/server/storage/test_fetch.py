"""Where packages may come from, redirects included (api.md §2.7)."""

from __future__ import annotations

import contextlib
import http.server
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from email.message import Message
from typing import Any

import pytest
from penstock_server.errors import InvalidArgumentError
from penstock_server.storage import fetch
from penstock_server.storage.fetch import PackageFetcher

PUBLIC, PRIVATE = "93.184.216.34", "10.0.0.7"


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names without a resolver: `inside.example.org` is a public name of a private address."""

    real = socket.getaddrinfo

    def found(host: str, *given: Any, **more: Any) -> list[Any]:
        if host == "127.0.0.1":
            return real(host, *given, **more)
        address = PRIVATE if host.startswith("inside.") else PUBLIC
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0))]

    monkeypatch.setattr(socket, "getaddrinfo", found)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://github.com/a/p.yaml", ""),
        ("https://raw.githubusercontent.com/a/p.yaml", ""),
        ("https://files.example.org/p.yaml", ""),
        ("https://inside.example.org/p.yaml", "private"),
        ("https://example.org/p.yaml", "not among"),
        ("https://github.com.evil.org/p.yaml", "not among"),
        ("http://github.com/p.yaml", "https"),
        ("https://github.com:8443/p.yaml", "port"),
        ("https://github.com:99999/p.yaml", "no URL"),
    ],
)
def test_policy(url: str, reason: str) -> None:
    fetcher = PackageFetcher(("*.example.org",))
    if not reason:
        fetcher.check(url)
        return
    with pytest.raises(InvalidArgumentError, match=reason):
        fetcher.check(url)


@pytest.mark.parametrize("target", ["https://inside.example.org/p.yaml", "http://127.0.0.1/", "file:///etc/passwd"])
def test_a_redirect_is_checked_again(target: str) -> None:
    handler = fetch._CheckedRedirects(PackageFetcher(("*.example.org",)))
    request = urllib.request.Request("https://github.com/a/p.yaml")
    with pytest.raises(InvalidArgumentError):
        handler.redirect_request(request, None, 302, "Found", Message(), target)


class Odd(http.server.BaseHTTPRequestHandler):
    """Sends less than it said, or a byte now and then for ever."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        with contextlib.suppress(OSError):
            while self.path == "/slow":
                self.wfile.write(b"x")
                time.sleep(0.01)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def odd_server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Odd) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_package_that_ends_early(odd_server: str) -> None:
    with pytest.raises(InvalidArgumentError, match="1000 bytes early"):
        PackageFetcher(validate=False)(f"{odd_server}/short")


def test_a_package_that_never_ends(odd_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "_TIMEOUT_SECONDS", 0.3)
    with pytest.raises(InvalidArgumentError, match="longer than"):
        PackageFetcher(validate=False)(f"{odd_server}/slow")


def test_a_name_that_has_moved_inside_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """Public when it was checked, this machine when it is connected to."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = listening.getsockname()
        monkeypatch.setattr(socket, "create_connection", lambda *_, **__: _connected(address))
        with pytest.raises(InvalidArgumentError, match="private"):
            PackageFetcher(("*.example.org",), allow_http=True)("http://files.example.org/p.yaml")
        with listening.accept()[0] as connection:
            assert connection.recv(1) == b"", "nothing was sent"


def _connected(address: tuple[str, int]) -> socket.socket:
    found = socket.socket()
    found.connect(address)
    return found
