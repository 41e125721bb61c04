"""A node as the row the API shows.

Invariant: a row is a function of the node and its run's context alone, so a coalesced or repeated write of it is
harmless.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from penstock_ir.artifact import Artifact
from penstock_ir.model import Dag, ImporterExecutor
from penstock_ir.task_rows import TaskKind, TaskState

from penstock_executor.engine import names
from penstock_executor.engine.state import ContainerNode, DagNode, ImporterNode, LoopNode, Node, Phase, RunContext


@dataclass(frozen=True, slots=True)
class TaskRow:
    """Fields as in penstock.internal.v1.TaskRow; JSON columns are encoded already."""

    path: str
    name: str
    display_name: str
    parent_path: str
    kind: TaskKind
    state: TaskState
    attempt: int
    created_at: int
    started_at: int
    finished_at: int
    error: str
    inputs: bytes
    outputs: bytes
    input_artifacts: bytes
    output_artifacts: bytes
    iteration: int | None
    pod_name: str
    log_uri: str
    fingerprint: str
    phase: str
    wake_at: int
    history: tuple[tuple[TaskState, int], ...]


@dataclass(frozen=True, slots=True)
class ArtifactRow:
    """An artifact with the task that made it, at one of its output ports."""

    artifact: Artifact
    task_path: str
    port: str
    created_at: int


def task_row(node: Node, context: RunContext) -> TaskRow:
    """The row of a node of the context's run as it is now."""
    container = node if isinstance(node, ContainerNode) else None
    return TaskRow(
        path=node.path,
        name=node.name,
        display_name=node.task.display_name if node.task else "",
        parent_path=node.parent.path if node.parent else "",
        kind=kind_of(node),
        state=node.state,
        attempt=container.attempt if container else 0,
        created_at=node.created_at,
        started_at=node.started_at,
        finished_at=node.finished_at,
        error=node.error,
        inputs=_dump(dict(node.inputs)),
        outputs=_dump(dict(node.outputs.parameters)),
        input_artifacts=_dump({port: [one.name for one in many] for port, many in node.artifacts.items()}),
        output_artifacts=_dump({port: [one.name for one in many] for port, many in node.outputs.artifacts.items()}),
        iteration=node.iteration,
        pod_name=_pod_name(container, context) if container else "",
        log_uri=container.log_uri if container else "",
        fingerprint=container.fingerprint if container else "",
        phase=container.phase.value if container else "",
        wake_at=container.wake_at if container else 0,
        history=tuple(node.history),
    )


def artifact_rows(node: Node) -> list[ArtifactRow]:
    """The artifacts a task made or imported itself; a DAG hands on what its tasks made."""
    if not isinstance(node, (ContainerNode, ImporterNode)) or node.state is TaskState.CACHED:
        return []
    return [
        ArtifactRow(artifact, node.path, port, node.finished_at)
        for port, many in node.outputs.artifacts.items()
        for artifact in many
    ]


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
    if node.pod_name or node.phase not in (Phase.LAUNCHED, Phase.CANCELING):
        return node.pod_name
    return names.pod_name(context.resource_name, node.name, context.run_id, node.path, node.attempt)


def _dump(document: object) -> bytes:
    return b"{}" if not document else json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
