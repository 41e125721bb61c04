"""A column of a task goes the whole way: from the engine's node over the report and the database to the API.

A field that is added in one place alone fails here, by its name.
"""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from penstock_api.internal.v1 import dispatch_pb2
from penstock_api.v1 import insight_pb2
from penstock_executor.dispatch.rows import fill_task_row
from penstock_executor.engine.state import ContainerNode, DagNode, RunContext
from penstock_ir.artifact import Artifact
from penstock_ir.compile import compile_pipeline
from penstock_ir.event_log import Outputs
from penstock_ir.loader import document_from_json
from penstock_ir.model import Dag
from penstock_ir.task_rows import TaskPhase, TaskState
from penstock_server.domain.task import Task
from penstock_server.rpc.convert.insight import task_to_proto
from penstock_server.rpc.convert.rows import REPORTED, task_from_proto
from penstock_server.storage import tables
from penstock_server.storage.database import Database

from tests.support.rows import prepared
from tools.testing import specs

COLUMNS = {field.name for field in fields(Task)}
# Told by other messages: how a task waits, and its id in ML Metadata.
NOT_IN_REPORTS = {"run_id", "execution_id", "waiting"}
# Parts of a row's key, its place among the rows of its run, and its latest change.
OF_THE_TABLE = {"task_id", "ordinal", "parent_id", "changed"}
# Kept for v2beta1 (`history`), for explanations and for the cache.
NOT_IN_THE_API = {"run_id", "history", "fingerprint", "phase", "wake_at"}


def names(message: Any) -> set[str]:
    return {field.name for field in message.fields}


def set_fields(message: Any) -> set[str]:
    return {field.name for field, _ in message.ListFields()}


def full_row() -> dispatch_pb2.TaskRow:
    """The row of a node of which nothing has its default."""
    pipeline = compile_pipeline(document_from_json(specs.chain({"a": ["true"]})))
    context = RunContext("r1", pipeline, {}, "file:///root")
    dag = pipeline.root.implementation
    assert isinstance(dag, Dag)
    task = replace(dag.tasks[0], display_name="A")
    parent = DagNode("group", "group", None, dag, None, 1)
    node = ContainerNode("group/a", "a", task, parent, 1)
    artifact = Artifact("a1", "system.Model", "file:///a")
    node.inputs, node.artifacts = {"x": 1}, {"in": (artifact,)}
    node.outputs = Outputs({"y": 2}, {"out": (artifact,)})
    node.iteration, node.attempt, node.phase = 3, 2, TaskPhase.BACKOFF
    node.pod_name, node.log_uri, node.fingerprint = "pod", "file:///log", "f00d"
    node.started_at, node.wake_at, node.error = 2, 9, "boom"
    node.enter(TaskState.FAILED, 5)
    row = dispatch_pb2.TaskRow()
    fill_task_row(row, node, context)
    return row


def test_the_executor_fills_every_field_of_a_row() -> None:
    assert set_fields(full_row()) == names(dispatch_pb2.TaskRow.DESCRIPTOR)


def test_the_server_takes_every_field_of_a_row() -> None:
    assert set(REPORTED.values()) == names(dispatch_pb2.TaskRow.DESCRIPTOR)
    assert set(REPORTED) == COLUMNS - NOT_IN_REPORTS


def test_every_field_of_a_task_is_a_column() -> None:
    assert {column.name for column in tables.tasks.columns} == COLUMNS | OF_THE_TABLE


def test_the_api_shows_every_field_of_a_task_or_it_is_said_here_that_it_does_not() -> None:
    shown = (COLUMNS - NOT_IN_THE_API - {"attempt"}) | {"attempts", "duration_millis", "child_counts"}
    assert names(insight_pb2.Task.DESCRIPTOR) == shown


def test_a_row_goes_the_whole_way(tmp_path: Path) -> None:
    sent = task_from_proto("r1", full_row())
    database = Database(f"sqlite:///{tmp_path}/test.db")
    database.migrate()
    try:
        prepared(database, "r1")
        with database.writing() as uow:
            uow.tasks.upsert_many([sent], {sent.run_id: 1})
            uow.tasks.set_execution_ids({("r1", sent.path): 7}, {"r1": 2})
            uow.tasks.set_waits({("r1", sent.path): "no node"}, {"r1": 3})
        with database.reading() as uow:
            kept = uow.tasks.get("r1", sent.task_id)
    finally:
        database.dispose()
    assert kept == replace(sent, execution_id=7, waiting="no node")
    shown = task_to_proto(kept)
    assert set_fields(shown) == names(insight_pb2.Task.DESCRIPTOR) - {"child_counts"}
    assert (shown.kind, shown.state, shown.attempts, shown.iteration_index) == ("container", "FAILED", 2, 3)
    assert (shown.created_at.ToMilliseconds(), shown.finished_at.ToMilliseconds(), shown.duration_millis) == (1, 5, 3)
    assert (dict(shown.inputs), list(shown.output_artifacts["out"].names)) == ({"x": 1}, ["a1"])
