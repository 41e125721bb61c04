"""Which executors are connected and what waits, on every database."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import pytest
from penstock_server.domain.dispatch import owner_of
from penstock_server.domain.executors import ConnectedExecutor, ExecutorStatus, told
from penstock_server.domain.options import NO_SETTINGS
from penstock_server.errors import InvalidArgumentError
from penstock_server.runtime import ConditionSignal, SystemClock
from penstock_server.services.dispatch import DispatchService
from penstock_server.services.documents import Documents
from penstock_server.services.executors import CONNECTED_MILLIS, Executors
from penstock_server.services.experiments import ExperimentService
from penstock_server.services.overview import OverviewService
from penstock_server.services.runs import NewRun, RunService
from penstock_server.services.tenancy import SINGLE_USER, Tenancy
from penstock_server.storage.database import Database
from penstock_server.storage.tables import executors as table
from sqlalchemy import update

from tools.testing import specs

STATUS = ExecutorStatus("local", "0.1.0", 4, 0)


def overviews(database: Database, tenancy: Tenancy = SINGLE_USER) -> OverviewService:
    return OverviewService(database, Executors(database), list, database.kind, database.revision(), tenancy)


def start(database: Database, namespace: str = "", tenancy: Tenancy = SINGLE_USER) -> str:
    clock, documents = SystemClock(), Documents()
    experiment = ExperimentService(database, clock, tenancy).create(f"e{uuid4()}", "", namespace)
    runs = RunService(database, clock, documents, ConditionSignal(), "account", NO_SETTINGS, tenancy)
    new = NewRun("a run", experiment_id=experiment.experiment_id, pipeline_spec=specs.container(["true"]))
    return runs.create(new).run_id


def unseen_for(database: Database, owner: str, millis: int) -> None:
    with database.engine.execution_options(penstock_writing=True).begin() as connection:
        connection.execute(update(table).where(table.c.owner == owner).values(seen_at=table.c.seen_at - millis))


def test_executors_come_change_and_go(database: Database) -> None:
    database.migrate()
    executors = Executors(database)
    assert executors.connected() == []
    for owner in ("b/1", "a/1"):
        executors.saw(owner, STATUS)
    first, second = executors.connected()
    assert (first.owner, first.status, first.held_runs) == ("a/1", STATUS, 0)
    assert second.owner == "b/1"
    # A server that has just written of it leaves it at that; another one writes anew.
    executors.saw("a/1", replace(STATUS, open_attempts=3))
    assert executors.connected()[0].status.open_attempts == 0
    Executors(database).saw("a/1", replace(STATUS, open_attempts=3))
    assert executors.connected()[0].status.open_attempts == 3
    executors.left("a/1")
    executors.left("a/1")
    assert [one.owner for one in executors.connected()] == ["b/1"]
    executors.saw("a/1", STATUS)
    assert [one.owner for one in executors.connected()] == ["a/1", "b/1"]


def test_who_is_not_heard_of_is_not_connected_and_forgotten_after_a_day(database: Database) -> None:
    database.migrate()
    Executors(database).saw("a/1", STATUS)
    unseen_for(database, "a/1", CONNECTED_MILLIS - 5_000)
    assert len(Executors(database).connected()) == 1
    unseen_for(database, "a/1", 10_000)
    assert Executors(database).connected() == []
    unseen_for(database, "a/1", 24 * 3600 * 1000)
    Executors(database).saw("b/1", STATUS)
    with database.engine.connect() as connection:
        assert [row.owner for row in connection.execute(table.select())] == ["b/1"]


def test_where_tasks_run_is_known_when_all_say_so(database: Database) -> None:
    database.migrate()
    executors = Executors(database)
    assert executors.backends() == set()
    executors.saw("a/1", STATUS)
    executors.saw("b/1", replace(STATUS, backend="kubernetes"))
    assert executors.backends() == {"local", "kubernetes"}
    executors.saw("of-the-release-before/1", ExecutorStatus())
    assert executors.backends() == set()


def test_what_waits_and_what_is_held(database: Database) -> None:
    database.migrate()
    service = overviews(database)
    empty = service.overview("")
    assert (empty.runs.by_state, empty.runs.waiting, empty.runs.waiting_since) == ({}, 0, 0)
    assert "penstock-executor" in empty.problems[0]
    assert (empty.database, empty.schema) == (database.kind, database.revision())
    ids = [start(database) for _ in range(3)]
    dispatch = DispatchService(database, ConditionSignal(), SystemClock(), lambda spec: "pipeline")
    Executors(database).saw("a/1", STATUS)
    claimed = dispatch.claim("a/1", 1, 0, 60_000)
    assert [one.run.run_id for one in claimed.runs] == ids[:1]
    found = service.overview("")
    assert sum(found.runs.by_state.values()) == 3
    assert found.runs.waiting == 2
    assert 0 < found.runs.waiting_since <= found.runs.at + 60_000
    assert [one.held_runs for one in found.executors] == [1]
    assert found.problems == []
    executors = Executors(database)
    holder = executors.of(ids[0])
    assert holder is not None and (holder.owner, holder.status) == ("a/1", STATUS)
    assert [executors.of(run_id) for run_id in (ids[1], "nobody's")] == [None, None]
    executors.left("a/1")
    assert executors.of(ids[0]) is None


def test_runs_of_other_namespaces_are_not_counted(database: Database) -> None:
    database.migrate()
    teams = Tenancy(multi_user=True)
    start(database, "team-a", teams)
    service = overviews(database, teams)
    assert service.overview("team-a").runs.waiting == 1
    assert service.overview("team-b").runs.waiting == 0
    with pytest.raises(InvalidArgumentError, match="namespace"):
        service.overview("")


@pytest.mark.parametrize("identity", ["", "system:serviceaccount:penstock:executor"])
@pytest.mark.parametrize("executor_id", ["a/1", "a:b/c/1", "nameless"])
def test_an_executor_has_the_name_that_it_was_given(identity: str, executor_id: str) -> None:
    found = ConnectedExecutor(owner_of(executor_id, identity), STATUS, 0, 0)
    assert found.name == executor_id.removesuffix("/1")


def test_what_an_executor_says_of_itself_is_cut_to_what_can_be_stored() -> None:
    found = told("b" * 99, "1.0\x1b[31m\n", 2**31 - 1, -5)
    assert found == ExecutorStatus("b" * 32, "1.0[31m", 2**31 - 1, 0)
