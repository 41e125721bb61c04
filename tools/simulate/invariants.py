"""What must hold at every step and at the end, whatever happens: what docs/architecture.md guarantees, as checks.

This is the only list of it:

1. An attempt is started only when the committed log says so, once, and after its dependencies.
2. A task has at most one live attempt; a further one starts only when the one before failed, after its backoff, within
   the budget of its policy; a task fails for good only when the budget is used up.
3. A task that has ended keeps its state; a group ends after everything in it, in the state its tasks give it.
4. A loop never has more iterations under way than its limit; one that succeeded has all of them, in order.
5. Replaying the log gives the state that wrote it: nothing is lost, nothing is applied twice.
6. A finished run has no live process and nothing open; a run that ends early starts nothing but exit tasks.
7. The rows of attempts say of every attempt whose end is in the log how it ended, and of no other; the times of a row
   are in the order of its phases, from when the attempt was asked for to when its end was known.
8. No member of a gang begins before every other one can begin, has ended, or will not come to be; they are launched in
   one decision.
9. Every run comes to its end (checked by the world: nothing is left to happen, and it is finished), and one with a
   deadline comes to it soon after.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

from penstock_executor.engine.effects import Launch
from penstock_executor.engine.machine import Decision, apply
from penstock_executor.engine.state import ContainerNode, DagNode, LoopNode, Node, RunState
from penstock_ir.event_log import AttemptEnded, FailureCause, FailureKind, Outputs, decode
from penstock_ir.model import ContainerExecutor, RetryPolicy, TriggerStrategy
from penstock_ir.task_rows import TaskPhase, TaskState

if TYPE_CHECKING:
    from tools.simulate.world import World

_PHASES = ("created", "placed", "started", "finished", "ended")
# After its deadline an executor may be dead and its successor late, and processes take a while to end.
DEADLINE_SLACK_MILLIS = 60_000


def before_start(world: World, key: tuple[str, int]) -> None:
    path, attempt = key
    assert key not in world.processes, f"{path}: attempt {attempt} is started a second time"
    node = world.committed.open_tasks.get(path)
    if node is None:
        known = next((getattr(one, "attempt", 0) for one in walk(world.committed) if one.path == path), 0)
        assert known >= attempt, f"{path}: attempt {attempt} starts, but the log knows {known} only"
        return
    assert node.attempt >= attempt, f"{path}: attempt {attempt} starts, but the log knows {node.attempt} only"
    live = [one for (other, one), process in world.processes.items() if other == path and process.live]
    assert not live, f"{path}: attempt {attempt} starts while {live} live"
    _dependencies_are_met(node)
    _gang_is_ready(node)
    if attempt == node.attempt > world.committed.attempt_floor + 1:
        _backoff_is_over(world, node)


def after_apply(state: RunState, decision: Decision) -> None:
    for node in decision.changed.values():
        for loop in _loops_above(node):
            limit = loop.task.parallelism_limit if loop.task else 0
            active = sum(isinstance(one, Node) and not one.state.terminal for one in loop.iterations)
            assert not limit or active <= limit, f"{loop.path}: {active} iterations at once"
        if node.state.terminal:
            ends = 0
            for entry, _ in reversed(node.history):
                if not entry.terminal:
                    break
                ends += 1
            assert ends == 1, f"{node.path} ended more than once: {node.history}"
            _group_is_consistent(state, node)
    for task in state.open_tasks.values():
        assert not task.state.terminal, f"{task.path} has ended and is open"
        if state.terminating and not task.exempt:
            assert task.phase is TaskPhase.CANCELING, f"{task.path} is {task.phase.value} in a run that ends early"
    launches = [effect for effect in decision.effects if isinstance(effect, Launch)]
    for effect in launches:
        if effect.gang is not None:
            together = sum(other.gang == effect.gang for other in launches)
            assert together == effect.gang.members, f"{effect.path}: {together} of {effect.gang} are launched together"
        if state.terminating:
            node = next(one for one in decision.changed.values() if one.path == effect.path)
            canceled = isinstance(node, ContainerNode) and node.phase is TaskPhase.CANCELING
            assert node.exempt or canceled, f"{effect.path} starts in a run that ends early"


def after_commit(world: World, attempts: Collection[tuple[str, int]]) -> None:
    """What is committed of these attempts: rows and events come in one transaction."""
    for key in attempts:
        row, event = world.attempts.get(key), world.ended.get(key)
        outcome = "" if event is None else event.failure.value if event.failure else "succeeded"
        assert row is not None, f"{key} has ended and has no row"
        assert row.outcome == outcome, f"{key} is {row.outcome!r} in its row, {outcome!r} in the log"
        times = [getattr(row, f"{phase}_at_millis") for phase in _PHASES]
        known = [at for at in times if at]
        assert not outcome or (times[0] and times[-1]), f"{key}: it is not told when it was asked for or ended: {times}"
        assert known == sorted(known), f"{key}: its phases are out of order: {times}"


def at_the_finish(world: World) -> None:
    live = [key for key, process in world.processes.items() if process.live]
    assert not live, f"the run is finished and {live} still run"


def at_the_end(world: World) -> RunState:
    """The final state. Checks what must hold when nothing is left to happen."""
    assert world.finished, "nothing is left to happen and the run is not finished"
    at_the_finish(world)
    final = RunState(world.context)
    for line in world.log:
        assert apply(final, decode(line)).accepted, f"the log holds an event that changes nothing: {line!r}"
    assert final.finished
    assert not final.open_tasks
    assert summary(final) == summary(world.committed), "a replay of the log gives another result"
    for node in walk(final):
        assert node.state.terminal, f"{node.path} is {node.state.value} in a finished run"
        if isinstance(node, ContainerNode):
            _failed_for_a_reason(world, final, node)
    if world.owner is not None and world.owner.alive:
        assert summary(final) == summary(world.owner.state), "the log does not say what its writer knew"
    if final.deadline_at and final.root and final.root.finished_at > final.deadline_at + DEADLINE_SLACK_MILLIS:
        assert final.stop_reason, "the run went on after its deadline"
    return final


def summary(state: RunState) -> dict[str, Any]:
    """The result of a run: state and outputs of every task, without times."""
    return {node.path: (node.state.value, node.outputs.to_json()) for node in walk(state)}


def walk(state: RunState) -> Iterator[Node]:
    stack: list[Node] = [state.root] if state.root else []
    while stack:
        node = stack.pop()
        yield node
        stack.extend(children(node))


def children(node: Node) -> list[Node]:
    if isinstance(node, DagNode):
        return [child for child in node.children if child is not None]
    if isinstance(node, LoopNode):
        return [one for one in node.iterations if isinstance(one, Node)]
    return []


def _loops_above(node: Node) -> Iterator[LoopNode]:
    above: Node | None = node
    while above is not None:
        if isinstance(above, LoopNode):
            yield above
        above = above.parent


def _dependencies_are_met(node: Node) -> None:
    below: Node = node
    while below.parent is not None:
        parent = below.parent
        if isinstance(parent, DagNode) and below.task is not None:
            for index in below.task.dependencies:
                other = parent.children[index]
                assert other is not None, f"{node.path} starts before a dependency of {below.path}"
                assert other.state.terminal, f"{node.path} starts before {other.path} has ended"
                if below.task.strategy is TriggerStrategy.ALL_UPSTREAM_TASKS_SUCCEEDED:
                    assert other.state.succeeded, f"{node.path} starts although {other.path} is {other.state.value}"
        below = parent


def _gang_is_ready(member: ContainerNode) -> None:
    """Looks at the other iterations of the loop around it, whatever the engine noted of the gang."""
    assert member.task is not None
    implementation = member.task.component.implementation
    if not isinstance(implementation, ContainerExecutor) or not implementation.gang:
        return
    names: list[str] = []
    iteration: Node = member
    while not isinstance(iteration.parent, LoopNode):
        assert iteration.parent is not None, f"{member.path} has a gang and is in no loop"
        names.insert(0, iteration.name)
        iteration = iteration.parent
    for number, other in enumerate(iteration.parent.iterations):
        node: Node | Outputs | None = other
        for name in names:
            if isinstance(node, DagNode) and not node.state.terminal:
                node = node.child(name)
        early = f"{member.path} begins before iteration {number} can"
        assert node is not None, early
        if isinstance(node, ContainerNode) and not node.state.terminal:
            assert node.phase not in (TaskPhase.CACHE_LOOKUP, TaskPhase.GANG), early
        elif isinstance(node, DagNode):
            assert node.state.terminal, early


def _group_is_consistent(state: RunState, node: Node) -> None:
    inner = children(node)
    states = {child.state for child in inner}
    for child in inner:
        assert child.state.terminal, f"{node.path} ended before {child.path}"
    if isinstance(node, DagNode) and (node.started_at or node.parent is None):
        assert len(inner) == len(node.children), f"{node.path} ended before all of its tasks were looked at"
        for child in inner:
            assert child.task is not None
            others = [node.children[index] for index in child.task.dependencies]
            met = all(other is not None and other.state.succeeded for other in others)
            exit_task = child.task.strategy is TriggerStrategy.ALL_UPSTREAM_TASKS_COMPLETED
            if child.state is TaskState.OMITTED:
                early = state.terminating and not child.exempt
                assert not exit_task and (early or not met), f"{child.path} was omitted without a reason"
            else:
                assert met or exit_task, f"{child.path} ran although a dependency did not succeed"
    if isinstance(node, (DagNode, LoopNode)) and node.started_at:
        if TaskState.FAILED in states:
            assert node.state is TaskState.FAILED, f"{node.path} is {node.state.value} and a task of it failed"
        elif TaskState.CANCELED in states:
            assert node.state is TaskState.CANCELED, f"{node.path} is {node.state.value}, a task of it was canceled"
    if isinstance(node, LoopNode) and node.state is TaskState.SUCCEEDED:
        assert all(isinstance(one, Outputs) for one in node.iterations), f"{node.path} succeeded without all iterations"
        for name, values in node.outputs.parameters.items():
            given: list[Any] = [one.parameters[name] for one in node.iterations if name in one.parameters]  # type: ignore[union-attr]
            flat = [value for many in given for value in many] if any(isinstance(one, list) for one in given) else given
            assert values in (given, flat), f"{node.path}: {name} was collected as {values} from {given}"


def _policy(node: Node) -> RetryPolicy | None:
    above: Node | None = node
    while above is not None:
        if above.task is not None and above.task.retry is not None:
            return above.task.retry
        above = above.parent
    return None


def _failures(
    world: World, state: RunState, node: ContainerNode, kind: FailureKind, cause: FailureCause | None = None
) -> list[AttemptEnded]:
    """Of this round of the run."""
    outcomes = (process.outcome for (path, _), process in world.processes.items() if path == node.path)
    ended = [one for one in outcomes if one and one.attempt > state.attempt_floor]
    return [one for one in ended if (one.failure, one.cause) == (kind, cause)]


def _backoff_is_over(world: World, node: ContainerNode) -> None:
    before = world.processes.get((node.path, node.attempt - 1))
    assert before is not None, f"{node.path}: attempt {node.attempt} without one before"
    assert before.outcome is not None, f"{node.path}: attempt {node.attempt} before the end of the one before"
    assert before.outcome.failure is not None, f"{node.path}: attempt {node.attempt} after a success"
    kind = before.outcome.failure
    count = len(_failures(world, world.committed, node, kind, before.outcome.cause))
    if before.outcome.cause is FailureCause.PREEMPTED:
        # Without a bound, so what is left to break is the pause, which grows.
        wait = min(2.0 ** (count - 1), 120) / 2
    elif kind is FailureKind.USER:
        policy = _policy(node)
        assert policy is not None and count <= policy.max_retries, f"{node.path}: more retries than its policy allows"
        wait = min(policy.backoff * policy.factor ** (count - 1), policy.max_delay)
    else:
        assert count <= world.context.infrastructure_retries, f"{node.path}: too many retries of the infrastructure"
        wait = min(2.0 ** (count - 1), 30)
    since = world.now - before.outcome.at
    assert since >= int(wait * 1000), f"{node.path}: attempt {node.attempt} after {since} ms instead of {wait} s"


def _failed_for_a_reason(world: World, state: RunState, node: ContainerNode) -> None:
    if node.state is not TaskState.FAILED or not node.attempt:
        return
    kinds = {kind: len(_failures(world, state, node, kind)) for kind in (FailureKind.USER, FailureKind.INFRASTRUCTURE)}
    preempted = _failures(world, state, node, FailureKind.INFRASTRUCTURE, FailureCause.PREEMPTED)
    if not any(kinds.values()) and not preempted:
        return
    policy = _policy(node)
    used_up = kinds[FailureKind.USER] > (policy.max_retries if policy else 0)
    lost = kinds[FailureKind.INFRASTRUCTURE] > world.context.infrastructure_retries
    assert used_up or lost or state.stop_reason, f"{node.path} failed with retries left: {kinds}"
