"""What single-user mode made gets a namespace, once and only once, on every database."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from click.testing import CliRunner
from penstock_server.domain.pipeline import Pipeline
from penstock_server.domain.run import RunState
from penstock_server.domain.task import CacheEntry, DriverTask
from penstock_server.errors import FailedPreconditionError
from penstock_server.main import main
from penstock_server.storage import tables
from penstock_server.storage.assign_namespace import assign_namespace
from penstock_server.storage.database import Database
from sqlalchemy import Table, select

from tests.support.rows import experiment, prepared, run, schedule

ASSIGNED = {"experiments": 1, "pipelines": 1, "runs": 1, "recurring_runs": 2, "cache_entries": 1, "driver_tasks": 1}


@pytest.fixture
def filled(database: Database) -> Database:
    """Rows of single-user mode, and of a namespace `theirs` that is there already; a schedule of each is left over from
    an experiment that was deleted.
    """
    prepared(database)
    with database.writing() as uow:
        uow.experiments.add(replace(experiment(2), namespace="theirs"))
        for namespace in ("", "theirs"):
            number, place = (1, "kubeflow") if not namespace else (2, namespace)
            uow.runs.add(replace(run(f"r{number}"), namespace=namespace, state=RunState.SUCCEEDED))
            uow.pipelines.add(Pipeline(f"p{number}", "same name", "", "", namespace, 1))
            uow.schedules.add(replace(schedule(number, f"e{number}"), namespace=place))
            uow.schedules.add(replace(schedule(10 + number, "deleted"), namespace=place))
            uow.cache.add_many([CacheEntry("f", namespace, "p", f"r{number}", "a", "{}", 1)])
            uow.driver_tasks.add(DriverTask(f"t{number}", namespace, "p", f"r{number}", "1", "f", 1))
    return database


def namespaces(database: Database) -> dict[str, list[str]]:
    with database.engine.connect() as connection:
        every: list[Table] = [table for table in tables.metadata.sorted_tables if table.name in ASSIGNED]
        return {one.name: sorted(connection.execute(select(one.c.namespace)).scalars()) for one in every}


def assign(database: Database, **changes: Any) -> dict[str, int]:
    options = {"pipelines_stay_shared": False, "dry_run": False, **changes}
    return dict(assign_namespace(database, "ours", "kubeflow", **options))


def test_what_has_no_namespace_gets_one(filled: Database) -> None:
    before = namespaces(filled)
    assert assign(filled, dry_run=True) == ASSIGNED
    assert namespaces(filled) == before
    assert assign(filled) == ASSIGNED
    assert namespaces(filled) == {name: ["ours"] * count + ["theirs"] * count for name, count in ASSIGNED.items()}
    assert assign(filled) == dict.fromkeys(ASSIGNED, 0)


def test_pipelines_may_stay_shared(filled: Database) -> None:
    assert "pipelines" not in assign(filled, pipelines_stay_shared=True)
    assert namespaces(filled)["pipelines"] == ["", "theirs"]


def test_what_was_interrupted_is_finished_when_it_is_repeated(filled: Database) -> None:
    for table, _ in assign_namespace(filled, "ours", "kubeflow", pipelines_stay_shared=False, dry_run=False):
        if table == "pipelines":
            break
    assert namespaces(filled)["experiments"] == ["", "theirs"]
    assert assign(filled) == {**dict.fromkeys(ASSIGNED, 0), "experiments": 1}


def test_nothing_is_changed_while_a_run_goes_on(filled: Database) -> None:
    with filled.writing() as uow:
        uow.runs.add(replace(run("r3"), state=RunState.RUNNING))
    before = namespaces(filled)
    with pytest.raises(FailedPreconditionError, match=r"1 run\(s\) have not ended"):
        assign(filled)
    assert namespaces(filled) == before


@pytest.mark.parametrize("kind", ["experiments", "pipelines"])
def test_nothing_is_changed_when_a_name_is_taken(filled: Database, kind: str) -> None:
    with filled.writing() as uow:
        if kind == "experiments":
            uow.experiments.add(replace(experiment(3, experiment(1).name), namespace="ours"))
        else:
            uow.pipelines.add(Pipeline("p3", "same name", "", "", "ours", 1))
    before = namespaces(filled)
    with pytest.raises(FailedPreconditionError, match=kind):
        assign(filled)
    assert namespaces(filled) == before


def test_the_command(filled: Database) -> None:
    url = filled.engine.url.render_as_string(hide_password=False)

    def call(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(main, ["db", "--database", url, "assign-namespace", *arguments])
        return result.exit_code, result.output

    assert call("Not_A_Name")[0] == 1
    code, output = call("ours", "--dry-run")
    assert code == 0
    assert set(output.splitlines()) == {f"{name}: {count}" for name, count in ASSIGNED.items()}
    assert call("ours", "--keep-pipelines-shared")[0] == 0
    assert namespaces(filled)["pipelines"] == ["", "theirs"]
    assert namespaces(filled)["runs"] == ["ours", "theirs"]
