"""One suite for every database: SQLite, a real PostgreSQL, a real MariaDB."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from penstock_server.domain import listing
from penstock_server.domain.dispatch import HoldState, LogEntry, QueueDepth, RunHold
from penstock_server.domain.experiment import Experiment
from penstock_server.domain.listing import ListRequest
from penstock_server.domain.options import RunOptions
from penstock_server.errors import AlreadyExistsError
from penstock_server.services.experiments import LISTING as EXPERIMENTS
from penstock_server.storage import tables
from penstock_server.storage.database import Database

from tests.support.rows import experiment, prepared, run


def test_what_was_written_is_read(database: Database) -> None:
    with database.writing() as uow:
        uow.experiments.add(experiment(1, "ünïcode '; DROP TABLE experiments; --"))
    with database.reading() as uow:
        assert uow.experiments.get("e1") == experiment(1, "ünïcode '; DROP TABLE experiments; --")
        assert uow.experiments.get("nobody") is None


def test_a_block_that_raises_writes_nothing(database: Database) -> None:
    with pytest.raises(RuntimeError), database.writing() as uow:
        uow.experiments.add(experiment(1))
        raise RuntimeError
    with database.reading() as uow:
        assert uow.experiments.get("e1") is None


def test_names_are_unique(database: Database) -> None:
    with database.writing() as uow:
        uow.experiments.add(experiment(1, "same"))
    with pytest.raises(AlreadyExistsError), database.writing() as uow:
        uow.experiments.add(experiment(2, "same"))


@pytest.mark.parametrize("order", ["created_at", "created_at desc", "name", "name desc"])
def test_pages_give_everything_once_in_order(database: Database, order: str) -> None:
    with database.writing() as uow:
        for number in range(25):
            uow.experiments.add(experiment(number, f"name {number % 5} {number}"))
    seen: list[Experiment] = []
    token = ""
    while True:
        query = listing.parse(EXPERIMENTS, ListRequest(page_size=4, page_token=token, sort_by=order))
        with database.reading() as uow:
            page = uow.experiments.list(query)
        assert page.total_size == 25
        seen += page.items
        token = page.next_page_token
        if not token:
            break
    values = [(one.created_at if order.startswith("created") else one.name) for one in seen]
    assert values == sorted(values, reverse=order.endswith("desc"))
    assert len({one.experiment_id for one in seen}) == 25


LEASE = 60_000
ENDED = -1_000


def test_of_several_claimants_one_wins(database: Database) -> None:
    prepared(database, "r1")
    with database.writing() as uow:
        (entry,) = uow.queue.claimable(5, "a/1")
        assert uow.queue.take(entry, "a/1", LEASE)
        assert not uow.queue.take(entry, "b/1", LEASE)
        assert uow.queue.claimable(5, "b/1") == []
        assert not uow.queue.any_waits()
        uow.queue.renew(["r1"], ENDED)
    with database.reading() as uow:
        assert [one.run_id for one in uow.queue.claimable(5, "b/1")] == ["r1"]
        assert uow.queue.any_waits()


def test_what_waits_is_claimed_by_rank(database: Database) -> None:
    prepared(database)
    with database.writing() as uow:
        for number, priority in enumerate((0, 0, 1, -1)):
            made = replace(run(f"r{number}"), created_at=1_000 + number, options=RunOptions(priority=priority))
            uow.runs.add(made)
        uow.queue.finish(["r2"])
        uow.queue.reopen("r2", 500)
    with database.reading() as uow:
        assert [one.run_id for one in uow.queue.claimable(9, "a/1")] == ["r2", "r0", "r1", "r3"]


def test_a_later_incarnation_takes_its_predecessors_runs_and_never_the_reverse(database: Database) -> None:
    prepared(database, "r1")
    with database.writing() as uow:
        (entry,) = uow.queue.claimable(5, "up/001")
        uow.queue.take(entry, "up/001", LEASE)
        assert uow.queue.claimable(5, "up/001") == []
        (entry,) = uow.queue.claimable(5, "up/002")
        assert uow.queue.take(entry, "up/002", LEASE)
        assert uow.queue.claimable(5, "up/001") == []
        assert uow.queue.claimable(5, "other_up/003") == []


def test_leases_are_counted_by_the_databases_clock(database: Database) -> None:
    prepared(database, "r1")
    before = time.time_ns() // 1_000_000
    with database.writing() as uow:
        (entry,) = uow.queue.claimable(5, "a/1")
        uow.queue.take(entry, "a/1", ENDED)
    after = time.time_ns() // 1_000_000
    with database.reading() as uow:
        (entry,) = uow.queue.claimable(5, "b/1")
    # One machine, one clock; a database rounds to a millisecond in its own way.
    assert before - 1 <= entry.lease_expires_at - ENDED <= after + 1


def test_where_runs_stand(database: Database) -> None:
    prepared(database, "waiting", "held", "lapsed", "finished")
    with database.writing() as uow:
        for entry in uow.queue.claimable(9, "a/1"):
            if entry.run_id != "waiting":
                uow.queue.take(entry, "a/1", ENDED if entry.run_id == "lapsed" else LEASE)
        assert list(uow.queue.held_by("a/1")) == ["finished", "held", "lapsed"]
        uow.queue.finish(["finished"])
    with database.reading() as uow:
        assert uow.queue.holds(["waiting", "held", "lapsed", "finished", "nobody"]) == {
            "waiting": RunHold("waiting", HoldState.WAITING),
            "held": RunHold("held", HoldState.HELD, "a/1"),
            "lapsed": RunHold("lapsed", HoldState.WAITING),
            "finished": RunHold("finished", HoldState.FINISHED),
        }
        assert uow.queue.depth() == QueueDepth(waiting=2, held=1)
        assert list(uow.queue.held_by("a/1")) == ["held", "lapsed"]


def test_the_event_log_keeps_order_and_bytes(database: Database) -> None:
    prepared(database, "r1", "r2")
    with database.writing() as uow:
        uow.queue.append(
            [LogEntry("r1", 0, b'{"a": "\xc3\xbc"}'), LogEntry("r2", 0, b"other"), LogEntry("r1", 1, b"second")]
        )
    with database.reading() as uow:
        assert list(uow.queue.events("r1")) == [b'{"a": "\xc3\xbc"}', b"second"]
        assert uow.queue.events_of(["r2", "r1", "nobody"]) == {"r1": list(uow.queue.events("r1")), "r2": [b"other"]}


def test_the_schema_is_the_one_in_the_tables(database: Database) -> None:
    """Migrations and tables say the same, and go down as well as up."""
    with database.engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), tables.metadata)
    # SQLite's reflection has no names for some defaults; what is compared are tables, columns, indexes and keys.
    assert [one for one in differences if one[0] != "modify_default"] == []


def test_many_claim_and_each_run_goes_to_one(database: Database) -> None:
    ids = [f"r{number:02}" for number in range(30)]
    prepared(database, *ids)

    def claim(executor: int) -> list[str]:
        won: list[str] = []
        for _ in range(len(ids)):
            with database.writing() as uow:
                waiting = uow.queue.claimable(3, f"e{executor}/1")
                won += [entry.run_id for entry in waiting if uow.queue.take(entry, f"e{executor}/1", LEASE)]
        return won

    with ThreadPoolExecutor(6) as pool:
        won = [one for many in pool.map(claim, range(6)) for one in many]
    assert sorted(won) == ids


def test_what_a_writer_read_stays_until_it_has_written(database: Database) -> None:
    """Events are appended by many at once: no number is given twice, none is left out."""
    prepared(database, "r1")

    def append(number: int) -> int:
        with database.writing() as uow:
            return uow.queue.append_next("r1", str(number).encode())

    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(append, range(40)))
    assert sorted(numbers) == list(range(40))
    with database.reading() as uow:
        assert len(uow.queue.events("r1")) == 40


def test_reports_and_wishes_do_not_overwrite_each_other(database: Database) -> None:
    """A wish to terminate survives a report that was being written at the same time."""
    prepared(database, *(f"r{number}" for number in range(10)))

    def terminate(number: int) -> None:
        with database.writing() as uow:
            found = uow.runs.get(f"r{number}")
            assert found is not None
            uow.runs.set_states([replace(found, terminate_requested=True)])

    def report(number: int) -> None:
        with database.writing() as uow:
            found = uow.runs.get(f"r{number}")
            assert found is not None
            uow.runs.set_states([replace(found, error="said")])

    with ThreadPoolExecutor(8) as pool:
        work = [pool.submit(one, number) for number in range(10) for one in (terminate, report)]
        for one in work:
            one.result()
    with database.reading() as uow:
        for number in range(10):
            found = uow.runs.get(f"r{number}")
            assert found is not None
            assert (found.terminate_requested, found.error) == (True, "said")
