"""Decides: `apply(state, event)` changes the state of a run and says what to do next.

Why one function: whatever moves a run forward passes here, in order, so a log of events is the run. Duplicates, late
and stale events are recognised by (path, attempt) and change nothing.

Invariants: no clock, no randomness, no I/O. Work is proportional to what an event touches: dependents of the task that
ended, iterations that start. Nothing recurses: depth of nesting and length of chains cost no stack.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from penstock_ir.event_log import (
    AttemptEnded,
    AttemptStarted,
    BackoffElapsed,
    CacheAnswered,
    DeadlineExceeded,
    Event,
    FailureKind,
    RetryRequested,
    RunStarted,
    TerminateRequested,
)
from penstock_ir.fingerprint import is_cacheable
from penstock_ir.gangs import GangShare, too_large
from penstock_ir.model import Dag, Task, TriggerStrategy
from penstock_ir.task_rows import TaskPhase, TaskState

from penstock_executor.engine import importer
from penstock_executor.engine.effects import (
    Cancel,
    Effect,
    FinishRun,
    Launch,
    LookUpCache,
    Release,
    StoreResult,
    Wake,
    WakeRun,
)
from penstock_executor.engine.fingerprint import fingerprint_of
from penstock_executor.engine.gangs import begins_together, join_gang, leave_gangs, members_left, open_gangs
from penstock_executor.engine.inputs import (
    InputError,
    asks_for,
    condition_holds,
    iteration_value,
    loop_items,
    resolve_inputs,
)
from penstock_executor.engine.kubernetes.platform import claim_names, resolve_platform
from penstock_executor.engine.rerun import reopen
from penstock_executor.engine.results import dag_outputs, failure_summary, group_state, loop_outputs
from penstock_executor.engine.retry import next_delay_millis
from penstock_executor.engine.state import ContainerNode, DagNode, Gang, LoopNode, Node, RunState, new_node


@dataclass(slots=True)
class Decision:
    """`accepted` False: the event was a duplicate or stale, nothing changed, it is not to be logged."""

    accepted: bool = False
    effects: list[Effect] = field(default_factory=list)
    changed: dict[int, Node] = field(default_factory=dict)
    """Nodes whose rows and lineage are to be written, by identity, in the order of their first change."""


def apply(state: RunState, event: Event) -> Decision:
    """Applies one event. Raises nothing for any sequence of events; a pipeline's mistakes end as failed tasks."""
    turn = _Turn(state, event.at)
    if isinstance(event, AttemptEnded):
        turn.attempt_ended(event)
    elif isinstance(event, AttemptStarted):
        turn.attempt_started(event)
    elif isinstance(event, CacheAnswered):
        turn.cache_answered(event)
    elif isinstance(event, BackoffElapsed):
        turn.backoff_elapsed(event)
    elif isinstance(event, RunStarted):
        turn.run_started()
    elif isinstance(event, TerminateRequested):
        turn.terminate()
    elif isinstance(event, DeadlineExceeded):
        turn.deadline_exceeded()
    elif isinstance(event, RetryRequested):
        turn.retry_run()
    turn.drain()
    return turn.decision


def outstanding(state: RunState) -> list[Effect]:
    """All effects the state still waits for: what a new owner of the run carries out after replaying its log.

    Launches are in the order in which they were decided, as for who held the run before. Slots of pools are asked for
    the first of those that wait, so in another order those that hold slots might not come to be asked for.
    """
    effects: list[Effect] = []
    members = members_left(state) if state.context.pipeline.has_gangs else {}
    for node in state.open_tasks.values():
        if node.phase is TaskPhase.CACHE_LOOKUP:
            effects.append(LookUpCache(node.path, node.fingerprint))
        elif node.phase is TaskPhase.BACKOFF:
            effects.append(Wake(node.path, node.attempt, node.wake_at))
        elif node.phase in (TaskPhase.LAUNCHED, TaskPhase.CANCELING):
            effects.append(Launch(node.path, node.attempt, members.get(node.path)))
            if node.phase is TaskPhase.CANCELING:
                effects.append(Cancel(node.path, node.attempt))
    if state.finished:
        effects.append(FinishRun())
    elif state.deadline_at and not state.terminating:
        effects.append(WakeRun(state.deadline_at))
    return effects


