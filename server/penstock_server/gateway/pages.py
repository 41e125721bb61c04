"""Penstock's own web UI: the files that `make ui` has put beside the program, and the addresses of its pages.

Invariants: no file outside the bundle is served; a page runs no script and loads nothing but this server's own, and no
other site may frame it; an address that is no page of the UI is none of its own, so that the API's errors stay errors.
"""

from __future__ import annotations

import mimetypes
import os
from pathlib import Path
from urllib.parse import unquote

from aiohttp import web

from penstock_server.gateway import replies

BUNDLE = Path(__file__).resolve().parents[1] / "ui_bundle"
# The first part of the addresses that the UI's router knows (clients/web/src/router.tsx).
_PAGES = frozenset(
    {
        "access",
        "artifacts",
        "compare",
        "experiments",
        "health",
        "lineage",
        "pipelines",
        "recurring-runs",
        "runs",
        "start",
    }
)
# Their names change with their content.
_HASHED = "assets"
_TYPES = mimetypes.MimeTypes()
_IMMUTABLE = "public, max-age=31536000, immutable"
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
        "frame-src 'self'; connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
}
_NOT_BUILT = (
    "<!doctype html><html lang=en><meta charset=utf-8><title>Penstock</title>"
    "<h1>Penstock</h1><p>The server is up; its web UI is not built. Run <code>make ui</code>, then load this page "
    "again.</p><p>The API is described at <a href=/openapi.json>/openapi.json</a>.</p></html>"
)


class Pages:
    """`bundle` is where the built UI is, or will be; None where another UI is served, or none."""

    def __init__(self, bundle: Path | None) -> None:
        self._root = bundle.resolve() if bundle else None

    def has(self, path: str) -> bool:
        """Whether there is a page or a file at a path."""
        return self._root is not None and (_is_page(path) or self._file(path) is not None)

    async def reply(self, request: web.Request, path: str) -> web.StreamResponse | None:
        """A file of the UI, or its one page for each address of a page; None if there is neither."""
        if self._root is None or request.method not in ("GET", "HEAD"):
            return None
        if _is_page(path):
            return self._page()
        file = self._file(path)
        if file is None:
            return None
        hashed = file.parent == self._root / _HASHED
        reply = web.FileResponse(file, headers=_headers(_IMMUTABLE if hashed else "no-cache"))
        # Not the machine's own table of types, which may lack what a browser insists on.
        reply.content_type = _TYPES.guess_type(file.name)[0] or "application/octet-stream"
        return replies.as_page(reply)

    def _page(self) -> web.StreamResponse:
        index = self._file("/index.html")
        headers = _headers("no-cache")
        if index is None:
            return replies.as_page(web.Response(text=_NOT_BUILT, content_type="text/html", headers=headers))
        return replies.as_page(web.FileResponse(index, headers=headers))

    def _file(self, path: str) -> Path | None:
        name = unquote(path).lstrip("/")
        if self._root is None or "\0" in name:
            return None
        file = Path(os.path.realpath(self._root / name))
        return file if self._root in file.parents and file.is_file() else None


def _is_page(path: str) -> bool:
    return path == "/" or path.split("/", 2)[1] in _PAGES if path.startswith("/") else False


def _headers(kept: str) -> dict[str, str]:
    return {**_HEADERS, "Cache-Control": kept}
