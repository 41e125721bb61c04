"""Nodes of the engine as the rows that the server keeps of them.

Invariant: a row is a function of the node and its run's context alone, so a coalesced or repeated write of it is
harmless. Every field of `penstock.internal.v1.TaskRow` is filled here.
"""

from __future__ import annotations

import json

from penstock_api.internal.v1 import dispatch_pb2 as pb
from penstock_ir.model import Dag, ImporterExecutor
from penstock_ir.task_rows import TaskKind, TaskPhase, TaskState

from penstock_executor.engine import names
from penstock_executor.engine.state import ContainerNode, DagNode, ImporterNode, LoopNode, Node, RunContext


def storable(text: str) -> str:
    """Text that every database and every message takes: no NUL, no half of a surrogate pair."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def fill_task_row(message: pb.TaskRow, node: Node, context: RunContext) -> None:
    """A node of the context's run as it is now."""
    message.path = node.path
    message.name = node.name
    if node.task is not None:
        message.display_name = node.task.display_name
    if node.parent is not None:
        message.parent_path = node.parent.path
    message.kind = kind_of(node).value
    message.state = node.state.value
    message.created_at_millis = node.created_at
    message.started_at_millis = node.started_at
    message.finished_at_millis = node.finished_at
    message.error = storable(node.error)
    message.inputs_json = _dump(dict(node.inputs))
    message.outputs_json = _dump(dict(node.outputs.parameters))
    message.input_artifacts_json = _dump({port: [one.name for one in many] for port, many in node.artifacts.items()})
    message.output_artifacts_json = _dump(
        {port: [one.name for one in many] for port, many in node.outputs.artifacts.items()}
    )
    message.iteration_index = -1 if node.iteration is None else node.iteration
    for state, at in node.history:
        message.history.add(state=state.value, at_millis=at)
    if isinstance(node, ContainerNode):
        message.attempt = node.attempt
        message.pod_name = _pod_name(node, context)
        message.log_uri = node.log_uri
        message.fingerprint = node.fingerprint
        phase = TaskPhase.CACHE_LOOKUP if node.phase is TaskPhase.GANG else node.phase
        message.phase = phase.value
        message.wake_at_millis = node.wake_at


def add_artifact_rows(transitions: pb.RunTransitions, node: Node) -> None:
    """The artifacts a task made or imported itself; a DAG hands on what its tasks made."""
    if not isinstance(node, (ContainerNode, ImporterNode)) or node.state is TaskState.CACHED:
        return
    for port, many in node.outputs.artifacts.items():
        for artifact in many:
            transitions.artifacts.add(
                name=artifact.name,
                type=artifact.type,
                uri=artifact.uri,
                metadata_json=_dump(dict(artifact.metadata)),
                task_path=node.path,
                port=port,
                created_at_millis=node.finished_at,
                display_name=artifact.display_name,
            )


def fill_cache_entry(message: pb.CacheEntry, node: ContainerNode, context: RunContext) -> None:
    """The result of an ended task, kept for later runs."""
    message.fingerprint = node.fingerprint
    message.pipeline_name = context.pipeline_name
    message.namespace = context.namespace
    message.task_path = node.path
    message.outputs_json = _dump(node.outputs.to_json())
    message.created_at_millis = node.finished_at


def kind_of(node: Node) -> TaskKind:
    """A node's kind as the API shows it: iterations of a loop are kinds of their own, conditions and nested pipelines
    DAGs."""
    if isinstance(node, LoopNode):
        return TaskKind.LOOP
    if node.iteration is not None and isinstance(node, DagNode):
        return TaskKind.ITERATION
    if isinstance(node, DagNode):
        return TaskKind.DAG
    if node.task is not None:
        if isinstance(node.task.component.implementation, ImporterExecutor):
            return TaskKind.IMPORTER
        if isinstance(node.task.component.implementation, Dag):
            return TaskKind.DAG
    return TaskKind.CONTAINER


def _pod_name(node: ContainerNode, context: RunContext) -> str:
    """Of an attempt that is not seen to run yet, too: while its Pod waits, people want to look at it."""
    if node.pod_name or node.phase not in (TaskPhase.LAUNCHED, TaskPhase.CANCELING):
        return node.pod_name
    return names.pod_name(context.resource_name, node.name, context.run_id, node.path, node.attempt)


def _dump(document: object) -> bytes:
    return b"{}" if not document else json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
