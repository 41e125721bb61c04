"""What it costs to be rid of the oldest month, by deleting rows or by dropping its partition; and what else would help.

Invariant: each is done once, on a table that nobody else uses, so the figures are no medians. Runs of before have no
rows in the tables that refer to them; deleting looks for some in all of these all the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import psycopg
from psycopg import sql

from tools.bench.months_filled import Filled, partition_of
from tools.bench.result import Row

_MIB = 2**20
_COUNTED_AT_MOST = 10_000
_BATCH = 1_000


def removed(filled: Filled) -> list[Row]:
    with psycopg.connect(filled.url, autocommit=True) as connection:
        rows = _sizes(connection, "before")
        if filled.partitioned:
            name = sql.Identifier(partition_of(filled.begin))
            detach = sql.SQL("ALTER TABLE runs DETACH PARTITION {} CONCURRENTLY").format(name)
            rows += _cost(connection, "month detached", lambda: connection.execute(detach))
            drop = sql.SQL("DROP TABLE {}").format(name)
            rows += _cost(connection, "month dropped", lambda: connection.execute(drop))
            return [*rows, *_sizes(connection, "after it")]
        delete = sql.SQL("DELETE FROM runs WHERE created_at < {}").format(sql.Literal(filled.months[1]))
        deleted: list[int] = []
        rows += _cost(connection, "month deleted", lambda: deleted.append(connection.execute(delete).rowcount))
        rows += [Row("month deleted: rows", deleted[0], ""), *_sizes(connection, "after it")]
        rows += _cost(connection, "vacuum behind it", lambda: connection.execute("VACUUM runs"))
        return [*rows, *_sizes(connection, "after the vacuum"), *_in_batches(connection, filled)]


def _in_batches(connection: psycopg.Connection[Any], filled: Filled) -> list[Row]:
    """Of the second month, as a server would delete beside other work: a commit for each batch."""
    delete = sql.SQL(
        "DELETE FROM runs WHERE run_id IN"
        " (SELECT run_id FROM runs WHERE created_at < {} ORDER BY created_at, run_id LIMIT {})"
    ).format(sql.Literal(filled.months[2]), sql.Literal(_BATCH))
    millis: list[float] = []
    deleted = _BATCH
    while deleted == _BATCH:
        started = time.perf_counter()
        deleted = connection.execute(delete).rowcount
        millis.append((time.perf_counter() - started) * 1000)
    return [
        Row(f"month deleted, {_BATCH:,} rows at a time", sum(millis), "ms"),
        Row(f"month deleted, {_BATCH:,} rows at a time: batches", len(millis), ""),
        Row(f"month deleted, {_BATCH:,} rows at a time: median", median(millis), "ms"),
        Row(f"month deleted, {_BATCH:,} rows at a time: longest", max(millis), "ms"),
    ]


def index_sizes(connection: psycopg.Connection[Any]) -> list[Row]:
    """Of each index, that of all partitions together."""
    found = connection.execute(
        # What has partitions takes no room itself, and what has none is no leaf.
        "SELECT i.relname, pg_relation_size(i.oid) + coalesce((SELECT sum(pg_relation_size(leaf.relid))"
        " FROM pg_partition_tree(i.oid) AS leaf WHERE leaf.isleaf), 0)"
        " FROM pg_class AS i JOIN pg_index AS x ON x.indexrelid = i.oid"
        " WHERE x.indrelid = 'runs'::regclass ORDER BY 2 DESC"
    )
    return [Row(f"index {name}", float(size) / _MIB, "MiB") for name, size in found]


def cached(connection: psycopg.Connection[Any]) -> list[Row]:
    """How much of PostgreSQL's buffers the table and its indexes have."""
    found = connection.execute(
        "SELECT c.relkind IN ('i', 'I'), count(*) * 8192 FROM pg_buffercache AS b"
        " JOIN pg_class AS c ON pg_relation_filenode(c.oid) = b.relfilenode"
        " JOIN pg_database AS d ON d.oid = b.reldatabase AND d.datname = current_database()"
        " WHERE c.relname ~ '^(ix_|pk_)?runs' GROUP BY 1"
    )
    names = {True: "buffers of its indexes", False: "buffers of the table"}
    return [Row(names[index], float(size) / _MIB, "MiB") for index, size in found]


def instead(filled: Filled) -> list[Row]:
    """What could be done for the table as it is."""
    rows: list[Row] = []
    with psycopg.connect(filled.url, autocommit=True) as connection:
        connection.execute("CREATE INDEX claimable_alone ON runs (queue_rank, run_id) WHERE claimable")
        rows.append(_size_of(connection, "claimable_alone", "index of the queue over claimable runs alone"))
        bounded = sql.SQL(
            "SELECT count(*) FROM (SELECT FROM runs WHERE storage_state = 'AVAILABLE' LIMIT {}) AS few"
        ).format(sql.Literal(_COUNTED_AT_MOST + 1))
        rows += _cost(connection, f"counting to {_COUNTED_AT_MOST:,} at most", lambda: connection.execute(bounded))
        connection.execute(
            "CREATE TEMPORARY TABLE ids AS SELECT run_id, run_id::uuid AS short, created_at FROM runs LIMIT 1000000"
        )
        for column in ("run_id", "short"):
            connection.execute(
                sql.SQL("CREATE INDEX {} ON ids (created_at, {})").format(
                    sql.Identifier(f"ids_{column}"), sql.Identifier(column)
                )
            )
        (rows_of,) = connection.execute("SELECT count(*) FROM ids").fetchone() or (0,)
        for column, kind in (("run_id", "text"), ("short", "uuid")):
            size = _size_of(connection, f"ids_{column}", "").value * _MIB / rows_of
            rows.append(Row(f"an index of (created_at, id), ids as {kind}", size, "bytes/row"))
    return rows


def _size_of(connection: psycopg.Connection[Any], relation: str, label: str) -> Row:
    (size,) = connection.execute("SELECT pg_relation_size(%s::regclass)", [relation]).fetchone() or (0,)
    return Row(label, size / _MIB, "MiB")


def _sizes(connection: psycopg.Connection[Any], when: str) -> list[Row]:
    table, indexes = connection.execute(
        "SELECT sum(pg_table_size(relid)), sum(pg_indexes_size(relid)) "
        " FROM (SELECT relid FROM pg_partition_tree('runs') UNION SELECT 'runs'::regclass) AS parts"
    ).fetchone() or (0, 0)
    return [
        Row(f"table {when}", float(table) / _MIB, "MiB"),
        Row(f"indexes {when}", float(indexes) / _MIB, "MiB"),
    ]


def _cost(connection: psycopg.Connection[Any], label: str, work: Callable[[], object]) -> list[Row]:
    """Seconds, and what was written to the log for it."""
    before, started = wal_position(connection), time.perf_counter()
    work()
    seconds = time.perf_counter() - started
    return [
        Row(label, seconds * 1000, "ms"),
        Row(f"{label}: log", (wal_position(connection) - before) / _MIB, "MiB"),
    ]


def wal_position(connection: psycopg.Connection[Any]) -> int:
    (position,) = connection.execute("SELECT pg_current_wal_insert_lsn() - '0/0'").fetchone() or (0,)
    return int(position)
