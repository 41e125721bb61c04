"""Runs to executors, and what executors report back (penstock.internal.v1.DispatchService).

Invariants: a run is held by one executor at a time, under a lease that carries a fencing token; each claim raises the
token, and whatever comes under an older one changes nothing. A report is one transaction. Events are appended by
sequence number: what is there already is skipped, a gap means that reports were lost, so the reporter is told to stop
and the next claim starts from the log. Reports do not renew leases, heartbeats do. Leases are counted by the database's
clock, which all servers share.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from penstock_server.domain.run import Run, RunState, with_reported_state
from penstock_server.domain.task import Artifact, CacheEntry, CacheHit, CacheKey, Task
from penstock_server.errors import InvalidArgumentError, UnavailableError
from penstock_server.services.backends import Backends
from penstock_server.services.ports import Storage, UnitOfWork, WorkSignal

log = logging.getLogger(__name__)

MAX_WAIT_MILLIS = 30_000
# Leases that end, and runs that other servers make or hand back, ring no bell here.
_RECHECK_SECONDS = 0.5
MAX_FILTERED = 1000
MAX_LEASE_MILLIS = 10 * 60_000


@dataclass(frozen=True, slots=True)
class ClaimedRun:
    """A run with its new fence, its documents (JSON) and its event log so far."""

    run: Run
    fence: int
    pipeline_spec: str
    platform_spec: str
    events: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Claim:
    """`waited_millis`: how long after the call, at least, the leases began."""

    runs: Sequence[ClaimedRun] = ()
    waited_millis: int = 0


@dataclass(frozen=True, slots=True)
class Lease:
    """What an executor believes to hold: a run, under this fence."""

    run_id: str
    fence: int


@dataclass(frozen=True, slots=True)
class HeartbeatAnswer:
    """Ids of the runs that are not (or no longer) held, whose users wish their end, and that were deleted."""

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
    waits: Mapping[str, str] = field(default_factory=dict)
    """Why tasks do not run yet, by path."""


@dataclass(frozen=True, slots=True)
class _Accepted:
    """`fresh`: the events that are not in the log yet, which ends before `next_sequence`."""

    report: RunReport
    next_sequence: int
    fresh: Sequence[bytes]


class Outcome(Enum):
    """What became of a report. FENCED: its fence is old, and nothing of it was taken."""

    COMMITTED = 1
    FENCED = 2
    DELETED = 3


class HoldState(Enum):
    """How a run stands with executors. UNKNOWN: it was deleted, or is of another installation."""

    UNKNOWN = 1
    FINISHED = 2
    WAITING = 3
    HELD = 4


@dataclass(frozen=True, slots=True)
class RunHold:
    """`executor_id` is empty unless the run is held."""

    run_id: str
    state: HoldState
    executor_id: str = ""


class DispatchService:
    """`committed(events)` hears how many events of runs each report brought."""

    def __init__(
        self,
        storage: Storage,
        signal: WorkSignal,
        committed: Callable[[int], None] = lambda events: None,
    ) -> None:
        self._storage = storage
        self._signal = signal
        self._committed = committed
        self.backends = Backends()
        self._stopping = False
        self._looking = threading.Lock()
        self._looked_at = 0.0
        self._anything = False

    def stop(self) -> None:
        """Lets claims that wait end at once, as unavailable: executors go to another server, or try again."""
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
    ) -> Claim:
        """Leases up to `max_runs` runs, oldest first; waits up to `wait_millis` for the first while `wanted`.

        Raises UnavailableError when the server stops.
        """
        started = time.monotonic()
        until = started + min(max(wait_millis, 0), MAX_WAIT_MILLIS) / 1000
        look = True
        while wanted():
            if self._stopping:
                raise UnavailableError("the server is stopping; try again")
            now = time.monotonic()
            runs = self._claim_now(executor_id, max(1, min(max_runs, 1000)), _lease(lease_millis)) if look else []
            if runs and not wanted():
                # The caller went away meanwhile and will never know what it got.
                self.heartbeat(executor_id, [Lease(one.run.run_id, one.fence) for one in runs], 0, release=True)
                break
            left = until - time.monotonic()
            if runs or left <= 0:
                return Claim(runs, int((now - started) * 1000))
            look = self._signal.wait(min(left, _RECHECK_SECONDS)) or self._anything_waits()
        return Claim()

    def heartbeat(
        self,
        executor_id: str,
        leases: Sequence[Lease],
        lease_millis: int,
        *,
        release: bool = False,
        release_all: bool = False,
    ) -> HeartbeatAnswer:
        """Renews leases, or hands them back; `release_all` with everything else the executor holds."""
        answer = HeartbeatAnswer()
        if not leases and not release_all:
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
            if release_all:
                uow.queue.release(uow.queue.held_by(executor_id))
            elif release:
                uow.queue.release(held)
            else:
                uow.queue.renew(held, _lease(lease_millis))
        if release or release_all:
            self._signal.notify()
        return answer

    def report(self, reports: Sequence[RunReport]) -> list[tuple[Outcome, bool]]:
        """Commits all reports in one transaction; per report its outcome and whether its end was asked for."""
        with self._storage.writing() as uow:
            # All rows at once, in order: two executors never wait for each other's.
            known = uow.queue.leases([report.run_id for report in reports])
            accepted: list[_Accepted] = []
            outcomes: list[tuple[Outcome, bool]] = []
            for report in reports:
                row = known.get(report.run_id)
                outcome = _judged(report, row)
                outcomes.append((outcome, row is not None and outcome is Outcome.COMMITTED and row[3]))
                if row is not None and outcome is Outcome.COMMITTED:
                    fence, owner, next_sequence, terminate = row
                    fresh = report.events[next_sequence - report.first_sequence :]
                    known[report.run_id] = (fence, owner, next_sequence + len(fresh), terminate)
                    accepted.append(_Accepted(report, next_sequence, fresh))
            _write(uow, accepted)
        self._committed(sum(len(report.events) for report in reports))
        return outcomes

    def look_up(self, keys: Sequence[CacheKey]) -> list[CacheHit | None]:
        """The newest entry per fingerprint in its scope, in order, however old."""
        places = [(key.fingerprint, key.pipeline_name, key.namespace) for key in keys]
        with self._storage.reading() as uow:
            found = uow.cache.newest(places)
        return [found.get(place) for place in places]

    def filter(self, run_ids: Sequence[str]) -> list[RunHold]:
        """Where each run stands, in order. Raises InvalidArgumentError for more than MAX_FILTERED."""
        if len(run_ids) > MAX_FILTERED:
            raise InvalidArgumentError(f"{len(run_ids)} runs are more than {MAX_FILTERED}", "run_ids")
        with self._storage.reading() as uow:
            found = uow.queue.holds(run_ids)
        return [_hold(run_id, found.get(run_id)) for run_id in run_ids]

    def _anything_waits(self) -> bool:
        """One look for all claims that wait here, however many they are."""
        with self._looking:
            if time.monotonic() - self._looked_at >= _RECHECK_SECONDS / 2:
                with self._storage.reading() as uow:
                    self._anything = uow.queue.any_waits()
                self._looked_at = time.monotonic()
            return self._anything

    def _claim_now(self, executor_id: str, max_runs: int, lease_millis: int) -> list[ClaimedRun]:
        with self._storage.reading() as uow:
            if not uow.queue.claimable(1, executor_id):
                return []
        claimed = []
        with self._storage.writing() as uow:
            taken = {
                run_id: fence + 1
                for run_id, fence, expires_at in uow.queue.claimable(max_runs, executor_id)
                if uow.queue.take(run_id, fence, expires_at, executor_id, lease_millis)
            }
            found, events = uow.runs.get_many(list(taken)), uow.queue.events_of(list(taken))
            specs = {spec_hash: uow.specs.get(spec_hash) for spec_hash in {run.spec_hash for run in found.values()}}
            for run_id, fence in taken.items():
                run = found[run_id]
                spec = specs[run.spec_hash]
                if spec is not None:
                    documents = (spec.pipeline_spec, spec.platform_spec)
                    claimed.append(ClaimedRun(run, fence, *documents, events.get(run_id, ())))
        return claimed


def _judged(report: RunReport, row: tuple[int, str, int, bool] | None) -> Outcome:
    """`row` as QueueRepository.leases gives it."""
    if row is None:
        return Outcome.DELETED
    fence, _, next_sequence, _ = row
    if fence != report.fence:
        return Outcome.FENCED
    if report.first_sequence > next_sequence:
        log.error(
            "run %s: report begins at event %d, the log ends at %d; the executor is told to let go",
            report.run_id,
            report.first_sequence,
            next_sequence,
        )
        return Outcome.FENCED
    return Outcome.COMMITTED


def _write(uow: UnitOfWork, accepted: Sequence[_Accepted]) -> None:
    """Table by table, because statements are what costs: their number does not grow with that of the runs."""
    reports = [one.report for one in accepted]
    events = [
        (one.report.run_id, one.next_sequence + index, event)
        for one in accepted
        for index, event in enumerate(one.fresh)
    ]
    uow.queue.append(events)
    uow.queue.advance({run_id: sequence + 1 for run_id, sequence, _ in events})
    uow.tasks.upsert_many([task for report in reports for task in report.tasks])
    uow.tasks.set_waits({(report.run_id, path): text for report in reports for path, text in report.waits.items()})
    uow.artifacts.upsert_many([artifact for report in reports for artifact in report.artifacts])
    uow.cache.add_many([entry for one in accepted if one.fresh for entry in one.report.cache_entries])
    uow.tasks.set_execution_ids(
        {(report.run_id, path): number for report in reports for path, number in report.execution_ids.items()}
    )
    uow.artifacts.set_metadata_ids(
        {(report.run_id, name): number for report in reports for name, number in report.artifact_ids.items()}
    )
    _move(uow, [report for report in reports if report.state])


def _move(uow: UnitOfWork, reports: Sequence[RunReport]) -> None:
    known = dict(uow.runs.get_many([report.run_id for report in reports]))
    changed: dict[str, Run] = {}
    for report in reports:
        before = known[report.run_id]
        after = with_reported_state(before, _state(report), report.at, report.error)
        if report.pipeline_run_context_id:
            after = replace(
                after,
                pipeline_context_id=report.pipeline_context_id,
                pipeline_run_context_id=report.pipeline_run_context_id,
            )
        if after is not before:
            known[report.run_id] = changed[report.run_id] = after
    uow.runs.set_states(list(changed.values()))
    uow.queue.finish([report.run_id for report in reports if report.finished])


def _state(report: RunReport) -> RunState:
    """Raises InvalidArgumentError."""
    try:
        state = RunState(report.state)
    except ValueError as error:
        raise InvalidArgumentError(f"{report.state!r} is no state of a run", "run.state") from error
    if state.final and not report.finished:
        raise InvalidArgumentError(f"run {report.run_id}: a final state without finished", "run.finished")
    return state


def _lease(millis: int) -> int:
    return min(max(millis, 1000), MAX_LEASE_MILLIS)


def _hold(run_id: str, found: tuple[bool, str] | None) -> RunHold:
    if found is None:
        return RunHold(run_id, HoldState.UNKNOWN)
    live, owner = found
    if not live:
        return RunHold(run_id, HoldState.FINISHED)
    return RunHold(run_id, HoldState.HELD if owner else HoldState.WAITING, owner)
