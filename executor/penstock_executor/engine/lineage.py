"""A node as the execution that ML Metadata keeps (executor.md §2.9; api.md §4.5 for what the UI reads).

Invariants: a record is a function of the node alone; its name is deterministic. Omitted tasks have no execution, as
upstream; groups and the root are closed (executor.md §10.1–10.3).
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from penstock_ir.event_log import CachedResult
from penstock_ir.model import Dag, ImporterExecutor, JsonValue
from penstock_ir.task_rows import TaskState

from penstock_executor.engine import names
from penstock_executor.engine.state import ContainerNode, DagNode, ImporterNode, LoopNode, Node, RunContext
from penstock_executor.lineage_records import ExecutionRecord, ExecutionState, ExecutionType, RunRecord

_STATES: Mapping[TaskState, ExecutionState] = {
    TaskState.PENDING: ExecutionState.RUNNING,
    TaskState.RUNNING: ExecutionState.RUNNING,
    TaskState.SUCCEEDED: ExecutionState.COMPLETE,
    TaskState.CACHED: ExecutionState.CACHED,
    TaskState.SKIPPED: ExecutionState.CANCELED,
    TaskState.FAILED: ExecutionState.FAILED,
    TaskState.CANCELED: ExecutionState.FAILED,
}


def run_record(context: RunContext) -> RunRecord:
    """What a run's records share."""
    return RunRecord(
        run_id=context.run_id,
        pipeline_name=context.pipeline_name,
        namespace=context.namespace,
        pipeline_root=f"{context.root}/{context.pipeline_name}/{context.run_id}",
    )


def execution_record(node: Node, run: RunRecord) -> ExecutionRecord | None:
    """The record of a node as it is now, None when it has none."""
    if node.state is TaskState.OMITTED:
        return None
    dag = node.task.component.implementation if node.task else node.dag if isinstance(node, DagNode) else None
    is_dag = isinstance(dag, Dag)
    ended = node.state.terminal and node.state is not TaskState.SKIPPED
    return ExecutionRecord(
        run=run,
        name=names.execution_name(run.run_id, node.path),
        type=_type_of(node),
        state=_STATES[node.state],
        parent=names.execution_name(run.run_id, node.parent.path) if node.parent else "",
        task_name=node.name,
        display_name=node.task.display_name if node.task else "",
        inputs=dict(node.inputs),
        outputs=dict(node.outputs.parameters) if ended else None,
        iteration_index=node.iteration,
        iteration_count=len(node.items) if isinstance(node, LoopNode) and node.started_at else None,
        total_dag_tasks=len(dag.tasks) if isinstance(dag, Dag) and node.parent is not None else None,
        parameter_producer_task=_parameter_producers(dag) if isinstance(dag, Dag) else None,
        artifact_producer_task=_artifact_producers(dag) if isinstance(dag, Dag) else None,
        cached_execution_id=_cached_execution_id(node.cached)
        if isinstance(node, ContainerNode) and node.cached
        else "",
        cache_fingerprint=node.fingerprint if isinstance(node, ContainerNode) else "",
        pod_name=node.pod_name if isinstance(node, ContainerNode) else "",
        created_at_millis=node.created_at,
        updated_at_millis=node.finished_at or node.started_at or node.created_at,
        input_artifacts=node.artifacts,
        output_artifacts={} if is_dag or not ended else node.outputs.artifacts,
    )


def _cached_execution_id(result: CachedResult) -> str:
    """The id in ML Metadata, or the most that is known of the task that made the result."""
    return str(result.execution_id) if result.execution_id else result.path or result.run_id


def _type_of(node: Node) -> ExecutionType:
    if isinstance(node, (DagNode, LoopNode)):
        return ExecutionType.DAG
    if isinstance(node, ImporterNode):
        spec = node.task.component.implementation if node.task else None
        if isinstance(spec, ImporterExecutor) and spec.download_to_workspace:
            return ExecutionType.IMPORTER_WORKSPACE
        return ExecutionType.IMPORTER
    return ExecutionType.CONTAINER


def _parameter_producers(dag: Dag) -> dict[str, JsonValue]:
    producers: dict[str, JsonValue] = {}
    for name, output in dag.parameter_outputs.items():
        selectors = [{"producerSubtask": one.producer, "outputParameterKey": one.key} for one in output.selectors]
        spec = (
            {"valueFromOneof": {"parameterSelectors": selectors}}
            if output.one_of
            else {"valueFromParameter": selectors[0]}
        )
        producers[name] = json.dumps(spec, separators=(",", ":"))
    return producers


def _artifact_producers(dag: Dag) -> dict[str, JsonValue]:
    return {
        name: {
            "artifact_selectors": [
                {"producer_subtask": one.producer, "output_artifact_key": one.key} for one in output.selectors
            ]
        }
        for name, output in dag.artifact_outputs.items()
    }
