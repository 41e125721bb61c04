"""What a launch takes from the pipeline's own configuration."""

from __future__ import annotations

from typing import Any

import pytest
from penstock_executor.engine.events import RunStarted
from penstock_executor.engine.launch import task_launch
from penstock_executor.engine.machine import apply
from penstock_executor.engine.state import RunContext, RunState
from penstock_ir.compile import compile_pipeline
from penstock_ir.loader import document_from_json

from tests.support import specs


@pytest.mark.parametrize(
    ("config", "succeeded", "failed"),
    [
        ({}, None, None),
        ({"resourceTtlOnCompletion": 60}, 60.0, 60.0),
        ({"resourceTtlOnSuccess": 5, "resourceTtlOnCompletion": 60}, 5.0, 60.0),
        ({"resourceTtlOnFailure": 5}, None, 5.0),
        ({"resourceTtlOnFailure": 0, "resourceTtlOnSuccess": -1}, None, None),
    ],
)
def test_time_to_live(config: dict[str, Any], succeeded: float | None, failed: float | None) -> None:
    platform = {"platforms": {"kubernetes": {"pipelineConfig": config}}}
    spec = {"pipeline_spec": specs.chain({"a": ["true"]}), "platform_spec": platform}
    context = RunContext("run", compile_pipeline(document_from_json(spec)), {}, "file:///root")
    state = RunState(context)
    apply(state, RunStarted(1))
    launch = task_launch(state.open_tasks["a"], context)
    assert (launch.ttl_succeeded, launch.ttl_failed) == (succeeded, failed)
