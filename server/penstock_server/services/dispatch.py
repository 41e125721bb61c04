"""Runs to executors, and what executors report back (penstock.internal.v1.DispatchService).

Invariants: a run is held by one executor at a time, under a lease that carries a fencing token; each claim raises the
token, and whatever comes under an older one changes nothing. A report is one transaction. Events are appended by
sequence number: what is there already is skipped, a gap means that reports were lost, so the reporter is told to stop
and the next claim starts from the log. Reports do not renew leases; heartbeats do, where they ask for it. Leases are
counted by the database's clock, which all servers share.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from penstock_ir.event_log import AttemptEnded, decode

from penstock_server.domain.dispatch import (
    Claim,
    ClaimedRun,
    HeartbeatAnswer,
    HoldState,
    Lease,
    LeaseRow,
    LogEnd,
    LogEntry,
    Outcome,
    RunHold,
    RunReport,
    RunTransitions,
)
from penstock_server.domain.lineage import TaskKey, uses_of
from penstock_server.domain.reports import DAY_MILLIS, check_event, check_report
from penstock_server.domain.run import Run, RunState, was_reopened, with_reported_state
from penstock_server.domain.task import CacheHit, CacheKey
from penstock_server.errors import InvalidArgumentError, UnavailableError
from penstock_server.services.executors import Executors
from penstock_server.services.ports import Clock, Storage, UnitOfWork, WorkSignal
from penstock_server.services.report_checks import PipelineName, check_against_stored
from penstock_server.services.slots import EndedAttempts, SlotService, give_back

log = logging.getLogger(__name__)

MAX_WAIT_MILLIS = 30_000
# Nobody notifies `WorkSignal` of leases that end, nor of runs that other servers make or hand back.
_RECHECK_SECONDS = 0.5
MAX_FILTERED = 1000
MAX_LEASE_MILLIS = 10 * 60_000


@dataclass(frozen=True, slots=True)
class _Accepted:
    """`new_events` are not in the log yet, which ends before `next_sequence`; `change` is the number that this gets."""

    transitions: RunTransitions
    next_sequence: int
    new_events: Sequence[bytes]
    change: int


class DispatchService:
    """`committed(events)` hears how many events of runs each report brought; `pipeline_name` is the one in a spec."""

    def __init__(
        self,
        storage: Storage,
        signal: WorkSignal,
        clock: Clock,
        pipeline_name: PipelineName,
        committed: Callable[[int], None] = lambda events: None,
    ) -> None:
        self.slots = SlotService(storage)
        self._storage = storage
        self._clock = clock
        self._pipeline_name = pipeline_name
        self._signal = signal
        self._committed = committed
        self.executors = Executors(storage)
        self._stopping = False
        self._recheck_lock = threading.Lock()
        self._rechecked_at = 0.0
        self._runs_waited = False

    def stop(self) -> None:
        """Lets claims that wait end at once, as unavailable: executors go to another server, or try again."""
        self._stopping = True
        self._signal.notify()

    def claim(
        self,
        owner: str,
        max_runs: int,
        wait_millis: int,
        lease_millis: int,
        *,
        wanted: Callable[[], bool] = lambda: True,
    ) -> Claim:
        """Leases up to `max_runs` runs, by rank; waits up to `wait_millis` for the first while `wanted`.

        Raises UnavailableError when the server stops.
        """
        started = time.monotonic()
        deadline = started + min(max(wait_millis, 0), MAX_WAIT_MILLIS) / 1000
        runs_wait = True
        while wanted():
            if self._stopping:
                raise UnavailableError("the server is stopping; try again")
            now = time.monotonic()
            runs: list[ClaimedRun] = []
            if runs_wait:
                runs = self._claim_now(owner, max(1, min(max_runs, 1000)), _bounded_lease(lease_millis))
            if runs and not wanted():
                # The caller went away meanwhile and will never know what it got.
                leases = [Lease(claimed.run.run_id, claimed.fence) for claimed in runs]
                self.heartbeat(owner, leases, 0, release=True)
                break
            left = deadline - time.monotonic()
            if runs or left <= 0:
                return Claim(runs, int((now - started) * 1000), self.slots.limited())
            runs_wait = self._signal.wait(min(left, _RECHECK_SECONDS)) or self._recheck()
        return Claim()

    def heartbeat(
        self,
        owner: str,
        leases: Sequence[Lease],
        lease_millis: int,
        *,
        release: bool = False,
        release_all: bool = False,
    ) -> HeartbeatAnswer:
        """Renews leases that are not `unrenewed`, or hands back all of them; `release_all` with everything else the
        owner holds.

        Runs that are only asked for are read without a lock: no report waits for that.
        """
        answer = HeartbeatAnswer(limited=self.slots.limited())
        back = release or release_all
        asked = [lease for lease in leases if lease.unrenewed and not back]
        written = [lease for lease in leases if back or not lease.unrenewed]
        if asked:
            with self._storage.reading() as uow:
                _look(uow, owner, asked, answer)
        if written or release_all:
            with self._storage.writing() as uow:
                held = _look(uow, owner, written, answer)
                if release_all:
                    uow.queue.release(uow.queue.held_by(owner))
                elif release:
                    uow.queue.release(held)
                else:
                    uow.queue.renew(held, _bounded_lease(lease_millis))
        if back:
            self._signal.notify()
        return answer

    def report(self, owner: str, transitions: Sequence[RunTransitions]) -> list[RunReport]:
        """Commits the transitions of all runs in one transaction; an answer for each, in order.

        Of a run whose lease is not the owner's nothing is taken. Raises InvalidArgumentError for what an executor that
        works does not report: then nothing of the report is taken.
        """
        now = self._clock.now_millis()
        check_report(transitions, now)
        with self._storage.writing() as uow:
            # All rows at once, in order: two executors never wait for each other's.
            rows = uow.queue.leases([one.run_id for one in transitions])
            accepted: list[_Accepted] = []
            reports: list[RunReport] = []
            for one in transitions:
                row = rows.get(one.run_id)
                outcome = _outcome_of(one, row, owner)
                if row is None or outcome is not Outcome.COMMITTED:
                    reports.append(RunReport(one.run_id, outcome))
                    continue
                reports.append(RunReport(one.run_id, outcome, row.terminate_requested))
                if row.finished:
                    continue
                new_events = one.events[row.next_sequence - one.first_sequence :]
                change = row.changes + 1
                rows[one.run_id] = replace(row, next_sequence=row.next_sequence + len(new_events), changes=change)
                for index, event in enumerate(new_events):
                    check_event(event, row.next_sequence + index, now + DAY_MILLIS)
                accepted.append(_Accepted(one, row.next_sequence, new_events, change))
            if accepted:
                give_back(uow, [_ended(one) for one in accepted if rows[one.transitions.run_id].takes_slots])
                runs = uow.runs.get_many([one.transitions.run_id for one in accepted])
                check_against_stored(uow, [one.transitions for one in accepted], runs, self._pipeline_name)
                _write(uow, accepted, runs)
        self._committed(sum(len(one.events) for one in transitions))
        return reports

    def look_up(self, keys: Sequence[CacheKey]) -> list[CacheHit | None]:
        """The newest entry of each key, in order, however old."""
        with self._storage.reading() as uow:
            hits = uow.cache.newest(keys)
        return [hits.get(key) for key in keys]

    def filter(self, run_ids: Sequence[str]) -> list[RunHold]:
        """Where each run stands, in order. Raises InvalidArgumentError for more than MAX_FILTERED."""
        if len(run_ids) > MAX_FILTERED:
            raise InvalidArgumentError(f"{len(run_ids)} runs are more than {MAX_FILTERED}", "run_ids")
        with self._storage.reading() as uow:
            holds = uow.queue.holds(run_ids)
        return [holds.get(run_id) or RunHold(run_id, HoldState.UNKNOWN) for run_id in run_ids]

    def _recheck(self) -> bool:
        """Whether a run waits for an executor: one query for all claims that wait here, however many they are."""
        with self._recheck_lock:
            if time.monotonic() - self._rechecked_at >= _RECHECK_SECONDS / 2:
                with self._storage.reading() as uow:
                    self._runs_waited = uow.queue.any_waits()
                self._rechecked_at = time.monotonic()
            return self._runs_waited

    def _claim_now(self, owner: str, max_runs: int, lease_millis: int) -> list[ClaimedRun]:
        with self._storage.reading() as uow:
            if not uow.queue.claimable(1, owner):
                return []
        claimed = []
        with self._storage.writing() as uow:
            fences = {
                entry.run_id: entry.fence + 1
                for entry in uow.queue.claimable(max_runs, owner)
                if uow.queue.take(entry, owner, lease_millis)
            }
            runs, events = uow.runs.get_many(list(fences)), uow.queue.events_of(list(fences))
            specs = {spec_hash: uow.specs.get(spec_hash) for spec_hash in {run.spec_hash for run in runs.values()}}
            for run_id, fence in fences.items():
                run = runs[run_id]
                spec = specs[run.spec_hash]
                if spec is not None:
                    documents = (spec.pipeline_spec, spec.platform_spec)
                    claimed.append(ClaimedRun(run, fence, *documents, events.get(run_id, ())))
        return claimed


def _look(uow: UnitOfWork, owner: str, leases: Sequence[Lease], answer: HeartbeatAnswer) -> list[str]:
    """Adds to the answer what became of the runs; those that the owner holds under that fence."""
    held: list[str] = []
    rows = uow.queue.leases([lease.run_id for lease in leases])
    for lease in leases:
        row = rows.get(lease.run_id)
        if row is None:
            answer.deleted.append(lease.run_id)
        elif row.fence != lease.fence or row.owner != owner:
            answer.lost.append(lease.run_id)
        else:
            held.append(lease.run_id)
            if row.terminate_requested:
                answer.terminate.append(lease.run_id)
    return held


def _outcome_of(transitions: RunTransitions, row: LeaseRow | None, owner: str) -> Outcome:
    if row is None:
        return Outcome.DELETED
    if row.fence != transitions.fence:
        return Outcome.FENCED
    if row.finished:
        # The last report once more, after a lost answer: it is in, and whatever else it brings is not taken.
        end = transitions.first_sequence + len(transitions.events)
        return Outcome.COMMITTED if transitions.finished and end <= row.next_sequence else Outcome.FENCED
    if row.owner != owner:
        return Outcome.FENCED
    if transitions.first_sequence > row.next_sequence:
        log.error(
            "run %s: report begins at event %d, the log ends at %d; the executor is told to let go",
            row.run_id,
            transitions.first_sequence,
            row.next_sequence,
        )
        return Outcome.FENCED
    return Outcome.COMMITTED


def _ended(accepted: _Accepted) -> EndedAttempts:
    events = [event for line in accepted.new_events if isinstance(event := decode(line), AttemptEnded)]
    run = accepted.transitions
    return EndedAttempts(run.run_id, [(event.path, event.attempt) for event in events], over=run.finished)


def _write(uow: UnitOfWork, accepted: Sequence[_Accepted], runs: Mapping[str, Run]) -> None:
    """Table by table, because statements are what costs: their number does not grow with that of the runs."""
    every = [one.transitions for one in accepted]
    entries = [
        LogEntry(one.transitions.run_id, one.next_sequence + index, event)
        for one in accepted
        for index, event in enumerate(one.new_events)
    ]
    ends = {one.transitions.run_id: LogEnd(one.next_sequence + len(one.new_events), one.change) for one in accepted}
    changes = {run_id: end.changes for run_id, end in ends.items()}
    uow.queue.append(entries)
    uow.queue.advance(ends)
    uow.tasks.upsert_many([task for run in every for task in run.tasks], changes)
    uow.tasks.set_waits({(run.run_id, path): text for run in every for path, text in run.waits.items()}, changes)
    uow.attempts.merge_many([attempt for run in every for attempt in run.attempts])
    uow.artifacts.upsert_many([artifact for run in every for artifact in run.artifacts])
    # A task of a retry may take other artifacts than it took before.
    again = [task for run in every if was_reopened(runs[run.run_id]) for task in run.tasks]
    uow.lineage.forget([TaskKey(task.run_id, task.task_id) for task in again])
    uow.lineage.add(use for run in every for task in run.tasks for use in uses_of(task))
    uow.cache.add_many([entry for one in accepted if one.new_events for entry in one.transitions.cache_entries])
    uow.tasks.set_execution_ids(
        {(run.run_id, path): number for run in every for path, number in run.execution_ids.items()}, changes
    )
    uow.artifacts.set_metadata_ids(
        {(run.run_id, name): number for run in every for name, number in run.artifact_ids.items()}
    )
    _move(uow, [run for run in every if run.state], runs)


def _move(uow: UnitOfWork, transitions: Sequence[RunTransitions], stored: Mapping[str, Run]) -> None:
    runs = dict(stored)
    changed: dict[str, Run] = {}
    for one in transitions:
        before = runs[one.run_id]
        after = with_reported_state(before, RunState(one.state), one.at, one.error)
        if one.pipeline_run_context_id:
            after = replace(
                after,
                pipeline_context_id=one.pipeline_context_id,
                pipeline_run_context_id=one.pipeline_run_context_id,
            )
        if after is not before:
            runs[one.run_id] = changed[one.run_id] = after
    uow.runs.set_states(list(changed.values()))
    uow.queue.finish([one.run_id for one in transitions if one.finished])


def _bounded_lease(millis: int) -> int:
    return min(max(millis, 1000), MAX_LEASE_MILLIS)
