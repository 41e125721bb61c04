"""Explains the state of a task, from its row, related rows, the pipeline and the event log.

Invariants: pure. An explanation names the root cause: a failure rather than the tasks omitted because of it, an
unfinished dependency rather than the task that waits for it; chains are followed a bounded number of steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone

from penstock_ir.attempt_settings import with_more_memory
from penstock_ir.event_log import FailureCause
from penstock_ir.model import ContainerExecutor, Pipeline, TriggerStrategy
from penstock_ir.paths import LocatedTask, locate_task
from penstock_ir.task_rows import TaskKind, TaskPhase, TaskState, in_a_line

from penstock_server.domain.executors import ConnectedExecutor
from penstock_server.domain.history import Attempt, TaskHistory
from penstock_server.domain.run import Run, RunState
from penstock_server.domain.task import Task

_MAX_REASONS = 20
_MAX_DEPTH = 8


@dataclass(frozen=True, slots=True)
class Reason:
    """`task`: path of the task that the reason is about, or empty; `at`: milliseconds since the epoch, or 0."""

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
    """Explains tasks of one run. `history(path)` reads the event log, `executor()` gives the one that holds the run,
    `placement(task)` says what its latest attempt runs in, empty when that is not known.
    """

    def __init__(
        self,
        run: Run,
        pipeline: Pipeline,
        rows: Sequence[Task],
        history: Callable[[str], TaskHistory],
        executor: Callable[[], ConnectedExecutor | None],
        placement: Callable[[Task], str] = lambda task: "",
    ) -> None:
        self._run = run
        self._pipeline = pipeline
        self._rows: Mapping[str, Task] = {row.path: row for row in rows}
        self._children: dict[str, list[Task]] = {}
        for row in rows:
            if row.path:
                self._children.setdefault(row.parent_path, []).append(row)
        self._history = history
        self._executor = executor
        self._placement = placement

    def run(self) -> Explanation:
        run = self._run
        if run.state is RunState.PENDING:
            return Explanation("", run.state.value, "no executor has taken the run yet")
        if not run.state.final:
            unfinished = [
                row for row in self._rows.values() if row.kind is TaskKind.CONTAINER and not row.state.terminal
            ]
            ending = "it is being ended; " if run.state is RunState.CANCELING else ""
            explanation = Explanation("", run.state.value, f"{ending}{len(unfinished)} tasks have not ended")
            for row in unfinished[:_MAX_REASONS]:
                explanation.reasons.append(Reason(self._task(row).summary, row.path))
            return explanation
        failed = [
            row
            for row in self._rows.values()
            if row.state is TaskState.FAILED and row.kind in (TaskKind.CONTAINER, TaskKind.IMPORTER)
        ]
        groups = [
            row for row in self._rows.values() if row.state is TaskState.FAILED and row.kind is not TaskKind.CONTAINER
        ]
        explanation = Explanation("", run.state.value, run.error or f"the run {run.state.value.lower()}")
        for row in (failed or groups)[:_MAX_REASONS]:
            explanation.reasons.append(Reason(self._task(row).summary, row.path, row.finished_at))
        return explanation

    def task(self, path: str) -> Explanation | None:
        """None when the pipeline has no such task."""
        row = self._rows.get(path)
        if row is not None:
            return self._task(row)
        located = locate_task(self._pipeline, path)
        return None if located is None else self._not_reached(path, located, _MAX_DEPTH)

    # --- tasks the run has reached ---------------------------------------------------------------------------------

    def _task(self, row: Task) -> Explanation:
        explanation = Explanation(row.path, row.state.value, "")
        if row.state is TaskState.SKIPPED:
            located = locate_task(self._pipeline, row.path)
            condition = located.task.condition if located else ""
            explanation.summary = f"its condition is false: {condition} with the inputs {row.inputs}"
        elif row.state is TaskState.OMITTED:
            self._omitted(row, explanation)
        elif row.kind is TaskKind.CONTAINER:
            self._container(row, explanation)
        elif row.state.failed:
            explanation.summary = row.error or "a task in it failed"
            for child in self._children.get(row.path, []):
                if child.state.failed:
                    explanation.reasons.append(Reason(in_a_line(child.error) or child.state.value.lower(), child.path))
        elif not row.state.terminal:
            self._unfinished_group(row, explanation)
        else:
            explanation.summary = "everything in it that had to run did"
        del explanation.reasons[_MAX_REASONS:]
        return explanation

    def _container(self, row: Task, explanation: Explanation) -> None:
        history = self._history(row.path)
        attempts = sorted(history.attempts.values(), key=lambda attempt: attempt.number)
        for attempt in attempts:
            if attempt.failure:
                preempted = attempt.cause is FailureCause.PREEMPTED
                how = "was preempted" if preempted else f"failed ({attempt.failure.value})"
                text = f"attempt {attempt.number} {how}: {in_a_line(attempt.error)}"
                explanation.reasons.append(Reason(text, at=attempt.ended_at))
        explanation.reasons += [*self._more_memory(row, attempts), *self._where_it_failed(row)]
        if row.state is TaskState.CACHED:
            hit = history.cache_answer.hit if history.cache_answer else None
            explanation.summary = "answered from the cache"
            if hit is not None:
                explanation.summary += f": the result of task {hit.path!r} of run {hit.run_id}"
        elif row.state is TaskState.SUCCEEDED:
            explanation.summary = f"attempt {row.attempt} succeeded{self._in_placement(row)}"
        elif row.state is TaskState.CANCELED:
            explanation.summary = row.error or "the run was ended"
        elif row.state is TaskState.FAILED:
            explanation.summary = f"{row.error or 'it failed'}{self._retry_note(row, len(attempts))}"
        elif row.phase == TaskPhase.CACHE_LOOKUP:
            explanation.summary = row.waiting or "waits for the cache to say whether there is a result"
        elif row.phase == TaskPhase.BACKOFF:
            until = datetime.fromtimestamp(row.wake_at / 1000, tz=timezone.utc).isoformat(timespec="seconds")
            explanation.summary = f"attempt {row.attempt} failed; the next one starts after its backoff, at {until}"
            explanation.reasons.append(Reason("backoff until", at=row.wake_at))
        elif row.phase == TaskPhase.CANCELING:
            explanation.summary = f"attempt {row.attempt} is being ended"
        elif row.waiting:
            explanation.summary = f"attempt {row.attempt} waits: {row.waiting}"
        elif row.state is TaskState.RUNNING:
            explanation.summary = f"attempt {row.attempt} is running{self._in_placement(row)}"
        else:
            explanation.summary = f"attempt {row.attempt} {self._waits_for_a_place()}"

    def _in_placement(self, row: Task) -> str:
        placement = in_a_line(self._placement(row))
        return f" in {placement}" if placement else ""

    def _where_it_failed(self, row: Task) -> list[Reason]:
        where = self._in_placement(row) if row.state is TaskState.FAILED else ""
        return [Reason(f"attempt {row.attempt} ran{where}")] if where else []

    def _waits_for_a_place(self) -> str:
        """What an executor said is a few seconds old: that it has a place left is no promise."""
        executor = self._executor()
        places = executor.status.places if executor else 0
        behind = executor.status.open_attempts - places if executor else 0
        if executor is None or places == 0:
            return (
                "is decided and waits for a free place on its executor (--parallelism), "
                "or for its process or Pod to start"
            )
        if behind > 0:
            return (
                f"waits for a free place on its executor {executor.name!r}: {places} of {places} are taken "
                f"(--parallelism), attempts that wait: {behind}"
            )
        return (
            f"is decided and waits for a free place on its executor {executor.name!r}, which has {places} "
            "(--parallelism), or for its process or Pod to start"
        )

    def _more_memory(self, row: Task, attempts: Sequence[Attempt]) -> list[Reason]:
        """What the current or next attempt has of memory, when earlier ones ran out of it."""
        times = sum(attempt.cause is FailureCause.OUT_OF_MEMORY for attempt in attempts)
        located = locate_task(self._pipeline, row.path)
        if not times or located is None or row.state.terminal:
            return []
        component = located.task.component
        container, step = component.implementation, component.attempts.memory_step
        assert isinstance(container, ContainerExecutor)
        resources = with_more_memory(container.resources, step, times)
        grown = [amount for key, amount in resources.items() if amount != container.resources.get(key)]
        # An amount that comes from an input is not known here.
        to = f" to {' and '.join(sorted(map(str, grown)))}" if grown else ""
        after = "an attempt" if times == 1 else f"{times} attempts"
        return [Reason(f"its memory grows{to} after {after} that ran out of it (oom-memory-factor)")]

    def _retry_note(self, row: Task, attempts: int) -> str:
        located = locate_task(self._pipeline, row.path)
        if not attempts or located is None:
            return ""
        retries = self._retries(row.path)
        if retries is None:
            return "; it has no retries"
        return f"; made {attempts} attempts, its policy allows {retries} retries"

    def _retries(self, path: str) -> int | None:
        while path:
            located = locate_task(self._pipeline, path)
            if located is not None and located.task.retry is not None:
                return located.task.retry.max_retries
            path = path.rpartition("/")[0]
        return None

    def _omitted(self, row: Task, explanation: Explanation) -> None:
        explanation.summary = row.error or "a task it depends on did not succeed"
        located = locate_task(self._pipeline, row.path)
        if located is None:
            return
        for name in _dependencies(located):
            other = self._rows.get(_join(located.dag_path, name))
            if other is not None and not other.state.succeeded:
                explanation.reasons.append(
                    Reason(f"{other.state.value.lower()}: {self._cause(other, _MAX_DEPTH)}", other.path)
                )

    def _cause(self, row: Task, depth: int) -> str:
        if row.state is TaskState.OMITTED and depth:
            located = locate_task(self._pipeline, row.path)
            for name in _dependencies(located) if located else ():
                other = self._rows.get(_join(located.dag_path, name)) if located else None
                if other is not None and not other.state.succeeded:
                    return (
                        f"behind {other.path!r}, which is {other.state.value.lower()}: {self._cause(other, depth - 1)}"
                    )
        if row.state is TaskState.SKIPPED:
            return "its condition is false"
        return in_a_line(row.error) or row.state.value.lower()

    def _unfinished_group(self, row: Task, explanation: Explanation) -> None:
        children = self._children.get(row.path, [])
        unfinished = [child for child in children if not child.state.terminal]
        if row.kind is TaskKind.LOOP:
            located = locate_task(self._pipeline, row.path)
            limit = located.task.parallelism_limit if located else 0
            explanation.summary = (
                f"{len(children) - len(unfinished)} iterations have ended, {len(unfinished)} are under way"
            )
            if limit:
                explanation.summary += f", its parallelism limit of {limit} lets the rest wait"
        else:
            explanation.summary = f"{len(unfinished)} tasks in it have not ended"
        explanation.reasons.extend(Reason(child.state.value.lower(), child.path) for child in unfinished[:_MAX_REASONS])

    # --- tasks the run has not reached -----------------------------------------------------------------------------

    def _not_reached(self, path: str, located: LocatedTask, depth: int) -> Explanation:
        explanation = Explanation(path, "", "")
        group = self._rows.get(located.dag_path)
        loop = _loop_of_iteration(path, located)
        if self._run.state is RunState.PENDING:
            explanation.summary = "no executor has taken the run yet"
        elif loop is not None and (row := self._rows.get(loop)) is not None:
            limit = located.task.parallelism_limit
            if not row.state.terminal and limit:
                explanation.summary = f"waits for a place in its loop, whose parallelism limit is {limit}"
            else:
                explanation.summary = f"its loop is {row.state.value.lower()} and has no such iteration under way"
        elif group is None:
            outer = locate_task(self._pipeline, located.dag_path)
            explanation.summary = f"the run has not reached {located.dag_path!r}"
            if outer is not None and depth:
                explanation.reasons.append(
                    Reason(self._not_reached(located.dag_path, outer, depth - 1).summary, located.dag_path)
                )
        elif group.state.terminal:
            explanation.summary = f"{located.dag_path or 'the run'} is {group.state.value.lower()}, so it did not run"
        else:
            self._waits(located, explanation)
        return explanation

    def _waits(self, located: LocatedTask, explanation: Explanation) -> None:
        names = _dependencies(located)
        unfinished = [name for name in names if not self._has_ended(_join(located.dag_path, name))]
        kind = "end" if located.task.strategy is TriggerStrategy.ALL_UPSTREAM_TASKS_COMPLETED else "succeed"
        explanation.summary = (
            f"waits for {len(unfinished)} of {len(names)} tasks to {kind}: {', '.join(unfinished[:10])}"
        )
        for name in unfinished[:_MAX_REASONS]:
            other = self._rows.get(_join(located.dag_path, name))
            text = self._task(other).summary if other is not None else "it waits itself"
            explanation.reasons.append(Reason(text, _join(located.dag_path, name)))

    def _has_ended(self, path: str) -> bool:
        row = self._rows.get(path)
        return row is not None and row.state.terminal


def _dependencies(located: LocatedTask) -> list[str]:
    return [located.dag.tasks[index].name for index in located.task.dependencies]


def _loop_of_iteration(path: str, located: LocatedTask) -> str | None:
    return None if located.iteration is None else path[: path.rindex("[")]


def _join(above: str, name: str) -> str:
    return f"{above}/{name}" if above else name
