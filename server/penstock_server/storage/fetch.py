"""Fetches pipeline packages by URL under upstream's policy (api.md §2.7).

Invariants: https on the default port and known hosts only; no address of a host may be private, neither when it is
looked up nor when it is connected to; every redirect is checked again; size and time are bounded, also when a server
sends a byte now and then.
"""

from __future__ import annotations

import fnmatch
import ipaddress
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from penstock_ir.loader import MAX_PACKAGE_BYTES

from penstock_server.errors import InvalidArgumentError

_HOSTS = ("storage.googleapis.com", "s3.amazonaws.com", "github.com", "raw.githubusercontent.com")
_TIMEOUT_SECONDS = 30
_CHUNK_BYTES = 1 << 16
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_FIELD = "package_url.pipeline_url"


class PackageFetcher:
    """`allowed` are further hosts, wildcards included. `validate` False turns the policy off."""

    def __init__(
        self,
        allowed: Sequence[str] = (),
        *,
        allow_http: bool = False,
        validate: bool = True,
        max_bytes: int = MAX_PACKAGE_BYTES,
    ) -> None:
        self._max_bytes = max_bytes
        self._allowed = (*_HOSTS, *allowed)
        self._schemes = ("https", "http") if allow_http else ("https",)
        self._validate = validate
        handlers = [_CheckedConnections()] if validate else []
        self._opener = urllib.request.build_opener(_CheckedRedirects(self), *handlers)

    def __call__(self, url: str) -> bytes:
        """Raises InvalidArgumentError saying what about the URL is wrong."""
        self.check(url)
        until = time.monotonic() + _TIMEOUT_SECONDS
        try:
            with self._opener.open(url, timeout=_TIMEOUT_SECONDS) as reply:
                return self._content(reply, until)
        except (urllib.error.URLError, HTTPException, OSError, ValueError) as error:
            raise InvalidArgumentError(f"{url[:200]} cannot be fetched: {error}", _FIELD) from error

    def _content(self, reply: HTTPResponse, until: float) -> bytes:
        content = bytearray()
        while chunk := reply.read1(_CHUNK_BYTES):
            content += chunk
            if len(content) > self._max_bytes:
                raise InvalidArgumentError(f"the package has more than {self._max_bytes} bytes", _FIELD)
            if time.monotonic() > until:
                raise TimeoutError(f"it took longer than {_TIMEOUT_SECONDS} s")
        if reply.length:
            raise HTTPException(f"the connection ended {reply.length} bytes early")
        return bytes(content)

    def check(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            host, port = (parts.hostname or "").lower(), parts.port
        except ValueError as error:
            raise InvalidArgumentError(f"{url[:200]!r} is no URL", _FIELD) from error
        if parts.scheme not in ("http", "https") or not host:
            raise InvalidArgumentError(f"{url[:200]!r} is no http(s) URL", _FIELD)
        if not self._validate:
            return
        if parts.scheme not in self._schemes:
            raise InvalidArgumentError("only https URLs are allowed", _FIELD)
        if port not in (None, 443 if parts.scheme == "https" else 80):
            raise InvalidArgumentError("only the default port is allowed", _FIELD)
        if not any(fnmatch.fnmatchcase(host, pattern) for pattern in self._allowed):
            raise InvalidArgumentError(f"the host {host!r} is not among the allowed ones", _FIELD)
        for address in _addresses(host):
            _check_public(host, address)


class _CheckedRedirects(urllib.request.HTTPRedirectHandler):
    def __init__(self, fetcher: PackageFetcher) -> None:
        self._fetcher = fetcher

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        self._fetcher.check(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _CheckedConnection(HTTPConnection):
    """A name may have another address by the time it is connected to."""

    def connect(self) -> None:
        super().connect()
        _check_public(self.host, _address(self.sock.getpeername()[0]))


class _CheckedTlsConnection(HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        _check_public(self.host, _address(self.sock.getpeername()[0]))


class _CheckedConnections(urllib.request.HTTPHandler, urllib.request.HTTPSHandler):
    """A proxy may well be inside."""

    def http_open(self, req: urllib.request.Request) -> HTTPResponse:
        return self.do_open(HTTPConnection if req.has_proxy() else _CheckedConnection, req)

    def https_open(self, req: urllib.request.Request) -> HTTPResponse:
        return self.do_open(HTTPSConnection if req.has_proxy() else _CheckedTlsConnection, req)


def _check_public(host: str, address: Address) -> None:
    if not address.is_global or address.is_multicast:
        raise InvalidArgumentError(f"the host {host!r} has a private address", _FIELD)


def _address(text: str) -> Address:
    return ipaddress.ip_address(text.split("%", 1)[0])


def _addresses(host: str) -> list[Address]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise InvalidArgumentError(f"the host {host!r} cannot be found", _FIELD) from error
    return [_address(str(entry[4][0])) for entry in found]
