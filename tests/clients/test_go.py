"""The Go client: formatted, vetted, compiled, and calling a live server."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from penstock.client import Client

from tests.clients import scenario
from tests.support import runs
from tools.embedded import Embedded

CLIENT = Path(__file__).resolve().parents[2] / "clients" / "go"


def go(*arguments: str, **environment: str) -> str:
    done = subprocess.run(
        arguments, cwd=CLIENT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, f"{' '.join(arguments)}:\n{done.stdout}{done.stderr}"
    return done.stdout


def test_source() -> None:
    assert go("gofmt", "-l", ".") == ""
    go("go", "vet", "./...")


def test_every_call(open_server: Embedded, package_url: str, steps_file: Path) -> None:
    environment = {
        "PENSTOCK_GRPC": open_server.grpc,
        "PENSTOCK_STEPS": str(steps_file),
        "PENSTOCK_PACKAGE_URL": package_url,
    }
    said = go("go", "test", "-count=1", "-v", ".", **environment)
    for test in ("TestScenario", "TestUnserved", "TestDeadline"):
        assert f"--- PASS: {test}" in said


@pytest.fixture(scope="module")
def finished_run(open_server: Embedded) -> str:
    with Client(open_server.grpc) as client:
        run_id = runs.start(client, scenario.document())
        runs.finished(client, run_id)
    return run_id


def test_examples(open_server: Embedded, tmp_path: Path, finished_run: str) -> None:
    server = ("-server", open_server.grpc)
    assert finished_run in go("go", "run", "./examples/list_runs", *server)
    package = tmp_path / "pipeline.json"
    package.write_text(json.dumps(scenario.document()))
    assert go("go", "run", "./examples/run_pipeline", *server, str(package)).endswith("SUCCEEDED\n")
    lineage = go("go", "run", "./examples/lineage", *server, finished_run)
    assert "only OUTPUT file://" in lineage
