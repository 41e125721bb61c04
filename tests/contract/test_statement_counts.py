"""No call asks the database once per row: the number of statements does not grow with the rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from penstock_server.domain.listing import ListRequest
from penstock_server.storage.database import Database
from sqlalchemy import event

from tests.support.world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    database = Database(f"sqlite:///{tmp_path / 'penstock.db'}")
    database.migrate()
    yield World(database)
    database.dispose()


@contextmanager
def statements(database: Database) -> Iterator[list[str]]:
    seen: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if not statement.startswith(("BEGIN", "PRAGMA")):
            seen.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    yield seen
    event.remove(database.engine, "before_cursor_execute", note)


CALLS: dict[str, Callable[[World], Any]] = {
    "experiments": lambda world: world.experiments.list(ListRequest(page_size=200)),
    "pipelines": lambda world: world.pipelines.list(ListRequest(page_size=200)),
    "versions": lambda world: world.pipelines.list_versions(world.pipeline_id, ListRequest(page_size=200)),
    "runs": lambda world: world.runs.list(ListRequest(page_size=200), ""),
    "schedules": lambda world: world.schedules.list(ListRequest(page_size=200), ""),
}


@pytest.mark.parametrize("name", CALLS)
def test_lists(world: World, name: str) -> None:
    counts = []
    for number in range(30):
        world.add(number)
        if number in (0, 29):
            with statements(world.database) as seen:
                found = CALLS[name](world)
            assert len(found[0]) >= number + 1
            counts.append(len(seen))
    assert counts[0] == counts[1] <= 6, seen
