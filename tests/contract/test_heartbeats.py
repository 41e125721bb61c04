"""What heartbeats write, and what they say of runs without writing, on every database."""

from __future__ import annotations

from dataclasses import replace

from penstock_ir.event_log import RunStarted, encode
from penstock_server.domain.dispatch import Lease, Outcome, RunTransitions
from penstock_server.runtime import ConditionSignal, SystemClock
from penstock_server.services.dispatch import DispatchService
from penstock_server.storage.database import Database

from tests.support.rows import prepared
from tests.support.statements import statements

LEASE = 60_000
ENDED = -1_000


def claimed(database: Database, *run_ids: str) -> tuple[DispatchService, dict[str, Lease]]:
    """What e/1 holds, as its heartbeats name it that renew nothing."""
    prepared(database, *run_ids)
    service = DispatchService(database, ConditionSignal(), SystemClock(), lambda spec: "pipeline")
    runs = service.claim("e/1", 100, 0, LEASE).runs
    return service, {one.run.run_id: Lease(one.run.run_id, one.fence, unrenewed=True) for one in runs}


def ends(database: Database) -> dict[str, int]:
    """When leases end, of all runs, in milliseconds since 1970."""
    with database.engine.connect() as connection:
        return dict(map(tuple, connection.exec_driver_sql("SELECT run_id, lease_expires_at FROM runs")))


def end_now(database: Database, *run_ids: str) -> None:
    with database.writing() as uow:
        uow.queue.renew(run_ids, ENDED)


def test_only_what_is_to_be_renewed_is_written(database: Database) -> None:
    service, leases = claimed(database, "asked", "renewed", "of the release before")
    before = ends(database)
    renewed = replace(leases["renewed"], unrenewed=False)
    # An executor of the release before knows no such field, and counts on every heartbeat.
    older = Lease("of the release before", leases["of the release before"].fence)
    answer = service.heartbeat("e/1", [leases["asked"], renewed, older], 2 * LEASE)
    assert (answer.lost, answer.deleted, answer.terminate) == ([], [], [])
    after = ends(database)
    assert after["asked"] == before["asked"]
    assert all(after[one.run_id] >= before[one.run_id] + LEASE for one in (renewed, older))


def test_asking_writes_nothing_and_locks_nothing(database: Database) -> None:
    service, leases = claimed(database, *(f"r{number}" for number in range(20)))
    with statements(database) as seen:
        assert not service.heartbeat("e/1", list(leases.values()), LEASE).lost
    (asked,) = [text for text, _ in seen if "FROM runs" in text]
    assert "FOR UPDATE" not in asked
    assert not [text for text, _ in seen if not text.startswith("SELECT")]
    # Whoever reports runs holds their rows until the commit.
    with database.writing() as uow:
        assert len(uow.queue.leases(list(leases))) == 20
        assert not service.heartbeat("e/1", list(leases.values()), LEASE).lost


def test_asking_tells_what_became_of_runs(database: Database) -> None:
    service, leases = claimed(database, "mine", "deleted", "terminated", "handed over")
    service.heartbeat("e/1", [leases["handed over"]], LEASE, release=True)
    with database.writing() as uow:
        uow.runs.delete("deleted")
        (run,) = uow.runs.get_many(["terminated"]).values()
        uow.runs.set_states([replace(run, terminate_requested=True)])
    answer = service.heartbeat("e/1", list(leases.values()), LEASE)
    assert (answer.lost, answer.deleted, answer.terminate) == (["handed over"], ["deleted"], ["terminated"])
    # Under an older fence, or of somebody else, it is not held.
    old = replace(leases["mine"], fence=leases["mine"].fence - 1)
    assert service.heartbeat("e/1", [old], LEASE).lost == ["mine"]
    assert service.heartbeat("f/1", [leases["mine"]], LEASE).lost == ["mine"]


def test_a_lease_that_was_only_asked_for_is_taken_over_at_its_end(database: Database) -> None:
    service, leases = claimed(database, "asked", "renewed")
    end_now(database, "asked", "renewed")
    # Its end has come and nobody has taken it yet, so it is still ours; but it ends no later for that.
    answer = service.heartbeat("e/1", [leases["asked"], replace(leases["renewed"], unrenewed=False)], LEASE)
    assert answer.lost == []
    (taken,) = service.claim("f/1", 100, 0, LEASE).runs
    assert taken.run.run_id == "asked"
    # From here on the first holder is told so, whatever it asks, and nothing of it is taken.
    for unrenewed in (True, False):
        assert service.heartbeat("e/1", [replace(leases["asked"], unrenewed=unrenewed)], LEASE).lost == ["asked"]
    assert not service.heartbeat("f/1", [Lease("asked", taken.fence, unrenewed=True)], LEASE).lost
    assert [one.outcome for one in service.report("e/1", [_report(leases[one]) for one in ("asked", "renewed")])] == [
        Outcome.FENCED,
        Outcome.COMMITTED,
    ]


def test_handing_back_takes_no_notice_of_it(database: Database) -> None:
    service, leases = claimed(database, "r1", "r2")
    service.heartbeat("e/1", [leases["r1"]], LEASE, release=True, release_all=True)
    assert len(service.claim("f/1", 100, 0, LEASE).runs) == 2


def _report(lease: Lease) -> RunTransitions:
    return RunTransitions(lease.run_id, lease.fence, 0, [encode(RunStarted(5, "file:///root"))])
