"""A server for clients: it may fetch packages from this machine, and writes a line for every call."""

from __future__ import annotations

import http.server
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from penstock.client import Client

from tests.clients import python_clients, scenario
from tests.clients.programs import GO, TYPESCRIPT, run
from tests.clients.walk import Call, walk
from tools.embedded import Embedded
from tools.testing import runs


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
def open_server(tmp_path_factory: pytest.TempPathFactory, environments: Path) -> Iterator[Embedded]:
    environment = {"PIPELINE_URL_ALLOW_HTTP": "true", "PIPELINE_URL_VALIDATION_ENABLED": "false"}
    directory = tmp_path_factory.mktemp("clients")
    # Probes that find all well are told of to the curious only.
    options = ("--log-level", "debug", "--log-format", "json", "--parallelism", "4")
    with Embedded(directory, *options, environment=environment, environments=environments) as embedded:
        yield embedded


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled TypeScript client, in a directory that finds the installed packages."""
    if not (TYPESCRIPT / "node_modules").exists():
        raise RuntimeError("the packages of the TypeScript client are not there; `make test-programs` installs them")
    out = tmp_path_factory.mktemp("typescript")
    (out / "node_modules").symlink_to(TYPESCRIPT / "node_modules")
    (out / "package.json").write_text('{"type": "module"}')
    run(TYPESCRIPT, "npx", "tsc", "--outDir", str(out))
    return out


@pytest.fixture(scope="session")
def finished_run(open_server: Embedded) -> str:
    with Client(open_server.grpc) as client:
        run_id = runs.start(client, scenario.document())
        runs.finished(client, run_id)
    return run_id


@pytest.fixture(scope="session")
def python_calls(open_server: Embedded, package_url: str) -> int:
    with Client(open_server.grpc) as client:
        return walked("python", open_server, package_url, python_clients.generated(client, "python"))


@pytest.fixture(scope="session")
def reflection_calls(open_server: Embedded, package_url: str) -> int:
    with grpc.insecure_channel(open_server.grpc) as channel:
        return walked("grpc", open_server, package_url, python_clients.by_reflection(channel, "grpc"))


@pytest.fixture(scope="session")
def rest_calls(open_server: Embedded, package_url: str) -> int:
    return walked("rest", open_server, package_url, python_clients.rest(open_server.http, "rest"))


@pytest.fixture(scope="session")
def go_output(open_server: Embedded, package_url: str, steps_file: Path) -> str:
    environment = {
        "PENSTOCK_GRPC": open_server.grpc,
        "PENSTOCK_STEPS": str(steps_file),
        "PENSTOCK_PACKAGE_URL": package_url,
    }
    return run(GO, "go", "test", "-count=1", "-v", ".", **environment)


@pytest.fixture(scope="session")
def typescript_output(built: Path, open_server: Embedded, package_url: str, steps_file: Path) -> str:
    program = str(built / "tests" / "scenario.js")
    return run(TYPESCRIPT, "node", program, f"http://{open_server.grpc}", str(steps_file), package_url)


def walked(name: str, server: Embedded, package_url: str, call: Call) -> int:
    """How many calls it took. A failure quotes what the server logged of the call."""
    try:
        return walk(scenario.steps(), {"client": name, "package_url": package_url}, call)
    except AssertionError as error:
        request = re.search(r"\(request ([\w-]+)\)", str(error))
        lines = (server.data_dir / "logs" / "server.log").read_text().splitlines() if request else []
        logged = [line for line in lines if request and request.group(1) in line]
        raise AssertionError("\n".join([str(error), *logged])) from error


@pytest.fixture(scope="session")
def steps_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scenario as clients in other languages read it."""
    path = tmp_path_factory.mktemp("scenario") / "steps.json"
    path.write_text(json.dumps(scenario.steps()))
    return path
