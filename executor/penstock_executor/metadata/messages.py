"""Records as ML Metadata messages: names, types and properties as the web UI reads them (executor.md §2.9).

Invariant: a message depends on its record alone, and that of an artifact on the artifact alone, so the task that made
an artifact and one that uses it write the same message.
"""

from __future__ import annotations

import json

from ml_metadata.proto import metadata_store_pb2 as pb
from penstock_ir.artifact import Artifact

from penstock_executor.lineage_records import ExecutionRecord, RunRecord
from penstock_executor.metadata.values import fill_struct, set_metadata, set_value


def run_context(run: RunRecord) -> pb.Context:
    """The context `system.PipelineRun` of a run, without its type."""
    context = pb.Context(name=run.run_id)
    properties = context.custom_properties
    properties["namespace"].string_value = run.namespace
    properties["resource_name"].string_value = "run-resource"
    properties["pipeline_root"].string_value = run.pipeline_root
    if run.store_session_info:
        properties["store_session_info"].string_value = run.store_session_info
    return context


def pipeline_context_name(run: RunRecord) -> str:
    """The name of the context `system.Pipeline`: that of the pipeline, in its namespace where there are any, so that
    pipelines of one name in two namespaces have nothing in common.
    """
    return f"namespace/{run.namespace}/pipeline/{run.pipeline_name}" if run.namespace else run.pipeline_name


def execution_message(record: ExecutionRecord, type_id: int, parent_id: int | None) -> pb.Execution:
    """`type_id` is that of the record's execution type, `parent_id` the execution of the DAG around it, None for the
    root."""
    message = pb.Execution(type_id=type_id, name=record.name, last_known_state=record.state.value)
    properties = message.custom_properties
    properties["task_name"].string_value = record.task_name
    properties["display_name"].string_value = record.display_name
    if parent_id is not None:
        properties["parent_dag_id"].int_value = parent_id
    for name in ("iteration_index", "iteration_count", "total_dag_tasks"):
        number = getattr(record, name)
        if number is not None:
            properties[name].int_value = number
    for name in ("cached_execution_id", "cache_fingerprint", "pod_name", "pod_uid", "image"):
        text = getattr(record, name)
        if text:
            set_value(properties[name], text)
    if record.run.namespace:
        properties["namespace"].string_value = record.run.namespace
    for name in ("inputs", "outputs", "parameter_producer_task"):
        document = getattr(record, name)
        if document is not None:
            struct = properties[name].struct_value
            struct.SetInParent()
            fill_struct(struct, document)
    if record.artifact_producer_task is not None:
        properties["artifact_producer_task"].string_value = json.dumps(record.artifact_producer_task)
    return message


def artifact_message(artifact: Artifact, type_id: int, port: str) -> pb.Artifact:
    """`port` is the display name of artifacts from releases that recorded none."""
    message = pb.Artifact(
        type_id=type_id,
        name=artifact.name,
        external_id=artifact.name,
        uri=artifact.uri,
        state=pb.Artifact.LIVE,
    )
    set_metadata(message.custom_properties, artifact.metadata)
    if "display_name" not in message.custom_properties:
        message.custom_properties["display_name"].string_value = artifact.display_name or port
    return message
