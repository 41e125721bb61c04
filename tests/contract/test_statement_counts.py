"""The number of SQL statements of a list does not grow with its rows or with the number of the page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from penstock_server.domain.listing import Cursor, Listing, ListQuery, ListRequest, Page, Scope, parse
from penstock_server.services import driver_tasks, experiments, pipelines, recurring_runs, runs
from penstock_server.services.ports import UnitOfWork
from penstock_server.storage.database import Database

from tests.support.statements import statements
from tests.support.world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    database = Database(f"sqlite:///{tmp_path / 'penstock.db'}")
    database.migrate()
    yield World(database)
    database.dispose()


PAGES: dict[str, Callable[[World, ListRequest], Page[Any]]] = {
    "experiments": lambda world, ask: world.experiments.list(ask),
    "pipelines": lambda world, ask: world.pipelines.list(ask),
    "versions": lambda world, ask: world.pipelines.list_versions(world.pipeline_id, ask),
    "runs": lambda world, ask: world.runs.list(ask),
    "schedules": lambda world, ask: world.schedules.list(ask),
}


@pytest.mark.parametrize("name", PAGES)
def test_lists(world: World, name: str) -> None:
    counts = []
    for number in range(30):
        world.add(number)
        if number in (0, 29):
            with statements(world.database) as seen:
                found = PAGES[name](world, ListRequest(page_size=200))
            assert len(found.items) >= number + 1
            counts.append(len(seen))
    assert counts[0] == counts[1] <= 6, seen


@pytest.mark.parametrize("order", ["created_at", "created_at desc"])
@pytest.mark.parametrize("name", PAGES)
def test_a_later_page_begins_in_the_middle_of_an_index(world: World, name: str, order: str) -> None:
    for number in range(5):
        world.add(number)
    token = PAGES[name](world, ListRequest(page_size=2, sort_by=order)).next_page_token
    with statements(world.database) as seen:
        PAGES[name](world, ListRequest(page_size=2, page_token=token))
    (page,) = [(text, values) for text, values in seen if "ORDER BY" in text and "LIMIT" in text]
    # Its token has the total.
    assert not [text for text, _ in seen if "count(" in text]
    with world.database.engine.connect() as connection:
        plan = [row[-1] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {page[0]}", page[1])]
    comparison = "<" if order.endswith("desc") else ">"
    assert any(f"created_at{comparison}" in step for step in plan), plan
    assert not any("TEMP B-TREE FOR ORDER BY" in step for step in plan), plan


REPOSITORIES: dict[str, tuple[Listing, Callable[[UnitOfWork, ListQuery], Page[Any]]]] = {
    "experiments": (experiments.LISTING, lambda uow, query: uow.experiments.list(query)),
    "pipelines": (pipelines.PIPELINES, lambda uow, query: uow.pipelines.list(query)),
    "runs": (runs.LISTING, lambda uow, query: uow.runs.list(query)),
    "schedules": (recurring_runs.LISTING, lambda uow, query: uow.schedules.list(query)),
    "driver tasks": (driver_tasks.LISTING, lambda uow, query: uow.driver_tasks.list(query)),
}


@pytest.mark.parametrize("name", REPOSITORIES)
def test_a_later_page_of_a_namespace_begins_in_the_middle_of_an_index(world: World, name: str) -> None:
    listing, rows = REPOSITORIES[name]
    token = parse(listing, ListRequest(), Scope("team-a")).token(Cursor(5, "id"), 7)
    query = parse(listing, ListRequest(page_token=token), Scope("team-a"))
    with statements(world.database) as seen, world.database.reading() as uow:
        rows(uow, query)
    (page,) = [(text, values) for text, values in seen if "ORDER BY" in text and "LIMIT" in text]
    with world.database.engine.connect() as connection:
        plan = [row[-1] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {page[0]}", page[1])]
    assert any("namespace=? AND created_at>?" in step for step in plan), plan
    assert not any("TEMP B-TREE FOR ORDER BY" in step for step in plan), plan
