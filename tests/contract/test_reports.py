"""Claims and reports of many runs at once, on every database."""

from __future__ import annotations

from typing import Any

import pytest
from penstock_ir.event_log import AttemptStarted, RunStarted, encode
from penstock_ir.task_rows import TaskKind, TaskState
from penstock_server.domain.dispatch import Lease, Outcome, RunReport, RunTransitions
from penstock_server.domain.run import RunState
from penstock_server.domain.task import Artifact, CacheEntry, CacheKey, Task
from penstock_server.errors import InvalidArgumentError
from penstock_server.runtime import ConditionSignal, SystemClock
from penstock_server.services.dispatch import DispatchService
from penstock_server.storage.database import Database

from tests.support.rows import prepared
from tests.support.statements import statements

LEASE = 60_000


def claimed(database: Database, *run_ids: str) -> tuple[DispatchService, dict[str, int]]:
    """Fences by run."""
    prepared(database, *run_ids)
    service = DispatchService(database, ConditionSignal(), SystemClock(), lambda spec: "pipeline")
    runs = service.claim("e/1", 100, 0, LEASE).runs
    assert sorted(one.run.run_id for one in runs) == sorted(run_ids)
    return service, {one.run.run_id: one.fence for one in runs}


def event(run_id: str, number: int) -> bytes:
    """The one at this place of the run's log."""
    return encode(AttemptStarted(f"{run_id} {number}", 1, 5) if number else RunStarted(5, "file:///root"))


def transitions(run_id: str, fence: int, first: int = 0, **parts: Any) -> RunTransitions:
    """Two events, two tasks, an artifact and a cache entry; `parts` replace what they name."""
    filled: dict[str, Any] = {
        "events": [event(run_id, first), event(run_id, first + 1)],
        "tasks": [
            Task(run_id, path, path, TaskKind.CONTAINER, TaskState.RUNNING, fingerprint=f"print of {run_id}")
            for path in (f"t{first}", f"t{first + 1}")
        ],
        "artifacts": [Artifact(f"{run_id}-a{first}", run_id, f"t{first}", "out", "system.Model", "file:///a")],
        "cache_entries": [CacheEntry(f"print of {run_id}", "", "pipeline", run_id, f"t{first}", "{}", 1)],
        "state": "RUNNING",
        "at": 5,
    }
    return RunTransitions(run_id, fence, first, **{**filled, **parts})


def test_runs_of_one_report_do_not_mix(database: Database) -> None:
    service, fences = claimed(database, "r1", "r2", "r3")
    service.report("e/1", [transitions("r2", fences["r2"])])
    with database.writing() as uow:
        uow.runs.delete("r3")
    reports = service.report(
        "e/1",
        [
            transitions("r1", fences["r1"] - 1),
            transitions("r2", fences["r2"], 2, execution_ids={"t0": 20, "t1": 21}, artifact_ids={"r2-a0": 7}),
            transitions("r3", fences["r3"]),
            transitions("r1", fences["r1"], execution_ids={"t1": 11}),
            transitions("r1", fences["r1"], 5),
            # Once more, as after a lost answer, with one event that is new.
            transitions(
                "r1", fences["r1"], 1, events=[event("r1", 1), event("r1", 2)], state="SUCCEEDED", finished=True
            ),
        ],
    )
    assert [one.outcome for one in reports] == [
        Outcome.FENCED,
        Outcome.COMMITTED,
        Outcome.DELETED,
        Outcome.COMMITTED,
        Outcome.FENCED,
        Outcome.COMMITTED,
    ]
    with database.reading() as uow:
        assert uow.queue.events_of(["r1", "r2", "r3"]) == {
            "r1": [event("r1", number) for number in range(3)],
            "r2": [event("r2", number) for number in range(4)],
        }
        assert [(one.path, one.execution_id) for one in uow.tasks.list_for_run("r1")] == [
            ("t0", 0),
            ("t1", 11),
            ("t2", 0),
        ]
        assert [(one.path, one.execution_id) for one in uow.tasks.list_for_run("r2")] == [
            ("t0", 20),
            ("t1", 21),
            ("t2", 0),
            ("t3", 0),
        ]
        assert uow.artifacts.ids_for_run("r2") == {"r2-a0": 7}
        states = {run_id: run.state for run_id, run in uow.runs.get_many(["r1", "r2", "r3"]).items()}
        assert states == {"r1": RunState.SUCCEEDED, "r2": RunState.RUNNING}
        assert uow.queue.depth() == (0, 1)
    hits = service.look_up([CacheKey(f"print of {run_id}", "pipeline", "") for run_id in ("r1", "r2", "r3")])
    assert [hit.entry.run_id if hit else None for hit in hits] == ["r1", "r2", None]


def test_a_report_is_one_transaction(database: Database) -> None:
    service, fences = claimed(database, "r1", "r2")
    with pytest.raises(InvalidArgumentError, match="no state of a run"):
        service.report("e/1", [transitions("r1", fences["r1"]), transitions("r2", fences["r2"], state="NONSENSE")])
    with database.reading() as uow:
        assert uow.queue.events_of(["r1", "r2"]) == {}
        assert uow.tasks.list_for_run("r1") == []


def test_claims_bring_each_run_its_own_log(database: Database) -> None:
    service, fences = claimed(database, "r1", "r2")
    service.report("e/1", [transitions("r2", fences["r2"])])
    service.heartbeat("e/1", [Lease(run_id, fence) for run_id, fence in fences.items()], LEASE, release=True)
    again = {one.run.run_id: one for one in service.claim("f/1", 100, 0, LEASE).runs}
    assert {run_id: list(one.events) for run_id, one in again.items()} == {
        "r1": [],
        "r2": [event("r2", 0), event("r2", 1)],
    }
    assert {run_id: one.fence for run_id, one in again.items()} == {
        run_id: fence + 1 for run_id, fence in fences.items()
    }
    assert service.report("e/1", [transitions("r2", fences["r2"], 2)]) == [RunReport("r2", Outcome.FENCED)]


def test_statements_do_not_grow_with_the_runs_of_a_report(database: Database) -> None:
    service, fences = claimed(database, *(f"r{number}" for number in range(40)))
    every = list(fences)

    def told(run_ids: list[str], first: int) -> int:
        with statements(database) as seen:
            service.report(
                "e/1", [transitions(run_id, fences[run_id], first, execution_ids={"t0": 1}) for run_id in run_ids]
            )
        return len(seen)

    assert told(every[:1], 0) == told(every[1:], 0) <= 12
