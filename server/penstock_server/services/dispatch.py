"""Runs to executors, and what executors report back (penstock.internal.v1.DispatchService).

Invariants: a run is held by one executor at a time, under a lease that carries a fencing token; each claim raises the
token, and whatever comes under an older one changes nothing. A report is one transaction. Events are appended by
sequence number: what is there already is skipped, a gap means that reports were lost, so the reporter is told to stop
and the next claim starts from the log. Reports do not renew leases, heartbeats do.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from penstock_server.domain.run import Run, RunState, moved
from penstock_server.domain.task import Artifact, CacheEntry, CacheHit, CacheKey, Task
from penstock_server.errors import InvalidArgumentError
from penstock_server.services.ports import Clock, Storage, UnitOfWork, WorkSignal

log = logging.getLogger(__name__)

MAX_WAIT_MILLIS = 30_000
_RECHECK_SECONDS = 1.0
MAX_LEASE_MILLIS = 10 * 60_000


@dataclass(frozen=True, slots=True)
class ClaimedRun:
    run: Run
    fence: int
    pipeline_spec: str
    platform_spec: str
    events: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Lease:
    run_id: str
    fence: int


@dataclass(frozen=True, slots=True)
class HeartbeatAnswer:
    lost: list[str] = field(default_factory=list)
    terminate: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class RunReport:
    """What one executor says of one run. `state` empty: unchanged."""

    run_id: str
    fence: int
    first_sequence: int
    events: Sequence[bytes] = ()
    tasks: Sequence[Task] = ()
    artifacts: Sequence[Artifact] = ()
    cache_entries: Sequence[CacheEntry] = ()
    execution_ids: Mapping[str, int] = field(default_factory=dict)
    artifact_ids: Mapping[str, int] = field(default_factory=dict)
    state: str = ""
    error: str = ""
    at: int = 0
    finished: bool = False
    pipeline_context_id: int = 0
    pipeline_run_context_id: int = 0


class Outcome(Enum):
    COMMITTED = 1
    FENCED = 2
    DELETED = 3


class DispatchService:
    """`committed(events)` hears how many events of runs each report brought."""

    def __init__(
        self,
        storage: Storage,
        clock: Clock,
        signal: WorkSignal,
        committed: Callable[[int], None] = lambda events: None,
    ) -> None:
        self._storage = storage
        self._clock = clock
        self._signal = signal
        self._committed = committed
        self._stopping = False

    def stop(self) -> None:
        """Lets claims that wait return at once."""
        self._stopping = True
        self._signal.notify()

    def claim(
        self,
        executor_id: str,
        max_runs: int,
        wait_millis: int,
        lease_millis: int,
        *,
        wanted: Callable[[], bool] = lambda: True,
    ) -> list[ClaimedRun]:
        """Leases up to `max_runs` runs, oldest first; waits up to `wait_millis` for the first while `wanted`."""
        until = time.monotonic() + min(max(wait_millis, 0), MAX_WAIT_MILLIS) / 1000
        while not self._stopping and wanted():
            claimed = self._claim_now(executor_id, max(1, min(max_runs, 1000)), _lease(lease_millis))
            left = until - time.monotonic()
            if claimed or left <= 0:
                return claimed
            # Leases that end and runs made by other servers are not signalled, hence the re-check.
            self._signal.wait(min(left, _RECHECK_SECONDS))
        return []

    def heartbeat(
        self, executor_id: str, leases: Sequence[Lease], lease_millis: int, *, release: bool = False
    ) -> HeartbeatAnswer:
        answer = HeartbeatAnswer()
        if not leases:
            return answer
        held: list[str] = []
        with self._storage.writing() as uow:
            known = uow.queue.leases([lease.run_id for lease in leases])
            for lease in leases:
                row = known.get(lease.run_id)
                if row is None:
                    answer.deleted.append(lease.run_id)
                elif row[0] != lease.fence or row[1] != executor_id:
                    answer.lost.append(lease.run_id)
                else:
                    held.append(lease.run_id)
                    if row[3]:
                        answer.terminate.append(lease.run_id)
            if release:
                uow.queue.release(held)
            else:
                uow.queue.renew(held, self._clock.now_millis() + _lease(lease_millis))
        if release:
            self._signal.notify()
        return answer

    def report(self, reports: Sequence[RunReport]) -> list[tuple[Outcome, bool]]:
        """Commits all reports in one transaction; per report its outcome and whether its end was asked for."""
        with self._storage.writing() as uow:
            # All rows at once, in order: two executors never wait for each other's.
            uow.queue.leases([report.run_id for report in reports])
            outcomes = [self._report(uow, report) for report in reports]
        self._committed(sum(len(report.events) for report in reports))
        return outcomes

    def look_up(self, keys: Sequence[CacheKey]) -> list[CacheHit | None]:
        """The newest entry per fingerprint in its scope, in order, however old."""
        places = [(key.fingerprint, key.pipeline_name, key.namespace) for key in keys]
        with self._storage.reading() as uow:
            found = uow.cache.newest(places)
        return [found.get(place) for place in places]

    def _claim_now(self, executor_id: str, max_runs: int, lease_millis: int) -> list[ClaimedRun]:
        now = self._clock.now_millis()
        with self._storage.reading() as uow:
            if not uow.queue.claimable(now, 1, executor_id):
                return []
        claimed = []
        with self._storage.writing() as uow:
            for run_id, fence, expires_at in uow.queue.claimable(now, max_runs, executor_id):
                if not uow.queue.take(run_id, fence, expires_at, executor_id, now + lease_millis):
                    continue
                run = uow.runs.get(run_id)
                spec = uow.specs.get(run.spec_hash) if run else None
                if run is None or spec is None:
                    continue
                events = uow.queue.events(run_id)
                claimed.append(ClaimedRun(run, fence + 1, spec.pipeline_spec, spec.platform_spec, events))
        return claimed

    def _report(self, uow: UnitOfWork, report: RunReport) -> tuple[Outcome, bool]:
        row = uow.queue.leases([report.run_id]).get(report.run_id)
        if row is None:
            return Outcome.DELETED, False
        fence, _, next_sequence, terminate = row
        if fence != report.fence:
            return Outcome.FENCED, False
        if report.first_sequence > next_sequence:
            log.error(
                "run %s: report begins at event %d, the log ends at %d; the executor is told to let go",
                report.run_id,
                report.first_sequence,
                next_sequence,
            )
            return Outcome.FENCED, False
        fresh = list(report.events)[next_sequence - report.first_sequence :]
        if fresh:
            uow.queue.append(report.run_id, next_sequence, fresh)
            uow.queue.advance(report.run_id, next_sequence + len(fresh))
        uow.tasks.upsert_many(report.tasks)
        uow.artifacts.upsert_many(report.artifacts)
        if fresh:
            uow.cache.add_many(report.cache_entries)
        uow.tasks.set_execution_ids(report.run_id, report.execution_ids)
        uow.artifacts.set_metadata_ids(report.run_id, report.artifact_ids)
        if report.state:
            self._move(uow, report)
        return Outcome.COMMITTED, terminate

    def _move(self, uow: UnitOfWork, report: RunReport) -> None:
        try:
            state = RunState(report.state)
        except ValueError as error:
            raise InvalidArgumentError(f"{report.state!r} is no state of a run", "run.state") from error
        if state.final and not report.finished:
            raise InvalidArgumentError(f"run {report.run_id}: a final state without finished", "run.finished")
        run = uow.runs.get(report.run_id)
        if run is None:
            return
        after = moved(run, state, report.at, report.error)
        if report.pipeline_run_context_id:
            after = replace(
                after,
                pipeline_context_id=report.pipeline_context_id,
                pipeline_run_context_id=report.pipeline_run_context_id,
            )
        if after is not run:
            uow.runs.set_state(after)
        if report.finished:
            uow.queue.finish(report.run_id)


def _lease(millis: int) -> int:
    return min(max(millis, 1000), MAX_LEASE_MILLIS)
