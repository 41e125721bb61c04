"""The state of a run: a tree of nodes, created when the run reaches them.

Invariants: a node is created once and ends once; a terminal state never changes, except that a retry of the run opens
failed nodes again (`engine.rerun`). A DAG counts its unfinished tasks and, per task, its unfinished dependencies, so a
task that ends touches its dependents only. Successful iterations keep their outputs and drop their tasks: the size of
the state follows what is still open.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Union

from penstock_ir.artifact import Artifact
from penstock_ir.event_log import CachedResult, Outputs
from penstock_ir.gangs import GangShare
from penstock_ir.model import ContainerExecutor, Dag, ImporterExecutor, JsonValue, Pipeline, RetryPolicy, Task
from penstock_ir.task_rows import TaskPhase, TaskState
from penstock_ir.worker_sharing import AskedSharing

DEFAULT_INFRASTRUCTURE_RETRIES = 3
"""Of runs that were made before they could say; a constant of their logs."""


@dataclass(frozen=True, slots=True)
class RunContext:
    """What a run is, fixed when it is created. `root` is the pipeline root without a trailing slash."""

    run_id: str
    pipeline: Pipeline
    arguments: Mapping[str, JsonValue]
    root: str
    display_name: str = ""
    resource_name: str = ""
    namespace: str = ""
    service_account: str = ""
    created_at: int = 0
    scheduled_at: int = 0
    workspace_path: str = "/kfp-workspace"
    caching: bool = True
    max_cache_age_millis: int = 0
    """Results older than this do not count; 0 means that age does not matter."""
    infrastructure_retries: int = DEFAULT_INFRASTRUCTURE_RETRIES
    fail_fast: bool = False
    """The first task that fails for good ends the run; exit tasks still run."""
    deadline_millis: int = 0
    """How long the run may take from its start or its latest retry; 0 means as long as it likes."""
    flat_collected: bool = False
    """Nested loops collect into one flat list, as upstream's backend has it, instead of a list per loop."""
    priority: int = 0
    """Of its launches among those of other runs; no decision of the engine depends on it, nor on its pool."""
    pool: str = ""
    """A pool of which each task takes a slot, besides what it asks for itself."""
    workers: AskedSharing = ""
    """How far tasks ask to share workers that do not say it themselves; no decision of the engine depends on it."""
    documented_final_status: bool = False
    """PipelineTaskFinalStatus says SUCCEEDED, as the SDK documents, instead of upstream's COMPLETE."""

    @property
    def pipeline_name(self) -> str:
        return self.pipeline.name


NO_ARTIFACTS: Mapping[str, tuple[Artifact, ...]] = {}
NO_VALUES: Mapping[str, JsonValue] = {}


class Node:
    """One execution of a task: what every kind has."""

    __slots__ = (
        "artifacts",
        "created_at",
        "error",
        "exempt",
        "finished_at",
        "history",
        "inputs",
        "iteration",
        "name",
        "outputs",
        "parent",
        "path",
        "retry",
        "started_at",
        "state",
        "task",
    )

    def __init__(self, path: str, name: str, task: Task | None, parent: ParentNode | None, at: int) -> None:
        self.path = path
        self.name = name
        self.task = task
        self.parent = parent
        self.state = TaskState.PENDING
        self.created_at = at
        self.started_at = 0
        self.finished_at = 0
        self.error = ""
        self.inputs: Mapping[str, JsonValue] = NO_VALUES
        self.artifacts: Mapping[str, tuple[Artifact, ...]] = NO_ARTIFACTS
        self.outputs: Outputs = EMPTY_OUTPUTS
        self.iteration: int | None = None
        self.retry: RetryPolicy | None = task.retry if task and task.retry else parent.retry if parent else None
        # Part of an exit task: a termination does not end it.
        self.exempt: bool = parent.exempt if parent else False
        self.history: list[tuple[TaskState, int]] = [(TaskState.PENDING, at)]

    def enter(self, state: TaskState, at: int) -> None:
        """A history never goes back, whatever the clocks of those who tell times."""
        at = max(at, self.history[-1][1])
        self.state = state
        self.history.append((state, at))
        self.finished_at = at if state.terminal else 0


