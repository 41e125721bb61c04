"""Lineage as values: the records of a run and its tasks for ML Metadata (executor.md §2.9).

Invariants: names are deterministic, so recording twice changes nothing; a record replaces an earlier one of its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from penstock_ir.artifact import Artifact
from penstock_ir.model import JsonValue


class ExecutionState(Enum):
    """Values of ml_metadata.Execution.State."""

    RUNNING = 2
    COMPLETE = 3
    FAILED = 4
    CACHED = 5
    CANCELED = 6


class ExecutionType(str, Enum):
    """Names of ML Metadata's types of executions, as upstream has them."""

    CONTAINER = "system.ContainerExecution"
    DAG = "system.DAGExecution"
    IMPORTER = "system.ImporterExecution"
    IMPORTER_WORKSPACE = "system.ImporterWorkspaceExecution"


@dataclass(frozen=True, slots=True)
class RunRecord:
    """The contexts of a run and of its pipeline. `pipeline_root` is `<root>/<pipeline>/<run>`."""

    run_id: str
    pipeline_name: str
    namespace: str
    pipeline_root: str
    store_session_info: str = ""


@dataclass(frozen=True, slots=True)
class ExecutionRecord:
    """One execution row. `name` is `run/<run id>` for the root, `run/<run id>/<path>` below it.

    `parent` is the name of the parent's record, empty for the root. `task_name` and `display_name` are empty for the
    root. Every custom property of executor.md §2.9 that is None or empty is left out, except task_name and
    display_name, which are always written.
    """

    run: RunRecord
    name: str
    type: ExecutionType
    state: ExecutionState
    parent: str
    task_name: str
    display_name: str
    inputs: Mapping[str, JsonValue] | None = None
    outputs: Mapping[str, JsonValue] | None = None
    iteration_index: int | None = None
    iteration_count: int | None = None
    total_dag_tasks: int | None = None
    parameter_producer_task: Mapping[str, JsonValue] | None = None
    artifact_producer_task: Mapping[str, JsonValue] | None = None
    cached_execution_id: str = ""
    cache_fingerprint: str = ""
    pod_name: str = ""
    pod_uid: str = ""
    image: str = ""
    created_at_millis: int = 0
    updated_at_millis: int = 0
    input_artifacts: Mapping[str, tuple[Artifact, ...]] = field(default_factory=dict)
    output_artifacts: Mapping[str, tuple[Artifact, ...]] = field(default_factory=dict)
