"""Databases with the runs of two years: the runs' table as it is, and the same one partitioned by month of creation.

Why not `many_runs`: ten million rows are made by PostgreSQL itself, in minutes, and indexed afterwards. The tables and
indexes are those of Penstock's own migrations.

Invariants: what a run is follows from its number, so both tables have the same runs, and whoever asks knows their ids.
Only what GetRun, ListRuns, CreateRun and executors touch has rows: runs of before have no tasks, artifacts, events,
labels or parameters. A server with `FILLING` loses what is filled when it crashes.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from hashlib import md5
from typing import Any

import psycopg
from penstock_server.domain.options import DEFAULT_OPTIONS
from penstock_server.storage import tables
from penstock_server.storage.database import Database
from psycopg import sql
from sqlalchemy import Column, insert

from tools.bench.months_rows import EXPRESSIONS, NUMBERED, others

MONTHS = 24
QUEUED = 1_000
"""Runs that executors hold, and as many that wait for one."""
FILLING = {
    "fsync": "off",
    "full_page_writes": "off",
    # What is written into a table or an index of the same transaction is not logged.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
    "shared_buffers": "2GB",
    "maintenance_work_mem": "1GB",
    "max_parallel_maintenance_workers": "0",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "30min",
}


@dataclass(slots=True)
class Filled:
    """`begin` and `now`: when the first run was made and when the last, milliseconds since 1970. `months`: where each
    begins, with the end of the last, which is still to come. `seconds` that each step took. `refused`: what PostgreSQL
    says of the keys that the partitioned table cannot have.
    """

    url: str
    size: int
    partitioned: bool
    now: int
    months: Sequence[int]
    seconds: dict[str, float] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)

    @property
    def label(self) -> str:
        return f"{self.size:,} runs, {'by month' if self.partitioned else 'as it is'}"

    @property
    def begin(self) -> int:
        return self.months[0]

    @property
    def queued(self) -> int:
        """Of each kind."""
        return min(QUEUED, self.size // 20)

    def created_at(self, number: int) -> int:
        return self.begin + number * (self.now - self.begin) // self.size

    def month_of(self, at: int) -> tuple[int, int]:
        """Where the month begins and where it ends."""
        index = max(index for index, begin in enumerate(self.months[:-1]) if begin <= at)
        return self.months[index], self.months[index + 1]


def id_of(kind: str, number: int) -> str:
    """As the expressions of `months_rows` have it."""
    return str(uuid.UUID(md5(f"{kind} {number}".encode(), usedforsecurity=False).hexdigest()))


def months_until(now: int, count: int = MONTHS) -> list[int]:
    """Where the months begin that end with the current one, where the next one begins and where that ends."""
    today = datetime.fromtimestamp(now / 1000, timezone.utc)
    first = today.year * 12 + today.month - 1 - (count - 1)
    begins = [divmod(first + index, 12) for index in range(count + 2)]
    return [int(datetime(year, month + 1, 1, tzinfo=timezone.utc).timestamp() * 1000) for year, month in begins]


def prepare(url: str, size: int, partitioned: bool, now: int) -> Filled:
    """Makes the schema in an empty database, and what runs refer to. In one thread at a time: Alembic has globals."""
    filled = Filled(url, size, partitioned, now, months_until(now))
    database = Database(url)
    database.migrate()
    with database.engine.begin() as connection:
        for table, rows in others(id_of, filled.begin).items():
            connection.execute(insert(table), rows)
    database.dispose()
    return filled


def fill(filled: Filled) -> None:
    """Makes the runs, in a database that is prepared."""
    with psycopg.connect(filled.url, autocommit=True) as connection:
        indexes = [
            sql.SQL(row[0])
            for row in connection.execute(
                "SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = 'runs'::regclass"
                " AND NOT indisprimary ORDER BY indexrelid"
            )
        ]
        if filled.partitioned:
            _timed(filled, "rows", lambda: _fill_partitions(connection, filled))
            filled.refused = [_refused(connection, statement) for statement in _REFUSED]
            key, references = sql.SQL("run_id, created_at"), list[sql.SQL | sql.Composed]()
        else:
            references = _bare(connection)
            _timed(filled, "rows", lambda: _fill_plain(connection, filled))
            key = sql.SQL("run_id")
        add_key = sql.SQL("ALTER TABLE runs ADD CONSTRAINT pk_runs PRIMARY KEY ({})").format(key)
        statements = [add_key, *indexes, *references]
        _timed(filled, "indexes", lambda: [connection.execute(statement) for statement in statements])
        _timed(filled, "vacuum", lambda: connection.execute("VACUUM (ANALYZE) runs"))
        for name in ("experiments", "pipelines", "pipeline_versions", "specs"):
            connection.execute(sql.SQL("VACUUM (ANALYZE) {}").format(sql.Identifier(name)))
        connection.execute("CREATE EXTENSION pg_buffercache")


_REFUSED = (
    "ALTER TABLE runs ADD PRIMARY KEY (run_id)",
    "ALTER TABLE tasks ADD FOREIGN KEY (run_id) REFERENCES runs (run_id) ON DELETE CASCADE",
)


def _refused(connection: psycopg.Connection[Any], statement: str) -> str:
    """What PostgreSQL says of a statement; raises AssertionError when it has nothing against it."""
    try:
        connection.execute(sql.SQL(statement))
    except (psycopg.errors.FeatureNotSupported, psycopg.errors.InvalidForeignKey) as error:
        return f"{statement}: {error.diag.message_primary}"
    raise AssertionError(f"not refused: {statement}")


def _bare(connection: psycopg.Connection[Any]) -> list[sql.SQL | sql.Composed]:
    """Takes keys and indexes from the table, with the foreign keys of others to it; how to make these again."""
    references = connection.execute(
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE confrelid = 'runs'::regclass AND contype = 'f' ORDER BY 1"
    ).fetchall()
    assert references
    for table, name, _ in references:
        connection.execute(
            sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(sql.Identifier(table), sql.Identifier(name))
        )
    connection.execute("ALTER TABLE runs DROP CONSTRAINT pk_runs")
    for (name,) in connection.execute("SELECT indexname FROM pg_indexes WHERE tablename = 'runs'").fetchall():
        connection.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(name)))
    return [
        sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} {}").format(
            sql.Identifier(table), sql.Identifier(name), sql.SQL(definition)
        )
        for table, name, definition in references
    ]


def _fill_plain(connection: psycopg.Connection[Any], filled: Filled) -> None:
    with connection.transaction():
        connection.execute("TRUNCATE runs")
        _insert(connection, filled)


def _fill_partitions(connection: psycopg.Connection[Any], filled: Filled) -> None:
    with connection.transaction():
        connection.execute("ALTER TABLE runs RENAME TO runs_before")
        connection.execute("CREATE TABLE runs (LIKE runs_before INCLUDING DEFAULTS) PARTITION BY RANGE (created_at)")
        connection.execute("DROP TABLE runs_before CASCADE")
        connection.execute("ALTER TABLE runs ADD FOREIGN KEY (spec_hash) REFERENCES specs (spec_hash)")
        for begin, end in zip(filled.months, filled.months[1:], strict=False):
            connection.execute(
                sql.SQL("CREATE TABLE {} PARTITION OF runs FOR VALUES FROM ({}) TO ({})").format(
                    sql.Identifier(partition_of(begin)), sql.Literal(begin), sql.Literal(end)
                )
            )
        _insert(connection, filled)


def partition_of(begin: int) -> str:
    """The name of the partition of the month that begins then."""
    return f"runs_{datetime.fromtimestamp(begin / 1000, timezone.utc):%Y_%m}"


def _insert(connection: psycopg.Connection[Any], filled: Filled) -> None:
    # Foreign keys are not looked at, row by row.
    connection.execute("SET LOCAL session_replication_role = replica")
    values = {
        "size": filled.size, "begin": filled.begin, "now": filled.now, "queued": filled.queued,
        "options": DEFAULT_OPTIONS.to_text(),
    }  # fmt: skip
    connection.execute(
        sql.SQL("INSERT INTO runs ({}) SELECT {} FROM ({}) AS numbered").format(
            sql.SQL(", ").join(sql.Identifier(column.name) for column in tables.runs.c),
            sql.SQL(", ").join(_expression(column) for column in tables.runs.c),
            sql.SQL(NUMBERED),
        ),
        values,
    )


def _expression(column: Column[Any]) -> sql.Composable:
    if column.name in EXPRESSIONS:
        return sql.SQL(EXPRESSIONS[column.name])
    default: Any = column.default
    return sql.Literal(default.arg if default is not None else None)


def _timed(filled: Filled, step: str, work: Callable[[], object]) -> None:
    started = time.perf_counter()
    work()
    filled.seconds[step] = time.perf_counter() - started
