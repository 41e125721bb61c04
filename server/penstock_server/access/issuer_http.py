"""Asks an issuer of OpenID Connect for documents.

Invariants: only the URLs that are configured, or that the issuer's own document names, are called; no redirect is
followed; a reply is JSON, an object, of a megabyte at most, and there within seconds, also when the issuer sends a byte
now and then. What was sent is in no error.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException, HTTPResponse
from typing import Any
from urllib.parse import urlencode, urlsplit

SECONDS = 5.0
_MAX_BYTES = 1 << 20
_CHUNK_BYTES = 1 << 14


class IssuerError(Exception):
    """The issuer does not answer as it should. `status` is HTTP's, 0 without an answer; `code` is the `error` that it
    names, as of OAuth 2.0."""

    def __init__(self, message: str, status: int = 0, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirects())


def is_web_url(url: object) -> bool:
    """Whether it is text with the form of an http or https URL, without a user."""
    if not isinstance(url, str) or len(url) > 2048 or not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        return False


def get_json(url: str, headers: Mapping[str, str] | None = None, *, seconds: float = SECONDS) -> dict[str, Any]:
    """Raises IssuerError."""
    return _fetch(urllib.request.Request(url, headers=_headers(headers)), seconds)  # noqa: S310 - is_web_url


def post_form(
    url: str, fields: Mapping[str, str], headers: Mapping[str, str] | None = None, *, seconds: float = SECONDS
) -> dict[str, Any]:
    """Raises IssuerError."""
    content = urlencode(fields).encode()
    return _fetch(urllib.request.Request(url, data=content, headers=_headers(headers)), seconds)  # noqa: S310


def _headers(headers: Mapping[str, str] | None) -> dict[str, str]:
    return {"Accept": "application/json", "User-Agent": "penstock-server", **(headers or {})}


def _fetch(request: urllib.request.Request, seconds: float) -> dict[str, Any]:
    if not is_web_url(request.full_url):
        raise IssuerError("the address is no http or https URL")
    where = f"{request.get_method()} {request.full_url.partition('?')[0]}"
    until = time.monotonic() + seconds
    try:
        with _OPENER.open(request, timeout=seconds) as reply:
            return _object(_content(reply, until), where)
    except urllib.error.HTTPError as error:
        with error:
            raise IssuerError(f"{where}: HTTP status {error.code}", error.code, _code(error)) from error
    except (urllib.error.URLError, HTTPException, OSError, ValueError) as error:
        raise IssuerError(f"{where}: {error}") from error


def _content(reply: HTTPResponse, until: float) -> bytes:
    content = bytearray()
    while chunk := reply.read1(_CHUNK_BYTES):
        content += chunk
        if len(content) > _MAX_BYTES:
            raise ValueError(f"the answer has more than {_MAX_BYTES} bytes")
        if time.monotonic() > until:
            raise TimeoutError("the answer took too long")
    return bytes(content)


def _object(content: bytes, where: str) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise IssuerError(f"{where}: the answer is no JSON") from error
    if not isinstance(document, dict):
        raise IssuerError(f"{where}: the answer is no JSON object")
    return document


def _code(error: urllib.error.HTTPError) -> str:
    try:
        document = json.loads(error.read(_CHUNK_BYTES))
        code = document.get("error") if isinstance(document, dict) else None
    except (ValueError, RecursionError, OSError, HTTPException):
        code = None
    return code if isinstance(code, str) and code.isascii() and code.isprintable() and len(code) <= 64 else ""
