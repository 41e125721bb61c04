"""Lists of a run's tasks by page, on every database: what is chosen, in which order, and how many there are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from penstock_ir.task_rows import TaskKind, TaskState
from penstock_server.domain import task_listing
from penstock_server.domain.changes import Position
from penstock_server.domain.task import Task
from penstock_server.domain.task_listing import TaskListRequest
from penstock_server.errors import InvalidArgumentError
from penstock_server.storage.database import Database
from penstock_server.storage.tables import tasks as table
from sqlalchemy import update

from tests.support.rows import prepared

STATES = (TaskState.SUCCEEDED, TaskState.FAILED, TaskState.RUNNING)


def iteration(number: int) -> Task:
    """Of three states in turn; the later ones began earlier and took longer."""
    state = STATES[number % 3]
    started = 10_000 - number
    return Task(
        "r1",
        f"loop[{number}]",
        f"iteration-{number:02}",
        TaskKind.ITERATION,
        state,
        display_name=f"Fit 50% of Model {number}",
        parent_path="loop",
        started_at=started,
        finished_at=0 if state is TaskState.RUNNING else started + 100 * number,
    )


@pytest.fixture
def stored(database: Database) -> Database:
    prepared(database, "r1", "r2")
    rows = [
        Task("r1", "", "root", TaskKind.DAG, TaskState.RUNNING),
        Task("r1", "loop", "loop", TaskKind.LOOP, TaskState.RUNNING),
        Task("r1", "after", "after", TaskKind.CONTAINER, TaskState.PENDING),
        *(iteration(number) for number in range(12)),
    ]
    with database.writing() as uow:
        uow.tasks.upsert_many(rows, {"r1": 1})
        uow.tasks.upsert_many([Task("r2", "loop[0]", "other", TaskKind.ITERATION, TaskState.FAILED)], {"r2": 1})
    return database


def pages(database: Database, request: TaskListRequest) -> Iterator[Sequence[Task]]:
    while True:
        with database.reading() as uow:
            found = uow.tasks.list(task_listing.parse(request))
        yield found.items
        if not found.next_page_token:
            return
        # The token alone goes on with the same selection and order.
        request = TaskListRequest(request.run_id, request.page_size, found.next_page_token)


def paths(database: Database, **asked: Any) -> list[str]:
    request = TaskListRequest("r1", 5, **asked)
    return [task.path for page in pages(database, request) for task in page]


def test_all_pages_together_are_the_whole(stored: Database) -> None:
    whole = paths(stored)
    assert whole == ["", "loop", "after", *(f"loop[{number}]" for number in range(12))]
    assert [len(page) for page in pages(stored, TaskListRequest("r1", 5))] == [5, 5, 5]


def test_children_of_the_root_and_of_a_loop(stored: Database) -> None:
    assert paths(stored, parent_path="") == ["loop", "after"]
    assert paths(stored, parent_path="loop") == [f"loop[{number}]" for number in range(12)]
    assert paths(stored, parent_path="nobody") == []


def test_rows_of_older_releases_have_no_parent_id(stored: Database) -> None:
    with stored.writing() as uow:
        connection: Any = uow.tasks._connection  # type: ignore[attr-defined] # as the release before left them
        connection.execute(update(table).values(parent_id=None, changed=0))
    test_children_of_the_root_and_of_a_loop(stored)
    with stored.reading() as uow:
        root = uow.tasks.list_for_run("r1")[0]
        assert uow.tasks.child_counts("r1", [root]) == {"": {TaskState.RUNNING: 1, TaskState.PENDING: 1}}
        assert len(uow.tasks.changed_after("r1", Position(-1), 100)) == 15


@pytest.mark.parametrize(
    ("sort_by", "first"),
    [
        ("created_at", [0, 1, 2]),
        ("created_at desc", [11, 10, 9]),
        ("started_at", [11, 10, 9]),
        ("duration desc", [10, 9, 7]),
        ("name desc", [11, 10, 9]),
    ],
)
def test_order(stored: Database, sort_by: str, first: list[int]) -> None:
    found = paths(stored, parent_path="loop", sort_by=sort_by)
    assert found[:3] == [f"loop[{number}]" for number in first]
    assert sorted(found) == sorted(f"loop[{number}]" for number in range(12))


def test_states_and_text(stored: Database) -> None:
    assert paths(stored, states=("FAILED", "PENDING")) == ["after", *(f"loop[{n}]" for n in (1, 4, 7, 10))]
    assert paths(stored, text="50% of model 1") == ["loop[1]", "loop[10]", "loop[11]"]
    assert paths(stored, text="LOOP[3") == ["loop[3]"]
    assert paths(stored, text="%", parent_path="") == []
    assert paths(stored, text="model 1", states=("FAILED",)) == ["loop[1]", "loop[10]"]


def test_counts_are_of_the_selection_in_any_state(stored: Database) -> None:
    query = task_listing.parse(TaskListRequest("r1", parent_path="loop", states=("FAILED",)))
    with stored.reading() as uow:
        assert uow.tasks.list(query).total_size == 4
        assert uow.tasks.counts(task_listing.in_any_state(query)) == dict.fromkeys(STATES, 4)
        groups = [task for task in uow.tasks.list_for_run("r1") if task.kind in task_listing.GROUPS]
        counts = uow.tasks.child_counts("r1", groups)
    assert counts[""] == {TaskState.RUNNING: 1, TaskState.PENDING: 1}
    assert counts["loop"] == dict.fromkeys(STATES, 4)
    assert counts["loop[3]"] == {}


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ({"states": ("DONE",)}, "states[0]"),
        ({"text": "x" * 300}, "text"),
        ({"sort_by": "colour"}, "sort_by"),
        ({"page_size": -1}, "page_size"),
        ({"page_token": "nonsense"}, "page_token"),
    ],
)
def test_what_cannot_be_asked_for(asked: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidArgumentError, match=text.replace("[", r"\[")):
        task_listing.parse(TaskListRequest("r1", **asked))


def test_a_token_of_another_run_is_refused(stored: Database) -> None:
    with stored.reading() as uow:
        token = uow.tasks.list(task_listing.parse(TaskListRequest("r1", 5))).next_page_token
    with pytest.raises(InvalidArgumentError, match="another listing"):
        task_listing.parse(TaskListRequest("r2", 5, token))


def test_changes_come_in_order_and_each_task_once(stored: Database) -> None:
    with stored.writing() as uow:
        uow.tasks.upsert_many([replace(iteration(4), error="again")], {"r1": 2})
        uow.tasks.set_waits({("r1", "after"): "no place"}, {"r1": 3})
        uow.tasks.set_execution_ids({("r1", "loop"): 7}, {"r1": 4})
    with stored.reading() as uow:
        found = uow.tasks.changed_after("r1", Position(1), 10)
        assert [(change, task.path) for change, task in found] == [(2, "loop[4]"), (3, "after"), (4, "loop")]
        first = uow.tasks.changed_after("r1", Position(-1), 8)
        rest = uow.tasks.changed_after("r1", Position(first[-1][0], first[-1][1].task_id), 100)
    assert sorted(task.path for _, task in [*first, *rest]) == sorted(paths(stored))


def test_summaries_of_changes_are_of_the_same_tasks(stored: Database) -> None:
    with stored.writing() as uow:
        uow.tasks.upsert_many([replace(iteration(4), error="again", created_at=5, finished_at=9)], {"r1": 2})
        uow.tasks.set_execution_ids({("r1", "loop"): 7}, {"r1": 4})
    with stored.reading() as uow:
        for position in (Position(-1), Position(1), Position(2)):
            whole = uow.tasks.changed_after("r1", position, 100)
            short = uow.tasks.summaries_changed_after("r1", position, 100)
            assert [(one.changed, one.task_id) for one in short] == [(change, task.task_id) for change, task in whole]
            for one, (_, task) in zip(short, whole, strict=True):
                shown = {name: value for name, value in one._asdict().items() if name not in ("changed", "task_id")}
                assert shown == {name: getattr(task, name) for name in shown}
        first = uow.tasks.summaries_changed_after("r1", Position(-1), 8)
        rest = uow.tasks.summaries_changed_after("r1", Position(first[-1].changed, first[-1].task_id), 100)
    assert sorted(one.path for one in (*first, *rest)) == sorted(paths(stored))
