"""A proxy that adds to fake-gcs-server the uploads of the XML API, which the client library uses.

Invariants: an upload becomes one of the JSON API at the real server; everything else (reads, lists, what is missing)
goes there as it is and comes back as it is.
"""

from __future__ import annotations

import http.client
import itertools
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, unquote, urlsplit

_HOP_BY_HOP = {"connection", "transfer-encoding", "keep-alive", "content-length", "date", "server"}


@contextmanager
def front(port: int, server_port: int) -> Iterator[None]:
    """Listens on `port` for clients of the server on `server_port`."""
    httpd = _Front(port, server_port)
    thread = threading.Thread(target=httpd.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()


class _Front(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port: int, server_port: int) -> None:
        super().__init__(("127.0.0.1", port), _Request)
        self.server_port_behind = server_port
        self.parts: dict[str, dict[int, bytes]] = {}
        self.uploads = itertools.count(1)


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Front

    def do_GET(self) -> None:
        self._pass_on()

    def do_HEAD(self) -> None:
        self._pass_on()

    def do_DELETE(self) -> None:
        query = parse_qs(urlsplit(self.path).query, keep_blank_values=True)
        if "uploadId" in query:
            self.server.parts.pop(query["uploadId"][0], None)
            self._answer(204)
        else:
            self._pass_on()

    def do_PUT(self) -> None:
        query = parse_qs(urlsplit(self.path).query, keep_blank_values=True)
        body = self._body()
        if "uploadId" in query:
            number = int(query["partNumber"][0])
            self.server.parts[query["uploadId"][0]][number] = body
            self._answer(200, headers={"ETag": f'"{number}"'})
        else:
            self._store(body, b"")

    def do_POST(self) -> None:
        query = parse_qs(urlsplit(self.path).query, keep_blank_values=True)
        body = self._body()
        if self.path.startswith("/upload/"):
            self._answer(*self._ask("POST", self.path, body)[::2])
        elif "uploads" in query:
            upload = str(next(self.server.uploads))
            self.server.parts[upload] = {}
            text = f"<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>"
            self._answer(200, text.encode())
        else:
            parts = self.server.parts.pop(query["uploadId"][0])
            done = b"<CompleteMultipartUploadResult><ETag>&quot;whole&quot;</ETag></CompleteMultipartUploadResult>"
            self._store(b"".join(parts[number] for number in sorted(parts)), done)

    def log_message(self, format: str, *arguments: object) -> None:
        """Says nothing."""

    def _store(self, body: bytes, done: bytes) -> None:
        bucket, _, key = unquote(urlsplit(self.path).path).lstrip("/").partition("/")
        path = f"/upload/storage/v1/b/{quote(bucket)}/o?uploadType=media&name={quote(key, safe='')}"
        if (generation := self.headers.get("x-goog-if-generation-match")) is not None:
            path += f"&ifGenerationMatch={quote(generation)}"
        status, _, answer = self._ask("POST", path, body)
        if status == 404:
            self._answer(404, b"<Error><Code>NoSuchBucket</Code><Message>The bucket does not exist.</Message></Error>")
            return
        generation = json.loads(answer)["generation"] if status == 200 else ""
        self._answer(status, done, {"ETag": '"whole"', "x-goog-generation": generation})

    def _pass_on(self) -> None:
        status, headers, body = self._ask(self.command, self.path, None)
        kept = {name: value for name, value in headers.items() if name.lower() not in _HOP_BY_HOP}
        if self.command == "HEAD":
            kept["Content-Length"] = headers.get("Content-Length") or headers.get("X-Goog-Stored-Content-Length") or "0"
        self._answer(status, body, kept)

    def _ask(self, verb: str, path: str, body: bytes | None) -> tuple[int, http.client.HTTPMessage, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.server_port_behind, timeout=60)
        try:
            headers = {"Host": self.headers["Host"]}
            if "Range" in self.headers:
                headers["Range"] = self.headers["Range"]
            connection.request(verb, path, body, headers)
            reply = connection.getresponse()
            return reply.status, reply.headers, reply.read()
        finally:
            connection.close()

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", "0")))

    def _answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if "Content-Length" not in (headers or {}) and status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
