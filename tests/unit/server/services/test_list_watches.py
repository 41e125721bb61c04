"""Watches of pages of runs by a clock that is set by hand and readers that take what they like."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from penstock_server.domain.changes import RunsChange
from penstock_server.domain.dispatch import LogEnd
from penstock_server.domain.experiment import ARCHIVED, AVAILABLE
from penstock_server.domain.listing import ListRequest
from penstock_server.domain.run import RunState
from penstock_server.errors import InvalidArgumentError, NotFoundError, ResourceExhaustedError
from penstock_server.services import list_watches
from penstock_server.services.list_watches import CHARACTERS_OF_A_MESSAGE, LOOK_EVERY_SECONDS, ListWatches
from penstock_server.services.tenancy import Tenancy
from penstock_server.services.watching import Watching
from penstock_server.storage.database import Database
from sqlalchemy import event

from tests.support import rows
from tests.support.watching import Clock, Reader, look_until
from tools.testing.runs import until

NEWEST = ListRequest(sort_by="created_at desc", page_size=3)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path}/test.db")
    made.migrate()
    rows.prepared(made)
    yield made
    made.dispose()


@pytest.fixture
def clock() -> Clock:
    return Clock()


class Watched:
    """The thread that looks does not run: a look is a second later than the one before."""

    def __init__(self, database: Database, clock: Clock, tenancy: Tenancy | None = None) -> None:
        self.database, self.clock = database, clock
        self.watching = Watching(clock)
        self.lists = ListWatches(database, self.watching, tenancy or Tenancy(), clock)

    def open(self, request: ListRequest = NEWEST, reader: Reader | None = None, experiment: str = "") -> Reader:
        reader = reader or Reader()
        self.lists.open(request, experiment, "", reader)
        return reader

    def told(self, reader: Reader, number: int) -> RunsChange:
        """The message of that number, from 1."""
        self.later()
        change: RunsChange = look_until(self.watching, reader, number)[number - 1]
        return change

    def later(self) -> None:
        self.clock.now += LOOK_EVERY_SECONDS
        self.watching.look()

    def add(self, run_id: str, at: int, **fields: Any) -> None:
        with self.database.writing() as uow:
            uow.runs.add(replace(rows.run(run_id), created_at=at, **fields))

    def set_state(self, run_id: str, state: RunState, **fields: Any) -> None:
        with self.database.writing() as uow:
            run = uow.runs.get(run_id)
            assert run is not None
            uow.runs.set_states([replace(run, state=state, **fields)])


@pytest.fixture
def watched(database: Database, clock: Clock) -> Iterator[Watched]:
    made = Watched(database, clock)
    yield made
    made.watching.stop()


def sent(change: RunsChange) -> list[str]:
    return [listed.run.run_id for listed in change.runs]


def equals(key: str, value: str) -> str:
    return json.dumps({"predicates": [{"operation": "EQUALS", "key": key, "string_value": value}]})


def test_the_whole_page_first_even_an_empty_one_and_then_what_comes_to_it(watched: Watched) -> None:
    reader = watched.open()
    first = watched.told(reader, 1)
    assert (first.run_ids, first.runs, first.total_size, first.next_page_token) == ([], [], 0, "")
    for number in range(1, 5):
        watched.add(f"r{number}", number)
    second = watched.told(reader, 2)
    assert (second.run_ids, sent(second), second.total_size) == (["r4", "r3", "r2"], ["r4", "r3", "r2"], 4)
    assert second.next_page_token
    watched.add("r5", 5)
    third = watched.told(reader, 3)
    assert (third.run_ids, sent(third), third.total_size) == (["r5", "r4", "r3"], ["r5"], 5)


def test_a_run_that_changed_is_sent_and_no_other(watched: Watched) -> None:
    for number in range(3):
        watched.add(f"r{number}", number)
    reader = watched.open()
    watched.told(reader, 1)
    watched.set_state("r1", RunState.FAILED, error="no disk", finished_at=9)
    change = watched.told(reader, 2)
    assert (change.run_ids, sent(change)) == (["r2", "r1", "r0"], ["r1"])
    run = change.runs[0].run
    assert (run.state, run.error, run.finished_at) == (RunState.FAILED, "no disk", 9)


def test_nothing_is_sent_when_only_tasks_have_changed(watched: Watched, database: Database) -> None:
    watched.add("r1", 1)
    reader = watched.open()
    watched.told(reader, 1)
    with database.writing() as uow:
        uow.queue.advance({"r1": LogEnd(7, 7)})
    watched.later()
    watched.later()
    watched.set_state("r1", RunState.RUNNING)
    assert sent(watched.told(reader, 2)) == ["r1"]
    assert len(reader.told) == 2


def test_what_leaves_the_filter_or_is_deleted_leaves_the_page(watched: Watched, database: Database) -> None:
    for number in range(3):
        watched.add(f"r{number}", number)
    reader = watched.open(replace(NEWEST, filter=equals("storage_state", AVAILABLE)))
    watched.told(reader, 1)
    with database.writing() as uow:
        uow.runs.set_storage_state("r1", ARCHIVED)
    change = watched.told(reader, 2)
    assert (change.run_ids, sent(change), change.total_size) == (["r2", "r0"], [], 2)
    with database.writing() as uow:
        uow.runs.delete("r2")
    assert watched.told(reader, 3).run_ids == ["r0"]
    with database.writing() as uow:
        uow.runs.set_storage_state("r1", AVAILABLE)
    back = watched.told(reader, 4)
    assert (back.run_ids, sent(back)) == (["r1", "r0"], ["r1"])


def test_by_name_by_label_and_by_experiment(watched: Watched, database: Database) -> None:
    with database.writing() as uow:
        uow.experiments.add(rows.experiment(2))
    watched.add("r1", 1, display_name="b", labels={"team": "x"})
    watched.add("r2", 2, display_name="a", experiment_id="e2", labels={"team": "y"})
    names = watched.open(ListRequest(sort_by="display_name"))
    labelled = watched.open(ListRequest(filter=equals("labels.team", "x")))
    narrowed = watched.open(ListRequest(), experiment="e2")
    assert watched.told(names, 1).run_ids == ["r2", "r1"]
    assert watched.told(labelled, 1).run_ids == ["r1"]
    assert watched.told(narrowed, 1).run_ids == ["r2"]
    watched.add("r3", 3, display_name="ab", experiment_id="e2", labels={"team": "x"})
    assert watched.told(names, 2).run_ids == ["r2", "r3", "r1"]
    assert watched.told(labelled, 2).run_ids == ["r1", "r3"]
    assert watched.told(narrowed, 2).run_ids == ["r2", "r3"]


def test_another_page_stands_where_its_token_says(watched: Watched) -> None:
    for number in range(5):
        watched.add(f"r{number}", number)
    first = watched.open()
    token = watched.told(first, 1).next_page_token
    second = watched.open(ListRequest(page_token=token, page_size=3))
    assert watched.told(second, 1).run_ids == ["r1", "r0"]
    watched.add("r5", 5)
    watched.set_state("r0", RunState.RUNNING)
    change = watched.told(second, 2)
    assert (change.run_ids, sent(change), change.total_size) == (["r1", "r0"], ["r0"], 6)


def test_a_page_is_looked_at_once_a_second_for_all_who_watch_it(watched: Watched, database: Database) -> None:
    watched.add("r1", 1)
    readers = [watched.open(reader=Reader(peer)) for peer in ("a", "a", "b")]
    statements: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda *call: statements.append(call[2]))
    watched.told(readers[0], 1)
    assert len({id(reader.waits_for(1)[0]) for reader in readers}) == 1
    # The page and its runs.
    assert len([text for text in statements if "runs" in text]) == 2
    statements.clear()
    for _ in range(5):
        watched.watching.look()
    assert not statements
    watched.later()
    assert len([text for text in statements if "runs" in text]) == 1


def test_who_comes_later_or_is_slow_is_told_of_what_it_lacks(watched: Watched) -> None:
    watched.add("r1", 1)
    watched.add("r2", 2)
    slow = watched.open(reader=Reader("slow"))
    watched.told(slow, 1)
    slow.takes = False
    watched.set_state("r1", RunState.RUNNING)
    late = watched.open(reader=Reader("late"))
    assert sent(watched.told(late, 1)) == ["r2", "r1"]
    watched.set_state("r2", RunState.RUNNING)
    assert sent(watched.told(late, 2)) == ["r2"]
    slow.takes = True
    assert sent(watched.told(slow, 2)) == ["r2", "r1"]


def test_a_large_page_comes_in_several_messages(watched: Watched) -> None:
    text = "x" * (CHARACTERS_OF_A_MESSAGE // 2 - 2000)
    sizes = {"r1": text, "r2": text, "r3": text * 3, "r4": ""}
    for number, (run_id, document) in enumerate(sizes.items()):
        watched.add(run_id, number, submitted_spec=document)
    reader = watched.open(ListRequest())
    watched.told(reader, 1)
    while reader.told[-1].more:
        watched.watching.look()
    assert sorted(run_id for change in reader.told for run_id in sent(change)) == list(sizes)
    assert len(reader.told) > 1
    for change in reader.told:
        assert change.run_ids == list(sizes)
        assert len(change.runs) == 1 or sum(len(one.run.submitted_spec) for one in change.runs) < 1024 * 1024


def test_runs_of_all_pages_are_counted_as_seldom_as_counting_is_dear(watched: Watched, database: Database) -> None:
    for number in range(5):
        watched.add(f"r{number}", number)
    counted: list[float] = []

    def counts(*call: Any) -> None:
        if "count(" in call[2]:
            counted.append(watched.clock.now)
            watched.clock.now += 0.06

    event.listen(database.engine, "before_cursor_execute", counts)
    reader = watched.open()
    watched.told(reader, 1)
    for _ in range(6):
        watched.later()
    assert len(counted) == 2


def test_lists_that_cannot_be_are_refused_and_so_are_too_many(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InvalidArgumentError, match="sort_by"):
        watched.open(ListRequest(sort_by="colour"))
    with pytest.raises(InvalidArgumentError, match="page_token"):
        watched.open(ListRequest(page_token="?"))
    monkeypatch.setattr(list_watches, "MOST_PAGES", 1)
    watched.open()
    watched.open()
    with pytest.raises(ResourceExhaustedError):
        watched.open(ListRequest(page_size=7))


def test_with_namespaces_a_list_has_one(database: Database, clock: Clock) -> None:
    watched = Watched(database, clock, Tenancy(multi_user=True))
    with database.writing() as uow:
        uow.experiments.add(replace(rows.experiment(2), namespace="team-a"))
    watched.add("mine", 1, namespace="team-a", experiment_id="e2")
    watched.add("other", 2, namespace="team-b")
    with pytest.raises(InvalidArgumentError, match="namespace"):
        watched.open()
    with pytest.raises(NotFoundError):
        watched.lists.open(NEWEST, "e2", "team-b", Reader())
    reader = Reader()
    watched.lists.open(NEWEST, "", "team-a", reader)
    assert watched.told(reader, 1).run_ids == ["mine"]
    watched.watching.stop()


def test_a_page_that_nobody_watches_is_forgotten(watched: Watched) -> None:
    reader = Reader()
    close = watched.lists.open(NEWEST, "", "", reader)
    watched.told(reader, 1)
    assert len(watched.lists) == 1
    close()
    del close
    until(lambda: len(watched.lists), lambda number: number == 0)
