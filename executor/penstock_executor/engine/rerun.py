"""Opens a failed run again: what failed, was canceled or never ran starts anew; what succeeded stays (executor.md §6).

Invariants: a task whose dependency starts anew starts anew itself, exit tasks included (executor.md §10.34). Under a
parallelism limit a failed iteration starts from its beginning, so that the limit holds. Attempt numbers go on above the
highest one made so far (`RunState.attempt_floor`), so no attempt of an earlier round is mistaken for a later one.
"""

from __future__ import annotations

from collections.abc import Iterator

from penstock_ir.event_log import Outputs
from penstock_ir.task_rows import TaskState

from penstock_executor.engine.state import EMPTY_OUTPUTS, DagNode, LoopNode, Node, ParentNode

Ready = list[tuple[DagNode, int]]


def reopen(root: DagNode, at: int) -> Iterator[tuple[ParentNode, Ready]]:
    """Opens the tree below `root` and yields every group opened, with the tasks of it that can start at once."""
    stack: list[ParentNode] = [root]
    while stack:
        node = stack.pop()
        _open(node, at)
        if isinstance(node, LoopNode):
            stack.extend(_reopen_loop(node))
            yield node, []
        else:
            inner, ready = _reopen_dag(node)
            stack.extend(inner)
            yield node, ready


def _reopen_dag(node: DagNode) -> tuple[list[ParentNode], Ready]:
    inner: list[ParentNode] = []
    dag = node.dag
    unfinished = [False] * len(dag.tasks)
    # Tasks are in topological order, so dependencies are decided before their dependents.
    for index, task in enumerate(dag.tasks):
        child = node.children[index]
        behind_change = any(unfinished[dependency] for dependency in task.dependencies)
        if child is None or behind_change or not (child.state.succeeded or child.state is TaskState.SKIPPED):
            unfinished[index] = True
            if isinstance(child, (DagNode, LoopNode)) and child.state.failed and child.started_at and not behind_change:
                inner.append(child)
            else:
                node.children[index] = None
    ready: Ready = []
    node.open = sum(unfinished)
    for index, task in enumerate(dag.tasks):
        node.remaining[index] = sum(1 for dependency in task.dependencies if unfinished[dependency])
        if unfinished[index] and node.children[index] is None and node.remaining[index] == 0:
            ready.append((node, index))
    return inner, ready


def _reopen_loop(node: LoopNode) -> list[ParentNode]:
    inner: list[ParentNode] = []
    node.active = node.failed = 0
    node.done = sum(1 for iteration in node.iterations if isinstance(iteration, Outputs))
    node.next_index = 0
    limited = node.task is not None and node.task.parallelism_limit > 0
    for index, iteration in enumerate(node.iterations):
        if isinstance(iteration, DagNode) and iteration.started_at and not limited:
            node.active += 1
            inner.append(iteration)
        elif isinstance(iteration, Node):
            node.iterations[index] = None
    return inner


def _open(node: ParentNode, at: int) -> None:
    node.enter(TaskState.RUNNING, at)
    node.error = ""
    node.outputs = EMPTY_OUTPUTS
