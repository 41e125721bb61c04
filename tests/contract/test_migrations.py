"""Every step of the schema, up and down, with data in every table, on SQLite, PostgreSQL and MariaDB."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from alembic.script import ScriptDirectory
from click.testing import CliRunner
from penstock_server.errors import FailedPreconditionError, InvalidArgumentError
from penstock_server.main import main
from penstock_server.storage import schema
from penstock_server.storage.database import Database
from penstock_server.storage.schema import Schema, known_revisions
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
