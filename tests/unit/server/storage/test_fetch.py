"""Where packages may come from, redirects included (api.md §2.7)."""

from __future__ import annotations

import socket
import urllib.request
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

    def found(host: str, *_: Any, **__: Any) -> list[Any]:
        address = PRIVATE if host.startswith("inside.") else PUBLIC
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0))]

    monkeypatch.setattr(fetch.socket, "getaddrinfo", found)


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
