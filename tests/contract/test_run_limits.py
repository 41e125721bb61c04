"""How many runs of a namespace may be unfinished, on every database: made, retried, and made by schedules."""

from __future__ import annotations

from dataclasses import replace

import pytest
from penstock_server.domain.listing import ListRequest
from penstock_server.domain.options import NO_SETTINGS
from penstock_server.domain.run import RunState
from penstock_server.domain.schedule import Trigger
from penstock_server.errors import ResourceExhaustedError
from penstock_server.runtime import ConditionSignal, SystemClock
from penstock_server.services.documents import Documents
from penstock_server.services.experiments import ExperimentService
from penstock_server.services.recurring_runs import NewSchedule, RecurringRunService
from penstock_server.services.runs import NewRun, RunService
from penstock_server.services.tenancy import SINGLE_USER, Tenancy
from penstock_server.storage.database import Database

from tools.testing import specs

LIMIT = 2
SPEC = specs.container(["true"])


class World:
    def __init__(self, database: Database, tenancy: Tenancy, limit: int = LIMIT) -> None:
        clock, signal, documents = SystemClock(), ConditionSignal(), Documents()
        self.database = database
        self.tenancy = tenancy
        self.experiments = ExperimentService(database, clock, tenancy)
        self.runs = RunService(database, clock, documents, signal, "account", NO_SETTINGS, tenancy, limit)
        self.schedules = RecurringRunService(
            database, clock, documents, self.runs, signal,
            zone="", namespace="kubeflow", service_account="account", tenancy=tenancy,
        )  # fmt: skip

    def experiment(self, namespace: str) -> str:
        return self.experiments.create("one", "", namespace).experiment_id

    def run(self, experiment: str) -> str:
        return self.runs.create(NewRun("a run", experiment_id=experiment, pipeline_spec=SPEC)).run_id

    def schedule(self, experiment: str) -> str:
        new = NewSchedule(
            "due", experiment_id=experiment, pipeline_spec=SPEC, max_concurrency=1, enabled=True, trigger=Trigger()
        )
        return self.schedules.create(new).recurring_run_id

    def ends(self, run_id: str, state: RunState = RunState.FAILED) -> None:
        with self.database.writing() as uow:
            found = uow.runs.get(run_id)
            assert found is not None
            uow.runs.set_states([replace(found, state=state)])

    def made_by(self, schedule: str, namespace: str) -> int:
        runs = self.runs.list(ListRequest(page_size=100), namespace=namespace).items
        return sum(run.recurring_run_id == schedule for run in runs)


@pytest.fixture
def world(database: Database) -> World:
    return World(database, Tenancy(multi_user=True))


def test_one_more_is_refused_with_the_number_until_one_has_ended(world: World) -> None:
    ours = world.experiment("ours")
    first, second = world.run(ours), world.run(ours)
    with pytest.raises(ResourceExhaustedError, match="'ours' has 2 runs that have not ended"):
        world.run(ours)
    world.runs.terminate(second)
    with pytest.raises(ResourceExhaustedError):
        # One that is being ended has not ended.
        world.run(ours)
    world.ends(first)
    world.run(ours)


def test_another_namespace_has_its_own(world: World) -> None:
    ours, theirs = world.experiment("ours"), world.experiment("theirs")
    for _ in range(LIMIT):
        world.run(ours)
    for _ in range(LIMIT):
        world.run(theirs)
    with pytest.raises(ResourceExhaustedError, match="theirs"):
        world.run(theirs)


def test_a_run_is_not_retried_beyond_it(world: World) -> None:
    ours = world.experiment("ours")
    failed = world.run(ours)
    world.ends(failed)
    others = [world.run(ours) for _ in range(LIMIT)]
    with pytest.raises(ResourceExhaustedError):
        world.runs.retry(failed)
    world.ends(others[0], RunState.SUCCEEDED)
    world.runs.retry(failed)
    assert world.runs.get(failed).run.state is not RunState.FAILED


def test_a_schedule_waits_for_a_place_and_does_not_fail(world: World) -> None:
    ours, theirs = world.experiment("ours"), world.experiment("theirs")
    runs = [world.run(ours) for _ in range(LIMIT)]
    waiting, other = world.schedule(ours), world.schedule(theirs)
    due = world.schedules.get(waiting).next_fire_at
    assert world.schedules.tick() == 1
    assert (world.made_by(waiting, "ours"), world.made_by(other, "theirs")) == (0, 1)
    schedule = world.schedules.get(waiting)
    assert (schedule.error, schedule.next_fire_at, schedule.fires) == ("", due, 0)
    world.ends(runs[0])
    assert world.schedules.tick() == 1
    assert world.made_by(waiting, "ours") == 1


def test_a_schedule_whose_place_is_taken_after_it_looked_waits_too(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = world.experiment("ours")
    schedule = world.schedule(ours)
    for _ in range(LIMIT):
        world.run(ours)
    looked = []

    def has_place(uow: object, namespace: str) -> bool:
        looked.append(namespace)
        return len(looked) == 1

    monkeypatch.setattr(world.runs, "has_place", has_place)
    assert world.schedules.tick() == 0
    assert looked == ["ours", "ours"]
    found = world.schedules.get(schedule)
    assert (found.error, found.fires) == ("", 0)


def test_without_namespaces_all_runs_count(database: Database) -> None:
    world = World(database, SINGLE_USER)
    world.experiments.ensure_default()
    for _ in range(LIMIT):
        world.run("")
    with pytest.raises(ResourceExhaustedError, match="the server has 2 runs"):
        world.run("")
    world.schedule("")
    assert world.schedules.tick() == 0


def test_0_is_no_limit(database: Database) -> None:
    world = World(database, Tenancy(multi_user=True), limit=0)
    ours = world.experiment("ours")
    assert len({world.run(ours) for _ in range(LIMIT + 3)}) == LIMIT + 3
