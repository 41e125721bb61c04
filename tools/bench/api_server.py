"""A server without an executor: the runs of a benchmark stay pending unless it starts one. HTTP connections to it."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil


@dataclass(frozen=True, slots=True)
class ApiServer:
    """`http`, `grpc` and `dispatch` are HOST:PORT."""

    process: psutil.Process
    http: str
    grpc: str
    dispatch: str


@contextmanager
def api_server(
    directory: Path, url: str, *options: str, environment: Mapping[str, str] | None = None, log: IO[bytes] | None = None
) -> Iterator[ApiServer]:
    """On ports that are free, with the database at `url`, and without ML Metadata unless `options` have it.

    `environment` is added to that of this process; what the server logs goes to `log`, else to stderr.
    """
    command = [sys.executable, "-m", "penstock_server.main", "--data-dir", str(directory), "--log-level", "warning"]
    command += ["--database", url, "--metadata-database", "none", *options]
    started = subprocess.Popen(
        [*command, *(word for port in ("--http", "--grpc", "--dispatch") for word in (port, "127.0.0.1:0"))],
        stdout=subprocess.PIPE,
        stderr=log,
        env={**os.environ, **(environment or {})},
        text=True,
    )
    assert started.stdout is not None
    try:
        found = dict(part.split("=", 1) for part in started.stdout.readline().split()[1:])
        http = found["http"].removeprefix("http://")
        yield ApiServer(psutil.Process(started.pid), http, found["grpc"], found["dispatch"])
    finally:
        started.terminate()
        started.wait()
        started.stdout.close()


@contextmanager
def rest(
    up: ApiServer, path: str, body: str | None = None, headers: Mapping[str, str] | None = None
) -> Iterator[Callable[[], bytes]]:
    """A GET, or a POST of `body`, over one connection that is kept; the call returns the content of the reply."""
    connection = http.client.HTTPConnection(up.http)

    def call() -> bytes:
        connection.request("POST" if body else "GET", path, body, dict(headers or {}))
        reply = connection.getresponse()
        content = reply.read()
        assert reply.status == 200, content
        return content

    yield call
    connection.close()
