"""The Go client: formatted, vetted, compiled, and calling a live server."""

from __future__ import annotations

import json
from pathlib import Path

from tests.clients import scenario
from tests.clients.programs import GO, run
from tools.embedded import Embedded


def test_source() -> None:
    gofmt = Path(run(GO, "go", "env", "GOROOT").strip()) / "bin" / "gofmt"
    assert run(GO, str(gofmt), "-l", ".") == ""
    run(GO, "go", "vet", "./...")


def test_every_call(go_output: str) -> None:
    for test in ("TestScenario", "TestUnserved", "TestDeadline"):
        assert f"--- PASS: {test}" in go_output


def test_examples(open_server: Embedded, tmp_path: Path, finished_run: str) -> None:
    server = ("-server", open_server.grpc)
    assert finished_run in run(GO, "go", "run", "./examples/list_runs", *server)
    package = tmp_path / "pipeline.json"
    package.write_text(json.dumps(scenario.document()))
    assert run(GO, "go", "run", "./examples/run_pipeline", *server, str(package)).endswith("SUCCEEDED\n")
    assert "only OUTPUT file://" in run(GO, "go", "run", "./examples/lineage", *server, finished_run)
