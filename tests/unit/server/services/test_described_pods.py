"""The Pod of a task, and one that many tasks share: nothing of one task is said of another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from penstock_ir.task_rows import TaskKind, TaskPhase, TaskState
from penstock_server.domain.task import Task
from penstock_server.errors import NotFoundError
from penstock_server.services.insight import InsightService
from penstock_server.storage.database import Database

from tests.support.rows import prepared


class Pods:
    """The cluster, which has the Pods in `present`."""

    def __init__(self) -> None:
        self.present: set[str] = set()

    def document(self, namespace: str, name: str) -> dict[str, Any] | None:
        return {"metadata": {"name": name}} if name in self.present else None

    def events(self, namespace: str, name: str) -> list[dict[str, Any]]:
        return [{"reason": "Pulled"}]


class World:
    def __init__(self, database: Database) -> None:
        self.database = database
        self.pods = Pods()
        never: Any = None
        self.insight = InsightService(database, never, never, self.pods)

    def has_pod(self, *paths: str) -> None:
        launched: dict[str, Any] = {"pod_name": "w", "phase": TaskPhase.LAUNCHED}
        tasks = [Task("r1", path, path, TaskKind.CONTAINER, TaskState.PENDING, **launched) for path in paths]
        with self.database.writing() as uow:
            uow.tasks.upsert_many(tasks, {"r1": 1})
            uow.tasks.set_waits({("r1", path): f"{path} waits" for path in paths}, {"r1": 2})


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    database = Database(f"sqlite:///{tmp_path}/test.db")
    database.migrate()
    prepared(database, "r1")
    yield World(database)
    database.dispose()


def test_the_pod_of_one_task_is_told_with_what_the_task_waits_for(world: World) -> None:
    world.has_pod("a")
    document, _ = world.insight.pod("w", "r1")
    assert document["metadata"]["annotations"]["penstock/task"] == "a", "made from the run's record"
    world.pods.present.add("w")
    document, events = world.insight.pod("w", "")
    assert document == {"metadata": {"name": "w"}}
    assert [event["reason"] for event in events] == ["Pulled", "Waiting"]


def test_of_a_pod_that_tasks_share_only_the_cluster_tells(world: World) -> None:
    world.has_pod("a", "b")
    with pytest.raises(NotFoundError):
        world.insight.pod("w", "r1")
    world.pods.present.add("w")
    assert world.insight.pod("w", "r1") == ({"metadata": {"name": "w"}}, [{"reason": "Pulled"}])