class ContainerNode(Node):
    __slots__ = (
        "attempt",
        "cached",
        "exit_code",
        "fingerprint",
        "gang",
        "gang_attempt",
        "infrastructure_failures",
        "log_uri",
        "out_of_memory",
        "phase",
        "pod_name",
        "preemptions",
        "user_failures",
        "wake_at",
    )

    def __init__(self, path: str, name: str, task: Task, parent: ParentNode | None, at: int) -> None:
        super().__init__(path, name, task, parent, at)
        self.phase = TaskPhase.CACHE_LOOKUP
        self.attempt = 0
        self.user_failures = 0
        self.infrastructure_failures = 0
        self.preemptions = 0
        # Attempts that ran out of memory, which the next one has more of.
        self.out_of_memory = 0
        self.fingerprint = ""
        self.wake_at = 0
        self.log_uri = ""
        self.pod_name = ""
        self.exit_code: int | None = None
        self.cached: CachedResult | None = None
        # With whom it was launched, and which of its attempts: a further one begins alone.
        self.gang: GangShare | None = None
        self.gang_attempt = 0


class ImporterNode(Node):
    __slots__ = ()


class DagNode(Node):
    """The root, a nested pipeline, a condition or exit-handler group, or one iteration of a loop."""

    __slots__ = ("children", "dag", "open", "remaining")

    def __init__(self, path: str, name: str, task: Task | None, dag: Dag, parent: ParentNode | None, at: int) -> None:
        super().__init__(path, name, task, parent, at)
        self.dag = dag
        self.children: list[Node | None] = [None] * len(dag.tasks)
        self.remaining: list[int] = [len(task.dependencies) for task in dag.tasks]
        self.open = len(dag.tasks)

    def child(self, name: str) -> Node | None:
        return self.children[self.dag.index[name]]

    def all_succeeded(self, task: Task) -> bool:
        """Whether everything the task depends on has ended well."""
        for index in task.dependencies:
            child = self.children[index]
            if child is None or not child.state.succeeded:
                return False
        return True


@dataclass(slots=True, eq=False)
class Gang:
    """The attempts of one task over a loop (`engine.gangs`), by iteration: `unsettled` may still come to be ready,
    `waiting` are. `broken`: the path of what failed, so that the gang is never whole."""

    name: str
    unsettled: set[int]
    waiting: dict[int, ContainerNode] = field(default_factory=dict)
    broken: str = ""


class LoopNode(Node):
    """A ParallelFor: its iterations in order, started up to the parallelism limit. `gangs`: by the path of the task
    within an iteration."""

    __slots__ = ("active", "done", "failed", "gangs", "items", "iterations", "next_index", "shared")

    def __init__(self, path: str, name: str, task: Task, parent: ParentNode | None, at: int) -> None:
        super().__init__(path, name, task, parent, at)
        self.items: Sequence[JsonValue] | Sequence[Artifact] = ()
        # An iteration that succeeded leaves its outputs only.
        self.iterations: list[Node | Outputs | None] = []
        self.next_index = 0
        self.active = 0
        self.done = 0
        self.failed = 0
        self.shared: Mapping[str, JsonValue] = NO_VALUES
        self.gangs: Mapping[str, Gang] = NO_GANGS


ParentNode = Union[DagNode, LoopNode]
EMPTY_OUTPUTS = Outputs()
NO_GANGS: Mapping[str, Gang] = {}


def new_node(path: str, name: str, task: Task, parent: ParentNode, at: int, iteration: int | None = None) -> Node:
    """The node of a task that the run reaches, of the kind its component asks for."""
    implementation = task.component.implementation
    node: Node
    if task.is_loop and iteration is None:
        node = LoopNode(path, name, task, parent, at)
    elif isinstance(implementation, Dag):
        node = DagNode(path, name, task, implementation, parent, at)
    elif isinstance(implementation, ContainerExecutor):
        node = ContainerNode(path, name, task, parent, at)
    else:
        assert isinstance(implementation, ImporterExecutor)
        node = ImporterNode(path, name, task, parent, at)
    node.iteration = iteration
    return node


@dataclass(slots=True)
class RunState:
    """Everything the engine knows of one run. `open_tasks` holds container tasks that have not ended, by path, those
    that were launched in the order of their latest launches.
    """

    context: RunContext
    root: DagNode | None = None
    open_tasks: dict[str, ContainerNode] = field(default_factory=dict)
    terminating: bool = False
    stop_reason: str = ""
    """Why the run is terminating, for the tasks that end because of it."""
    deadline_at: int = 0
    finished: bool = False
    generation: int = 0
    highest_attempt: int = 0
    attempt_floor: int = 0
    """Attempts of nodes made after a retry of the run count from above this."""
