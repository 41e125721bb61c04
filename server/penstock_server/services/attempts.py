"""Attempts of tasks with their phases, and the timeline of a run.

Invariants: what is told is of one moment, by the server's clock. The statements do not grow with the tasks of the run,
and texts are read of what is shown one by one alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from penstock_server.domain import timeline
from penstock_server.domain.attempts import Attempt, AttemptRow, LeafTask, Life, Told, leaf_of, lives_of, row_of, shown
from penstock_server.domain.critical_path import critical_path
from penstock_server.domain.limits import check_length
from penstock_server.domain.reports import MAX_NAME
from penstock_server.domain.run import Run
from penstock_server.domain.task import Task, task_id_of
from penstock_server.domain.timeline import Timeline, TimelineRequest
from penstock_server.errors import InvalidArgumentError
from penstock_server.services import runs
from penstock_server.services.ports import Clock, Storage, UnitOfWork

MOST_PATHS = 200
MOST_ATTEMPTS = 1000


class AttemptService:
    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock

    def attempts(self, run_id: str, paths: Sequence[str]) -> list[Attempt]:
        """Of these tasks in this order, by their numbers; of a path that the run has not reached there are none.

        Raises InvalidArgumentError, NotFoundError.
        """
        if not 1 <= len(paths) <= MOST_PATHS:
            raise InvalidArgumentError(f"there are {len(paths)}; from 1 to {MOST_PATHS} are asked for", "paths")
        for path in paths:
            check_length(path, "paths", MAX_NAME)
        if len(set(paths)) < len(paths):
            raise InvalidArgumentError("a path is there twice", "paths")
        with self._storage.reading() as uow:
            run = runs.find(uow, run_id)
            ids = [task_id_of(run_id, path) for path in paths]
            tasks = {task.task_id: task for task in uow.tasks.get_many(run_id, ids)}
            rows = uow.attempts.rows(run_id, _latest(uow.attempts.numbers(run_id, ids)))
        told: dict[str, list[Told]] = {}
        for key in sorted(rows):
            told.setdefault(key[0], []).append(rows[key].told)
        lives = [
            (leaf, life)
            for leaf in (leaf_of(tasks[task_id]) for task_id in ids if task_id in tasks)
            for life in lives_of(leaf, told.get(leaf.task_id, ()), _ended_at(run))
        ]
        return _shown(lives, rows, tasks)

    def timeline(self, request: TimelineRequest) -> Timeline:
        """Raises InvalidArgumentError, NotFoundError."""
        request.check()
        check_length(request.parent_path, "parent_path", MAX_NAME)
        now = self._clock.now_millis()
        with self._storage.reading() as uow:
            run = runs.find(uow, request.run_id)
            leaves = uow.attempts.of_leaves(run.run_id)
            tasks, found = timeline.placed(leaves, request, _ended_at(run), now)
            start, end = timeline.bounds(found, request)
            attempts: list[Attempt] = []
            if len(found) <= (request.max_attempts or timeline.DEFAULT_ATTEMPTS):
                found.sort(key=lambda one: (one[0][0], one[1].path, one[2][0]))
                attempts = _read(uow, run.run_id, [(task, life) for _, task, life in found])
        bins = []
        if found and not attempts:
            bins = timeline.binned([moments for moments, _, _ in found], start, end, request.max_bins)
        return Timeline(start, end, len(found), attempts, bins, critical_path(tasks), now)


def _latest(numbers: Mapping[str, Sequence[int]]) -> list[tuple[str, int]]:
    """MOST_ATTEMPTS at most: as many of each task as there is room for, the latest of them."""
    each = max(map(len, numbers.values()), default=0)
    while sum(min(len(one), each) for one in numbers.values()) > MOST_ATTEMPTS:
        each -= 1
    return [(task_id, number) for task_id, every in numbers.items() for number in every[-each:]]


def _read(uow: UnitOfWork, run_id: str, lives: Sequence[tuple[LeafTask, Life]]) -> list[Attempt]:
    keys = [(task.task_id, number) for task, (number, *_) in lives]
    rows = uow.attempts.rows(run_id, keys)
    missing = sorted({task_id for task_id, number in keys if (task_id, number) not in rows})
    return _shown(lives, rows, {task.task_id: task for task in uow.tasks.get_many(run_id, missing)})


def _shown(
    lives: Sequence[tuple[LeafTask, Life]],
    rows: Mapping[tuple[str, int], AttemptRow],
    tasks: Mapping[str, Task],
) -> list[Attempt]:
    """`tasks` has those of which nothing was told: their rows have the texts of their attempts."""
    return [
        shown(leaf, life, rows.get((leaf.task_id, life[0])) or row_of(tasks[leaf.task_id], life[0]))
        for leaf, life in lives
    ]


def _ended_at(run: Run) -> int:
    return run.finished_at if run.state.final else 0
