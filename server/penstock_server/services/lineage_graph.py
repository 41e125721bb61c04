"""The nodes of a lineage as they are found, within the bounds of a request and the rights of its caller.

Invariants: a node is in here only if the caller may read its run. All that a task in here used and made is known, so
that every use between two nodes is told, however they were found. An artifact came from the task that made it, whatever
run that was of, and from the tasks of runs in here that answered with it from the cache.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from penstock_ir.task_rows import TaskState

from penstock_server.domain.lineage import (
    MOST_NODES,
    ArtifactUse,
    Lineage,
    LineageArtifact,
    LineageRequest,
    LineageTask,
    TaskKey,
)
from penstock_server.domain.task import Artifact, task_id_of
from penstock_server.errors import NotFoundError
from penstock_server.services import runs
from penstock_server.services.ports import UnitOfWork

MOST_USES = 200
"""So many uses of one node are looked at."""
# Each is a question to whoever decides, which may be a cluster.
_MOST_NAMESPACES = 50
MayRead = Callable[[str], bool]
"""Whether the caller may read runs and artifacts of a namespace."""


class LineageGraph:
    """`most` nodes at most."""

    def __init__(self, uow: UnitOfWork, most: int, may_read: MayRead) -> None:
        self._uow = uow
        self._most = most
        self._may_read = may_read
        self._readable: dict[str, bool] = {}
        self._artifacts: dict[str, LineageArtifact] = {}
        self._tasks: dict[TaskKey, LineageTask] = {}
        self._uses: dict[TaskKey, list[ArtifactUse]] = {}
        self._cut: set[TaskKey] = set()
        self._truncated = False

    def begin(self, request: LineageRequest) -> tuple[list[TaskKey], list[str]]:
        """The node that is asked for. Raises NotFoundError."""
        if request.artifact:
            if request.artifact not in self._uow.lineage.artifacts([request.artifact]):
                raise NotFoundError("Artifact", request.artifact)
            return [], self._with_artifacts([request.artifact])
        runs.find(self._uow, request.run_id)
        key = TaskKey(request.run_id, task_id_of(request.run_id, request.path))
        self._add_tasks([key])
        if key not in self._tasks:
            raise NotFoundError("Task", request.path)
        return [key], []

    def answered_with(self, tasks: Sequence[TaskKey]) -> list[str]:
        """What cached tasks answered with: it was there before them."""
        return self.artifacts_of([key for key in tasks if self._tasks[key].state is TaskState.CACHED], output=True)

    def artifacts_of(self, tasks: Sequence[TaskKey], *, output: bool) -> list[str]:
        """What tasks made, or used; in here as far as it may be."""
        found = dict.fromkeys(use.artifact for key in tasks for use in self._uses[key] if use.output is output)
        return self._with_artifacts(list(found))

    def tasks_of(self, names: Sequence[str], *, backwards: bool) -> list[TaskKey]:
        """The tasks from which artifacts came, or that used them; in here as far as they may be."""
        found = self._found(names, backwards=backwards)
        keys = list(dict.fromkeys(use.task for use in found))
        self._add_tasks([key for key in keys if key not in self._tasks])
        for use in found:
            known = self._uses.get(use.task)
            # Not there of a task with very many, and of one that a server of the release before was told of.
            if known is not None and all((one.artifact, one.output) != (use.artifact, use.output) for one in known):
                known.append(use)
        return [key for key in keys if key in self._tasks]

    def has_others(self, names: Sequence[str], *, backwards: bool) -> bool:
        """Whether artifacts came from tasks, or were used by tasks, that are not in here."""
        return any(use.task not in self._tasks for use in self._found(names, backwards=backwards))

    def answer(self, *, beyond: bool) -> Lineage:
        """All of it; `beyond`: whether there is more behind what was asked for."""
        uses = [use for key in self._tasks for use in self._uses[key] if use.artifact in self._artifacts]
        known = dict.fromkeys(self._artifacts, 0)
        for use in uses:
            known[use.artifact] += 1
        used_elsewhere = self._uow.lineage.with_more(known)
        return Lineage(
            [replace(one, more=name in used_elsewhere) for name, one in self._artifacts.items()],
            [replace(one, more=self._has_more(key)) for key, one in self._tasks.items()],
            uses,
            truncated=self._truncated or bool(self._cut) or beyond,
        )

    def _has_more(self, key: TaskKey) -> bool:
        return key in self._cut or any(use.artifact not in self._artifacts for use in self._uses[key])

    def _found(self, names: Sequence[str], *, backwards: bool) -> list[ArtifactUse]:
        """The makers first, then the newest."""
        makers: list[ArtifactUse] = []
        if backwards:
            makers = [maker for name in names if (maker := self._artifacts[name].maker) is not None]
            others = self._uow.lineage.answered(self._runs_with(names), MOST_USES)
        else:
            others = self._uow.lineage.of_artifacts(names, output=False, limit=MOST_USES)
        return [*makers, *sorted(others, key=lambda use: (-use.created_at, use.task))]

    def _runs_with(self, names: Sequence[str]) -> dict[str, list[str]]:
        """The runs of which a task in here used or gave an artifact."""
        found: dict[str, dict[str, None]] = {name: {} for name in names}
        for key, uses in self._uses.items():
            for use in uses:
                if use.artifact in found:
                    found[use.artifact][key.run_id] = None
        return {name: list(run_ids) for name, run_ids in found.items() if run_ids}

    def _with_artifacts(self, names: Sequence[str]) -> list[str]:
        """Adds what is not in here and fits; gives those that are in here then."""
        new = [name for name in names if name not in self._artifacts]
        looked_at = new[: min(self._room(), MOST_NODES)]
        rows = self._uow.lineage.artifacts(looked_at)
        for name in looked_at:
            # The run that made it may be deleted: who used it still knows its name.
            row = rows.get(name) or LineageArtifact(Artifact(name, "", "", "", "", ""))
            if not row.artifact.run_id or self._reads(row.namespace):
                self._artifacts[name] = row
        self._truncated = self._truncated or any(name not in self._artifacts for name in new)
        return [name for name in names if name in self._artifacts]

    def _add_tasks(self, keys: Sequence[TaskKey]) -> None:
        rows = self._uow.lineage.tasks(keys[:MOST_NODES])
        added = []
        for key in keys:
            row = rows.get(key)
            if row is not None and self._room() > 0 and self._reads(row.namespace):
                self._tasks[key] = row
                added.append(key)
        # Not those whose run was deleted meanwhile.
        self._truncated = self._truncated or len(added) < len(rows) or len(keys) > MOST_NODES
        self._uses.update({key: [] for key in added})
        counts: dict[tuple[TaskKey, bool], int] = {}
        for use in self._uow.lineage.of_tasks(added, MOST_USES + 1):
            counts[use.task, use.output] = counts.get((use.task, use.output), 0) + 1
            if counts[use.task, use.output] > MOST_USES:
                self._cut.add(use.task)
            else:
                self._uses[use.task].append(use)

    def _room(self) -> int:
        return self._most - len(self._artifacts) - len(self._tasks)

    def _reads(self, namespace: str) -> bool:
        if namespace not in self._readable:
            self._readable[namespace] = len(self._readable) < _MOST_NAMESPACES and self._may_read(namespace)
        return self._readable[namespace]
