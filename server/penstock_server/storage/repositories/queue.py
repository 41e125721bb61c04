"""Dispatch columns of `runs`, and `run_events`.

Invariants: a lease is taken by compare-and-set on (fence, expiry), so of several claimants one wins on every database;
whether it has ended is for the database's clock to say, which all servers share; whoever reads leases in order to write
holds the rows, in the order of their ids, until the transaction ends.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, func, insert, or_, select, update

from penstock_server.domain.dispatch import HoldState, LeaseRow, LogEnd, LogEntry, QueueDepth, QueueEntry, RunHold
from penstock_server.domain.executors import OpenRuns
from penstock_server.storage.clock import now_millis
from penstock_server.storage.tables import run_events, runs

_CHUNK = 500
_LOGS_AT_ONCE = 100
# Made once: reports and heartbeats come all the time, and to make a statement takes longer than to carry it out.
_LEASES = select(
    runs.c.run_id,
    runs.c.fence,
    runs.c.lease_owner,
    runs.c.next_sequence,
    runs.c.terminate_requested,
    runs.c.claimable,
    runs.c.changes,
    runs.c.takes_slots,
).where(runs.c.run_id.in_(bindparam("the_runs", expanding=True)))
_LEASES_LOCKED = _LEASES.order_by(runs.c.run_id).with_for_update()
_APPEND = insert(run_events)
_ADVANCE = update(runs).where(runs.c.run_id == bindparam("the_run"))


class SqlQueueRepository:
    def __init__(self, connection: Connection, *, lock: bool) -> None:
        self._connection = connection
        self._lock = lock

    def claimable(self, limit: int, claimant: str) -> list[QueueEntry]:
        """Runs that wait for an executor, by rank.

        An executor id is `name/incarnation`: of two with one name the one whose incarnation is smaller is dead, so its
        leases are open to the other at once.
        """
        name, _, _ = claimant.rpartition("/")
        predecessor = and_(runs.c.lease_owner.startswith(f"{name}/", autoescape=True), runs.c.lease_owner < claimant)
        open_ = runs.c.lease_expires_at <= now_millis()
        statement = (
            select(runs.c.run_id, runs.c.fence, runs.c.lease_expires_at)
            .where(runs.c.claimable.is_(True), or_(open_, predecessor) if name else open_)
            .order_by(runs.c.queue_rank, runs.c.run_id)
            .limit(limit)
        )
        return [QueueEntry(row.run_id, row.fence, row.lease_expires_at) for row in self._connection.execute(statement)]

    def any_waits(self) -> bool:
        """Whether a run waits for an executor; by the index alone, because it is asked all the time."""
        statement = (
            select(runs.c.lease_expires_at)
            .where(runs.c.claimable.is_(True), runs.c.lease_expires_at <= now_millis())
            .limit(1)
        )
        return self._connection.execute(statement).first() is not None

    def depth(self) -> QueueDepth:
        held = (runs.c.lease_expires_at > now_millis()).label("held")
        looked = select(held).where(runs.c.claimable.is_(True)).subquery()
        statement = select(looked.c.held, func.count()).group_by(looked.c.held)
        counts = {bool(is_held): int(number) for is_held, number in self._connection.execute(statement)}
        return QueueDepth(waiting=counts.get(False, 0), held=counts.get(True, 0))

    def open_runs(self, namespace: str | None) -> OpenRuns:
        """Runs that have not ended, of one namespace or of all."""
        waits = (runs.c.lease_expires_at <= now_millis()).label("waits")
        looked = select(runs.c.state, waits, runs.c.created_at).where(runs.c.claimable.is_(True))
        if namespace is not None:
            looked = looked.where(runs.c.namespace == namespace)
        each = looked.subquery()
        statement = select(
            each.c.state, each.c.waits, func.count().label("number"), func.min(each.c.created_at).label("oldest")
        ).group_by(each.c.state, each.c.waits)
        by_state: Counter[str] = Counter()
        waiting, oldest = 0, []
        for row in self._connection.execute(statement):
            by_state[row.state] += row.number
            if row.waits:
                waiting += row.number
                oldest.append(row.oldest)
        at = self._connection.execute(select(now_millis())).scalar_one()
        return OpenRuns(by_state, waiting, min(oldest, default=0), at)

    def take(self, entry: QueueEntry, owner: str, lease_millis: int) -> bool:
        """Leases a run that is still as `claimable` saw it; its fence becomes `entry.fence + 1`."""
        statement = (
            update(runs)
            .where(
                runs.c.run_id == entry.run_id,
                runs.c.fence == entry.fence,
                runs.c.lease_expires_at == entry.lease_expires_at,
                runs.c.claimable.is_(True),
            )
            .values(fence=entry.fence + 1, lease_owner=owner, lease_expires_at=now_millis() + lease_millis)
        )
        return self._connection.execute(statement).rowcount == 1

    def holds(self, run_ids: Sequence[str]) -> dict[str, RunHold]:
        """Of the runs that exist."""
        holds: dict[str, RunHold] = {}
        for start in range(0, len(run_ids), _CHUNK):
            held = (runs.c.lease_expires_at > now_millis()).label("held")
            statement = select(runs.c.run_id, runs.c.claimable, runs.c.lease_owner, held).where(
                runs.c.run_id.in_(run_ids[start : start + _CHUNK])
            )
            for row in self._connection.execute(statement):
                holds[row.run_id] = _hold(row)
        return holds

    def events(self, run_id: str) -> list[bytes]:
        statement = select(run_events.c.event).where(run_events.c.run_id == run_id).order_by(run_events.c.sequence)
        return list(self._connection.execute(statement).scalars())

    def first_event(self, run_id: str) -> bytes | None:
        statement = select(run_events.c.event).where(run_events.c.run_id == run_id).order_by(run_events.c.sequence)
        event: bytes | None = self._connection.execute(statement.limit(1)).scalar()
        return event

    def events_of(self, run_ids: Sequence[str]) -> dict[str, list[bytes]]:
        """Of the runs that have some."""
        logs: dict[str, list[bytes]] = {}
        for start in range(0, len(run_ids), _CHUNK):
            statement = (
                select(run_events.c.run_id, run_events.c.event)
                .where(run_events.c.run_id.in_(run_ids[start : start + _CHUNK]))
                .order_by(run_events.c.run_id, run_events.c.sequence)
            )
            for row in self._connection.execute(statement):
                logs.setdefault(row.run_id, []).append(row.event)
        return logs

    def events_since(self, starts: Mapping[str, int]) -> dict[str, list[bytes]]:
        """From these sequence numbers on; of the runs that have some."""
        logs: dict[str, list[bytes]] = {}
        wanted = list(starts.items())
        for start in range(0, len(wanted), _LOGS_AT_ONCE):
            ends = (
                and_(run_events.c.run_id == run_id, run_events.c.sequence >= first)
                for run_id, first in wanted[start : start + _LOGS_AT_ONCE]
            )
            statement = select(run_events.c.run_id, run_events.c.event).where(or_(*ends))
            for row in self._connection.execute(statement.order_by(run_events.c.run_id, run_events.c.sequence)):
                logs.setdefault(row.run_id, []).append(row.event)
        return logs

    def append(self, entries: Sequence[LogEntry]) -> None:
        """To the logs of any runs."""
        if entries:
            rows = [{"run_id": entry.run_id, "sequence": entry.sequence, "event": entry.event} for entry in entries]
            self._connection.execute(_APPEND, rows)

    def append_next(self, run_id: str, event: bytes) -> int:
        """Appends one event at the end of the log; its sequence number."""
        statement = select(runs.c.next_sequence, runs.c.changes).where(runs.c.run_id == run_id)
        if self._lock:
            statement = statement.with_for_update()
        sequence, changes = self._connection.execute(statement).one()
        self.append([LogEntry(run_id, sequence, event)])
        self.advance({run_id: LogEnd(sequence + 1, changes + 1)})
        return int(sequence)

    def leases(self, run_ids: Sequence[str]) -> dict[str, LeaseRow]:
        """Of the runs that exist."""
        leases: dict[str, LeaseRow] = {}
        ordered = sorted(set(run_ids))
        for start in range(0, len(ordered), _CHUNK):
            wanted = {"the_runs": ordered[start : start + _CHUNK]}
            for row in self._connection.execute(_LEASES_LOCKED if self._lock else _LEASES, wanted):
                run_id, fence, owner, next_sequence, terminate, claimable, changes, takes_slots = row
                leases[run_id] = LeaseRow(
                    run_id, fence, owner, next_sequence, terminate, not claimable, changes, takes_slots
                )
        return leases

    def held_by(self, owner: str) -> list[str]:
        """Runs whose lease is the owner's, ended or not; held by the caller until the transaction ends."""
        statement = (
            select(runs.c.run_id).where(runs.c.claimable.is_(True), runs.c.lease_owner == owner).order_by(runs.c.run_id)
        )
        if self._lock:
            statement = statement.with_for_update()
        return list(self._connection.execute(statement).scalars())

    def renew(self, run_ids: Sequence[str], lease_millis: int) -> None:
        self._set_lease(run_ids, lease_expires_at=now_millis() + lease_millis)

    def release(self, run_ids: Sequence[str]) -> None:
        self._set_lease(run_ids, lease_expires_at=0, lease_owner="")

    def take_slots(self, run_ids: Sequence[str]) -> None:
        """Notes that attempts of them may hold slots."""
        for start in range(0, len(run_ids), _CHUNK):
            wanted = and_(runs.c.run_id.in_(run_ids[start : start + _CHUNK]), runs.c.takes_slots.is_(False))
            self._connection.execute(update(runs).where(wanted).values(takes_slots=True))

    def advance(self, ends: Mapping[str, LogEnd]) -> None:
        if ends:
            self._connection.execute(_ADVANCE, [{"the_run": run_id, **end._asdict()} for run_id, end in ends.items()])

    def finish(self, run_ids: Sequence[str]) -> None:
        """The runs leave the queue and their leases end."""
        self._set_lease(run_ids, claimable=False, lease_owner="", lease_expires_at=0)

    def reopen(self, run_id: str, queue_rank: int) -> None:
        self._set_lease([run_id], claimable=True, lease_owner="", lease_expires_at=0, queue_rank=queue_rank)

    def _set_lease(self, run_ids: Sequence[str], **values: object) -> None:
        for start in range(0, len(run_ids), _CHUNK):
            chunk = run_ids[start : start + _CHUNK]
            self._connection.execute(update(runs).where(runs.c.run_id.in_(chunk)).values(**values))


def _hold(row: Row[Any]) -> RunHold:
    if not row.claimable:
        return RunHold(row.run_id, HoldState.FINISHED)
    if row.held and row.lease_owner:
        return RunHold(row.run_id, HoldState.HELD, row.lease_owner)
    return RunHold(row.run_id, HoldState.WAITING)
