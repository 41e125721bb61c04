"""Replies with values as deep as they may be, and deeper ones from a release that took them, can be read (api.md §2.4).

Objects take the most levels of a message, so the values are objects in objects.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from penstock_api.v1 import insight_pb2
from penstock_api.v1beta1 import run_pb2 as old_run_pb2
from penstock_api.v2beta1 import pipeline_pb2, recurring_run_pb2, run_pb2
from penstock_ir.json_text import MAX_DEPTH
from penstock_ir.planned import Plan, PlannedTask
from penstock_ir.task_rows import TaskKind
from penstock_server.domain.run import Run, RunState
from penstock_server.domain.schedule import Schedule, Trigger
from penstock_server.gateway.transcoder import to_json
from penstock_server.rpc.convert.common import fill_config, struct
from penstock_server.rpc.convert.explain import plan_to_proto
from penstock_server.rpc.convert.recurring_runs import to_proto as schedule_to_proto
from penstock_server.rpc.convert.runs import fill_plugins
from penstock_server.rpc.convert.runs import to_proto as run_to_proto


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"k": value}
    return value


def replies(levels: int) -> list[Message]:
    value, config = nested(levels), json.dumps({"parameters": {"p": nested(levels)}, "pipeline_root": "r"})
    runs = run_pb2.ListRunsResponse()
    run = runs.runs.add(pipeline_spec=struct(value))
    fill_config(run.runtime_config, config)
    fill_plugins(run.plugins_input, json.dumps({"a": value}))
    jobs = recurring_run_pb2.ListRecurringRunsResponse()
    fill_config(jobs.recurringRuns.add().runtime_config, config)
    old = old_run_pb2.ListRunsResponse()
    fill_config(old.runs.add().pipeline_spec.runtime_config, config)
    versions = pipeline_pb2.ListPipelineVersionsResponse()
    versions.pipeline_versions.add(pipeline_spec=struct(value))
    tasks = insight_pb2.ListTasksResponse()
    tasks.tasks.add(inputs=struct({"p": value}), outputs=struct({"p": value}))
    artifacts = insight_pb2.ListArtifactsResponse()
    artifacts.artifacts.add(metadata=struct({"m": value}))
    return [runs, jobs, old, versions, tasks, artifacts]


@pytest.mark.parametrize("levels", [MAX_DEPTH, MAX_DEPTH + 1, MAX_DEPTH + 2, 140])
def test_replies_can_be_read(levels: int) -> None:
    for reply in replies(levels):
        assert type(reply).FromString(reply.SerializeToString()) == reply
        again = type(reply)()
        json_format.Parse(to_json(reply), again)
        assert again == reply


def test_runs_and_recurring_runs_of_an_earlier_release_can_be_read() -> None:
    deep = json.dumps(nested(140))
    config, plugins = json.dumps({"parameters": {"p": nested(140)}}), json.dumps({"a": nested(140)})
    run = Run(
        *("id", "experiment", "name", "", "", "", "AVAILABLE", RunState.PENDING, (), 1, 1, "hash"),
        submitted_spec=deep,
        runtime_config=config,
        plugins_input=plugins,
    )
    schedule = Schedule(
        *("id", "name", "", "experiment", "", "", "name", True, 1, False, Trigger(), "hash", "", ""),
        submitted_spec=deep,
        runtime_config=config,
        parameters="{}",
        pipeline_root="",
        created_at=1,
        updated_at=1,
        plugins_input=plugins,
    )
    runs = run_pb2.ListRunsResponse(runs=[run_to_proto(run)])
    schedules = recurring_run_pb2.ListRecurringRunsResponse(recurringRuns=[schedule_to_proto(schedule)])
    for reply in (runs, schedules):
        assert type(reply).FromString(reply.SerializeToString()) == reply


def test_what_fits_is_as_it_was_and_the_rest_is_text() -> None:
    run = run_pb2.Run()
    fill_config(run.runtime_config, json.dumps({"parameters": {"p": nested(MAX_DEPTH), "q": nested(MAX_DEPTH + 1)}}))
    shown = json_format.MessageToDict(run.runtime_config)["parameters"]
    assert shown["p"] == nested(MAX_DEPTH)
    deepest = shown["q"]
    for _ in range(MAX_DEPTH):
        deepest = deepest["k"]
    assert deepest == '{"k":1}'


@pytest.mark.parametrize("groups", [0, 25, 60])
def test_plans_of_groups_in_groups_can_be_read(groups: int) -> None:
    task = PlannedTask("innermost", TaskKind.CONTAINER, "innermost", inputs={"p": nested(MAX_DEPTH)})
    for _ in range(groups):
        task = PlannedTask("group", TaskKind.DAG, "group", inputs={"p": nested(MAX_DEPTH)}, children=[task])
    reply = plan_to_proto(Plan([task], []))
    assert type(reply).FromString(reply.SerializeToString()) == reply
