"""Gangs of a loop: who of a gang is ready, and when all are (docs/queueing.md, "Gangs").

A *member* is the attempt of one task in one iteration. It is settled when it is ready to be launched, has ended without
that (from the cache, skipped, failed), or can come to be no more since a group around it has ended.

Invariants: pure. Every iteration settles once in a round of the run, so a gang is decided once; what comes later, such
as a further attempt of one member, is that member's alone. A gang never holds anything while it waits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from penstock_ir.event_log import Outputs
from penstock_ir.gangs import GangShare
from penstock_ir.model import ContainerExecutor
from penstock_ir.task_rows import TaskPhase, TaskState

from penstock_executor.engine.state import ContainerNode, DagNode, Gang, LoopNode, Node, RunState


def open_gangs(loop: LoopNode, generation: int) -> None:
    """Makes the gangs of a loop whose iterations are about to start, or to start anew in this round of the run."""
    assert loop.task is not None
    round_ = f"#{generation}" if generation else ""
    loop.gangs = {
        path: Gang(f"{loop.path}[*]/{path}".rstrip("/") + round_, _unsettled(loop, path))
        for path in loop.task.component.gangs
    }


def join_gang(node: ContainerNode) -> Gang | None:
    """Has a task that is ready to be launched wait for its gang; None when it has none."""
    assert node.task is not None
    implementation = node.task.component.implementation
    if not isinstance(implementation, ContainerExecutor) or not implementation.gang:
        return None
    for gang, index in _gangs_in(node):
        gang.waiting[index] = node
        gang.unsettled.discard(index)
        return gang
    return None


def leave_gangs(node: Node) -> list[Gang]:
    """The gangs that have a member less to wait for, now that this node goes on without them, or has ended: itself, or
    what would have come to be in it."""
    left = []
    for gang, index in _gangs_in(node):
        if gang.waiting.get(index) is node or index in gang.unsettled:
            gang.waiting.pop(index, None)
            gang.unsettled.discard(index)
            gang.broken = gang.broken or (node.path if _breaks(node) else "")
            left.append(gang)
    return left


def begins_together(node: ContainerNode) -> bool:
    """Whether the current attempt is the one that was launched with its gang."""
    return node.gang is not None and node.attempt == node.gang_attempt


def members_left(state: RunState) -> dict[str, GangShare]:
    """Of attempts under way that were launched together, by path: their gang without the members that have ended."""
    launched = (TaskPhase.LAUNCHED, TaskPhase.CANCELING)
    found = {
        path: node.gang.name
        for path, node in state.open_tasks.items()
        if node.gang is not None and node.phase in launched and begins_together(node)
    }
    left = Counter(found.values())
    return {path: GangShare(name, left[name]) for path, name in found.items() if left[name] > 1}


def _unsettled(loop: LoopNode, path: str) -> set[int]:
    return {index for index, one in enumerate(loop.iterations) if not _is_settled(one, path)}


def _is_settled(iteration: Node | Outputs | None, path: str) -> bool:
    """Whether the member of an iteration has ended, and stays so in this round."""
    if not isinstance(iteration, Node):
        return iteration is not None
    node: Node = iteration
    for name in path.split("/") if path else ():
        child = node.child(name) if isinstance(node, DagNode) and not node.state.terminal else None
        if child is None:
            return node.state.terminal
        node = child
    return node.state.terminal


def _gangs_in(node: Node) -> Iterator[tuple[Gang, int]]:
    """The gangs of the loop around a node whose members are the node or in it, with the node's iteration."""
    iteration: Node = node
    while iteration.parent is not None and not isinstance(iteration.parent, LoopNode):
        iteration = iteration.parent
    loop = iteration.parent
    if not isinstance(loop, LoopNode) or not loop.gangs:
        return
    assert iteration.iteration is not None
    inner = node.path[len(iteration.path) + 1 :]
    for path, gang in loop.gangs.items():
        if not inner or path == inner or path.startswith(f"{inner}/"):
            yield gang, iteration.iteration


def _breaks(node: Node) -> bool:
    """Whether the end of a node, before its member was launched, means that the gang cannot be whole: it failed, or
    something failed that it needs. What a condition left out does not count."""
    if node.state.failed:
        return True
    if node.state is not TaskState.OMITTED:
        return False
    seen: set[int] = set()
    stack: list[Node] = [node]
    while stack:
        omitted = stack.pop()
        if id(omitted) in seen or omitted.task is None or not isinstance(omitted.parent, DagNode):
            continue
        seen.add(id(omitted))
        for index in omitted.task.dependencies:
            before = omitted.parent.children[index]
            if before is not None and before.state.failed:
                return True
            if before is not None and before.state is TaskState.OMITTED:
                stack.append(before)
    return False
