"""What it costs PostgreSQL that executors hold runs: a minute of the heartbeats of two executors with 500 runs each.

Three ways by turns, over 11,000 runs: every heartbeat renews every lease, as executors of the release before ask for
it; each lease is renewed when a third of it has gone, as executors do today; and the same without the index that has
the ends of leases, which no installation is without: what would be left to gain.

Invariants: the minute is one of the executors' clock alone: heartbeats follow each other without a pause, so figures
of "a second" are of that minute. Runs were claimed one batch of 50 after the other, half a second apart.

Example: python -m tools.bench --only leases
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

import psycopg
from penstock_executor.dispatch.leases import Leases
from penstock_server.domain.dispatch import Lease
from penstock_server.runtime import ConditionSignal, SystemClock
from penstock_server.services.dispatch import DispatchService
from penstock_server.storage import tables
from penstock_server.storage.database import Database
from sqlalchemy import insert, select

from tools.bench.database_load import DatabaseLoad, counted
from tools.bench.many_runs import filled
from tools.bench.result import Row, at_most
from tools.databases import postgresql

_OVER, _HELD, _EXECUTORS, _BATCH = 10_000, 1_000, 2, 50
_SECONDS, _HEARTBEAT, _LEASE = 60.0, 0.5, 15.0
_ROUNDS = 3
# The database's clock goes on as ever: no lease may end while a round takes its time.
_STORED_MILLIS = 600_000
_BEFORE, _NOW, _BARE = "every heartbeat renews", "renewed after a third", "the same, ends of leases in no index"
_INDEX = "ix_runs_claimable_lease_expires_at"


@dataclass(slots=True)
class _Executor:
    """Its runs with their fences; `clock` in seconds."""

    owner: str
    fences: dict[str, int] = field(default_factory=dict)
    clock: float = 1000.0

    def minute(self, service: DispatchService, *, always: bool) -> None:
        leases = Leases(lambda: self.clock)
        for number, run_id in enumerate(self.fences):
            leases.granted([run_id], self.clock - number // _BATCH * _HEARTBEAT, _LEASE)
        for _ in range(int(_SECONDS / _HEARTBEAT)):
            self.clock += _HEARTBEAT
            renewal = leases.renewal()
            sent = [
                Lease(run_id, fence, unrenewed=not always and run_id not in renewal.run_ids)
                for run_id, fence in self.fences.items()
            ]
            assert not service.heartbeat(self.owner, sent, _STORED_MILLIS).lost
            leases.renewed(renewal, self.fences, _LEASE)


@dataclass(frozen=True, slots=True)
class _Minute:
    """Of a second of it: rows written, how many of a hundred of them left the indexes alone, transactions that wrote,
    milliseconds of CPU of PostgreSQL and of the service, bytes of the log.
    """

    rows: float
    hot: float
    transactions: float
    database: float
    service: float
    wal: float


def measure() -> list[Row]:
    """Medians of the rounds."""
    with postgresql(durable=True) as server:
        counted(server, 20)
        url = server.database("penstock")
        filled(url, _OVER, 10)
        executors = _holding(url)
        found: dict[str, list[_Minute]] = {name: [] for name in (_BEFORE, _NOW, _BARE)}
        with DatabaseLoad(server, {"Penstock": "penstock"}) as load:
            for _ in range(_ROUNDS):
                for name, minutes in found.items():
                    _prepare(url, indexed=name != _BARE)
                    minutes.append(_minute(url, load, executors, always=name == _BEFORE))
    return _rows(found)


def _holding(url: str) -> list[_Executor]:
    database = Database(url)
    rows = [
        {
            "run_id": f"held-{number}", "experiment_id": None, "display_name": f"run {number}",
            "storage_state": "AVAILABLE", "state": "RUNNING", "created_at": number, "scheduled_at": number,
            "spec_hash": "bench", "claimable": True,
        }
        for number in range(_HELD)
    ]  # fmt: skip
    with database.engine.begin() as connection:
        experiment = connection.execute(select(tables.experiments.c.experiment_id).limit(1)).scalar_one()
        connection.execute(insert(tables.runs), [{**row, "experiment_id": experiment} for row in rows])
    service = _service(database)
    executors = [_Executor(f"bench-{number}/1") for number in range(_EXECUTORS)]
    for executor in executors:
        claim = service.claim(executor.owner, _HELD // _EXECUTORS, 0, _STORED_MILLIS)
        executor.fences = {one.run.run_id: one.fence for one in claim.runs}
    database.dispose()
    assert sum(len(one.fences) for one in executors) == _HELD
    return executors


def _service(database: Database) -> DispatchService:
    return DispatchService(database, ConditionSignal(), SystemClock(), lambda spec: "")


def _prepare(url: str, *, indexed: bool) -> None:
    """What rounds before have left is gone, and the index is there or not."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            f"CREATE INDEX IF NOT EXISTS {_INDEX} ON runs (claimable, lease_expires_at)"
            if indexed
            else f"DROP INDEX IF EXISTS {_INDEX}"
        )
        connection.execute("VACUUM ANALYZE runs")
        connection.execute("CHECKPOINT")


def _minute(url: str, load: DatabaseLoad, executors: Sequence[_Executor], *, always: bool) -> _Minute:
    database = Database(url)
    service = _service(database)
    grown, spent, began = load.growth(), load.cpu(), time.process_time()
    with load.observed() as seen:
        for executor in executors:
            executor.minute(service, always=always)
    service_cpu = time.process_time() - began
    # Connections tell what they have written when they end, at the latest.
    database.dispose()
    database_cpu, since = load.cpu() - spent, load.growth().since(grown)
    told = seen.statements["Penstock"]
    return _Minute(
        since.updated / _SECONDS,
        100 * since.hot / max(1, since.updated),
        told.renewals / _SECONDS,
        1000 * database_cpu / _SECONDS,
        1000 * service_cpu / _SECONDS,
        since.wal / _SECONDS,
    )


def _rows(found: Mapping[str, Sequence[_Minute]]) -> list[Row]:
    rows = []
    for name, minutes in found.items():
        label = f"1,000 held runs, {name}"
        rows += [
            Row(f"{label}: rows written", median(one.rows for one in minutes), "1/s"),
            Row(f"{label}: of them without a change of an index", median(one.hot for one in minutes), "%"),
            Row(f"{label}: transactions that write", median(one.transactions for one in minutes), "1/s"),
            Row(f"{label}: CPU of PostgreSQL", median(one.database for one in minutes), "ms/s"),
            Row(f"{label}: CPU of the service, beside what watches", median(one.service for one in minutes), "ms/s"),
            Row(f"{label}: write-ahead log", median(one.wal for one in minutes), "bytes/s"),
        ]
    shares = [now.rows / before.rows for before, now in zip(found[_BEFORE], found[_NOW], strict=True)]
    return [*rows, at_most("rows written, after a third / always", median(shares), "×", 0.15)]
