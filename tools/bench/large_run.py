"""A run with as many tasks as wanted, written into the database as executors report them, without running any."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

from penstock_ir.task_rows import TaskKind, TaskState
from penstock_server.domain.task import Task
from penstock_server.storage.database import Database

_AT_ONCE = 2_000
_TASK_MILLIS = 60


def write(database: Database, run_id: str, number: int) -> None:
    """Adds a loop with half as many iterations, one task in each; disposes of the database."""
    try:
        tasks = list(_tasks(run_id, number // 2))
        for first in range(0, len(tasks), _AT_ONCE):
            with database.writing() as uow:
                change = uow.runs.changes([run_id])[run_id] + 1
                uow.tasks.upsert_many(tasks[first : first + _AT_ONCE], {run_id: change})
                run = uow.runs.get(run_id)
                assert run is not None
                uow.runs.set_states([run])
    finally:
        database.dispose()


def _tasks(run_id: str, iterations: int) -> Iterator[Task]:
    begun = int(time.time() * 1000) - iterations * _TASK_MILLIS
    inputs = json.dumps({"rate": 0.01, "item": "s3://bucket/data/part-000123.parquet"})
    for number in range(iterations):
        at = begun + number * _TASK_MILLIS
        path = f"each[{number}]"
        yield Task(
            run_id, path, "each", TaskKind.ITERATION, TaskState.SUCCEEDED, parent_path="each", iteration_index=number,
            inputs=inputs, created_at=at, started_at=at, finished_at=at + 5000,
        )  # fmt: skip
        yield Task(
            run_id, f"{path}/train", "train", TaskKind.CONTAINER, TaskState.SUCCEEDED, parent_path=path,
            inputs=inputs, outputs=json.dumps({"loss": number / 7}),
            created_at=at, started_at=at + 400, finished_at=at + 5000,
        )  # fmt: skip
    # The loop changes last: its tasks are told of before it is.
    yield Task(run_id, "each", "each", TaskKind.LOOP, TaskState.SUCCEEDED, created_at=begun, started_at=begun)
