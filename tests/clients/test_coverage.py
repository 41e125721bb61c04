"""docs/api-coverage.md: which RPC and which route every kind of client has really called, by the server's own log.

The table is made from the descriptors, the gateway's routes and the log. A cell that stays empty fails, and so does a
table that is not the committed one; `make api-coverage` writes it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from penstock.client import Client
from penstock_server.rpc.server import public_services

from tests.clients import scenario
from tests.support import http
from tests.support.routes import routes
from tools.embedded import Embedded
from tools.testing import runs

TABLE = Path(__file__).resolve().parents[2] / "docs" / "api-coverage.md"
CLIENTS = {"grpc": "gRPC (reflection)", "rest": "REST", "python": "Python", "go": "Go", "typescript": "TypeScript"}


def methods() -> Iterator[tuple[str, str]]:
    """Service and method of the public API."""
    for service in public_services():
        for method in service.methods:
            yield service.full_name, method.name


@pytest.fixture(scope="module")
def routes_called(open_server: Embedded) -> None:
    """The routes that no RPC stands behind, and the other spellings of those that one does."""
    base = open_server.http
    with Client(open_server.grpc) as client:
        run_id = runs.start(client, scenario.document())
        runs.finished(client, run_id)
        pod = runs.tasks(client, run_id)["only"].pod_name
        artifact = next(iter(client.list_artifacts(run_id=run_id)))
    bucket, _, key = artifact.uri.removeprefix("file:///").partition("/")
    content = json.dumps(scenario.document()).encode()
    for version in ("v1beta1", "v2beta1"):
        made = http.upload(base, content, version=version)
        pipeline_id = made.json.get("pipeline_id") or made.json["id"]
        url = f"{base}/apis/{version}/pipelines/upload_version?pipelineid={pipeline_id}&name=second"
        assert http.send_file(url, content, "p.json").status == 200
    for path in (
        "/apis/v1beta1/healthz",
        "/apis/v2beta1/healthz",
        f"/apis/v1alpha1/runs/{run_id}/nodes/{pod}/log",
        f"/apis/v1beta1/runs/{run_id}/nodes/only/log",
        f"/k8s/pod?podname={pod}",
        f"/k8s/pod/events?podname={pod}",
        f"/k8s/pod/logs?podname={pod}",
        f"/artifacts/get?source=file&bucket={quote(bucket)}&key={quote(key)}",
        "/visualizations/allowed",
        "/livez",
        "/metrics",
        "/readyz",
        "/openapi.json",
    ):
        assert http.call("GET", base + path).status == 200, path
    for name in ("cluster-name", "project-id"):
        assert http.call("GET", f"{base}/system/{name}").status == 404


def table(log: Path) -> str:
    called: dict[str, set[str]] = {}
    answered = set()
    for line in map(json.loads, log.read_text().splitlines()):
        if line["logger"] == "penstock_server.calls":
            called.setdefault(line["method"], set()).add(line["request_id"].split("-")[0])
        elif line["logger"] == "penstock_server.requests":
            answered.add((line["verb"], line["route"]))
    lines = [
        "# What clients have called",
        "",
        "Made by `make api-coverage` from the descriptors and from the log of a live server; a test compares.",
        "The calls, and what must come back, are in `tests/clients/scenario.py`.",
        "",
        f"| RPC | {' | '.join(CLIENTS.values())} |",
        f"|---|{'---|' * len(CLIENTS)}",
    ]
    for service, name in methods():
        cells = ("✓" if client in called.get(f"/{service}/{name}", ()) else " " for client in CLIENTS)
        lines.append(f"| {service}/{name} | {' | '.join(cells)} |")
    lines += ["", "| Route | REST |", "|---|---|"]
    for verb, path in routes():
        lines.append(f"| {verb} `{path}` | {'✓' if (verb, path) in answered else ' '} |")
    return "\n".join(lines) + "\n"


@pytest.mark.usefixtures(
    "python_calls", "reflection_calls", "rest_calls", "go_output", "typescript_output", "routes_called"
)
def test_no_cell_is_empty(open_server: Embedded) -> None:
    log = open_server.data_dir / "logs" / "server.log"
    # Lines come a little later than the answers they tell of.
    made = runs.until(lambda: table(log), lambda found: "|   |" not in found, timeout=10)
    if os.environ.get("PENSTOCK_WRITE_API_COVERAGE"):
        TABLE.write_text(made)
    assert TABLE.read_text() == made, "run `make api-coverage` and commit the table"
