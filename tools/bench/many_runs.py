"""A database with many runs, experiments and pipelines, as the benchmarks of the API ask about them."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from typing import Any

from penstock_api.v2beta1 import run_pb2
from penstock_server.storage import tables
from penstock_server.storage.database import Database
from sqlalchemy import insert, text

from tools.testing import specs

_TASKS = 5


def new_run(ids: Mapping[str, str]) -> run_pb2.CreateRunRequest:
    """A run of the pipeline among these ids."""
    request = run_pb2.CreateRunRequest()
    request.run.display_name = "bench"
    request.run.pipeline_version_reference.pipeline_id = ids["pipeline"]
    request.run.pipeline_version_reference.pipeline_version_id = ids["version"]
    return request


def filled(url: str, size: int, detailed: int) -> dict[str, str]:
    """Inserts finished runs, their experiments and pipelines, and tasks of the last `detailed` runs; returns an id of
    each.
    """
    database = Database(url)
    database.migrate()
    spec = json.dumps(specs.container(["true"]))
    now = int(time.time() * 1000)
    experiments = [str(uuid.uuid4()) for _ in range(max(1, size // 100))]
    pipelines = [str(uuid.uuid4()) for _ in range(max(1, size // 10))]
    runs = [str(uuid.uuid4()) for _ in range(size)]

    def stored(table: Any, rows: list[dict[str, Any]]) -> None:
        with database.engine.begin() as connection:
            for start in range(0, len(rows), 5_000):
                connection.execute(insert(table), rows[start : start + 5_000])

    stored(tables.specs, [{"spec_hash": "bench", "pipeline_spec": spec, "platform_spec": ""}])
    stored(
        tables.experiments,
        [
            {"experiment_id": one, "name": f"experiment {n}", "created_at": now + n, "storage_state": "AVAILABLE"}
            for n, one in enumerate(experiments)
        ],
    )
    stored(
        tables.pipelines,
        [
            {"pipeline_id": one, "name": f"pipeline {n}", "display_name": f"pipeline {n}", "created_at": now + n}
            for n, one in enumerate(pipelines)
        ],
    )
    stored(
        tables.pipeline_versions,
        [
            {
                "pipeline_version_id": f"v-{one[:60]}", "pipeline_id": one, "name": "v", "display_name": "v",
                "created_at": now + n, "spec_hash": "bench",
            }
            for n, one in enumerate(pipelines)
        ],
    )  # fmt: skip
    states = ("SUCCEEDED", "SUCCEEDED", "SUCCEEDED", "FAILED")
    stored(
        tables.runs,
        [
            {
                "run_id": one, "experiment_id": experiments[n % len(experiments)], "display_name": f"run {n}",
                "storage_state": "AVAILABLE", "state": states[n % 4], "created_at": now - size * 1000 + n * 1000,
                "scheduled_at": now, "finished_at": now, "spec_hash": "bench", "claimable": False,
                "pipeline_id": pipelines[n % len(pipelines)],
                "pipeline_version_id": f"v-{pipelines[n % len(pipelines)][:60]}",
            }
            for n, one in enumerate(runs)
        ],
    )  # fmt: skip
    stored(
        tables.tasks,
        [
            {
                "run_id": one, "task_id": f"t{n}", "path": f"task-{n}" if n else "", "ordinal": n, "name": f"task-{n}",
                "kind": "container" if n else "dag", "state": "SUCCEEDED", "created_at": now,
                "history": json.dumps([["PENDING", now], ["RUNNING", now], ["SUCCEEDED", now]]),
            }
            for one in runs[-detailed:]
            for n in range(_TASKS + 1)
        ],
    )  # fmt: skip
    if database.engine.dialect.name == "postgresql":
        # Autovacuum would do this after so many new rows, at an unpredictable time.
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
    database.dispose()
    return {
        "run": runs[-1],
        "experiment": experiments[0],
        "pipeline": pipelines[0],
        "version": f"v-{pipelines[0][:60]}",
    }
