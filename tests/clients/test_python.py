"""The scenario from Python, three ways: generated stubs, reflection alone, REST."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from penstock.client import Client

from tests.clients import scenario
from tests.clients.programs import CLIENTS, run
from tools.embedded import Embedded
from tools.testing import runs, specs


def test_generated_stubs(python_calls: int) -> None:
    assert python_calls >= len(scenario.steps())


def test_reflection(reflection_calls: int) -> None:
    assert reflection_calls >= len(scenario.steps())


def test_rest(rest_calls: int) -> None:
    assert rest_calls >= len(scenario.steps())


def test_examples(open_server: Embedded, tmp_path: Path, finished_run: str) -> None:
    examples, python = CLIENTS / "python" / "examples", sys.executable
    assert finished_run in run(examples, python, "list_runs.py", open_server.grpc)
    package = tmp_path / "pipeline.json"
    package.write_text(json.dumps(scenario.document()))
    assert run(examples, python, "run_pipeline.py", open_server.grpc, str(package)).endswith("SUCCEEDED\n")
    assert "only output data file://" in run(examples, python, "lineage.py", open_server.grpc, finished_run)


def test_waiting_ends(open_server: Embedded) -> None:
    with Client(open_server.grpc) as client:
        run_id = runs.start(client, specs.container(["sleep", "60"]))
        with pytest.raises(TimeoutError, match=r"RUNNING|PENDING"):
            client.wait_for_run(run_id, timeout=0.5)
