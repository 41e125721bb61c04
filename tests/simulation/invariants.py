"""What must hold at every step and at the end, whatever happens (design.md §7). The only list of it.

1. An attempt is started only when the committed log says so, and once.
2. A task has at most one live attempt.
3. A task that has ended keeps its state; a group ends after everything in it.
4. A loop never has more iterations under way than its limit.
5. Replaying the log gives the state that wrote it: nothing is lost, nothing is applied twice.
6. A finished run has no live process and nothing open.
7. Every run comes to its end (checked by the world: nothing is left to happen, and it is finished).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from penstock_executor.engine.events import decode
from penstock_executor.engine.machine import Decision, apply
from penstock_executor.engine.state import DagNode, LoopNode, Node, RunState

if TYPE_CHECKING:
    from tests.simulation.world import World


def before_start(world: World, key: tuple[str, int]) -> None:
    path, attempt = key
    committed = replayed(world)
    node = committed.open_tasks.get(path)
    known = node.attempt if node is not None else _ended_attempt(committed, path)
    assert known >= attempt, f"{path}: attempt {attempt} starts, but the log knows {known} only"
    live = [one for (other, one), process in world.processes.items() if other == path and process.live]
    assert not live, f"{path}: attempt {attempt} starts while {live} live"


def after_apply(state: RunState, decision: Decision) -> None:
    for node in decision.changed.values():
        for loop in _loops_above(node):
            limit = loop.task.parallelism_limit if loop.task else 0
            active = sum(isinstance(one, Node) and not one.state.terminal for one in loop.iterations)
            assert not limit or active <= limit, f"{loop.path}: {active} iterations at once"
        if node.state.terminal:
            ends = [entry for entry, _ in node.history if entry.terminal]
            assert len(ends) == 1, f"{node.path} ended more than once: {ends}"
            for child in children(node):
                assert child.state.terminal, f"{node.path} ended before {child.path}"
    for path, task in state.open_tasks.items():
        assert not task.state.terminal, f"{path} has ended and is open"


def at_the_finish(world: World) -> None:
    live = [key for key, process in world.processes.items() if process.live]
    assert not live, f"the run is finished and {live} still run"


def at_the_end(world: World) -> RunState:
    """The final state. Checks what must hold when nothing is left to happen."""
    assert world.finished, "nothing is left to happen and the run is not finished"
    at_the_finish(world)
    final = replayed(world)
    assert final.finished
    assert not final.open_tasks
    for node in walk(final):
        assert node.state.terminal, f"{node.path} is {node.state.value} in a finished run"
    if world.owner is not None and world.owner.alive:
        assert summary(final) == summary(world.owner.state), "the log does not say what its writer knew"
    return final


def replayed(world: World) -> RunState:
    state = RunState(world.context)
    for line in world.log:
        assert apply(state, decode(line)).accepted, f"the log holds an event that changes nothing: {line!r}"
    return state


def summary(state: RunState) -> dict[str, Any]:
    """What a run came to: state and outputs of every task, without times."""
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


def _ended_attempt(state: RunState, path: str) -> int:
    return next((getattr(node, "attempt", 0) for node in walk(state) if node.path == path), 0)