_TERMINATED = "the run was terminated"


class _Turn:
    """One application: the queues of what is ready and what ended, until both are empty."""

    def __init__(self, state: RunState, at: int) -> None:
        self.state = state
        self.at = at
        self.decision = Decision()
        self._ready: deque[tuple[DagNode, int]] = deque()
        self._ended: deque[Node] = deque()
        self._settled: deque[Gang] = deque()
        self._has_gangs = state.context.pipeline.has_gangs

    # --- events ----------------------------------------------------------------------------------------------------

    def run_started(self) -> None:
        if self.state.root is not None:
            return
        self.decision.accepted = True
        context = self.state.context
        dag = context.pipeline.root.implementation
        assert isinstance(dag, Dag)
        root = DagNode("", "", None, dag, None, self.at)
        root.inputs = dict(context.arguments)
        self.state.root = root
        self._set_deadline()
        self._open_dag(root)

    def cache_answered(self, event: CacheAnswered) -> None:
        node = self.state.open_tasks.get(event.path)
        if node is None or node.phase is not TaskPhase.CACHE_LOOKUP or node.fingerprint != event.fingerprint:
            return
        self.decision.accepted = True
        hit = event.hit
        assert node.task is not None
        component = node.task.component
        if (
            hit is None
            or not component.output_parameters.keys() <= hit.outputs.parameters.keys()
            or not component.output_artifacts.keys() <= hit.outputs.artifacts.keys()
        ):
            self._launch_with_its_gang(node)
            return
        node.cached = hit
        node.outputs = hit.outputs
        node.started_at = self.at
        self._end(node, TaskState.CACHED)

    def attempt_started(self, event: AttemptStarted) -> None:
        node = self._launched(event.path, event.attempt)
        if node is None or (node.state is TaskState.RUNNING and node.log_uri == event.log_uri and node.started_at):
            return
        self.decision.accepted = True
        node.log_uri = event.log_uri
        node.pod_name = event.pod_name
        node.started_at = node.started_at or event.at
        self._set_state(node, TaskState.RUNNING)

    def attempt_ended(self, event: AttemptEnded) -> None:
        node = self._launched(event.path, event.attempt)
        if node is None:
            return
        self.decision.accepted = True
        node.exit_code = event.exit_code
        node.log_uri = event.log_uri or node.log_uri
        node.pod_name = event.pod_name or node.pod_name
        node.started_at = node.started_at or event.started_at or self.at
        self.decision.effects.append(Release(event.path, event.attempt))
        if event.failure is None:
            node.outputs = event.outputs
            if node.fingerprint:
                self.decision.effects.append(StoreResult(node.path, node.fingerprint))
            self._end(node, TaskState.SUCCEEDED)
        elif node.phase is TaskPhase.CANCELING or event.failure is FailureKind.CANCELED:
            node.outputs = event.outputs
            self._end(node, TaskState.CANCELED, self.state.stop_reason or event.error or _TERMINATED)
        else:
            node.outputs = event.outputs
            self._failed_attempt(node, event)

    def backoff_elapsed(self, event: BackoffElapsed) -> None:
        node = self.state.open_tasks.get(event.path)
        if node is None or node.phase is not TaskPhase.BACKOFF or node.attempt != event.attempt:
            return
        self.decision.accepted = True
        self._launch(node)

    def terminate(self) -> None:
        if self.state.root is None or self.state.terminating or self.state.finished:
            return
        self.decision.accepted = True
        self._stop(_TERMINATED)

    def deadline_exceeded(self) -> None:
        state = self.state
        if state.terminating or state.finished or not state.deadline_at or self.at < state.deadline_at:
            return
        self.decision.accepted = True
        self._stop(f"the run exceeded its deadline of {state.context.deadline_millis / 1000:g} seconds")

    def retry_run(self) -> None:
        root = self.state.root
        if root is None or not self.state.finished or root.state is TaskState.SUCCEEDED:
            return
        self.decision.accepted = True
        self.state.terminating = False
        self.state.stop_reason = ""
        self.state.finished = False
        self._set_deadline()
        self.state.generation += 1
        self.state.attempt_floor = self.state.highest_attempt
        groups = list(reopen(root, self.at))
        for reopened, _ in groups:
            if isinstance(reopened, LoopNode):
                open_gangs(reopened, self.state.generation)
        for reopened, ready in groups:
            self._changed(reopened)
            if isinstance(reopened, LoopNode):
                self._start_iterations(reopened)
            for dag, index in ready:
                self._ready.append((dag, index))

    # --- queues ----------------------------------------------------------------------------------------------------

    def drain(self) -> None:
        while self._ended or self._ready or self._settled:
            if self._ended:
                self._left(self._ended.popleft())
            elif not self._ready:
                self._decide(self._settled.popleft())
            else:
                dag, index = self._ready.popleft()
                self._trigger(dag, index)

    def _left(self, node: Node) -> None:
        """Tells the parent of a node that ended."""
        parent = node.parent
        if parent is None:
            self.state.finished = True
            self.decision.effects.append(FinishRun())
        elif isinstance(parent, LoopNode):
            self._iteration_left(parent, node)
        else:
            index = parent.dag.index[node.name]
            for dependent in parent.dag.dependents[index]:
                parent.remaining[dependent] -= 1
                if parent.remaining[dependent] == 0:
                    self._ready.append((parent, dependent))
            parent.open -= 1
            if parent.open == 0:
                self._close_dag(parent)

    def _iteration_left(self, loop: LoopNode, node: Node) -> None:
        assert node.iteration is not None
        loop.active -= 1
        loop.done += 1
        if node.state.succeeded:
            loop.iterations[node.iteration] = node.outputs
        else:
            loop.failed += 1
        self._start_iterations(loop)

    # --- starting --------------------------------------------------------------------------------------------------

    def _trigger(self, parent: DagNode, index: int) -> None:
        """All dependencies of a task have ended: it starts, or ends without starting."""
        task = parent.dag.tasks[index]
        path = f"{parent.path}/{task.name}" if parent.path else task.name
        exit_task = task.strategy is TriggerStrategy.ALL_UPSTREAM_TASKS_COMPLETED
        node = new_node(path, task.name, task, parent, self.at)
        parent.children[index] = node
        if exit_task:
            node.exempt = True
        elif not parent.all_succeeded(task):
            self._end(node, TaskState.OMITTED)
            return
        if self.state.terminating and not node.exempt:
            self._end(node, TaskState.OMITTED, f"{self.state.stop_reason} before this task started")
            return
        try:
            inputs, artifacts = resolve_inputs(task, parent, self.state.context, path)
            node.inputs, node.artifacts = inputs, artifacts
            if task.condition and not condition_holds(task.condition, inputs, artifacts):
                self._end(node, TaskState.SKIPPED)
                return
            self._start(node, task)
        except InputError as error:
            self._end(node, TaskState.FAILED, str(error))

    def _start(self, node: Node, task: Task) -> None:
        if isinstance(node, LoopNode):
            self._open_loop(node, task)
        elif isinstance(node, DagNode):
            self._open_dag(node)
        elif isinstance(node, ContainerNode):
            self._open_container(node, task)
        else:
            node.started_at = self.at
            node.outputs = importer.outputs_of(node, task, self.state.context, self.state.generation)
            self._end(node, TaskState.SUCCEEDED)

    def _open_dag(self, node: DagNode) -> None:
        node.started_at = self.at
        self._set_state(node, TaskState.RUNNING)
        for index, count in enumerate(node.remaining):
            if count == 0:
                self._ready.append((node, index))
        if node.open == 0:
            self._close_dag(node)

    def _open_loop(self, node: LoopNode, task: Task) -> None:
        node.items = loop_items(task, node.inputs, node.artifacts)
        node.iterations = [None] * len(node.items)
        wrong = too_large(len(node.items), task.parallelism_limit) if task.component.gangs else ""
        if wrong:
            raise InputError(wrong)
        node.started_at = self.at
        open_gangs(node, self.state.generation)
        iterator = task.parameter_iterator
        items = iterator.items_input if iterator else None
        # Every iteration records its inputs, so it has the list of all items only if something inside it asks for it.
        hidden = items if items is not None and not asks_for(task.component, items) else None
        node.shared = {name: value for name, value in node.inputs.items() if name != hidden}
        self._set_state(node, TaskState.RUNNING)
        self._start_iterations(node)

    def _open_container(self, node: ContainerNode, task: Task) -> None:
        context = self.state.context
        # Resolved again when it is launched; here for its errors, and for the claims in the key.
        platform = resolve_platform(node, context)
        node.attempt = self.state.attempt_floor
        self.state.open_tasks[node.path] = node
        if context.caching and is_cacheable(task, works_in_workspace="workspace" in platform):
            node.fingerprint = fingerprint_of(node, task, claim_names(platform))
            self.decision.effects.append(LookUpCache(node.path, node.fingerprint))
            self._changed(node)
        else:
            self._launch_with_its_gang(node)

    def _start_iterations(self, loop: LoopNode) -> None:
        """Starts iterations up to the limit; closes the loop when none is left."""
        task = loop.task
        assert task is not None
        limit = task.parallelism_limit or len(loop.items)
        while loop.next_index < len(loop.items) and loop.active < limit:
            if self.state.terminating and not loop.exempt:
                # After a retry of the run some of the rest are done already, or under way.
                loop.done += sum(one is None for one in loop.iterations[loop.next_index :])
                loop.next_index = len(loop.items)
                break
            index = loop.next_index
            loop.next_index += 1
            if loop.iterations[index] is None:
                loop.active += 1
                self._start_iteration(loop, task, index)
        if loop.done == len(loop.items) and not loop.state.terminal:
            loop.outputs = loop_outputs(loop, flat=self.state.context.flat_collected)
            children = [one for one in loop.iterations if isinstance(one, Node)]
            self._end(loop, group_state(loop, children, self.state.terminating), failure_summary(children))

    def _start_iteration(self, loop: LoopNode, task: Task, index: int) -> None:
        path = f"{loop.path}[{index}]"
        node = new_node(path, loop.name, task, loop, self.at, iteration=index)
        loop.iterations[index] = node
        item = loop.items[index]
        try:
            if task.artifact_iterator is not None:
                node.inputs = loop.shared
                node.artifacts = {**loop.artifacts, task.artifact_iterator.item_input: (item,)}  # type: ignore[dict-item]
            else:
                assert task.parameter_iterator is not None
                value = iteration_value(task, item)  # type: ignore[arg-type]
                node.inputs = {**loop.shared, task.parameter_iterator.item_input: value}
                node.artifacts = loop.artifacts
            self._start(node, task)
        except InputError as error:
            self._end(node, TaskState.FAILED, str(error))

    def _launch_with_its_gang(self, node: ContainerNode) -> None:
        """Of a task that has no gang, at once."""
        gang = join_gang(node) if self._has_gangs else None
        if gang is None:
            self._launch(node)
            return
        node.phase = TaskPhase.GANG
        self._settled.append(gang)
        self._changed(node)

    def _decide(self, gang: Gang) -> None:
        """Launches a gang of which everybody is settled; one that is never whole is not launched at all."""
        if gang.unsettled or not gang.waiting:
            return
        members, gang.waiting = gang.waiting, {}
        share = GangShare(gang.name, len(members)) if len(members) > 1 else None
        for _, node in sorted(members.items()):
            if node.state.terminal:
                continue
            if gang.broken:
                text = f"the task was not started: its gang cannot be whole, since {gang.broken!r} did not come so far"
                self._end(node, TaskState.FAILED, text)
            else:
                node.gang, node.gang_attempt = share, node.attempt + 1
                self._launch(node)

    def _launch(self, node: ContainerNode) -> None:
        node.attempt += 1
        self.state.highest_attempt = max(self.state.highest_attempt, node.attempt)
        node.phase = TaskPhase.LAUNCHED
        node.wake_at = 0
        # Set again when this attempt is seen to run.
        node.pod_name = ""
        # Open tasks are in the order of their latest launches, for whoever takes the run over (`outstanding`).
        self.state.open_tasks[node.path] = self.state.open_tasks.pop(node.path)
        self.decision.effects.append(Launch(node.path, node.attempt, node.gang if begins_together(node) else None))
        self._changed(node)

    # --- ending ----------------------------------------------------------------------------------------------------

    def _stop(self, reason: str) -> None:
        """Ends everything that is under way, apart from exit tasks; nothing new starts."""
        self.state.terminating = True
        self.state.stop_reason = reason
        for node in list(self.state.open_tasks.values()):
            if node.exempt:
                continue
            if node.phase is TaskPhase.LAUNCHED:
                node.phase = TaskPhase.CANCELING
                self.decision.effects.append(Cancel(node.path, node.attempt))
                self._changed(node)
            elif node.phase is not TaskPhase.CANCELING:
                self._end(node, TaskState.CANCELED, f"{reason} before this task started")

    def _set_deadline(self) -> None:
        if self.state.context.deadline_millis:
            self.state.deadline_at = self.at + self.state.context.deadline_millis
            self.decision.effects.append(WakeRun(self.state.deadline_at))

    def _failed_attempt(self, node: ContainerNode, event: AttemptEnded) -> None:
        delay = next_delay_millis(node, event, self.state.context)
        if delay is None or (self.state.terminating and not node.exempt):
            self._end(node, TaskState.FAILED, event.error)
            return
        node.error = event.error
        if delay == 0:
            self._launch(node)
            return
        node.phase = TaskPhase.BACKOFF
        node.wake_at = self.at + delay
        self.decision.effects.append(Wake(node.path, node.attempt, node.wake_at))
        self._changed(node)

    def _close_dag(self, node: DagNode) -> None:
        node.outputs = dag_outputs(node)
        self._end(node, group_state(node, node.children, self.state.terminating), failure_summary(node.children))

    def _end(self, node: Node, state: TaskState, error: str = "") -> None:
        if state is TaskState.CANCELED and not error:
            error = self.state.stop_reason
        node.error = error if state is not TaskState.SUCCEEDED else ""
        if isinstance(node, ContainerNode):
            node.phase = TaskPhase.ENDED
            self.state.open_tasks.pop(node.path, None)
        self._set_state(node, state)
        self._ended.append(node)
        if self._has_gangs:
            self._settled.extend(leave_gangs(node))
        fast = self.state.context.fail_fast and not self.state.terminating
        if fast and state is TaskState.FAILED and not node.exempt:
            self._stop(f"the run was ended because task {node.path!r} failed (fail fast)")

    def _set_state(self, node: Node, state: TaskState) -> None:
        if node.state is not state:
            node.enter(state, self.at)
        self._changed(node)

    def _changed(self, node: Node) -> None:
        self.decision.changed[id(node)] = node

    def _launched(self, path: str, attempt: int) -> ContainerNode | None:
        node = self.state.open_tasks.get(path)
        if node is not None and node.phase is TaskPhase.GANG and attempt == node.attempt + 1:
            # By an executor of a release that knew no gangs: there all attempts began as they came.
            self._settled.extend(leave_gangs(node))
            self._launch(node)
            self.decision.effects.pop()
        if node is None or node.attempt != attempt or node.phase not in (TaskPhase.LAUNCHED, TaskPhase.CANCELING):
            return None
        return node
