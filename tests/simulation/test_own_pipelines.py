"""Every pipeline of tests/pipelines under faults: crashes, lost messages, terminations, retries."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from penstock_ir.compile import compile_pipeline
from penstock_ir.loader import parse_package
from penstock_ir.parameters import bind_root_parameters

from tools.simulate.runner import check_pipeline

PIPELINES = Path(__file__).resolve().parents[1] / "pipelines"
RECORDS = json.loads((PIPELINES / "index.json").read_text())["pipelines"]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: str(record["name"]))
def test_own_pipelines(record: dict[str, Any]) -> None:
    pipeline = compile_pipeline(parse_package((PIPELINES / record["file"]).read_bytes()))
    arguments = bind_root_parameters(pipeline, record["parameters"])
    for seed in range(25):
        check_pipeline(pipeline, seed, arguments)
