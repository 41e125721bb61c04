"""The marks of runs on a page, on every database: another one when what lists show has changed, else the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from penstock_server.domain.changes import RunMark
from penstock_server.domain.dispatch import LogEnd
from penstock_server.domain.listing import ListRequest, parse
from penstock_server.domain.run import Run, RunState, with_reported_state
from penstock_server.services.runs import LISTING
from penstock_server.storage.database import Database

from tests.support.rows import prepared

Change = Callable[[Any], None]


def set_states(**fields: Any) -> Change:
    return lambda uow: uow.runs.set_states([replace(run_of(uow), **fields)])


def run_of(uow: Any) -> Run:
    found: Run = uow.runs.get("r1")
    return found


def report(uow: Any) -> None:
    uow.runs.set_states([with_reported_state(run_of(uow), RunState.RUNNING, 5)])


def archive(uow: Any) -> None:
    uow.runs.set_storage_state("r1", "ARCHIVED")


def archive_all(uow: Any) -> None:
    uow.runs.archive_of_experiment("e1")


def mark_of(database: Database) -> RunMark:
    query = parse(LISTING, ListRequest(sort_by="metric:loss"))
    with database.reading() as uow:
        (mark,) = uow.runs.marks(query, None).items
        run, again = uow.runs.marked(["r1", "nobody"])["r1"]
        assert run == run_of(uow)
        assert again == mark.mark
    return mark


@pytest.mark.parametrize(
    "change",
    [report, archive, archive_all, set_states(error="no disk"), set_states(finished_at=7)],
    ids=["state", "archived", "archived with its experiment", "error", "end"],
)
def test_what_lists_show_has_changed(database: Database, change: Change) -> None:
    prepared(database, "r1")
    before = mark_of(database)
    assert mark_of(database) == before
    with database.writing() as uow:
        change(uow)
    assert mark_of(database).mark != before.mark


def test_tasks_and_leases_are_not_shown(database: Database) -> None:
    prepared(database, "r1")
    before = mark_of(database)
    with database.writing() as uow:
        uow.queue.take(uow.queue.claimable(1, "somebody")[0], "somebody", 60_000)
        uow.queue.advance({"r1": LogEnd(9, 9)})
    assert mark_of(database) == before


def test_it_says_whether_a_run_has_ended(database: Database) -> None:
    prepared(database, "r1")
    assert not mark_of(database).final
    with database.writing() as uow:
        set_states(state=RunState.FAILED)(uow)
    assert mark_of(database).final


def test_a_total_that_is_known_is_not_counted(database: Database) -> None:
    prepared(database, "r1", "r2", "r3")
    query = parse(LISTING, ListRequest(page_size=2))
    with database.reading() as uow:
        assert uow.runs.marks(query, None).total_size == 3
        assert uow.runs.marks(query, 77).total_size == 77
