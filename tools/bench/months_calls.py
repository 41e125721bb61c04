"""What Penstock does with its runs, through its services, against a database of `months_filled`; and how long it takes.

Invariants: reads of the second pass ask for what those of the first asked for, in the same order; each write of both
passes is of something of its own. A pass ends after so many calls, or after so many seconds: counting ten million rows
takes its time.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import count
from random import Random
from statistics import median

from penstock_ir.event_log import RunStarted, encode
from penstock_server.domain.dispatch import Lease, RunTransitions
from penstock_server.domain.listing import Cursor, ListRequest, Scope, parse
from penstock_server.runtime import ConditionSignal, SystemClock
from penstock_server.services.dispatch import DispatchService
from penstock_server.services.documents import Documents
from penstock_server.services.runs import LISTING, NewRun, RunService
from penstock_server.services.tenancy import Tenancy
from penstock_server.storage import tables
from penstock_server.storage.database import Database
from sqlalchemy import Select, select

from tools.bench.months_filled import Filled, id_of
from tools.bench.months_rows import EXPERIMENTS, NAMESPACES, PIPELINES

CALLS = 200
_LEAST = 3
_OWNER = "bench/1"
_LEASE_MILLIS = 600_000
_HEARTBEAT = 20
_NEWEST = "created_at desc"
_NOT_ARCHIVED = '{"predicates":[{"operation":"NOT_EQUALS","key":"storage_state","string_value":"ARCHIVED"}]}'
_FAILED = '{"predicates":[{"operation":"EQUALS","key":"state","string_value":"FAILED"}]}'


@dataclass(frozen=True, slots=True)
class Pass:
    """Milliseconds of the calls, in order."""

    millis: Sequence[float]

    @property
    def median(self) -> float:
        return median(self.millis)

    @property
    def p99(self) -> float:
        ordered = sorted(self.millis)
        return ordered[math.ceil(0.99 * len(ordered)) - 1]


def timed(call: Callable[[int], object], seconds: float, calls: int = CALLS) -> Pass:
    millis: list[float] = []
    end = time.perf_counter() + seconds
    for number in range(calls):
        started = time.perf_counter()
        if started > end and number >= _LEAST:
            break
        call(number)
        millis.append((time.perf_counter() - started) * 1000)
    return Pass(millis)


def by_id(filled: Filled, number: int, *, month: bool) -> Select[tuple[object, ...]]:
    """The row of a run, looked for everywhere or in its month alone, as if the id told it."""
    found = select(tables.runs).where(tables.runs.c.run_id == id_of("run", number))
    if not month:
        return found
    begin, end = filled.month_of(filled.created_at(number))
    return found.where(tables.runs.c.created_at >= begin, tables.runs.c.created_at < end)


class Calls:
    """To be closed. `operations` are in the order in which they have to be timed: executors take what is created."""

    def __init__(self, filled: Filled) -> None:
        self._filled = filled
        self._database = Database(filled.url)
        clock, documents, signal = SystemClock(), Documents(), ConditionSignal()
        self._all = RunService(self._database, clock, documents, signal, "pipeline-runner")
        self._teams = RunService(
            self._database, clock, documents, signal, "pipeline-runner", tenancy=Tenancy(multi_user=True)
        )
        self._dispatch = DispatchService(self._database, signal, clock, lambda spec: "")
        self._numbers = Random(7).sample(range(filled.size - 2 * filled.queued), CALLS)  # noqa: S311 - a sample
        self._rows = {month: [by_id(filled, one, month=month) for one in self._numbers] for month in (False, True)}
        self._created = count()
        self._leases: list[Lease] = []
        self._unreported: deque[Lease] = deque()
        # Of what newest first begins with, and what it ends with: the 21st and the 200th last row.
        self._second = self._token(filled.size - 21, _NOT_ARCHIVED)
        self._last = self._token(199, "")
        self.operations: dict[str, Callable[[int], object]] = {
            "GetRun": lambda call: self._all.get(id_of("run", self._numbers[call])),
            "the row of an id": lambda call: self._row(call, month=False),
            "the row of an id, month known": lambda call: self._row(call, month=True),
            "CreateRun": self._create,
            "an executor claims a run": self._claim,
            f"heartbeat for {_HEARTBEAT} runs": self._heartbeat,
            "report of a run": self._report,
            "whether a run waits": self._any_waits,
            "ListRuns, newest, not archived": lambda call: self._list(
                ListRequest(sort_by=_NEWEST, filter=_NOT_ARCHIVED)
            ),
            "ListRuns, the page behind it": lambda call: self._list(ListRequest(page_token=self._second)),
            "ListRuns, last page of 200": lambda call: self._list(ListRequest(page_token=self._last, page_size=200)),
            "ListRuns, newest, failed": lambda call: self._list(ListRequest(sort_by=_NEWEST, filter=_FAILED)),
            "ListRuns, newest, of an experiment": lambda call: self._list(
                ListRequest(sort_by=_NEWEST), id_of("experiment", call % EXPERIMENTS)
            ),
            "ListRuns, newest, of a namespace": lambda call: self._teams.list(
                ListRequest(sort_by=_NEWEST), namespace=f"team-{call % NAMESPACES}"
            ),
        }

    def close(self) -> None:
        self._database.dispose()

    def _token(self, number: int, filter_text: str) -> str:
        query = parse(LISTING, ListRequest(sort_by=_NEWEST, filter=filter_text), Scope(None))
        cursor = Cursor(self._filled.created_at(number), id_of("run", number))
        return replace(query, filter_text=filter_text).token(cursor, self._filled.size)

    def _row(self, call: int, *, month: bool) -> None:
        # Committed: after a rollback the driver forgets what it has prepared.
        with self._database.engine.begin() as connection:
            assert connection.execute(self._rows[month][call]).one()

    def _list(self, request: ListRequest, experiment_id: str = "") -> None:
        assert self._all.list(request, experiment_id).items

    def _create(self, _: int) -> None:
        number = next(self._created)
        self._teams.create(
            NewRun(
                f"created {number}",
                experiment_id=id_of("experiment", number % EXPERIMENTS),
                pipeline_id=id_of("pipeline", number % PIPELINES),
                pipeline_version_id=id_of("version", number % PIPELINES),
            )
        )

    def _claim(self, _: int) -> None:
        (claimed,) = self._dispatch.claim(_OWNER, 1, 0, _LEASE_MILLIS).runs
        self._leases.append(Lease(claimed.run.run_id, claimed.fence))
        self._unreported.append(self._leases[-1])

    def _heartbeat(self, _: int) -> None:
        assert not self._dispatch.heartbeat(_OWNER, self._leases[:_HEARTBEAT], _LEASE_MILLIS).lost

    def _report(self, _: int) -> None:
        if not self._unreported:
            # Only where the time was too short for as many claims as reports.
            self._claim(0)
        lease, now = self._unreported.popleft(), int(time.time() * 1000)
        began = RunTransitions(lease.run_id, lease.fence, 0, [encode(RunStarted(now))], state="RUNNING", at=now)
        (answer,) = self._dispatch.report(_OWNER, [began])
        assert answer.outcome.name == "COMMITTED", answer

    def _any_waits(self, _: int) -> None:
        with self._database.reading() as uow:
            assert uow.queue.any_waits()
