"""Watches of runs by a clock that is set by hand and readers that take what they like."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from penstock_ir.task_rows import TaskKind, TaskState
from penstock_server.domain.changes import RunChange
from penstock_server.domain.dispatch import LogEnd
from penstock_server.domain.run import Run, RunState
from penstock_server.domain.task import Task
from penstock_server.errors import NotFoundError, UnavailableError
from penstock_server.services.run_changes import CHARACTERS_OF_A_MESSAGE, SUMMARIES_OF_A_MESSAGE, TASKS_OF_A_MESSAGE
from penstock_server.services.watches import RunWatches
from penstock_server.services.watching import Watching
from penstock_server.storage.database import Database

from tests.support.rows import prepared
from tests.support.watching import Clock, Reader, look_until


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path}/test.db")
    made.migrate()
    prepared(made, "r1")
    yield made
    made.dispose()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watching(clock: Clock) -> Iterator[Watching]:
    """Its thread does not run: tests call `look`."""
    made = Watching(clock)
    yield made
    made.stop()


@pytest.fixture
def watches(database: Database, watching: Watching) -> RunWatches:
    return RunWatches(database, watching)


def commit(database: Database, change: int, *paths: str, run_id: str = "r1") -> None:
    with database.writing() as uow:
        tasks = [Task(run_id, path, path, TaskKind.CONTAINER, TaskState.RUNNING) for path in paths]
        uow.tasks.upsert_many(tasks, {run_id: change})
        uow.queue.advance({run_id: LogEnd(change, change)})


def paths(change: RunChange) -> list[str]:
    return sorted([task.path for task in change.tasks] + [task.path for task in change.summaries])


def test_the_first_message_comes_at_once_and_then_what_is_new(
    database: Database, watches: RunWatches, watching: Watching
) -> None:
    reader = Reader()
    watches.open("r1", 0, reader)
    (first,) = look_until(watching, reader, 1)
    assert (first.run.run_id, first.tasks, first.sequence) == ("r1", [], 0)
    commit(database, 1, "", "a", "b")
    commit(database, 2, "b")
    second = look_until(watching, reader, 2)[1]
    assert (paths(second), second.sequence, second.more) == (["", "a", "b"], 2, False)
    commit(database, 3, "a")
    third = look_until(watching, reader, 3)[2]
    assert (paths(third), third.sequence) == (["a"], 3)


def test_a_resumed_watch_hears_of_later_changes_alone(
    database: Database, watches: RunWatches, watching: Watching
) -> None:
    commit(database, 1, "", "a")
    commit(database, 2, "b")
    reader = Reader()
    watches.open("r1", 1, reader)
    (first,) = look_until(watching, reader, 1)
    assert (paths(first), first.sequence) == (["b"], 2)


def test_many_tasks_come_in_several_messages_that_can_be_resumed(
    database: Database, watches: RunWatches, watching: Watching
) -> None:
    names = [f"t{number}" for number in range(TASKS_OF_A_MESSAGE + 10)]
    commit(database, 1, *names)
    reader = Reader()
    watches.open("r1", 0, reader)
    first, second = look_until(watching, reader, 2)
    assert (first.more, len(first.tasks), first.sequence) == (True, TASKS_OF_A_MESSAGE, 0)
    assert (second.more, second.sequence) == (False, 1)
    assert sorted(paths(first) + paths(second)) == sorted(names)


def test_summaries_come_in_larger_messages_that_can_be_resumed(
    database: Database, watches: RunWatches, watching: Watching
) -> None:
    names = [f"t{number}" for number in range(SUMMARIES_OF_A_MESSAGE + 10)]
    commit(database, 1, *names)
    reader = Reader()
    watches.open("r1", 0, reader, summary=True)
    first, second = look_until(watching, reader, 2)
    assert (first.more, len(first.summaries), first.sequence) == (True, SUMMARIES_OF_A_MESSAGE, 0)
    assert (second.more, len(second.summaries), second.sequence) == (False, 10, 1)
    assert sorted(paths(first) + paths(second)) == sorted(names)
    commit(database, 2, "t7")
    third = look_until(watching, reader, 3)[2]
    assert (paths(third), third.sequence, third.tasks) == (["t7"], 2, ())
    assert third.summaries[0].state == TaskState.RUNNING.value


def test_a_message_of_summaries_has_a_bounded_size_and_one_task_at_least(
    database: Database, watches: RunWatches, watching: Watching
) -> None:
    half, whole = CHARACTERS_OF_A_MESSAGE // 2 - 1000, CHARACTERS_OF_A_MESSAGE + 1
    with database.writing() as uow:
        sizes = {"a": half, "b": half, "c": half, "d": whole, "e": 0}
        tasks = [
            Task("r1", path, path, TaskKind.CONTAINER, TaskState.RUNNING, display_name="x" * size)
            for path, size in sizes.items()
        ]
        uow.tasks.upsert_many(tasks, {"r1": 1})
        uow.queue.advance({"r1": LogEnd(1, 1)})
    reader = Reader()
    watches.open("r1", 0, reader, summary=True)
    look_until(watching, reader, 1)
    while reader.told[-1].more:
        watching.look()
    assert sorted(path for change in reader.told for path in paths(change)) == sorted(sizes)
    for change in reader.told:
        length = sum(len(task.display_name) for task in change.summaries)
        assert len(change.summaries) == 1 or length <= CHARACTERS_OF_A_MESSAGE


def test_a_message_has_a_bounded_size_and_one_task_at_least(
    database: Database, watches: RunWatches, watching: Watching
) -> None:
    text = "x" * (CHARACTERS_OF_A_MESSAGE // 2 - 1000)
    with database.writing() as uow:
        sizes = {"a": text, "b": text, "c": text, "d": text * 3, "e": ""}
        tasks = [
            Task("r1", path, path, TaskKind.CONTAINER, TaskState.RUNNING, error=size) for path, size in sizes.items()
        ]
        uow.tasks.upsert_many(tasks, {"r1": 1})
        uow.queue.advance({"r1": LogEnd(1, 1)})
    reader = Reader()
    watches.open("r1", 0, reader)
    look_until(watching, reader, 1)
    while reader.told[-1].more:
        watching.look()
    assert sorted(path for change in reader.told for path in paths(change)) == sorted(sizes)
    for change in reader.told:
        assert len(change.tasks) == 1 or sum(len(task.error) for task in change.tasks) <= CHARACTERS_OF_A_MESSAGE


def test_what_several_hear_is_read_once(database: Database, watches: RunWatches, watching: Watching) -> None:
    readers = [Reader("a"), Reader("a"), Reader("b")]
    for reader in readers:
        watches.open("r1", 0, reader)
    watching.look()
    assert len({id(reader.waits_for(1)[0]) for reader in readers}) == 1


def test_whole_tasks_and_summaries_of_one_run_are_told_apart(
    database: Database, watches: RunWatches, watching: Watching
) -> None:
    commit(database, 1, "a")
    whole, short = Reader("a"), Reader("a")
    watches.open("r1", 0, whole)
    watches.open("r1", 0, short, summary=True)
    (of_whole,), (of_short,) = look_until(watching, whole, 1), look_until(watching, short, 1)
    assert (len(of_whole.tasks), len(of_whole.summaries)) == (1, 0)
    assert (len(of_short.tasks), len(of_short.summaries)) == (0, 1)


def test_who_takes_nothing_keeps_nobody_else_and_loses_its_watch(
    database: Database, watches: RunWatches, watching: Watching, clock: Clock
) -> None:
    stuck, other = Reader("stuck"), Reader("other")
    stuck.stuck = True
    watches.open("r1", 0, stuck)
    watches.open("r1", 0, other)
    look_until(watching, other, 1)
    commit(database, 1, "a")
    look_until(watching, other, 2)
    assert not stuck.abandoned.is_set()
    clock.now += 6
    watching.look()
    assert stuck.abandoned.wait(60)
    assert len(watching) == 1


def test_a_reader_that_is_full_hears_it_later(database: Database, watches: RunWatches, watching: Watching) -> None:
    reader = Reader()
    watches.open("r1", 0, reader)
    look_until(watching, reader, 1)
    reader.takes = False
    commit(database, 1, "a")
    watching.look()
    commit(database, 2, "b")
    assert len(reader.told) == 1
    reader.takes = True
    assert paths(look_until(watching, reader, 2)[1]) == ["a", "b"]


def test_a_watch_ends_with_the_run_if_asked_to(database: Database, watches: RunWatches, watching: Watching) -> None:
    asked, open_ended = Reader("a"), Reader("b")
    watches.open("r1", 0, asked, until_finished=True)
    watches.open("r1", 0, open_ended)
    look_until(watching, asked, 1)
    with database.writing() as uow:
        run = uow.runs.get("r1")
        assert isinstance(run, Run)
        uow.runs.set_states([_ended(run)])
    assert look_until(watching, asked, 2)[1].run.state is RunState.SUCCEEDED
    assert asked.waits_for_end() is None
    look_until(watching, open_ended, 2)
    assert not open_ended.ended


def _ended(run: Run) -> Run:
    return replace(run, state=RunState.SUCCEEDED, finished_at=1)


def test_a_watch_of_a_run_that_is_deleted_ends(database: Database, watches: RunWatches, watching: Watching) -> None:
    reader = Reader()
    watches.open("r1", 0, reader)
    look_until(watching, reader, 1)
    with database.writing() as uow:
        uow.runs.delete("r1")
    while not reader.ended:
        watching.look()
    assert isinstance(reader.waits_for_end(), NotFoundError)


def test_a_watch_ends_after_a_while_so_that_rights_are_asked_for_anew(
    watches: RunWatches, watching: Watching, clock: Clock
) -> None:
    reader = Reader()
    watches.open("r1", 0, reader)
    look_until(watching, reader, 1)
    clock.now += 16 * 60
    while not reader.ended:
        watching.look()
    assert reader.waits_for_end() is None
    assert len(watching) == 0


def test_a_server_that_stops_ends_watches_and_opens_none(watches: RunWatches, watching: Watching) -> None:
    reader = Reader()
    watches.open("r1", 0, reader)
    watching.stop()
    assert isinstance(reader.waits_for_end(), UnavailableError)
    with pytest.raises(UnavailableError):
        watches.open("r1", 0, Reader())


def test_who_closes_its_watch_hears_nothing_more(database: Database, watches: RunWatches, watching: Watching) -> None:
    reader, other = Reader("a"), Reader("b")
    close = watches.open("r1", 0, reader)
    watches.open("r1", 0, other)
    look_until(watching, reader, 1)
    close()
    commit(database, 1, "a")
    look_until(watching, other, 2)
    assert (len(reader.told), reader.ended, len(watching)) == (1, [], 1)
