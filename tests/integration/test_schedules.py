"""Schedules and what may go wrong when they fire."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from penstock_server.domain.listing import ListRequest
from penstock_server.domain.schedule import Trigger
from penstock_server.errors import UnavailableError
from penstock_server.runtime import ConditionSignal, SystemClock
from penstock_server.services import recurring_runs
from penstock_server.services.documents import Documents
from penstock_server.services.experiments import ExperimentService
from penstock_server.services.recurring_runs import NewSchedule, RecurringRunService
from penstock_server.services.runs import RunService
from penstock_server.storage.database import Database

from tools.testing import specs


class World:
    def __init__(self, database: Database) -> None:
        clock, signal, documents = SystemClock(), ConditionSignal(), Documents()
        ExperimentService(database, clock).ensure_default()
        self.runs = RunService(database, clock, documents, signal, "account")
        self.schedules = RecurringRunService(
            database, clock, documents, self.runs, signal, zone="", namespace="", service_account="account"
        )

    def add(self, name: str, trigger: Trigger | None = None, **more: Any) -> str:
        spec = specs.container(["true"])
        new = NewSchedule(
            name, pipeline_spec=spec, max_concurrency=1, enabled=True, trigger=trigger or Trigger(), **more
        )
        return self.schedules.create(new).recurring_run_id

    def made(self) -> set[str]:
        return {run.recurring_run_id for run in self.runs.list(ListRequest(page_size=200)).items}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    database = Database(f"sqlite:///{tmp_path / 'penstock.db'}")
    database.migrate()
    yield World(database)
    database.dispose()


@pytest.mark.parametrize("no_catchup", [True, False])
def test_a_start_before_1970_fires(world: World, no_catchup: bool) -> None:
    trigger = Trigger(interval_seconds=86_400, start_at=-86_400_000 * 365)
    ids = {world.add(f"old {number}", trigger, no_catchup=no_catchup) for number in range(3)}
    world.schedules.tick()
    assert world.made() == ids


def test_an_expression_that_an_earlier_release_took_fires_no_more(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as earlier:
        earlier.setattr(recurring_runs, "validated", lambda trigger, zone: trigger)
        earlier.setattr(recurring_runs, "next_fire", lambda schedule, zone: 1)
        old = world.add("old", Trigger(cron="0 0 0 * * 7"))
    other = world.add("other")
    world.schedules.tick()
    assert world.made() == {other}
    kept = world.schedules.get(old)
    assert "not within 0 to 6" in kept.error
    assert kept.next_fire_at == 0


def failing_for(world: World, poison: str, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    create = world.runs.create_in

    def broken(uow: Any, new: Any, inline: Any = None) -> Any:
        if new.recurring_run_id == poison:
            raise error
        return create(uow, new, inline)

    monkeypatch.setattr(world.runs, "create_in", broken)


def test_a_database_that_is_away_loses_no_fire(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    one = world.add("one")
    with monkeypatch.context() as patch:
        failing_for(world, one, UnavailableError("the database does not answer"), patch)
        assert world.schedules.tick() == 0
    assert world.schedules.get(one).error == ""
    assert world.schedules.tick() == 1
    assert world.made() == {one}


def test_a_schedule_that_cannot_fire_keeps_no_other_waiting(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    poison, healthy = world.add("poison"), world.add("healthy")
    failing_for(world, poison, KeyError("a defect"), monkeypatch)
    assert world.schedules.tick() == 1
    assert world.made() == {healthy}


def test_schedules_that_are_held_back_keep_no_other_waiting(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recurring_runs, "_PAGE_SIZE", 2)
    missed = Trigger(interval_seconds=60, start_at=SystemClock().now_millis() - 3_600_000)
    held = {world.add(f"schedule {number}", missed) for number in range(5)}
    assert world.schedules.tick() == 5
    assert world.made() == held
    late = world.add("late")
    assert world.schedules.tick() == 1, "the others are due again, and their runs have not ended"
    assert world.made() == {*held, late}
