"""Every step of the schema, up and down, with data in every table, on SQLite, PostgreSQL and MariaDB."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from alembic.script import ScriptDirectory
from click.testing import CliRunner
from penstock_server.domain.lineage import ArtifactUse
from penstock_server.errors import FailedPreconditionError, InvalidArgumentError
from penstock_server.main import main
from penstock_server.storage import fills, schema
from penstock_server.storage.database import Database
from penstock_server.storage.repositories.lineage import SqlLineageRepository
from penstock_server.storage.schema import Schema, known_revisions
from penstock_server.storage.tables import artifact_uses
from sqlalchemy import MetaData, Table

from tools.testing import runs

REVISIONS = [one.name for one in known_revisions()]
Rows = dict[str, dict[str, Any]]


def test_the_revisions_are_those_that_the_migration_tool_sees() -> None:
    found = ScriptDirectory(str(Path(schema.__file__).parent / "migrations")).walk_revisions()
    assert [(one.name, one.text) for one in known_revisions()][::-1] == [
        (one.revision, (one.doc or "").strip()) for one in found
    ]


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/test.db"
    found: str = request.getfixturevalue(f"{request.param}_url")
    return found


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    made = Database(url)
    yield made
    made.dispose()


def tables(database: Database) -> list[Table]:
    """As they are, parents first."""
    reflected = MetaData()
    reflected.reflect(database.engine)
    return [table for table in reflected.sorted_tables if table.name != "alembic_version"]


def shape(database: Database) -> dict[str, Any]:
    """All that an inspector tells, in an order of its own."""
    inspector = sqlalchemy.inspect(database.engine)
    return {
        name: {
            "columns": {
                one["name"]: (str(one["type"]), one["nullable"], one["default"]) for one in inspector.get_columns(name)
            },
            "key": inspector.get_pk_constraint(name)["constrained_columns"],
            "indexes": sorted(
                (str(one["name"]), *map(str, one["column_names"])) for one in inspector.get_indexes(name)
            ),
            "unique": sorted(str(sorted(one["column_names"])) for one in inspector.get_unique_constraints(name)),
            "foreign": sorted(
                (
                    str(one["constrained_columns"]),
                    one["referred_table"],
                    str(one["referred_columns"]),
                    str(one["options"]),
                )
                for one in inspector.get_foreign_keys(name)
            ),
        }
        for name in inspector.get_table_names()
    }


def value(column: sqlalchemy.Column[Any]) -> Any:
    for key in column.foreign_keys:
        # What this has put into the parent.
        return value(key.column)
    kind = column.type.python_type
    if kind is str:
        length = getattr(column.type, "length", None) or 40
        return f"ünï {column.table.name}.{column.name}"[:length]
    return {int: 1, bool: True, float: 1.5, Decimal: Decimal("1.5"), bytes: b"\x00\xff"}[kind]


def fill(database: Database, rows: Rows) -> None:
    """A row in every table that has none."""
    with database.engine.execution_options(penstock_writing=True).begin() as connection:
        for table in tables(database):
            if table.name not in rows:
                rows[table.name] = {column.name: value(column) for column in table.columns}
                connection.execute(table.insert().values(rows[table.name]))


def check(database: Database, rows: Rows) -> None:
    """Every row is there, with what its columns of today had."""
    found = {table.name: table for table in tables(database)}
    for name in [name for name in rows if name not in found]:
        del rows[name]
    with database.engine.connect() as connection:
        for name, row in rows.items():
            (there,) = connection.execute(found[name].select()).mappings().all()
            known = {column: content for column, content in row.items() if column in there}
            assert {column: there[column] for column in known} == known, name
            row.clear()
            row.update(there)


def test_every_step_up_and_down_with_data(url: str, database: Database) -> None:
    schema = Schema(url)
    shapes: dict[str, dict[str, Any]] = {}
    rows: Rows = {}
    for revision in REVISIONS:
        schema.upgrade(revision)
        assert schema.current() == revision
        check(database, rows)
        fill(database, rows)
        shapes[revision] = shape(database)
    for revision in REVISIONS[-2::-1]:
        schema.downgrade(revision)
        assert shape(database) == shapes[revision], f"down to {revision}"
        check(database, rows)
    for revision in REVISIONS[1:]:
        schema.upgrade(revision)
        assert shape(database) == shapes[revision], f"up to {revision} again"
        check(database, rows)
    schema.downgrade("base")
    assert tables(database) == []
    schema.upgrade()
    assert shape(database) == shapes[REVISIONS[-1]]
    assert database.problems() == []
    schema.dispose()


def test_what_earlier_runs_used_and_made_is_filled_in(
    url: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batch by batch, and again from the beginning after it was broken off."""
    monkeypatch.setattr(fills, "_BATCH", 3)
    documents = {"input_artifacts": '{"in":["a","a"],"more":["b"]}', "output_artifacts": "{}"}
    rows = [(f"r{run}", f"t{number}", "container", documents) for run in range(3) for number in range(5)]
    nothing = {"input_artifacts": "{}", "output_artifacts": "{}"}
    rows += [
        ("r1", "dag", "dag", documents),
        ("r1", "none", "container", nothing),
        ("r1", "import", "importer", {**nothing, "output_artifacts": '{"artifact":["c"]}'}),
        # As an executor that does not work may have told a server that checked less.
        ("r1", "wrong", "container", {**nothing, "input_artifacts": '{"in":[7]}'}),
        ("r1", "no json", "container", {**nothing, "input_artifacts": "{"}),
    ]
    expected = {
        *((run, task, name, False, port) for run, task, *_ in rows[:15] for port, name in (("in", "a"), ("more", "b"))),
        ("r1", "import", "c", True, "artifact"),
    }
    with Schema(url) as schema:
        schema.upgrade("0013")
        put_tasks(database, rows)
        broken = iter([None, None])

        def add(self: SqlLineageRepository, uses: Iterable[ArtifactUse]) -> None:
            next(broken)
            whole(self, uses)

        whole = SqlLineageRepository.add
        with monkeypatch.context() as breaking:
            breaking.setattr(SqlLineageRepository, "add", add)
            with pytest.raises(StopIteration):
                schema.upgrade()
        assert schema.current() == "0015"
        assert 0 < len(filled(database)) < len(expected)
        schema.upgrade()
        assert schema.current() == REVISIONS[-1]
        assert filled(database) == expected


