"""What an artifact or a task was made from and what was made from it, over all runs (penstock.v1.InsightService).

Why level by level: each step asks for all nodes of a level at once, so that the number of statements follows from the
depth, not from how much there is.

Invariants: of what the caller may not read nothing is told but that there is more (`lineage_graph`). Each direction
follows what it reached itself: the siblings of a node are not asked for.
"""

from __future__ import annotations

from collections.abc import Sequence

from penstock_server.domain.lineage import Direction, Lineage, LineageRequest, TaskKey, checked
from penstock_server.services.lineage_graph import LineageGraph, MayRead
from penstock_server.services.ports import Storage


class LineageService:
    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def lineage(self, asked: LineageRequest, may_read: MayRead) -> Lineage:
        """Raises InvalidArgumentError, NotFoundError."""
        request = checked(asked)
        with self._storage.reading() as uow:
            graph = LineageGraph(uow, request.max_nodes, may_read)
            tasks, names = graph.begin(request)
            ways = []
            if request.direction is not Direction.FORWARDS:
                ways.append(_Way(graph, tasks, names or graph.answered_with(tasks), backwards=True))
            if request.direction is not Direction.BACKWARDS:
                ways.append(_Way(graph, tasks, names, backwards=False))
            # Both in turn, so that neither uses up what both may hold.
            for _ in range(request.depth):
                for way in ways:
                    way.step()
            return graph.answer(beyond=any(way.goes_on() for way in ways))


class _Way:
    """One direction: the artifacts that were reached last, from which the next step goes on."""

    def __init__(self, graph: LineageGraph, tasks: Sequence[TaskKey], names: Sequence[str], *, backwards: bool) -> None:
        self._graph = graph
        self._backwards = backwards
        self._seen: set[TaskKey | str] = {*tasks, *names}
        self._names = [*names, *self._beside(tasks)]

    def step(self) -> None:
        """One task further."""
        found = self._graph.tasks_of(self._names, backwards=self._backwards)
        reached = [key for key in found if key not in self._seen]
        self._seen.update(reached)
        self._names = self._beside(reached)

    def goes_on(self) -> bool:
        """Whether there are tasks behind the last step."""
        return self._graph.has_others(self._names, backwards=self._backwards)

    def _beside(self, tasks: Sequence[TaskKey]) -> list[str]:
        """What the tasks were made from, or what they made."""
        found = self._graph.artifacts_of(tasks, output=not self._backwards)
        new = [name for name in found if name not in self._seen]
        self._seen.update(new)
        return new
