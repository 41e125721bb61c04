"""What was made from what: which task used or made which artifact, and the part of it that is shown around one node.

Invariants: a DAG, loop or iteration uses and makes nothing, it hands on what its tasks do. A task that was answered
from the cache made nothing either: its outputs are an earlier run's artifacts, under their own names.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from penstock_ir.task_rows import TaskKind, TaskState

from penstock_server.domain.limits import check_length
from penstock_server.domain.task import Artifact, Task, task_id_of
from penstock_server.errors import InvalidArgumentError

DEFAULT_DEPTH, MOST_DEPTH = 3, 20
DEFAULT_NODES, MOST_NODES = 200, 1_000
_MAX_NAME = 128
_MAX_PORT = 255
_MAX_PATH = 16 * 1024
_KINDS = (TaskKind.CONTAINER, TaskKind.IMPORTER)


class TaskKey(NamedTuple):
    """A task of a run by its id; a NamedTuple, because sets and dictionaries are full of them."""

    run_id: str
    task_id: str


class ArtifactUse(NamedTuple):
    """`output`: the task made the artifact, or answered with it from the cache; otherwise it used it."""

    task: TaskKey
    artifact: str
    output: bool
    port: str
    created_at: int = 0


class Direction(Enum):
    BOTH = 0
    BACKWARDS = 1
    FORWARDS = 2


@dataclass(frozen=True, slots=True)
class LineageRequest:
    """Around an artifact, or around the task at a path of a run; 0 for the usual bounds."""

    artifact: str = ""
    run_id: str = ""
    path: str = ""
    direction: Direction = Direction.BOTH
    depth: int = 0
    max_nodes: int = 0


@dataclass(frozen=True, slots=True)
class LineageTask:
    """What is shown of a task; `namespace` is its run's."""

    run_id: str
    path: str
    display_name: str
    kind: TaskKind
    state: TaskState
    run_display_name: str
    namespace: str
    finished_at: int = 0
    more: bool = False

    @property
    def key(self) -> TaskKey:
        return TaskKey(self.run_id, task_id_of(self.run_id, self.path))


@dataclass(frozen=True, slots=True)
class LineageArtifact:
    """`namespace` is that of the run that made it. Of one whose run was deleted there is the name alone."""

    artifact: Artifact
    namespace: str = ""
    more: bool = False

    @property
    def maker(self) -> ArtifactUse | None:
        """Who made or imported it, and under which port."""
        one = self.artifact
        if not one.run_id:
            return None
        key = TaskKey(one.run_id, task_id_of(one.run_id, one.task_path))
        return ArtifactUse(key, one.name, output=True, port=one.port[:_MAX_PORT], created_at=one.created_at)


@dataclass(frozen=True, slots=True)
class Lineage:
    """A part of the graph. Both ends of each use are in it; the node that was asked for comes first of its kind."""

    artifacts: Sequence[LineageArtifact] = ()
    tasks: Sequence[LineageTask] = ()
    uses: Sequence[ArtifactUse] = field(default=())
    truncated: bool = False


def checked(request: LineageRequest) -> LineageRequest:
    """With its bounds filled in. Raises InvalidArgumentError that names the field."""
    if request.artifact and (request.run_id or request.path):
        raise InvalidArgumentError("either an artifact or a task is asked for, not both", "artifact, run_id, path")
    if not request.artifact:
        if not request.run_id and not request.path:
            raise InvalidArgumentError(
                "an artifact, or a task by its run and path, is needed", "artifact, run_id, path"
            )
        for name in ("run_id", "path"):
            if not getattr(request, name):
                raise InvalidArgumentError("it is required: a task is named by its run and its path", name)
    for name, limit in (("artifact", _MAX_NAME), ("run_id", 64), ("path", _MAX_PATH)):
        check_length(getattr(request, name), name, limit)
    depth = _bounded(request.depth, "depth", DEFAULT_DEPTH, MOST_DEPTH)
    max_nodes = _bounded(request.max_nodes, "max_nodes", DEFAULT_NODES, MOST_NODES)
    return LineageRequest(request.artifact, request.run_id, request.path, request.direction, depth, max_nodes)


def _bounded(value: int, name: str, usual: int, most: int) -> int:
    if not 0 <= value <= most:
        raise InvalidArgumentError(f"{value} is not between 0 and {most}", name)
    return value or usual


def uses_of(task: Task) -> list[ArtifactUse]:
    """What a task used and made, as its row says. Raises InvalidArgumentError for what is no object of lists of names.

    What it takes is known when it runs, so that nothing is told of a task that still waits.
    """
    if task.kind not in _KINDS or task.state is TaskState.PENDING:
        return []
    key = TaskKey(task.run_id, task.task_id)
    return uses_in(key, task.created_at, task.input_artifacts, task.output_artifacts)


def uses_in(key: TaskKey, created_at: int, inputs: str, outputs: str) -> list[ArtifactUse]:
    """What the artifacts by port of a task's row say. Raises InvalidArgumentError."""
    return [*_ports(key, created_at, inputs, output=False), *_ports(key, created_at, outputs, output=True)]


def _ports(key: TaskKey, created_at: int, document: str, *, output: bool) -> list[ArtifactUse]:
    if document == "{}":
        return []
    name = "tasks.output_artifacts" if output else "tasks.input_artifacts"
    ports = json.loads(document)
    found = []
    for port, artifacts in ports.items():
        check_length(port, name, _MAX_PATH)
        if not isinstance(artifacts, list):
            raise InvalidArgumentError("a port has no list of names", name)
        for one in artifacts:
            if not isinstance(one, str) or not one:
                raise InvalidArgumentError("a name of an artifact is no text, or empty", name)
            check_length(one, name, _MAX_NAME)
            found.append(ArtifactUse(key, one, output, port[:_MAX_PORT], created_at))
    return found