def put_tasks(database: Database, rows: Sequence[tuple[str, str, str, dict[str, str]]]) -> None:
    """Of runs that it makes; what else is in the rows does not matter."""
    fill(database, {})
    found = {table.name: table for table in tables(database)}
    run, task = ({column.name: value(column) for column in found[name].columns} for name in ("runs", "tasks"))
    with database.engine.execution_options(penstock_writing=True).begin() as connection:
        for run_id in sorted({run_id for run_id, *_ in rows}):
            connection.execute(found["runs"].insert().values({**run, "run_id": run_id}))
        for run_id, task_id, kind, artifacts in rows:
            values = {**task, "run_id": run_id, "task_id": task_id, "kind": kind, "state": "SUCCEEDED", **artifacts}
            connection.execute(found["tasks"].insert().values(values))


def filled(database: Database) -> set[tuple[str, str, str, bool, str]]:
    with database.engine.connect() as connection:
        found = connection.execute(sqlalchemy.select(artifact_uses))
        return {(one.run_id, one.task_id, one.artifact_name, bool(one.output), one.port) for one in found}


# On SQLite a writer has the whole file.
@pytest.mark.parametrize("url", ["postgresql", "mariadb"], indirect=True)
def test_servers_go_on_while_it_is_filled_in(url: str, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that a server of the release before changes is locked, and a run that is deleted stops nothing."""
    monkeypatch.setattr(fills, "_BATCH", 1)
    documents = {"input_artifacts": '{"in":["a"]}', "output_artifacts": "{}"}
    whole = SqlLineageRepository.add
    seen: list[str] = []

    def add(self: SqlLineageRepository, uses: Iterable[ArtifactUse]) -> None:
        found = list(uses)
        with database.engine.begin() as other:
            if other.dialect.name == "postgresql":
                other.execute(sqlalchemy.text("SET LOCAL lock_timeout = '1s'"))
            else:
                other.execute(sqlalchemy.text("SET SESSION innodb_lock_wait_timeout = 1, lock_wait_timeout = 1"))
            for statement in (
                "UPDATE runs SET state = 'RUNNING' WHERE run_id <> 'r3'",
                "UPDATE tasks SET state = 'FAILED' WHERE run_id <> 'r3'",
                # Read already, not written yet.
                "DELETE FROM runs WHERE run_id = 'r3'" if found and found[0].task.run_id == "r3" else "",
            ):
                if statement:
                    other.execute(sqlalchemy.text(statement))
        seen.extend(one.task.run_id for one in found)
        whole(self, found)

    monkeypatch.setattr(SqlLineageRepository, "add", add)
    with Schema(url) as schema:
        schema.upgrade("0013")
        put_tasks(database, [(f"r{number}", "t", "container", documents) for number in range(5)])
        schema.upgrade()
    assert seen == ["r0", "r1", "r2", "r3", "r4"]
    assert {run_id for run_id, *_ in filled(database)} == {"r0", "r1", "r2", "r4"}


def test_several_that_start_at_once(url: str, database: Database) -> None:
    def start(_: int) -> list[str]:
        one = Database(url)
        try:
            one.migrate()
            return one.problems()
        finally:
            one.dispose()

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(start, range(6))) == [[]] * 6


# On SQLite a writer has the whole file.
@pytest.mark.parametrize("url", ["postgresql", "mariadb"], indirect=True)
@pytest.mark.parametrize("others", ["runs", "tasks"])
def test_a_table_in_use_is_waited_for(
    others: str, url: str, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """A transaction of a server that runs has a table longer than a change waits for it."""
    caplog.set_level("INFO")
    with Schema(url) as schema:
        schema.upgrade("0011")
        with ThreadPoolExecutor(1) as pool:
            with database.engine.begin() as connection:
                # It goes on: a transaction that stands still is ended by the database.
                used = sqlalchemy.text(f"UPDATE {others} SET run_id = 'a' WHERE run_id = 'b'")  # noqa: S608 - constants
                connection.execute(used)
                upgraded = pool.submit(schema.upgrade)
                runs.until(lambda: (connection.execute(used) and "Retrying" in caplog.text) or upgraded.done(), bool)
            upgraded.result(60)
        assert schema.current() == REVISIONS[-1]


def test_a_circle_of_locks_with_a_server_that_runs(postgresql_url: str) -> None:
    """A server has tasks and wants runs, the change has runs and wants tasks: one of them has to give way."""
    database = Database(postgresql_url)
    with Schema(postgresql_url) as schema, ThreadPoolExecutor(1) as pool:
        schema.upgrade("0011")
        with database.engine.begin() as connection:
            # It notices the circle last: the other gives way.
            connection.execute(sqlalchemy.text("SET LOCAL deadlock_timeout = '60s'"))
            connection.execute(sqlalchemy.text("UPDATE tasks SET run_id = 'a' WHERE run_id = 'b'"))
            upgraded = pool.submit(schema.upgrade)
            waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'tasks'::regclass"
            with database.engine.connect() as other:
                runs.until(lambda: other.execute(sqlalchemy.text(waiting)).scalar(), bool)
            connection.execute(sqlalchemy.text("UPDATE runs SET run_id = 'a' WHERE run_id = 'b'"))
        upgraded.result(60)
        assert schema.current() == REVISIONS[-1]
    database.dispose()


def test_a_schema_of_a_later_release_is_used_and_left_as_it_is(url: str, database: Database) -> None:
    schema = Schema(url)
    schema.upgrade()
    with database.engine.execution_options(penstock_writing=True).begin() as connection:
        connection.execute(sqlalchemy.text("UPDATE alembic_version SET version_num = '9999'"))
    schema.upgrade()
    assert schema.current() == "9999"
    assert database.problems() == []
    with pytest.raises(FailedPreconditionError, match="9999"):
        schema.downgrade("0001")
    schema.dispose()


def test_the_command(url: str, database: Database) -> None:
    def db(*arguments: str, code: int = 0) -> str:
        done = CliRunner().invoke(main, ["db", "--database", url, *arguments])
        assert done.exit_code == code, done.output
        return done.output

    assert db("current").startswith("empty\n    0001")
    assert db("upgrade", "0002") == "0002\n"
    assert db("upgrade") == f"{REVISIONS[-1]}\n"
    assert db("current").splitlines()[1].startswith("  * 0001")
    assert "Aborted" in db("downgrade", "0001", code=1)
    assert db("downgrade", "0001", "--yes") == "0001\n"
    assert "is one of 0001" in db("upgrade", "7", code=1)


def test_what_is_no_url_is_said_in_a_sentence() -> None:
    done = CliRunner().invoke(main, ["db", "--database", "nonsense", "current"])
    assert done.exit_code == 1
    assert done.output.startswith("Error: this is no URL of a database; ")
    assert len(done.output.splitlines()) == 1


def test_a_revision_that_is_none(tmp_path: Path) -> None:
    schema = Schema(f"sqlite:///{tmp_path}/test.db")
    for change in (schema.upgrade, schema.downgrade):
        with pytest.raises(InvalidArgumentError, match="'1' is no revision"):
            change("1")
    schema.dispose()
