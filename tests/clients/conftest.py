"""A server for clients: it may fetch packages from this machine, and writes a line for every call."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients import scenario
from tools.embedded import Embedded


@pytest.fixture(scope="session")
def package_url() -> Iterator[str]:
    content = json.dumps(scenario.document()).encode()

    class Package(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Package) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/package.json"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def open_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    environment = {"PIPELINE_URL_ALLOW_HTTP": "true", "PIPELINE_URL_VALIDATION_ENABLED": "false"}
    directory = tmp_path_factory.mktemp("clients")
    options = ("--log-level", "info", "--log-format", "json", "--parallelism", "4")
    with Embedded(directory, *options, environment=environment) as embedded:
        yield embedded


@pytest.fixture(scope="session")
def steps_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scenario as clients in other languages read it."""
    path = tmp_path_factory.mktemp("scenario") / "steps.json"
    path.write_text(json.dumps(scenario.steps()))
    return path
