"""Why a task is where it is: from its row, the rows around it, the pipeline and the event log.

Invariants: pure. An explanation names the cause that is nearest to the user: a failure rather than what it omitted, an
open dependency rather than the task behind it; chains are followed a bounded number of steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone

from penstock_ir.model import Pipeline, TriggerStrategy
from penstock_ir.paths import LocatedTask, locate_task
from penstock_ir.task_rows import TaskKind, TaskState

from penstock_server.domain.history import TaskHistory
from penstock_server.domain.run import Run, RunState
from penstock_server.domain.task import Task

_MAX_REASONS = 20
_MAX_DEPTH = 8


@dataclass(frozen=True, slots=True)
class Reason:
    """`task`: path of the task that it is about, empty when there is none; `at`: milliseconds since 1970, or 0."""

    text: str
    task: str = ""
    at: int = 0


@dataclass(slots=True)
class Explanation:
    """`state` is empty for a task that the run has not reached."""

    task: str
    state: str
    summary: str
    reasons: list[Reason] = field(default_factory=list)


class Explainer:
    """Explains tasks of one run. `history(path)` reads the event log."""

    def __init__(
        self, run: Run, pipeline: Pipeline, rows: Sequence[Task], history: Callable[[str], TaskHistory]
    ) -> None:
        self._run = run
        self._pipeline = pipeline
        self._rows: Mapping[str, Task] = {row.path: row for row in rows}
        self._children: dict[str, list[Task]] = {}
        for row in rows:
            if row.path:
                self._children.setdefault(row.parent_path, []).append(row)
        self._history = history

    def run(self) -> Explanation:
        run = self._run
        if run.state is RunState.PENDING:
            return Explanation("", run.state.value, "no executor has taken the run yet")
        if not run.state.final:
            open_ = [row for row in self._rows.values() if row.kind is TaskKind.CONTAINER and not row.state.terminal]
            ending = "it is being ended; " if run.state is RunState.CANCELING else ""
            found = Explanation("", run.state.value, f"{ending}{len(open_)} tasks have not ended")
            for row in open_[:_MAX_REASONS]:
                found.reasons.append(Reason(self._task(row).summary, row.path))
            return found
        failed = [
            row
            for row in self._rows.values()
            if row.state is TaskState.FAILED and row.kind in (TaskKind.CONTAINER, TaskKind.IMPORTER)
        ]
        groups = [
            row for row in self._rows.values() if row.state is TaskState.FAILED and row.kind is not TaskKind.CONTAINER
        ]
        found = Explanation("", run.state.value, run.error or f"the run {run.state.value.lower()}")
        for row in (failed or groups)[:_MAX_REASONS]:
            found.reasons.append(Reason(self._task(row).summary, row.path, row.finished_at))
        return found

    def task(self, path: str) -> Explanation | None:
        """None when the pipeline has no such task."""
        row = self._rows.get(path)
        if row is not None:
            return self._task(row)
        place = locate_task(self._pipeline, path)
        return None if place is None else self._not_reached(path, place, _MAX_DEPTH)

    # --- tasks the run has reached ---------------------------------------------------------------------------------

    def _task(self, row: Task) -> Explanation:
        found = Explanation(row.path, row.state.value, "")
        if row.state is TaskState.SKIPPED:
            place = locate_task(self._pipeline, row.path)
            condition = place.task.condition if place else ""
            found.summary = f"its condition is false: {condition} with the inputs {row.inputs}"
        elif row.state is TaskState.OMITTED:
            self._omitted(row, found)
        elif row.kind is TaskKind.CONTAINER:
            self._container(row, found)
        elif row.state.failed:
            found.summary = row.error or "a task in it failed"
            for child in self._children.get(row.path, []):
                if child.state.failed:
                    found.reasons.append(Reason(_first_line(child.error) or child.state.value.lower(), child.path))
        elif not row.state.terminal:
            self._open_group(row, found)
        else:
            found.summary = "everything in it that had to run did"
        del found.reasons[_MAX_REASONS:]
        return found

    def _container(self, row: Task, found: Explanation) -> None:
        history = self._history(row.path)
        attempts = sorted(history.attempts.values(), key=lambda one: one.number)
        for attempt in attempts:
            if attempt.failure:
                how = f"attempt {attempt.number} failed ({attempt.failure}): {_first_line(attempt.error)}"
                found.reasons.append(Reason(how, at=attempt.ended_at))
        if row.state is TaskState.CACHED:
            hit = (history.cache_answer or {}).get("hit") or {}
            found.summary = f"answered from the cache: the result of task {hit.get('path')!r} of run {hit.get('runId')}"
        elif row.state is TaskState.SUCCEEDED:
            found.summary = f"attempt {row.attempt} succeeded"
        elif row.state is TaskState.CANCELED:
            found.summary = row.error or "the run was ended"
        elif row.state is TaskState.FAILED:
            found.summary = f"{row.error or 'it failed'}{self._budget(row, len(attempts))}"
        elif row.phase == "cache lookup":
            found.summary = "waits for the cache to say whether there is a result"
        elif row.phase == "backoff":
            until = datetime.fromtimestamp(row.wake_at / 1000, tz=timezone.utc).isoformat(timespec="seconds")
            found.summary = f"attempt {row.attempt} failed; the next one starts after its backoff, at {until}"
            found.reasons.append(Reason("backoff until", at=row.wake_at))
        elif row.phase == "canceling":
            found.summary = f"attempt {row.attempt} is being ended"
        elif row.waiting:
            found.summary = f"attempt {row.attempt} waits: {row.waiting}"
        elif row.state is TaskState.RUNNING:
            found.summary = f"attempt {row.attempt} is running"
        else:
            found.summary = (
                f"attempt {row.attempt} is decided and waits for a free place on its executor (--parallelism), "
                "or for its process or Pod to start"
            )

    def _budget(self, row: Task, attempts: int) -> str:
        place = locate_task(self._pipeline, row.path)
        if not attempts or place is None:
            return ""
        retries = self._retries(row.path)
        if retries is None:
            return "; it has no retries"
        return f"; made {attempts} attempts, its policy allows {retries} retries"

    def _retries(self, path: str) -> int | None:
        while path:
            place = locate_task(self._pipeline, path)
            if place is not None and place.task.retry is not None:
                return place.task.retry.max_retries
            path = path.rpartition("/")[0]
        return None

    def _omitted(self, row: Task, found: Explanation) -> None:
        found.summary = row.error or "a task it depends on did not succeed"
        place = locate_task(self._pipeline, row.path)
        if place is None:
            return
        for name in _dependencies(place):
            other = self._rows.get(_join(place.dag_path, name))
            if other is not None and not other.state.succeeded:
                found.reasons.append(
                    Reason(f"{other.state.value.lower()}: {self._cause(other, _MAX_DEPTH)}", other.path)
                )

    def _cause(self, row: Task, depth: int) -> str:
        if row.state is TaskState.OMITTED and depth:
            place = locate_task(self._pipeline, row.path)
            for name in _dependencies(place) if place else ():
                other = self._rows.get(_join(place.dag_path, name)) if place else None
                if other is not None and not other.state.succeeded:
                    return (
                        f"behind {other.path!r}, which is {other.state.value.lower()}: {self._cause(other, depth - 1)}"
                    )
        if row.state is TaskState.SKIPPED:
            return "its condition is false"
        return _first_line(row.error) or row.state.value.lower()

    def _open_group(self, row: Task, found: Explanation) -> None:
        children = self._children.get(row.path, [])
        open_ = [child for child in children if not child.state.terminal]
        if row.kind is TaskKind.LOOP:
            place = locate_task(self._pipeline, row.path)
            limit = place.task.parallelism_limit if place else 0
            found.summary = f"{len(children) - len(open_)} iterations have ended, {len(open_)} are under way"
            if limit:
                found.summary += f", its parallelism limit of {limit} lets the rest wait"
        else:
            found.summary = f"{len(open_)} tasks in it have not ended"
        found.reasons.extend(Reason(child.state.value.lower(), child.path) for child in open_[:_MAX_REASONS])

    # --- tasks the run has not reached -----------------------------------------------------------------------------

    def _not_reached(self, path: str, place: LocatedTask, depth: int) -> Explanation:
        found = Explanation(path, "", "")
        above = self._rows.get(place.dag_path)
        loop = _loop_of_iteration(path, place)
        if self._run.state is RunState.PENDING:
            found.summary = "no executor has taken the run yet"
        elif loop is not None and (row := self._rows.get(loop)) is not None:
            limit = place.task.parallelism_limit
            if not row.state.terminal and limit:
                found.summary = f"waits for a place in its loop, whose parallelism limit is {limit}"
            else:
                found.summary = f"its loop is {row.state.value.lower()} and has no such iteration under way"
        elif above is None:
            outer = locate_task(self._pipeline, place.dag_path)
            found.summary = f"the run has not reached {place.dag_path!r}"
            if outer is not None and depth:
                found.reasons.append(
                    Reason(self._not_reached(place.dag_path, outer, depth - 1).summary, place.dag_path)
                )
        elif above.state.terminal:
            found.summary = f"{place.dag_path or 'the run'} is {above.state.value.lower()}, so it did not run"
        else:
            self._waits(place, found)
        return found

    def _waits(self, place: LocatedTask, found: Explanation) -> None:
        names = _dependencies(place)
        open_ = [name for name in names if not self._has_ended(_join(place.dag_path, name))]
        kind = "end" if place.task.strategy is TriggerStrategy.ALL_UPSTREAM_TASKS_COMPLETED else "succeed"
        found.summary = f"waits for {len(open_)} of {len(names)} tasks to {kind}: {', '.join(open_[:10])}"
        for name in open_[:_MAX_REASONS]:
            other = self._rows.get(_join(place.dag_path, name))
            text = self._task(other).summary if other is not None else "it waits itself"
            found.reasons.append(Reason(text, _join(place.dag_path, name)))

    def _has_ended(self, path: str) -> bool:
        row = self._rows.get(path)
        return row is not None and row.state.terminal


def _dependencies(place: LocatedTask) -> list[str]:
    return [place.dag.tasks[index].name for index in place.task.dependencies]


def _loop_of_iteration(path: str, place: LocatedTask) -> str | None:
    return None if place.iteration is None else path[: path.rindex("[")]


def _join(above: str, name: str) -> str:
    return f"{above}/{name}" if above else name


def _first_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[0] if lines else ""
